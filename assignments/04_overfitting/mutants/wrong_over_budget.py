"""Right, and twice as long in training as allowed."""

FAILS = ["q4"]

_cured = train


def train(x, y, x_valid, y_valid):
    model = _cured(x, y, x_valid, y_valid)
    steps = model.optimizer.iterations
    while int(steps) <= 600:
        model.fit(x, y, batch_size=8, verbose=0)
    return model
