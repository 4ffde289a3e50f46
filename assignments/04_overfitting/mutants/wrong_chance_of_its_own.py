"""The shifts are drawn from another generator than the one that is handed in."""

FAILS = ["q3"]

_augmented = augment


def augment(images, rng, reach=2):
    return _augmented(images, np.random.default_rng(), reach)
