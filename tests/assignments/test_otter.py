"""Otter's form of the assignments, what is checked about it, and sabotage of these checks."""

import copy
import importlib.util
import json
import re
import shutil
import subprocess
import zipfile

import nbformat
import pytest

from tests.assignments.test_prove import replaced, toy
from tests.assignments.toys import CHECKS
from tools import environment
from tools.grading import definition, otter, prove, student
from tools.grading.grader import grade_one

#: What otter makes of tests, see EXCEPTION_BASED_TEST_FILE_TEMPLATE in its assign/tests_manager.py.
FILE = 'from otter.test_files import test_case\n\nOK_FORMAT = False\n\nname = "{}"\npoints = None\n'
CASE = "\n@test_case(points={0.points}, hidden={0.hidden})\n{0.source}\n"


def sources_of(written, hidden=True):
    return {f"tests/{name}.py": FILE.format(name) + "".join(
        CASE.format(test) for test in tests if hidden or not test.hidden)
        for name, tests in written.items()}


def pretend(assignment, folder, given=None):
    """Write what otter makes of an assignment, without otter; return the folder and the tests."""
    _, written, _ = otter.master_notebook(assignment)
    given = given or written
    zipped(folder, {**dict.fromkeys(otter.ALWAYS, ""), **sources_of(given),
                    "otter_config.json": json.dumps(otter.SHOWN)})
    name = f"{assignment.name}.ipynb"
    student.write(student.solution_notebook(assignment), folder / "autograder" / name)
    student.write(student.student_notebook(assignment), folder / "student" / name)
    (folder / "student" / "tests").mkdir()
    for place, text in sources_of(given, hidden=False).items():
        (folder / "student" / place).write_text(text)
    return folder, written


def zipped(folder, files, name="toy-autograder_2026_01_02T03_04_05.zip"):
    (folder / "autograder").mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "autograder" / name, "w") as archive:
        for place, text in files.items():
            archive.writestr(place, text)


def rezipped(folder, **changes):
    """Change files of the zip; None takes one away."""
    (path,) = (folder / "autograder").glob("*.zip")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    files.update(changes)
    zipped(folder, {name: text for name, text in files.items() if text is not None}, path.name)


def added(path, source, kind="code"):
    notebook = nbformat.read(path, as_version=4)
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    notebook.cells.insert(2, make(source))
    student.write(notebook, path)


# --- what otter is given -----------------------------------------------------------------


#: Its hidden images are made when they are asked for. assignments/README.md says so.
NO_FORM = {"05_open_challenge"}
WRITTEN = sorted(set(definition.names()) - NO_FORM)


@pytest.mark.parametrize("name", sorted(NO_FORM))
def test_what_has_no_form_says_why_and_the_text_names_it(name):
    with pytest.raises(otter.NoFormError, match=f"{name}, q2: .*case q2-2: its inputs are made"):
        otter.master_notebook(definition.load(name))
    text = (definition.ASSIGNMENTS / "README.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text.split("## Otter and Gradescope")[1]


@pytest.mark.parametrize("name", WRITTEN)
def test_each_assignment_can_be_written_for_otter(name):
    assignment = definition.load(name)
    notebook, written, out = otter.master_notebook(assignment)
    nbformat.validate(notebook)
    assert out == {}, "say in assignments/README.md which cases otter does not ask"
    for question in assignment.questions:
        tests = written[question.name]
        assert [test.hidden for test in tests] == [not case.public for case in question.cases]
        assert sum(test.points for test in tests) == pytest.approx(question.points)
        for test in tests:
            compile(test.source, test.name, "exec")
            assert test.source.endswith("\n    case()")
    settings = notebook.cells[0].source
    for line in ("init_cell: false", "check_all_cell: false", "export_cell: false",
                 "show_hidden: false", "ok_format: false"):
        assert line in settings
    assert "\nname:" not in settings, "otter would refuse every student's notebook"


def test_otter_runs_the_tests_of_what_needs_numpy_alone():
    found = {name: "run_tests: true" in otter.master_notebook(
        definition.load(name))[0].cells[0].source for name in WRITTEN[:3]}
    assert found == {"01_convolution": True, "02_shapes": True, "03_lenet_step": False}


def test_versions_are_those_of_the_course_for_the_python_that_is_asked_for():
    lock = environment.LOCK.read_text(encoding="utf-8")
    numpy, tensorflow = otter.pinned({"tensorflow", "numpy"})
    assert f"\n{numpy} ; python_full_version >= '3.1" in lock or f"\n{numpy} \\" in lock
    assert f"\n{tensorflow} \\" in lock
    with pytest.raises(otter.OtterError, match="scikit_none is imported.*requirements.in"):
        otter.pinned({"scikit_none"})


NO_TEXT = '{"call": "double", "args": [image], "holds": np.isfinite, "message": "Numbers."},'
MORE = '{"call": "double", "args": [secret]'


def test_a_case_that_cannot_be_written_is_left_out_and_named(tmp_path, capsys, monkeypatch):
    assert MORE in CHECKS
    assignment = toy(tmp_path, checks=CHECKS.replace(MORE, NO_TEXT + MORE))
    _, written, out = otter.master_notebook(assignment)
    assert list(out) == ["q1-3"] and "no function that is written in checks.py" in out["q1-3"]
    assert [test.name for test in written["q1"]] == ["test_q1_1", "test_q1_2", "test_q1_4"]
    assert sum(test.points for test in written["q1"]) == pytest.approx(4)
    monkeypatch.setattr(otter, "program", lambda: None)
    monkeypatch.setattr(otter, "make", lambda *_: (tmp_path / "x.zip", out))
    assert otter.main(["--assignments", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "toy, case q1-3: LEFT OUT of otter's form" in capsys.readouterr().err


def test_too_much_that_cannot_be_written_is_refused(tmp_path):
    assignment = toy(tmp_path, checks=CHECKS.replace("near_the_sum(image),", "np.isfinite,"))
    with pytest.raises(otter.OtterError, match=r"toy, q2: too little .*case q2-2.*tools\.grade"):
        otter.master_notebook(assignment)


def test_who_asks_for_all_gets_what_there_can_be(tmp_path, capsys, monkeypatch):
    toy(tmp_path, checks=CHECKS.replace("near_the_sum(image),", "np.isfinite,"))
    monkeypatch.setattr(otter, "program", lambda: None)
    place = ["--assignments", str(tmp_path), "--out", str(tmp_path / "out")]
    for names, status in (([], 0), (["toy"], 1)):
        assert otter.main([*names, *place]) == status
        assert capsys.readouterr().err.startswith("NO OTTER FORM: toy, q2: too little of it")


def test_what_the_solution_hands_in_lies_beside_it(tmp_path):
    (tmp_path / "network.keras").write_text("weights")
    reading = "def test_q1_1(env):\n    assert open('network.keras').read() == 'weights'"
    test = otter.OtterTest("test_q1_1", reading, 2.0, True)
    zipped(tmp_path, sources_of({"q1": [test]}), "one.zip")
    empty = student.write(nbformat.v4.new_notebook(), tmp_path / "empty.ipynb")
    for files, points in (([tmp_path / "network.keras"], 2), ([], 0)):
        found = otter.count(tmp_path / "autograder" / "one.zip", empty, 60, files)
        assert found["q1"]["points"] == points and found["q1"]["possible"] == 2


# --- sabotage of what otter makes --------------------------------------------------------


@pytest.fixture
def made(tmp_path):
    assignment = toy(tmp_path / "masters")
    folder, written = pretend(assignment, tmp_path / "made")
    return assignment, folder, written


def test_what_is_in_order_passes(made):
    assert otter.problems(*made) == []


def test_no_zip(made):
    shutil.rmtree(made[1] / "autograder")
    (line,) = otter.problems(*made)
    assert line.startswith("otter made 0 autograder zips (-)") and "`generate`" in line


def test_two_zips(made):
    zipped(made[1], {}, "toy-autograder_2025_01_01T00_00_00.zip")
    (line,) = otter.problems(*made)
    assert "otter made 2 autograder zips (toy-autograder_2025_" in line and "empty folder" in line


@pytest.mark.parametrize("source", ["import otter", "from otter import Notebook",
                                    "%pip install otter-grader", 'grader.check("q1")'])
def test_a_student_notebook_that_needs_otter(made, source):
    added(made[1] / "student" / "toy.ipynb", source)
    lines = otter.problems(*made)
    assert lines[0].startswith("student/toy.ipynb, cell 3 uses otter") and "init_cell" in lines[0]


def test_a_student_notebook_that_is_another_than_ours(made):
    added(made[1] / "student" / "toy.ipynb", "Something of otter's.", "markdown")
    (line,) = otter.problems(*made)
    assert "student/toy.ipynb, cell 3 is not that of `make assignments`" in line


def test_a_solution_that_otter_left_in(made):
    assignment, folder, _ = made
    student.write(student.solution_notebook(assignment), folder / "student" / "toy.ipynb")
    found = "\n".join(otter.problems(*made))
    assert "toy/master.py, cell" in found and "the solution; take it out" in found


def test_a_hidden_assert_in_a_student_cell(made):
    added(made[1] / "student" / "toy.ipynb", made[2]["q1"][1].source)
    found = "\n".join(otter.problems(*made))
    assert "student/toy.ipynb holds test_q1_2, the test of a hidden case" in found
    assert "hidden case q1-2; take it out of master.py" in found


def test_a_hidden_test_in_a_student_file(made):
    assignment, folder, written = made
    for place, text in sources_of(written).items():
        (folder / "student" / place).write_text(text)
    found = otter.problems(*made)
    assert any(line.startswith("student/tests/q2.py holds test_q2_2, the test of a hidden case")
               and "hidden: true" in line for line in found)


def test_a_hidden_test_in_the_metadata(made):
    path = made[1] / "student" / "toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["otter"] = {"tests": {"q1": made[2]["q1"][1].source}}
    student.write(notebook, path)
    assert otter.problems(*made)[0].startswith("student/toy.ipynb holds test_q1_2")


def test_a_file_that_students_should_not_have(made):
    shutil.copy(made[1] / "autograder" / "toy.ipynb", made[1] / "student" / "solution.ipynb")
    (line,) = otter.problems(*made)
    assert line.endswith("see solution.ipynb")


def test_a_zip_with_more_or_less_in_it(made):
    rezipped(made[1], **{"files/toy.ipynb": "{}", "setup.sh": None})
    (line,) = otter.problems(*made)
    assert line.endswith("see files/toy.ipynb, setup.sh")


def test_a_zip_without_a_case(made):
    rezipped(made[1], **sources_of({"q2": made[2]["q2"][:1]}))
    (line,) = otter.problems(*made)
    assert "tests of q2 are not those of checks.py: see test_q2_2" in line


def test_a_test_in_the_zip_that_is_not_hidden(made):
    text = sources_of(made[2])["tests/q1.py"].replace("hidden=True", "hidden=False")
    rezipped(made[1], **{"tests/q1.py": text})
    (line,) = otter.problems(*made)
    assert "test_q1_2, test_q1_3" in line and "would show what is hidden" in line


def test_points_that_are_not_those_of_the_definition(made):
    text = sources_of(made[2])["tests/q2.py"].replace("points=1.0", "points=0.5")
    rezipped(made[1], **{"tests/q2.py": text})
    (line,) = otter.problems(*made)
    assert "gives 1 points for q2, and checks.py 2" in line


@pytest.mark.parametrize("settings, said", [
    ({**otter.SHOWN, "show_hidden": True}, "show_hidden: True, and should say False"),
    ({**otter.SHOWN, "assignment_name": "toy"}, "refuses every student's notebook"),
])
def test_settings_of_the_zip_that_show_or_refuse(made, settings, said):
    rezipped(made[1], **{"otter_config.json": json.dumps(settings)})
    (line,) = otter.problems(*made)
    assert said in line


def test_a_broken_solution_where_otter_ended_well(tmp_path):
    broken = toy(tmp_path / "masters", replaced("numbers + numbers", "numbers + numbers + 1"))
    folder, written = pretend(broken, tmp_path / "made")
    (line,) = otter.problems(broken, folder, written)
    assert line.startswith("the solution loses points in q1 (test_q1_1: AssertionError: Twice")
    assert "correct master.py or checks.py" in line


def test_points_for_nothing(tmp_path):
    given = toy(tmp_path / "masters", replaced('''    # BEGIN SOLUTION
    return np.asarray(x).ravel().sum()
    # END SOLUTION''', '''    answer = np.asarray(x).ravel().sum()
    more = 0  # SOLUTION
    return answer'''))
    folder, written = pretend(given, tmp_path / "made")
    (line,) = otter.problems(given, folder, written)
    assert line.startswith("the untouched copy gets 2 points in q2")


def test_a_solution_that_takes_too_long(made, tmp_path):
    endless = student.write(nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell("while True: pass")]), tmp_path / "endless.ipynb")
    (archive,) = (made[1] / "autograder").glob("*.zip")
    with pytest.raises(otter.OtterError, match="endless.ipynb and its tests take more than 2 sec"):
        otter.count(archive, endless, 2)


def test_what_is_wrong_is_not_written_and_what_was_there_goes(tmp_path, monkeypatch, capsys):
    toy(tmp_path / "masters")
    out = tmp_path / "out"
    (out / "toy").mkdir(parents=True)
    (out / "toy" / "toy-autograder.zip").touch()

    def assign(assignment, notebook, folder, program):
        made, _ = pretend(assignment, otter.Path(folder) / "made")
        zipped(made, {}, "another.zip")
        return made

    monkeypatch.setattr(otter, "program", lambda: None)
    monkeypatch.setattr(otter, "assign", assign)
    command = ["--assignments", str(tmp_path / "masters"), "--out", str(out)]
    assert otter.main(command) == 1
    assert "toy: otter made 2 autograder zips" in capsys.readouterr().err
    assert not list(out.rglob("*.zip"))
    assert otter.main(["nothing", *command]) == 1
    assert "no such assignment" in capsys.readouterr().err


def test_otter_that_fails_is_quoted(tmp_path):
    program = tmp_path / "otter"
    program.write_text("#!/bin/sh\necho 'RuntimeError: Some autograder tests failed' >&2\nexit 1\n")
    program.chmod(0o755)
    assignment = toy(tmp_path / "masters")
    notebook, _, _ = otter.master_notebook(assignment)
    with pytest.raises(otter.OtterError, match="toy: otter assign ended with 1:\nRuntimeError: "
                       "Some autograder tests failed\n.*`make assignments`"):
        otter.assign(assignment, notebook, tmp_path, program)


def test_the_environment_is_made_once_for_each_lock(tmp_path, monkeypatch):
    called = []

    def main(arguments):
        called.append(arguments)
        (tmp_path / "venv").mkdir(exist_ok=True)
        (tmp_path / "venv" / arguments[1]).touch()

    monkeypatch.setattr(environment, "main", main)
    lock = tmp_path / "lock.txt"
    lock.write_text("one")
    monkeypatch.setattr(otter, "LOCK", lock)
    for text, times in (("one", 1), ("one", 1), ("two", 2)):
        lock.write_text(text)
        assert otter.program(tmp_path / "venv") == environment.script(tmp_path / "venv", "otter")
        assert len(called) == times
    assert called[0][2:] == ["--lock", str(lock)] and called[0][1] != called[1][1]


# --- the real one ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    """Otter, in the environment that `make otter` makes."""
    return otter.program()


def results(program, archive, notebook, folder):
    """Have otter grade a notebook; return its results and the points for each question."""
    folder.mkdir()
    path = student.write(notebook, folder / "submission.ipynb")
    otter.call(program, "run", "-a", archive, "-o", folder, path)
    text = (folder / "results.json").read_text(encoding="utf-8")
    return text, {test["name"]: test["score"] for test in json.loads(text)["tests"]
                  if "score" in test}


#: What any student can write where tests run in the student's own process.
FORGED = """
from otter.test_files.exception_test import test_case
test_case.call_func = lambda self, names: None
"""


@pytest.fixture(scope="module")
def first(real, tmp_path_factory):
    """The first assignment, and what `make otter` leaves of it."""
    folder = tmp_path_factory.mktemp("otter")
    assignment = definition.load("01_convolution")
    archive, left_out = otter.make(assignment, folder, real)
    assert archive == folder / "01_convolution-autograder.zip" and left_out == {}
    return assignment, folder, archive


def full(assignment):
    return {question.name: question.points for question in assignment.questions}


@pytest.mark.long
def test_nothing_of_it_that_students_get_gives_anything_away(first):
    assignment, folder, archive = first
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    copied = "student/01_convolution.ipynb"
    assert made == {archive.name, "01_convolution-solution.ipynb", copied}
    assert prove.leaks(assignment, [folder / copied]) == []


@pytest.mark.long
def test_otter_gives_the_solution_all_points_without_metadata_and_with_a_cell_twice(
        real, first, tmp_path):
    assignment, folder, archive = first
    notebook = nbformat.read(folder / "01_convolution-solution.ipynb", as_version=4)
    notebook.metadata = nbformat.from_dict({})
    (defining,) = (number for number, cell in enumerate(notebook.cells)
                   if "def output_size" in cell.source)
    notebook.cells.insert(defining, copy.deepcopy(notebook.cells[defining]))
    notebook.cells[defining].id = "twice"
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    text, points = results(real, archive, notebook, tmp_path / "run")
    assert points == pytest.approx(full(assignment))
    shown = {test["name"]: test["visibility"] for test in json.loads(text)["tests"]}
    assert shown == {"Public Tests": "visible", **dict.fromkeys(points, "hidden")}


@pytest.mark.long
def test_otter_gives_its_own_student_copy_nothing_and_says_nothing_of_the_tests(
        real, first, tmp_path):
    assignment, folder, archive = first
    untouched = nbformat.read(folder / "student" / "01_convolution.ipynb", as_version=4)
    text, points = results(real, archive, untouched, tmp_path / "run")
    assert points == dict.fromkeys(full(assignment), 0)
    # Which line of a test failed is in the results, and it is the same for every test.
    assert "case()" in text and not re.search(r"\bassert\b|env\[|np\.", text)


@pytest.mark.long
def test_otter_takes_points_for_a_mistake_where_we_do(real, first, tmp_path):
    assignment, _, archive = first
    path = student.mutants(assignment)[0]
    _, points = results(real, archive, student.mutant_notebook(assignment, path), tmp_path / "run")
    whole = full(assignment)
    assert {name for name in whole if points[name] < whole[name]} == student.fails(path, assignment)
    # What we count without otter, as for assignments that need TensorFlow, is what otter counts.
    counted = otter.count(archive, tmp_path / "run" / "submission.ipynb", 60)
    assert {name: each["points"] for name, each in counted.items()} == pytest.approx(points)


@pytest.mark.long
def test_two_lines_get_all_points_from_otter_and_none_from_us(real, first, tmp_path, bubblewrap):
    assignment, folder, archive = first
    untouched = nbformat.read(folder / "student" / "01_convolution.ipynb", as_version=4)
    untouched.cells.insert(0, nbformat.v4.new_code_cell(FORGED))
    _, points = results(real, archive, untouched, tmp_path / "run")
    assert points == pytest.approx(full(assignment))
    ours = grade_one(tmp_path / "run" / "submission.ipynb", assignment)
    assert not ours.reason and not any(each.points for each in ours.questions.values())


@pytest.mark.long
def test_otter_itself_refuses_a_broken_solution(real, tmp_path):
    broken = toy(tmp_path, replaced("numbers + numbers", "numbers + numbers + 1"))
    with pytest.raises(otter.OtterError, match="toy: otter assign ended with 1(.|\n)*q1"):
        otter.make(broken, tmp_path / "out", real)
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_the_environment_holds_what_its_lock_says_and_none_of_ours(real):
    python = environment.script(otter.VENV, "python")
    assert importlib.util.find_spec("otter") is None, "the course's own environment has no otter"
    listed = json.loads(subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True,
        check=True).stdout)
    versions = {entry["name"].lower(): entry["version"] for entry in listed}
    assert f"otter-grader=={versions['otter-grader']}" in otter.LOCK.read_text().replace(
        "[grading]", "")
    assert int(versions["wrapt"].split(".")[0]) < 2
    assert not {"datasetslib", "tensorflow", "keras"} & set(versions)
