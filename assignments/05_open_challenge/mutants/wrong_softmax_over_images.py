"""The probabilities of one class add up to 1, over the images."""

FAILS = ["q3"]


def handed_in(model):
    model.layers[-1].activation = keras.activations.linear
    return keras.Model(model.inputs, layers.Softmax(axis=0)(model.outputs[0]))
