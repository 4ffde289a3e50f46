"""The proof of the assignments, and sabotage of what proves them."""

import subprocess

import nbformat
import numpy as np
import pytest

from tests.assignments import toys
from tools.grading import asserts, definition, master, prove, student

MASTER = '''# %% [markdown]
# # A toy
#
# Two functions.

# %%
import numpy as np

# %% [raw]
# QUESTION q1

# %% [markdown]
# **1. Double it ({points} points).**

# %%
def double(x):
    """Return twice x."""
    # BEGIN SOLUTION
    # Arrays and lists alike.
    numbers = np.asarray(x)
    return numbers + numbers
    # END SOLUTION

# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q2

# %%
def total(x):
    """Return the sum of x."""
    # BEGIN SOLUTION
    return np.asarray(x).ravel().sum()
    # END SOLUTION

# %% [raw]
# END QUESTION
'''

MUTANTS = {
    "wrong_squared": ("q1", "It squares.", "def double(x):\n    return np.asarray(x) ** 2"),
    "wrong_first_axis": ("q2", "It adds up one axis.", "def total(x):\n    return sum(x)"),
    "wrong_rounded": ("q1", "It rounds.",
                      "def double(x):\n    return np.round(2 * np.asarray(x))"),
}


def toy(folder, text=MASTER, checks=toys.CHECKS, mutants=MUTANTS):
    """Write the toy assignment with a master and mutants, and load it."""
    place = folder / "toy" / "mutants"
    place.mkdir(parents=True)
    (folder / "toy" / "master.py").write_text(text)
    for name, (fails, mistake, code) in mutants.items():
        (place / f"{name}.py").write_text(f'"""{mistake}"""\n\nFAILS = ["{fails}"]\n\n\n{code}\n')
    return toys.assignment(folder, checks=checks)


def needs_tensorflow(name):
    text = (definition.ASSIGNMENTS / name / "master.py").read_text()
    return "import tensorflow" in text or "import keras" in text


#: Each assignment; a proof that starts TensorFlow again and again takes minutes.
EACH = [pytest.param(name, marks=[pytest.mark.long, pytest.mark.timeout(1800)])
        if needs_tensorflow(name) else name for name in definition.names()]


def loaded(name, variant=None):
    """Load an assignment; where it asks for real data, with synthetic data in their place."""
    plain = definition.load(name)
    stand_in = {"data": "synthetic"} if "data" in plain.variant else {}
    return definition.load(name, variant={**stand_in, **(variant or {})})


def replaced(old, new, text=MASTER):
    assert old in text
    return text.replace(old, new)


def folder(tmp_path):
    (tmp_path / "proof").mkdir()
    return tmp_path / "proof"


# --- what holds --------------------------------------------------------------------------


@pytest.mark.parametrize("name", EACH)
def test_each_assignment_is_proven(name, tmp_path, bubblewrap):
    proven = prove.prove(loaded(name), tmp_path, jobs=2)
    assert not any(proven.values()), prove.table({name: proven})


@pytest.mark.parametrize("name", definition.names())
def test_the_notebooks_are_the_same_each_time_and_valid(name):
    assignment = definition.load(name)
    for make in (student.student_notebook, student.solution_notebook):
        notebook = make(assignment)
        nbformat.validate(notebook)
        assert nbformat.writes(notebook) == nbformat.writes(make(assignment))


def drawn(name, seed):
    """Return a private variant of an assignment."""
    module = definition._module(definition.ASSIGNMENTS / name / "checks.py")
    return loaded(name, module.private(np.random.default_rng(seed)))


@pytest.mark.parametrize("name", EACH)
def test_a_private_variant_is_in_order_and_another(name):
    published = prove.secrets(definition.load(name))
    for seed in range(5):
        assert prove.secrets(drawn(name, seed)) != published


# A proof of the two others trains networks and takes many minutes: that of the published variant is
# enough here. `make private-variant` proves whatever it draws.
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(
    set(definition.names()) - {"04_overfitting", "05_open_challenge"}))
def test_a_private_variant_is_proven(name, tmp_path, bubblewrap):
    assert not any(prove.prove(drawn(name, 4), tmp_path, jobs=2).values())


def test_no_student_copy_is_tracked():
    listed = subprocess.run(["git", "ls-files", "assignments"], cwd=definition.ROOT, check=True,
                            capture_output=True, text=True).stdout.split()
    assert listed and not [path for path in listed if path.endswith(".ipynb")]


@pytest.mark.parametrize("name", EACH)
def test_the_public_checks_pass_for_the_solution_and_fail_untouched(name, tmp_path, monkeypatch):
    assignment = loaded(name)
    made = student.make_files(assignment, tmp_path / "files")
    for notebook, files, passes in (
            (student.solution_notebook(assignment), made("solution"), True),
            (student.student_notebook(assignment), [], False)):
        monkeypatch.chdir(student.submit(assignment, notebook, files, tmp_path / str(passes)))
        names, failed = {}, 0
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            try:
                exec(compile(cell.source, "cell", "exec"), names)
            except Exception:
                failed += 1
        checks = sum(cell.source.startswith(student.CHECK) for cell in notebook.cells)
        assert checks == len(assignment.questions)
        assert failed == (0 if passes else checks)


@pytest.mark.parametrize("name", definition.names())
def test_no_line_of_a_check_leaves_the_screen(name):
    for cell in student.student_notebook(definition.load(name)).cells:
        if cell.source.startswith(student.CHECK):
            assert [line for line in cell.source.split("\n") if len(line) > 120] == []


# --- sabotage ----------------------------------------------------------------------------


def test_the_toy_is_proven(tmp_path, bubblewrap):
    assert not any(prove.prove(toy(tmp_path), folder(tmp_path)).values())


def test_a_broken_solution(tmp_path, bubblewrap):
    broken = toy(tmp_path, replaced("numbers + numbers", "numbers + numbers + 1"))
    found = prove.prove(broken, folder(tmp_path))
    assert "q1-2" in found["solution"] and "wrong values" in found["solution"]


def test_points_for_nothing(tmp_path, bubblewrap):
    given = toy(tmp_path, replaced('''    # BEGIN SOLUTION
    return np.asarray(x).ravel().sum()
    # END SOLUTION''', '''    answer = np.asarray(x).ravel().sum()
    more = 0  # SOLUTION
    return answer'''))
    found = prove.prove(given, folder(tmp_path))
    assert found["untouched"] == "points for nothing in q2"


def test_a_wrong_answer_that_passes_and_one_that_fails_too_much(tmp_path, bubblewrap):
    mutants = {**MUTANTS,
               "wrong_squared": ("q1", "It is right.", "def double(x):\n    return x + x"),
               "wrong_rounded": ("q1", "It breaks both.", "double = total = None")}
    found = prove.prove(toy(tmp_path, mutants=mutants), folder(tmp_path))["mutants"]
    assert "wrong_squared should lose points in q1, and does in none" in found
    assert "wrong_rounded should lose points in q1, and does in q1, q2" in found


def test_too_few_wrong_answers(tmp_path, bubblewrap):
    few = {name: MUTANTS[name] for name in list(MUTANTS)[:2]}
    assert "2 wrong answers" in prove.prove(toy(tmp_path, mutants=few), folder(tmp_path))["mutants"]


@pytest.mark.parametrize("old, new, said", [
    ('"""Return twice x."""', '"""Return twice x."""\n    # return numbers + numbers', "solution"),
    ('"""Return twice x."""', '"""Return twice x."""\n    # return\n    # numbers+numbers',
     "solution"),
    ("# Two functions.", "# Two functions. `return np.asarray(x).ravel().sum()`", "solution"),
    ("import numpy as np\n", "import numpy as np\n\n\ndef help(x):\n"
     "    return np.asarray(x).ravel( ).sum()\n", "solution"),
    ("import numpy as np\n", "import numpy as np\n# Arrays and lists alike.\n", "solution"),
    ("import numpy as np\n", "import numpy as np\n"
     "probe = np.array([918273645.0, 918273645.0, 918273645.0])\n", "hidden"),
])
def test_what_gives_the_solution_away(tmp_path, old, new, said):
    assignment = toy(tmp_path, replaced(old, new))
    found = prove.leaks(assignment, student.publish(assignment, tmp_path / "out"))
    assert any(f"{said}" in line for line in found), found
    assert all("toy.ipynb holds" in line for line in found)


def test_a_hidden_case_in_a_student_file(tmp_path):
    assignment = toy(tmp_path)
    hidden = assignment.questions[0].cases[1]
    written = "\n".join(asserts.asserts(hidden, assignment))
    files = student.publish(assignment, tmp_path / "out")
    assert prove.leaks(assignment, files) == []
    notebook = nbformat.read(files[0], as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(written))
    student.write(notebook, files[0])
    assert any("hidden case q1-2" in line for line in prove.leaks(assignment, files))
    data = tmp_path / "out" / "data.txt"
    data.write_text(asserts.literal(hidden.expected))
    assert any(line.startswith("data.txt") for line in prove.leaks(assignment, [data]))


def test_a_test_that_is_not_hidden(tmp_path):
    shown = toys.CHECKS.replace('''"message": "Images have two axes."''',
                                '''"public": True, "message": "Images have two axes."''')
    with pytest.raises(definition.DefinitionError, match="q1: hidden cases weigh 33%"):
        toy(tmp_path, checks=shown)


@pytest.mark.parametrize("old, new, said", [
    ("    # BEGIN SOLUTION\n    return np", "    return np", "END SOLUTION without"),
    ("    return numbers + numbers\n    # END SOLUTION", "    return numbers + numbers",
     "BEGIN SOLUTION without"),
    ("# QUESTION q2", "# QUESTION q3", "q2, q3"),
    ("# %% [raw]\n# END QUESTION\n\n# %% [raw]\n# QUESTION q2", "# %% [raw]\n# QUESTION q2",
     "a raw cell is"),
    ("import numpy as np", "import numpy as np  # SOLUTION", "outside a question"),
    ("def total(x):", "def total(x:", "not Python"),
])
def test_a_master_that_is_not_in_order(tmp_path, old, new, said):
    with pytest.raises(master.MasterError, match=said) as error:
        master.read(toy(tmp_path, replaced(old, new)))
    assert "toy/master.py" in str(error.value)


def test_an_unmarked_solution(tmp_path):
    text = replaced("    # BEGIN SOLUTION\n    return np.asarray(x).ravel().sum()\n"
                    "    # END SOLUTION", "    return np.asarray(x).ravel().sum()")
    with pytest.raises(master.MasterError, match="q2: no solution is marked"):
        master.read(toy(tmp_path, text))


def test_a_wrong_answer_that_does_not_say_what_it_fails(tmp_path):
    assignment = toy(tmp_path)
    path = student.mutants(assignment)[0]
    path.write_text('"""It does nothing."""\n\nFAILS = ["q9"]\n')
    with pytest.raises(master.MasterError, match="FAILS"):
        student.mutant_notebook(assignment, path)


def test_a_value_of_the_variant_is_named_or_refused(tmp_path, bubblewrap, capsys):
    toy(tmp_path / "masters")
    given = ["--assignments", str(tmp_path / "masters"), "--out", str(tmp_path / "out")]
    assert prove.main([*given, "--variant", "secret=55555555", "--jobs", "2"]) == 0
    assert "toy" in capsys.readouterr().out
    assert prove.main([*given, "--variant", "data=synthetic"]) == 1
    assert "none of these assignments has it" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        prove.main([*given, "--variant", "synthetic"])


def test_inputs_that_cannot_be_made_stop_the_proof_and_not_the_definition(
        tmp_path, bubblewrap, capsys):
    late = toys.CHECKS.replace("def questions(variant):", """def absent():
    raise OSError("no photographs: fetch them")


def questions(variant):""").replace('"args": [secret], "expected": 2 * secret,',
                                    '"args": absent, "expected": 2 * secret,')
    assignment = toy(tmp_path / "masters", checks=late)
    assert student.student_notebook(assignment)
    assert prove.main(["--assignments", str(tmp_path / "masters")]) == 1
    assert "toy, case q1-3: its inputs cannot be made: no photographs: fetch them" in (
        capsys.readouterr().err)


FILES = '''
def make_files(assignment, cells, folder):
    (folder / "solution").mkdir(parents=True)
    (folder / "solution" / "answer.txt").write_text(str(any("numbers" in x for x in cells)))
    (folder / "wrong_squared").mkdir()
'''


def test_what_is_handed_in_beside_the_notebook_is_made_for_the_proof(tmp_path, bubblewrap):
    checks = toys.CHECKS.replace("def questions", "FILES = ['answer.txt']\n\n\ndef questions")
    text = replaced("    return numbers + numbers", "    with open('answer.txt') as file:\n"
                    "        return numbers + numbers if file.read() == 'True' else None")
    mutants = {**MUTANTS, "wrong_squared": ("q1", "Its file is missing.", "")}
    assignment = toy(tmp_path, text, checks, mutants)
    with pytest.raises(definition.DefinitionError, match="toy/files.py: it is missing"):
        prove.prove(assignment, folder(tmp_path))
    (tmp_path / "toy" / "files.py").write_text(FILES)
    assert not any(prove.prove(assignment, tmp_path / "again").values())
    (tmp_path / "toy" / "files.py").write_text("def make_files(*given):\n    pass\n")
    with pytest.raises(definition.DefinitionError, match="it did not make answer.txt"):
        prove.prove(assignment, tmp_path / "once more")


def test_the_command_says_what_failed(tmp_path, bubblewrap, capsys):
    toy(tmp_path / "masters", replaced("numbers + numbers", "numbers * 3"))
    out = tmp_path / "out"
    status = prove.main(["--assignments", str(tmp_path / "masters"), "--out", str(out)])
    said = capsys.readouterr()
    assert status == 1 and "FAILED" in said.out and "toy, solution: q1-1" in said.err
    assert not out.exists()
    assert prove.main(["nothing"]) == 1
    assert "no such assignment" in capsys.readouterr().err
