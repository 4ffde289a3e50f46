"""Assignment 03: its reference, in NumPy, agrees with TensorFlow and with Keras's Adam."""

import ast

import keras
import numpy as np
import pytest
import tensorflow as tf

from tools.grading import compare, definition

FILE = definition.ASSIGNMENTS / "03_lenet_step" / "checks.py"
checks = definition._module(FILE)
VARIANTS = [checks.VARIANT, *(checks.private(np.random.default_rng(seed)) for seed in range(5))]
BATCHES = [checks.tiny(), *(batch for variant in VARIANTS for batch in checks.batches(variant))]
each_batch = pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: str(batch[1].shape))


def network(w, images):
    h = tf.nn.relu(tf.nn.conv2d(images, w["conv1_kernel"], 1, "SAME") + w["conv1_bias"])
    h = tf.nn.max_pool2d(h, 2, 2, "SAME")
    h = tf.nn.relu(tf.nn.conv2d(h, w["conv2_kernel"], 1, "SAME") + w["conv2_bias"])
    h = tf.nn.max_pool2d(h, 2, 2, "SAME")
    h = tf.nn.relu(tf.reshape(h, [len(images), -1]) @ w["dense1_kernel"] + w["dense1_bias"])
    return h @ w["dense2_kernel"] + w["dense2_bias"]


def by_tape(weights, images, labels):
    """Return the logits, the loss and its gradients, as TensorFlow has them."""
    variables = {name: tf.Variable(array) for name, array in weights.items()}
    with tf.GradientTape() as tape:
        logits = network(variables, images)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    slopes = tape.gradient(loss, variables)
    return logits.numpy(), float(loss), {name: slope.numpy() for name, slope in slopes.items()}


def near(one, other):
    assert np.shape(one) == np.shape(other)
    assert np.linalg.norm(np.subtract(one, other)) <= 1e-5 * max(np.linalg.norm(one), 1e-6)


@each_batch
def test_forward_loss_and_gradients(batch):
    logits, loss, slopes = by_tape(*batch)
    near(checks.passed(*batch[:2])["logits"], logits)
    near(checks.loss(*batch), loss)
    found = checks.slopes(*batch)
    assert set(found) == set(slopes) == set(batch[0])
    for name, slope in slopes.items():
        near(found[name], slope)
    assert all(np.abs(found[f"{layer}_kernel"]).max() > 1e-3 for layer in ("conv1", "dense2"))


@each_batch
def test_large_logits(batch):
    weights, images, labels = batch
    weights = {**weights, "dense2_kernel": 500 * weights["dense2_kernel"]}
    near(checks.loss(weights, images, labels), by_tape(weights, images, labels)[1])


@each_batch
def test_gradient_descent_is_that_of_keras(batch):
    weights, images, labels = batch
    variables = {name: tf.Variable(array) for name, array in weights.items()}
    slopes = by_tape(*batch)[2]
    keras.optimizers.SGD(0.4).apply_gradients([(slopes[name], variables[name]) for name in weights])
    for name, array in checks.descended(weights, images, labels, 0.4).items():
        near(array, variables[name].numpy())


@pytest.mark.parametrize("batch", BATCHES[:4], ids=lambda batch: str(batch[1].shape))
def test_adam_is_that_of_keras(batch):
    weights, images, labels = batch
    variables = {name: tf.Variable(array) for name, array in weights.items()}
    optimizer = keras.optimizers.Adam(0.02)
    m = v = {name: np.zeros_like(array) for name, array in weights.items()}
    for t in range(1, 5):
        slopes = by_tape({name: each.numpy() for name, each in variables.items()}, *batch[1:])[2]
        optimizer.apply_gradients([(slopes[name], variables[name]) for name in weights])
        weights, m, v = checks.adam(weights, m, v, t, images, labels, 0.02)
    for name, array in weights.items():
        assert np.linalg.norm(array - variables[name]) <= 1e-4 * np.linalg.norm(array), name


def test_the_epsilon_of_the_paper_is_told_apart_in_the_open():
    # The paper adds epsilon to the root of the corrected mean. The text says that Keras does not;
    # who overlooks it must learn it from the public case.
    case, *_ = definition.load("03_lenet_step").questions[4].cases
    assert case.public
    weights, m, v, t, *batch, rate = case.args
    slopes, moved = checks.slopes(weights, *batch), {}
    m = {name: 0.9 * m[name] + 0.1 * slopes[name] for name in m}
    v = {name: 0.999 * v[name] + 0.001 * slopes[name] ** 2 for name in v}
    for epsilon, right in ((1e-7 / np.sqrt(1 - 0.999**t), True), (1e-7, False)):
        for name in weights:
            root = np.sqrt(v[name] / (1 - 0.999**t))
            moved[name] = weights[name] - rate * m[name] / (1 - 0.9**t) / (root + epsilon)
        try:
            compare.judge(case, (moved, m, v))
        except compare.WrongError:
            assert not right
        else:
            assert right


@each_batch
def test_no_number_lies_at_a_kink(batch):
    assert checks.margin(*batch[:2]) > checks.MARGIN


def test_a_kink_is_found():
    weights, images, _ = checks.tiny()
    dark = {**weights, "conv1_kernel": 0 * weights["conv1_kernel"]}
    assert checks.margin({**dark, "conv1_bias": np.float32([0, 1])}, images) == 0
    # One bias everywhere: all maxima of the first pooling tie.
    assert checks.margin({**dark, "conv1_bias": np.float32([1, 1])}, images) == 0


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "")
def test_odd_and_even_sides_are_asked(variant):
    sides = [shape[:2] for _, shape, *_ in variant["networks"]]
    # Odd, and halved once odd again: each of both poolings meets a remainder.
    assert any(side % 2 for pair in sides for side in pair)
    assert any(-(-side // 2) % 2 for pair in sides for side in pair)
    assert any(tall != wide for tall, wide in sides)
    checks.questions(variant)


def test_the_reference_needs_numpy_alone():
    imported = [node for node in ast.walk(ast.parse(FILE.read_text()))
                if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {(getattr(node, "module", None) or node.names[0].name).split(".")[0]
            for node in imported} == {"numpy"}
