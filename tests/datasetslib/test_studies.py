"""Studies on disk: what is written comes back, and what is no trial is refused."""

import json
from types import SimpleNamespace

import pytest

from datasetslib import studies


def trial(number, state="COMPLETE", value=None, values=(), **notes):
    return SimpleNamespace(number=number, state=SimpleNamespace(name=state), value=value,
                           params={"rate": 0.1, "norm": True},
                           intermediate_values=dict(enumerate(values, 1)), user_attrs=notes)


TRIALS = [
    trial(0, value=0.5, values=(0.4, 0.5), multiply_adds=2_000_000, by_hand="a guess"),
    trial(1, "PRUNED", values=(0.2,)),
    trial(2, "PRUNED", over_budget=True, multiply_adds=10**9),
    trial(3, "FAIL", values=(0.3,)),
    trial(4, "RUNNING", values=(0.3,)),
    trial(5, "WAITING"),
]


def test_what_has_ended_comes_back(tmp_path):
    path = tmp_path / "study.jsonl"
    assert studies.write(TRIALS, path) == 4
    rows = studies.read(path)
    assert [row["state"] for row in rows] == ["trained", "stopped", "over budget", "failed"]
    assert rows == [studies.row(t) for t in TRIALS[:4]]
    assert rows[0] == {"number": 0, "state": "trained", "value": 0.5, "epochs": [0.4, 0.5],
                       "params": {"rate": 0.1, "norm": True}, "multiply_adds": 2_000_000,
                       "by_hand": "a guess"}
    assert rows[1]["value"] is None and "over_budget" not in rows[2]
    assert [p.name for p in tmp_path.iterdir()] == ["study.jsonl"]


def test_the_epochs_come_in_their_order():
    found = trial(0, value=0.3)
    found.intermediate_values = {3: 0.3, 1: 0.1, 2: 0.2}
    assert studies.row(found)["epochs"] == [0.1, 0.2, 0.3]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "study.jsonl"
    studies.write(TRIALS, path)
    before = path.read_bytes()
    with pytest.raises(ValueError):
        studies.write([*TRIALS, trial(6, value=float("nan"))], path)
    assert path.read_bytes() == before


def test_a_line_about_a_trial():
    assert studies.line(TRIALS[0]).split() == (
        "trial 0 trained 2 epochs accuracy 0.500 2.00 million multiply-adds".split())
    assert "over budget" in studies.line(TRIALS[2]) and "not ended" in studies.line(TRIALS[5])


def whole(**changed):
    return {"number": 8, "state": "trained", "value": 0.5, "params": {}, "epochs": [0.5],
            **changed}


@pytest.mark.parametrize(("bad", "said"), [
    ("{", "line 2"),
    ("[]", "line 2"),
    (json.dumps({"number": 1}), "line 2"),
    (json.dumps(whole(state="good")), "state"),
    (json.dumps(whole(value="0.5")), "value"),
    (json.dumps(whole(epochs={})), "epochs"),
    (json.dumps(whole(number=7)), "trial 7 is there already"),
])
def test_what_is_no_trial_is_refused(tmp_path, bad, said):
    path = tmp_path / "study.jsonl"
    path.write_text(json.dumps(whole(number=7)) + "\n" + bad + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=said) as caught:
        studies.read(path)
    assert "study.jsonl, line 2" in str(caught.value) and "restore" in str(caught.value)


def test_a_study_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="nothing"):
        studies.read(studies.stored("nothing"))


def test_the_stored_studies_travel_with_the_package():
    import tomllib
    from pathlib import Path

    root = Path(studies.__file__).parents[1]
    with open(root / "pyproject.toml", "rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["datasetslib"]
    packed = {path for pattern in patterns for path in (root / "datasetslib").glob(pattern)}
    assert studies.stored("12_challenge") in packed
