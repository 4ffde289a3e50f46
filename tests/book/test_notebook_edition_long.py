"""Each notebook of the edition, run where a reader runs it: beside four packages, none of ours.

The working tree is committed to a scratch repository, and the setup cells install from there. Set
NOTEBOOK_EDITION_VERSIONS to a requirements file to run beside other versions than the lock's.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from packaging.requirements import Requirement

from tools import environment
from tools import notebook_edition as edition

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
PREINSTALLED = ("numpy", "matplotlib", "keras", "tensorflow")
CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("*.py"))


def locked(names):
    """The lock's requirement for each name, on this Python."""
    found = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.rstrip("\\ "))
            if requirement.marker is None or requirement.marker.evaluate():
                found[requirement.name] = f"{requirement.name}{requirement.specifier}"
    return [found[name] for name in names]


def run(*command, **settings):
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory):
    """A Python that has the four packages, and not ours."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    chosen = os.environ.get("NOTEBOOK_EDITION_VERSIONS")
    wanted = ["-r", chosen] if chosen else locked(PREINSTALLED)
    # What a notebook program brings along: a kernel, and the pip behind %pip.
    wanted += [*locked(["ipykernel"]), "pip"]
    python, uv = environment.script(venv, "python"), environment.script(Path(sys.prefix), "uv")
    if uv.is_file():
        settings = environment.uv_environ(sys.executable)
        run(uv, "venv", "--quiet", "--python", sys.executable, venv, env=settings)
        run(uv, "pip", "install", "--quiet", "--python", python, *wanted, env=settings, cwd=ROOT)
    else:
        run(sys.executable, "-m", "venv", venv)
        run(python, "-m", "pip", "install", "--quiet", *wanted, cwd=ROOT)
    yield python
    # pytest keeps the folders of its last runs; this one is two gigabytes.
    shutil.rmtree(venv)


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
    return {path.stem: path for path in edition.build(out, book)
            if path.parent.name == "chapters"}


@pytest.fixture(scope="module")
def kernel(clean_python, tmp_path_factory):
    """A kernel in the clean environment, and an environment in which nothing of ours is near."""
    folder = tmp_path_factory.mktemp("jupyter")
    spec = {
        "argv": [str(clean_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "clean",
        "language": "python",
    }
    (folder / "kernels" / "clean").mkdir(parents=True)
    (folder / "kernels" / "clean" / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        patch.delenv("PYTHONPATH", raising=False)
        patch.setenv("DATASETSLIB_SOURCE", "synthetic")
        patch.setenv("DATASETSLIB_CACHE", str(folder / "cache"))
        # IPython marks an inline figure by its backend; a reader's notebook program sets it.
        patch.delenv("MPLBACKEND", raising=False)
        yield "clean"


def versions(python):
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json", cwd=python.parent))
    return {package["name"]: package["version"] for package in listed}


def test_the_clean_environment_is_clean(clean_python):
    """Else the runs below would prove nothing."""
    assert not {"datasetslib", "myst-nb", "papermill", "jupytext"} & set(versions(clean_python))
    program = "import importlib.util as u; print(u.find_spec('datasetslib'))"
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    assert run(clean_python, "-c", program, cwd=clean_python.parent, env=settings) == "None\n"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_the_notebook_runs_beside_the_preinstalled_packages(stem, written, kernel, clean_python):
    given = yaml.safe_load((ROOT / "ci-parameters.yml").read_text())[stem] or {}
    if given.get("draft") and stem not in written:
        pytest.skip(f"a draft, no outputs stored yet: make results CHAPTERS={stem}")
    before = versions(clean_python)
    path = written[stem]
    setup = nbformat.read(path, as_version=4).cells[1].source
    assert setup.startswith('%pip install -q "datasetslib @ git+file://')
    papermill.execute_notebook(
        path,
        path.with_suffix(".run.ipynb"),
        parameters=given.get("parameters") or {},
        kernel_name=kernel,
        cwd=path.parent,
        execution_timeout=600,
        progress_bar=False,
    )
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
