"""What leaves at one border comes in again at the other."""

FAILS = ["q3"]


def augment(images, rng, reach=2):
    shifts = rng.integers(-reach, reach + 1, (len(images), 2))
    return np.stack([np.roll(image, shift, (0, 1))
                     for image, shift in zip(images, shifts, strict=True)])
