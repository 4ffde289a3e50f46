"""It stops when it has waited for more epochs than it has patience."""

FAILS = ["q2"]


def early_stopping(val_losses, patience, min_delta=0.0):
    kept = 1
    for epoch in range(2, len(val_losses) + 1):
        if val_losses[epoch - 1] < val_losses[kept - 1] - min_delta:
            kept = epoch
        elif epoch - kept > patience:
            return epoch, kept
    return len(val_losses), kept
