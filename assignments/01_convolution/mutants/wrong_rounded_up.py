"""The number of positions is rounded up without padding too: the last one hangs over the edge."""

FAILS = ["q1", "q2", "q4"]


def output_size(n, k, stride, padding):
    return -(-n // stride) if padding == "same" else -(-(n - k) // stride) + 1
