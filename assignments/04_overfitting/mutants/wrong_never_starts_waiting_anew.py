"""Bad epochs are counted from the beginning, also when a better one lies between."""

FAILS = ["q2"]


def early_stopping(val_losses, patience, min_delta=0.0):
    kept, waited = 1, 0
    for epoch in range(2, len(val_losses) + 1):
        if val_losses[epoch - 1] < val_losses[kept - 1] - min_delta:
            kept = epoch
        else:
            waited += 1
            if waited == patience:
                return epoch, kept
    return len(val_losses), kept
