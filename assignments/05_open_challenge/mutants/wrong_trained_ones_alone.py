"""Of a normalisation only what is trained is counted."""

FAILS = ["q1"]

all_of_them = cost


def cost(layers):
    untrained = sum(2 * layer["output"][-1] for layer in layers
                    if layer["class"] == "BatchNormalization")
    parameters, work = all_of_them(layers)
    return parameters - untrained, work
