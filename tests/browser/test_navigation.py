"""What a reader does on the pages, with mouse, keyboard and finger."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.browser.conftest import built
from tests.browser.contents import ROOT, chapters, documents, few_and_many
from tests.browser.reader import find, paste, switch_theme, term_of, toggles
from tools.notebook_edition import Book, build
from tools.serve import Server


def opened(page, name):
    """Wait until the named page of the book is open."""
    page.wait_for_url(f"**/{name}.html*", wait_until="domcontentloaded")


# --- from page to page -------------------------------------------------------------------


def test_next_leads_through_the_book_and_previous_back(page, site):
    names = documents()
    page.goto(site + "index.html")
    opened(page, names[0])
    assert page.locator("a.left-prev").count() == 0
    for here, there in zip(names, names[1:], strict=False):
        page.locator("a.right-next").click()
        opened(page, there)
        back = page.locator("a.left-prev").evaluate("link => link.href")
        assert back == f"{site}{here}.html"
    assert page.locator("a.right-next").count() == 0
    page.locator("a.left-prev").click()
    opened(page, names[-2])


def sidebar_links(page):
    return page.locator(".bd-sidebar-primary nav a.internal, .bd-sidebar-primary nav .current > a")


def test_the_sidebar_lists_the_book_and_marks_the_page(page, site):
    name = chapters()[1]
    page.goto(f"{site}{name}.html", wait_until="domcontentloaded")
    listed = sidebar_links(page).evaluate_all("links => links.map(link => link.href.split('#')[0])")
    assert list(dict.fromkeys(listed)) == [f"{site}{other}.html" for other in documents()]
    current = page.locator(".bd-sidebar-primary li.current > a").last
    assert current.evaluate("link => link.href.split('#')[0]") == f"{site}{name}.html"
    other = chapters()[-1]
    page.locator(f".bd-sidebar-primary a[href$='{Path(other).name}.html']").click()
    opened(page, other)


def test_the_sidebar_can_be_put_away_and_brought_back(page, site):
    page.goto(f"{site}{chapters()[0]}.html")
    entry = sidebar_links(page).nth(3)
    assert entry.is_visible()
    page.locator("button.primary-toggle").click()
    entry.wait_for(state="hidden")
    page.locator("button.primary-toggle").click()
    entry.wait_for(state="visible")


def test_on_a_telephone_the_contents_open_lead_on_and_close(phone, site):
    phone.goto(f"{site}{chapters()[0]}.html")
    entry = phone.locator("nav a:visible", has_text="Pooling")
    assert entry.count() == 0
    phone.locator("button.primary-toggle").tap()
    entry.first.wait_for(state="visible")
    box = entry.first.bounding_box()
    assert 0 <= box["x"] and box["x"] + box["width"] <= 390
    phone.keyboard.press("Escape")
    entry.first.wait_for(state="hidden")
    phone.locator("button.primary-toggle").tap()
    entry.first.tap()
    opened(phone, "chapters/02_pooling")
    # The page that was asked for is not covered by the contents.
    assert entry.count() == 0
    phone.locator("a.right-next").tap()
    opened(phone, "chapters/03_lenet")
    phone.locator("a.left-prev").tap()
    opened(phone, "chapters/02_pooling")


def test_a_heading_has_a_link_of_its_own_and_the_page_opens_there(page, site):
    page.goto(f"{site}{chapters()[0]}.html")
    link = page.locator("article h2 a.headerlink").last
    target = link.evaluate("link => link.href")
    page.goto("about:blank")
    page.goto(target)
    section = page.locator("section:target > h2")
    top = section.bounding_box()["y"]
    assert 0 <= top < 800, "the heading is not on the screen"


# --- search ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", few_and_many(chapters()))
def test_a_term_of_each_chapter_finds_that_chapter(page, site, name):
    page.goto(f"{site}{chapters()[-1]}.html")
    term = term_of(name)
    assert f"{site}{name}.html" in find(page, term), f"{term!r} does not find {name}"
    page.locator(f"#search-results a[href*='{Path(name).name}.html']").first.click()
    opened(page, name)


def test_search_opens_by_keyboard_and_says_when_it_finds_nothing(page, site):
    page.goto(f"{site}intro.html")
    page.keyboard.press("Control+k")
    field = page.locator("input[type=search]:visible")
    field.wait_for(state="visible")
    page.keyboard.type("zyxwvut")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=zyxwvut*")
    page.locator("#search-results", has_text="did not match any").wait_for()


def test_search_works_on_a_telephone(phone, site):
    phone.goto(f"{site}intro.html")
    assert f"{site}chapters/02_pooling.html" in find(phone, term_of("chapters/02_pooling"))


# --- light and dark ----------------------------------------------------------------------


def test_the_theme_changes_and_stays(page, site):
    page.emulate_media(color_scheme="light")
    page.goto(f"{site}{chapters()[0]}.html")
    switch_theme(page, "dark")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.goto(f"{site}intro.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    switch_theme(page, "light")


def test_the_theme_follows_the_readers_system(page, site, theme):
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site}intro.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    theme(page, "light")


# --- code --------------------------------------------------------------------------------


def test_the_copy_button_copies_the_cell(page, site):
    name = chapters()[0]
    notebook = nbformat.read(built() / "_sources" / f"{name}.ipynb", as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    page.goto(f"{site}{name}.html")
    button = page.locator("button.copybtn:visible").nth(1)
    button.scroll_into_view_if_needed()
    button.hover()
    button.click()
    copied = paste(page)
    assert copied in sources and copied.count("\n") > 2


def test_the_copy_button_works_by_keyboard(page, site):
    page.goto(f"{site}{chapters()[0]}.html")
    button = page.locator("button.copybtn:visible").first
    button.focus()
    page.keyboard.press("Enter")
    assert len(paste(page)) > 20


# --- what unfolds ------------------------------------------------------------------------


#: What is wrong with a fold when it is clicked where a reader would click: something lies over its
#: head, or it does not open. A hand that asks the browser for each step takes ten times as long.
UNFOLDS = """fold => {
    const [summary, inside] = [fold.querySelector("summary"),
        [...fold.children].find((node) => node.tagName !== "SUMMARY")];
    if (fold.open || inside.checkVisibility({contentVisibilityAuto: false})) return "lies open";
    summary.scrollIntoView({block: "center", behavior: "instant"});
    const box = summary.getBoundingClientRect();
    const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    if (!summary.contains(hit)) return `covered by ${hit && hit.outerHTML.slice(0, 80)}`;
    hit.click();
    return fold.open && inside.getBoundingClientRect().height > 0 ? "" : "stays closed";
}"""


@pytest.mark.parametrize("name", few_and_many(chapters()))
def test_solutions_and_hidden_cells_unfold_by_mouse_and_keyboard(page, site, name):
    page.goto(f"{site}{name}.html", wait_until="domcontentloaded")
    folds = toggles(page)
    assert len(folds) >= 3
    kinds = {}
    for fold in folds:
        kinds.setdefault(fold.get_attribute("class"), fold)
        assert fold.evaluate(UNFOLDS) == ""
    assert any("sd-dropdown" in kind for kind in kinds) and any("hide" in kind for kind in kinds)
    for fold in kinds.values():
        summary, inside = fold.locator("> summary"), fold.locator("> :not(summary)").first
        assert inside.is_visible()
        summary.click()
        inside.wait_for(state="hidden")
        summary.click()
        inside.wait_for(state="visible")
        summary.click()
        summary.focus()
        page.keyboard.press("Enter")
        inside.wait_for(state="visible")
        page.keyboard.press("Space")
        inside.wait_for(state="hidden")


def test_a_fold_that_a_reader_could_not_open_is_found(page, site):
    page.goto(f"{site}{chapters()[0]}.html", wait_until="domcontentloaded")
    fold = toggles(page)[0]
    cover = page.evaluate_handle("""() => {
        const cover = document.createElement("div");
        cover.style.cssText = "position: fixed; inset: 0; z-index: 9999;";
        return document.body.appendChild(cover);
    }""")
    assert fold.evaluate(UNFOLDS).startswith("covered by <div")
    cover.evaluate("cover => cover.remove()")
    fold.evaluate("fold => fold.addEventListener('click', (event) => event.preventDefault())")
    assert fold.evaluate(UNFOLDS) == "stays closed"
    fold.evaluate("fold => { fold.open = true; }")
    assert fold.evaluate(UNFOLDS) == "lies open"


# --- notebooks ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", chapters())
def test_the_notebook_downloads_and_is_the_one_that_was_run(page, site, name):
    """`make test` runs the notebooks of chapters/; what a reader gets is equal to the last byte."""
    page.goto(f"{site}{name}.html")
    page.get_by_role("button", name="Download this page").click()
    with page.expect_download() as download:
        page.locator(".btn-download-source-button:visible").click()
    assert download.value.suggested_filename == f"{Path(name).name}.ipynb"
    content = Path(download.value.path()).read_bytes()
    notebook = nbformat.reads(content.decode(), as_version=4)
    nbformat.validate(notebook)
    assert sum(cell.cell_type == "code" for cell in notebook.cells) > 3
    assert content == (ROOT / f"{name}.ipynb").read_bytes()


ADDRESS = "https://github.com/somebody/a-course"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The book as it is built where it has a public address: what was read before serves again."""
    out = tmp_path_factory.mktemp("published")
    shutil.copytree(built().parent / ".doctrees", out / "_build" / ".doctrees")
    environ = {**os.environ, "COURSE_REPOSITORY": ADDRESS}
    program = Path(sys.executable).with_name("jupyter-book")
    subprocess.run(
        [program, "build", "-q", "--path-output", str(out), "."], cwd=ROOT, check=True,
        env=environ, timeout=250)
    with Server(out / "_build" / "html") as server:
        yield server.address


# The whole book is built once more for it.
@pytest.mark.long
def test_the_colab_buttons_open_notebooks_that_exist(page, published, problems, tmp_path):
    build(tmp_path, Book(ROOT, ADDRESS, "main"))
    context = page.context
    start = f"{ADDRESS}/blob/notebooks/".replace(
        "https://github.com", "https://colab.research.google.com/github")
    for name in chapters():
        page.goto(f"{published}{name}.html", wait_until="load")
        page.get_by_role("button", name="Launch interactive").click()
        # Colab itself is not asked: the browser of the tests reaches this machine alone.
        with context.expect_event("request", lambda asked: "127.0.0.1" not in asked.url) as asked:
            page.locator("a:visible", has_text="Colab").click()
        assert asked.value.url == f"{start}{name}.ipynb"
        nbformat.validate(json.loads((tmp_path / f"{name}.ipynb").read_text(encoding="utf-8")))
    foreign = [line for line in problems if line.startswith("foreign host: ")]
    assert foreign == [f"foreign host: {start}{name}.ipynb" for name in chapters()]
    problems[:] = [line for line in problems if start not in line]


def test_without_an_address_there_is_no_launch_button(page, site):
    if os.environ.get("COURSE_REPOSITORY") or os.environ.get("GITHUB_REPOSITORY"):
        pytest.skip("this book was built with an address")
    page.goto(f"{site}{chapters()[0]}.html")
    assert page.get_by_role("button", name="Launch interactive").count() == 0
    assert page.locator("a[href*='colab.research']").count() == 0
