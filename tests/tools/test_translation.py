"""Translations: each kind of fault is planted once, and must be found with its place."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml

from datasetslib.recording import MIME_PREFIX
from tests.tools.conftest import HEADER
from tools import languages
from tools.translation import (
    __main__,
    anchors,
    catalogue,
    comments,
    faults,
    glossary,
    interface,
    labels,
    markdown,
    sources,
    strings,
    tree,
    values,
)
from tools.translation.messages import TranslationError

ROOT = Path(__file__).resolve().parents[2]

INTRO = """---
description: A page that says what a stride is
---

# Strides

The stride is 2: see `conv2d`, $n - k$, {glue:text}`steps:d` and [the paper](https://example.org/a).

| Kernel | Stride |
|---|---|
| 3 x 3 | two |

:::{note}
Nothing moves.
:::
"""

CHAPTER = HEADER + """
# %% [markdown]
# # Steps
#
# How many steps?
#
# Time to read and to try things out: about an
# hour. Nothing else.

# %%
# How many there are.
steps = 2  # of the kernel
print("English stays", steps)
"""

CHECKS = '''
"""What is asked."""
VARIANT = {}


def questions(variant):
    return [{"name": "q1", "title": "One question", "points": 1, "cases": [
        {"value": "steps", "expected": 2, "message": f"There are {1 + 1} steps."}]}]
'''

CHINESE = {
    "intro": {
        "A page that says what a stride is": "这一页说什么是步幅",
        "Strides": "步幅",
        "The stride is 2: see `conv2d`, $n - k$, {glue:text}`steps:d` and "
        "[the paper](https://example.org/a).":
        "步幅是 2：见 `conv2d`、$n - k$、{glue:text}`steps:d` 和[那篇论文](https://example.org/a)。",
        "Kernel": "卷积核", "Stride": "步幅", "two": "两", "Nothing moves.": "什么也不动。",
    },
    "chapters/01_tiny": {
        "Steps": "步子", "How many steps?": "多少步？",
        "Time to read and to try things out: about an hour. Nothing else.":
        "阅读和动手：大约一小时。别的没有。",
        "How many there are.": "有多少。", "of the kernel": "卷积核的",
    },
    "assignments/01_ask": {
        "A question": "问题", "One question": "一个问题",
        "There are {1 + 1} steps.": "有 {1 + 1} 步。",
    },
    "explorers": {"Row {row}": "第 {row} 行"},
    "book": {"A small book": "一本小书", "We": "我们", "To the first page": "回到首页",
             "Start": "开始"},
    "README": {"Read me": "请读我"},
    "interface": {"about an hour": "大约一小时"},
}

TERMS = """
names: Python
terms:
  - {en: stride, zh: 步幅, never: [步长], nowhere: [跨步]}
  - {en: kernel, zh: [卷积核, 核]}
"""


@pytest.fixture
def book(tmp_path):
    """A repository of one page, one chapter, one assignment and one explorer, all translated."""
    def put(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    put("intro.md", INTRO)
    put("README.md", "# Read me\n")
    put("pages/stated.yml", "{}\n")
    put("_toc.yml", "format: jb-book\nroot: intro\nparts:\n  - caption: Start\n    chapters:\n"
                    "      - file: chapters/01_tiny\n")
    logo = {"text": "A small book", "alt_text": "To the first page"}
    put("_config.yml", yaml.safe_dump({"title": "A small book", "author": "We", "sphinx": {
        "local_extensions": {"course": "_ext"},
        "config": {"language": "en", "html_theme_options": {"logo": logo}}}}))
    put("chapters/01_tiny.py", CHAPTER)
    put("assignments/01_ask/master.py", HEADER + "\n# %% [markdown]\n# # A question\n")
    put("assignments/01_ask/checks.py", CHECKS)
    put("assets/explorers/tiny.js", 'tr("Row {row}", { row: 3 });\n')
    put("references.bib", "")
    put("results.json", "{}")
    put("CITATION.cff", "")
    put(glossary.FILE, TERMS)
    for name in sources.catalogues(tmp_path):
        made = catalogue.updated(sources.extract(name, tmp_path), catalogue.read(name, tmp_path))
        for entry in made:
            entry.msgstr = CHINESE[name][entry.msgid]
        catalogue.write(made, name, tmp_path)
    return tmp_path


def every_fault(root):
    return [fault for name in sources.catalogues(root) for fault in faults.check(name, root)]


def change(root, name, english, chinese=None, **more):
    """Give a message another translation, or other marks."""
    stored = catalogue.read(name, root)
    entry = next(entry for entry in stored if entry.msgid == english)
    if chinese is not None:
        entry.msgstr = chinese
    for key, value in more.items():
        setattr(entry, key, value)
    catalogue.write(stored, name, root)


SENTENCE = next(text for text in CHINESE["intro"] if text.startswith("The stride"))
RIGHT = CHINESE["intro"][SENTENCE]


def test_a_book_in_order_has_no_faults(book):
    assert every_fault(book) == [] and faults.unlike(book) == []


@pytest.mark.parametrize("wrong, said", [
    (RIGHT.replace("`conv2d`", "conv2d"), "code `conv2d` is missing"),
    (RIGHT.replace("`conv2d`", "`conv3d`"), "code `conv3d` is not in the English"),
    (RIGHT.replace("$n - k$", "$n + k$"), "formula $n - k$ is missing"),
    (RIGHT.replace("steps:d", "steps:f"), "role {glue:text}`steps:d` is missing"),
    (RIGHT.replace("{glue:text}", "{cite:p}"), "role {cite:p}`steps:d` is not in the English"),
    (RIGHT.replace("example.org/a", "example.org/b"), "link https://example.org/a is missing"),
    (RIGHT.replace("是 2", "是 3"), "number 3 is not in the English"),
    (RIGHT.replace("步幅", "步长"), "'stride' is 步幅 here"),
    (RIGHT.replace("步幅", "步幅（跨步）"), "'stride' is not 跨步"),
    (RIGHT.replace("：见", ": 见"), "punctuation beside Chinese is full-width"),
    (RIGHT.replace("是 2", "是2"), "a space belongs between a Chinese character and a Latin word"),
    (RIGHT.replace("步幅是", "步幅 是"), "no space belongs between Chinese characters"),
    (RIGHT.rstrip("。"), "the English ends with ."),
    (RIGHT.replace("步幅", "“步幅\""), "quotation marks are"),
    (RIGHT.replace("论文", "論文"), "論 is no common simplified character"),
    (SENTENCE, "there is no Chinese in it"),
    (f"# {RIGHT}", "this is no longer a paragraph"),
])
def test_a_wrong_translation_is_found_with_its_place(book, wrong, said):
    change(book, "intro", SENTENCE, wrong)
    found = faults.check("intro", book)
    assert any(said in fault for fault in found), found
    # The catalogue with its line, and the English with its line.
    entry = next(e for e in catalogue.read("intro", book) if e.msgid == SENTENCE)
    place = f"{catalogue.FOLDER}/intro.po:{entry.linenum} (intro.md:7): "
    assert all(fault.startswith(place) for fault in found), found


def test_what_is_untranslated_fuzzy_obsolete_or_missing_is_found(book):
    change(book, "intro", "Strides", "")
    change(book, "intro", "Nothing moves.", flags=["fuzzy"])
    stored = catalogue.read("intro", book)
    extra = type(stored[0])(msgid="Gone.", msgstr="没了。")
    stored.append(extra)
    stored.remove(next(entry for entry in stored if entry.msgid == "two"))
    catalogue.write(stored, "intro", book)
    found = "\n".join(faults.check("intro", book))
    for said in (r"intro\.po:\d+ \(intro\.md:5\): untranslated: 'Strides'",
                 r"intro\.po:\d+ \(intro\.md:14\): fuzzy, the English has changed: 'Nothing moves",
                 r"intro\.po:\d+: obsolete, no such English: 'Gone\.'.* update intro",
                 r"intro\.po \(intro\.md:11\): missing: 'two'"):
        assert re.search(said, found), f"{said}\n{found}"
    assert found.count("\n") == 3


def test_a_changed_sentence_becomes_fuzzy_with_its_old_translation(book):
    text = (book / "intro.md").read_text(encoding="utf-8")
    (book / "intro.md").write_text(text.replace("The stride is 2", "Here the stride is 2"),
                                   encoding="utf-8")
    assert any("missing" in fault for fault in faults.check("intro", book))
    made = catalogue.updated(sources.extract("intro", book), catalogue.read("intro", book))
    entry = next(entry for entry in made if entry.msgid.startswith("Here the stride"))
    assert entry.fuzzy and entry.msgstr == RIGHT and entry.previous_msgid == SENTENCE
    catalogue.write(made, "intro", book)
    assert [f for f in faults.check("intro", book) if "fuzzy" in f] == faults.check("intro", book)


def test_a_translator_may_answer_for_a_term_and_for_nothing_unknown(book):
    change(book, "intro", "Kernel", "内核", tcomment="ok: kernel")
    assert faults.check("intro", book) == []
    change(book, "intro", "Kernel", "卷积核", tcomment="ok: kern")
    assert "'# ok: kern' is no term" in faults.check("intro", book)[0]


def test_one_message_is_translated_in_one_way(book):
    change(book, "intro", "Stride", "大步幅")
    text = (book / "README.md").read_text(encoding="utf-8")
    (book / "README.md").write_text(f"{text}\n| Stride |\n|---|\n| 1 |\n", encoding="utf-8")
    catalogue.write(catalogue.updated(
        sources.extract("README", book), catalogue.read("README", book), {"Stride": "步幅"}),
        "README", book)
    found = faults.unlike(book)
    assert len(found) == 1 and "intro.po" in found[0] and "README.po" in found[0]


def test_a_catalogue_that_cannot_be_read_is_named(book):
    path = catalogue.path_of("intro", book)
    text = path.read_text(encoding="utf-8")
    for wrong in ("msgit \"half\"\n", 'msgid "Strides"\nmsgstr "步幅"\n'):
        path.write_text(f"{text}\n{wrong}", encoding="utf-8")
        assert re.match(r"locale/zh_CN/LC_MESSAGES/intro\.po: it cannot be read: \S",
                        faults.check("intro", book)[0])


@pytest.mark.parametrize("text, why", [
    ("a\n\n<b>raw</b>\n\n<div>\nhtml\n</div>", "html_block has no place"),
    (":::{figure} a.svg\nWhat.\n:::", "unknown directive 'figure'"),
    (":::{note}\n:width: 3\nWhat.\n:::", "unknown option 'width'"),
])
def test_prose_that_the_pass_does_not_know_is_refused(text, why):
    with pytest.raises(TranslationError, match=f"a page:.*{why}"):
        markdown.translate(text, lambda text, *_: text, 1, "a page")


# --- the translated source ---------------------------------------------------------------


def test_the_translated_source_is_complete(book):
    out = tree.write(book, book / "out")
    text = (out / "intro.md").read_text(encoding="utf-8")
    assert RIGHT in text and "| 3 x 3 | 两 |" in text and "# 步幅" in text
    assert "Stride" not in text and "Nothing" not in text
    config = yaml.safe_load((out / "_config.yml").read_text(encoding="utf-8"))
    assert config["title"] == "一本小书"
    assert config["sphinx"]["config"]["language"] == "zh_CN"
    assert config["sphinx"]["local_extensions"] == {"course": "../_ext"}
    toc = yaml.safe_load((out / "_toc.yml").read_text(encoding="utf-8"))
    assert toc["parts"][0]["caption"] == "开始"
    chapter = (out / "chapters" / "01_tiny.py").read_text(encoding="utf-8")
    assert "# 有多少。" in chapter and 'print("English stays", steps)' in chapter
    assert 'f\'有 {1 + 1} 步。\'' in (out / "assignments/01_ask/checks.py").read_text("utf-8")
    table = (out / "assets/explorers/words_zh_CN.js").read_text(encoding="utf-8")
    assert '"Row {row}": "第 {row} 行"' in table
    assert json.loads((out / "anchors/intro.json").read_text()) == [["strides", "strides"]]
    assert (out / tree.DICTIONARY).read_text(encoding="utf-8").split() == ["卷积核", "步幅"]
    assert languages.words(out)("about an hour") == "大约一小时"
    assert (out / "references.bib").is_file() and (out / "assets/explorers/tiny.js").is_file()


def test_a_translation_that_is_missing_stops_it_and_a_draft_goes_on(book):
    change(book, "intro", "Strides", "")
    with pytest.raises(TranslationError, match=r"intro\.md:5: no translation of 'Strides'"):
        tree.write(book, book / "out")
    assert not (book / "out").exists()
    text = (tree.write(book, book / "out", draft=True) / "intro.md").read_text(encoding="utf-8")
    assert "# Strides" in text and RIGHT in text


def test_what_has_not_changed_is_not_written_again_and_what_is_gone_goes(book):
    out = tree.write(book, book / "out")
    (out / "_build").mkdir()
    (out / "_build" / "kept.html").write_text("")
    (out / "pages" / "old.md").write_text("# Old")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    change(book, "intro", "Strides", "步幅之一")
    tree.write(book, out)
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert {p.relative_to(out).as_posix() for p in before if after.get(p) != before[p]} == {
        "intro.md", "pages/old.md"}


def test_the_built_book_is_placed_whole(book):
    out, site = book / "out", book / "site"
    with pytest.raises(TranslationError, match="make book"):
        tree.place(site, book, out)
    for folder in (out / "_build" / "html", site):
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("")
    (site / "zh").mkdir()
    (site / "zh" / "stale.html").write_text("")
    tree.place(site, book, out)
    assert [path.name for path in (site / "zh").iterdir()] == ["index.html"]


def test_a_heading_without_an_address_of_its_own_is_refused():
    assert anchors.addresses([("Is 0.98 much?", "a:1")]) == [["is-0-98-much", "is-098-much"]]
    for headings, why in [
            ([("Padding", "a.md:1"), ("padding", "a.md:9")], "a.md:9.*that of a.md:1"),
            ([("步幅", "a.md:1")], "no letter in it"),
            ([("The `pad`", "a.md:3")], "a.md:3.*plain text")]:
        with pytest.raises(TranslationError, match=why):
            anchors.addresses(headings)


def test_what_the_tools_say_is_all_extracted():
    found = {}
    interface.translate(lambda text, kind, place: found.setdefault(text, place), ROOT)
    assert found["Cite this chapter"].startswith("_ext/findable.py:")
    assert found["Used by the checks below."].startswith("tools/grading/student.py:")
    assert found["about two hours"].startswith("chapters/")
    # A text that is put together cannot be looked up: it is refused when it is said.
    for pattern in interface.FILES:
        for path in ROOT.glob(pattern):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("tr", "mark"):
                    assert not isinstance(node.args[0], ast.JoinedStr), (path, node.lineno)
    with pytest.raises(languages.WordsError, match="'Such a text'"):
        languages.Words({})("Such a text")


def test_explorers_hand_over_what_they_say(book):
    found = []
    labels.translate(lambda text, kind, place: found.append((text, place)) or text, book)
    assert found == [("Row {row}", "assets/explorers/tiny.js:1")]


def test_comments_change_and_code_does_not():
    source = 'x = "# no comment"  # one\n# two\n# three\nif x:\n    # BEGIN SOLUTION\n    y = 1\n'
    said = comments.translate(source, lambda text, kind, line: "卷积核在图像上滑动，" * 12)
    assert ast.dump(ast.parse(said)) == ast.dump(ast.parse(source))
    assert '"# no comment"' in said and "# BEGIN SOLUTION" in said and "two" not in said
    assert max(comments.width(line) for line in said.split("\n")[1:]) <= comments.WIDTH


def test_words_that_a_chapter_quotes_are_translated_and_numbers_stay():
    def recorded(name, value):
        data = {f"{MIME_PREFIX}application/json": json.dumps(value)}
        return nbformat.v4.new_output("display_data", data=data,
                                      metadata={"scrapbook": {"name": name}})

    notebook = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_markdown_cell(
            "最常见的错误是 {glue:text}`pair`，有 {glue:text}`n:d` 个；"
            "用时 {glue:text}`minutes` 分钟。{glue:text}`pair` 常有。"
            "名为 {glue:text}`name` 的网络。"),
        nbformat.v4.new_code_cell("", outputs=[
            recorded("pair", "cat taken for dog"), recorded("n", 12),
            recorded("minutes", "under 1"), recorded("name", "no_b layer")])])
    table = {"cat taken for dog": "把猫认成狗", "under {1}": "不到 {1}",
             "no_b layer": "没有 no_b 层"}
    asked = []

    def say(text, kind, place):
        asked.append((text, kind, place))
        return table[text]

    values.translate(notebook, say, "chapters/01_x.py")
    assert notebook.cells[0].source == (
        "最常见的错误是把猫认成狗，有 {glue:text}`n:d` 个；用时不到 1 分钟。"
        "把猫认成狗常有。名为没有 no\\_b 层的网络。")
    assert asked[0] == ("cat taken for dog", "value that the text quotes, pair", "chapters/01_x.py")


def test_sentences_of_checks_change_and_their_code_does_not():
    said = strings.translate(CHECKS, lambda text, kind, line: "有 {1 + 1} 步。")
    assert "'有 {1 + 1} 步。'" in said and "What is asked." in said
    spaces = {}
    exec(compile(said, "checks", "exec"), spaces)
    assert spaces["questions"]({})[0]["cases"][0]["message"] == "有 2 步。"


# --- the verbs ---------------------------------------------------------------------------


@pytest.fixture
def verb(book, monkeypatch, capsys):
    """Function: run a verb on the small book; returns its status, and what it said."""
    monkeypatch.setattr(sources, "ROOT", book)

    def run(*arguments):
        status = __main__.main(list(arguments))
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_the_verbs(verb, book):
    status, said = verb("check")
    assert status == 1 and "README.zh.md: not what README.md and its catalogue make" in said
    assert verb("readme")[0] == 0
    assert (book / "README.zh.md").read_text(encoding="utf-8") == "# 请读我\n"
    assert verb("check") == (0, "7 catalogues checked, 0 faults\n")
    assert verb("build")[0] == 0 and (book / "build/zh/intro.md").is_file()
    (book / "README.md").write_text("# Read me twice\n", encoding="utf-8")
    status, said = verb("check", "README")
    assert status == 1 and "missing: 'Read me twice'" in said
    assert verb("update") == (0, "README: written\n")
    status, said = verb("readme")
    assert status == 1 and "README.md:1: no translation of 'Read me twice'" in said
    assert re.search(r"1 +3 +0 +1  README", verb("count", "locale/zh_CN/LC_MESSAGES/README.po")[1])
    assert verb("check", "pages/tecahers")[0] == 1
    status, said = verb("place")
    assert status == 1 and "make book" in said


def test_a_catalogue_without_a_source_is_named(verb, book):
    catalogue.path_of("pages/old", book).parent.mkdir(parents=True, exist_ok=True)
    catalogue.path_of("pages/old", book).write_text('msgid ""\nmsgstr ""\n', encoding="utf-8")
    status, said = verb("check")
    assert status == 1 and "pages/old.po: no source has this catalogue" in said


def test_the_glossary_is_in_order_and_says_where_it_is_not(book):
    assert len(glossary.read(ROOT).terms) > 100
    for entry, why in [("{en: pad, zh: 填充, zhh: x}", "unknown key 'zhh'"),
                       ("{en: pad}", "both en and zh"),
                       ("{en: stride, zh: 步幅}", "it is there twice")]:
        (book / glossary.FILE).write_text(f"{TERMS}  - {entry}\n", encoding="utf-8")
        with pytest.raises(TranslationError, match=f"term 3 .*{why}"):
            glossary.read(book)


# --- the book's own ----------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "chapters").glob("*.ipynb")),
                         ids=lambda path: path.stem)
def test_a_chinese_notebook_has_the_code_and_the_outputs_of_the_english_one(path):
    name = f"chapters/{path.stem}"
    made = sources.translate(name, tree.speaker(name, ROOT, draft=True), ROOT)[f"{name}.ipynb"]
    english = nbformat.read(path, as_version=4)
    assert len(made.cells) == len(english.cells)
    for ours, theirs in zip(made.cells, english.cells, strict=True):
        assert ours.cell_type == theirs.cell_type and ours.id == theirs.id
        if ours.cell_type == "code":
            assert ast.dump(ast.parse(ours.source)) == ast.dump(ast.parse(theirs.source))
            assert ours.outputs == theirs.outputs
            assert ours.metadata.get("tags") == theirs.metadata.get("tags")
