"""
LeNet in raw TensorFlow: what a submission is asked, and what should come back.

The expected arrays come from NumPy alone, in double precision: the way forward and the way back are
written out below. Nothing of TensorFlow takes part, so that no setting of it can hide a mistake.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

#: Each network: number of images; height, width and channels; kernel and maps of the first
#: convolution, of the second; units; classes.
VARIANT = {
    "seed": 12,
    "networks": [
        (5, (8, 8, 1), (4, 4), 6, (4, 4), 8, 20, 10),
        (3, (9, 7, 3), (3, 4), 5, (4, 2), 7, 12, 4),
        (7, (13, 10, 2), (4, 3), 4, (5, 3), 6, 15, 6),
    ],
    "learning_rates": [0.4, 0.02],
    "steps": [1, 3, 12],
}
LIMITS = {"seconds": 120, "memory": 2 << 30}

#: A float32 may fall on either side of a kink that is nearer than this, and another gradient is
#: right there: such numbers are asked of nobody.
MARGIN = 1e-5


def private(rng):
    """Return a VARIANT of other sizes and numbers."""
    def side(low, high):
        return int(rng.integers(low, high + 1))

    variant = {
        "networks": [
            (side(4, 6), (4 * side(2, 3), 4 * side(2, 3), 1), (4, 4), side(4, 7), (4, 4),
             side(5, 9), side(14, 24), 10),
            (side(2, 4), (4 * side(1, 3) + 1, 4 * side(1, 3) + 3, 3), (3, side(4, 5)), side(4, 6),
             (4, 2), side(5, 8), side(10, 16), side(3, 5)),
            (side(6, 9), (4 * side(2, 3) + 1, 4 * side(2, 3) + 2, 2), (4, 3), side(3, 5), (5, 3),
             side(5, 7), side(12, 18), side(6, 9)),
        ],
        "learning_rates": [side(30, 60) / 100, side(15, 30) / 1000],
        "steps": [1, side(2, 4), side(8, 15)],
    }
    while True:
        variant["seed"] = side(0, 1 << 30)
        if all(margin(*batch[:2]) > MARGIN for batch in batches(variant)):
            return variant


def draw(rng, n, image, kernel1, maps1, kernel2, maps2, units, classes):
    """Return weights, images and labels; the weights keep the size of the signal."""
    height, width = (-(-side // 4) for side in image[:2])
    shapes = {"conv1": (*kernel1, image[2], maps1), "conv2": (*kernel2, maps1, maps2),
              "dense1": (height * width * maps2, units), "dense2": (units, classes)}
    weights = {}
    for layer, shape in shapes.items():
        kernel = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
        weights[f"{layer}_kernel"] = kernel.astype("float32")
        weights[f"{layer}_bias"] = (0.3 * rng.normal(size=shape[-1])).astype("float32")
    return weights, rng.random((n, *image), "float32"), rng.integers(0, classes, n)


def batches(variant):
    """Return the weights, images and labels of each network of a variant."""
    rng = np.random.default_rng(variant["seed"])
    return [draw(rng, *network) for network in variant["networks"]]


def tiny():
    """Return weights, images and labels that are short to write, for the open cases."""
    rng = np.random.default_rng(18)  # far from every kink, though the numbers are rounded
    weights, images, labels = draw(rng, 2, (4, 4, 1), (2, 2), 2, (2, 2), 2, 3, 2)
    weights = {name: np.round(16 * array) / 16 for name, array in weights.items()}
    return weights, np.round(8 * images) / 8, labels


def padded(x, kernel):
    """Return images with the zeros around them that SAME asks for at a stride of 1."""
    edges = [((k - 1) // 2, k - 1 - (k - 1) // 2) for k in kernel.shape[:2]]
    return np.pad(x, [(0, 0), *edges, (0, 0)])


def convolved(x, kernel):
    """Return the convolution of images, with SAME."""
    seen = sliding_window_view(padded(x, kernel), kernel.shape[:2], axis=(1, 2))
    return np.einsum("nhwcij,ijck->nhwk", seen, kernel)


def convolved_back(x, kernel, upstream):
    """Return the gradients by the images and by the kernel."""
    _, height, width, _ = x.shape
    ready = padded(x, kernel)
    by_x, by_kernel = np.zeros(ready.shape), np.zeros(kernel.shape)
    for row, column in np.ndindex(*kernel.shape[:2]):
        here = (slice(None), slice(row, row + height), slice(column, column + width))
        by_x[here] += upstream @ kernel[row, column].T
        by_kernel[row, column] = np.einsum("nhwc,nhwk->ck", ready[here], upstream)
    top, left = ((k - 1) // 2 for k in kernel.shape[:2])
    return by_x[:, top:top + height, left:left + width], by_kernel


def blocks(x):
    """Return the 2 by 2 blocks of maps, their four numbers on the last axis."""
    n, height, width, channels = x.shape
    x = np.pad(x, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], constant_values=-np.inf)
    x = x.reshape(n, -(-height // 2), 2, -(-width // 2), 2, channels)
    return x.transpose(0, 1, 3, 5, 2, 4).reshape(n, x.shape[1], x.shape[3], channels, 4)


def pooled_back(x, upstream):
    """Return the gradient of max pooling: to the first largest of each block."""
    n, height, width, channels = x.shape
    won = np.eye(4)[blocks(x).argmax(-1)] * upstream[..., None]
    won = won.reshape(*upstream.shape, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    return won.reshape(n, 2 * upstream.shape[1], -1, channels)[:, :height, :width]


def passed(weights, images):
    """Return what each layer makes of images, from the images to the logits."""
    w = {name: array.astype(float) for name, array in weights.items()}
    made = {"pool0": images.astype(float)}
    for number in (1, 2):
        made[f"conv{number}"] = convolved(made[f"pool{number - 1}"], w[f"conv{number}_kernel"]
                                          ) + w[f"conv{number}_bias"]
        made[f"relu{number}"] = np.maximum(made[f"conv{number}"], 0)
        made[f"pool{number}"] = blocks(made[f"relu{number}"]).max(-1)
    made["flat"] = made["pool2"].reshape(len(images), -1)
    made["dense1"] = made["flat"] @ w["dense1_kernel"] + w["dense1_bias"]
    made["hidden"] = np.maximum(made["dense1"], 0)
    made["logits"] = made["hidden"] @ w["dense2_kernel"] + w["dense2_bias"]
    return made


def loss(weights, images, labels):
    """Return the mean cross-entropy."""
    logits = passed(weights, images)["logits"]
    logits = logits - logits.max(1, keepdims=True)
    right = logits[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(logits).sum(1)) - right))


def slopes(weights, images, labels):
    """Return the gradient of the loss by each of the weights."""
    w, made, found = weights, passed(weights, images), {}
    chances = np.exp(made["logits"] - made["logits"].max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    by = (chances - np.eye(chances.shape[1])[labels]) / len(labels)
    found["dense2_kernel"], found["dense2_bias"] = made["hidden"].T @ by, by.sum(0)
    by = by @ w["dense2_kernel"].T.astype(float) * (made["dense1"] > 0)
    found["dense1_kernel"], found["dense1_bias"] = made["flat"].T @ by, by.sum(0)
    by = (by @ w["dense1_kernel"].T.astype(float)).reshape(made["pool2"].shape)
    for number in (2, 1):
        by = pooled_back(made[f"relu{number}"], by) * (made[f"conv{number}"] > 0)
        found[f"conv{number}_bias"] = by.sum((0, 1, 2))
        by, found[f"conv{number}_kernel"] = convolved_back(
            made[f"pool{number - 1}"], w[f"conv{number}_kernel"].astype(float), by)
    return found


def margin(weights, images):
    """Return how far the nearest ReLU is from its kink, and the nearest maximum from a tie."""
    made, far = passed(weights, images), []
    for name in ("conv1", "conv2", "dense1"):
        far.append(np.abs(made[name]).min())
    for name in ("relu1", "relu2"):
        second, first = np.sort(blocks(made[name]))[..., -2:].reshape(-1, 2).T
        # A tie of zeros has no gradient to give away.
        far.append((first - second)[first > 0].min(initial=np.inf))
    return float(min(far))


def descended(weights, images, labels, rate):
    """Return the weights after a step of gradient descent."""
    slope = slopes(weights, images, labels)
    return {name: array - rate * slope[name] for name, array in weights.items()}


def adam(weights, m, v, t, images, labels, rate):
    """Return weights, m and v after a step of Adam."""
    slope, moved, means, squares = slopes(weights, images, labels), {}, {}, {}
    for name, array in weights.items():
        means[name] = m[name] + 0.1 * (slope[name] - m[name])
        squares[name] = v[name] + 0.001 * (slope[name] ** 2 - v[name])
        step = means[name] / (1 - 0.9**t) * np.sqrt(1 - 0.999**t)
        moved[name] = array - rate * step / (np.sqrt(squares[name]) + 1e-7)
    return moved, means, squares


def questions(variant):
    """Return the questions of this variant."""
    rng = np.random.default_rng([variant["seed"], 1])
    first, drawn = tiny(), batches(variant)
    zero = {name: np.zeros_like(array) for name, array in first[0].items()}
    rates = variant["learning_rates"]

    logits = [{"call": "forward", "args": [*first[:2]],
               "expected": passed(*first[:2])["logits"], "public": True,
               "message": "Convolution, bias, ReLU, pooling, and once more; flatten; dense with "
                          "ReLU; dense."}]
    logits += [{"call": "forward", "args": [weights, images],
                "expected": passed(weights, images)["logits"],
                "message": "Any number of images, of any height and width, with SAME everywhere."}
               for weights, images, _ in drawn]

    losses = [
        {"call": "mean_loss", "args": [zero, *first[1:]], "expected": np.log(2.0), "public": True,
         "message": "With weights of zero, both classes are equally likely: the loss is ln 2."},
        {"call": "mean_loss", "args": [*first], "expected": loss(*first), "public": True,
         "message": "The mean over the images of minus the logarithm of the right probability."}]
    losses += [{"call": "mean_loss", "args": [*batch], "expected": loss(*batch),
                "message": "The mean over the images, and labels count from 0."}
               for batch in drawn]
    for weights, images, labels in drawn[:2]:
        sure = {**weights, "dense2_kernel": 500 * weights["dense2_kernel"]}
        losses.append({"call": "mean_loss", "args": [sure, images, labels],
                       "expected": loss(sure, images, labels),
                       "message": "Large logits: the loss is large and finite."})

    downhill = [{"call": "gradients", "args": [*first], "expected": slopes(*first), "public": True,
                 "message": "A dictionary with the names of the weights, of the mean loss."}]
    downhill += [{"call": "gradients", "args": [*batch], "expected": slopes(*batch),
                  "message": "The gradient of the mean loss by each of the eight arrays."}
                 for batch in drawn]

    steps = [{"call": "sgd_step", "args": [*first, 0.5], "expected": descended(*first, 0.5),
              "public": True, "message": "Each weight, less the learning rate times its gradient."}]
    steps += [{"call": "sgd_step", "args": [*batch, rates[0]],
               "expected": descended(*batch, rates[0]),
               "message": "Against the gradient, all of the eight arrays."} for batch in drawn]

    weights, *batch = first
    given = [weights, zero, zero, 1, *batch, 0.125]
    trained = [{"call": "training_step", "args": given, "expected": adam(*given), "public": True,
                "message": "In step 1 each weight moves by the learning rate, or not at all."}]
    for t, (weights, *batch) in zip(variant["steps"], drawn, strict=True):
        m, v = ({name: scale * rng.normal(size=array.shape).astype("float32") * (t > 1)
                 for name, array in weights.items()} for scale in (0.1, 0.2))
        # A mean of squares is never negative.
        v = {name: array**2 for name, array in v.items()}
        given = [weights, m, v, t, *batch, rates[1]]
        trained.append({"call": "training_step", "args": given, "expected": adam(*given),
                        "message": "New means, the correction for step t, and then the step."})

    return [
        {"name": "q1", "title": "Forward", "points": 5, "cases": logits},
        {"name": "q2", "title": "How wrong is it", "points": 4, "cases": losses},
        {"name": "q3", "title": "Which way is down", "points": 4, "cases": downhill},
        {"name": "q4", "title": "One step", "points": 3, "cases": steps},
        {"name": "q5", "title": "One step of Adam", "points": 4, "cases": trained},
    ]
