"""Two small data sets in the official formats, the same bytes in every process."""

import gzip
import hashlib
import io
import struct
import sys
import tarfile

import numpy as np

from datasetslib import manifest
from datasetslib.manifest import Content, Dataset, Package

N_TRAIN, N_TEST, SIDE = 400, 40, 28
N_BATCH = 30


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def idx(values):
    header = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
    return header + values.tobytes()


def digits(seed=0):
    """Return the contents of a small MNIST by name; its noise cannot be compressed."""
    rng = np.random.default_rng(seed)
    contents = {}
    for split, n in (("train", N_TRAIN), ("test", N_TEST)):
        contents[f"{split}-images"] = idx(rng.integers(0, 256, (n, SIDE, SIDE), np.uint8))
        contents[f"{split}-labels"] = idx(rng.integers(0, 10, n, np.uint8))
    return contents


def pictures(seed=0):
    """Return the contents of a small CIFAR by name."""
    rng = np.random.default_rng(seed)
    names = ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"]
    contents = {}
    for name in names:
        rows = rng.integers(0, 256, (N_BATCH, 1 + 3 * 8 * 8), np.uint8)
        rows[:, 0] %= 10
        contents[name] = rows.tobytes()
    return contents


def zipped(data):
    return gzip.compress(data, mtime=0)


def tar(members):
    """Return a gzipped tar archive of (TarInfo or name, bytes) pairs."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return zipped(raw.getvalue())


def pickled(rows):
    """Return one batch as CIFAR's python archive has it: written by Python 2 and old NumPy.

    Python 3 cannot write such a pickle, so its opcodes are spelt out.
    """
    rows = np.frombuffer(rows, np.uint8).reshape(-1, 1 + 3 * 8 * 8)

    def text(value):  # what Python 2 called a string and Python 3 calls bytes
        return b"T" + struct.pack("<I", len(value)) + value

    def number(value):
        return b"J" + struct.pack("<i", value)

    labels = b"](" + b"".join(map(number, rows[:, 0].tolist())) + b"e"
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    data = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    data += number(0) + b"\x85" + text(b"b") + b"\x87R("
    data += number(1) + number(len(rows)) + number(rows.shape[1] - 1) + b"\x86" + dtype
    data += b"\x89" + text(rows[:, 1:].tobytes()) + b"tb"
    pairs = {b"batch_label": text(b"toy"), b"labels": labels, b"data": data}
    pairs[b"filenames"] = b"](" + text(b"picture_s_000001.png") * len(rows) + b"e"
    return b"\x80\x02}(" + b"".join(text(k) + v for k, v in pairs.items()) + b"u."


def packages():
    """Return the packages of both data sets by file name."""
    files = {f"{name}.gz": zipped(data) for name, data in digits().items()}
    rows = pictures()
    files["toy-binary.tar.gz"] = tar(
        [("toy-bin/readme.html", b"<html>"), *((f"toy-bin/{n}", d) for n, d in rows.items())]
    )
    files["toy-python.tar.gz"] = tar(
        [(f"toy-py/{n.removesuffix('.bin')}", pickled(d)) for n, d in rows.items()]
    )
    return files


def datasets():
    """Return the manifest entries: ``toydigits`` and ``toypictures``."""
    contents, files = digits(), packages()
    idx_contents = tuple(
        Content(
            name,
            _digest(data),
            name.split("-")[1],
            name.split("-")[0],
            N_TRAIN if name.startswith("train") else N_TEST,
        )
        for name, data in contents.items()
    )
    rows = pictures()
    row_contents = tuple(
        Content(name, _digest(data), "rows", split, N_BATCH, first)
        for (name, data), split, first in zip(
            rows.items(), ("train", "train", "test"), (0, N_BATCH, 0), strict=True
        )
    )
    archives = tuple(
        Package(name, form, tuple(rows), len(files[name]), _digest(files[name]), folder)
        for name, form, folder in (
            ("toy-binary.tar.gz", "tar-bin", "toy-bin"),
            ("toy-python.tar.gz", "tar-pickle", "toy-py"),
        )
    )
    return {
        "toydigits": Dataset(
            name="toydigits",
            image_shape=(SIDE, SIDE),
            contents=idx_contents,
            packages=tuple(Package(f"{c.name}.gz", "gzip", (c.name,)) for c in idx_contents),
            needs=tuple((f"{c.name}.gz",) for c in idx_contents),
        ),
        "toypictures": Dataset(
            name="toypictures",
            image_shape=(3, 8, 8),
            contents=row_contents,
            packages=archives,
            needs=(("toy-binary.tar.gz", "toy-python.tar.gz"),),
            folder="toy-bin",
        ),
    }


def register():
    """Add both data sets to the manifest of this process."""
    manifest.DATASETS.update(datasets())


def main(name):
    """Load a data set in a process of its own and print what it was."""
    register()
    from datasetslib import store

    arrays, edition = store.load(name)
    print(edition, int(arrays["x_train"].sum()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
