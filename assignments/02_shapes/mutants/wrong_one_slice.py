"""A kernel has one slice of weights, whatever it reads; a grey image hides it."""

FAILS = ["q3", "q4", "q6"]

_counted = parameters


def parameters(layer, shape):
    return _counted(layer, (*shape[:2], 1) if layer["kind"] == "conv" else shape)
