"""
How long it takes to load MNIST and CIFAR-10, and how much memory that needs.

    python -m benchmarks data

Four libraries load the same images: datasetslib, keras.datasets, tensorflow-datasets, torchvision.
The images are those that datasetslib finds; for each side they are packed the way it downloads
them, into a temporary folder: MNIST's four files and CIFAR-10's binary archive for datasetslib,
Keras's npz file and archive of pickles, tensorflow-datasets' PNG records, torchvision's four files
and the same archive. That all of them give back the same images and labels is checked by a digest.

Three states:

- *first*: the files as they are downloaded; what is unpacked or parsed once is done now.
  tensorflow-datasets has none, since its preparation starts from our arrays here.
- *cold*: installed, but no byte of it in memory. The files are taken out of the system's file
  cache with ``posix_fadvise(..., POSIX_FADV_DONTNEED)``; how much stayed in it is measured.
- *warm*: once more, straight afterwards, in the same process.

The clock starts when the library is imported, and stops when every pixel and label has been added
up: a file that is mapped into memory has to be read by then. Each load has a process of its own;
the sides take turns. *MB* is the most memory that the process held during a cold load, less what
it held before, and so contains the arrays themselves. Pages of mapped files count.

Digests of the official files are asked for by Keras and torchvision on each load. Ours cannot have
them, so the digest that is computed is compared with itself: the time for it is spent as always.

Linux only: it needs ``/proc`` and ``posix_fadvise``.
"""

import gc
import gzip
import hashlib
import json
import os
import pickle
import shutil
import struct
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

from benchmarks import common, load_time
from benchmarks.worker import Worker

SETS = ("mnist", "cifar10")
SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
STATES = ("first", "cold", "warm")
OURS = "datasetslib"
NEEDED = ("keras", "tensorflow", "tensorflow_datasets", "torch", "torchvision")
MNIST_FILES = {"x_train": "train-images-idx3-ubyte", "y_train": "train-labels-idx1-ubyte",
               "x_test": "t10k-images-idx3-ubyte", "y_test": "t10k-labels-idx1-ubyte"}


# --- the sides, each in a process of its own ---------------------------------------------


def status(key):
    """Return a line of ``/proc/self/status`` in bytes, such as ``"VmHWM"`` (int)."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(f"{key}:"))


def digest(images, labels):
    """
    Return a digest of images with their labels, whatever order they come in.

    Parameters
    ----------
    images : uint8 array of shape (n, ...)
    labels : array of n whole numbers

    Returns
    -------
    str
    """
    import numpy as np

    rows = np.ascontiguousarray(images, dtype=np.uint8).reshape(len(images), -1)
    each = sorted(hashlib.md5(row.tobytes() + bytes([int(label)])).digest()
                  for row, label in zip(rows, np.ravel(labels), strict=True))
    return hashlib.sha256(b"".join(each)).hexdigest()


class Side:
    """One library: its subclass says how it loads a set."""

    def load(self, name, state):
        """Return a list of pairs, images and labels, as arrays."""
        raise NotImplementedError

    def measure(self, name, state, check=False):
        """Load a set and read all of it; return seconds, bytes and, if asked for, its digests."""
        import numpy as np

        gc.collect()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak starts again from what is held now
        before = status("VmRSS")
        start = time.perf_counter()
        pairs = self.load(name, state)
        for arrays in pairs:
            for array in arrays:
                np.asarray(array).sum(dtype=np.int64)
        answer = {"seconds": time.perf_counter() - start, "bytes": status("VmHWM") - before}
        if check:
            # Splits are joined: datasetslib cuts the validation images off the training images.
            *training, test = pairs
            x = np.concatenate([np.asarray(x) for x, _ in training])
            y = np.concatenate([np.ravel(y) for _, y in training])
            answer["digests"] = [digest(x, y), digest(*test)]
        return answer


class Ours(Side):
    """datasetslib."""

    def __init__(self):
        from datasetslib.cifar import cifar10
        from datasetslib.mnist import mnist

        self.kinds = {"mnist": mnist, "cifar10": cifar10}

    def load(self, name, state):
        """Load with ``load_data``, channels last."""
        data = self.kinds[name]()
        data.x_layout = "NHWC"
        data.load_data()
        return [(data.X_valid, data.Y_valid), (data.X_train, data.Y_train),
                (data.X_test, data.Y_test)]


class Keras(Side):
    """keras.datasets; `load_time.KERAS` has its loader, and the digest compared with itself."""

    def __init__(self):
        self.names = {}
        exec(load_time.KERAS, self.names)

    def load(self, name, state):
        """Load with ``keras.datasets.NAME.load_data``."""
        x, x_test, y, y_test = self.names["load"](name)
        return [(x, y), (x_test, y_test)]


class TFDS(Side):
    """tensorflow-datasets, from the records that `pack` has written."""

    def __init__(self):
        import tensorflow_datasets as tfds

        self.tfds = tfds

    def load(self, name, state):
        """Load both splits whole, as its guide says for sets that fit into memory."""
        folder = Path(os.environ["BENCHMARK_TFDS"], name, "1.0.0")
        builder = self.tfds.builder_from_directory(folder)
        splits = [self.tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
                  for split in ("train", "test")]
        return [(split["image"], split["label"]) for split in splits]

    def pack(self, sets):
        """Write sets as PNG records, the form in which the library has them."""
        import tensorflow as tf

        from datasetslib import store

        features = self.tfds.features
        for name in sets:
            arrays, _ = store.load(name)
            shape = SHAPES[name]
            given = {split: tf.data.Dataset.from_tensor_slices({
                "image": channels_last(arrays[f"x_{split}"], shape),
                "label": arrays[f"y_{split}"].astype("int64").ravel()})
                for split in ("train", "test")}
            self.tfds.dataset_builders.store_as_tfds_dataset(
                name=name, version="1.0.0", data_dir=os.environ["BENCHMARK_TFDS"],
                split_datasets=given, features=features.FeaturesDict({
                    "image": features.Image(shape=shape, encoding_format="png"),
                    "label": features.ClassLabel(num_classes=10)}))


class Torchvision(Side):
    """torchvision.datasets."""

    def __init__(self):
        from torchvision.datasets import CIFAR10, MNIST
        from torchvision.datasets.utils import extract_archive

        self.root = Path(os.environ["BENCHMARK_TORCHVISION"])
        sums = json.loads((self.root / "md5.json").read_text())
        # The digests of our own batches, so that they are computed and compared as always.
        CIFAR10.train_list = [[name, sums[name]] for name, _ in CIFAR10.train_list]
        CIFAR10.test_list = [[name, sums[name]] for name, _ in CIFAR10.test_list]
        CIFAR10.meta = {**CIFAR10.meta, "md5": sums["batches.meta"]}
        self.kinds, self.extract = {"mnist": MNIST, "cifar10": CIFAR10}, extract_archive

    def load(self, name, state):
        """Build the two data sets and take their arrays; at first, unpack the archives."""
        if state == "first" and name == "mnist":
            for file in MNIST_FILES.values():
                self.extract(str(self.root / "MNIST" / "raw" / f"{file}.gz"))
        elif state == "first":
            self.extract(str(self.root / "cifar-10-python.tar.gz"))
        import numpy as np

        sets = [self.kinds[name](self.root, train=train) for train in (True, False)]
        return [(np.asarray(one.data), np.asarray(one.targets)) for one in sets]


SIDES = {OURS: Ours, "keras.datasets": Keras, "tensorflow-datasets": TFDS,
         "torchvision": Torchvision}


# --- the same bytes for everyone ---------------------------------------------------------


def pack(scratch, arrays):
    """
    Write both sets as each side downloads them.

    Parameters
    ----------
    scratch : pathlib.Path
        Gets the folders ``home`` (of datasetslib), ``keras`` and ``torchvision``.
    arrays : dict
        Set -> ``x_train``, ``y_train``, ``x_test``, ``y_test``, as `datasetslib.store.load` has
        them.
    """
    import numpy as np

    root = scratch / "torchvision"
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for key, file in MNIST_FILES.items():
        array = np.ascontiguousarray(arrays["mnist"][key], dtype=np.uint8)
        array = array.reshape(-1, 28, 28) if key.startswith("x") else array.reshape(-1)
        head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        with gzip.open(raw / f"{file}.gz", "wb", compresslevel=6) as packed:
            packed.write(head + array.tobytes())
    pack_for_us(scratch / "home", raw, arrays["cifar10"])
    # From here on, what datasetslib finds is what was packed for it; its usual cache is left alone.
    os.environ.update(DATASETSLIB_HOME=str(scratch / "home"), DATASETSLIB_SOURCE="home",
                      DATASETSLIB_CACHE=str(scratch / "packing"))
    load_time.pack_for_keras(scratch / "keras" / "datasets")
    # The same batches as Keras's archive, and the names of the classes, which torchvision reads.
    batches = root / "cifar-10-batches-py"
    with tarfile.open(scratch / "keras" / "datasets" / "cifar-10-batches-py-target_archive") as tar:
        tar.extractall(root, filter="data")
    for path in batches.iterdir():
        # The official pickles are Python 2's, whose keys Keras reads as bytes and torchvision as
        # text: Python 3 can only write the one or the other.
        batch = {key.decode(): value for key, value in pickle.loads(path.read_bytes()).items()}
        path.write_bytes(pickle.dumps(batch, protocol=3))
    (batches / "batches.meta").write_bytes(pickle.dumps(
        {"label_names": [f"class {number}" for number in range(10)]}, protocol=3))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in batches.iterdir()}
    (root / "md5.json").write_text(json.dumps(sums))
    with tarfile.open(root / "cifar-10-python.tar.gz", "w:gz", compresslevel=6) as tar:
        tar.add(batches, "cifar-10-batches-py")
    shutil.rmtree(batches)


def loaded():
    """Return the arrays of both sets, and the lines that say which edition they are."""
    common.say(common.real_data())
    from datasetslib import DatasetError, store

    try:
        found = {name: store.load(name) for name in SETS}
    except DatasetError as error:
        raise common.BenchmarkError(
            f"loading is measured with the real images, and they are not here: {error}") from None
    return ({name: arrays for name, (arrays, _) in found.items()},
            [str(edition) for _, edition in found.values()])


def invented():
    """Return arrays of the sets' shapes for a trial, and a line that says so."""
    import numpy as np

    rng, arrays = np.random.default_rng(0), {}
    for name, shape, sizes in (("mnist", (28, 28), (60_000, 10_000)),
                               ("cifar10", (3, 32, 32), (50_000, 10_000))):
        few = rng.integers(0, 256, (500, *shape), "uint8")
        labels = rng.integers(0, 10, 500).astype("uint8")
        arrays[name] = {f"{kind}_{split}": np.resize(values, (n, *values.shape[1:]))
                        for split, n in zip(("train", "test"), sizes, strict=True)
                        for kind, values in (("x", few), ("y", labels))}
    return arrays, ["invented images, for a trial"]


def pack_for_us(home, raw, cifar10):
    """Write what datasetslib downloads: MNIST's four files, and CIFAR-10's binary archive."""
    import numpy as np

    (home / "mnist").mkdir(parents=True)
    for path in raw.iterdir():
        shutil.copyfile(path, home / "mnist" / path.name)
    (home / "cifar10").mkdir()
    x = np.concatenate([cifar10["x_train"], cifar10["x_test"]]).reshape(6, 10_000, 3072)
    y = np.concatenate([cifar10["y_train"], cifar10["y_test"]]).reshape(6, 10_000, 1)
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    with tarfile.open(home / "cifar10" / "cifar-10-binary.tar.gz", "w:gz", compresslevel=6) as tar:
        for name, rows, labels in zip(names, x, y, strict=True):
            content = np.concatenate([labels, rows], axis=1).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    for folder in home.iterdir():
        # Bytes that are not the official ones need a list of their digests beside them.
        (folder / "SHA256SUMS").write_text("".join(
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
            for path in sorted(folder.glob("*.gz"))))


def channels_last(x, shape):
    """
    Return images as peers have them.

    Parameters
    ----------
    x : uint8 array of n images
        As the files hold them: CIFAR-10's channels first.
    shape : tuple of int
        Height, width and channels.

    Returns
    -------
    uint8 array of shape (n, height, width, channels)
    """
    height, width, channels = shape
    return x.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


# --- the file cache ----------------------------------------------------------------------


def files_in(folders):
    """Return all files below the folders (list of Path)."""
    return [path for folder in folders for path in sorted(Path(folder).rglob("*"))
            if path.is_file()]


def drop(folders):
    """Take all files below the folders out of the system's file cache."""
    for path in files_in(folders):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)  # what is not written yet is not dropped
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def resident(folders):
    """
    Return which share of the files' pages is in the file cache.

    Returns
    -------
    float or None
        None where the system does not say.
    """
    import ctypes
    import mmap

    import numpy as np

    libc, pages, kept = ctypes.CDLL(None, use_errno=True), 0, 0
    for path in files_in(folders):
        if not (size := path.stat().st_size):
            continue
        with open(path, "rb") as file, mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as view:
            seen = np.frombuffer(view, np.uint8)
            flags = (ctypes.c_ubyte * (-(-size // mmap.PAGESIZE)))()
            failed = libc.mincore(ctypes.c_void_p(seen.ctypes.data), ctypes.c_size_t(size), flags)
            del seen
            if failed:
                return None
            pages += len(flags)
            kept += sum(flag & 1 for flag in flags)
    return kept / pages if pages else None


# --- the benchmark -----------------------------------------------------------------------


def compare(scratch, sets, sides, repeats):
    """
    Measure all sides in turns.

    Returns
    -------
    tuple
        The measurements (list), and the largest share of a side's files that stayed in the file
        cache after it was dropped (float or None).

    Raises
    ------
    BenchmarkError
        When two sides did not load the same images and labels.
    """
    found = {(name, state, side): [] for name in sets for state in STATES for side in sides}
    memory = {(name, side): [] for name in sets for side in sides}
    digests, kept = {name: {} for name in sets}, []
    for repeat in range(repeats):
        for name in sets:
            for side in sides:
                environ, folders, installed = places(scratch, side, name)
                if side != "tensorflow-datasets":
                    for folder in installed:
                        remove(folder)
                    with Worker("benchmarks.data", side, environ) as worker:
                        drop(folders)
                        found[name, "first", side].append(
                            worker("measure", name=name, state="first")["seconds"])
                with Worker("benchmarks.data", side, environ) as worker:
                    drop(folders)
                    kept.append(resident(folders))
                    cold = worker("measure", name=name, state="cold")
                    warm = worker("measure", name=name, state="warm", check=repeat == 0)
                found[name, "cold", side].append(cold["seconds"])
                found[name, "warm", side].append(warm["seconds"])
                memory[name, side].append(cold["bytes"] / 1e6)
                if repeat == 0:
                    digests[name][side] = warm["digests"]
        common.say(f"data: {repeat + 1} of {repeats} rounds")
    for name in sets:
        if len({tuple(pair) for pair in digests[name].values()}) != 1:
            raise common.BenchmarkError(f"the sides did not load the same {name}: {digests[name]}")
    rows = [common.measurement(f"{name}, {state}", side, "seconds", values)
            for (name, state, side), values in found.items() if values]
    rows += [common.measurement(name, side, "MB", values)
             for (name, side), values in memory.items()]
    return rows, None if None in kept else max(kept)


def remove(path):
    """Remove a file or a folder, if there is one."""
    path = Path(path)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def places(scratch, side, name):
    """
    Return where a side's files lie.

    Returns
    -------
    tuple
        Variables for its process (dict); the folders whose files it reads (list); what is not
        there before its first load (list).
    """
    environ = common.one_thread_pool(common.cores())
    if side == OURS:
        cache, home = scratch / "cache", scratch / "home"
        return ({**environ, "DATASETSLIB_CACHE": str(cache), "DATASETSLIB_HOME": str(home),
                 "DATASETSLIB_SOURCE": "home"}, [cache, home], [cache])
    if side == "keras.datasets":
        folder = scratch / "keras" / "datasets"
        return ({**environ, "KERAS_HOME": str(scratch / "keras")}, [folder],
                [folder / "cifar-10-batches-py-target"] if name == "cifar10" else [])
    if side == "torchvision":
        root = scratch / "torchvision"
        raw = [root / "MNIST" / "raw" / file for file in MNIST_FILES.values()]
        return ({**environ, "BENCHMARK_TORCHVISION": str(root)}, [root],
                raw if name == "mnist" else [root / "cifar-10-batches-py"])
    return {**environ, "BENCHMARK_TFDS": str(scratch / "tfds")}, [scratch / "tfds" / name], []


def main(arguments):
    """Run the benchmark; return the exit status."""
    parser = common.parser("data", __doc__)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options = parser.parse_args(arguments)
    if sys.platform != "linux":
        raise common.BenchmarkError("it needs Linux: /proc, and posix_fadvise for the file cache")
    if OURS not in options.sides:
        raise common.BenchmarkError(f"without {OURS!r} there is nothing to compare with")
    options.sides = [side for side in SIDES if side in options.sides]
    partial = set(options.sides) != set(SIDES) or set(options.sets) != set(SETS)
    common.destination("data", options, partial)
    need = {"tensorflow-datasets": ("tensorflow", "tensorflow_datasets"),
            "torchvision": ("torch", "torchvision"), "keras.datasets": ("keras", "tensorflow")}
    common.need(*(name for side in options.sides for name in need.get(side, ())))
    repeats = 1 if options.smoke else options.repeats

    result = {"benchmark": "data", "smoke": options.smoke, "ours": OURS, "sides": options.sides,
              "measures": {"seconds": {"unit": "s", "better": "low"},
                           "MB": {"unit": "MB", "better": "low"}}}
    arrays, result["editions"] = invented() if options.smoke else loaded()
    common.SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="data-", dir=common.SCRATCH) as folder:
        scratch = Path(folder)
        pack(scratch, arrays)
        if "tensorflow-datasets" in options.sides:
            environ = {"BENCHMARK_TFDS": str(scratch / "tfds")}
            with Worker("benchmarks.data", "tensorflow-datasets", environ) as worker:
                worker("pack", sets=options.sets)
        del arrays
        with common.measured(result):
            rows, kept = compare(scratch, options.sets, options.sides, repeats)
    result["measurements"], result["left_in_file_cache"] = rows, common.rounded(kept)
    return common.finish(result, options, partial)
