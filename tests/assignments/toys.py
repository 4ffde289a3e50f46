"""A small assignment and small submissions, made for the tests of the grader."""

import json
from pathlib import Path

from tools.grading import definition

#: Two questions: `double` is what the attacks are in, `total` is the honest part beside it.
CHECKS = '''
import numpy as np

VARIANT = {"seed": 7, "secret": 918273645}
LIMITS = {"seconds": 12, "memory": 400 << 20}


def questions(variant):
    rng = np.random.default_rng(variant["seed"])
    image = rng.normal(size=(4, 5))
    secret = np.full(3, float(variant["secret"]))
    return [
        {"name": "q1", "title": "Double it", "points": 4, "cases": [
            {"call": "double", "args": [np.arange(3.0)], "expected": 2 * np.arange(3.0),
             "public": True, "message": "Twice nothing is nothing."},
            {"call": "double", "args": [image], "expected": 2 * image,
             "message": "Images have two axes."},
            {"call": "double", "args": [secret], "expected": 2 * secret,
             "message": "Large numbers count too."},
        ]},
        {"name": "q2", "title": "Sum it", "points": 2, "cases": [
            {"call": "total", "args": [np.arange(3.0)], "expected": 3.0, "public": True,
             "message": "0 + 1 + 2."},
            {"call": "total", "args": [image], "holds": near_the_sum(image),
             "message": "Every number counts."},
        ]},
    ]


def near_the_sum(image):
    def holds(answer):
        return None if abs(answer - image.sum()) < 1e-6 else "It is not the sum."
    return holds
'''

#: The honest parts of a submission.
DOUBLE = "import numpy as np\n\n\ndef double(x):\n    return 2 * np.asarray(x)"
TOTAL = "import numpy as np\n\n\ndef total(x):\n    return np.asarray(x).sum()"


def assignment(folder, name="toy", checks=CHECKS, harness=None, variant=None):
    """Write an assignment below a folder, and load it."""
    place = Path(folder) / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "checks.py").write_text(checks)
    if harness:
        (place / "harness.py").write_text(harness)
    return definition.load(name, folder, variant)


def notebook(*cells):
    """Return a notebook with these code cells, as text."""
    return json.dumps({
        "nbformat": 4, "nbformat_minor": 5, "metadata": {},
        "cells": [{"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None,
                   "source": cell} for cell in cells]})


def submit(path, *cells):
    """Write a notebook with these code cells, and return its path."""
    path = Path(path)
    path.write_text(notebook(*cells))
    return path
