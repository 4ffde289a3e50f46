"""Pooling pads with zeros and counts them, in the maximum and in the mean."""

FAILS = ["q4"]

_inside = pool


def pool(x, size, stride, padding="valid", kind="max"):
    if padding == "same":
        edges = [padding_amounts(n, size, stride) for n in x.shape[:2]]
        x = np.pad(x, [*edges, (0, 0)])
    return _inside(x, size, stride, "valid", kind)
