"""Assignment 02: its reference agrees with Keras, and its judge of designs is not fooled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tools.grading import definition, master

checks = definition._module(definition.ASSIGNMENTS / "02_shapes" / "checks.py")
VARIANTS = [checks.VARIANT, *(checks.private(np.random.default_rng(seed)) for seed in range(8))]
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "")


def as_keras(note):
    sliding = {"strides": note.get("stride"), "padding": note.get("padding")}
    match note["kind"]:
        case "conv":
            return keras.layers.Conv2D(note["kernels"], note["kernel"], **sliding,
                                       dilation_rate=note["dilation"])
        case "depthwise":
            return keras.layers.DepthwiseConv2D(note["kernel"], **sliding,
                                                dilation_rate=note["dilation"])
        case "pool":
            return keras.layers.MaxPooling2D(note["kernel"], **sliding)
        case "flatten":
            return keras.layers.Flatten()
        case "dense":
            return keras.layers.Dense(note["units"])


def worked(layer):
    """Return the multiply-adds: each output, times the weights of one output."""
    if not layer.weights:
        return 0
    kernel = layer.kernel.shape
    one = kernel[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else kernel[:-1]
    return int(np.prod(layer.output.shape[1:]) * np.prod(one))


@each_variant
def test_each_layer_is_as_in_keras(variant):
    for note, shape in variant["layers"]:
        model = keras.Sequential([keras.Input(shape), as_keras(note)])
        layer = model.layers[0]
        assert checks.made(note, shape) == layer.output.shape[1:], (note, shape)
        assert checks.stored(note, shape) == layer.count_params(), (note, shape)
        assert checks.done(note, shape) == worked(layer), (note, shape)


@each_variant
def test_each_network_is_as_in_keras(variant):
    for notes, shape in [*variant["networks"], (checks.NETWORK, checks.PHOTOGRAPH)]:
        model = keras.Sequential([keras.Input(shape), *map(as_keras, notes)])
        assert checks.both(notes, shape) == (model.count_params(), sum(map(worked, model.layers)))


@each_variant
def test_each_receptive_field_is_what_the_gradient_reaches(variant):
    for notes in [*([note for note in notes if "kernel" in note]
                    for notes, _ in variant["networks"]), *variant["stacks"]]:
        x = y = tf.ones((1, 120, 110, 1))
        with tf.GradientTape() as tape:
            tape.watch(x)
            for note in notes:
                # A mean of one channel has a way wherever a layer has one. TensorFlow's gradient
                # knows no dilation on a CPU, so the kernel is spread out instead.
                d = note["dilation"]
                kernel = np.zeros([(k - 1) * d + 1 for k in note["kernel"]], "float32")
                kernel[::d, ::d] = 1 / np.prod(note["kernel"])
                y = tf.nn.conv2d(y, kernel[:, :, None, None], note["stride"],
                                 note["padding"].upper())
            middle = y[0, y.shape[1] // 2, y.shape[2] // 2, 0]
        reached = np.nonzero(tape.gradient(middle, x).numpy()[0, :, :, 0])
        assert checks.seen(notes) == tuple(int(np.ptp(axis)) + 1 for axis in reached), notes


def test_the_text_shows_the_network_that_is_asked_about():
    names = {}
    for cell in master.read(definition.load("02_shapes")):
        if cell.kind == "code" and cell.question is None:
            exec(compile(cell.source, "cell", "exec"), names)
    assert names["network"] == checks.NETWORK
    for maker, given in (("conv", (4, (3, 5), 2, "valid", 3)), ("flatten", ()), ("dense", (9,)),
                         ("depthwise", ((3, 5), 2, "valid", 3)), ("pool", ((3, 5), 3, "same"))):
        assert names[maker](*given) == getattr(checks, maker)(*given)
    assert (names["conv"](4, (3, 5)), names["depthwise"]((3, 5)), names["pool"]((3, 5))) == (
        checks.conv(4, (3, 5)), checks.depthwise((3, 5)), checks.pool((3, 5)))


@each_variant
def test_designs_keep_within_what_the_text_promises(variant):
    for shape, budget, field in variant["designs"]:
        assert min(shape[:2]) >= 24 and 8 <= field <= 24 and budget >= 4000


HEAD = [checks.flatten(), checks.dense(10)]
BLOCK = [checks.conv(16, (3, 3)), checks.pool((2, 2))]


def test_a_design_that_fits():
    # 448 + 2 x 2,320 + 2,570 parameters; 22 pixels.
    fits = {"shape": (32, 32, 3), "budget": 10_000, "field": 15}
    assert checks.fits(3 * BLOCK + HEAD, **fits) is None
    for change in ({"budget": 7_000}, {"budget": 16_000}, {"field": 23}, {"field": 10}):
        assert checks.fits(3 * BLOCK + HEAD, **{**fits, **change})


@pytest.mark.parametrize("design, complaint", [
    (HEAD, "nothing before"),
    (3 * BLOCK, "end with"),
    ([*BLOCK, checks.flatten(), checks.dense(11)], "end with"),
    ([*BLOCK, checks.dense(30), *HEAD], "dense does not"),
    ([checks.conv(4, (3, 4)), *HEAD], "larger than 3"),
    ([checks.pool((2, 15)), *HEAD], "larger than 3"),
    ([checks.conv(4, (3, 3), 1, "full"), *HEAD], "same or valid"),
    (6 * [checks.pool((2, 2))] + HEAD, "no place"),
    # Counts that would come out small again if they overflowed.
    ([checks.conv(2**62, (3, 3)), *3 * [checks.pool((2, 2))], *HEAD], "parameters"),
])
def test_a_design_that_does_not(design, complaint):
    assert complaint in checks.fits(design, shape=(32, 32, 3), budget=10_000, field=8)


@pytest.mark.parametrize("entry", [
    {"kind": "conv"}, {**checks.conv(4, (3, 3)), "stride": 0}, {**checks.conv(-4, (3, 3))},
    {**checks.conv(1.5, (3, 3))}, {**checks.conv(4, (3, 3)), "kernel": 3}, 7, None,
])
def test_what_is_no_layer_is_refused(entry):
    with pytest.raises((ValueError, TypeError, KeyError)):
        checks.fits([entry, *HEAD], shape=(32, 32, 3), budget=10_000, field=8)
