"""The repository's address: one setting, and what overrides it."""

import pytest

from tools import site


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("COURSE_REPOSITORY", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


def project(tmp_path, address):
    (tmp_path / "pyproject.toml").write_text(f'[tool.course]\nrepository = "{address}"\n')
    return tmp_path


def test_unset_is_empty(tmp_path):
    assert site.repository(project(tmp_path, "")) == ""


def test_the_setting(tmp_path):
    root = project(tmp_path, "https://github.com/a/b.git/".replace(".git/", ".git"))
    assert site.repository(root) == "https://github.com/a/b"
    assert site.repository(project(tmp_path, "https://github.com/a/b/")) == "https://github.com/a/b"


def test_actions_override_the_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "c/d")
    root = project(tmp_path, "https://github.com/a/b")
    assert site.repository(root) == "https://github.com/c/d"
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example")
    assert site.repository(root) == "https://git.example/c/d"


def test_our_own_variable_overrides_all(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "c/d")
    monkeypatch.setenv("COURSE_REPOSITORY", "https://github.com/e/f")
    assert site.repository(project(tmp_path, "https://github.com/a/b")) == "https://github.com/e/f"


@pytest.mark.parametrize("address", ["github.com/a/b", "https://github.com/a", "https://x/a/b/c"])
def test_a_broken_address_is_refused(tmp_path, address):
    with pytest.raises(ValueError, match=r"\[tool.course\] repository in pyproject.toml is"):
        site.repository(project(tmp_path, address))
