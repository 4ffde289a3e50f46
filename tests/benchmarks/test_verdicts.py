"""What a result says, what is refused, and that no test of the machinery can pass by accident."""

import doctest
import json

import pytest

from benchmarks import __main__ as command
from benchmarks import accuracy, book, common, convolution, training, verdicts


@pytest.mark.parametrize("module", [accuracy, book, common, convolution, training, verdicts])
def test_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def row(side, values, case="all", measure="seconds"):
    return {"case": case, "side": side, "measure": measure, "values": values}


def result_of(*rows, better="low", **more):
    sides = list(dict.fromkeys(one["side"] for one in rows))
    return {"benchmark": "data", "smoke": False, "ours": "we", "sides": sides,
            "measures": {"seconds": {"unit": "s", "better": better}}, "measurements": list(rows),
            "conditions": {"quiet": True}, **more}


def test_only_a_lead_beyond_the_spread_counts():
    mine = row("we", [1.9, 2.0, 2.1])
    assert not verdicts.leads(result_of(mine, row("near", [1.8, 1.95, 2.2])))
    assert [x.side for x in verdicts.leads(result_of(mine, row("far", [1.0, 1.1, 1.2])))] == ["far"]
    # Where more is better, the same numbers say the opposite.
    assert not verdicts.leads(result_of(mine, row("far", [1.0, 1.1, 1.2]), better="high"))
    assert verdicts.leads(result_of(mine, row("far", [3.0, 3.1, 3.2]), better="high"))


def test_who_alone_gets_there_is_ahead_and_who_does_not_is_not():
    lead, = verdicts.leads(result_of(row("we", [None]), row("they", [5.0])))
    assert lead.ratio is None
    assert not verdicts.leads(result_of(row("we", [5.0]), row("they", [None, 1.0])))


def test_a_lead_needs_a_reason_and_a_reason_a_lead():
    result = result_of(row("we", [2.0]), row("they", [1.0]))
    with pytest.raises(verdicts.ResultError, match="they is ahead .* under data: they"):
        verdicts.explained("data", result, {"data": {}})
    with pytest.raises(verdicts.ResultError, match="they is ahead"):
        verdicts.explained("data", result, {"data": {"they": "  "}})
    with pytest.raises(verdicts.ResultError, match="reason for others, which is not ahead"):
        verdicts.explained("data", result, {"data": {"they": "a reason", "others": "none"}})
    assert verdicts.explained("data", result, {"data": {"they": "it\nskips"}})[0][2] == "it skips"


def test_what_is_no_result_of_the_page_is_refused(tmp_path):
    with pytest.raises(verdicts.ResultError, match="make benchmarks NAME=data"):
        verdicts.read("data", tmp_path)
    with pytest.raises(verdicts.ResultError, match="no benchmark 'dta'"):
        verdicts.read("dta", tmp_path)
    (tmp_path / "data.json").write_text(json.dumps({"smoke": True}))
    with pytest.raises(verdicts.ResultError, match="trial"):
        verdicts.read("data", tmp_path)


def test_a_table_names_what_it_has_not():
    result = result_of(row("we", [2.0]), row("they", [1.0], case="other"))
    with pytest.raises(verdicts.ResultError, match="no measure 'MB'"):
        verdicts.table(result, "MB")
    with pytest.raises(verdicts.ResultError, match="'cold'; it has all, other"):
        verdicts.table(result, "seconds", wanted=["cold"])
    with pytest.raises(verdicts.ResultError, match="no side nobody"):
        verdicts.table(result, "seconds", sides=["nobody"])
    wanted, rows = verdicts.table(result, "seconds")
    assert wanted == ["all", "other"]
    assert rows[1] == ("they", [(None, None), (verdicts.Spread(1.0, 1.0, 1.0, 1), None)])


# --- writing -----------------------------------------------------------------------------


def test_a_busy_run_does_not_take_the_place_of_a_quiet_one(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "SCRATCH", tmp_path / "scratch")
    path = tmp_path / "data.json"
    quiet, busy = ({"conditions": {"quiet": value}, "name": value} for value in (True, False))
    common.write(busy, path)  # better than nothing
    common.write(quiet, path)
    common.write(quiet, path)  # and the next quiet one in its place
    with pytest.raises(common.BenchmarkError, match="it stays.*--force"):
        common.write(busy, path)
    assert json.loads(path.read_text())["name"] is True
    assert json.loads((tmp_path / "scratch" / "busy" / "data.json").read_text())["name"] is False
    with pytest.raises(common.BenchmarkError):
        common.write({"conditions": {"quiet": None}}, path)
    common.write(busy, path, force=True)
    assert json.loads(path.read_text())["name"] is False


def test_trials_and_parts_stay_away_from_the_page():
    options = common.parser("data", "").parse_args(["--smoke"])
    assert verdicts.RESULTS not in common.destination("data", options).parents
    options = common.parser("data", "").parse_args([])
    assert common.destination("data", options) == verdicts.RESULTS / "data.json"
    with pytest.raises(common.BenchmarkError, match="--out"):
        common.destination("data", options, partial=True)


# --- peers and chapters ------------------------------------------------------------------


def test_a_missing_peer_is_an_error_with_its_remedy(monkeypatch, capsys):
    monkeypatch.setattr(common, "find_spec", lambda name: None if name == "torch" else True)
    with pytest.raises(common.BenchmarkError, match="no torch: leave out --here"):
        common.need("torch", "numpy")
    common.need("numpy")
    assert command.main(["training", "--here", "--smoke"]) == 1
    assert "this Python has no torch" in capsys.readouterr().err


def test_an_unknown_benchmark_is_an_error(capsys):
    assert command.main(["trainings"]) == 2
    assert "there are data, training, convolution, accuracy, book" in capsys.readouterr().err
    assert command.main([]) == 2 and command.main(["--help"]) == 0


def test_the_benchmarks_environment_is_made_from_its_lock(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(command, "VENV", tmp_path / "venv")
    monkeypatch.setattr(command.environment, "main", made.append)
    command.own_python()
    assert made[0][0] == str(tmp_path / "venv") and made[0][3] == str(command.LOCK)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / made[0][1]).touch()
    command.own_python()
    assert len(made) == 1  # what is ready is not made again


def test_functions_come_from_the_chapter_and_only_from_there(tmp_path):
    import numpy as np

    names = common.chapter_functions("01_convolution", ["correlate"], {"np": np})
    maps = names["correlate"](np.arange(9.0).reshape(3, 3), np.ones((2, 2)))
    assert maps.tolist() == [[8, 12], [20, 24]]
    with pytest.raises(common.BenchmarkError, match="no function correlated"):
        common.chapter_functions("01_convolution", ["correlated"], {})
    with pytest.raises(common.BenchmarkError, match="no chapter chapters/99_x"):
        common.chapter_functions("99_x", ["f"], {})
    (tmp_path / "x.py").write_text("def f():\n    return 1\n\ndef f():\n    return 2\n")
    with pytest.raises(common.BenchmarkError, match="defines f twice"):
        common.chapter_functions("x", ["f"], {}, tmp_path)


def test_the_digest_of_a_function_knows_code_from_comments(tmp_path):
    digests = []
    for text in ("def f(x):\n    return x\n", "def f(x):  # same\n\n    return x\n",
                 "def f(x):\n    return 2 * x\n"):
        (tmp_path / "x.py").write_text(text)
        digests.append(common.chapter_digest("x", ["f"], tmp_path))
    assert digests[0] == digests[1] != digests[2]


def test_constants_of_a_chapter_are_literals(tmp_path):
    (tmp_path / "x.py").write_text(
        "size = 128\nrecipe = {'size': size, 'rate': 2 / 8}\nsize = 3\nother = load()\n")
    found = accuracy.constants("x", ["size", "recipe"], tmp_path)
    assert found == {"size": 128, "recipe": {"size": 128, "rate": 0.25}}
    with pytest.raises(common.BenchmarkError, match="sets other to more than numbers"):
        accuracy.constants("x", ["other"], tmp_path)
    with pytest.raises(common.BenchmarkError, match="does not set none"):
        accuracy.constants("x", ["none"], tmp_path)
    with pytest.raises(common.BenchmarkError, match="no chapter"):
        accuracy.constants("y", ["none"], tmp_path)
