"""Assignment 05: what is counted, what cannot be, which images are asked, and the leaderboard."""

import csv
import functools
import io
import json

import numpy as np
import pytest

from tests.assignments import toys
from tools import grade
from tools.grading import classroom, compare, definition, driver, grader, prove, student

NAME = "05_open_challenge"
FILE = definition.ASSIGNMENTS / NAME / "checks.py"
checks = definition._module(FILE)
SMALL = {**checks.VARIANT, "data": "synthetic", "images": 200}


@functools.cache
def keras():
    return pytest.importorskip("keras")


def answer(model, predictions=None):
    """Return what the grader hands over for a model, without a file or a sandbox between."""
    return {"predictions": predictions, "config": json.loads(model.to_json()),
            "layers": json.loads(json.dumps([driver._layer(x) for x in driver._layers(model)])),
            "parameters": model.count_params(), "path_size": 1}


def network(*between, shape=(32, 32, 3)):
    return keras().Sequential([keras().Input(shape), *between])


def layer(kind, *args, **kwargs):
    return getattr(keras().layers, kind)(*args, **kwargs)


def taken(model):
    """Return parameters and multiply-adds as the grader counts them."""
    told = answer(model)
    assert checks.countable(told) is None
    assert checks.cost(told["layers"])[0] == told["parameters"]
    return told["parameters"], sum(map(checks.work, told["layers"]))


# --- counting ----------------------------------------------------------------------------


def test_lenet_costs_what_chapter_03_says():
    lenet = network(layer("Conv2D", 32, 4, padding="same"), layer("MaxPooling2D"),
                    layer("Conv2D", 64, 4, padding="same"), layer("MaxPooling2D"),
                    layer("Flatten"), layer("Dense", 1024), layer("Dropout", 0.2),
                    layer("Dense", 10, activation="softmax"), shape=(28, 28, 1))
    work = [checks.work(told) for told in answer(lenet)["layers"] if told["weights"]]
    assert work == [401_408, 6_422_528, 3_211_264, 10_240]
    assert taken(lenet) == (3_255_914, 10_045_440)


@pytest.mark.parametrize(("kind", "args", "more"), [
    ("Conv2D", (5, 3), {}),
    ("Conv2D", (5, (4, 2)), {"strides": (2, 3)}),
    ("Conv2D", (6, 3), {"groups": 3, "strides": 2}),
    ("Conv2D", (4, (2, 3)), {"dilation_rate": 2}),
    ("DepthwiseConv2D", ((3, 2),), {}),
    ("DepthwiseConv2D", (3,), {"depth_multiplier": 2, "strides": 2}),
    ("Dense", (7,), {}),
])
def test_the_count_is_the_number_of_products(kind, args, more):
    # With ones for images and kernels every product is 1, and all outputs together count them.
    ones = "depthwise_initializer" if kind == "DepthwiseConv2D" else "kernel_initializer"
    made = layer(kind, *args, use_bias=False, **{ones: "ones"}, **more)
    model = network(made, shape=(11, 14, 3))
    assert taken(model)[1] == np.sum(model(np.ones((1, 11, 14, 3))))


def test_padded_cells_count_and_biases_do_not():
    wide = network(layer("Conv2D", 4, 3, use_bias=False), shape=(12, 9, 2))
    same = network(layer("Conv2D", 4, 3, padding="same"), shape=(10, 7, 2))
    assert taken(wide) == (72, 5040) and taken(same) == (76, 5040)


def test_a_separable_convolution_is_two():
    together = network(layer("SeparableConv2D", 9, (3, 5), strides=2, depth_multiplier=2,
                             padding="same"), shape=(15, 12, 4))
    apart = network(layer("DepthwiseConv2D", (3, 5), strides=2, depth_multiplier=2,
                          padding="same", use_bias=False),
                    layer("Conv2D", 9, 1), shape=(15, 12, 4))
    assert taken(together) == taken(apart)


def test_what_is_free_is_free_and_a_product_of_maps_is_not():
    free = network(layer("Rescaling", 1 / 255), layer("RandomFlip"), layer("MaxPooling2D"),
                   layer("BatchNormalization"), layer("ReLU"), layer("Flatten"))
    assert taken(free) == (12, 0)
    inputs = keras().Input((8, 8, 3))
    gate = layer("Dense", 3, activation="sigmoid")(
        layer("GlobalAveragePooling2D", keepdims=True)(inputs))
    gated = keras().Model(inputs, layer("Multiply")([inputs, gate]))
    assert taken(gated) == (12, 9 + 8 * 8 * 3)


@pytest.mark.parametrize("seed", range(4))
def test_the_solution_counts_like_the_checks(seed):
    names = {"np": np}
    assignment = definition.load(NAME)
    source = next(cell.source for cell in student.solution_notebook(assignment).cells
                  if "def cost(layers)" in cell.source)
    exec(source, names)
    for layers in checks.drawn(np.random.default_rng(seed)):
        assert names["cost"](layers) == checks.cost(layers)


# --- what cannot be counted --------------------------------------------------------------


@pytest.mark.parametrize(("kind", "args"), [
    ("Conv2DTranspose", (3, 2)), ("LayerNormalization", ()), ("PReLU", ()),
])
def test_a_layer_that_the_count_does_not_know_loses_the_case(kind, args):
    told = answer(network(layer(kind, *args)))
    assert checks.within(told, SMALL).startswith(f"{kind} is not among the layers")
    assert checks.good(told, SMALL, 0).startswith(f"{kind} is not among the layers")
    case = next(case for case in definition.load(NAME, variant=SMALL).cases
                if case.name == "q2-1")
    with pytest.raises(compare.WrongError) as error:
        compare.judge(case, told)
    assert error.value.category == "property" and kind in error.value.detail


def test_a_layer_that_is_used_twice_loses_the_case():
    inputs, again = keras().Input((8, 8, 3)), layer("Conv2D", 3, 3, padding="same")
    twice = keras().Model(inputs, again(again(inputs)))
    assert "used twice" in checks.within(answer(twice), SMALL)
    once = keras().Model(inputs, again(inputs))
    assert checks.countable(answer(once)) is None


def test_a_network_in_a_network_loses_the_case():
    inner = network(layer("Conv2D", 3, 3))
    assert "within the network" in checks.within(answer(network(inner)), SMALL)


def test_sizes_that_are_left_open_lose_the_case():
    free = network(layer("Conv2D", 3, 3), shape=(None, None, 3))
    assert "does not say its size" in checks.within(answer(free), SMALL)


def test_a_file_that_says_other_layers_than_were_built_loses_the_case():
    told = answer(network(layer("Conv2D", 3, 3), layer("Flatten")))
    told["config"]["config"]["layers"].pop()
    assert "not those that were built" in checks.within(told, SMALL)
    told = answer(network(layer("Conv2D", 3, 3)))
    told["layers"] *= 2
    assert "not those that were built" in checks.within(told, SMALL)


def test_weights_of_another_form_lose_the_case():
    told = answer(network(layer("Dense", 3)))
    told["layers"][0]["weights"] += [[3, 4], [4, 3]]
    with pytest.raises(ValueError, match="holds arrays of the shapes"):
        checks.within(told, SMALL)


# --- budget and accuracy -----------------------------------------------------------------


def sure(variant, wrong=0):
    """Return predictions that are right, but for so many."""
    labels = checks.photographs(variant["data"], variant["seed"], variant["images"])[1].copy()
    labels[:wrong] = (labels[:wrong] + 1) % 10
    return np.eye(10, dtype="float32")[labels]


def test_over_the_budget_accuracy_brings_nothing():
    model = network(layer("Conv2D", 8, 3, padding="same"), layer("Flatten"), layer("Dense", 10))
    held, work = taken(model)
    told = answer(model, sure(SMALL))
    for tight, says in (({"max_parameters": held - 1}, f"{held:,} parameters"),
                        ({"max_multiply_adds": work - 1}, f"{work:,} multiply-adds")):
        variant = {**SMALL, **tight}
        assert says in checks.within(told, variant) and says in checks.good(told, variant, 0.1)
    exact = {**SMALL, "max_parameters": held, "max_multiply_adds": work}
    assert checks.within(told, exact) is None and checks.good(told, exact, 1.0) is None
    assert checks.measured(told, exact) == {
        "accuracy": 1.0, "parameters": held, "multiply_adds": work, "data": "synthetic"}


def test_accuracy_is_counted_and_probabilities_are_asked_for():
    model = network(layer("Flatten"), layer("Dense", 10))
    told = answer(model, sure(SMALL, wrong=80))
    assert checks.good(told, SMALL, 0.6) is None
    assert checks.good(told, SMALL, 0.61) == "It is right for 60.0%, and 61% are asked for."
    assert "probabilities" in checks.good({**told, "predictions": 2 * sure(SMALL)}, SMALL, 0.5)
    assert "(n, 10)" in checks.chances({"predictions": np.ones((2, 9))})
    assert checks.measured({**told, "predictions": 2 * sure(SMALL)}, SMALL) == {}
    with pytest.raises(ValueError):
        checks.share({"predictions": sure(SMALL)[:9]}, SMALL)


def test_each_variant_asks_other_images_and_the_solution_fits_its_budget(tmp_path):
    seen = []
    for seed in range(6):
        variant = {**SMALL, **checks.private(np.random.default_rng(seed)), "images": 50}
        seen.append(checks.photographs("synthetic", variant["seed"], 50)[0])
        assert variant["max_parameters"] >= 120_000 and variant["accuracy"][-1] <= 0.65
        assert variant["max_multiply_adds"] >= 11_000_000
    assert len({array.tobytes() for array in seen}) == 6
    assert seen[0].dtype == "float32" and seen[0].shape == (50, 32, 32, 3)
    assert seen[0].max() > 200
    names = {}
    for cell in student.solution_notebook(definition.load(NAME)).cells:
        if cell.cell_type == "code" and ("import keras" in cell.source
                                         or "def build()" in cell.source):
            exec(cell.source.split("baseline().summary()")[0], names)
    held, work = taken(names["build"]())
    assert held < 120_000 and work < 11_000_000


# --- the images --------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"DATASETSLIB_SOURCE": "synthetic"},
                                   {"DATASETSLIB_HOME": "empty"}])
def test_where_the_photographs_are_missing_nothing_takes_their_place(
        given, tmp_path, monkeypatch, capsys, bubblewrap):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("DATASETSLIB_CACHE", str(tmp_path / "cache"))
    for key, value in given.items():
        monkeypatch.setenv(key, str(tmp_path / value) if key.endswith("HOME") else value)
    assignment = definition.load(NAME)  # the text needs no photographs
    assert student.student_notebook(assignment)
    with pytest.raises(definition.DefinitionError, match="its inputs cannot be made"):
        definition.ready(assignment)
    (tmp_path / "class").mkdir()
    toys.submit(tmp_path / "class" / "ada.ipynb", "x = 1")
    assert grade.main([str(tmp_path / "class"), "--assignment", NAME]) == 2
    said = capsys.readouterr().err
    assert "cifar10" in said and not (tmp_path / "class-graded").exists()
    assert "DATASETSLIB_HOME" in said  # the remedy
    assert prove.main([NAME, "--out", str(tmp_path / "out")]) == 1
    assert "cifar10" in capsys.readouterr().err
    definition.ready(definition.load(NAME, variant={"data": "synthetic", "images": 10}))


def test_an_edition_that_is_unknown_is_refused():
    with pytest.raises(definition.DefinitionError, match="should be 'real' or 'synthetic'"):
        definition.ready(definition.load(NAME, variant={"data": "imaginary"}))


def test_the_real_photographs_are_those_of_the_test_set(real_set, monkeypatch, tmp_path):
    monkeypatch.setenv("DATASETSLIB_HOME", str(real_set("cifar10")))
    images, labels, kind = checks.photographs("real", 3, 500)
    assert kind in ("official", "own copy")
    assert images.shape == (500, 32, 32, 3) and images.dtype == "float32"
    assert images.min() == 0 and images.max() == 255
    assert np.bincount(labels, minlength=10).min() > 25
    # The channels are the last axis: neighbouring pixels are alike, whichever way one goes.
    assert np.abs(np.diff(images, axis=1)).mean() < np.abs(images - images[::-1]).mean() / 2


# --- what is handed in -------------------------------------------------------------------


def test_a_missing_file_costs_what_it_is_worth_and_no_more(tmp_path, bubblewrap):
    path = toys.submit(tmp_path / "a.ipynb", 'team = "ada"\ndeclared = {"epochs": 1, '
                       '"images": 100, "seconds": 9.5, "device": "a phone"}')
    graded = grader.grade_one(path, definition.load(NAME, variant=SMALL))
    points = {name: question.points for name, question in graded.questions.items()}
    assert points == {"q1": 0, "q2": 0, "q3": 0, "q4": 2}
    assert {case.reason for case in graded.questions["q3"].cases.values()} == {
        "network.keras was not handed in"}
    assert graded.figures == {"team": "ada", "epochs": 1, "images": 100, "seconds": 9.5,
                              "device": "a phone"}


@pytest.mark.parametrize(("text", "fits"), [
    ("Three poolings", True), ("Ada-2", True), ("卷积 一", True), ("x", False), ("", False),
    ("=cmd()", False), ("a" * 25, False), ("a\nb", False), ("a  b", False), ("<b>ada</b>", False),
    ("2 fast", False), (7, False), ("ada\u202e", False),
])
def test_a_name_fits_the_leaderboard(text, fits):
    assert (checks.team_name(driver.as_arrays(text)) is None) is fits


@pytest.mark.parametrize(("change", "fits"), [
    ({}, True), ({"epochs": 0.5, "images": 25_000}, True), ({"images": 250_001}, False),
    ({"epochs": 0}, False), ({"seconds": float("nan")}, False), ({"seconds": "long"}, False),
    ({"device": 3}, False), ({"device": "?!"}, False), ({"images": 10.5}, False),
    ({"more": 1}, False), ({"epochs": [1, 2]}, False),
])
def test_a_declaration_is_held_against_its_form(change, fits):
    declared = {"epochs": 5, "images": 225_000, "seconds": 9.5, "device": "a phone", **change}
    assert (checks.sensible(driver.as_arrays(declared)) is None) is fits


# --- the leaderboard ---------------------------------------------------------------------


def result(name, **figures):
    return {"student": name, "figures": figures}


def board(*results):
    text = classroom.leaderboard(definition.load(NAME), results)
    return list(csv.DictReader(io.StringIO(text)))


def test_the_best_come_first_and_equals_share_a_rank():
    good = {"accuracy": 0.7, "parameters": 90_000, "multiply_adds": 5_000_000}
    results = [
        result("ada", team="B", **good), result("bob", team="A", **good),
        result("cleo", team="C", **{**good, "accuracy": 0.71}),
        result("dan", team="D", **{**good, "parameters": 80_000}),
        result("eve", team="over the budget", epochs=5),
        result("fay", **{**good, "accuracy": 0.2}, device="=1+1", seconds=12.5),
    ]
    rows = board(*results)
    assert [(row["rank"], row["team"]) for row in rows] == [
        ("1", "C"), ("2", "D"), ("3", "A"), ("3", "B"), ("5", "")]
    assert rows == board(*reversed(results))
    assert rows[-1]["device"] == "'=1+1" and rows[-1]["seconds"] == "12.5"
    assert rows[0]["multiply_adds"] == "5000000" and rows[0]["accuracy"] == "0.71"
    assert not any(name in json.dumps(rows) for name in ("ada", "bob", "over the budget"))


BOARD = toys.CHECKS.replace('"message": "0 + 1 + 2."},', '''"message": "0 + 1 + 2.",
             "figures": lambda answer: {"sum": answer, "name": "n" * 99}},''') + '''

LEADERBOARD = {"columns": ["name", "sum"], "best": ["-sum"]}
'''


def test_the_command_writes_the_leaderboard_of_those_that_passed(tmp_path, bubblewrap):
    toys.assignment(tmp_path / "masters", checks=BOARD)
    (tmp_path / "class").mkdir()
    toys.submit(tmp_path / "class" / "ada.ipynb", toys.TOTAL)
    toys.submit(tmp_path / "class" / "bob.ipynb", toys.DOUBLE)
    master, out = str(tmp_path / "masters" / "toy"), tmp_path / "class-graded"
    assert grade.main([str(tmp_path / "class"), "--assignment", master]) == 0
    assert (out / "leaderboard.csv").read_text() == f"rank,name,sum\n1,{'n' * 60},3\n"
    stored = json.loads((out / "results" / "bob.json").read_text())
    assert stored["figures"] == {}
    # Shards carry the figures; the table of the whole is the same.
    for number in (1, 2):
        grade.main([str(tmp_path / "class"), "--assignment", master, "--shard", f"{number}/2",
                    "--out", str(tmp_path / f"out-{number}")])
    assert grade.main([str(tmp_path / "class"), "--assignment", master, "--out",
                       str(tmp_path / "all"), "--merge", str(tmp_path / "out-1"),
                       str(tmp_path / "out-2")]) == 0
    assert (tmp_path / "all" / "leaderboard.csv").read_text() == (
        out / "leaderboard.csv").read_text()


def test_figures_that_cannot_be_had_lose_the_case(tmp_path, bubblewrap):
    toys.assignment(tmp_path / "masters", checks=BOARD.replace('"sum": answer', '"sum": 1 / 0'))
    path = toys.submit(tmp_path / "a.ipynb", toys.DOUBLE, toys.TOTAL)
    graded = grader.grade_one(path, definition.load("toy", tmp_path / "masters"))
    assert not graded.questions["q2"].cases["q2-1"].passed and graded.figures == {}


def test_a_leaderboard_ranks_by_its_own_columns(tmp_path):
    with pytest.raises(definition.DefinitionError, match="LEADERBOARD has columns, and best"):
        toys.assignment(tmp_path, checks=BOARD.replace('"-sum"', '"-size"'))


# --- the proof ---------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_it_is_proven_on_real_photographs(real_set, monkeypatch, tmp_path, bubblewrap):
    monkeypatch.setenv("DATASETSLIB_HOME", str(real_set("cifar10")))
    proven = prove.prove(definition.load(NAME), tmp_path, jobs=2)
    assert not any(proven.values()), prove.table({NAME: proven})
