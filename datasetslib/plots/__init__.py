"""The figures of the course: one style, one function for each kind of picture.

A function that draws a whole figure returns it, and a notebook then shows it once, as the
last expression of a cell; `annotate_matrix` draws into axes of a figure that is there already.
The figures made here are 6.4 inches wide, with no text smaller than 12 points, so that they
can be read on a phone.  Their lines and marks have the colours of Okabe and Ito, which never
carry a meaning alone.

Examples
--------
>>> from datasetslib import plots
>>> plots.use_style()
>>> figure = plots.pooling_panels([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
>>> float(figure.get_figwidth())
6.4
"""

from datasetslib.plots.learned import (
    bars_with_spread,
    confusion_matrix,
    feature_maps,
    image_row,
    kernels,
    learning_curves,
    mistakes,
)
from datasetslib.plots.style import COLOURS, WIDTH, finish, use_style
from datasetslib.plots.worked import (
    annotate_matrix,
    convolution_panels,
    pooling_panels,
    shape_chain,
)

__all__ = [
    "COLOURS",
    "WIDTH",
    "annotate_matrix",
    "bars_with_spread",
    "confusion_matrix",
    "convolution_panels",
    "feature_maps",
    "finish",
    "image_row",
    "kernels",
    "learning_curves",
    "mistakes",
    "pooling_panels",
    "shape_chain",
    "use_style",
]
