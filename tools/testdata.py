"""Which data the tests and runs use: real where there is some, else synthetic (always said)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent


def choose(environ=None, root=ROOT):
    """
    Decide on the data for a test run and prepare it if need be.

    A choice that the environment already makes (``DATASETSLIB_SOURCE``, then
    ``DATASETSLIB_HOME``) is kept. Otherwise the copy that ``../shared/data/unpack.py`` makes is
    used, unpacked once into the ignored folder ``build/data``. Where there is none either, the
    choice is the synthetic stand-in, which needs no download.

    Parameters
    ----------
    environ : mapping, optional
        The environment to read; by default that of this process.
    root : path-like
        The folder of the repository.

    Returns
    -------
    added : dict
        The environment variables that make the choice effective in a child process.
    line : str
        One line that says which data that is.
    """
    environ = os.environ if environ is None else environ
    root = Path(root)
    if environ.get("DATASETSLIB_SOURCE"):
        return {}, f"Data: DATASETSLIB_SOURCE={environ['DATASETSLIB_SOURCE']}"
    if environ.get("DATASETSLIB_HOME"):
        return {}, "Data: the folder that DATASETSLIB_HOME names"
    script = root.parent / "shared" / "data" / "unpack.py"
    if script.is_file():
        home = root / "build" / "data"
        unpack(script, home)
        return {"DATASETSLIB_HOME": str(home)}, "Data: real, unpacked from ../shared/data"
    return {"DATASETSLIB_SOURCE": "synthetic"}, (
        "Data: synthetic (no DATASETSLIB_HOME and no ../shared/data; nothing is downloaded)"
    )


def unpack(script, home):
    """
    Run the unpacking script once; the folder gets its name only when it is complete.

    Parameters
    ----------
    script : path-like
        The program to run; it takes the folder to fill as its argument.
    home : path-like
        The folder to fill.
    """
    home = Path(home)
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        if home.is_dir():
            return
        partial = home.with_name(f"{home.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        print("Unpacking the real data (once) ...", flush=True)
        command = [sys.executable, str(script), str(partial)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        partial.rename(home)


if __name__ == "__main__":
    print(choose()[1])
