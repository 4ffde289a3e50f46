"""
Write ``requirements.txt`` anew: the full lock of what ``requirements.in`` names.

    python -m tools.lock

One lock for every Python and platform that the course promises. The versions it names already are
kept where they still fit; ``UV_CONFIG_FILE=.github/upgrade.toml`` renews them.
"""

import subprocess
import sys
from pathlib import Path

from tools import environment

COMMAND = [
    "pip", "compile", "--quiet", "--universal", "--generate-hashes",
    "--python-version", "{}.{}".format(*environment.FIRST),
    "--custom-compile-command", "make lock",
    "requirements.in", "--output-file", "requirements.txt",
]


def main():
    """Have uv write the lock, asking the index that pip is set up for; return its exit status."""
    uv = environment.script(Path(sys.prefix), "uv")
    environ = environment.uv_environ(sys.executable)
    return subprocess.run([uv, *COMMAND], cwd=environment.ROOT, env=environ).returncode


if __name__ == "__main__":
    sys.exit(main())
