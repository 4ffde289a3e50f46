"""Where a data set comes from.

Sources are asked in a fixed order, and the one that answered is always reported:

1. ``source=``, or else the environment variable ``DATASETSLIB_SOURCE``; when one is named,
   no other is asked;
2. ``DATASETSLIB_HOME``, a folder prepared in the official layout (read-only is fine);
3. the cache (``DATASETSLIB_CACHE``, or the user's cache folder), for the official bytes;
4. the mirror in ``DATASETSLIB_MIRROR``, then the mirrors of the manifest, the origin last. Those
   that are fast in China come first where ``DATASETSLIB_MIRROR`` is the word ``china`` or the
   locale is that of mainland China (``LC_ALL``, ``LC_MESSAGES`` or ``LANG``).

Whatever the source, the arrays are parsed once into the cache. A cache that cannot be written
is no obstacle to data that lie in a folder: they are parsed in memory, with a warning. A
download does need a cache that can be written.
"""

import difflib
import os
import re
import warnings
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from datasetslib import archives, download, manifest
from datasetslib.cache import SUMS, Cache, Edition, SourceFile, cache_folder, in_memory, stamp
from datasetslib.errors import (
    CacheError,
    DownloadError,
    IntegrityError,
    SourceError,
)
from datasetslib.manifest import DATASETS

__all__ = ["Edition", "cache_folder", "load", "resolve_source"]

CHINA = "china"  # in DATASETSLIB_MIRROR: the public mirrors, those first that are fast there
WORDS = ("auto", "home", "cache", "mirrors", "synthetic")
GZIP_OVERHEAD = 1 << 16  # bytes by which a gzip file can be larger than its content


def resolve_source(source=None):
    """Return the source in effect: the argument, or else ``DATASETSLIB_SOURCE``.

    Parameters
    ----------
    source : str or os.PathLike, optional
        ``"auto"`` (the usual order), ``"home"``, ``"cache"``, ``"mirrors"``,
        ``"synthetic"``, a folder, or a base URL (http, https or file).

    Returns
    -------
    str
        One of the words above, a path or a URL.

    Raises
    ------
    SourceError
        If it is none of these.

    Examples
    --------
    >>> resolve_source("synthetic")
    'synthetic'
    """
    given = "source"
    if source is None:
        given, source = "DATASETSLIB_SOURCE", os.environ.get("DATASETSLIB_SOURCE") or "auto"
    if isinstance(source, os.PathLike):
        return os.fspath(source)
    if isinstance(source, str):
        if source in WORDS or _is_url(source, given):
            return source
        if "/" in source or os.sep in source or source[:1] == "~" or Path(source).is_dir():
            return source
    near = difflib.get_close_matches(str(source), WORDS, 1)
    raise SourceError.because(
        f"{given}={source!r}",
        expected=f"one of {', '.join(WORDS)}; a folder; a URL",
        found="an unknown source",
        remedy=(f"Did you mean {near[0]!r}? " if near else "")
        + "Leave it out for the usual order: DATASETSLIB_HOME, the cache, the mirrors.",
    )


def load(name, source=None):
    """Return the arrays of a data set, and which edition of it they are.

    Parameters
    ----------
    name : str
        ``"mnist"`` or ``"cifar10"``.
    source : str or os.PathLike, optional
        As in `resolve_source`. ``"mirrors"`` and URLs say where to download from; since the
        digests are pinned, official bytes that are in the cache already are used instead.

    Returns
    -------
    arrays : dict of str to ndarray
        ``x_train``, ``y_train``, ``x_test``, ``y_test``: uint8, read-only, memory-mapped
        wherever the cache can be used. Images have the axes of the official files:
        (n, 28, 28) or (n, 3, 32, 32).
    edition : Edition
        What they are.

    Raises
    ------
    SourceError
        If a source is unknown, absent or incomplete.
    DownloadError
        If no mirror delivers.
    IntegrityError
        If the bytes found are not the right ones.
    CacheError
        If the cache has to be written and cannot be.
    """
    if name not in DATASETS:
        raise SourceError.because(
            f"data set {name!r}",
            expected="one of " + ", ".join(DATASETS),
            found="an unknown name",
            remedy="Use one of these names.",
        )
    dataset, source = DATASETS[name], resolve_source(source)
    cache = Cache(dataset)
    if source == "synthetic":
        raise SourceError.because(
            f"{name}, source='synthetic'",
            expected="a source of real data",
            found="a request for synthetic data, which are made, not loaded",
            remedy=f"Call datasetslib.synthetic.make({name!r}, n_train, n_test).",
        )
    if source == "cache":
        return _from_cache_alone(dataset, cache)
    if source in ("auto", "home"):
        files = _locate_home(dataset, required=source == "home")
        if files:
            return _from_folder(dataset, cache, files, "DATASETSLIB_HOME")
    if source in ("auto", "mirrors"):
        return _from_mirrors(dataset, cache, None)
    if _is_url(source, "source"):
        return _from_mirrors(dataset, cache, source)
    files = _locate(dataset, Path(source).expanduser(), "the source", required=True)
    return _from_folder(dataset, cache, files, "a folder given as source")


def _is_url(text, given):
    """Return whether `text` is a URL; refuse schemes that are not supported."""
    scheme, colon, _ = text.partition("://")
    if colon and scheme not in download.SCHEMES:
        raise SourceError.because(
            f"{given}={download.public(text)!r}",
            expected="a URL with scheme " + ", ".join(download.SCHEMES),
            found=f"scheme {scheme!r}",
            remedy="Give such a URL, or a folder.",
        )
    return bool(colon)


# ---------------------------------------------------------------- folders


def _layout(dataset):
    """Say in a phrase what a folder has to hold, inside the folder of the data set."""
    if dataset.folder:
        return f"{dataset.name}/{dataset.folder}/*.bin or {dataset.name}/{dataset.needs[0][0]}"
    return f"{dataset.name}/ with " + ", ".join(group[0] for group in dataset.needs)


def _locate_home(dataset, required):
    home = os.environ.get("DATASETSLIB_HOME")
    if home:
        return _locate(dataset, Path(home).expanduser(), "DATASETSLIB_HOME", required)
    if required:
        raise SourceError.because(
            "DATASETSLIB_HOME",
            expected="the path of a folder in the official layout",
            found="nothing: the variable is not set",
            remedy=f"Set it to a folder that holds {_layout(dataset)}.",
        )
    return []


def _locate(dataset, root, given, required):
    """Find a complete copy of a data set in a folder.

    Returns the files, or an empty list when the folder holds nothing of this data set and it
    is not required to. A copy that is there in part is an error in any case: whoever prepared
    it did not mean to leave something out. So is a folder that cannot be entered.
    """
    try:
        return _look(dataset, root, given, required)
    except OSError as error:
        raise SourceError.because(
            f"{error.filename or root} ({given})",
            expected="a folder that can be entered and read",
            found=error.strerror or error,
            remedy="Ask whoever prepared it to run: chmod -R a+rX.",
        ) from error


def _look(dataset, root, given, required):
    """Do what `_locate` says, leaving the system's own errors as they are."""
    missing = []
    for base in (root / dataset.name, root):
        files, gaps, started = _search(dataset, base)
        if not gaps:
            return files
        if (started or (base != root and base.is_dir())) and not missing:
            missing = gaps
    if not (missing or required) and root.is_dir():
        return []
    if root.is_dir():
        found = "\n".join(f"no {path}" for path in missing) or f"nothing of {dataset.name}"
    else:
        found = "no such folder"
    raise SourceError.because(
        f"{root} ({given})",
        expected=f"a folder that holds {_layout(dataset)}",
        found=found,
        remedy="Put the missing files there (the addresses are in datasetslib/manifest.py), or "
        f"{'unset ' + given if given.isupper() else 'leave the source out'}\n"
        "to use the cache and the mirrors.",
    )


def _search(dataset, base):
    """Return the files of a data set in `base`, what is missing, and whether any is there."""
    files, gaps, started = [], [], False
    for group in dataset.needs:
        contents = [dataset.content(name) for name in dataset.package(group[0]).contents]
        unpacked = [
            [base / folder / content.name for content in contents]
            for folder in dict.fromkeys((dataset.folder, ""))
        ]
        packed = [base / filename for filename in group]
        whole = next((paths for paths in unpacked if all(p.is_file() for p in paths)), None)
        archive = next((path for path in packed if path.is_file()), None)
        if whole:
            files += [
                SourceFile(path, content=content)
                for path, content in zip(whole, contents, strict=True)
            ]
        elif archive:
            files.append(SourceFile(archive, package=dataset.package(archive.name)))
        else:
            present = max(unpacked, key=lambda paths: sum(p.is_file() for p in paths))
            absent = [path for path in present if not path.is_file()]
            partial = len(absent) < len(present)
            gaps += absent if partial else packed[:1]
            started = started or partial
    return files, gaps, started or bool(files)


def _from_folder(dataset, cache, files, origin):
    """Load a copy that lies in a folder, by way of the cache if it can be written."""
    watched = {file.path.parent / SUMS for file in files} | {file.path for file in files}
    stamps = {str(path.absolute()): stamp(path) for path in sorted(watched) if path.exists()}
    # What was parsed before is known by path and stamp: nothing is hashed a second time.
    place = sha256("\n".join(stamps).encode()).hexdigest()[:16]

    def known():
        record = cache.recall(f"folder-{place}.json")
        if record.get("stamps") == stamps:
            return cache.open(str(record.get("entry")), origin)
        return None

    if opened := known():
        return opened
    try:
        with cache.lock():
            if opened := known():
                return opened
            arrays, edition = cache.build(files, origin)
            record = {"stamps": stamps, "entry": edition.digest[:16]}
            cache.note(cache.folder / f"folder-{place}.json", record)
            return arrays, edition
    except CacheError as error:
        warnings.warn(
            f"{dataset.name} is parsed in memory, for this time only, because the cache cannot "
            f"be used:\n{error}",
            stacklevel=2,
        )
        return in_memory(dataset, files, origin)


# ---------------------------------------------------------------- cache and mirrors


def _from_cache_alone(dataset, cache):
    if opened := cache.find(("official", "own copy")):
        return opened
    if cache.downloads.is_dir():
        files = _locate(dataset, cache.downloads, "the cache", required=False)
        if files:
            return _from_folder(dataset, cache, files, "the cache")
    error = IntegrityError if cache.damage else SourceError
    raise error.because(
        f"{cache.folder} (source='cache')",
        expected=f"{dataset.name}, parsed or as it was downloaded",
        found="\n".join(cache.damage) or "nothing of it",
        remedy="Leave the source out, so that it can be fetched. " + _by_hand(dataset, cache),
    )


def _from_mirrors(dataset, cache, url):
    if opened := cache.find(("official",)):
        return opened
    with cache.lock():
        if opened := cache.find(("official",)):  # another process was faster
            return opened
        files, origins = [], []
        for group in dataset.needs:
            file, origin = _obtain(dataset, cache, group, url)
            files.append(file)
            origins.append(origin)
        return cache.build(files, " and ".join(dict.fromkeys(origins)))


def _obtain(dataset, cache, group, url):
    """Return one package of a group, downloaded unless it lies in the cache, and its origin."""
    try:
        cache.downloads.mkdir(exist_ok=True)
    except OSError as error:
        raise download.unwritable(cache.downloads, error) from error
    failures = [(damage, IntegrityError()) for damage in cache.damage]
    for filename in group:
        path = cache.downloads / filename
        if path.is_file():
            try:
                _check(dataset, dataset.package(filename), path)
                return SourceFile(path, package=dataset.package(filename)), "the cache"
            except IntegrityError as error:  # put there by hand, or damaged since
                failures.append((path, error))
    for addresses in _addresses(dataset, group, url):
        for filename, address in addresses:
            package = dataset.package(filename)
            try:
                download.fetch(
                    address,
                    cache.downloads / filename,
                    lambda path, package=package: _check(dataset, package, path),
                    limit=_limit(dataset, package),
                    size=package.size,
                )
            except (DownloadError, IntegrityError) as error:
                failures.append((download.public(address), error))
                if not error.absent:  # the server is at fault: do not ask it for other names
                    break
            else:
                host = urlsplit(address).hostname or "a file:// mirror"
                return SourceFile(cache.downloads / filename, package=package), host
    damaged = all(isinstance(error, IntegrityError) for _, error in failures)
    raise (IntegrityError if damaged else DownloadError).because(
        f"{dataset.name}: {' or '.join(group)}",
        expected="\n".join(_pinned(dataset, dataset.package(filename)) for filename in group),
        found="\n".join(f"{where}: {error.found}".removesuffix(": ") for where, error in failures),
        remedy=download.ANOTHER + "\n" + _by_hand(dataset, cache, group[0]),
    )


def _chinese_locale():
    """Say whether messages are wanted in the Chinese of the mainland, by the rule of POSIX."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    wanted = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return bool(re.match(r"zh([_-](CN|Hans)(?![a-z])|[.@]|$)", wanted, re.IGNORECASE))


def _addresses(dataset, group, url):
    """Yield, for each mirror in order, the pairs (filename, URL) to ask it for."""
    own = url or os.environ.get("DATASETSLIB_MIRROR")
    in_china = url is None and (own == CHINA or _chinese_locale())
    if own and own != CHINA:
        if not _is_url(own, "DATASETSLIB_MIRROR"):
            raise SourceError.because(
                f"DATASETSLIB_MIRROR={download.public(own)!r}",
                expected=f"a URL with scheme {', '.join(download.SCHEMES)}; or the word {CHINA}",
                found="no URL",
                remedy="For a folder write file:///path/of/the/folder.",
            )
        base = own.rstrip("/")
        # Laid out like DATASETSLIB_HOME, or with the files side by side.
        yield [(name, f"{base}/{dataset.name}/{name}") for name in group] + [
            (name, f"{base}/{name}") for name in group
        ]
    if url is None:
        def slow(mirror):
            return in_china and not (urlsplit(mirror[0]).hostname or "").endswith(
                manifest.FAST_IN_CHINA)

        # Sorting keeps the order among the fast and among the others: the origin stays last.
        for base, only in sorted(dataset.mirrors, key=slow):
            yield [(name, base + name) for name in group if only in ("*", name)]


def _limit(dataset, package):
    """Return the most bytes that a package may have."""
    if package.size:
        return package.size
    return GZIP_OVERHEAD + sum(dataset.size(dataset.content(name)) for name in package.contents)


def _check(dataset, package, path):
    """Raise `IntegrityError` unless `path` holds the official bytes of a package."""
    if package.sha256:
        wrong = archives.sha256(path) != package.sha256
    else:
        contents = archives.read_package(dataset, package, path)
        wrong = any(sha256(data).hexdigest() != content.sha256 for content, data in contents)
    if wrong:
        raise IntegrityError.because(
            path,
            expected=_pinned(dataset, package),
            found=f"{path.stat().st_size:,} bytes with another digest",
            remedy="Fetch it again.",
        )


def _pinned(dataset, package):
    """Say what is known beforehand about a package."""
    if package.sha256:
        return f"{package.size:,} bytes with SHA-256 {package.sha256}"
    content = dataset.content(package.contents[0])
    return f"{dataset.size(content):,} bytes of content with SHA-256 {content.sha256}"


def _by_hand(dataset, cache, filename=None):
    filename = filename or dataset.needs[0][0]
    return (
        f"Or fetch {filename} with a browser, on another computer if need be, and put it at\n"
        f"{cache.downloads / filename}\n"
        f"or set DATASETSLIB_HOME to a folder that holds {_layout(dataset)}.\n"
        "DATASETSLIB_SOURCE=synthetic goes on without real data, and says so."
    )
