"""Where data come from and how the cache keeps them."""

import errno
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import toysets

from datasetslib import archives, cache, manifest, store
from datasetslib.cache import Cache
from datasetslib.errors import CacheError, DownloadError, IntegrityError, SourceError

NAMES = ["toydigits", "toypictures"]


def fails(kind, name, *words, source=None):
    with pytest.raises(kind) as error:
        store.load(name, source)
    text = str(error.value)
    assert all(label in text for label in ("expected:", "found:", "remedy:")), text
    assert all(str(word) in text for word in words), text
    return text


def truth(name):
    """Return the four arrays of a toy data set, taken from its contents."""
    contents = toysets.digits() if name == "toydigits" else toysets.pictures()
    arrays = {}
    for split in ("train", "test"):
        if name == "toydigits":
            x = np.frombuffer(contents[f"{split}-images"], np.uint8, offset=16)
            y = np.frombuffer(contents[f"{split}-labels"], np.uint8, offset=8)
        else:
            names = ["test_batch.bin"] if split == "test" else list(contents)[:2]
            rows = np.frombuffer(b"".join(contents[n] for n in names), np.uint8)
            rows = rows.reshape(-1, 193)
            x, y = rows[:, 1:], rows[:, 0]
        arrays[f"x_{split}"] = x.reshape(-1, *manifest.DATASETS[name].image_shape)
        arrays[f"y_{split}"] = y
    return arrays


def entry(cache, name):
    (found,) = cache.glob(f"{name}/*/entry.json")
    return found.parent


@pytest.fixture
def no_mirrors(monkeypatch):
    """Fail at once when a download is tried."""
    monkeypatch.setattr("requests.get", lambda *_, **__: pytest.fail("a download was tried"))


# ---------------------------------------------------------------- which source


@pytest.mark.parametrize("word", store.WORDS)
def test_words_are_sources(toys, monkeypatch, word):
    assert store.resolve_source(word) == word
    monkeypatch.setenv("DATASETSLIB_SOURCE", word)
    assert store.resolve_source() == word
    assert store.resolve_source("auto") == "auto"  # the argument wins


def test_folders_and_urls_are_sources(toys, tmp_path, monkeypatch):
    for source in ("some/folder", "~/folder", "https://mirror.example/", "file:///folder"):
        assert store.resolve_source(source) == source
    assert store.resolve_source(Path("folder")) == "folder"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert store.resolve_source("here") == "here"


def test_usual_order_is_the_default(toys):
    assert store.resolve_source() == "auto"


@pytest.mark.parametrize("source", ["synthetik", "nonsense", "ftp://mirror.example/", 7, b"auto"])
def test_unknown_source(toys, source):
    fails(SourceError, "toydigits", repr(source), source=source)


def test_unknown_source_in_the_environment(toys, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_SOURCE", "mirors")
    fails(SourceError, "toydigits", "DATASETSLIB_SOURCE='mirors'", "Did you mean 'mirrors'?")


def test_unknown_data_set(toys):
    fails(SourceError, "cifar100", "'cifar100'", "mnist, cifar10")


def test_synthetic_is_never_loaded(toys):
    fails(SourceError, "toydigits", "datasetslib.synthetic.make", source="synthetic")


# ---------------------------------------------------------------- DATASETSLIB_HOME


@pytest.mark.parametrize("name", NAMES)
def test_home_is_parsed_into_the_cache(home, cache, snapshot, no_mirrors, name):
    before = snapshot(home)
    for _ in range(2):
        arrays, edition = store.load(name)
        assert str(edition) == f"{name}: official bytes, from DATASETSLIB_HOME"
        for key, values in truth(name).items():
            assert isinstance(arrays[key], np.memmap) and arrays[key].dtype == np.uint8
            assert arrays[key].flags.c_contiguous and not arrays[key].flags.writeable
            assert np.array_equal(arrays[key], values)
    assert snapshot(home) == before
    assert entry(cache, name).name == manifest.DATASETS[name].digest()[:16]


def test_nothing_is_read_twice(home, monkeypatch, no_mirrors):
    for name in NAMES:
        store.load(name)
    for reader in ("sha256", "read_content", "read_tar"):
        monkeypatch.setattr(archives, reader, lambda *_: pytest.fail("a file was read again"))
    for name in NAMES:
        store.load(name)


@pytest.mark.parametrize("form", ["binary archive", "python archive", "side by side", "unzipped"])
def test_layouts_of_a_home(home, toy_packages, no_mirrors, form):
    name = "toydigits" if form == "unzipped" else "toypictures"
    folder = home / name
    shutil.rmtree(folder)
    if form == "unzipped":
        folder.mkdir()
        for content, data in toysets.digits().items():
            (folder / content).write_bytes(data)
    elif form == "side by side":
        for content, data in toysets.pictures().items():
            (home / content).write_bytes(data)
    else:
        folder.mkdir()
        archive = f"toy-{form.split()[0]}.tar.gz"
        (folder / archive).write_bytes(toy_packages[archive])
    arrays, edition = store.load(name)
    assert (edition.kind, edition.digest) == ("official", manifest.DATASETS[name].digest())
    assert np.array_equal(arrays["x_train"], truth(name)["x_train"])


def test_gzip_made_again_is_the_same_data(home, no_mirrors):
    import gzip

    for name, data in toysets.digits().items():
        (home / "toydigits" / f"{name}.gz").write_bytes(gzip.compress(data, 1))
    assert store.load("toydigits")[1].kind == "official"


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("toydigits", "test-labels.gz"),
        ("toydigits", "train-images.gz"),
        ("toypictures", "toy-bin/data_batch_2.bin"),
        ("toypictures", "toy-bin/test_batch.bin"),
    ],
)
def test_home_with_a_file_missing(home, cache, snapshot, no_mirrors, name, missing):
    (home / name / missing).unlink()
    text = fails(SourceError, name, "DATASETSLIB_HOME", f"no {home / name / missing}", "unset")
    assert text.count("\n            no ") == 0  # that one, and no other
    assert snapshot(cache.parent / "cache") == {}


def test_home_with_an_empty_folder(home, no_mirrors):
    shutil.rmtree(home / "toypictures" / "toy-bin")
    fails(SourceError, "toypictures", home / "toypictures" / "toy-binary.tar.gz")


def test_home_that_does_not_exist(toys, tmp_path, monkeypatch, no_mirrors):
    monkeypatch.setenv("DATASETSLIB_HOME", str(tmp_path / "nowhere"))
    fails(SourceError, "toydigits", tmp_path / "nowhere", "no such folder")


def refuse(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("name", NAMES)
def test_home_with_a_file_that_cannot_be_read(home, cache, snapshot, monkeypatch, name):
    monkeypatch.setattr(archives, "read_content", refuse)
    fails(SourceError, name, home / name, "Permission denied", "chmod a+r", "DATASETSLIB_HOME")
    assert snapshot(cache) == {}


def test_home_that_cannot_be_entered(home, monkeypatch, no_mirrors):
    monkeypatch.setattr(Path, "is_file", refuse)
    fails(SourceError, "toydigits", home, "DATASETSLIB_HOME", "denied", "chmod -R a+rX")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can be another")
def test_home_that_another_user_cannot_enter(home, no_mirrors):
    home.chmod(0o700)
    child = os.fork()
    if child == 0:
        os.seteuid(65534)  # nobody
        try:
            store.load("toydigits")
        except SourceError as error:
            os._exit(0 if "chmod -R a+rX" in str(error) else 3)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_home_that_is_not_set(toys, no_mirrors):
    fails(SourceError, "toydigits", "DATASETSLIB_HOME", "not set", source="home")


def test_home_without_a_data_set_leaves_it_to_the_next_source(home, mirror):
    shutil.rmtree(home / "toypictures")
    assert store.load("toypictures")[1].origin == "127.0.0.1"
    fails(SourceError, "toypictures", "nothing of toypictures", source="home")


def test_explicit_source_comes_before_home(home, mirror, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_SOURCE", "mirrors")
    assert store.load("toydigits")[1].origin == "127.0.0.1"
    assert store.load("toydigits", "home")[1].origin == "DATASETSLIB_HOME"


def test_folder_as_source(home, monkeypatch, no_mirrors):
    monkeypatch.delenv("DATASETSLIB_HOME")
    for source in (home, str(home), home / "toydigits"):
        _, edition = store.load("toydigits", source)
        assert str(edition) == "toydigits: official bytes, from a folder given as source"


def test_folder_as_source_that_does_not_exist(toys, tmp_path):
    fails(SourceError, "toydigits", tmp_path / "no", "no such folder", source=tmp_path / "no")


# ---------------------------------------------------------------- own copies


def spoil(home, name="toypictures"):
    """Change one pixel of a home and return the path of the file."""
    if name == "toypictures":
        path = home / name / "toy-bin" / "data_batch_2.bin"
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
    else:
        path = home / name / "train-images.gz"
        data = bytearray(toysets.digits()["train-images"])
        data[100] ^= 1
        path.write_bytes(toysets.zipped(bytes(data)))
    return path


def sums(folder, contents=False):
    """Write the SHA256SUMS of a folder's files, or of what they unzip to."""
    lines = []
    for path in sorted(folder.iterdir()):
        data = archives.read_content(path, 10**9) if contents else path.read_bytes()
        name = path.name.removesuffix(".gz") if contents else path.name
        lines.append(f"{toysets._digest(data)} {'*' if contents else ' '}{name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.mark.parametrize("name", NAMES)
def test_home_with_other_bytes_is_refused(home, cache, snapshot, no_mirrors, name):
    path = spoil(home, name)
    content = manifest.DATASETS[name].contents[1 if name == "toypictures" else 0]
    fails(IntegrityError, name, path, content.sha256, "a SHA256SUMS beside it", "shasum -a")
    assert snapshot(cache) == {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("contents", [False, True])
def test_own_sums_make_it_an_own_copy(home, cache, no_mirrors, name, contents):
    path = spoil(home, name)
    sums(path.parent, contents)
    for _ in range(2):
        _, edition = store.load(name)
        assert edition.kind == "own copy"
        assert edition.digest != manifest.DATASETS[name].digest()
        assert "not the official bytes (own SHA256SUMS, " in str(edition)
    assert entry(cache, name).name == edition.digest[:16]


def test_own_sums_that_do_not_match(home, no_mirrors):
    path = spoil(home)
    (path.parent / "SHA256SUMS").write_text(f"{'0' * 64}  {path.name}\n")
    fails(IntegrityError, "toypictures", path, "0" * 64 + " (its SHA256SUMS)")


def test_own_sums_may_hold_names_in_any_encoding(home, no_mirrors):
    path = spoil(home)
    sums(path.parent)
    with open(path.parent / "SHA256SUMS", "ab") as file:
        file.write(b"0" * 64 + b"  r\xe9sum\xe9.txt\n")
    assert store.load("toypictures")[1].kind == "own copy"


def test_official_bytes_with_their_sums_are_official(home, no_mirrors):
    sums(home / "toypictures" / "toy-bin")
    assert store.load("toypictures")[1].kind == "official"


def test_own_copy_never_passes_for_the_official_bytes(home, cache, mirror, monkeypatch):
    sums(spoil(home).parent)
    own = store.load("toypictures")[1]
    monkeypatch.delenv("DATASETSLIB_HOME")
    official = store.load("toypictures")[1]
    assert (official.kind, official.origin) == ("official", "127.0.0.1")
    assert official.digest != own.digest
    assert len(list(cache.glob("toypictures/*/entry.json"))) == 2
    # Asked for what is in the cache, the official edition wins; alone, the other says what it is.
    assert store.load("toypictures", "cache")[1].kind == "official"
    shutil.rmtree(cache / "toypictures" / official.digest[:16])
    shutil.rmtree(cache / "toypictures" / "downloads")
    assert "not the official bytes" in str(store.load("toypictures", "cache")[1])


def test_home_that_changes_is_read_again(home, no_mirrors):
    first = store.load("toypictures")[1]
    path = spoil(home)
    fails(IntegrityError, "toypictures", path)
    sums(path.parent)
    second = store.load("toypictures")[1]
    assert (first.kind, second.kind) == ("official", "own copy")
    (path.parent / "SHA256SUMS").unlink()
    fails(IntegrityError, "toypictures", path)


def test_change_that_hides_its_time_is_seen(home, no_mirrors):
    store.load("toypictures")
    path = home / "toypictures" / "toy-bin" / "data_batch_2.bin"
    before = path.stat()
    spoil(home)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    fails(IntegrityError, "toypictures", path)


@pytest.mark.parametrize("name", NAMES)
def test_labels_outside_0_to_9(home, cache, snapshot, no_mirrors, name):
    if name == "toypictures":
        path = home / name / "toy-bin" / "data_batch_1.bin"
        path.write_bytes(b"\x0a" + path.read_bytes()[1:])
    else:
        path = home / name / "train-labels.gz"
        path.write_bytes(toysets.zipped(toysets.digits()["train-labels"][:-1] + b"\x0a"))
    sums(path.parent)
    fails(IntegrityError, name, path, "labels from 0 to 9", "label 10 at sample")
    assert snapshot(cache) == {}


def test_own_archive_that_is_unsafe(home, cache, snapshot, no_mirrors):
    shutil.rmtree(home / "toypictures" / "toy-bin")
    path = home / "toypictures" / "toy-binary.tar.gz"
    path.write_bytes(toysets.tar([("../outside", b"x")]))
    sums(path.parent)
    fails(IntegrityError, "toypictures", path, "'../outside'", "climbs out")
    assert snapshot(cache) == {}


# ---------------------------------------------------------------- the cache


def test_cache_alone(home, cache, monkeypatch, no_mirrors):
    fails(SourceError, "toydigits", cache / "toydigits", "nothing of it", source="cache")
    store.load("toydigits")
    monkeypatch.delenv("DATASETSLIB_HOME")
    for source in ("cache", None):
        _, edition = store.load("toydigits", source)
        assert str(edition) == "toydigits: official bytes, from the cache"


def test_default_cache_is_the_users(toys, monkeypatch):
    monkeypatch.delenv("DATASETSLIB_CACHE")
    assert store.cache_folder().is_absolute() and "datasetslib" in store.cache_folder().parts


def harm_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def harm_byte_and_hide(path):
    before = path.stat()
    harm_byte(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


HARMS = [harm_byte, harm_byte_and_hide, truncate, zero, Path.unlink]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("array", ["x_train", "y_test"])
def test_corrupt_cache_file_is_built_anew_from_the_download(mirror, cache, harm, array):
    store.load("toydigits")
    mirror.requests.clear()
    path = entry(cache, "toydigits") / f"{array}.npy"
    harm(path)
    with pytest.warns(UserWarning, match="damaged cache file.*" + path.name):
        arrays, edition = store.load("toydigits")
    assert np.array_equal(arrays[array], truth("toydigits")[array])
    assert edition.kind == "official" and mirror.requests == []
    store.load("toydigits")  # and that without a warning, which would be an error


def test_corrupt_cache_file_is_built_anew_from_home(home, cache, no_mirrors):
    store.load("toydigits")
    harm_byte(entry(cache, "toydigits") / "x_test.npy")
    with pytest.warns(UserWarning, match="damaged cache file"):
        arrays, _ = store.load("toydigits")
    assert np.array_equal(arrays["x_test"], truth("toydigits")["x_test"])


def test_corrupt_cache_file_and_no_way_to_replace_it(home, cache, snapshot, monkeypatch):
    store.load("toydigits")
    path = entry(cache, "toydigits") / "x_test.npy"
    harm_byte(path)
    monkeypatch.delenv("DATASETSLIB_HOME")
    before = snapshot(cache)
    with pytest.warns(UserWarning, match="damaged cache file"):
        fails(IntegrityError, "toydigits", path, "SHA-256", source="cache")
    monkeypatch.setenv("DATASETSLIB_MIRROR", "http://127.0.0.1:1/")
    with pytest.warns(UserWarning, match="damaged cache file"):
        fails(DownloadError, "toydigits", path, "SHA-256", "refused")
    assert snapshot(cache) == before


@pytest.mark.parametrize("text", ["", "junk", "[]", '{"format": 1}', '{"format": 99}'])
@pytest.mark.filterwarnings("ignore:damaged cache file")
def test_facts_of_an_entry_that_make_no_sense(home, cache, no_mirrors, text):
    store.load("toydigits")
    (entry(cache, "toydigits") / "entry.json").write_text(text)
    arrays, edition = store.load("toydigits")
    assert edition.kind == "official"
    assert np.array_equal(arrays["x_test"], truth("toydigits")["x_test"])


def test_copied_cache_is_checked_once_and_then_trusted(mirror, cache, tmp_path, monkeypatch):
    store.load("toydigits")
    shutil.copytree(cache, tmp_path / "copy")
    monkeypatch.setenv("DATASETSLIB_CACHE", str(tmp_path / "copy"))
    seen, sha256 = [], archives.sha256
    monkeypatch.setattr(archives, "sha256", lambda path: seen.append(path) or sha256(path))
    store.load("toydigits")
    assert len(seen) == 4
    store.load("toydigits")
    assert len(seen) == 4 and len(mirror.requests) == 4


def test_pickles_in_the_cache_are_never_loaded(home, cache, monkeypatch, no_mirrors):
    store.load("toydigits")
    folder = entry(cache, "toydigits")
    np.save(folder / "x_test.npy", np.array([object()]), allow_pickle=True)
    stamps = {f"{key}.npy": store.stamp(folder / f"{key}.npy") for key in manifest.ARRAYS}
    Cache(manifest.DATASETS["toydigits"]).note(folder / "stamps.json", stamps)
    with pytest.warns(UserWarning, match="damaged cache file"):
        store.load("toydigits")


def test_what_a_killed_build_left_is_swept(home, cache, no_mirrors):
    for name in (".new", ".damaged-1"):
        left = cache / "toydigits" / name
        left.mkdir(parents=True)
        (left / "x_train.npy").write_bytes(b"half")
    store.load("toydigits")
    assert not list(cache.glob("toydigits/.*"))


@pytest.mark.filterwarnings("ignore:damaged cache file")
def test_damaged_entry_that_another_process_has_mapped(mirror, cache, monkeypatch):
    store.load("toydigits")
    path = entry(cache, "toydigits")
    harm_byte(path / "x_test.npy")
    rename = Path.rename
    monkeypatch.setattr(
        Path, "rename", lambda old, new: refuse() if old == path else rename(old, new)
    )  # as Windows does
    fails(CacheError, "toydigits", path, "Permission denied", "Close the other notebooks")


def test_entry_that_goes_away_while_it_is_looked_at(home, cache, monkeypatch, no_mirrors):
    store.load("toydigits")
    monkeypatch.delenv("DATASETSLIB_HOME")
    gone = cache / "toydigits" / "gone"
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda *a, **k: [*glob(*a, **k), gone / "entry.json"])
    assert store.load("toydigits", "cache")[1].kind == "official"


def test_full_disk_leaves_no_half_written_note(home, cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    note = Cache(manifest.DATASETS["toydigits"]).note
    cache.mkdir()
    monkeypatch.setattr(os, "replace", full)
    note(cache / "note.json", {})
    assert list(cache.iterdir()) == []


def test_same_bytes_from_elsewhere_share_one_entry(home, mirror, cache, tmp_path):
    _, from_home = store.load("toypictures")
    before = (entry(cache, "toypictures") / "x_train.npy").stat()
    _, from_mirror = store.load("toypictures", mirror.url)
    assert mirror.requests == []
    shutil.copytree(home, tmp_path / "second")
    _, from_folder = store.load("toypictures", tmp_path / "second")
    assert from_home.digest == from_mirror.digest == from_folder.digest
    after = (entry(cache, "toypictures") / "x_train.npy").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


# ---------------------------------------------------------------- no room, no permission


def test_home_with_a_cache_that_cannot_be_made(home, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DATASETSLIB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="parsed in memory"):
        arrays, edition = store.load("toypictures")
    assert str(edition) == "toypictures: official bytes, from DATASETSLIB_HOME"
    for key, values in truth("toypictures").items():
        assert np.array_equal(arrays[key], values) and not arrays[key].flags.writeable


def test_read_only_cache_that_holds_the_data(home, monkeypatch, no_mirrors):
    store.load("toydigits")
    monkeypatch.delenv("DATASETSLIB_HOME")

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(cache.os, "replace", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Path, "write_text", refuse)
    assert store.load("toydigits")[1].origin == "the cache"


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write anywhere")
def test_read_only_folders(home, cache, mirror, snapshot):
    cache.mkdir()
    for folder in (cache, home, home / "toydigits"):
        folder.chmod(0o555)
    try:
        fails(CacheError, "toydigits", cache, "DATASETSLIB_CACHE", source="mirrors")
        with pytest.warns(UserWarning, match="parsed in memory"):
            assert store.load("toydigits")[1].kind == "official"
        cache.chmod(0o755)
        assert isinstance(store.load("toydigits")[0]["x_train"], np.memmap)
    finally:
        for folder in (cache, home, home / "toydigits"):
            folder.chmod(0o755)


def test_disk_full_while_parsing(mirror, cache, monkeypatch):
    writer = store.download.os.fsync

    def full(number):
        if os.readlink(f"/proc/self/fd/{number}").endswith(".npy"):
            raise OSError(errno.ENOSPC, "No space left on device")
        writer(number)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to tell the files apart")
    monkeypatch.setattr("os.fsync", full)
    fails(CacheError, "toydigits", "disk full", "500 MB")
    assert not list(cache.glob("toydigits/.new*")) and not list(cache.glob("toydigits/*/*.npy"))
    monkeypatch.undo()


def test_disk_full_is_no_obstacle_to_a_home(home, cache, monkeypatch, no_mirrors):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.warns(UserWarning, match="(?s)parsed in memory.*disk full"):
        arrays, _ = store.load("toydigits")
    assert np.array_equal(arrays["x_train"], truth("toydigits")["x_train"])
    assert not list(cache.glob("toydigits/[!l]*"))


# ---------------------------------------------------------------- real data


@pytest.mark.parametrize(("name", "seconds"), [("mnist", 0.1), ("cifar10", 0.3)])
def test_real_data_warm(real_set, tmp_path, monkeypatch, name, seconds):
    folder = real_set(name)
    monkeypatch.setenv("DATASETSLIB_HOME", str(folder))
    monkeypatch.setenv("DATASETSLIB_CACHE", str(tmp_path / "cache"))
    arrays, edition = store.load(name, "home")
    if name == "mnist":
        assert edition.kind == "official"
        assert np.bincount(arrays["y_train"]).tolist() == [
            5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
        ]  # fmt: skip
    else:
        assert np.bincount(arrays["y_train"]).tolist() == [5000] * 10
        assert arrays["y_test"][:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert f"{folder}" not in str(edition)
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        store.load(name, "home")
        times.append(time.perf_counter() - begun)
    assert min(times) < seconds
