"""Where the course is published: the one setting that links, badges and setup cells follow."""

import os
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_ADDRESS = re.compile(r"https?://[^/\s]+/[^/\s]+/[^/\s]+")


def repository(root=ROOT):
    """
    Return the public address of the repository, or an empty string while it has none.

    The first of these that is set decides: the environment variable ``COURSE_REPOSITORY``;
    ``GITHUB_SERVER_URL`` and ``GITHUB_REPOSITORY``, which GitHub Actions sets; the ``repository``
    of ``[tool.course]`` in ``pyproject.toml``.

    Parameters
    ----------
    root : path-like
        The folder that holds ``pyproject.toml``.

    Returns
    -------
    str
        ``https://host/owner/name`` without a trailing slash or ``.git``, or ``""``.

    Raises
    ------
    ValueError
        When the setting is not an address of that form: a broken link would be worse than none.
    """
    address, origin = os.environ.get("COURSE_REPOSITORY", ""), "COURSE_REPOSITORY"
    if not address and os.environ.get("GITHUB_REPOSITORY"):
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        address, origin = f"{server}/{os.environ['GITHUB_REPOSITORY']}", "GITHUB_REPOSITORY"
    if not address:
        settings = tomllib.loads((Path(root) / "pyproject.toml").read_text(encoding="utf-8"))
        address = settings.get("tool", {}).get("course", {}).get("repository", "")
        origin = "[tool.course] repository in pyproject.toml"
    address = address.strip().rstrip("/").removesuffix(".git")
    if address and not _ADDRESS.fullmatch(address):
        raise ValueError(
            f"{origin} is {address!r}: expected an address such as https://github.com/owner/name, "
            "or nothing"
        )
    return address
