"""
An overfitting ConvNet, diagnosed and cured: what is asked, and what should come back.

What students are given, a set of small images and the history of a network that overfits them, is
theirs and no secret: it comes from ``GIVEN``, and every variant has the same. Hidden are the other
images, which the cured network is tried on, and the other histories.

Losses and thresholds lie on a grid of 1/64. So sums and differences are exact, and an improvement
by just ``min_delta`` is one and the same number however it is computed.
"""

import base64
import functools
import hashlib
import zlib
from pathlib import Path

import numpy as np

#: The images that students are given, for training and for validation; their history is in
#: history.csv, and history.py makes it anew when this is changed.
GIVEN = {"seed": 21, "n_train": 160, "n_valid": 80}

CLASSES = ("L", "J", "T", "+")
SIDE, LEVELS = 16, 15
EPOCHS, BATCH = 60, 32

VARIANT = {
    "seed": 64,
    # Images, height, width, channels, furthest shift and number of calls: enough of them for each
    # shift to come up 60 times or more on average.
    "shifts": [(320, 9, 9, 1, 1, 2), (500, 8, 11, 3, 2, 3), (750, 13, 10, 1, 3, 4)],
    "n_test": 400,
    # What the cured network must reach, and what it may cost. Five draws of training images, 400 to
    # be tried on: the network that overfits is right about 50% to 53% of them, the master's cure
    # about 87% to 91%, and both about 99% to 100% of what they learned from. Three draws each: that
    # network with shifted images gets 64% to 67%, with dropout 51% to 56%, made smaller 45% to 47%;
    # the master's network without shifts 85% to 89%. What helps most is to pool over all places.
    "accuracy": 0.8,
    "gap": 0.17,
    "parameters": 60_000,
    "steps": 600,
}
#: A right submission takes half a minute on two cores that have nothing else to do.
LIMITS = {"seconds": 240, "memory": 3 << 30, "case": 60}


def private(rng):
    """Return a VARIANT of other histories, shapes and hidden images; what must be reached stays."""
    def side(low, high):
        return int(rng.integers(low, high + 1))

    return {
        **VARIANT,
        "seed": side(0, 1 << 30),
        "shifts": [(side(310, 340), side(7, 10), side(7, 10), 1, 1, 2),
                   (side(500, 540), side(7, 9), side(10, 13), 3, 2, 3),
                   (side(740, 780), side(12, 14), side(8, 11), 1, 3, 4)],
    }


# --- the images --------------------------------------------------------------------------


def stroke(image, row, column, down, right, length, grey):
    """Draw a line of pixels into an image, in place."""
    for step in range(length):
        image[row + step * down, column + step * right] += grey


def shape(name, rng):
    """Return one image of a class: its two strokes, other strokes that say nothing, and noise."""
    image = np.zeros((SIDE, SIDE))
    height, width = rng.integers(6, 9, 2)
    # Two pixels are left free at each border, so that no shift by two pushes a stroke out.
    top, left = (int(rng.integers(2, SIDE - 1 - n)) for n in (height, width))
    grey = rng.uniform(0.5, 0.9)
    column = {"L": left, "J": left + width - 1}.get(name, left + width // 2)
    row = {"T": top, "+": top + height // 2}.get(name, top + height - 1)
    stroke(image, top, column, 1, 0, height, grey)
    stroke(image, row, left, 0, 1, width, grey)
    for _ in range(3):
        down, right = rng.permutation([0, 1])
        stroke(image, *rng.integers(0, SIDE - 4, 2), down, right, 4, rng.uniform(0.4, 0.9))
    return np.clip(image + rng.normal(0, 0.2, image.shape), 0, 1)


def draw(rng, n):
    """Return n images, as float32 from 0 to 1, and their labels; each class comes up equally."""
    labels = rng.permutation(np.arange(n) % len(CLASSES))
    images = np.stack([shape(CLASSES[label], rng) for label in labels])[..., None]
    return (np.round(LEVELS * images) / LEVELS).astype("float32"), labels


def given():
    """Return the images and labels that students get: for training, then for validation."""
    rng = np.random.default_rng(GIVEN["seed"])
    return (*draw(rng, GIVEN["n_train"]), *draw(rng, GIVEN["n_valid"]))


def packed():
    """Return the given images as text, and the labels of both sets as digits."""
    x_train, y_train, x_valid, y_valid = given()
    pixels = np.round(LEVELS * np.concatenate([x_train, x_valid])).astype("uint8")
    return (base64.b64encode(zlib.compress(pixels.tobytes(), 9)).decode(),
            *("".join(map(str, labels)) for labels in (y_train, y_valid)))


def digest():
    """Return what ties a saved history to the images that it was made with."""
    return hashlib.sha256(repr(packed()).encode()).hexdigest()[:16]


def texts(variant):
    """Return what the notebook carries within itself, and the numbers that its text names."""
    saved = Path(__file__).with_name("history.csv").read_text(encoding="utf-8").strip()
    if f"# images: {digest()}" not in saved.split("\n"):
        raise ValueError("history.csv belongs to other images than GIVEN draws: run "
                         "`python history.py` in the assignment's folder")
    images, labels_train, labels_valid = packed()
    return {
        "history": saved, "images": images, "labels_train": labels_train,
        "labels_valid": labels_valid, "n_train": str(GIVEN["n_train"]),
        "n_valid": str(GIVEN["n_valid"]), "percent": f"{variant['accuracy']:.0%}",
        "points_apart": f"{100 * variant['gap']:.0f}", "parameters": f"{variant['parameters']:,}",
        "steps": f"{variant['steps']:,}",
    }


# --- histories ---------------------------------------------------------------------------


def history(rng, n_epochs):
    """Return the four curves of a network that overfits, on a grid of 1/64, with a tie."""
    epochs = np.arange(n_epochs)
    turn = n_epochs / 3
    loss = 90 * np.exp(-epochs / turn) + rng.integers(0, 4, n_epochs)
    val_loss = 60 + 30 * (epochs / turn - 1) ** 2 * np.where(epochs < turn, 1, 0.2)
    val_loss = np.round(val_loss) + rng.integers(0, 9, n_epochs)
    # The lowest validation loss comes twice, and neither the lowest loss nor the highest accuracy
    # is there.
    first, second = np.sort(rng.choice(np.arange(2, n_epochs - 2), 2, replace=False))
    val_loss[[first, second]] = val_loss.min() - 1
    accuracy = np.clip(30 + 34 * epochs / n_epochs + rng.integers(0, 4, n_epochs), 0, 64)
    val_accuracy = np.clip(accuracy - 4 - 20 * epochs / n_epochs, 0, 64)
    loss[-1], val_accuracy[-2] = 0, 64
    curves = {"loss": loss, "val_loss": val_loss, "accuracy": accuracy,
              "val_accuracy": val_accuracy}
    return {name: np.round(curve) / 64 for name, curve in curves.items()}


def ending(rng, accuracy, apart):
    """Return a short history that ends with this accuracy and this much less in validation."""
    curves = history(rng, 8)
    curves["accuracy"][-1], curves["val_accuracy"][-1] = accuracy, accuracy - apart
    return curves


def illness(curves, enough, allowed):
    """Return what a history ends with, in a word."""
    last = {name: float(curve[-1]) for name, curve in curves.items()}
    if last["accuracy"] < enough:
        return "underfitting"
    apart = last["accuracy"] - last["val_accuracy"]
    return ("fine", "overfitting")[apart > allowed]


def stop(losses, patience, min_delta=0.0):
    """
    Return the epoch at which training stops and the one whose weights are kept, from 1.

    The master goes through the epochs and counts. This jumps from one best epoch to the next.
    """
    best = 0
    while True:
        last = min(best + patience, len(losses) - 1)
        better = [epoch for epoch in range(best + 1, last + 1)
                  if losses[best] - losses[epoch] > min_delta]
        if not better:
            return last + 1, best + 1
        best = better[0]


def walks(rng):
    """Return validation losses with the patience and the min_delta to read them with."""
    drift = 160 - 3 * np.arange(30)
    found = [
        # Each epoch improves by less than min_delta, and two together by more.
        (drift, 3, 4), (drift, 2, 3), (drift, 1, 2),
        # Bad epochs that are not in a row; and the lowest loss of all comes after the stop.
        (np.array([90, 80, 85, 86, 70, 75, 76, 77, 60, 50]), 3, 0),
        (np.array([64, 60, 61, 60, 62, 59, 63, 64, 65, 66, 10, 9]), 4, 0),
        (np.array([64, 60, 61, 60, 62, 59, 63, 64, 65, 66, 10, 9]), 4, 1),
        (np.arange(20, 40), 5, 0), (np.arange(40, 20, -1), 5, 0),
    ]
    for n_epochs, patience, delta in ((25, 2, 0), (40, 5, 3), (60, 9, 1), (14, 20, 2)):
        steps = rng.integers(-6, 5, n_epochs)
        found.append((100 + np.cumsum(steps), patience, delta))
    return [(losses / 64, patience, delta / 64) for losses, patience, delta in found]


# --- judging -----------------------------------------------------------------------------


def moved(images, down, right):
    """Return images moved by so many pixels; what comes in at the border is 0."""
    rows, columns = (np.arange(n) - by for n, by in zip(images.shape[1:3], (down, right),
                                                     strict=True))
    inside = ((rows >= 0) & (rows < len(rows)))[:, None] & (
        (columns >= 0) & (columns < len(columns)))
    found = images[:, rows % len(rows)][:, :, columns % len(columns)]
    return np.where(inside[None, :, :, None], found, 0)


def shifted(answer, reach, images=None):
    """Complain about what `augment` made of images in several calls."""
    before = answer["before"] if images is None else images
    made = answer["made"]
    if made.shape[1:] != before.shape:
        return f"One call returns an array of the shape {before.shape}; yours {made.shape[1:]}."
    if str(answer["dtype"]) != str(before.dtype):
        return f"The type should stay {before.dtype}, and is {answer['dtype']}."
    if not np.array_equal(answer["after"], before):
        return "The images that were handed in have changed: write into new ones."
    if not np.array_equal(answer["again"], made[0]):
        return "Two generators with one seed give different images: draw from rng alone."
    if np.array_equal(made[0], made[1]):
        return "Two calls give the same images: draw anew each time."
    counts = {}
    legal = np.zeros(made.shape[:2], int)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            same = (made == moved(before, down, right)).all((2, 3, 4))
            counts[down, right] = int(same.sum())
            legal += same
    if not legal.all():
        call, number = np.argwhere(legal == 0)[0]
        return f"Image {number} is not that image shifted by up to {reach}, with 0 coming in."
    for way, often in counts.items():
        if not 1 / 3 < often * len(counts) / legal.size < 2:
            return f"{way} came up {often} times in {legal.size}; all {len(counts)} ways are equal."
    return None


def named(answer, names):
    """Complain about a dictionary that has not these names."""
    if not isinstance(answer, dict) or set(answer) != set(names):
        return f"It should be a dictionary with the keys {', '.join(names)}."
    return None


def cured(answer, accuracy, gap, parameters, steps, y=None, y_test=None):
    """Complain about a network that is not cured, or costs too much."""
    if not 1 <= answer["parameters"] <= parameters:
        return f"It has {answer['parameters']} parameters, and may have {parameters}."
    if answer["steps"] < 1:
        return "No steps were counted: compile the model that you return, and train that one."
    if answer["steps"] > steps:
        return f"It took {answer['steps']} steps, and may take {steps}."
    if not np.array_equal(answer["test"], answer["again"]):
        return "Asked twice, it answers differently: is dropout still at work?"
    right = []
    for scores, labels in ((answer["train"], answer["y"] if y is None else y),
                           (answer["test"], answer["y_test"] if y_test is None else y_test)):
        if scores.shape != (len(labels), 4) or not np.isfinite(scores).all():
            return "It should give four finite numbers for each image, one for each class."
        right.append(float((scores.argmax(1) == labels).mean()))
    if right[1] < accuracy:
        return f"{right[1]:.0%} of new images are right; of those learned from, {right[0]:.0%}."
    if right[0] - right[1] > gap:
        return f"Learned from: {right[0]:.0%} right, new: {right[1]:.0%}. That is too far apart."
    return None


# --- the questions -----------------------------------------------------------------------


def questions(variant):
    """Return the questions of this variant."""
    rng = np.random.default_rng(variant["seed"])
    short = {"loss": [0.75, 0.5, 0.25, 0.125], "val_loss": [0.75, 0.5, 0.625, 0.75],
             "accuracy": [0.5, 0.625, 0.875, 1.0], "val_accuracy": [0.5, 0.5, 0.625, 0.5]}
    reading = [
        {"call": "best_epoch", "args": [short], "expected": 2, "public": True,
         "message": "The lowest validation loss is 0.5, in the second epoch; the first is 1."},
        {"call": "gap", "args": [short], "expected": np.array([0.0, 0.0, 0.375, 0.625]),
         "public": True, "message": "val_loss less loss, for each epoch. Lists cannot be "
                                    "subtracted; make arrays of them."},
        {"call": "diagnose", "args": [short, 0.75, 0.25], "expected": "overfitting",
         "public": True, "message": "It ends with 1.0 in training and 0.5 in validation."},
    ]
    # Every second history has lists, as Keras makes them.
    curves = [history(rng, n_epochs) for n_epochs in (7, 19, 40, 83)]
    curves[1::2] = [{name: curve.tolist() for name, curve in each.items()} for each in curves[1::2]]
    for each in curves:
        reading += [
            {"call": "best_epoch", "args": [each], "message": "The first of the lowest val_loss.",
             "expected": int(np.argmin(each["val_loss"])) + 1},
            {"call": "gap", "args": [each], "message": "val_loss less loss, for each epoch.",
             "expected": np.array([high - low for high, low in
                                   zip(each["val_loss"], each["loss"], strict=True)])},
        ]
    # Accuracy at the end, how far validation lies below, what is enough, what is allowed.
    for sixty_fourths in ((60, 20, 52, 8), (60, 8, 52, 8), (60, 9, 52, 8), (50, 20, 52, 8),
                          (52, 2, 52, 8), (51, 2, 52, 8), (40, -5, 52, 8), (60, -3, 52, 0),
                          (33, 12, 30, 11), (33, 12, 34, 13)):
        accuracy, apart, enough, allowed = (n / 64 for n in sixty_fourths)
        each = ending(rng, accuracy, apart)
        reading.append({"call": "diagnose", "args": [each, enough, allowed],
                        "expected": illness(each, enough, allowed), "weight": 0.5,
                        "message": "First whether it learned at all, then how far apart."})

    early = [
        {"call": "early_stopping", "args": [[0.75, 0.5, 0.625, 0.75, 0.25], 2],
         "expected": (4, 2), "public": True,
         "message": "Epochs 3 and 4 are two in a row that are not better than epoch 2; epoch 5 "
                    "never comes."},
        {"call": "early_stopping", "args": [[0.75, 0.5, 0.625, 0.25], 2],
         "expected": (4, 4), "public": True,
         "message": "Nothing stops it, so it ends with the last epoch, which is the best."},
        {"call": "early_stopping", "args": [[0.75, 0.625, 0.5, 0.5], 2],
         "kwargs": {"min_delta": 0.125}, "expected": (4, 3), "public": True,
         "message": "0.625 is better than 0.75 by no more than min_delta; 0.5 is."},
    ]
    early += [{"call": "early_stopping", "args": [losses, patience, min_delta],
               "expected": stop(losses, patience, min_delta),
               "message": "Better than the best so far by more than min_delta, or one epoch more "
                          "of waiting."}
              for losses, patience, min_delta in walks(rng)]

    sliding = [
        {"value": "mirrored", "holds": functools.partial(named, names=CLASSES), "public": True,
         "weight": 0.5, "message": "Four keys, one for each class."},
        {"value": "mirrored", "expected": {"L": "J", "J": "L", "T": "T", "+": "+"},
         "message": "Left and right change places."},
        {"harness": "shifts_of_given", "args": [2, 10], "public": True,
         "holds": functools.partial(shifted, reach=2),
         "message": "Each image by its own shift, from -2 to 2 in either direction."},
    ]
    for n, height, width, channels, reach, n_calls in variant["shifts"]:
        # No pixel is 0, so that what comes in at the border can be told from what was there.
        images = rng.integers(1, 256, (n, height, width, channels)).astype("uint8")
        if channels == 1:
            images = (images / 256).astype("float32")
        sliding.append({"harness": "shifts", "args": [images, reach, n_calls],
                        "holds": functools.partial(shifted, reach=reach, images=images),
                        "message": "Other images, another reach, and maybe other channels."})

    bounds = {name: variant[name] for name in ("accuracy", "gap", "parameters", "steps")}
    x, y, x_valid, y_valid = given()
    x_test, y_test = draw(rng, variant["n_test"])
    other = draw(rng, len(x))
    healthy = [
        {"harness": "cure_given", "holds": functools.partial(cured, **bounds), "public": True,
         "message": "Stop in time, shift, drop out, build smaller: one cure may not be enough."},
        {"harness": "cure", "args": [x, y, x_valid, y_valid, x_test],
         "holds": functools.partial(cured, **bounds, y=y, y_test=y_test), "weight": 2,
         "message": "The same training images, and others to be tried on."},
        {"harness": "cure", "args": [*other, x_valid, y_valid, x_test],
         "holds": functools.partial(cured, **bounds, y=other[1], y_test=y_test),
         "message": "Other training images: a cure has to work more than once."},
    ]
    return [
        {"name": "q1", "title": "Read the curves", "points": 5, "cases": reading},
        {"name": "q2", "title": "Stop in time", "points": 5, "cases": early},
        {"name": "q3", "title": "More of the same", "points": 4, "cases": sliding},
        {"name": "q4", "title": "The cure", "points": 6, "cases": healthy},
    ]
