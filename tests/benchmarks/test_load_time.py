"""The benchmark of the load times runs as its first lines say, and its bounds are met."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_loading_is_as_quick_as_promised(real_set, tmp_path):
    for name in ("mnist", "cifar10"):
        home = real_set(name)
    environ = {**os.environ, "DATASETSLIB_HOME": str(home), "DATASETSLIB_SOURCE": "home"}
    result = tmp_path / "result.json"
    command = [sys.executable, ROOT / "benchmarks" / "load_time.py", result]
    done = subprocess.run([*command, "--cold", "1", "--warm", "3"], env=environ, cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads(result.read_text())
    assert measured["missed"] == [] and measured["heavy_imports"] == []
    assert set(measured["measured"]) == set(measured["bounds"])
    for name in ("mnist", "cifar10"):
        for side in ("datasetslib", "keras"):
            assert len(measured["seconds"][name][side]["warm"]) == 3
