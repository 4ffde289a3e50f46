"""
Make what the solution hands in beside its notebook: the network that its own cells train.

The cells run in a process of their own, with ``TRAIN`` set to True, on the edition of CIFAR-10 that
the variant names. A wrong answer that defines ``handed_in(model)`` gets the trained network, and
returns the one that is handed in instead, or the bytes of the file, or None for no file at all.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

#: Training images of the synthetic edition; of the real one all are taken.
SYNTHETIC = 4000


def make_files(assignment, cells, folder):
    """Train the solution's network, and make the networks of the wrong answers from it."""
    import datasetslib

    order = {"cells": cells, "data": assignment.variant["data"], "folder": str(folder),
             "wrong": {path.stem: path.read_text(encoding="utf-8")
                       for path in sorted((assignment.folder / "mutants").glob("wrong_*.py"))}}
    places = [str(Path(datasetslib.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)),
               "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "2"}
    ended = subprocess.run([sys.executable, "-B", __file__], input=json.dumps(order), text=True,
                           env=environ, capture_output=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"the network was not trained: {ended.stderr[-2000:]}")


def training_images(data):
    """Return training images and labels of an edition, in the form that Keras has them."""
    from datasetslib import store, synthetic

    if data == "synthetic":
        arrays, _ = synthetic.make("cifar10", SYNTHETIC, 0)
    else:
        arrays, _ = store.load("cifar10", "home" if os.environ.get("DATASETSLIB_HOME") else "cache")
    return arrays["x_train"].transpose(0, 2, 3, 1), arrays["y_train"].reshape(-1, 1)


def main():
    """Do what `make_files` has ordered, in a process of its own."""
    import keras

    order = json.load(sys.stdin)
    folder = Path(order["folder"])
    right = folder / "solution"
    right.mkdir(parents=True)
    os.chdir(right)
    keras.datasets.cifar10.load_data = lambda: (training_images(order["data"]), None)
    names = {"__name__": "__main__"}
    for cell in order["cells"]:
        names["TRAIN"] = True
        exec(compile(cell, "cell", "exec"), names)
    for wrong, source in order["wrong"].items():
        here = dict(names)
        exec(compile(source, wrong, "exec"), here)
        if "handed_in" not in here:
            continue
        made = here["handed_in"](keras.saving.load_model("network.keras", compile=False))
        (folder / wrong).mkdir()
        if isinstance(made, bytes):
            (folder / wrong / "network.keras").write_bytes(made)
        elif made is not None:
            made.save(folder / wrong / "network.keras")


if __name__ == "__main__":
    main()
