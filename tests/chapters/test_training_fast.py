"""The recipe of chapter 11: its arithmetic, its whitening, its batches, and what it withholds."""

import ast
from pathlib import Path

import numpy as np
import pytest

CHAPTER = Path(__file__).parents[2] / "chapters" / "11_training_fast.py"
TREE = ast.parse(CHAPTER.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def chapter():
    """Return the definitions of the chapter, executed, with its recipe."""
    nodes = [node for node in TREE.body
             if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)]
    named = ("recipe", "batch_size", "races", "digit_races")
    nodes += [node for node in TREE.body
              if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in named]
    names = {}
    exec(compile(ast.Module(nodes, []), "chapters", "exec"), names)
    return names


@pytest.fixture(scope="module")
def images():
    """Return smooth random images, in which neighbours agree."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(300, 10, 10, 3)).repeat(4, axis=1).repeat(4, axis=2)[:, 3:35, 3:35]
    noisy = 128 + 40 * coarse + 5 * rng.normal(size=(300, 32, 32, 3))
    return np.clip(noisy, 0, 255).astype("uint8")


def test_operations_follow_the_formula(chapter):
    forward = [2 * 32 * 32 * 16 * 3 * 32, 2 * 16 * 16 * 16 * 32 * 64, 2 * 4096 * 1024,
               2 * 1024 * 10]
    counted = chapter["operations"](chapter["source_network"]())
    assert [f for _, f, _ in counted] == forward
    # The first layer is not asked for the gradient of the image.
    assert [b for _, _, b in counted] == [forward[0], *(2 * f for f in forward[1:])]


def test_what_is_frozen_costs_nothing_on_the_way_back_and_spares_the_layer_behind(chapter, images):
    settings = {**chapter["recipe"], "widths": [4, 8]}
    counted = chapter["operations"](chapter["network"](images, settings))
    backward = {layer.name: b / f for layer, f, b in counted}
    assert list(backward.values()) == [0, 1, 2, 2, 2, 2]
    trained = chapter["operations"](chapter["network"](images, {**settings, "whiten": False}))
    assert [b / f for _, f, b in trained] == [1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("side", [2, 3])
def test_whitened_patches_are_white(chapter, images, side):
    kernels = chapter["whitening"](images, side)
    n = side * side * 3
    assert kernels.shape == (side, side, 3, 2 * n)
    assert np.allclose(kernels[..., :n], -kernels[..., n:])
    fit = 32 // side * side
    pixels = images[:, :fit, :fit] / 255 - images.mean() / 255
    cut = pixels.reshape(300, fit // side, side, fit // side, side, 3)
    white = cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, n) @ kernels[..., :n].reshape(n, n)
    covariance = white.T @ white / len(white)
    variances, _ = chapter["eigenpatches"](images, side)
    assert np.all(np.diff(variances) <= 0)
    assert np.allclose(covariance, np.diag(variances / (variances + 5e-4)), atol=1e-3)


def test_kernels_that_hand_maps_on_do_so(chapter, images):
    import keras

    settings = {**chapter["recipe"], "widths": [24, 30]}
    model = chapter["started"](chapter["network"](images, settings), images, 0, settings)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert np.allclose(convolutions[0].get_weights()[0], chapter["whitening"](images, 2))
    maps = np.random.default_rng(1).normal(size=(2, 7, 7, 24)).astype("float32")
    out = np.asarray(convolutions[3](maps))
    assert out.shape[-1] == 30 and np.allclose(out[..., :24], maps, atol=1e-6)
    assert np.abs(out[..., 24:]).max() > 0


def test_the_shift_learns_boost_squared_times_as_fast(chapter):
    import keras

    x = np.random.default_rng(2).normal(3, 2, (16, 4, 4, 5)).astype("float32")
    moved = {}
    for boost in (1.0, 8.0):
        inputs = keras.Input((4, 4, 5))
        layer = chapter["Normalise"](boost)
        model = keras.Model(inputs, layer(inputs))
        out = np.asarray(model(x, training=True))
        assert np.allclose(out.mean((0, 1, 2)), 0, atol=1e-4)
        assert np.allclose(out.var((0, 1, 2)), 1, atol=1e-3)
        model.compile(keras.optimizers.SGD(0.01), lambda y, p: keras.ops.mean(y * p))
        model.train_on_batch(x, np.ones_like(x))
        moved[boost] = boost * np.asarray(layer.shift)
    assert np.allclose(moved[8.0], 64 * moved[1.0], rtol=1e-4) and np.all(moved[1.0] < 0)


def test_the_running_statistics_are_used_when_the_network_is_asked(chapter):
    layer = chapter["Normalise"]()
    x = np.random.default_rng(3).normal(3, 2, (64, 4, 4, 5)).astype("float32")
    untrained = np.asarray(layer(x, training=False))
    assert np.allclose(untrained, x / np.sqrt(1 + 1e-5), atol=1e-5)
    for _ in range(30):
        layer(x, training=True)
    asked = np.asarray(layer(x, training=False))
    assert np.allclose(asked.mean((0, 1, 2)), 0, atol=1e-3)


def one_by_one(chapter, x, epochs, **changes):
    """Return each image as each epoch shows it, by its place in x."""
    settings = {"shift": 2, "batch_size": 10, "flips": "alternating", **changes}
    batches = chapter["Batches"](x, np.arange(len(x)) % 10, 0, settings)
    shown = np.zeros((epochs, *x.shape), "uint8")
    for epoch in range(epochs):
        for index in range(len(batches)):
            rows = batches.order[index * 10:(index + 1) * 10]
            some, targets = batches[index]
            assert some.dtype == np.uint8
            assert np.array_equal(targets.argmax(axis=1), rows % 10)
            shown[epoch, rows] = some
        batches.on_epoch_end()
    return shown


def test_images_are_mirrored_in_turn(chapter, images):
    x = images[:50]
    shown = one_by_one(chapter, x, 4, shift=0)
    as_they_are = [np.all(epoch == x, axis=(1, 2, 3)) for epoch in shown]
    mirrored = [np.all(epoch == x[:, :, ::-1], axis=(1, 2, 3)) for epoch in shown]
    assert np.all(np.array(as_they_are) ^ np.array(mirrored))
    assert np.array_equal(as_they_are[0], mirrored[1]) and np.array_equal(shown[0], shown[2])
    assert 10 < as_they_are[0].sum() < 40  # half of them begin as they are
    assert np.array_equal(one_by_one(chapter, x, 1, shift=0, flips="none")[0], x)


def test_images_are_moved_one_by_one_and_the_rim_is_a_reflection(chapter, images):
    x = images[:50]
    shown = one_by_one(chapter, x, 1, flips="none")[0]
    around = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    moves = set()
    for image, wide in zip(shown, around, strict=True):
        found = [(i, j) for i in range(5) for j in range(5)
                 if np.array_equal(image, wide[i:i + 32, j:j + 32])]
        assert found
        moves.add(found[0])
    assert len(moves) > 10


def test_the_batches_follow_from_the_seed_and_the_epoch(chapter, images):
    first, again = (one_by_one(chapter, images[:50], 2, flips="none") for _ in range(2))
    assert np.array_equal(first, again) and not np.array_equal(first[0], first[1])
    settings = {"shift": 2, "batch_size": 10, "flips": "none"}
    one, same, other = (chapter["Batches"](images, np.zeros(300, int), seed, settings).order
                        for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert np.array_equal(np.sort(one), np.arange(300))


def test_the_triangle_peaks_once(chapter):
    steps = np.asarray(chapter["Triangle"](0.5, 1000)(np.arange(1001)))
    assert steps.argmax() == 230 and np.isclose(steps[230], 0.5)
    assert np.isclose(steps[0], 0.1) and np.isclose(steps[-1], 0.005, atol=1e-5)
    assert np.all(np.diff(steps[:231]) > 0) and np.all(np.diff(steps[230:]) < 0)


def test_six_views_are_three_and_their_mirror_images(chapter, images):
    views = list(chapter["views"](images[:5]))
    assert len(views) == 6 and np.array_equal(views[0], images[:5])
    for plain, mirrored in zip(views[::2], views[1::2], strict=True):
        assert np.array_equal(plain[:, :, ::-1], mirrored)
    assert np.array_equal(views[2][:, 1:, 1:], images[:5, :-1, :-1])
    assert np.array_equal(views[4][:, :-1, :-1], images[:5, 1:, 1:])


def test_digits_are_asked_without_mirrors(chapter):
    class Counter:
        asked = 0

        def predict(self, view, **_):
            Counter.asked += 1
            return np.eye(10)[view[:, 1, 1, 0]]

    x = np.full((4, 3, 3, 1), 1, "uint8")
    found = chapter["accuracies"](Counter(), x, np.array([1, 1, 1, 2]), mirror=False)
    assert Counter.asked == 3
    assert found == {"one_view": 0.75, "two_views": 0.75, "all_views": 0.75}


def a_run(quiet, seconds=10.0, accuracy=0.9):
    """Return the history of a run, as a unit leaves it."""
    from datasetslib import training

    measured = {"fit_seconds": seconds, "all_views": accuracy, "one_view": 0.5,
                "product_float32": 100.0, "conv_float32": 200.0}
    others = {True: 0.0, False: 0.5, None: None}[quiet]
    return training.History("run", [measured], [seconds], [others], ["2026-01-01T00:00:00"],
                            ["here"])


@pytest.mark.parametrize(("quiet", "seconds", "accuracy", "reached"), [
    (True, 10.0, 0.9, "yes"), (True, 30.0, 0.9, "too slow"), (True, 10.0, 0.8, "not accurate"),
    (False, 10.0, 0.9, "not timed"), (None, 10.0, 0.9, "not timed"),
])
def test_a_mark_is_reached_in_time_and_accuracy_and_on_a_quiet_machine(
        chapter, images, quiet, seconds, accuracy, reached):
    settings = {**chapter["recipe"], "widths": [4], "target": 0.85, "limit": 20}
    row = chapter["summary"](a_run(quiet, seconds, accuracy), settings, images, 2, "float32")
    assert row["reached"] == reached
    assert (row["seconds"] is None) == (quiet is not True) == (row["share"] is None)
    work = 2 * len(images) * chapter["operations_per_image"](chapter["network"](images, settings))
    assert np.isclose(row["work"], work / 1e15)
    if quiet:
        assert np.isclose(row["share"], 100 * work / seconds / 200e9)


def test_a_row_has_no_limit_where_the_clock_was_not_read(chapter):
    chapter["clock"] = a_run(True, 80.0)
    assert chapter["limit_of"]({"clocks": 1 / 8}) == 10.0
    assert chapter["limit_of"]({"clocks": 1 / 8, "limit": 7}) == 7
    chapter["clock"] = a_run(False, 80.0)
    assert chapter["limit_of"]({"clocks": 1 / 8}) is None


def test_one_run_is_one_epoch_and_another_recipe_is_another_run(chapter, tmp_path, monkeypatch):
    """A run cannot be stopped half-way and resumed, and another recipe is another run."""
    import json

    trained = []

    class Asked:
        def predict(self, view, **_):
            return np.eye(10)[np.zeros(len(view), int)]

    def train():
        trained.append(1)
        return Asked(), [2.0, 1.0]

    monkeypatch.setenv("DATASETSLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DATASETSLIB_FINISHED", str(tmp_path / "units"))
    monkeypatch.setitem(chapter, "peaks", lambda: {"conv_float32": 1.0})
    monkeypatch.setitem(chapter, "lesson", [])
    test = np.zeros((3, 4, 4, 3), "uint8"), np.zeros(3, int)
    for rate in (0.1, 0.1, 0.2):
        history = chapter["unit"]("a run", train, test, {"rate": rate})
    assert len(trained) == 2 and len(history.epochs) == 1
    (log, _) = sorted((tmp_path / "units").glob("*.json"))
    kept = json.loads(log.read_text())["epochs"][0]
    assert kept["all_views"] == 1.0 and kept["loss"] == 1.0 and kept["conv_float32"] == 1.0
    assert kept["fit_seconds"] >= 0


def learned(chapter, images, **changes):
    """Train a small network to name the colour of a tint; return its accuracy on other images."""
    y = np.random.default_rng(4).integers(3, size=len(images))
    tinted = images.astype(int)
    tinted[np.arange(len(y)), :, :, y] += 50
    x = np.clip(tinted, 0, 255).astype("uint8")
    settings = {**chapter["recipe"], "widths": [8, 8], "epochs": 4, "batch_size": 20,
                "rate": 0.004, **changes}
    model, losses = chapter["fit"](x[:200], y[:200], 0, settings)
    assert losses[-1] < losses[0] and np.all(np.isfinite(losses))
    return chapter["accuracies"](model, x[200:], y[200:])["all_views"]


def test_the_recipe_learns(chapter, images):
    assert learned(chapter, images) > 0.6  # a guess has a third


@pytest.mark.long
@pytest.mark.parametrize("change", [
    {"precision": "mixed_bfloat16"}, {"whiten": False}, {"pool_first": False},
    {"schedule": "constant"}, {"average": 0.0}, {"side": 3, "stride": 2},
])
def test_each_part_can_be_taken_out(chapter, images, change):
    import keras

    assert learned(chapter, images, **change) > 0.5
    assert keras.config.dtype_policy().name == "float32"  # and the next network is not affected


def test_the_chapter_presumes_no_backend():
    modules = {name.name for node in ast.walk(TREE) if isinstance(node, ast.Import)
               for name in node.names}
    modules |= {node.module for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom)}
    assert "keras" in modules
    assert not {name.split(".")[0] for name in modules} & {"tensorflow", "jax", "torch"}
