"""
Convolution and pooling in NumPy: what a submission is asked, and what should come back.

The expected arrays are computed here from windows and sums over axes, in another way than the
master computes them, so that one mistake cannot hide in both.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

#: Shapes are (height, width). Each list of layers gives image, kernel, stride and padding.
VARIANT = {
    "seed": 41,
    "lengths": [(32, 5, 1), (27, 4, 2), (17, 3, 4), (9, 2, 3), (5, 5, 3), (10, 1, 4)],
    "planes": [
        ((7, 11), (3, 2), 1, "valid"),
        ((9, 6), (2, 4), 2, "valid"),
        ((8, 5), (3, 3), 1, "same"),
        ((7, 10), (4, 2), 1, "same"),
        ((11, 8), (2, 5), 3, "same"),
    ],
    "layers": [
        ((6, 9), (3, 2), 1, "valid", 3, 4),
        ((7, 5), (2, 2), 2, "same", 2, 5),
        ((5, 8), (1, 1), 1, "same", 6, 2),
        ((10, 7), (4, 3), 3, "same", 4, 1),
    ],
    "pools": [
        ((6, 10), 2, 2, "valid", 3),
        ((8, 7), 3, 2, "valid", 2),
        ((7, 9), 2, 2, "same", 2),
        ((8, 11), 3, 2, "same", 3),
    ],
    "gradients": [((6, 4), 2, 2), ((7, 9), 3, 2), ((5, 8), 2, 1)],
    "flat": (6, 9),
}
LIMITS = {"seconds": 60, "memory": 1 << 30}


def private(rng):
    """Return a VARIANT of other shapes, of the same kinds as the one that is published."""
    def side(low, high):
        return int(rng.integers(low, high + 1))

    def shape(low, high):
        tall = side(low, high)
        return tall, int(rng.choice([n for n in range(low, high + 1) if n != tall]))

    return {
        "seed": int(rng.integers(1 << 30)),
        "lengths": [(side(28, 40), 5, 1), (2 * side(11, 17) + 1, 4, 2), (4 * side(4, 8) + 1, 3, 4),
                    (3 * side(3, 6), 2, 3), (side(5, 7), 5, 3), (side(9, 12), 1, 4)],
        "planes": [(shape(7, 12), (3, 2), 1, "valid"),
                   ((2 * side(3, 5) + 1, side(6, 11)), (2, 4), 2, "valid"),
                   (shape(5, 9), (3, 3), 1, "same"), (shape(7, 11), (4, 2), 1, "same"),
                   ((3 * side(2, 4) + 2, side(7, 10)), (2, 5), 3, "same")],
        "layers": [(shape(6, 9), (3, 2), 1, "valid", side(2, 4), side(3, 5)),
                   ((2 * side(2, 4) + 1, side(4, 8)), (2, 2), 2, "same", 2, side(3, 5)),
                   (shape(5, 9), (1, 1), 1, "same", side(4, 6), 2),
                   ((3 * side(2, 4) + 1, side(5, 8)), (4, 3), 3, "same", side(3, 5), 1)],
        "pools": [(shape(6, 11), 2, 2, "valid", 3),
                  ((2 * side(4, 5), side(7, 11)), 3, 2, "valid", 2),
                  ((2 * side(3, 5) + 1, side(7, 11)), 2, 2, "same", 2),
                  ((2 * side(3, 5), side(7, 11)), 3, 2, "same", 3)],
        "gradients": [((2 * side(2, 4), 2 * side(2, 4)), 2, 2),
                      ((2 * side(2, 4) + 1, 2 * side(2, 4) + 1), 3, 2), (shape(5, 8), 2, 1)],
        "flat": (2 * side(2, 4), 3 * side(2, 3)),
    }


def size(n, k, stride, padding):
    """Return how often a kernel fits."""
    return (n - k) // stride + 1 if padding == "valid" else -(-n // stride)


def around(n, k, stride):
    """Return the zeros before and after that "same" needs."""
    total = max((size(n, k, stride, "same") - 1) * stride + k - n, 0)
    return total // 2, total - total // 2


def windows(x, shape, stride, padding, fill=0.0):
    """Return all windows of the first two axes: (rows, columns, ..., height, width)."""
    if padding == "same":
        edges = [around(n, k, stride) for n, k in zip(x.shape, shape, strict=False)]
        x = np.pad(x, edges + [(0, 0)] * (x.ndim - 2), constant_values=fill)
    return sliding_window_view(x, shape, axis=(0, 1))[::stride, ::stride]


def convolved(image, kernel, stride=1, padding="valid"):
    """Return the feature map of one image and one kernel."""
    return np.einsum("rcij,ij->rc", windows(image, kernel.shape, stride, padding), kernel)


def layer(x, kernels, bias, stride=1, padding="valid"):
    """Return the output of a convolutional layer."""
    seen = windows(x, kernels.shape[:2], stride, padding)
    return np.einsum("rcaij,ijab->rcb", seen, kernels) + bias


def pooled(x, shape, stride, padding, kind):
    """Return the pooled maps; what lies outside the image does not count."""
    fill = -np.inf if kind == "max" else np.nan
    seen = windows(x, (shape, shape), stride, padding, fill)
    return (np.max if kind == "max" else np.nanmean)(seen, axis=(-2, -1))


def back(x, upstream, shape, stride):
    """Return the gradient of max pooling: to the first maximum of each window."""
    gradient = np.zeros(x.shape)
    seen = windows(x, (shape, shape), stride, "valid")
    row, column = np.divmod(seen.reshape(*upstream.shape, -1).argmax(-1), shape)
    rows, columns, channels = np.indices(upstream.shape)
    np.add.at(gradient, (rows * stride + row, columns * stride + column, channels), upstream)
    return gradient


def questions(variant):
    """Return the questions of this variant."""
    rng = np.random.default_rng(variant["seed"])

    def numbers(*shape):
        # float32 on the way in, so that a literal of it is exact.
        return rng.normal(size=shape).astype("float32").astype(float)

    def below_zero(*shape):
        return -1 - np.abs(numbers(*shape))

    ramp = np.arange(20.0).reshape(4, 5)
    corner = np.array([[1.0, 2.0], [0.0, -1.0]])
    sizes = [
        {"call": "output_size", "args": [6, 3, 1, "valid"], "expected": 4, "public": True,
         "message": "In six cells a kernel of three begins at cells 0, 1, 2 and 3."},
        {"call": "output_size", "args": [6, 3, 2, "same"], "expected": 3, "public": True,
         "message": 'With "same" the kernel\'s size does not matter: every second cell gets one.'},
        {"call": "padding_amounts", "args": [6, 3, 1], "expected": (1, 1), "public": True,
         "message": "A kernel of three sticks out by one cell at either end."},
    ]
    for n, k, stride in variant["lengths"]:
        sizes += [
            {"call": "output_size", "args": [n, k, stride, padding],
             "expected": size(n, k, stride, padding),
             "message": "The number of positions: round down without padding, up with it."}
            for padding in ("valid", "same")]
        sizes.append(
            {"call": "padding_amounts", "args": [n, k, stride], "expected": around(n, k, stride),
             "message": "Never fewer than no zeros, and of an odd number the larger part comes "
                        "after."})

    planes = [
        {"call": "convolve", "args": [ramp, corner], "expected": convolved(ramp, corner),
         "public": True,
         "message": "Lay the kernel on the image as it is, multiply cell by cell, and add up."},
        {"call": "convolve", "args": [ramp, corner, 2, "valid"],
         "expected": convolved(ramp, corner, 2), "public": True,
         "message": "With a stride of 2 the kernel moves two rows down, and two columns across."},
    ]
    for image, kernel, stride, padding in variant["planes"]:
        image, kernel = numbers(*image), numbers(*kernel)
        planes.append(
            {"call": "convolve", "args": [image, kernel, stride, padding],
             "expected": convolved(image, kernel, stride, padding),
             "message": "Images need not be square, and kernels may have an even number of rows."})

    small = np.arange(18.0).reshape(3, 3, 2)
    ones = np.ones((2, 2, 2, 1))
    layers = [
        {"call": "conv_layer", "args": [small, ones, np.zeros(1)],
         "expected": layer(small, ones, np.zeros(1)), "public": True,
         "message": "A kernel of ones adds up all cells that it covers, in both channels."},
    ]
    for image, kernel, stride, padding, c_in, c_out in variant["layers"]:
        x, kernels, bias = numbers(*image, c_in), numbers(*kernel, c_in, c_out), numbers(c_out)
        layers.append(
            {"call": "conv_layer", "args": [x, kernels, bias, stride, padding],
             "expected": layer(x, kernels, bias, stride, padding),
             "message": "Each kernel reads all channels, writes one map, and adds its own bias."})

    steps = np.arange(16.0).reshape(4, 4, 1)
    pools = [
        {"call": "pool", "args": [steps, 2, 2, "valid", kind],
         "expected": pooled(steps, 2, 2, "valid", kind), "public": True,
         "message": f"Each block of four cells leaves {word}."}
        for kind, word in (("max", "its largest number"), ("mean", "its mean"))]
    for image, k, stride, padding, channels in variant["pools"]:
        x = below_zero(*image, channels)
        pools += [
            {"call": "pool", "args": [x, k, stride, padding, kind],
             "expected": pooled(x, k, stride, padding, kind),
             "message": "Each channel is pooled by itself, and cells outside do not count."}
            for kind in ("max", "mean")]

    peak = np.array([[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 6.0, 1.0]])[..., None]
    first = np.array([[10.0, 20.0]])[..., None]
    gradients = [
        {"call": "max_pool_gradient", "args": [peak, first, 2, 2],
         "expected": back(peak, first, 2, 2), "public": True,
         "message": "The 10 belongs to the cell that holds 5, the 20 to the cell that holds 6."},
    ]
    cases = [(numbers(*image, 2), k, stride) for image, k, stride in variant["gradients"]]
    # In black and white, maxima tie: the first in reading order has it.
    cases.append((1.0 * (numbers(*variant["flat"], 2) > 0), 2, 2))
    for x, k, stride in cases:
        shape = [size(n, k, stride, "valid") for n in x.shape[:2]]
        upstream = numbers(*shape, x.shape[2])
        gradients.append(
            {"call": "max_pool_gradient", "args": [x, upstream, k, stride],
             "expected": back(x, upstream, k, stride),
             "message": "One cell of each window has the gradient; where windows overlap, a "
                        "cell adds up what it gets."})

    return [
        {"name": "q1", "title": "How large, and how many zeros", "points": 4, "cases": sizes},
        {"name": "q2", "title": "One image, one kernel", "points": 5, "cases": planes},
        {"name": "q3", "title": "A whole layer", "points": 4, "cases": layers},
        {"name": "q4", "title": "Pooling", "points": 4, "cases": pools},
        {"name": "q5", "title": "The way back", "points": 3, "cases": gradients},
    ]
