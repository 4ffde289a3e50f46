"""The Chinese book in the browser: the switch, the search, the explorers, pages on a telephone."""

import re
from functools import cache

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from tests.browser.conftest import built
from tests.browser.contents import FEW, chapters, documents, few_and_many
from tests.browser.reader import come_near, find, switch_theme, toggles
from tests.browser.test_accessible import EACH_LOOK_ONCE, READY, faults
from tests.browser.test_explorers import NAMES, PLACES, STICKS_OUT
from tests.browser.test_pages import look_over
from tools.translation import glossary


@pytest.fixture
def chinese(site):
    return f"{site}zh/"


@pytest.mark.parametrize("name", few_and_many([*documents(), "search", "genindex"]))
def test_a_page_is_whole_and_fits_a_telephone(page, chinese, name):
    page.goto(f"{chinese}{name}.html", wait_until="networkidle")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert look_over(page) == []


@pytest.mark.parametrize("name", few_and_many(
    [name for name in documents() if name != "pages/reference"], ["intro", FEW[2]]))
def test_axe_finds_nothing_in_light_and_dark(page, chinese, theme, name):
    page.goto(f"{chinese}{name}.html", wait_until="load")
    page.evaluate("window.course.whole()")
    page.wait_for_function(READY)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    for scheme in ("light", "dark"):
        theme(page, scheme)
        if scheme == "light":
            page.evaluate(EACH_LOOK_ONCE)
        assert faults(page) == {}, scheme


# --- the switch --------------------------------------------------------------------------

SWITCH = ".bd-header-article a.course-language"
TOP = "id => document.getElementById(id).getBoundingClientRect().top"


@pytest.mark.parametrize("where", ["site", "site_file"])
def test_the_switch_leads_to_the_section_that_one_reads_and_back(page, request, where):
    base = request.getfixturevalue(where)
    name = chapters()[0]
    page.goto(f"{base}{name}.html", wait_until="load")
    # Formulas that come while one looks would move the text.
    page.evaluate("window.course.whole()")
    page.wait_for_function(READY)
    section = page.locator("article section section[id]").nth(4)
    place = section.get_attribute("id")
    section.evaluate("node => node.scrollIntoView({ behavior: 'instant' })")
    for language, folder in (("zh-CN", "zh/"), ("en", "")):
        # With the mouse alone: `click` scrolls the page first, as if the header were not in view.
        box = page.locator(SWITCH).bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_url(f"{base}{folder}{name}.html#{place}")
        assert page.evaluate("document.documentElement.lang") == language
        page.wait_for_function(f"id => Math.abs(({TOP})(id)) < innerHeight / 4", arg=place)


def test_at_the_top_of_a_page_the_switch_leads_to_the_top(page, site):
    page.goto(f"{site}pages/teachers.html", wait_until="load")
    page.locator(SWITCH).click()
    page.wait_for_url(f"{site}zh/pages/teachers.html")
    assert page.evaluate("scrollY") == 0


def test_the_switch_keeps_the_place_that_was_asked_for(page, site):
    page.goto(f"{site}{PLACES['pooling']}.html#explorer-pooling", wait_until="load")
    page.wait_for_function(f"() => ({TOP})('explorer-pooling') < innerHeight")
    page.locator(SWITCH).click()
    page.wait_for_url(f"{site}zh/{PLACES['pooling']}.html#explorer-pooling")


def test_the_switch_is_reached_and_used_by_keyboard(page, site):
    page.goto(f"{site}intro.html", wait_until="load")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches('{SWITCH}')"):
            break
    else:
        pytest.fail("sixty stops, and none is the switch")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site}zh/intro.html")
    assert page.locator(SWITCH).inner_text() == "English"


def test_the_switch_is_there_on_a_telephone(phone, site):
    phone.goto(f"{site}{chapters()[0]}.html", wait_until="load")
    box = phone.locator(SWITCH).bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] >= 24
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.locator(SWITCH).tap()
    phone.wait_for_url(f"{site}zh/{chapters()[0]}.html")


# --- the search --------------------------------------------------------------------------


@cache
def terms():
    """Return, for each chapter, a Chinese term of the glossary that it uses more than the others.

    Words that few pages have say more: the count is divided by that of the pages.
    """
    text = {}
    for name in documents():
        page = BeautifulSoup((built() / f"zh/{name}.html").read_text(encoding="utf-8"),
                             "html.parser")
        text[name] = page.find("article").get_text()
    words = {zh for term in glossary.read().terms for zh in term.zh
             if re.fullmatch("[\u4e00-\u9fff]{2,}", zh)}
    share = {word: sum(word in one for one in text.values()) for word in words}
    return {name: max((word for word in words if share[word]),
                      key=lambda word: (text[name].count(word) / share[word], word))
            for name in chapters()}


@pytest.mark.parametrize("name", few_and_many(chapters()))
def test_a_chinese_word_of_each_chapter_finds_that_chapter(page, chinese, name):
    page.goto(f"{chinese}{chapters()[-1]}.html")
    assert f"{chinese}{name}.html" in search(page, terms()[name]), terms()[name]


def search(page, term, done="搜索完成"):
    """Search as a reader does; Sphinx says in Chinese that it is done."""
    return find(page, term, done=done)


@pytest.mark.parametrize("term", ["卷积核", "步幅", "汇聚", "感受野", "卷积核的步幅", "ReLU 函数"])
def test_what_readers_type_finds_something(page, chinese, term):
    page.goto(f"{chinese}intro.html")
    assert any("/chapters/" in address for address in search(page, term)), term


def test_what_is_nowhere_is_not_found(page, chinese):
    page.goto(f"{chinese}intro.html")
    assert search(page, "饕餮盛宴", "没有匹配") == []


def test_the_search_works_from_files(page, site_file):
    page.goto(f"{site_file}zh/intro.html")
    assert f"{site_file}zh/chapters/01_convolution.html" in search(page, "卷积核")


# --- the explorers -----------------------------------------------------------------------

#: What an explorer says that has a word of English in it, and no Chinese.
ENGLISH = r"""root => {
    const kept = /\b(ReLU|LeNet|Keras|TensorFlow|softmax|sigmoid|tanh|max|MNIST|SAME|VALID)\b/gi;
    const said = [...root.querySelectorAll("*")].filter((node) => !node.closest("pre, code"))
        .flatMap((node) => [
            ...[...node.childNodes].filter((part) => part.nodeType === 3).map((part) => part.data),
            node.getAttribute("aria-label"), node.getAttribute("title"),
            node.getAttribute("aria-valuetext"), node.getAttribute("aria-roledescription")]);
    return [...new Set(said.filter((text) => text && !/[\u4e00-\u9fff]/.test(text)
        && /[A-Za-z]{3}/.test(text.replace(kept, ""))).map((text) => text.trim()))];
}"""


@pytest.mark.parametrize("name", few_and_many(NAMES, ["convolution"]))
def test_an_explorer_speaks_chinese_and_fits_a_telephone(page, chinese, name):
    page.goto(f"{chinese}{PLACES[name]}.html", wait_until="load")
    explorer = come_near(page, f"#explorer-{name}")
    if name == "lenet":
        explorer.locator(".ln-board").wait_for()
    assert explorer.evaluate(ENGLISH) == []
    # Pressed once each: what they then say is Chinese as well.
    for button in explorer.get_by_role("button").all()[:6]:
        if button.is_visible() and button.is_enabled():
            button.click()
    assert explorer.evaluate(ENGLISH) == []
    assert explorer.locator(".x-failed").count() == 0
    found = Axe().run(page, context=f"#explorer-{name}", options={"preload": False})
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("innerWidth === 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert explorer.evaluate(STICKS_OUT) == []


def test_theme_and_folds_work_in_chinese(page, chinese):
    page.emulate_media(color_scheme="light")
    page.goto(f"{chinese}{chapters()[0]}.html")
    switch_theme(page, "dark")
    for fold in toggles(page)[:4]:
        fold.locator("> summary").click()
        fold.locator("> :not(summary)").first.wait_for(state="visible")
    assert page.evaluate("""getComputedStyle(document.body).fontFamily""").count("Noto Sans CJK SC")
