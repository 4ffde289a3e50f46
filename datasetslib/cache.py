"""The cache: parsed arrays on disk, named by the digest of what they were made from.

For each data set there are a folder ``downloads`` with the files as they came, and one folder
for each edition, named by the digest of its contents, with the arrays as ``.npy`` files that
are memory-mapped. So no edition can pass for another.

An entry records the SHA-256 of each array, and size, time of change and time of status change
of each file as they were when that digest was last checked. While these agree nothing is read
again; when they do not, the whole file is. An ordinary write changes them, so an entry that
was written to is found out and built anew.
"""

import json
import os
import shutil
import warnings
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from datasetslib import archives
from datasetslib.download import unwritable
from datasetslib.errors import CacheError, IntegrityError, SourceError
from datasetslib.manifest import ARRAYS

SUMS = "SHA256SUMS"
FORMAT = 1  # of an entry; entries of another format are built anew


@dataclass(frozen=True)
class Edition:
    """Which bytes a data set is made of, and where they came from.

    Parameters
    ----------
    name : str
        The data set.
    kind : {"official", "own copy", "synthetic"}
        Whether these are the official bytes, a folder's own, or a stand-in.
    digest : str
        SHA-256 over the digests of the contents, in hexadecimal.
    origin : str
        Where they came from, without any path of this machine: the line is printed in
        notebooks that are published.
    note : str
        What else the reader should know.

    Examples
    --------
    >>> print(Edition("mnist", "official", "0" * 64, "DATASETSLIB_HOME"))
    mnist: official bytes, from DATASETSLIB_HOME
    >>> print(Edition("cifar10", "own copy", "5e" * 32, "the cache"))
    cifar10: not the official bytes (own SHA256SUMS, 5e5e5e5e5e5e), from the cache
    """

    name: str
    kind: str
    digest: str
    origin: str
    note: str = ""

    @property
    def is_synthetic(self):
        """Whether the data are a synthetic stand-in."""
        return self.kind == "synthetic"

    def __str__(self):
        """Return the line that is printed when the data are loaded."""
        what = {
            "official": "official bytes",
            "own copy": f"not the official bytes (own {SUMS}, {self.digest[:12]})",
            "synthetic": "synthetic data",
        }[self.kind]
        return f"{self.name}: {what}, from {self.origin}" + (f"; {self.note}" * bool(self.note))


@dataclass(frozen=True)
class SourceFile:
    """A file that holds contents of a data set.

    Parameters
    ----------
    path : pathlib.Path
        Where it lies.
    package : datasetslib.manifest.Package or None
        The package it is; None for an unpacked content.
    content : datasetslib.manifest.Content or None
        The content it is; None for a package.
    """

    path: Path
    package: object = None
    content: object = None

    def read(self, dataset):
        """Yield pairs (content, bytes), unverified.

        Raises
        ------
        SourceError
            If the system does not let the file be read.
        """
        try:
            if self.package:
                yield from archives.read_package(dataset, self.package, self.path)
            else:
                yield self.content, archives.read_content(self.path, dataset.size(self.content))
        except OSError as error:
            raise SourceError.because(
                self.path,
                expected="a file that can be read",
                found=error.strerror or error,
                remedy="Allow reading it (chmod a+r), or unset DATASETSLIB_HOME.",
            ) from error

    def sums(self):
        """Return the digests that a ``SHA256SUMS`` beside the file states, by name."""
        try:
            sums = self.path.parent / SUMS
            lines = sums.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return {}
        pairs = (line.split(maxsplit=1) for line in lines if len(line.split()) >= 2)
        return {name.strip().lstrip("*"): digest.lower() for digest, name in pairs}


def cache_folder():
    """Return the folder of the cache.

    Returns
    -------
    pathlib.Path
        ``DATASETSLIB_CACHE``, or the folder that the system has for caches.
    """
    chosen = os.environ.get("DATASETSLIB_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("datasetslib", appauthor=False)


def parse(dataset, files, put):
    """Verify and decode every content of a data set.

    Parameters
    ----------
    dataset : datasetslib.manifest.Dataset
        The data set.
    files : list of SourceFile
        A complete copy of it.
    put : callable
        Called as ``put(key, first, block)`` for each block of samples.

    Returns
    -------
    kind : {"official", "own copy"}
        Whether the digests are the official ones or a folder's own.
    digest : str
        Digest of the edition.

    Raises
    ------
    IntegrityError
        If nothing vouches for a content, or it is malformed.
    """
    kind, digests = "official", {}
    for file in files:
        sums, whole = file.sums(), None
        for content, data in file.read(dataset):
            digests[content.name] = found = sha256(data).hexdigest()
            if found != content.sha256:
                whole = whole or archives.sha256(file.path)
                if not (file.package and whole == file.package.sha256):
                    _need_own_sum(file, content, sums, found, whole)
                    kind = "own copy"
            for axis, block in archives.decode(dataset, content, data, file.path).items():
                put(f"{axis}_{content.split}", content.first, block)
    return kind, dataset.digest(digests)


def _need_own_sum(file, content, sums, found, whole):
    stated = sums.get(content.name) or sums.get(file.path.name)
    if sums.get(content.name) == found or sums.get(file.path.name) == whole:
        return
    member = f", member {content.name}" if file.package and file.package.folder else ""
    raise IntegrityError.because(
        f"{file.path}{member}",
        expected=f"SHA-256 {content.sha256} (official content)"
        + (f"\nor {stated} (its {SUMS})" if stated else f", or a {SUMS} beside it"),
        found=f"SHA-256 {found}",
        remedy="Replace it by the official file. If it is a copy of your own that you trust, "
        f"list it\nin {file.path.parent / SUMS} (made by: sha256sum *, or shasum -a 256 *);\n"
        'it is then reported as "not the official bytes".',
    )


def in_memory(dataset, files, origin):
    """Parse a data set without a cache.

    Parameters
    ----------
    dataset, files
        As in `parse`.
    origin : str
        As in `Edition`.

    Returns
    -------
    arrays : dict of str to ndarray
        The four arrays, read-only.
    edition : Edition
        What they are.
    """
    arrays = {key: np.empty(dataset.shape(key), np.uint8) for key in ARRAYS}

    def put(key, first, block):
        arrays[key][first : first + len(block)] = block

    kind, digest = parse(dataset, files, put)
    for values in arrays.values():
        values.flags.writeable = False
    return arrays, Edition(dataset.name, kind, digest, origin)


class Cache:
    """The part of the cache folder that belongs to one data set.

    Parameters
    ----------
    dataset : datasetslib.manifest.Dataset
        The data set.

    Attributes
    ----------
    folder, downloads : pathlib.Path
        Its folder, and the one for files as they were downloaded.
    damage : list of str
        What was found damaged so far, one phrase for each file.
    """

    def __init__(self, dataset):
        self.dataset = dataset
        self.folder = cache_folder() / dataset.name
        self.downloads = self.folder / "downloads"
        self.damage = []

    @contextmanager
    def lock(self):
        """Hold the one lock under which anything is written.

        Raises
        ------
        CacheError
            If the folder cannot be written.
        """
        # Imported here: a warm load writes nothing and needs no lock.
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock")
            try:
                lock.acquire(timeout=2)
            except Timeout:
                print(f"{self.dataset.name}: waiting for another process that is preparing it")
                lock.acquire()
        except (OSError, NotImplementedError) as error:
            raise unwritable(self.folder, error) from error
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def find(self, kinds, origin="the cache"):
        """Open the newest sound entry of the first of some kinds.

        Parameters
        ----------
        kinds : sequence of str
            Kinds of edition, the preferred one first.
        origin : str
            As in `Edition`.

        Returns
        -------
        tuple or None
            Arrays and edition, or None when there is no sound entry.
        """
        entries = [path.parent for path in self.folder.glob("[!.]*/entry.json")]
        entries.sort(key=_changed, reverse=True)
        for kind in kinds:
            for folder in entries:
                if _read_json(folder / "entry.json").get("kind") == kind:
                    if opened := self.open(folder.name, origin):
                        return opened
        return None

    def open(self, key, origin):
        """Map the arrays of an entry.

        Parameters
        ----------
        key : str
            Name of its folder.
        origin : str
            As in `Edition`.

        Returns
        -------
        tuple or None
            Arrays and edition, or None when the entry is absent or damaged; in the latter
            case a warning says so, and `damage` tells which file.
        """
        folder = path = self.folder / key
        facts = _read_json(folder / "entry.json")
        if facts.get("format") != FORMAT:
            return None
        known = _read_json(folder / "stamps.json")
        stamps, arrays = {}, {}
        try:
            for array in ARRAYS:
                path = folder / f"{array}.npy"
                stamps[path.name] = stamp(path)
                if known.get(path.name) != stamps[path.name]:
                    found, expected = archives.sha256(path), facts["sha256"][path.name]
                    if found != expected:
                        raise ValueError(f"SHA-256 {found}, expected {expected}")
                arrays[array] = values = np.load(path, mmap_mode="r", allow_pickle=False)
                if values.shape != self.dataset.shape(array) or values.dtype != np.uint8:
                    raise ValueError(f"an array of {values.dtype} of shape {values.shape}")
            edition = Edition(self.dataset.name, facts["kind"], facts["digest"], origin)
        except (OSError, ValueError, KeyError, TypeError) as error:
            damage = f"{path}: {error}"
            if damage not in self.damage:
                self.damage.append(damage)
                warnings.warn(f"damaged cache file, to be built anew: {damage}", stacklevel=2)
            return None
        if stamps != known:
            self.note(folder / "stamps.json", stamps)
        return arrays, edition

    def build(self, files, origin):
        """Verify, parse and store an edition. The caller holds the lock.

        Parameters
        ----------
        files : list of SourceFile
            A complete copy of the data set.
        origin : str
            As in `Edition`.

        Returns
        -------
        arrays : dict of str to ndarray
            The four arrays, memory-mapped.
        edition : Edition
            What they are; its digest begins with the name of the entry's folder.

        Raises
        ------
        IntegrityError
            If the files are not what they should be. Nothing is stored then.
        CacheError
            If the entry cannot be written.
        """
        new = self.folder / ".new"
        try:
            new.mkdir()
            with _Writer(self.dataset, new) as writer:
                kind, digest = parse(self.dataset, files, writer.put)
            key = digest[:16]
            if opened := self.open(key, origin):  # the same bytes from elsewhere
                return opened
            facts = {"format": FORMAT, "name": self.dataset.name, "kind": kind, "digest": digest}
            facts["sha256"] = {path.name: archives.sha256(path) for path in writer.paths}
            (new / "stamps.json").write_text(
                json.dumps({path.name: stamp(path) for path in writer.paths})
            )
            (new / "entry.json").write_text(json.dumps(facts, indent=1))
            self._set_aside(self.folder / key)
            # The folder gets its name last: an entry is there as a whole or not at all.
            new.rename(self.folder / key)
        except OSError as error:
            raise unwritable(new, error) from error
        finally:
            self._sweep()
        if opened := self.open(key, origin):
            return opened
        raise CacheError.because(
            self.folder / key,
            expected="the arrays that were written a moment ago",
            found="; ".join(self.damage),
            remedy="Check the disk, or set DATASETSLIB_CACHE to a folder on another one.",
        )

    def note(self, path, value):
        """Write a small JSON file if that is possible; it only ever saves time.

        Parameters
        ----------
        path : pathlib.Path
            The file.
        value : dict
            What it shall hold.
        """
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(value))
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):  # a full disk may leave a file without its content
                temporary.unlink()

    def recall(self, name):
        """Return what a JSON file of this folder holds, ``{}`` when it cannot be read."""
        return _read_json(self.folder / name)

    def _set_aside(self, entry):
        """Take a damaged entry's name away from it, so that a sound one can have it."""
        try:
            entry.rename(self.folder / f".damaged-{os.getpid()}")
        except FileNotFoundError:
            pass  # there was none
        except OSError as error:  # Windows lets no file be moved that a process has mapped
            raise CacheError.because(
                entry,
                expected="a damaged entry that can be moved out of the way",
                found=error.strerror or error,
                remedy="Close the other notebooks that use this data set, or set "
                "DATASETSLIB_CACHE to another folder.",
            ) from error

    def _sweep(self):
        """Remove what a process left that was killed while it built an entry."""
        for left in (self.folder / ".new", *self.folder.glob(".damaged*")):
            shutil.rmtree(left, ignore_errors=True)


class _Writer:
    """Writes blocks of samples into ``.npy`` files.

    Plain writes, not a memory map: on a full disk a write raises an error, where touching a
    mapped page would kill the process.
    """

    def __init__(self, dataset, folder):
        self._dataset, self._stack, self._streams = dataset, ExitStack(), {}
        self.paths = [folder / f"{key}.npy" for key in ARRAYS]

    def __enter__(self):
        for key, path in zip(ARRAYS, self.paths, strict=True):
            stream = self._stack.enter_context(open(path, "wb"))
            header = {"descr": "|u1", "fortran_order": False, "shape": self._dataset.shape(key)}
            np.lib.format.write_array_header_1_0(stream, header)
            self._streams[key] = stream, stream.tell()
        return self

    def put(self, key, first, block):
        """Write `block` so that it starts at sample `first`."""
        stream, start = self._streams[key]
        stream.seek(start + first * block[0].size)
        stream.write(np.ascontiguousarray(block).data)

    def __exit__(self, failed, *_):
        with self._stack:
            for stream, _ in self._streams.values() if not failed else ():
                stream.flush()
                os.fsync(stream.fileno())


def stamp(path):
    """Return what an ordinary write to a file changes.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of int
        Size in bytes, time of change and time of status change in nanoseconds.
    """
    facts = os.stat(path)
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def _changed(path):
    """Return when a file or folder was changed; 0 when another process has removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read_json(path):
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
