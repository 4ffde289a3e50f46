"""Records and conditions: alone, in a real kernel, and on a page of the book."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from datasetslib import recording

ROOT = Path(__file__).resolve().parents[2]
MARK = "application/papermill.record/"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(recording, "_recorded", {})
    monkeypatch.setattr(recording, "restored_units", [])
    monkeypatch.delenv("DATASETSLIB_RECORDS", raising=False)


@pytest.fixture
def records(monkeypatch, tmp_path):
    path = tmp_path / "records.jsonl"
    monkeypatch.setenv("DATASETSLIB_RECORDS", str(path))

    def read():
        lines = path.read_text(encoding="utf-8").splitlines()
        return {line["name"]: line["value"] for line in map(json.loads, lines)}

    return read


# --- record ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (3, 3),
        ("under 1", "under 1"),
        (None, None),
        (True, True),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        ((0.1, np.float64(0.2)), [0.1, 0.2]),
        ({"a": [np.int8(1)], "b": {"c": np.array(2.0)}}, {"a": [1], "b": {"c": 2.0}}),
    ],
)
def test_values_become_plain(records, value, plain):
    recording.record("x", value)
    found = records()["x"]
    assert found == plain and type(found) is type(plain)


def test_records_are_appended_in_order(records):
    recording.record("first", 1)
    recording.record("second", "zwei «2»")
    assert list(records().items()) == [("first", 1), ("second", "zwei «2»")]


@pytest.mark.parametrize("name", ["", "2x", "a-b", "a b", "a::b", None, 3])
def test_a_name_must_be_an_identifier(records, name):
    with pytest.raises(ValueError, match="must be a Python identifier, found"):
        recording.record(name, 1)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", 1j, [object()], {"a": {1}}])
def test_what_has_no_json_form_is_named(value):
    with pytest.raises(TypeError, match="'culprit' must be a number, a string"):
        recording.record("culprit", value)


def test_keys_must_be_strings():
    with pytest.raises(TypeError, match=r"the keys of 'x' must be strings, found 3 \(int\)"):
        recording.record("x", {3: 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, -np.inf]])
def test_a_number_must_be_finite(value):
    with pytest.raises(ValueError, match="'x' must be finite"):
        recording.record("x", value)


def test_a_refused_value_leaves_nothing(records, tmp_path):
    with pytest.raises(TypeError):
        recording.record("x", object())
    assert not (tmp_path / "records.jsonl").exists()
    recording.record("x", 1)  # the name is still free
    assert records() == {"x": 1}


def test_a_name_is_recorded_once(records):
    recording.record("x", 1)
    with pytest.raises(ValueError, match="'x' is recorded already"):
        recording.record("x", 2)
    assert records() == {"x": 1}


def test_recorded_values_reads_texts_kept_as_lines():
    data = {f"{MARK}application/json": ['{"a":\n', " 1}"]}
    output = {"data": data, "metadata": {"scrapbook": {"name": "x"}}}
    plain = {"data": {"text/plain": "5"}, "metadata": {}}
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [plain, output]}]
    assert recording.recorded_values({"cells": cells}) == {"x": {"a": 1}}


# --- how quiet it was --------------------------------------------------------------------


def test_the_share_of_others():
    cores = os.cpu_count()
    before = (0.0, 100.0, 7.0)
    assert recording.others_share(before, (10.0, 100.0 + 4.0, 11.0)) == 0.0
    share = recording.others_share(before, (10.0, 100.0 + 4.0 + 2.0 * cores, 11.0))
    assert share == pytest.approx(0.2)


def test_the_share_is_unknown_where_clocks_are_missing_or_stand_still():
    assert recording.others_share(None) is None
    assert recording.others_share((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)) is None
    # A sandbox whose machine never works although this process did.
    assert recording.others_share((0.0, 5.0, 0.0), (10.0, 5.0, 9.0)) is None


def test_the_clocks_run():
    before = recording.cpu_snapshot()
    sum(range(2_000_000))
    after = recording.cpu_snapshot()
    assert after[0] > before[0] and after[1] >= before[1] and after[2] > before[2]


def test_without_psutil_nothing_is_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert recording.cpu_snapshot() is None
    assert recording._process_age() > 0


# --- conditions --------------------------------------------------------------------------


@pytest.fixture
def quiet_machine(monkeypatch):
    share = {"now": 0.01}
    monkeypatch.setattr(recording, "others_share", lambda before, after=None: share["now"])
    monkeypatch.setattr(recording, "_process_age", lambda: 90.04)
    return share


def test_a_quiet_run_records_its_seconds(records, quiet_machine):
    recording.add_restored(600, 0.02, recording.machine())
    edition = "mnist: official bytes, from DATASETSLIB_HOME"
    recording.conditions(SimpleNamespace(edition=edition))
    found = records()
    assert found["seconds"] == 690.0 and found["minutes"] == "12"
    assert found["gpu_minutes"] == "not measured"
    conditions = found["conditions"]
    assert conditions["quiet"] is True and conditions["others_share"] == 0.02
    assert conditions["editions"] == [edition]
    assert conditions["restored_units"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", conditions["date"])
    assert conditions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert conditions["numpy"] == np.__version__
    assert conditions["device"] and conditions["threads"] >= 1
    assert conditions["load_average"] >= 0 and conditions["datasetslib"]


@pytest.mark.parametrize(
    ("now", "restored", "quiet", "why"),
    [
        (0.30, 0.0, False, "other programs used 30 %"),
        (0.0, 0.30, False, "other programs used 30 %"),
        (None, 0.0, None, "is not known"),
        (0.0, None, None, "is not known"),
    ],
)
def test_seconds_are_withheld(records, quiet_machine, now, restored, quiet, why):
    quiet_machine["now"] = now
    recording.add_restored(600, restored, recording.machine())
    recording.conditions()
    found = records()
    assert found["seconds"] is None and found["minutes"] == "not measured"
    assert found["conditions"]["quiet"] is quiet
    assert found["conditions"]["seconds"] is None
    assert why in recording._as_text(found["conditions"])


def test_runs_of_another_machine_are_named_and_their_seconds_do_not_count(records, quiet_machine):
    recording.add_restored(600, 0.02, recording.machine())
    for share, begin in ((0.6, 0), (None, 90)):  # how busy that one was does not count
        spans = [(begin, begin + 60), (begin + 60, begin + 120)]
        recording.add_restored(120, share, "NVIDIA X, Keras 3 with JAX", spans)
    recording.conditions()
    found = records()
    conditions = found["conditions"]
    assert found["gpu_minutes"] == "4, for the training runs"
    assert conditions["seconds"] is None and conditions["quiet"] is True
    assert conditions["elsewhere"] == {"NVIDIA X, Keras 3 with JAX": {"runs": 2, "seconds": 210.0}}
    box = recording._as_text(conditions)
    assert "2 runs in 4 minutes, some side by side: NVIDIA X, Keras 3 with JAX" in box
    assert "not measured: training runs came from another machine" in box


def test_the_machine_is_the_device_and_what_keras_computes_with(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    assert recording.machine() == recording._device()
    card = SimpleNamespace(device_kind="H 100")
    for name, module in {
        "keras": SimpleNamespace(__version__="3.1", backend=SimpleNamespace(backend=lambda: "jax")),
        "jax": SimpleNamespace(__version__="0.9", default_backend=lambda: "gpu",
                               devices=lambda: [card, card]),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert recording.machine() == "H 100, Keras 3.1 with JAX 0.9"


def test_an_argument_without_edition_is_refused():
    with pytest.raises(TypeError, match="expected loaded data sets with an edition, found int"):
        recording.conditions(5)


def test_the_box_escapes_what_it_shows():
    found = recording._gather(["<b>mnist</b> & more"])
    box = recording._as_html(found)
    assert "&lt;b&gt;mnist&lt;/b&gt; &amp; more" in box
    assert "style=" not in box and "color" not in box  # the page's style sheet decides
    assert box.startswith('<div class="conditions">')


def test_devices_and_threads_come_from_tensorflow_once_it_is_imported(monkeypatch):
    config = SimpleNamespace(
        list_physical_devices=lambda kind: ["gpu0"] if kind == "GPU" else [],
        experimental=SimpleNamespace(get_device_details=lambda gpu: {"device_name": "H 200"}),
        threading=SimpleNamespace(get_intra_op_parallelism_threads=lambda: 3),
    )
    fake = SimpleNamespace(config=config, __version__="2.99")
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    found = recording._gather([])
    assert (found["device"], found["threads"], found["tensorflow"]) == ("H 200", 3, "2.99")


def test_importing_and_calling_pulls_in_nothing_heavy():
    code = (
        "import sys; from datasetslib import record, conditions; record('x', 1); conditions();"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# --- in a kernel and on a page -----------------------------------------------------------

CELLS = [
    "from datasetslib import conditions, plots, record\nplots.use_style()",
    "record('accuracy', 0.1 * 9 + 0.0884321)\nrecord('by_seed', [0.1 + 0.2, 0.5])\n"
    "record('n_parameters', 3_255_914)\nrecord('verdict', 'about ' + 'right')\n"
    "record('gap', '+0.50')\nrecord('listed', '0.98, 0.99')",
    "plots.pooling_panels([[1, 2, 3], [4, 5, 6], [7, 8, 9]])",
    "plots.pooling_panels([[1, 2, 3], [4, 5, 6], [7, 8, 9]])",
    "from matplotlib import pyplot as plt\nfigure, ax = plt.subplots()\nax.plot([1, 2])\n"
    "plots.finish(figure)",
    "conditions()",
]
PAGE = """# A page

Accuracy {glue:text}`accuracy:.4f`, of {glue:text}`n_parameters:,d`, {glue:text}`verdict`,
all {glue:text}`by_seed`, in {glue:text}`minutes` minutes, ahead by {glue:text}`gap`,
one by one {glue:text}`listed`.
"""


@pytest.fixture(scope="module")
def executed():
    """A notebook run from top to bottom in a real kernel."""
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    cells.insert(1, nbformat.v4.new_markdown_cell(PAGE))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {
        "name": "python3", "language": "python", "display_name": "Python 3"
    }
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    return notebook


def outputs(notebook):
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def test_the_executed_notebook_is_valid_and_holds_the_values(executed):
    nbformat.validate(executed)
    values = recording.recorded_values(executed)
    assert list(values)[:4] == ["accuracy", "by_seed", "n_parameters", "verdict"]
    assert list(values)[6:] == ["conditions", "seconds", "minutes", "gpu_minutes"]
    assert values["by_seed"] == [0.1 + 0.2, 0.5]
    assert values["conditions"]["matplotlib"]


def test_records_show_nothing_in_a_viewer(executed):
    for output in outputs(executed)[1]:
        assert all(kind.startswith(MARK) for kind in output.data)
        assert output.metadata.scrapbook.mime_prefix == MARK
    texts = [output.data[f"{MARK}text/plain"] for output in outputs(executed)[1]]
    assert texts[1:4] == ["[0.30000000000000004, 0.5]", "3255914", "'about right'"]


def test_a_figure_is_shown_once_as_svg_with_the_same_bytes(executed):
    first, second, own = outputs(executed)[2:5]
    for cell in (first, second, own):
        assert [output.output_type for output in cell] == ["execute_result"]
        assert "image/svg+xml" in cell[0].data and "image/png" not in cell[0].data
    svg = first[0].data["image/svg+xml"]
    assert svg == second[0].data["image/svg+xml"]
    assert "<dc:date>" not in svg and "460.8pt" in svg  # not cropped: 6.4 inches


def test_the_box_has_a_plain_twin(executed):
    box = outputs(executed)[5][0].data
    assert box["text/html"].startswith('<div class="conditions">')
    assert "Versions" in box["text/plain"] and "Python 3" in box["text/plain"]


def test_a_person_may_run_a_cell_again_but_a_loop_may_not(executed):
    cells = [
        "from datasetslib import record\nrecord('x', 1)",
        "record('x', 2)",
        "try:\n    record('y', 1); record('y', 2)\nexcept ValueError as e:\n    print(e)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert recording.recorded_values(notebook) == {"x": 2, "y": 1}
    assert "'y' is recorded already" in notebook.cells[2].outputs[-1].text


def test_the_book_quotes_the_values_and_nothing_leaks(executed, tmp_path):
    nbformat.write(executed, tmp_path / "index.ipynb")
    settings = 'extensions = ["myst_nb"]\nnb_execution_mode = "off"\nhtml_theme = "basic"\n'
    (tmp_path / "conf.py").write_text(settings)
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(tmp_path), str(out)],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    html = (out / "index.html").read_text(encoding="utf-8")
    quoted = re.findall(r'<span class="pasted-text">(.*?)</span>', html)
    assert quoted[:4] == ["0.9884", "3,255,914", "about right", "[0.30000000000000004, 0.5]"]
    assert quoted[4] == recording.recorded_values(executed)["minutes"]
    assert quoted[5:] == ["+0.50", "0.98, 0.99"]  # strings, not numbers and not tuples
    # Only the three figures and the box are output; the raw values show nowhere else.
    assert html.count('class="cell_output') == 4
    assert html.count('<div class="conditions">') == 1
    for leak in ("scrapbook", "papermill", "0.98843", "about right'", "0.30000000000000004, 0.5]]"):
        assert leak not in html
    assert html.count("0.30000000000000004") == 1
