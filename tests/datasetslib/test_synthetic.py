"""The stand-ins have the right form, never change, and can be learnt but not by colour."""

import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest

from datasetslib import recording, synthetic
from datasetslib.errors import SourceError

SHAPES = {"mnist": (28, 28), "cifar10": (3, 32, 32)}


@pytest.fixture(scope="module", params=SHAPES)
def made(request):
    return request.param, *synthetic.make(request.param, n_train=2000, n_test=500)


def test_shapes_and_dtypes_are_those_of_the_original(made):
    name, arrays, _ = made
    assert set(arrays) == {"x_train", "y_train", "x_test", "y_test"}
    assert all(array.dtype == np.uint8 for array in arrays.values())
    assert arrays["x_train"].shape == (2000, *SHAPES[name])
    assert arrays["x_test"].shape == (500, *SHAPES[name])
    assert arrays["y_train"].shape == (2000,)
    assert not any(array.flags.writeable for array in arrays.values())


def test_every_class_is_equally_frequent(made):
    _, arrays, _ = made
    assert np.bincount(arrays["y_train"]).tolist() == [200] * 10
    assert np.bincount(arrays["y_test"]).tolist() == [50] * 10


def test_the_same_call_gives_the_same_bytes_in_another_process(made):
    name, arrays, _ = made
    code = (
        "import hashlib; from datasetslib import synthetic;"
        f"x = synthetic.make({name!r}, 300, 0)[0]['x_train'];"
        "print(hashlib.sha256(x).hexdigest())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == hashlib.sha256(arrays["x_train"][:300]).hexdigest()


def test_the_first_images_do_not_depend_on_how_many_are_made(made):
    name, arrays, _ = made
    fewer, _ = synthetic.make(name, n_train=1203, n_test=7)
    np.testing.assert_array_equal(fewer["x_train"], arrays["x_train"][:1203])
    np.testing.assert_array_equal(fewer["y_test"], arrays["y_test"][:7])


def test_seeds_and_splits_differ(made):
    name, arrays, edition = made
    other, other_edition = synthetic.make(name, n_train=500, n_test=0, seed=1)
    assert (other["x_train"] != arrays["x_train"][:500]).mean() > 0.1
    assert (arrays["x_test"] != arrays["x_train"][:500]).mean() > 0.1
    assert other_edition.digest != edition.digest


def test_the_edition_says_what_it_is(made):
    name, _, edition = made
    assert edition.is_synthetic
    line = str(edition)
    assert "\n" not in line
    for part in (name, "synthetic", "seed 0", "2,000", "500"):
        assert part in line


def features(name, images):
    x = images.reshape(len(images), *SHAPES[name]).astype(np.float32) / 255
    return x.reshape(len(x), -1), x.mean(axis=(-2, -1)).reshape(len(x), -1)


def nearest_neighbour(train, labels, test):
    distance = (train**2).sum(1) - 2 * test @ train.T
    return labels[distance.argmin(1)]


def test_images_tell_the_class_and_mean_colour_does_not(made):
    name, arrays, _ = made
    pixels, means = features(name, arrays["x_train"])
    test_pixels, test_means = features(name, arrays["x_test"])
    truth = arrays["y_test"]

    def accuracy(train, test):
        return (nearest_neighbour(train, arrays["y_train"], test) == truth).mean()

    by_pixels, by_means = accuracy(pixels, test_pixels), accuracy(means, test_means)
    assert by_means < 0.3, "mean brightness or colour decides on its own"
    assert by_pixels > 2.5 * 0.1, "nothing to learn"
    assert by_pixels > by_means + 0.1
    if name == "cifar10":
        assert by_pixels < 0.95, "too easy: comparing pixels does it"


@pytest.mark.long
def test_lenet_learns_them_in_one_epoch(made):
    import keras

    name, arrays, _ = made
    images = {split: arrays[f"x_{split}"].astype(np.float32) / 255 for split in ("train", "test")}
    for split, x in images.items():
        images[split] = x[..., None] if name == "mnist" else x.transpose(0, 2, 3, 1)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(images["train"].shape[1:]),
            keras.layers.Conv2D(32, 4, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 4, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(1024, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images["train"], arrays["y_train"], batch_size=64, epochs=1, verbose=0)
    _, accuracy = model.evaluate(images["test"], arrays["y_test"], verbose=0)
    assert accuracy > 0.4


def test_two_thousand_images_take_less_than_two_seconds(made):
    name, _, _ = made  # the fixture has paid for importing matplotlib and drawing the fonts
    start = time.process_time()
    synthetic.make(name, n_train=2000, n_test=0)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("fashion", 10, 10), "mnist, cifar10"),
        (("mnist", -1, 10), "n_train"),
        (("mnist", 10, 1.5), "n_test"),
        (("mnist", True, 10), "n_train"),
        (("mnist", 10, 10, -1), "seed"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(SourceError, match=message):
        synthetic.make(*arguments)


def test_what_is_made_is_flagged_for_the_figures(monkeypatch):
    monkeypatch.setattr(recording, "synthetic_loaded", False)
    with pytest.raises(SourceError):
        synthetic.make("fashion", 10, 10)
    assert recording.synthetic_loaded is False
    synthetic.make("mnist", 10, 10)
    assert recording.synthetic_loaded is True


def test_nothing_at_all_can_be_made():
    arrays, _ = synthetic.make("cifar10", 0, 0)
    assert arrays["x_train"].shape == (0, 3, 32, 32)
