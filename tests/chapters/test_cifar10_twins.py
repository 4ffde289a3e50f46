"""Chapters 06 and 07 train one network: the same logits and gradients from the same weights."""

import ast
from pathlib import Path

import numpy as np
import pytest

CHAPTERS = Path(__file__).parents[2] / "chapters"
COPIED = ["dropout", "convnet", "mean_loss"]


def functions(stem):
    """Return the functions that a chapter defines at the top of its cells, by name."""
    tree = ast.parse((CHAPTERS / f"{stem}.py").read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", COPIED)
def test_chapter_07_repeats_chapter_06_word_for_word(name):
    ours, theirs = (functions(stem)[name] for stem in ("06_cifar10_tensorflow", "07_cifar10_keras"))
    assert ast.unparse(ours) == ast.unparse(theirs)


@pytest.fixture(scope="module")
def chapter():
    """Return the functions of both chapters, executed."""
    import keras
    import tensorflow as tf

    theirs = functions("06_cifar10_tensorflow")
    nodes = [theirs[name] for name in ("initial_weights", *COPIED, "make_step", "as_keras")]
    nodes += [functions("07_cifar10_keras")[name] for name in ("build", "stop_early")]
    names = {"keras": keras, "layers": keras.layers, "np": np, "tf": tf, "precision": "float32",
             "xla": False, "learning_rate": 0.001}
    exec(compile(ast.Module(nodes, []), "chapters", "exec"), names)
    return names


def relative_difference(a, b):
    """Return the norm of the difference over the norm of the second."""
    return np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(b)


def images_and_labels():
    """Return a small batch of random images with labels."""
    rng = np.random.default_rng(0)
    return rng.random((20, 32, 32, 3)).astype("float32"), rng.integers(0, 10, 20).astype("int32")


@pytest.mark.parametrize("recipe", ["source", "keras"])
def test_same_weights_same_logits_and_gradients(chapter, recipe):
    tf, keras = chapter["tf"], chapter["keras"]
    model = chapter["build"](last=None)
    weights = chapter["initial_weights"](0, recipe)
    model.set_weights([variable.numpy() for variable in weights.values()])
    images, labels = images_and_labels()
    logits = chapter["convnet"](weights, images)
    assert relative_difference(model(images), logits) <= 1e-4
    assert relative_difference(chapter["as_keras"](weights)(images), logits) <= 1e-4

    with tf.GradientTape() as tape:
        loss = chapter["mean_loss"](weights, images, labels)
    ours = tape.gradient(loss, list(weights.values()))
    with tf.GradientTape() as tape:
        cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        loss = cross_entropy(labels, model(images))
    theirs = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    assert len(ours) == len(theirs) == 8
    for a, b in zip(theirs, ours, strict=True):
        assert np.linalg.norm(b) > 0
        assert relative_difference(a, b) <= 1e-4


def test_last_rung_takes_the_steps_of_keras_rmsprop(chapter):
    # The top of the ladder in chapter 06 is the Keras program only if its optimiser is, too.
    tf, keras = chapter["tf"], chapter["keras"]
    weights = chapter["initial_weights"](0, "keras")
    model = chapter["as_keras"](weights)
    optimizer = keras.optimizers.RMSprop(0.001)
    squares = [tf.Variable(tf.zeros(v.shape)) for v in weights.values()]
    step = chapter["make_step"](weights, squares, 1.0, 1e-7)
    images, labels = images_and_labels()
    start = model.get_weights()
    for _ in range(3):
        step(images, labels, tf.constant([0, 0]))
        with tf.GradientTape() as tape:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
                labels, model(images))
        variables = model.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, [v.value for v in variables]), variables, strict=True))
    for first, theirs, ours in zip(start, model.get_weights(), weights.values(), strict=True):
        assert np.abs(ours.numpy() - first).max() > 1e-4, "the steps have moved every variable"
        assert relative_difference(theirs, ours.numpy()) <= 1e-3


def test_dropout_keeps_the_share_and_the_mean_it_is_told_to(chapter):
    h = chapter["tf"].ones((1000, 100))
    thrown = chapter["dropout"](h, 0.8, (0, 1)).numpy()
    assert set(np.unique(thrown)) == {0.0, np.float32(1.25)}
    assert abs((thrown > 0).mean() - 0.8) < 0.01
    assert chapter["dropout"](h, 1.0, (0, 1)) is h


def test_early_stopping_rule_is_that_of_keras(chapter):
    keras = chapter["keras"]
    rng = np.random.default_rng(0)
    for patience in (1, 2, 3):
        losses = [float(loss) for loss in np.linspace(1, 0.9, 30) + 0.1 * rng.random(30)]
        callback = keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.stop_training = False  # as fit() sets it
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, loss in enumerate(losses):
            callback.on_epoch_end(epoch, {"val_loss": loss})
            if model.stop_training:
                break
        assert chapter["stop_early"](losses, patience) == (epoch + 1, callback.best_epoch + 1)


def test_parameters_are_counted_by_hand(chapter):
    counted = [layer.count_params() for layer in chapter["build"]().layers]
    assert [n for n in counted if n] == [1_568, 32_832, 4_195_328, 10_250]
    assert sum(counted) == 4_239_978
    ours = chapter["initial_weights"](0, "source").values()
    assert sum(int(np.prod(variable.shape)) for variable in ours) == 4_239_978
