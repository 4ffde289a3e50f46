"""The errors of this package: one family, so that one ``except`` catches them all.

Every message answers four questions: which file or URL, what was expected, what was found,
and what to do about it.

Examples
--------
>>> from datasetslib.errors import DatasetError, explain
>>> print(explain("a.gz", expected="10 bytes", found="7 bytes", remedy="Fetch it again."))
a.gz
  expected: 10 bytes
  found:    7 bytes
  remedy:   Fetch it again.
"""


class DatasetError(Exception):
    """Anything that keeps a data set from being loaded or used.

    Attributes
    ----------
    expected, found : str
        What should have been there and what was; empty where the error was made without
        `because`.
    absent : bool
        Whether the thing asked for is not there, while whoever was asked works well.
    """

    expected = found = ""
    absent = False

    @classmethod
    def because(cls, what, *, expected, found, remedy):
        """Make an error of this class whose message is laid out by `explain`.

        Parameters
        ----------
        what, expected, found, remedy
            As in `explain`.

        Returns
        -------
        DatasetError
            An instance of the class it was called on, ready to be raised.
        """
        error = cls(explain(what, expected=expected, found=found, remedy=remedy))
        error.expected, error.found = str(expected), str(found)
        return error


class SourceError(DatasetError):
    """A source that is unknown, absent or incomplete."""


class DownloadError(DatasetError):
    """A transfer that failed: no network, a server's refusal, a stall, a full disk."""


class IntegrityError(DatasetError):
    """Bytes that are not the bytes they should be: a wrong digest, size or structure."""


class CacheError(DatasetError):
    """A cache folder that cannot be written, or a cache entry that cannot be used."""


class NotLoadedError(DatasetError):
    """Data asked for before ``load_data()`` was called."""


class LayoutError(DatasetError, ValueError):
    """An unknown layout of the image axes, or one that does not fit the array."""


class BatchError(DatasetError, ValueError):
    """A batch size that is zero, negative, not whole, or larger than the data set."""


def explain(what, *, expected, found, remedy):
    """Lay out an error message the way every message of this package is laid out.

    Parameters
    ----------
    what : str or os.PathLike
        The file, URL or parameter that the message is about.
    expected, found : str
        What should have been there, and what was.
    remedy : str
        What the reader can do; may run over several lines.

    Returns
    -------
    str
        Four lines or more: the subject, then the three answers, indented.
    """
    lines = [str(what)]
    for label, text in (("expected", expected), ("found", found), ("remedy", remedy)):
        body = str(text).replace("\n", "\n" + " " * 12)
        lines.append(f"  {label + ':':<9} {body}")
    return "\n".join(lines)
