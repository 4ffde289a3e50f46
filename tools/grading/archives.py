"""Read zips that somebody else made: nothing leaves them, nothing grows beyond its limit."""

import stat
import struct
import zipfile
import zlib
from pathlib import PurePath, PurePosixPath

#: Members that an archive may have, and the largest size of their list in bytes.
MANY, LIST = 2000, 1 << 20

#: What systems and editors add of their own accord.
_BY_THE_WAY = ("__MACOSX", ".ipynb_checkpoints", "__pycache__")


class ArchiveError(Exception):
    """An archive is refused; the message says why."""


def by_the_way(place):
    """
    Say whether a file is one that systems and editors leave behind.

    Parameters
    ----------
    place : pathlib.PurePath
        Where it lies in the submission.

    Returns
    -------
    bool
    """
    return any(part in _BY_THE_WAY or part.startswith(".") for part in place.parts)


def _short_list(file):
    """Refuse a zip whose list of members is long, before it is read."""
    size = file.seek(0, 2)
    file.seek(max(0, size - (1 << 16) - 100))
    end = file.read()
    at = end.rfind(b"PK\x05\x06")
    if at < 0:
        raise ArchiveError("it is not a zip")
    many, length = struct.unpack("<H", end[at + 10:at + 12])[0], struct.unpack(
        "<I", end[at + 12:at + 16])[0]
    if many > MANY or length > LIST or b"PK\x06\x07" in end[max(0, at - 20):at]:
        raise ArchiveError(f"it holds more files than it may ({MANY})")


class Archive:
    """
    A zip, opened to be read.

    Parameters
    ----------
    file : path-like or file object

    Attributes
    ----------
    names : list of str
        Its files, without those left by the way.

    Raises
    ------
    ArchiveError
        When it is no zip, or a name in it leads out of it, or is a link.
    """

    def __init__(self, file):
        self._file = open(file, "rb") if isinstance(file, (str, PurePath)) else file
        try:
            _short_list(self._file)
            self._zip = zipfile.ZipFile(self._file)
            self._members = self._checked(self._zip.infolist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError,
                struct.error):
            self._file.close()
            raise ArchiveError("it is not a zip") from None
        except ArchiveError:
            self._file.close()
            raise
        self.names = list(self._members)

    @staticmethod
    def _checked(members):
        if len(members) > MANY:
            raise ArchiveError(f"it holds {len(members)} files, and may hold {MANY}")
        found = {}
        for member in members:
            place = PurePosixPath(member.filename)
            if place.is_absolute() or ".." in place.parts or "\\" in member.filename or (
                    place.parts and ":" in place.parts[0]):
                raise ArchiveError("a name in it leads out of it")
            if stat.S_ISLNK(member.external_attr >> 16):
                raise ArchiveError("it holds a link")
            if member.is_dir() or by_the_way(place):
                continue
            if member.flag_bits & 1:
                raise ArchiveError("it is encrypted")
            # Others let a few bytes ask for gigabytes of memory.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ArchiveError("it is compressed in an unusual way")
            if str(place) in found:
                raise ArchiveError("it holds two files of one name")
            found[str(place)] = member
        return found

    def read(self, name, limit):
        """
        Return a file's content.

        Parameters
        ----------
        name : str
            One of `names`.
        limit : int
            Largest size in bytes, whatever the archive says it is.

        Returns
        -------
        bytes

        Raises
        ------
        ArchiveError
            When it is larger or damaged.
        """
        try:
            with self._zip.open(self._members[name]) as file:
                data = file.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError,
                RuntimeError, KeyError):
            raise ArchiveError("it is damaged") from None
        if len(data) > limit:
            raise ArchiveError(f"a file in it is larger than {limit >> 10} KiB")
        return data

    def __enter__(self):
        """Return the archive."""
        return self

    def __exit__(self, *_):
        """Close it."""
        self._zip.close()
        self._file.close()
