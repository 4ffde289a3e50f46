"""Biases are taken for products."""

FAILS = ["q1"]


def cost(layers):
    parameters = sum(int(np.prod(shape)) for layer in layers for shape in layer["weights"])
    work = 0
    for layer in layers:
        places = int(np.prod(layer["output"][:-1]))
        if layer["class"] in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"):
            work += places * sum(int(np.prod(shape)) for shape in layer["weights"])
        elif layer["class"] == "Multiply":
            work += places * layer["output"][-1]
    return parameters, work
