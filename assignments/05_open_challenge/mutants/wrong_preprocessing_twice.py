"""The network was trained on images as they are, and divides them by 255 once more when saved."""

FAILS = ["q3"]


def handed_in(model):
    return keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 255),
                             *model.layers[1:]])
