"""
Write the weights with which chapter 05's LeNet runs in the page, and measure what they cost.

    python -m tools.live_lenet            # the model that chapter 05 saved -> lenet_weights.js
    python -m tools.live_lenet --check    # its accuracy: as stored, as written, and in the browser

The model is the one that a full run of chapter 05 leaves in ``$DATASETSLIB_RUNS/models``: plain
gradient descent, first seed. The file has to be a script, because a page that is opened from the
disk may not read other files; and it has to stay under 4 MB without the help of a server that
compresses. Nearly all of the weights are the kernel of the first dense layer, so these get six
bits each, with a scale of their own for each of the layer's outputs, and all others stay as they
are, in 32 bits. A digit of base64 holds six bits: one character is one weight, and there is
nothing to pack.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from datasetslib import training
from datasetslib.mnist import mnist

ROOT = Path(__file__).resolve().parent.parent
EXPLORERS = ROOT / "assets" / "explorers"
WEIGHTS = EXPLORERS / "lenet_weights.js"
MODEL = "mnist_keras.keras"
CHAPTER = "05_mnist_keras"

#: A megabyte is taken as a million bytes: the smaller of its two meanings.
LIMIT = 4_000_000

#: So much accuracy may be lost on the way, in points.
POINTS = 0.2

#: The arrays as the model gives them, with their shapes, in its order.
ARRAYS = {
    "conv1Kernel": (4, 4, 1, 32),
    "conv1Bias": (32,),
    "conv2Kernel": (4, 4, 32, 64),
    "conv2Bias": (64,),
    "dense1Kernel": (3136, 1024),
    "dense1Bias": (1024,),
    "dense2Kernel": (1024, 10),
    "dense2Bias": (10,),
}
LARGE, SCALE = "dense1Kernel", "dense1Scale"
HIGHEST = 31  # levels go from -31 to 31; a digit of base64 is the level plus 32
MIDDLE = 32
FORMAT = 1
DIGITS = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)


class WeightsError(Exception):
    """The weights cannot be written or are not what they should be; the message says why."""


def quantise(kernel):
    """
    Round a matrix to levels from -31 to 31, with a scale for each column.

    Parameters
    ----------
    kernel : ndarray, shape (n, m)
        Weights.

    Returns
    -------
    levels : ndarray of int8, shape (n, m)
    scale : ndarray of float32, shape (m,)
        ``levels * scale`` is the rounded matrix; the largest weight of each column keeps its size.

    Examples
    --------
    >>> levels, scale = quantise(np.array([[31.0, 0.0], [-15.4, 0.0]]))
    >>> levels.tolist(), scale.tolist()
    ([[31, 0], [-15, 0]], [1.0, 1.0])
    """
    largest = np.abs(kernel).max(axis=0)
    scale = np.where(largest > 0, largest / HIGHEST, 1).astype("float32")
    return np.rint(kernel / scale).astype("int8"), scale


def stored(weights):
    """
    Turn a model's arrays into the bytes that the file stands for.

    Parameters
    ----------
    weights : list of ndarray
        What ``model.get_weights()`` returns.

    Returns
    -------
    floats : bytes
        All arrays but the large kernel, and that kernel's scales in its place.
    levels : ndarray of uint8
        The large kernel's levels plus 32, row by row.

    Raises
    ------
    WeightsError
        When these are not the arrays of the chapter's network, or not all numbers.
    """
    shapes = [np.shape(array) for array in weights]
    if shapes != list(ARRAYS.values()):
        raise WeightsError(f"the arrays have shapes {shapes}: not the network of chapter 05")
    if not all(np.isfinite(array).all() for array in weights):
        raise WeightsError("some weights are no numbers: the training went wrong; train again")
    parts, levels = [], None
    for name, array in zip(ARRAYS, weights, strict=True):
        if name == LARGE:
            levels, array = quantise(array)
        parts.append(np.ascontiguousarray(array, "<f4").tobytes())
    return b"".join(parts), (levels + MIDDLE).astype("uint8").ravel()


def sha256(floats, levels):
    """Return the digest that the page checks: of the decoded bytes, not of their spelling."""
    return hashlib.sha256(floats + levels.tobytes()).hexdigest()


def write(weights, provenance):
    """
    Spell a model's weights as a script.

    Parameters
    ----------
    weights : list of ndarray
        What ``model.get_weights()`` returns.
    provenance : dict
        What is to be known about their origin; strings and numbers.

    Returns
    -------
    str
        The text of ``lenet_weights.js``.
    """
    floats, levels = stored(weights)
    about = json.dumps(provenance, indent=4, ensure_ascii=True).replace("\n", "\n    ")
    # Checking the spelling of the digits would find words among them.
    return f"""\
/* The weights of chapter 05's LeNet for the page.
   Written by `python -m tools.live_lenet`; do not edit. `floats`: 32-bit numbers in base64.
   `levels`: the kernel of the large dense layer, one base64 digit for each weight. lenet_math.js
   reads both, and compares the digest of what it has read. */
(function () {{
  "use strict";
  const course = (window.course = window.course || {{}});
  course.lenetWeights = {{
    format: {FORMAT},
    provenance: {about},
    sha256: "{sha256(floats, levels)}",
    floats: "{base64.b64encode(floats).decode()}", // codespell:ignore
    levels: "{DIGITS[levels].tobytes().decode()}", // codespell:ignore
  }};
}})();
"""


def read(text):
    """
    Read the script again, as the page does.

    Parameters
    ----------
    text : str
        The text of ``lenet_weights.js``.

    Returns
    -------
    weights : list of ndarray
        For ``model.set_weights()``: the large kernel as rounded.
    provenance : dict
    digest : str
        As stated in the file, and found to be right.

    Raises
    ------
    WeightsError
        When the file is not whole or the digest is another.
    """
    try:
        spelled = {
            name: text.split(f'\n    {name}: "', 1)[1].split('"', 1)[0]
            for name in ("sha256", "floats", "levels")
        }
        provenance = json.loads(
            text.split("\n    provenance: ", 1)[1].split(",\n    sha256:", 1)[0])
        floats = base64.b64decode(spelled["floats"], validate=True)
        of_digit = np.full(256, 255, np.uint8)
        of_digit[DIGITS] = np.arange(64)
        levels = of_digit[np.frombuffer(spelled["levels"].encode(), np.uint8)]
    except (IndexError, ValueError) as error:
        raise WeightsError(
            f"{WEIGHTS.name} cannot be read ({error}): run python -m tools.live_lenet") from error
    if sha256(floats, levels) != spelled["sha256"]:
        raise WeightsError(
            f"{WEIGHTS.name}: the bytes do not have the digest {spelled['sha256']} that it states: "
            "run python -m tools.live_lenet")
    numbers, weights = np.frombuffer(floats, "<f4"), []
    for name, shape in ARRAYS.items():
        n = shape[-1] if name == LARGE else int(np.prod(shape))
        array, numbers = numbers[:n].copy(), numbers[n:]
        if name == LARGE:
            array = (levels.reshape(shape).astype("float32") - MIDDLE) * array
        weights.append(array.reshape(shape))
    return weights, provenance, spelled["sha256"]


def load_model():
    """Load the model that chapter 05 saved; `WeightsError` says how to come by it."""
    import keras

    path = training.model_path(MODEL)
    if not path.is_file():
        raise WeightsError(
            f"{MODEL} is not in the folder models of DATASETSLIB_RUNS: run chapter 05 in full "
            f"(make results CHAPTERS={CHAPTER}), which saves it, and name the same folder here")
    return keras.saving.load_model(path)


def real_test_images():
    """Return the 10,000 test images of MNIST as rows of 784 bytes, their labels and edition."""
    dataset = mnist(n_train=1, n_valid=1)
    dataset.load_data()
    if dataset.edition.is_synthetic:
        raise WeightsError("accuracy is measured on MNIST, and this is a synthetic stand-in: unset "
                           "DATASETSLIB_SOURCE, or name another source")
    return dataset.X_test, dataset.Y_test, dataset.edition


def read_by_keras(model, images):
    """Return the digits that a model reads in rows of 784 bytes."""
    return model.predict(images.astype("float32") / 255, batch_size=500, verbose=0).argmax(axis=1)


def read_by_browser(images, source=WEIGHTS, chunk=500):
    """
    Return the digits that the page's own scripts read, in Chromium, and how long one took.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, 784)
    source : path-like
        The weights file.
    chunk : int
        Images handed over at a time.

    Returns
    -------
    digits : ndarray of int
    milliseconds : float
        Median over the chunks of the time that one image took.
    """
    from playwright.sync_api import sync_playwright

    from tools import browser

    digits, times = [], []
    with sync_playwright() as playwright:
        running = browser.launch(playwright, browser.get())
        page = running.new_page()
        for script in (EXPLORERS / "lenet_math.js", source):
            page.add_script_tag(path=script)
        page.evaluate("() => { window.net = course.lenetMath.decode(course.lenetWeights); }")
        for at in range(0, len(images), chunk):
            text = base64.b64encode(images[at : at + chunk].tobytes()).decode()
            found, milliseconds = page.evaluate("""text => {
              const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0)), digits = [];
              const start = performance.now();
              for (let at = 0; at < bytes.length; at += 784) {
                const image = Float32Array.from(bytes.subarray(at, at + 784), b => b / 255);
                digits.push(course.lenetMath.forward(window.net, image).reading);
              }
              return [digits, (performance.now() - start) / digits.length];
            }""", text)
            digits += found
            times.append(milliseconds)
        running.close()
    return np.array(digits), float(np.median(times))


def make():
    """Write the weights file from the stored model."""
    model = load_model()
    images, labels, edition = real_test_images()
    reference = model.get_weights()
    accuracy = np.mean(read_by_keras(model, images) == labels)
    weights, _, digest = read(write(reference, {}))
    model.set_weights(weights)
    written = np.mean(read_by_keras(model, images) == labels)
    text = write(reference, {
        "chapter": CHAPTER,
        "model": f"{MODEL}: plain gradient descent, first seed, after "
                 f"{int(model.optimizer.iterations)} steps",
        "parameters": int(sum(array.size for array in reference)),
        "bits": "6 for each weight of the large dense kernel, 32 for all others",
        "data": f"{edition.name}: {edition.kind}, SHA-256 over its contents {edition.digest}",
        "test_images": len(labels),
        "accuracy_of_the_stored_model": round(float(accuracy), 4),
        "accuracy_with_these_weights": round(float(written), 4),
        "keras": version("keras"),
    })
    if len(text.encode()) > LIMIT:
        raise WeightsError(f"{len(text.encode()):,} bytes are more than {LIMIT:,}")
    if 100 * (accuracy - written) > POINTS:
        raise WeightsError(f"rounding costs {100 * (accuracy - written):.2f} points of accuracy, "
                           f"more than {POINTS}")
    WEIGHTS.write_text(text, encoding="ascii", newline="\n")
    print(f"{WEIGHTS.name}: {len(text):,} bytes, SHA-256 of the decoded bytes {digest}")
    print(f"accuracy {accuracy:.4f} as stored, {written:.4f} as written")


def check():
    """Measure the weights file against the stored model; return whether it is good enough."""
    text = WEIGHTS.read_text(encoding="ascii")
    weights, provenance, digest = read(text)
    model = load_model()
    images, labels, edition = real_test_images()
    same = sha256(*stored(model.get_weights())) == digest
    found = {"stored model, Keras": read_by_keras(model, images)}
    model.set_weights(weights)
    found["decoded weights, Keras"] = read_by_keras(model, images)
    found["decoded weights, in the page"], milliseconds = read_by_browser(images)

    print(f"{len(labels):,} test images; {edition}")
    accuracies = {name: float(np.mean(digits == labels)) for name, digits in found.items()}
    for name, accuracy in accuracies.items():
        print(f"{name:<30} {accuracy:.4f}")
    first, keras_digits, page_digits = found.values()
    loss = 100 * (accuracies["stored model, Keras"] - accuracies["decoded weights, in the page"])
    print(f"lost on the way: {loss:+.2f} points (allowed: {POINTS})")
    print(f"read differently, stored model against page: {np.sum(first != page_digits)} images")
    print(f"read differently, Keras against page, same weights: "
          f"{np.sum(keras_digits != page_digits)} images")
    print(f"one image in the page: {milliseconds:.1f} ms")
    plain, packed = len(text.encode()), len(gzip.compress(text.encode(), 6, mtime=0))
    print(f"{WEIGHTS.name}: {plain:,} bytes, {packed:,} with gzip (allowed: {LIMIT:,})")
    print(f"SHA-256 of the decoded bytes: {digest}")
    print(f"made from this stored model: {'yes' if same else 'NO: run python -m tools.live_lenet'}")
    for name, value in provenance.items():
        print(f"  {name}: {value}")
    return same and loss <= POINTS and plain <= LIMIT


def main(arguments=None):
    """Write the file, or check it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.live_lenet",
                                     description=__doc__.strip().splitlines()[0])
    parser.add_argument("--check", action="store_true",
                        help="measure the file that is there, write nothing")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            return 0 if check() else 1
        make()
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
