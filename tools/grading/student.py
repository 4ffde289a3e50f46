"""
Make notebooks from an assignment's master: the student copy, the solution and the wrong answers.

    python -m tools.grading.student OUT_FOLDER [ASSIGNMENT ...]

A student copy needs NumPy, Matplotlib, Keras and TensorFlow at most, and nothing of ours. After
each question stands a cell of plain asserts, the public cases; the hidden ones are in no file of
it. What the copy says besides the master is in the language of the source that the assignment is
of (`tools.languages`).
"""

import argparse
import ast
import shutil
import sys
import tokenize
from pathlib import Path

import nbformat

from tools.grading import asserts, definition, master
from tools.languages import Words, joined, mark, words

_ENGLISH = Words()
_CHECK = mark("Check yourself: {title}.")
#: The line that a cell of public checks begins with, in English.
CHECK = f"# {_CHECK.partition('{title}')[0]}"

_KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
           "language_info": {"name": "python"}}


def _notebook(cells):
    """Return a notebook of pairs of a kind and a source; the same pairs give the same bytes."""
    made = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell,
            "raw": nbformat.v4.new_raw_cell}
    notebook = nbformat.v4.new_notebook(metadata=nbformat.from_dict(_KERNEL))
    for number, (kind, source) in enumerate(cells, 1):
        notebook.cells.append(made[kind](source, id=f"cell-{number:03d}"))
    nbformat.validate(notebook)
    return notebook


def _said(assignment):
    """Return what the tools say, in the language of an assignment."""
    return words(assignment.folder.parents[1])


def _listed(names, tr=_ENGLISH):
    """
    Join names as a sentence does.

    Examples
    --------
    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = names
    return tr("{names} and {last}", names=tr(", ").join(first), last=last) if first else last


def _begins(tr):
    """Return what a cell of public checks begins with."""
    return f"# {tr(_CHECK).partition('{title}')[0]}"


def is_check(source, assignment):
    """Say whether the source of a cell is one of public checks."""
    return source.startswith(_begins(_said(assignment)))


def _handing_in(assignment):
    """Return the text that says how to hand in."""
    tr = _said(assignment)
    files = _listed([f"`{name}`" for name in (f"{assignment.name}.ipynb", *assignment.files)], tr)
    said = [
        tr("**Handing in.** Put your answers where the code says `...`, and keep the names of "
           "functions and variables: you are graded by these names. Add cells wherever you like. "
           "A cell that begins with *{check}* holds a few of the checks, in the open; it "
           "raises an error that says what to look at, or does nothing. The grader asks for more, "
           "with other numbers and shapes. Before you hand in, restart the kernel and run all "
           "cells.", check=_begins(tr)[2:].rstrip(" :：")),
        tr("Hand in {files}.", files=files)]
    if assignment.files:
        said.append(tr("They go into one zip, or one folder."))
    if (assignment.folder / "data").is_dir():
        said.append(tr("The folder `data/` belongs beside the notebook, and is not handed in."))
    said.append(tr("There are {points:g} points, and {seconds:g} seconds for everything together.",
                   points=sum(question.points for question in assignment.questions),
                   seconds=assignment.limits["seconds"]))
    return joined(said)


def check_cell(question, assignment):
    """
    Return the public cases of a question as the source of one cell.

    Parameters
    ----------
    question : tools.grading.definition.Question
    assignment : tools.grading.definition.Assignment

    Returns
    -------
    str
    """
    tr = _said(assignment)
    lines = [f"# {tr(_CHECK, title=question.title)}"]
    for case in question.cases:
        if not case.public:
            continue
        try:
            lines += asserts.asserts(case, assignment)
        except asserts.NoTextError as error:
            raise master.MasterError(f"{assignment.name}/checks.py, case {case.name}: it is public "
                                     f"and cannot be shown: {error}") from None
    return _wrapped("\n".join(lines))


def _wrapped(source, width=100):
    r"""
    Break long lines where Python allows it: within brackets, after a comma.

    Examples
    --------
    >>> print(_wrapped("f([1, 2, 3],\"a, b, c\")", 12))
    f([1, 2, 3],
        "a, b, c")
    """
    lines = source.split("\n")
    tokens = tokenize.generate_tokens(iter(f"{line}\n" for line in lines).__next__)
    depth, breaks = 0, {}
    for token in tokens:
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == "," and depth:
                breaks.setdefault(token.end[0], []).append(token.end[1])
    found = []
    for number, line in enumerate(lines, 1):
        start, indent = 0, ""
        while len(indent) + len(line) - start > width:
            room = [at for at in breaks.get(number, ())
                    if start < at < len(line) and len(indent) + at - start <= width]
            if not room:
                break
            found.append(indent + line[start:room[-1]].strip() if start else line[:room[-1]])
            start, indent = room[-1], " " * (len(line) - len(line.lstrip()) + 4)
        found.append(indent + line[start:].strip() if start else line)
    return "\n".join(found)


def pieces(assignment, code):
    """
    Return the cells that student copy, solution and otter's form share.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    code : callable
        Takes a `tools.grading.master.Cell` of code and returns its source.

    Returns
    -------
    list of tuple
        Kind, source, and the question that the cell belongs to: None for free cells. The cells of
        public checks are free cells.
    """
    cells = master.read(assignment)
    questions = {question.name: question for question in assignment.questions}
    public = [case for case in assignment.cases if case.public]
    first, *others = asserts.helpers(public) or [""]
    tr = _said(assignment)
    used = f"# {tr('Used by the checks below.')}\n{first}".rstrip("\n")
    helping = "\n\n\n".join([used, *others])
    found, opened, seen = [], None, False
    handed = False
    for cell in [*cells, None]:
        name = cell.question if cell else None
        if opened and name != opened:
            found.append(("code", check_cell(questions[opened], assignment), None))
        if name and not seen:
            found.append(("code", helping, None))
            seen = True
        opened = name
        if cell is None:
            break
        source = cell.source
        if cell.kind == "code":
            source = code(cell)
        elif name:
            source = source.replace("{points}", f"{questions[name].points:g}")
        found.append((cell.kind, source, name))
        if not handed and cell.kind == "markdown":
            found.append(("markdown", _handing_in(assignment), None))
            handed = True
    return found


def student_notebook(assignment):
    """
    Return the student copy.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment

    Returns
    -------
    nbformat.NotebookNode

    Raises
    ------
    tools.grading.master.MasterError
        When the master is not in order.
    """
    return _notebook([piece[:2] for piece in pieces(
        assignment, lambda cell: cell.without_solution())])


def solution_notebook(assignment):
    """Return the solution; as `student_notebook`, with everything filled in."""
    return _notebook([piece[:2] for piece in pieces(assignment, lambda cell: cell.plain())])


def mutants(assignment):
    """Return the paths of the wrong answers, sorted."""
    return sorted((assignment.folder / "mutants").glob("wrong_*.py"))


def fails(path, assignment):
    """
    Return the questions at which a wrong answer must lose points.

    Parameters
    ----------
    path : pathlib.Path
        One of `mutants`.
    assignment : tools.grading.definition.Assignment

    Returns
    -------
    set of str

    Raises
    ------
    tools.grading.master.MasterError
        When it does not say so, or not what the mistake is.
    """
    place = f"{assignment.name}/mutants/{path.name}"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not ast.get_docstring(tree):
        raise master.MasterError(f"{place}: its docstring has to name the mistake")
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FAILS":
            named = set(ast.literal_eval(node.value))
            known = {question.name for question in assignment.questions}
            if named and named <= known:
                return named
    raise master.MasterError(f'{place}: it has to say FAILS = ["..."], the questions that must '
                             "lose points")


def mutant_notebook(assignment, path):
    """
    Return the solution with a mistake in it, made by one more cell.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    path : path-like
        One of `mutants`.

    Returns
    -------
    nbformat.NotebookNode
    """
    path = Path(path)
    fails(path, assignment)
    # The checks of the student copy would find the mistake, but nobody has to run them.
    cells = [piece[:2] for piece in pieces(assignment, lambda cell: cell.plain())
             if not is_check(piece[1], assignment)]
    return _notebook([*cells, ("code", path.read_text(encoding="utf-8"))])


def make_files(assignment, folder):
    """
    Make what the solution and the wrong answers hand in beside their notebooks.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    folder : path-like
        A folder for them, not there yet.

    Returns
    -------
    callable
        Takes ``"solution"`` or the name of a wrong answer; returns the paths of its files.

    Raises
    ------
    tools.grading.definition.DefinitionError
        When ``files.py`` is missing, fails, or does not make what the solution needs.
    """
    folder = Path(folder)
    if assignment.files:
        place, wanted = f"{assignment.name}/files.py", ", ".join(assignment.files)
        if not (assignment.folder / "files.py").is_file():
            raise definition.DefinitionError(f"{place}: it is missing, and has to make {wanted}, "
                                             "which the solution hands in")
        cells = [piece[1] for piece in pieces(assignment, lambda cell: cell.plain())
                 if piece[0] == "code" and not is_check(piece[1], assignment)]
        module = definition._module(assignment.folder / "files.py")
        try:
            module.make_files(assignment, cells, folder)
        except Exception as error:
            raise definition.DefinitionError(f"{place}: {error}") from error
        missing = [name for name in assignment.files
                   if not (folder / "solution" / name).is_file()]
        if missing:
            raise definition.DefinitionError(f"{place}: it did not make {', '.join(missing)}")

    def made(name):
        place = folder / (name if (folder / name).is_dir() else "solution")
        return [path for path in (place / file for file in assignment.files) if path.is_file()]

    return made


def submit(assignment, notebook, files, folder):
    """
    Write what a student would hand in.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    notebook : nbformat.NotebookNode
    files : list of pathlib.Path
        What goes with it.
    folder : path-like
        It is made.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    folder = Path(folder)
    write(notebook, folder / f"{assignment.name}.ipynb")
    for path in files:
        shutil.copyfile(path, folder / path.name)
    return folder


def write(notebook, path):
    """Write a notebook; the same notebook gives the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    return path


def publish(assignment, out):
    """
    Write all that students get: the notebook, and the data beside it.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    out : path-like
        A folder of this assignment alone; what is in it is replaced.

    Returns
    -------
    list of pathlib.Path
        The files, the notebook first.
    """
    out = Path(out)
    notebook = student_notebook(assignment)
    shutil.rmtree(out, ignore_errors=True)
    written = [write(notebook, out / f"{assignment.name}.ipynb")]
    data = assignment.folder / "data"
    if data.is_dir():
        shutil.copytree(data, out / "data")
        written += sorted(path for path in (out / "data").rglob("*") if path.is_file())
    return written


def main(arguments=None):
    """Write student copies; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.grading.student",
                                     description=__doc__.strip().splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write, one folder for each assignment")
    parser.add_argument("assignments", nargs="*", help="their names; none means all")
    options = parser.parse_args(arguments)
    try:
        for name in options.assignments or definition.names():
            publish(definition.load(name), options.out / name)
            print(f"{options.out / name / name}.ipynb")
    except (definition.DefinitionError, master.MasterError) as error:
        print(f"student copies: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
