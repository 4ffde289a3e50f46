"""The networks of chapter 10: their parameters, their path, and that no backend is presumed."""

import ast
from pathlib import Path

import numpy as np
import pytest

CHAPTER = Path(__file__).parents[2] / "chapters" / "10_architectures.py"
TREE = ast.parse(CHAPTER.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def chapter():
    """Return the functions of the chapter, executed."""
    import keras

    nodes = [node for node in TREE.body if isinstance(node, ast.FunctionDef)]
    names = {"keras": keras, "layers": keras.layers, "np": np, "batch_size": 20, "seeds": [0],
             "xla": "auto"}
    exec(compile(ast.Module(nodes, []), "chapters", "exec"), names)
    rng = np.random.default_rng(0)
    names["x_train"] = rng.random((20, 32, 32, 3)).astype("float32")
    names["y_train"] = rng.integers(0, 10, 20).astype("int32")
    return names


def counted(model):
    """Return the parameters of each layer that has any."""
    return [layer.count_params() for layer in model.layers if layer.count_params()]


def test_alexnet_and_vgg_have_the_parameters_that_a_pencil_gives(chapter):
    alexnet = [(25 * 3 + 1) * 48, (25 * 48 + 1) * 128, (9 * 128 + 1) * 192, (9 * 192 + 1) * 192,
               (9 * 192 + 1) * 128, (4 * 4 * 128 + 1) * 1024, 1025 * 1024, 1025 * 10]
    assert counted(chapter["alexnet"]()) == alexnet
    widths = [3, 32, 32, 64, 64, 128, 128, 256, 256, 256, 256]
    vgg = [(9 * a + 1) * b for a, b in zip(widths, widths[1:], strict=False)]
    assert counted(chapter["vgg"]()) == [*vgg, 257 * 1024, 1025 * 1024, 1025 * 10]


@pytest.mark.parametrize("depth", [8, 20, 32])
def test_the_path_costs_nothing(chapter, depth):
    n = (depth - 2) // 6
    plain, residual = (chapter["stacked"](depth, identity) for identity in (False, True))
    # Weights of the kernels; four numbers a map for the normalisation; the dense layer.
    expected = 96_768 * n - 22_608 + 4 * (16 + 2 * n * (16 + 32 + 64)) + 650
    assert plain.count_params() == residual.count_params() == expected
    work = [[n for _, n in chapter["multiply_adds"](model)] for model in (plain, residual)]
    assert work[0] == work[1] and len(work[0]) == depth


def test_multiply_adds_follow_the_formula(chapter):
    work = [n for _, n in chapter["multiply_adds"](chapter["alexnet"]())]
    assert work[:2] == [32 * 32 * 25 * 3 * 48, 16 * 16 * 25 * 48 * 128]
    assert work[-3:] == [4 * 4 * 128 * 1024, 1024 * 1024, 1024 * 10]
    work = [n for _, n in chapter["multiply_adds"](chapter["stacked"](8, True))]
    assert work == [1024 * 9 * 3 * 16, 1024 * 9 * 16 * 16, 1024 * 9 * 16 * 16, 256 * 9 * 16 * 32,
                    256 * 9 * 32 * 32, 64 * 9 * 32 * 64, 64 * 9 * 64 * 64, 64 * 10]


def test_the_narrowed_path_keeps_every_second_pixel_and_adds_empty_maps(chapter):
    x = np.random.default_rng(1).random((2, 8, 8, 3)).astype("float32")
    out = np.asarray(chapter["narrowed"](x))
    assert np.array_equal(out[..., :3], x[:, ::2, ::2]) and not out[..., 3:].any()
    assert out.shape == (2, 4, 4, 6)


def test_the_gradients_from_a_step_are_those_of_the_tape(chapter):
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    x, y = chapter["x_train"], chapter["y_train"]
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3),
                              keras.layers.BatchNormalization(), keras.layers.ReLU(),
                              keras.layers.GlobalAveragePooling2D(),
                              keras.layers.Dense(10, activation="softmax")])
    start = model.get_weights()
    found = chapter["gradient_norms"](model)
    assert all(np.array_equal(a, b) for a, b in zip(start, model.get_weights(), strict=True))
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy()(y, model(x, training=True))
    kernels = [v for v in model.trainable_variables if v.path.endswith("kernel")]
    expected = [np.linalg.norm(g) for g in tape.gradient(loss, [v.value for v in kernels])]
    assert np.allclose(found, expected, rtol=1e-3)


def test_a_saved_residual_network_comes_back(chapter, tmp_path):
    import keras

    model = chapter["stacked"](8, identity=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = chapter["x_train"]
    assert np.array_equal(model.predict(images, verbose=0), again.predict(images, verbose=0))


def test_the_chapter_presumes_no_backend():
    modules = {name.name for node in ast.walk(TREE) if isinstance(node, ast.Import)
               for name in node.names}
    modules |= {node.module for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom)}
    assert "keras" in modules
    assert not {name.split(".")[0] for name in modules} & {"tensorflow", "jax", "torch"}
