"""Work is counted at the places of the input; without a stride, "same" has as many."""

FAILS = ["q4"]


def multiply_adds(layer, shape):
    if layer["kind"] == "dense":
        return shape[0] * layer["units"]
    if layer["kind"] in ("conv", "depthwise"):
        maps = shape[2] * layer.get("kernels", 1)
        return shape[0] * shape[1] * layer["kernel"][0] * layer["kernel"][1] * maps
    return 0
