"""
Count what the tests of an otter zip give to a notebook, as otter counts, and without otter.

    python -m tools.grading.tally ZIP NOTEBOOK RESULT FOLDER

For our own notebooks alone: the solution, the untouched copy, the wrong answers. There is no
sandbox here. The notebook runs in FOLDER, into which the files of the zip are laid.
"""

import contextlib
import io
import json
import os
import sys
import zipfile
from pathlib import Path, PurePosixPath

#: What the tests import of otter; here it is a decorator that notes what it is told.
IMPORT = "from otter.test_files import test_case"


class Noted:
    """Stands for otter's ``test_case``: points, whether it is hidden, and the function."""

    def __init__(self, points, hidden):
        self.points, self.hidden, self.function = points, hidden, None

    def __call__(self, function):
        """Take the function that is decorated."""
        self.function = function
        return self


def read_tests(archive):
    """
    Read the tests of a zip.

    Parameters
    ----------
    archive : zipfile.ZipFile

    Returns
    -------
    dict
        Question -> test's name -> `Noted`.
    """
    found = {}
    for name in sorted(archive.namelist()):
        place = PurePosixPath(name)
        if place.parent.name == "tests" and place.suffix == ".py":
            names = {"test_case": Noted}
            exec(archive.read(name).decode().replace(IMPORT, ""), names)
            found[names["name"]] = {key: value for key, value in names.items()
                                    if isinstance(value, Noted)}
    return found


def run(notebook):
    """Run a notebook's code cells, on and on where one raises; return the names they made."""
    program = {"__name__": "__main__"}
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "code":
            with contextlib.suppress(Exception):
                exec(compile("".join(cell["source"]), f"<cell {number}>", "exec"), program)
    return program


def tally(archive, notebook):
    """
    Count points.

    Parameters
    ----------
    archive : zipfile.ZipFile
    notebook : dict

    Returns
    -------
    dict
        Question -> ``{"points": ..., "possible": ..., "failed": {test's name: why}}``.
    """
    program, counted = run(notebook), {}
    for question, cases in read_tests(archive).items():
        failed = {}
        for name, case in cases.items():
            try:
                case.function(program)
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}"
        counted[question] = {
            "points": sum(case.points for name, case in cases.items() if name not in failed),
            "possible": sum(case.points for case in cases.values()), "failed": failed}
    return counted


def main(arguments):
    """Lay out the zip's files, count, and write the result as JSON."""
    place, notebook, result, folder = map(Path, arguments)
    text = notebook.read_text(encoding="utf-8")
    with zipfile.ZipFile(place) as archive, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        for name in archive.namelist():
            if name.startswith("files/") and not name.endswith("/"):
                target = Path(PurePosixPath(name).relative_to("files"))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
        counted = tally(archive, json.loads(text))
    result.write_text(json.dumps(counted), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
