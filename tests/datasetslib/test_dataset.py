"""What a chapter does with a data set, and what it is told when it does it wrongly."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from datasetslib import imutil, recording, store
from datasetslib.cifar import cifar10
from datasetslib.dataset import SettingError, SplitError
from datasetslib.errors import BatchError, DatasetError, LayoutError, NotLoadedError
from datasetslib.mnist import mnist

KINDS = {"mnist": mnist, "cifar10": cifar10}
SHAPES = {"mnist": (28, 28), "cifar10": (3, 32, 32)}
LAYOUTS = [
    ("mnist", "NP"),
    ("mnist", "NHW"),
    ("mnist", "NHWC"),
    ("mnist", "NCHW"),
    ("cifar10", "NP"),
    ("cifar10", "NHWC"),
    ("cifar10", "NCHW"),
]


N_TRAIN = {"mnist": 6000, "cifar10": 700}


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """A folder of small arrays of random bytes, one file each, as a cache holds them."""
    folder = tmp_path_factory.mktemp("cached")
    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        for split, n in (("train", N_TRAIN[name]), ("test", 70)):
            x = rng.integers(256, size=(n, *shape), dtype=np.uint8)
            np.save(folder / f"{name}-x_{split}.npy", x)
            np.save(folder / f"{name}-y_{split}.npy", rng.integers(10, size=n, dtype=np.uint8))
    return folder


@pytest.fixture
def files(cached, monkeypatch):
    """Stand in for the store: memory maps of the small arrays, and the requests it got."""
    monkeypatch.setattr(recording, "synthetic_loaded", False)
    made = {"folder": cached, "asked": []}
    for name in SHAPES:
        paths = cached.glob(f"{name}-*.npy")
        made[name] = {p.stem.split("-")[1]: np.load(p, mmap_mode="r") for p in paths}

    def load(name, source=None):
        made["asked"].append((name, source))
        return made[name], store.Edition(name, "own copy", "5e" * 32, "a test")

    monkeypatch.setattr(store, "load", load)
    return made


def loaded(name, **arguments):
    dataset = KINDS[name](**arguments)
    dataset.load_data()
    return dataset


def expected(files, name, layout, rows=slice(None), split="train"):
    """The images in `layout`, by a way of its own: no use of `imutil.convert`."""
    x = np.array(files[name][f"x_{split}"][rows])
    first = x if x.ndim == 4 else x[:, None]
    last = np.moveaxis(first, 1, -1)
    return {
        "NP": last.reshape(len(x), -1),
        "NHW": last[..., 0],
        "NHWC": last,
        "NCHW": first,
    }[layout]


# --- the lines a reader types ---------------------------------------------------------------


def test_the_lines_of_the_book_run_unmodified(files):
    from datasetslib import imutil
    from datasetslib.cifar import cifar10

    dataset = cifar10()
    dataset.x_layout = imutil.LAYOUT_NHWC
    dataset.load_data()
    dataset.scaleX()
    assert dataset.X_train.shape == (700, 32, 32, 3)
    assert dataset.X_train.dtype == np.float32
    assert dataset.X_test.shape == (70, 32, 32, 3)
    assert dataset.Y_train.shape == (700,)
    assert dataset.Y_train.dtype == dataset.Y_test.dtype == np.int32
    assert (dataset.n_train, dataset.n_valid, dataset.n_test) == (700, 0, 70)
    assert (dataset.n_classes, dataset.height, dataset.width, dataset.depth) == (10, 32, 32, 3)
    dataset.y_onehot = True
    dataset.batch_size = 128
    dataset.batch_shuffle = True
    x, y = dataset.next_batch()
    assert x.shape == (128, 32, 32, 3)
    assert y.shape == (128, 10)
    assert dataset.class_names[int(y[0].argmax())] in dataset.class_names


def test_mnist_is_uint8_rows_of_784_with_5000_for_validation(files):
    dataset = loaded("mnist")
    assert dataset.X_train.shape == (1000, 784)
    assert dataset.X_train.dtype == np.uint8
    assert dataset.X_valid.shape == (5000, 784)
    assert dataset.Y_valid.shape == (5000,)
    np.testing.assert_array_equal(dataset.X_valid, expected(files, "mnist", "NP", slice(0, 5000)))
    np.testing.assert_array_equal(
        dataset.X_train, expected(files, "mnist", "NP", slice(5000, None))
    )
    np.testing.assert_array_equal(dataset.Y_train, files["mnist"]["y_train"][5000:])
    assert dataset.class_names == tuple("0123456789")


def test_classes_of_cifar10_are_named_in_the_order_of_their_labels():
    order = "airplane automobile bird cat deer dog frog horse ship truck"
    assert " ".join(cifar10.class_names) == order


def test_loading_prints_the_edition_and_nothing_else(files, capsys):
    dataset = loaded("cifar10")
    assert capsys.readouterr().out == f"{dataset.edition}\n"


def test_the_source_reaches_the_store(files):
    loaded("mnist", source="home")
    loaded("cifar10", source=files["folder"])
    assert files["asked"] == [("mnist", "home"), ("cifar10", files["folder"])]


# --- splits ---------------------------------------------------------------------------------


def test_sizes_keep_the_first_images_of_each_split(files):
    dataset = loaded("mnist", n_train=10, n_valid=20, n_test=30)
    assert (dataset.n_train, dataset.n_valid, dataset.n_test) == (10, 20, 30)
    np.testing.assert_array_equal(dataset.Y_train, files["mnist"]["y_train"][5000:5010])
    np.testing.assert_array_equal(dataset.Y_valid, files["mnist"]["y_train"][:20])
    np.testing.assert_array_equal(dataset.Y_test, files["mnist"]["y_test"][:30])


@pytest.mark.parametrize("name, n_valid, n_train", [("cifar10", 500, 200), ("mnist", 5400, 600)])
def test_a_validation_split_is_taken_from_the_front(files, name, n_valid, n_train):
    dataset = loaded(name, n_valid=n_valid)
    labels = files[name]["y_train"]
    np.testing.assert_array_equal(dataset.Y_valid, labels[:n_valid])
    np.testing.assert_array_equal(dataset.Y_train, labels[n_valid:])
    assert dataset.n_train == n_train


def test_no_validation_split_is_an_empty_one(files):
    dataset = loaded("mnist", n_valid=0)
    assert dataset.X_valid.shape == (0, 784)
    assert dataset.n_train == 1000


@pytest.mark.parametrize("which", ["n_train", "n_valid", "n_test"])
@pytest.mark.parametrize("size", [-1, 1.5, "10", True])
def test_sizes_that_are_no_sizes_are_refused_at_once(which, size):
    with pytest.raises(SplitError, match=f"(?s){which} of mnist.*{size!r}"):
        mnist(**{which: size})


@pytest.mark.parametrize("which", ["n_train", "n_test"])
def test_nothing_to_train_on_or_to_test_with_is_refused(which):
    with pytest.raises(SplitError, match="at least 1"):
        cifar10(**{which: 0})


@pytest.mark.parametrize(
    "sizes, message",
    [
        ({"n_train": 1001}, "n_train of mnist.*at most 1,000 .*5,000 for validation.*1,001"),
        ({"n_train": 1, "n_valid": 6000}, "n_valid of mnist.*at most 5,999.*6,000"),
        ({"n_test": 71}, "n_test of mnist.*at most 70.*71"),
    ],
)
def test_more_images_than_there_are_is_refused(files, sizes, message):
    with pytest.raises(SplitError, match=f"(?s){message}"):
        loaded("mnist", **sizes)


def test_a_failed_load_leaves_what_was_loaded(files, monkeypatch):
    dataset = loaded("mnist", n_train=5)

    def fail(name, source=None):
        raise DatasetError("no network")

    monkeypatch.setattr(store, "load", fail)
    with pytest.raises(DatasetError, match="no network"):
        dataset.load_data()
    assert dataset.n_train == 5
    assert dataset.X_train.shape == (5, 784)


# --- layouts and scaling --------------------------------------------------------------------


@pytest.mark.parametrize("name, layout", LAYOUTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_layout_can_be_chosen_before_and_after_loading(files, name, layout, when):
    dataset = KINDS[name](n_train=30, n_valid=0)
    if when == "before":
        dataset.x_layout = layout
    dataset.load_data()
    if when == "after":
        assert dataset.X_train.shape[0] == 30
        dataset.x_layout = layout
    start = 5000 if name == "mnist" else 0
    x = dataset.X_train
    np.testing.assert_array_equal(x, expected(files, name, layout, slice(start, start + 30)))
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(dataset.X_test, expected(files, name, layout, split="test"))


@pytest.mark.parametrize("name, first", LAYOUTS)
def test_scaled_images_can_change_their_layout_too(files, name, first):
    dataset = KINDS[name](n_train=30, n_valid=7)
    dataset.x_layout = first
    dataset.load_data()
    dataset.scaleX()
    start = 5000 if name == "mnist" else 7
    for layout in [second for kind, second in LAYOUTS if kind == name] + [first]:
        dataset.x_layout = layout
        whole = expected(files, name, layout, slice(start, start + 30))
        np.testing.assert_array_equal(dataset.X_train, whole / np.float32(255))
        assert dataset.X_train.dtype == np.float32
        valid = expected(files, name, layout, slice(0, 7))
        np.testing.assert_array_equal(dataset.X_valid, valid / np.float32(255))


@pytest.mark.parametrize("name, layout", LAYOUTS)
def test_scaled_images_lie_in_memory_in_the_order_of_their_layout(files, name, layout):
    dataset = KINDS[name](n_train=30)
    dataset.x_layout = layout
    dataset.load_data()
    dataset.scaleX()
    assert dataset.X_train.flags.c_contiguous


def test_white_is_exactly_one_and_black_exactly_zero(files):
    dataset = loaded("mnist")
    dataset.scaleX()
    for x in (dataset.X_train, dataset.X_valid, dataset.X_test):
        assert (x.min(), x.max()) == (0, 1)


def test_scaling_twice_is_scaling_once(files):
    dataset = loaded("mnist", n_train=9)
    dataset.scaleX()
    before, values = dataset.X_train, dataset.X_train.copy()
    dataset.scaleX()
    assert np.shares_memory(dataset.X_train, before)
    np.testing.assert_array_equal(dataset.X_train, values)


def test_scaling_that_is_stopped_half_way_leaves_all_images_unscaled(files, monkeypatch):
    dataset = loaded("mnist")
    calls, convert = [], imutil.convert

    def stop_later(*arguments):
        calls.append(arguments)
        if len(calls) == 3:  # the training images are done
            raise KeyboardInterrupt
        return convert(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(imutil, "convert", stop_later)
        with pytest.raises(KeyboardInterrupt):
            dataset.scaleX()
    splits = (dataset.X_train, dataset.X_valid, dataset.X_test)
    assert [x.dtype for x in splits] == [np.uint8] * 3
    dataset.scaleX()
    np.testing.assert_allclose(dataset.X_train, splits[0] / 255, rtol=1e-6)


def test_loading_again_gives_unscaled_images(files):
    dataset = loaded("mnist", n_train=9)
    dataset.scaleX()
    dataset.load_data()
    assert dataset.X_train.dtype == np.uint8
    dataset.scaleX()
    assert dataset.X_train.dtype == np.float32


def test_asking_twice_gives_the_same_array(files):
    dataset = loaded("cifar10", n_train=9)
    assert np.shares_memory(dataset.X_train, dataset.X_train)
    dataset.x_layout = "NHWC"
    assert np.shares_memory(dataset.X_train, dataset.X_train)


@pytest.mark.parametrize("layout", ["NWHC", None, 4])
def test_an_unknown_layout_is_refused_and_the_old_one_kept(layout):
    dataset = mnist()
    with pytest.raises(LayoutError, match="LAYOUT_NHWC"):
        dataset.x_layout = layout
    assert dataset.x_layout == imutil.LAYOUT_NP


def test_three_channels_have_no_layout_without_channels():
    with pytest.raises(LayoutError, match="3 channels"):
        cifar10().x_layout = imutil.LAYOUT_NHW


# --- the cache cannot be written to through a data set --------------------------------------


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).digest() for path in folder.iterdir()}


@pytest.mark.parametrize("name, layout", LAYOUTS)
def test_edits_in_place_are_refused_and_reach_no_file(files, name, layout):
    before = digests(files["folder"])
    dataset = KINDS[name](n_train=20)
    dataset.x_layout = layout
    dataset.load_data()
    for scaled in (False, True):
        if scaled:
            dataset.scaleX()
        for array in (dataset.X_train, dataset.X_test, dataset.Y_train):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
        with pytest.raises(ValueError, match="read-only"):
            dataset.X_train -= 1
    x, y = next_batch_of(dataset, 5)
    x[...] = 0
    y[...] = 0
    assert digests(files["folder"]) == before


def next_batch_of(dataset, size):
    dataset.batch_size = size
    return dataset.next_batch()


@pytest.mark.parametrize("layout", ["NP", "NHW"])
def test_even_writable_files_are_handed_out_read_only(files, layout):
    arrays = files["mnist"]
    files["mnist"] = {key: np.array(values) for key, values in arrays.items()}
    dataset = loaded("mnist", n_train=3)
    dataset.x_layout = layout
    with pytest.raises(ValueError, match="read-only"):
        dataset.X_train[0] = 0


# --- labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_onehot_can_be_chosen_before_and_after_loading(files, when):
    dataset = cifar10(n_train=40)
    if when == "before":
        dataset.y_onehot = True
    dataset.load_data()
    if when == "after":
        assert dataset.Y_train.shape == (40,)
        dataset.y_onehot = True
    labels = files["cifar10"]["y_train"][:40]
    assert dataset.Y_train.dtype == np.float32
    np.testing.assert_array_equal(dataset.Y_train, np.eye(10)[labels])
    assert dataset.Y_test.shape == (70, 10)
    assert dataset.Y_valid.shape == (0, 10)
    dataset.y_onehot = False
    np.testing.assert_array_equal(dataset.Y_train, labels)


# --- batches --------------------------------------------------------------------------------


def one_pass(dataset):
    """Labels dealt out in one pass, with the sizes of the batches."""
    batches = [dataset.next_batch() for _ in range(dataset.n_batches)]
    return np.concatenate([x for x, _ in batches]), [len(x) for x, _ in batches]


def numbered(files, n):
    """MNIST whose first training images carry their own number in their first two pixels."""
    x = np.zeros((5000 + n, 28, 28), np.uint8)
    x[5000:, 0, 0], x[5000:, 0, 1] = np.divmod(np.arange(n), 256)
    y = np.zeros(5000 + n, np.uint8)
    y[5000:] = np.arange(n) % 10
    files["mnist"] = {**files["mnist"], "x_train": x, "y_train": y}
    return loaded("mnist")


def numbers(x):
    return x[:, 0].astype(int) * 256 + x[:, 1]


@pytest.mark.parametrize("shuffle", [False, True])
def test_one_pass_deals_out_every_image_once_and_ends_short(files, shuffle):
    dataset = numbered(files, 1003)
    dataset.batch_size = 100
    dataset.batch_shuffle = shuffle
    assert dataset.n_batches == 11
    for _ in range(3):
        x, sizes = one_pass(dataset)
        assert sizes == [100] * 10 + [3]
        assert sorted(numbers(x)) == list(range(1003))
        assert (list(numbers(x)) == list(range(1003))) is not shuffle


def test_images_and_labels_stay_together(files):
    dataset = numbered(files, 257)
    dataset.batch_size = 50
    dataset.batch_shuffle = True
    for _ in range(dataset.n_batches):
        x, y = dataset.next_batch()
        np.testing.assert_array_equal(numbers(x) % 10, y)


def test_the_order_depends_on_the_seed_and_the_pass_alone(files):
    def orders(seed, size):
        dataset = numbered(files, 200)
        dataset.seed, dataset.batch_shuffle, dataset.batch_size = seed, True, size
        return [numbers(one_pass(dataset)[0]).tolist() for _ in range(3)]

    first = orders(7, 32)
    assert first == orders(7, 50)
    assert first[0] != first[1] != first[2] != first[0]
    assert first[0] != orders(8, 32)[0]


def test_the_seed_can_be_given_at_the_start_and_setting_it_starts_again(files):
    dataset = loaded("mnist", seed=3)
    dataset.batch_shuffle, dataset.batch_size = True, 30
    first, second = dataset.next_batch()[0], dataset.next_batch()[0]
    assert (first != second).any()
    dataset.seed = 3
    np.testing.assert_array_equal(dataset.next_batch()[0], first)


def test_an_odd_number_of_batches_does_not_upset_the_next_pass(files):
    dataset = numbered(files, 10)
    dataset.batch_size, dataset.batch_shuffle = 10, True
    assert sorted(numbers(dataset.next_batch()[0])) == list(range(10))
    assert sorted(numbers(dataset.next_batch()[0])) == list(range(10))


def test_a_batch_size_changed_in_mid_pass_loses_and_repeats_nothing(files):
    dataset = numbered(files, 100)
    dataset.batch_shuffle = True
    seen = []
    for size in (7, 30, 1, 50, 100):
        seen.append(next_batch_of(dataset, size)[0])
    assert [len(x) for x in seen] == [7, 30, 1, 50, 12]
    assert sorted(numbers(np.concatenate(seen))) == list(range(100))
    assert len(dataset.next_batch()[0]) == 100


def test_shuffling_switched_on_in_mid_pass_waits_for_the_next(files):
    dataset = numbered(files, 60)
    dataset.batch_size = 20
    seen = [dataset.next_batch()[0]]
    dataset.batch_shuffle = True
    seen += [dataset.next_batch()[0] for _ in range(2)]
    assert numbers(np.concatenate(seen)).tolist() == list(range(60))
    assert numbers(one_pass(dataset)[0]).tolist() != list(range(60))


@pytest.mark.parametrize("size", [0, -1, 2.0, "10", None, True])
def test_a_batch_size_that_is_no_size_is_refused_and_the_old_one_kept(size):
    dataset = mnist()
    with pytest.raises(BatchError, match=f"(?s)batch_size.*{size!r}"):
        dataset.batch_size = size
    assert dataset.batch_size == 100


def test_a_batch_larger_than_the_training_split_is_refused(files):
    dataset = loaded("mnist", n_train=50)
    for ask in (dataset.next_batch, lambda: dataset.n_batches):
        with pytest.raises(BatchError, match="(?s)at most n_train = 50.*100"):
            ask()
    dataset.batch_size = np.int64(50)
    assert dataset.n_batches == 1


def test_batches_follow_layout_scale_and_onehot(files):
    dataset = loaded("cifar10")
    dataset.x_layout = "NHWC"
    x, y = dataset.next_batch()
    assert (x.shape, x.dtype, y.shape) == ((100, 32, 32, 3), np.uint8, (100,))
    assert x.flags.c_contiguous
    dataset.scaleX()
    dataset.x_layout = "NCHW"
    dataset.y_onehot = True
    x, y = dataset.next_batch()
    assert (x.shape, x.dtype, y.shape) == ((100, 3, 32, 32), np.float32, (100, 10))
    wanted = files["cifar10"]["x_train"][100:200] / np.float32(255)
    np.testing.assert_array_equal(x, wanted)


# --- slips ----------------------------------------------------------------------------------

NEEDS_DATA = (
    "X_train X_valid X_test Y_train Y_valid Y_test n_train n_valid n_test n_batches edition"
)


@pytest.mark.parametrize("what", NEEDS_DATA.split())
def test_nothing_of_the_data_can_be_had_before_loading(what):
    with pytest.raises(NotLoadedError, match=r"dataset\.load_data\(\)"):
        getattr(mnist(), what)


@pytest.mark.parametrize("method", ["next_batch", "scaleX", "describe"])
def test_nothing_can_be_done_with_the_data_before_loading(method):
    with pytest.raises(NotLoadedError, match=r"dataset\.load_data\(\)"):
        getattr(cifar10(), method)()


@pytest.mark.parametrize(
    "slip, meant",
    [("x_layuot", "x_layout"), ("batchsize", "batch_size"), ("y_one_hot", "y_onehot")],
)
def test_a_misspelt_setting_is_an_error_that_guesses_the_right_one(slip, meant):
    with pytest.raises(SettingError, match=f"(?s){slip}.*Did you mean {meant}"):
        setattr(mnist(), slip, 1)
    with pytest.raises(AttributeError):
        setattr(mnist(), f"_{slip}", 1)


@pytest.mark.parametrize("name", ["X_train", "n_train", "n_classes", "edition", "load_data"])
def test_what_belongs_to_the_data_cannot_be_replaced(name):
    with pytest.raises(SettingError, match="cannot be set"):
        setattr(mnist(), name, 1)


@pytest.mark.parametrize("flag", ["y_onehot", "batch_shuffle"])
@pytest.mark.parametrize("value", [1, "no", None])
def test_a_flag_is_true_or_false(flag, value):
    with pytest.raises(SettingError, match="True or False"):
        setattr(mnist(), flag, value)


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(SettingError, match="seed"):
        mnist(seed=seed)


def test_a_misspelt_argument_is_an_error():
    with pytest.raises(TypeError, match="n_trian"):
        mnist(n_trian=100)


# --- description ----------------------------------------------------------------------------


def test_the_description_names_source_licence_citation_and_split(files, capsys):
    dataset = loaded("mnist", n_train=9)
    capsys.readouterr()
    facts = dataset.describe()
    printed = capsys.readouterr().out
    for part in ("CC BY-SA 3.0", "LeCun", "5e5e5e", "not the official bytes", "(9, 784)", "uint8"):
        assert part in printed
    assert facts["split"] == {"train": (9, 784), "valid": (5000, 784), "test": (70, 784)}
    assert facts["edition"] == str(dataset.edition)
    dataset.scaleX()
    assert "float32" in dataset.describe()["layout"]
    assert "none stated" in loaded("cifar10").describe()["licence"]


def test_a_notebook_shows_the_description_once(files, capsys):
    from IPython.core.formatters import DisplayFormatter

    facts = loaded("mnist", n_train=9).describe()
    capsys.readouterr()
    shown, _ = DisplayFormatter().format(facts)
    assert shown == {}
    assert capsys.readouterr().out == ""


def test_repr_says_whether_it_is_loaded(files):
    assert "not loaded" in repr(mnist())
    assert "a test" in repr(loaded("mnist"))


# --- synthetic ------------------------------------------------------------------------------


def test_real_data_raises_no_synthetic_flag(files):
    loaded("mnist")
    assert recording.synthetic_loaded is False


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_synthetic_data_is_chosen_by_name_and_flagged(files, monkeypatch, capsys, how):
    if how == "environment":
        monkeypatch.setenv("DATASETSLIB_SOURCE", "synthetic")
    dataset = cifar10("synthetic" if how == "argument" else None, n_train=30, n_valid=5, n_test=20)
    dataset.load_data()
    assert files["asked"] == []
    assert recording.synthetic_loaded is True
    assert dataset.edition.is_synthetic
    assert "synthetic" in capsys.readouterr().out
    assert (dataset.n_train, dataset.n_valid, dataset.n_test) == (30, 5, 20)
    assert dataset.X_valid.shape == (5, 3072)
    assert "made on the spot" in dataset.describe()["licence"]


def test_synthetic_images_are_the_same_for_every_shuffle_seed(files):
    sizes = {"n_train": 20, "n_valid": 3, "n_test": 10}
    sets = [loaded("cifar10", source="synthetic", seed=seed, **sizes) for seed in (0, 5)]
    np.testing.assert_array_equal(sets[0].X_train, sets[1].X_train)
    np.testing.assert_array_equal(sets[0].X_valid, sets[1].X_valid)


# --- cost -----------------------------------------------------------------------------------

IMPORTS = """
import sys, time
start = time.perf_counter()
import datasetslib
seconds = time.perf_counter() - start
from datasetslib import imutil
from datasetslib.cifar import cifar10
from datasetslib.mnist import mnist
heavy = [name for name in ("tensorflow", "keras", "matplotlib", "IPython") if name in sys.modules]
print(seconds, *heavy)
"""

# The peak of the whole process, less what it held before loading. Not ru_maxrss: on Linux a
# process inherits that number from the one that started it.
MEMORY = """
import sys
import numpy as np
from datasetslib import store
from datasetslib.cifar import cifar10
arrays = {key: np.load(f"{sys.argv[1]}/{key}.npy", mmap_mode="r")
          for key in ("x_train", "y_train", "x_test", "y_test")}
store.load = lambda name, source=None: (arrays, store.Edition(name, "official", "0", "a test"))
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
dataset = cifar10()
dataset.x_layout = sys.argv[2]
before = peak()
dataset.load_data()
dataset.scaleX()
returned = dataset.X_train.nbytes + dataset.X_test.nbytes
print((peak() - before) / returned)
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_importing_is_quick_and_pulls_in_nothing_heavy():
    runs = [run(IMPORTS) for _ in range(3)]
    assert [heavy for _, *heavy in runs] == [[], [], []]
    assert min(float(seconds) for seconds, *_ in runs) < 0.3  # a busy machine slows some runs


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("layout", ["NP", "NHWC", "NCHW"])
def test_loading_and_scaling_hold_little_more_than_the_result(tmp_path, layout):
    rng = np.random.default_rng(0)
    for split, n in (("train", 20_000), ("test", 4_000)):
        np.save(tmp_path / f"x_{split}.npy", rng.integers(256, size=(n, 3, 32, 32), dtype=np.uint8))
        np.save(tmp_path / f"y_{split}.npy", rng.integers(10, size=n, dtype=np.uint8))
    assert float(run(MEMORY, tmp_path, layout)[-1]) <= 1.2


# --- real data, where there is some ---------------------------------------------------------


def real(name, real_set, tmp_path, monkeypatch):
    """The real data set from the folder of real data, never from anywhere else."""
    monkeypatch.setenv("DATASETSLIB_HOME", str(real_set(name)))
    monkeypatch.setenv("DATASETSLIB_CACHE", str(tmp_path))
    return loaded(name, source="home")


def test_the_real_digits_have_their_known_content(real_set, tmp_path, monkeypatch):
    digits = real("mnist", real_set, tmp_path, monkeypatch)
    assert (digits.n_train, digits.n_valid, digits.n_test) == (55_000, 5_000, 10_000)
    assert digits.edition.kind == "official"
    total = sum(int(x.sum(dtype=np.int64)) for x in (digits.X_train, digits.X_valid))
    assert total / (60_000 * 784 * 255) == pytest.approx(0.1307, abs=5e-5)
    assert digits.Y_test[:5].tolist() == [7, 2, 1, 0, 4]


def test_the_real_photographs_have_their_known_content(real_set, tmp_path, monkeypatch):
    photographs = real("cifar10", real_set, tmp_path, monkeypatch)
    assert photographs.X_train.shape == (50_000, 3072)
    assert np.bincount(photographs.Y_train).tolist() == [5000] * 10
    assert np.bincount(photographs.Y_test).tolist() == [1000] * 10
    assert [photographs.class_names[y] for y in photographs.Y_test[:4]] == [
        "cat",
        "ship",
        "ship",
        "airplane",
    ]
