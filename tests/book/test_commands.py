"""The commands that the pages tell readers to type: their syntax, and the names in them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("pages/*.md"))]


def commands(text):
    """Return the blocks of shell commands in a text."""
    return re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def unknown_names(block, root=ROOT):
    """Return the verbs and chapters that a block names and the repository does not have."""
    verbs = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.M)
    named = re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)
    files = re.findall(r"\bchapters/\w+\.\w+", block)
    return [v for v in named if v not in verbs] + [f for f in files if not (root / f).is_file()]


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_are_commands(path):
    for block in commands(path.read_text(encoding="utf-8")):
        checked = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True)
        assert checked.returncode == 0, f"{block}\n{checked.stderr}"
        assert unknown_names(block) == []


def test_what_does_not_exist_is_found():
    assert unknown_names("make bok\nmake book\n") == ["bok"]
    assert unknown_names("papermill chapters/04_mnist.ipynb x.ipynb") == ["chapters/04_mnist.ipynb"]
    assert commands((ROOT / "pages" / "gpu_server.md").read_text(encoding="utf-8"))
