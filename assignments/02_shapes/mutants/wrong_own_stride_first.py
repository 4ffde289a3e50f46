"""The jump of a layer is taken into account before its own kernel and not after it."""

FAILS = ["q5", "q6"]


def receptive_field(layers):
    field, jump = [1, 1], 1
    for layer in layers:
        jump *= layer["stride"]
        for axis, k in enumerate(layer["kernel"]):
            field[axis] += (k - 1) * layer["dilation"] * jump
    return tuple(field)
