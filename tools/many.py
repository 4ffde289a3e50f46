"""
Run chapter 13 with all its engines, at the size of a test: what ``make many`` does.

    python -m tools.many .venv-many

``make chapters`` runs the same chapter without the parts that need JAX and Ray. Here these parts
run with the Python of a second environment, and what they record is held against
``many/ci-parameters.yml``.
"""

import argparse
import sys
import time
import uuid
from pathlib import Path

import psutil

from datasetslib import processes
from tools import checks, ci, environment, pairs, testdata

#: The sizes, and what the records must then hold.
SETTINGS = "many/ci-parameters.yml"


#: Marks every process of a run, however far down, whatever it calls itself.
MARK = "COURSE_MANY_RUN"


def left(mark, patience=5.0):
    """
    Return what a run has left behind.

    Parameters
    ----------
    mark : str
        The value of the variable `MARK` in its environment.
    patience : float
        For how many seconds an ending process may go on.

    Returns
    -------
    list of str
        Name and id of each process that is still alive.
    """
    end = time.monotonic() + patience
    while True:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == mark:
                    found.append(f"{process.name()} ({process.pid})")
            except psutil.Error:
                continue  # ended meanwhile, or not ours
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def main(arguments=None):
    """Run what `SETTINGS` names with another environment's Python; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("venv", type=Path, help="the environment that has JAX and Ray")
    python = environment.script(parser.parse_args(arguments).venv.absolute(), "python")
    if not python.is_file():
        print(f"There is no {python}: make many", file=sys.stderr)
        return 2
    settings, problems = checks.ci_settings(pairs.ROOT, SETTINGS)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 2
    data, line = testdata.choose(root=pairs.ROOT)
    print(line, flush=True)
    failed = False
    for stem, entry in settings.items():
        mark = uuid.uuid4().hex
        environ = {**data, processes.VARIABLE: str(python), MARK: mark}
        outcome = ci.run_one(stem, entry, environ=environ)
        if rest := left(mark):
            outcome.cause = f"{outcome.cause}; " * bool(outcome.cause) + (
                f"it left processes behind: {', '.join(rest)}")
        print(outcome, flush=True)
        failed |= bool(outcome.cause)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
