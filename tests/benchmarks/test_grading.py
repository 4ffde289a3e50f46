import json
from collections import Counter

import pytest

from benchmarks import grading
from tools.grading import definition, sandbox


def test_a_class_is_mixed_as_it_is_said():
    counted = Counter(grading.kinds(200))
    assert counted["solution"] == 112 and counted["never returns"] == 4
    assert sum(counted.values()) == 200 and counted["mutant"] == 52
    # Not all of a kind in a row: the two cores would not be busy to the end.
    assert len(set(grading.kinds(200)[:12])) > 3


@pytest.mark.parametrize("kind", ["raises", "never returns", "ends the process", "takes memory"])
def test_what_is_broken_is_python(kind):
    compile(grading.broken(definition.load("01_convolution"), kind), kind, "exec")


def test_every_submission_is_another_file(tmp_path):
    made = grading.hand_in(tmp_path, definition.load("01_convolution"), 50)
    assert sorted({path.stem for path in tmp_path.iterdir()}) == sorted(made)
    files = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    assert len(set(files)) == len(files) == 49


@pytest.mark.skipif(sandbox.find()[0] is None, reason="there is no sandbox")
def test_the_command_measures_a_small_class(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grading, "kinds", lambda many: ["solution", "mutant", "no notebook"])
    result = tmp_path / "result.json"
    monkeypatch.setattr("sys.argv", ["grading", str(result), "--many", "3", "--jobs", "1"])
    assert grading.main() == 0
    told = json.loads(result.read_text())
    assert told["submissions"] == 3 and told["not as it should be"] == []
    assert told["kinds"]["solution"]["mean share of the points"] == 1
    assert told["most memory of all processes in MB"] > 20
    assert "seconds a submission" in capsys.readouterr().out


def test_a_wrong_grade_is_told(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "grades.csv").write_text("student,total\nada,3\n")
    (tmp_path / "results" / "ada.json").write_text(json.dumps(
        {"points": 3, "possible": 4, "seconds": 1.0, "memory": 0}))
    rows, wrong = grading.summary({"ada": "solution"}, tmp_path)
    assert wrong == ["ada (solution): 3 points"]
    assert rows["solution"]["mean share of the points"] == 0.75
