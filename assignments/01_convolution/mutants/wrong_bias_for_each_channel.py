"""The bias is added once for each input channel instead of once."""

FAILS = ["q3"]


def conv_layer(x, kernels, bias, stride=1, padding="valid"):
    n_in, n_out = kernels.shape[2:]
    return np.stack([
        sum(convolve(x[..., c], kernels[..., c, k], stride, padding) + bias[k]
            for c in range(n_in)) for k in range(n_out)], -1)
