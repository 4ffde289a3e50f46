"""The Sphinx lines that this book needs beyond Jupyter Book.

- Buttons: the repository's address is one setting (`tools.site.repository`). With it, every
  chapter gets a Colab button that opens its notebook edition, and every page the buttons of the
  repository; without it there is no button, because a broken one is worse than none.
- Results: the ``results``, ``conditions`` and ``times`` directives and the ``ledger`` role read
  ``results.json``, the ledger of the full runs. What the ledger does not hold is an error.
- Descriptions: every page gets a ``<meta name="description">``, from its front matter or from its
  first paragraph.
- Languages: what the tables and blocks say goes through `tools.languages.Words`, and the times of a
  translated book are those of the English one, whose folder ``course_source`` names.
- Scripts: those of Thebe, which Jupyter Book adds to every page and this book does not use, are
  dropped; they declare one name twice, which is an error in the browser's console.
- Formulas: MathJax comes from the lock and lies in the site, which asks no other host for anything.
"""

import hashlib
import html
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.fileutil import copy_asset

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tools.languages import FILE, Words, language, mark, words  # noqa: E402
from tools.translation.comments import width  # noqa: E402
from tools.translation.interface import ESTIMATE  # noqa: E402

#: The branch of the repository that holds the notebook edition of every chapter.
NOTEBOOK_BRANCH = "notebooks"
COLAB = "https://colab.research.google.com"

#: Search engines show about this many characters of a description; a Chinese one counts as two.
DESCRIPTION_LENGTH = 155
SHORT_DESCRIPTION = 60

#: The one script that reads the TeX of the pages; its fonts lie beside it.
MATHJAX = "tex-mml-chtml.js"

NOT_GIVEN = "–"
WORDS = Words()
NOT_MEASURED = mark("not measured")


# --- buttons -----------------------------------------------------------------------------


def button_options(address, folder=""):
    """
    Return the theme's options for the buttons that need the repository's address.

    Parameters
    ----------
    address : str
        The public address of the repository, or an empty string while it has none.
    folder : str
        Where the notebooks of the book's language lie in their branch.

    Returns
    -------
    dict
        Options of sphinx-book-theme; empty without an address. Colab opens notebooks from
        github.com only, so another host gets the repository's buttons and no Colab button.
    """
    if not address:
        return {}
    options = {
        "repository_url": address,
        "repository_branch": NOTEBOOK_BRANCH,
        "use_repository_button": True,
        "use_issues_button": True,
    }
    host = address.split("/")[2]
    if host == "github.com":
        options["launch_buttons"] = {"colab_url": COLAB}
        if folder:
            options["path_to_docs"] = folder
    else:
        # The theme knows a host by its name; what is not the two it knows works like GitHub.
        options["repository_provider"] = "gitlab" if "gitlab" in host else "github"
    return options


def configure_buttons(app, config):
    """Set the buttons as soon as the configuration is read."""
    from tools.site import repository

    folder = language(config.language).folder.rstrip("/")
    config.html_theme_options = {
        **config.html_theme_options, **button_options(repository(), folder)}


# --- the ledger --------------------------------------------------------------------------


class LedgerError(Exception):
    """A page asks for a value that the ledger does not hold."""


def read_ledger(path):
    """
    Read the ledger of the full runs.

    Parameters
    ----------
    path : path-like
        The file that ``make results`` writes.

    Returns
    -------
    dict
        Chapter stem -> name -> recorded value.

    Raises
    ------
    LedgerError
        When there is no such file.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LedgerError(
            f"there is no ledger {Path(path).name}: `make results` writes it"
        ) from None


def recorded(ledger, chapter, name):
    """
    Return one recorded value of one chapter.

    Parameters
    ----------
    ledger : dict
        What `read_ledger` returns.
    chapter, name : str
        The chapter's stem and the name that its notebook gave to `datasetslib.record`.

    Returns
    -------
    object
        The value, in plain Python types.

    Raises
    ------
    LedgerError
        When the chapter or the value is missing; the message names the key.
    """
    if chapter not in ledger:
        raise LedgerError(f"the ledger has no chapter {chapter!r}: run `make results`")
    if name not in ledger[chapter]:
        raise LedgerError(
            f"the ledger has no {name!r} for chapter {chapter!r}: record it in the chapter, "
            "then run `make results`"
        )
    return ledger[chapter][name]


def shown(value, form):
    """
    Return a value as a table shows it.

    Parameters
    ----------
    value : float, int, str or None
        None stands for "not given"; a string is shown as it is.
    form : str
        A format specification such as ``".4f"``.

    Examples
    --------
    >>> shown(0.98841, ".4f"), shown(3255914, ",d"), shown("217 to 317", ".0f"), shown(None, "")
    ('0.9884', '3,255,914', '217 to 317', '–')
    """
    if value is None:
        return NOT_GIVEN
    return value if isinstance(value, str) else format(value, form)


def difference(ours, stated, form):
    """
    Return ours minus stated, signed, as a table shows it.

    Examples
    --------
    >>> difference(0.9901, 0.9884, ".4f"), difference(0.97, 0.98, ".2f")
    ('+0.0017', '−0.01')
    >>> difference(0.98843, 0.9884, ".4f"), difference(3255914, 3255914, ",d")
    ('0.0000', '0')
    >>> difference(12.0, "217 to 317", ".0f")
    '–'
    """
    if not all(isinstance(value, int | float) for value in (ours, stated)):
        return NOT_GIVEN
    gap = format(ours - stated, f"+{form}")
    # What rounds to nothing has no sign.
    return gap.replace("-", "−") if any(digit in gap for digit in "123456789") else gap[1:]


def spread(values, form, tr=WORDS):
    """
    Return how far the runs of several seeds lie apart.

    Parameters
    ----------
    values : list of float
        One value for each seed.
    form : str
        The format specification of each.
    tr : tools.languages.Words

    Examples
    --------
    >>> spread([0.9901, 0.9895, 0.9907], ".4f")
    '0.9895 to 0.9907, 3 seeds'
    """
    return tr("{least} to {most}, {n} seeds", least=format(min(values), form),
              most=format(max(values), form), n=len(values))


def results_rows(ledger, stated, tr=WORDS):
    """
    Set the values stated elsewhere against ours.

    Parameters
    ----------
    ledger : dict
        What `read_ledger` returns.
    stated : dict
        One table of ``pages/stated.yml``: the chapter and its rows.
    tr : tools.languages.Words

    Returns
    -------
    list of list of str
        The cells, row by row, in the order of `RESULTS_HEAD`.
    """
    chapter = stated["chapter"]
    rows = []
    for row in stated["rows"]:
        form = row.get("format", ".4f")
        ours = recorded(ledger, chapter, row["record"])
        mean = tr(NOT_MEASURED) if ours is None else shown(ours, form)
        if "by_seed" in row:
            mean += "\n" + spread(recorded(ledger, chapter, row["by_seed"]), form, tr)
        rows.append([
            row["what"],
            shown(row.get("stated"), form),
            shown(row.get("original"), form),
            mean,
            difference(ours, row.get("stated"), form),
        ])
    return rows


RESULTS_HEAD = [mark("Quantity"), mark("Stated"), mark("Original notebook"), mark("Ours"),
                mark("Ours − stated")]
CONDITIONS_HEAD = [mark("Chapter"), mark("Data"), mark("Seconds"), mark("Machine and software"),
                   mark("Date")]


def conditions_rows(ledger, chapters, tr=WORDS):
    """
    Return under which conditions each chapter was run in full.

    Parameters
    ----------
    ledger : dict
        What `read_ledger` returns.
    chapters : list of str
        Chapter stems.
    tr : tools.languages.Words

    Returns
    -------
    list of list of str
        The cells, row by row, in the order of `CONDITIONS_HEAD`.
    """
    rows = []
    for chapter in chapters:
        found = recorded(ledger, chapter, "conditions")
        seconds = recorded(ledger, chapter, "seconds")
        software = [f"{title} {found[name]}" for name, title in (
            ("python", "Python"), ("numpy", "NumPy"), ("tensorflow", "TensorFlow"),
            ("keras", "Keras")) if name in found]
        rows.append([
            chapter,
            "; ".join(found["editions"]) or tr("none needed"),
            tr(NOT_MEASURED) if seconds is None else f"{seconds:,.0f}",
            "\n".join([
                tr("{device}, {n} threads", device=found["device"], n=found["threads"]),
                ", ".join(software), *(
                    tr("{n} training runs on {device}", n=of["runs"], device=where)
                    for where, of in found.get("elsewhere", {}).items())]),
            found["date"],
        ])
    return rows


TIMES_HEAD = [mark("Chapter"), mark("Words"), mark("To read them (counted)"),
              mark("To read and try out (estimated)"), mark("To compute everything (measured)")]
#: Words a minute of text that has formulas and code in it. A choice: the page says so.
READING_RATE = 130


def running_words(texts):
    r"""
    Count the words of a chapter up to its exercises; a formula or a piece of code counts as one.

    Parameters
    ----------
    texts : list of str
        The text cells, in order.

    Returns
    -------
    int

    Examples
    --------
    >>> running_words(["# One word\n\nof $a + b$ or `x = 1`:", "## Exercises\n\n**1.** not it"])
    6
    """
    text = "\n".join(texts).split("\n## Exercises")[0].removeprefix("## Exercises")
    text = re.sub(r"^```.*?^```", "x", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^:::.*$|^\|[-|: ]+\|$", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?:\{[\w:]+\})?(`+).+?\1|\$\$.+?\$\$|\$[^$]+\$", "x", text, flags=re.DOTALL)
    return len(re.findall(r"\w[\w'’.,-]*", text))


def times_rows(ledger, texts, tr=WORDS):
    """
    Return how long each chapter takes: to read, to work through, to compute.

    Parameters
    ----------
    ledger : dict
        What `read_ledger` returns.
    texts : dict
        Chapter stem -> its text cells, in English.
    tr : tools.languages.Words

    Returns
    -------
    list of list of str
        The cells, row by row, in the order of `TIMES_HEAD`.
    """
    rows = []
    for chapter, cells in texts.items():
        seconds = recorded(ledger, chapter, "seconds")
        count = running_words(cells)
        if not (estimate := ESTIMATE.search("\n".join(cells))):
            raise LedgerError(f"{chapter} does not say how long it takes to read and to try out")
        computing = tr(NOT_MEASURED) if seconds is None else (
            tr("{n:.0f} s", n=seconds) if seconds < 60 else tr("{n:.0f} min", n=seconds / 60))
        rows.append([chapter, f"{count:,}", tr("{n:.0f} min", n=count / READING_RATE),
                     tr(" ".join(estimate[1].split())), computing])
    return rows


def build_table(head, rows, classes, links=False):
    """
    Build a docutils table whose first column holds the row headings.

    Parameters
    ----------
    head : list of str
        Column headings.
    rows : list of list of str
        Cells, row by row; each line of a cell becomes a paragraph.
    classes : list of str
        CSS classes of the table.
    links : bool
        Whether the first cell of a row is a chapter's stem, to be shown as a link to it.

    Returns
    -------
    docutils.nodes.table
    """
    from sphinx.addnodes import pending_xref

    table = nodes.table(classes=classes)
    group = nodes.tgroup(cols=len(head))
    table += group
    for column in range(len(head)):
        group += nodes.colspec(colwidth=1, stub=int(column == 0))

    def line(cells, first):
        row = nodes.row()
        for column, cell in enumerate(cells):
            entry = nodes.entry()
            if first and links and column == 0:
                link = pending_xref(
                    "", nodes.inline("", cell), refdomain="std", reftype="doc", refexplicit=False,
                    reftarget=f"/chapters/{cell}", refwarn=True)
                entry += nodes.paragraph("", "", link)
            else:
                entry += [nodes.paragraph("", text) for text in cell.split("\n")]
            row += entry
        return row

    group += nodes.thead("", line(head, first=False))
    group += nodes.tbody("", *(line(cells, first=True) for cells in rows))
    return table


class _LedgerDirective(SphinxDirective):
    """What the two directives share: the ledger's file, and its errors as Sphinx's."""

    @property
    def tr(self):
        """What the tables say, in the language of the book."""
        return words(self.env.srcdir)

    def head(self, names):
        """Return the headings of the columns."""
        return [self.tr(name) for name in names]

    def ledger(self):
        """Read the ledger, and have the page built again when it changes."""
        path = Path(self.env.srcdir) / self.config.course_ledger
        self.env.note_dependency(str(path))
        return read_ledger(path)

    def run(self):
        try:
            return [self.table()]
        except LedgerError as error:
            raise self.error(str(error)) from None


class Results(_LedgerDirective):
    """``results``: one table of ``pages/stated.yml`` against the ledger. Argument: its name."""

    required_arguments = 1

    def table(self):
        """Build the table."""
        path = Path(self.env.srcdir) / "pages" / "stated.yml"
        self.env.note_dependency(str(path))
        tables = yaml.safe_load(path.read_text(encoding="utf-8"))
        name = self.arguments[0]
        if name not in tables:
            raise LedgerError(f"pages/stated.yml has no table {name!r}")
        rows = results_rows(self.ledger(), tables[name], self.tr)
        return build_table(self.head(RESULTS_HEAD), rows, ["course-results"])


class Conditions(_LedgerDirective):
    """``conditions``: how the chapters named in the content, one a line, were run in full."""

    has_content = True

    def table(self):
        """Build the table."""
        chapters = [line.strip() for line in self.content if line.strip()]
        rows = conditions_rows(self.ledger(), chapters, self.tr)
        return build_table(self.head(CONDITIONS_HEAD), rows, ["course-conditions"], links=True)


class Times(_LedgerDirective):
    """``times``: how long the chapters named in the content, one a line, take."""

    has_content = True

    def table(self):
        """Build the table."""
        texts = {}
        for stem in (line.strip() for line in self.content if line.strip()):
            path = Path(self.env.srcdir, self.config.course_source, "chapters", f"{stem}.ipynb")
            self.env.note_dependency(str(path))
            if not path.is_file():
                raise LedgerError(f"there is no notebook {stem} whose words could be counted")
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            texts[stem] = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
        rows = times_rows(self.ledger(), texts, self.tr)
        return build_table(self.head(TIMES_HEAD), rows, ["course-conditions"], links=True)


class LedgerRole(SphinxRole):
    """``{ledger}`chapter name format```: one value of the ledger, in a sentence."""

    def run(self):
        """Return the formatted value."""
        path = Path(self.env.srcdir) / self.config.course_ledger
        self.env.note_dependency(str(path))
        try:
            chapter, name, *form = self.text.split()
            value = recorded(read_ledger(path), chapter, name)
        except (LedgerError, ValueError) as error:
            message = self.inliner.reporter.error(f"ledger: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        text = words(self.env.srcdir)(NOT_MEASURED) if value is None else shown(
            value, form[0] if form else "")
        return [nodes.Text(text)], []


# --- descriptions ------------------------------------------------------------------------


def shorten(text, length=DESCRIPTION_LENGTH):
    """
    Cut a text at a word, with an ellipsis, where it is longer than `length` characters.

    A Chinese character counts as two, and is a word.

    Examples
    --------
    >>> shorten("one two three", 8), shorten("one two", 8)
    ('one two…', 'one two')
    >>> shorten("卷积核在图像上滑动", 12)
    '卷积核在图…'
    """
    text = " ".join(text.split())
    if width(text) <= length:
        return text
    kept = ""
    for word in re.findall(r"[^\s\u2e80-\u9fff\uff00-\uffef]+\s*|.\s*", text):
        if width((kept + word).rstrip()) >= length:
            break
        kept += word
    return kept.rstrip(" ,;:.，；：。、") + "…"


def description(doctree, metadata):
    """
    Return what a search engine may show of a page.

    Parameters
    ----------
    doctree : docutils.nodes.document
        The page.
    metadata : dict
        Its front matter.

    Returns
    -------
    str
        The front matter's ``description``, else the first paragraph of the running text, behind
        the title where it is short (a chapter's question alone may say little), else an empty
        string.
    """
    if metadata.get("description"):
        return shorten(metadata["description"])
    for paragraph in doctree.findall(nodes.paragraph):
        # Not the paragraphs of notes, lists and tables: a section's own.
        if isinstance(paragraph.parent, nodes.section) and paragraph.astext().strip():
            text, title = paragraph.astext(), next(doctree.findall(nodes.title)).astext()
            short = width(text) < SHORT_DESCRIPTION
            colon = "：" if width(title) > len(title) else ": "
            return shorten(f"{title}{colon}{text}" if short else text)
    return ""


def add_description(app, pagename, templatename, context, doctree):
    """Put the page's description into its head."""
    if doctree is None:
        return
    text = description(doctree, app.env.metadata[pagename])
    if text and 'name="description"' not in context.get("metatags", ""):
        context["metatags"] = (
            context.get("metatags", "")
            + f'\n<meta name="description" content="{html.escape(text)}">'
        )


# --- search and downloads ---


#: A page that was opened from a file may not read others: no summaries below what search finds.
SUMMARIES = ("SHOW_SEARCH_SUMMARY: true", 'SHOW_SEARCH_SUMMARY: location.protocol !== "file:"')
#: Browsers show a notebook as raw text in a new tab unless the link says that it is a download.
NOTEBOOK_LINK = re.compile(r'(<a href="[^"]+\.ipynb") target="_blank"')


def search_files(app, error):
    """Keep search free of errors where the book is opened from files."""
    if error is None and app.builder.format == "html":
        path = Path(app.outdir, "_static", "documentation_options.js")
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(*SUMMARIES), encoding="utf-8")


def download_notebooks(app, error):
    """Have the browser save a notebook when its button is pressed."""
    if error is None and app.builder.format == "html":
        for path in Path(app.outdir, "chapters").glob("*.html"):
            text = path.read_text(encoding="utf-8")
            changed = NOTEBOOK_LINK.sub(r"\1 download", text)
            if changed != text:
                path.write_text(changed, encoding="utf-8")


# --- scripts and files -------------------------------------------------------------------


def drop_thebe(app, pagename, templatename, context, doctree):
    """Drop Thebe's scripts from the page, and its style sheet."""
    for kind in ("script_files", "css_files"):
        context[kind] = [
            file for file in context[kind]
            if "thebe" not in f"{file.filename} {file.attributes.get('body', '')}".lower()
        ]


def mathjax_folder():
    """Return the folder of the MathJax that the lock installed."""
    return Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"


def copy_mathjax(app, error):
    """Give the site its own MathJax and fonts: formulas need no other host and no network.

    The package can register itself, but would copy 24 MB where 2.7 MB are used.
    """
    if error is None and app.builder.format == "html":
        source, target = mathjax_folder(), Path(app.outdir) / "_static" / "mathjax"
        for name in (MATHJAX, "output/chtml/fonts/woff-v2"):
            copy_asset(source / name, (target / name).parent if name == MATHJAX else target / name)


def digest(paths):
    """Return one digest of the files among `paths`."""
    files = sorted(path for path in paths if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def setup(app):
    """Register everything with Sphinx."""
    app.add_config_value("course_source", ".", "env", [str])
    app.add_config_value("course_ledger", "results.json", "env", [str])
    # Sphinx builds pages again when a setting changes, not when an extension, a style sheet or what
    # the tools say does: make settings of them.
    parts = [*(ROOT / "_ext").glob("*.*"), *(ROOT / "_ext" / "templates").glob("*.html"),
             Path(app.srcdir, FILE)]
    app.add_config_value("course_extension", digest(parts), "env", [str])
    app.add_config_value("course_assets", digest((ROOT / "assets").rglob("*")), "html", [str])
    app.connect("config-inited", configure_buttons)
    app.config.mathjax_path = f"mathjax/{MATHJAX}"
    app.connect("build-finished", copy_mathjax)
    app.connect("html-page-context", add_description)
    app.connect("build-finished", search_files)
    app.connect("build-finished", download_notebooks)
    # After every extension has added its files.
    app.connect("html-page-context", drop_thebe, priority=900)
    app.add_directive("results", Results)
    app.add_directive("conditions", Conditions)
    app.add_directive("times", Times)
    app.add_role("ledger", LedgerRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
