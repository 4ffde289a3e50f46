import json
import os
import platform
import random
import struct
import subprocess
import tracemalloc
import zipfile

import numpy as np
import psutil
import pytest

from tests.assignments import toys
from tools.grading import (
    archives,
    compare,
    definition,
    driver,
    grader,
    models,
    sandbox,
    seccomp,
    submission,
)

# What is handed in


def test_cells_are_read_whatever_form_their_source_has(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("\ufeff" + json.dumps({"nbformat": 4, "cells": [
        {"cell_type": "markdown", "source": "x = 0"},
        {"cell_type": "code", "source": ["x = 1\n", "y = 2"]},
        {"cell_type": "code", "source": "z = 3"}, {"cell_type": "code"}, "odd"]}))
    assert submission.read(path, "toy").cells == ((1, "x = 1\ny = 2"), (2, "z = 3"), (3, ""))


@pytest.mark.parametrize(("content", "says"), [
    ("", "not JSON"), ("[]", "no cells"), ('{"cells": 3}', "no cells"),
    ('{"cells": [{"cell_type": "code", "source": 5}]}', "no text"),
    ('{"worksheets": []}', "format 4"),
])
def test_what_is_no_notebook_is_refused(content, says, tmp_path):
    (tmp_path / "a.ipynb").write_text(content)
    with pytest.raises(submission.SubmissionError, match=says):
        submission.read(tmp_path / "a.ipynb", "toy")


def test_of_several_notebooks_the_one_of_the_assignments_name_counts(tmp_path):
    for name in ("draft", "other"):
        toys.submit(tmp_path / f"{name}.ipynb", name)
    with pytest.raises(submission.SubmissionError, match="2 notebooks in it; .* toy.ipynb"):
        submission.read(tmp_path, "toy")
    toys.submit(tmp_path / "toy.ipynb", "this one")
    assert submission.read(tmp_path, "toy").cells == ((1, "this one"),)


def test_files_are_those_beside_the_notebook(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("work/a.ipynb", toys.notebook("x = 1"))
        archive.writestr("work/network.keras", b"mine")
        archive.writestr("network.keras", b"not mine")
    read = submission.read(tmp_path / "a.zip", "toy", ("network.keras", "absent.txt"))
    assert read.files == {"network.keras": b"mine"}


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "NOTEBOOK", 100)
    (tmp_path / "a.ipynb").write_text(" " * 101)
    with pytest.raises(submission.SubmissionError, match="larger than"):
        submission.read(tmp_path / "a.ipynb", "toy")


def test_the_digest_sees_every_change(tmp_path):
    path = toys.submit(tmp_path / "a.ipynb", "x = 1")
    folder = tmp_path / "folder"
    folder.mkdir()
    toys.submit(folder / "a.ipynb", "x = 1")
    seen = {submission.digest(path), submission.digest(folder)}
    toys.submit(path, "x = 2")
    seen.add(submission.digest(path))
    (folder / "network.keras").write_bytes(b"1")
    seen.add(submission.digest(folder))
    (folder / "link").symlink_to("/etc/passwd")
    seen.add(submission.digest(folder))
    assert len(seen) == 5
    assert submission.digest(folder) in seen


def bad_zip(path, change):
    with zipfile.ZipFile(path, "w") as archive:
        change(archive)
    return path


@pytest.mark.parametrize(("change", "says"), [
    (lambda z: z.writestr("/etc/a.ipynb", b""), "leads out"),
    (lambda z: z.writestr("a/../../b.ipynb", b""), "leads out"),
    (lambda z: z.writestr("C:/a.ipynb", b""), "leads out"),
    (lambda z: z.writestr("a\\..\\b.ipynb", b""), "leads out"),
    (lambda z: z.writestr("a.ipynb", b"x" * 99, zipfile.ZIP_LZMA), "unusual"),
    (lambda z: [z.writestr(f"{n}.txt", b"") for n in range(2001)], "more files than"),
])
def test_zips_that_are_not_in_order_are_refused(change, says, tmp_path):
    with pytest.raises(submission.SubmissionError, match=says):
        submission.read(bad_zip(tmp_path / "a.zip", change), "toy")


def test_a_zip_that_is_damaged_is_refused(tmp_path):
    path = bad_zip(tmp_path / "a.zip", lambda z: z.writestr(
        "a.ipynb", b"x" * 5000, zipfile.ZIP_DEFLATED))
    data = bytearray(path.read_bytes())
    data[50] ^= 255
    path.write_bytes(data)
    with pytest.raises(submission.SubmissionError, match="damaged"):
        submission.read(path, "toy")
    path.write_bytes(b"no zip at all")
    with pytest.raises(submission.SubmissionError, match="not a zip"):
        submission.read(path, "toy")


def test_no_more_of_a_bomb_is_unpacked_than_is_allowed(tmp_path):
    path = bad_zip(tmp_path / "a.zip", lambda z: z.writestr(
        "a.ipynb", bytes(100 << 20), zipfile.ZIP_DEFLATED))
    tracemalloc.start()
    try:
        with archives.Archive(path) as archive, pytest.raises(archives.ArchiveError,
                                                              match="larger"):
            archive.read("a.ipynb", 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path):
    path = bad_zip(tmp_path / "a.zip", lambda z: [z.writestr("a.ipynb", b"") for _ in range(2)])
    with pytest.raises(archives.ArchiveError, match="two files of one name"):
        archives.Archive(path)


# What comes back


@pytest.mark.parametrize("value", [
    None, True, 3, 2.5, "text", [1, 2.5], (1, [2, 3]), {"a": {1: "x"}}, np.arange(6).reshape(2, 3),
    np.float32(1.5), np.zeros((0, 3)), np.asfortranarray(np.eye(3)[::2]), np.array("word"),
    np.arange(3, dtype=">i4"), [np.eye(2), (None, "x")],
])
def test_a_value_is_the_same_on_the_other_side(value):
    tree, blobs = driver.pack(value)
    head, data = driver.parts(json.dumps({"tree": tree, "sizes": [len(b) for b in blobs]}),
                              b"".join(blobs))
    again = driver.unpack(head["tree"], data)
    np.testing.assert_equal(again, value)
    assert type(again) is type(value)


def test_an_answer_is_made_of_arrays():
    class Tensor:
        def numpy(self):
            return np.float32(2)

    tree = driver.as_arrays({"a": [Tensor(), Tensor()], "b": (1, "x"), "c": [1, "x"], "d": None})
    assert tree["a"].tolist() == [2, 2] and tree["a"].dtype == "float32"
    assert [item.item() for item in tree["b"]] == [1, "x"]
    assert [item.item() for item in tree["c"]] == [1, "x"] and tree["d"] is None
    assert type(driver.as_arrays(np.ma.zeros(3))) is np.ndarray


def nested(depth):
    return [nested(depth - 1)] if depth else [np.eye(2), np.eye(3)]


@pytest.mark.parametrize("value", [
    object(), {1.5: 1}, {3, 4}, lambda: 0, np.array([None]), 1 << 70, nested(9),
    np.zeros(2, "i4,f4"), np.datetime64("2020-01-01"), [print],
])
def test_an_answer_of_something_else_is_refused(value):
    with pytest.raises(driver.NotArraysError):
        driver.as_arrays(value)


def test_an_answer_that_is_too_large_is_refused():
    driver.as_arrays(np.zeros(100), limit=800)
    with pytest.raises(driver.TooLargeError):
        driver.as_arrays(np.zeros(101), limit=800)
    with pytest.raises(driver.TooLargeError):
        driver.as_arrays(np.zeros((1 << 30, 0)))


def npy(head, data=b""):
    head = head.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


@pytest.mark.parametrize("blob", [
    b"", b"\x93NUMPY", npy("not python"), npy("{}"), npy("__import__('os')"),
    npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"x" * 8),
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9,)}", b"x" * 8),
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", b"x" * 8),
    npy("{'descr': '<f8', 'fortran_order': True, 'shape': (1,)}", b"x" * 8),
    npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", b"x" * 8),
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 0)}"),
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}", b"x" * 8),
    npy("(" * 300), npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': ()}", b"x" * 8),
])
def test_bytes_that_are_no_plain_array_are_refused(blob):
    with pytest.raises(driver.MessageError):
        driver.unpack({"array": 0}, [blob])


@pytest.mark.parametrize("tree", [
    None, 3, [], {}, {"array": 1}, {"array": -1}, {"array": True}, {"plain": [1]}, {"odd": 1},
    {"list": {"plain": 1}}, {"dict": [[1]]}, {"dict": [[None, {"plain": 1}]]},
    {"tuple": [{"array": 0}, {"array": 0}]}, {"list": [{"plain": 1}] * 5000},
])
def test_a_tree_that_is_not_in_order_is_refused(tree):
    with pytest.raises(driver.MessageError):
        driver.unpack(tree, [driver.pack(np.eye(2))[1][0]])


def test_what_the_grader_sends_names_what_cannot_be_sent():
    with pytest.raises(driver.NotArraysError, match="a function cannot be sent"):
        driver.pack([nested])


def junk(rng, depth=3):
    """Return something that JSON may hold, of the words that the grader knows and others."""
    words = ["tree", "failed", "slow", "raised", "large", "plain", "array", "ValueError", "x"]
    pick = rng.randrange(8 if depth else 5)
    if pick < 4:
        return [None, True, rng.randrange(-2, 5), rng.random()][pick]
    if pick < 6:
        return rng.choice(words)
    if pick == 6:
        return [junk(rng, depth - 1) for _ in range(rng.randrange(3))]
    return {rng.choice(words): junk(rng, depth - 1) for _ in range(rng.randrange(3))}


def test_no_head_that_a_program_writes_breaks_the_grader():
    rng = random.Random(5)
    case = definition.Case("q1-1", "call", "double", expected=1, message="m")
    understood = 0
    for _ in range(5000):
        head = {name: junk(rng) for name in rng.choice([["tree"], ["failed", "name"]])}
        try:
            _, outcome = grader._understood(head, [driver.pack(np.eye(2))[1][0]], case)
        except (sandbox.EndedError, grader._TooSlowError):
            continue
        understood += 1
        assert outcome is None or "x" not in outcome.reason.split()
    assert understood > 50


@pytest.mark.parametrize(("source", "runs"), [
    ("x = 1", "x = 1"),
    ("%time x = 1\n!ls\nif x:\n    %matplotlib inline", "pass\npass\nif x:\n    pass"),
    ("files = !ls\nx = %timeit y", "files = None\nx = None"),
    ("len?\n?len", "pass\npass"),
    ("%%time\nx = 1", "\nx = 1"),
    ("\n%%bash\nrm -rf data", ""),
    ("text = '''\n%d of %d\n'''", "text = '''\n%d of %d\n'''"),
    ("x = (7\n% 4)", "x = (7\n% 4)"),
])
def test_magics_are_skipped_and_what_is_python_is_left(source, runs):
    assert driver.python(source) == runs


# How it is judged


def judged(expected, answer, **more):
    case = definition.Case("q1-1", "call", "f", message="m", expected=expected, **more)
    try:
        compare.judge(case, driver.as_arrays(answer))
    except compare.WrongError as error:
        return error.category
    return "right"


@pytest.mark.parametrize(("expected", "answer", "says"), [
    (1.0, 1.00009, "right"), (1.0, 1.0002, "values"), (1.0, np.float16(1), "right"),
    (0.0, 5e-5, "right"), (0.0, 2e-4, "values"),
    (3255914, 3255914.0, "right"), (3255914, 3255913, "values"), (7, 7.0001, "values"),
    (True, np.True_, "right"), (True, False, "values"), (7, "7", "type"), ("a", "a", "right"),
    ("a", "b", "values"), ("a", 1, "type"), (1.0, [1.0], "shape"), (1.0, None, "structure"),
    (None, None, "right"), (None, 0, "structure"),
    (np.eye(2), [[1, 0], [0, 1]], "right"), (np.eye(2), np.eye(3), "shape"),
    (np.eye(2), ([1, 0], [0, 1]), "right"), (np.eye(2), {"a": 1}, "structure"),
    (np.eye(2), np.full((2, 2), np.nan), "nan"), ([1.0, np.nan], [1.0, np.nan], "right"),
    ([1.0, np.inf], [1.0, -np.inf], "values"), ([1.0, np.inf], [1.0, 1e300], "nan"),
    (1.0, 1 + 1j, "type"), (1 + 1j, 1 + 1j, "right"),
    ((3, 4), [3, 4], "right"), ((3, 4), np.array([3, 4]), "right"), ((3, 4), (3,), "structure"),
    ((3, 4), (4, 3), "values"), ((3, 4), 3, "structure"),
    ((np.eye(2), 1.0), (np.eye(2), 2), "values"), ((np.eye(2), 1.0), (np.eye(2), 1), "right"),
    ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, "right"), ({"a": 1}, {"b": 1}, "structure"),
    ({"a": 1}, [1], "structure"), ([np.eye(2), np.eye(3)], [np.eye(2), np.eye(3)], "right"),
    ([np.eye(2), np.eye(3)], (np.eye(2), np.eye(2)), "shape"),
    (np.arange(1000.0), np.arange(1000.0) * 1.00005, "right"),
])
def test_an_answer_is_held_against_what_is_expected(expected, answer, says):
    assert judged(expected, answer) == says


def test_a_case_may_set_its_own_tolerance():
    assert judged(100, 101, tolerance=0.02) == "right"
    assert judged(100, 103, tolerance=0.02) == "values"
    assert judged(0.1, 0.1, tolerance=0) == "right"
    assert judged(0.1, 0.1 + 1e-9, tolerance=0) == "values"


def test_a_property_is_judged_by_a_sentence_or_an_exception():
    def holds(answer):
        return None if answer[0] > 0 else "The first is positive."

    assert judged(None, [1, 2], holds=holds) == "right"
    assert judged(None, [-1, 2], holds=holds) == "property"
    assert judged(None, 3, holds=holds) == "structure"
    assert judged(None, None, holds=holds) == "structure"


# The sandbox


def test_the_filter_is_there_for_the_machines_that_are_known():
    for machine in ("x86_64", "aarch64"):
        rules = seccomp.program(machine)
        assert rules and len(rules) % 8 == 0
        lines = list(struct.iter_unpack("=HBBI", rules))
        for place, (code, yes, no, _) in enumerate(lines):
            if code & 7 == 5:  # a jump stays within the filter, which ends with an answer
                assert place + 1 + max(yes, no) < len(lines)
        assert lines[-1][0] == 6
    assert seccomp.program("pdp11") == b""


def test_an_isolation_that_is_unknown_is_refused():
    with pytest.raises(sandbox.SandboxError, match="it is one of bubblewrap, none"):
        sandbox.check("nohne")


def test_a_python_below_the_temporary_folder_is_seen_and_what_lies_beside_it_is_not(
        tmp_path, monkeypatch, bubblewrap):
    for name in ("python", "beside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    real = sandbox._python_places()
    monkeypatch.setattr(sandbox, "_python_places", lambda: [*real, tmp_path / "python"])
    program, rootly, _ = sandbox.find()
    with sandbox.Box(None, {}) as box, sandbox._command(program, rootly, box) as (command, opened):
        told = subprocess.run([*command, "/bin/cat", *tmp_path.glob("*/file")], pass_fds=opened,
                              capture_output=True, text=True, check=False)
    assert told.stdout == "python" and told.stderr.count("No such file") == 1


def test_a_sandbox_that_does_not_start_says_why(tmp_path, bubblewrap):
    with sandbox.Box(None, {}) as box:
        (box / "driver.py").write_text("raise SystemExit('broken driver')")
        with pytest.raises(sandbox.SandboxError, match="did not start .*broken driver"):
            sandbox.Process(box, "bubblewrap", 1 << 30)


def test_a_bubblewrap_that_does_not_work_is_not_taken(tmp_path, monkeypatch):
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.find.cache_clear()
    try:
        assert sandbox.find() == (None, False, "setting up uid map: Permission denied")
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
        sandbox.find.cache_clear()
        assert sandbox.find()[2] == "it is not installed"
        monkeypatch.setattr(sandbox, "install", lambda: False)
        with pytest.raises(sandbox.SandboxError, match="apt-get install bubblewrap"):
            sandbox.ensure()
    finally:
        sandbox.find.cache_clear()


@pytest.fixture
def installing(monkeypatch):
    """Record the commands that an installation would run, on a machine without bubblewrap."""
    ran = []
    monkeypatch.setattr(sandbox.subprocess, "run", lambda command, **_: ran.append(command))
    monkeypatch.setattr(sandbox.shutil, "which", lambda name, path=None: (
        None if name == "bwrap" else f"/usr/bin/{name}"))
    monkeypatch.delenv("CI", raising=False)
    sandbox.find.cache_clear()
    yield ran
    sandbox.find.cache_clear()


def test_root_installs_bubblewrap(installing, monkeypatch):
    monkeypatch.setattr(sandbox, "_as_root", lambda: True)
    assert sandbox.install() is False
    assert [command[0] for command in installing] == ["env", "env"]
    assert installing[-1][-2:] == ["--no-install-recommends", "bubblewrap"]


def test_others_install_it_by_sudo_and_only_where_ci_runs(installing, monkeypatch):
    monkeypatch.setattr(sandbox, "_as_root", lambda: False)
    assert sandbox.install() is False and not installing
    monkeypatch.setenv("CI", "true")
    sandbox.install()
    assert installing and all(command[:2] == ["sudo", "-n"] for command in installing)


@pytest.mark.parametrize(("options", "ci", "code"), [
    ([], "", 0), (["--required"], "", 1), ([], "true", 1)])
def test_where_no_sandbox_can_be_had_it_is_an_error_or_a_loud_line(
        options, ci, code, installing, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "install", lambda: False)
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(sandbox.sys, "argv", ["sandbox", *options])
    try:
        sandbox.main()
        ended = 0
    except SystemExit as error:
        ended = error.code
    assert ended == code and "NO SANDBOX" in capsys.readouterr().err


def test_last_words_are_heard_though_they_come_after_the_look_for_them(monkeypatch):
    look = sandbox.select.select
    with sandbox.Box(None, {}) as box, sandbox.Process(box, "none", 1 << 30) as process:

        def look_and_let_it_end(*streams):
            found = look(*streams)
            if streams[-1] and not process._pending:
                process._process.wait(20)
                return [], [], []
            return found

        monkeypatch.setattr(sandbox.select, "select", look_and_let_it_end)
        process.send({"do": "cells", "cells": [[1, "import os\nos._exit(0)"]], "seconds": 9})
        # Without them, the cell that ended the program would not be known, nor left out.
        process._step(float("inf"))
        process._step(float("inf"))
        monkeypatch.setattr(sandbox.select, "select", look)
        assert process.receive(9)[0] == {"cell": 1, "raised": None}
        with pytest.raises(sandbox.EndedError):
            process.receive(9)


@pytest.mark.parametrize("rootly", [True, False])
def test_what_a_program_has_started_is_gone_once_the_process_is_closed(
        rootly, monkeypatch, bubblewrap):
    program, allowed, _ = sandbox.find()
    if rootly and not allowed:
        pytest.skip("only root makes the sandbox that way")
    monkeypatch.setattr(sandbox, "find", lambda: (program, rootly, ""))
    # It takes long to die: all its memory has to be given back.
    start = ("import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; "
             "taken = bytearray(b\"1\") * (600 << 20); print(1, flush=True); time.sleep(600)'], "
             "stdout=subprocess.PIPE, start_new_session=True).stdout.readline()")
    with sandbox.Box(None, {}) as box, sandbox.Process(box, "bubblewrap", 1 << 30) as process:
        process.send({"do": "cells", "cells": [[1, start]], "seconds": 60})
        process.receive(60)  # which cell begins
        process.receive(60)
        started = psutil.Process(process._process.pid).children(recursive=True)
        assert len(started) == 3
    assert not [one for one in started if one.is_running() and one.status() != "zombie"]


def test_what_is_not_confined_is_ended_as_well(tmp_path):
    assignment = toys.assignment(tmp_path / "masters")
    path = toys.submit(tmp_path / "a.ipynb", "import os, time\nfor _ in range(3):\n"
                       "    if os.fork() == 0:\n        os.setsid()\n        time.sleep(600)",
                       "def double(x):\n    while True:\n        pass", toys.TOTAL)
    grade = grader.grade_one(path, assignment, isolation="none")
    assert grade.points == 2
    mine = f"grading-{os.getpid()}-"
    assert not [process for process in psutil.process_iter(["cmdline"])
                if mine in " ".join(process.info["cmdline"] or ())]


HARNESS = '''
def both(program, x):
    return {"double": program["double"](x), "total": program["total"](x)}


def missing(program):
    return program["nothing"]
'''

USES_HARNESS = '''
VARIANT = {}


def questions(variant):
    return [{"name": "q1", "title": "Both", "points": 2, "cases": [
        {"harness": "both", "args": [[1.0, 2.0]], "expected": {"double": [2.0, 4.0], "total": 3.0},
         "message": "Both.", "public": True},
        {"harness": "missing", "expected": 1, "message": "There is nothing."},
        {"value": "FILE", "expected": "data", "message": "Data lies beside the notebook."},
    ]}]
'''


def test_a_harness_runs_in_the_sandbox_and_data_lies_where_the_notebook_runs(tmp_path, bubblewrap):
    assignment = toys.assignment(tmp_path, checks=USES_HARNESS, harness=HARNESS)
    (tmp_path / "toy" / "data").mkdir()
    (tmp_path / "toy" / "data" / "a.txt").write_text("data")
    path = toys.submit(tmp_path / "a.ipynb", toys.DOUBLE, toys.TOTAL,
                       "FILE = open('data/a.txt').read()")
    cases = grader.grade_one(path, assignment).questions["q1"].cases
    assert [case.passed for case in cases.values()] == [True, False, True]
    assert cases["q1-2"].reason == "a name that is asked for is not defined"


def test_a_function_of_many_cases_that_hangs_leaves_time_for_the_others(tmp_path, bubblewrap):
    many = toys.CHECKS.replace('''             "message": "Large numbers count too."},
''', '''             "message": "Large numbers count too."},
            *[{"call": "double", "args": [3.0], "expected": 6.0, "message": "m"}] * 12,
''')
    assignment = toys.assignment(tmp_path / "masters", checks=many)
    path = toys.submit(tmp_path / "a.ipynb", "def double(x):\n    while True:\n        pass",
                       toys.TOTAL)
    grade = grader.grade_one(path, assignment)
    assert len(grade.questions["q1"].cases) == 15 and grade.points == 2
    assert grade.seconds < assignment.limits["seconds"] * 0.55


def test_every_question_keeps_its_time_when_one_function_hangs(tmp_path, bubblewrap):
    assignment = toys.assignment(tmp_path / "masters")
    path = toys.submit(tmp_path / "a.ipynb", "def double(x):\n    while True:\n        pass",
                       toys.TOTAL)
    grade = grader.grade_one(path, assignment)
    assert grade.points == 2
    # The program's own clock stops it, and it need not be started anew.
    assert [case.reason for case in grade.questions["q1"].cases.values()] == ["too slow"] * 3
    # A fifth of the time, and a quarter of that for each further case.
    assert grade.seconds < assignment.limits["seconds"] * 0.55


# Saved networks

IMAGES = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype("float32")


def config(*layers):
    return {"module": "keras", "class_name": "Sequential", "registered_name": None,
            "compile_config": {"loss": {"class_name": "function", "config": "evil"}},
            "config": {"name": "net", "layers": [
                {"module": module, "class_name": name, "registered_name": None, "config": more}
                for module, name, more in layers]}}


def saved(path, content, **members):
    files = {"config.json": json.dumps(content), "metadata.json": '{"keras_version": "3.15.1"}',
             "model.weights.h5": b"", **members}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def test_a_configuration_of_known_layers_is_read_without_its_training(tmp_path):
    path = saved(tmp_path / "a.keras", config(("keras.layers", "Dense", {"units": 3})))
    read = models.read_config(path)
    assert "compile_config" not in read
    assert read["config"]["layers"][0]["class_name"] == "Dense"


@pytest.mark.parametrize("layer", [
    ("keras.layers", "Lambda", {}), ("builtins", "function", {}), ("os", "system", {}),
    ("keras.layers", "TFSMLayer", {}), ("tensorflow", "Dense", {}), (None, "Dense", {}),
    ("keras.layers", "Dense", {"activation": {
        "module": "builtins", "class_name": "function", "config": "evil"}}),
    ("keras.layers", "Dense", {"kernel_initializer": {
        "module": "keras.initializers", "class_name": "__lambda__", "config": {}}}),
    ("keras.layers", ["Dense"], {}), ("keras.layers", {"class_name": "Dense"}, {}),
])
def test_a_configuration_that_could_run_code_is_refused(layer, tmp_path):
    path = saved(tmp_path / "a.keras", config(layer))
    with pytest.raises(models.ModelError, match="none of the layers"):
        models.read_config(path)


def test_a_layer_under_a_registered_name_is_refused(tmp_path):
    content = config(("keras.layers", "Dense", {}))
    content["config"]["layers"][0]["registered_name"] = "mine>Dense"
    with pytest.raises(models.ModelError, match="none of the layers"):
        models.read_config(saved(tmp_path / "a.keras", content))


@pytest.mark.parametrize(("members", "says"), [
    ({"config.json": "{"}, "not JSON"), ({"config.json": "[]"}, "no network of"),
    ({"config.json": None}, "does not hold just these"),
    ({"assets/evil.txt": b"x"}, "does not hold just these"),
    ({"../evil.txt": b"x"}, "leads out of it"),
    ({"config.json": "[" * 50_000}, "not JSON"),
    ({"config.json": " " * (5 << 20)}, "larger than"),
])
def test_a_file_that_is_no_saved_network_is_refused(members, says, tmp_path):
    with pytest.raises(models.ModelError, match=says):
        models.read_config(saved(tmp_path / "a.keras", {}, **members))
    (tmp_path / "b.keras").write_bytes(b"nothing")
    with pytest.raises(models.ModelError, match="not a zip"):
        models.read_config(tmp_path / "b.keras")


def test_metadata_that_are_not_in_order_are_refused(tmp_path):
    path = saved(tmp_path / "a.keras", config(), **{"metadata.json": "[]"})
    with pytest.raises(models.ModelError, match="metadata.json is not in order"):
        models.repacked(path.read_bytes(), "a.keras")


@pytest.mark.long
def test_a_saved_network_and_tensors_are_judged(tmp_path, bubblewrap):
    keras = pytest.importorskip("keras")
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    branch = layers.Add()([layers.Conv2D(4, 3, padding="same")(inputs),
                           layers.Conv2D(4, 1)(inputs)])
    net = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(branch)))
    net.compile("adam", "mse")
    folder = tmp_path / "eve"
    folder.mkdir()
    net.save(folder / "network.keras")
    # The notebook breaks Keras; its program is not there when the network is asked.
    toys.submit(folder / "a.ipynb", "import keras\nkeras.saving.load_model = None",
                "import tensorflow as tf\n\n\n@tf.function\ndef halve(x):\n"
                "    while tf.reduce_sum(x) > 1.0:\n        x = x / 2.0\n    return x")
    seen = {}

    def looks_right(answer):
        seen.update(answer)
        expected = net.predict(IMAGES, verbose=0)
        return None if np.allclose(answer["predictions"], expected, atol=1e-5) else "Not these."

    def case(name, kind, target, **more):
        return definition.Case(name, kind, target, message="m", **more)

    assignment = definition.Assignment("toy", tmp_path / "none", {}, (definition.Question(
        "q1", "Network", 3, (
            case("q1-1", "model", "network.keras", args=[IMAGES], holds=looks_right),
            case("q1-2", "model", "network.keras", args=[IMAGES[:2]],
                 holds=lambda answer: None if answer["predictions"].shape == (2, 10) else "no"),
            case("q1-3", "call", "halve", args=[np.float32([4.0, 4.0])], expected=[0.5, 0.5]),
            case("q1-4", "model", "other.keras", args=[IMAGES], holds=looks_right),
        )),), {"seconds": 120, "memory": 2 << 30}, ("network.keras", "other.keras"))
    cases = grader.grade_one(folder, assignment).questions["q1"].cases
    assert [case.passed for case in cases.values()] == [True, True, True, False], cases
    assert cases["q1-4"].reason == "other.keras was not handed in"
    assert seen["parameters"] == net.count_params()
    assert seen["path_size"] == (folder / "network.keras").stat().st_size
    assert [layer["class"] for layer in seen["layers"]] == [
        "InputLayer", "Conv2D", "Conv2D", "Add", "GlobalAveragePooling2D", "Dense"]
    assert seen["layers"][1]["weights"] == [[3, 3, 3, 4], [4]]
    assert seen["config"]["class_name"] == "Functional"


def test_the_filter_is_for_this_machine_where_it_is_known():
    if platform.machine() in ("x86_64", "aarch64"):
        assert seccomp.program() == seccomp.program(platform.machine())
