"""
Run the chapters at CI size: the parameters of ``ci-parameters.yml``, the outputs thrown away.

papermill writes a copy of the chapter with the parameters injected, in which unchanged cells keep
their stored outputs. nbval executes that copy once, in a process of its own, comparing the cells
tagged ``nbval-check-output`` with those outputs. What the chapter records is held against
``expect``.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from xml.etree import ElementTree

import papermill
import psutil

from tools import checks, pairs, testdata

FOLDER = "ci-run"  # beside chapters/, so that relative paths mean the same
TIMEOUT = 300  # seconds for a whole chapter, unless ci-parameters.yml says otherwise
STARTUP = 30  # seconds for pytest and the kernel to start, on a busy machine
GRACE = 5  # seconds between the end of a kernel and the end of the process that runs it

_COLOUR = re.compile(r"(?:\x1b|#x1B)\[[0-9;]*m")  # the second is how the XML report spells it
_ERROR = re.compile(r"^[\w.]*(?:Error|Exception|Warning|Exit|Interrupt)\b.*", re.MULTILINE)


@dataclass
class Outcome:
    """What became of one chapter: its time in seconds, and why it failed (nothing if it passed)."""

    stem: str
    seconds: float = 0.0
    cause: str = ""
    detail: str = ""
    values: dict = field(default_factory=dict)

    def __str__(self):
        """Return the one line that is printed, and below it the detail of a failure."""
        line = f"{self.stem:<28}{self.seconds:6.1f} s  "
        if not self.cause:
            return line + "passed"
        detail = "".join(f"\n    | {row}" for row in self.detail.rstrip().splitlines())
        return f"{line}FAILED  {self.cause}{detail}"


def check_parameters(stem, notebook_path, parameters):
    """
    Refuse a parameter that the chapter does not declare; papermill would only warn.

    Parameters
    ----------
    stem : str
        The chapter.
    notebook_path : path-like
        Its notebook.
    parameters : dict
        What is to be injected.

    Raises
    ------
    ChapterError
        Naming the parameter, and the declared one that it resembles.
    """
    declared = list(papermill.inspect_notebook(str(notebook_path)))
    for name in parameters:
        if name not in declared:
            near = get_close_matches(name, declared, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise pairs.ChapterError(
                f"{checks.CI_PARAMETERS} sets {name!r}, which {stem} does not declare: {hint}"
                f"(declared: {', '.join(declared) or 'none'})"
            )


def prepare(stem, settings, root):
    """
    Write the copy of a chapter that will be executed.

    Its cells are those of the ``.py``, which is what a change is made in; the stored outputs are
    carried over to the cells whose code they belong to, for nbval to compare with.

    Parameters
    ----------
    stem : str
        The chapter.
    settings : dict
        Its entry in ``ci-parameters.yml``.
    root : pathlib.Path
        The folder of the repository.

    Returns
    -------
    pathlib.Path
        The notebook to execute.

    Raises
    ------
    ChapterError
        When the chapter is not Python, or a parameter is not declared.
    """
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    script, notebook = pairs.paths(stem, root)
    copy = folder / f"{stem}.ipynb"
    for old in folder.glob(f"{stem}.*"):
        old.unlink()
    fresh = pairs.from_source(script)
    pairs.code_digest(fresh)
    if notebook.is_file():
        pairs.synchronised(fresh, pairs.read(notebook))
    pairs.write(fresh, copy)
    parameters = settings.get("parameters") or {}
    check_parameters(stem, copy, parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters is checked above, and by nbval
        papermill.execute_notebook(
            str(copy), str(copy), parameters, prepare_only=True, progress_bar=False
        )
    return copy


def _environment(stem, root, threads):
    """Return the variables for a chapter's process: nothing of the user's own runs reaches it."""
    environ = {k: v for k, v in os.environ.items() if k not in
               ("DATASETSLIB_RUNS", "DATASETSLIB_FINISHED", "DATASETSLIB_MODELS",
                "PYTEST_ADDOPTS")}
    environ.update(
        DATASETSLIB_RECORDS=str(root / FOLDER / f"{stem}.records.jsonl"),
        OMP_NUM_THREADS=str(threads),
        TF_NUM_INTRAOP_THREADS=str(threads),
        PYTHONHASHSEED="0",
        JUPYTER_PREFER_ENV_PATH="1",
    )
    return environ


def _stop(process):
    """Stop a process and everything that it started."""
    family = [*process.children(recursive=True), process]
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            pass
    psutil.wait_procs(family, timeout=5)


def _watch(process, timeout):
    """
    Wait for the process that runs a chapter, and stop it when there is nothing to wait for.

    nbval waits for a dead kernel as for a busy one, so the kernel is looked at here.

    Returns
    -------
    str
        Why the process was stopped, or an empty string.
    """
    deadline, kernel, died = time.monotonic() + timeout, None, None
    while process.poll() is None:
        now = time.monotonic()
        if now > deadline:
            _stop(process)
            return f"hangs: stopped after {timeout:g} s"
        if kernel is None:
            kernel = _find_kernel(process)
        elif died is None and not _is_alive(kernel):
            died = now
        if died is not None and now > died + GRACE:
            _stop(process)
            return "the kernel died"
        time.sleep(0.2)
    return ""


def _find_kernel(process):
    try:
        for child in process.children():
            if any("ipykernel" in word for word in child.cmdline()):
                return child
    except psutil.Error:
        pass  # it ended between two looks
    return None


def _is_alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name_of_cell(number, notebook):
    """Say which cell of the chapter the `number`-th code cell of the executed copy is."""
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    if number >= len(cells):
        return f"cell {number}"
    if "injected-parameters" in pairs.tags(cells[number]):
        return "the injected parameters"
    before = cells[: number + 1]
    own = sum("injected-parameters" not in pairs.tags(c) and bool(c.source.strip()) for c in before)
    start = (cells[number].source.strip().splitlines() or [""])[0][:60]
    return f"code cell {own} ({start})"


def _verdict(report, notebook):
    """
    Read nbval's report on a chapter.

    Returns
    -------
    cause, detail : str
        Empty when every code cell of the notebook was executed and passed.
    """
    cases = list(ElementTree.parse(report).iter("testcase"))
    for case in cases:
        for kind in ("failure", "error", "skipped"):
            found = case.find(kind)
            if found is None:
                continue
            text = _COLOUR.sub("", found.text or found.get("message", ""))
            number = re.search(r"Cell (\d+)", case.get("name", "") + text)
            where = _name_of_cell(int(number.group(1)), notebook) if number else "the notebook"
            if "Timeout of" in text:
                what = "hangs: " + re.search(r"Timeout of .*", text).group()
            elif "Cell outputs differ" in text:
                what = "its output differs from the stored one"
            elif "Kernel dead" in text:
                what = "the kernel died"
            else:
                named = _ERROR.findall(text)
                what = named[-1] if named else text.strip().rpartition("\n")[2] or kind
            return f"{where}: {what}", text
    n_cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    if len(cases) != n_cells:
        return f"{len(cases)} of {n_cells} code cells were executed", ""
    return "", ""


def unexpected(values, expect):
    """
    Hold recorded values against what ``ci-parameters.yml`` expects of them.

    Parameters
    ----------
    values : dict
        What the chapter recorded.
    expect : dict of dict
        ``min``, ``max`` or ``equals`` by name.

    Returns
    -------
    list of str
        One sentence for each expectation that is not met.

    Examples
    --------
    >>> unexpected({"accuracy": 0.2}, {"accuracy": {"min": 0.5}})
    ['accuracy is 0.2, expected at least 0.5']
    """
    found = []
    for name, bounds in expect.items():
        if name not in values:
            found.append(f"{name} was not recorded")
            continue
        value = values[name]
        for bound, limit in bounds.items():
            if bound == "equals":
                if value != limit:
                    found.append(f"{name} is {value!r}, expected {limit!r}")
            elif isinstance(value, bool) or not isinstance(value, int | float):
                found.append(f"{name} is {value!r}, expected a number")
            elif bound == "min" and not value >= limit:
                found.append(f"{name} is {value!r}, expected at least {limit!r}")
            elif bound == "max" and not value <= limit:
                found.append(f"{name} is {value!r}, expected at most {limit!r}")
    return found


def run_one(stem, settings, root=pairs.ROOT, environ=None, threads=1):
    """
    Run one chapter at CI size.

    Parameters
    ----------
    stem : str
        The chapter.
    settings : dict
        Its entry in ``ci-parameters.yml``.
    root : path-like
        The folder of the repository.
    environ : dict, optional
        Variables to add, such as those that choose the data.
    threads : int
        How many threads its operations may use.

    Returns
    -------
    Outcome
        Never raises for what is wrong with the chapter.
    """
    outcome, copy = begin(stem, settings, Path(root).resolve())
    return finish(outcome, copy, settings, root, environ, threads)


def begin(stem, settings, root):
    """
    Prepare one chapter.

    Not for several threads at once: papermill's warnings are silenced for the whole process.

    Parameters
    ----------
    stem : str
        The chapter.
    settings : dict
        Its entry in ``ci-parameters.yml``.
    root : pathlib.Path
        The folder of the repository.

    Returns
    -------
    outcome : Outcome
        With the cause, where the chapter cannot be run.
    copy : pathlib.Path or None
        The notebook to execute, where it can.
    """
    start, outcome, copy = time.monotonic(), Outcome(stem), None
    try:
        copy = prepare(stem, settings, root)
    except pairs.ChapterError as error:
        outcome.cause = str(error)
    outcome.seconds = time.monotonic() - start
    return outcome, copy


def finish(outcome, copy, settings, root, environ=None, threads=1):
    """
    Execute what `begin` prepared; the parameters are its results and those of `run_one`.

    Returns
    -------
    Outcome
        The same one, complete.
    """
    if copy is not None:
        start, root = time.monotonic(), Path(root).resolve()
        environ = {**_environment(outcome.stem, root, threads), **(environ or {})}
        _run(outcome, copy, settings, root, environ)
        outcome.seconds += time.monotonic() - start
    return outcome


def _run(outcome, copy, settings, root, environ):
    timeout = settings.get("timeout", TIMEOUT)
    report, log = copy.with_suffix(".xml"), copy.with_suffix(".log")
    command = [
        sys.executable, "-m", "pytest", copy.name, "-x", "-v", "--color=no", "--nbval-lax",
        "--nbval-current-env", f"--nbval-cell-timeout={timeout}", f"--junitxml={report}",
        "-c", os.devnull, f"--rootdir={copy.parent}", "-p", "no:cacheprovider", "-p", "no:xdist",
    ]
    with open(log, "w", encoding="utf-8") as file:
        process = psutil.Popen(
            command, cwd=copy.parent, env=environ, stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            stopped = _watch(process, timeout + STARTUP)
        except BaseException:
            _stop(process)
            raise
    notebook = pairs.read(copy)
    text = log.read_text(encoding="utf-8", errors="replace")
    if stopped:
        reached = re.findall(r"Cell (\d+)", text)
        where = _name_of_cell(int(reached[-1]), notebook) if reached else "before the first cell"
        outcome.cause = f"{where}: {stopped}"
        return
    if not report.is_file():
        outcome.cause, outcome.detail = f"nbval did not run (exit {process.returncode})", text
        return
    outcome.cause, outcome.detail = _verdict(report, notebook)
    if not outcome.cause and process.returncode:
        outcome.cause, outcome.detail = f"nbval ended with exit {process.returncode}", text
    records = root / FOLDER / f"{outcome.stem}.records.jsonl"
    if records.is_file():
        rows = map(json.loads, records.read_text(encoding="utf-8").splitlines())
        outcome.values = {row["name"]: row["value"] for row in rows}
    if not outcome.cause:
        outcome.cause = "; ".join(unexpected(outcome.values, settings.get("expect") or {}))


def run(stems, root=pairs.ROOT, jobs=2, say=print):
    """
    Run chapters at CI size, some at a time, and print one line for each as it ends.

    Parameters
    ----------
    stems : list of str
        The chapters.
    root : path-like
        The folder of the repository.
    jobs : int
        How many run at once.
    say : callable
        Takes each line.

    Returns
    -------
    list of Outcome
        In the order of `stems`.
    """
    settings, problems = checks.ci_settings(root)
    if problems:
        raise pairs.ChapterError("\n".join(problems))
    data, line = testdata.choose(root=root)
    say(line)
    threads, lock = max(1, (os.cpu_count() or 1) // jobs), threading.Lock()
    begun = [
        begin(stem, settings[stem], Path(root).resolve()) if stem in settings
        else (Outcome(stem, cause=f"not in {checks.CI_PARAMETERS}"), None)
        for stem in stems
    ]

    def one(outcome, copy):
        finish(outcome, copy, settings.get(outcome.stem), root, data, threads)
        with lock:
            say(str(outcome))
        return outcome

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(one, *zip(*begun, strict=True)))
