"""
One side of a benchmark in a process of its own, which answers when it is asked.

    python -m benchmarks.worker MODULE SIDE

``MODULE.SIDES[SIDE]`` is called once, which imports the library; then each line of JSON on standard
input, ``{"call": ..., "with": {...}}``, is a call of one of the object's methods, and one line of
JSON on standard output is what it returned. What libraries print goes to standard error.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class SideError(RuntimeError):
    """A side failed; the message holds the end of what it printed."""


class Worker:
    """
    The process of one side, seen from the benchmark.

    Parameters
    ----------
    module, side : str
        ``benchmarks.data`` and a key of its ``SIDES``, for example.
    environ : dict, optional
        Variables to add to this process's own.
    """

    def __init__(self, module, side, environ=None):
        self.side = side
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", module, side], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(environ or {})})
        self._answer("being imported")

    def _answer(self, what):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            tail = self.errors.read()[-3000:]
            raise SideError(f"{self.side} failed at {what} "
                            f"(exit status {self.process.returncode}):\n{tail}")
        return json.loads(line)

    def __call__(self, method, **arguments):
        """Call a method of the side; return what it returned."""
        self.process.stdin.write(json.dumps({"call": method, "with": arguments}) + "\n")
        self.process.stdin.flush()
        return self._answer(method)

    def close(self):
        """End the process, and wait for it: its CPU time then counts as this process's own."""
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self):
        """Return the worker."""
        return self

    def __exit__(self, *exception):
        """End the process; at once where something failed."""
        if exception[0] is not None:
            self.process.kill()
        self.close()


def main():
    """Answer one request after the other until there are none."""
    module, side = sys.argv[1:]
    # The answers get a channel that no library knows; what libraries print is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, str(ROOT))
    found = importlib.import_module(module).SIDES[side]()
    print("null", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(found, request["call"])(**request["with"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
