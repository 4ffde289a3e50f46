import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
import toysets

from datasetslib import archives
from datasetslib.errors import DatasetError, IntegrityError


@pytest.fixture
def write(tmp_path):
    def write(data, name="file.gz"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def explains(error, *words):
    """Check that a message answers the four questions, and holds some words."""
    text = str(error.value)
    assert isinstance(error.value, DatasetError)
    assert all(label in text for label in ("expected:", "found:", "remedy:")), text
    assert all(word in text for word in words), text


# ---------------------------------------------------------------- gzip


@pytest.mark.parametrize("data", [b"plain bytes", toysets.zipped(b"plain bytes")])
def test_content_is_read_whether_zipped_or_not(write, data):
    assert archives.read_content(write(data), 11) == b"plain bytes"


def test_gzip_bomb_is_stopped_at_the_size_that_is_due(write):
    path = write(toysets.zipped(bytes(50_000_000)))
    with pytest.raises(IntegrityError) as error:
        archives.read_content(path, 1000)
    explains(error, str(path), "1,000 bytes", "more than that")


def test_gzip_bomb_never_fills_the_memory(write):
    asked = []

    class Stream(io.BytesIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    with pytest.raises(IntegrityError):
        archives.Bounded(Stream(bytes(5000)), 1000, "bomb").read()
    assert asked == [1001]
    with pytest.raises(IntegrityError):
        archives.Bounded(Stream(bytes(5000)), 1000, "bomb").read(4000)
    assert asked == [1001, 1001]


@pytest.mark.parametrize("harm", [lambda d: d[:-20], lambda d: d[:30] + b"\xff\xff" + d[32:]])
def test_damaged_gzip(write, harm):
    path = write(harm(toysets.zipped(os.urandom(5000))))
    with pytest.raises(IntegrityError) as error:
        archives.read_content(path, 5000)
    explains(error, str(path), "complete gzip stream")


# ---------------------------------------------------------------- tar


def member(name, **facts):
    info = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(info, key, value)
    return info


def test_tar_members_are_read_by_their_exact_name(write):
    path = write(toysets.tar([("a/one", b"1"), ("b/one", b"no"), ("a/two", b"22")]))
    assert dict(archives.read_tar(path, {"a/one": 1, "a/two": 9})) == {
        "a/one": b"1",
        "a/two": b"22",
    }


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (member("../outside"), "climbs out"),
        (member("a/../../outside"), "climbs out"),
        (member("a\\..\\..\\outside"), "climbs out"),
        (member("/etc/outside"), "absolute"),
        (member("C:/outside"), "absolute"),
        (member("a/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "link"),
        (member("a/link", type=tarfile.LNKTYPE, linkname="../../outside"), "link"),
        (member("a/one", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "link"),
        (member("a/device", type=tarfile.CHRTYPE), "device"),
        (member("a/pipe", type=tarfile.FIFOTYPE), "device"),
    ],
)
def test_unsafe_tar_members_are_refused(write, tmp_path, bad, found):
    path = write(toysets.tar([(bad, b""), ("a/one", b"1")]))
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(IntegrityError) as error:
        dict(archives.read_tar(path, {"a/one": 1}))
    explains(error, str(path), repr(bad.name), found)
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_tar_with_a_member_larger_than_due(write):
    path = write(toysets.tar([("a/one", bytes(5000))]))
    with pytest.raises(IntegrityError) as error:
        dict(archives.read_tar(path, {"a/one": 100}))
    explains(error, "a/one", "at most 100 bytes", "5,000 bytes")


def test_tar_bomb_in_a_member_that_nobody_asked_for(write):
    path = write(toysets.tar([("a/huge", bytes(20_000_000)), ("a/one", b"1")]))
    with pytest.raises(IntegrityError) as error:
        dict(archives.read_tar(path, {"a/one": 1}))
    explains(error, str(path), "once decompressed", "more than that")


def test_tar_with_too_many_members(write):
    path = write(toysets.tar([(f"a/{n}", b"") for n in range(100)]))
    with pytest.raises(IntegrityError) as error:
        dict(archives.read_tar(path, {"a/one": 1}))
    explains(error, "more than 64 members")


def test_tar_that_lacks_a_member(write):
    path = write(toysets.tar([("a/one", b"1")]))
    with pytest.raises(IntegrityError) as error:
        dict(archives.read_tar(path, {"a/one": 1, "a/two": 1}))
    explains(error, str(path), "no a/two")


@pytest.mark.parametrize("data", [b"", b"no archive at all", toysets.zipped(b"no tar" * 500)])
def test_what_is_no_tar_archive(write, data):
    path = write(data)
    with pytest.raises(IntegrityError) as error:
        dict(archives.read_tar(path, {"a/one": 1}))
    explains(error, str(path))


def test_truncated_tar(write):
    whole = toysets.tar([("a/one", os.urandom(9000))])
    with pytest.raises(IntegrityError) as error:
        dict(archives.read_tar(write(whole[:6000]), {"a/one": 9000}))
    explains(error)


# ---------------------------------------------------------------- pickles


def test_pickled_batch_equals_the_binary_one():
    rows = toysets.pictures()["test_batch.bin"]
    data = toysets.pickled(rows)
    stock = pickle.loads(data, encoding="bytes")  # the pickle is one that NumPy understands
    assert stock[b"data"].tobytes() == as_rows(rows)[:, 1:].tobytes()
    assert archives.read_pickled_batch(data, "batch") == rows


def test_pickled_batch_of_a_newer_python():
    rows = toysets.pictures()["test_batch.bin"]
    split = as_rows(rows)
    batch = {b"data": split[:, 1:].copy(), b"labels": split[:, 0].tolist()}
    assert archives.read_pickled_batch(pickle.dumps(batch, 3), "batch") == rows


def as_rows(rows):
    return np.frombuffer(rows, np.uint8).reshape(toysets.N_BATCH, -1)


class Evil:
    """Unpickles into a call of any function with any arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["alone", "data", "labels", "extra"])
def test_pickle_that_would_run_code_does_not(tmp_path, place):
    witness = tmp_path / "witness"
    evil = Evil(os.mkdir, str(witness))
    batch = {b"data": np.zeros((2, 3), np.uint8), b"labels": [0, 1]}
    data = pickle.dumps(evil if place == "alone" else batch | {place.encode(): evil}, 3)
    with pytest.raises(IntegrityError) as error:
        archives.read_pickled_batch(data, "cifar-10-batches-py/data_batch_1")
    explains(error, "cifar-10-batches-py/data_batch_1", "mkdir", "cifar-10-binary.tar.gz")
    assert not witness.exists()
    pickle.loads(data)  # the stock reader does run it: the pickle is a real one
    assert witness.exists()


@pytest.mark.parametrize(
    "value",
    [
        Evil(eval, "1 + 1"),
        Evil(getattr, "text", "upper"),
        np.float64(1.0),
        np.random.default_rng(0),
    ],
)
def test_pickles_may_name_nothing_but_plain_arrays(value):
    with pytest.raises(IntegrityError) as error:
        archives.read_pickled_batch(pickle.dumps({b"data": value, b"labels": []}, 3), "batch")
    explains(error, "batch", "it asks for")


@pytest.mark.parametrize(
    "batch",
    [
        [],
        {},
        {b"data": 1, b"labels": [1]},
        {b"data": np.zeros((2, 3), np.uint8), b"labels": [0]},
        {b"data": np.zeros((2, 3), np.uint8), b"labels": [0, 999]},
        {b"data": np.zeros((2, 3), np.uint8), b"labels": ["0", "1"]},
        {b"data": np.zeros((2, 3), np.uint8), b"labels": [0.7, True]},
        {b"data": np.zeros((2, 3), np.uint8), b"labels": (0, 1)},
        {b"data": np.zeros((2, 3), np.float32), b"labels": [0, 1]},
        {b"data": np.asfortranarray(np.zeros((2, 3), np.uint8)), b"labels": [0, 1]},
        {b"data": np.array([[object()]]), b"labels": [0]},
    ],
)
def test_pickles_that_hold_no_batch(batch):
    with pytest.raises(IntegrityError) as error:
        archives.read_pickled_batch(pickle.dumps(batch, 3), "batch")
    explains(error, "batch", "labels and one uint8 array")


@pytest.mark.parametrize("data", [b"", b"junk", pickle.dumps([1, 2, 3])[:-3], b"\x80\x02}q\x00"])
def test_broken_pickles(data):
    with pytest.raises(IntegrityError) as error:
        archives.read_pickled_batch(data, "batch")
    explains(error, "batch")


# ---------------------------------------------------------------- contents


def test_idx_and_rows_are_decoded(toys):
    digits, pictures = toys["toydigits"], toys["toypictures"]
    data = toysets.digits()["train-images"]
    x = archives.decode(digits, digits.content("train-images"), data, "f")["x"]
    assert x.shape == (toysets.N_TRAIN, 28, 28) and x.dtype == np.uint8
    assert x.tobytes() == data[16:]
    data = toysets.digits()["test-labels"]
    y = archives.decode(digits, digits.content("test-labels"), data, "f")["y"]
    assert y.tobytes() == data[8:]
    data = toysets.pictures()["data_batch_2.bin"]
    both = archives.decode(pictures, pictures.content("data_batch_2.bin"), data, "f")
    assert both["x"].shape == (toysets.N_BATCH, 3, 8, 8)
    assert both["y"][1] == data[193] and both["x"][1, 2, 7, 7] == data[2 * 193 - 1]


@pytest.mark.parametrize(
    ("name", "harm", "words"),
    [
        ("train-images", lambda d: d[:-1], ("313,616 bytes", "313,615 bytes")),
        ("train-images", lambda d: struct.pack(">I", 0x0D03) + d[4:], ("IDX", "00000d03")),
        ("train-images", lambda d: d[:4] + struct.pack(">I", 7) + d[8:], ("IDX", "00000007")),
        ("test-labels", lambda d: d[:13] + b"\x0a" + d[14:], ("0 to 9", "label 10 at sample 5")),
        ("data_batch_1.bin", lambda d: b"\xff" + d[1:], ("0 to 9", "label 255 at sample 0")),
    ],
)
def test_malformed_contents(toys, name, harm, words):
    dataset = toys["toypictures" if name.endswith("bin") else "toydigits"]
    data = harm((toysets.digits() | toysets.pictures())[name])
    with pytest.raises(IntegrityError) as error:
        archives.decode(dataset, dataset.content(name), data, "some/file")
    explains(error, "some/file", *words)
