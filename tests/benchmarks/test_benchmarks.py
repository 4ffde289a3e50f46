"""The five benchmarks: their arithmetic at once, and each of them in small where its peers are."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import accuracy, book, common, convolution, data, training
from benchmarks.worker import SideError, Worker

ROOT = Path(__file__).resolve().parents[2]


# --- workers -----------------------------------------------------------------------------


def test_a_side_that_fails_says_what_it_printed():
    with pytest.raises(SideError, match="no module named|No module named"):
        Worker("benchmarks.nowhere", "x")
    with pytest.raises(SideError, match="KeyError: 'nobody'"):
        Worker("benchmarks.convolution", "nobody")
    with Worker("benchmarks.convolution", "NumPy, loops") as worker:
        found = worker("measure", n=6, k=3, long_enough=0)
        assert found["shape"] == [4, 4] and found["seconds"] > 0
    with pytest.raises(SideError, match="failed at measure"):
        with Worker("benchmarks.convolution", "NumPy, loops") as worker:
            worker("measure", n=6)


# --- data --------------------------------------------------------------------------------


def test_the_digest_forgets_the_order_and_nothing_else():
    x, y = np.arange(24, dtype=np.uint8).reshape(3, 8), np.array([1, 0, 2])
    order = [2, 0, 1]
    assert data.digest(x, y) == data.digest(x[order], y[order])
    assert data.digest(x, y) != data.digest(x[order], y)
    assert data.digest(x, y) != data.digest(x + 1, y)


def test_channels_last_is_the_transpose():
    x = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(1, 3, 2, 4)
    assert np.array_equal(data.channels_last(x, (2, 4, 3))[0, 1, 2], x[0, :, 1, 2])


@pytest.mark.skipif(sys.platform != "linux", reason="the file cache is asked for on Linux only")
def test_files_leave_the_file_cache(tmp_path):
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    if data.resident([tmp_path]) is None:
        pytest.skip("this system does not say what is in the file cache")
    assert data.resident([tmp_path]) == 1
    data.drop([tmp_path])
    assert data.resident([tmp_path]) < 0.1


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="it measures on Linux only")
def test_two_sides_load_the_same_images(tmp_path):
    out = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "data", "--here", "--smoke", "--sets", "cifar10",
         "--sides", data.OURS, "keras.datasets", "--out", out],
        cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert {row["case"] for row in result["measurements"]} == {
        "cifar10", "cifar10, first", "cifar10, cold", "cifar10, warm"}
    assert result["editions"] == ["invented images, for a trial"]


# --- training ----------------------------------------------------------------------------


def test_the_arithmetic_is_that_of_a_pencil():
    conv1, conv2 = 32 * 32 * 16 * 3 * 32, 16 * 16 * 16 * 32 * 64
    dense = 4096 * 1024 + 1024 * 10
    assert training.flops_per_image() == 2 * (2 * conv1 + 3 * conv2 + 3 * dense)


def test_a_side_that_computes_something_else_is_found():
    right = {"logits": [1.0, 2.0], "norms": {"a": 1.0}, "some": {"a": [0.6, 0.8]}}
    near = {**right, "logits": [1.00001, 2.0]}
    assert training.check({"we": right, "they": near}, "float32") < 1e-4
    for wrong in ({**right, "logits": [1.01, 2.0]}, {**right, "norms": {"a": 1.01}},
                  {**right, "some": {"a": [0.8, 0.6]}}):
        with pytest.raises(common.BenchmarkError, match="they does not compute what we does"):
            training.check({"we": right, "they": wrong}, "float32")
    # In 16 bits there is room for rounding, and none for a kernel that lies the wrong way round.
    training.check({"we": right, "they": {**right, "some": {"a": [0.67, 0.74]}}}, "bfloat16")
    with pytest.raises(common.BenchmarkError, match="they does not compute what we does"):
        training.check({"we": right, "they": {**right, "some": {"a": [0.8, 0.6]}}}, "bfloat16")


# --- convolution -------------------------------------------------------------------------


def test_the_slope_has_an_interval_that_holds_the_truth():
    rng, inside = np.random.default_rng(0), 0
    sizes = [16, 32, 64, 128, 256]
    for _ in range(300):
        noise = np.exp(rng.normal(0, 0.1, len(sizes)))
        _, low, high = convolution.slope(sizes, [size**2 * x for size, x in zip(sizes, noise,
                                                                                 strict=True)])
        inside += low <= 2 <= high
    assert 0.91 < inside / 300 < 0.99
    with pytest.raises(ValueError, match="three points"):
        convolution.slope([1, 2], [1.0, 2.0])


def test_the_law_is_fitted_to_the_larger_half():
    rows = [{"side": "a", "size": 2**k, "values": [1.0 if k < 4 else 4.0 ** (k - 4)]}
            for k in range(8)]
    law, = convolution.laws(rows, "image")
    assert law["sizes"] == [16, 32, 64, 128] and law["slope"] == pytest.approx(2)


def test_another_feature_map_is_found():
    ours = {"some": [1.0, 2.0], "sum": 3.0, "shape": [1, 2]}
    answers = {convolution.OURS: ours, "b": {**ours, "some": [2.0, 1.0]}}
    with pytest.raises(common.BenchmarkError, match="b does not compute the feature map"):
        convolution.agreed(answers, "an image")
    with pytest.raises(common.BenchmarkError):
        convolution.agreed({convolution.OURS: ours, "b": {**ours, "shape": [2, 1]}}, "an image")
    convolution.agreed({convolution.OURS: ours, "b": dict(ours)}, "an image")


def test_the_chapters_convolutions_are_measured(tmp_path):
    out = tmp_path / "result.json"
    sides = ["NumPy, correlate", "NumPy, loops", convolution.OURS]
    assert convolution.main(["--here", "--smoke", "--sides", *sides, "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["sides"] == sides and len(result["laws"]) == 6
    assert {row["case"] for row in result["measurements"]} >= {"image 64", "kernel 9"}
    assert result["conditions"]["versions"]["numpy"] == np.__version__
    with pytest.raises(common.BenchmarkError, match="nothing to compare with"):
        convolution.main(["--here", "--sides", "NumPy, loops"])


# --- time to accuracy --------------------------------------------------------------------


def test_moves_are_small_and_edges_are_repeated():
    rng = np.random.default_rng(0)
    x = np.repeat(np.arange(20, dtype="float32")[None, None, :, None], 50, 0) * np.ones(
        (1, 20, 1, 1), "float32")
    out = accuracy.moved(x.copy(), rng)
    assert out.shape == x.shape and out.dtype == np.float32
    assert out.min() >= 0 and out.max() <= 19
    # A ramp that is moved by d is the ramp plus d, wherever no edge is near; mirrored, it falls.
    slopes = out[:, 10, 11, 0] - out[:, 10, 9, 0]
    assert np.allclose(np.abs(slopes), 2, atol=1e-4) and 10 < (slopes < 0).sum() < 40
    middle = out[slopes > 0, 10, 10, 0] - 10
    assert np.abs(middle).max() <= 2 + 1e-4 and middle.std() > 0.7
    down = accuracy.moved(x.transpose(0, 2, 1, 3).copy(), rng)[:, 10, 10, 0] - 10
    assert np.abs(down).max() <= 2 + 1e-4 and down.std() > 0.7


def test_no_moves_at_all_leave_an_image_or_its_mirror_image():
    x = np.random.default_rng(1).random((8, 6, 6, 3), dtype="float32")
    out = accuracy.moved(x.copy(), np.random.default_rng(2), reach=0)
    kept = [np.array_equal(a, b) for a, b in zip(out, x, strict=True)]
    turned = [np.array_equal(a, b[:, ::-1]) for a, b in zip(out, x, strict=True)]
    assert all(a or b for a, b in zip(kept, turned, strict=True)) and any(kept) and any(turned)


def test_the_quickest_row_from_all_seeds_stands_for_ours():
    def run(row, accuracies, side="ours", seed=0):
        return {"side": side, "row": row, "seed": seed, "seconds": [1.0] * len(accuracies),
                "accuracy": accuracies}

    runs = [run("short", [0.61, 0.72]), run("short", [0.5, 0.66], seed=1),
            run("long", [0.1, 0.3, 0.8]), run("peer", [0.4, 0.62, 0.71], side="peer")]
    rows = {(row["case"], row["side"]): row["values"] for row in accuracy.by_mark(runs)}
    assert rows["60 %", "ours"] == [1.0, 2.0] and rows["60 %", "peer"] == [2.0]
    assert rows["70 %", "ours"] == [3.0]  # one seed of the short row does not get there
    assert rows["90 %", "ours"] == [None] and rows["at the end", "ours"] == [0.8]


CHAPTER_11 = '''
batch_size = 16
races = {"50": {"widths": [4], "epochs": 2}}
recipe = {"batch_size": batch_size, "rate": 0.01}


def eigenpatches(): ...
def whitening(): ...
def conv(): ...
def block(): ...
def started(): ...
class Normalise: ...
class Triangle: ...


def network(images, recipe):
    return keras.Sequential([keras.Input(images.shape[1:]), layers.Rescaling(1 / 255),
                             layers.Flatten(), layers.Dense(10, dtype="float32")])


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size):
        super().__init__()
        self.x, self.y, self.n = x, y, size

    def __len__(self):
        return len(self.x) // self.n

    def __getitem__(self, index):
        rows = slice(index * self.n, (index + 1) * self.n)
        return self.x[rows], self.y[rows]


def compiled(x, y, seed, recipe):
    keras.config.set_dtype_policy(recipe["precision"])
    model = training.draw_weights(network(x, recipe), seed)
    keras.config.set_dtype_policy("float32")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  jit_compile=recipe["xla"])
    return model, Batches(x, y, recipe["batch_size"])
'''


@pytest.mark.long
def test_the_recipe_of_chapter_11_is_trained_and_judged_after_each_epoch(tmp_path, monkeypatch):
    (tmp_path / "11_training_fast.py").write_text(CHAPTER_11)
    monkeypatch.setattr(common, "SCRATCH", tmp_path / "scratch")
    ours = accuracy.Ours(tmp_path)
    assert ours.rows == {"chapter 11, 50 %": {"batch_size": 16, "rate": 0.01, "widths": [4],
                                              "epochs": 2}}
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (64, 8, 8, 3), "uint8"), rng.integers(0, 10, 64)
    arrays = x, y, x[:20], y[:20]
    run = accuracy.run_ours(ours, "chapter 11, 50 %", 0, arrays)
    assert len(run["seconds"]) == len(run["accuracy"]) == 2 and min(run["seconds"]) > 0
    # The second time it is restored, not trained: the very same seconds.
    assert accuracy.run_ours(ours, "chapter 11, 50 %", 0, arrays)["seconds"] == run["seconds"]
    changed = CHAPTER_11.replace('"sgd"', '"adam"')
    (tmp_path / "11_training_fast.py").write_text(changed)
    again = accuracy.run_ours(accuracy.Ours(tmp_path), "chapter 11, 50 %", 0, arrays)
    assert again["seconds"] != run["seconds"]


@pytest.mark.parametrize("side, n", [
    # By hand: kernels and biases, layer by layer.
    (accuracy.TUTORIAL, 896 + 18_496 + 36_928 + (1024 + 1) * 64 + 650),
    (accuracy.EXAMPLE, 896 + 9_248 + 18_496 + 36_928 + (2304 + 1) * 512 + 5_130)])
def test_the_peers_have_the_published_parameters(side, n):
    model = {accuracy.TUTORIAL: accuracy.tutorial, accuracy.EXAMPLE: accuracy.example}[side]()
    assert model.count_params() == n


# --- the book ----------------------------------------------------------------------------


def test_the_runners_lines_are_read_as_the_runner_writes_them():
    from tools import ci

    printed = f"lint\n{ci.Outcome('01_convolution', 12.34)}\n{ci.Outcome('02_pooling', 8.0)}\n"
    assert book.chapter_seconds(printed) == {"01_convolution": 12.3, "02_pooling": 8.0}
    with pytest.raises(common.BenchmarkError, match="02_pooling"):
        book.chapter_seconds(f"{printed}{ci.Outcome('02_pooling', 1.0, 'cell 3')}\n")
    with pytest.raises(common.BenchmarkError, match="printed no line"):
        book.chapter_seconds("lint\n")


def test_a_page_weighs_what_it_names(tmp_path):
    static = tmp_path / "_static"
    static.mkdir()
    text = "x { color: red }" * 100
    (static / "a.css").write_text(text + "@font-face { src: url(f.woff2), url(f.ttf) }")
    (static / "f.woff2").write_bytes(bytes(5000))
    (static / "a.js").write_text("let a;" * 100)
    (tmp_path / "index.html").write_text(
        "<link rel='stylesheet' href='_static/a.css?v=1'><link rel='next' href='gone.html'>"
        "<script src='_static/a.js'></script><script src='_static/a.js'></script>")
    found = book.weights(tmp_path)["index"]
    assert found["fonts"] == (5.0, 5.0) and found["scripts"][0] == 0.6
    raw = (static / "a.css").read_bytes()
    assert found["style sheets"] == (len(raw) / 1000, len(gzip.compress(raw, 6)) / 1000)
    (tmp_path / "index.html").write_text("<script src='_static/b.js'></script>")
    with pytest.raises(common.BenchmarkError, match="names _static/b.js"):
        book.weights(tmp_path)


def test_a_verb_that_fails_is_told_with_its_words(tmp_path):
    (tmp_path / "Makefile").write_text("book:\n\t@echo no paper; exit 3\n")
    with pytest.raises(common.BenchmarkError, match="(?s)make book failed.*no paper"):
        book.verb("book", tmp_path, dict(os.environ))


def test_the_clone_gets_an_empty_home_and_nobodys_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_SOURCE", "synthetic")
    monkeypatch.setenv("MAKEFLAGS", "-n")
    environ = book.environ_of(tmp_path)
    assert environ["HOME"] == str(tmp_path)
    assert "DATASETSLIB_SOURCE" not in environ and "MAKEFLAGS" not in environ
    assert not environ["UV_CACHE_DIR"].startswith(str(tmp_path))


# --- where the peers are -----------------------------------------------------------------


@pytest.fixture(scope="module")
def own_python():
    """Return the Python of the benchmarks' environment; it takes gigabytes, so it is not made."""
    python = command.environment.script(command.VENV, "python")
    named = os.environ.get("BENCHMARKS_PYTHON")
    if not (named or python.is_file()):
        pytest.skip("no environment of the benchmarks: `make benchmarks NAME=convolution` makes it")
    return named or python


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["data", "training", "convolution"])
def test_all_sides_run(own_python, name, tmp_path):
    out = tmp_path / "result.json"
    done = subprocess.run(
        [own_python, "-m", "benchmarks", name, "--here", "--smoke", "--out", out], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    module = {"data": data, "training": training, "convolution": convolution}[name]
    assert result["smoke"] and set(result["sides"]) == set(module.SIDES)
    for side in result["sides"]:
        assert any(row["side"] == side and row["values"] for row in result["measurements"])
