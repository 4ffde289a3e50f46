"""The shape calculator: its arithmetic against Keras and by brute force, and its controls."""

import os
import random
import re

import numpy as np
import pytest

from tests.browser.notebooks import printed
from tests.browser.reader import come_near

N_STACKS = 40
PAGE = "chapters/03_lenet.html"

#: The presets, layer by layer, as the course states them: output shape and parameters.
STATED = {
    "lenet": [
        ((28, 28, 1), 0), ((28, 28, 32), 544), ((14, 14, 32), 0), ((14, 14, 64), 32_832),
        ((7, 7, 64), 0), ((3136,), 0), ((1024,), 3_212_288), ((10,), 10_250),
    ],
    "cifar": [
        ((32, 32, 3), 0), ((32, 32, 32), 1_568), ((16, 16, 32), 0), ((16, 16, 32), 0),
        ((16, 16, 64), 32_832), ((8, 8, 64), 0), ((8, 8, 64), 0), ((4096,), 0),
        ((1024,), 4_195_328), ((1024,), 0), ((10,), 10_250),
    ],
    "six": [
        ((32, 32, 3), 0), ((32, 32, 32), 896), ((32, 32, 32), 9_248), ((16, 16, 32), 0),
        ((16, 16, 64), 18_496), ((16, 16, 64), 36_928), ((8, 8, 64), 0), ((8, 8, 128), 73_856),
        ((8, 8, 128), 147_584), ((8192,), 0), ((8192,), 0), ((512,), 4_194_816), ((512,), 0),
        ((10,), 5_130),
    ],
    "fifteen": [
        ((32, 32, 3), 0), ((32, 32, 32), 896), ((32, 32, 32), 9_248), ((32, 32, 32), 9_248),
        ((32, 32, 48), 13_872), ((32, 32, 48), 20_784), ((16, 16, 48), 0), ((16, 16, 48), 0),
        ((16, 16, 80), 34_640), *[((16, 16, 80), 57_680)] * 4, ((8, 8, 80), 0), ((8, 8, 80), 0),
        ((8, 8, 128), 92_288), *[((8, 8, 128), 147_584)] * 4, ((128,), 0), ((128,), 0),
        ((500,), 64_500), ((500,), 0), ((10,), 5_010),
    ],
}
TOTALS = {"lenet": 3_255_914, "cifar": 4_239_978, "six": 4_486_954, "fifteen": 1_071_542}


# --- stacks, and what Keras makes of them ------------------------------------------------


def random_stack(rng):
    """Return layers as the explorer has them: mostly possible, now and then not."""
    padding = ["same", "valid"]

    def kernel():
        strides, dilation = rng.choice([(1, 1), (1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
        return {
            "size": rng.randint(1, 5), "strides": strides, "dilation": dilation,
            "padding": rng.choice(padding), "bias": rng.random() < 0.7,
            "activation": rng.choice(["linear", "relu", "tanh"]),
        }

    def region():
        return {
            "size": rng.randint(1, 4), "strides": rng.choice([None, 1, 2, 3]),
            "padding": rng.choice(padding),
        }

    def dense():
        return {
            "kind": "dense", "units": rng.randint(1, 40), "bias": rng.random() < 0.7,
            "activation": rng.choice(["linear", "relu", "softmax"]),
        }

    anywhere = [
        lambda: {"kind": "batchnorm"},
        lambda: {"kind": "dropout", "rate": rng.choice([0, 0.2, 0.5])},
        lambda: {"kind": "activation", "activation": rng.choice(["relu", "sigmoid", "softmax"])},
        dense,
    ]
    on_maps = [
        lambda: {"kind": "conv", "kernels": rng.randint(1, 12), **kernel()},
        lambda: {"kind": "conv", "kernels": rng.randint(1, 12), **kernel()},
        lambda: {"kind": "depthwise", "multiplier": rng.randint(1, 3), **kernel()},
        lambda: {"kind": "maxpool", **region()}, lambda: {"kind": "avgpool", **region()},
    ]
    layers = [{
        "kind": "input", "height": rng.randint(6, 40), "width": rng.randint(6, 40),
        "channels": rng.randint(1, 4),
    }]
    for _ in range(rng.randint(1, 7)):
        layers.append(rng.choice(on_maps * 2 + anywhere)())
    if rng.random() < 0.8:
        layers.append({"kind": rng.choice(["flatten", "globalmax", "globalavg"])})
        layers += [rng.choice(anywhere)() for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.1:
        layers.append(on_maps[0]())
    return layers


def keras_layer(keras, layer):
    """Make the Keras layer that a layer of the explorer stands for."""
    make = keras.layers
    kind = layer["kind"]
    if kind in {"conv", "depthwise"}:
        options = {
            "strides": layer["strides"], "dilation_rate": layer["dilation"],
            "padding": layer["padding"], "activation": layer["activation"],
            "use_bias": layer["bias"],
        }
        if kind == "conv":
            return make.Conv2D(layer["kernels"], layer["size"], **options)
        return make.DepthwiseConv2D(
            layer["size"], depth_multiplier=layer["multiplier"], **options
        )
    if kind in {"maxpool", "avgpool"}:
        cls = make.MaxPooling2D if kind == "maxpool" else make.AveragePooling2D
        return cls(layer["size"], strides=layer["strides"], padding=layer["padding"])
    if kind == "dense":
        return make.Dense(
            layer["units"], activation=layer["activation"], use_bias=layer["bias"]
        )
    if kind == "dropout":
        return make.Dropout(layer["rate"])
    if kind == "activation":
        return make.Activation(layer["activation"])
    return {
        "globalmax": make.GlobalMaxPooling2D, "globalavg": make.GlobalAveragePooling2D,
        "batchnorm": make.BatchNormalization, "flatten": make.Flatten,
    }[kind]()


def keras_table(keras, layers):
    """
    Build a stack in Keras, layer by layer, as far as Keras goes along.

    Returns
    -------
    rows : list of dict
        For each layer that could be built its shape, trainable and other parameters, multiply-adds.
    """
    first = layers[0]
    x = keras.Input((first["height"], first["width"], first["channels"]))
    rows = [{"shape": list(x.shape[1:]), "trainable": 0, "fixed": 0, "multiplyAdds": 0}]
    for layer in layers[1:]:
        try:
            made = keras_layer(keras, layer)
            x = made(x)
        except ValueError:
            break
        trainable = sum(int(np.prod(weight.shape)) for weight in made.trainable_weights)
        # A kernel is applied once at each place of the output but the last axis.
        kernel = getattr(made, "kernel", None)
        work = 0 if kernel is None else int(np.prod(kernel.shape))
        rows.append({
            "shape": list(x.shape[1:]), "trainable": trainable,
            "fixed": made.count_params() - trainable,
            "multiplyAdds": work * int(np.prod(x.shape[1:-1])),
        })
    return rows


@pytest.fixture(scope="session")
def keras():
    """Keras, imported once; it says nothing of the machine's instructions meanwhile."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    return keras


@pytest.fixture(scope="session")
def stacks(keras):
    """Random stacks with what Keras counts for each of their layers."""
    rng = random.Random(20)
    found = [random_stack(rng) for _ in range(N_STACKS)]
    return [(layers, keras_table(keras, layers)) for layers in found]


@pytest.fixture
def explorer(page, site):
    """The page with the explorer, and the explorer in it."""
    page.goto(site + PAGE)
    place = come_near(page, "#explorer-shapes")
    place.locator(".x-s-open").first.wait_for()
    return place


def analyse(explorer, layers):
    """Ask the explorer's arithmetic."""
    return explorer.evaluate("(_, layers) => window.course.shapesMath.analyse(layers)", layers)


# --- the arithmetic ----------------------------------------------------------------------


def test_shapes_parameters_and_work_are_those_of_keras(explorer, stacks):
    refused = whole = 0
    for layers, rows in stacks:
        found = analyse(explorer, layers)
        for layer, expected, counted in zip(layers, rows, found["layers"], strict=False):
            assert {key: counted.get(key) for key in expected} == expected, (layer, layers)
        # What Keras refuses is refused at the same layer, and nothing else is.
        assert found["totals"]["counted"] == len(rows), layers
        assert found["totals"]["broken"] == (None if len(rows) == len(layers) else len(rows))
        for key in ("trainable", "fixed", "multiplyAdds"):
            assert found["totals"][key] == sum(row[key] for row in rows)
        refused += len(rows) < len(layers)
        whole += len(rows) == len(layers)
    assert refused >= 3
    assert whole >= 24


@pytest.mark.parametrize("name", sorted(STATED))
def test_the_presets_are_the_networks_of_the_course(explorer, keras, name):
    layers = explorer.evaluate("(_, n) => window.course.shapesMath.PRESETS[n].make()", name)
    found = analyse(explorer, layers)
    rows = [(tuple(row["shape"]), row["parameters"]) for row in found["layers"]]
    assert rows == STATED[name]
    assert found["totals"]["parameters"] == TOTALS[name]
    code = explorer.evaluate("(_, l) => window.course.shapesMath.kerasCode(l)", layers)
    model = run(keras, code)
    assert model.count_params() == TOTALS[name]
    assert [tuple(layer.output.shape[1:]) for layer in model.layers] == [r[0] for r in rows[1:]]


def test_lenet_is_counted_as_the_stored_notebook_counted_it(explorer):
    layers = explorer.evaluate("() => window.course.shapesMath.PRESETS.lenet.make()")
    found = analyse(explorer, layers)["layers"][1:]

    def numbers(code, pattern):
        return [int(number.replace(",", "")) for number in
                re.findall(pattern, printed("03_lenet", code))]

    assert [row["parameters"] for row in found] == numbers(
        "counted = layer.count_params()", r"([\d,]+)  (?:agrees|the sheet)")
    *work, total = numbers("for name, multiply_adds in work.items()", r" {2,}([\d,]+)(?: {2,}|\n)")
    assert [row["multiplyAdds"] for row in found if row["multiplyAdds"]] == work
    assert sum(work) == total
    sees = numbers("r, j = 1, 1", r"sees +(\d+) x")
    jumps = numbers("r, j = 1, 1", r"are (\d+) pixels apart")
    assert [row["field"] for row in found[:4]] == [[side, side] for side in sees]
    assert [row["jump"] for row in found[:4]] == jumps


def run(keras, code):
    """Run code that the explorer wrote, without the summary it prints, and return the model."""
    assert code.count("model.summary()") == 1
    space = {}
    exec(code.replace("model.summary()", ""), space)  # noqa: S102, the reader will run it too
    assert isinstance(space["model"], keras.Sequential)
    return space["model"]


def test_the_code_says_what_the_stack_is(explorer, keras, stacks):
    def settings(layer):
        found = layer.get_config()
        del found["name"]
        return type(layer).__name__, found

    chosen = [layers for layers, rows in stacks if len(rows) == len(layers) > 3][:12]
    for layers in chosen:
        code = explorer.evaluate("(_, l) => window.course.shapesMath.kerasCode(l)", layers)
        written = [settings(layer) for layer in run(keras, code).layers]
        assert written == [settings(keras_layer(keras, layer)) for layer in layers[1:]]


def seen(layers, n):
    """
    Find by trying which input positions each value of the last map depends on, along one axis.

    Returns
    -------
    numpy.ndarray
        One row for each output position, one column for each position of the input and of a wide
        border around it, where the padding lies. Truth values.
    """
    border = 400
    sees = np.eye(n + 2 * border, dtype=bool)[border : border + n]
    # What lies in the padding of a later layer sees what its neighbours see, further on.
    jump = 1
    for layer in layers:
        if "size" not in layer:
            continue
        size, dilation = layer["size"], layer.get("dilation", 1)
        stride = layer["strides"] or size
        rows, at = [], 0
        reach = (size - 1) * dilation
        if layer["padding"] == "same":
            places = -(-len(sees) // stride)
            total = max(0, (places - 1) * stride + reach + 1 - len(sees))
            at = -(total // 2)
        else:
            places = len(range(0, len(sees) - reach, stride))
        for _ in range(places):
            taps = [at + k * dilation for k in range(size)]
            rows.append(np.any([
                sees[t] if 0 <= t < len(sees)
                else np.roll(sees[0], t * jump) for t in taps
            ], axis=0))
            at += stride
        sees = np.array(rows)
        jump *= stride
    return sees, border


def test_the_receptive_field_is_what_trying_finds(explorer):
    rng = random.Random(4)
    compared = 0
    for _ in range(60):
        layers = [
            {"kind": "input", "height": 40, "width": 31, "channels": 1},
            *(layer for layer in random_stack(rng) if "size" in layer),
        ]
        found = analyse(explorer, layers)
        if found["totals"]["broken"] is not None or len(layers) < 2:
            continue
        last = found["layers"][-1]
        for axis, n in enumerate((40, 31)):
            sees, border = seen(layers[1:], n)
            assert last["shape"][axis] == len(sees)
            for i, row in enumerate(sees):
                inside = np.flatnonzero(row)
                assert inside[-1] - inside[0] + 1 == last["field"][axis], layers
                assert inside[0] - border == last["start"][axis] + i * last["jump"], layers
            compared += 1
    assert compared >= 40


def test_the_receptive_field_is_where_the_gradient_flows(explorer, keras):
    import tensorflow as tf

    for name, last, places in (("lenet", 4, (3, 3)), ("six", 8, (4, 4)), ("lenet", 3, (7, 8))):
        layers = explorer.evaluate("(_, n) => window.course.shapesMath.PRESETS[n].make()", name)
        layers = layers[: last + 1]
        found = analyse(explorer, layers)["layers"][-1]
        first = layers[0]
        stack = []
        for layer in layers[1:]:
            # Averages let the gradient through everywhere, where a maximum would pick one cell.
            kind = "avgpool" if layer["kind"] == "maxpool" else layer["kind"]
            made = {**layer, "kind": kind}
            if kind == "conv":
                made |= {"activation": "linear", "kernels": 1}
            stack.append(keras_layer(keras, made))
        model = keras.Sequential(
            [keras.Input((first["height"], first["width"], first["channels"])), *stack]
        )
        for weight in model.weights:
            weight.assign(np.ones(weight.shape))
        image = tf.zeros((1, *model.input_shape[1:]))
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = tf.reduce_sum(model(image)[0, places[0], places[1]])
        flows = tape.gradient(value, image).numpy()[0].any(axis=-1)
        for axis in (0, 1):
            lit = np.flatnonzero(flows.any(axis=1 - axis))
            start = found["start"][axis] + places[axis] * found["jump"]
            n = flows.shape[axis]
            assert lit[0] == max(0, start)
            assert lit[-1] == min(n - 1, start + found["field"][axis] - 1)


def test_what_a_row_of_numbers_sees_is_cut_off_at_the_edges(explorer):
    layers = [
        {"kind": "input", "height": 10, "width": 28, "channels": 1},
        {"kind": "maxpool", "size": 4, "strides": None, "padding": "valid"},
        {"kind": "flatten"}, {"kind": "dense", "units": 3, "activation": "linear", "bias": True},
    ]
    rows = analyse(explorer, layers)["layers"]
    assert [row["field"] for row in rows] == [[1, 1], [4, 4], [4, 4], [8, 28]]
    assert [row["jump"] for row in rows] == [1, 4, None, None]


# --- the controls ------------------------------------------------------------------------


def text(explorer, row, column):
    """Return what a cell says: the row by its number, the column by its place."""
    return explorer.locator(f".x-s-body .x-s-row >> nth={row}").locator(
        f".x-s-c{column} .x-s-value"
    ).inner_text()


def total(explorer):
    return explorer.locator(".x-s-foot .x-s-c3 .x-s-value").inner_text()


def names(explorer):
    return explorer.locator(".x-s-name").all_inner_texts()


def open_layer(explorer, number):
    explorer.locator(".x-s-open").nth(number).click()


def press(explorer, name):
    explorer.get_by_role("button", name=name, exact=True).click()


def test_it_opens_with_lenet(explorer):
    assert total(explorer) == "3,255,914"
    assert [text(explorer, k, 3) for k in (1, 3, 6, 7)] == [
        "544", "32,832", "3,212,288", "10,250"]
    assert [text(explorer, k, 2) for k in (1, 4, 5)] == ["28 × 28 × 32", "7 × 7 × 64", "3,136"]
    assert text(explorer, 4, 5) == "13 × 13"
    assert explorer.locator(".x-s-foot .x-s-c4 .x-s-value").inner_text() == "10,045,440"
    bars = explorer.locator(".x-s-bar")
    assert "layer 6, dense, 98.7 %" in bars.nth(0).get_attribute("aria-label")
    assert "layer 3, convolution, 63.9 %" in bars.nth(1).get_attribute("aria-label")


def test_the_bars_are_to_scale(explorer):
    bar = explorer.locator(".x-s-bar").nth(1)
    wide = bar.bounding_box()["width"]
    parts = [part.bounding_box()["width"] / wide for part in bar.locator(".x-s-part").all()]
    work = np.array([401_408, 6_422_528, 3_211_264, 10_240]) / 10_045_440
    assert np.allclose(parts, work, atol=0.005)


def test_the_presets_can_be_chosen(explorer):
    for label, number in (
        ("ConvNet, CIFAR-10", "4,239,978"), ("Six convolutions", "4,486,954"),
        ("Fifteen convolutions", "1,071,542"), ("LeNet, MNIST", "3,255,914"),
    ):
        explorer.get_by_text(label, exact=True).click()
        assert total(explorer) == number


def test_the_answers_of_the_chapter(explorer):
    for number in (1, 3):
        open_layer(explorer, number)
        explorer.get_by_label("Padding").select_option("valid")
    assert total(explorer) == "1,093,226"
    explorer.get_by_text("LeNet, MNIST", exact=True).click()
    open_layer(explorer, 4)
    press(explorer, "Remove")
    assert text(explorer, 5, 3) == "12,846,080"
    press(explorer, "Undo")
    assert total(explorer) == "3,255,914"
    open_layer(explorer, 3)
    press(explorer, "Move up")
    assert names(explorer)[1:4] == ["Convolution", "Convolution", "Max pooling"]
    assert text(explorer, 4, 5) == "10 × 10"
    assert text(explorer, 2, 4) == "25,690,112"


def test_fields_change_the_numbers(explorer):
    open_layer(explorer, 1)
    explorer.get_by_label("Stride").fill("2")
    assert text(explorer, 1, 2) == "14 × 14 × 32"
    assert total(explorer) == "634,474"
    explorer.get_by_role("switch", name="Bias").click()
    assert text(explorer, 1, 3) == "512"
    open_layer(explorer, 6)
    explorer.get_by_label("Units").fill("1,000")
    assert text(explorer, 6, 2) == "1,000"
    # Emptied, the stride of a pooling is its size again.
    open_layer(explorer, 2)
    explorer.get_by_label("Stride").fill("1")
    assert text(explorer, 2, 2) == "13 × 13 × 32"
    explorer.get_by_label("Stride").fill("")
    assert text(explorer, 2, 2) == "7 × 7 × 32"


def test_batch_normalisation_trains_half_of_its_parameters(explorer):
    open_layer(explorer, 1)
    explorer.get_by_label("Add below layer 1").select_option("batchnorm")
    press(explorer, "Add layer")
    assert text(explorer, 2, 3) == "128"
    foot = explorer.locator(".x-s-foot .x-s-c3").inner_text()
    assert "3,255,978 trained, 64 not" in foot


def test_by_keyboard_alone(page, explorer):
    page.evaluate("document.querySelector('.x-s-open').focus()")
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # layer 4, the second pooling, unfolds
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"

    def tab_to(name):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").endswith(name):
                return
        pytest.fail(f"Tab does not come to {name}")

    tab_to("Move up")
    page.keyboard.press("Enter")
    assert names(explorer)[2:5] == ["Max pooling", "Max pooling", "Convolution"]
    assert page.evaluate("document.activeElement.textContent").endswith("Move up")
    tab_to("Remove")
    page.keyboard.press("Space")
    assert len(names(explorer)) == 7
    assert page.evaluate("document.activeElement.className") == "x-s-open"
    tab_to("Add layer")
    page.keyboard.press("Enter")
    assert names(explorer)[-1] == "Convolution"
    tab_to("Undo")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert names(explorer) == ["Input", "Convolution", "Max pooling", "Convolution", "Max pooling",
                               "Flatten", "Dense", "Dense"]
    assert total(explorer) == "3,255,914"


def test_nonsense_is_named_and_changes_nothing(explorer):
    open_layer(explorer, 3)
    field = explorer.get_by_label("Kernel size")
    note = explorer.locator(".x-s-editor .x-note >> visible=true")
    for nonsense in ("abc", "", "-3", "0", "2.5", "1e99", "NaN", "<b>4</b>", "四"):
        field.fill(nonsense)
        assert note.count() == 1, nonsense
        assert re.search(r"Kernel size (is empty|must be)", note.inner_text()), nonsense
        assert total(explorer) == "3,255,914", nonsense
        field.fill("3")
        assert note.count() == 0, nonsense
        assert text(explorer, 3, 3) == "18,496", nonsense
        field.fill("4")
        assert total(explorer) == "3,255,914"


def test_a_stack_that_cannot_be_says_where_and_why(explorer):
    open_layer(explorer, 3)
    explorer.get_by_label("Kernel size").fill("40")
    explorer.get_by_label("Padding").select_option("valid")
    message = explorer.locator(".x-message >> visible=true")
    assert message.count() == 1
    assert "40 × 40 cells, and the map is only 14 × 14" in message.inner_text()
    assert text(explorer, 1, 3) == "544"
    assert [text(explorer, k, 2) for k in (3, 4)] == ["–", "–"]
    assert explorer.locator(".x-s-foot .x-s-c1").inner_text() == "Total up to layer 2"
    explorer.get_by_label("Kernel size").fill("4")
    assert message.count() == 0
    assert total(explorer) != "544"


def test_a_region_larger_than_the_map_and_a_convolution_behind_the_flatten(explorer):
    open_layer(explorer, 4)
    explorer.get_by_label("Size", exact=True).fill("15")
    message = explorer.locator(".x-message >> visible=true")
    assert "The region is 15 × 15, and the map is only 14 × 14" in message.inner_text()
    explorer.get_by_text("LeNet, MNIST", exact=True).click()
    press(explorer, "Add layer")
    assert "reads maps" in message.inner_text()
    assert "10 numbers in a row" in message.inner_text()
    assert total(explorer) == "3,255,914"


def test_dense_on_a_map_does_what_keras_does_and_says_so(explorer):
    open_layer(explorer, 5)
    press(explorer, "Remove")
    assert text(explorer, 5, 2) == "7 × 7 × 1,024"
    assert text(explorer, 5, 3) == "66,560"
    assert text(explorer, 5, 4) == f"{7 * 7 * 64 * 1024:,}"
    remarks = explorer.locator(".x-s-remark >> visible=true")
    assert "last axis alone" in remarks.first.inner_text()


def test_clear_and_undo(explorer):
    press(explorer, "Clear")
    assert names(explorer) == ["Input"]
    assert total(explorer) == "0"
    press(explorer, "Undo")
    assert total(explorer) == "3,255,914"


def test_the_code_is_shown_and_copied(page, explorer, keras):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.get_by_text("Copy as Keras", exact=True).click()
    press(explorer, "Copy")
    explorer.get_by_text("Copied.", exact=True).wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == explorer.locator("pre").inner_text().strip()
    assert run(keras, copied).count_params() == 3_255_914


def test_it_works_from_a_file_and_fits_a_phone(phone, site_file):
    phone.goto(site_file + PAGE)
    place = come_near(phone, "#explorer-shapes")
    place.get_by_text("Fifteen convolutions", exact=True).tap()
    assert total(place) == "1,071,542"
    place.locator(".x-s-open").nth(1).tap()
    place.get_by_label("Kernels").fill("64")
    assert text(place, 1, 3) == "1,792"
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
