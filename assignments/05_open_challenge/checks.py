"""
The open challenge: what is asked of a saved network, and of what its maker says about it.

Multiply-adds are counted from the layers that were built, outside the sandbox: each number that a
layer makes, times what it reads. A layer that the count does not know, or cannot count, loses the
case. The images are those of CIFAR-10's test set that ``seed`` picks. They are read when they are
asked for, and nothing ever takes their place: ``"data": "synthetic"`` has to be said.
"""

import functools
import math
import os
import re
import unicodedata

import numpy as np

#: ``data``: "real", or "synthetic" for a proof where there are no photographs. ``images``: how many
#: of the test images are asked, picked by ``seed``, which draws the networks to be counted as well.
VARIANT = {
    "data": "real",
    "seed": 31,
    "images": 2000,
    "max_parameters": 150_000,
    "max_multiply_adds": 15_000_000,
    "accuracy": [0.55, 0.60, 0.65],
}
FILES = ("network.keras",)
LIMITS = {"seconds": 300, "memory": 3 << 30}
LEADERBOARD = {
    "columns": ["team", "accuracy", "parameters", "multiply_adds", "epochs", "images", "seconds",
                "device", "data"],
    "best": ["-accuracy", "parameters", "multiply_adds"],
}

#: Layers that add up products of what they read and what they have learned, and one that
#: multiplies two maps.
COUNTED = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "Multiply")

#: Layers that cost nothing: they move, compare, average or bend numbers, or can be folded into the
#: layer before them, or do nothing once the training is over.
FREE = ("InputLayer", "MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D",
        "GlobalAveragePooling2D", "Flatten", "Reshape", "Permute", "ZeroPadding2D", "Cropping2D",
        "UpSampling2D", "Identity", "BatchNormalization", "Normalization", "Rescaling",
        "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Dropout", "SpatialDropout2D",
        "GaussianNoise", "GaussianDropout", "Add", "Subtract", "Average", "Maximum", "Minimum",
        "Concatenate", "RandomFlip", "RandomTranslation", "RandomRotation", "RandomZoom",
        "RandomContrast", "RandomBrightness")

#: What a declaration says.
DECLARED = ("epochs", "images", "seconds", "device")


def private(rng):
    """Return a VARIANT of other images, other networks to count, another budget."""
    first = int(rng.integers(50, 56))
    return {
        "seed": int(rng.integers(1 << 30)),
        "images": int(rng.integers(15, 26)) * 100,
        "max_parameters": int(rng.integers(12, 19)) * 10_000,
        "max_multiply_adds": int(rng.integers(11, 19)) * 1_000_000,
        "accuracy": [(first + more) / 100 for more in (0, 5, 10)],
    }


def texts(variant):
    """Return what the text says of a variant."""
    *first, last = (f"{100 * share:g}" for share in variant["accuracy"])
    return {"max_parameters": variant["max_parameters"], "n_images": variant["images"],
            "max_multiply_adds": variant["max_multiply_adds"],
            "steps": f"{', '.join(first)} and {last} %"}


@functools.cache
def photographs(data, seed, n):
    """Return some test images, with labels, and which edition of CIFAR-10 they are of."""
    from datasetslib import store, synthetic

    if data == "synthetic":
        arrays, edition = synthetic.make("cifar10", 0, n, seed=seed % 1000)
    elif data == "real":
        # Grading downloads nothing: what is missing is said, with the remedy.
        arrays, edition = store.load(
            "cifar10", "home" if os.environ.get("DATASETSLIB_HOME") else "cache")
    else:
        raise ValueError(f"data is {data!r}, and should be 'real' or 'synthetic'")
    picked = np.random.default_rng(seed).permutation(len(arrays["x_test"]))[:n]
    images = np.asarray(arrays["x_test"])[picked].transpose(0, 2, 3, 1).astype("float32")
    return images, np.asarray(arrays["y_test"])[picked].astype(int), edition.kind


def note(kind, output, *weights):
    """Note a layer: its kind, what it makes of one image, the arrays that it holds."""
    return {"class": kind, "output": tuple(output), "weights": list(weights)}


def work(layer):
    """
    Return the multiply-adds that a layer takes for one image.

    ``layer`` is a note, or what the grader says of a layer that was built, whose output begins
    with None for the batch.
    """
    kind, weights = layer["class"], layer["weights"]
    made = math.prod(size for size in layer["output"] if size is not None)
    if kind in FREE:
        return 0
    if kind == "Multiply":
        return made
    ranks = {"Conv2D": [4], "DepthwiseConv2D": [4], "SeparableConv2D": [4, 4], "Dense": [2]}
    shapes = [shape for shape in weights if len(shape) > 1]
    if [len(shape) for shape in shapes] != ranks[kind] or len(weights) > len(shapes) + 1:
        raise ValueError(f"a {kind} holds arrays of the shapes {weights}")
    if kind == "DepthwiseConv2D":
        return made * math.prod(shapes[0][:2])
    if kind == "SeparableConv2D":
        between = made // shapes[1][3] * math.prod(shapes[0][2:])
        return between * math.prod(shapes[0][:2]) + made * shapes[1][2]
    return made * math.prod(shapes[0][:-1])


def cost(layers):
    """Return the parameters and the multiply-adds of a network."""
    held = sum(math.prod(shape) for layer in layers for shape in layer["weights"])
    return held, sum(map(work, layers))


def countable(answer):
    """Complain about a network whose work the budget cannot count."""
    wired = [layer for layer in answer["config"]["config"]["layers"]
             if layer["class_name"] != "InputLayer"]
    built = [layer for layer in answer["layers"] if layer["class"] != "InputLayer"]
    for layer in built:
        if layer["class"] not in COUNTED + FREE:
            return f"{layer['class']} is not among the layers that the budget can count."
        if not all(isinstance(size, int) for size in layer["output"][1:]):
            return f"{layer['name']} does not say its size; begin with Input((32, 32, 3))."
        if layer["class"] == "Multiply" and len(layer["input"]) != 2:
            return f"{layer['name']} should multiply two maps."
    for layer in wired:
        if layer["class_name"] in ("Sequential", "Functional"):
            return "There is a network within the network; put its layers in its place."
        if len(layer.get("inbound_nodes") or ()) > 1:
            return "A layer is used twice; each use would cost, so use each layer once."
    names = [layer["config"]["name"] for layer in wired]
    if sorted(names) != sorted({layer["name"] for layer in built}) or len(built) != len(wired):
        return "The layers that were saved are not those that were built; save it again."
    return None


def small(answer, most):
    """Complain about a network that cannot be counted, or holds too many parameters."""
    problem = countable(answer)
    if problem:
        return problem
    if answer["parameters"] > most:
        return f"It has {answer['parameters']:,} parameters, and may have {most:,}."
    return None


def within(answer, variant):
    """Complain about a network that is over the budget."""
    problem = small(answer, variant["max_parameters"])
    if problem:
        return problem
    taken, most = sum(map(work, answer["layers"])), variant["max_multiply_adds"]
    return f"It takes {taken:,} multiply-adds, and may take {most:,}." if taken > most else None


def chances(answer):
    """Complain about answers that are not ten probabilities for each image."""
    rows = answer["predictions"]
    if rows.ndim != 2 or rows.shape[1] != 10:
        return f"For n images (n, 10) numbers should come back, and {rows.shape} came."
    if rows.min() < 0 or abs(rows.sum(1) - 1).max() > 0.001:
        return "The ten numbers of an image should be probabilities: none below 0, their sum 1."
    return None


def share(answer, variant):
    """Return the share of the hidden images whose largest probability is that of their class."""
    labels = photographs(variant["data"], variant["seed"], variant["images"])[1]
    rows = answer["predictions"]
    if rows.shape != (len(labels), 10):
        raise ValueError(f"{rows.shape} for {len(labels)} images")
    return float(np.mean(rows.argmax(1) == labels))


def good(answer, variant, least):
    """Complain about a network that is over the budget, or recognises too little."""
    problem = within(answer, variant) or chances(answer)
    if problem:
        return problem
    right = share(answer, variant)
    return f"It is right for {right:.1%}, and {least:.0%} are asked for." if right < least else None


def measured(answer, variant):
    """Return what the leaderboard says of a network that is within the budget."""
    if chances(answer):
        return {}
    return {"accuracy": round(share(answer, variant), 4), "parameters": answer["parameters"],
            "multiply_adds": sum(map(work, answer["layers"])),
            "data": photographs(variant["data"], variant["seed"], variant["images"])[2]}


def plain(text, longest):
    """Return a text with nothing in it but letters, digits, single spaces and a few signs."""
    text = re.sub(r"[^\w .,()+-]", "", unicodedata.normalize("NFKC", str(text)))
    return " ".join(text.split())[:longest]


def team_name(answer):
    """Complain about a name that cannot stand on a leaderboard."""
    text = str(answer)
    if not isinstance(answer, (str, np.ndarray)) or text != plain(text, 24) or not (
            text[:1].isalpha() and len(text) > 1):
        return "A name has 2 to 24 letters, digits, spaces and hyphens, and begins with a letter."
    return None


def declaration(answer):
    """Complain about a declaration that does not have its form."""
    if not isinstance(answer, dict) or sorted(answer) != sorted(DECLARED):
        return f"It should be a dictionary with the keys {', '.join(DECLARED)}."
    for key in DECLARED[:3]:
        value = np.asarray(answer[key])
        if value.shape or value.dtype.kind not in "iuf" or not 0 < value < 1e12:
            return f"{key} should be a number above 0."
    if np.asarray(answer["device"]).dtype.kind != "U":
        return "device should be a text."
    return None


def sensible(answer):
    """Complain about a declaration whose numbers cannot be."""
    problem = declaration(answer)
    if problem:
        return problem
    epochs, images = (float(answer[key]) for key in ("epochs", "images"))
    if images != int(images) or images > 50_000 * math.ceil(epochs):
        return "images counts every image each time that it was seen: at most 50,000 an epoch."
    if len(plain(answer["device"], 40)) < 3:
        return "device should say on what you trained, in a word or two."
    return None


def told(answer):
    """Return what the leaderboard says of a declaration."""
    return {**{key: answer[key] for key in DECLARED[:3]}, "device": plain(answer["device"], 40)}


def drawn(rng):
    """Return two networks, as notes, with layers of all kinds that cost something."""
    def some(low, high):
        return int(rng.integers(low, high + 1))

    def kernel():
        tall = some(1, 5)
        return tall, int(rng.choice([k for k in range(1, 6) if k != tall]))

    (high, wide), a, b, c = (some(18, 40), some(18, 40)), some(5, 9), some(10, 14), some(15, 19)
    (one, other), (tall, broad) = kernel(), kernel()
    half, third = (-(-high // 2), wide // 2 - 1), (some(6, 9), some(6, 9))
    plain_one = [
        note("Rescaling", (high, wide, 3)),
        note("Conv2D", (*half, a), (one, other, 3, a), (a,)),
        note("BatchNormalization", (*half, a), (a,), (a,), (a,), (a,)),
        note("MaxPooling2D", (*third, a)),
        note("Conv2D", (*third, b), (tall, broad, a, b)),
        note("Dense", (*third, c), (b, c), (c,)),
        note("Flatten", (third[0] * third[1] * c,)),
        note("Dense", (10,), (third[0] * third[1] * c, 10), (10,)),
    ]
    narrow = [
        note("Conv2D", (high, wide, a), (3, 3, 3, a)),
        note("DepthwiseConv2D", (*half, 2 * a), (one, other, a, 2), (2 * a,)),
        note("Conv2D", (*half, b), (1, 1, 2 * a, b), (b,)),
        note("SeparableConv2D", (*third, c), (tall, broad, b, 1), (1, 1, b, c), (c,)),
        note("DepthwiseConv2D", (*third, c), (broad, tall, c, 1)),
        note("Multiply", (*third, c)),
        note("GlobalAveragePooling2D", (c,)),
        note("Dense", (10,), (c, 10), (10,)),
    ]
    return plain_one, narrow


def questions(variant):
    """Return the questions of this variant."""
    def hidden():
        return [photographs(variant["data"], variant["seed"], variant["images"])[0]]

    black = np.zeros((2, 32, 32, 3), "float32")
    first = [note("Conv2D", (8, 8, 4), (3, 3, 1, 4), (4,)), note("Flatten", (256,)),
             note("Dense", (10,), (256, 10), (10,))]
    thin = [note("DepthwiseConv2D", (8, 8, 4), (3, 3, 4, 1), (4,)),
            note("BatchNormalization", (8, 8, 4), (4,), (4,), (4,), (4,))]
    networks = drawn(np.random.default_rng(variant["seed"]))
    singles = [layer for network in networks for layer in network if layer["class"] in COUNTED]

    counts = [
        {"call": "cost", "args": [first], "expected": cost(first), "public": True,
         "message": "40 and 2,570 parameters; 64 x 4 numbers of 9 products each, and 2,560."},
        {"call": "cost", "args": [thin], "expected": cost(thin), "public": True,
         "message": "A depthwise kernel reads one map; normalising costs memory and no work."}]
    counts += [{"call": "cost", "args": [[layer]], "expected": cost([layer]),
                "message": "Each number that a layer makes takes as many products as it reads."}
               for layer in singles]
    counts += [{"call": "cost", "args": [list(network)], "expected": cost(network), "weight": 3,
                "message": "The sums over all layers of a network."} for network in networks]

    budget = [
        {"model": "network.keras", "args": [black], "public": True,
         "holds": functools.partial(small, most=variant["max_parameters"]),
         "message": "One network, of layers that can be counted, with few enough parameters."},
        {"model": "network.keras", "args": hidden, "weight": 2,
         "holds": functools.partial(within, variant=variant),
         "figures": functools.partial(measured, variant=variant),
         "message": "Parameters and multiply-adds, as the grader counts them, are within the "
                    "budget."}]

    accuracy = [
        {"model": "network.keras", "args": [black], "holds": chances, "public": True, "weight": 1,
         "message": "Images of 32 x 32 x 3 numbers from 0 to 255 go in, probabilities come out."}]
    accuracy += [
        {"model": "network.keras", "args": hidden, "weight": weight,
         "holds": functools.partial(good, variant=variant, least=least),
         "message": f"Within the budget, it is right for {least:.0%} of images it has not seen."}
        for least, weight in zip(variant["accuracy"], (4, 4, 3), strict=True)]

    declared = [
        {"value": "team", "holds": team_name, "public": True, "weight": 0.5,
         "figures": lambda answer: {"team": str(answer)},
         "message": "The leaderboard shows this name, so choose one that is not your own."},
        {"value": "declared", "holds": declaration, "public": True, "weight": 0.5,
         "message": "Four entries: three numbers, and the machine in words."},
        {"value": "declared", "holds": sensible, "weight": 1, "figures": told,
         "message": "Each image counts each time that it is seen; a second run counts again."}]

    return [
        {"name": "q1", "title": "Count", "points": 4, "cases": counts},
        {"name": "q2", "title": "Within the budget", "points": 3, "cases": budget},
        {"name": "q3", "title": "As many right as you can", "points": 12, "cases": accuracy},
        {"name": "q4", "title": "Say what it took", "points": 2, "cases": declared},
    ]
