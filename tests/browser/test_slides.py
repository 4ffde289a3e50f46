"""The decks in use: they open from the disk, fit their stage, turn by key, and read on a phone."""

import pytest

from tools import pairs
from tools.slides import deck

WIDEST = "Math.max(...[...document.querySelectorAll('.slide')].map((s) => s.scrollWidth))"
FULL = """() => [...document.querySelectorAll(".slide")].flatMap((slide, index) => {
    const content = slide.querySelector(".content");
    const over = content.scrollHeight - content.clientHeight;
    return over > 1 || slide.scrollWidth > 1280 ? [`${index + 1}: ${over}`] : [];
})"""


@pytest.fixture(scope="module", params=pairs.notebooks())
def address(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / f"{request.param}.html"
    path.write_text(deck.make(request.param), encoding="utf-8")
    return path.as_uri()


def opened(page, address):
    page.goto(address)
    page.wait_for_function("document.documentElement.dataset.formulas === 'set'")


def test_every_slide_fits_and_keys_turn_them(page, address):
    opened(page, address)
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


def test_on_a_phone_the_slides_follow_one_another(phone, address):
    opened(phone, address)
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.locator(".slide >> nth=1").is_visible()
    assert phone.locator("nav").is_hidden()
