"""
Make otter-grader's form of the assignments, and the zip that Gradescope takes.

    python -m tools.grading.otter [ASSIGNMENT ...] [--out FOLDER] [--assignments FOLDER]

From the same ``checks.py`` and ``master.py`` as everything else. It is the weaker route: otter runs
a student's program in one process with the tests, whose sources lie beside it. Nothing is written
of an assignment unless all of this holds: ``otter assign`` ends without an error and with exactly
one zip; the zip holds the cases of ``checks.py``, with their points, the hidden ones hidden; its
tests give all points to the solution and none to the untouched copy; otter's student copy is ours,
cell for cell, needs no otter, and gives nothing away.

The environment of otter is made when it is missing or old: otter pins packages back that the
course has newer.
"""

import argparse
import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml
from packaging.markers import Marker

from tools import environment
from tools.grading import asserts, definition, master, prove, student, tally

LOCK = definition.ROOT / "assignments" / "requirements.txt"
VENV = definition.ROOT / "build" / "otter-venv"

#: Modules that otter's environment has for assignments; tests that need others it does not run.
HERE = {"numpy"}

#: What Gradescope shows to students: what the public cases say. The rest is for the teacher.
SHOWN = {"show_hidden": False, "show_all_public": False, "show_stdout": False, "pdf": False}

#: What a zip holds beside tests, and data below ``files/``.
ALWAYS = {"environment.yml", "otter_config.json", "run_autograder", "run_otter.py", "setup.sh"}


class OtterError(Exception):
    """There is no otter form; the message names the assignment, the cause and the remedy."""


class NoFormError(OtterError):
    """There can be none: too much of the assignment cannot be written as text."""


@dataclass(frozen=True)
class OtterTest:
    """One test: the ``name`` of its function, the function's ``source``, ``points``, ``hidden``."""

    name: str
    source: str
    points: float
    hidden: bool


# --- what otter is given -----------------------------------------------------------------


def function_name(case):
    """
    Return the name of the function that puts a case to a program.

    Examples
    --------
    >>> function_name(definition.Case("q1-3", "call", "conv2d"))
    'test_q1_3'
    """
    return "test_" + re.sub(r"\W", "_", case.name)


def _function(case, assignment):
    """Return the function that puts a case to a program, as text."""
    lines = [*asserts.helpers([case]), *asserts.asserts(case, assignment, program="env")]
    # Otter copies the line that failed into its results. With one more function around the rest
    # that line is `case()`, and what a hidden case asks stays out of them.
    inner = textwrap.indent("\n".join(lines), " " * 8)
    return f"def {function_name(case)}(env):\n    def case():\n{inner}\n    case()"


def as_tests(question, assignment):
    """
    Write the cases of a question for otter.

    Parameters
    ----------
    question : tools.grading.definition.Question
    assignment : tools.grading.definition.Assignment

    Returns
    -------
    list of OtterTest
        Together they have all points of the question.
    dict of str to str
        The cases that cannot be written out, and why.

    Raises
    ------
    NoFormError
        When hidden cases have less than their share of what can be written out.
    """
    kept, out = [], {}
    for case in question.cases:
        try:
            kept.append((case, _function(case, assignment)))
        except asserts.NoTextError as error:
            out[case.name] = str(error)
    total = sum(case.weight for case, _ in kept)
    hidden = sum(case.weight for case, _ in kept if not case.public)
    if not total or hidden < definition.HIDDEN_SHARE * total:
        why = "; ".join(f"case {name}: {reason}" for name, reason in out.items())
        raise NoFormError(
            f"{assignment.name}, {question.name}: too little of it can be written for otter; "
            f"hidden cases would decide less than {definition.HIDDEN_SHARE:.0%} ({why}). Write "
            "these functions so that they can stand alone, or grade with tools.grade, which needs "
            "no text of them")
    share = question.points / total
    return [OtterTest(function_name(case), source, share * case.weight, not case.public)
            for case, source in kept], out


def _imported(sources):
    """Return the modules outside of the standard library that programs import."""
    found = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module] if isinstance(node, ast.ImportFrom) and node.module else [])
            found |= {name.split(".")[0] for name in names}
    return found - set(sys.stdlib_module_names)


def _needed(assignment, written):
    """Return the modules that the solution and the tests import."""
    solution = student.solution_notebook(assignment)
    found = _imported([*(cell.source for cell in solution.cells if cell.cell_type == "code"),
                       *(test.source for found in written.values() for test in found)])
    return found | ({"tensorflow"} if "keras" in found else set())


def pinned(modules):
    """
    Return the course's versions of packages, for the Python that Gradescope will run.

    Parameters
    ----------
    modules : iterable of str
        Modules that are called like their packages.

    Returns
    -------
    list of str
        Requirements.

    Raises
    ------
    OtterError
        When the lock does not have one.

    Examples
    --------
    >>> [requirement.split("==")[0] for requirement in pinned({"numpy", "keras"})]
    ['keras', 'numpy']
    """
    lock, found = environment.LOCK.read_text(encoding="utf-8"), []
    version = _python()
    there = {"python_version": version, "python_full_version": f"{version}.0",
             "sys_platform": "linux", "platform_machine": "x86_64"}
    for name in sorted(modules):
        for locked, marker in re.findall(rf"^{re.escape(name)}==(\S+)(?: ; (.+?))? \\$", lock,
                                         re.MULTILINE):
            if not marker or Marker(marker).evaluate(there):
                found.append(f"{name}=={locked}")
                break
        else:
            raise OtterError(f"{name} is imported, and requirements.txt has no package of that "
                             "name: name it in requirements.in, then `make lock`")
    return found


def _python():
    """Return the version of Python that Gradescope is to install."""
    return "{}.{}".format(*environment.LAST)


def master_notebook(assignment):
    """
    Write an assignment as the notebook that ``otter assign`` reads.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment

    Returns
    -------
    nbformat.NotebookNode
    dict of str to list of OtterTest
        Question -> its tests.
    dict of str to str
        The cases that are left out, and why.
    """
    written, out = {}, {}
    for question in assignment.questions:
        written[question.name], unwritten = as_tests(question, assignment)
        out.update(unwritten)
    modules = _needed(assignment, written)
    settings = {
        # No `name`: a student's copy does not say it, and otter would refuse every submission.
        "init_cell": False, "check_all_cell": False, "export_cell": False,
        "tests": {"ok_format": False, "files": True},
        "run_tests": modules <= HERE,
        "requirements": pinned(modules), "python_version": _python(),
        "generate": SHOWN,
        **({"files": ["data"]} if (assignment.folder / "data").is_dir() else {}),
    }
    cells = [("raw", "# ASSIGNMENT CONFIG\n" + yaml.safe_dump(settings))]
    opened = None
    # What follows a question, its public checks, belongs to none, so every question is closed.
    for kind, source, name in student.pieces(assignment, lambda cell: cell.source):
        if opened and name != opened:
            cells += [("raw", "# BEGIN TESTS"), *map(_test_cell, written[opened]),
                      ("raw", "# END TESTS"), ("raw", "# END QUESTION")]
        if name and name != opened:
            cells.append(("raw", f"# BEGIN QUESTION\nname: {name}\ncheck_cell: false"))
        opened = name
        if kind == "code" and any(line.strip() == master.BEGIN or line.endswith(master.LINE)
                                  for line in map(str.rstrip, source.split("\n"))):
            cells += [("raw", "# BEGIN SOLUTION"), (kind, source), ("raw", "# END SOLUTION")]
        else:
            cells.append((kind, source))
    return student._notebook(cells), written, out


def _test_cell(test):
    """Return the cell that tells otter of a test."""
    settings = yaml.safe_dump({"points": test.points, "hidden": test.hidden})
    return "code", f'""" # BEGIN TEST CONFIG\n{settings}""" # END TEST CONFIG\n{test.source}'


# --- what otter makes of it --------------------------------------------------------------


def program(venv=VENV):
    """
    Return the path of otter, whose environment is made if it is missing or not that of the lock.

    Parameters
    ----------
    venv : path-like

    Returns
    -------
    pathlib.Path
    """
    made_from = LOCK.read_bytes() + Path(environment.__file__).read_bytes()
    stamp = f"ready-{hashlib.sha256(made_from).hexdigest()[:12]}"
    if not (Path(venv) / stamp).is_file():
        Path(venv).parent.mkdir(parents=True, exist_ok=True)
        environment.main([str(venv), stamp, "--lock", str(LOCK)])
    return environment.script(Path(venv), "otter")


def call(otter, *arguments):
    """
    Run otter.

    Parameters
    ----------
    otter : path-like
    arguments : list of str or path-like

    Raises
    ------
    OtterError
        When it fails, with the end of what it said.
    """
    environ = {name: value for name, value in os.environ.items()
               if name not in ("PYTHONPATH", "PYTHONHOME", "JUPYTER_PATH")}
    # The kernel of otter's environment, not one that the account has under the same name.
    environ |= {"JUPYTER_PREFER_ENV_PATH": "1", "PYTHONNOUSERSITE": "1"}
    done = subprocess.run([otter, *arguments], env=environ, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise OtterError(f"otter {arguments[0]} ended with {done.returncode}:\n{said}")


def assign(assignment, notebook, folder, otter):
    """
    Have otter make its form.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    notebook : nbformat.NotebookNode
        That of `master_notebook`.
    folder : path-like
        An empty folder.
    otter : path-like
        What `program` returns.

    Returns
    -------
    pathlib.Path
        A folder with ``autograder/`` and ``student/``.
    """
    source = student.write(notebook, Path(folder) / "master" / f"{assignment.name}.ipynb")
    if (assignment.folder / "data").is_dir():
        shutil.copytree(assignment.folder / "data", source.parent / "data")
    try:
        call(otter, "assign", "--no-pdfs", source, Path(folder) / "made")
    except OtterError as error:
        raise OtterError(f"{assignment.name}: {error}\nIf tests fail: correct master.py or "
                         "checks.py; `make assignments` says where they disagree") from None
    return Path(folder) / "made"


# --- what must hold ----------------------------------------------------------------------


def problems(assignment, made, written, files=()):
    """
    Say what is wrong with what otter made.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    made : path-like
        What `assign` returns.
    written : dict of str to list of OtterTest
        The tests that otter was given.
    files : iterable of pathlib.Path
        What the solution hands in beside its notebook.

    Returns
    -------
    list of str
        Nothing, if all is well; else what, where, and what to do.
    """
    archives = sorted(path.name for path in Path(made, "autograder").glob("*.zip"))
    found = student_problems(assignment, made, written)
    if len(archives) != 1:
        return [*found, f"otter made {len(archives)} autograder zips ({', '.join(archives) or '-'})"
                " and there should be one: their names carry the time, so let otter write into an "
                "empty folder, and keep `generate` in its settings"]
    place = Path(made, "autograder", archives[0])
    with zipfile.ZipFile(place) as archive:
        found += archive_problems(assignment, archive, written)
    return found or count_problems(assignment, made, place, files)


def student_problems(assignment, made, written):
    """Say what is wrong with the student files; as `problems`."""
    folder, name = Path(made, "student"), f"{assignment.name}.ipynb"
    files = {path.relative_to(folder).as_posix(): path
             for path in sorted(folder.rglob("*")) if path.is_file()}
    wanted = {name, *(f"tests/{question}.py" for question in written), *_data(assignment)}
    if set(files) != wanted:
        odd = ", ".join(sorted(set(files) ^ wanted))
        return [f"student/ should hold {', '.join(sorted(wanted))}: see {odd}"]
    found, notebook = [], nbformat.read(files[name], as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code" and re.search(r"\b(otter|grader)\b", cell.source):
            found.append(f"student/{name}, cell {number} uses otter, which students would have to "
                         "install: keep init_cell, check_cell, check_all_cell and export_cell "
                         "false")
    if found:  # such cells may not even be Python, as a leak's search needs them
        return found
    ours = [(cell.cell_type, cell.source) for cell in student.student_notebook(assignment).cells]
    theirs = [(cell.cell_type, cell.source) for cell in notebook.cells]
    if theirs != ours:
        number = next((number for number, (one, other) in enumerate(zip(ours, theirs, strict=False),
                                                                    1) if one != other),
                      min(len(ours), len(theirs)) + 1)
        found.append(f"student/{name}, cell {number} is not that of `make assignments`: otter cuts "
                     "the solution out in another way; mark it as assignments/README.md shows")
    for place, path in files.items():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"student/{place} holds {test.name}, the test of a hidden case: students must "
                  "not get it; see that its settings say `hidden: true`"
                  for tests in written.values() for test in tests
                  if test.hidden and re.search(rf"\b{test.name}\b", text)]
    found += [f"student/{leak}; take it out of master.py"
              for leak in prove.leaks(assignment, list(files.values()))]
    return found


def _data(assignment):
    """Return the places of an assignment's data."""
    return {path.relative_to(assignment.folder).as_posix()
            for path in (assignment.folder / "data").rglob("*") if path.is_file()}


def archive_problems(assignment, archive, written):
    """Say what is wrong with the zip; as `problems`."""
    names = sorted(archive.namelist())
    wanted = sorted([*ALWAYS, *(f"tests/{question}.py" for question in written),
                     *(f"files/{place}" for place in _data(assignment))])
    # A folder may have an entry of its own.
    held = [name for name in names if not name.endswith("/")]
    if held != wanted:
        odd = ", ".join(sorted(set(held) ^ set(wanted))) or "what it holds twice"
        return [f"the zip should hold {', '.join(wanted)}: see {odd}"]
    found, settings = [], json.loads(archive.read("otter_config.json"))
    found += [f"the zip's otter_config.json says {key}: {settings.get(key)}, and should say {value}"
              for key, value in SHOWN.items() if settings.get(key) != value]
    if "assignment_name" in settings:
        found.append("the zip's otter_config.json has a name for the assignment, so otter refuses "
                     "every student's notebook: give it none")
    held = tally.read_tests(archive)
    for question in assignment.questions:
        given = {test.name: test for test in written[question.name]}
        there = held.get(question.name, {})
        if set(there) != set(given):
            found.append(f"the zip's tests of {question.name} are not those of checks.py: see "
                         f"{', '.join(sorted(set(there) ^ set(given)))}")
            continue
        shown = [name for name, test in there.items() if test.hidden != given[name].hidden]
        if shown:
            found.append(f"the zip has {', '.join(shown)} hidden or open where checks.py has it "
                         "the other way: otter would show what is hidden")
        points = sum(test.points or 0 for test in there.values())
        if abs(points - question.points) > 1e-6:
            found.append(f"the zip gives {points:g} points for {question.name}, and checks.py "
                         f"{question.points:g}: give points to the cases, not to the question")
    return found


def count(archive, notebook, seconds, files=()):
    """
    Return what the tests of a zip give to a notebook of ours; as `tools.grading.tally.tally`.

    Parameters
    ----------
    archive, notebook : path-like
    seconds : float
        How long it may take.
    files : iterable of path-like
        What is handed in with it.

    Raises
    ------
    OtterError
        When it does not end as it should.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        work = Path(folder) / "work"
        work.mkdir()
        for path in files:
            shutil.copyfile(path, work / Path(path).name)
        # From the root, so that the module is found; it works in the empty folder.
        command = [sys.executable, "-m", "tools.grading.tally", Path(archive).resolve(),
                   Path(notebook).resolve(), result, work]
        try:
            done = subprocess.run(command, cwd=definition.ROOT, capture_output=True, text=True,
                                  timeout=seconds)
        except subprocess.TimeoutExpired:
            raise OtterError(f"{Path(notebook).name} and its tests take more than {seconds:g} "
                             "seconds") from None
        if done.returncode:
            raise OtterError(f"the tests of the zip could not be run:\n{done.stderr[-2000:]}")
        return json.loads(result.read_text(encoding="utf-8"))


def count_problems(assignment, made, archive, files):
    """Say which points solution and untouched copy get and should not, or should; as `problems`."""
    found = []
    for kind, folder in (("the solution", "autograder"), ("the untouched copy", "student")):
        notebook = Path(made, folder, f"{assignment.name}.ipynb")
        seconds, given = 10 * assignment.limits["seconds"], files if folder == "autograder" else ()
        for name, counted in count(archive, notebook, seconds, given).items():
            failed = "; ".join(f"{test}: {why[:300]}" for test, why in counted["failed"].items())
            if folder == "autograder" and failed:
                found.append(f"{kind} loses points in {name} ({failed}): correct master.py or "
                             "checks.py; `make assignments` says where they disagree")
            if folder == "student" and counted["points"]:
                found.append(f"{kind} gets {counted['points']:g} points in {name}: ask for what is "
                             "not there yet")
    return found


def make(assignment, out, otter):
    """
    Make the otter form of one assignment.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    out : path-like
        A folder of this assignment alone; what is in it goes, whatever comes of it.
    otter : path-like
        What `program` returns.

    Returns
    -------
    pathlib.Path
        The zip for Gradescope.
    dict of str to str
        The cases that are left out, and why.

    Raises
    ------
    OtterError
        When anything is wrong with it.
    """
    out = Path(out)
    shutil.rmtree(out, ignore_errors=True)
    notebook, written, left_out = master_notebook(assignment)
    with tempfile.TemporaryDirectory() as folder:
        made = assign(assignment, notebook, folder, otter)
        files = student.make_files(assignment, Path(folder) / "files")("solution")
        wrong = problems(assignment, made, written, files)
        if wrong:
            raise OtterError("\n".join(f"{assignment.name}: {line}" for line in wrong))
        out.mkdir(parents=True)
        # Otter's own name carries the time: the next zip would lie beside this one.
        archive = out / f"{assignment.name}-autograder.zip"
        shutil.copyfile(next((made / "autograder").glob("*.zip")), archive)
        shutil.copyfile(made / "autograder" / f"{assignment.name}.ipynb",
                        out / f"{assignment.name}-solution.ipynb")
        shutil.copytree(made / "student", out / "student")
        # Only a notebook with otter in it would look there.
        shutil.rmtree(out / "student" / "tests")
    return archive, left_out


def main(arguments=None):
    """Make the otter form of assignments; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.grading.otter",
                                     description=__doc__.strip().splitlines()[0])
    parser.add_argument("names", nargs="*", help="the assignments; none means all")
    parser.add_argument("--out", type=Path, default=definition.ROOT / "build" / "otter",
                        help="folder for the zips and student copies (default: build/otter)")
    parser.add_argument("--assignments", type=Path, default=definition.ASSIGNMENTS,
                        help="folder of the masters (default: assignments)")
    options = parser.parse_args(arguments)
    status = 0
    try:
        chosen = [definition.load(name, options.assignments)
                  for name in options.names or definition.names(options.assignments)]
        otter = program()
    except (definition.DefinitionError, OtterError) as error:
        print(f"otter: {error}", file=sys.stderr)
        return 1
    for assignment in chosen:
        try:
            archive, left_out = make(assignment, options.out / assignment.name, otter)
        except NoFormError as error:
            # Who asks for all gets those that there can be; who asks for this one gets an error.
            print(f"NO OTTER FORM: {error}", file=sys.stderr)
            status = max(status, int(assignment.name in options.names))
            continue
        except (definition.DefinitionError, master.MasterError, OtterError) as error:
            print(error, file=sys.stderr)
            status = 1
            continue
        print(f"{archive}: solution all points, untouched copy none")
        for name, why in left_out.items():
            print(f"{assignment.name}, case {name}: LEFT OUT of otter's form, only tools.grade "
                  f"asks it ({why})", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
