"""The kernel is turned by 180 degrees first, as in mathematics; the layer is right by itself."""

FAILS = ["q2"]

_straight = convolve


def conv_layer(x, kernels, bias, stride=1, padding="valid"):
    n_in, n_out = kernels.shape[2:]
    return np.stack([
        sum(_straight(x[..., c], kernels[..., c, k], stride, padding) for c in range(n_in))
        + bias[k] for k in range(n_out)], -1)


def convolve(image, kernel, stride=1, padding="valid"):
    return _straight(image, kernel[::-1, ::-1], stride, padding)
