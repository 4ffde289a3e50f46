"""Where windows overlap, the last one overwrites what a cell has got before."""

FAILS = ["q5"]


def max_pool_gradient(x, upstream, size, stride):
    gradient = np.zeros(x.shape)
    for row, column, channel in np.ndindex(*upstream.shape):
        top, left = row * stride, column * stride
        window = x[top:top + size, left:left + size, channel]
        down, across = np.unravel_index(window.argmax(), window.shape)
        gradient[top + down, left + across, channel] = upstream[row, column, channel]
    return gradient
