"""The ``explorer`` directive: an interactive figure in a page.

    :::{explorer} convolution
    What the explorer shows, in a sentence or more.
    :::

The page gets the description, which every reader can read; a still picture, drawn when the book is
built, for readers without scripts and for paper; and, on such pages only, the style sheet and the
scripts of ``assets/explorers``. Their view fills the place once the page is read.

A still is drawn once and kept beside the doctrees: a second build does not import matplotlib.
"""

import hashlib
import html
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "explorers"
"""Where the scripts lie: in ``assets`` of the book, in ``_static`` of the site."""
WORDS = "words_{}.js"
"""What the explorers say in another language; the translated source has the table."""
SHARED = "core.js"
STYLE = "explorers.css"

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tools.languages import mark, words  # noqa: E402

OFFLINE = mark("A still picture. In a browser that runs JavaScript, you can play with it here.")


# --- the stills --------------------------------------------------------------------------


def _convolution():
    from datasetslib import plots

    return plots.convolution_panels([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, -1], [-1, 0]])


def _pooling():
    from datasetslib import plots

    return plots.pooling_panels([[1, 2, 3], [4, 5, 6], [7, 8, 9]], size=2, stride=1)


def _lenet():
    from datasetslib import plots

    return plots.shape_chain([
        ("image", (28, 28, 1)), ("conv 4x4, ReLU", (28, 28, 32)), ("pool 2x2", (14, 14, 32)),
        ("conv 4x4, ReLU", (14, 14, 64)), ("pool 2x2", (7, 7, 64)), ("flatten", (3136,)),
        ("dense, ReLU", (1024,)), ("softmax", (10,)),
    ])


@dataclass(frozen=True)
class Explorer:
    """What a page needs to know of an explorer.

    Attributes
    ----------
    label : str
        Its name, as a screen reader says it.
    scripts : tuple of str
        Files in ``assets/explorers``, in the order in which they are loaded after ``core.js``.
    still : callable
        Draws the still picture; returns a matplotlib figure. Imports what it needs itself.
    alt : str
        What the still picture shows.
    """

    label: str
    scripts: tuple[str, ...]
    still: Callable
    alt: str


CHAIN = mark(
    "The network as a chain of boxes with the shape of the data on every arrow: an image of "
    "28 x 28 x 1; a convolution to 28 x 28 x 32, pooled to 14 x 14 x 32; a convolution to "
    "14 x 14 x 64, pooled to 7 x 7 x 64; flattened to 3136; a dense layer to 1024; softmax to 10."
)

EXPLORERS = {
    "convolution": Explorer(
        mark("Convolution explorer"), ("convolution_math.js", "convolution.js"), _convolution,
        mark("Four panels: a 2 x 2 kernel lies on each of the four places of a 3 x 3 image, with "
             "the products written out. The sums are -6, -8, -12 and -14, and they make the "
             "feature map."),
    ),
    "pooling": Explorer(
        mark("Pooling explorer"), ("pooling_math.js", "pooling.js"), _pooling,
        mark("Four panels: a region of 2 x 2 lies on each of the four places of a 3 x 3 image with "
             "the numbers 1 to 9. The largest number of each region is marked: 5, 6, 8 and 9."),
    ),
    "shapes": Explorer(mark("Shape calculator"), ("shapes_math.js", "shapes.js"), _lenet, CHAIN),
    # Its weights, lenet_weights.js, are not among the scripts: the view fetches them on first use.
    "lenet": Explorer(
        mark("LeNet, live"), ("lenet_math.js", "lenet_strokes.js", "lenet.js"), _lenet, CHAIN),
}


def digest():
    """Return one digest of what the stills are drawn by: this file and the course's figures."""
    files = [Path(__file__), *sorted((ROOT / "datasetslib" / "plots").glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def draw_still(name, folder):
    """
    Draw the still picture of an explorer, unless it is there already.

    Parameters
    ----------
    name : str
        Name of the explorer.
    folder : Path
        Where stills are kept.

    Returns
    -------
    Path
        The picture, as SVG.
    """
    path = folder / digest() / f"explorer-{name}.svg"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under another name first: an interrupted build leaves no half a picture behind.
        part = path.with_suffix(f".{os.getpid()}.part")
        nothing = {"Date": None, "Creator": None}
        EXPLORERS[name].still().savefig(part, format="svg", metadata=nothing)
        part.replace(path)
    return path


def svg_size(path):
    """
    Return width and height of an SVG file in CSS pixels, as matplotlib states them in points.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        When the file does not state its size in points.
    """
    head = path.read_text(encoding="utf-8")[:2000]
    sizes = [re.search(rf'<svg[^>]* {side}="([\d.]+)pt"', head) for side in ("width", "height")]
    if not all(sizes):
        raise ValueError(f"{path.name}: expected width and height in points")
    return tuple(round(float(size[1]) * 4 / 3) for size in sizes)


# --- the directive -----------------------------------------------------------------------


class explorer(nodes.container):  # noqa: N801, docutils' nodes have lower-case names
    """The place of an explorer; its children are the still and the description."""


class still(nodes.image):  # noqa: N801
    """The still picture. A kind of image, so that Sphinx copies the file into the site."""


class ExplorerDirective(SphinxDirective):
    """``explorer``: an interactive figure. Argument: its name; content: its description."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Return the place of the explorer."""
        name = self.arguments[0]
        if name not in EXPLORERS:
            raise self.error(f"unknown explorer {name!r}; there are {', '.join(EXPLORERS)}")
        if not "".join(self.content).strip():
            raise self.error(
                f"explorer {name!r} has no description: write below the opening line what it shows"
            )
        assets = Path(self.env.srcdir) / "assets" / FOLDER
        missing = [file for file in (SHARED, STYLE, *EXPLORERS[name].scripts)
                   if not (assets / file).is_file()]
        if missing:
            raise self.error(f"explorer {name!r}: assets/{FOLDER}/ has no {', '.join(missing)}")
        path = draw_still(name, Path(self.env.doctreedir) / FOLDER)
        width, height = svg_size(path)
        # From the book's root, which is how Sphinx wants it; the doctrees may lie outside.
        uri = "/" + Path(os.path.relpath(path, self.env.srcdir)).as_posix()
        node = explorer(explorer=name, ids=[f"explorer-{name}"])
        if node["ids"][0] in self.state.document.ids:
            raise self.error(f"explorer {name!r} stands on this page already: once is enough")
        self.state.document.ids[node["ids"][0]] = node
        self.set_source_info(node)
        # Not docutils' own width and height: Sphinx makes a link of an image that has those.
        alt = words(self.env.srcdir)(EXPLORERS[name].alt)
        node += still(uri=uri, alt=alt, size=(width, height))
        node += nodes.container("", *self.parse_content_to_nodes(), classes=["x-description"])
        return [node]


def visit_explorer(self, node):
    """Open the place of an explorer."""
    name = node["explorer"]
    label = words(self.builder.srcdir)(EXPLORERS[name].label)
    self.body.append(
        f'<div class="course-explorer" id="{node["ids"][0]}" data-explorer="{name}" '
        f'data-label="{html.escape(label)}">\n'
    )


def depart_explorer(self, node):
    """Close the place of an explorer."""
    self.body.append("</div>\n")


def visit_still(self, node):
    """Write the still picture. Loaded lazily: where the explorer runs, it is not loaded at all."""
    width, height = node["size"]
    source = f"{self.builder.imgpath}/{quote(self.builder.images[node['uri']])}"
    self.body.append(
        f'<figure class="x-still"><img src="{source}" alt="{html.escape(node["alt"])}" '
        f'width="{width}" height="{height}" loading="lazy"></figure>\n'
        f'<p class="x-offline">{words(self.builder.srcdir)(OFFLINE)}</p>\n'
    )
    raise nodes.SkipNode


def add_files(app, pagename, templatename, context, doctree):
    """Load the style sheet and the scripts on the pages that hold an explorer, and on no other."""
    names = [] if doctree is None else [node["explorer"] for node in doctree.findall(explorer)]
    if not names:
        return
    app.add_css_file(f"{FOLDER}/{STYLE}")
    for name in names:
        # An explorer may have a sheet of its own beside the shared one.
        if (ROOT / "assets" / FOLDER / f"{name}.css").is_file():
            app.add_css_file(f"{FOLDER}/{name}.css")
    table = WORDS.format(app.config.language)
    said = [table] if (Path(app.srcdir) / "assets" / FOLDER / table).is_file() else []
    scripts = [*said, SHARED, *(script for name in names for script in EXPLORERS[name].scripts)]
    for script in dict.fromkeys(scripts):
        # Deferred: the page is readable before they are read, and they run in this order.
        app.add_js_file(f"{FOLDER}/{script}", loading_method="defer")


def setup(app):
    """Register the directive with Sphinx."""
    # Read pages again when the stills would look different.
    app.add_config_value("course_explorers", digest(), "env", [str])
    app.add_node(explorer, html=(visit_explorer, depart_explorer))
    app.add_node(still, html=(visit_still, None))
    app.add_directive("explorer", ExplorerDirective)
    app.connect("html-page-context", add_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
