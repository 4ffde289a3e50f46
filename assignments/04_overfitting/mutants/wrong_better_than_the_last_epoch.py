"""Each epoch is compared with the one before, not with the best so far."""

FAILS = ["q2"]


def early_stopping(val_losses, patience, min_delta=0.0):
    kept, waited = 1, 0
    for epoch in range(2, len(val_losses) + 1):
        waited += 1
        if val_losses[epoch - 1] < val_losses[epoch - 2] - min_delta:
            kept, waited = epoch, 0
        elif waited == patience:
            return epoch, kept
    return len(val_losses), kept
