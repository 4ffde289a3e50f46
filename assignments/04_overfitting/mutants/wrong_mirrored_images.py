"""Images are mirrored too, and an L becomes a J that is labelled L."""

FAILS = ["q4"]

_train, _shifted = train, augment


def train(x, y, x_valid, y_valid):
    global augment

    def augment(images, rng, reach=2):
        images = _shifted(images, rng, reach)
        flipped = rng.random(len(images)) < 0.5
        images[flipped] = images[flipped, :, ::-1]
        return images

    try:
        return _train(x, y, x_valid, y_valid)
    finally:
        augment = _shifted
