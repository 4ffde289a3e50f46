"""
The two halves of a chapter: the ``.py`` that is edited and the ``.ipynb`` that is read and run.

The notebook is always generated from the ``.py``; only its outputs come from a run. A digest of the
code that produced them is kept in its metadata, so that a stored output that no longer belongs to
the code can be told from one that does.
"""

import ast
import base64
import hashlib
import io
import json
import os
import re
import tempfile
from difflib import SequenceMatcher
from pathlib import Path

import jupytext
import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = "parameters"
CHECKED = "nbval-check-output"


class ChapterError(Exception):
    """A chapter cannot be read, run or trusted; the message names the chapter, cell and cause."""


def sources(root=ROOT):
    """Return the chapters on disk: their stems, sorted, from the ``.py`` files."""
    return sorted(path.stem for path in (Path(root) / "chapters").glob("*.py"))


def notebooks(root=ROOT):
    """Return the stems of the notebooks on disk, sorted."""
    return sorted(path.stem for path in (Path(root) / "chapters").glob("*.ipynb"))


def paths(stem, root=ROOT):
    """Return the paths of the ``.py`` and the ``.ipynb`` of a chapter."""
    folder = Path(root) / "chapters"
    return folder / f"{stem}.py", folder / f"{stem}.ipynb"


def code_cells(notebook):
    """Return the code cells that hold code (or a comment), in order."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def tags(cell):
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def from_source(path):
    """
    Build the notebook, without outputs, that a ``.py`` file describes.

    Parameters
    ----------
    path : path-like
        A file in jupytext's ``py:percent`` format.

    Returns
    -------
    nbformat.NotebookNode
        The notebook; the same text gives the same bytes, cell identifiers included.
    """
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict({
        "jupytext": {"formats": notebook.metadata.get("jupytext", {}).get("formats", "")},
        "kernelspec": dict(notebook.metadata.get("kernelspec", {})),
    })
    taken = set()
    for cell in notebook.cells:
        # An identifier made from the text: random ones would change at each run.
        text, salt = f"{cell.cell_type}\n{cell.source}", 0
        while (name := hashlib.sha256(f"{salt}{text}".encode()).hexdigest()[:8]) in taken:
            salt += 1
        taken.add(name)
        cell.id = name
    return notebook


def read(path):
    """Read a stored notebook."""
    return nbformat.read(path, as_version=4)


def write(notebook, path):
    """Write a notebook whole or not at all: to a temporary file first, then by a rename."""
    replace_text(path, nbformat.writes(notebook).rstrip("\n") + "\n")


def replace_text(path, text):
    """Replace the text of a file in one step, so that a reader never sees half of it."""
    path = Path(path)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def _canonical(node):
    # Written out by hand because ast.dump differs from one version of Python to the next.
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, repr(node.value)]
    if isinstance(node, ast.JoinedStr):
        # Python 3.12 ends a nested format with an empty piece of text; 3.11 and 3.13 do not.
        pieces = [p for p in node.values if not isinstance(p, ast.Constant) or p.value != ""]
        return ["JoinedStr", [_canonical(piece) for piece in pieces]]
    if isinstance(node, ast.AST):
        fields = [[k, _canonical(v)] for k, v in ast.iter_fields(node) if v not in (None, [])]
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_canonical(item) for item in node]
    return repr(node)


def cell_digest(source):
    """
    Digest what a code cell does: its syntax tree, so neither comments nor layout count.

    Parameters
    ----------
    source : str
        The text of the cell.

    Returns
    -------
    str
        SHA-256 in hexadecimal, the same for every Python from 3.11 on.

    Raises
    ------
    ChapterError
        When the text is not Python; IPython's magics are not.

    Examples
    --------
    >>> cell_digest("x = 1") == cell_digest("x  =  1  # one")
    True
    >>> cell_digest("%matplotlib inline")
    Traceback (most recent call last):
        ...
    tools.pairs.ChapterError: '%matplotlib inline' is an IPython magic; chapters hold plain Python
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        for line in source.splitlines():
            if line.lstrip().startswith(("%", "!")) or line.rstrip().endswith("?"):
                raise ChapterError(
                    f"{line.strip()!r} is an IPython magic; chapters hold plain Python"
                ) from None
        raise ChapterError(f"line {error.lineno} is not Python: {error.msg}") from None
    return hashlib.sha256(json.dumps(_canonical(tree)).encode()).hexdigest()


def code_digest(notebook):
    """
    Digest all the code of a notebook, its parameters included.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The notebook.

    Returns
    -------
    str
        SHA-256 in hexadecimal. While it stays the same, the stored outputs are not stale.
    """
    total = hashlib.sha256()
    for number, cell in enumerate(code_cells(notebook), 1):
        try:
            total.update(cell_digest(cell.source).encode())
        except ChapterError as error:
            raise ChapterError(f"code cell {number}: {error}") from None
    return total.hexdigest()


def surroundings(root=ROOT):
    """
    Digest what a chapter uses beside its own code: ``datasetslib`` and the lock.

    Their changing is worth a note, not a week of training, so these are kept apart.

    Parameters
    ----------
    root : path-like
        The folder of the repository.

    Returns
    -------
    dict of str
        SHA-256 in hexadecimal by name; a part that is not there is left out.
    """
    root, found = Path(root), {}
    modules = sorted((root / "datasetslib").rglob("*.py"))
    if modules:
        text = "\n".join(f"{m.name}\n{m.read_text(encoding='utf-8')}" for m in modules)
        found["datasetslib"] = hashlib.sha256(text.encode()).hexdigest()
    if (root / "requirements.txt").is_file():
        lock = (root / "requirements.txt").read_text(encoding="utf-8")
        found["lock"] = hashlib.sha256(lock.encode()).hexdigest()
    return found


def differences(fresh, stored):
    """
    Say how a stored notebook differs from the one its ``.py`` describes, outputs apart.

    Parameters
    ----------
    fresh, stored : nbformat.NotebookNode
        The notebook built from the ``.py``, and the one on disk.

    Returns
    -------
    list of str
        One sentence for each difference; empty when the two agree.
    """
    found = []
    if len(fresh.cells) != len(stored.cells):
        found.append(f"the .py has {len(fresh.cells)} cells, the notebook {len(stored.cells)}")
    for number, (new, old) in enumerate(zip(fresh.cells, stored.cells, strict=False), 1):
        start = (new.source.strip().splitlines() or ["(empty)"])[0][:60]
        if (new.cell_type, new.source) != (old.cell_type, old.source):
            found.append(f"cell {number} differs, starting with {start!r} in the .py")
            break
        if new.metadata != old.metadata:
            found.append(f"cell {number} ({start!r}) has other tags or metadata")
        elif new.id != old.get("id"):
            found.append(f"cell {number} ({start!r}) has another identifier")
    if fresh.metadata.jupytext != stored.metadata.get("jupytext"):
        found.append("the jupytext header differs")
    return found


def synchronised(fresh, stored):
    """
    Carry the outputs over from a stored notebook to the text of its edited ``.py``.

    Parameters
    ----------
    fresh, stored : nbformat.NotebookNode
        The notebook built from the ``.py`` (changed in place), and the one on disk.

    Returns
    -------
    int
        How many code cells lost their outputs because their code changed. The digest of the code
        that made the outputs stays in the metadata, so such a notebook is reported as stale.
    """
    new = [cell for cell in fresh.cells if cell.cell_type == "code"]
    old = [cell for cell in stored.cells if cell.cell_type == "code"]
    matcher = SequenceMatcher(
        None, [cell_digest(c.source) for c in old], [cell_digest(c.source) for c in new], False
    )
    kept = 0
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            source, target = old[block.a + offset], new[block.b + offset]
            target.outputs, target.execution_count = source.outputs, source.execution_count
            kept += 1
    fresh.metadata = nbformat.from_dict({**stored.metadata, **fresh.metadata})
    return len(new) - kept


def normalise(notebook):
    """
    Remove from a notebook that ran what would differ at the next run without meaning anything.

    Standard error (TensorFlow's start-up notes), timing records, the state of widgets and the
    number of Python's patch release go; results stay. A drawing is stored in one line: as a list of
    its short lines, as JSON has it, it takes half as much room again. The photographs in it are
    stored as `lossless` does.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Changed in place.
    """
    notebook.metadata.get("language_info", {}).pop("version", None)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            for output in cell.outputs:
                drawing = output.get("data", {}).get("image/svg+xml")
                if drawing is not None:
                    drawing = re.sub(r"\s*\n\s*", " ", drawing).strip()
                    output.data["image/svg+xml"] = PNG.sub(lossless, drawing)


PNG = re.compile(r"data:image/png;base64,\s*([A-Za-z0-9+/=]+)")
"""What matplotlib writes into a drawing for a picture made of pixels."""


def lossless(found):
    """
    Write a picture that a drawing holds as lossless WebP, two thirds of its size as PNG.

    A page of photographs is downloaded by readers on a phone, and a notebook has to stay small.
    Every browser of the last years shows the format. Pixels that can be seen are the same, to the
    last bit.

    Parameters
    ----------
    found : re.Match
        Of `PNG`.

    Returns
    -------
    str
        The address of the picture, which holds its data.
    """
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as picture:
        colours = picture.convert("RGBA")
    if colours.getchannel("A").getextrema() == (255, 255):
        colours = colours.convert("RGB")
    written = io.BytesIO()
    colours.save(written, "WEBP", lossless=True, quality=100, method=6)
    return f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"
