"""Private variants: drawn, proven, kept out of the repository, never in place of another."""

import ast

import pytest

from tests.assignments import toys
from tests.assignments.test_prove import toy
from tools.grading import definition, private

DRAWN = toys.CHECKS + '''

def private(rng):
    return {"seed": int(rng.integers(100, 1 << 30)), "secret": int(rng.integers(1 << 30))}
'''


def masters(folder, checks=DRAWN):
    toy(folder, checks=checks)
    return folder


def test_a_variant_is_drawn_proven_and_written(tmp_path, bubblewrap):
    here, out = masters(tmp_path / "masters"), tmp_path / "class"
    place, copy, proof = private.make("toy", out, 3, here)
    assert place == out / "toy" and copy == out / "students" / "toy"
    assert "FAILED" not in proof
    assert sorted(path.name for path in out.iterdir()) == ["students", "toy"]
    assert [path.name for path in copy.iterdir()] == ["toy.ipynb"]
    ours, theirs = definition.load("toy", here), definition.load("toy", out)
    assert theirs.variant != ours.variant
    assert theirs.variant == private.draw("toy", tmp_path / "again", 3, here).variant
    text = (place / "checks.py").read_text()
    assert "# A private variant: seed 3. Keep it to yourself." in text
    # All but the variant is as it was, so that the class meets the same questions.
    def rest(source):
        return [ast.unparse(node) for node in ast.parse(source).body
                if not ast.unparse(node).startswith("VARIANT")]
    assert rest(text) == rest(DRAWN)


def test_two_variants_differ_where_no_seed_is_given(tmp_path, bubblewrap):
    here = masters(tmp_path / "masters")
    found = [private.make("toy", tmp_path / name, assignments=here)[0] / "checks.py"
             for name in ("one", "two")]
    assert found[0].read_text() != found[1].read_text()


def test_what_is_there_is_not_replaced(tmp_path, bubblewrap):
    here, out = masters(tmp_path / "masters"), tmp_path / "class"
    place = private.make("toy", out, 3, here)[0]
    before = (place / "checks.py").read_bytes()
    with pytest.raises(private.PrivateError, match="is there already"):
        private.make("toy", out, 4, here)
    assert (place / "checks.py").read_bytes() == before


def test_what_is_not_proven_is_not_written(tmp_path, bubblewrap):
    # Right for the published seed, which is 7, and wrong for every other.
    right = '"expected": 2 * secret'
    assert right in DRAWN
    checks = DRAWN.replace(right, f'{right} * (1 + (variant["seed"] > 99))')
    here, out = masters(tmp_path / "masters", checks), tmp_path / "class"
    with pytest.raises(private.PrivateError, match="not proven, and not written: solution: q1-3"):
        private.make("toy", out, 3, here)
    assert list(out.iterdir()) == []


def test_nothing_private_lies_in_the_repository(tmp_path):
    for inside in (definition.ROOT, definition.ROOT / "assignments" / "mine"):
        with pytest.raises(private.PrivateError, match="from where it would be published"):
            private.make("toy", inside, 3, masters(tmp_path / inside.name))
        assert not (definition.ROOT / "assignments" / "mine").exists()


@pytest.mark.parametrize("old, new, said", [
    ("def private(rng):", "def another(rng):", r"no function private\(rng\)"),
    ('"secret": int(rng', '"secret": (rng', "cannot be written down"),
    ('{"seed": int(rng.integers(100, 1 << 30)), "secret": int(rng.integers(1 << 30))}',
     '{"seed": 7, "secret": 918273645}', "returns the published VARIANT"),
    ("LIMITS =", "VARIANT = dict(VARIANT)\nLIMITS =", "sets VARIANT 2 times"),
])
def test_a_definition_that_cannot_be_varied(tmp_path, old, new, said):
    assert old in DRAWN
    here = masters(tmp_path / "masters", DRAWN.replace(old, new))
    with pytest.raises(private.PrivateError, match=said):
        private.draw("toy", tmp_path / "out", 3, here)


def test_the_command(tmp_path, bubblewrap, capsys):
    out = tmp_path / "class"
    assert private.main(["01_convolution", "--out", str(out), "--seed", "5"]) == 0
    said = capsys.readouterr().out
    assert str(out / "01_convolution") in said and "FAILED" not in said
    assert private.main(["01_convolution", "--out", str(out)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert private.main(["nothing", "--out", str(out)]) == 1
    assert "no such assignment" in capsys.readouterr().err
