"""What holds for all four explorers: without scripts, on paper, in the dark, at rest, by hand."""

import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.contents import ROOT, chapters, few_and_many
from tests.browser.reader import CALM, OF_COLOUR, cell, come_near, numbers


def chapter_of():
    """Return, for each explorer of the book, the page that holds it."""
    places = {}
    for name in chapters():
        text = (ROOT / f"{name}.py").read_text(encoding="utf-8")
        places |= dict.fromkeys(re.findall(r"^# :::\{explorer\} (\w+)", text, re.MULTILINE), name)
    return places


PLACES = chapter_of()
NAMES = ["convolution", "pooling", "shapes", "lenet"]


def opened(page, site, name):
    """Go to an explorer and wait until it has started."""
    page.goto(f"{site}{PLACES[name]}.html")
    return come_near(page, f"#explorer-{name}")


def test_each_explorer_has_its_chapter():
    assert sorted(PLACES) == sorted(NAMES)


# --- used as a reader uses them, to numbers that are known -------------------------------


def use_convolution(explorer):
    explorer.get_by_text("Edges", exact=True).click()
    explorer.get_by_role("combobox", name="Padding").select_option("SAME")
    cell(explorer, 1, 9, 9).click()
    # The corner of the floor: 8 times 3, less 3 beside it, 6 and 1 above it, and zeros outside.
    assert explorer.locator(".x-sum").inner_text() == "14"
    explorer.get_by_label("Weight in row 1, column 1").fill("nonsense")


def use_pooling(explorer):
    explorer.get_by_text("A seven", exact=True).click()
    explorer.get_by_label("Move the image one pixel right").click()
    cell(explorer, 1, 1, 3).click()
    assert explorer.locator(".x-lost").count() > 0
    explorer.get_by_label("Stride", exact=True).fill("nonsense")


def use_shapes(explorer):
    explorer.locator(".x-s-open").nth(3).click()
    explorer.get_by_label("Kernel size").fill("40")
    explorer.get_by_label("Padding").select_option("valid")
    assert "40 × 40 cells" in explorer.locator(".x-message >> visible=true").inner_text()
    explorer.get_by_label("Kernels").fill("nonsense")
    explorer.get_by_text("Copy as Keras", exact=True).click()


def use_lenet(explorer):
    explorer.get_by_role("button", name="Drawing of a 9").click()
    explorer.and_(explorer.page.locator(".ln-awake")).wait_for()
    assert explorer.locator(".ln-answer").inner_text() == "9"
    explorer.get_by_text("Convolution 2", exact=True).click()


USE = {"convolution": use_convolution, "pooling": use_pooling, "shapes": use_shapes,
       "lenet": use_lenet}

#: Text that is wider than the box it stands in, unless that scrolls or lies in a hidden one.
STICKS_OUT = """root => {
    const cut = (node) => node !== root
        && (getComputedStyle(node).overflowX !== "visible" || cut(node.parentElement));
    return [...root.querySelectorAll("*")].filter((node) => {
        const own = [...node.childNodes].some((part) => part.nodeType === 3 && part.data.trim());
        return own && node.clientWidth > 1 && node.scrollWidth > node.clientWidth + 1 && !cut(node);
    }).map((node) => `${node.className}: ${node.textContent.slice(0, 40)}`);
}"""

BACKGROUNDS = """root => [root, ...root.querySelectorAll("*")].map(
    (node) => getComputedStyle(node).backgroundColor)"""


@pytest.mark.parametrize("name", few_and_many(NAMES, ["convolution"]))
def test_in_use_it_can_be_read_in_light_and_dark_and_fits_a_telephone(page, site, theme, name):
    explorer = opened(page, site, name)
    theme(page, "light")
    USE[name](explorer)
    seen = {}
    for scheme in ("light", "dark"):
        theme(page, scheme)
        page.evaluate(CALM)
        seen[scheme] = explorer.evaluate(BACKGROUNDS)
        # Preloading, axe would look for imported style sheets beside the page, where none are.
        options = {"preload": False}
        if scheme == "dark":  # all but the colours is the same in light and dark
            options["runOnly"] = {"type": "rule", "values": OF_COLOUR}
        found = Axe().run(page, context=f"#explorer-{name}", options=options)
        assert found.violations_count == 0, (scheme, found.generate_report())
    changed = sum(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))
    assert changed > 20, "it looks alike in light and dark"
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("innerWidth === 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert explorer.evaluate(STICKS_OUT) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_works_from_a_file(page, site_file, name):
    explorer = opened(page, site_file, name)
    USE[name](explorer)
    assert explorer.locator(".x-failed").count() == 0


# --- where it does not run ---------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_without_scripts_there_are_the_still_and_the_description(
        open_context, site, problems, name):
    page = open_context(java_script_enabled=False).new_page()
    page.goto(f"{site}{PLACES[name]}.html")
    root = page.locator(f"#explorer-{name}")
    picture = root.locator("figure img")
    picture.scroll_into_view_if_needed()
    assert picture.is_visible() and picture.bounding_box()["width"] > 300
    assert len(picture.get_attribute("alt")) > 80
    assert root.locator(".x-offline").is_visible()
    assert len(root.locator(".x-description").inner_text()) > 100
    # The browser calls a script that it was told not to run a failed request.
    problems[:] = [problem for problem in problems if not problem.endswith("(csp)")]


@pytest.mark.parametrize("name", NAMES)
def test_on_paper_there_is_the_still(page, site, name):
    explorer = opened(page, site, name)
    page.emulate_media(media="print")
    picture = explorer.locator("figure.x-still img")
    assert not explorer.locator(".x-stage").is_visible()
    assert picture.is_visible()
    page.wait_for_function(
        "name => document.querySelector(`#explorer-${name} .x-still img`).naturalWidth > 0",
        arg=name)
    assert explorer.locator(".x-description").is_visible()


# --- motion ------------------------------------------------------------------------------

MOVING = """root => [...root.querySelectorAll("*")].filter((node) => {
    const style = getComputedStyle(node);
    return style.animationName !== "none"
        || style.transitionDuration.split(",").some((part) => parseFloat(part) > 0);
}).map((node) => node.className)"""


@pytest.mark.parametrize("name", NAMES)
def test_nothing_glides_for_readers_who_asked_for_rest(page, site, name):
    explorer = opened(page, site, name)
    assert explorer.evaluate(MOVING), "nothing here would glide for others: the test proves nothing"
    page.emulate_media(reduced_motion="reduce")
    assert explorer.evaluate(MOVING) == []


def stop_the_clock(page):
    """Let time pass in a page only when a test says so: a busy machine must not play on."""
    page.clock.install(time=0)
    page.clock.pause_at(1000)


@pytest.mark.parametrize("name, example", [("convolution", "Edges"), ("pooling", "A seven")])
def test_playing_goes_by_single_slow_steps_for_them(page, site, name, example):
    explorer = opened(page, site, name)
    explorer.get_by_text(example, exact=True).click()
    place = explorer.get_by_role("slider", name=re.compile("^Place of the"))
    stop_the_clock(page)
    steps = {}
    for motion in ("no-preference", "reduce"):
        page.emulate_media(reduced_motion=motion)
        place.fill("0")
        page.clock.run_for(3000)
        assert place.input_value() == "0", "it moves before anybody pressed the button"
        explorer.get_by_role("button", name="Play", exact=True).click()
        page.clock.run_for(3100)
        steps[motion] = int(place.input_value())
        explorer.get_by_role("button", name="Pause", exact=True).click()
    assert steps["reduce"] == 3 < steps["no-preference"]


@pytest.mark.parametrize("name", ["convolution", "pooling"])
def test_it_plays_to_the_end_and_stops_for_a_hand(page, site, name):
    explorer = opened(page, site, name)
    place = explorer.get_by_role("slider", name=re.compile("^Place of the"))
    stop_the_clock(page)
    explorer.get_by_role("button", name="Play", exact=True).click()
    page.clock.run_for(1100)
    shown = numbers(explorer, 1)
    assert place.input_value() == "1"
    assert np.isfinite(shown).sum() == 2, "what is not reached yet stays empty"
    explorer.get_by_role("button", name="One step back").click()
    page.clock.run_for(5000)
    assert place.input_value() == "0", "it goes on against the reader's hand"
    explorer.get_by_role("button", name="One step forward").click()
    explorer.get_by_role("button", name="Play", exact=True).click()
    page.clock.run_for(9000)
    assert place.input_value() == "3"
    assert np.isfinite(numbers(explorer, 1)).all()
    assert explorer.get_by_role("button", name="Play", exact=True).is_visible()


# --- drawing -----------------------------------------------------------------------------


def middle(explorer, i, j):
    """Return the middle of a pixel of the image, on the screen."""
    box = cell(explorer, 0, i, j).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def empty_sheet(explorer, name):
    """Give an explorer an empty image of 10 by 10 pixels; each leaves what it keeps of a pixel."""
    if name == "convolution":
        explorer.get_by_text("Identity", exact=True).click()
        explorer.get_by_role("combobox", name="Image").select_option("empty")
    else:
        explorer.get_by_text("An empty sheet", exact=True).click()
    assert not numbers(explorer, 0).any()
    cell(explorer, 0, 0, 0).scroll_into_view_if_needed()


def kept(name, image):
    """Return what the explorer's map has to be."""
    if name == "convolution":
        return image[1:-1, 1:-1]
    return image.reshape(5, 2, 5, 2).max(axis=(1, 3))


@pytest.mark.parametrize("name", ["convolution", "pooling"])
def test_a_mouse_draws_on_the_image(page, site, name):
    explorer = opened(page, site, name)
    empty_sheet(explorer, name)
    explorer.get_by_role("slider", name="Brush").fill("7")
    cell(explorer, 0, 8, 8).scroll_into_view_if_needed()
    page.mouse.move(*middle(explorer, 4, 2))
    page.mouse.down()
    page.mouse.move(*middle(explorer, 4, 6), steps=12)
    page.mouse.move(*middle(explorer, 7, 6), steps=12)
    page.mouse.up()
    page.mouse.move(*middle(explorer, 8, 8))
    expected = np.zeros((10, 10))
    expected[4, 2:7] = expected[4:8, 6] = 7
    np.testing.assert_array_equal(numbers(explorer, 0), expected)
    np.testing.assert_array_equal(numbers(explorer, 1), kept(name, expected))


@pytest.mark.parametrize("name", ["convolution", "pooling"])
def test_a_finger_taps_and_after_the_switch_draws(phone, site, name):
    explorer = opened(phone, site, name)
    empty_sheet(explorer, name)
    expected = np.zeros((10, 10))
    touch = phone.context.new_cdp_session(phone)

    def drag(*cells):
        for k, (i, j) in enumerate(cells):
            x, y = middle(explorer, i, j)
            touch.send("Input.dispatchTouchEvent", {
                "type": "touchMove" if k else "touchStart", "touchPoints": [{"x": x, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    cell(explorer, 0, 2, 3).tap()
    expected[2, 3] = 9
    np.testing.assert_array_equal(numbers(explorer, 0), expected)
    # Level strokes: an upright one would scroll the page, as fingers do.
    drag((5, 2), (5, 4), (5, 6))
    np.testing.assert_array_equal(numbers(explorer, 0), expected)
    explorer.get_by_role("switch", name="Draw with a finger").tap()
    cell(explorer, 0, 0, 0).scroll_into_view_if_needed()
    drag((5, 2), (5, 3), (5, 4), (6, 4), (7, 4))
    expected[5, 2:5] = expected[5:8, 4] = 9
    np.testing.assert_array_equal(numbers(explorer, 0), expected)
    np.testing.assert_array_equal(numbers(explorer, 1), kept(name, expected))
    # Beyond the image there is nothing to paint, and nothing breaks.
    drag((5, 2), (5, 2))
    assert explorer.locator(".x-failed").count() == 0
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["convolution", "pooling"])
def test_a_tap_on_the_map_shows_what_made_it(phone, site, name):
    explorer = opened(phone, site, name)
    cell(explorer, 1, 1, 0).tap()
    said = explorer.locator(".x-sentence strong").inner_text()
    assert said == {"convolution": "\N{MINUS SIGN}12", "pooling": "8"}[name]
