"""A function of its own is in the file, which nobody else can load."""

FAILS = ["q2", "q3"]


def handed_in(model):
    return keras.Model(model.inputs, layers.Lambda(lambda rows: rows * 1)(model.outputs[0]))
