"""The environment, the lock and the choice of data."""

import re
import subprocess
import sys

import pytest

from tools import environment, testdata
from tools.pairs import ROOT

LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
DIRECT = [
    line.strip() for line in (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]


def test_every_locked_package_has_hashes_and_no_address():
    names = re.findall(r"^([\w.-]+)==", LOCK, re.MULTILINE)
    assert len(names) > 100
    for block in re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in LOCK


@pytest.mark.parametrize("requirement", DIRECT)
def test_the_lock_holds_every_direct_requirement(requirement):
    name, _, version = requirement.partition("==")
    locked = re.findall(rf"^{re.escape(name)}==(\S+)", LOCK, re.MULTILINE)
    assert locked, f"{name} is not in the lock: make lock"
    assert not version or locked == [version], f"{requirement}: make lock"


def test_the_lock_holds_what_datasetslib_needs_and_satisfies_its_floors():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name, floor = requirement.split(">=")
        found = re.search(rf"^{name}==([\d.]+)", LOCK, re.MULTILINE)
        assert found, requirement
        assert tuple(map(int, found[1].split("."))) >= tuple(map(int, floor.split(".")))
    assert not any("tensorflow" in name or "keras" in name for name in project["dependencies"])


def test_the_lines_of_one_package():
    lines = "uv==2 ; x \\\n    --hash=y \\\n    --hash=z\n"
    lock = f"a==1 \\\n    --hash=x\n{lines}    # via b\nuvx==3\n"
    assert environment.locked_lines("uv", lock) == lines
    assert environment.locked_lines("none", lock) == ""
    assert environment.locked_lines("uv", LOCK).startswith("uv==")


def test_pips_index_is_carried_over_to_uv():
    config = "global.index-url='https://index.example/simple'\n:env:.cert='/etc/ca.pem'\n"
    found = environment.uv_settings({}, config)
    assert found["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert found["SSL_CERT_FILE"] == "/etc/ca.pem"
    found = environment.uv_settings({"UV_INDEX_URL": "x", "SSL_CERT_FILE": "y"}, config)
    assert "UV_DEFAULT_INDEX" not in found and "SSL_CERT_FILE" not in found


def test_an_environment_that_was_never_finished_is_not_trusted(tmp_path):
    assert environment.version_of(environment.script(tmp_path, "python")) is None
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    assert environment.version_of(environment.script(tmp_path / "v", "python")) is None


def test_a_python_without_ensurepip_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"sudo apt-get install python3\.\d+-venv"):
        environment.create(tmp_path / "v")


def make(*arguments):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_a_python_that_is_too_old_or_absent_is_refused(tmp_path):
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for name in (str(old), str(tmp_path / "none")):
        found = make("lint", f"PYTHON={name}")
        assert found.returncode != 0
        assert f"No Python from 3.11 to 3.13 among: {name}." in found.stderr


def test_help_names_every_verb():
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.search(r"^\.PHONY: (.*)", makefile, re.MULTILINE)[1].split())
    shown = set(re.findall(r"^make ([\w-]+)", make().stdout, re.MULTILINE))
    assert shown == verbs - {"help", "unit"}


def test_ci_calls_make_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make test", "make test-long"]


# --- the choice of data ---


def test_without_data_the_choice_is_synthetic_and_said(tmp_path):
    added, line = testdata.choose({}, tmp_path / "repository")
    assert added == {"DATASETSLIB_SOURCE": "synthetic"}
    assert "synthetic" in line


@pytest.mark.parametrize("name", ["DATASETSLIB_SOURCE", "DATASETSLIB_HOME"])
def test_a_choice_already_made_is_kept(tmp_path, name):
    added, line = testdata.choose({name: "somewhere"}, tmp_path)
    assert added == {} and name in line


SCRIPT = "import pathlib, sys\np = pathlib.Path(sys.argv[1])\np.mkdir()\n(p / 'x').touch()\n"


def test_shared_data_is_unpacked_once(tmp_path):
    script = tmp_path / "shared" / "data" / "unpack.py"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    root = tmp_path / "repository"
    added, line = testdata.choose({}, root)
    assert added == {"DATASETSLIB_HOME": str(root / "build" / "data")}
    assert (root / "build" / "data" / "x").is_file() and "real" in line
    script.write_text("raise SystemExit(3)")
    assert testdata.choose({}, root)[0] == added


def test_a_failed_unpacking_leaves_nothing_that_looks_whole(tmp_path):
    script = tmp_path / "unpack.py"
    script.write_text(SCRIPT + "raise SystemExit(3)")
    with pytest.raises(subprocess.CalledProcessError):
        testdata.unpack(script, tmp_path / "data")
    assert not (tmp_path / "data").exists()
    script.write_text(SCRIPT)
    testdata.unpack(script, tmp_path / "data")
    assert (tmp_path / "data" / "x").is_file()


# --- every Python that the course promises ---


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", ["linux", "macos", "windows"])
def test_the_lock_installs_everywhere_from_wheels(version, platform, tmp_path):
    """Resolve the lock, hashes and all, for a platform without installing it."""
    uv = environment.script(environment.Path(sys.prefix), "uv")
    target = {"linux": "x86_64-manylinux_2_28", "macos": "aarch64-apple-darwin",
              "windows": "x86_64-pc-windows-msvc"}[platform]
    found = subprocess.run(
        [uv, "pip", "install", "--dry-run", "--require-hashes", "--only-binary", ":all:",
         "--python-version", version, "--python-platform", target, "--target", tmp_path / "t",
         "-r", ROOT / "requirements.txt"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
