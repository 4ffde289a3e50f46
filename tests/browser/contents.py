"""What the book holds, for the tests that go through all of it."""

from pathlib import Path

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
