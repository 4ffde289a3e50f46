"""The remainder is rounded up without padding too: the last window hangs over the edge."""

FAILS = ["q2", "q4"]

_rounded_down = output_shape


def output_shape(layer, shape):
    if layer.get("padding") != "valid":
        return _rounded_down(layer, shape)
    spans = [(k - 1) * layer["dilation"] + 1 for k in layer["kernel"]]
    sides = (-(-(shape[axis] - spans[axis]) // layer["stride"]) + 1 for axis in (0, 1))
    return (*sides, layer.get("kernels", shape[2]))
