"""Worked examples: small matrices with every number written out, and networks as boxes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from datasetslib.plots.style import COLOURS, SMALL, WIDTH, finish, number, styled, text_width

#: More panels than this would make the reader scroll instead of look.
MOST_PANELS = 36

_LINE = 0.235  # inches from one line of small type to the next
_GAP = 0.9  # cells between the image and the map, where the arrow is


def annotate_matrix(
    ax, array, *, origin=(0.0, 0.0), window=None, shaded=None, strong=None, shown=None,
    fmt=None, fontsize=13,
):
    """Draw a matrix as a grid of cells with its numbers written in.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw; a cell is one data unit wide, rows run downwards, ticks are removed.
    array : array_like, shape (h, w)
        The numbers.
    origin : tuple of float
        Column and row of the top left corner, in cells.
    window : tuple of int, optional
        (row, column, height, width) of a part to be framed and tinted.
    shaded : array_like of bool, shape (h, w), optional
        Cells drawn grey and hatched, such as padding.
    strong : array_like of bool, shape (h, w), optional
        Cells drawn orange and in bold, such as the winners of max pooling.
    shown : array_like of bool, shape (h, w), optional
        Cells whose number is written; the others stay empty.  Default: all.
    fmt : str, optional
        Format of the numbers; by default at most two decimals, and none that are zero.
    fontsize : float
        Size of the numbers, in points.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes.

    Raises
    ------
    ValueError
        If `array` is not a matrix, a mask has another shape, or the window lies outside.

    Examples
    --------
    >>> figure = Figure()
    >>> ax = annotate_matrix(figure.add_subplot(), [[1, -2], [3, 4]])
    >>> [text.get_text() for text in ax.texts]
    ['1', '−2', '3', '4']
    """
    array = _matrix(array, "annotate_matrix: array")
    masks = {}
    for name, mask, default in (
        ("shaded", shaded, False), ("strong", strong, False), ("shown", shown, True),
    ):
        mask = np.full(array.shape, default) if mask is None else np.asarray(mask, dtype=bool)
        if mask.shape != array.shape:
            raise ValueError(
                f"annotate_matrix: {name} must have the shape of the matrix, {array.shape}, "
                f"found {mask.shape}"
            )
        masks[name] = mask
    inside = np.zeros(array.shape, dtype=bool)
    if window is not None:
        row, col, height, width = window
        if row < 0 or col < 0 or row + height > array.shape[0] or col + width > array.shape[1]:
            raise ValueError(
                f"annotate_matrix: window {tuple(window)} (row, column, height, width) lies "
                f"outside the matrix of shape {array.shape}"
            )
        inside[row : row + height, col : col + width] = True
    x0, y0 = origin
    for (i, j), value in np.ndenumerate(array):
        padded, won = masks["shaded"][i, j], masks["strong"][i, j]
        tint = "pale orange" if won else "pale sky" if inside[i, j] else None
        tint = tint or ("pale grey" if padded else "face")
        ax.add_patch(
            Rectangle(
                (x0 + j, y0 + i), 1, 1, facecolor=COLOURS[tint], edgecolor=COLOURS["line"],
                linewidth=0.8, hatch="//" if padded else None, zorder=1,
            )
        )
        if masks["shown"][i, j]:
            ax.text(
                x0 + j + 0.5, y0 + i + 0.5, number(value, fmt), ha="center", va="center_baseline",
                fontsize=fontsize, fontweight="bold" if won else "normal", zorder=3,
                color=COLOURS["grey"] if padded and not inside[i, j] else COLOURS["ink"],
            )
    if window is not None:
        ax.add_patch(
            Rectangle(
                (x0 + col, y0 + row), width, height, fill=False,
                edgecolor=COLOURS["blue"], linewidth=2.5, joinstyle="miter", zorder=2,
                clip_on=False,
            )
        )
    ax.autoscale_view()
    ax.set_aspect("equal")
    ax.set_axis_off()
    if not ax.yaxis_inverted():
        ax.invert_yaxis()
    return ax


@styled
def convolution_panels(image, kernel, stride=1, padding=0, show_products=True):
    r"""Draw a convolution position by position, one panel for each.

    Each panel shows the image with the kernel's window framed, the products written out
    (weight times pixel) and the feature map as far as it has grown.

    Parameters
    ----------
    image : array_like, shape (h, w)
        The numbers of the image.
    kernel : array_like, shape (kh, kw)
        The weights.  As everywhere in deep learning, the kernel is not flipped.
    stride : int
        Cells between two positions.
    padding : int
        Rings of zeros around the image; they are drawn hatched.
    show_products : bool
        Whether the sum is written below each panel.

    Returns
    -------
    matplotlib.figure.Figure
        One axes for the kernel, then one for each position, row by row.

    Raises
    ------
    ValueError
        If a shape or number does not fit, or if there would be more than 36 panels.

    Examples
    --------
    >>> figure = convolution_panels([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, -1], [-1, 0]])
    >>> figure.axes[1].texts[-1].get_text()
    '0·1 + (−1)·2 +\n(−1)·4 + 0·5 = −6'
    """
    image = _matrix(image, "convolution_panels: image")
    kernel = _matrix(kernel, "convolution_panels: kernel")
    stride = _whole(stride, "convolution_panels: stride", 1)
    padding = _whole(padding, "convolution_panels: padding", 0)
    padded = np.pad(image, padding)
    ring = np.pad(np.zeros(image.shape, dtype=bool), padding, constant_values=True)
    windows = _windows(padded.shape, kernel.shape, stride, "convolution_panels")
    results, captions = [], []
    for row, col, height, width in windows:
        pixels = padded[row : row + height, col : col + width]
        results.append((pixels * kernel).sum())
        captions.append(_sum_of_products(kernel, pixels, results[-1]) if show_products else "")
    return _panels(padded, windows, results, captions, stride, shaded=ring, kernel=kernel)


@styled
def pooling_panels(image, size=2, stride=1, mode="max"):
    """Draw pooling position by position, one panel for each.

    Parameters
    ----------
    image : array_like, shape (h, w)
        The numbers of the image.
    size : int
        Height and width of the region that is summarised.
    stride : int
        Cells between two positions.
    mode : {"max", "average"}
        What is kept of each region.  With "max" the winner is drawn orange and in bold.

    Returns
    -------
    matplotlib.figure.Figure
        One axes for each position, row by row.

    Raises
    ------
    ValueError
        If a shape or number does not fit, or if there would be more than 36 panels.

    Examples
    --------
    >>> figure = pooling_panels([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    >>> [ax.texts[-1].get_text() for ax in figure.axes]
    ['max(1, 2, 4, 5) = 5', 'max(2, 3, 5, 6) = 6', 'max(4, 5, 7, 8) = 8', 'max(5, 6, 8, 9) = 9']
    """
    image = _matrix(image, "pooling_panels: image")
    size = _whole(size, "pooling_panels: size", 1)
    stride = _whole(stride, "pooling_panels: stride", 1)
    if mode not in ("max", "average"):
        raise ValueError(f"pooling_panels: mode must be 'max' or 'average', found {mode!r}")
    windows = _windows(image.shape, (size, size), stride, "pooling_panels")
    results, captions, winners = [], [], []
    for row, col, height, width in windows:
        region = image[row : row + height, col : col + width]
        won = np.zeros(image.shape, dtype=bool)
        if mode == "max":
            # A draw has one winner, the first: so do the libraries when they send gradients.
            i, j = np.unravel_index(region.argmax(), region.shape)
            won[row + i, col + j] = True
        winners.append(won)
        results.append(region.max() if mode == "max" else region.mean())
        captions.append(_pooled(region, results[-1], mode))
    return _panels(image, windows, results, captions, stride, winners=winners)


def _panels(image, windows, results, captions, stride, *, shaded=None, winners=None, kernel=None):
    """Lay out one panel for each window: image, arrow, growing map, caption."""
    out_shape = tuple(n // stride + 1 for n in windows[-1][:2])
    out = np.reshape(results, out_shape)
    height, width = max(image.shape[0], out_shape[0]), image.shape[1] + _GAP + out_shape[1]
    numbers = [number(value) for value in (*image.flat, *out.flat)]
    wanted = max(text_width(caption) for caption in captions)
    for n_cols, size in ((2, 13), (2, SMALL), (1, 13), (1, SMALL)):
        room = WIDTH / n_cols - 0.12
        cell = min(0.5, room / width)
        longest = max(text_width(text, size) for text in numbers)
        if cell >= max(0.3, longest + 0.02) and wanted <= room:
            break
    else:
        raise ValueError(
            f"an image of {image.shape[0]} x {image.shape[1]} cells (padding included) with a "
            f"map of {out_shape[0]} x {out_shape[1]} does not fit in {WIDTH} inches with "
            "legible numbers; take a smaller one, or numbers with fewer digits"
        )
    n_rows = -(-len(windows) // n_cols)
    head = 0.0 if kernel is None else kernel.shape[0] * cell + 0.3
    above = 0.34
    below = 0.12 + _LINE * max(caption.count("\n") + 1 if caption else 0 for caption in captions)
    panel = above + height * cell + below + 0.14
    fig = Figure(figsize=(WIDTH, head + n_rows * panel), layout="none")
    if kernel is not None:
        _kernel_strip(fig, kernel, cell, head)
    for k, (window, caption) in enumerate(zip(windows, captions, strict=True)):
        i, j = divmod(k, n_cols)
        top = fig.get_figheight() - head - i * panel
        units = (room / cell, (above + height * cell + below) / cell)
        ax = _inch_axes(fig, j * WIDTH / n_cols + 0.06, top, cell, units)
        left = (units[0] - width) / 2
        y0 = above / cell
        drop = (height - image.shape[0]) / 2
        annotate_matrix(
            ax, image, origin=(left, y0 + drop), window=window, shaded=shaded,
            strong=None if winners is None else winners[k], fontsize=size,
        )
        middle = y0 + height / 2
        x0 = left + image.shape[1]
        _arrow(ax, (x0 + 0.15, middle), (x0 + _GAP - 0.15, middle))
        annotate_matrix(
            ax, out, origin=(x0 + _GAP, middle - out_shape[0] / 2),
            window=(*np.unravel_index(k, out_shape), 1, 1),
            shown=np.arange(out.size).reshape(out_shape) <= k, fontsize=size,
        )
        ax.text(
            units[0] / 2, y0 - 0.1 / cell, f"position {k + 1} of {len(windows)}",
            ha="center", va="baseline", fontsize=SMALL, color=COLOURS["grey"],
        )
        if caption:
            ax.text(
                units[0] / 2, y0 + height + 0.1 / cell, caption, ha="center", va="top",
                fontsize=SMALL, linespacing=1.3,
            )
        # After the drawing, which lets the limits follow the cells.
        ax.set_xlim(0, units[0])
        ax.set_ylim(units[1], 0)
    return finish(fig, synthetic=False)


def _kernel_strip(fig, kernel, cell, head):
    units = (WIDTH / cell, head / cell)
    ax = _inch_axes(fig, 0.0, fig.get_figheight(), cell, units)
    x0 = (units[0] - kernel.shape[1]) / 2
    y0 = 0.14 / cell
    annotate_matrix(ax, kernel, origin=(x0, y0))
    ax.text(
        x0 - 0.15 / cell, y0 + kernel.shape[0] / 2, "the kernel:", ha="right", va="center",
        fontsize=13,
    )
    ax.set_xlim(0, units[0])
    ax.set_ylim(units[1], 0)


def _inch_axes(fig, left, top, cell, units):
    """Return axes of `units` cells, each `cell` inches, placed from the top left corner."""
    width, height = units[0] * cell, units[1] * cell
    return fig.add_axes(
        (
            left / fig.get_figwidth(), (top - height) / fig.get_figheight(),
            width / fig.get_figwidth(), height / fig.get_figheight(),
        )
    )


def _arrow(ax, start, end):
    ax.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=12, linewidth=1.5,
            color=COLOURS["grey"], shrinkA=0, shrinkB=0,
        )
    )


def _sum_of_products(kernel, pixels, result):
    """Write the sum weight times pixel, a line for each row of the kernel."""

    def bracket(value):
        return f"({number(value)})" if value < 0 else number(value)

    lines = [
        " + ".join(f"{bracket(w)}·{bracket(p)}" for w, p in zip(*rows, strict=True))
        for rows in zip(kernel, pixels, strict=True)
    ]
    return " +\n".join(lines) + f" = {number(result)}"


def _pooled(region, result, mode):
    numbers = [number(value) for value in region.flat]
    if len(numbers) > 9:
        return f"{mode} of {len(numbers)} cells = {number(result)}"
    # Beyond four numbers one line would be wider than a panel.
    per_line = len(numbers) if len(numbers) <= 4 else region.shape[1]
    glue = ", " if mode == "max" else " + "
    lines = [
        glue.join(numbers[k : k + per_line]) for k in range(0, len(numbers), per_line)
    ]
    text = f"{glue.rstrip()}\n".join(lines)
    if mode == "max":
        return f"max({text}) = {number(result)}"
    return f"({text}) / {len(numbers)} = {number(result)}"


@styled
def shape_chain(layers):
    r"""Draw a network as a chain of boxes with the shape of the data on every arrow.

    Parameters
    ----------
    layers : list of (str, tuple of int)
        For each layer its name and the shape of what it gives, without the batch.  Words
        of a name go on lines of their own.

    Returns
    -------
    matplotlib.figure.Figure
        One axes; the chain breaks into rows where it is longer than the page is wide.

    Raises
    ------
    ValueError
        If the list is empty or an entry is not a name with a shape.

    Examples
    --------
    >>> figure = shape_chain([("input", (28, 28, 1)), ("conv 4x4", (28, 28, 32))])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['input', '28×28×1', 'conv\n4×4', '28×28×32']
    """
    names, shapes = [], []
    for entry in layers:
        try:
            name, shape = entry
            shapes.append("×".join(str(int(n)) for n in shape))
        except (TypeError, ValueError):
            raise ValueError(
                "shape_chain: each layer must be a name and a shape, such as "
                f"('conv 4x4', (28, 28, 32)); found {entry!r}"
            ) from None
        name = " ".join(_times(word) for word in str(name).split(" "))
        names.append(name.replace(" ", "\n"))
    if not names:
        raise ValueError("shape_chain: expected at least one layer, found none")
    box = max(0.62, max(text_width(name) for name in names) + 0.16)
    arrow = max(0.4, max(text_width(shape) for shape in shapes) + 0.2)
    per_row = int((WIDTH - 0.1) // (box + arrow))
    if per_row < 1:
        raise ValueError(f"shape_chain: the names must be shorter, found {max(names, key=len)!r}")
    n_rows = -(-len(names) // per_row)
    per_row = -(-len(names) // n_rows)  # rows of about the same length
    tall = 0.2 + _LINE * max(name.count("\n") + 1 for name in names)
    pitch_x, pitch_y = (WIDTH - 0.1) / per_row, tall + 0.3
    fig = Figure(figsize=(WIDTH, n_rows * pitch_y), layout="none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(0, WIDTH)
    ax.set_ylim(n_rows * pitch_y, 0)
    for k, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        i, j = divmod(k, per_row)
        x, y = 0.05 + j * pitch_x, 0.15 + i * pitch_y
        ax.add_patch(
            FancyBboxPatch(
                (x + 0.05, y + 0.05), box - 0.1, tall - 0.1, boxstyle="round,pad=0.05",
                facecolor=COLOURS[_box_colour(name)], edgecolor=COLOURS["grey"], linewidth=1,
            )
        )
        middle = y + tall / 2
        ax.text(
            x + box / 2, middle, name, ha="center", va="center", fontsize=SMALL, linespacing=1.2,
        )
        _arrow(ax, (x + box + 0.04, middle), (x + pitch_x - 0.04, middle))
        ax.text(
            x + (box + pitch_x) / 2, middle - 0.06, shape, ha="center", va="bottom",
            fontsize=SMALL,
        )
    return finish(fig, synthetic=False)


def _times(word):
    """Write 4x4 as 4×4 and leave words such as max alone."""
    parts = word.split("x")
    return "×".join(parts) if all(part.isdigit() for part in parts) else word


def _box_colour(name):
    for word, colour in (
        ("conv", "pale sky"), ("pool", "pale green"), ("dense", "pale orange"),
        ("softmax", "pale orange"), ("logits", "pale orange"),
    ):
        if word in name.lower():
            return colour
    return "pale grey"


def _matrix(array, name):
    array = np.asarray(array)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be a matrix of numbers, (height, width), found shape {array.shape} "
            f"and dtype {array.dtype}"
        )
    # Small unsigned types would wrap around in the products.
    return array.astype(np.int64) if array.dtype.kind in "bu" else array


def _whole(value, name, least):
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, found {value!r}")
    return int(value)


def _windows(shape, size, stride, caller):
    """Return (row, column, height, width) of each position, row by row."""
    if size[0] > shape[0] or size[1] > shape[1]:
        raise ValueError(
            f"{caller}: a window of {size[0]} x {size[1]} does not fit in an image of "
            f"{shape[0]} x {shape[1]} cells"
        )
    windows = [
        (row, col, *size)
        for row in range(0, shape[0] - size[0] + 1, stride)
        for col in range(0, shape[1] - size[1] + 1, stride)
    ]
    if len(windows) > MOST_PANELS:
        raise ValueError(
            f"{caller}: {len(windows)} positions, at most {MOST_PANELS} can be drawn; take a "
            "smaller image or a larger stride"
        )
    return windows
