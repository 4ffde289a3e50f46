"""
Run one of the benchmarks of the book's page.

    python -m benchmarks NAME [--smoke] [--here] [options of the benchmark]

The names are data, training, convolution, accuracy and book; ``NAME --help`` says more. A benchmark
runs in an environment of its own, made from ``benchmarks/requirements.txt`` the first time: the
peers would burden every reader's. The result goes to ``benchmarks/results/NAME.json``, from which
the page is made.
"""

import hashlib
import importlib
import os
import subprocess
import sys

from benchmarks import common, verdicts
from tools import environment

LOCK = common.ROOT / "benchmarks" / "requirements.txt"
VENV = common.ROOT / "build" / "benchmarks" / "venv"


def own_python():
    """
    Return the Python of the benchmarks' environment, which is made where it is missing or old.

    Returns
    -------
    pathlib.Path
    """
    made_from = LOCK.read_bytes() + (common.ROOT / "tools" / "environment.py").read_bytes()
    stamp = f"ready-{hashlib.sha256(made_from).hexdigest()[:16]}"
    if not (VENV / stamp).is_file():
        VENV.parent.mkdir(parents=True, exist_ok=True)
        # Not where a trial of another lock may still be read: the tool starts it anew by itself.
        environment.main([str(VENV), stamp, "--lock", str(LOCK)])
    return environment.script(VENV, "python")


def main(arguments):
    """Run the benchmark here or in its environment; return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 2
    name, *options = arguments
    if name not in verdicts.NAMES:
        print(f"there is no benchmark {name!r}; there are {', '.join(verdicts.NAMES)}",
              file=sys.stderr)
        return 2
    module = importlib.import_module(f"benchmarks.{name}")
    # The book is built and tested by its own verbs: no peer is needed.
    here = {"--here", "--help", "-h"} & set(options) or name == "book"
    if not here:
        command = [own_python(), "-m", "benchmarks", name, "--here", *options]
        paths = [str(common.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.run(command, cwd=common.ROOT, env={
            **os.environ, "PYTHONPATH": os.pathsep.join(paths)}).returncode
    try:
        return module.main(options)
    except (common.BenchmarkError, verdicts.ResultError) as error:
        print(f"benchmark {name}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
