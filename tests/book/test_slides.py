"""The slides: what is chosen of a chapter, and that a deck needs nothing but itself."""

import re

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import pairs
from tools.slides import choose, deck
from tools.slides.__main__ import main

SVG = '<?xml version="1.0"?><svg viewBox="0 0 100 {height}" xmlns="http://www.w3.org/2000/svg"/>'


def text(source, *tags):
    return new_markdown_cell(source, metadata={"tags": list(tags)})


def code(source, *tags, printed="", figure=""):
    outputs = [new_output("stream", text=printed)] if printed else []
    outputs += [new_output("display_data", data={"image/svg+xml": figure})] if figure else []
    about = {"tags": list(tags), "alt": "What it is"}
    return new_code_cell(source, outputs=outputs, metadata=about)


def chosen(*cells):
    """Title and items (kind, body) of each slide of a chapter of these cells."""
    return [(slide.title, [(item.kind, item.body) for item in slide.items])
            for slide in choose.slides(new_notebook(cells=list(cells)))]


def bodies(*cells):
    return [body for _, items in chosen(text("## Part"), *cells) for _, body in items]


# --- the rule


def test_a_chapter_opens_with_its_question_and_its_objectives():
    head = text("# Title\n\n**Why?**\n\nYou will be able to\n\n- count\n- see\n\nYou need paper.")
    assert chosen(head, code("n = 1", "parameters"), code("import numpy")) == [
        ("Title", [("text", "**Why?**")]),
        ("By the end of this chapter you will be able to", [("text", "- count\n- see")]),
    ]


@pytest.mark.parametrize("source, kept", [
    ("It opens with this sentence here. It goes on.", ["It opens with this sentence here."]),
    ("Two. It opens with this sentence here.", ["Two. It opens with this sentence here."]),
    ("It opens with this sentence here. Next. A **word** is new.",
     ["It opens with this sentence here. A **word** is new."]),
    ("It opens with this sentence here. It goes on.\n\nWho knows the answer to that? Guess. Later.",
     ["It opens with this sentence here.", "Who knows the answer to that? Guess."]),
    ("It opens with this sentence here. Then:\n\n$$x$$",
     ["It opens with this sentence here. Then:", "$$x$$"]),
    ("- One thing is like this here. And more.\n- Another one is like that. And?",
     ["- One thing is like this here.\n- Another one is like that. And?"]),
    ("> **Note**\n>\n> An aside.", []),
    ("> **Misconception: so**\n>\n> It is not.", ["> **Misconception: so**\n>\n> It is not."]),
    ("> **Explorer: lenet**\n>\n> A board.", ["> **Explorer: lenet.** Open it in the book."]),
])
def test_what_is_kept_of_a_text(source, kept):
    assert bodies(text(source)) == kept


def test_code_and_what_it_printed_are_shown_where_they_are_short_and_not_hidden():
    long = "\n".join(f"x = {n}" for n in range(choose.LONGEST_CODE + 1))
    printed = "\n".join(map(str, range(99)))
    assert bodies(code("x = 1", printed="1\n")) == ["x = 1", "1"]
    assert bodies(code(long, printed="1\n")) == ["1"]
    assert bodies(code(long, "slide")) == [long]
    assert bodies(code("x = 1", "hide-input", printed="1\n")) == ["1"]
    assert bodies(code("x = 1", "hide-output", printed="1\n")) == ["x = 1"]
    assert bodies(code("x = 1", "hide-cell", printed="1\n")) == []
    assert bodies(code("x = 1", "no-slide", printed="1\n")) == []
    cut = bodies(code("x = 1", printed=printed))[1].splitlines()
    assert len(cut) == choose.LONGEST_PRINT and cut[-1] == "..."


def test_a_tag_takes_or_leaves_a_text():
    source = "It opens with this sentence here. It goes on."
    assert bodies(text(source, "slide")) == [source]
    assert chosen(text("## Part"), text(f"## Other\n\n{source}", "no-slide"),
                  text("It is told after all.")) == [("Other", [("text", "It is told after all.")])]


def test_a_question_ends_its_slide():
    found = chosen(text("## Part\n\nWhich of the two will it be?"),
                   code("draw()", figure=SVG.format(height=50)), text("It is the first of them."))
    assert [[kind for kind, _ in items] for _, items in found] == [["text"], ["figure", "text"]]


def test_a_full_slide_goes_on_and_takes_what_announces_along():
    filler = "".join(f"- {'word ' * 13}\n" for _ in range(8))
    (_, first), (title, second) = chosen(
        text(f"## Part\n\n{filler}\n\n**So** this is the sum:\n\n$$a\\\\b\\\\c$$"))
    assert title == "Part"
    assert len(first) == 1 and [body for _, body in second] == [
        "**So** this is the sum:", "$$a\\\\b\\\\c$$"]


def test_each_exercise_and_question_has_a_slide_with_all_its_words():
    details = "<details><summary><b>Hint</b></summary>\n\nLook.\n\n</details>"
    found = chosen(text(f"## Exercises\n\n**1. Warm-up.** Do it. Then stop.\n\n{details}"),
                   code("x = 1", "hide-cell"), text("## Check yourself\n\n**1.** How? Say."),
                   text("## Further reading\n\nA book."))
    assert found == [
        ("Exercise 1: Warm-up", [("text", "Do it. Then stop."), ("text", details),
                                 ("solution", "x = 1")]),
        ("Check yourself 1", [("text", "How? Say.")]),
    ]


# --- the decks


@pytest.fixture(scope="module")
def decks():
    """Chapter -> the text of its deck, and what it looks like without its scripts."""
    made = {stem: deck.make(stem) for stem in pairs.notebooks()}
    found = {}
    for stem, whole in made.items():
        page = BeautifulSoup(whole, "html.parser")
        for script in page.find_all("script"):
            assert not script.attrs
            script.decompose()
        found[stem] = whole, page
    return found


@pytest.mark.parametrize("stem", pairs.notebooks())
def test_a_deck_needs_no_other_file(decks, stem):
    _, page = decks[stem]
    assert page.find_all(["link", "iframe", "object", "a"]) == []
    asked = [tag[name] for tag in page.find_all(True) for name in ("src", "href", "srcset")
             if tag.has_attr(name)]
    assert asked and all(address.startswith("data:") for address in asked)
    assert "url(" not in page.style.get_text() and "@import" not in page.style.get_text()
    assert "http" not in page.get_text()


@pytest.mark.parametrize("stem", pairs.notebooks())
def test_a_deck_has_the_sections_figures_and_questions_of_its_chapter(decks, stem):
    _, page = decks[stem]
    notebook = pairs.read(pairs.paths(stem)[1])
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    notes_alone = {"Old names and new"}
    headings = set(re.findall(r"^## (.+)$", prose, re.M)) - choose.LEFT_OUT - notes_alone
    titles = {title.get_text() for title in page.find_all(["h1", "h2"])}
    plain = {re.sub(r"[`*]", "", heading).removesuffix("s") for heading in headings}
    assert {h for h in plain if not any(t.startswith(h) for t in titles)} == set()
    drawn = sum("image/svg+xml" in output.get("data", {}) for cell in pairs.code_cells(notebook)
                for output in cell.outputs)
    assert len(page.find_all("img")) == drawn
    assert all(len(img["alt"]) > 20 for img in page.find_all("img"))
    assert len([t for t in page.find_all("h2") if t.get_text().startswith("Check yourself ")]) == 5


@pytest.mark.parametrize("stem", pairs.notebooks())
def test_no_markup_shows_through(decks, stem):
    _, page = decks[stem]
    for part in page.find_all(["pre", "code", "style"]) + page.find_all(class_="math"):
        part.decompose()
    assert re.findall(r"\{[\w:]+\}|:::|\*\*|```|\$|\]\(|<details", page.get_text()) == []


def test_the_script_of_the_formulas_cannot_end_its_element():
    assert "</script" not in deck.mathjax().lower()


def test_a_picture_may_be_tall():
    assert deck.is_tall(SVG.format(height=90)) and not deck.is_tall(SVG.format(height=40))


def test_the_command_writes_decks_and_names_what_it_does_not_know(tmp_path, capsys):
    stem = pairs.notebooks()[1]
    assert main([stem, "--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"{stem}.html"]
    assert main(["09_nothing", "--out", str(tmp_path)]) == 1
    assert "09_nothing: no stored notebook; there are: 01_" in capsys.readouterr().err
