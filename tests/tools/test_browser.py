"""Finding and installing a browser: in order, and never one that does not start."""

import sys

import pytest

from tools import browser


def program(folder, name, said="Chromium 1", status=0):
    """Write a program that answers ``--version``."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{said}'\nexit {status}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path, monkeypatch):
    """An environment whose PATH is one empty folder, and no browser is kept elsewhere."""
    monkeypatch.setattr(browser, "PLACES", ())
    monkeypatch.setattr(browser, "CACHES", ())
    return {"PATH": str(tmp_path)}


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")


def test_the_one_without_windows_comes_first(tmp_path, environ):
    program(tmp_path, "chromium")
    assert browser.find(environ) == str(tmp_path / "chromium")
    program(tmp_path, "chromium-headless-shell")
    assert browser.find(environ) == str(tmp_path / "chromium-headless-shell")


def test_one_that_does_not_start_is_passed_over(tmp_path, environ):
    program(tmp_path, "chromium-headless-shell", status=127)
    program(tmp_path, "chromium", said="install the snap")
    assert browser.find(environ) is None
    program(tmp_path, "google-chrome", said="Google Chrome 1")
    assert browser.find(environ) == str(tmp_path / "google-chrome")


def test_a_named_browser_that_does_not_start_is_an_error(tmp_path, environ):
    program(tmp_path, "chromium")
    with pytest.raises(browser.BrowserError, match="CHROMIUM is 'other'"):
        browser.find({**environ, "CHROMIUM": "other"})


@pytest.mark.parametrize("there", browser.PACKAGES)
def test_the_package_that_the_system_has_is_installed(tmp_path, environ, monkeypatch, there):
    asked = []

    def run(command, environ, seconds=600):
        asked.append(command)
        if there in command:
            program(tmp_path, there)
        return command[-1] == "update" or there in command

    monkeypatch.setattr(browser, "_run", run)
    monkeypatch.setattr(browser, "is_root", lambda: True)
    monkeypatch.setattr(browser.shutil, "which", lambda name, path=None: (
        str(tmp_path / name) if name == "apt-get" or (tmp_path / name).is_file() else None))
    assert browser.install(environ) == str(tmp_path / there)
    assert not any("playwright" in command for command in asked)


def test_without_any_nothing_is_returned(environ, monkeypatch):
    monkeypatch.setattr(browser, "_run", lambda *command, **options: False)
    monkeypatch.setattr(browser, "is_root", lambda: False)
    assert browser.install(environ) is None
    monkeypatch.setattr(browser, "install", lambda environ: None)
    with pytest.raises(browser.BrowserError, match="NO BROWSER"):
        browser.get(environ)
