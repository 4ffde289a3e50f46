"""The digest and the pair."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from PIL import Image

from tools import pairs


@pytest.mark.parametrize(
    "other, same",
    [
        ("x = f(1, 2)  # a comment", True),
        ("x = f(\n    1,\n    2,\n)", True),
        ("x = f(1, 2)\n\n# the end", True),
        ("x = f(1, 2.0)", False),
        ("x = f(1, '2')", False),
        ("x = f(1, True)", False),
        ("y = f(1, 2)", False),
        ("x = f(1, 2)\nx", False),
        ("x = f(1, None)", False),
    ],
)
def test_the_digest_sees_code_and_nothing_else(other, same):
    assert (pairs.cell_digest("x = f(1, 2)") == pairs.cell_digest(other)) is same


def test_the_digest_is_the_same_for_every_python():
    # Each of 3.11, 3.12 and 3.13 has a syntax tree of its own for functions and nested formats.
    source = (
        "def f(a, *b, c: int = 3, **d) -> str:\n"
        '    """Doc."""\n'
        '    return f"{a:<{c}}" f"{b!r}"\n'
    )
    assert pairs.cell_digest(source).startswith("2569e667828f")


def test_code_that_is_not_python():
    with pytest.raises(pairs.ChapterError, match="line 2 is not Python"):
        pairs.cell_digest("x = 1\ny = = 2")


def test_the_same_source_gives_the_same_notebook(course):
    once, twice = pairs.from_source(course.script), pairs.from_source(course.script)
    assert once == twice
    assert len({cell.id for cell in once.cells}) == len(once.cells)


def test_equal_cells_have_identifiers_of_their_own(course):
    course.edit("conditions()", "conditions()\n\n# %%\n1\n\n# %%\n1")
    notebook = pairs.from_source(course.script)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_outputs_follow_their_cell_when_another_is_inserted(course):
    course.edit("# %%\ndistance", "# %%\nextra = 1\n\n# %%\ndistance")
    fresh, stored = pairs.from_source(course.script), pairs.read(course.notebook)
    assert pairs.synchronised(fresh, stored) == 1
    cells = pairs.code_cells(fresh)
    assert cells[2].outputs == pairs.code_cells(stored)[2].outputs != []
    assert cells[3].outputs == [] and cells[3].execution_count is None
    assert cells[4].outputs == pairs.code_cells(stored)[3].outputs != []


def test_a_failed_write_leaves_the_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_text("before")
    monkeypatch.setattr(pairs.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        pairs.replace_text(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_drawing_is_stored_in_one_line_that_draws_the_same():
    drawing = '<svg width="9">\n <path d="M 0 0 \nL 1 2 \nz\n"/>\n</svg>\n'
    data = {"image/svg+xml": drawing, "text/plain": "a\nb"}
    cell = nbformat.v4.new_code_cell("draw()")
    cell.outputs = [nbformat.v4.new_output("display_data", data)]
    pairs.normalise(nbformat.v4.new_notebook(cells=[cell]))
    stored = cell.outputs[0].data
    assert stored["image/svg+xml"] == '<svg width="9"> <path d="M 0 0 L 1 2 z "/> </svg>'
    assert stored["text/plain"] == "a\nb"


def drawn(picture):
    """Return a drawing that holds a picture, as matplotlib writes it, stored by `normalise`."""
    held = io.BytesIO()
    picture.save(held, "PNG")
    data = base64.b64encode(held.getvalue()).decode()
    svg = f'<svg><image xlink:href="data:image/png;base64,\n{data}" id="a"/></svg>'
    cell = nbformat.v4.new_code_cell("draw()")
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/svg+xml": svg})]
    pairs.normalise(nbformat.v4.new_notebook(cells=[cell]))
    return svg, cell.outputs[0].data["image/svg+xml"]


@pytest.mark.parametrize("channels", [3, 4])
def test_a_photograph_in_a_drawing_gets_smaller_and_keeps_its_pixels(channels):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, 32, channels), dtype="uint8") // 8 * 8
    if channels == 4:
        pixels[..., 3] |= 1  # what is wholly transparent has no colour to keep
    svg, stored = drawn(Image.fromarray(pixels).convert("RGBA"))
    assert len(stored) < len(svg) and stored.endswith('" id="a"/></svg>')
    kind, data = re.search(r"data:image/(\w+);base64,([^\"]+)", stored).groups()
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert kind == "webp"
        assert np.array_equal(np.asarray(picture.convert("RGBA"))[..., :channels], pixels)


def test_what_was_stored_is_stored_again():
    _, stored = drawn(Image.new("RGB", (3, 3), "red"))
    cell = nbformat.v4.new_code_cell("draw()")
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/svg+xml": stored})]
    pairs.normalise(nbformat.v4.new_notebook(cells=[cell]))
    assert cell.outputs[0].data["image/svg+xml"] == stored
