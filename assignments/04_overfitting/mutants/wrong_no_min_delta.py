"""Any improvement counts, however small."""

FAILS = ["q2"]

_stopped = early_stopping


def early_stopping(val_losses, patience, min_delta=0.0):
    return _stopped(val_losses, patience)
