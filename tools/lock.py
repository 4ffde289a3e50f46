"""
Write the locks anew: in full, what each ``requirements.in`` names.

    python -m tools.lock

One lock for every Python and platform that the course promises; a second one for otter, which
pins packages back that the course has newer; a third one for the peers of the benchmarks, a
fourth one for the engines of chapter 13. The versions that a lock names already are kept where they
still fit; ``UV_CONFIG_FILE=.github/upgrade.toml`` renews them.
"""

import subprocess
import sys
from pathlib import Path

from tools import environment

#: Where a ``requirements.in`` lies, and its lock beside it.
PLACES = ("", "assignments/", "benchmarks/", "many/")

COMMAND = [
    "pip", "compile", "--quiet", "--universal", "--generate-hashes",
    "--python-version", "{}.{}".format(*environment.FIRST),
    "--custom-compile-command", "make lock",
]


def main():
    """Have uv write the locks, asking the index that pip is set up for; return its exit status."""
    uv = environment.script(Path(sys.prefix), "uv")
    environ = environment.uv_environ(sys.executable)
    for place in PLACES:
        files = [f"{place}requirements.in", "--output-file", f"{place}requirements.txt"]
        status = subprocess.run([uv, *COMMAND, *files], cwd=environment.ROOT, env=environ)
        if status.returncode:
            return status.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
