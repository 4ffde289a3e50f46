"""
Read an assignment's master: ``assignments/NAME/master.py``, in jupytext's percent form.

A raw cell ``QUESTION q1`` opens a question, a raw cell ``END QUESTION`` closes it. What students
do not get stands, within a question, between the lines ``# BEGIN SOLUTION`` and ``# END SOLUTION``,
or on a line that ends in ``# SOLUTION``. Title, points and tests are those of ``checks.py``.

``{{name}}`` stands for a text that ``texts`` of ``checks.py`` returns, in cells of code and of
prose; the student copy has the text in its place.
"""

import ast
import re
from dataclasses import dataclass

import jupytext

BEGIN, END, LINE = "# BEGIN SOLUTION", "# END SOLUTION", "# SOLUTION"
# Without the "# " of a comment, which jupytext takes off.
_OPENS = re.compile(r"QUESTION (\S+)")
_CLOSES = "END QUESTION"
_TEXT = re.compile(r"\{\{(\w+)\}\}")
_ASSIGNS = re.compile(r"(\s*[\w.]+(?:\s*,\s*[\w.]+)*\s*=)[^=].*")


class MasterError(Exception):
    """A master cannot be used; the message names the place, the cause and the remedy."""


@dataclass(frozen=True)
class Cell:
    """
    One cell of a master.

    Attributes
    ----------
    kind : str
        ``"markdown"`` or ``"code"``.
    source : str
        As it is in the master, solution and marks included, and each ``{{name}}`` filled in.
    question : str or None
        The question that it belongs to.
    place : str
        Where it is, for messages.
    """

    kind: str
    source: str
    question: str | None
    place: str

    @property
    def solution(self):
        """Numbers of the lines, from 1, that students do not get; the marks are among them."""
        return {number for number, kind, _ in _marked(self) if kind != "open"}

    def without_solution(self):
        """
        Return the source as students get it.

        Returns
        -------
        str
            Each block of solution has become ``...``, and ``name = value  # SOLUTION`` has become
            ``name = ...``.
        """
        lines = []
        for _, kind, line in _marked(self):
            indent = line[:len(line) - len(line.lstrip())]
            if kind == "open":
                lines.append(line)
            elif kind == "begin":
                lines.append(f"{indent}...")
            elif kind == "line":
                assigned = _ASSIGNS.fullmatch(line)
                lines.append(f"{assigned[1]} ..." if assigned else f"{indent}...")
        return "\n".join(lines)

    def plain(self):
        """Return the source with its solution and without the marks."""
        return "\n".join(
            line.rstrip().removesuffix(LINE).rstrip() if kind == "line" else line
            for _, kind, line in _marked(self) if kind not in ("begin", "end"))


def _marked(cell):
    """Return each line of a cell with its number, from 1, and what it is."""
    found, inside = [], False
    for number, line in enumerate(cell.source.split("\n"), 1):
        text = line.strip()
        if cell.kind != "code":
            kind = "open"
        elif text == BEGIN or text == END:
            kind = "begin" if text == BEGIN else "end"
            if inside is (text == BEGIN):
                raise MasterError(f"{cell.place}, line {number}: {text} without its counterpart")
            inside = text == BEGIN
        elif inside:
            kind = "inside"
        else:
            kind = "line" if text.endswith(LINE) else "open"
        found.append((number, kind, line))
    if inside:
        raise MasterError(f"{cell.place}: {BEGIN} without {END}")
    return found


def read(assignment):
    """
    Read and check a master.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment

    Returns
    -------
    tuple of Cell

    Raises
    ------
    MasterError
        When it is missing, or its questions or texts are not those of ``checks.py``, or a solution
        is not marked.
    """
    name = f"{assignment.name}/master.py"
    path = assignment.folder / "master.py"
    if not path.is_file():
        raise MasterError(f"{name}: there is no master; it holds the text and the solutions")
    notebook = jupytext.read(path, fmt="py:percent")
    cells, names, current, used = [], [], None, set()
    for number, cell in enumerate(notebook.cells, 1):
        source = cell.source.strip("\n")
        place = f"{name}, cell {number}" + (f" ({current})" if current else "")
        if cell.cell_type == "raw":
            opened = _OPENS.fullmatch(source.strip())
            if opened and current is None:
                current = opened[1]
                names.append(current)
            elif source.strip() == _CLOSES and current is not None:
                current = None
            else:
                raise MasterError(f"{place}: a raw cell is 'QUESTION name' or, after it, "
                                  f"'{_CLOSES}'; this one is {source[:40]!r}")
            continue
        source = _filled(source, cell.cell_type, assignment.texts, place, used)
        cells.append(Cell(cell.cell_type, source, current, place))
    if current is not None:
        raise MasterError(f"{name}: {current} is not closed by a raw cell '{_CLOSES}'")
    wanted = [question.name for question in assignment.questions]
    if names != wanted:
        odd = sorted(set(names) ^ set(wanted)) or ["their order"]
        raise MasterError(f"{name}: its questions are {', '.join(names) or 'none'}, and those of "
                          f"checks.py {', '.join(wanted)}: see {', '.join(odd)}")
    unused = sorted(set(assignment.texts) - used)
    if unused:
        raise MasterError(f"{name}: texts of checks.py has {', '.join(unused)}, and no cell says "
                          f"{{{{{unused[0]}}}}}")
    _check(tuple(cells), wanted, name)
    return tuple(cells)


def _filled(source, kind, texts, place, used):
    """Return a cell's source with its texts filled in, and note which were used."""
    def text(mark):
        if mark[1] not in texts:
            raise MasterError(f"{place}: {mark[0]} stands for a text, and texts of checks.py has "
                              f"{', '.join(sorted(texts)) or 'none'}; where it is no mark, put a "
                              "space between the braces")
        used.add(mark[1])
        value = texts[mark[1]]
        return value if isinstance(value, str) else f"{value:_}" if kind == "code" else f"{value:,}"

    return _TEXT.sub(text, source)


def _check(cells, questions, name):
    """Check that the code is Python with and without its solutions, and that each is marked."""
    marked = set()
    for cell in cells:
        if cell.kind != "code":
            continue
        if cell.solution and cell.question is None:
            raise MasterError(f"{cell.place}: a solution stands outside a question")
        if cell.solution:
            marked.add(cell.question)
        for source, which in ((cell.plain(), "with"), (cell.without_solution(), "without")):
            try:
                ast.parse(source)
            except SyntaxError as error:
                raise MasterError(f"{cell.place}: {which} its solution it is not Python, line "
                                  f"{error.lineno}: {error.msg}") from None
    for question in questions:
        if question not in marked:
            raise MasterError(f"{name}, {question}: no solution is marked, so students would get "
                              f"it; put it between '{BEGIN}' and '{END}'")
