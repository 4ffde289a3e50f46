"""Generate the notebook edition: chapters and assignments as plain notebooks.

A chapter is written once, in MyST, for the rendered book. A plain notebook viewer knows neither
its directives nor its roles, so this tool rewrites them: admonitions become titled block quotes,
drop-downs become ``<details>``, explorers a description with a link to the book, quoted values are
filled in from the notebook's own records, citations and cross-references become links, and a setup
cell on top installs ``datasetslib``.

The same pass is the vocabulary check. A chapter may use exactly what this tool can translate;
anything else raises `EditionError`, which names the notebook, the cell and the construct.

The student copies of the assignments are part of the edition: they are generated from their masters
(`tools.grading.student`) and committed nowhere. The Chinese edition lies beside the English one, in
the folder ``zh``: the same tool makes it of the translated source (`tools.translation.tree`).

Run it as ``python -m tools.notebook_edition OUT_FOLDER [--repository URL] [--ref REF]``.
"""

from __future__ import annotations

import argparse
import functools
import json
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import jupytext
import nbformat
import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from myst_nb.core.variables import format_plain_text
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from pybtex.database import BibliographyData, Entry, parse_file
from pybtex.richtext import Text

from datasetslib.recording import MIME_PREFIX
from tools.checks import TAGS
from tools.grading import definition, master, student
from tools.languages import CHINESE, ENGLISH, Words, mark, words
from tools.site import repository as configured_repository
from tools.translation import catalogue, tree
from tools.translation.messages import TranslationError

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "notebooks"
"""Branch on which the edition is published; the Colab button opens ``chapters/`` there."""
STAMP = "edition.json"
"""File that marks a folder as an edition, so that a later run may replace its contents."""

TITLES = {"note": mark("Note"), "tip": mark("Tip"), "important": mark("Important"),
          "warning": mark("Warning")}
OPTIONS = {
    **dict.fromkeys([*TITLES, "admonition"], {"class", "open"}),
    # All but `open` only decorate the rendered page; a plain viewer has its own looks.
    "dropdown": {"open", "icon", "color", "animate", "chevron"},
    "math": set(),
    "explorer": set(),
}
# Everything Markdown itself offers that every viewer shows. Raw HTML, footnotes, targets,
# comments, definition lists, substitutions and indented code are left out on purpose: each is
# shown raw, or differently, by some viewer.
TOKENS = {
    *"text text_special softbreak hardbreak code_inline math_inline math_inline_double".split(),
    *"inline fence colon_fence math_block amsmath hr myst_role image".split(),
    *(
        f"{name}_{side}"
        for name in "heading paragraph em strong link bullet_list ordered_list list_item "
        "blockquote table thead tbody tr th td".split()
        for side in ("open", "close")
    ),
}
ROLES = ("glue:text", "cite:p", "cite:t", "doc")

FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<mark>:{3,}|`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)")
DIRECTIVE = re.compile(r"\s*\{(?P<name>[^}\s]+)\}\s*(?P<title>.*?)\s*")
OPTION = re.compile(r"\s*:(?P<name>[\w-]+):\s*(?P<value>.*?)\s*")
# One alternative each for: an escaped character, a role or code span, display or inline maths.
INLINE = re.compile(
    r"\\."
    r"|(?:\{(?P<role>[\w:+.-]+)\})?(?<!`)(?P<ticks>`+)(?!`)(?P<body>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<math>\$\$(?:[^$\\]|\\.)+?\$\$|\$(?:[^$\\]|\\.)+?\$)",
    re.DOTALL,
)
TITLED_TARGET = re.compile(r"(?P<title>.+?)\s*<(?P<target>[^<>]+)>", re.DOTALL)


class EditionError(Exception):
    """A chapter cannot be turned into a plain notebook, or the edition cannot be written."""


@dataclass(frozen=True)
class Book:
    """What the conversion of one chapter needs to know about the book around it.

    Attributes
    ----------
    root : Path
        Folder of the book's source: ``chapters/``, ``pages/``, ``references.bib``.
    repository : str
        Public address of the repository without a trailing slash; empty when unknown, in
        which case nothing that would need it is written.
    ref : str
        Tag or commit that the edition is made from, which its setup cell installs.
    folder : str
        Where the book's language lies, in the edition and in the site: empty, or with a slash at
        its end.
    """

    root: Path
    repository: str = ""
    ref: str = ""
    folder: str = ""

    @property
    def tr(self) -> Words:
        """What the notebooks say besides their text, in the language of the source."""
        return words(self.root)

    @functools.cached_property
    def references(self) -> BibliographyData:
        """Bibliography of the book."""
        return parse_file(str(self.root / "references.bib"), bib_format="bibtex")

    @property
    def stems(self) -> list[str]:
        """Names of the chapters that have a notebook, in reading order."""
        return sorted(path.stem for path in (self.root / "chapters").glob("*.ipynb"))

    @property
    def assignments(self) -> list[str]:
        """Names of the assignments, in their order."""
        return definition.names(self.root / "assignments")

    def colab_url(self, stem: str, folder: str = "chapters") -> str:
        """Address at which Colab opens a notebook of the edition, or an empty string.

        Parameters
        ----------
        stem : str
            Name of the notebook, for instance ``"01_convolution"``.
        folder : str
            Where it lies in the edition.

        Returns
        -------
        str
            Empty unless the repository is on github.com, the one host Colab opens.
        """
        address = urlsplit(self.repository)
        if address.netloc != "github.com":
            return ""
        branch = f"{address.path.removesuffix('.git')}/blob/{BRANCH}"
        path = f"{branch}/{self.folder}{folder}/{stem}.ipynb"
        return f"https://colab.research.google.com/github{path}"

    def page_url(self, document: str) -> str:
        """Address of a page of the published book, or an empty string.

        Parameters
        ----------
        document : str
            Path of the source from the book's root, without its suffix: ``"pages/results"``.

        Returns
        -------
        str
            Empty unless the repository is on github.com, whose Pages serve the book.
        """
        address = urlsplit(self.repository)
        if address.netloc != "github.com":
            return ""
        owner, _, name = address.path.strip("/").removesuffix(".git").partition("/")
        site = f"{owner.lower()}.github.io"
        folder = "" if name.lower() == site else f"{name}/"
        return f"https://{site}/{folder}{self.folder}{document}.html"

    def source_of(self, document: str) -> Path | None:
        """Find the file behind a document of the book.

        Parameters
        ----------
        document : str
            Path from the book's root, without its suffix.

        Returns
        -------
        Path or None
            None when the book has no such document.
        """
        candidates = (self.root / f"{document}{suffix}" for suffix in (".ipynb", ".md", ".py"))
        return next((path for path in candidates if path.is_file()), None)

    def title_of(self, document: str) -> str:
        """Title of a document: its first level-one heading.

        Parameters
        ----------
        document : str
            Path from the book's root, without its suffix.

        Returns
        -------
        str
            The heading's text.

        Raises
        ------
        EditionError
            If there is no such document or it has no title.
        """
        path = self.source_of(document)
        if path is None:
            raise EditionError(f"{document}: the book has no such document")
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
        else:
            cells = jupytext.read(path).cells
            text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        heading = re.search(r"^# +(.+?)\s*$", text, re.MULTILINE)
        if heading is None:
            raise EditionError(f"{path.name}: no title (a line that starts with '# ')")
        return heading[1]


@dataclass(frozen=True)
class Place:
    """A Markdown cell being converted: where it is, and what it may refer to.

    Attributes
    ----------
    book : Book
        The book around the chapter.
    notebook : str
        The chapter's path from the book's root, for messages.
    cell : int
        Number of the cell, counted from 1.
    records : dict of str to str, or None
        Text of each recorded value. None checks the vocabulary alone: quoted values are neither
        required to exist nor filled in.
    """

    book: Book
    notebook: str
    cell: int
    records: dict[str, str] | None = field(repr=False)

    def error(self, construct: str, reason: str) -> EditionError:
        """Build the error for a construct that cannot be converted.

        Parameters
        ----------
        construct : str
            The construct as written.
        reason : str
            What is wrong with it, and what to write instead.

        Returns
        -------
        EditionError
            To be raised by the caller.
        """
        shown = " ".join(construct.split())
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return EditionError(f"{self.notebook}, cell {self.cell}: {shown!r}: {reason}")


# --------------------------------------------------------------------------- Markdown


@functools.cache
def _parser() -> MarkdownIt:
    """Parser that sees what the book's own sees, so that no construct goes by unnoticed."""
    extensions = {"amsmath", "colon_fence", "deflist", "dollarmath"}  # those of _config.yml
    return create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)


def _check_vocabulary(text: str, place: Place) -> None:
    """Raise unless `text` is made of the constructs every viewer shows, and ours."""
    lines = text.splitlines()
    reasons = {
        "html_block": "raw HTML; write Markdown or a directive",
        "html_inline": "raw HTML; write Markdown or a directive",
        "code_block": "an indented code block; use a fence of three backticks",
        "myst_target": "a target; link to a chapter or page with {doc}",
        "math_block_label": "a labelled equation; remove the label",
    }
    for block in _parser().parse(text):
        source = "\n".join(lines[slice(*block.map)]) if block.map else block.content
        for token in [block, *(block.children or [])]:
            construct = token.content or source
            if token.type not in TOKENS:
                name = token.type.removesuffix("_open").replace("_", " ")
                reason = reasons.get(token.type, f"{name}: not in the vocabulary of chapters")
                raise place.error(construct, reason)
            if token.type == "image":
                raise place.error(
                    token.attrs["src"], "an image file; draw the figure in a code cell"
                )
            href = str(token.attrs.get("href", ""))
            if token.type == "link_open" and urlsplit(href).scheme not in ("http", "https"):
                raise place.error(href, "a link within the book; use the {doc} role")
        # A formula broken by its line's first character, such as "- 3", ends as two lone dollars.
        shown = "".join(t.content for t in block.children or [] if t.type == "text")
        if shown.count("$") > block.content.count(r"\$"):
            raise place.error(
                source,
                "a dollar that is no formula's; keep a formula in one paragraph, put a displayed "
                "one on lines of its own, and escape a dollar that is meant",
            )


def convert_markdown(text: str, place: Place, depth: int = 0) -> str:
    """Rewrite MyST Markdown as Markdown that any notebook viewer shows.

    Parameters
    ----------
    text : str
        Source of a Markdown cell, or the content of a directive in it.
    place : Place
        Where the text stands; used for messages, records and links.
    depth : int
        How many directives enclose the text.

    Returns
    -------
    str
        The converted text.

    Raises
    ------
    EditionError
        If the text uses anything outside the vocabulary, quotes a value that was never recorded,
        cites an unknown work or refers to a missing document.
    """
    _check_vocabulary(text, place)
    lines = text.splitlines()
    done: list[str] = []
    prose: list[str] = []

    def flush() -> None:
        done.extend(_convert_inline("\n".join(prose), place).splitlines() if prose else [])
        prose.clear()

    position = 0
    while position < len(lines):
        fence = FENCE.fullmatch(lines[position])
        if fence is None:
            prose.append(lines[position])
            position += 1
            continue
        flush()
        indent, mark = fence["indent"], fence["mark"]
        closing = re.compile(rf"[ \t]*{mark[0]}{{{len(mark)},}}[ \t]*")
        end = position + 1
        while end < len(lines) and not closing.fullmatch(lines[end]):
            end += 1
        if end == len(lines):
            raise place.error(lines[position], "never closed")
        if DIRECTIVE.fullmatch(fence["info"]):
            body = [line.removeprefix(indent) for line in lines[position + 1 : end]]
            block = _convert_directive(lines[position], fence["info"], body, place, depth)
            if done and done[-1].strip():
                done.append("")
            done.extend((indent + line).rstrip() for line in block)
            if end + 1 < len(lines) and lines[end + 1].strip():
                done.append("")
        elif mark[0] == ":":
            raise place.error(lines[position], "a directive's name stands in braces: :::{note}")
        else:
            done.extend(lines[position : end + 1])
        position = end + 1
    flush()
    result = "\n".join(done)
    for block in _parser().parse(result):
        for token in [block, *(block.children or [])]:
            if token.type in ("colon_fence", "myst_role") or (
                token.type == "fence" and DIRECTIVE.fullmatch(token.info)
            ):
                raise place.error(
                    token.content or token.info, "cannot be converted where it stands; move it out"
                )
    return result


def _convert_directive(
    opening: str, info: str, body: list[str], place: Place, depth: int
) -> list[str]:
    """Convert one directive; returns the lines that replace it."""
    directive = DIRECTIVE.fullmatch(info)
    name, title = directive["name"], directive["title"]
    if name not in OPTIONS:
        known = ", ".join(OPTIONS)
        raise place.error(opening, f"unknown directive {name!r}; the vocabulary is {known}")
    if depth > 1:
        raise place.error(opening, "directives nest one level deep at most")
    options: dict[str, str] = {}
    while body and (option := OPTION.fullmatch(body[0])):
        if option["name"] not in OPTIONS[name]:
            raise place.error(body[0], f"unknown option of {name!r}")
        options[option["name"]] = option["value"]
        body = body[1:]
    if name == "explorer":
        return _convert_explorer(opening, title, body, place, depth)
    if name == "math":
        return ["$$", *(line for line in [title, *body] if line.strip()), "$$"]
    if name in TITLES:
        # Like docutils: text on the opening line of these is the beginning of the content.
        body = [title, "", *body] if title else body
        title = place.book.tr(TITLES[name])
    elif not title:
        raise place.error(opening, "needs a title")
    title = _convert_inline(title, place)
    content = convert_markdown("\n".join(body).strip("\n"), place, depth + 1)
    if name == "dropdown" or "dropdown" in options.get("class", "").split():
        opened = "<details open>" if "open" in options else "<details>"
        # Markdown is not read inside the summary element, so the title is rendered here.
        summary = MarkdownIt("commonmark", {"html": False}).renderInline(title)
        return [
            f"{opened}<summary><b>{summary}</b></summary>",
            "",
            *content.splitlines(),
            "",
            "</details>",
        ]
    lines = _join_display_maths(content, place).splitlines()
    return [f"> **{title}**", ">", *(f"> {line}".rstrip() for line in lines)]


def _convert_explorer(
    opening: str, name: str, body: list[str], place: Place, depth: int
) -> list[str]:
    """Describe an explorer, which needs the book's scripts, and say where it can be played with."""
    if not re.fullmatch(r"[a-z]+", name):
        raise place.error(opening, "name one explorer after the braces: :::{explorer} convolution")
    if depth:
        raise place.error(opening, "an explorer stands in no other directive; move it out")
    content = convert_markdown("\n".join(body).strip("\n"), place, depth + 1)
    if not content.strip():
        raise place.error(opening, "describe below the opening line what the explorer shows")
    page = place.book.page_url(place.notebook.rpartition(".")[0])
    tr = place.book.tr
    link = tr("Open the explorer in the book")
    if page:
        link = f"[{link}]({page}#explorer-{name})"
    return [f"> **{tr('Explorer: {name}', name=name)}**", ">",
            *(f"> {line}".rstrip() for line in _join_display_maths(content, place).splitlines()),
            ">", f"> {tr('{link}.', link=link)}"]


def _join_display_maths(text: str, place: Place) -> str:
    """Put each displayed formula on one line.

    Jupyter lifts formulas out before it reads the Markdown, so inside a block quote a formula of
    several lines would keep the quote's markers in it.
    """

    def join(match: re.Match[str]) -> str:
        formula = match["math"]
        if not formula or "\n" not in formula:
            return match[0]
        if re.search(r"(?<!\\)%", formula):
            raise place.error(formula, "a TeX comment inside an admonition; remove it")
        return "$$" + " ".join(formula.strip("$").split()) + "$$"

    return "\n\n".join(INLINE.sub(join, paragraph) for paragraph in text.split("\n\n"))


def _convert_inline(text: str, place: Place) -> str:
    """Replace the roles in prose; code, maths and escapes stay as they are."""

    def replace(match: re.Match[str]) -> str:
        if match["math"] and re.search(r"\{[\w:]+\}`", match["math"]):
            raise place.error(match[0], "a role inside maths; escape a literal dollar as \\$")
        role, body = match["role"], match["body"]
        if role is None:
            return match[0]
        if role == "glue:text":
            return _quote_value(match[0], body, place)
        if role in ("cite:p", "cite:t"):
            return _cite(match[0], role, body, place)
        if role == "doc":
            return _link_document(match[0], body, place)
        raise place.error(match[0], f"unknown role; the vocabulary is {', '.join(ROLES)}")

    # Neither a code span nor a formula crosses a blank line, whatever its characters suggest.
    return "".join(INLINE.sub(replace, part) for part in re.split(r"(\n[ \t]*\n)", text))


def _quote_value(construct: str, body: str, place: Place) -> str:
    """Format a recorded value exactly as myst-nb's ``glue:text`` does."""
    name, _, spec = body.strip().partition(":")
    if not name.isidentifier():
        raise place.error(construct, "quote a value this notebook records, by its name")
    if place.records is None:
        return name
    if name not in place.records:
        known = ", ".join(sorted(place.records)) or "nothing"
        raise place.error(
            construct, f"no value named {name!r} in the stored outputs, which record {known}"
        )
    try:
        value = format_plain_text(place.records[name], spec or "s")
    except (TypeError, ValueError) as cause:
        reason = f"{place.records[name]!r} cannot be so formatted: {cause}"
        raise place.error(construct, reason) from cause
    return re.sub(r"([\\`*_|<>\[\]$])", r"\\\1", value)


def _cite(construct: str, role: str, body: str, place: Place) -> str:
    """Turn a citation into links named by author and year."""
    links = []
    for key in (part.strip() for part in body.split(",")):
        entries = place.book.references.entries
        if key not in entries:
            raise place.error(construct, f"no entry {key!r} in references.bib")
        entry = entries[key]
        authors, year = _authors(entry), entry.fields.get("year", "n.d.")
        label = f"{authors} ({year})" if role == "cite:t" else f"{authors}, {year}"
        url = _address(entry)
        links.append(f"[{label}]({url})" if url else label)
    return ", ".join(links) if role == "cite:t" else f"({'; '.join(links)})"


def _authors(entry: Entry) -> str:
    """Name the authors as a sentence does: one, two, or the first 'et al.'."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [
        " ".join(str(part) for part in [*person.rich_prelast_names, *person.rich_last_names])
        for person in people
    ]
    if not names:
        return str(Text.from_latex(entry.fields.get("organization") or entry.fields["title"]))
    if len(names) == 2 and names[1] != "others":  # BibTeX's own "et al."
        return f"{names[0]} and {names[1]}"
    return names[0] if len(names) == 1 else f"{names[0]} et al."


def _address(entry: Entry) -> str:
    """Where a work can be read: its DOI, else its URL, else its arXiv page, else nothing."""
    fields = entry.fields
    if "doi" in fields:
        url = "https://doi.org/" + re.sub(r"^https?://(dx\.)?doi\.org/", "", fields["doi"])
    elif "url" in fields:
        url = fields["url"]
    elif fields.get("archiveprefix", "").lower() == "arxiv":
        url = f"https://arxiv.org/abs/{fields['eprint']}"
    elif quoted := re.search(r"\\url\{([^}]+)\}", fields.get("howpublished", "")):
        url = quoted[1]
    else:
        return ""
    # BibTeX files escape these for TeX; parentheses would end the Markdown link early.
    url = re.sub(r"\\([_%#&~])", r"\1", url)
    return url.replace("(", "%28").replace(")", "%29")


def _link_document(construct: str, body: str, place: Place) -> str:
    """Link to a sibling notebook, or to a page of the published book when it has an address."""
    titled = TITLED_TARGET.fullmatch(body.strip())
    target = titled["target"] if titled else body.strip()
    folder = posixpath.dirname(place.notebook)
    document = posixpath.normpath(posixpath.join(folder, target))
    if target.startswith("/"):
        document = target.lstrip("/")
    if place.book.source_of(document) is None:
        raise place.error(construct, f"the book has no document {document!r}")
    title = titled["title"] if titled else place.book.title_of(document)
    if posixpath.dirname(document) == folder:
        return f"[{title}]({posixpath.basename(document)}.ipynb)"
    url = place.book.page_url(document)
    return f"[{title}]({url})" if url else title


# --------------------------------------------------------------------------- notebooks


def read_records(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Collect the values that a notebook recorded, from its stored outputs.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        A chapter with stored outputs.

    Returns
    -------
    dict of str to str
        The stored text of each value, by name.
    """
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = output.get("data", {}).get(f"{MIME_PREFIX}text/plain")
            if name and text is not None:
                found[name] = text
    return found


def check_vocabulary(path: Path, book: Book) -> None:
    """Check that a chapter can be converted, whether or not it has been run.

    Parameters
    ----------
    path : Path
        A chapter, as ``.py`` or ``.ipynb``.
    book : Book
        The book around it.

    Raises
    ------
    EditionError
        If the chapter uses anything outside the vocabulary.
    """
    _convert_cells(jupytext.read(path), path.name, book, records=None)


def convert(path: Path, book: Book) -> nbformat.NotebookNode:
    """Make the notebook edition of one chapter.

    Parameters
    ----------
    path : Path
        The chapter's ``.ipynb`` with its stored outputs.
    book : Book
        The book around it.

    Returns
    -------
    nbformat.NotebookNode
        A self-contained notebook: plain Markdown, stored outputs without the invisible records,
        a setup cell on top.

    Raises
    ------
    EditionError
        If the chapter uses anything outside the vocabulary, or quotes a value it never recorded.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = _convert_cells(notebook, path.name, book, read_records(notebook))
    edition = nbformat.v4.new_notebook(
        cells=[*_setup_cells(path.stem, book, _extras(cells)), *cells],
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "colab": {"provenance": [], "toc_visible": True},
        },
    )
    for number, cell in enumerate(edition.cells):
        # nbformat draws ids at random; two runs must give the same bytes.
        cell["id"] = f"cell-{number:03d}"
    nbformat.validate(edition)
    return edition


def _convert_cells(
    notebook: nbformat.NotebookNode, name: str, book: Book, records: dict[str, str] | None
) -> list[nbformat.NotebookNode]:
    """Convert all cells of a chapter; `records` None checks the vocabulary alone."""
    cells = []
    for number, cell in enumerate(notebook.cells, start=1):
        place = Place(book, f"chapters/{name}", number, records)
        tags = cell.metadata.get("tags", [])
        for tag in tags:
            if tag not in TAGS:
                raise place.error(tag, f"unknown cell tag; the vocabulary is {sorted(TAGS)}")
        if cell.cell_type == "markdown":
            new = nbformat.v4.new_markdown_cell(convert_markdown(cell.source, place))
        elif cell.cell_type == "code":
            new = nbformat.v4.new_code_cell(
                cell.source,
                execution_count=cell.get("execution_count"),
                outputs=[
                    shown
                    for output in cell.get("outputs", [])
                    if (shown := _without_records(output)) is not None
                ],
            )
        else:
            raise place.error(cell.source, f"a {cell.cell_type} cell; use Markdown or code")
        new["metadata"] = _cell_metadata(cell, tags)
        cells.append(new)
    return cells


def _without_records(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """Drop what is only meant for the book: plain viewers would show a record as raw JSON."""
    if "data" not in output:
        return output
    data = {kind: value for kind, value in output.data.items() if MIME_PREFIX not in kind}
    if not data:
        return None
    metadata = {key: value for key, value in output.metadata.items() if key != "scrapbook"}
    return nbformat.NotebookNode({**output, "data": data, "metadata": metadata})


def _cell_metadata(cell: nbformat.NotebookNode, tags: list[str]) -> dict:
    """Translate what the book's theme does with a cell into what notebook programs read."""
    metadata: dict = {"tags": list(tags)} if tags else {}
    hide_input = "hide-input" in tags or "hide-cell" in tags
    hide_output = "hide-output" in tags or "hide-cell" in tags
    if hide_input:
        metadata["cellView"] = "form"  # Colab
    hidden = {"source_hidden": hide_input, "outputs_hidden": hide_output}  # Jupyter
    if any(hidden.values()):
        metadata["jupyter"] = {key: value for key, value in hidden.items() if value}
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    if alt:
        metadata["alt"] = alt  # nbconvert gives it to a cell's images
    return metadata


def _extras(cells: list[nbformat.NotebookNode]) -> str:
    """Extras of datasetslib that some cells need, in brackets: ``"[search]"``, or nothing."""
    with open(Path(__file__).parents[1] / "pyproject.toml", "rb") as file:
        offered = tomllib.load(file)["project"]["optional-dependencies"]
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    imported = set(re.findall(r"^ *(?:import|from) +(\w+)", code, re.MULTILINE))
    needed = [extra for extra, packages in sorted(offered.items())
              if imported & {re.match(r"\w+", package)[0] for package in packages}]
    return f"[{','.join(needed)}]" if needed else ""


def _setup_cells(stem: str, book: Book, extras: str) -> list[nbformat.NotebookNode]:
    """Cells on top of each notebook: where it comes from, and what it needs installed."""
    tr = book.tr
    quote = '"' if extras else ""  # for shells to which brackets mean something
    if not book.repository:
        text = "\n\n".join([
            tr("**Before you start.** This notebook imports the course's small helper package, "
               "`datasetslib`. Install it once, from a clone of the course's repository, into the "
               "environment that runs this notebook:"),
            f"```\npython -m pip install {quote}{tr('path/to/the/clone')}{extras}{quote}\n```",
            tr("It needs no particular version of NumPy, Matplotlib, Keras or TensorFlow, "
               "and leaves those you have as they are.")])
        return [nbformat.v4.new_markdown_cell(text)]
    links = [
        f"[{label}]({url})"
        for label, url in (
            (tr("Open in Colab"), book.colab_url(stem)),
            (tr("Read this chapter in the book"), book.page_url(f"chapters/{stem}")),
            (tr("Source"), book.repository),
        )
        if url
    ]
    text = f"{' · '.join(links)}\n\n" + tr(
        "**Before you start.** Run the next cell once. It installs `datasetslib`, the course's "
        "small helper package, in the version this notebook was made with. The NumPy, Matplotlib, "
        "Keras and TensorFlow you have stay as they are.")
    source = f'%pip install -q "datasetslib{extras} @ git+{book.repository}@{book.ref}"'
    return [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell(source)]


# --------------------------------------------------------------------------- the edition


def build(out: Path, book: Book, beside: str = "") -> list[Path]:
    """Write the notebook edition of all chapters, and the student copies of all assignments.

    Parameters
    ----------
    out : Path
        Folder to write: new, empty, or an earlier edition, which is replaced.
    book : Book
        The book.
    beside : str
        A link to the edition in the other language, for the contents page.

    Returns
    -------
    list of Path
        The notebooks written, the chapters first.

    Raises
    ------
    EditionError
        If a chapter cannot be converted, an assignment is not in order, or `out` holds something
        else. Nothing is written then.
    """
    if out.exists() and any(out.iterdir()) and not (out / STAMP).is_file():
        raise EditionError(f"{out} holds files that are no notebook edition; name another folder")
    if not book.stems:
        raise EditionError(f"no notebooks in {book.root / 'chapters'}; run `make results` first")
    if book.repository and not book.ref:
        raise EditionError("an address needs a tag or commit to install from; pass --ref")
    editions = {
        stem: convert(book.root / "chapters" / f"{stem}.ipynb", book) for stem in book.stems
    }
    written = []
    with tempfile.TemporaryDirectory() as copies:
        titles = _student_copies(book, Path(copies))
        index = _index(book, titles, beside)
        for folder in ("chapters", "assignments"):
            shutil.rmtree(out / folder, ignore_errors=True)
        (out / "chapters").mkdir(parents=True)
        if titles:
            shutil.copytree(copies, out / "assignments")
    for stem, notebook in editions.items():
        written.append(out / "chapters" / f"{stem}.ipynb")
        nbformat.write(notebook, written[-1])
    written += [out / "assignments" / name / f"{name}.ipynb" for name in titles]
    (out / "README.md").write_text(index, encoding="utf-8")
    stamp = {"repository": book.repository, "ref": book.ref}
    (out / STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    return written


def _student_copies(book: Book, folder: Path) -> dict[str, str]:
    """Write what students get of each assignment; returns the title of each."""
    titles = {}
    for name in book.assignments:
        try:
            assignment = definition.load(name, book.root / "assignments")
            notebook = nbformat.read(student.publish(assignment, folder / name)[0], as_version=4)
        except (definition.DefinitionError, master.MasterError) as error:
            raise EditionError(f"assignments/{error}; see `make assignments`") from None
        heading = re.match(r"# +(.+)", notebook.cells[0].source)
        if heading is None:
            raise EditionError(f"assignments/{name}/master.py: no title (a line '# ...' on top)")
        titles[name] = heading[1].strip()
    return titles


def _index(book: Book, assignments: dict[str, str], beside: str) -> str:
    """Contents page of the branch that holds the edition."""
    config = yaml.safe_load((book.root / "_config.yml").read_text(encoding="utf-8"))
    tr = book.tr
    lines = [
        f"# {tr('{title}: the notebooks', title=config['title'])}",
        "",
        *([beside, ""] if beside else []),
        tr("Each notebook is self-contained: open it in Colab, Jupyter or any other notebook "
           "program."),
        tr("These files are generated from the chapters of the book; do not edit them here."),
        "",
    ]
    if book.repository:
        lines += [tr("Made from [the course's repository]({address}) at `{ref}`.",
                     address=book.repository, ref=book.ref), ""]
    columns = [tr("Notebook")]
    if book.colab_url(""):
        columns += ["Colab", tr("Book")]
    lines += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for stem in book.stems:
        row = [f"[{book.title_of(f'chapters/{stem}')}](chapters/{stem}.ipynb)"]
        if book.colab_url(stem):
            row += [
                f"[{tr('open')}]({book.colab_url(stem)})",
                f"[{tr('read')}]({book.page_url(f'chapters/{stem}')})",
            ]
        lines.append(f"| {' | '.join(row)} |")
    if assignments:
        lines += ["", f"## {tr('Assignments')}", "",
                  tr("Their checks are in the notebooks; the grader of your course asks for more."),
                  ""]
        columns = [tr("Assignment"), *(["Colab"] if book.colab_url("") else [])]
        lines += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name, title in assignments.items():
        row = [f"[{title}](assignments/{name}/{name}.ipynb)"]
        if address := book.colab_url(name, f"assignments/{name}"):
            row.append(f"[{tr('open')}]({address})")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def build_all(out: Path, book: Book, draft: bool = False) -> list[Path]:
    """Write the edition in both languages: the English one, and the Chinese one in a folder of it.

    A book that has no translations has the English one alone.

    Parameters
    ----------
    out : Path
        As for `build`.
    book : Book
        The English book.
    draft : bool
        Whether English may stay where there is no translation.

    Returns
    -------
    list of Path
        The notebooks written, the English ones first.

    Raises
    ------
    EditionError
        As for `build`, or if a translation is missing. Nothing is written in the latter case.
    """
    if not (book.root / catalogue.FOLDER).is_dir():
        return build(out, book)
    with tempfile.TemporaryDirectory() as folder:
        try:
            translated = tree.write(book.root, Path(folder) / "source", draft)
        except TranslationError as error:
            raise EditionError(f"{error}") from None
        folder = CHINESE.folder
        written = build(out, book, f"[{CHINESE.name}]({folder}README.md)")
        chinese = replace(book, root=translated, folder=folder)
        return written + build(out / folder, chinese, f"[{ENGLISH.name}](../README.md)")


def current_ref(root: Path) -> str:
    """Name the commit that is checked out: its tag if it has one, else its hash.

    Parameters
    ----------
    root : Path
        Working tree of a git repository.

    Returns
    -------
    str
        Empty when `root` is no git repository or has no commit.
    """
    for question in (["describe", "--tags", "--exact-match"], ["rev-parse", "--verify", "HEAD"]):
        answer = subprocess.run(
            ["git", "-C", str(root), *question], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0:
            return answer.stdout.strip()
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Write the notebook edition of this repository's chapters.

    Parameters
    ----------
    arguments : list of str, optional
        Command line without the program's name.

    Returns
    -------
    int
        Exit status: 1 when a chapter cannot be converted.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.notebook_edition", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--repository", help="public address (default: the project's setting)")
    parser.add_argument("--ref", help="tag or commit to install (default: what is checked out)")
    parser.add_argument("--draft", action="store_true",
                        help="leave English what is not translated yet")
    options = parser.parse_args(arguments)
    address = configured_repository() if options.repository is None else options.repository
    ref = current_ref(ROOT) if options.ref is None else options.ref
    book = Book(ROOT, address.rstrip("/"), ref)
    try:
        written = build_all(options.out, book, options.draft)
    except EditionError as error:
        print(f"notebook edition: {error}", file=sys.stderr)
        return 1
    where = f"installing from {book.repository} at {ref}" if book.repository else "no address set"
    chapters, found = len(book.stems), 1 + (options.out / CHINESE.folder).is_dir()
    print(f"notebook edition: {chapters} chapters and {len(written) // found - chapters} "
          f"assignments in {options.out} ({where}), in {found} language{'s' * (found > 1)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
