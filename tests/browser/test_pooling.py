"""The pooling explorer: its arithmetic against NumPy, and driven to known numbers."""

import numpy as np
import pytest

from tests.browser.reader import come_near

PAGE = "chapters/02_pooling.html"


@pytest.fixture
def explorer(page, site):
    page.goto(site + PAGE)
    return come_near(page, "#explorer-pooling")


def grid(explorer, which):
    """Return the numbers of the image (0) or of the pooled map (1)."""
    rows = explorer.locator("[role=grid]").nth(which).locator("[role=row]").all()
    return [[float(text) for text in row.locator("[role=gridcell]").all_inner_texts()]
            for row in rows]


def cell(explorer, which, i, j):
    """Return one cell of the image or of the map."""
    return explorer.locator("[role=grid]").nth(which).locator(f"[data-i='{i}'][data-j='{j}']")


def by_numpy(image, size, stride, mode):
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))[::stride, ::stride]
    return windows.max(axis=(2, 3)) if mode == "max" else windows.mean(axis=(2, 3))


def test_the_arithmetic_is_that_of_numpy(page, explorer):
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
                theirs = by_numpy(image, size, stride, mode)
                assert tuple(found[:2]) == theirs.shape
                gap = np.linalg.norm(np.reshape(found[2], theirs.shape) - theirs)
                assert gap <= 1e-4 * np.linalg.norm(theirs)


def test_it_starts_with_the_worked_example_and_names_the_winner(explorer):
    assert grid(explorer, 1) == [[5, 6], [8, 9]]
    cell(explorer, 1, 1, 0).click()
    assert explorer.locator(".x-sentence").inner_text() == "max (4, 5, 7, 8) = 8"
    assert explorer.locator(".x-winner").all_inner_texts() == ["8"]
    cell(explorer, 0, 2, 2).focus()
    explorer.page.keyboard.press("1")
    assert grid(explorer, 1) == [[5, 6], [8, 8]]


def test_region_stride_and_average_by_their_controls(explorer):
    explorer.get_by_text("the average", exact=True).click()
    assert grid(explorer, 1) == [[3, 4], [6, 7]]
    assert explorer.locator(".x-winner").count() == 0
    explorer.get_by_label("Stride", exact=True).fill("2")
    assert grid(explorer, 1) == [[3]]
    explorer.get_by_label("Region: one more").click()
    assert grid(explorer, 1) == [[5]]


def test_what_survives_a_move_is_counted_as_numpy_counts_it(explorer):
    explorer.get_by_text("A seven", exact=True).click()
    image = np.array([[int(pixel.inner_text()) for pixel in row.locator("[role=gridcell]").all()]
                      for row in explorer.locator("[role=grid]").first.locator("[role=row]").all()])
    explorer.get_by_label("Move the image one pixel right").click()
    moved = np.zeros_like(image)
    moved[:, 1:] = image[:, :-1]
    expected = []
    for before, after in ((by_numpy(image, 2, 2, "max"), by_numpy(moved, 2, 2, "max")),
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
    assert grid(explorer, 1) == [[5, 6], [8, 9]]
    region.fill("7")
    assert "7 × 7 is larger than the image of 3 × 3" in explorer.inner_text()
    explorer.get_by_label("Stride", exact=True).fill("0")
    assert "Stride must be 1 or more" in explorer.inner_text()
    region.fill("3")
    assert grid(explorer, 1) == [[9]]


def test_it_is_walked_by_keyboard_alone(page, explorer):
    cell(explorer, 1, 0, 0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert explorer.locator(".x-player output").inner_text() == "4 of 4"
    explorer.get_by_label("One step back").focus()
    page.keyboard.press("Enter")
    assert explorer.locator(".x-sentence strong").inner_text() == "8"


def test_it_fits_a_phone(phone, site):
    phone.goto(site + PAGE)
    come_near(phone, "#explorer-pooling").get_by_text("A ring", exact=True).tap()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_scripts_there_is_the_still_picture(open_context, site, problems):
    page = open_context(java_script_enabled=False).new_page()
    page.goto(site + PAGE)
    picture = page.locator("#explorer-pooling figure img")
    picture.scroll_into_view_if_needed()
    assert picture.is_visible() and picture.bounding_box()["width"] > 300
    # The browser calls a script that it was told not to run a failed request.
    assert all(problem.endswith("(csp)") for problem in problems)
    problems.clear()
