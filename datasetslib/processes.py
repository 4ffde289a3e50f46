"""Work in other processes: started with what they need, counted, and gone at the end.

`start` writes some functions of a notebook to a script, runs it in a process of its own, perhaps
with another Python and on one core, and hands back what the last function returned.

Between the notebook and that process stands a *keeper*, this module run as a program. On Linux it
adopts whatever its family leaves behind, daemons and orphans of killed parents included. So when
the work ends, when it is stopped, and when the notebook dies, nothing of it stays; and the CPU
time of all of it is counted as the notebook's own by `datasetslib.recording`, since each process
is waited for by an ancestor. On other systems the keeper ends the process group of the work.

Examples
--------
>>> def double(x):
...     return 2 * x
>>> start(double, arguments={"x": 21}).result()
42
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import inspect
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["Job", "free_port", "gather", "python_with", "start"]

#: Names the Python that has what the kernel's own may lack.
VARIABLE = "COURSE_MANY_PYTHON"

_ERROR = re.compile(r"[\w.]*(?:Error|Exception|Interrupt)\b")

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)

_TAIL = """

if __name__ == "__main__":
    import json
    import sys

    with open(sys.argv[1], encoding="utf-8") as file:
        arguments = json.load(file)
    answer = json.dumps({name}(**arguments))
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(answer)
"""


def python_with(*modules):
    """Return a Python that has some modules.

    Parameters
    ----------
    *modules : str
        Names of importable modules.

    Returns
    -------
    str
        The program that ``COURSE_MANY_PYTHON`` names; without that variable, the Python that
        runs this.

    Raises
    ------
    RuntimeError
        When it lacks one of them, or cannot be run; the message says how to get it.

    Examples
    --------
    >>> import sys
    >>> python_with("json") == (os.environ.get("COURSE_MANY_PYTHON") or sys.executable)
    True
    """
    named = os.environ.get(VARIABLE)
    if not named:
        lacking = [name for name in modules if importlib.util.find_spec(name) is None]
        python, where = sys.executable, "this Python"
    else:
        code = ("import importlib.util as u, sys\n"
                "print(*(m for m in sys.argv[1:] if u.find_spec(m) is None))")
        try:
            answer = subprocess.run([named, "-c", code, *modules], capture_output=True, text=True,
                                    check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"{VARIABLE} is {named}, which does not run: {error}") from None
        lacking, python, where = answer.stdout.split(), named, f"the Python of {VARIABLE}"
    if lacking:
        raise RuntimeError(
            f"{where} has no {' and no '.join(lacking)}: run `pip install {' '.join(lacking)}` "
            f"with it, or `make many` in a clone of the course and let {VARIABLE} name "
            ".venv-many/bin/python there"
        )
    return python


def start(*functions, arguments=None, header="", python=None, environ=None, core=None):
    """Run a function in a process of its own.

    Parameters
    ----------
    *functions : callable
        Their sources are written to a script, in this order; the last one is called.
    arguments : dict, optional
        Its keyword arguments, of types that JSON knows.
    header : str, optional
        Lines that come first in the script, such as imports.
    python : str, optional
        The program; by default the Python that runs this.
    environ : dict, optional
        Variables to add; one that is None is taken away.
    core : int, optional
        Let the process and all it starts run on this one of the cores that are free to this
        process (counted from 0, modulo their number), where the system has a way to say so. Linux
        is also told that it is a batch job (``SCHED_BATCH``): its threads then hand the core to
        each other where they wait, and not at the next tick of the scheduler.

    Returns
    -------
    Job
    """
    name = functions[-1].__name__
    parts = [header, *(textwrap.dedent(inspect.getsource(f)) for f in functions)]
    script = "\n\n".join(part.strip() for part in parts if part) + _TAIL.format(name=name)
    return Job(name, script, arguments or {}, python or sys.executable, environ or {}, core)


def gather(jobs, timeout=300):
    """Wait for several processes that work together.

    Parameters
    ----------
    jobs : list of Job
    timeout : float
        Seconds, for all of them.

    Returns
    -------
    list
        What their functions returned, in the order of the jobs.

    Raises
    ------
    RuntimeError, TimeoutError
        As `Job.result`; when one of them fails, the others are stopped, since they may wait for it
        for ever.
    """
    deadline = time.monotonic() + timeout
    try:
        while any(job.running() for job in jobs) and time.monotonic() < deadline:
            if any(not job.running() and job.status for job in jobs):
                break
            time.sleep(0.05)
        failed = [job for job in jobs if not job.running() and job.status]
        for job in failed:
            job.result(0)
        return [job.result(max(0.0, deadline - time.monotonic())) for job in jobs]
    finally:
        for job in jobs:
            job.stop()


def free_port():
    """Return a port of this machine's loopback address that nobody uses now (int)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Job:
    """A function that is being called in another process; `start` makes it.

    Parameters
    ----------
    name : str
        For messages.
    script : str
        Python source, run with the paths of two files: the arguments, and the answer to write.
    arguments : dict
    python : str
    environ : dict
    core : int or None
        As in `start`.

    Attributes
    ----------
    pid : int
        Of the keeper.
    """

    def __init__(self, name, script, arguments, python, environ, core):
        self.name = name
        self._folder = TemporaryDirectory(prefix="datasetslib-")
        folder = Path(self._folder.name)
        (folder / "script.py").write_text(script, encoding="utf-8")
        (folder / "arguments.json").write_text(json.dumps(arguments), encoding="utf-8")
        self._answer = folder / "answer.json"
        variables = {**os.environ, **environ}
        # A plot or a record of the other process would land in the notebook's files.
        for variable in ("MPLBACKEND", "DATASETSLIB_RECORDS"):
            variables.pop(variable, None)
        here = str(Path(__file__).resolve())
        command = [sys.executable, "-P", here, str(os.getpid()), str(_the_core(core)), python,
                   "script.py", "arguments.json", "answer.json"]
        with open(folder / "output", "wb") as output:
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={k: v for k, v in variables.items() if v is not None}, start_new_session=True)
        self.pid = self._process.pid

    @property
    def output(self):
        """What the process has printed so far (str); empty once the result was fetched."""
        path = Path(self._folder.name, "output")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    @property
    def status(self):
        """The status that the process ended with (int); None while it works."""
        return self._process.poll()

    def running(self):
        """Return whether the process still works (bool)."""
        return self._process.poll() is None

    def result(self, timeout=300):
        """Wait for the process and return what the function returned.

        Parameters
        ----------
        timeout : float
            Seconds.

        Raises
        ------
        TimeoutError
            When it takes longer; it is stopped.
        RuntimeError
            When it fails, with the last lines of what it printed.
        """
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            said = self._last_lines()
            self.stop()
            raise TimeoutError(f"{self.name}: stopped after {timeout:g} s{said}") from None
        except BaseException:
            self.stop()
            raise
        try:
            if status or not self._answer.exists():
                raise RuntimeError(f"{self.name} ended with status {status}{self._last_lines()}")
            return json.loads(self._answer.read_text(encoding="utf-8"))
        finally:
            self._folder.cleanup()

    def stop(self):
        """End the process and everything that it has started."""
        if self.running():
            self._process.terminate()
            self._process.wait()
        self._folder.cleanup()

    def _last_lines(self):
        lines = self.output.strip().splitlines()
        named = [k for k, line in enumerate(lines) if _ERROR.match(line)]
        # An error may print a whole array; its name and its first words are what is wanted.
        lines = lines[max(0, min([len(lines) - 15, *named[-1:]])):][:30]
        return "".join(f"\n    {line}" for line in lines)


def _the_core(core):
    """Return the number that the system has for a core, or "any"."""
    if core is None or not hasattr(os, "sched_getaffinity"):
        return "any"
    ours = sorted(os.sched_getaffinity(0))
    return ours[core % len(ours)]


# --- the keeper --------------------------------------------------------------------------


def _prctl(option, value):
    """Call prctl(2) where there is one; return whether it worked."""
    if not sys.platform.startswith("linux"):
        return False
    return ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0


def _family(root):
    """Return the ids of all living descendants of a process, from ``/proc``."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name of the program, in brackets, may hold anything.
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has ended meanwhile
        if state != "Z":
            parents[int(path.parent.name)] = int(parent)
    found, border = [], [root]
    while border:
        border = [pid for pid, parent in parents.items() if parent in border]
        found += border
    return found


def _end(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def _clear(main, adopts):
    """Kill what is left of the family and wait for all of it, so that its time is counted."""
    if not adopts:
        if main and hasattr(os, "killpg"):
            try:
                os.killpg(main, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        return
    while True:
        _end(_family(os.getpid()))
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def keep(parent, core, command):
    """Run a command, adopt what it leaves, end all of it; return the command's status.

    The present folder is the command's own: it is removed when the parent is no longer there to.

    Parameters
    ----------
    parent : int
        The process that wants this; when it dies, the command and all it started end too.
    core : int or None
        The core to run on.
    command : list of str
    """
    adopts = _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    process = None

    def stop(number, frame):
        _clear(process and process.pid, adopts)
        if os.getppid() != parent:  # nobody is left who would tidy up
            shutil.rmtree(os.getcwd(), ignore_errors=True)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    if _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) and os.getppid() != parent:
        return 1  # it died before it could be watched
    if core is not None:
        os.sched_setaffinity(0, {core})
        if hasattr(os, "SCHED_BATCH"):
            # Else a thread that is woken by a message waits on Linux 6.18 until the one that waits
            # for it has used up its tick: 4 ms, where the message itself takes 0.1.
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    group = {} if os.name == "nt" else {"process_group": 0}
    process = subprocess.Popen(command, **group)
    status = process.wait()
    _clear(process.pid, adopts)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parent", type=int)
    parser.add_argument("core")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    which = None if options.core == "any" else int(options.core)
    sys.exit(keep(options.parent, which, options.command))
