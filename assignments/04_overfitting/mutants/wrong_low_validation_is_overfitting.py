"""A low validation accuracy is called overfitting, whatever the training accuracy is."""

FAILS = ["q1"]


def diagnose(history, enough, allowed):
    if history["val_accuracy"][-1] < enough - allowed:
        return "overfitting"
    return "underfitting" if history["accuracy"][-1] < enough else "fine"
