"""The best epoch is looked for in the training loss."""

FAILS = ["q1"]


def best_epoch(history):
    return int(np.argmin(history["loss"])) + 1
