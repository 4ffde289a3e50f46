"""The convolution explorer: its arithmetic against NumPy, its controls against known numbers."""

import re

import numpy as np
import pytest

from tests.browser.reader import come_near

PAGE = "chapters/01_convolution.html"
ROOT = "#explorer-convolution"


def reference(image, kernel, stride, dilation, padding):
    """Slide a kernel over an image, pixel by pixel; return the map, or None if it fits nowhere."""
    covers = dilation * (len(kernel) - 1) + 1
    before = after = padding
    if padding == "VALID":
        before = after = 0
    elif padding == "SAME":
        total = max((-(-len(image) // stride) - 1) * stride + covers - len(image), 0)
        before, after = total // 2, total - total // 2
    padded = np.pad(image, (before, after))
    side = (len(padded) - covers) // stride + 1
    if side < 1:
        return None
    out = np.empty((side, side))
    for i in range(side):
        for j in range(side):
            rows = slice(i * stride, i * stride + covers, dilation)
            columns = slice(j * stride, j * stride + covers, dilation)
            out[i, j] = (padded[rows, columns] * kernel).sum()
    return out


@pytest.fixture
def explorer(page, site):
    """The explorer on its page, started."""
    page.goto(site + PAGE)
    return come_near(page, ROOT)


def cells(explorer, label):
    """Return the numbers of one of the two grids as an array; what is empty is NaN."""
    grid = explorer.get_by_role("grid", name=re.compile(f"^{label}"))
    rows = grid.get_by_role("row").all()
    texts = [row.get_by_role("gridcell").all_inner_texts() for row in rows]
    return np.array([[float(t.replace("\u2212", "-") or "nan") for t in row] for row in texts])


def feature_map(explorer):
    """Return the feature map that is shown."""
    return cells(explorer, "Feature map")


def test_the_arithmetic_agrees_with_numpy(page, site):
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


def test_the_worked_example(explorer):
    np.testing.assert_array_equal(feature_map(explorer), [[-6, -8], [-12, -14]])
    grid = explorer.get_by_role("grid", name="Feature map. Choose")
    grid.get_by_role("gridcell").nth(3).click()
    sentence = explorer.locator(".x-sentence").inner_text()
    assert "(\u22121)\u00b76" in sentence and sentence.endswith("= \u221214")
    assert explorer.locator(".x-sum").inner_text() == "\u221214"


def test_the_guess_of_the_chapter(explorer):
    pixel = explorer.get_by_role("grid", name=re.compile("^Image")).get_by_role("gridcell").nth(4)
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
        image = cells(explorer, "Image")
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


def test_without_scripts_there_are_the_still_and_the_description(open_context, site, problems):
    page = open_context(java_script_enabled=False).new_page()
    page.goto(site + PAGE)
    # What the browser reports is that it was told not to load scripts.
    problems[:] = [problem for problem in problems if not problem.endswith("(csp)")]
    root = page.locator(ROOT)
    assert root.locator("img").is_visible()
    assert "Four panels" in root.locator("img").get_attribute("alt")
    assert "products and the sum" in root.inner_text()


def test_on_a_telephone(phone, site):
    phone.goto(site + PAGE)
    come_near(phone, ROOT)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.locator(ROOT).get_by_role("grid", name=re.compile("^Feature")).get_by_role(
        "gridcell").nth(2).tap()
    assert phone.locator(f"{ROOT} .x-sum").inner_text() == "\u221212"


def test_the_frames_lie_on_their_cells(explorer):
    explorer.get_by_text("Edges", exact=True).click()
    explorer.get_by_label("Stride: one more").click()
    grids = explorer.locator("[role=grid]")
    chosen = grids.nth(1).locator("[data-i='2'][data-j='1']")
    chosen.focus()
    # The corner of the image under the kernel: two rows down and one column right, by strides of 2.
    corner = grids.nth(0).locator("[data-i='4'][data-j='2']")
    for frame, first, covers in ((1, chosen, 1), (0, corner, 3)):
        box, target = explorer.locator(".x-frame").nth(frame), first.bounding_box()
        explorer.page.wait_for_function(
            "([frame, x, y]) => { const box = frame.getBoundingClientRect();"
            " return Math.abs(box.x - x) < 3 && Math.abs(box.y - y) < 3; }",
            arg=[box.element_handle(), target["x"], target["y"]])
        assert abs(box.bounding_box()["width"] - covers * target["width"]) < 4
