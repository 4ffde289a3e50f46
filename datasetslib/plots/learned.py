"""What a network learned: its kernels, maps, curves, and mistakes."""

from __future__ import annotations

from itertools import cycle

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from datasetslib.plots.style import (
    COLOURS,
    DIVERGING,
    LINES,
    SEQUENTIAL,
    SMALL,
    WIDTH,
    finish,
    ink_on,
    number,
    styled,
    text_width,
)

_LINE = 0.235  # inches from one line of small type to the next


@styled
def feature_maps(maps, n_cols=8, titles=None):
    """Show the maps that a layer gives for one input.

    Parameters
    ----------
    maps : array_like, shape (h, w, c)
        The maps.
    n_cols : int
        Maps in a row; fewer where the titles need more room.
    titles : list of str, optional
        A title for each map.

    Returns
    -------
    matplotlib.figure.Figure
        The maps in one axes, and a colour bar: all maps share one scale.

    Raises
    ------
    ValueError
        If the shape, the number of titles or `n_cols` does not fit.

    Examples
    --------
    >>> len(feature_maps(np.zeros((14, 14, 32))).axes)
    2
    """
    maps = _numbers(maps, "feature_maps: maps", 3, "(height, width, maps)")
    if maps.min() < 0:
        limit = float(np.abs(maps).max())
        cmap, norm = DIVERGING, Normalize(-limit, limit)
    else:
        cmap, norm = mpl.colormaps["gray"], Normalize(0, float(maps.max()) or 1.0)
    return _map_grid(np.moveaxis(maps, 2, 0), cmap, norm, n_cols, titles, "feature_maps")


@styled
def kernels(kernels, n_cols=8, channel=0):
    """Show the kernels of a layer: blue where a weight is negative, orange where positive.

    Parameters
    ----------
    kernels : array_like, shape (kh, kw, c_in, c_out)
        The weights, in the order of TensorFlow and Keras.
    n_cols : int
        Kernels in a row.
    channel : int
        Which slice, that is which input channel, is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        The kernels in one axes, and a colour bar centred on zero.

    Raises
    ------
    ValueError
        If the shape, `channel` or `n_cols` does not fit.

    Examples
    --------
    >>> len(kernels(np.ones((4, 4, 1, 32))).axes)
    2
    """
    weights = _numbers(kernels, "kernels: kernels", 4, "(height, width, in, out)")
    if not 0 <= channel < weights.shape[2]:
        raise ValueError(
            f"kernels: channel must be in 0..{weights.shape[2] - 1}, found {channel!r}"
        )
    slices = np.moveaxis(weights[:, :, channel, :], 2, 0)
    limit = float(np.abs(slices).max()) or 1.0
    return _map_grid(slices, DIVERGING, Normalize(-limit, limit), n_cols, None, "kernels")


@styled
def image_row(images, titles=None, n_cols=4, cmap=None):
    """Show a few images side by side, breaking into rows.

    Parameters
    ----------
    images : list of array_like, each of shape (h, w), (h, w, 1) or (h, w, 3)
        Integers in 0..255 or floats in 0..1 are shown as they are; floats outside are
        scaled, image by image, and where some are negative, zero is the middle grey.
    titles : list of str, optional
        A title for each image.
    n_cols : int
        Images in a row, at most; fewer where the titles need more room.
    cmap : str or matplotlib.colors.Colormap, optional
        For images of one channel; grey by default.

    Returns
    -------
    matplotlib.figure.Figure
        One axes for each image.

    Raises
    ------
    ValueError
        If an image has another shape, or the number of titles does not fit.

    Examples
    --------
    >>> figure = image_row([np.zeros((28, 28)), np.ones((7, 7))], ["28 pixels", "7 pixels"])
    >>> [ax.get_title() for ax in figure.axes]
    ['28 pixels', '7 pixels']
    """
    images = [_image(image, "image_row") for image in images]
    if not images:
        raise ValueError("image_row: expected at least one image, found none")
    titles = _titles(titles, len(images), "image_row")
    n_cols = min(_columns(n_cols, titles, "image_row"), len(images))
    n_rows = -(-len(images) // n_cols)
    lines = max(title.count("\n") + 1 if title else 0 for title in titles)
    # A lone image or a pair need not fill the page.
    side = min(WIDTH / n_cols, 3.2) - 0.12
    ratio = max(image.shape[0] / image.shape[1] for image in images)
    pitch = side * ratio + _LINE * lines + 0.16
    fig = Figure(figsize=(WIDTH, n_rows * pitch + 0.04), layout="none")
    left = (WIDTH - n_cols * (side + 0.12)) / 2
    for k, (image, title) in enumerate(zip(images, titles, strict=True)):
        i, j = divmod(k, n_cols)
        height = fig.get_figheight()
        bottom = height - (i + 1) * pitch + 0.04
        ax = fig.add_axes(
            (
                (left + 0.06 + j * (side + 0.12)) / WIDTH, bottom / height,
                side / WIDTH, side * ratio / height,
            )
        )
        low, high = _range(image)
        ax.imshow(image, cmap=cmap or "gray", vmin=low, vmax=high)
        ax.set_anchor("S")
        ax.set_title(title, fontsize=SMALL, pad=4)
        _frame(ax)
    return finish(fig)


@styled
def learning_curves(histories, keys=("loss", "accuracy")):
    """Draw what was measured after each epoch.

    Parameters
    ----------
    histories : dict of str to dict of str to list of float
        For each run, by its label, the values by key; ``"val_" + key`` is drawn beside
        ``key``, dotted.  What ``datasetslib.training`` and Keras return serves as well.
    keys : sequence of str
        What to draw, an axes for each.

    Returns
    -------
    matplotlib.figure.Figure
        One axes for each key, and one legend.

    Raises
    ------
    ValueError
        If there is nothing to draw, or no run has one of the keys.

    Examples
    --------
    >>> figure = learning_curves({"SGD": {"loss": [2.3, 0.9], "val_loss": [2.2, 1.1]}}, ["loss"])
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['SGD, training', 'SGD, validation']
    """
    keys = [keys] if isinstance(keys, str) else list(keys)
    runs = {str(label): _metrics(run) for label, run in histories.items()}
    if not runs or not keys:
        raise ValueError("learning_curves: expected at least one run and one key, found none")
    for key in keys:
        if not any(key in run for run in runs.values()):
            found = sorted({name for run in runs.values() for name in run})
            raise ValueError(f"learning_curves: no run has {key!r}; found {', '.join(found)}")
    paired = any(f"val_{key}" in run for run in runs.values() for key in keys)
    n_lines = len(runs) * (1 + paired)
    n_cols = min(2, len(keys))
    n_rows = -(-len(keys) // n_cols)
    fig = Figure(figsize=(WIDTH, 2.9 * n_rows + 0.25 * -(-n_lines // 2)), layout="constrained")
    handles = {}
    for k, key in enumerate(keys):
        ax = fig.add_subplot(n_rows, n_cols, k + 1)
        for (label, run), style in zip(runs.items(), cycle(LINES), strict=False):
            for name, part in ((key, "training"), (f"val_{key}", "validation")):
                if name not in run:
                    continue
                values = np.asarray(run[name], dtype=float)
                words = f"{label}, {part}" if paired and label else label or part
                if part == "validation":
                    look = {**style, "linestyle": ":", "markerfacecolor": COLOURS["face"]}
                else:
                    look = style
                (line,) = ax.plot(
                    np.arange(1, len(values) + 1), values, label=words,
                    markevery=max(1, len(values) // 6), **look,
                )
                handles.setdefault(words, line)
        ax.set_title(key.replace("_", " "))
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        ax.grid(axis="y")
    if len(handles) > 1 or any(handles):
        widest = max(text_width(words) for words in handles) + 0.75
        fig.legend(
            handles.values(), handles.keys(), loc="outside lower center",
            ncols=max(1, min(len(handles), int(WIDTH // widest))), handlelength=2.6,
        )
    return finish(fig)


@styled
def confusion_matrix(y_true, y_pred, class_names):
    """Show which classes are taken for which.

    Parameters
    ----------
    y_true, y_pred : array_like of int, shape (n,)
        True and predicted labels, 0..c-1.
    class_names : sequence of str, length c
        The names.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each true class, a column for each predicted one, counts written in.  The
        colour of a mistake is its share of the row; right answers stay grey.

    Raises
    ------
    ValueError
        If the lengths differ or a label has no name.

    Examples
    --------
    >>> figure = confusion_matrix([0, 0, 1], [0, 1, 1], ["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '0', '1']
    """
    names = [str(name) for name in class_names]
    y_true = _labels(y_true, len(names), "confusion_matrix: y_true")
    y_pred = _labels(y_pred, len(names), "confusion_matrix: y_pred")
    if len(y_true) != len(y_pred):
        raise ValueError(
            f"confusion_matrix: expected as many predictions as labels, found {len(y_pred)} "
            f"and {len(y_true)}"
        )
    n = len(names)
    counts = np.bincount(y_true * n + y_pred, minlength=n * n).reshape(n, n)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wrong = np.where(np.eye(n, dtype=bool), 0.0, shares)
    norm = Normalize(0, float(wrong.max()) or 1.0)
    label = max(text_width(name) for name in names)
    left = label + 0.5
    side = WIDTH - left - 0.1
    slanted = label > side / n - 0.08
    top = (label if slanted else 0.2) + 0.42
    fig = Figure(figsize=(WIDTH, top + side + 0.1), layout="none")
    height = fig.get_figheight()
    ax = fig.add_axes((left / WIDTH, 0.1 / height, side / WIDTH, side / height))
    for (i, j), count in np.ndenumerate(counts):
        colour = COLOURS["pale grey"] if i == j else SEQUENTIAL(norm(wrong[i, j]))
        ax.add_patch(
            Rectangle((j, i), 1, 1, facecolor=colour, edgecolor=COLOURS["line"], linewidth=0.6)
        )
        ax.text(
            j + 0.5, i + 0.5, str(count), ha="center", va="center_baseline", fontsize=SMALL,
            color=COLOURS["grey"] if count == 0 and i != j else ink_on(colour),
            fontweight="bold" if i != j and count and norm(wrong[i, j]) > 0.5 else "normal",
        )
    ax.set_xlim(0, n)
    ax.set_ylim(n, 0)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xticks(np.arange(n) + 0.5, names, rotation=90 if slanted else 0)
    ax.set_yticks(np.arange(n) + 0.5, names)
    ax.set_xlabel("predicted", labelpad=5)
    ax.set_ylabel("true", labelpad=5)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return finish(fig)


@styled
def mistakes(images, y_true, probabilities, class_names, n=100):
    """Show the images that the network got wrong with the most confidence.

    Parameters
    ----------
    images : array_like, shape (m, h, w), (m, h, w, 1) or (m, h, w, 3)
        The images; integers in 0..255 or floats in 0..1.
    y_true : array_like of int, shape (m,)
        The true labels.
    probabilities : array_like, shape (m, c)
        What the network gave to each class: rows that add up to 1.
    class_names : sequence of str, length c
        The names.
    n : int
        How many mistakes are shown, at most.

    Returns
    -------
    matplotlib.figure.Figure
        A grid, the most confident mistake first, "true → predicted" below each; one
        sentence instead where there is no mistake.

    Raises
    ------
    ValueError
        If lengths or shapes do not fit, or if the rows are not probabilities.

    Examples
    --------
    >>> figure = mistakes(np.zeros((2, 8, 8)), [0, 1], [[0.1, 0.9], [0.2, 0.8]], "07")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0→7']
    """
    names = [str(name) for name in class_names]
    stack = np.asarray(images)
    if stack.ndim not in (3, 4) or len(stack) == 0:
        raise ValueError(
            "mistakes: images must have the shape (images, height, width) or (images, height, "
            f"width, channels), found {stack.shape}"
        )
    y_true = _labels(y_true, len(names), "mistakes: y_true")
    chances = _numbers(probabilities, "mistakes: probabilities", 2, "(images, classes)")
    if chances.shape != (len(stack), len(names)) or len(y_true) != len(stack):
        raise ValueError(
            f"mistakes: expected {len(stack)} labels and probabilities of shape "
            f"({len(stack)}, {len(names)}), found {len(y_true)} and {chances.shape}"
        )
    if chances.min() < -1e-3 or np.abs(chances.sum(axis=1) - 1).max() > 1e-2:
        raise ValueError(
            "mistakes: each row of probabilities must add up to 1, found a row that adds up "
            f"to {chances.sum(axis=1)[np.abs(chances.sum(axis=1) - 1).argmax()]:.3g}; logits "
            "need a softmax first"
        )
    if n < 1:
        raise ValueError(f"mistakes: n must be at least 1, found {n!r}")
    guess = chances.argmax(axis=1)
    wrong = np.flatnonzero(guess != y_true)
    # Stable, so that two runs of a chapter agree on ties.
    order = wrong[np.argsort(-chances[wrong, guess[wrong]], kind="stable")][:n]
    if len(order) == 0:
        fig = Figure(figsize=(WIDTH, 0.8), layout="none")
        fig.text(0.5, 0.5, f"no mistake among {len(stack)} images", ha="center", va="center")
        return finish(fig)
    long = max(map(len, names)) > 2
    captions = [
        f"{names[y_true[k]]}{chr(10) if long else ''}→{' ' if long else ''}{names[guess[k]]}"
        for k in order
    ]
    n_cols = _columns(10, captions, "mistakes")
    pictures = np.stack([_image(stack[k], "mistakes") for k in order])
    low, high = _range(pictures)
    pictures = np.clip((pictures - low) / (high - low), 0, 1)
    if pictures.ndim == 3:
        pictures = np.repeat(pictures[..., None], 3, axis=3)
    return finish(_grid(pictures, n_cols, captions))


@styled
def bars_with_spread(
    groups, ylabel, baseline=None, *, baseline_label="baseline", from_zero=True, fmt=".3f"
):
    """Compare means, with every single run shown as a dot.

    Parameters
    ----------
    groups : dict of str to list of float
        The values of each group, for example one for each seed.
    ylabel : str
        What is measured, with its unit.
    baseline : float, optional
        A value to compare with, drawn as a dashed line.
    baseline_label : str
        What is written above that line.
    from_zero : bool
        True: a bar from zero to each mean.  False: the axis shows only the range of the
        values and a short line marks each mean, for a bar must start at zero to be honest.
    fmt : str
        Format of the means, which are written on the right.

    Returns
    -------
    matplotlib.figure.Figure
        One axes, the groups from top to bottom.

    Raises
    ------
    ValueError
        If there is no group or a group holds no finite numbers.

    Examples
    --------
    >>> figure = bars_with_spread({"with pooling": [0.97, 0.98], "without": [0.95]}, "accuracy")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.975', '0.950', 'mean']
    """
    values = {str(label): np.atleast_1d(np.asarray(v, dtype=float)) for label, v in groups.items()}
    if not values:
        raise ValueError("bars_with_spread: expected at least one group, found none")
    for label, numbers in values.items():
        if numbers.ndim != 1 or numbers.size == 0 or not np.isfinite(numbers).all():
            raise ValueError(
                f"bars_with_spread: group {label!r} must be a list of finite numbers, found "
                f"{groups[label]!r}"
            )
    fig = Figure(figsize=(WIDTH, 0.52 * len(values) + 1.0), layout="constrained")
    ax = fig.add_subplot()
    for k, numbers in enumerate(values.values()):
        mean = numbers.mean()
        if from_zero:
            ax.barh(k, mean, height=0.62, color=COLOURS["pale sky"], edgecolor=COLOURS["blue"])
        else:
            ax.plot([mean, mean], [k - 0.3, k + 0.3], color=COLOURS["blue"], linewidth=3)
        # Spread over the height of the bar, so that equal values stay visible.
        heights = k + np.linspace(-0.16, 0.16, len(numbers)) * (len(numbers) > 1)
        ax.plot(
            numbers, heights, "o", color=COLOURS["vermillion"], markersize=6,
            markeredgecolor=COLOURS["face"], zorder=3,
        )
        ax.text(
            1.02, k, number(mean, fmt), transform=ax.get_yaxis_transform(), ha="left",
            va="center_baseline", fontsize=SMALL,
        )
    ax.text(
        1.02, 1.0, "mean", transform=ax.transAxes, ha="left", va="bottom", fontsize=SMALL,
        color=COLOURS["grey"],
    )
    if baseline is not None:
        ax.axvline(baseline, color=COLOURS["ink"], linewidth=1.5, linestyle=(0, (4, 3)), zorder=2)
        low, high = ax.get_xlim()
        ax.text(
            baseline, 1.0, baseline_label, transform=ax.get_xaxis_transform(), va="bottom",
            # Towards the middle of the figure, where there is room.
            ha="right" if baseline > (low + high) / 2 else "left", fontsize=SMALL,
        )
    if not from_zero:
        ax.margins(x=0.08)
        ax.set_ylim(-0.6, len(values) - 0.4)
        ax.grid(axis="x")
        ax.set_axisbelow(True)
    ax.set_yticks(range(len(values)), list(values))
    ax.invert_yaxis()
    ax.set_xlabel(ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(from_zero)
    return finish(fig)


# --- grids of small images ---------------------------------------------------------------


def _map_grid(stack, cmap, norm, n_cols, titles, caller):
    """Draw maps of one channel on one colour scale, with its bar below."""
    titles = _titles(titles, len(stack), caller)
    n_cols = min(_columns(n_cols, titles, caller), len(stack))
    fig = _grid(cmap(norm(stack))[..., :3], n_cols, titles, room=0.62)
    height = fig.get_figheight()
    bar_ax = fig.add_axes((0.2, 0.4 / height, 0.6, 0.12 / height))
    bar = fig.colorbar(ScalarMappable(norm, cmap), cax=bar_ax, orientation="horizontal")
    ends = [norm.vmin, 0.0, norm.vmax] if norm.vmin < 0 else [0.0, norm.vmax]
    bar.set_ticks(ends, labels=[number(end, ".2g") for end in ends])
    bar.outline.set_linewidth(0.5)
    return finish(fig)


def _grid(pictures, n_cols, captions, room=0.0):
    """Draw RGB images in 0..1, all of one size, as a single mosaic with captions below.

    One mosaic, and not an axes for each image: a hundred axes take seconds to draw, and a
    hundred images in one SVG take a hundred headers.
    """
    # Small kernels are enlarged by whole factors, so that the gaps between them can be thin.
    factor = -(-40 // pictures.shape[2])
    pictures = pictures.repeat(factor, axis=1).repeat(factor, axis=2)
    n, h, w, _ = pictures.shape
    n_rows = -(-n // n_cols)
    lines = max((caption.count("\n") + 1 if caption else 0) for caption in captions)
    # Few small images stay small: at most 1.5 inches wide.
    pitch = min((WIDTH - 0.1) / n_cols, 1.6)
    per_inch = w / (pitch - 0.1)
    gap = max(1, round(0.1 * per_inch))
    band = round((_LINE * lines + 0.1) * per_inch) if lines else gap
    face = np.array([int(COLOURS["face"][k : k + 2], 16) / 255 for k in (1, 3, 5)])
    mosaic = np.tile(face, (n_rows * (h + band), n_cols * (w + gap) - gap, 1))
    for k, picture in enumerate(pictures):
        i, j = divmod(k, n_cols)
        mosaic[i * (h + band) : i * (h + band) + h, j * (w + gap) : j * (w + gap) + w] = picture
    width = mosaic.shape[1] / per_inch
    height = mosaic.shape[0] / per_inch
    fig = Figure(figsize=(WIDTH, height + room + 0.05), layout="none")
    total = fig.get_figheight()
    ax = fig.add_axes(
        ((WIDTH - width) / 2 / WIDTH, room / total, width / WIDTH, height / total)
    )
    ax.imshow(mosaic, extent=(0, mosaic.shape[1], mosaic.shape[0], 0), aspect="auto")
    ax.set_axis_off()
    for k, caption in enumerate(captions):
        i, j = divmod(k, n_cols)
        x, y = j * (w + gap), i * (h + band)
        # A thin frame: a black map and a white page would lose the edge of a bright one.
        ax.add_patch(
            Rectangle((x, y), w, h, fill=False, edgecolor=COLOURS["line"], linewidth=0.6)
        )
        if caption:
            # Aligned by the baseline, which for several lines is that of the last one.
            down = 0.17 + _LINE * caption.count("\n")
            ax.text(
                x + w / 2, y + h + down * per_inch, caption, ha="center", va="baseline",
                fontsize=SMALL, linespacing=1.2,
            )
    return fig


def _frame(ax):
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color(COLOURS["line"])
    ax.spines[:].set_linewidth(0.6)


def _metrics(run):
    """Return the values by key of a mapping, a training History or a Keras History."""
    for name in ("metrics", "history"):
        run = getattr(run, name, run)
    return run


# --- checks ------------------------------------------------------------------------------


def _numbers(array, name, ndim, axes):
    array = np.asarray(array)
    if array.ndim != ndim or array.size == 0 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be numbers of shape {axes}, found shape {array.shape} and dtype "
            f"{array.dtype}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, found NaN or infinity")
    return array.astype(float)


def _image(image, caller):
    """Return an image as (h, w) or (h, w, 3), in its own dtype."""
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.size == 0 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(
            f"{caller}: an image must have the shape (height, width), (height, width, 1) or "
            f"(height, width, 3), found {image.shape}"
        )
    return image


def _range(image):
    """Return the values that are drawn black and white."""
    if image.dtype.kind in "biu":
        return (0, 1) if image.dtype.kind == "b" else (0, 255)
    low, high = float(image.min()), float(image.max())
    if 0 <= low and high <= 1:
        return 0.0, 1.0
    if low < 0:
        high = max(-low, high)
        low = -high
    return low, high if high > low else low + 1.0


def _labels(labels, n, name):
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be integer labels of shape (n,), found shape {labels.shape} and "
            f"dtype {labels.dtype}"
        )
    if labels.min() < 0 or labels.max() >= n:
        raise ValueError(
            f"{name} must lie in 0..{n - 1}, one for each class name; found "
            f"{labels.min()}..{labels.max()}"
        )
    return labels.astype(np.int64)


def _titles(titles, n, caller):
    titles = [""] * n if titles is None else [str(title) for title in titles]
    if len(titles) != n:
        raise ValueError(f"{caller}: expected {n} titles, one for each, found {len(titles)}")
    return titles


def _columns(n_cols, titles, caller):
    """Return how many columns the titles leave room for, at most `n_cols`."""
    if isinstance(n_cols, bool) or not isinstance(n_cols, int | np.integer) or n_cols < 1:
        raise ValueError(
            f"{caller}: n_cols must be a whole number, at least 1, found {n_cols!r}"
        )
    widest = max(text_width(title) for title in titles) + 0.1
    return max(1, min(int(n_cols), int(WIDTH // widest)))
