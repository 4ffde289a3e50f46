"""The weights of the live LeNet: rounded, spelled, read again, refused when they are not whole."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from tools import live_lenet

LABELS = np.arange(10).repeat(5)


def random_weights():
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, shape).astype("float32") for shape in live_lenet.ARRAYS.values()]


@pytest.fixture(scope="module")
def weights():
    return random_weights()


@pytest.fixture(scope="module")
def text(weights):
    return live_lenet.write(weights, {"chapter": "05", "accuracy": 0.5})


def test_rounding_is_off_by_half_a_level_at_most():
    kernel = np.random.default_rng(1).normal(size=(200, 7)).astype("float32")
    kernel[:, 3] = 0
    levels, scale = live_lenet.quantise(kernel)
    assert np.abs(levels).max() == live_lenet.HIGHEST
    assert (np.abs(levels * scale - kernel) <= scale / 2 + 1e-6).all()
    assert not levels[:, 3].any()


def test_what_is_written_is_read_again(weights, text):
    found, provenance, digest = live_lenet.read(text)
    assert provenance == {"chapter": "05", "accuracy": 0.5}
    assert re.fullmatch("[0-9a-f]{64}", digest)
    for name, ours, theirs in zip(live_lenet.ARRAYS, weights, found, strict=True):
        assert theirs.shape == ours.shape and theirs.dtype == np.float32
        if name == live_lenet.LARGE:
            levels, scale = live_lenet.quantise(ours)
            assert np.array_equal(theirs, levels.astype("float32") * scale)
        else:
            assert np.array_equal(theirs, ours)


def test_one_changed_digit_is_noticed(text):
    at = text.index('levels: "') + 1000
    changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]
    with pytest.raises(live_lenet.WeightsError, match="do not have the digest"):
        live_lenet.read(changed)


@pytest.mark.parametrize("spoil", [
    lambda text: text[: len(text) // 2],
    lambda text: text.replace("provenance:", "origin:"),
    lambda text: text.replace('floats: "', 'floats: "%'),
])
def test_a_file_that_is_not_whole_is_refused(text, spoil):
    with pytest.raises(live_lenet.WeightsError, match="run python -m tools.live_lenet"):
        live_lenet.read(spoil(text))


def test_other_networks_and_broken_trainings_are_refused(weights):
    with pytest.raises(live_lenet.WeightsError, match="not the network of chapter 05"):
        live_lenet.stored(weights[:-1])
    broken = [array.copy() for array in weights]
    broken[0][0] = np.nan
    with pytest.raises(live_lenet.WeightsError, match="no numbers"):
        live_lenet.stored(broken)


def test_without_a_model_the_message_says_how_to_come_by_it(tmp_path, monkeypatch, capsys):
    pytest.importorskip("keras")
    monkeypatch.setenv("DATASETSLIB_RUNS", str(tmp_path))
    monkeypatch.setattr(live_lenet, "WEIGHTS", tmp_path / "weights.js")
    assert live_lenet.main([]) == 1
    assert "make results CHAPTERS=05_mnist_keras" in capsys.readouterr().err
    assert not live_lenet.WEIGHTS.exists()


class Model:
    """Reads every digit rightly with its own weights, and some wrongly with others."""

    optimizer = SimpleNamespace(iterations=7)

    def __init__(self, weights, wrong):
        self.weights, self.wrong, self.set = weights, wrong, False

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights, self.set = weights, True

    def predict(self, images, **_):
        digits = LABELS.copy()
        digits[: self.wrong * self.set] += 1
        return np.eye(11)[digits]


@pytest.mark.parametrize("wrong", [0, 1])
def test_weights_that_cost_too_much_accuracy_are_not_written(
        wrong, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(live_lenet, "WEIGHTS", tmp_path / "weights.js")
    monkeypatch.setattr(live_lenet, "load_model", lambda: Model(weights, wrong))
    edition = SimpleNamespace(name="mnist", kind="official", digest="0" * 64)
    images = np.zeros((50, 784), "uint8")
    monkeypatch.setattr(live_lenet, "real_test_images", lambda: (images, LABELS, edition))
    assert live_lenet.main([]) == wrong
    assert live_lenet.WEIGHTS.exists() == (not wrong)
    if wrong:
        assert "2.00 points" in capsys.readouterr().err
    else:
        provenance = live_lenet.read(live_lenet.WEIGHTS.read_text())[1]
        assert provenance["accuracy_of_the_stored_model"] == 1
        assert provenance["model"].endswith("after 7 steps")


def test_a_stand_in_for_mnist_measures_nothing(monkeypatch):
    monkeypatch.setenv("DATASETSLIB_SOURCE", "synthetic")
    with pytest.raises(live_lenet.WeightsError, match="synthetic stand-in"):
        live_lenet.real_test_images()


def test_the_committed_file():
    written = live_lenet.WEIGHTS.read_text(encoding="ascii")
    assert len(written) <= live_lenet.LIMIT
    provenance = live_lenet.read(written)[1]
    assert provenance["test_images"] == 10_000
    lost = provenance["accuracy_of_the_stored_model"] - provenance["accuracy_with_these_weights"]
    assert 100 * lost <= live_lenet.POINTS
    # The page says how much it is going to fetch.
    view = (live_lenet.EXPLORERS / "lenet.js").read_text(encoding="utf-8")
    assert float(re.search(r'MEGABYTES = "([\d.]+)"', view)[1]) == round(len(written) / 1e6, 1)


@pytest.mark.long
def test_the_page_reads_the_test_images_as_well_as_the_stored_model(real_set, monkeypatch):
    """The committed file, the page's own scripts, all of MNIST's test images, in Chromium."""
    monkeypatch.setenv("DATASETSLIB_HOME", str(real_set("mnist")))
    images, labels, _ = live_lenet.real_test_images()
    assert len(images) == 10_000
    digits, milliseconds = live_lenet.read_by_browser(images)
    accuracy = float(np.mean(digits == labels))
    ledger = json.loads((live_lenet.ROOT / "results.json").read_text(encoding="utf-8"))
    stored = ledger[live_lenet.CHAPTER]["test_accuracy_by_seed"][0]
    print(f"stored model {stored:.4f}, in the page {accuracy:.4f}, {milliseconds:.1f} ms an image")
    assert 100 * abs(stored - accuracy) <= live_lenet.POINTS
    provenance = live_lenet.read(live_lenet.WEIGHTS.read_text(encoding="ascii"))[1]
    assert abs(provenance["accuracy_with_these_weights"] - accuracy) <= 2e-4  # two images
