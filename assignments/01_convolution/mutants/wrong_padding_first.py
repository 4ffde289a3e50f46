"""The odd zero of "same" is put before the row; everything that pads inherits it."""

FAILS = ["q1", "q2", "q3", "q4"]


def padding_amounts(n, k, stride):
    zeros = max((output_size(n, k, stride, "same") - 1) * stride + k - n, 0)
    return zeros - zeros // 2, zeros // 2
