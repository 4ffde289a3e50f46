"""
Read what a student handed in, and trust none of it.

A submission is a notebook, or a zip or a folder that holds one notebook and perhaps the files that
the assignment asks for. Nothing is unpacked: what is needed is read, with a limit on its size.
Links are not followed.
"""

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from tools.grading import archives

#: Largest notebook, largest file beside it, and largest submission as it was handed in, in bytes.
NOTEBOOK, FILE, WHOLE = 64 << 20, 96 << 20, 256 << 20


class SubmissionError(Exception):
    """A submission cannot be graded as a whole; the message says why."""


@dataclass(frozen=True)
class Submission:
    """
    What is needed of a submission.

    Attributes
    ----------
    cells : tuple of (int, str)
        The code cells, with their numbers, which count from 1.
    files : dict of str to bytes
        Those of the assignment's files that were handed in.
    """

    cells: tuple
    files: dict


def _open(path):
    """Open a regular file without following a link and without waiting for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
                         | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SubmissionError(f"{Path(path).name} is not an ordinary file")
    return os.fdopen(descriptor, "rb")


def _read(path, limit):
    """Return a file's content, up to a size."""
    try:
        with _open(path) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise SubmissionError(f"{Path(path).name} is a link or cannot be read "
                              f"({error.strerror})") from None
    if len(data) > limit:
        raise SubmissionError(f"{Path(path).name} is larger than {limit >> 20} MiB")
    return data


def _walk(folder):
    """Return what lies in a folder as (place, path), links included and not followed."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not archives.by_the_way(PurePath(name)))
        linked = [name for name in folders if os.path.islink(os.path.join(here, name))]
        for name in sorted([*names, *linked]):
            path = Path(here, name)
            place = PurePosixPath(path.relative_to(folder).as_posix())
            if not archives.by_the_way(place):
                found.append((place, path))
        if len(found) > archives.MANY:
            raise SubmissionError(f"it holds more than {archives.MANY} files")
    return found


def digest(path):
    """
    Return a digest of a submission, whether or not it can be graded.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        SHA-256 of its content, in hexadecimal.
    """
    sha = hashlib.sha256()

    def add(place, path):
        sha.update(f"\0{place}\0".encode(errors="surrogateescape"))
        try:
            with _open(path) as file:
                size = os.fstat(file.fileno()).st_size
                sha.update(f"{size}\0".encode())
                # What is larger is refused anyway; its size and its beginning have to do.
                for _ in range((WHOLE >> 20) if size > WHOLE else (size >> 20) + 1):
                    sha.update(file.read(1 << 20))
        except (SubmissionError, OSError):
            sha.update(os.fsencode(os.readlink(path)) if os.path.islink(path) else b"odd")

    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        try:
            for place, below in _walk(path):
                add(place, below)
        except SubmissionError as error:
            sha.update(str(error).encode())
    else:
        add(path.suffix, path)
    return sha.hexdigest()


def read(path, name, files=()):
    """
    Read a submission.

    Parameters
    ----------
    path : path-like
        A notebook, a zip or a folder.
    name : str
        The assignment; of several notebooks the one of this name is taken.
    files : iterable of str
        What may be handed in beside the notebook.

    Returns
    -------
    Submission

    Raises
    ------
    SubmissionError
        When there is no notebook in it, or something in it is not what it should be.
    """
    path = Path(path)
    if path.is_symlink():
        raise SubmissionError("it is a link, not a file")
    if path.is_dir():
        places = dict(_walk(path))
        return _gathered(list(places), name, files, lambda place, size: _read(places[place], size))
    kind = path.suffix.lower()
    if kind == ".ipynb":
        return Submission(_cells(_read(path, NOTEBOOK)), {})
    if kind != ".zip":
        raise SubmissionError("it is no notebook, zip or folder")
    try:
        with _open(path) as file:
            if os.fstat(file.fileno()).st_size > WHOLE:
                raise SubmissionError(f"it is larger than {WHOLE >> 20} MiB")
        with archives.Archive(path) as archive:
            return _gathered(list(map(PurePosixPath, archive.names)), name, files,
                             lambda place, size: archive.read(str(place), size))
    except (archives.ArchiveError, OSError) as error:
        raise SubmissionError(f"the zip cannot be read: {error}") from None


def _gathered(places, name, files, content):
    """Find the notebook and the files among places, and read them."""
    notebooks = [place for place in places if place.suffix.lower() == ".ipynb"]
    if not notebooks:
        raise SubmissionError("there is no notebook (.ipynb) in it")
    chosen = notebooks if len(notebooks) == 1 else [
        place for place in notebooks if place.stem == name]
    if len(chosen) != 1:
        raise SubmissionError(f"there are {len(notebooks)} notebooks in it; hand in one, or call "
                              f"the one that counts {name}.ipynb")
    beside = chosen[0].parent
    found = {file: content(beside / file, FILE) for file in files if beside / file in places}
    return Submission(_cells(content(chosen[0], NOTEBOOK)), found)


def _cells(data):
    """Return the code cells of a notebook."""
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise SubmissionError("the notebook is not JSON; save it again in Jupyter") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise SubmissionError("the notebook has no cells; it has to be of format 4") from None
    sources = []
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", "")
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(source, str):
            raise SubmissionError("a cell of the notebook has no text")
        # What cannot be written as UTF-8 cannot be Python either.
        sources.append(source.encode("utf-8", "replace").decode())
    return tuple(enumerate(sources, 1))
