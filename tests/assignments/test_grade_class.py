import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from tests.assignments import toys
from tools import grade
from tools.grading import classroom, sandbox

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("bubblewrap")


@pytest.fixture
def master(tmp_path):
    toys.assignment(tmp_path / "masters")
    return tmp_path / "masters" / "toy"


@pytest.fixture
def handed_in(tmp_path):
    """Five submissions: right, half right, as a zip, as a folder, and no notebook at all."""
    folder = tmp_path / "class"
    folder.mkdir()
    toys.submit(folder / "ada.ipynb", toys.DOUBLE, toys.TOTAL)
    toys.submit(folder / "bob.ipynb", toys.DOUBLE.replace("2 *", "3 *"), toys.TOTAL)
    with zipfile.ZipFile(folder / "cleo.zip", "w") as archive:
        archive.writestr("work/hand-in.ipynb", toys.notebook(toys.TOTAL, toys.DOUBLE))
        archive.writestr("__MACOSX/work/._hand-in.ipynb", b"\0\5\26\7")
    (folder / "dan").mkdir()
    toys.submit(folder / "dan" / "my work.ipynb", "%matplotlib inline", toys.DOUBLE)
    (folder / "eve.pdf").write_bytes(b"%PDF")
    (folder / ".DS_Store").write_bytes(b"\0")
    return folder


def run(folder, master, *options):
    """Run the command in this process; return its exit code."""
    return grade.main([str(folder), "--assignment", str(master), *map(str, options)])


def rows(out):
    return list(csv.DictReader(io.StringIO((out / "grades.csv").read_text())))


def results(out):
    """When each result was written; what a killed run had not finished has another name."""
    return {path.stem: path.stat().st_mtime_ns for path in sorted((out / "results").glob("*.json"))}


def test_a_class_is_graded(handed_in, master, tmp_path, capsys):
    assert run(handed_in, master, "--jobs", 2) == 1
    out = tmp_path / "class-graded"
    said = capsys.readouterr().out
    assert "5 submissions graded, 5 of them now" in said
    assert "not run: eve: it is no notebook, zip or folder" in said
    assert [tuple(row.values()) for row in rows(out)] == [
        ("ada", "4", "2", "6", "6", ""),
        ("bob", "0", "2", "2", "6", ""),
        ("cleo", "4", "2", "6", "6", ""),
        ("dan", "4", "0", "4", "6", ""),
        ("eve", "0", "0", "0", "6", "it is no notebook, zip or folder"),
    ]


def test_feedback_tells_of_public_cases_and_counts_hidden_ones(handed_in, master, tmp_path):
    run(handed_in, master)
    told = (tmp_path / "class-graded" / "feedback" / "bob.md").read_text()
    assert told == (
        "# toy: 2 of 6 points\n\n"
        "## Double it: 0 of 4\n\n"
        "- `double`: wrong values. Twice nothing is nothing.\n"
        "- 2 of 2 hidden tests failed: wrong values (2).\n\n"
        "## Sum it: 2 of 2\n\n"
        "- All tests passed.\n")
    told = (tmp_path / "class-graded" / "feedback" / "eve.md").read_text()
    assert "could not be run: it is no notebook, zip or folder." in told


def test_gradescope_gets_one_score_for_each_question_and_no_more(handed_in, master, tmp_path):
    run(handed_in, master)
    shown = json.loads((tmp_path / "class-graded" / "gradescope" / "bob.json").read_text())
    assert shown == {"score": 2, "tests": [
        {"name": "q1 Double it", "score": 0, "max_score": 4},
        {"name": "q2 Sum it", "score": 2, "max_score": 2}]}


def test_a_second_run_grades_only_what_has_changed(handed_in, master, tmp_path, capsys):
    run(handed_in, master)
    before = results(tmp_path / "class-graded")
    toys.submit(handed_in / "bob.ipynb", toys.DOUBLE, toys.TOTAL)
    run(handed_in, master)
    assert "5 submissions graded, 1 of them now" in capsys.readouterr().out
    after = results(tmp_path / "class-graded")
    assert {name for name in after if after[name] != before[name]} == {"bob"}
    assert rows(tmp_path / "class-graded")[1]["total"] == "6"
    checks = master / "checks.py"
    checks.write_text(checks.read_text().replace('"points": 4', '"points": 5'))
    run(handed_in, master)
    assert "5 of them now" in capsys.readouterr().out


def test_a_result_that_was_cut_off_or_belongs_to_another_is_not_used(handed_in, master, tmp_path,
                                                                     capsys):
    toys.submit(handed_in / "adas twin.ipynb", toys.DOUBLE, toys.TOTAL)
    run(handed_in, master)
    stored = tmp_path / "class-graded" / "results"
    (stored / "bob.json").write_text((stored / "bob.json").read_text()[:100])
    (stored / "adas twin.json").write_text((stored / "ada.json").read_text())
    run(handed_in, master)
    assert "6 submissions graded, 2 of them now" in capsys.readouterr().out
    assert [row["student"] for row in rows(tmp_path / "class-graded")] == [
        "ada", "adas twin", "bob", "cleo", "dan", "eve"]


def slow_class(folder, many):
    """Write submissions that take half a second each."""
    folder.mkdir()
    for number in range(many):
        toys.submit(folder / f"student{number:02}.ipynb", "import time\ntime.sleep(0.5)",
                    toys.DOUBLE, toys.TOTAL)
    return folder


def start(folder, master, out, *options):
    """Start the command in a process of its own, which hears SIGINT.

    A shell starts what runs in its background deaf to it, and children would inherit that.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "tools.grade", folder, "--assignment", master, "--out", out,
         "--jobs", "1", *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def kill_when(process, out, many):
    """Kill a run with SIGKILL when so many results are there; return these."""
    for _ in range(600):
        there = results(out) if (out / "results").is_dir() else {}
        if len(there) >= many:
            break
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, "what ran in the sandbox lives on"
    there = results(out)
    for name in there:
        json.loads((out / "results" / f"{name}.json").read_text())
    return there


def test_a_run_that_is_killed_loses_nothing_and_grades_nothing_twice(master, tmp_path):
    folder, out = slow_class(tmp_path / "class", 6), tmp_path / "out"
    before = kill_when(start(folder, master, out), out, 2)
    assert 2 <= len(before) < 6
    again = start(folder, master, out)
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert f"6 submissions graded, {6 - len(before)} of them now" in said
    after = results(out)
    assert {name: after[name] for name in before} == before
    assert [row["total"] for row in rows(out)] == ["6"] * 6


def boxes():
    return set(Path(tempfile.gettempdir()).glob("grading-*-*"))


def test_a_run_that_is_interrupted_ends_at_once_and_leaves_nothing_behind(master, tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    checks = master / "checks.py"
    checks.write_text(checks.read_text().replace('"seconds": 12', '"seconds": 200'))
    toys.submit(folder / "eve.ipynb", "while True:\n    pass")
    process = start(folder, master, tmp_path / "out")
    mine = f"grading-{process.pid}-"
    for _ in range(400):
        if any(box.name.startswith(mine) for box in boxes()):
            break
        time.sleep(0.05)
    time.sleep(1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 130 and "run the same command again" in said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert not [box for box in boxes() if box.name.startswith(mine)]


def test_boxes_of_graders_that_were_killed_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    old, own = (Path(tempfile.mkdtemp(prefix=f"grading-{pid}-"))
                for pid in (ended.pid, os.getpid()))
    (old / "box").mkdir()
    sandbox.sweep()
    assert not old.exists() and own.exists()
    own.rmdir()


def test_a_shard_that_is_killed_is_run_again_and_all_are_merged(master, tmp_path, capsys):
    folder = slow_class(tmp_path / "class", 8)
    outs = [tmp_path / f"shard{number}" for number in (1, 2, 3)]
    killed = start(folder, master, outs[1], "--shard", "2/3")
    kept = kill_when(killed, outs[1], 1)
    assert 1 <= len(kept) < 3
    for number in (1, 3):
        assert run(folder, master, "--shard", f"{number}/3", "--out", outs[number - 1]) == 0
    merge = ["--merge", *outs, "--out", tmp_path / "all"]
    assert run(folder, master, *merge) == 2
    missing = capsys.readouterr().err
    assert f"{3 - len(kept)} submissions have not been graded" in missing
    assert "Run their shards again" in missing
    assert not (tmp_path / "all" / "grades.csv").exists()

    assert run(folder, master, "--shard", "2/3", "--out", outs[1]) == 0
    assert f"3 submissions graded, {3 - len(kept)} of them now" in capsys.readouterr().out
    assert {name: results(outs[1])[name] for name in kept} == kept
    assert run(folder, master, *merge) == 0
    assert [row["student"] for row in rows(tmp_path / "all")] == [
        f"student{number:02}" for number in range(8)]
    # Each was graded by one shard.
    assert sorted(sum(([*results(out)] for out in outs), [])) == [*results(tmp_path / "all")]


def test_shards_that_do_not_agree_are_not_merged(handed_in, master, tmp_path, capsys):
    for number in (1, 2):
        run(handed_in, master, "--out", tmp_path / f"out{number}")
    stored = tmp_path / "out2" / "results" / "ada.json"
    result = json.loads(stored.read_text())
    stored.write_text(json.dumps({**result, "points": 5}))
    assert run(handed_in, master, "--merge", tmp_path / "out1", tmp_path / "out2", "--out",
               tmp_path / "all") == 2
    assert "ada: two shards graded it and do not agree" in capsys.readouterr().err


def test_a_shard_is_graded_by_one_process_at_a_time(master, tmp_path, capsys):
    folder, out = slow_class(tmp_path / "class", 3), tmp_path / "out"
    first = start(folder, master, out)
    for _ in range(600):
        if (out / "results").is_dir() and results(out):
            break
        time.sleep(0.05)
    try:
        assert run(folder, master, "--out", out) == 2
        assert "is being graded there by another process" in capsys.readouterr().err
    finally:
        said, _ = first.communicate(timeout=60)
    assert first.returncode == 0, said


@pytest.mark.parametrize(("arguments", "says"), [
    (["nowhere", "--assignment", "MASTER"], "there is no such folder"),
    (["EMPTY", "--assignment", "MASTER"], "there is no submission in it"),
    (["CLASS", "--assignment", "09_nothing"], "no such assignment"),
    (["CLASS", "--assignment", "MASTER", "--out", "CLASS/out"], "name another with --out"),
    (["CLASS", "--assignment", "MASTER", "--merge", "nowhere"], "no folder results/ in it"),
])
def test_what_cannot_be_done_is_said_with_a_remedy(arguments, says, handed_in, master, tmp_path,
                                                   capsys):
    (tmp_path / "empty").mkdir()
    places = {"CLASS": str(handed_in), "EMPTY": str(tmp_path / "empty"), "MASTER": str(master)}
    filled = []
    for argument in arguments:
        for name, place in places.items():
            argument = argument.replace(name, place)
        filled.append(argument)
    assert grade.main(filled) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["3/2", "0/2", "2", "a/b"])
def test_a_shard_is_i_of_n(shard, handed_in, master, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(handed_in, master, "--shard", shard)
    assert "i from 1 to n" in capsys.readouterr().err


def test_without_a_sandbox_nothing_is_run_unless_it_is_asked_for(handed_in, master, tmp_path,
                                                                 monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "find", lambda: (None, False, "it is not installed"))
    assert run(handed_in, master) == 2
    refused = capsys.readouterr().err
    assert "apt-get install bubblewrap" in refused and "--isolation none" in refused
    assert not (tmp_path / "class-graded").exists()
    assert run(handed_in, master, "--isolation", "none") == 1
    assert "WITHOUT A SANDBOX" in capsys.readouterr().err
    assert [row["total"] for row in rows(tmp_path / "class-graded")] == ["6", "2", "6", "4", "0"]


def test_a_sandbox_that_fails_costs_nobody_a_grade(handed_in, master, tmp_path, monkeypatch,
                                                   capsys):
    real = sandbox.Process

    def process(box, *rest, **more):
        if b"3 *" in (handed_in / "bob.ipynb").read_bytes() and fails.pop():
            raise sandbox.SandboxError("the sandbox did not start: no memory")
        return real(box, *rest, **more)

    fails = [False, False, False, True, True, False]
    monkeypatch.setattr(sandbox, "Process", process)
    assert run(handed_in, master) == 1
    said = capsys.readouterr().out
    assert said.count("NOT GRADED:") == 2 and "no memory" in said
    assert "No table was written" in said
    assert not (tmp_path / "class-graded" / "grades.csv").exists()
    fails[:] = [False] * 10
    assert run(handed_in, master) == 1
    assert "2 of them now" in capsys.readouterr().out
    assert [row["total"] for row in rows(tmp_path / "class-graded")] == ["6", "2", "6", "4", "0"]


def test_names_of_files_do_no_harm(master, tmp_path, capsys):
    folder = tmp_path / "class"
    folder.mkdir()
    odd = ["=1+1.ipynb", "a\x1b[2Jb.ipynb", "x" * 240 + ".ipynb", "same.ipynb", "Same.zip"]
    for name in odd:
        (folder / name).write_text("no notebook")
    assert run(folder, master) == 1
    out = tmp_path / "class-graded"
    assert "\x1b" not in capsys.readouterr().out
    names = [row["student"] for row in rows(out)]
    assert sorted(names) == sorted(["'=1+1", "a?[2Jb", "x" * 240, "same.ipynb", "Same.zip"])
    assert len(list((out / "feedback").iterdir())) == 5


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(text):
    """Return what a terminal's line holds after some text."""
    line = ""
    for piece in text.split("\r"):
        line = piece + line[len(piece):]
    return line


def test_the_line_of_progress_leaves_nothing_behind():
    terminal = Terminal()
    progress = classroom.Progress(terminal)
    progress(9, 100)
    progress(100, 100)
    assert shown(terminal.getvalue()).startswith("100/100 submissions")
    progress.close()
    assert shown(terminal.getvalue()).strip() == ""


def test_a_log_is_not_filled_with_progress():
    log = io.StringIO()
    progress = classroom.Progress(log)
    for number in range(1, 101):
        progress(number, 100)
    progress.close()
    assert log.getvalue().startswith("100/100") and log.getvalue().count("\n") == 1


def test_results_are_written_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    classroom.write(path, "old")

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        classroom.write(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["result.json"]
