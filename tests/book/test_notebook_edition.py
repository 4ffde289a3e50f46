"""The notebook edition: what each construct becomes, what is refused, what follows the address."""

import ast
import json
import re
import shutil
import subprocess
import tomllib
import warnings
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.assignments.test_prove import toy
from tools import checks
from tools import notebook_edition as edition
from tools.notebook_edition import Book, EditionError, Place
from tools.translation.messages import TranslationError

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/Someone/Course"

BIB = r"""
@article{one2014,
  title = {One}, author = {Olah, Christopher}, year = {2014},
  howpublished = {\url{https://example.org/one}}
}
@article{two2016,
  title = {Two}, author = {Dumoulin, Vincent and Visin, Francesco}, year = {2016},
  eprint = {1603.07285}, archiveprefix = {arXiv}
}
@article{many1998,
  title = {Many}, author = {van der Walt, St{\'e}fan J. and LeCun, Yann and Bengio, Yoshua},
  year = {1998}, doi = {10.1000/a_b(c)}
}
@misc{others2015, title = {Others}, author = {Araujo, Andr{\'e} and others}, year = {2015}}
@misc{nobody2020, title = {A {Title} Alone}, year = {2020}, url = {https://example.org/x}}
"""


def recorded(name, text):
    """The output that `datasetslib.record` leaves behind."""
    prefix = "application/papermill.record/"
    data = {f"{prefix}text/plain": text, f"{prefix}application/json": json.dumps(text)}
    metadata = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    return new_output("display_data", data=data, metadata=metadata)


def write_chapter(root, stem, cells):
    path = root / "chapters" / f"{stem}.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture
def root(tmp_path):
    """A book of two small chapters and one page."""
    root = tmp_path / "book"
    (root / "chapters").mkdir(parents=True)
    (root / "pages").mkdir()
    (root / "_config.yml").write_text("title: Sample course\n")
    (root / "references.bib").write_text(BIB)
    (root / "pages" / "results.md").write_text("---\nkey: x\n---\n# All results\n")
    values = [recorded("accuracy", "0.98765"), recorded("minutes", "under 1")]
    write_chapter(
        root,
        "01_first",
        [
            new_markdown_cell("# The first *chapter*\n\nIt took {glue:text}`minutes`."),
            new_code_cell("epochs = 1", metadata={"tags": ["parameters"]}),
            new_code_cell("score()", outputs=[*values, new_output("stream", text="shown\n")]),
            new_markdown_cell(":::{note}\nIt reaches {glue:text}`accuracy:.4f`.\n:::"),
        ],
    )
    write_chapter(root, "02_second", [new_markdown_cell("# The second\n\n{doc}`01_first`")])
    return root


@pytest.fixture
def place(root):
    records = {
        "accuracy": "0.98765",
        "count": "12345",
        "minutes": "under 1",
        "marked": "a*b|c",
        "quoted": "'word'",
    }
    return Place(Book(root), "chapters/01_first.ipynb", 7, records)


# --- each construct


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # What every viewer shows stays as it is, to the byte.
        ("# T\n\n- a *b*\n- **c** `d`\n\n1. e\n", "# T\n\n- a *b*\n- **c** `d`\n\n1. e"),
        ("| a | b |\n|---|--:|\n| c | d |", "| a | b |\n|---|--:|\n| c | d |"),
        (r"costs \$5, $x_{i}$", r"costs \$5, $x_{i}$"),
        ("a\n\n$$y$$\n\nb", "a\n\n$$y$$\n\nb"),
        ("$$\na \\\\\nb\n$$", "$$\na \\\\\nb\n$$"),
        ("[a](https://example.org)", "[a](https://example.org)"),
        ("```python\nf'{glue}'  # :::\n```", "```python\nf'{glue}'  # :::\n```"),
        ("`{doc}` and ``{doc}`x` ``", "`{doc}` and ``{doc}`x` ``"),
        # Directives.
        (":::{note}\nText.\n:::", "> **Note**\n>\n> Text."),
        ("::: {tip}\nText.\n:::", "> **Tip**\n>\n> Text."),
        (":::{important}\na\n\nb\n:::", "> **Important**\n>\n> a\n>\n> b"),
        (":::{warning} Starts here\ngoes on\n:::", "> **Warning**\n>\n> Starts here\n>\n> goes on"),
        (
            ":::{admonition} Why $n$?\n:class: tip\n- a\n- b\n:::",
            "> **Why $n$?**\n>\n> - a\n> - b",
        ),
        (
            ":::{admonition} Hint\n:class: tip dropdown\nText.\n:::",
            "<details><summary><b>Hint</b></summary>\n\nText.\n\n</details>",
        ),
        (
            ":::{note}\n:class: dropdown\nText.\n:::",
            "<details><summary><b>Note</b></summary>\n\nText.\n\n</details>",
        ),
        (
            ":::{dropdown} `a < b` & *so*\n:open:\n:icon: info\nText.\n:::",
            "<details open><summary><b><code>a &lt; b</code> &amp; <em>so</em></b></summary>\n\n"
            "Text.\n\n</details>",
        ),
        (":::{math}\na\nb\n:::", "$$\na\nb\n$$"),
        ("```{math}\na\n```", "$$\na\n$$"),
        (
            ":::{explorer} convolution\nA kernel and $n$ pixels.\n\nMore.\n:::",
            "> **Explorer: convolution**\n>\n> A kernel and $n$ pixels.\n>\n> More.\n>\n"
            "> Open the explorer in the book.",
        ),
        # Around and inside directives.
        ("a\n:::{note}\nb\n:::\nc", "a\n\n> **Note**\n>\n> b\n\nc"),
        ("- a\n\n  :::{note}\n  b\n  :::", "- a\n\n  > **Note**\n  >\n  > b"),
        (
            "::::{dropdown} S\n:::{note}\na\n:::\n::::",
            "<details><summary><b>S</b></summary>\n\n> **Note**\n>\n> a\n\n</details>",
        ),
        (
            "::::{note}\n```python\nx = {}\n```\n::::",
            "> **Note**\n>\n> ```python\n> x = {}\n> ```",
        ),
        # Jupyter would show the quote's markers inside a formula of several lines.
        (":::{note}\n$$\na\n= b\n$$\n:::", "> **Note**\n>\n> $$a = b$$"),
        # Quoted values, formatted as myst-nb formats them.
        ("{glue:text}`accuracy`", "0.98765"),
        ("{glue:text}`accuracy:.2f` or {glue:text}`accuracy:.1%`", "0.99 or 98.8%"),
        ("{glue:text}`count:,d`", "12,345"),
        ("{glue:text}`minutes` minutes", "under 1 minutes"),
        ("{glue:text}`quoted`", "word"),
        (
            "| {glue:text}`marked` |\n|---|\n| {glue:text}`count` |",
            "| a\\*b\\|c |\n|---|\n| 12345 |",
        ),
        (":::{dropdown} {glue:text}`count`\na\n:::", None),
        # Citations.
        ("{cite:t}`one2014`", "[Olah (2014)](https://example.org/one)"),
        (
            "{cite:p}`two2016`",
            "([Dumoulin and Visin, 2016](https://arxiv.org/abs/1603.07285))",
        ),
        (
            "{cite:p}`many1998, one2014`",
            "([van der Walt et al., 1998](https://doi.org/10.1000/a_b%28c%29); "
            "[Olah, 2014](https://example.org/one))",
        ),
        ("{cite:t}`others2015`", "Araujo et al. (2015)"),
        ("{cite:t}`nobody2020`", "[A Title Alone (2020)](https://example.org/x)"),
        # Documents.
        ("{doc}`02_second`", "[The second](02_second.ipynb)"),
        ("{doc}`next <02_second>`", "[next](02_second.ipynb)"),
        ("{doc}`../pages/results`", "All results"),
        ("{doc}`the table </pages/results>`", "the table"),
    ],
)
def test_each_construct_becomes_plain_markdown(place, source, expected):
    converted = edition.convert_markdown(source, place)
    if expected is None:
        assert "<summary><b>12345</b></summary>" in converted
    else:
        assert converted == expected


def test_an_explorer_is_linked_where_the_book_has_an_address(root):
    place = Place(Book(root, ADDRESS, "v1"), "chapters/01_first.ipynb", 7, {})
    converted = edition.convert_markdown(":::{explorer} pooling\nShown.\n:::", place)
    url = "https://someone.github.io/Course/chapters/01_first.html#explorer-pooling"
    assert converted.endswith(f"> [Open the explorer in the book]({url}).")


# --- each refusal


@pytest.mark.parametrize(
    ("source", "construct", "reason"),
    [
        (":::{note}\nopen", ":::{note}", "never closed"),
        ("```python\nopen", "```python", "never closed"),
        ("::: note\na\n:::", "::: note", "in braces"),
        (":::{figure} a.png\n:::", ":::{figure} a.png", "unknown directive 'figure'"),
        ("```{code-cell}\n1\n```", "```{code-cell}", "unknown directive 'code-cell'"),
        (":::{note}\n:name: a\nb\n:::", ":name: a", "unknown option of 'note'"),
        (":::{dropdown}\nb\n:::", ":::{dropdown}", "needs a title"),
        (":::{admonition}\nb\n:::", ":::{admonition}", "needs a title"),
        (
            ":::::{note}\n::::{tip}\n:::{note}\na\n:::\n::::\n:::::",
            ":::{note}",
            "nest one level deep",
        ),
        ("> :::{note}\n> a\n> :::", "a", "move it out"),
        (":::{explorer}\na\n:::", ":::{explorer}", "name one explorer"),
        (":::{explorer} pooling\n:::", ":::{explorer} pooling", "describe below"),
        ("::::{note}\n:::{explorer} pooling\na\n:::\n::::", ":::{explorer} pooling", "move it out"),
        (":::{note}\n$$\na % b\n$$\n:::", "a % b", "a TeX comment"),
        ("{ref}`a`", "{ref}`a`", "unknown role"),
        ("{numref}`a`", "{numref}`a`", "unknown role"),
        (":::{note} {ref}`a`\nb\n:::", "{ref}`a`", "unknown role"),
        (":::{dropdown} {ref}`a`\nb\n:::", "{ref}`a`", "unknown role"),
        ("$5 {glue:text}`count` $", "count", "a role inside maths"),
        ("{glue:text}`missing`", "{glue:text}`missing`", "no value named 'missing'"),
        ("{glue:text}`02_second::a`", "02_second::a", "quote a value this notebook records"),
        ("{glue:text}`minutes:.2f`", "{glue:text}`minutes:.2f`", "cannot be so formatted"),
        ("{cite:p}`one2014,unknown`", "{cite:p}`one2014,unknown`", "no entry 'unknown'"),
        ("{doc}`09_none`", "{doc}`09_none`", "no document 'chapters/09_none'"),
        ("<b>a</b>", "<b>", "raw HTML"),
        ("<div>\na\n</div>", "<div>", "raw HTML"),
        ("a <!-- b -->", "<!-- b -->", "raw HTML"),
        ("(here)=\n# A", "here", "a target"),
        ("% remark", "remark", "not in the vocabulary"),
        ("+++", "+++", "not in the vocabulary"),
        ("a[^1]\n\n[^1]: b", "[^1]", "not in the vocabulary"),
        ("a\n: b", "a", "not in the vocabulary"),
        ("a\n\n    b", "b", "an indented code block"),
        ("$$\na\n$$ (label)", "a", "a labelled equation"),
        ("![a](b.png)", "b.png", "an image file"),
        ("[a](02_second.ipynb)", "02_second.ipynb", "use the {doc} role"),
        ("[a](#title)", "#title", "use the {doc} role"),
        ("the map has $28\n- 3 + 1$ rows", "the map has $28", "no formula's"),
        ("costs $5", "costs $5", "no formula's"),
        ("a $$b$$ c", "a $$b$$ c", "on lines of its own"),
    ],
)
def test_what_is_outside_the_vocabulary_is_named(place, source, construct, reason):
    with pytest.raises(EditionError) as caught:
        edition.convert_markdown(source, place)
    message = str(caught.value)
    assert message.startswith("chapters/01_first.ipynb, cell 7: ")
    assert construct in message and reason in message


def test_a_chapter_and_its_edition_know_the_same_tags():
    assert edition.TAGS is checks.TAGS


def test_cells_outside_the_vocabulary_are_named(root):
    misspelt = new_code_cell("1", metadata={"tags": ["hide_input"]})
    path = write_chapter(root, "03_third", [new_markdown_cell("# T"), misspelt])
    with pytest.raises(EditionError, match=r"03_third.ipynb, cell 2: 'hide_input': unknown cell"):
        edition.convert(path, Book(root))
    path = write_chapter(root, "03_third", [nbformat.v4.new_raw_cell("x")])
    with pytest.raises(EditionError, match=r"03_third.ipynb, cell 1: 'x': a raw cell"):
        edition.convert(path, Book(root))


def test_the_vocabulary_is_checked_before_a_chapter_has_run(root):
    source = "# %% [markdown]\n# # T\n# {glue:text}`later:.2f`\n# %%\n1\n"
    path = root / "chapters" / "03_third.py"
    path.write_text(source)
    edition.check_vocabulary(path, Book(root))
    path.write_text(source + "# %% [markdown]\n# {ref}`a`\n")
    with pytest.raises(EditionError, match="03_third.py, cell 3: .*unknown role"):
        edition.check_vocabulary(path, Book(root))


@pytest.mark.parametrize("path", sorted((ROOT / "chapters").glob("*.py")), ids=lambda p: p.stem)
def test_every_chapter_keeps_to_the_vocabulary(path):
    edition.check_vocabulary(path, Book(ROOT))


# --- the notebook


def test_records_go_and_everything_else_stored_stays(root):
    made = edition.convert(root / "chapters" / "01_first.ipynb", Book(root))
    text = nbformat.writes(made)
    assert "papermill.record" not in text and "scrapbook" not in text
    outputs = [output for cell in made.cells for output in cell.get("outputs", [])]
    assert [output["output_type"] for output in outputs] == ["stream"]
    assert "It took under 1." in text and "It reaches 0.9877." in text


def test_a_figure_that_is_also_recorded_stays_visible(root):
    both = recorded("figure", "x")
    both["data"]["text/plain"] = "<Figure>"
    path = write_chapter(root, "03_third", [new_code_cell("1", outputs=[both])])
    (output,) = edition.convert(path, Book(root)).cells[-1].outputs
    assert output["data"] == {"text/plain": "<Figure>"} and output["metadata"] == {}


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("hide-input", {"cellView": "form", "jupyter": {"source_hidden": True}}),
        ("hide-output", {"jupyter": {"outputs_hidden": True}}),
        (
            "hide-cell",
            {"cellView": "form", "jupyter": {"source_hidden": True, "outputs_hidden": True}},
        ),
        ("parameters", {}),
    ],
)
def test_hidden_cells_stay_hidden_in_colab_and_jupyter(root, tag, expected):
    cell = new_code_cell("1", metadata={"tags": [tag], "mystnb": {"image": {"alt": "An edge"}}})
    path = write_chapter(root, "03_third", [cell])
    metadata = edition.convert(path, Book(root)).cells[-1].metadata
    assert metadata == {"tags": [tag], "alt": "An edge", **expected}


def test_two_runs_give_the_same_bytes_and_a_valid_notebook(root, tmp_path):
    book = Book(root, ADDRESS, "v1.0")
    first, second = (
        {path.name: path.read_bytes() for path in edition.build(tmp_path / name, book)}
        for name in ("a", "b")
    )
    assert first == second
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in first.values():
            notebook = nbformat.reads(text.decode(), as_version=4)
            nbformat.validate(notebook)
            ids = [cell["id"] for cell in notebook.cells]
            assert len(set(ids)) == len(ids)


# --- what follows the address


def links(text):
    """All link targets of a Markdown text."""
    return re.findall(r"\]\(([^)\s]+)\)", text)


def markdown_of(folder):
    """README and Markdown cells of an edition: path -> text."""
    found = {folder / "README.md": (folder / "README.md").read_text()}
    for path in folder.rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        found[path] = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return found


def follows(out, book, elsewhere=lambda url: False, folder=""):
    """Check each link and setup cell of an edition made at `ADDRESS`: it maps to a file.

    `elsewhere` says which addresses are no business of the course, such as those of papers.
    `folder` is where the edition of another language lies in `out`.
    """
    pages = f"https://someone.github.io/Course/{folder}"
    colab = "https://colab.research.google.com/"
    for path in sorted(out.glob(f"{folder}chapters/*.ipynb")):
        head, setup = nbformat.read(path, as_version=4).cells[:2]
        installed = setup.source.replace("datasetslib[search] ", "datasetslib ")
        assert installed == f'%pip install -q "datasetslib @ git+{ADDRESS}@v1.0"'
        (opened,) = (url for url in links(head.source) if url.startswith(colab))
        # The path in the address is the path of this very file in the edition.
        assert opened.startswith(f"{colab}github/Someone/Course/blob/notebooks/")
        assert out / opened.split("/blob/notebooks/")[1] == path
    for path, text in markdown_of(out / folder).items():
        for url in links(text):
            if url.startswith(pages):
                document = url.removeprefix(pages).partition("#")[0]
                assert book.source_of(document.removesuffix(".html")), url
            elif url.startswith(colab):
                assert (out / url.split("/blob/notebooks/")[1]).is_file(), url
            elif url != ADDRESS and not elsewhere(url):
                assert (path.parent / url).is_file(), url


def test_with_an_address_every_link_and_setup_cell_follows_it(root, tmp_path):
    out = tmp_path / "out"
    page = new_markdown_cell("# The third\n\n{doc}`../pages/results`")
    write_chapter(root, "03_third", [page])
    written = edition.build(out, Book(root, ADDRESS, "v1.0"))
    assert [path.stem for path in written] == ["01_first", "02_second", "03_third"]
    follows(out, Book(root))
    assert "someone.github.io/Course/pages/results.html" in markdown_of(out)[written[2]]
    assert "https://colab" in (out / "README.md").read_text()


def all_run():
    """Return the names of our chapters; skip the test while one has no outputs."""
    chapters = sorted(path.stem for path in (ROOT / "chapters").glob("*.py"))
    if missing := set(chapters) - set(Book(ROOT).stems):
        pytest.skip(f"no outputs stored yet for {', '.join(sorted(missing))}: make results")
    return chapters


def test_the_editions_of_our_own_chapters_follow_the_address(tmp_path):
    book = Book(ROOT, ADDRESS, "v1.0")
    chapters = all_run()
    out = tmp_path / "out"
    assert [path.stem for path in edition.build(out, book)] == [*chapters, *book.assignments]
    follows(out, book, lambda url: re.match("https?://", url))
    # What the setup cell installs from this repository is the package that the chapters import.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "datasetslib" and (ROOT / "datasetslib" / "__init__.py").is_file()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The edition of our own book in both languages, as far as it is translated."""
    out = tmp_path_factory.mktemp("both")
    edition.build_all(out, Book(ROOT, ADDRESS, "v1.0"), draft=True)
    return out


def test_the_chinese_edition_lies_beside_and_follows_the_address(both):
    assert {path.relative_to(both / "zh") for path in (both / "zh").rglob("*.ipynb")} == {
        path.relative_to(both) for path in both.rglob("*.ipynb") if "zh" not in path.parts}
    assert "[中文](zh/README.md)" in (both / "README.md").read_text(encoding="utf-8")
    chinese = (both / "zh" / "README.md").read_text(encoding="utf-8")
    assert "[English](../README.md)" in chinese and "笔记本" in chinese
    assert "someone.github.io/Course/zh/chapters/01_convolution.html" in chinese
    all_run()
    follows(both, Book(ROOT), lambda url: re.match("https?://", url), "zh/")


def test_the_chinese_notebooks_have_the_code_and_the_outputs_of_the_english_ones(both):
    for path in sorted((both / "zh").rglob("*.ipynb")):
        name = path.relative_to(both / "zh").as_posix()
        chinese = nbformat.read(path, as_version=4)
        english = nbformat.read(both / name, as_version=4)
        assert len(chinese.cells) == len(english.cells)
        for one, other in zip(chinese.cells, english.cells, strict=True):
            assert one.cell_type == other.cell_type, name
            if one.cell_type != "code":
                continue
            assert one.outputs == other.outputs
            if name.startswith("assignments/"):
                # What a check says when it fails is translated; the code is not.
                assert code_of(one.source) == code_of(other.source), name
                assert not [said for said in complaints(one.source)
                            if not re.search("[\u4e00-\u9fff]", said)], name
            elif not one.source.startswith("%pip"):
                assert ast.dump(ast.parse(one.source)) == ast.dump(ast.parse(other.source)), name
            else:
                assert one.source == other.source
        text = "".join(cell.source for cell in chinese.cells if cell.cell_type == "markdown")
        assert re.search("[\u4e00-\u9fff]{4}", text), name


def complaints(source):
    """Return the words in what the checks of an assignment say when they fail, each by itself."""
    if not source.startswith("# 自查"):
        return []
    said = [part.value for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Assert) and node.msg for part in ast.walk(node.msg)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return [text for text in said if re.search("[A-Za-z]{2}", text)]


def code_of(source):
    """Return the tree of a program without what it says in its asserts."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (
                " " in node.value or re.search("[\u4e00-\u9fff]", node.value)):
            node.value = "..."
        if isinstance(node, ast.JoinedStr):
            node.values = []
    return ast.dump(tree)


def test_what_is_not_translated_is_named_and_nothing_is_written(root, tmp_path, monkeypatch):
    def missing(*_):
        raise TranslationError("intro.md:5: no translation of 'A text'")

    (root / "locale/zh_CN/LC_MESSAGES").mkdir(parents=True)
    monkeypatch.setattr(edition.tree, "write", missing)
    with pytest.raises(EditionError, match="intro.md:5: no translation"):
        edition.build_all(tmp_path / "out", Book(root))
    assert not (tmp_path / "out").exists()


def test_a_link_to_a_file_that_is_not_there_is_found(root, tmp_path):
    out = tmp_path / "out"
    edition.build(out, Book(root, ADDRESS, "v1.0"))
    follows(out, Book(root))
    (out / "chapters" / "01_first.ipynb").unlink()
    with pytest.raises(AssertionError, match="01_first.ipynb"):
        follows(out, Book(root))


@pytest.mark.parametrize("address", ["https://github.com/Someone/Course", "https://gitlab.com/a/b"])
def test_another_host_has_no_colab_and_no_pages(root, address):
    book = Book(root, address, "v1")
    known = address.startswith("https://github.com")
    assert bool(book.colab_url("01_first")) is known
    assert bool(book.page_url("chapters/01_first")) is known
    setup = edition.convert(root / "chapters" / "01_first.ipynb", book).cells[1]
    assert f"git+{address}@v1" in setup.source


def test_a_pages_repository_of_an_owner_is_served_from_the_root(root):
    book = Book(root, "https://github.com/Someone/someone.github.io")
    assert book.page_url("intro") == "https://someone.github.io/intro.html"


def test_without_an_address_nothing_points_nowhere(root, tmp_path):
    out = tmp_path / "out"
    written = edition.build(out, Book(root, "", "v1.0"))
    for path in written:
        first = nbformat.read(path, as_version=4).cells[0]
        assert first.cell_type == "markdown" and "pip install path/to/the/clone" in first.source
    for path, text in markdown_of(out).items():
        assert "colab" not in text and "git+" not in text and "%pip" not in text
        for url in links(text):
            assert (path.parent / url).is_file(), url


@pytest.mark.parametrize("address", ["", "https://github.com/Someone/Course"])
def test_a_notebook_asks_for_the_extra_that_its_imports_need(root, address):
    write_chapter(root, "03_third", [new_markdown_cell("# The third"),
                                     new_code_cell("import numpy\nfrom optuna.trial import Trial")])
    asked = {stem: "\n".join(cell.source for cell in edition.convert(
                 root / "chapters" / f"{stem}.ipynb", Book(root, address, "v1.0")).cells[:2])
             for stem in ("01_first", "03_third")}
    assert "[search]" not in asked["01_first"]
    wanted = '"datasetslib[search] @ git+' if address else 'install "path/to/the/clone[search]"'
    assert wanted in asked["03_third"]


# --- assignments


def with_an_assignment(root):
    toy(root / "assignments")
    return root


def test_the_student_copies_are_part_of_the_edition(root, tmp_path):
    out = tmp_path / "out"
    book = Book(with_an_assignment(root), ADDRESS, "v1.0")
    written = edition.build(out, book)
    assert written[2:] == [out / "assignments" / "toy" / "toy.ipynb"]
    text = written[2].read_text()
    assert "BEGIN SOLUTION" not in text and "numbers + numbers" not in text and "..." in text
    index = (out / "README.md").read_text()
    assert "[A toy](assignments/toy/toy.ipynb)" in index
    assert "blob/notebooks/assignments/toy/toy.ipynb)" in index
    follows(out, book)
    assert nbformat.read(written[2], as_version=4).cells[0].source.startswith("# A toy")


def test_an_assignment_that_is_gone_leaves_the_edition(root, tmp_path):
    out = tmp_path / "out"
    edition.build(out, Book(with_an_assignment(root)))
    shutil.rmtree(root / "assignments")
    edition.build(out, Book(root))
    assert not (out / "assignments").exists()
    assert "Assignments" not in (out / "README.md").read_text()


def test_an_assignment_out_of_order_writes_nothing(root, tmp_path):
    master = with_an_assignment(root) / "assignments" / "toy" / "master.py"
    text = master.read_text()
    for wrong, said in ((text.replace("# END SOLUTION", "", 1), "toy/master.py"),
                        (text.replace("# # A toy", "# A toy"), "no title")):
        master.write_text(wrong)
        with pytest.raises(EditionError, match=said):
            edition.build(tmp_path / "out", Book(root))
        assert not (tmp_path / "out").exists()


# --- the folder


def test_a_later_edition_replaces_an_earlier_one_and_nothing_else(root, tmp_path):
    out = tmp_path / "out"
    edition.build(out, Book(root))
    (root / "chapters" / "02_second.ipynb").unlink()
    edition.build(out, Book(root))
    assert [path.name for path in out.glob("chapters/*")] == ["01_first.ipynb"]
    before = sorted(root.rglob("*"))
    with pytest.raises(EditionError, match="no notebook edition"):
        edition.build(root, Book(root))
    assert sorted(root.rglob("*")) == before


def test_an_error_writes_nothing(root, tmp_path):
    write_chapter(root, "03_third", [new_markdown_cell("{ref}`a`")])
    with pytest.raises(EditionError, match="unknown role"):
        edition.build(tmp_path / "out", Book(root))
    assert not (tmp_path / "out").exists()


def test_no_chapters_or_no_ref_is_an_error(root, tmp_path):
    with pytest.raises(EditionError, match="pass --ref"):
        edition.build(tmp_path / "out", Book(root, ADDRESS, ""))
    for path in (root / "chapters").glob("*.ipynb"):
        path.unlink()
    with pytest.raises(EditionError, match="make results"):
        edition.build(tmp_path / "out", Book(root))


def test_the_ref_is_the_tag_or_else_the_commit(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        command = ["git", *identity, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert edition.current_ref(tmp_path) == ""
    git("commit", "-q", "--allow-empty", "-m", "a")
    assert edition.current_ref(tmp_path) == git("rev-parse", "HEAD")
    git("tag", "v1.0")
    assert edition.current_ref(tmp_path) == "v1.0"
    git("commit", "-q", "--allow-empty", "-m", "b")
    assert edition.current_ref(tmp_path) == git("rev-parse", "HEAD")


def test_the_command_reports_what_it_wrote_or_why_not(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(edition, "ROOT", root)
    monkeypatch.setenv("COURSE_REPOSITORY", ADDRESS)
    assert edition.main([str(tmp_path / "out"), "--ref", "v2"]) == 0
    said = capsys.readouterr().out
    assert f"2 chapters and 0 assignments in {tmp_path / 'out'} (installing from" in said
    assert f"{ADDRESS} at v2)" in said
    assert json.loads((tmp_path / "out" / "edition.json").read_text())["ref"] == "v2"
    assert edition.main([str(tmp_path / "none"), "--repository", "", "--ref", "v2"]) == 0
    assert "no address set" in capsys.readouterr().out
    write_chapter(root, "03_third", [new_markdown_cell("{ref}`a`")])
    assert edition.main([str(tmp_path / "other"), "--ref", "v2"]) == 1
    assert "03_third.ipynb, cell 1: '{ref}`a`': unknown role" in capsys.readouterr().err


# --- in a plain viewer


def chapters_or_sample(root):
    """The book's own chapters, as far as they have been run, and the sample."""
    own = sorted((ROOT / "chapters").glob("*.ipynb"))
    return [(Book(ROOT, ADDRESS, "v1"), path) for path in own] + [
        (Book(root, ADDRESS, "v1"), root / "chapters" / "01_first.ipynb")
    ]


def test_nothing_raw_shows_in_a_plain_viewer(root):
    """nbconvert knows nothing of MyST: whatever is left of it would be text on its page."""
    from html.parser import HTMLParser

    from nbconvert import HTMLExporter

    class Visible(HTMLParser):
        """Collects the text outside code, scripts and styles."""

        def __init__(self):
            super().__init__()
            self.text, self.skipped = [], 0

        def handle_starttag(self, tag, attrs):
            self.skipped += tag in ("code", "pre", "script", "style")

        def handle_endtag(self, tag):
            self.skipped -= tag in ("code", "pre", "script", "style")

        def handle_data(self, data):
            if not self.skipped:
                self.text.append(data)

    exporter = HTMLExporter()
    for book, path in chapters_or_sample(root):
        notebook = edition.convert(path, book)
        # Code and outputs are not looked at, and take nearly all of the time.
        notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        page, _ = exporter.from_notebook_node(notebook)
        visible = Visible()
        visible.feed(page)
        text = "".join(visible.text)
        # A formula may hold {pad}; none holds the name of a role.
        raw = re.findall(r":::|\{(?:glue|cite|doc|ref)\b|</?(?:details|summary)|papermill", text)
        assert not raw, f"{path.name}: {raw}"
        assert "The first" in text or path.parent.parent == ROOT
