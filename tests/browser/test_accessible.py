"""What axe-core says of every page, in light and in dark, with everything unfolded."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.contents import documents
from tests.browser.reader import CALM

PAGES = [*documents(), "search", "genindex"]

READY = """() => [...document.querySelectorAll(".math")]
    .every((node) => node.querySelector("mjx-container"))"""


def faults(page):
    """Return what axe finds: the rule and the first places."""
    page.evaluate(CALM)
    found = Axe().run(page).response["violations"]
    return {
        rule["id"]: [node["html"][:120] for node in rule["nodes"][:3]] for rule in found
    }


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_light_and_dark(page, site, theme, name):
    page.goto(f"{site}{name}.html", wait_until="load")
    page.evaluate("window.course.whole()")
    page.wait_for_function(READY)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    for scheme in ("light", "dark"):
        theme(page, scheme)
        assert faults(page) == {}, scheme


def test_axe_finds_nothing_in_the_search_dialog(page, site):
    page.goto(f"{site}intro.html", wait_until="load")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#pst-search-dialog[open]")
    assert faults(page) == {}


def test_axe_finds_what_it_is_for(page, site):
    page.goto(f"{site}pages/about.html", wait_until="load")
    page.evaluate("""() => {
        const text = document.querySelector("article p");
        text.style.color = "#ccc";
        text.style.background = "#fff";
        text.insertAdjacentHTML("beforeend", "<img src='../_static/logo.svg'>");
    }""")
    assert {"color-contrast", "image-alt"} <= set(faults(page))


def test_the_first_stop_of_the_keyboard_leads_to_the_text(page, site):
    page.goto(f"{site}chapters/01_convolution.html", wait_until="load")
    page.keyboard.press("Tab")
    link = page.locator("#pst-skip-link a")
    assert link.evaluate("node => node === document.activeElement")
    box = link.bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0 and box["width"] > 1
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")


def test_the_stops_of_the_keyboard_can_be_seen(page, site):
    page.goto(f"{site}chapters/01_convolution.html", wait_until="load")
    unseen = []
    for _ in range(15):
        page.keyboard.press("Tab")
        shown = page.evaluate("""() => {
            const style = getComputedStyle(document.activeElement);
            return [document.activeElement.outerHTML.slice(0, 80),
                style.outlineStyle !== "none" || style.boxShadow !== "none"];
        }""")
        if not shown[1]:
            unseen.append(shown[0])
    assert unseen == []
