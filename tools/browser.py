"""The Chromium that tests the rendered book and prints it: found, or else installed.

``python -m tools.browser`` prints which one it is. With ``--required`` it is an error that there is
none; so it is under the variable ``CI``, where nothing may be skipped.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

#: The names under which systems put Chromium or Chrome on the PATH. The first is Chromium without
#: its windows: it draws the same pages, and the tests take two thirds of the time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome",
         "google-chrome-stable", "chrome")

#: What Debian calls them, the one that we would rather have first. Ubuntu has the second alone, and
#: it needs snap, which a container does not have: `works` tells.
PACKAGES = ("chromium-headless-shell", "chromium")

#: Where macOS and Windows keep it; neither puts it on the PATH.
PLACES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "~/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "%PROGRAMFILES%/Google/Chrome/Application/chrome.exe",
    "%PROGRAMFILES(X86)%/Google/Chrome/Application/chrome.exe",
    "%LOCALAPPDATA%/Google/Chrome/Application/chrome.exe",
    "%LOCALAPPDATA%/Chromium/Application/chrome.exe",
)

#: Where Playwright keeps the browsers that it has downloaded.
CACHES = (
    "~/.cache/ms-playwright",
    "~/Library/Caches/ms-playwright",
    "%LOCALAPPDATA%/ms-playwright",
)

#: Where, in one of those, Chromium lies.
DOWNLOADED = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium-*/chrome-win*/chrome.exe",
)

#: Chromium asks its maker's hosts for this and that when it starts; a test or a printer needs none
#: of it. The last line lets it reach this machine alone: no test can pass by way of the network.
ARGUMENTS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

MISSING = (
    "NO BROWSER: the tests of the rendered book need Chromium or Chrome. Install one, or name it: "
    "CHROMIUM=/path/to/chromium"
)


class BrowserError(Exception):
    """There is no browser, or not the one that was named; the message says what to do."""


def works(path):
    """
    Say whether a program starts and tells its version.

    Ubuntu's ``chromium-browser`` may be a script that asks for a snap, and a downloaded Chromium
    may lack a library: both are there and cannot be used.

    Parameters
    ----------
    path : path-like
        The program.

    Returns
    -------
    bool
        On Windows, whether it is there: Chrome opens a window there instead of answering.
    """
    path = Path(path)
    if not path.is_file():
        return False
    if sys.platform == "win32":
        return True
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "chrom" in answer.stdout.lower()


def _expanded(text, environ):
    """Return a place with ``~`` and ``%NAME%`` filled in; None where there is no such name."""
    if text.startswith("%"):
        name, _, rest = text[1:].partition("%")
        return Path(environ[name] + rest) if environ.get(name) else None
    return Path(text).expanduser()


def candidates(environ=None):
    """
    Yield the places where a browser may be, the best first.

    Parameters
    ----------
    environ : mapping, optional
        The environment to read; by default that of this process.

    Yields
    ------
    pathlib.Path
        On the PATH, where macOS and Windows keep it, and what Playwright downloaded, newest first.
    """
    environ = os.environ if environ is None else environ
    for name in NAMES:
        found = shutil.which(name, path=environ.get("PATH", os.defpath))
        if found:
            yield Path(found)
    yield from filter(None, (_expanded(place, environ) for place in PLACES))
    own = environ.get("PLAYWRIGHT_BROWSERS_PATH")
    for cache in [Path(own)] if own else filter(None, (_expanded(c, environ) for c in CACHES)):
        revisions = [path for pattern in DOWNLOADED for path in cache.glob(pattern)]
        yield from sorted(revisions, key=lambda path: path.stat().st_mtime, reverse=True)


def find(environ=None):
    """
    Find a browser that starts.

    Parameters
    ----------
    environ : mapping, optional
        The environment to read; by default that of this process.

    Returns
    -------
    str or None
        The program that ``CHROMIUM`` names, else the first of `candidates` that works.

    Raises
    ------
    BrowserError
        When ``CHROMIUM`` names no browser: nothing else is chosen instead.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("CHROMIUM")
    if named:
        program = shutil.which(named, path=environ.get("PATH", os.defpath))
        if program is None or not works(program):
            raise BrowserError(
                f"CHROMIUM is {named!r}, which is no browser that starts: name Chromium or Chrome, "
                "or unset it"
            )
        return program
    return next((str(path) for path in candidates(environ) if works(path)), None)


def is_root():
    """Say whether this process may install packages of the system."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _run(command, environ, seconds=600):
    """Run a command, its output to the error stream; return whether it succeeded."""
    print("$", *command, file=sys.stderr, flush=True)
    try:
        return subprocess.run(
            command, env=environ, stdout=sys.stderr, timeout=seconds, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return False


def install(environ=None):
    """
    Install a browser: Debian's as root, else the one that Playwright downloads.

    As root, Debian's comes first, because it brings the libraries it needs. Playwright's goes into
    the cache of the account and asks for no rights.

    Parameters
    ----------
    environ : mapping, optional
        The environment to read; by default that of this process.

    Returns
    -------
    str or None
        The browser, or None when none could be had.
    """
    environ = dict(os.environ if environ is None else environ)
    if is_root() and shutil.which("apt-get"):
        quiet = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
        get = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3"]
        _run([*get, "update"], quiet)
        for package in PACKAGES:
            packages = [package, "fonts-liberation", "fonts-noto-cjk"]
            if _run([*get, "install", "--no-install-recommends", *packages], quiet):
                found = find(environ)
                if found:
                    return found
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    return find(environ) if _run(command, environ, seconds=300) else None


def launch(playwright, program, **options):
    """
    Start the browser.

    Parameters
    ----------
    playwright : playwright.sync_api.Playwright
        What ``sync_playwright()`` gives.
    program : path-like
        What `find` returns.
    **options
        Further options of ``chromium.launch``.

    Returns
    -------
    playwright.sync_api.Browser
        It runs without its sandbox for root, who cannot have one: it only ever shows our own pages.
    """
    return playwright.chromium.launch(
        executable_path=str(program), chromium_sandbox=not is_root(), args=list(ARGUMENTS),
        **options)


def get(environ=None):
    """
    Find a browser, or install one.

    Parameters
    ----------
    environ : mapping, optional
        The environment to read; by default that of this process.

    Returns
    -------
    str
        The program.

    Raises
    ------
    BrowserError
        When there is none and none can be had.
    """
    found = find(environ) or install(environ)
    if not found:
        raise BrowserError(MISSING)
    return found


def main():
    """Print which browser there is; install one first where there is none."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--required", action="store_true", help="fail where none can be had")
    options = parser.parse_args()
    try:
        print(f"Browser: {get()}")
    except BrowserError as error:
        line = "!" * 78
        print(f"{line}\n{error}\n{line}", file=sys.stderr)
        # A CHROMIUM that is wrong is a mistake to mend, on any machine.
        if options.required or os.environ.get("CI") or os.environ.get("CHROMIUM"):
            sys.exit(1)


if __name__ == "__main__":
    main()
