"""The whole batch gets one shift."""

FAILS = ["q3"]


def augment(images, rng, reach=2):
    height, width = images.shape[1:3]
    top, left = rng.integers(0, 2 * reach + 1, 2)
    framed = np.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)])
    return framed[:, top:top + height, left:left + width]
