"""Each weight is used once, as in a dense layer on a vector."""

FAILS = ["q1"]


def cost(layers):
    parameters = sum(int(np.prod(shape)) for layer in layers for shape in layer["weights"])
    kernels = [shape for layer in layers for shape in layer["weights"] if len(shape) > 1]
    return parameters, sum(int(np.prod(shape)) for shape in kernels)
