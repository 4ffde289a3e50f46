"""What MNIST and CIFAR-10 have in common: splits, layouts, scaling, batches.

The arrays stay where the store put them, in a memory-mapped file, until somebody scales them.
A layout is then a matter of how the axes are read, and costs no memory.
"""

import difflib
import mmap
import operator

import numpy as np

from datasetslib import imutil, manifest, store, synthetic
from datasetslib.errors import BatchError, DatasetError, NotLoadedError

_SPLITS = ("train", "valid", "test")
_CHUNK = 1000  # images converted at a time


class SplitError(DatasetError, ValueError):
    """A split size that is not a whole number, is too small, or is more than there is."""


class SettingError(DatasetError, AttributeError):
    """A setting that does not exist, or a value that a data set does not let be replaced."""


class Facts(dict):
    """What ``describe()`` returns: a dict that a notebook does not print a second time."""

    def _ipython_display_(self):
        """Show nothing: ``describe()`` has printed it already."""


class ImageDataset:
    """Images with class labels, in a training, a validation and a test split.

    The base of `datasetslib.mnist.mnist` and `datasetslib.cifar.cifar10`; use one of these.

    Parameters
    ----------
    source : str or os.PathLike, optional
        Where the data comes from: ``"synthetic"``, ``"home"``, ``"cache"``, ``"mirrors"``, a
        folder or a URL. None: the environment variable ``DATASETSLIB_SOURCE`` if it is set,
        otherwise ``DATASETSLIB_HOME``, the cache and the mirrors, in that order.
    n_train, n_valid, n_test : int, optional
        Keep the first so many images of that split. None: all of them.
    seed : int
        Seed of the order in which ``next_batch`` deals out shuffled images.

    Attributes
    ----------
    x_layout : str
        How the axes of the images are ordered; see `datasetslib.imutil`. Default ``"NP"``. Can
        be set at any time.
    y_onehot : bool
        False (default): labels are int32 of shape (n,). True: float32 of shape (n, 10), a one
        in the column of the class. Can be set at any time.
    batch_size : int
        Images that ``next_batch`` returns. Default 100.
    batch_shuffle : bool
        Whether ``next_batch`` deals the images out in a new order in each pass. Default False.

    Notes
    -----
    The arrays handed out cannot be written to: they may be the cache file itself. To change
    them, make a copy: ``x = dataset.X_train.copy()``.

    A name that does not exist cannot be set: ``dataset.x_layuot = "NHWC"`` is an error.
    """

    __slots__ = (
        "_arrays",
        "_batch_shuffle",
        "_batch_size",
        "_cursor",
        "_edition",
        "_labels",
        "_layout",
        "_onehot",
        "_order",
        "_pass",
        "_raw",
        "_scaled",
        "_seed",
        "_source",
        "_wanted",
    )

    # What a data set has to say about itself.
    name = ""
    title = ""
    n_classes = 10
    height = 0
    width = 0
    depth = 0
    class_names = ()
    licence = ""
    citation = ""
    homepage = ""
    _file_layout = imutil.LAYOUT_NHW
    _n_validation = 0  # at the front of the training files

    def __init__(self, source=None, *, n_train=None, n_valid=None, n_test=None, seed=0):
        wanted = {"train": n_train, "valid": n_valid, "test": n_test}
        for split, n in wanted.items():
            least = 0 if split == "valid" else 1
            if n is not None and (not _is_whole(n) or n < least):
                raise SplitError.because(
                    f"n_{split} of {self.name}",
                    expected=f"a whole number, at least {least}, or None for all",
                    found=repr(n),
                    remedy=f"Pass such an n_{split}, or leave it out.",
                )
        self._source = source
        self._wanted = wanted
        self._raw = None
        self._edition = None
        self._layout = imutil.LAYOUT_NP
        self._onehot = False
        self._batch_size = 100
        self._batch_shuffle = False
        self._forget()
        self.seed = seed

    def __setattr__(self, name, value):
        """Refuse names that do not exist and values that are not for replacing."""
        attribute = getattr(type(self), name, None)
        if name.startswith("_") or (isinstance(attribute, property) and attribute.fset):
            object.__setattr__(self, name, value)
            return
        settable = _settable(type(self))
        near = difflib.get_close_matches(name, settable, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Check the spelling."
        if attribute is not None:
            remedy = "It belongs to the data set. Work on a copy: x = dataset.X_train.copy()."
        raise SettingError.because(
            f"{type(self).__name__}.{name} = ...",
            expected=f"one of {', '.join(settable)}",
            found=name + (", which cannot be set" if attribute is not None else ""),
            remedy=remedy,
        )

    def __repr__(self):
        """Name and edition in one line."""
        return f"<{self.name}: not loaded>" if self._raw is None else f"<{self._edition}>"

    # --- loading ------------------------------------------------------------------------

    def load_data(self):
        """Find the data, verify it, and print the one line that says which edition it is.

        Calling it again loads the data again, unscaled.

        Raises
        ------
        DatasetError
            If no source has the data, or what it has is not what it should be. The message
            names the file or URL and says what to do.
        SplitError
            If `n_train`, `n_valid` or `n_test` ask for more images than there are.
        """
        wanted = self._wanted
        n_valid = self._n_validation if wanted["valid"] is None else wanted["valid"]
        # Asking for a larger validation split takes more from the front of the training files.
        start = max(self._n_validation, n_valid)
        if store.resolve_source(self._source) == "synthetic":
            real = manifest.DATASETS[self.name]
            n_train, n_test = wanted["train"], wanted["test"]
            if n_train is None:
                n_train = max(real.shape("y_train")[0] - start, 0)
            if n_test is None:
                n_test = real.shape("y_test")[0]
            arrays, edition = synthetic.make(self.name, start + n_train, n_test)
        else:
            arrays, edition = store.load(self.name, self._source)
        available = {
            "train": len(arrays["x_train"]) - start,
            "valid": max(len(arrays["x_train"]) - 1, 0),  # one at least is left to train on
            "test": len(arrays["x_test"]),
        }
        n = {}
        for split in ("valid", "train", "test"):
            n[split] = n_valid if split == "valid" else wanted[split]
            if n[split] is None:
                n[split] = available[split]
            if n[split] > available[split]:
                raise SplitError.because(
                    f"n_{split} of {self.name}",
                    expected=f"at most {max(available[split], 0):,}"
                    + (f" (beside {n_valid:,} for validation)" if split == "train" else ""),
                    found=f"{n[split]:,}",
                    remedy=f"Ask for fewer, or leave n_{split} out to get all there are.",
                )
        places = {
            "train": ("train", slice(start, start + n["train"])),
            "valid": ("train", slice(0, n_valid)),
            "test": ("test", slice(0, n["test"])),
        }
        raw = {}
        for split, (part, rows) in places.items():
            raw[split] = tuple(np.asarray(arrays[f"{axis}_{part}"])[rows] for axis in "xy")
            for array in raw[split]:
                array.flags.writeable = False  # an edit could reach the cache file
        self._raw = raw
        self._edition = edition
        self._forget()
        print(edition)

    def _forget(self):
        """Drop everything that was derived from the files, and start the first pass anew."""
        self._scaled = False
        self._arrays = {}
        self._labels = {}
        self._restart()

    def _restart(self):
        self._pass = 0
        self._cursor = 0
        self._order = None

    def _files(self, what):
        """Images and labels as the files hold them, by split."""
        if self._raw is None:
            raise NotLoadedError.because(
                f"{what} of {self.name}",
                expected="data that has been loaded",
                found="load_data() has not been called",
                remedy="Call dataset.load_data() first.",
            )
        return self._raw

    # --- images and labels --------------------------------------------------------------

    def _images(self, split):
        raw = self._files(f"X_{split}")[split][0]
        # What was handed out last is kept with its layout, so that asking twice costs nothing
        # and a change of layout starts from the scaled array if there is one.
        x, layout = self._arrays.get(split, (raw, self._file_layout))
        if layout != self._layout:
            x = imutil.convert(x, layout, self._layout, self.height, self.width, self.depth)
            x.flags.writeable = False
        self._arrays[split] = (x, self._layout)
        return x

    def _classes(self, split):
        raw = self._files(f"Y_{split}")[split][1]
        if split not in self._labels:
            if self._onehot:
                y = np.zeros((len(raw), self.n_classes), np.float32)
                y[np.arange(len(raw)), raw] = 1
            else:
                y = raw.astype(np.int32)
            y.flags.writeable = False
            self._labels[split] = y
        return self._labels[split]

    def _size(self, split):
        return len(self._files(f"n_{split}")[split][0])

    X_train = property(
        lambda self: self._images("train"),
        doc="numpy.ndarray: training images, uint8 in 0..255, float32 in [0, 1] once scaled.",
    )
    X_valid = property(
        lambda self: self._images("valid"),
        doc="numpy.ndarray: validation images, like `X_train`.",
    )
    X_test = property(
        lambda self: self._images("test"), doc="numpy.ndarray: test images, like `X_train`."
    )
    Y_train = property(
        lambda self: self._classes("train"),
        doc="numpy.ndarray: training labels, int32 (n,); float32 (n, 10) with `y_onehot`.",
    )
    Y_valid = property(
        lambda self: self._classes("valid"),
        doc="numpy.ndarray: validation labels, like `Y_train`.",
    )
    Y_test = property(
        lambda self: self._classes("test"), doc="numpy.ndarray: test labels, like `Y_train`."
    )
    n_train = property(lambda self: self._size("train"), doc="int: number of training images.")
    n_valid = property(lambda self: self._size("valid"), doc="int: number of validation images.")
    n_test = property(lambda self: self._size("test"), doc="int: number of test images.")

    @property
    def edition(self):
        """datasetslib.store.Edition: which bytes these are and where they came from."""
        self._files("edition")
        return self._edition

    @property
    def x_layout(self):
        """str: order of the axes of the images; one of the constants of `datasetslib.imutil`."""
        return self._layout

    @x_layout.setter
    def x_layout(self, layout):
        self._layout = imutil.check_layout(layout, self.depth)

    @property
    def y_onehot(self):
        """bool: whether labels are rows with a one in the column of the class."""
        return self._onehot

    @y_onehot.setter
    def y_onehot(self, value):
        self._onehot = _check_flag("y_onehot", value)
        self._labels = {}

    def scaleX(self):
        """Turn the images of all splits into float32 between 0 and 1: x / 255.

        They take the place of the uint8 arrays. Nothing larger than one chunk of images is
        held beside the result. Calling it a second time changes nothing.

        Raises
        ------
        NotLoadedError
            If ``load_data()`` has not been called.

        Examples
        --------
        >>> from datasetslib.mnist import mnist
        >>> dataset = mnist(source="synthetic", n_train=20, n_valid=0, n_test=10)
        >>> dataset.load_data()  # doctest: +ELLIPSIS
        mnist: synthetic...
        >>> dataset.scaleX()
        >>> dataset.X_train.shape, dataset.X_train.dtype
        ((20, 784), dtype('float32'))
        >>> 0 <= float(dataset.X_train.min()) < float(dataset.X_train.max()) <= 1
        True
        """
        raw = self._files("images")
        if self._scaled:
            return
        self._arrays = {}  # a uint8 copy made for another layout is not needed any more
        first = self._layout == imutil.LAYOUT_NCHW
        layout = imutil.LAYOUT_NCHW if first else imutil.LAYOUT_NHWC
        shape = imutil.layout_shape(layout, self.height, self.width, self.depth)
        arrays = {}
        for split in _SPLITS:
            x = raw[split][0]
            scaled = np.empty((len(x), *shape), np.float32)
            for start in range(0, len(x), _CHUNK):
                part = imutil.convert(x[start : start + _CHUNK], self._file_layout, layout)
                np.divide(part, 255, out=scaled[start : start + len(part)], dtype=np.float32)
                _release_pages(x)
            scaled.flags.writeable = False
            arrays[split] = (scaled, layout)
        # Together and last: stopped on the way, all splits are still uint8.
        self._arrays, self._scaled = arrays, True

    # --- batches ------------------------------------------------------------------------

    @property
    def batch_size(self):
        """int: images that ``next_batch`` returns (fewer in the last batch of a pass)."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value):
        if not _is_whole(value) or value < 1:
            raise _batch_error(repr(value))
        self._batch_size = operator.index(value)

    @property
    def batch_shuffle(self):
        """bool: whether each pass deals the images out in an order of its own.

        A pass that has begun is finished in the order it began with.
        """
        return self._batch_shuffle

    @batch_shuffle.setter
    def batch_shuffle(self, value):
        self._batch_shuffle = _check_flag("batch_shuffle", value)

    @property
    def seed(self):
        """int: seed of the shuffling. Setting it starts a new first pass."""
        return self._seed

    @seed.setter
    def seed(self, value):
        if not _is_whole(value) or value < 0:
            raise SettingError.because(
                f"seed of {self.name}",
                expected="a whole number, at least 0",
                found=repr(value),
                remedy="Set such a seed.",
            )
        self._seed = operator.index(value)
        self._restart()

    @property
    def n_batches(self):
        """int: batches in one pass over the training images, ceil(n_train / batch_size)."""
        n_train = self.n_train
        if self._batch_size > n_train:
            raise _batch_error(str(self._batch_size), n_train)
        return -(-n_train // self._batch_size)

    def next_batch(self):
        """Return the next images and labels of the training split.

        One pass hands out every image exactly once; its last batch is shorter when the batch
        size does not divide `n_train`. Then the next pass begins. With `batch_shuffle`, pass
        number p goes in an order that depends on `seed` and p alone.

        Returns
        -------
        x : numpy.ndarray
            Up to `batch_size` images in the current layout and dtype; yours to change.
        y : numpy.ndarray
            Their labels.

        Raises
        ------
        NotLoadedError
            If ``load_data()`` has not been called.
        BatchError
            If `batch_size` is larger than `n_train`.

        Examples
        --------
        >>> from datasetslib.mnist import mnist
        >>> dataset = mnist(source="synthetic", n_train=25, n_valid=0, n_test=10)
        >>> dataset.load_data()  # doctest: +ELLIPSIS
        mnist: synthetic...
        >>> dataset.batch_size = 10
        >>> [len(dataset.next_batch()[0]) for _ in range(2 * dataset.n_batches)]
        [10, 10, 5, 10, 10, 5]
        """
        n_train = len(self._files("next_batch()")["train"][0])
        if self._batch_size > n_train:
            raise _batch_error(str(self._batch_size), n_train)
        if self._cursor == 0:
            self._order = np.arange(n_train)
            if self._batch_shuffle:
                np.random.default_rng([self._seed, self._pass]).shuffle(self._order)
        stop = min(self._cursor + self._batch_size, n_train)
        rows = self._order[self._cursor : stop]
        self._cursor = stop
        if stop == n_train:
            self._cursor = 0
            self._pass += 1
        return np.ascontiguousarray(self.X_train[rows]), self.Y_train[rows]

    # --- description --------------------------------------------------------------------

    def describe(self):
        """Print what the data set is, where it comes from and how it may be used.

        Returns
        -------
        Facts
            The same as a dict: name, source, edition, digest, licence, citation, homepage,
            classes, layout, and the shape and dtype of each split.

        Raises
        ------
        NotLoadedError
            If ``load_data()`` has not been called.
        """
        raw = self._files("description")
        image = imutil.layout_shape(self._layout, self.height, self.width, self.depth)
        kind = "float32 in [0, 1]" if self._scaled else "uint8 in 0..255"
        facts = Facts(
            name=self.title,
            edition=str(self._edition),
            source=self._edition.origin,
            digest=self._edition.digest,
            licence=self.licence,
            citation=self.citation,
            homepage=self.homepage,
            classes=", ".join(self.class_names),
            layout=f"{self._layout}, {kind}",
        )
        if self._edition.is_synthetic:
            facts["licence"] = "made on the spot; none of the original images is used"
            facts["citation"] = f"none; a stand-in for: {self.citation}"
        facts["split"] = {split: (len(raw[split][0]), *image) for split in _SPLITS}
        for key, value in facts.items():
            if key == "split":
                value = "; ".join(f"{split} {shape}" for split, shape in value.items())
            print(f"{key:<9} {value}")
        return facts


def _settable(cls):
    """Names of the settings of a data set class."""
    names = [name for name in dir(cls) if not name.startswith("_")]
    return [name for name in names if getattr(getattr(cls, name), "fset", None)]


def _is_whole(value):
    """Whether `value` is an integer; True and 100.0 are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_flag(name, value):
    """Return `value` as a bool if it is one; "no" or 1 are more likely slips than wishes."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise SettingError.because(
        name, expected="True or False", found=repr(value), remedy="Set one of the two."
    )


def _batch_error(found, n_train=None):
    expected = "a whole number, at least 1"
    if n_train is not None:
        expected += f" and at most n_train = {n_train:,}"
    return BatchError.because(
        "batch_size",
        expected=expected,
        found=found,
        remedy="Set dataset.batch_size to such a number.",
    )


def _release_pages(x):
    """Let go of the pages of a read-only memory map that have been read.

    They stay in the system's file cache; without this they would count as memory of this
    process beside the float32 copy, which is four times as large.
    """
    base = x
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and not x.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
