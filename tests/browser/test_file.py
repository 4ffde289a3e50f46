"""The book from files, by double-click: what a class without a network has."""

from urllib.parse import urlsplit

import nbformat
import pytest

from tests.browser.contents import chapters, documents, few_and_many
from tests.browser.reader import find, paste, switch_theme, term_of, toggles
from tests.browser.test_pages import look_over


@pytest.mark.parametrize("name", ["intro", chapters()[0], chapters()[-1], "pages/results"])
def test_a_page_is_whole(page, site_file, name):
    page.goto(f"{site_file}{name}.html", wait_until="networkidle")
    assert look_over(page) == []


def test_the_first_file_opens_the_first_page_and_every_chapter_can_be_reached(page, site_file):
    page.goto(site_file + "index.html")
    page.wait_for_url(f"**/{documents()[0]}.html")
    for name in documents()[1:]:
        page.locator("a.right-next").click()
        page.wait_for_url(f"**/{name}.html", wait_until="domcontentloaded")


@pytest.mark.parametrize("name", few_and_many(chapters()))
def test_search_finds_each_chapter(page, site_file, name):
    page.goto(site_file + "intro.html")
    term = term_of(name)
    assert f"{site_file}{name}.html" in find(page, term), f"{term!r} does not find {name}"


def test_theme_copy_button_and_what_unfolds(page, site_file):
    page.emulate_media(color_scheme="light")
    page.goto(f"{site_file}{chapters()[0]}.html")
    switch_theme(page, "dark")
    page.goto(site_file + "intro.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.goto(f"{site_file}{chapters()[0]}.html")
    page.locator("button.copybtn:visible").first.click()
    assert len(paste(page)) > 20
    for fold in toggles(page)[:6]:
        fold.locator("> summary").click()
        fold.locator("> :not(summary)").first.wait_for(state="visible")


def test_the_notebook_lies_where_the_button_points(page, site_file):
    for name in chapters():
        page.goto(f"{site_file}{name}.html", wait_until="domcontentloaded")
        address = page.locator(".btn-download-source-button").evaluate("link => link.href")
        parts = urlsplit(address)
        assert parts.scheme == "file"
        nbformat.read(parts.path, as_version=4)
