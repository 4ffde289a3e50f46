"""The file holds the weights, and no network."""

FAILS = ["q2", "q3"]


def handed_in(model):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.weights.h5")
        model.save_weights(path)
        return path.read_bytes()
