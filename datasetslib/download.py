"""Fetch one file from one address: bounded, resumable, verified before it gets its name.

Bytes go to a ``.part`` file beside the target. It is renamed only once the caller's check has
passed, so a file that bears its final name is whole. A small note beside the ``.part`` file
says where it came from, which lets a later run, or another mirror of the very same bytes, go
on from where it stopped.

The transport is requests: it honours proxies and the certificates of the environment, and
TLS certificates are always verified.
"""

import errno
import json
import os
import re
import shutil
import sys
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from datasetslib.errors import CacheError, DownloadError, IntegrityError

SCHEMES = ("http", "https", "file")
TIMEOUT = (10.0, 30.0)  # seconds to connect, and of silence between two reads
ATTEMPTS = 4  # fruitless ones in a row, for one address
BACKOFF = 1.0  # seconds before the second attempt; doubled each time
MAX_WAIT = 30.0  # seconds; a server that asks for more is left for the next mirror
CHUNK = 1 << 16
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}

ANOTHER = (
    "Check the connection and the proxy settings (HTTPS_PROXY), or try again later.\n"
    "If your institution inspects TLS, point REQUESTS_CA_BUNDLE at its certificate."
)


class _Transient(Exception):
    """A failure worth another attempt."""

    def __init__(self, found, wait=None):
        super().__init__(found)
        self.wait = wait


def fetch(url, target, check, *, limit, size=None):
    """Download one file, check it, and only then give it its name.

    Parameters
    ----------
    url : str
        Address with scheme http, https or file.
    target : pathlib.Path
        Path of the finished file. The caller holds the lock that guards it.
    check : callable
        Called with the path of the complete ``.part`` file; raises `IntegrityError` when the
        bytes are not the right ones.
    limit : int
        The most bytes that may be transferred.
    size : int, optional
        Exact size of the file, where all copies are byte for byte the same.

    Raises
    ------
    DownloadError
        If the server refuses, or the transfer keeps failing.
    IntegrityError
        If what arrives is not the file.
    CacheError
        If the file cannot be written, for lack of room or of permission.
    """
    part = target.with_name(target.name + ".part")
    fruitless, furthest = 0, 0
    while True:
        try:
            resumed = _transfer(url, part, limit, size)
            try:
                check(part)
            except IntegrityError as error:
                found = _describe(part, error, size)
                _discard(part)
                if resumed:  # the two halves may belong to different files
                    continue
                raise _wrong(url, error.expected or _size_text(size), found) from error
            os.replace(part, target)
            _discard(part)
            return
        except _Transient as fault:
            reached = part.stat().st_size if part.exists() else 0
            fruitless = 1 if reached > furthest else fruitless + 1
            furthest = max(furthest, reached)
            wait = BACKOFF * 2 ** (fruitless - 1) if fault.wait is None else fault.wait
            if fruitless >= ATTEMPTS or wait > MAX_WAIT:
                kept = f"; {reached:,} bytes are kept for the next attempt" if reached else ""
                raise DownloadError.because(
                    public(url), expected=_size_text(size), found=f"{fault}{kept}", remedy=ANOTHER
                ) from fault
            time.sleep(wait)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                _discard(part)  # the room is needed; the next run starts afresh
            raise unwritable(part, error) from error


def public(url):
    """Return a URL without the user name and password that it may carry.

    Parameters
    ----------
    url : str
        The address.

    Returns
    -------
    str
        The same address, fit to be printed.

    Examples
    --------
    >>> public("https://me:secret@mirror.example/mnist/")
    'https://mirror.example/mnist/'
    """
    # By hand, because urlsplit refuses some of the misspelt addresses that errors are about.
    return re.sub(r"^([^/]*//)?[^/?#]*@", r"\1", url)


def unwritable(path, error):
    """Return the error to raise when the cache cannot be written.

    Parameters
    ----------
    path : path-like
        What was being written.
    error : OSError
        What the system answered.

    Returns
    -------
    CacheError
        Says whether room or permission is lacking.
    """
    code = getattr(error, "errno", None)
    full = code in (errno.ENOSPC, errno.EDQUOT)
    reason = getattr(error, "strerror", None) or error
    return CacheError.because(
        path,
        expected="room for the data set" if full else "a cache folder that can be written",
        found=f"{'disk full' if full else 'no way to write there'} ({reason})",
        remedy=f"{'Make room' if full else 'Allow writing there'}, or set DATASETSLIB_CACHE to a "
        "folder on a disk with 500 MB to spare.",
    )


def _transfer(url, part, limit, size):
    """Bring `part` to completion; return whether bytes of an earlier run were kept."""
    if urlsplit(url).scheme == "file":
        return _copy(url, part, limit, size)
    # Imported here, because a warm load needs no network and importing requests is slow.
    import requests
    from urllib3.exceptions import HTTPError, ProtocolError

    note = _read_note(part)
    offset = part.stat().st_size if note else 0
    if size and offset == size:  # a run that died between the last byte and the check
        return True
    headers = {"Accept-Encoding": "identity", "User-Agent": "datasetslib (a course on ConvNets)"}
    if note and note["url"] == public(url):
        headers |= {"Range": f"bytes={offset}-"}
        headers |= {"If-Range": note["validator"]} if note["validator"] else {}
    elif note and size:  # another mirror, but of the same bytes
        headers["Range"] = f"bytes={offset}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            offset = _accept(url, answer, part, offset if "Range" in headers else 0, limit, size)
            _receive(url, answer, part, offset, limit, size)
    except requests.exceptions.SSLError as error:
        raise DownloadError.because(
            public(url),
            expected="a certificate that this computer trusts",
            found=_innermost(error),
            remedy="Leave the check on. If your institution inspects traffic, point "
            "REQUESTS_CA_BUNDLE at its certificate; otherwise use another mirror.",
        ) from error
    except (requests.exceptions.ReadTimeout, HTTPError) as error:
        raise _Transient(_transport_fault(error)) from error
    except requests.exceptions.ConnectionError as error:
        if error.args and isinstance(error.args[0], ProtocolError):
            raise _Transient(_transport_fault(error)) from error
        # Nobody answers at all: waiting a few seconds would not change that.
        raise DownloadError.because(
            public(url), expected="a connection", found=_innermost(error), remedy=ANOTHER
        ) from error
    except requests.exceptions.RequestException as error:
        raise DownloadError.because(
            public(url),
            expected="an answer",
            found=_innermost(error).replace(url, public(url)),
            remedy=ANOTHER,
        ) from error
    return offset > 0


def _accept(url, answer, part, offset, limit, size):
    """Judge status and headers; return the offset at which the body starts."""
    status = f"HTTP {answer.status_code} {answer.reason or ''}".strip()
    if answer.status_code == 416 and offset:
        _discard(part)
        raise _Transient(f"{status}: the partial file was not a beginning of this one", 0.0)
    if answer.status_code in TRANSIENT:
        wait = _retry_after(answer.headers.get("Retry-After"))
        asks = "" if wait is None else f" (it asks to wait {wait:.0f} s)"
        raise _Transient(status + asks, wait)
    if answer.status_code not in (200, 206):
        error = DownloadError.because(
            public(url), expected="HTTP 200 OK", found=status, remedy="Use another mirror."
        )
        error.absent = answer.status_code in (403, 404, 410)
        raise error
    if answer.status_code == 206:
        span = answer.headers.get("Content-Range", "")
        if not (offset and span.startswith(f"bytes {offset}-")):
            _discard(part)
            raise _Transient(f"{status} with Content-Range {span!r} instead of {offset}-")
        return offset
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and (int(length) > limit or (size and int(length) != size)):
        start = answer.raw.read(200, decode_content=False)
        raise _wrong(url, _size_text(size or limit, exact=bool(size)), _kind(start, int(length)))
    etag, date = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    # A weak ETag does not promise equal bytes, so it cannot join two halves.
    validator = etag if etag and not etag.startswith("W/") else date
    part.write_bytes(b"")
    _note_path(part).write_text(json.dumps({"url": public(url), "validator": validator}))
    return 0


def _receive(url, answer, part, offset, limit, size):
    """Write the body to `part` from `offset` on."""
    length = answer.headers.get("Content-Length", "")
    total = offset + int(length) if length.isdigit() else size
    done = offset
    with open(part, "ab") as stream, _Progress(target_name(part), total) as progress:
        # The bytes as they travel: a server that labels a .gz file as "encoded" gets no say.
        for chunk in answer.raw.stream(CHUNK, decode_content=False):
            done += len(chunk)
            if done > limit:
                break
            stream.write(chunk)
            progress.show(done)
        stream.flush()
        os.fsync(stream.fileno())
    if done > limit:  # only now: Windows does not remove a file that is open
        raise _too_large(url, part, limit)
    if total is not None and done < total:
        raise _Transient(f"the connection was cut after {done:,} of {total:,} bytes")


def _copy(url, part, limit, size):
    """Copy a file:// address to `part`."""
    source = Path(url2pathname(urlsplit(url).path))
    try:
        reader = open(source, "rb")  # closed below
    except OSError as error:
        missing = DownloadError.because(
            public(url), expected="a file", found=error.strerror, remedy=f"Put it at {source}."
        )
        missing.absent = True
        raise missing from error
    found = source.stat().st_size
    if found > limit or (size and found != size):
        with reader:
            start = reader.read(200)
        raise _wrong(url, _size_text(size or limit, exact=bool(size)), _kind(start, found))
    _discard(part)
    with reader, open(part, "wb") as writer:
        shutil.copyfileobj(reader, writer, CHUNK)
        writer.flush()
        os.fsync(writer.fileno())
    return False


def target_name(part):
    """Return the name that a ``.part`` file will have once it is whole."""
    return part.name.removesuffix(".part")


def _note_path(part):
    return part.with_name(part.name + ".json")


def _read_note(part):
    """Return where the partial file came from, or None when it cannot be continued."""
    try:
        note = json.loads(_note_path(part).read_text())
        usable = part.stat().st_size > 0 and isinstance(note["validator"], str)
        return note if usable and isinstance(note["url"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _discard(part):
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


def _retry_after(value):
    """Return the seconds that a Retry-After header asks for, or None."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _innermost(error):
    """Return what went wrong at the bottom of a chain of wrapped exceptions."""
    while True:
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    # urllib3 puts the connection first; the URL stands beside the message already.
    text = re.sub(r"^(<.*?>|HTTPS?Connection(Pool)?\(.*?\)): ", "", str(error))
    return text or type(error).__name__


def _transport_fault(error):
    text = str(error)
    if "timed out" in text.lower() or "timeout" in type(error).__name__.lower():
        return f"no answer for {TIMEOUT[1]:g} s: the server stalled"
    if "IncompleteRead" in text:
        return "the connection was cut"
    return f"the connection was cut ({_innermost(error)})"


def _size_text(size, exact=True):
    if size is None:
        return "the file"
    return f"{'' if exact else 'at most '}{size:,} bytes"


def _kind(start, length):
    """Describe a body by its first bytes."""
    if start.lstrip()[:1] == b"<":
        begins = start[:40].decode("latin1")
        return f"a web page of {length:,} bytes (a login page?) that begins {begins!r}"
    return f"{length:,} bytes"


def _describe(part, error, size):
    """Say what a file that failed its check looks like."""
    length = part.stat().st_size
    with open(part, "rb") as stream:
        start = stream.read(200)
    kind = _kind(start, length)
    if kind.startswith("a web page"):
        return kind
    if size and length < size:
        return f"a truncated file of {length:,} bytes"
    return error.found or kind


def _wrong(url, expected, found):
    return IntegrityError.because(
        public(url),
        expected=expected,
        found=found,
        remedy="Use another mirror; a login or proxy page may have answered in its place.",
    )


def _too_large(url, part, limit):
    _discard(part)
    return _wrong(url, _size_text(limit, exact=False), f"more than {limit:,} bytes")


class _Progress:
    """One line on a terminal or in a notebook, wiped at the end; silent everywhere else."""

    def __init__(self, name, total):
        self._name, self._total, self._width, self._next = name, total, 0, 0.0
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        self._on = sys.stderr.isatty() or hasattr(shell, "kernel")

    def show(self, done):
        """Redraw the line, ten times a second at most."""
        now = time.monotonic()
        if not self._on or now < self._next:
            return
        self._next = now + 0.1
        line = f"{self._name}  {done / 1e6:.1f} MB"
        if self._total:
            share = done / self._total
            bar = "#" * int(24 * share)
            line = f"{self._name}  [{bar:<24}] {share:4.0%} of {self._total / 1e6:.1f} MB"
        self._width = max(self._width, len(line))
        print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)
