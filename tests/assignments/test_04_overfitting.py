"""Assignment 04: its references agree with Keras, its traps are traps, its history is real."""

import ast
import csv
import functools

import numpy as np
import pytest

from tools.grading import asserts, definition, driver, student

NAME = "04_overfitting"
FOLDER = definition.ASSIGNMENTS / NAME
checks = definition._module(FOLDER / "checks.py")
VARIANTS = [checks.VARIANT, *(checks.private(np.random.default_rng(seed)) for seed in range(5))]
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "")


def saved():
    """Return the curves of history.csv."""
    text = (FOLDER / "history.csv").read_text()
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def cases(variant, target):
    return [case for case in definition.load(NAME, variant=variant).cases if case.target == target]


# --- stopping in time --------------------------------------------------------------------


class Weights:
    """A model for EarlyStopping: its weights are the number of the epoch."""

    stop_training, metrics = False, ()

    def get_weights(self):
        return self.epoch

    def set_weights(self, weights):
        self.epoch = weights


def by_keras(losses, patience, min_delta):
    """Return when Keras stops, and which epoch's weights it restores, from 1."""
    import keras

    model = Weights()
    callback = keras.callbacks.EarlyStopping(patience=patience, min_delta=min_delta, mode="min",
                                             restore_best_weights=True)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        model.epoch = epoch
        callback.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, model.epoch + 1


def test_early_stopping_is_that_of_keras():
    rng = np.random.default_rng(0)
    walks = [walk for variant in VARIANTS
             for walk in checks.walks(np.random.default_rng(variant["seed"]))]
    walks += [(rng.integers(0, 12, rng.integers(1, 30)) / 64, int(rng.integers(1, 8)),
               int(rng.integers(0, 4)) / 64) for _ in range(150)]
    ends = []
    for losses, patience, min_delta in walks:
        ends.append(checks.stop(losses, patience, min_delta))
        assert ends[-1] == by_keras(losses, patience, min_delta), (losses, patience, min_delta)
    lengths = [len(losses) for losses, *_ in walks]
    assert any(end < n for (end, _), n in zip(ends, lengths, strict=True))
    assert any(end == n for (end, _), n in zip(ends, lengths, strict=True))


def never_anew(losses, patience, min_delta):
    """Stop as soon as so many epochs were not better, in a row or not."""
    kept, waited = 0, 0
    for epoch in range(1, len(losses)):
        if losses[kept] - losses[epoch] > min_delta:
            kept = epoch
        else:
            waited += 1
        if waited == patience:
            return epoch + 1, kept + 1
    return len(losses), kept + 1


@each_variant
def test_what_is_often_mistaken_is_asked_in_the_dark(variant):
    asked = [case.args for case in cases(variant, "early_stopping") if not case.public]

    def differ(wrong):
        return sum(checks.stop(*args) != wrong(*args) for args in asked)

    assert differ(lambda losses, patience, delta: checks.stop(losses, patience + 1, delta)) > 2
    assert differ(lambda losses, patience, delta: checks.stop(losses, patience, 0)) > 2
    assert differ(lambda losses, patience, delta: checks.stop(losses, patience, delta - 1 / 64)) > 0
    lowest = differ(lambda losses, patience, delta: (
        (end := checks.stop(losses, patience, delta)[0]), int(np.argmin(losses[:end])) + 1))
    assert lowest > 1
    assert differ(never_anew) > 1


# --- reading -----------------------------------------------------------------------------


@each_variant
def test_the_best_epoch_cannot_be_mistaken_for_another(variant):
    hidden = [case for case in cases(variant, "best_epoch") if not case.public]
    for case in hidden:
        curves, = case.args
        losses = np.array(curves["val_loss"])
        assert (losses == losses.min()).sum() == 2
        assert case.expected == np.flatnonzero(losses == losses.min())[0] + 1
        assert case.expected not in (np.argmin(curves["loss"]) + 1, len(losses),
                                     np.argmax(curves["val_accuracy"]) + 1,
                                     np.argmax(curves["accuracy"]) + 1)
    assert {type(case.args[0]["loss"]) for case in hidden} == {list, np.ndarray}


@each_variant
def test_all_three_words_are_asked_and_the_limits_themselves(variant):
    hidden = [case for case in cases(variant, "diagnose") if not case.public]
    assert {case.expected for case in hidden} == {"fine", "overfitting", "underfitting"}
    ends = [({name: curve[-1] for name, curve in case.args[0].items()}, *case.args[1:])
            for case in hidden]
    assert any(last["accuracy"] == enough for last, enough, _ in ends)
    assert any(last["accuracy"] - last["val_accuracy"] == allowed for last, _, allowed in ends)
    # Whoever looks at the validation accuracy alone cannot be right.
    words = {}
    for (last, *_), case in zip(ends, hidden, strict=True):
        words.setdefault(last["val_accuracy"], set()).add(case.expected)
    assert any(len(said) > 1 for said in words.values())


# --- shifts ------------------------------------------------------------------------------


def shift(images, rng, reach):
    ways = rng.integers(-reach, reach + 1, (len(images), 2))
    return np.concatenate([checks.moved(image[None], *way)
                           for image, way in zip(images, ways, strict=True)])


def answered(augment, images, reach, n_calls=3):
    harness = definition._module(FOLDER / "harness.py")
    return driver.as_arrays(harness.shifts({"augment": augment}, images.copy(), reach, n_calls))


IMAGES = np.random.default_rng(3).integers(1, 256, (300, 7, 9, 3)).astype("uint8")


def test_a_shift_is_a_roll_without_what_comes_round():
    for down, right in np.ndindex(7, 7):
        moved = checks.moved(IMAGES, down - 3, right - 3)
        rolled = np.roll(IMAGES, (down - 3, right - 3), (1, 2))
        assert np.all((moved == rolled) | (moved == 0)) and moved.dtype == IMAGES.dtype
        assert (moved != 0).sum() == 300 * 3 * (7 - abs(down - 3)) * (9 - abs(right - 3))


@pytest.mark.parametrize("seed", range(20))
def test_right_shifts_are_accepted(seed):
    def augment(images, rng, reach):
        return shift(images, np.random.default_rng([seed, rng.integers(1 << 30)]), reach)

    assert checks.shifted(answered(augment, IMAGES, 1), 1) is None
    assert checks.shifted(answered(augment, IMAGES, 2, 6), 2) is None


def in_place(images, rng, reach):
    images[:] = shift(images, rng, reach)
    return images


WRONG = {
    "One call returns": lambda images, rng, reach: shift(images, rng, reach)[:, 1:],
    "The type should stay": lambda images, rng, reach: shift(images, rng, reach) / 255,
    "have changed": in_place,
    "draw from rng alone": lambda images, rng, reach: shift(images, np.random.default_rng(), reach),
    "draw anew": lambda images, rng, reach: shift(images, np.random.default_rng(1), reach),
    "is not that image shifted": lambda images, rng, reach: shift(images[::-1], rng, reach),
    "up to nine": lambda images, rng, reach: shift(images, rng, reach + 1),
    "came up 0 times": lambda images, rng, reach: checks.moved(
        images, *rng.integers(-reach, reach + 1, 2)),
    "came up": lambda images, rng, reach: np.where(
        rng.random(len(images))[:, None, None, None] < 0.2, shift(images, rng, reach), images),
}


@pytest.mark.parametrize("said", WRONG)
def test_wrong_shifts_are_rejected(said):
    complaint = checks.shifted(answered(WRONG[said], IMAGES, 1), 1, IMAGES)
    assert ("is not that image shifted" if said == "up to nine" else said) in complaint


# --- the cure ----------------------------------------------------------------------------

BOUNDS = {name: checks.VARIANT[name] for name in ("accuracy", "gap", "parameters", "steps")}
Y, Y_TEST = np.arange(160) % 4, np.arange(400) % 4


def network(train=1.0, test=0.9, **other):
    """Return the answer of a network that is right so often."""
    def scores(labels, right):
        said = np.where(np.arange(len(labels)) < right * len(labels), labels, (labels + 1) % 4)
        return np.eye(4, dtype="float32")[said]

    asked = scores(Y_TEST, test)
    return {"train": scores(Y, train), "test": asked, "again": asked.copy(), "parameters": 5_000,
            "steps": 400, **other}


def test_a_cured_network_is_accepted():
    cured = functools.partial(checks.cured, **BOUNDS, y=Y, y_test=Y_TEST)
    assert cured(network()) is None
    assert cured(network(train=0.8, test=0.9)) is None
    edge = BOUNDS["accuracy"]
    # Else the second rule would never decide.
    assert 1 - edge > BOUNDS["gap"]
    assert cured(network(train=edge, test=edge)) is None


@pytest.mark.parametrize("answer, said", [
    (network(test=checks.VARIANT["accuracy"] - 0.01), "new images are right"),
    (network(test=0.99 - checks.VARIANT["gap"]), "too far apart"),
    (network(parameters=checks.VARIANT["parameters"] + 1), "parameters, and may"),
    (network(parameters=0), "parameters, and may"),
    (network(steps=checks.VARIANT["steps"] + 1), "steps, and may"),
    (network(steps=0), "No steps"),
    (network(again=network(test=0.95)["test"]), "differently"),
    (network(train=0.9, test=0.9) | {"train": np.full((160, 4), np.nan)}, "finite"),
    (network() | {"train": Y.astype("float32")}, "four finite"),
])
def test_a_network_that_is_not_cured_is_rejected(answer, said):
    assert said in checks.cured(answer, **BOUNDS, y=Y, y_test=Y_TEST)


def answers(train, seed):
    """Return what the harness returns of a network that is trained, with the labels."""
    rng = np.random.default_rng(seed)
    (x, y), (x_valid, y_valid), (x_test, y_test) = (checks.draw(rng, n) for n in (160, 80, 400))
    harness = definition._module(FOLDER / "harness.py")
    return driver.as_arrays({
        **harness.cure({"train": train}, x, y, x_valid, y_valid, x_test), "y": y, "y_test": y_test})


@pytest.mark.long
@pytest.mark.parametrize("seed", [101, 102, 103])
def test_the_cure_works_with_other_images_too_and_half_of_it_does_not(seed):
    import keras

    names = {"np": np, "keras": keras, "layers": keras.layers}
    for cell in student.solution_notebook(definition.load(NAME)).cells:
        if cell.source.startswith("def "):
            exec(cell.source, names)
    stricter = {**BOUNDS, "accuracy": BOUNDS["accuracy"] + 0.03, "gap": BOUNDS["gap"] - 0.02}
    assert checks.cured(answers(names["train"], seed), **stricter) is None

    def shifted_alone(x, y, x_valid, y_valid):
        model, rng = names["overfitting"](), np.random.default_rng(seed)
        model.fit(np.concatenate([names["augment"](x, rng) for _ in range(15)]), np.tile(y, 15),
                  batch_size=32, epochs=8, verbose=0)
        return model

    milder = {**BOUNDS, "accuracy": BOUNDS["accuracy"] - 0.05, "gap": 1}
    assert "new images are right" in checks.cured(answers(shifted_alone, seed), **milder)


# --- what students are given -------------------------------------------------------------


def test_the_history_is_that_of_overfitting():
    curves = saved()
    best = int(np.argmin(curves["val_loss"]))
    assert list(curves["epoch"]) == list(range(1, checks.EPOCHS + 1))
    assert curves["accuracy"][-1] == 1 and curves["val_accuracy"][-1] < BOUNDS["accuracy"] - 0.1
    assert 1 < best < checks.EPOCHS / 2 and curves["val_loss"][-1] > 1.3 * curves["val_loss"][best]
    # To stop in time is not enough.
    assert curves["val_accuracy"][best] < BOUNDS["accuracy"] - 0.1


def test_the_history_belongs_to_the_images(monkeypatch):
    checks.texts(checks.VARIANT)
    monkeypatch.setitem(checks.GIVEN, "seed", checks.GIVEN["seed"] + 1)
    with pytest.raises(ValueError, match="history.csv belongs to other images.*history.py"):
        checks.texts(checks.VARIANT)


def test_the_notebook_holds_the_images_and_is_small():
    notebook = student.student_notebook(definition.load(NAME))
    names = {}
    for cell in notebook.cells:
        if cell.source.startswith(("PACKED", "import base64")):
            exec("\n".join(line for line in cell.source.split("\n")
                           if "keras" not in line).split("figure")[0], names)
    for name, array in zip(("x_train", "y_train", "x_valid", "y_valid"), checks.given(),
                           strict=True):
        assert np.array_equal(names[name], array) and names[name].dtype == array.dtype
    assert sum(len(cell.source) for cell in notebook.cells) < 100_000


@each_variant
def test_the_images_of_the_grader_are_others(variant):
    given = {image.tobytes() for images in checks.given()[::2] for image in images}
    hidden = [case for case in cases(variant, "cure") if not case.public]
    assert len(hidden) == 2
    for case in hidden:
        assert not given & {image.tobytes() for image in case.args[4]}
    assert not given & {image.tobytes() for image in hidden[1].args[0]}
    # The labels of what the network is tried on stay outside.
    assert all(len(case.args) == 5 for case in hidden)


def test_the_classes_come_up_equally_and_the_signs_stay_within():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        images, labels = checks.draw(rng, 400)
        assert list(np.bincount(labels)) == [100] * 4
        assert images.shape == (400, 16, 16, 1) and images.min() == 0 and images.max() <= 1


def test_the_definition_needs_numpy_alone():
    imported = [node for node in ast.walk(ast.parse((FOLDER / "checks.py").read_text()))
                if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {(getattr(node, "module", None) or node.names[0].name).split(".")[0]
            for node in imported} <= {"numpy", "base64", "functools", "hashlib", "pathlib", "zlib"}


def test_the_open_checks_do_not_say_what_is_hidden():
    assignment = definition.load(NAME)
    for case in assignment.cases:
        if case.public:
            assert str(checks.VARIANT["seed"]) not in "\n".join(asserts.asserts(case, assignment))
