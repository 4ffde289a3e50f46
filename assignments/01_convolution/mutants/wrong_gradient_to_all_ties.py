"""Every cell that equals the maximum gets the whole gradient."""

FAILS = ["q5"]


def max_pool_gradient(x, upstream, size, stride):
    gradient = np.zeros(x.shape)
    for row, column, channel in np.ndindex(*upstream.shape):
        here = (slice(row * stride, row * stride + size),
                slice(column * stride, column * stride + size), channel)
        gradient[here] += (x[here] == x[here].max()) * upstream[row, column, channel]
    return gradient
