"""The network was saved before it was trained."""

FAILS = ["q3"]


def handed_in(model):
    return keras.models.clone_model(model)
