"""The pooling explorer: its arithmetic against NumPy, and driven to known numbers."""

import numpy as np
import pytest

from tests.browser.notebooks import arrays, functions, printed
from tests.browser.reader import cell, come_near, numbers

PAGE = "chapters/02_pooling.html"


@pytest.fixture
def explorer(page, site):
    page.goto(site + PAGE)
    return come_near(page, "#explorer-pooling")


def by_chapter(image, size, stride, mode):
    """Pool with the chapter's own function."""
    pool = functions("02_pooling", "pool")["pool"]
    return pool(image, size, stride, np.max if mode == "max" else np.mean)


def test_the_arithmetic_is_that_of_the_chapter(page, explorer):
    rng = np.random.default_rng(1)
    for size in (1, 2, 3, 4):
        for stride in (1, 2, 3):
            for mode in ("max", "average"):
                image = rng.normal(size=rng.integers(4, 11, 2))
                found = page.evaluate(
                    """([lists, options]) => {
                         const [rows, cols] = [lists.length, lists[0].length];
                         const image = {rows, cols, values: lists.flat()};
                         const map = course.poolingMath.pool(image, options);
                         return [map.rows, map.cols, Array.from(map.values)];
                       }""", [image.tolist(), {"size": size, "stride": stride, "mode": mode}])
                theirs = by_chapter(image, size, stride, mode)
                assert tuple(found[:2]) == theirs.shape
                gap = np.linalg.norm(np.reshape(found[2], theirs.shape) - theirs)
                assert gap <= 1e-4 * np.linalg.norm(theirs)


def stored():
    """Return the pooled maps of the worked example as the stored notebook printed them."""
    return arrays(printed("02_pooling", 'print("maximum, stride 1:'))


def test_it_starts_with_the_worked_example_and_names_the_winner(explorer):
    assert numbers(explorer, 1).tolist() == stored()[0].tolist() == [[5, 6], [8, 9]]
    cell(explorer, 1, 1, 0).click()
    assert explorer.locator(".x-sentence").inner_text() == "max (4, 5, 7, 8) = 8"
    assert explorer.locator(".x-winner").all_inner_texts() == ["8"]
    cell(explorer, 0, 2, 2).focus()
    explorer.page.keyboard.press("1")
    assert numbers(explorer, 1).tolist() == [[5, 6], [8, 8]]


def test_region_stride_and_average_by_their_controls(explorer):
    _, average, _, mean = stored()
    explorer.get_by_text("the average", exact=True).click()
    assert numbers(explorer, 1).tolist() == average.tolist()
    assert explorer.locator(".x-winner").count() == 0
    explorer.get_by_label("Stride", exact=True).fill("2")
    assert numbers(explorer, 1).tolist() == [[3]]
    explorer.get_by_label("Region: one more").click()
    assert numbers(explorer, 1).tolist() == mean.tolist()


def test_what_survives_a_move_is_counted_as_numpy_counts_it(explorer):
    explorer.get_by_text("A seven", exact=True).click()
    image = numbers(explorer, 0)
    explorer.get_by_label("Move the image one pixel right").click()
    moved = np.zeros_like(image)
    moved[:, 1:] = image[:, :-1]
    expected = []
    for before, after in ((by_chapter(image, 2, 2, "max"), by_chapter(moved, 2, 2, "max")),
                          (image, moved)):
        lit = (before != 0) | (after != 0)
        expected.append(f"{(lit & (before == after)).sum()} of {lit.sum()}")
    assert explorer.locator(".x-survived strong").all_inner_texts() == expected
    explorer.get_by_role("button", name="Back", exact=True).click()
    assert "Press an arrow" in explorer.locator(".x-survived").inner_text()


def test_nonsense_gets_a_plain_message_and_the_explorer_goes_on(explorer):
    region = explorer.get_by_label("Region", exact=True)
    region.fill("two")
    assert "must be a number, and “two” is none" in explorer.inner_text()
    assert numbers(explorer, 1).tolist() == [[5, 6], [8, 9]]
    region.fill("7")
    assert "7 × 7 is larger than the image of 3 × 3" in explorer.inner_text()
    explorer.get_by_label("Stride", exact=True).fill("0")
    assert "Stride must be 1 or more" in explorer.inner_text()
    region.fill("3")
    assert numbers(explorer, 1).tolist() == [[9]]


def test_it_is_walked_by_keyboard_alone(page, explorer):
    cell(explorer, 1, 0, 0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert explorer.locator(".x-player output").inner_text() == "4 of 4"
    explorer.get_by_label("One step back").focus()
    page.keyboard.press("Enter")
    assert explorer.locator(".x-sentence strong").inner_text() == "8"
