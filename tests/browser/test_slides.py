"""The decks in use: they open from the disk, fit their stage, turn by key, and read on a phone."""

import pytest

from tools import pairs
from tools.slides import deck

FULL = """() => [...document.querySelectorAll(".slide")].flatMap((slide, index) => {
    const content = slide.querySelector(".content");
    const over = content.scrollHeight - content.clientHeight;
    return over > 1 || slide.scrollWidth > 1280 ? [`${index + 1}: ${over}`] : [];
})"""


def opened(page, stem, folder):
    """Make the deck of a chapter, and open it from the disk with its formulas set."""
    path = folder / f"{stem}.html"
    path.write_text(deck.make(stem), encoding="utf-8")
    page.goto(path.as_uri())
    page.wait_for_function("""() => document.documentElement.dataset.formulas === 'set'
        || !document.querySelector(".math")""")


@pytest.mark.parametrize("stem", pairs.notebooks())
def test_every_slide_fits_and_keys_turn_them(page, stem, tmp_path):
    opened(page, stem, tmp_path)
    assert page.evaluate(FULL) == []
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    n_slides = page.locator(".slide").count()
    heading = page.locator(".here :is(h1, h2)")
    first = heading.inner_text()
    page.keyboard.press("ArrowRight")
    assert heading.inner_text() != first and page.url.endswith("#2")
    page.keyboard.press("End")
    assert heading.inner_text() == "Summary" and page.url.endswith(f"#{n_slides}")
    page.keyboard.press("ArrowRight")
    assert page.url.endswith(f"#{n_slides}")
    page.keyboard.press("Home")
    assert heading.inner_text() == first


def test_on_a_phone_the_slides_follow_one_another(phone, tmp_path):
    opened(phone, pairs.notebooks()[0], tmp_path)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.locator(".slide >> nth=1").is_visible()
    assert phone.locator("nav").is_hidden()
