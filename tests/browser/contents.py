"""What the book holds, for the tests that go through all of it."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def documents():
    """Return the names of all pages, in the book's order, without ``.html``."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"]] + [
        chapter["file"] for part in toc["parts"] for chapter in part["chapters"]
    ]


def chapters():
    """Return those of `documents` that are chapters."""
    return [name for name in documents() if name.startswith("chapters/")]


#: Pages of different kinds: text and tables; a chapter with an explorer; one that trains, with the
#: live network; formulas, wide tables and folds in number.
FEW = ("intro", "chapters/01_convolution", "chapters/05_mnist_keras", "pages/teachers")


def few_and_many(names, few=FEW):
    """Return the parameters of a test of many pages: all but a few of them are for ``long``."""
    assert set(few) & set(names), f"none of {few} is among {names}"
    return [name if name in few else pytest.param(name, marks=pytest.mark.long) for name in names]
