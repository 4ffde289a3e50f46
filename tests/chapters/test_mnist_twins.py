"""Chapters 04 and 05 train one network: the same functions, the same logits and gradients."""

import ast
from pathlib import Path

import numpy as np
import pytest

from datasetslib import training

CHAPTERS = Path(__file__).parents[2] / "chapters"
SHARED = ["initial_weights", "lenet", "mean_loss", "make_step", "predict", "train"]


def functions(stem):
    """Return the functions that a chapter defines at the top of its cells, by name."""
    tree = ast.parse((CHAPTERS / f"{stem}.py").read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", SHARED)
def test_chapter_05_repeats_chapter_04_word_for_word(name):
    # Else the Adam runs of chapter 04 would be trained a second time in chapter 05.
    ours, theirs = (functions(stem)[name] for stem in ("04_mnist_tensorflow", "05_mnist_keras"))
    assert ast.unparse(ours) == ast.unparse(theirs)


@pytest.fixture(scope="module")
def chapter():
    """Return the functions of both chapters, executed."""
    import keras
    import tensorflow as tf

    nodes = [functions("04_mnist_tensorflow")[name] for name in SHARED]
    nodes.append(functions("05_mnist_keras")["build"])
    names = {"keras": keras, "layers": keras.layers, "np": np, "tf": tf, "training": training}
    exec(compile(ast.Module(nodes, []), "chapters", "exec"), names)
    return names


def relative_difference(a, b):
    """Return the norm of the difference over the norm of the second."""
    return np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(b)


@pytest.mark.parametrize("start", ["chapter 04", "Keras"])
def test_same_weights_same_logits_and_gradients(chapter, start):
    tf, keras = chapter["tf"], chapter["keras"]
    keras.utils.set_random_seed(0)
    model = chapter["build"](last=None)
    weights = chapter["initial_weights"](0)
    if start == "chapter 04":
        model.set_weights([variable.numpy() for variable in weights.values()])
    else:
        for variable, array in zip(weights.values(), model.get_weights(), strict=True):
            variable.assign(array)
    rng = np.random.default_rng(0)
    flat = rng.random((40, 784)).astype("float32")
    labels = rng.integers(0, 10, 40).astype("int32")
    images = flat.reshape(-1, 28, 28, 1)
    assert relative_difference(model(flat), chapter["lenet"](weights, images)) <= 1e-4

    with tf.GradientTape() as tape:
        loss = chapter["mean_loss"](weights, images, labels)
    ours = tape.gradient(loss, list(weights.values()))
    with tf.GradientTape() as tape:
        cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        loss = cross_entropy(labels, model(flat))
    theirs = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    assert len(ours) == len(theirs) == 8
    for a, b in zip(theirs, ours, strict=True):
        assert np.linalg.norm(b) > 0
        assert relative_difference(a, b) <= 1e-4


def test_parameters_are_counted_by_hand(chapter):
    counted = [layer.count_params() for layer in chapter["build"]().layers]
    assert [n for n in counted if n] == [544, 32_832, 3_212_288, 10_250]
    assert sum(counted) == 3_255_914
