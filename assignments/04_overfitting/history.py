"""
Train the network that overfits, as the master shows it, and save its history.

    python history.py

It takes half a minute. history.csv is committed, because a student gets it within the notebook, and
a network that is trained again elsewhere has a history that differs in the last digits.
"""

import ast
import csv
import sys
import time
from pathlib import Path

import checks
import keras
import tensorflow as tf

HERE = Path(__file__).parent
NAMES = ("loss", "val_loss", "accuracy", "val_accuracy")


def network():
    """Return the network of the master's text, so that there is one of it."""
    tree = ast.parse((HERE / "master.py").read_text(encoding="utf-8"))
    found = [node for node in tree.body
             if isinstance(node, ast.FunctionDef) and node.name == "overfitting"]
    names = {"keras": keras, "layers": keras.layers}
    exec(compile(ast.Module(found, []), "master.py", "exec"), names)
    return names["overfitting"]()


def main():
    """Train, and write history.csv."""
    x_train, y_train, x_valid, y_valid = checks.given()
    keras.utils.set_random_seed(0)
    model, start = network(), time.perf_counter()
    curves = model.fit(x_train, y_train, batch_size=checks.BATCH, epochs=checks.EPOCHS, verbose=0,
                       validation_data=(x_valid, y_valid)).history
    seconds = time.perf_counter() - start
    with open(HERE / "history.csv", "w", encoding="utf-8", newline="") as file:
        file.write(f"# images: {checks.digest()}\n"
                   f"# TensorFlow {tf.__version__}, Keras {keras.__version__}, "
                   f"batches of {checks.BATCH}, {seconds:.1f} seconds\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["epoch", *NAMES])
        for number, values in enumerate(zip(*(curves[name] for name in NAMES), strict=True), 1):
            writer.writerow([number, *(f"{value:.4f}" for value in values)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
