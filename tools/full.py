"""
Run chapters in full: real data, the whole schedule, the outputs written back into ``chapters/``.

One chapter at a time, alone on the machine. A run that is interrupted leaves the notebook as it
was; the training units it finished are kept outside the tree and picked up by the next run.
"""

import os
import time
from pathlib import Path

import nbformat
import platformdirs
from filelock import FileLock, Timeout
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from datasetslib.recording import recorded_values
from tools import checks, ledger, pairs, testdata

#: A run is meant to be repeatable to the byte: nothing may depend on hash seeds or today's date.
FIXED = {"PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "315532800", "JUPYTER_PREFER_ENV_PATH": "1"}


class LoggingClient(NotebookClient):
    """Execute a notebook and copy what its cells print to a log at once."""

    def __init__(self, notebook, log, **options):
        super().__init__(notebook, **options)
        self.course_log = log

    def output(self, outs, msg, display_id, cell_index):
        """Handle one output as nbclient does, after noting its text."""
        if msg["msg_type"] == "stream":
            self.course_log.write(msg["content"]["text"])
            self.course_log.flush()
        return super().output(outs, msg, display_id, cell_index)


def environment(root=pairs.ROOT, allow_synthetic=False):
    """
    Return the variables of a full run, refusing synthetic data that nobody asked for.

    Parameters
    ----------
    root : path-like
        The folder of the repository.
    allow_synthetic : bool
        Accept ``DATASETSLIB_SOURCE=synthetic``.

    Returns
    -------
    environ : dict
        For the kernel.
    line : str
        One line that says which data is used.
    """
    environ = {**os.environ, **FIXED}
    runs = platformdirs.user_cache_path("datasetslib", appauthor=False) / "runs"
    environ.setdefault("DATASETSLIB_RUNS", str(runs))
    # Logs of finished units, small enough to be committed: the days of training that a chapter
    # takes need not be days of one machine.
    environ.setdefault("DATASETSLIB_FINISHED", str(Path(root).resolve() / "chapters" / "units"))
    # The notebook holds the records. Set all the same: then a name recorded twice is refused.
    environ["DATASETSLIB_RECORDS"] = os.devnull
    if environ.get("DATASETSLIB_SOURCE") == "synthetic" and not allow_synthetic:
        raise pairs.ChapterError(
            "DATASETSLIB_SOURCE is synthetic: a full run is for real data. Unset it, or add "
            "--allow-synthetic to see the pages without publishing them"
        )
    added, line = testdata.choose(environ, root)
    if added.get("DATASETSLIB_SOURCE") == "synthetic":
        return environ, "Data: real, from datasetslib's cache or downloaded by it"
    return {**environ, **added}, line


def run_one(stem, root=pairs.ROOT, environ=None, allow_synthetic=False):
    """
    Execute one chapter in full and replace its notebook when that succeeded.

    Parameters
    ----------
    stem : str
        The chapter.
    root : path-like
        The folder of the repository.
    environ : dict, optional
        The variables of the kernel; by default those of `environment`.
    allow_synthetic : bool
        Write outputs that come from synthetic data.

    Raises
    ------
    ChapterError
        When the chapter cannot be run to its end, or its outputs may not be kept. The notebook is
        as it was before.
    """
    script, path = pairs.paths(stem, root)
    if not script.is_file():
        raise pairs.ChapterError(f"chapters/{stem}.py: no such chapter")
    problems = checks.source(stem, root)
    if problems:
        raise pairs.ChapterError("\n".join(problems))
    notebook = pairs.from_source(script)
    digest = pairs.code_digest(notebook)
    if environ is None:
        environ, _ = environment(root, allow_synthetic)
    logs = Path(root) / "build" / "full"
    logs.mkdir(parents=True, exist_ok=True)
    with open(logs / f"{stem}.log", "w", encoding="utf-8") as log:
        client = LoggingClient(
            notebook, log, timeout=None, kernel_name="python3", coalesce_streams=True,
            record_timing=False, resources={"metadata": {"path": str(path.parent)}},
            extra_arguments=["--log-level=ERROR"],
        )
        reached = []
        client.on_cell_execute = lambda cell, cell_index: reached.append(cell)
        try:
            client.execute(env=environ, stderr=log)
        except (CellExecutionError, RuntimeError) as error:
            # nbclient's errors about the kernel itself (dead, or never there) are RuntimeErrors.
            kept, cause = f"chapters/{stem}.ipynb is as it was", str(error)
            if not reached:
                raise pairs.ChapterError(f"{stem}: no cell ran; {kept}\n{cause}") from None
            number = [c.id for c in pairs.code_cells(notebook)].index(reached[-1].id) + 1
            if isinstance(error, DeadKernelError):
                cause = f"the kernel died in:\n{reached[-1].source}"
            raise pairs.ChapterError(
                f"{stem}: code cell {number} failed; {kept}\n{cause}"
            ) from None
    pairs.normalise(notebook)
    conditions = recorded_values(notebook).get("conditions")
    if conditions is None:
        raise pairs.ChapterError(f"{stem}: its last code cell must call conditions()")
    if conditions.get("synthetic") and not allow_synthetic:
        raise pairs.ChapterError(
            f"{stem}: it loaded synthetic data; chapters/{stem}.ipynb is as it was"
        )
    notebook.metadata["course"] = nbformat.from_dict(
        {"code": digest, **pairs.surroundings(root)}
    )
    pairs.write(notebook, path)


def run(stems, root=pairs.ROOT, allow_synthetic=False, say=print):
    """
    Run chapters in full, one after the other, then write the ledger.

    Parameters
    ----------
    stems : list of str
        The chapters.
    root : path-like
        The folder of the repository.
    allow_synthetic : bool
        Accept synthetic data.
    say : callable
        Takes each line.

    Returns
    -------
    list of str
        The chapters that failed.
    """
    root = Path(root)
    environ, line = environment(root, allow_synthetic)
    (root / "build").mkdir(exist_ok=True)
    failed = []
    try:
        with FileLock(root / "build" / "full.lock", timeout=0):
            say(line)
            busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
            if busy > 0.5:
                say(f"The machine is busy (load average {busy:.1f}): seconds may be withheld.")
            for stem in stems:
                say(f"{stem}: running; what it prints is in build/full/{stem}.log")
                start = time.monotonic()
                try:
                    run_one(stem, root, environ, allow_synthetic)
                    say(f"{stem:<28}{time.monotonic() - start:8.1f} s  written")
                except pairs.ChapterError as error:
                    failed.append(stem)
                    say(f"{stem:<28}{time.monotonic() - start:8.1f} s  FAILED\n{error}")
                ledger.write(root)
    except Timeout:
        raise pairs.ChapterError(
            "Another full run is going on in this folder: full runs take turns"
        ) from None
    return failed
