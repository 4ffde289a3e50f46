"""The first assignment as a student does it, who has four packages and a notebook program.

Each notebook is run in a clean environment, as a notebook program runs it: the untouched copy, the
same with a mistake in one answer, and with every answer right. Then the three are handed in, with
all that the runs left in them, and graded by the teacher's command.
"""

import csv
import subprocess
import sys

import nbclient
import nbformat
import pytest

from tests.clean import ROOT, set_up_kernel, versions
from tools.grading import definition, student

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

NAME = "01_convolution"
#: The kernel turned by 180 degrees: the mistake that who knows mathematics makes.
MISTAKE = ("np.sum(seen * kernel)", "np.sum(seen * kernel[::-1, ::-1])")


@pytest.fixture(scope="module")
def assignment():
    return definition.load(NAME)


@pytest.fixture(scope="module")
def copy(assignment, tmp_path_factory):
    """What a student gets: one file."""
    path, = student.publish(assignment, tmp_path_factory.mktemp("student") / NAME)
    return nbformat.read(path, as_version=4)


def filled_in(copy, assignment, old="", new=""):
    """Write the answers where the student copy has its dots, one of them changed."""
    notebook = nbformat.from_dict(copy)
    changed = 0
    for cell, right in zip(notebook.cells, student.solution_notebook(assignment).cells,
                           strict=True):
        if cell.source != right.source:
            changed += old in right.source
            cell.source = right.source.replace(old, new) if old else right.source
    assert not old or changed == 1
    return notebook


@pytest.fixture(scope="module")
def handed_in(assignment, copy, clean_python, tmp_path_factory):
    """The three notebooks by name, each after "Run all", and the folder in which they lie."""
    before = versions(clean_python)
    folder = tmp_path_factory.mktemp("class")
    notebooks = {"untouched": nbformat.from_dict(copy),
                 "mistaken": filled_in(copy, assignment, *MISTAKE),
                 "right": filled_in(copy, assignment)}
    with pytest.MonkeyPatch.context() as patch:
        kernel = set_up_kernel(clean_python, tmp_path_factory.mktemp("jupyter"), patch)
        for name, notebook in notebooks.items():
            # A check that fails is an error in its cell; the student reads it and goes on.
            nbclient.NotebookClient(notebook, kernel_name=kernel, allow_errors=True, timeout=120,
                                    resources={"metadata": {"path": str(folder)}}).execute()
            student.write(notebook, folder / f"{name}.ipynb")
    assert versions(clean_python) == before, "an assignment installs nothing"
    return notebooks, folder


def told(notebook):
    """Return what the checks said: title of the question -> the error in the cell, or None."""
    found = {}
    for cell in notebook.cells:
        errors = [f"{output.ename}: {output.evalue}" for output in cell.get("outputs", ())
                  if output.output_type == "error"]
        if cell.source.startswith(student.CHECK):
            title = cell.source.split("\n")[0].removeprefix(student.CHECK).rstrip(".")
            found[title] = errors[0] if errors else None
        else:
            assert not errors, "an error where there is no check"
    return found


def test_the_copy_installs_nothing_and_needs_nothing_of_ours(copy):
    code = "\n".join(cell.source for cell in copy.cells if cell.cell_type == "code")
    assert {line for line in code.split("\n") if "import " in line} == {"import numpy as np"}
    assert not [line for line in code.split("\n") if line.startswith(("%", "!"))]


def test_untouched_each_question_says_what_to_think_of(handed_in, assignment):
    said = told(handed_in[0]["untouched"])
    assert list(said) == [question.title for question in assignment.questions]
    for question in assignment.questions:
        first = next(case for case in question.cases if case.public)
        assert said[question.title].startswith("AssertionError: ")
        assert first.message in said[question.title]


def test_a_mistake_is_told_in_its_question_and_in_what_builds_on_it(handed_in, assignment):
    said = told(handed_in[0]["mistaken"])
    wrong = {title: error for title, error in said.items() if error}
    assert wrong == {"One image, one kernel":
                     "AssertionError: Lay the kernel on the image as it is, multiply cell by cell, "
                     "and add up."}


def test_right_answers_pass_all_checks(handed_in):
    assert not any(told(handed_in[0]["right"]).values())


def test_what_was_handed_in_is_graded(handed_in, assignment, tmp_path, bubblewrap):
    done = subprocess.run(
        [sys.executable, "-m", "tools.grade", handed_in[1], "--assignment", NAME, "--out",
         tmp_path / "graded"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    with open(tmp_path / "graded" / "grades.csv", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    whole = {question.name: question.points for question in assignment.questions}
    points = {name: {each: float(row[each]) for each in whole} for name, row in rows.items()}
    assert points["right"] == whole and not any(points["untouched"].values())
    # The third question's check in the open has a kernel of ones; the hidden ones have others.
    assert {name for name in whole if points["mistaken"][name] < whole[name]} == {"q2", "q3"}
    feedback = {name: (tmp_path / "graded" / "feedback" / f"{name}.md").read_text()
                for name in rows}
    total = sum(whole.values())
    assert feedback["right"].startswith(f"# {NAME}: {total:g} of {total:g} points\n")
    assert feedback["right"].count("All tests passed.") == len(whole)
    assert "Lay the kernel on the image as it is" in feedback["mistaken"]
    assert "hidden tests failed: wrong values" in feedback["mistaken"]
    assert "In six cells a kernel of three begins" in feedback["untouched"]
