"""The environment, the lock and the choice of data."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

import datasetslib
from tests.conftest import GIT_PLACES, private_git
from tools import environment, lock, testdata
from tools.pairs import ROOT

LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
DIRECT = [
    (place, line.strip()) for place in lock.PLACES
    for line in (ROOT / place / "requirements.in").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]


@pytest.mark.parametrize("place, many", [("", 100), ("assignments/", 50), ("many/", 30)])
def test_every_locked_package_has_hashes_and_no_address(place, many):
    assert place in lock.PLACES
    text = (ROOT / place / "requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"^([\w.-]+)==", text, re.MULTILINE)
    assert len(names) > many
    for block in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in text


@pytest.mark.parametrize("place, requirement", DIRECT)
def test_the_lock_holds_every_direct_requirement(place, requirement):
    name, _, version = re.sub(r"\[.*\]", "", requirement).partition("==")
    text = (ROOT / place / "requirements.txt").read_text(encoding="utf-8")
    locked = re.findall(rf"^{re.escape(name)}==(\S+)", text, re.MULTILINE)
    assert locked, f"{name} is not in the lock: make lock"
    assert not version or locked == [version], f"{requirement}: make lock"


def test_the_lock_holds_what_datasetslib_needs_and_satisfies_its_floors():
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
    config = "global.index-url='https://index.example/simple'\n:env:.cert='/etc/my ca.pem'\n"
    found = environment.uv_settings({}, config)
    assert found["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert found["SSL_CERT_FILE"] == "/etc/my ca.pem"
    found = environment.uv_settings({"UV_INDEX_URL": "x", "SSL_CERT_FILE": "y"}, config)
    assert "UV_DEFAULT_INDEX" not in found and "SSL_CERT_FILE" not in found


def test_of_pips_settings_the_environment_wins_then_install_then_global():
    # The order in which pip lists them is the alphabet's.
    lines = [":env:.index-url='https://env/'", "global.index-url='https://global/'",
             "install.index-url='https://install/'", "freeze.index-url='https://freeze/'"]

    def chosen(*left):
        return environment.uv_settings({}, "\n".join(left)).get("UV_DEFAULT_INDEX")

    assert chosen(*lines) == "https://env/"
    assert chosen(*lines[1:]) == "https://install/"
    assert chosen(lines[1], lines[3]) == "https://global/"
    assert chosen(lines[3]) is None
    assert chosen(":env:.index-url=''", *lines[1:]) == "https://install/"


def test_pips_folders_are_carried_over_and_its_further_indexes_are_not():
    config = "global.extra-index-url='https://a/'\nglobal.find-links='\\n/a\\n/b'\n"
    found = environment.uv_settings({}, config)
    assert found["UV_FIND_LINKS"] == "/a,/b" and "https://a/" not in found.values()
    assert "UV_FIND_LINKS" not in environment.uv_settings({"UV_FIND_LINKS": "x"}, config)


def test_make_lock_asks_the_index_that_pip_is_set_up_for(tmp_path, monkeypatch):
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\necho "$UV_DEFAULT_INDEX $UV_CONFIG_FILE $*" >> {tmp_path}/called\n')
    uv.chmod(0o755)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("UV_CONFIG_FILE", "upgrade.toml")
    monkeypatch.setattr(environment, "script", lambda venv, name: uv)
    assert lock.main() == 0
    for called, place in zip((tmp_path / "called").read_text().splitlines(), lock.PLACES,
                             strict=True):
        assert called.startswith("https://index.example/simple upgrade.toml pip compile ")
        assert "--generate-hashes --python-version 3.11 " in called
        assert called.endswith(f" {place}requirements.in --output-file {place}requirements.txt")
    (tmp_path / "called").unlink()
    uv.write_text(f"#!/bin/sh\necho >> {tmp_path}/called\nexit 2\n")
    assert lock.main() == 2 and (tmp_path / "called").read_text() == "\n"


def test_an_environment_of_another_lock_has_that_and_nothing_of_ours(tmp_path, monkeypatch):
    other, ran = tmp_path / "requirements.txt", []
    other.write_text("otter-grader==7\n")

    def run(command, **settings):
        ran.append(" ".join(map(str, command)))
        failed = "pip sync" in ran[-1] and fails
        return subprocess.CompletedProcess(command, int(failed), stdout="")

    monkeypatch.setattr(environment.subprocess, "run", run)
    monkeypatch.setattr(environment, "version_of", lambda python: environment.FIRST)
    (tmp_path / "v").mkdir()
    for fails in (False, True):  # by uv, and by pip where uv fails
        ran.clear()
        environment.main([str(tmp_path / "v"), "ready-1", "--lock", str(other)])
        assert ran[-1].endswith(f"--require-hashes {'-r ' * fails}{other}")
        # pip compiles what it installs; uv has to be told.
        assert ("--compile-bytecode" in ran[-1]) is not fails
        assert not any("--editable" in line for line in ran)
        assert (tmp_path / "v" / "ready-1").is_file()
    ran.clear()
    environment.main([str(tmp_path / "v"), "ready-2"])
    assert str(environment.LOCK) in ran[-2] and ran[-1].endswith("--editable .")


def test_an_environment_that_was_never_finished_is_not_trusted(tmp_path):
    assert environment.version_of(environment.script(tmp_path, "python")) is None
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    assert environment.version_of(environment.script(tmp_path / "v", "python")) is None


def test_an_environment_whose_installation_was_interrupted_is_made_anew(tmp_path, monkeypatch):
    venv, done = tmp_path / "v", []

    def install(place, lock):
        done.append("installed")
        if done.count("installed") == 2:
            raise KeyboardInterrupt

    def create(place):
        shutil.rmtree(place)
        place.mkdir()
        done.append("made anew")

    monkeypatch.setattr(environment, "version_of", lambda python: environment.FIRST)
    monkeypatch.setattr(environment, "install", install)
    monkeypatch.setattr(environment, "create", create)
    venv.mkdir()
    environment.main([str(venv), "ready-1"])
    with pytest.raises(KeyboardInterrupt):
        environment.main([str(venv), "ready-2"])
    assert not list(venv.glob("ready-*"))
    (venv / "half.so").touch()
    environment.main([str(venv), "ready-2"])
    assert done == ["installed", "installed", "made anew", "installed"]
    assert [path.name for path in venv.iterdir()] == ["ready-2"]


def test_a_python_without_ensurepip_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"sudo apt-get install python3\.\d+-venv"):
        environment.create(tmp_path / "v")


def without_ensurepip(monkeypatch, fails=None):
    """Let this be root on a Debian without ensurepip; return the programs that are run."""
    ran = []

    def run(command, env=None, check=False):
        ran.append(" ".join(map(str, command)))
        returncode = 100 if fails and fails in ran[-1] else 0
        if check and returncode:
            raise subprocess.CalledProcessError(returncode, command)
        return subprocess.CompletedProcess(command, returncode)

    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setattr(environment.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0)
    monkeypatch.setattr(environment.subprocess, "run", run)
    return ran


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there is no root here")
def test_the_missing_package_is_installed_from_fresh_lists(tmp_path, monkeypatch):
    ran = without_ensurepip(monkeypatch, fails="update")  # old lists may do
    environment.create(tmp_path / "v")
    assert [line.split()[:2] for line in ran[:2]] == [["apt-get", "update"], ["apt-get", "install"]]
    assert re.search(r"python3\.\d+-venv$", ran[1]) and ran[2].endswith(f"-m venv {tmp_path / 'v'}")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there is no root here")
def test_a_package_that_cannot_be_installed_is_named(tmp_path, monkeypatch):
    without_ensurepip(monkeypatch, fails="install")
    with pytest.raises(SystemExit, match=r"apt-get could not install python3\.\d+-venv"):
        environment.create(tmp_path / "v")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there is no root here")
def test_an_environment_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    without_ensurepip(monkeypatch, fails="-m venv")
    monkeypatch.setattr(environment, "version_of", lambda python: None)
    with pytest.raises(SystemExit, match="The environment is not complete"):
        environment.main([str(tmp_path / "v"), "ready-1"])


def make(*arguments, cwd=ROOT):
    return subprocess.run(["make", *arguments], cwd=cwd, capture_output=True, text=True)


#: Builds the book of the folder that is its last argument; the Chinese one may kill the recipe.
PRETEND = """\
#!/bin/sh
top=$PWD
for folder; do :; done
cd "$folder"
mkdir -p _build/.doctrees
ls _build/.doctrees >> seen
touch _build/.doctrees/read
if [ "$folder" != . ] && [ -e "$top/kill" ]; then sleep 0.3; kill $PPID; fi
exit $(cat status)
"""


@pytest.mark.parametrize("failing", [".", "build/zh"])
def test_a_book_that_was_not_finished_is_read_anew(tmp_path, failing):
    """Sphinx warns about a page when it reads it: what a failed build has read must go."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in ("tools", "bin", "build/zh"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "environment.py", tmp_path / "tools")
    (tmp_path / "ready").touch()
    for name, text in (("jupyter-book", PRETEND), ("python", "#!/bin/sh\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    for status, seen, interrupted in (
        (0, "", False),  # the first build
        (0, "read\n", False),  # a second one reads only what changed
        (1, "read\n", False),  # one that fails
        (0, "", True),  # so this one starts anew, and is killed before its end
        (0, "", False),  # as does this one
        (0, "read\n", False),
    ):
        for folder in (".", "build/zh"):
            (tmp_path / folder / "status").write_text(str(status if folder == failing else 0))
            (tmp_path / folder / "seen").unlink(missing_ok=True)
        (tmp_path / "kill").touch() if interrupted else (tmp_path / "kill").unlink(missing_ok=True)
        done = make("book", "READY=ready", "BIN=bin", cwd=tmp_path)
        assert (done.returncode == 0) is (status == 0 and not interrupted), done.stderr
        assert (tmp_path / "_build/unfinished").exists() is (done.returncode != 0)
        for folder in (".", "build/zh"):
            assert (tmp_path / folder / "seen").read_text() == seen, folder


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


def test_the_citation_names_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == datasetslib.__version__


def test_git_in_a_test_does_what_the_test_says_and_no_more(tmp_path, monkeypatch):
    """Whatever git ran the tests (a hook), and however the user has set theirs up."""
    hooks, repository = tmp_path / "hooks", tmp_path / "repository"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    settings = tmp_path / "config"
    settings.write_text(f"[commit]\ngpgSign = true\n[gpg]\nprogram = false\n"
                        f"[core]\nhooksPath = {hooks}\n[user]\nname = n\nemail = e@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    subprocess.run(["git", "init", "-q", repository], check=True)
    commit = ["git", "-C", repository, "commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(commit, check=True)

    environ = {**os.environ, "GIT_DIR": "elsewhere", "GIT_INDEX_FILE": "other", "GIT_PREFIX": "a/"}
    del environ["GIT_CONFIG_COUNT"]
    assert subprocess.run(commit, env=environ, capture_output=True).returncode
    private_git(environ)
    subprocess.run(commit, check=True, env=environ)
    assert not GIT_PLACES & set(environ)
    before = int(environ["GIT_CONFIG_COUNT"])
    private_git(environ)  # adds to what the user passes on in this way
    assert int(environ["GIT_CONFIG_COUNT"]) == 2 * before


# --- the choice of data ---


def test_without_data_the_choice_is_synthetic_and_said(tmp_path):
    added, line = testdata.choose({}, tmp_path / "repository")
    assert added == {"DATASETSLIB_SOURCE": "synthetic"}
    assert "synthetic" in line


@pytest.mark.parametrize("source", ["synthetic", "cache", "home"])
def test_a_source_already_chosen_is_kept(tmp_path, source):
    added, line = testdata.choose({"DATASETSLIB_SOURCE": source}, tmp_path)
    assert added == {} and line == f"Data: DATASETSLIB_SOURCE={source}"


@pytest.mark.parametrize("more", [{}, {"DATASETSLIB_SOURCE": "home"}])
def test_a_folder_already_chosen_is_kept_and_made_absolute(tmp_path, monkeypatch, more):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    added, line = testdata.choose({"DATASETSLIB_HOME": "data", **more}, tmp_path)
    assert added == {"DATASETSLIB_HOME": str(tmp_path / "data")} and "DATASETSLIB_HOME" in line
    other = testdata.choose({"DATASETSLIB_HOME": "none", "DATASETSLIB_SOURCE": "cache"}, tmp_path)
    assert other[0] == {}


def test_a_folder_that_is_not_there_is_an_error_and_nothing_else_is_chosen(tmp_path):
    home = tmp_path / "typo"
    with pytest.raises(testdata.DataError, match=f"there is no folder {home}: name the folder"):
        testdata.choose({"DATASETSLIB_HOME": str(home)}, tmp_path)
    command = [sys.executable, "-m", "tools.testdata"]
    environ = {**os.environ, "DATASETSLIB_HOME": str(home)}
    found = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert found.returncode == 1 and found.stderr.startswith("DATASETSLIB_HOME is ")


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


#: The peers of the benchmarks, which no reader installs, ask for more: tensorflow-datasets needs
#: promise, pure Python without a wheel on the index, and PyTorch needs macOS 14.
SOURCES = {"benchmarks/": ("--no-binary", "promise")}
MACOS = {"benchmarks/": {"MACOSX_DEPLOYMENT_TARGET": "14.0"}}


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", ["linux", "macos", "windows"])
@pytest.mark.parametrize("place", lock.PLACES)
def test_the_lock_installs_everywhere_from_wheels(version, platform, place, tmp_path):
    """Resolve the lock, hashes and all, for a platform without installing it."""
    uv = environment.script(environment.Path(sys.prefix), "uv")
    target = {"linux": "x86_64-manylinux_2_28", "macos": "aarch64-apple-darwin",
              "windows": "x86_64-pc-windows-msvc"}[platform]
    found = subprocess.run(
        [uv, "pip", "install", "--dry-run", "--require-hashes", "--only-binary", ":all:",
         "--python-version", version, "--python-platform", target, "--target", tmp_path / "t",
         *SOURCES.get(place, ()), "-r", ROOT / place / "requirements.txt"],
        capture_output=True, text=True,
        env={**environment.uv_environ(sys.executable), **MACOS.get(place, {})})
    assert found.returncode == 0, found.stderr
