"""A reader's environment: the four packages of the course, a kernel, and nothing of ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

from tools import environment

ROOT = Path(__file__).resolve().parents[1]
PREINSTALLED = ("numpy", "matplotlib", "keras", "tensorflow")


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
    """Run a program that must not fail; return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def make(venv):
    """Make the environment, and return its Python.

    Set NOTEBOOK_EDITION_VERSIONS to a requirements file to have other versions than the lock's.
    """
    chosen = os.environ.get("NOTEBOOK_EDITION_VERSIONS")
    wanted = ["-r", chosen] if chosen else locked(PREINSTALLED)
    # What a notebook program brings along: a kernel, and the pip behind %pip.
    wanted += [*locked(["ipykernel"]), "pip"]
    python, uv = environment.script(venv, "python"), environment.script(Path(sys.prefix), "uv")
    if uv.is_file():
        settings = environment.uv_environ(sys.executable)
        run(uv, "venv", "--quiet", "--python", sys.executable, venv, env=settings)
        run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *wanted,
            env=settings, cwd=ROOT)
    else:
        run(sys.executable, "-m", "venv", venv)
        run(python, "-m", "pip", "install", "--quiet", *wanted, cwd=ROOT)
    return python


def versions(python):
    """Return the version of each package that is installed."""
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json", cwd=python.parent))
    return {package["name"]: package["version"] for package in listed}


def set_up_kernel(python, folder, monkeypatch):
    """Let Jupyter know the environment as the kernel "clean", with nothing of ours near it."""
    spec = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "clean",
        "language": "python",
    }
    (folder / "kernels" / "clean").mkdir(parents=True)
    (folder / "kernels" / "clean" / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    # IPython marks an inline figure by its backend; a reader's notebook program sets it.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    return "clean"
