"""Layouts lead to each other and back, and grids put each image in its place."""

import itertools

import numpy as np
import pytest

from datasetslib import imutil
from datasetslib.errors import DatasetError, LayoutError

PIXEL = np.random.default_rng(0).integers(256, size=(4, 5, 6, 3), dtype=np.uint8)  # NHWC


def in_layout(layout, depth):
    """The same four images, written down axis by axis instead of by `convert`."""
    images = PIXEL[..., :depth]
    n, height, width, _ = images.shape
    if layout == "NCHW":
        return np.stack([images[..., c] for c in range(depth)], axis=1)
    if layout == "NP":
        rows = [[v for row in image for pixel in row for v in pixel] for image in images.tolist()]
        return np.array(rows, np.uint8)
    return images[..., 0] if layout == "NHW" else images


WAYS = [
    (source, target, depth)
    for source, target, depth in itertools.product(imutil.LAYOUTS, imutil.LAYOUTS, (1, 3))
    if depth == 1 or "NHW" not in (source, target)
]


@pytest.mark.parametrize("source, target, depth", WAYS)
def test_every_layout_leads_to_every_other(source, target, depth):
    found = imutil.convert(in_layout(source, depth), source, target, 5, 6, depth)
    np.testing.assert_array_equal(found, in_layout(target, depth))
    assert found.dtype == np.uint8


@pytest.mark.parametrize("source, target", [("NCHW", "NHWC"), ("NHWC", "NP"), ("NP", "NCHW")])
def test_a_change_of_layout_spends_no_memory(source, target):
    x = in_layout(source, 3)
    assert np.shares_memory(x, imutil.convert(x, source, target, 5, 6, 3))


def test_an_empty_batch_keeps_the_shape_of_its_images():
    assert imutil.convert(np.zeros((0, 28, 28)), "NHW", "NP").shape == (0, 784)


@pytest.mark.parametrize("layout", ["NWHC", "nhwc", "", None, 3, ["NP"]])
def test_an_unknown_layout_is_named_with_the_known_ones(layout):
    with pytest.raises(LayoutError) as caught:
        imutil.convert(PIXEL, layout, "NP")
    assert repr(layout) in str(caught.value)
    assert "LAYOUT_NHWC" in str(caught.value)
    with pytest.raises(LayoutError):
        imutil.convert(PIXEL, "NHWC", layout)
    assert issubclass(LayoutError, DatasetError)


@pytest.mark.parametrize(
    "x, source, size, message",
    [
        (PIXEL, "NCHW", (5, 6, 3), r"\(n, 3, 5, 6\).*\(4, 5, 6, 3\)"),
        (PIXEL, "NHW", (5, 6, 1), "3 axes"),
        (PIXEL[0], "NHWC", (5, 6, 3), "batch axis"),
        (PIXEL.reshape(4, -1), "NP", (5, 6, 1), r"\(n, 30\).*\(4, 90\)"),
        (PIXEL.reshape(4, -1), "NP", (5, None, None), "no width and no depth"),
    ],
)
def test_an_array_of_another_shape_is_refused(x, source, size, message):
    with pytest.raises(LayoutError, match=f"(?s){message}"):
        imutil.convert(x, source, "NHWC", *size)


def test_three_channels_do_not_fit_into_nhw():
    with pytest.raises(LayoutError, match="3 channels"):
        imutil.convert(PIXEL, "NHWC", "NHW")


def test_a_grid_puts_each_image_in_its_place():
    images = np.arange(1, 6)[:, None, None] * np.ones((5, 2, 3), int)
    found = imutil.grid(images, n_cols=3, pad=1, fill=0)
    expected = np.array(
        [
            [1, 1, 1, 0, 2, 2, 2, 0, 3, 3, 3],
            [1, 1, 1, 0, 2, 2, 2, 0, 3, 3, 3],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [4, 4, 4, 0, 5, 5, 5, 0, 0, 0, 0],
            [4, 4, 4, 0, 5, 5, 5, 0, 0, 0, 0],
        ]
    )
    np.testing.assert_array_equal(found, expected)


def test_a_grid_keeps_colour_and_dtype():
    found = imutil.grid(PIXEL, n_cols=2, pad=0)
    assert found.shape == (10, 12, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[5:, 6:], PIXEL[3])
    assert imutil.grid(PIXEL[..., :1], n_cols=9, pad=2).shape == (5, 4 * 6 + 3 * 2)
    gap = imutil.grid(PIXEL, n_cols=4, pad=1)[:, 6]
    assert (gap == PIXEL.max()).all()


@pytest.mark.parametrize("shape", [(5, 6), (0, 5, 6), (2, 5, 6, 2), (2, 3, 5, 6)])
def test_what_is_not_a_batch_of_images_makes_no_grid(shape):
    with pytest.raises(LayoutError, match="grid"):
        imutil.grid(np.zeros(shape))


@pytest.mark.parametrize("n_cols, pad", [(0, 1), (3, -1)])
def test_a_grid_without_columns_or_with_negative_gaps_is_refused(n_cols, pad):
    with pytest.raises(ValueError, match="n_cols"):
        imutil.grid(PIXEL, n_cols=n_cols, pad=pad)
