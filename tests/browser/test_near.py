"""What is far from the window waits for its reader, and comes at the first sign of one."""

import pytest

from tests.browser.contents import chapters

SET = """() => [...document.querySelectorAll(".math")]
    .map((node) => !!node.querySelector("mjx-container"))"""
MATHEMATICS, LENET = "chapters/01_convolution", "chapters/05_mnist_keras"


def test_formulas_wait_for_a_reader(page, site):
    page.goto(f"{site}{MATHEMATICS}.html", wait_until="networkidle")
    page.wait_for_timeout(1000)
    before = page.evaluate(SET)
    assert len(before) > 20 and not all(before)
    page.mouse.wheel(0, 10)
    page.wait_for_function(f"() => ({SET})().every(Boolean)")


def test_a_reader_who_moves_before_the_page_is_there_is_not_forgotten(page, site):
    page.add_init_script("""document.addEventListener("DOMContentLoaded",
        () => window.dispatchEvent(new Event("pointermove")))""")
    page.goto(f"{site}{MATHEMATICS}.html", wait_until="load")
    page.wait_for_function(f"() => ({SET})().every(Boolean)")


def test_a_formula_that_one_jumps_to_is_set(page, site):
    page.goto(f"{site}{MATHEMATICS}.html#exercises", wait_until="load")
    page.wait_for_function("""() => [...document.querySelectorAll(".math")].some((node) => {
        const box = node.getBoundingClientRect();
        return box.top > 0 && box.bottom < innerHeight && node.querySelector("mjx-container");
    })""")


def test_an_explorer_waits_for_its_reader(page, site):
    page.goto(f"{site}{LENET}.html", wait_until="networkidle")
    explorer = page.locator("#explorer-lenet")
    assert "x-waiting" in explorer.get_attribute("class")
    height = explorer.bounding_box()["height"]
    assert height > 300, "no place is kept for it"
    explorer.scroll_into_view_if_needed()
    page.locator("#explorer-lenet.x-live .ln-board").wait_for()


@pytest.mark.parametrize("name", chapters())
def test_all_of_a_page_comes_when_it_is_asked_for(page, site, name):
    page.goto(f"{site}{name}.html", wait_until="load")
    page.evaluate("window.course.whole()")
    assert all(page.evaluate(SET))
    page.wait_for_function("() => !document.querySelector('.x-waiting')")
    assert page.locator(".course-explorer:not(.x-live)").count() == 0


def test_paper_has_every_formula(page, site):
    page.goto(f"{site}{MATHEMATICS}.html", wait_until="networkidle")
    page.mouse.wheel(0, 10)
    page.wait_for_function("() => window.MathJax && window.MathJax.typeset")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert all(page.evaluate(SET))
