"""What axe-core says of every page, in light and in dark, with everything unfolded."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.contents import FEW, documents, few_and_many
from tests.browser.reader import CALM, OF_COLOUR

READY = """() => [...document.querySelectorAll(".math")]
    .every((node) => node.querySelector("mjx-container"))"""

#: In a block of code, every word has an element of its own, and axe takes as long for the hundredth
#: in a colour as for the first. Those that look like one before them become plain text.
EACH_LOOK_ONCE = """() => {
    let alike = 0;
    for (const block of document.querySelectorAll("pre")) {
        const seen = new Set();
        for (const token of block.querySelectorAll("span[class]")) {
            if (token.childElementCount || token.attributes.length > 1) continue;
            const style = getComputedStyle(token);
            const look = [token.parentElement.className, token.className, style.color,
                style.backgroundColor, style.backgroundImage, style.opacity, style.fontSize,
                style.fontWeight, style.textShadow].join("|");
            if (seen.has(look)) { token.replaceWith(token.textContent); alike += 1; }
            seen.add(look);
        }
        block.normalize();
    }
    return alike;
}"""


def faults(page, rules=None):
    """Return what axe finds, by all its rules or by some: the rule and the first places."""
    page.evaluate(CALM)
    options = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = Axe().run(page, options=options).response["violations"]
    return {
        rule["id"]: [node["html"][:120] for node in rule["nodes"][:3]] for rule in found
    }


@pytest.mark.parametrize(
    "name", few_and_many([*documents(), "search", "genindex"], (*FEW, "search")))
def test_axe_finds_nothing_in_light_and_dark(page, site, theme, name):
    page.goto(f"{site}{name}.html", wait_until="load")
    page.evaluate("window.course.whole()")
    page.wait_for_function(READY)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    theme(page, "light")
    page.evaluate(EACH_LOOK_ONCE)  # what looks alike has one class, and looks alike in the dark too
    assert faults(page) == {}
    theme(page, "dark")
    assert faults(page, OF_COLOUR) == {}


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
    assert list(faults(page, OF_COLOUR)) == ["color-contrast"]


@pytest.mark.parametrize("which, looks", [(".k", 2), (".k.odd", 1)])
def test_axe_finds_a_faint_word_in_code_whether_all_of_its_kind_are_faint_or_one(
        page, site, which, looks):
    page.goto(f"{site}chapters/01_convolution.html", wait_until="load")
    assert page.evaluate("""which => {
        // One block of code is enough here, and much quicker.
        const blocks = [...document.querySelectorAll("article pre")].filter(
            (block) => block.querySelectorAll(".k").length > 2 && block.checkVisibility());
        for (const block of document.querySelectorAll("article pre")) {
            if (block !== blocks[0]) block.remove();
        }
        [...blocks[0].querySelectorAll(".k")].at(-1).classList.add("odd");
        document.head.insertAdjacentHTML(
            "beforeend", `<style>pre ${which} { color: #ddd !important; }</style>`);
        return blocks.length;
    }""", which)
    assert page.evaluate(EACH_LOOK_ONCE) > 5
    found = faults(page)
    assert list(found) == ["color-contrast"] and len(found["color-contrast"]) == looks


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
