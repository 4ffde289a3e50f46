"""
Make or refresh ``.venv``, the one environment that every make verb uses.

Run by the Makefile with a bare Python, so this file imports the standard library only. The lock
names uv itself: pip installs that one line, with its hashes, and uv installs the rest in seconds.
Another lock makes another environment, such as the one for otter, which ``.venv`` cannot hold.
Where uv cannot do it (no wheel for the platform, an index that only pip is set up for), pip
installs the same lock, and says so.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.txt"
FIRST, LAST = (3, 11), (3, 13)


def say(text):
    """Print one line of progress at once."""
    print(text, flush=True)


def script(venv, name):
    """Return the path of the program `name` inside the environment `venv`."""
    return venv / ("Scripts" if os.name == "nt" else "bin") / (
        f"{name}.exe" if os.name == "nt" else name
    )


def version_of(python):
    """Return the (major, minor) that `python` reports, or None where it, or its pip, is broken."""
    code = "import pip, sys; print(*sys.version_info[:2])"
    try:
        found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(map(int, found.stdout.split()))


def locked_lines(name, lock):
    """
    Return what the lock says about one package.

    Parameters
    ----------
    name : str
        The package, as the lock spells it.
    lock : str
        The text of the lock.

    Returns
    -------
    str
        The requirement with its hashes, or an empty string.
    """
    found = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    return found.group(0) if found else ""


def uv_settings(environ, pip_config):
    """
    Carry pip's choice of package index over to uv, which does not read pip's configuration.

    Of one option's values pip takes that of the environment before that of the section
    ``install``, and that one before ``global``.

    Parameters
    ----------
    environ : mapping
        The environment variables.
    pip_config : str
        What ``pip config list`` prints.

    Returns
    -------
    dict
        The variables to add; what the user has set for uv stays untouched.
    """
    configured = {}
    for section in ("global", "install", ":env:"):
        for name, value in re.findall(rf"^{section}\.([\w-]+)=(['\"].*)$", pip_config, re.M):
            if value := ast.literal_eval(value).strip():
                configured[name] = value
    settings = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    # Not extra-index-url: uv takes a package from the first index that has it in any version, where
    # pip takes the best of all. Where the further ones are needed, pip installs the lock.
    for name, variables in (
        ("index-url", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),
        ("find-links", ("UV_FIND_LINKS",)),
        ("cert", ("SSL_CERT_FILE",)),
    ):
        if name in configured and not set(variables) & set(environ):
            value = configured[name]
            # pip divides places by white space, uv by commas.
            settings[variables[0]] = ",".join(value.split()) if name == "find-links" else value
    return settings


def uv_environ(python):
    """
    Return the variables with which uv asks the index that pip is set up for.

    Parameters
    ----------
    python : path-like
        A Python with pip, whose configuration is read.

    Returns
    -------
    dict
        This process's variables, and those of `uv_settings`.
    """
    command = [str(python), "-m", "pip", "config", "list"]
    config = subprocess.run(command, capture_output=True, text=True).stdout
    return {**os.environ, **uv_settings(os.environ, config)}


def create(venv):
    """
    Create an empty environment with pip in it.

    Debian ships Python without the module that puts pip into an environment. Where this process
    may install system packages it installs that one; elsewhere it names it and stops.
    """
    if venv.exists():
        shutil.rmtree(venv)
    version = "{}.{}".format(*sys.version_info)
    say(f"Creating {venv.name} with Python {version} ...")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        package = f"python{version}-venv"
        if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
            say(f"This Python has no ensurepip: installing the system package {package} ...")
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            # A fresh container has no package lists. Where they cannot be had, old ones may do.
            subprocess.run(["apt-get", "update", "-q"], env=quiet)
            if subprocess.run(["apt-get", "install", "-y", "-q", package], env=quiet).returncode:
                sys.exit(
                    f"apt-get could not install {package} (see above). Install it and run make "
                    "again, or name another Python: make PYTHON=/path/to/python3.12 ..."
                )
        else:
            sys.exit(
                f"This Python has no ensurepip. Install it (on Debian and Ubuntu: "
                f"sudo apt-get install {package}) and run make again."
            )
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)


def install(venv, lock=LOCK):
    """
    Install exactly what a lock names.

    Parameters
    ----------
    venv : pathlib.Path
    lock : pathlib.Path
        The course's own brings datasetslib too, from this folder.
    """
    python, uv = script(venv, "python"), script(venv, "uv")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    own = ["--quiet", "--no-deps", "--no-build-isolation", "--editable", "."]
    with tempfile.TemporaryDirectory() as scratch:
        line = Path(scratch) / "uv.txt"
        line.write_text(locked_lines("uv", LOCK.read_text(encoding="utf-8")), encoding="utf-8")
        has_uv = not subprocess.run(
            [*pip, "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", line],
            cwd=ROOT,
        ).returncode
    if has_uv:
        environ = {**uv_environ(python), "VIRTUAL_ENV": str(venv)}
        # Compiled once, as pip does by itself. Where Python may write no bytecode (in the sandbox,
        # and wherever PYTHONDONTWRITEBYTECODE is set), each start of TensorFlow would compile
        # thousands of files anew: 18 seconds of one core instead of 7.
        command = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes", lock]
        say("Installing the locked packages (uv) ...")
        if not subprocess.run(command, cwd=ROOT, env=environ).returncode:
            if lock == LOCK:
                subprocess.run([uv, "pip", "install", *own], cwd=ROOT, env=environ, check=True)
            return
    say("uv could not install the lock (see above). Installing it with pip: this takes minutes ...")
    locked = ["--quiet", "--require-hashes", "-r", lock]
    subprocess.run([*pip, "install", *locked], cwd=ROOT, check=True)
    if lock == LOCK:
        subprocess.run([*pip, "install", *own], cwd=ROOT, check=True)


def main(arguments=None):
    """Create the environment where there is none of the right version, and bring it up to date."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("venv", type=Path)
    parser.add_argument("stamp", help="name of the empty file that marks the environment as ready")
    parser.add_argument("--same-python", action="store_true",
                        help="make the environment anew unless it has the Python running this")
    parser.add_argument("--lock", type=Path, default=LOCK,
                        help="what to install (default: requirements.txt)")
    options = parser.parse_args(arguments)
    venv = options.venv.absolute()
    found = version_of(script(venv, "python"))
    wanted = found == sys.version_info[:2] if options.same_python else (
        found is not None and FIRST <= found <= LAST
    )
    # An installation that was interrupted leaves packages half-written, which installers take for
    # installed.
    unfinished = venv / "unfinished"
    try:
        if not wanted or unfinished.exists():
            create(venv)
        for old in venv.glob("ready-*"):
            old.unlink()
        unfinished.touch()
        install(venv, options.lock.absolute())
        unfinished.unlink()
    except subprocess.CalledProcessError as error:
        sys.exit(f"The environment is not complete: {error}")
    (venv / options.stamp).touch()
    say(f"{venv.name} is ready.")


if __name__ == "__main__":
    main()
