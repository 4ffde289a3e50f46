"""Where the stride is longer than the kernel, the number of zeros comes out below none."""

FAILS = ["q1"]

_never_negative = padding_amounts


def padding_amounts(n, k, stride):
    zeros = (output_size(n, k, stride, "same") - 1) * stride + k - n
    if zeros < 0:
        return zeros // 2, zeros - zeros // 2
    return _never_negative(n, k, stride)
