"""Training units: killed, corrupted, changed, restored; and models that are saved or fetched."""

import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from datasetslib import recording, training
from datasetslib.errors import IntegrityError, SourceError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("DATASETSLIB_RUNS", raising=False)
    monkeypatch.delenv("DATASETSLIB_FINISHED", raising=False)
    monkeypatch.delenv("DATASETSLIB_MODELS", raising=False)
    monkeypatch.setattr(recording, "restored_units", [])


def walk(folder, n_epochs=5, *, key=None, stop_before=None, snapshot=False, line="",
         history_only=False):
    """Train a random walk of NumPy arrays; return (variables, history, epochs really trained)."""
    variables, trained = [np.zeros((2, 3)), np.zeros(1, np.uint32)], []

    def epoch(index):
        if index == stop_before:
            raise KeyboardInterrupt
        trained.append(index)
        variables[0][...] += np.random.default_rng([7, index]).normal(size=(2, 3))
        variables[1][...] += 1
        return {"loss": variables[0].sum(), "steps": int(variables[1][0])}

    history = training.run(
        "a walk", epoch, n_epochs, variables, key=key or {"seed": 7}, folder=folder, line=line,
        snapshot=(lambda: {"sum": variables[0].sum()}) if snapshot else None,
        history_only=history_only,
    )
    return variables, history, trained


def only_unit(folder):
    (unit,) = (folder / "units").iterdir()
    return unit


# --- units -------------------------------------------------------------------------------


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    straight, history, _ = walk(None, snapshot=True)
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path, stop_before=3)
    resumed, resumed_history, trained = walk(tmp_path)
    assert trained == [3, 4]
    assert resumed_history.n_restored == 3
    for a, b in zip(straight, resumed, strict=True):
        assert a.tobytes() == b.tobytes()
    assert history.epochs == resumed_history.epochs


def test_snapshots_survive_a_stop(tmp_path):
    _, history, _ = walk(None, snapshot=True)
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path, stop_before=2, snapshot=True)
    _, resumed, _ = walk(tmp_path, snapshot=True)
    assert history.snapshots["sum"].shape == (6,)
    assert np.array_equal(history.snapshots["sum"], resumed.snapshots["sum"])
    _, restored, _ = walk(tmp_path, snapshot=True)
    assert np.array_equal(history.snapshots["sum"], restored.snapshots["sum"])


@pytest.mark.parametrize("stop_before", [3, None], ids=["stopped", "finished"])
def test_a_unit_stored_without_snapshots_cannot_give_them(tmp_path, capsys, stop_before):
    straight, history, _ = walk(None, snapshot=True)
    try:
        walk(tmp_path, stop_before=stop_before)
    except KeyboardInterrupt:
        pass
    again, asked, trained = walk(tmp_path, snapshot=True)
    assert "cannot be used (it holds no snapshots); training starts afresh" in (
        capsys.readouterr().out
    )
    assert trained == [0, 1, 2, 3, 4]
    assert again[0].tobytes() == straight[0].tobytes()
    assert np.array_equal(asked.snapshots["sum"], history.snapshots["sum"])
    assert walk(tmp_path, snapshot=True)[2] == []


def test_a_unit_stored_with_snapshots_goes_on_without_them(tmp_path):
    straight, history, _ = walk(None, snapshot=True)
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path, stop_before=3, snapshot=True)
    resumed, without, trained = walk(tmp_path)
    assert trained == [3, 4] and without.snapshots == {}
    assert resumed[0].tobytes() == straight[0].tobytes()
    restored, without, trained = walk(tmp_path)
    assert trained == [] and without.snapshots == {}
    assert restored[0].tobytes() == straight[0].tobytes()
    _, asked, trained = walk(tmp_path, snapshot=True)
    assert trained == [0, 1, 2, 3, 4]
    assert np.array_equal(asked.snapshots["sum"], history.snapshots["sum"])


TOGETHER = """
import sys, time
from pathlib import Path
import numpy as np
from datasetslib import training
folder, me, other = Path({folder!r}), *sys.argv[1:]
(folder / me).touch()
while not (folder / other).exists():
    time.sleep(0.01)
weight = np.zeros(1)
def epoch(index):
    print("trained", index)
    time.sleep(0.2)
    weight[...] += index + 1
    return {{"loss": weight[0]}}
history = training.run("shared", epoch, 3, [weight], key={{}}, folder=folder / "runs", line="")
print("ended at", weight[0], history["loss"])
"""


def test_two_processes_share_the_work_on_one_unit(tmp_path):
    script = TOGETHER.format(folder=str(tmp_path))
    root = os.path.dirname(os.path.dirname(training.__file__))
    children = [
        subprocess.Popen([sys.executable, "-c", script, *names], env={**os.environ,
                         "PYTHONPATH": root}, stdout=subprocess.PIPE, text=True)
        for names in (("one", "two"), ("two", "one"))
    ]
    outputs = [child.communicate(timeout=60)[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert [output[-1] for output in outputs] == ["ended at 6.0 [1.0, 3.0, 6.0]"] * 2
    trained = sorted(line for output in outputs for line in output if line.startswith("trained"))
    assert trained == ["trained 0", "trained 1", "trained 2"]
    assert sorted(path.name for path in only_unit(tmp_path / "runs").iterdir()) == [
        "log.json", "state-0003.npz"
    ]


def test_a_finished_unit_can_be_had_from_a_folder_without_locks(tmp_path):
    walk(tmp_path)
    shutil.rmtree(tmp_path / "locks")
    (tmp_path / "locks").write_text("in the way")  # as a read-only folder is, for root too
    assert walk(tmp_path)[2] == []


def test_finished_unit_is_restored_and_its_seconds_are_counted(tmp_path):
    _, first, _ = walk(tmp_path)
    assert recording.restored_units == []
    _, second, trained = walk(tmp_path)
    assert trained == []
    assert second.epochs == first.epochs and second.dates == first.dates
    ((seconds, share, where, spans),) = recording.restored_units
    assert recording.covered(spans) <= seconds + 1e-6 and len(spans) == len(first.epochs)
    assert where == recording.machine() == second.machines[0]
    assert seconds == pytest.approx(sum(first.seconds))
    assert share == first.others_share


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walk(None)
    variables = [np.zeros(1)]
    training.run("quiet", lambda i: {"loss": 0.0}, 2, variables, key={}, line="")
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_RUNS", str(tmp_path))
    training.run("here", lambda i: {"loss": 0.0}, 1, [np.zeros(1)], key={}, line="")
    assert only_unit(tmp_path).name.startswith("here-")


def test_the_environment_may_name_a_folder_in_the_home(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATASETSLIB_RUNS", "~/runs")
    assert training.model_path("m.keras") == tmp_path / "runs" / "models" / "m.keras"
    training.run("here", lambda i: {"loss": 0.0}, 1, [np.zeros(1)], key={}, line="")
    assert only_unit(tmp_path / "runs").name.startswith("here-")


@pytest.fixture
def finished(tmp_path, monkeypatch):
    folder = tmp_path / "finished"
    monkeypatch.setenv("DATASETSLIB_FINISHED", str(folder))
    return folder


def test_the_log_of_a_finished_unit_is_enough_for_its_history(tmp_path, finished, capsys):
    _, first, _ = walk(tmp_path / "a", history_only=True)
    (log,) = finished.iterdir()
    assert log.name.startswith("a-walk-") and log.stat().st_size < 5_000
    assert "state" not in json.loads(log.read_text())
    capsys.readouterr()
    variables, second, trained = walk(tmp_path / "another machine", history_only=True, line=None)
    assert trained == [] and not variables[0].any()
    assert second.epochs == first.epochs and second.seconds == first.seconds
    assert second.n_restored == 5 and recording.restored_units
    assert capsys.readouterr().out.startswith("a walk: epochs 1 to 5 restored\nepoch 1/5   loss")


def test_who_wants_the_variables_is_not_given_a_log(tmp_path, finished):
    walk(tmp_path / "a", history_only=True)
    variables, _, trained = walk(tmp_path / "b")
    assert len(trained) == 5 and variables[0].any()


def test_another_unit_is_not_given_the_log(tmp_path, finished):
    walk(tmp_path / "a", history_only=True)
    assert len(walk(tmp_path / "b", key={"seed": 8}, history_only=True)[2]) == 5
    assert len(walk(tmp_path / "b", n_epochs=4, history_only=True)[2]) == 4


def test_an_unfinished_unit_leaves_no_log(tmp_path, finished):
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path / "a", stop_before=3, history_only=True)
    assert not finished.exists()


@pytest.mark.parametrize("change", [{"digest": "0" * 64}, {"epochs": []}])
def test_a_log_that_was_tampered_with_is_refused(tmp_path, finished, change):
    walk(tmp_path / "a", history_only=True)
    (log,) = finished.iterdir()
    log.write_text(json.dumps({**json.loads(log.read_text()), **change}))
    with pytest.raises(ValueError, match="a-walk-.*is not the log of the finished unit 'a walk'"):
        walk(tmp_path / "b", history_only=True)


def test_a_log_cannot_give_snapshots_back(tmp_path):
    with pytest.raises(ValueError, match="a walk: history_only cannot give snapshots back"):
        walk(tmp_path, history_only=True, snapshot=True)


def test_log_states_versions_dates_and_quietness(tmp_path):
    walk(tmp_path, n_epochs=2)
    log = json.loads((only_unit(tmp_path) / "log.json").read_text())
    assert log["versions"]["numpy"] == np.__version__
    assert len(log["dates"]) == len(log["others"]) == len(log["seconds"]) == 2


@pytest.mark.parametrize("others, seconds", [
    ([0.01, 0.02], 2.5),
    ([0.01, 0.4], None),
    ([0.01, None], None),
    ([0.01, 0.4, 0.02, 0.04, 0.3], 4.0),  # the median of the three epochs that were quiet
    ([0.01, 0.4, 0.02, 0.4, 0.3], None),
    ([], None),
])
def test_only_the_seconds_of_quiet_epochs_count(others, seconds):
    n = len(others)
    history = training.History("x", [{"loss": 0.0}] * n, [2.0, 3.0, 4.0, 5.0, 6.0][:n], others,
                               [""] * n)
    assert history.seconds_per_epoch == seconds


@pytest.mark.parametrize("damage", ["log cut short", "state changed", "state gone",
                                    "log of another unit"])
def test_a_corrupt_checkpoint_is_reported_and_trained_again(tmp_path, capsys, damage):
    straight, _, _ = walk(None)
    walk(tmp_path)
    unit = only_unit(tmp_path)
    (state,) = unit.glob("state-*.npz")
    log = unit / "log.json"
    if damage == "log cut short":
        log.write_text(log.read_text()[:100])
    elif damage == "state changed":
        content = bytearray(state.read_bytes())
        content[len(content) // 2] ^= 1
        state.write_bytes(content)
    elif damage == "state gone":
        state.unlink()
    else:
        log.write_text(log.read_text().replace('"digest": "', '"digest": "0'))
    again, _, trained = walk(tmp_path)
    assert "cannot be used" in capsys.readouterr().out
    assert trained == [0, 1, 2, 3, 4]
    assert again[0].tobytes() == straight[0].tobytes()
    _, _, trained = walk(tmp_path)
    assert trained == []


def test_variables_of_another_shape_start_afresh(tmp_path, capsys):
    for size in (2, 3):
        training.run("w", lambda i: {"loss": 0.0}, 1, [np.zeros(size)], key={}, folder=tmp_path)
    assert "other shapes" in capsys.readouterr().out


KILLED = """
import os, signal
import numpy as np
from datasetslib import training
{walk}
replace, calls = os.replace, []
def replace_or_die(source, target):
    calls.append(target)
    if len(calls) == {fatal}:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replace_or_die
walk({folder!r})
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
@pytest.mark.parametrize("fatal", [5, 6], ids=["before the variables count", "before the log"])
def test_kill_9_in_the_middle_of_a_checkpoint(tmp_path, fatal):
    # Two renames an epoch: the fifth is the third epoch's variables, the sixth its log.
    script = KILLED.format(walk=inspect.getsource(walk), fatal=fatal, folder=str(tmp_path))
    root = os.path.dirname(os.path.dirname(training.__file__))
    child = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True,
                           text=True, env={**os.environ, "PYTHONPATH": root})
    assert child.returncode == -9, child.stderr
    straight, _, _ = walk(None)
    resumed, _, trained = walk(tmp_path)
    assert trained == [2, 3, 4]
    assert resumed[0].tobytes() == straight[0].tobytes()
    assert sorted(p.name for p in only_unit(tmp_path).iterdir()) == ["log.json", "state-0005.npz"]


# --- the key -----------------------------------------------------------------------------


def test_key_ignores_comments_docstrings_and_layout(tmp_path):
    digests = set()
    for i, text in enumerate([
        "def f(x):\n    return x + 1\n",
        'def f(x):\n    """Add one."""\n    # plainly\n    return (x\n            + 1)\n',
        "def f(x):\n    return x + 2\n",
    ]):
        path = tmp_path / f"module_{i}.py"
        path.write_text(text)
        namespace = {}
        exec(compile(text, str(path), "exec"), namespace)
        digests.add(training.digest({"f": namespace["f"]}))
    assert len(digests) == 2


def test_key_sees_arrays_by_content():
    x = np.arange(12, dtype=np.float32)
    base = training.digest({"x": x})
    assert training.digest({"x": x.copy()}) == base
    assert training.digest({"x": x.reshape(3, 4)}) != base
    assert training.digest({"x": x.astype(np.float64)}) != base
    changed = x.copy()
    changed[5] += 1e-6
    assert training.digest({"x": changed}) != base
    assert training.digest({"x": x.reshape(3, 4).T}) != training.digest({"x": x.reshape(4, 3)})


def test_key_tells_types_and_nesting_apart():
    keys = [{"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": True}, {"a": [1]}, {"a": [[1]]}, {"b": 1}]
    assert len({training.digest(key) for key in keys}) == len(keys)


def test_key_refuses_what_it_cannot_read():
    with pytest.raises(TypeError, match="cannot hold object"):
        training.digest({"x": object()})


def test_a_changed_key_or_schedule_is_another_unit(tmp_path):
    walk(tmp_path)
    assert walk(tmp_path, key={"seed": 8})[2] == [0, 1, 2, 3, 4]
    assert walk(tmp_path, n_epochs=6)[2] == [0, 1, 2, 3, 4, 5]
    assert walk(tmp_path)[2] == []


# --- the printer -------------------------------------------------------------------------


def test_printer_leaves_whole_lines_and_no_residue(tmp_path, capsys):
    walk(tmp_path, n_epochs=10, line=None)
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert "\r" not in text and "\b" not in text and len(lines) == 10
    assert lines[0].startswith("epoch  1/10   loss ") and lines[0].endswith(" s")
    walk(tmp_path, n_epochs=10, line=None)
    assert capsys.readouterr().out.splitlines() == ["a walk: epochs 1 to 10 restored", *lines]


def test_a_line_of_ones_own(capsys):
    walk(None, n_epochs=2, line="Epoch: {index:04d}   loss = {loss:.6f}")
    assert capsys.readouterr().out.startswith("Epoch: 0000   loss = ")


# --- Keras -------------------------------------------------------------------------------


def small_model(rate=0.5):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input((6,)),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dropout(rate),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(3, activation="softmax"),
    ])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    return model


def small_fit(folder, stop_before=None, seed=0, rate=0.5):
    """Fit the small model; return (bytes of its variables, history)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 6)).astype("float32")
    y = x[:, :3].argmax(axis=1)
    model = small_model(rate)
    if stop_before is not None:
        original, calls = model.fit, []

        def fit(*args, **kwargs):
            calls.append(None)
            if len(calls) > stop_before:
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        model.fit = fit
    history = training.fit(model, x, y, n_epochs=4, batch_size=20, seed=seed, name="small",
                           validation_data=(x[:10], y[:10]), folder=folder, line="")
    variables = [*model.variables, *model.optimizer.variables]
    return b"".join(v.numpy().tobytes() for v in variables), history


def test_fit_resumes_bit_for_bit_with_dropout(tmp_path):
    straight, history = small_fit(None)
    with pytest.raises(KeyboardInterrupt):
        small_fit(tmp_path, stop_before=2)
    resumed, resumed_history = small_fit(tmp_path)
    assert resumed_history.n_restored == 2
    assert resumed == straight
    assert resumed_history.epochs == history.epochs
    assert set(history.metrics) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    restored, _ = small_fit(tmp_path)
    assert restored == straight
    assert history["loss"][-1] < history["loss"][0]


KILLED_FIT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import test_training
from datasetslib import training
replace, calls = os.replace, []
def replace_or_die(source, target):
    replace(source, target)
    calls.append(target)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace_or_die
test_training.small_fit({folder!r})
"""


# Another process needs another TensorFlow. What `walk` leaves when it is killed is tried above.
@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
def test_fit_killed_with_kill_9_resumes_in_another_process(tmp_path):
    script = KILLED_FIT.format(tests=os.path.dirname(__file__), folder=str(tmp_path))
    root = os.path.dirname(os.path.dirname(training.__file__))
    child = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True,
                           text=True, env={**os.environ, "PYTHONPATH": root})
    assert child.returncode == -9, child.stderr
    straight, _ = small_fit(None)
    resumed, history = small_fit(tmp_path)
    assert history.n_restored == 1
    assert resumed == straight


def test_fit_units_differ_by_seed_and_architecture_not_by_layer_names(tmp_path):
    small_fit(tmp_path)
    keras.layers.Dense(1)  # shifts the automatic names of the layers that follow
    # Stopped before its first epoch: what had been trained already would not come so far.
    assert small_fit(tmp_path, stop_before=0)[1].n_restored == 4
    for other in ({"seed": 1}, {"rate": 0.4}):
        with pytest.raises(KeyboardInterrupt):
            small_fit(tmp_path, stop_before=0, **other)


def test_automatic_names_do_not_count_but_data_types_do():
    def config(name, dtype):
        layer = keras.layers.Dense(2, name=name, dtype=dtype)
        return training._anonymous(json.loads(keras.Sequential([layer]).to_json()))

    assert config("dense_7", "float32") == config("dense_8", "float32")
    assert config("dense_7", "float32") != config("dense_7", "mixed_bfloat16")


class Spy(keras.layers.Layer):
    """Passes its input on and keeps a copy."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        """Keep the first column, which numbers the samples."""
        if hasattr(x, "numpy"):  # not the symbol that the model is built with
            self.seen.extend(x.numpy()[:, 0].tolist())
        return x


def test_fit_shows_each_sample_once_an_epoch_in_an_order_of_its_own():
    spy = Spy()
    model = keras.Sequential([keras.Input((1,)), spy, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    x = np.arange(30, dtype="float32")[:, None]
    orders = []

    def note(seed):
        spy.seen.clear()
        training.fit(model, x, x, n_epochs=2, batch_size=7, seed=seed, name="spied", folder=None,
                     line="")
        orders.extend([spy.seen[:30], spy.seen[30:]])

    for seed in (0, 0, 1):
        note(seed)
    for order in orders:
        assert sorted(order) == list(range(30))
    assert orders[0] == orders[2] and orders[1] == orders[3]
    assert len({tuple(orders[i]) for i in (0, 1, 4, 5)}) == 4


def test_fit_adds_the_metrics_of_after_epoch_and_evaluates_as_keras_does():
    model = small_model()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(700, 6)).astype("float32"), rng.integers(3, size=700)

    def double():
        return {"twice": 2 * float(model.get_weights()[0].sum())}

    history = training.fit(model, x, y, n_epochs=2, batch_size=64, seed=0, name="x", folder=None,
                           validation_data=(x, y), line="", after_epoch=double)
    assert history["twice"][-1] == double()["twice"] != history["twice"][0]
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-4)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy, rel=1e-4)


def test_fit_is_the_same_where_tensorflow_is_not_the_backend(tmp_path, monkeypatch):
    # Keras still computes with TensorFlow here; what differs is how the batches reach it.
    there, _ = small_fit(tmp_path / "tensorflow")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    elsewhere, _ = small_fit(tmp_path / "other")
    assert elsewhere == there


def network_to_draw(**options):
    """Return a built model with each kind of initialiser that is drawn, and dropout."""
    layers, initializers = keras.layers, keras.initializers
    return keras.Sequential([
        keras.Input((8, 8, 3)),
        layers.Conv2D(64, 3, kernel_initializer="glorot_uniform"),
        keras.Sequential([
            keras.Input((6, 6, 64)),
            layers.Conv2D(64, 3, kernel_initializer="he_normal"),
            layers.BatchNormalization(),
        ]),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(50, kernel_initializer=initializers.VarianceScaling(
            distribution="untruncated_normal", mode="fan_out", scale=3)),
        layers.Dense(50, kernel_initializer=initializers.RandomNormal(0.5, 0.01),
                     bias_initializer=initializers.RandomNormal(stddev=1), **options),
    ])


def test_both_kernels_of_a_separable_layer_are_drawn_by_their_own_rules():
    def network():
        rule = keras.initializers.RandomNormal(0.0, 1 / 3)
        return keras.Sequential([keras.Input((8, 8, 64)), keras.layers.SeparableConv2D(
            64, 3, depthwise_initializer=rule, pointwise_initializer="he_normal")])

    layer = training.draw_weights(network(), 5).layers[0]
    assert np.std(layer.depthwise_kernel) == pytest.approx(1 / 3, rel=0.2)
    assert np.std(layer.pointwise_kernel) == pytest.approx((2 / 64) ** 0.5, rel=0.1)
    again = training.draw_weights(network(), 5)
    other = training.draw_weights(network(), 6)
    for ours, same, else_ in zip(layer.weights[:2], again.weights, other.weights, strict=False):
        np.testing.assert_array_equal(ours.numpy(), same.numpy())
        assert (ours.numpy() != else_.numpy()).all()


def test_weights_are_drawn_as_the_initialisers_say_and_the_same_everywhere():
    keras.utils.set_random_seed(0)
    model = network_to_draw()
    theirs = {v.path: v.numpy() for v in model.variables}
    assert training.draw_weights(model, 3) is model
    drawn = {v.path: v.numpy() for v in model.variables}
    again = training.draw_weights(network_to_draw(), 3)
    for ours, values in zip(again.variables, drawn.values(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), values)
    for path, values in drawn.items():
        if "kernel" in path or (values.shape == (50,) and values.std() > 0.5):
            assert (values != theirs[path]).all()
            assert values.std() == pytest.approx(theirs[path].std(), rel=0.3)
            assert values.std() == pytest.approx(theirs[path].std(), rel=4 / values.size**0.5)
            if values.ndim > 1:  # the widest of many: tells a cut distribution from an uncut one
                limits = np.abs(values).max(), np.abs(theirs[path]).max()
                assert limits[0] == pytest.approx(limits[1], rel=0.3)
        elif "seed_generator" not in path:  # constants stay
            np.testing.assert_array_equal(values, theirs[path])
    # These very numbers, so that logs of one machine are found on another.
    first = next(iter(drawn.values()))
    limit = np.sqrt(6 / (9 * (3 + 64)))
    expected = np.random.default_rng(3).uniform(-limit, limit, (3, 3, 3, 64)).astype("float32")
    np.testing.assert_array_equal(first, expected)
    assert not np.array_equal(training.draw_weights(model, 4).get_weights()[0], expected)


def test_what_cannot_be_drawn_is_refused():
    model = network_to_draw(activity_regularizer=None)
    model.layers[-1].kernel_initializer = keras.initializers.Orthogonal()
    with pytest.raises(TypeError, match="how Orthogonal, the initialiser of dense"):
        training.draw_weights(model, 0)
    depthwise = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.DepthwiseConv2D(3)])
    with pytest.raises(TypeError, match=r"how \S*depthwise_conv2d\S*/kernel is"):
        training.draw_weights(depthwise, 0)


def test_a_unit_is_the_same_with_and_without_the_compiler(tmp_path):
    def fitted(jit_compile):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        training.draw_weights(model, 0)
        model.compile("sgd", "mse", jit_compile=jit_compile)
        x = np.ones((8, 4), "float32")
        return training.fit(model, x, x[:, :1], n_epochs=1, batch_size=4, seed=0, name="unit",
                            folder=tmp_path, line="")

    assert fitted(False).n_restored == 0
    assert fitted("auto").n_restored == 1


def test_fit_wants_a_compiled_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="built and compiled"):
        training.fit(model, np.zeros((4, 2)), np.zeros(4), n_epochs=1, batch_size=2, seed=0,
                     name="x", folder=None)


# --- saved models ------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Publish one model in a folder; return (folder, its weights, a way to state a digest)."""
    folder, stated = tmp_path / "published", tmp_path / "models.json"
    folder.mkdir()
    stated.write_text("{}")
    model = small_model()
    model.save(folder / "small.keras")
    content = (folder / "small.keras").read_bytes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_MODELS", stated)

    def state(digest=None):
        digest = digest or hashlib.sha256(content).hexdigest()
        stated.write_text(json.dumps({"small.keras": digest}))

    return folder, model.get_weights(), state


def never():
    raise AssertionError("it trained")


def test_train_saves_and_load_finds_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATASETSLIB_RUNS", str(tmp_path))
    model = training.train_or_load("small", small_model)
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["small.keras"]
    again = training.train_or_load("small", never, prefer="load")
    path = training.model_path("small.keras")
    os.utime(path, (86_400, 86_400))
    training.train_or_load("small", never, prefer="load")
    assert "small: loaded, not trained; its file is of 1970-01-02" in capsys.readouterr().out
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_no_address_trains_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    training.train_or_load("small", small_model, prefer="load")
    assert "so it is trained" in capsys.readouterr().out
    assert training.model_path("small.keras").exists()


@pytest.mark.parametrize("form", ["folder", "URL", "folder in the home"])
def test_a_published_model_is_fetched_and_checked(published, monkeypatch, form):
    folder, weights, state = published
    state()
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(folder.parent))
    address = {"folder": str(folder), "URL": folder.as_uri()}.get(form, f"~/{folder.name}")
    monkeypatch.setenv("DATASETSLIB_MODELS", address)
    model = training.train_or_load("small", never, prefer="load")
    assert [p.name for p in training.model_path("x").parent.iterdir()] == ["small.keras"]
    for a, b in zip(model.get_weights(), weights, strict=True):
        assert np.array_equal(a, b)


def test_a_published_model_with_another_digest_is_refused(published, monkeypatch):
    folder, _, state = published
    state("0" * 64)
    monkeypatch.setenv("DATASETSLIB_MODELS", str(folder))
    with pytest.raises(IntegrityError, match="by hand"):
        training.train_or_load("small", never, prefer="load")
    assert list(training.model_path("small.keras").parent.iterdir()) == []


def test_a_published_model_that_is_too_large_is_refused(published, monkeypatch):
    folder, _, state = published
    state()
    monkeypatch.setattr(training, "_MODEL_LIMIT", 1000)
    monkeypatch.setenv("DATASETSLIB_MODELS", str(folder))
    with pytest.raises(IntegrityError, match="at most 1,000 bytes"):
        training.train_or_load("small", never, prefer="load")
    assert list(training.model_path("small.keras").parent.iterdir()) == []


def test_the_password_of_an_address_is_not_shown(published, monkeypatch):
    monkeypatch.setenv("DATASETSLIB_MODELS", "http://me:secret@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    published[2]()
    with pytest.raises(SourceError, match="http://127.0.0.1:1/small.keras") as error:
        training.train_or_load("small", never, prefer="load")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("listed", [False, True], ids=["no digest stated", "file missing"])
def test_an_address_without_the_model_is_an_error(published, monkeypatch, listed):
    folder, _, state = published
    if listed:
        state()
        (folder / "small.keras").unlink()
    monkeypatch.setenv("DATASETSLIB_MODELS", str(folder))
    with pytest.raises(SourceError, match="DATASETSLIB_MODELS"):
        training.train_or_load("small", never, prefer="load")


def test_prefer_is_checked():
    with pytest.raises(ValueError, match="prefer"):
        training.train_or_load("small", never, prefer="guess")
