"""
Shapes, parameters, multiply-adds and receptive fields: what is asked, and what should come back.

The expected numbers come about in another way than the master's: sizes from the positions
themselves, parameters from the shapes of the weights, receptive fields from the last layer
backwards. So one mistake cannot hide in both.
"""

import functools
import math


def conv(kernels, kernel, stride=1, padding="same", dilation=1):
    """Note a convolution."""
    return {"kind": "conv", "kernels": kernels, "kernel": kernel, "stride": stride,
            "padding": padding, "dilation": dilation}


def depthwise(kernel, stride=1, padding="same", dilation=1):
    """Note a depthwise convolution."""
    return {"kind": "depthwise", "kernel": kernel, "stride": stride, "padding": padding,
            "dilation": dilation}


def pool(window, stride=2, padding="valid"):
    """Note a pooling layer."""
    return {"kind": "pool", "kernel": window, "stride": stride, "padding": padding, "dilation": 1}


def flatten():
    """Note the layer that makes a vector of maps."""
    return {"kind": "flatten"}


def dense(units):
    """Note a dense layer."""
    return {"kind": "dense", "units": units}


#: The network of the first question. The text of the master shows it: change both, or none.
NETWORK = [conv(32, (4, 4), padding="valid"), pool((2, 2)), conv(64, (4, 4), padding="valid"),
           pool((2, 2)), flatten(), dense(1024), dense(10)]
NAMES = ["conv1", "pool1", "conv2", "pool2", "flatten", "dense1", "dense2"]
PHOTOGRAPH = (32, 32, 3)

#: Layers with the shapes that they read, networks likewise, stacks for the receptive field, and
#: designs: shape, budget and field.
VARIANT = {
    "layers": [
        (conv(7, (3, 5), padding="valid"), (11, 18, 3)),
        (conv(5, (4, 2), 2, "valid"), (15, 11, 2)),
        (conv(6, (3, 3), 3), (10, 17, 4)),
        (conv(4, (3, 2), 1, "valid", 3), (14, 12, 5)),
        (conv(3, (5, 3), 1, "same", 2), (9, 13, 2)),
        (depthwise((3, 2), 2), (13, 10, 6)),
        (depthwise((2, 4), 1, "valid"), (8, 15, 5)),
        (pool((2, 2)), (13, 8, 7)),
        (pool((3, 2), 2, "same"), (11, 15, 3)),
        (flatten(), (3, 5, 7)),
        (dense(23), (41,)),
    ],
    "networks": [
        ([conv(6, (4, 2)), pool((2, 2)), conv(9, (3, 4), padding="valid"), pool((3, 3), 2, "same"),
          flatten(), dense(30), dense(10)], (19, 26, 3)),
        ([conv(8, (3, 3), 2), depthwise((3, 5)), conv(12, (1, 1)), depthwise((4, 3), 1, "same", 2),
          conv(16, (1, 1)), pool((2, 3), 2), flatten(), dense(7)], (37, 30, 3)),
        ([conv(4, (3, 2), padding="valid"), conv(5, (3, 2), 1, "valid", 2),
          conv(6, (3, 2), 1, "valid", 4), flatten(), dense(11)], (23, 17, 2)),
    ],
    "stacks": [
        [pool((3, 2), 3), conv(4, (5, 3), 2), conv(4, (2, 4), 1, "valid", 3)],
        [conv(2, (3, 3), 2), conv(2, (3, 3), 2), depthwise((5, 1), 2), pool((2, 2))],
    ],
    "designs": [((32, 32, 3), 20_000, 20), ((28, 28, 1), 6_000, 9), ((40, 24, 3), 90_000, 13),
                ((64, 48, 3), 35_000, 24)],
}


def private(rng):
    """Return a VARIANT of other sizes, of the same kinds as the one that is published."""
    def side(low, high):
        return int(rng.integers(low, high + 1))

    def pair(low, high):
        tall = side(low, high)
        return tall, int(rng.choice([n for n in range(low, high + 1) if n != tall]))

    def odd(low, high):
        return 2 * side(low, high) + 1

    return {
        # Where a stride is above 1, a remainder is left: it tells rounding up from rounding down.
        "layers": [
            (conv(side(5, 9), pair(2, 5), padding="valid"), (*pair(9, 18), side(2, 5))),
            (conv(side(4, 9), (4, 2), 2, "valid"), (odd(4, 8), odd(3, 7), side(2, 5))),
            (conv(side(4, 9), (3, 3), 3), (3 * side(3, 5) + 1, 3 * side(3, 5) + 2, side(2, 5))),
            (conv(side(4, 9), (3, 2), 1, "valid", side(2, 4)), (*pair(10, 16), side(2, 5))),
            (conv(side(3, 9), (5, 3), 1, "same", side(2, 3)), (*pair(8, 14), side(2, 5))),
            (depthwise((3, 2), 2), (odd(4, 7), 2 * side(3, 6), side(3, 7))),
            (depthwise(pair(2, 4), 1, "valid"), (*pair(7, 15), side(3, 7))),
            (pool((2, 2)), (odd(4, 7), 2 * side(3, 6), side(3, 8))),
            (pool((3, 2), 2, "same"), (odd(4, 7), odd(3, 8), side(2, 5))),
            (flatten(), (*pair(2, 6), side(3, 8))),
            (dense(side(11, 40)), (side(20, 60),)),
        ],
        "networks": [
            ([conv(side(4, 8), (4, 2)), pool((2, 2)), conv(side(6, 12), (3, 4), padding="valid"),
              pool((3, 3), 2, "same"), flatten(), dense(side(20, 40)), dense(10)],
             (odd(8, 12), 2 * side(10, 14), 3)),
            ([conv(side(5, 9), (3, 3), 2), depthwise(pair(2, 5)), conv(side(9, 14), (1, 1)),
              depthwise((4, 3), 1, "same", 2), conv(side(12, 18), (1, 1)), pool((2, 3), 2),
              flatten(), dense(side(5, 9))], (odd(15, 20), 2 * side(14, 18), 3)),
            ([conv(side(3, 6), (3, 2), padding="valid"), conv(side(4, 7), (3, 2), 1, "valid", 2),
              conv(side(5, 8), (3, 2), 1, "valid", 4), flatten(), dense(side(9, 15))],
             (*pair(17, 25), 2)),
        ],
        "stacks": [
            [pool((3, 2), 3), conv(4, pair(2, 5), 2), conv(4, (2, 4), 1, "valid", side(2, 4))],
            [conv(2, (3, 3), 2), conv(2, pair(2, 4), 2), depthwise((side(3, 6), 1), 2),
             pool((2, 2))],
        ],
        "designs": [((32, 32, 3), 500 * side(30, 50), side(17, 20)),
                    ((28, 28, 1), 100 * side(50, 70), side(8, 10)),
                    ((8 * side(4, 6), 24, 3), 1000 * side(70, 110), side(11, 14)),
                    ((64, 8 * side(4, 7), 3), 500 * side(60, 80), side(22, 24))],
    }


def positions(n, k, layer):
    """Return how many places a kernel of k weights takes on a row of n cells."""
    if layer["padding"] == "same":
        return len(range(0, n, layer["stride"]))
    last = n - 1 - (k - 1) * layer["dilation"]
    return len(range(0, last + 1, layer["stride"]))


def made(layer, shape):
    """Return the shape that a layer makes."""
    if layer["kind"] == "dense":
        return (layer["units"],)
    if layer["kind"] == "flatten":
        return (math.prod(shape),)
    places = (positions(n, k, layer) for n, k in zip(shape[:2], layer["kernel"], strict=True))
    return (*places, layer["kernels"] if layer["kind"] == "conv" else shape[2])


def weights(layer, shape):
    """Return the shape of a layer's weights, the outputs last; None where there are none."""
    if layer["kind"] == "conv":
        return (*layer["kernel"], shape[2], layer["kernels"])
    if layer["kind"] == "depthwise":
        return (*layer["kernel"], shape[2])
    return (shape[0], layer["units"]) if layer["kind"] == "dense" else None


def stored(layer, shape):
    """Return the parameters of a layer: its weights, and a bias for each kernel or unit."""
    held = weights(layer, shape)
    return 0 if held is None else math.prod(held) + held[-1]


def done(layer, shape):
    """Return the multiply-adds of a layer: for each output, what it reads."""
    held = weights(layer, shape)
    return 0 if held is None else math.prod(made(layer, shape)) * math.prod(held[:-1])


def both(layers, shape):
    """Return the parameters and the multiply-adds of a network."""
    counts = []
    for layer in layers:
        counts.append((stored(layer, shape), done(layer, shape)))
        shape = made(layer, shape)
    return tuple(map(sum, zip(*counts, strict=True)))


def seen(layers):
    """Return what one number of the last map sees, from the last layer back to the image."""
    field = [1, 1]
    for layer in reversed(layers):
        field = [(n - 1) * layer["stride"] + (k - 1) * layer["dilation"] + 1
                 for n, k in zip(field, layer["kernel"], strict=True)]
    return tuple(field)


def whole(number):
    """Return a whole number above 0 that came back as an array."""
    if int(number) != number or number < 1:
        raise ValueError(f"{number} is no whole number above 0")
    return int(number)


def noted(layer):
    """Return a layer that came back, made of plain values."""
    note = {"kind": str(layer["kind"])}
    if note["kind"] in ("conv", "depthwise", "pool"):
        note["kernel"] = tuple(whole(k) for k in layer["kernel"])
        note["stride"], note["dilation"] = whole(layer["stride"]), whole(layer["dilation"])
        note["padding"] = str(layer["padding"])
    for name, kind in (("kernels", "conv"), ("units", "dense")):
        if note["kind"] == kind:
            note[name] = whole(layer[name])
    return note


def form(answer):
    """Complain about a design that is not made as it should be."""
    layers = [noted(layer) for layer in answer]
    sliding, head = layers[:-2], layers[-2:]
    if head != [{"kind": "flatten"}, {"kind": "dense", "units": 10}]:
        return "It should end with flatten() and dense(10)."
    for layer in sliding:
        if layer["kind"] not in ("conv", "depthwise", "pool"):
            return f"Before flatten() all layers slide, and {layer['kind']} does not."
        if len(layer["kernel"]) != 2 or max(layer["kernel"]) > 3:
            return "No kernel and no window may be larger than 3 x 3."
        if layer["padding"] not in ("same", "valid"):
            return "The padding is same or valid."
    return None if sliding else "There is nothing before flatten()."


def fits(answer, shape, budget, field):
    """Complain about a design that sees too little or too much, or costs too much or too little."""
    wrong = form(answer)
    if wrong:
        return wrong
    layers, here = [noted(layer) for layer in answer], shape
    for layer in layers:
        here = made(layer, here)
        if min(here) < 1:
            return "A kernel finds no place on the map that it reads."
    view, cost = seen(layers[:-2]), both(layers, shape)[0]
    if min(view) < field or max(view) > 2 * field:
        return f"It sees {view} pixels, and should see {field} to {2 * field}."
    if not budget / 2 < cost <= budget:
        return f"It has {cost} parameters, and may have {budget // 2 + 1} to {budget}."
    return None


def questions(variant):
    """Return the questions of this variant."""
    rows, shape = [], PHOTOGRAPH
    for name, layer in zip(NAMES, NETWORK, strict=True):
        rows.append((name, made(layer, shape), stored(layer, shape), done(layer, shape)))
        shape = made(layer, shape)

    def row(name, expected, message):
        # The first layer is shown, the others are for the pencil.
        return {"value": name, "expected": expected, "message": message,
                **({"public": True} if name.startswith("conv1") else {})}

    pencil = []
    for name, out, held, work in rows:
        if not name.startswith("dense"):
            pencil.append(row(f"{name}_shape", out,
                              "Without padding the last start is n - k, and pooling rounds down."))
        if held:
            pencil += [row(f"{name}_parameters", held,
                           "A kernel has a slice for each channel that it reads, and one bias."),
                       row(f"{name}_multiply_adds", work,
                           "Each number that comes out takes as many multiply-adds as it reads.")]
    for name, column in (("most_parameters", 2), ("most_work", 3)):
        pencil.append({"value": name, "message": "The largest number of the column.",
                       "expected": max((line[column], line[0]) for line in rows)[1]})

    shapes = [
        {"call": "output_shape", "args": [conv(8, (3, 3), 1, "valid"), (6, 7, 2)],
         "expected": (4, 5, 8), "public": True,
         "message": "Three cells fit into six in 4 places, and into seven in 5."},
        {"call": "output_shape", "args": [pool((2, 2), 2, "same"), (6, 7, 2)],
         "expected": (3, 4, 2), "public": True,
         "message": "Half of 7, rounded up; pooling leaves the number of maps alone."},
        {"call": "output_shape", "args": [conv(8, (3, 3), 1, "valid", 2), (6, 7, 2)],
         "expected": (2, 3, 8), "public": True,
         "message": "With a dilation of 2, three weights span five cells."},
    ]
    shapes += [{"call": "output_shape", "args": [layer, before], "expected": made(layer, before),
                "message": "Rows and columns each by the rule, then the number of maps."}
               for layer, before in variant["layers"]]

    counts = [
        {"call": "parameters", "args": [conv(5, (2, 2)), (28, 28, 1)], "expected": 25,
         "public": True, "message": "Five kernels of four weights, and five biases."},
        {"call": "parameters", "args": [pool((2, 2)), (28, 28, 5)], "expected": 0, "public": True,
         "message": "Pooling has nothing to learn."},
    ]
    counts += [{"call": "parameters", "args": [layer, before], "expected": stored(layer, before),
                "message": "Weights times what they read, one bias for each kernel or unit."}
               for layer, before in variant["layers"] if weights(layer, before)]

    tiny = [conv(2, (1, 1)), flatten(), dense(3)]
    work = [
        {"call": "multiply_adds", "args": [conv(5, (2, 2)), (28, 28, 1)], "expected": 15680,
         "public": True, "message": "28 x 28 places, five kernels, four weights each."},
        {"call": "totals", "args": [tiny, (2, 2, 1)], "expected": both(tiny, (2, 2, 1)),
         "public": True,
         "message": "Four parameters and 27; eight multiply-adds and 24."},
    ]
    work += [{"call": "multiply_adds", "args": [layer, before], "expected": done(layer, before),
              "message": "The places of the output count, and the biases do not."}
             for layer, before in variant["layers"] if weights(layer, before)]
    work += [{"call": "totals", "args": [layers, before], "expected": both(layers, before),
              "weight": 2, "message": "What one layer makes, the next one reads."}
             for layers, before in variant["networks"]]

    lenet = [conv(32, (4, 4)), pool((2, 2)), conv(64, (4, 4)), pool((2, 2))]
    fields = [
        {"call": "receptive_field", "args": [[conv(8, (3, 3))] * 3], "expected": (7, 7),
         "public": True, "message": "3, 5, 7: each layer adds one pixel on either side."},
        {"call": "receptive_field", "args": [lenet], "expected": (13, 13), "public": True,
         "message": "4, 5, 11, 13: behind a pooling every step is two pixels long."},
    ]
    fields += [{"call": "receptive_field", "args": [layers], "expected": seen(layers),
                "message": "The jump is that before the layer, and dilation widens the kernel."}
               for layers in [*([layer for layer in layers if "kernel" in layer]
                                for layers, _ in variant["networks"]), *variant["stacks"]]]

    designs = [
        {"call": "design", "args": [(32, 32, 3), 10_000, 12], "holds": form, "public": True,
         "weight": 0.5, "message": "What it sees and what it costs, your own functions can say."},
    ]
    designs += [
        {"call": "design", "args": [size, budget, field],
         "holds": functools.partial(fits, shape=size, budget=budget, field=field),
         "message": "From field to 2 field pixels, and more than half of the budget."}
        for size, budget, field in variant["designs"]]

    return [
        {"name": "q1", "title": "With a pencil", "points": 4, "cases": pencil},
        {"name": "q2", "title": "What comes out", "points": 5, "cases": shapes},
        {"name": "q3", "title": "What has to be stored", "points": 3, "cases": counts},
        {"name": "q4", "title": "What has to be done", "points": 4, "cases": work},
        {"name": "q5", "title": "How far one number sees", "points": 4, "cases": fields},
        {"name": "q6", "title": "Design one", "points": 5, "cases": designs},
    ]
