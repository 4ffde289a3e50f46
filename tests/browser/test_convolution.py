"""The convolution explorer: its arithmetic against NumPy, its controls against known numbers."""

import re

import numpy as np
import pytest

from tests.browser.notebooks import arrays, functions, printed
from tests.browser.reader import cell, come_near, numbers

PAGE = "chapters/01_convolution.html"
ROOT = "#explorer-convolution"


def reference(image, kernel, stride, dilation, padding):
    """Convolve with the chapter's functions; return the map, or None if the kernel fits nowhere."""
    ours = functions("01_convolution", "padding_of", "pad", "conv2d_loops", "dilate")
    spread = ours["dilate"](kernel, dilation)
    padded = ours["pad"](image[..., None], *spread.shape, stride, padding)
    if min(padded.shape[:2]) < len(spread):
        return None
    return ours["conv2d_loops"](
        image[..., None], spread[..., None, None], [0], stride, padding)[..., 0]


@pytest.fixture
def explorer(page, site):
    """The explorer on its page, started."""
    page.goto(site + PAGE)
    return come_near(page, ROOT)


def feature_map(explorer):
    """Return the feature map that is shown."""
    return numbers(explorer, 1)


def test_the_arithmetic_agrees_with_the_chapters_numpy(page, site):
    page.goto(site + PAGE)
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(80):
        n, k = int(rng.integers(1, 10)), int(rng.integers(1, 6))
        cases.append({
            "image": rng.normal(size=(n, n)).tolist(), "kernel": rng.normal(size=(k, k)).tolist(),
            "options": {"stride": int(rng.integers(1, 4)), "dilation": int(rng.integers(1, 4)),
                        "padding": ["VALID", "SAME", 1, 2][int(rng.integers(4))]},
        })
    found = page.evaluate(
        """cases => cases.map(({image, kernel, options}) => {
             const m = course.convolutionMath;
             const y = m.convolve(m.matrix(image), m.matrix(kernel), options);
             return [y.rows, y.cols, [...y.values]];
           })""", cases)
    fits = 0
    for case, (rows, cols, values) in zip(cases, found, strict=True):
        image, kernel = np.array(case["image"]), np.array(case["kernel"])
        expected = reference(image, kernel, **case["options"])
        if expected is None:
            assert (rows, cols, values) == (0, 0, [])
            continue
        fits += 1
        assert (rows, cols) == expected.shape, case["options"]
        difference = np.linalg.norm(np.array(values).reshape(rows, cols) - expected)
        assert difference <= 1e-4 * np.linalg.norm(expected)
    assert 40 < fits < 80, "both kinds of case are met"


def convolved(page, image, kernel, **options):
    """Return the map that the explorer's arithmetic makes."""
    rows, cols, values = page.evaluate("""([image, kernel, options]) => {
      const m = course.convolutionMath;
      const y = m.convolve(m.matrix(image), m.matrix(kernel), options);
      return [y.rows, y.cols, [...y.values]];
    }""", [np.asarray(image).tolist(), np.asarray(kernel).tolist(), options])
    return np.array(values).reshape(rows, cols)


def test_it_computes_what_the_stored_notebook_printed(page, site):
    page.goto(site + PAGE)
    step, across, along, turned = arrays(printed("01_convolution", 'print("the image\\n", step)'))
    vertical = np.array([[-1, 0, 1]] * 3)
    ones, nine = np.ones((5, 5)), np.ones((3, 3))
    bare, ringed = arrays(printed("01_convolution", "ones = np.ones((5, 5), int)"))
    eye, flat = np.eye(5), np.full((5, 5), 7)
    diagonal = [[2, -1, -1], [-1, 2, -1], [-1, -1, 2]]
    on_it, on_the_other, on_a_flat = arrays(printed("01_convolution", "diagonal = np.array"))
    (worked,) = arrays(printed("01_convolution", "print(correlate(image, kernel))"))
    for expected, image, kernel, options in (
        (worked, np.arange(1, 10).reshape(3, 3), [[0, -1], [-1, 0]], {}),
        (across, step, vertical, {}), (along, step, vertical.T, {}),
        (turned, step.T, vertical.T, {}), (bare, ones, nine, {}),
        (ringed, ones, nine, {"padding": 1}), (ringed, ones, nine, {"padding": "SAME"}),
        (on_it, eye, diagonal, {}), (on_the_other, eye[:, ::-1], diagonal, {}),
        (on_a_flat, flat, diagonal, {}),
    ):
        np.testing.assert_allclose(
            convolved(page, image, kernel, **options), expected, rtol=1e-4, atol=1e-9)


def test_the_worked_example(explorer):
    (expected,) = arrays(printed("01_convolution", "print(correlate(image, kernel))"))
    np.testing.assert_array_equal(feature_map(explorer), expected)
    cell(explorer, 1, 1, 1).click()
    sentence = explorer.locator(".x-sentence").inner_text()
    assert "(\u22121)\u00b76" in sentence and sentence.endswith("= \u221214")
    assert explorer.locator(".x-sum").inner_text() == "\u221214"


def test_the_guess_of_the_chapter(explorer):
    pixel = cell(explorer, 0, 1, 1)
    pixel.focus()
    pixel.press("0")
    np.testing.assert_array_equal(feature_map(explorer), [[-6, -3], [-7, -14]])


def test_stride_padding_dilation_and_flip(explorer):
    image, kernel = np.arange(1.0, 10).reshape(3, 3), np.array([[0.0, -1], [-1, 0]])
    explorer.get_by_role("combobox", name="Padding").select_option("SAME")
    shown = feature_map(explorer)
    np.testing.assert_array_equal(shown, reference(image, kernel, 1, 1, "SAME"))
    assert "3" in explorer.locator(".x-formula strong").inner_text()
    explorer.get_by_label("Stride", exact=True).fill("2")
    np.testing.assert_array_equal(feature_map(explorer), reference(image, kernel, 2, 1, "SAME"))
    explorer.get_by_label("Stride", exact=True).fill("1")
    explorer.get_by_label("Dilation", exact=True).fill("2")
    explorer.get_by_role("combobox", name="Padding").select_option("VALID")
    np.testing.assert_array_equal(feature_map(explorer), [[-10]])
    explorer.get_by_label("Dilation", exact=True).fill("1")
    weight = explorer.get_by_label("Weight in row 1, column 2")
    weight.fill("2/4")
    flipped = np.array([[0, -1], [0.5, 0]])
    explorer.get_by_role("switch", name="Flip kernel").click()
    np.testing.assert_array_equal(feature_map(explorer), reference(image, flipped, 1, 1, "VALID"))


def test_the_presets(explorer):
    for name, keeps in (("Edges", False), ("Blur", False), ("Sharpen", False), ("Identity", True)):
        explorer.get_by_text(name, exact=True).first.click()
        image = numbers(explorer, 0)
        assert image.shape == (10, 10)
        assert np.array_equal(feature_map(explorer), image[1:-1, 1:-1]) == keeps


def test_nonsense_gets_a_plain_message_and_the_rest_goes_on(explorer):
    explorer.get_by_label("Stride", exact=True).fill("0")
    assert explorer.get_by_text("Stride must be 1 or more, not 0.").is_visible()
    np.testing.assert_array_equal(feature_map(explorer), [[-6, -8], [-12, -14]])
    explorer.get_by_label("Stride", exact=True).fill("1")
    explorer.get_by_label("Weight in row 1, column 1").fill("abc")
    assert "The last number stays." in explorer.get_by_role("alert").all_inner_texts()[-1]
    explorer.get_by_label("Weight in row 1, column 1").fill("0")
    explorer.get_by_role("combobox", name="Kernel").select_option("5")
    assert "it fits nowhere" in " ".join(explorer.get_by_role("alert").all_inner_texts())
    explorer.get_by_role("combobox", name="Kernel").select_option("2")
    assert feature_map(explorer).shape == (2, 2)


def test_with_the_keyboard_alone(explorer, page):
    explorer.get_by_role("radio", name="Worked example").focus()
    page.keyboard.press("ArrowRight")
    assert explorer.get_by_role("radio", name="Edges").is_checked()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")  # into the image
    page.keyboard.press("9")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("9")
    np.testing.assert_array_equal(feature_map(explorer), [[-13, -8], [-12, -14]])
    page.keyboard.press("Tab")
    while not page.evaluate("document.activeElement.closest('[role=grid]')"):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert explorer.locator(".x-sum").inner_text() == "\u221212"


def test_the_kernel_walks(explorer):
    place = explorer.get_by_role("slider", name="Place of the kernel")
    assert place.get_attribute("aria-valuetext") == "1 of 4"
    place.fill("2")
    assert explorer.locator(".x-sum").inner_text() == "\u221212"
    explorer.get_by_role("button", name=re.compile("^Play")).click()
    explorer.page.wait_for_function(
        "root => document.querySelector(root + ' .x-sum').textContent === '\u221214'", arg=ROOT)


def test_the_frames_lie_on_their_cells(explorer):
    explorer.get_by_text("Edges", exact=True).click()
    explorer.get_by_label("Stride: one more").click()
    chosen = cell(explorer, 1, 2, 1)
    chosen.focus()
    # The corner of the image under the kernel: two rows down and one column right, by strides of 2.
    corner = cell(explorer, 0, 4, 2)
    for frame, first, covers in ((1, chosen, 1), (0, corner, 3)):
        box, target = explorer.locator(".x-frame").nth(frame), first.bounding_box()
        explorer.page.wait_for_function(
            "([frame, x, y]) => { const box = frame.getBoundingClientRect();"
            " return Math.abs(box.x - x) < 3 && Math.abs(box.y - y) < 3; }",
            arg=[box.element_handle(), target["x"], target["y"]])
        assert abs(box.bounding_box()["width"] - covers * target["width"]) < 4
