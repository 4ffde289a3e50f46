"""A branch holds more parameters than the budget has."""

FAILS = ["q2", "q3"]


def handed_in(model):
    seen = layers.Dense(60)(layers.Flatten()(model.inputs[0]))
    nothing = layers.Dense(10, kernel_initializer="zeros")(seen)
    return keras.Model(model.inputs, layers.Add()([model.outputs[0], nothing]))
