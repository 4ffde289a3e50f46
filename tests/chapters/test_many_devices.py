"""Chapter 13: its arithmetic, what its functions ask of another Python, and its second sizes."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from datasetslib import processes
from tools import checks, many, pairs
from tools.pairs import ROOT

STEM = "13_many_devices"
CHAPTER = ROOT / "chapters" / f"{STEM}.py"
TEXT = CHAPTER.read_text(encoding="utf-8")
TREE = ast.parse(TEXT)
FUNCTIONS = {node.name: node for node in TREE.body if isinstance(node, ast.FunctionDef)}


@pytest.fixture(scope="module")
def chapter():
    """Return the functions of the chapter, executed."""
    import keras
    import tensorflow as tf

    names = {"keras": keras, "layers": keras.layers, "np": np, "tf": tf, "processes": processes}
    exec(compile(ast.Module(list(FUNCTIONS.values()), []), "chapters", "exec"), names)
    return names


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return rng.random((24, 32, 32, 3)).astype("float32"), rng.integers(0, 10, 24)


def test_the_network_has_the_parameters_that_a_pencil_gives(chapter):
    counted = (75 + 1) * 8 + (200 + 1) * 16 + (5 * 5 * 16 + 1) * 64 + 65 * 10
    assert chapter["build"]().count_params() == counted == 30_138
    entry = yaml.safe_load((ROOT / "ci-parameters.yml").read_text())[STEM]
    assert entry["expect"]["n_parameters"] == {"equals": counted}


def test_the_parts_weighed_by_their_shares_are_the_whole(chapter, batch):
    model = chapter["build"](8)
    whole = chapter["gradient"](model, *batch)
    for cuts in ([12], [6], [1, 20]):
        parts = chapter["mean_of_parts"](model, *batch, cuts)
        assert chapter["difference"](parts, whole) < 1e-5
    assert chapter["difference"](chapter["mean_of_parts"](model, *batch, [6], weigh=False),
                                 whole) > 1e-3


def test_the_gradient_is_that_of_finite_differences(chapter, batch):
    import keras

    model = chapter["build"](8)
    found = chapter["gradient"](model, *batch)[-1]  # the biases of the last layer
    bias = model.trainable_variables[-1]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    start, step = bias.numpy(), 0.05
    for k in (0, 7):
        values = []
        for sign in (1, -1):
            bias.assign(start + sign * step * np.eye(10)[k])
            values.append(float(loss(batch[1], model(batch[0]))))
        bias.assign(start)
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(found[k], abs=2e-3)


def test_the_difference_is_relative_to_the_second(chapter):
    a, b = [np.array([3.0, 0.0]), np.array([[4.0]])], [np.array([0.0, 0.0]), np.array([[5.0]])]
    assert chapter["difference"](a, b) == pytest.approx(np.sqrt(9 + 1) / 5)
    assert chapter["difference"](a, a) == 0


def test_every_run_begins_with_the_stored_weights(chapter, tmp_path):
    weights = [np.full(v.shape, 0.5) for v in chapter["build"]().weights]
    np.savez(tmp_path / "start.npz", *weights)
    model = chapter["begin"](str(tmp_path), 0.25)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))
    assert float(model.optimizer.learning_rate.numpy()) == 0.25


def test_the_two_processes_read_each_batch_in_halves(chapter, tmp_path):
    """Cut out of `worker` as it stands: which images are `mine`."""
    lines = ast.unparse(FUNCTIONS["worker"])
    expression = re.search(r"mine = (.+)", lines)[1]
    data, size = {"x": np.arange(24)}, 8
    mine = [eval(expression, {"np": np, "data": data, "batch_size": size, "half": size // 2,
                              "rank": rank}) for rank in (0, 1)]
    for k in range(3):
        first, second = (data["x"][m].reshape(3, 4)[k] for m in mine)
        assert [*first, *second] == list(range(8 * k, 8 * k + 8))


def test_a_trial_that_is_finished_is_not_running(chapter, tmp_path):
    (tmp_path / "attempts.txt").write_text("0 a 1.0\n1 b 1.5\n2 b 2.0\n3 a 2.5\n")
    running = chapter["running_on"]
    assert running("b", str(tmp_path), {1}) == [2] and running("a", str(tmp_path), {0, 3}) == []


def test_the_line_through_the_messages_is_found():
    """The cell that fits it, executed on times that follow the law."""
    cell = next(cell.source for cell in pairs.from_source(CHAPTER).cells
                if "np.linalg.lstsq" in cell.source)
    sizes = [4, 1024, 2**20, 2**24]
    times = 2e-4 + np.array(sizes) * 5e-10
    names = {"np": np, "engines": ["jax"], "message_sizes": sizes, "n_repeats": 1, "join": None,
             "messages": None, "two_processes": lambda *f, **a: [times, 0.9 * times]}
    exec(cell, names)
    assert names["latency"] == pytest.approx(2e-4) and names["per_byte"] == pytest.approx(5e-10)
    assert names["misfit"] < 1e-6
    wrong = {**names, "two_processes": lambda *f, **a: [times[::-1], times[::-1]]}
    with pytest.raises(AssertionError):
        exec(cell, wrong)


@pytest.mark.parametrize("engines", [["jax"], ["ray"], ["tensorflow", "jax", "ray"]])
def test_without_the_engines_a_full_run_fails_with_the_remedy(engines, monkeypatch):
    cell = next(cell.source for cell in pairs.from_source(CHAPTER).cells
                if cell.cell_type == "code" and cell.source.startswith("many = "))
    monkeypatch.delenv(processes.VARIABLE, raising=False)
    lacking = {"jax", "ray"} if engines else set()
    real = importlib.util.find_spec
    monkeypatch.setattr(processes.importlib.util, "find_spec",
                        lambda name: None if name in lacking else real(name))
    with pytest.raises(RuntimeError, match=r"(?s)pip install jax ray.*make many.*COURSE_MANY_"):
        exec(cell, {"processes": processes, "engines": engines})
    for few in ([], ["tensorflow"]):
        names = {"processes": processes, "engines": few}
        exec(cell, names)
        assert names["many"] is None


def test_nothing_of_ray_leaves_the_machine():
    (settings,) = (ast.literal_eval(node.value) for node in ast.walk(TREE)
                   if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RAY")
    assert settings["RAY_USAGE_STATS_ENABLED"] == "0"  # its telemetry is on unless told
    cluster = ast.unparse(FUNCTIONS["cluster_of_two"])
    assert "'include_dashboard': False" in cluster and "'127.0.0.1'" in cluster
    addresses = set(re.findall(r"\d+\.\d+\.\d+\.\d+", TEXT))
    assert addresses == {"127.0.0.1"}


def test_what_is_sent_to_another_python_needs_its_header_and_its_arguments_only():
    """A global of the notebook does not exist there; a missing name would show at the run."""
    import builtins

    sent = ["build", "begin", "two_devices", "join", "worker", "choose", "evaluate", "messages",
            "step_times", "cluster_of_two", "processes_of", "pull_out", "running_on", "study",
            "tf_worker"]
    known = {"keras", "np", "layers", *sent, *dir(builtins)}
    for name in sent:
        function = FUNCTIONS[name]
        inside = [node for node in ast.walk(function)]
        bound = {a.arg for n in inside if isinstance(n, ast.arguments) for a in n.args}
        bound |= {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        bound |= {(a.asname or a.name).split(".")[0] for n in inside
                  if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
        used = {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        assert used <= bound | known, f"{name}: {used - bound - known}"


def test_every_part_with_processes_can_be_left_out_and_says_so():
    said = re.findall(r'print\("Left out of this run: (.+?)"\)', TEXT)
    assert len(said) == 4
    entry = yaml.safe_load((ROOT / "ci-parameters.yml").read_text())[STEM]
    assert entry["parameters"]["engines"] == []


def test_the_second_sizes_run_every_part_and_hold_what_it_must_show():
    settings, problems = checks.ci_settings(ROOT, many.SETTINGS)
    assert not problems and set(settings) == {STEM}
    assert "engines" not in settings[STEM]["parameters"]  # the chapter's own: all of them
    recorded = set(re.findall(r'record\("(\w+)"', TEXT))
    assert set(settings[STEM]["expect"]) <= recorded
    n_trials = settings[STEM]["parameters"]["n_trials"]
    assert settings[STEM]["expect"]["n_answers"] == {"equals": n_trials}
    assert settings[STEM]["expect"]["n_attempts"]["min"] > n_trials


def test_make_many_fails_with_the_chapter(monkeypatch, tmp_path, capsys):
    python = many.environment.script(tmp_path, "python")
    assert many.main([str(tmp_path)]) == 2 and "make many" in capsys.readouterr().err
    python.parent.mkdir(parents=True)
    python.touch()
    causes, seen = ["", "n_answers is 5, expected 6"], []

    def run_one(stem, entry, environ):
        seen.append(environ[processes.VARIABLE])
        return many.ci.Outcome(stem, cause=causes[len(seen) - 1])

    monkeypatch.setattr(many.ci, "run_one", run_one)
    monkeypatch.setattr(many.testdata, "choose", lambda root: ({}, "Data: none"))
    assert [many.main([str(tmp_path)]) for _ in causes] == [0, 1]
    assert seen == [str(python)] * 2
    assert "n_answers is 5" in capsys.readouterr().out


def test_make_many_finds_a_process_that_was_left_behind():
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True,
                              env={**os.environ, many.MARK: "of this test"})
    daemon.stdout.readline()
    try:
        (found,) = many.left("of this test", patience=0.1)
        assert f"({daemon.pid})" in found and not many.left("of another", patience=0)
    finally:
        daemon.kill()
        daemon.communicate()
    assert many.left("of this test") == []


def test_keras_is_the_same_in_both_environments():
    pins = [re.search(r"^keras==(\S+)", (ROOT / place / "requirements.in").read_text(), re.M)
            for place in ("", "many")]
    if pins[0] is None:  # the weekly run frees it there
        pytest.skip("keras is not pinned")
    assert pins[0][1] == pins[1][1]


def test_every_quoted_number_is_recorded():
    quoted = {name.partition(":")[0] for name in re.findall(r"\{glue:text\}`([^`]+)`", TEXT)}
    recorded = set(re.findall(r'record\("(\w+)"', TEXT))
    assert quoted - recorded == {"minutes"}
    assert Path(CHAPTER).stem == STEM
