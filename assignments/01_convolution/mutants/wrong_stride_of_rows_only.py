"""The stride moves the kernel down, and across it moves by one, on a map of the right shape."""

FAILS = ["q2", "q3"]


def convolve(image, kernel, stride=1, padding="valid"):
    n, k = image.shape, kernel.shape
    if padding == "same":
        image = np.pad(image, [padding_amounts(n[0], k[0], stride),
                               padding_amounts(n[1], k[1], stride)])
    feature_map = np.zeros([output_size(n[0], k[0], stride, padding),
                            output_size(n[1], k[1], stride, padding)])
    for row, column in np.ndindex(*feature_map.shape):
        seen = image[row * stride:row * stride + k[0], column:column + k[1]]
        feature_map[row, column] = np.sum(seen * kernel)
    return feature_map
