"""The images were scaled in the notebook, and not in the network."""

FAILS = ["q3"]


def handed_in(model):
    maps = inputs = keras.Input((32, 32, 3))
    for layer in model.layers[2:]:
        maps = layer(maps)
    return keras.Model(inputs, maps)
