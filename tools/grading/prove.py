"""
Prove the assignments: what must hold before a student copy leaves the house.

    python -m tools.grading.prove [ASSIGNMENT ...] [--out FOLDER] [--assignments FOLDER]

For each assignment: the solution gets all points; the untouched student copy gets none in any
question; each wrong answer in ``mutants/`` loses points in the questions that it names, and in no
other; at least half of each question is decided by hidden cases; and nothing of the solution or of
the hidden cases stands in a student file, comments included. Prints a table, writes the student
copies of what is proven, and exits with 1 if anything fails.
"""

import argparse
import ast
import io
import re
import sys
import tempfile
import tokenize
from pathlib import Path

from tools.grading import asserts, definition, master, sandbox, student
from tools.grading.grader import grade_one

#: At least so many wrong answers belong to each assignment.
MUTANTS = 3

#: A statement shorter than this gives nothing away: ``return x``, ``total = 0``.
TELLING = 16

CHECKS = ("solution", "untouched", "mutants", "hidden", "no leak")


def squeezed(text):
    """Return a text without white space and with one kind of quotes."""
    return re.sub(r"\s+", "", text).replace('"', "'")


def statements(source):
    r"""
    Return the statements of a program, each in one spelling, without what they enclose.

    Examples
    --------
    >>> statements("if a :\n    b = ( 1 )")
    ['if a:', 'b = 1']
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            lines = ast.unparse(node).split("\n")
            encloses = hasattr(node, "body")
            found.append(lines[0] if encloses else "\n".join(lines))
    return found


def comments(source):
    """Return the comments of a program, without their signs."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]


def secrets(assignment):
    """
    Return what no student file may hold, each with the place that it comes from.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment

    Returns
    -------
    dict of str to str
        Squeezed text -> place.
    """
    found = {}
    for cell in master.read(assignment):
        if cell.kind != "code" or not cell.solution:
            continue
        shown = set(statements(cell.without_solution()))
        lines = cell.source.split("\n")
        whole = [squeezed(line.split(master.LINE)[0]) for number, line in enumerate(lines, 1)
                 if number in cell.solution]
        said = [squeezed(text) for text in statements(cell.plain()) if text not in shown]
        said += [squeezed(text) for text in comments(cell.plain())
                 if text not in comments(cell.without_solution())]
        for text in [*whole, *said]:
            if len(text) >= TELLING and not text.startswith("#"):
                found.setdefault(text, f"{cell.place}, the solution")
    public = " ".join(squeezed(line) for case in assignment.cases if case.public
                      for line in asserts.asserts(case, assignment))
    for case in assignment.cases:
        if case.public:
            continue
        given = ", ".join([*map(asserts.literal, case.args),
                           *(f"{key}={asserts.literal(item)}" for key, item in
                             case.kwargs.items())])
        texts = [squeezed(f"{case.target}({given})")] if case.kind != "value" else []
        texts += [squeezed(asserts.literal(item)) for item in [*case.args, case.expected]
                  if hasattr(item, "shape") and item.size > 2]
        for text in texts:
            if len(text) >= TELLING and text not in public:
                found.setdefault(text, f"{assignment.name}/checks.py, hidden case {case.name}")
    return found


def leaks(assignment, files):
    """
    Return the places of secrets that student files hold.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    files : iterable of pathlib.Path
        What students get: notebooks, and data.

    Returns
    -------
    list of str
        File, what it holds, and where that comes from.
    """
    hidden, found = secrets(assignment), []
    for path in files:
        if path.suffix == ".ipynb":
            notebook = student.nbformat.read(path, as_version=4)
            texts = [cell.source for cell in notebook.cells]
            texts += ["\n".join(statements(cell.source)) for cell in notebook.cells
                      if cell.cell_type == "code"]
            # A comment over several lines is one text.
            texts += ["".join(comments(cell.source)) for cell in notebook.cells
                      if cell.cell_type == "code"]
        else:
            texts = [path.read_bytes().decode("utf-8", "replace")]
        whole = "\n".join(map(squeezed, texts))
        found += [f"{path.name} holds {text[:60]!r}: {place}"
                  for text, place in hidden.items() if text in whole]
    return found


def _lost(grade):
    """Return the questions in which points were lost."""
    return {name for name, question in grade.questions.items()
            if question.points < question.possible}


def prove(assignment, folder, isolation="bubblewrap"):
    """
    Hold one assignment against everything that must be true of it.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    folder : path-like
        An empty folder; afterwards ``student/`` in it is what students get.
    isolation : str
        As in `tools.grading.grader.grade_one`.

    Returns
    -------
    dict of str to str
        For each of `CHECKS` what is wrong, empty where nothing is.
    """
    folder = Path(folder)

    def graded(notebook, name):
        return grade_one(student.write(notebook, folder / f"{name}.ipynb"), assignment,
                         isolation=isolation)

    def complaints(grade, names):
        return "; ".join(
            f"{case} {outcome.reason}" for name in sorted(names)
            for case, outcome in grade.questions[name].cases.items() if not outcome.passed)

    problems = dict.fromkeys(CHECKS, "")
    solution = graded(student.solution_notebook(assignment), "solution")
    if solution.reason or _lost(solution):
        problems["solution"] = solution.reason or complaints(solution, _lost(solution))
    files = student.publish(assignment, folder / "student")
    untouched = grade_one(files[0], assignment, isolation=isolation)
    given = [name for name, question in untouched.questions.items() if question.points]
    if untouched.reason or given:
        problems["untouched"] = untouched.reason or f"points for nothing in {', '.join(given)}"
    wrong = student.mutants(assignment)
    said = [] if len(wrong) >= MUTANTS else [f"{len(wrong)} wrong answers, at least {MUTANTS}"]
    for path in wrong:
        wanted = student.fails(path, assignment)
        lost = _lost(graded(student.mutant_notebook(assignment, path), path.stem))
        if lost != wanted:
            said.append(f"{path.stem} should lose points in {', '.join(sorted(wanted))}, and does "
                        f"in {', '.join(sorted(lost)) or 'none'}")
    problems["mutants"] = "; ".join(said)
    thin = [question.name for question in assignment.questions
            if question.hidden_share < definition.HIDDEN_SHARE]
    problems["hidden"] = f"less than half is hidden in {', '.join(thin)}" if thin else ""
    problems["no leak"] = "; ".join(leaks(assignment, files))
    return problems


def table(proven):
    """Return the proof as a text: a row for each assignment, a column for each check."""
    width = max(map(len, proven))
    rows = ["  ".join(["assignment".ljust(width), *(check.rjust(9) for check in CHECKS)])]
    for name, problems in proven.items():
        marks = ("FAILED" if problems[check] else "ok" for check in CHECKS)
        rows.append("  ".join([name.ljust(width), *(mark.rjust(9) for mark in marks)]))
    return "\n".join(rows)


def main(arguments=None):
    """Prove assignments and write their student copies; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.grading.prove",
                                     description=__doc__.strip().splitlines()[0])
    parser.add_argument("names", nargs="*", help="the assignments; none means all")
    parser.add_argument("--out", type=Path, default=definition.ROOT / "build" / "assignments",
                        help="folder for the student copies (default: build/assignments)")
    parser.add_argument("--assignments", type=Path, default=definition.ASSIGNMENTS,
                        help="folder of the masters (default: assignments)")
    options = parser.parse_args(arguments)
    proven = {}
    try:
        sandbox.ensure()
        for name in options.names or definition.names(options.assignments):
            assignment = definition.load(name, options.assignments)
            with tempfile.TemporaryDirectory() as folder:
                proven[name] = prove(assignment, folder)
            if not any(proven[name].values()):
                student.publish(assignment, options.out / name)
    except (definition.DefinitionError, master.MasterError, sandbox.SandboxError) as error:
        print(f"assignments: {error}", file=sys.stderr)
        return 1
    print(table(proven))
    failed = [f"{name}, {check}: {what}" for name, problems in proven.items()
              for check, what in problems.items() if what]
    for line in failed:
        print(line, file=sys.stderr)
    if not failed:
        print(f"Student copies: {options.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
