"""
Prove the assignments: what must hold before a student copy leaves the house.

    python -m tools.grading.prove [ASSIGNMENT ...] [--out FOLDER] [--assignments FOLDER]
                                  [--variant NAME=VALUE ...] [--jobs N]

For each assignment: the solution gets all points; the untouched student copy gets none in any
question; each wrong answer in ``mutants/`` loses points in the questions that it names, and in no
other; at least half of each question is decided by hidden cases; and nothing of the solution or of
the hidden cases stands in a student file, comments included. Prints a table, writes the student
copies of what is proven, and exits with 1 if anything fails.

What an assignment hands in beside its notebook is made first, by its ``files.py``. Where its hidden
inputs are data that this machine does not have, it is not proven, and nothing takes their place.
``--variant data=synthetic`` asks for other data by name.
"""

import argparse
import ast
import io
import re
import sys
import tempfile
import time
import tokenize
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.grading import asserts, definition, master, sandbox, student
from tools.grading.grader import cores, grade_one

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
        # What is made when it is asked for is too much to stand in a notebook.
        if case.public or isinstance(case.args, definition.Later):
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


def prove(assignment, folder, isolation="bubblewrap", jobs=1):
    """
    Hold one assignment against everything that must be true of it.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    folder : path-like
        An empty folder; afterwards ``student/`` in it is what students get.
    isolation : str
        As in `tools.grading.grader.grade_one`.
    jobs : int
        How many submissions are graded at a time.

    Returns
    -------
    dict of str to str
        For each of `CHECKS` what is wrong, empty where nothing is.

    Raises
    ------
    tools.grading.definition.DefinitionError
        When the hidden inputs, or what the solution hands in, cannot be made.
    """
    folder = Path(folder)
    definition.ready(assignment)
    files = student.publish(assignment, folder / "student")
    made = student.make_files(assignment, folder / "files")

    def graded(name, notebook):
        place = student.submit(assignment, notebook, made(name), folder / "submissions" / name)
        return grade_one(place, assignment, isolation=isolation)

    def complaints(grade, names):
        return "; ".join(
            f"{case} {outcome.reason}" for name in sorted(names)
            for case, outcome in grade.questions[name].cases.items() if not outcome.passed)

    wrong = {path.stem: path for path in student.mutants(assignment)}
    wanted = {name: student.fails(path, assignment) for name, path in wrong.items()}
    with ThreadPoolExecutor(jobs) as pool:
        untouched = pool.submit(grade_one, files[0], assignment, isolation=isolation)
        solution = pool.submit(graded, "solution", student.solution_notebook(assignment))
        graded_wrong = {name: pool.submit(graded, name, student.mutant_notebook(assignment, path))
                        for name, path in wrong.items()}
    solution, untouched = solution.result(), untouched.result()
    problems = dict.fromkeys(CHECKS, "")
    if solution.reason or _lost(solution):
        problems["solution"] = solution.reason or complaints(solution, _lost(solution))
    given = [name for name, question in untouched.questions.items() if question.points]
    if untouched.reason or given:
        problems["untouched"] = untouched.reason or f"points for nothing in {', '.join(given)}"
    said = [] if len(wrong) >= MUTANTS else [f"{len(wrong)} wrong answers, at least {MUTANTS}"]
    for name, waiting in graded_wrong.items():
        lost = _lost(waiting.result())
        if lost != wanted[name]:
            said.append(f"{name} should lose points in {', '.join(sorted(wanted[name]))}, and does "
                        f"in {', '.join(sorted(lost)) or 'none'}")
            if more := complaints(waiting.result(), lost - wanted[name]):
                said[-1] += f" ({more})"
    problems["mutants"] = "; ".join(said)
    thin = [question.name for question in assignment.questions
            if question.hidden_share < definition.HIDDEN_SHARE]
    problems["hidden"] = f"less than half is hidden in {', '.join(thin)}" if thin else ""
    problems["no leak"] = "; ".join(leaks(assignment, files))
    return problems


def table(proven, seconds=None):
    """Return the proof as a text: a row for each assignment, a column for each check."""
    width = max(map(len, proven))
    took = {name: f"{took:.0f}" for name, took in (seconds or {}).items()}
    rows = [["assignment", *CHECKS, *(["seconds"] if took else [])]]
    for name, problems in proven.items():
        marks = ["FAILED" if problems[check] else "ok" for check in CHECKS]
        rows.append([name, *marks, *([took[name]] if took else [])])
    return "\n".join("  ".join([name.ljust(width), *(mark.rjust(9) for mark in marks)])
                     for name, *marks in rows)


def _setting(text):
    """Read ``NAME=VALUE``; a value that is no literal of Python is a text."""
    name, sign, value = text.partition("=")
    if not (sign and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as data=synthetic")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _loaded(name, options):
    """Load an assignment in the variant that is asked for, as far as it has such values."""
    plain = definition.load(name, options.assignments)
    chosen = {key: value for key, value in options.variant if key in plain.variant}
    return definition.load(name, options.assignments, chosen) if chosen else plain


def main(arguments=None):
    """Prove assignments and write their student copies; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.grading.prove",
                                     description=__doc__.strip().splitlines()[0])
    parser.add_argument("names", nargs="*", help="the assignments; none means all")
    parser.add_argument("--out", type=Path, default=definition.ROOT / "build" / "assignments",
                        help="folder for the student copies (default: build/assignments)")
    parser.add_argument("--assignments", type=Path, default=definition.ASSIGNMENTS,
                        help="folder of the masters (default: assignments)")
    parser.add_argument("--variant", type=_setting, action="append", default=[],
                        metavar="NAME=VALUE", help="a value of VARIANT, for the assignments that "
                        "have it: data=synthetic")
    parser.add_argument("--jobs", type=int, default=cores(), metavar="N",
                        help="how many submissions are graded at a time (here: %(default)s)")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs is a number from 1")
    proven, seconds = {}, {}
    try:
        sandbox.ensure()
        assignments = [_loaded(name, options)
                       for name in options.names or definition.names(options.assignments)]
        for key, _ in options.variant:
            if not any(key in assignment.variant for assignment in assignments):
                raise definition.DefinitionError(f"--variant {key}: none of these assignments has "
                                                 "it in its VARIANT")
        for assignment in assignments:
            name, began = assignment.name, time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                try:
                    proven[name] = prove(assignment, folder, jobs=options.jobs)
                except definition.DefinitionError as error:  # the others can be proven all the same
                    proven[name] = {**dict.fromkeys(CHECKS, "not proven"), "solution": str(error)}
            seconds[name] = time.monotonic() - began
            if not any(proven[name].values()):
                student.publish(assignment, options.out / name)
    except (definition.DefinitionError, master.MasterError, sandbox.SandboxError) as error:
        print(f"assignments: {error}", file=sys.stderr)
        return 1
    print(table(proven, seconds))
    failed = [f"{name}, {check}: {what}" for name, problems in proven.items()
              for check, what in problems.items() if what]
    for line in failed:
        print(line, file=sys.stderr)
    if not failed:
        print(f"Student copies: {options.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
