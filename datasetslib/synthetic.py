"""Stand-ins for MNIST and CIFAR-10, made on the spot: no download, any size.

They have the shapes, dtypes and class counts of the originals and can be learnt by the same
networks, so every chapter runs on them. They are *not* the originals, and no accuracy reached
on them says anything about MNIST or CIFAR-10.

- Digits: the numerals of the fonts that come with matplotlib, turned, sheared, bent, thickened
  and speckled at random.
- CIFAR-10: ten kinds of patterned figures on a cluttered ground. Each kind has a shape, a
  pattern and a preferred colour; all three vary, and none of them decides alone.

With one version of matplotlib and NumPy, the same name, split and seed always give the same
images, and the first images of a large set are those of a small one.
"""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from datasetslib import recording
from datasetslib.errors import SourceError
from datasetslib.store import Edition

_CHUNK = 500  # images drawn from one random generator
_SPLITS = ("train", "test")


def make(name, n_train, n_test, seed=0):
    """Make a synthetic data set, and note that figures have to say so from now on.

    Parameters
    ----------
    name : {"mnist", "cifar10"}
        Which data set to stand in for.
    n_train, n_test : int
        Number of training and of test images; both at least 0.
    seed : int
        Another seed gives other images of the same kinds; at least 0.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
        ``x_train``, ``y_train``, ``x_test``, ``y_test``, all uint8. Images have shape
        (n, 28, 28) for MNIST and (n, 3, 32, 32) for CIFAR-10; labels have shape (n,).
    edition : datasetslib.store.Edition
        Its kind is ``"synthetic"``; it names the seed and the sizes.

    Raises
    ------
    SourceError
        If there is no synthetic edition of `name`, or a size or the seed is not a whole
        number of at least 0.

    Examples
    --------
    >>> arrays, edition = make("mnist", n_train=20, n_test=10, seed=1)
    >>> arrays["x_train"].shape, arrays["x_train"].dtype
    ((20, 28, 28), dtype('uint8'))
    >>> edition.is_synthetic
    True
    """
    if name not in _RENDERERS:
        raise SourceError.because(
            f"synthetic edition of {name!r}",
            expected=f"one of {', '.join(_RENDERERS)}",
            found=repr(name),
            remedy="Choose one of them, or another source.",
        )
    for label, number in (("n_train", n_train), ("n_test", n_test), ("seed", seed)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
            raise SourceError.because(
                f"{label} of the synthetic edition of {name}",
                expected="a whole number, at least 0",
                found=repr(number),
                remedy=f"Pass such a {label}.",
            )
    arrays = {}
    for number, (split, n) in enumerate(zip(_SPLITS, (n_train, n_test), strict=True)):
        arrays[f"x_{split}"], arrays[f"y_{split}"] = _make_split(name, int(n), seed, number)
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[key]))
        arrays[key].flags.writeable = False
    edition = Edition(
        name=name,
        kind="synthetic",
        digest=digest.hexdigest(),
        origin="datasetslib.synthetic",
        note=f"seed {seed}, {n_train:,} training and {n_test:,} test images",
    )
    recording.synthetic_loaded = True
    return arrays, edition


def _make_split(name, n, seed, split):
    """Images and labels of one split, chunk by chunk; each chunk has a generator of its own."""
    render, shape = _RENDERERS[name]
    x = np.empty((n, *shape), np.uint8)
    y = np.empty(n, np.uint8)
    for start in range(0, n, _CHUNK):
        rng = np.random.default_rng([seed, split, start])
        labels = rng.permutation(np.arange(_CHUNK) % 10).astype(np.uint8)
        # A chunk is always made whole, so that its images do not depend on how many are kept.
        images = render(labels, rng)
        stop = min(start + _CHUNK, n)
        x[start:stop] = images[: stop - start]
        y[start:stop] = labels[: stop - start]
    return x, y


def _uniform(rng, low, high, n):
    """`n` float32 numbers between `low` and `high`, shaped to broadcast over pixels."""
    return rng.uniform(low, high, (n, 1)).astype(np.float32)


def _pixel_grid(side):
    """Coordinates of the pixels of a square image, -1 to 1, each of shape (1, side * side)."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x.reshape(1, -1), y.reshape(1, -1)


def _turn(x, y, angle):
    """Coordinates in a frame turned by `angle` (radians)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * x + sin * y, cos * y - sin * x


# --- digits ---------------------------------------------------------------------------------

_TEMPLATE = 64  # pixels a side
_FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Italic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralItalic.ttf",
    "cmss10.ttf",
)


@cache
def _digit_templates():
    """Every digit in every font, as smooth bumps: float32 of shape (fonts, 10, 64, 64).

    The blur turns an outline into a gentle slope, so that cutting it at a lower or a higher
    level gives a thicker or a thinner stroke.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    size = (10 * _TEMPLATE, len(_FONTS) * _TEMPLATE)
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    for row, font in enumerate(_FONTS):
        for digit in range(10):
            path = TextPath((0, 0), str(digit), 100, prop=FontProperties(fname=folder / font))
            box = path.get_extents()
            scale = 0.72 * _TEMPLATE / box.height
            place = (
                Affine2D()
                .translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
                .scale(scale)
                .translate((digit + 0.5) * _TEMPLATE, size[1] - (row + 0.5) * _TEMPLATE)
            )
            figure.add_artist(
                PathPatch(path, transform=place, facecolor="black", linewidth=0, antialiased=True)
            )
    canvas.draw()
    ink = 1 - np.asarray(canvas.buffer_rgba())[..., 0].astype(np.float32) / 255
    cells = ink.reshape(len(_FONTS), _TEMPLATE, 10, _TEMPLATE).transpose(0, 2, 1, 3)
    reach = np.arange(-6, 7)
    bell = np.exp(-(reach**2) / (2 * 2.0**2)).astype(np.float32)
    bell /= bell.sum()
    for axis in (2, 3):
        pad = [(6, 6) if which == axis else (0, 0) for which in range(4)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(cells, pad), 13, axis=axis)
        cells = windows @ bell
    return np.ascontiguousarray(cells)


def _sample(templates, which, x, y):
    """Read `templates[which]` at the coordinates (x, y) by bilinear interpolation."""
    side = templates.shape[-1]
    flat = templates.reshape(-1)
    column = np.clip((x + 1) * (side / 2) - 0.5, 0, side - 1.001)
    row = np.clip((y + 1) * (side / 2) - 0.5, 0, side - 1.001)
    left, top = column.astype(np.int32), row.astype(np.int32)
    right_share, low_share = column - left, row - top
    corner = which.reshape(-1, 1).astype(np.int32) * side**2 + top * side + left
    upper = flat[corner] * (1 - right_share) + flat[corner + 1] * right_share
    lower = flat[corner + side] * (1 - right_share) + flat[corner + side + 1] * right_share
    return upper * (1 - low_share) + lower * low_share


def _digits(labels, rng):
    """Handwriting of a sort: uint8 images of shape (n, 28, 28), light strokes on black."""
    n = len(labels)
    templates = _digit_templates()
    which = rng.integers(len(_FONTS), size=n) * 10 + labels
    x, y = _pixel_grid(28)
    x, y = x - _uniform(rng, -0.08, 0.08, n), y - _uniform(rng, -0.08, 0.08, n)
    x, y = _turn(x, y, _uniform(rng, -0.2, 0.2, n))
    x = x + _uniform(rng, -0.2, 0.2, n) * y  # shear: the slant of a hand
    size = _uniform(rng, 0.95, 1.15, n)
    x, y = x / (size * _uniform(rng, 0.9, 1.25, n)), y / size
    # A slow wave through the plane bends the strokes.
    bend = _uniform(rng, 0.0, 0.07, n)
    x, y = (
        x + bend * np.sin(3 * y + _uniform(rng, 0, 2 * np.pi, n)),
        y + bend * np.sin(3 * x + _uniform(rng, 0, 2 * np.pi, n)),
    )
    level = _uniform(rng, 0.12, 0.45, n)  # where the slope is cut: thick to thin
    softness = _uniform(rng, 0.06, 0.12, n)
    ink = np.clip((_sample(templates, which, x, y) - level) / softness + 0.5, 0, 1)
    ink *= _uniform(rng, 0.75, 1.0, n)
    ink += rng.normal(0, 0.05, ink.shape).astype(np.float32) * (0.2 + ink)
    return (np.clip(ink, 0, 1) * 255).astype(np.uint8).reshape(n, 28, 28)


# --- figures in colour ----------------------------------------------------------------------

# One row a class: corners (0: round), depth of the notches between them, how elongated, radius
# of the hole, pattern (0 plain, 1 stripes, 2 checks, 3 rings), preferred hue (turns).
_FIGURES = np.array(
    [
        (3, 0.00, 1.5, 0.00, 1, 0.60),
        (4, 0.00, 1.0, 0.00, 2, 0.97),
        (5, 0.45, 1.0, 0.00, 0, 0.15),
        (0, 0.00, 1.0, 0.50, 0, 0.03),
        (6, 0.35, 1.0, 0.00, 3, 0.17),
        (0, 0.00, 1.7, 0.00, 2, 0.40),
        (0, 0.00, 1.0, 0.00, 3, 0.36),
        (3, 0.30, 1.0, 0.00, 0, 0.80),
        (4, 0.00, 2.0, 0.00, 1, 0.57),
        (4, 0.55, 1.0, 0.00, 1, 0.77),
    ],
    dtype=np.float32,
)


def _colour(hue, saturation, value):
    """RGB of hue, saturation and value, the channels on axis 1."""
    phase = hue[:, None] + np.array([0, 2 / 3, 1 / 3], np.float32)[None, :, None]
    ramp = np.clip(np.abs((phase % 1) * 6 - 3) - 1, 0, 1)
    return value[:, None] * (1 - saturation[:, None] * (1 - ramp))


def _pattern(kind, x, y, rng):
    """Lightness between 0 and 1 that the pattern of each figure adds, over its own frame."""
    n = len(kind)
    pitch, phase = _uniform(rng, 6, 11, n), _uniform(rng, 0, 2 * np.pi, n)
    wave_x, wave_y = np.sin(pitch * x + phase), np.sin(pitch * y + phase)
    rings = np.sin(1.5 * pitch * np.hypot(x, y) + phase)
    choices = np.stack([np.zeros_like(wave_x), wave_x, wave_x * wave_y * 1.5, rings])
    chosen = np.take_along_axis(choices, kind.astype(np.int64)[None], axis=0)[0]
    return np.clip(0.5 + 1.5 * chosen, 0, 1)


def _figures(labels, rng):
    """Patterned figures on a cluttered ground: uint8 images of shape (n, 3, 32, 32)."""
    n = len(labels)
    corners, notch, stretch, hole, kind, hue = _FIGURES[labels].T[:, :, None]
    # Nuisances that a network has to see through: some patterns and some colours are
    # drawn from the whole range instead of the class's own.
    kind = np.where(rng.random((n, 1)) < 0.15, rng.integers(4, size=(n, 1)), kind)
    spread = rng.normal(0, 0.05, (n, 1)) + (rng.random((n, 1)) < 0.2) * rng.random((n, 1))
    hue = (hue + spread).astype(np.float32)

    x, y = _pixel_grid(32)
    ground_x, ground_y = _turn(x, y, _uniform(rng, 0, 2 * np.pi, n))
    x, y = x - _uniform(rng, -0.15, 0.15, n), y - _uniform(rng, -0.15, 0.15, n)
    x, y = _turn(x, y, _uniform(rng, -0.35, 0.35, n))
    size = _uniform(rng, 0.65, 0.95, n)
    root = np.sqrt(stretch)
    x, y = x / (size * root), y / size * root

    # The outline in polar coordinates: a regular polygon whose edges a notch pulls inwards.
    radius, angle = np.hypot(x, y), np.arctan2(x, -y)
    wedge = 2 * np.pi / np.maximum(corners, 1)
    within = (angle + wedge / 2) % wedge - wedge / 2
    edge = np.cos(np.pi / np.maximum(corners, 3)) / np.cos(wedge / 2 - np.abs(within))
    star = 1 - notch * np.abs(within) / (wedge / 2)
    outline = np.where(corners == 0, 0.85, np.where(notch > 0, star, edge))
    sharpness = 10 * size
    inside = np.clip((outline - radius) * sharpness + 0.5, 0, 1)
    inside *= np.clip((radius - hole * outline) * sharpness + 0.5, 0, 1) * (hole > 0) + (hole == 0)

    value = _uniform(rng, 0.7, 1.0, n) * (0.35 + 0.65 * _pattern(kind, x, y, rng))
    figure = _colour(hue, _uniform(rng, 0.6, 1.0, n), value)

    # The ground: a slope and a wave of light in a colour that says nothing about the class.
    light = _uniform(rng, 0.2, 0.7, n) + _uniform(rng, -0.2, 0.2, n) * ground_y
    light = light + _uniform(rng, 0, 0.1, n) * np.sin(_uniform(rng, 2, 12, n) * ground_x)
    ground = _colour(_uniform(rng, 0, 1, n), _uniform(rng, 0, 0.4, n), np.clip(light, 0, 1))

    image = ground + inside[:, None] * (figure - ground)
    image += rng.normal(0, 0.04, image.shape).astype(np.float32)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8).reshape(n, 3, 32, 32)


_RENDERERS = {"mnist": (_digits, (28, 28)), "cifar10": (_figures, (3, 32, 32))}
