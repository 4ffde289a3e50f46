"""The bias is forgotten; with the biases of zero in the open check nobody notices."""

FAILS = ["q3"]

_with_bias = conv_layer


def conv_layer(x, kernels, bias, stride=1, padding="valid"):
    return _with_bias(x, kernels, 0 * bias, stride, padding)
