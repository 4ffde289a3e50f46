"""A depthwise convolution is counted like one that reads all channels."""

FAILS = ["q3", "q4"]

_counted, _worked = parameters, multiply_adds


def _as_conv(layer, shape):
    if layer["kind"] == "depthwise":
        return {**layer, "kind": "conv", "kernels": shape[2]}
    return layer


def parameters(layer, shape):
    return _counted(_as_conv(layer, shape), shape)


def multiply_adds(layer, shape):
    return _worked(_as_conv(layer, shape), shape)
