"""Chapters at CI size, broken on purpose: each must fail and name the cause in one line."""

import threading

import pytest

from tools import chapters, checks, ci, pairs


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setenv("DATASETSLIB_SOURCE", "synthetic")


def run(course):
    settings, problems = checks.ci_settings(course.root)
    assert not problems
    return ci.run_one("01_tiny", settings["01_tiny"], course.root)


def verb(course, *arguments):
    return chapters.main(["--root", str(course.root), "ci", *arguments])


def test_a_chapter_in_order_passes_and_says_so(course, capsys):
    stored = course.notebook.read_bytes()
    assert verb(course) == 0
    printed = capsys.readouterr().out
    assert "DATASETSLIB_SOURCE=synthetic" in printed
    assert printed.splitlines()[-2].startswith("01_tiny ")
    assert printed.splitlines()[-2].endswith(" s  passed")
    assert printed.splitlines()[-1] == "1 passed, 0 failed"
    assert course.notebook.read_bytes() == stored, "a CI run must not touch the stored notebook"


def test_a_draft_runs_without_a_notebook(course, capsys):
    course.notebook.unlink()
    assert verb(course, "--draft") == 0
    assert capsys.readouterr().out.endswith("1 passed, 0 failed\n")


def test_a_misspelt_parameter(course):
    course.edit("n_steps: 2", "n_step: 2", "ci-parameters.yml")
    assert run(course).cause == (
        "ci-parameters.yml sets 'n_step', which 01_tiny does not declare: "
        "did you mean 'n_steps'? (declared: n_steps, speed)"
    )


def test_a_chapter_that_is_not_in_the_file(course, capsys):
    (course.root / "ci-parameters.yml").write_text("{}\n")
    assert verb(course) == 1
    printed = capsys.readouterr()
    assert "FAILED  not in ci-parameters.yml" in printed.out
    assert printed.out.endswith("0 passed, 1 failed, 1 problems with what is stored\n")


def test_a_cell_that_raises(course):
    course.edit("distance =", "missing[0]\ndistance =")
    course.pretend()
    outcome = run(course)
    assert outcome.cause == "code cell 4 (missing[0]): NameError: name 'missing' is not defined"
    assert "distance = n_steps * speed" in outcome.detail, "the cell is shown"
    assert "Traceback" in outcome.detail and "\x1b" not in outcome.detail


def test_a_kernel_that_dies(course):
    course.edit("distance =", "import os; os._exit(3)\ndistance =")
    course.pretend()
    outcome = run(course)
    assert outcome.cause == "code cell 4 (import os; os._exit(3)): the kernel died"
    assert outcome.seconds < 30, "long before the timeout"


def test_a_cell_that_hangs(course):
    course.edit("timeout: 40", "timeout: 6", "ci-parameters.yml")
    course.edit("distance =", "import time; time.sleep(600)\ndistance =")
    course.pretend()
    outcome = run(course)
    cell = "code cell 4 (import time; time.sleep(600))"
    assert outcome.cause.startswith(f"{cell}: hangs: Timeout of 6 seconds")
    assert outcome.seconds < 36


def test_a_cell_that_hangs_and_cannot_be_interrupted(course):
    course.edit("timeout: 40", "timeout: 6", "ci-parameters.yml")
    course.edit("distance =", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [2])\n"
                "while True: pass\ndistance =")
    course.pretend()
    outcome = run(course)
    assert outcome.cause.startswith("code cell 4 (import signal;") and "hangs" in outcome.cause
    assert outcome.seconds < 36


def test_a_chapter_whose_cells_together_take_too_long(course, monkeypatch):
    monkeypatch.setattr(ci, "STARTUP", 0)
    course.edit("timeout: 40", "timeout: 7", "ci-parameters.yml")
    course.edit("distance =", "import time; time.sleep(5)\ndistance =")
    course.edit("# %%\nconditions()", "# %%\ntime.sleep(5)\nconditions()")
    course.pretend()
    assert run(course).cause.endswith("hangs: stopped after 7 s")


def test_a_deterministic_output_that_changed(course):
    course.change_output(3, lambda cell: cell.outputs[0].update(text="2 + 2 = 5\n"))
    outcome = run(course)
    assert outcome.cause == (
        'code cell 3 (print("2 + 2 =", 2 + 2)): its output differs from the stored one'
    )
    assert "2 + 2 = 5" in outcome.detail and "2 + 2 = 4" in outcome.detail


def test_no_stored_outputs(course, capsys):
    def forget(cell):
        cell.outputs, cell.execution_count = [], None

    course.change_output(3, forget)
    assert verb(course) == 1
    error = capsys.readouterr().err
    assert "code cell 3 is checked (nbval-check-output) but has no stored output" in error
    assert "code cell 3 was never executed" in error


def test_a_stale_chapter(course, capsys):
    course.edit("n_steps * speed", "n_steps * speed + 0 * missing")
    assert verb(course) == 1
    printed = capsys.readouterr()
    assert "01_tiny: stale: the code or the parameters changed" in printed.err
    assert "NameError: name 'missing'" in printed.out, "it is the edited code that runs"


@pytest.mark.parametrize(
    "expect, cause",
    [
        ({"distance": {"min": 100}}, "distance is 4, expected at least 100"),
        ({"distance": {"max": 1}}, "distance is 4, expected at most 1"),
        ({"distance": {"equals": 5}}, "distance is 4, expected 5"),
        ({"minutes": {"min": 1}}, "minutes is 'under 1', expected a number"),
        ({"accuracy": {"min": 0.5}}, "accuracy was not recorded"),
    ],
)
def test_an_expectation_that_is_not_met(expect, cause):
    values = {"distance": 4, "minutes": "under 1"}
    assert ci.unexpected(values, expect) == [cause]


def test_parameters_are_injected_and_an_expectation_that_is_not_met_fails_the_chapter(course):
    course.edit("{min: 4, max: 4}", "{min: 100}", "ci-parameters.yml")
    outcome = run(course)
    assert outcome.values["distance"] == 4  # 8 in the stored notebook
    assert outcome.cause == "distance is 4, expected at least 100"


def test_the_users_own_runs_do_not_reach_a_chapter(course, monkeypatch):
    names = ["DATASETSLIB_RUNS", "DATASETSLIB_FINISHED", "DATASETSLIB_MODELS"]
    for name in names:
        monkeypatch.setenv(name, "somewhere")
    course.edit("distance =",
                f"import os\nassert not {{*{names}}} & {{*os.environ}}\ndistance =")
    course.pretend()
    assert run(course).cause == ""


def test_chapters_are_prepared_before_threads_run_them(course, monkeypatch):
    # Silencing papermill concerns the whole process, so it must not be done side by side.
    prepared = []

    def prepare(stem, settings, root):
        prepared.append((stem, threading.current_thread()))
        raise pairs.ChapterError("not today")

    monkeypatch.setattr(ci, "prepare", prepare)
    outcomes = ci.run(["01_tiny", "02_none"], course.root, say=lambda line: None)
    assert prepared == [("01_tiny", threading.current_thread())]
    assert [o.cause for o in outcomes] == ["not today", "not in ci-parameters.yml"]
