"""Layouts of image batches, and grids of images.

A batch of ``n`` images is held in one of four layouts:

========  =============================  ==========================================
layout    shape                          reads
========  =============================  ==========================================
``NP``    (n, height * width * depth)    one row of numbers per image: pixel after
                                         pixel, row by row, the channels of a pixel
                                         side by side
``NHW``   (n, height, width)             images of a single channel
``NHWC``  (n, height, width, depth)      channels last, TensorFlow's usual order
``NCHW``  (n, depth, height, width)      channels first, the order of CIFAR-10's files
========  =============================  ==========================================

``NP`` is ``NHWC`` with every image laid out flat, so a plain ``reshape`` leads from the one
to the other.
"""

import numpy as np

from datasetslib.errors import LayoutError

LAYOUT_NP = "NP"
LAYOUT_NHW = "NHW"
LAYOUT_NHWC = "NHWC"
LAYOUT_NCHW = "NCHW"
LAYOUTS = (LAYOUT_NP, LAYOUT_NHW, LAYOUT_NHWC, LAYOUT_NCHW)

_N_AXES = {LAYOUT_NP: 2, LAYOUT_NHW: 3, LAYOUT_NHWC: 4, LAYOUT_NCHW: 4}


def check_layout(layout, depth=None):
    """Return `layout` if it is one of the four, and fits images of `depth` channels.

    Parameters
    ----------
    layout : str
        The layout to check.
    depth : int, optional
        Number of channels; ``NHW`` has room for one only. None leaves that unchecked.

    Returns
    -------
    str
        `layout`, unchanged.

    Raises
    ------
    LayoutError
        If the layout is unknown, or is ``NHW`` for images of several channels.

    Examples
    --------
    >>> check_layout(LAYOUT_NHWC, depth=3)
    'NHWC'
    """
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise LayoutError.because(
            "layout of the image axes",
            expected=", ".join(f"imutil.LAYOUT_{name}" for name in LAYOUTS),
            found=repr(layout),
            remedy="Choose one of the four; the names spell the order of the axes.",
        )
    if layout == LAYOUT_NHW and depth not in (None, 1):
        raise LayoutError.because(
            "layout NHW",
            expected="images of one channel, the only ones it has room for",
            found=f"images of {depth} channels",
            remedy="Choose NHWC, NCHW or NP.",
        )
    return layout


def layout_shape(layout, height, width, depth):
    """Shape of one image in `layout`, the batch axis left out.

    Parameters
    ----------
    layout : str
        One of the four layouts.
    height, width, depth : int
        Rows, columns and channels of an image.

    Returns
    -------
    tuple of int
        What follows the batch axis.

    Raises
    ------
    LayoutError
        If the layout is unknown or has no room for `depth` channels.

    Examples
    --------
    >>> layout_shape(LAYOUT_NP, 28, 28, 1)
    (784,)
    >>> layout_shape(LAYOUT_NCHW, 32, 32, 3)
    (3, 32, 32)
    """
    check_layout(layout, depth)
    return {
        LAYOUT_NP: (height * width * depth,),
        LAYOUT_NHW: (height, width),
        LAYOUT_NHWC: (height, width, depth),
        LAYOUT_NCHW: (depth, height, width),
    }[layout]


def convert(x, source, target, height=None, width=None, depth=None):
    """Take a batch of images from one layout to another.

    No number changes, only the order of the axes. Where NumPy can, the result is a view of
    `x`: no memory is spent. Of a contiguous array, only the way from ``NCHW`` with several
    channels to ``NP`` has to copy; of a view that was transposed before, others may have to.

    Parameters
    ----------
    x : numpy.ndarray
        The batch, in layout `source`; any dtype.
    source, target : str
        The layout `x` is in, and the one wanted.
    height, width, depth : int, optional
        Size of an image. From ``NP`` all three are needed, because a row of 3,072 numbers
        does not say that it is 32 x 32 x 3. From the other layouts the array says it, and
        what is given is checked against it.

    Returns
    -------
    numpy.ndarray
        The same images in layout `target`.

    Raises
    ------
    LayoutError
        If a layout is unknown, or `x` does not have the shape that `source` asks for.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    >>> last = convert(x, LAYOUT_NCHW, LAYOUT_NHWC)
    >>> last.shape
    (2, 4, 4, 3)
    >>> flat = convert(last, LAYOUT_NHWC, LAYOUT_NP)
    >>> flat.shape
    (2, 48)
    >>> bool((convert(flat, LAYOUT_NP, LAYOUT_NCHW, 4, 4, 3) == x).all())
    True
    """
    x = np.asarray(x)
    check_layout(source)
    found = dict(zip(("height", "width", "depth"), _image_size(x, source), strict=True))
    given = {"height": height, "width": width, "depth": depth}
    missing = [name for name in given if given[name] is None and found[name] is None]
    size = {name: found[name] if given[name] is None else given[name] for name in given}
    if missing:
        raise LayoutError.because(
            "layout NP",
            expected="height, width and depth, which a flat row does not show",
            found=f"no {' and no '.join(missing)}",
            remedy="Name all three, for example convert(x, 'NP', 'NHWC', 28, 28, 1).",
        )
    check_layout(target, size["depth"])
    expected = layout_shape(source, **size)
    if x.shape[1:] != expected:
        raise LayoutError.because(
            f"array of layout {source}",
            expected=f"shape (n, {', '.join(map(str, expected))})",
            found=f"shape {x.shape}",
            remedy="Name the layout that the array is in, and its own height, width, depth.",
        )
    if source == target:
        return x
    height, width, depth = size["height"], size["width"], size["depth"]
    # Every way leads over NHWC; a reshape of contiguous axes and a transpose are both views.
    if source == LAYOUT_NCHW:
        x = x.transpose(0, 2, 3, 1)
    else:
        x = x.reshape(len(x), height, width, depth)
    if target == LAYOUT_NCHW:
        return x.transpose(0, 3, 1, 2)
    return x.reshape(len(x), *layout_shape(target, height, width, depth))


def _image_size(x, layout):
    """Height, width and depth that the shape of `x` shows; None for what it does not show."""
    if x.ndim != _N_AXES[layout]:
        raise LayoutError.because(
            f"array of layout {layout}",
            expected=f"{_N_AXES[layout]} axes",
            found=f"{x.ndim} axes, shape {x.shape}",
            remedy="Name the layout that the array is in; a single image needs a batch "
            "axis in front: image[None].",
        )
    if layout == LAYOUT_NP:
        return None, None, None
    if layout == LAYOUT_NCHW:
        return x.shape[2], x.shape[3], x.shape[1]
    return x.shape[1], x.shape[2], 1 if layout == LAYOUT_NHW else x.shape[3]


def grid(images, n_cols=8, pad=1, fill=None):
    """Lay images side by side in one array, ready to be shown as one picture.

    Parameters
    ----------
    images : array_like
        A batch of shape (n, height, width), (n, height, width, 1) or
        (n, height, width, 3 or 4); any dtype.
    n_cols : int
        Images in a row; a batch that is shorter makes the row shorter.
    pad : int
        Pixels between two neighbours.
    fill : scalar, optional
        What the gaps and the places left empty hold; default: the largest value of the batch.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns) or, for colour images, (rows, columns, 3 or 4); dtype of
        `images`.

    Raises
    ------
    LayoutError
        If `images` is not a batch of at least one image in one of those shapes.
    ValueError
        If `n_cols` is not positive or `pad` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> grid(np.zeros((5, 28, 28)), n_cols=3, pad=2).shape
    (58, 88)
    """
    images = np.asarray(images)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    colour = images.ndim == 4 and images.shape[3] in (3, 4)
    if not (images.ndim == 3 or colour) or len(images) == 0:
        raise LayoutError.because(
            "images of a grid",
            expected="shape (n, height, width) or (n, height, width, 1, 3 or 4), n at least 1",
            found=f"shape {images.shape}",
            remedy="Convert them first: imutil.convert(x, layout, imutil.LAYOUT_NHWC).",
        )
    if n_cols < 1 or pad < 0:
        raise ValueError(f"a grid needs n_cols >= 1 and pad >= 0, not {n_cols} and {pad}")
    n, height, width = images.shape[:3]
    n_cols = min(n_cols, n)
    n_rows = -(-n // n_cols)
    shape = (n_rows * (height + pad) - pad, n_cols * (width + pad) - pad, *images.shape[3:])
    canvas = np.full(shape, images.max() if fill is None else fill, dtype=images.dtype)
    for index, image in enumerate(images):
        row, column = divmod(index, n_cols)
        top, left = row * (height + pad), column * (width + pad)
        canvas[top : top + height, left : left + width] = image
    return canvas
