"""
Run chapter 13 with all its engines, at the size of a test: what ``make many`` does.

    python -m tools.many .venv-many

``make chapters`` runs the same chapter without the parts that need JAX and Ray. Here these parts
run with the Python of a second environment, and what they record is held against
``many/ci-parameters.yml``.
"""

import argparse
import sys
from pathlib import Path

from datasetslib import processes
from tools import checks, ci, environment, pairs, testdata

#: The sizes, and what the records must then hold.
SETTINGS = "many/ci-parameters.yml"


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
        environ = {**data, processes.VARIABLE: str(python)}
        outcome = ci.run_one(stem, entry, environ=environ)
        print(outcome, flush=True)
        failed |= bool(outcome.cause)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
