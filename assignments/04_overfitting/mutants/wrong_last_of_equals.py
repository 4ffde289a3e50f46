"""Of several best epochs the last one is returned."""

FAILS = ["q1"]


def best_epoch(history):
    losses = np.array(history["val_loss"])
    return int(np.flatnonzero(losses == losses.min())[-1]) + 1
