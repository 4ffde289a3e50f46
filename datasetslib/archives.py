"""Readers for the official file formats that trust nothing they read.

Every reader works in memory and within bounds known beforehand: nothing is unpacked to a
path that an archive names, nothing grows past the size that the manifest states, and no
pickle can call anything.
"""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zlib

import numpy as np

from datasetslib.errors import IntegrityError
from datasetslib.manifest import N_CLASSES

CHUNK = 1 << 20
# A tar archive of these data sets holds about ten members; headers and padding are small.
MAX_MEMBERS = 64
TAR_OVERHEAD = 1 << 20
AGAIN = "Fetch the file again; if it came from a teacher or a mirror, tell them."


class Bounded(io.RawIOBase):
    """A readable stream that refuses to deliver more than `limit` bytes.

    Parameters
    ----------
    stream : file object
        Where the bytes come from.
    limit : int
        The most bytes that may be read, in bytes.
    path : path-like
        What the error message calls the file.
    """

    def __init__(self, stream, limit, path):
        super().__init__()
        self._stream, self._left, self._limit, self._path = stream, limit, limit, path

    def readable(self):
        """Return True: the stream can be read."""
        return True

    def read(self, size=-1):
        """Read at most `size` bytes, all that is left when it is negative.

        Raises
        ------
        IntegrityError
            If the stream goes on past the limit, or is not what it claims to be.
        """
        wanted = self._left + 1 if size is None or size < 0 else min(size, self._left + 1)
        try:
            data = self._stream.read(wanted)
        except (OSError, EOFError, zlib.error) as error:
            raise IntegrityError.because(
                self._path,
                expected="a complete gzip stream",
                found=f"a stream that breaks off or is damaged ({error})",
                remedy=AGAIN,
            ) from error
        self._left -= len(data)
        if self._left < 0:
            raise IntegrityError.because(
                self._path,
                expected=f"at most {self._limit:,} bytes once decompressed",
                found="more than that",
                remedy="Do not use this file: it may be made to fill the memory. " + AGAIN,
            )
        return data


def sha256(path):
    """Return the SHA-256 of a file.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_content(path, limit):
    """Read a file that may be gzipped, by its first bytes rather than by its name.

    Parameters
    ----------
    path : path-like
        The file, gzipped or not: some servers decompress on the way.
    limit : int
        The most bytes that its content may have.

    Returns
    -------
    bytes
        The content.

    Raises
    ------
    IntegrityError
        If the gzip stream is damaged, or its content is larger than `limit`.
    """
    with open(path, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if zipped else raw
        return Bounded(stream, limit, path).read()


def read_tar(path, members):
    """Read named members of a gzipped tar archive into memory, one after the other.

    Parameters
    ----------
    path : path-like
        The archive.
    members : dict of str to int
        Exact name of each member wanted, with the largest size it may have in bytes.

    Yields
    ------
    name : str
        Name of the member.
    data : bytes
        Its content.

    Raises
    ------
    IntegrityError
        If the archive is damaged, lacks a member, holds a link, a device, an absolute path
        or a path with ``..``, or is larger than the members announced.
    """
    limit = sum(members.values()) + TAR_OVERHEAD
    missing = set(members)
    try:
        with (
            gzip.open(path, "rb") as unzipped,
            tarfile.open(fileobj=Bounded(unzipped, limit, path), mode="r|") as archive,
        ):
            for number, member in enumerate(archive):
                _refuse_unsafe(path, number, member)
                if member.name not in missing:
                    continue
                if not member.isreg() or member.size > members[member.name]:
                    raise IntegrityError.because(
                        f"{path}, member {member.name}",
                        expected=f"a file of at most {members[member.name]:,} bytes",
                        found=f"{member.size:,} bytes",
                        remedy=AGAIN,
                    )
                missing.discard(member.name)
                yield member.name, archive.extractfile(member).read()
    except tarfile.TarError as error:
        raise IntegrityError.because(
            path, expected="a gzipped tar archive", found=str(error), remedy=AGAIN
        ) from error
    if missing:
        raise IntegrityError.because(
            path,
            expected="the members " + ", ".join(members),
            found="no " + ", no ".join(sorted(missing)),
            remedy=AGAIN,
        )


def _refuse_unsafe(path, number, member):
    parts = member.name.replace("\\", "/").split("/")
    if not (member.isreg() or member.isdir()):
        found = "a link or a device"
    elif parts[0] == "" or parts[0].endswith(":"):
        found = "an absolute path"
    elif ".." in parts:
        found = "a path that climbs out of its folder"
    elif number >= MAX_MEMBERS:
        found = f"more than {MAX_MEMBERS} members"
    else:
        return
    raise IntegrityError.because(
        f"{path}, member {member.name!r}",
        expected="plain files and folders, under relative paths, as the official archive holds",
        found=found,
        remedy="Do not unpack this archive: it is not the official one. " + AGAIN,
    )


class _Dtype:
    """Stands in for numpy.dtype while a pickle is read."""

    def __init__(self, code, *_):
        self.code = code.decode("latin1") if isinstance(code, bytes) else code

    def __setstate__(self, state):
        pass


class _Array:
    """Stands in for numpy.ndarray while a pickle is read: remembers, computes nothing."""

    def __setstate__(self, state):
        _, self.shape, self.dtype, self.fortran, self.data = state

    def to_numpy(self):
        """Return the array that was described, if it is a plain uint8 one."""
        if self.dtype.code != "u1" or self.fortran:
            raise ValueError("an array that is not of unsigned bytes in C order")
        return np.frombuffer(self.data, np.uint8).reshape(self.shape)


def _array(*_):
    return _Array()


class _Reader(pickle.Unpickler):
    """Reads plain values and uint8 arrays; every other name in a pickle is refused."""

    # NumPy renamed its core module in 2.0; pickles of either age name the same function.
    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy._core.multiarray", "_reconstruct"): _array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
    }

    def find_class(self, module, name):
        """Return the stand-in for a name that CIFAR's files use, refuse all others."""
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_pickled_batch(data, path):
    """Read one batch of CIFAR-10's python archive without running what a pickle asks for.

    Parameters
    ----------
    data : bytes
        The pickle.
    path : path-like
        What error messages call it.

    Returns
    -------
    bytes
        The batch as the binary archive has it: rows of a label byte and 3,072 pixel bytes.

    Raises
    ------
    IntegrityError
        If the pickle names anything but a uint8 array, or does not hold a batch.
    """
    try:
        batch = _Reader(io.BytesIO(data), encoding="bytes").load()
        pixels = batch[b"data"].to_numpy()
        labels = batch[b"labels"]
        if not isinstance(labels, list) or any(type(label) is not int for label in labels):
            raise ValueError("labels that are not numbers")  # NumPy would convert "1" and True
        labels = np.asarray(labels, dtype=np.int64)
        if pixels.ndim != 2 or labels.shape != (len(pixels),):
            raise ValueError(f"pixels of shape {pixels.shape}, labels of shape {labels.shape}")
        if len(labels) and not 0 <= labels.min() <= labels.max() < 256:
            raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    except Exception as error:  # a malformed pickle can raise nearly anything
        raise IntegrityError.because(
            path,
            expected="a pickled dictionary of labels and one uint8 array, nothing else",
            found=f"{error or type(error).__name__}",
            remedy="Do not open this file with pickle.load: it may run code. Use the binary "
            "archive, cifar-10-binary.tar.gz, instead.",
        ) from error
    rows = np.empty((len(pixels), 1 + pixels.shape[1]), np.uint8)
    rows[:, 0] = labels
    rows[:, 1:] = pixels
    return rows.tobytes()


def read_package(dataset, package, path):
    """Read every content of a package.

    Parameters
    ----------
    dataset : datasetslib.manifest.Dataset
        The data set that the package belongs to.
    package : datasetslib.manifest.Package
        Which package.
    path : path-like
        Where it lies.

    Yields
    ------
    content : datasetslib.manifest.Content
        Which content.
    data : bytes
        Its bytes, neither verified nor decoded yet.

    Raises
    ------
    IntegrityError
        If the package is damaged or unsafe.
    """
    if package.format == "gzip":
        content = dataset.content(package.contents[0])
        yield content, read_content(path, dataset.size(content))
        return
    pickled = package.format == "tar-pickle"
    members, contents = {}, {}
    for name in package.contents:
        content = dataset.content(name)
        member = f"{package.folder}/{name.removesuffix('.bin') if pickled else name}"
        # A pickle also lists a file name of some 30 characters for every image.
        members[member] = dataset.size(content) + (100 * content.count if pickled else 0)
        contents[member] = content
    for member, data in read_tar(path, members):
        yield contents[member], read_pickled_batch(data, member) if pickled else data


def decode(dataset, content, data, path):
    """Turn the bytes of one content into arrays.

    Parameters
    ----------
    dataset : datasetslib.manifest.Dataset
        The data set that the content belongs to.
    content : datasetslib.manifest.Content
        Which content.
    data : bytes
        Its bytes.
    path : path-like
        What error messages call it.

    Returns
    -------
    dict of str to ndarray
        ``"x"`` of shape ``(count, *image_shape)``, ``"y"`` of shape (count,), or both; uint8,
        views of `data`.

    Raises
    ------
    IntegrityError
        If the size, the header or a label is not what the format says.

    References
    ----------
    The IDX format is described by LeCun, Cortes and Burges on the page of MNIST, the rows of
    the binary batches by Krizhevsky on the page of CIFAR-10.
    """
    if len(data) != dataset.size(content):
        raise IntegrityError.because(
            path,
            expected=f"{dataset.size(content):,} bytes",
            found=f"{len(data):,} bytes",
            remedy=AGAIN,
        )
    if content.kind == "rows":
        rows = np.frombuffer(data, np.uint8).reshape(content.count, -1)
        arrays = {"x": rows[:, 1:].reshape(-1, *dataset.image_shape), "y": rows[:, 0]}
    else:
        shape = dataset.image_shape if content.kind == "images" else ()
        # Magic number of IDX: two zeros, type 8 (unsigned byte), number of dimensions.
        header = struct.pack(f">{2 + len(shape)}I", 0x0801 + len(shape), content.count, *shape)
        if not data.startswith(header):
            raise IntegrityError.because(
                path,
                expected=f"the IDX header {header.hex(' ', 4)}",
                found=data[: len(header)].hex(" ", 4),
                remedy=AGAIN,
            )
        values = np.frombuffer(data, np.uint8, offset=len(header))
        arrays = {"xy"[not shape]: values.reshape(content.count, *shape)}
    if "y" in arrays and arrays["y"].max(initial=0) >= N_CLASSES:
        where = int(np.argmax(arrays["y"] >= N_CLASSES))
        raise IntegrityError.because(
            path,
            expected=f"labels from 0 to {N_CLASSES - 1}",
            found=f"label {arrays['y'][where]} at sample {where}",
            remedy=AGAIN,
        )
    return arrays
