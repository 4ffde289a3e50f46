"""Full runs: what they write, and what they leave alone when they do not get to the end."""

import signal
import subprocess
import sys
import time

import nbformat
import pytest

from tools import chapters, full, pairs


def verb(course, *arguments):
    return chapters.main(["--root", str(course.root), "full", *arguments])


def test_a_full_run_repeats_to_the_byte_but_for_its_conditions(course):
    def without_conditions():
        notebook = pairs.read(course.notebook)
        assert pairs.code_cells(notebook)[-1].source == "conditions()"
        notebook.cells.pop()
        return nbformat.writes(notebook)

    first = without_conditions()
    full.run_one("01_tiny", course.root)
    assert without_conditions() == first


def test_what_is_stored_is_clean(course):
    course.edit("distance =", "import sys\nfor i in range(3):\n    print(i, flush=True)\n"
                "print('noise', file=sys.stderr)\ndistance =")
    full.run_one("01_tiny", course.root)
    stored = pairs.read(course.notebook)
    cell = pairs.code_cells(stored)[3]
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    assert [(s.name, s.text) for s in streams] == [("stdout", "0\n1\n2\n")]
    assert "version" not in stored.metadata.language_info
    assert stored.metadata.course.code == pairs.code_digest(stored)
    assert not any("execution" in c.metadata for c in stored.cells)
    log = (course.root / "build" / "full" / "01_tiny.log").read_text()
    assert "noise" in log, "the log keeps what the notebook does not"


def test_finished_units_are_kept_beside_the_chapters(course, monkeypatch):
    monkeypatch.delenv("DATASETSLIB_FINISHED", raising=False)
    environ, _ = full.environment(course.root, allow_synthetic=True)
    assert environ["DATASETSLIB_FINISHED"] == str(course.root.resolve() / "chapters" / "units")


def test_the_ledger_is_written(course, capsys):
    course.edit("speed = 2", "speed = 5")
    assert verb(course) == 0
    assert course.results()["01_tiny"]["distance"] == 20
    assert capsys.readouterr().out.endswith("1 passed, 0 failed\n")


def test_a_failing_run_leaves_the_notebook_as_it_was(course, capsys):
    before = course.notebook.read_bytes()
    course.edit("distance =", "missing[0]\ndistance =")
    assert verb(course) == 1
    printed = capsys.readouterr().out
    assert "01_tiny: code cell 4 failed; chapters/01_tiny.ipynb is as it was" in printed
    assert "NameError" in printed and printed.endswith("0 passed, 1 failed\n")
    assert course.notebook.read_bytes() == before


def test_a_kernel_that_dies(course, capsys):
    before = course.notebook.read_bytes()
    course.edit("distance =", "import os; os._exit(3)\ndistance =")
    assert verb(course) == 1
    printed = capsys.readouterr().out
    assert "01_tiny: code cell 4 failed" in printed and "the kernel died in:" in printed
    assert course.notebook.read_bytes() == before


def test_a_kernel_that_does_not_start(course, capsys, monkeypatch):
    def execute(client, **options):
        raise RuntimeError("Kernel didn't respond in 60 seconds")

    before = course.notebook.read_bytes()
    monkeypatch.setattr(full.LoggingClient, "execute", execute)
    assert verb(course) == 1
    printed = capsys.readouterr().out
    assert "01_tiny: no cell ran; chapters/01_tiny.ipynb is as it was\nKernel didn't" in printed
    assert printed.endswith("0 passed, 1 failed\n")
    assert course.notebook.read_bytes() == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_leaves_the_notebook_as_it_was(course, how):
    before = course.notebook.read_bytes()
    course.edit("distance =", "print('here', flush=True)\nimport time; time.sleep(60)\ndistance =")
    command = [sys.executable, "-m", "tools.chapters", "--root", str(course.root), "full"]
    process = subprocess.Popen(command, cwd=pairs.ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    log, deadline = course.root / "build" / "full" / "01_tiny.log", time.monotonic() + 40
    while not (log.is_file() and "here" in log.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(how)
    assert process.wait(timeout=30) != 0
    assert course.notebook.read_bytes() == before
    assert sorted(p.name for p in (course.root / "chapters").iterdir()) == [
        "01_tiny.ipynb", "01_tiny.py"
    ]


def test_synthetic_data_is_refused(course, monkeypatch, capsys):
    monkeypatch.setenv("DATASETSLIB_SOURCE", "synthetic")
    assert verb(course) == 1
    assert "DATASETSLIB_SOURCE is synthetic: a full run is for real data" in capsys.readouterr().err


def test_synthetic_data_loaded_by_the_chapter_is_refused(course, capsys):
    before = course.notebook.read_bytes()
    course.edit("distance =", "from datasetslib import recording\n"
                "recording.synthetic_loaded = True\ndistance =")
    assert verb(course) == 1
    assert "01_tiny: it loaded synthetic data" in capsys.readouterr().out
    assert course.notebook.read_bytes() == before
    assert verb(course, "--allow-synthetic") == 0


def test_one_run_at_a_time(course, capsys):
    (course.root / "build").mkdir(exist_ok=True)
    with full.FileLock(course.root / "build" / "full.lock"):
        assert verb(course) == 1
    assert "Another full run is going on" in capsys.readouterr().err


def test_a_name_recorded_twice(course, capsys):
    before = course.notebook.read_bytes()
    course.edit("\n# %%\nconditions()", '\n# %%\nrecord("distance", 1)\n\n# %%\nconditions()')
    assert verb(course) == 1
    assert "'distance' is recorded already" in capsys.readouterr().out
    assert course.notebook.read_bytes() == before


def test_a_chapter_without_conditions(course, capsys):
    course.edit("\n# %%\nconditions()\n", "")
    assert verb(course) == 1
    assert "its last code cell must call conditions()" in capsys.readouterr().out
