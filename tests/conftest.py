import os
from pathlib import Path

import pytest

from tools import testdata


def pytest_configure(config):
    """Give every test (and doctest) a clean, private setting before anything is imported."""
    added, _ = testdata.choose()
    real = added.get("DATASETSLIB_HOME") or os.environ.get("DATASETSLIB_HOME", "")
    os.environ["COURSE_TEST_REAL_DATA"] = real
    for name in list(os.environ):
        if name.startswith("DATASETSLIB_"):
            del os.environ[name]
    os.environ["DATASETSLIB_CACHE"] = str(config.rootpath / "build" / "test-cache")
    os.environ["MPLBACKEND"] = "agg"


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data in the official layout; the test is skipped where there is none."""
    folder = os.environ["COURSE_TEST_REAL_DATA"]
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real data on this machine")
    return Path(folder)
