"""The tables and figures of the benchmarks' page: what they show, and what fails the build."""

import doctest
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks import verdicts
from tests.book import sitecheck
from tools.languages import Words, WordsError

ROOT = Path(__file__).resolve().parents[2]

_spec = importlib.util.spec_from_file_location("measured", ROOT / "_ext" / "measured.py")
measured = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(measured)

CONDITIONS = {"date": "2026-11-26", "machine": "a processor", "cores": 2, "threads": 2,
              "system": "Linux", "seconds": 9.0, "others_share": 0.012, "load_average": 0.1,
              "quiet": True, "versions": {"python": "3.11.7", "numpy": "2.4.0"}}


def row(case, side, measure, *values, **more):
    return {"case": case, "side": side, "measure": measure, "values": list(values), **more}


@pytest.fixture
def data():
    return {"benchmark": "data", "smoke": False, "ours": "datasetslib",
            "sides": ["datasetslib", "keras.datasets"], "conditions": CONDITIONS,
            "editions": ["mnist: official bytes"],
            "measures": {"seconds": {"unit": "s", "better": "low"}},
            "measurements": [
                row("mnist, cold", "datasetslib", "seconds", 0.5, 0.52, 0.51),
                row("mnist, cold", "keras.datasets", "seconds", 0.25, 0.26, 0.24),
                row("mnist, warm", "datasetslib", "seconds", 0.1, 0.1, 0.1)]}


@pytest.fixture
def convolution():
    sides = ["NumPy, vectorised", "tf.nn.conv2d"]
    return {"benchmark": "convolution", "smoke": False, "ours": sides[0], "sides": sides,
            "conditions": CONDITIONS, "fixed": {"kernel": 5, "image": 64},
            "measures": {"ms": {"unit": "ms", "better": "low"}},
            "laws": [{"side": sides[0], "series": "image", "slope": 2.013, "low": 1.9,
                      "high": 2.125, "sizes": [16, 32, 64]}],
            "measurements": [row(f"{series} {size}", side, "ms", size**2 / (1000 + k),
                                 series=series, size=size)
                             for series in ("image", "kernel") for size in (4, 8, 16, 32, 64)
                             for k, side in enumerate(sides)]}


@pytest.fixture
def training():
    sides = ["loop, TensorFlow", "PyTorch"]
    peaks = {kind: {"GFLOP/s": 441.2, "by": "PyTorch"} for kind in
             ("matrix product", "convolution")}
    return {"benchmark": "training", "smoke": False, "ours": sides[0], "sides": sides,
            "conditions": CONDITIONS, "peaks": {"float32": peaks, "bfloat16": peaks},
            "measures": {"images/s": {"unit": "1/s", "better": "high"}},
            "measurements": [row(kind, side, "images/s", 1000.0, 1010.0, 990.0)
                             for kind in ("float32", "bfloat16") for side in sides]}


@pytest.fixture
def accuracy():
    return {"benchmark": "accuracy", "smoke": False, "ours": "ours", "sides": ["ours", "peer"],
            "conditions": CONDITIONS, "measures": {"seconds": {"unit": "s", "better": "low"}},
            "measurements": [row("60 %", "ours", "seconds", 3.0)],
            "runs": [{"side": side, "row": side, "seed": 0, "seconds": [3.0, 3.0],
                      "accuracy": [0.6, 0.7]} for side in ("ours", "peer")]}


def test_examples_in_the_docstrings_hold():
    assert doctest.testmod(measured).failed == 0


def test_a_table_has_medians_quartiles_and_ratios(data):
    head, rows = measured.table_rows(data, "seconds")
    assert head == ["seconds", "mnist, cold", "mnist, warm"]
    assert rows[0] == ["datasetslib", "0.510\n0.505 to 0.515", "0.100\n0.100 to 0.100"]
    assert rows[1] == ["keras.datasets", "0.250\n0.245 to 0.255\n0.490 × ours", "–"]
    head, rows = measured.table_rows(data, "seconds", upright=True)
    assert head == ["seconds", "datasetslib", "keras.datasets"] and rows[1][0] == "mnist, warm"


def test_who_is_ahead_is_named_with_the_reason(data, convolution):
    reasons = {"data": {"keras.datasets": "It reads\nless."}}
    assert measured.leads_rows("data", data, reasons) == [
        ["keras.datasets", "mnist, cold, seconds: 0.490 × ours", "It reads less."]]
    with pytest.raises(verdicts.ResultError, match="keras.datasets is ahead"):
        measured.leads_rows("data", data, {})
    # In many cases: from where to where, not one line for each.
    where = measured.leads_rows("convolution", convolution,
                                {"convolution": {"tf.nn.conv2d": "why"}})[0][1]
    assert where.startswith("milliseconds, 10 cases: 0.999 to 0.999 × ours\nimage 4; image 8")


def test_slopes_and_peaks(convolution, training):
    assert measured.laws_rows(convolution) == [
        ["NumPy, vectorised", "2.01\n1.90 to 2.12", "–"], ["tf.nn.conv2d", "–", "–"]]
    assert measured.peaks_rows(training)[0] == ["matrix product", "441\nPyTorch", "441\nPyTorch"]


def test_a_busy_machine_is_said(data):
    busy = {**data, "conditions": {**CONDITIONS, "quiet": False, "others_share": 0.31}}
    unknown = {**data, "conditions": {**CONDITIONS, "quiet": None, "others_share": None}}
    rows = measured.conditions_rows({"data": data, "training": busy, "book": unknown})
    assert [found[-1] for found in rows] == ["1.2 %: quiet", "31.0 %: busy", "not known"]
    assert rows[0][2] == "a processor, 2 threads\npython 3.11.7, numpy 2.4.0"


def test_names_of_programs_need_no_translation(data):
    """In another language, only what is ours has to be in its table."""
    tr = Words({"{low} to {high}": "{low} 至 {high}", "{ratio} × ours": "我们的 {ratio} 倍",
                "seconds": "秒", "mnist, cold": "冷", "mnist, warm": "热"})
    head, rows = measured.table_rows(data, "seconds", tr=tr)
    assert head == ["秒", "冷", "热"]
    assert rows[1][:2] == ["keras.datasets", "0.250\n0.245 至 0.255\n我们的 0.490 倍"]
    with pytest.raises(WordsError):
        measured.table_rows(data, "seconds", tr=Words({}))


@pytest.mark.parametrize("name", ["convolution", "training", "accuracy"])
def test_a_figure_is_drawn_once_for_a_result(name, request, tmp_path):
    result = request.getfixturevalue(name)
    path = measured.draw(name, result, tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<?xml") and "460.8pt" in text  # 6.4 inches, as all figures
    stamp = path.stat().st_mtime_ns
    assert measured.draw(name, result, tmp_path) == path and path.stat().st_mtime_ns == stamp
    other = {**result, "sides": list(reversed(result["sides"]))}
    assert measured.draw(name, other, tmp_path) != path


# --- a small book of its own -------------------------------------------------------------


@pytest.fixture
def book(tmp_path, data, training):
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"]["local_extensions"] = {
        "course": str(ROOT / "_ext"), "measured": str(ROOT / "_ext")}
    config["sphinx"]["config"]["bibtex_bibfiles"] = []
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    shutil.copytree(ROOT / "assets", tmp_path / "assets")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\n", encoding="utf-8")
    (tmp_path / "intro.md").write_text(
        "# First\n\nHow fast is it?\n\n```{benchmark} data\n:measure: seconds\n"
        ":cases: mnist, cold\n```\n\n```{benchmark-leads} data\n```\n\n"
        "```{benchmark-figure} training\n```\n", encoding="utf-8")
    (tmp_path / "pages").mkdir()
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    put(tmp_path, "data", data)
    put(tmp_path, "training", training)
    (tmp_path / "pages" / "reasons.yml").write_text(
        "data:\n  keras.datasets: It keeps no parsed copy.\n", encoding="utf-8")
    return tmp_path


def put(book, name, result):
    (book / "benchmarks" / "results" / f"{name}.json").write_text(json.dumps(result))


def build(book):
    environ = {name: value for name, value in os.environ.items()
               if not name.startswith(("GITHUB_", "COURSE_"))}
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", "-W", "-n", "--keep-going", "."]
    done = subprocess.run(command, cwd=book, env=environ, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_a_page_is_made_from_the_results_and_a_lead_without_a_reason_fails(book, data):
    status, said = build(book)
    assert status == 0, said
    html = (book / "_build" / "html" / "intro.html").read_text(encoding="utf-8")
    page = sitecheck.parse(html)
    text = re.sub(r"\s+", " ", page.get_text())
    assert "0.490 × ours" in text and "It keeps no parsed copy." in text
    assert page.find("img", alt=re.compile("^Bars: images a second"))

    # A new result alone: the page is read again, and the peer that is ahead now is named.
    new = [row("mnist, cold", "torchvision", "seconds", 0.1)]
    put(book, "data", {**data, "sides": [*data["sides"], "torchvision"],
                       "measurements": [*data["measurements"], *new]})
    status, said = build(book)
    assert status != 0
    assert "torchvision is ahead of datasetslib (mnist, cold: seconds)" in said

    (book / "benchmarks" / "results" / "data.json").unlink()
    status, said = build(book)
    assert status != 0 and "`make benchmarks NAME=data` measures it" in said


# --- the course's own results ------------------------------------------------------------


def test_the_page_is_in_the_book_exactly_when_there_are_results():
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    there = [name for name in verdicts.NAMES if (verdicts.RESULTS / f"{name}.json").is_file()]
    assert ("pages/benchmarks" in toc) == (there == list(verdicts.NAMES)), (
        f"results: {', '.join(there) or 'none'}")


def test_all_that_are_ahead_have_a_reason_and_all_results_are_whole():
    reasons = yaml.safe_load(verdicts.REASONS.read_text(encoding="utf-8"))
    assert set(reasons) == set(verdicts.NAMES)
    for path in sorted(verdicts.RESULTS.glob("*.json")):
        result = verdicts.read(path.stem)
        verdicts.explained(path.stem, result, reasons)
        assert {found["side"] for found in result["measurements"]} == set(result["sides"])
