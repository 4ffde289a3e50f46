import os
import shutil
from pathlib import Path

import pytest

from tests import clean
from tools import testdata

#: Variables under which git, run by a hook or by another git, would work in the wrong repository.
GIT_PLACES = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
    "GIT_PREFIX",
}
#: Settings of the user that would make a commit of a test ask for a key or run a program.
GIT_SETTINGS = {
    "commit.gpgSign": "false", "tag.gpgSign": "false", "core.hooksPath": os.devnull,
}


def private_git(environ):
    """Change variables so that git does in a test's repository what the test says, no more.

    The rest of the user's configuration stays: ``safe.directory`` may be in it.
    """
    for name in GIT_PLACES:
        environ.pop(name, None)
    start = int(environ.get("GIT_CONFIG_COUNT") or 0)
    for number, (name, value) in enumerate(GIT_SETTINGS.items(), start):
        environ[f"GIT_CONFIG_KEY_{number}"] = name
        environ[f"GIT_CONFIG_VALUE_{number}"] = value
    environ["GIT_CONFIG_COUNT"] = str(start + len(GIT_SETTINGS))


def pytest_configure(config):
    """Give every test (and doctest) a clean, private setting before anything is imported."""
    # A worker of pytest-xdist starts with what its parent has set here, and must not choose again.
    if not hasattr(config, "workerinput"):
        try:
            added, _ = testdata.choose()
        except testdata.DataError as error:
            raise pytest.UsageError(str(error)) from None
        real = added.get("DATASETSLIB_HOME") or os.environ.get("DATASETSLIB_HOME", "")
        os.environ["COURSE_TEST_REAL_DATA"] = real
    for name in list(os.environ):
        if name.startswith("DATASETSLIB_"):
            del os.environ[name]
    os.environ["DATASETSLIB_CACHE"] = str(config.rootpath / "build" / "test-cache")
    os.environ["MPLBACKEND"] = "agg"
    private_git(os.environ)


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data in the official layout; the test is skipped where there is none."""
    folder = os.environ["COURSE_TEST_REAL_DATA"]
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real data on this machine")
    return Path(folder)


@pytest.fixture(scope="session")
def real_set(real_data):
    """Function: skip the test unless the folder of real data holds a data set; return it."""

    # The files lie in a folder named after the set, or side by side.
    side_by_side = {"mnist": "train-images*", "cifar10": "cifar-10-*"}

    def folder_with(name):
        if not (real_data / name).is_dir() and not any(real_data.glob(side_by_side[name])):
            pytest.skip(f"no real {name} on this machine: the folder of real data has none")
        return real_data

    return folder_with


@pytest.fixture(scope="session")
def clean_python(tmp_path_factory):
    """A Python that has the four packages of the course, and not ours; made once, in a minute."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    yield clean.make(venv)
    # pytest keeps the folders of its last runs; this one is two gigabytes.
    shutil.rmtree(venv)
