"""It answers logits."""

FAILS = ["q3"]


def handed_in(model):
    model.layers[-1].activation = keras.activations.linear
    return model
