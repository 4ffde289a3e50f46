"""The look that all figures share."""

from __future__ import annotations

import functools
import sys

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from datasetslib import recording

#: The width of every figure, in inches: a text column on a screen, 350 pixels on a phone.
WIDTH = 6.4

#: The smallest type, in points: 9 pixels high where the figure is 350 pixels wide.
SMALL = 12

#: The colours by name: those of Okabe and Ito, which stay apart for colour-blind readers,
#: and the tints made from them.
COLOURS = {
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
    "orange": "#e69f00",
    "sky": "#56b4e9",
    "yellow": "#f0e442",
    "black": "#000000",
    "ink": "#222222",
    "grey": "#666666",
    "line": "#b9b9b4",
    "pale grey": "#ebebe7",
    "pale sky": "#d6ebf9",
    "pale orange": "#fbdfa6",
    "pale green": "#c9e9de",
    "face": "#fdfdfb",
}

#: Colour, dash and marker change together from line to line, so that none needs colour.
LINES = [
    {"color": COLOURS["blue"], "linestyle": "-", "marker": "o"},
    {"color": COLOURS["vermillion"], "linestyle": (0, (6, 2)), "marker": "s"},
    {"color": COLOURS["green"], "linestyle": (0, (6, 2, 1.5, 2)), "marker": "^"},
    {"color": COLOURS["purple"], "linestyle": (0, (1.5, 1.5)), "marker": "D"},
    {"color": COLOURS["orange"], "linestyle": (0, (9, 3)), "marker": "v"},
    {"color": COLOURS["black"], "linestyle": (0, (3, 1.5)), "marker": "P"},
    {"color": COLOURS["sky"], "linestyle": "-", "marker": "X"},
]

#: Blue for negative, near-white for zero, orange for positive.
DIVERGING = LinearSegmentedColormap.from_list(
    "blue_orange", ["#00405f", COLOURS["blue"], "#f7f7f5", COLOURS["vermillion"], "#7a3300"]
)

#: From the face of the figure to an orange on which dark numbers can still be read.
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "face_orange", [COLOURS["face"], COLOURS["pale orange"], "#ea8a33"]
)

STYLE = {
    "figure.figsize": (WIDTH, 4.0),
    "figure.facecolor": COLOURS["face"],
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.06,
    "axes.facecolor": COLOURS["face"],
    "axes.edgecolor": COLOURS["grey"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.titlecolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=[line["color"] for line in LINES]),
    "axes.grid": False,
    "axes.titlesize": 13,
    "axes.labelsize": 13,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "grid.color": COLOURS["pale grey"],
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "savefig.facecolor": COLOURS["face"],
    "svg.fonttype": "path",
    # Ids made from this word instead of a random one: the same figure, the same bytes.
    "svg.hashsalt": "datasetslib",
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["ink"],
    "ytick.color": COLOURS["ink"],
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    # Pixels as they are: no smoothing, and the SVG holds the small image only.
    "image.interpolation": "none",
    "image.cmap": "gray",
}


def use_style():
    """Give every later figure the look of the course.

    Sets matplotlib's parameters and, in a notebook, has figures stored as SVG without a
    date and with fixed ids, so that two runs of a chapter leave the same bytes.

    Examples
    --------
    >>> use_style()
    >>> mpl.rcParams["font.size"]
    13.0
    """
    mpl.rcParams.update(STYLE)
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # No cropping: a cropped figure would be scaled up, and its text with it.
        set_matplotlib_formats("svg", bbox_inches=None, metadata={"Date": None, "Creator": None})


def styled(draw):
    """Run a drawing function in the style of the course, whatever the notebook has set."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs):
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def finish(fig, synthetic=None):
    """Close a figure from pyplot and say so where it shows synthetic data.

    Every function of `datasetslib.plots` ends with this; a chapter calls it on the figures
    that it draws itself.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        The finished drawing.
    synthetic : bool, optional
        Whether the figure shows synthetic data.  By default: whether a synthetic data set
        has been loaded in this process.

    Returns
    -------
    matplotlib.figure.Figure
        The same figure, with the words "synthetic data" above the drawing if it is.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> finish(Figure(), synthetic=True).texts[0].get_text()
    'synthetic data'
    """
    if not isinstance(fig, mpl.figure.Figure):
        raise ValueError(f"finish: expected a matplotlib Figure, found {type(fig).__name__}")
    if recording.synthetic_loaded if synthetic is None else synthetic:
        _note(fig, "synthetic data")
    # A figure that pyplot does not know needs no closing, and pyplot is slow to import.
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)
    return fig


def _note(fig, words, band=0.3):
    """Write a few words into a band, in inches, added above the drawing."""
    if any(text.get_gid() == "note" for text in fig.texts):
        return
    old = fig.get_figheight()
    new = old + band
    fig.set_figheight(new)
    scale = old / new
    engine = fig.get_layout_engine()
    if engine is not None and "rect" in engine.get():
        engine.set(rect=(0, 0, 1, scale))
    else:
        for ax in fig.axes:
            box = ax.get_position()
            ax.set_position((box.x0, scale * box.y0, box.width, scale * box.height))
        for text in fig.texts:
            x, y = text.get_position()
            text.set_position((x, scale * y))
    fig.text(
        0.99, 1 - 0.08 / new, words, ha="right", va="top", style="italic",
        fontsize=SMALL, color=COLOURS["grey"], gid="note",
    )


@functools.lru_cache(maxsize=4096)
def text_width(text, size=SMALL, weight="normal"):
    """Return the width in inches of the longest line of a text set in `size` points."""
    font = FontProperties(family="DejaVu Sans", weight=weight)
    # By the control points: never too narrow, and many times faster than the exact extent.
    return max(
        float(np.ptp(TextPath((0, 0), line, size=size, prop=font).vertices[:, 0])) / 72
        if line.strip() else 0.0
        for line in text.split("\n")
    )


def ink_on(colour):
    """Return black or white, whichever can be read on `colour`.

    Examples
    --------
    >>> ink_on("#fdfdfb"), ink_on("#0072b2")
    ('#222222', '#ffffff')
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = float(np.dot((0.2126, 0.7152, 0.0722), linear))
    # Where both give the same contrast by the WCAG formula.
    return COLOURS["ink"] if luminance > 0.2 else "#ffffff"


def number(value, fmt=None):
    """Return a number as the figures write it: short, with a true minus sign.

    Examples
    --------
    >>> number(-6), number(0.25), number(1 / 3), number(12345.0), number(0.5, ".3f")
    ('−6', '0.25', '0.33', '12345', '0.500')
    """
    # Adding zero turns the -0.0 that rounding may leave into 0.0.
    text = format(value, fmt) if fmt else format(round(float(value), 2) + 0.0, ".12g")
    return text.replace("-", "−")
