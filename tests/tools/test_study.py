"""The runner of studies: it executes what a chapter defines up to its search, and no more."""

import inspect

import pytest

from tools import study

SOURCE = '''n = 3
def choose(trial):
    """Ask."""
    return n

# %%
def search(n, journal):
    return journal

raise SystemExit("the rest of the chapter")
'''


def test_the_definitions_end_with_the_search():
    found = study.definitions(SOURCE)
    assert found.endswith("return journal\n") and "SystemExit" not in found


def test_a_chapter_without_a_study_is_refused():
    with pytest.raises(ValueError, match="no function named search"):
        study.definitions("def other():\n    pass\n")


def test_the_source_is_read_from_a_copy(tmp_path):
    chapter = tmp_path / "99_toy.py"
    chapter.write_text(SOURCE, encoding="utf-8")
    (tmp_path / "runs").mkdir()
    names = study.load(chapter, tmp_path / "runs")
    chapter.write_text("# edited while the study runs\n" * 9, encoding="utf-8")
    assert inspect.getsource(names["choose"]).startswith("def choose(trial):")
    assert names["search"](1, "there") == "there"


def test_a_study_has_to_be_kept_somewhere(monkeypatch, capsys):
    monkeypatch.delenv("DATASETSLIB_RUNS", raising=False)
    with pytest.raises(SystemExit):
        study.main(["12_challenge", "3"])
    assert "DATASETSLIB_RUNS" in capsys.readouterr().err


def test_main_hands_over_the_number_and_the_journal(monkeypatch, tmp_path):
    monkeypatch.setenv("DATASETSLIB_RUNS", str(tmp_path))
    called = []
    monkeypatch.setattr(study, "load", lambda chapter, folder: {
        "search": lambda n, journal: called.append((chapter.name, n, journal))})
    assert study.main(["12_challenge", "3"]) == 0
    assert called == [("12_challenge.py", 3, tmp_path / "studies" / "12_challenge.journal")]
