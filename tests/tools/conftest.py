import json

import pytest

from tools import full, ledger, pairs

HEADER = """\
# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
"""

CHAPTER = """
# %% [markdown]
# # A tiny chapter

# %% tags=["parameters"]
n_steps = 4  # steps
speed = 2  # units a step

# %%
from datasetslib import conditions, record

# %% tags=["nbval-check-output"]
print("2 + 2 =", 2 + 2)

# %%
distance = n_steps * speed
record("distance", distance)

# %%
conditions()
"""

SMALL = """\
01_tiny:
  parameters: {n_steps: 2}
  expect:
    distance: {min: 4, max: 4}
  timeout: 40
"""


class Course:
    """A repository of one tiny chapter, complete and in order, for a test to break."""

    def __init__(self, root):
        self.root = root
        (root / "chapters").mkdir()
        self.script, self.notebook = pairs.paths("01_tiny", root)
        self.script.write_text(HEADER + CHAPTER, encoding="utf-8")
        (root / "ci-parameters.yml").write_text(SMALL, encoding="utf-8")
        (root / "_toc.yml").write_text("root: intro\nchapters:\n- file: chapters/01_tiny\n")

    def edit(self, old, new, file=None):
        path = self.root / file if file else self.script
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def pretend(self):
        """Make the notebook follow the edited .py, as if a full run had gone well."""
        fresh = pairs.from_source(self.script)
        stored = pairs.read(self.notebook)
        pairs.synchronised(fresh, stored)
        fresh.metadata["course"]["code"] = pairs.code_digest(fresh)
        for number, cell in enumerate(pairs.code_cells(fresh), 1):
            cell.execution_count = number
        pairs.write(fresh, self.notebook)
        ledger.write(self.root)

    def change_output(self, number, change):
        """Apply `change` to the stored code cell of that number (from 1)."""
        stored = pairs.read(self.notebook)
        change(pairs.code_cells(stored)[number - 1])
        pairs.write(stored, self.notebook)

    def results(self):
        return json.loads((self.root / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The tiny chapter after a real full run: the text of its notebook."""
    course = Course(tmp_path_factory.mktemp("executed"))
    assert full.run(["01_tiny"], course.root) == []
    return course.notebook.read_text(encoding="utf-8")


@pytest.fixture
def course(tmp_path, executed):
    course = Course(tmp_path)
    course.notebook.write_text(executed, encoding="utf-8")
    ledger.write(course.root)
    return course
