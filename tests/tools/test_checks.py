"""The checks that run nothing: each is broken on purpose once, and must name the cause."""

import nbformat
import pytest

from tools import chapters, checks


def problems(course):
    return checks.check(course.root)[0]


def only_problem(course):
    found = problems(course)
    assert len(found) == 1, found
    return found[0]


def test_a_course_in_order_has_no_problems(course, capsys):
    assert problems(course) == []
    assert chapters.main(["--root", str(course.root), "check"]) == 0
    assert "1 chapters checked, 0 problems" in capsys.readouterr().out


def test_the_verb_fails_when_there_is_a_problem(course, capsys):
    course.edit("01_tiny", "01_tinny", "_toc.yml")
    assert chapters.main(["--root", str(course.root), "check"]) == 1
    assert "not in _toc.yml" in capsys.readouterr().err


def test_chapter_not_in_ci_parameters(course):
    (course.root / "ci-parameters.yml").write_text("{}\n")
    assert "01_tiny: not in ci-parameters.yml" in only_problem(course)


def test_chapter_not_in_the_toc(course):
    (course.root / "_toc.yml").write_text("root: intro\n")
    assert "01_tiny: not in _toc.yml" in only_problem(course)


def test_a_draft_needs_no_notebook_and_no_place_in_the_toc(course):
    draft = course.root / "chapters" / "02_draft.py"
    draft.write_text(course.script.read_text(encoding="utf-8"), encoding="utf-8")
    course.edit("  timeout: 40\n", "  timeout: 40\n02_draft:\n  draft: true\n",
                "ci-parameters.yml")
    assert problems(course) == []
    course.edit("speed = 2", "speed = ", draft)
    assert only_problem(course).startswith("02_draft: code cell")


def test_a_draft_in_the_book(course):
    course.edit("  timeout: 40\n", "  timeout: 40\n  draft: true\n", "ci-parameters.yml")
    assert "01_tiny: called a draft in ci-parameters.yml" in only_problem(course)


def test_chapter_twice_in_the_toc(course):
    course.edit("01_tiny\n", "01_tiny\n- file: chapters/01_tiny\n", "_toc.yml")
    assert "01_tiny: named twice in _toc.yml" in only_problem(course)


def test_chapter_in_the_files_but_not_on_disk(course):
    course.edit("01_tiny\n", "01_tiny\n- file: chapters/02_tiny\n", "_toc.yml")
    assert "02_tiny: named in _toc.yml, but not on disk (is it 01_tiny?)" in only_problem(course)
    course.edit("01_tiny:", "02_tiny: {}\n01_tiny:", "ci-parameters.yml")
    assert "named in ci-parameters.yml and _toc.yml, but not on disk" in only_problem(course)


def test_no_notebook(course):
    course.notebook.unlink()
    found = problems(course)
    assert any("chapters/01_tiny.ipynb is missing: make results" in p for p in found), found


def test_no_source(course):
    course.script.unlink()
    assert any("chapters/01_tiny.py, the source of the notebook" in p for p in problems(course))


def test_stale_code(course):
    course.edit("n_steps * speed", "n_steps * speed + 1")
    assert any("01_tiny: stale: the code or the parameters changed" in p for p in problems(course))


def test_stale_parameters(course):
    course.edit("speed = 2", "speed = 3")
    assert any("01_tiny: stale" in p for p in problems(course))


def test_code_edited_and_synchronised_is_still_stale(course, capsys):
    course.edit("n_steps * speed", "n_steps * speed + 1")
    assert chapters.main(["--root", str(course.root), "sync"]) == 0
    assert "1 code cells changed and lost their outputs" in capsys.readouterr().out
    found = problems(course)
    assert any("01_tiny: stale" in p for p in found)
    assert any("code cell 4 was never executed" in p for p in found)


def test_prose_and_comments_are_synchronised_without_a_run(course):
    course.edit("# # A tiny chapter", "# # A small chapter\n#\n# With a sentence.")
    course.edit("distance = n_steps", "# far\ndistance = n_steps")
    assert [p for p in problems(course) if "stale" in p] == []
    assert any("cell 1 differs" in p and "make sync" in p for p in problems(course))
    before = course.notebook.read_text()
    assert chapters.main(["--root", str(course.root), "sync"]) == 0
    assert problems(course) == []
    assert course.notebook.read_text() != before
    assert "A small chapter" in course.notebook.read_text()


def test_tags_differ(course):
    course.edit('# %%\nconditions()', '# %% tags=["hide-input"]\nconditions()')
    assert "has other tags or metadata: make sync" in only_problem(course)


def test_the_ledger_differs(course):
    course.edit('"distance": 8', '"distance": 9', "results.json")
    assert "results.json: 01_tiny differs from its notebook in distance" in only_problem(course)


def test_no_ledger(course):
    (course.root / "results.json").unlink()
    assert "results.json is missing" in only_problem(course)


def test_the_ledger_names_a_chapter_that_is_gone(course):
    course.edit('"01_tiny"', '"00_gone": {}, "01_tiny"', "results.json")
    assert "00_gone is only in results.json" in only_problem(course)


def test_the_ledger_holds_values_and_conditions(course):
    recorded = course.results()["01_tiny"]
    assert recorded["distance"] == 8
    assert {"seconds", "minutes", "conditions"} <= set(recorded)
    assert recorded["conditions"]["editions"] == []


def test_never_executed(course):
    def forget(cell):
        cell.outputs, cell.execution_count = [], None

    course.change_output(4, forget)
    assert any("code cell 4 was never executed" in p for p in problems(course))


def test_checked_cell_without_stored_output(course):
    course.change_output(3, lambda cell: cell.outputs.clear())
    assert "code cell 3 is checked (nbval-check-output) but has no stored" in only_problem(course)


def test_executed_out_of_order(course):
    course.change_output(4, lambda cell: cell.update(execution_count=1))
    assert "not executed from top to bottom" in only_problem(course)


@pytest.mark.parametrize(
    "output, message",
    [
        (nbformat.v4.new_output("error", ename="KeyError", evalue="x", traceback=[]),
         "holds a stored error: KeyError: x"),
        (nbformat.v4.new_output("stream", name="stderr", text="W0000 noise"),
         "holds standard error: 'W0000 noise'"),
        (nbformat.v4.new_output("stream", name="stdout", text="10%\r20%"), "progress bar"),
        (nbformat.v4.new_output("stream", name="stdout", text="\x1b[31mred"), "terminal colours"),
        (nbformat.v4.new_output("stream", name="stdout", text="<C object at 0x7f3a01b2c4d0>"),
         "an address in memory (at 0x7f3a01b2c4d0)"),
        (nbformat.v4.new_output("stream", name="stdout", text="read /home/ann/x.gz"),
         "a path of the machine it ran on (/home/"),
        (nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg/>"}),
         "shows a figure without alt text"),
    ],
)
def test_residue_in_an_output(course, output, message):
    course.change_output(2, lambda cell: cell.outputs.append(output))
    found = only_problem(course)
    assert "01_tiny: code cell 2" in found and message in found


def test_an_address_on_the_web_is_not_a_machine_path(course):
    text = "see https://example.org/home/ann/x and chapters/tmp/x"
    output = nbformat.v4.new_output("stream", name="stdout", text=text)
    course.change_output(2, lambda cell: cell.outputs.append(output))
    assert problems(course) == []


def test_a_checked_figure(course):
    figure = nbformat.v4.new_output("display_data", {"image/png": "AAAA"})
    course.change_output(3, lambda cell: cell.outputs.append(figure))
    assert any("code cell 3 is checked" in p and "shows a figure" in p for p in problems(course))


def test_too_large(course):
    course.change_output(4, lambda cell: cell.outputs.append(
        nbformat.v4.new_output("stream", name="stdout", text="x" * 1_000_000)))
    assert "the notebook has 1.0 MB, expected less than 1 MB" in only_problem(course)


def test_two_parameters_cells(course):
    course.edit("# %%\ndistance", '# %% tags=["parameters"]\ndistance')
    course.pretend()
    assert "2 cells are tagged 'parameters', expected exactly one" in only_problem(course)


def test_a_long_cell(course):
    course.edit("distance =", "x = 1\n" * 40 + "distance =")
    course.pretend()
    assert "code cell 4 has 42 lines, at most 40" in only_problem(course)


def test_a_misspelt_tag(course):
    course.edit('tags=["nbval-check-output"]', 'tags=["nbval-check-outputs"]')
    course.pretend()
    assert "which is not one of ours (is it 'nbval-check-output'?)" in only_problem(course)


@pytest.mark.parametrize("tag", ["raises-exception", "nbval-skip", "skip-execution"])
def test_tags_that_would_hide_a_failure(course, tag):
    course.edit('tags=["nbval-check-output"]', f'tags=["{tag}"]')
    course.pretend()
    assert f"code cell 3 has the tag {tag!r}" in only_problem(course)


def test_a_comment_that_would_hide_a_failure(course):
    course.edit("distance =", "# NBVAL_SKIP\ndistance =")
    course.pretend()
    assert "code cell 4 holds the comment NBVAL_SKIP" in only_problem(course)


def test_a_machine_path_in_the_code(course):
    course.edit("distance =", 'place = "/home/ann/data"\ndistance =')
    course.pretend()
    assert "code cell 4 names a path of one machine (/home/" in only_problem(course)


def test_a_magic(course):
    course.edit("distance =", "%timeit 1\ndistance =")
    assert any(
        "code cell 4: '%timeit 1' is an IPython magic" in p for p in problems(course)
    ), problems(course)


def test_synthetic_outputs(course):
    def to_synthetic(cell):
        for output in cell.outputs:
            kind = "application/papermill.record/application/json"
            if kind in output.get("data", {}):
                text = output["data"][kind]
                output["data"][kind] = text.replace('"synthetic": false', '"synthetic": true')

    course.change_output(5, to_synthetic)
    assert any("its outputs come from synthetic data" in p for p in problems(course))


def test_no_conditions(course):
    course.change_output(5, lambda cell: cell.outputs.clear())
    assert any("its last code cell calls conditions()" in p for p in problems(course))


@pytest.mark.parametrize(
    "text, message",
    [
        ("01_tiny: {draft: maybe}", "draft is 'maybe', expected true"),
        ("01_tiny: {parameter: {}}", "'parameter' is not one of draft, expect, parameters"),
        ("01_tiny: {expect: {distance: {minimum: 1}}}", "expect distance: give min, max or equals"),
        ("01_tiny: {timeout: soon}", "01_tiny: timeout is 'soon', expected seconds, above 0"),
        ("01_tiny: {timeout: 0}", "01_tiny: timeout is 0, expected seconds"),
        ("01_tiny: {timeout: true}", "01_tiny: timeout is True, expected seconds"),
        ("01_tiny: {timeout: }", "01_tiny: timeout is None, expected seconds"),
        ("01_tiny: [1]", "01_tiny: expected draft, expect, parameters, timeout"),
        ("01_tiny: {", "not valid YAML"),
    ],
)
def test_a_malformed_ci_parameters(course, text, message):
    (course.root / "ci-parameters.yml").write_text(text)
    assert any(message in problem for problem in problems(course)), problems(course)


def test_a_changed_library_is_a_note_and_no_problem(course):
    (course.root / "requirements.txt").write_text("numpy==0\n")
    found, notes = checks.check(course.root)
    assert found == []
    assert notes == ["01_tiny: changed since its outputs were made: lock"]


def test_an_unknown_chapter_is_named(course, capsys):
    assert chapters.main(["--root", str(course.root), "check", "01_tinny"]) == 1
    assert "01_tinny: no such chapter; did you mean 01_tiny?" in capsys.readouterr().err
