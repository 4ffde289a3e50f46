"""What the chapters compute, for tests that hold the explorers against it."""

import ast
import re
from functools import cache

import nbformat
import numpy as np

from tests.browser.contents import ROOT


@cache
def _parsed(chapter):
    return ast.parse((ROOT / "chapters" / f"{chapter}.py").read_text(encoding="utf-8"))


def functions(chapter, *names, **others):
    """
    Return functions of a chapter, executed.

    Parameters
    ----------
    chapter : str
        Name of the chapter, such as ``01_convolution``.
    *names : str
        Names of its functions.
    **others
        What these functions use beside NumPy and one another.

    Returns
    -------
    dict
        The functions by name.
    """
    nodes = [n for n in _parsed(chapter).body if isinstance(n, ast.FunctionDef) and n.name in names]
    assert len(nodes) == len(names), f"{chapter} has not all of {names}"
    found = {"np": np, **others}
    exec(compile(ast.Module(nodes, []), chapter, "exec"), found)
    return found


def printed(chapter, code):
    """
    Return what the stored notebook of a chapter printed below the one cell that holds some code.

    Parameters
    ----------
    chapter : str
        Name of the chapter.
    code : str
        A part of the cell, which no other has.

    Returns
    -------
    str
    """
    notebook = nbformat.read(ROOT / "chapters" / f"{chapter}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and code in cell.source]
    assert len(cells) == 1, f"{len(cells)} cells of {chapter} hold {code!r}"
    text = "".join(output.get("text", "") for output in cells[0].outputs)
    assert text, f"the cell with {code!r} in {chapter} has printed nothing"
    return text


def arrays(text):
    """
    Return the matrices in what was printed, in their order.

    Parameters
    ----------
    text : str
        What NumPy printed, words between the matrices included.

    Returns
    -------
    list of ndarray

    Examples
    --------
    >>> [a.tolist() for a in arrays("first [[1. 2.]\\n [3. 4.]] and then\\n [[-5]]")]
    [[[1.0, 2.0], [3.0, 4.0]], [[-5.0]]]
    """
    found = re.findall(r"\[\[[\d\s.\[\]e+-]*?\]\]", text)
    return [np.array([[float(number) for number in row.split()]
                      for row in re.findall(r"\[([^\[\]]+)\]", matrix)]) for matrix in found]
