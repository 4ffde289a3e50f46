"""Which data the tests and runs use: real where there is some, else synthetic (always said)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent


class DataError(Exception):
    """The data that a variable asks for is not there; the message names both."""


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

    Raises
    ------
    DataError
        When ``DATASETSLIB_HOME`` names no folder: nothing else is chosen instead.
    """
    environ = os.environ if environ is None else environ
    root = Path(root)
    source, home = environ.get("DATASETSLIB_SOURCE"), environ.get("DATASETSLIB_HOME")
    if source and not (source == "home" and home):
        return {}, f"Data: DATASETSLIB_SOURCE={source}"
    if home:
        # Absolute, because a kernel works in the folder of its notebook.
        folder = Path(home).expanduser().absolute()
        if not folder.is_dir():
            raise DataError(
                f"DATASETSLIB_HOME is {home!r}, and there is no folder {folder}: name the folder "
                "that holds mnist and cifar10, or unset it"
            )
        return {"DATASETSLIB_HOME": str(folder)}, "Data: the folder that DATASETSLIB_HOME names"
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
    try:
        print(choose()[1])
    except DataError as error:
        sys.exit(str(error))
