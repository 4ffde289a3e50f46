"""It was trained with labels that are one too high."""

FAILS = ["q3"]


def handed_in(model):
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([np.roll(kernel, 1, axis=-1), np.roll(bias, 1)])
    return model
