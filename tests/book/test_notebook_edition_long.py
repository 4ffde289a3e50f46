"""Each notebook of the edition, run where a reader runs it: beside four packages, none of ours.

The data are synthetic, and what a chapter records is held against ``ci-parameters.yml``. So this is
also where every chapter is run on synthetic data on a machine whose `make test` has real ones.

The working tree is committed to a scratch repository, and the setup cells install from there. Set
NOTEBOOK_EDITION_VERSIONS to a requirements file to run beside other versions than the lock's.
"""

import os
import shutil
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

from datasetslib.recording import recorded_values
from tests.clean import run, set_up_kernel, versions
from tools import ci
from tools import notebook_edition as edition

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("*.py"))
#: The Chinese notebooks have the same code, which another test proves: one stands for all.
CHINESE = "zh/05_mnist_keras"
#: They import Optuna, which a machine need not have: their setup cell asks for it.
SEARCHES = {"12_challenge", "13_many_devices"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The edition, whose setup cells install from a git address that holds this working tree."""
    source = tmp_path_factory.mktemp("origin") / "course"
    source.mkdir()
    listed = run("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    git = ("git", "-C", source, "-c", "user.name=test", "-c", "user.email=test@example.org")
    run(*git, "init", "--quiet")
    run(*git, "add", "--all")
    run(*git, "commit", "--quiet", "--message", "The working tree")
    out = tmp_path_factory.mktemp("edition")
    book = edition.Book(source, source.as_uri(), edition.current_ref(source))
    paths = [path for path in edition.build_all(out, book) if path.parent.name == "chapters"]
    return {f"{'zh/' if path.parents[1] != out else ''}{path.stem}": path for path in paths}


@pytest.fixture(scope="module")
def kernel(clean_python, tmp_path_factory):
    """A kernel in the clean environment, and an environment in which nothing of ours is near."""
    folder = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATASETSLIB_SOURCE", "synthetic")
        patch.setenv("DATASETSLIB_CACHE", str(folder / "cache"))
        yield set_up_kernel(clean_python, folder, patch)


def test_the_clean_environment_is_clean(clean_python):
    """Else the runs below would prove nothing."""
    assert not {"datasetslib", "myst-nb", "papermill", "jupytext"} & set(versions(clean_python))
    program = "import importlib.util as u; print(u.find_spec('datasetslib'))"
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    assert run(clean_python, "-c", program, cwd=clean_python.parent, env=settings) == "None\n"


@pytest.mark.parametrize("stem", [*CHAPTERS, CHINESE])
def test_the_notebook_runs_beside_the_preinstalled_packages(stem, written, kernel, clean_python):
    chapter = stem.removeprefix("zh/")
    given = yaml.safe_load((ROOT / "ci-parameters.yml").read_text())[chapter] or {}
    if given.get("draft") and stem not in written:
        pytest.skip(f"a draft, no outputs stored yet: make results CHAPTERS={stem}")
    before = versions(clean_python)
    path = written[stem]
    setup = nbformat.read(path, as_version=4).cells[1].source
    extra = "[search]" if chapter in SEARCHES else ""
    assert setup.startswith(f'%pip install -q "datasetslib{extra} @ git+file://')
    papermill.execute_notebook(
        path,
        path.with_suffix(".run.ipynb"),
        parameters=given.get("parameters") or {},
        kernel_name=kernel,
        cwd=path.parent,
        execution_timeout=600,
        progress_bar=False,
    )
    ran = nbformat.read(path.with_suffix(".run.ipynb"), as_version=4)
    values = recorded_values(ran)
    assert values["conditions"]["synthetic"]
    assert ci.unexpected(values, given.get("expect") or {}) == []
    after = versions(clean_python)
    changed = {
        name: (version, after.get(name))
        for name, version in before.items()
        if after.get(name) != version
    }
    assert not changed, f"the setup cell of {stem} changed what was preinstalled: {changed}"
    program = "import datasetslib; print(datasetslib.__file__)"
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    imported = run(clean_python, "-c", program, cwd=path.parent, env=settings).strip()
    assert Path(imported).is_relative_to(clean_python.parents[1])
