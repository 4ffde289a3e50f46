"""Chapter 09: the layer table to the last parameter, and augmentation in training only."""

import ast
import importlib.util
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from datasetslib import plots, training

SOURCE = Path(__file__).parents[2] / "chapters" / "09_augmentation.py"
STATED = [896, 9_248, 9_248, 13_872, 20_784, 34_640, *[57_680] * 4, 92_288, *[147_584] * 4,
          64_500, 5_010]
SHAPES = [*[(32, 32, 32)] * 3, *[(32, 32, 48)] * 2, *[(16, 16, 80)] * 5, *[(8, 8, 128)] * 5,
          (500,), (10,)]
TREE = ast.parse(SOURCE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def chapter():
    """Return the functions of the chapter that make the network, and its schedules, executed."""
    import keras

    wanted = {"augmentation", "block", "build", "compiled", "drawing"}
    nodes = [node for node in TREE.body
             if isinstance(node, ast.FunctionDef) and node.name in wanted
             or isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "schedules"]
    names = {"keras": keras, "layers": keras.layers, "training": training, "np": np,
             "x_train": np.zeros((300, 32, 32, 3), "float32"), "schedule": "short", "xla": "auto",
             "importlib": importlib, "shutil": shutil, "plots": plots, "Path": Path,
             "TemporaryDirectory": tempfile.TemporaryDirectory}
    exec(compile(ast.Module(nodes, []), "chapter 09", "exec"), names)
    return names


def test_the_layers_have_the_stated_parameters_and_shapes(chapter):
    model = chapter["build"]()
    counted = [layer for layer in model.layers if layer.count_params()]
    assert [layer.count_params() for layer in counted] == STATED
    assert [tuple(layer.output.shape[1:]) for layer in counted] == SHAPES
    assert sum(STATED) == model.count_params() == 1_071_542


def test_augmentation_adds_no_parameters_and_leaves_the_weights_as_they_are(chapter):
    plain, augmented = (chapter["compiled"](path, 3) for path in ("plain", "augmented"))
    assert augmented.count_params() == 1_071_542
    for a, b in zip(plain.get_weights(), augmented.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("missing", ["dot", "pydot"])
def test_without_graphviz_a_drawing_of_ours_and_one_line_how_to_get_the_other(
        chapter, missing, monkeypatch, capsys):
    import keras

    def unwanted(*args, **kwargs):
        raise AssertionError("Graphviz was asked to draw")

    monkeypatch.setattr(keras.utils, "plot_model", unwanted)
    monkeypatch.setattr(shutil, "which", lambda name: None if missing == "dot" else f"/bin/{name}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if missing == "pydot" else 1)
    figure = chapter["drawing"](chapter["build"]())
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "pip install pydot" in said and "install Graphviz" in said
    drawn = " ".join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert drawn.count("conv") == 15 and drawn.count("dense") == 2


def test_with_graphviz_it_draws(chapter, monkeypatch):
    import keras

    monkeypatch.setattr(keras.utils, "plot_model", lambda model, file, **how: file.name)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: 1)
    assert chapter["drawing"](chapter["build"]()) == "model.png"


def test_augmentation_acts_in_training_only_and_keeps_to_its_limits(chapter):
    import keras

    layers = chapter["augmentation"](0.2, 10)
    assert [type(layer).__name__ for layer in layers] == [
        "RandomTranslation", "RandomRotation", "RandomFlip"]
    front = keras.Sequential(layers)
    images = np.random.default_rng(0).random((8, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(front(images, training=False)), images)
    drawn = np.asarray(front(images, training=True))
    assert (np.abs(drawn - images).max(axis=(1, 2, 3)) > 0.01).all()
    assert drawn.min() >= 0 and drawn.max() <= 1 + 1e-6
    assert len(chapter["augmentation"](0.1, 0)) == 2, "the milder variant does not turn"

    dot = np.zeros((200, 32, 32, 1), "float32")
    dot[:, 15:17, 15:17] = 1
    moved = np.asarray(keras.Sequential([layers[0]])(dot, training=True))[..., 0]
    rows = np.array([np.average(np.arange(32), weights=image.sum(axis=1)) for image in moved])
    assert 5 < np.abs(rows - 15.5).max() <= 0.2 * 32 + 0.01


def test_the_source_s_schedule_is_the_stated_one(chapter):
    assert chapter["schedules"]["source"] == {
        "rate": 0.0001, "cosine": False, "plain": (128, 600), "augmented": (32, 1600)}


def test_the_rate_climbs_for_an_epoch_and_ends_at_zero(chapter):
    model = chapter["compiled"]("plain", 0)
    (batch_size, n_epochs), plan = chapter["schedules"]["short"]["plain"], chapter["schedules"]
    an_epoch = -(-300 // batch_size)
    rate = model.optimizer._learning_rate
    rates = [float(rate(step)) for step in range(n_epochs * an_epoch + 1)]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0, abs=1e-9)
    assert max(rates) == pytest.approx(plan["short"]["rate"]) and np.argmax(rates) == an_epoch


def test_what_trains_needs_no_tensorflow():
    """The long runs use whichever backend their machine has."""
    imported = [alias.name for node in ast.walk(TREE) if isinstance(node, ast.Import)
                for alias in node.names]
    assert not any(name.startswith("tensorflow") for name in imported)
    assert not any(isinstance(node, ast.Name) and node.id == "tf" for node in ast.walk(TREE))
