"""The upper end of the range is left out, as `integers` does."""

FAILS = ["q3"]


def augment(images, rng, reach=2):
    height, width = images.shape[1:3]
    framed = np.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)])
    return np.stack([image[top:top + height, left:left + width] for image, (top, left) in
                     zip(framed, rng.integers(0, 2 * reach, (len(images), 2)), strict=True)])
