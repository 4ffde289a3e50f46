"""Texts that a student copy carries within itself: ``{{name}}`` in a master."""

import nbformat
import pytest

from tests.assignments import toys
from tests.assignments.test_prove import MASTER, folder, replaced, toy
from tools.grading import definition, master, prove, student

TEXTS = toys.CHECKS + '''

def texts(variant):
    return {"table": f"1,2\\n3,{variant['seed']}", "n": "four"}
'''
MARKED = replaced("# Two functions.", "# Two functions, {{n}} numbers.", replaced(
    "import numpy as np\n", 'import numpy as np\n\nTABLE = """\n{{table}}\n"""\n'))


def sources(notebook):
    return [cell.source for cell in notebook.cells]


def test_marks_in_code_and_prose_are_filled_in(tmp_path):
    assignment = toy(tmp_path, MARKED, TEXTS)
    for make in (student.student_notebook, student.solution_notebook):
        notebook = make(assignment)
        assert 'TABLE = """\n1,2\n3,7\n"""' in "\n".join(sources(notebook))
        assert any("Two functions, four numbers." in source for source in sources(notebook))
        assert "{{" not in nbformat.writes(notebook)


def test_a_variant_has_texts_of_its_own(tmp_path):
    toy(tmp_path, MARKED, TEXTS)
    other = definition.load("toy", tmp_path, {"seed": 5})
    assert "1,2\n3,5" in "\n".join(sources(student.student_notebook(other)))


def test_a_number_is_written_as_code_and_prose_write_it(tmp_path):
    checks = toys.CHECKS + """

def texts(variant):
    return {"most": variant["secret"]}
"""
    text = replaced("# Two functions.", "# Up to {{most}}, in {points} or {braces}.")
    text = replaced("import numpy as np\n", "import numpy as np\n\nmost = {{most}}\n", text)
    toy(tmp_path, text, checks)
    said = sources(student.student_notebook(definition.load("toy", tmp_path, {"secret": 12345})))
    assert "Up to 12,345, in {points} or {braces}." in said[0]
    assert any("\nmost = 12_345" in source for source in said)


def test_the_toy_with_texts_is_proven(tmp_path, bubblewrap):
    assert not any(prove.prove(toy(tmp_path, MARKED, TEXTS), folder(tmp_path)).values())


def test_a_text_that_gives_the_solution_away(tmp_path):
    told = TEXTS.replace('"four"', '"`return np.asarray(x).ravel().sum()`"')
    assignment = toy(tmp_path, MARKED, told)
    assert prove.leaks(assignment, student.publish(assignment, tmp_path / "out"))


@pytest.mark.parametrize("text, checks, said", [
    (replaced("{{n}}", "{{m}}", MARKED), TEXTS, r"cell 1: \{\{m\}\} stands .* has n, table"),
    (replaced(", {{n}} numbers", "", MARKED), TEXTS, r"has n, and no cell says \{\{n\}\}"),
    (MARKED, toys.CHECKS, r"stands for a text, and texts of checks.py has none"),
    (MARKED, TEXTS.replace('"n": "four"', '"n": "four", "rest": "x"'), "has rest, and no cell"),
    (MARKED, TEXTS.replace('f"1,2', 'f"\\"\\"\\"1,2'), "it is not Python"),
])
def test_marks_and_texts_that_do_not_agree(tmp_path, text, checks, said):
    with pytest.raises(master.MasterError, match=said) as error:
        master.read(toy(tmp_path, text, checks))
    assert "toy/master.py" in str(error.value)


@pytest.mark.parametrize("returned", ['{"n": 4.5}', '{"two words": ""}', '["n"]'])
def test_texts_that_are_none(tmp_path, returned):
    broken = TEXTS[:TEXTS.index("    return {\"table\"")] + f"    return {returned}\n"
    with pytest.raises(definition.DefinitionError, match="checks.py: texts.* names, and strings"):
        toy(tmp_path, MARKED, broken)


def test_a_text_that_cannot_be_read(tmp_path):
    broken = TEXTS.replace("    return {\"table", "    open('nowhere.csv')\n    return {\"table")
    with pytest.raises(definition.DefinitionError, match="texts: .*nowhere.csv"):
        toy(tmp_path, MARKED, broken)


def test_without_texts_nothing_changes(tmp_path):
    spaced = replaced("# Two functions.", "# Two functions, ${{ n }}$.", MASTER)
    assert any("${{ n }}$" in cell.source for cell in master.read(toy(tmp_path, spaced)))
