"""
Where the prose of the book is: one catalogue for each page, chapter, assignment, and for the rest.

Each source is a function that hands its prose to another, and returns the files that take its place
in the translated tree. Extraction listens and discards the files.
"""

from pathlib import Path

import jupytext
import yaml

from tools import pairs
from tools.translation import comments, interface, labels, markdown, strings, values
from tools.translation.messages import Collector, TranslationError

ROOT = Path(__file__).resolve().parents[2]


def catalogues(root=ROOT):
    """
    Return the names of all catalogues, in the order of the book.

    Parameters
    ----------
    root : path-like
        The folder of the repository.

    Returns
    -------
    list of str
        Such as ``"chapters/03_lenet"``.
    """
    root = Path(root)
    return [
        "book", "README", "intro",
        *(f"pages/{path.stem}" for path in sorted((root / "pages").glob("*.md"))),
        *(f"chapters/{stem}" for stem in pairs.sources(root)),
        *(f"assignments/{path.parent.name}" for path in
          sorted((root / "assignments").glob("*/master.py"))),
        "explorers", "interface",
    ]


def translate(name, say, root=ROOT):
    """
    Hand the prose of a source to a function, and put what that returns in its place.

    Parameters
    ----------
    name : str
        One of `catalogues`.
    say : callable
        Takes a text, what it is, and where it stands; returns what takes its place.
    root : path-like
        The folder of the repository.

    Returns
    -------
    dict
        File, from the root -> what takes its place: a text or a notebook.
    """
    root = Path(root)
    if name == "book":
        return _book(say, root)
    if name == "explorers":
        return labels.translate(say, root)
    if name == "interface":
        return interface.translate(say, root)
    room, _, stem = name.rpartition("/")
    if room == "chapters":
        return _chapter(stem, say, root)
    if room == "assignments":
        return _assignment(stem, say, root)
    file = f"{name}.md"
    text = (root / file).read_text(encoding="utf-8")
    return {file: markdown.translate(text, _Placed(say, file), 1, file)}


def extract(name, root=ROOT):
    """
    Return the messages of a source.

    Parameters
    ----------
    name : str
        One of `catalogues`.
    root : path-like
        The folder of the repository.

    Returns
    -------
    dict
        Text -> `tools.translation.messages.Message`, in the order of the source.
    """
    collector = Collector()
    translate(name, collector, root)
    return collector.messages


class _Placed:
    """A `say` of one file: it makes a place of a line, and names the section."""

    def __init__(self, say, file):
        self.say, self.file, self.section = say, file, ""

    def __call__(self, text, kind, line):
        if kind == "heading":
            self.section = text
        elif self.section:
            kind = f"{kind}, in: {self.section}"
        return self.say(text, kind, f"{self.file}:{line}")


def _cell_lines(path):
    """Return the line, in a file of cells, of the first line of each cell."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [number + 1 for number, line in enumerate(lines, 1)
            if line == "# %%" or line.startswith("# %% ")]


def _cells(notebook, path, file, say):
    """Translate the cells of a notebook in place."""
    starts, placed = _cell_lines(path), _Placed(say, file)
    if len(starts) != len(notebook.cells):
        raise TranslationError(f"{file}: {len(starts)} lines begin with '# %%', and there are "
                               f"{len(notebook.cells)} cells; begin each cell with such a line")
    for cell, line in zip(notebook.cells, starts, strict=True):
        if cell.cell_type == "markdown":
            cell.source = markdown.translate(cell.source, placed, line, file)
        elif cell.cell_type == "code":
            cell.source = comments.translate(cell.source, placed, line)
            image = cell.metadata.get("mystnb", {}).get("image", {})
            if "alt" in image:
                image["alt"] = placed(image["alt"], "alternative text of a figure", line - 1)
    return notebook


def _chapter(stem, say, root):
    """Translate a chapter: its stored notebook, or where there is none yet, its text."""
    script, path = pairs.paths(stem, root)
    notebook = pairs.read(path) if path.is_file() else pairs.from_source(script)
    made = _cells(notebook, script, f"chapters/{stem}.py", say)
    values.translate(made, say, f"chapters/{stem}.py")
    if path.is_file():
        return {f"chapters/{stem}.ipynb": made}
    return {f"chapters/{stem}.py": jupytext.writes(made, fmt="py:percent")}


def _assignment(name, say, root):
    """Translate the master of an assignment, and what its checks say."""
    folder = f"assignments/{name}"
    file = f"{folder}/master.py"
    notebook = _cells(jupytext.read(root / file, fmt="py:percent"), root / file, file, say)
    made = {file: jupytext.writes(notebook, fmt="py:percent")}
    for file in (f"{folder}/checks.py", f"{folder}/harness.py"):
        if (root / file).is_file():
            text = (root / file).read_text(encoding="utf-8")
            made[file] = strings.translate(text, _Placed(say, file))
    return made


def _book(say, root):
    """Translate the book's title, its authors, the captions of its parts, the tables of results."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    stated = yaml.safe_load((root / "pages/stated.yml").read_text(encoding="utf-8"))
    config["title"] = say(config["title"], "title of the book", "_config.yml")
    config["author"] = say(config["author"], "authors of the book", "_config.yml")
    logo = config["sphinx"]["config"]["html_theme_options"]["logo"]
    logo["text"] = say(logo["text"], "title of the book", "_config.yml")
    logo["alt_text"] = say(logo["alt_text"], "what a screen reader says of the logo", "_config.yml")
    for part in toc["parts"]:
        part["caption"] = say(part["caption"], "name of a part of the book", "_toc.yml")
    for table in stated.values():
        for row in table["rows"]:
            for key in ("what", "stated", "original"):
                if isinstance(row.get(key), str):
                    row[key] = say(row[key], "cell of the tables of results", "pages/stated.yml")
    reasons = root / "pages/reasons.yml"
    why = yaml.safe_load(reasons.read_text(encoding="utf-8")) if reasons.is_file() else {}
    for sides in why.values():
        for side, reason in (sides or {}).items():
            sides[side] = say(" ".join(reason.split()), "why a peer is ahead in a benchmark",
                              "pages/reasons.yml")
    return {file: yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
            for file, data in (("_config.yml", config), ("_toc.yml", toc),
                               ("pages/stated.yml", stated),
                               *([("pages/reasons.yml", why)] if why else []))}
