"""Chapter 12: its knobs and their price, a study that survives, and the study that is stored."""

import ast
from pathlib import Path

import numpy as np
import optuna
import pytest
from filelock import FileLock, Timeout

from datasetslib import studies, training

CHAPTER = Path(__file__).parents[2] / "chapters" / "12_challenge.py"
TREE = ast.parse(CHAPTER.read_text(encoding="utf-8"))
DEFINING = ("choose", "convolve", "block", "build", "multiply_adds", "optimiser", "train",
            "objective", "open_study", "search")
STORED = studies.read(studies.stored("12_challenge"))
TRAINED = [row for row in STORED if row["epochs"] and row["state"] != "failed"]


def assigned(name):
    """Return the value of a name that the chapter assigns a literal or a call of dict to."""
    node = next(node for node in TREE.body if isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name)
    return eval(compile(ast.Expression(node.value), "chapters", "eval"), {})


@pytest.fixture(scope="module")
def chapter():
    """Return the functions of the chapter, executed, and the values they read."""
    import keras

    nodes = [node for node in TREE.body
             if isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom)]
    names = {name: assigned(name) for name in ("by_hand", "usual_rates")}
    # Under the chapter's own file name: a digest reads the functions' source there.
    exec(compile(ast.Module(nodes, []), str(CHAPTER), "exec"), names)
    rng = np.random.default_rng(0)
    few = rng.random((24, 32, 32, 3)).astype("float32")
    labels = np.eye(10, dtype="float32")[rng.integers(0, 10, 24)]
    network = names["build"](names["by_hand"]["chapter 7"])
    names.update(keras=keras, x_study=few, y_study=labels, x_valid=few, y_valid=labels,
                 study_epochs=2, most_work=names["multiply_adds"](network),
                 most_parameters=network.count_params(), stamp=lambda: {"code": "a test"})
    return names


def knobs(chapter, **changed):
    return {**chapter["by_hand"]["our guess"], **changed}


# --- the price ---------------------------------------------------------------------------


def test_the_budget_is_the_network_of_chapter_7(chapter):
    expected = 1024 * 16 * 3 * 32 + 256 * 16 * 32 * 64 + 64 * 64 * 1024 + 1024 * 10
    assert chapter["most_work"] == expected == 14_166_016
    assert chapter["most_parameters"] == 4_239_978


@pytest.mark.parametrize("name", ["our guess", "chapter 7", "LeNet of 1998"])
def test_what_goes_first_by_hand_is_within_the_budget(chapter, name):
    model = chapter["build"](chapter["by_hand"][name])
    assert chapter["multiply_adds"](model) <= chapter["most_work"]
    assert model.count_params() <= chapter["most_parameters"]


def test_multiply_adds_are_those_of_a_pencil(chapter):
    one = dict(blocks=2, layers=1, filters=8, widen=2.0, kernel=3, head="average", dense=0)
    count = {kind: chapter["multiply_adds"](chapter["build"](knobs(chapter, kind=kind, **one)))
             for kind in ("plain", "separable", "dilated")}
    first, last = 1024 * 9 * 3 * 8, 16 * 10
    assert count["plain"] == count["dilated"] == first + 256 * 9 * 8 * 16 + last
    assert count["separable"] == first + 256 * (9 * 8 + 8 * 16) + last
    strided = chapter["build"](knobs(chapter, smaller="stride", **one))
    assert chapter["multiply_adds"](strided) == 256 * 9 * 3 * 8 + 64 * 9 * 8 * 16 + last
    # The transposed convolution lays 2 x 2 pixels of 8 maps for each of the 8 x 8 x 16 numbers.
    larger = chapter["build"](knobs(chapter, top_down=True, **one))
    assert chapter["multiply_adds"](larger) == (
        first + 256 * 9 * 8 * 16 + 64 * 4 * 16 * 8 + 8 * 10)


def test_every_answer_makes_a_network_that_learns(chapter):
    import keras

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    made = 0
    while made < 4:
        trial = study.ask()
        answers = chapter["choose"](trial)
        model = chapter["build"](answers)
        assert model.output.shape == (None, 10)
        if chapter["multiply_adds"](model) > 3e6:
            continue
        made += 1
        training.draw_weights(model, 0)
        model.compile(chapter["optimiser"](answers, 10), "categorical_crossentropy",
                      run_eagerly=True)
        before = [keras.ops.convert_to_numpy(w).copy() for w in model.trainable_variables]
        loss = model.train_on_batch(chapter["x_study"][:8], chapter["y_study"][:8])
        if answers["schedule"] == "rise and fall":  # its first step has the size zero
            model.train_on_batch(chapter["x_study"][:8], chapter["y_study"][:8])
        assert np.isfinite(loss)
        assert any((a != b.numpy()).any()
                   for a, b in zip(before, model.trainable_variables, strict=True))


def test_a_separable_network_starts_at_the_size_of_a_plain_one(chapter):
    import keras

    sizes = {}
    for kind in ("plain", "separable"):
        model = training.draw_weights(chapter["build"](
            knobs(chapter, kind=kind, norm=False, activation="linear", smaller="nothing",
                  flip=False, dropout=0.0, filters=32, blocks=2, layers=2, head="average",
                  widen=1.0, dense=0)), 0)
        tap = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)][-1]
        sizes[kind] = float(np.std(keras.Model(model.inputs[0], tap.output)(chapter["x_study"])))
    assert 1 / 3 < sizes["separable"] / sizes["plain"] < 3, sizes


# --- a trial -----------------------------------------------------------------------------


def test_what_is_over_the_budget_is_never_trained(chapter, monkeypatch):
    def train(*args, **kwargs):
        raise AssertionError("trained, though over the budget")

    monkeypatch.setitem(chapter, "train", train)
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(knobs(chapter, filters=64, layers=3))
    study.optimize(chapter["objective"], n_trials=1)
    row = studies.row(study.trials[0])
    assert row["state"] == "over budget" and row["value"] is None and row["epochs"] == []
    assert row["multiply_adds"] > chapter["most_work"]


def small(chapter):
    return knobs(chapter, blocks=1, layers=1, filters=8, dense=0, head="average", norm=False,
                 flip=False, kernel=2, batch=32)


def test_a_trial_is_worth_its_accuracy_after_the_last_epoch(chapter):
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(small(chapter))
    study.optimize(chapter["objective"], n_trials=1)
    row = studies.row(study.trials[0])
    assert row["state"] == "trained" and len(row["epochs"]) == 2
    assert row["value"] == row["epochs"][-1] and row["seconds"] > 0 and row["code"] == "a test"


def test_a_trial_below_the_median_is_stopped(chapter, monkeypatch):
    class Always(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return True

    study = optuna.create_study(direction="maximize", pruner=Always())
    study.enqueue_trial(small(chapter))
    study.optimize(chapter["objective"], n_trials=1)
    row = studies.row(study.trials[0])
    assert row["state"] == "stopped" and len(row["epochs"]) == 1 and row["value"] is None


# --- a study that survives ----------------------------------------------------------------


def test_a_trial_that_was_cut_short_is_asked_again_with_its_knobs(chapter, tmp_path):
    journal, first = tmp_path / "a.journal", {"by hand": {"rate": 0.5}}
    dying = chapter["open_study"](journal, first).ask()
    assert dying.suggest_float("rate", 0.0, 1.0) == 0.5
    dying.report(0.4, 1)
    again = chapter["open_study"](journal, first).ask()
    assert again.number == 1 and again.suggest_float("rate", 0.0, 1.0) == 0.5
    assert again.user_attrs == {"instead_of": 0, "by_hand": "by hand"}
    trials = chapter["open_study"](journal, first).trials
    assert [t.state.name for t in trials] == ["FAIL", "FAIL", "WAITING"]
    assert trials[2].user_attrs["instead_of"] == 1


def test_knobs_by_hand_survive_a_kill_before_they_are_asked(chapter, tmp_path):
    journal, first = tmp_path / "a.journal", {"by hand": {"rate": 0.5}}
    assert chapter["open_study"](journal, first).ask().params == {}
    assert chapter["open_study"](journal, first).ask().suggest_float("rate", 0.0, 1.0) == 0.5


@pytest.mark.parametrize("method", ["tell", "enqueue_trial"])
def test_a_kill_while_a_study_is_opened_loses_nothing(chapter, tmp_path, monkeypatch, method):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    journal, first = tmp_path / "a.journal", {"one": {"rate": 0.25}, "two": {"rate": 0.5}}
    chapter["open_study"](journal, first).ask().suggest_float("rate", 0.0, 1.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(optuna.Study, method, killed)
        chapter["open_study"](journal, first)
    study = chapter["open_study"](journal, first)
    study.optimize(lambda trial: trial.suggest_float("rate", 0.0, 1.0), n_trials=2)
    assert {t.value for t in study.trials if t.state.name == "COMPLETE"} == {0.25, 0.5}


def test_a_kill_between_the_first_trials_loses_none(chapter, tmp_path):
    journal = tmp_path / "a.journal"
    chapter["open_study"](journal, {"one": {"rate": 0.25}})
    study = chapter["open_study"](journal, {"one": {"rate": 0.25}, "two": {"rate": 0.5}})
    assert [t.user_attrs["by_hand"] for t in study.trials] == ["one", "two"]


def test_a_study_that_goes_on_does_not_repeat_itself(chapter, tmp_path):
    drawn = []
    for _ in range(4):
        study = chapter["open_study"](tmp_path / "a.journal", {})
        study.optimize(lambda trial: trial.suggest_float("rate", 0.0, 1.0), n_trials=1)
        drawn.append(study.trials[-1].params["rate"])
    assert len(set(drawn)) == 4


def test_search_counts_what_is_there_and_writes_it_down(chapter, tmp_path, monkeypatch, capsys):
    def objective(trial):
        trial.suggest_float("dropout", 0.0, 0.5)
        if trial.number == 1:
            trial.set_user_attr("over_budget", True)
            raise optuna.TrialPruned
        trial.report(0.5, 1)
        return 0.5

    monkeypatch.setitem(chapter, "objective", objective)
    monkeypatch.setitem(chapter, "by_hand", {})
    chapter["search"](2, tmp_path / "a.journal")
    assert [r["state"] for r in studies.read(tmp_path / "a.jsonl")] == [
        "trained", "over budget", "trained"]
    chapter["search"](2, tmp_path / "a.journal")  # nothing is left to do
    chapter["search"](3, tmp_path / "a.journal")
    assert len(studies.read(tmp_path / "a.jsonl")) == 4
    assert capsys.readouterr().out.count("trial") == 4


def test_two_searches_do_not_share_a_journal(chapter, tmp_path):
    with FileLock(tmp_path / "a.journal.running"), pytest.raises(Timeout, match="a.journal"):
        chapter["search"](1, tmp_path / "a.journal")


# --- the study that is stored --------------------------------------------------------------


def code_of(chapter):
    return training.digest([*(chapter[name] for name in DEFINING), chapter["usual_rates"]])


def test_the_stored_study_was_made_by_the_functions_of_the_chapter(chapter):
    assert {row["code"] for row in STORED if "code" in row} == {code_of(chapter)}
    listed = ast.unparse(next(node for node in TREE.body if isinstance(node, ast.FunctionDef)
                              and node.name == "stamp"))
    assert all(name in listed for name in DEFINING)


def test_the_digest_tells_a_changed_function_and_not_a_changed_comment(chapter, tmp_path):
    def digest_of(text):
        file = tmp_path / f"{abs(hash(text))}.py"
        file.write_text(text, encoding="utf-8")
        names = dict(chapter)
        exec(compile(text, str(file), "exec"), names)
        return training.digest(names["block"])

    source = ast.get_source_segment(
        CHAPTER.read_text(encoding="utf-8"),
        next(n for n in TREE.body if isinstance(n, ast.FunctionDef) and n.name == "block"))
    plain = training.digest(chapter["block"])
    assert digest_of("# more\n" + source.replace("Return some", "Give a few")) == plain
    assert digest_of(source.replace("MaxPooling2D(2)", "MaxPooling2D(3)")) != plain


def test_the_stored_study_is_large_enough_and_of_one_kind():
    assert len(TRAINED) >= 60
    for key in ("edition", "machine", "n_train", "n_valid", "n_epochs"):
        assert len({row[key] for row in TRAINED}) == 1, key
    assert [row["number"] for row in STORED] == list(range(len(STORED)))
    assert TRAINED[0]["edition"].startswith("cifar10") and "synthetic" not in TRAINED[0]["edition"]


def test_the_stored_rows_keep_the_rules():
    for row in STORED:
        if row["state"] == "trained":
            assert row["value"] == row["epochs"][-1] and len(row["epochs"]) == row["n_epochs"]
        elif row["state"] == "stopped":
            assert 2 <= len(row["epochs"]) < row["n_epochs"]
        elif row["state"] == "over budget":
            assert not row["epochs"]
            assert (row["multiply_adds"], row["parameters"]) > (0, 0)
        if row["state"] in ("trained", "stopped", "over budget"):
            within = (row["multiply_adds"] <= row["budget"][0]
                      and row["parameters"] <= row["budget"][1])
            assert within == (row["state"] != "over budget")


def test_what_was_killed_was_asked_again():
    failed = [row for row in STORED if row["state"] == "failed"]
    assert len(failed) >= 2
    for row in failed:
        successor = next(r for r in STORED if r.get("instead_of") == row["number"])
        assert successor["params"].items() >= row["params"].items()


def test_the_stored_prices_are_those_of_the_networks(chapter):
    for row in TRAINED[::9]:
        model = chapter["build"](row["params"])
        assert chapter["multiply_adds"](model) == row["multiply_adds"]
        assert model.count_params() == row["parameters"]


@pytest.mark.parametrize("alike", [True, False])
def test_a_reader_goes_on_from_the_stored_study_if_it_is_alike(
        chapter, tmp_path, monkeypatch, alike):
    def objective(trial):
        chapter["choose"](trial)
        trial.report(0.5, 1)
        return 0.5

    ours = {key: TRAINED[0][key] for key in ("code", "n_train", "n_valid", "n_epochs", "budget")}
    monkeypatch.setenv("DATASETSLIB_RUNS", str(tmp_path))
    for name, value in {"objective": objective, "best": TRAINED[0], "trained": TRAINED,
                        "stamp": lambda: ours if alike else {**ours, "n_train": 1}}.items():
        monkeypatch.setitem(chapter, name, value)
    for _ in range(2):  # the second time nothing is left to do
        rows, joined = chapter["continued"](2)
        own = [row for row in rows if "stored" not in row]
        assert joined == alike and len(own) == 2
        assert len(rows) == 2 + alike * len(TRAINED)
        assert [r["by_hand"] for r in own if "by_hand" in r] == (
            [] if alike else ["our guess", "chapter 7"])
    if alike:
        for row, ours in zip(rows, TRAINED, strict=False):
            assert row["stored"] == ours["number"] and row["machine"] == ours["machine"]
            assert (row["value"], row["epochs"]) == (ours["value"], ours["epochs"])
            assert row["params"] == ours["params"] and row["state"] == ours["state"]


# --- how it is read ------------------------------------------------------------------------


def test_the_front_keeps_what_no_other_beats(chapter):
    rows = [{"value": v, "multiply_adds": p} for v, p in
            ((0.5, 10), (0.6, 20), (0.55, 20), (0.6, 30), (0.7, 40), (0.4, 5), (0.5, 12))]
    kept = chapter["front"](rows, "multiply_adds")
    assert [(row["value"], row["multiply_adds"]) for row in kept] == [
        (0.4, 5), (0.5, 10), (0.6, 20), (0.7, 40)]


def test_the_share_of_the_variance(chapter):
    accuracies = np.array([0.1, 0.1, 0.3, 0.3])
    share, groups = chapter["share"], chapter["groups"]
    assert share(np.array([0, 0, 1, 1]), accuracies) == pytest.approx(1)
    assert share(np.array([0, 1, 0, 1]), accuracies) == pytest.approx(0)
    # Means 0.1 and 7/30 around 0.2: (0.01 + 3 (1/30)^2) of 0.04.
    assert share(np.array([0, 1, 1, 1]), accuracies) == pytest.approx((0.01 + 1 / 300) / 0.04)
    assert share(np.array([0, 3, 3, 3]), accuracies) == pytest.approx((0.01 + 1 / 300) / 0.04)
    assert groups(["b", "a", "b"]).tolist() == [1, 0, 1]
    assert np.bincount(groups(list(range(40)))).tolist() == [10, 10, 10, 10]


def test_into_the_best_finds_the_knob_that_decides(chapter):
    study, rows = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)), []
    for _ in range(60):
        trial = study.ask()
        params = chapter["choose"](trial)
        rows.append({"params": params, "epochs": [0.1, -abs(np.log(params["rate"]))]})
    assert next(iter(chapter["into_the_best"](rows))) == "rate"


def test_the_chapter_presumes_no_backend():
    modules = {name.name for node in ast.walk(TREE) if isinstance(node, ast.Import)
               for name in node.names}
    modules |= {node.module for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom)}
    assert "keras" in modules
    assert not {name.split(".")[0] for name in modules} & {"tensorflow", "jax", "torch"}
