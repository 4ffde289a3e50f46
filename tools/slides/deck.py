"""A deck: one HTML file that holds its slides, figures, styles, script and formula setter."""

import base64
import html
import re
from importlib.util import find_spec
from pathlib import Path

import nbformat
from markdown_it.common.utils import escapeHtml
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from tools.notebook_edition import Book, convert
from tools.pairs import ROOT
from tools.slides import choose

HERE = Path(__file__).resolve().parent
STYLE = "a11y-high-contrast-light"
#: Draws formulas as vectors, so that no font has to be fetched.
MATHJAX = "tex-svg.js"
SETTINGS = (
    r"window.MathJax = {tex: {inlineMath: [['\\(', '\\)']], displayMath: [['\\[', '\\]']]},"
    " options: {ignoreHtmlClass: 'plain', processHtmlClass: 'math', enableMenu: false},"
    " startup: {pageReady: () => MathJax.startup.defaultPageReady().then("
    "() => { window.deck.fit(); document.documentElement.dataset.formulas = 'set'; })}};"
)
#: A full stop behind a formula stays on its line.
PUNCTUATED = re.compile(r'(<span class="math inline">[^<]*</span>)([.,;:!?)]+)')
#: A figure that is higher than this share of its width stands beside the text, not above it.
TALL = 0.62


class SlidesError(Exception):
    """A deck cannot be made; the message says what to do."""


def mathjax():
    """Return the script that sets the formulas, from the package that the book's own comes from."""
    folder = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    text = (folder / MATHJAX).read_text(encoding="utf-8")
    if "</script" in text.lower():
        raise SlidesError(f"{MATHJAX} would end the element that holds it: another version?")
    return text


def renderer():
    """Return the function that turns Markdown into HTML: links as text, formulas for MathJax."""
    parsed = choose.parser()

    def formula(block):
        left, right, kind = ("\\[", "\\]", "block") if block else ("\\(", "\\)", "inline")
        element = "div" if block else "span"

        def rule(_self, tokens, index, _options, _environment):
            content = escapeHtml(tokens[index].content.strip())
            return f'<{element} class="math {kind}">{left}{content}{right}</{element}>'

        return rule

    def nothing(*_):
        return ""

    def tight(text):
        return PUNCTUATED.sub(r'<span class="tight">\1\2</span>', parsed.render(text))

    for name in ("math_block", "math_inline_double", "amsmath"):
        parsed.add_render_rule(name, formula(block=True))
    parsed.add_render_rule("math_inline", formula(block=False))
    parsed.add_render_rule("link_open", nothing)
    parsed.add_render_rule("link_close", nothing)
    return tight


def figure(svg, alt):
    """Return a stored figure as a picture that is part of the file."""
    svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", svg, flags=re.S)
    data = base64.b64encode(svg.strip().encode()).decode()
    return (f'<figure><img src="data:image/svg+xml;base64,{data}" '
            f'alt="{html.escape(alt, quote=True)}"></figure>')


def is_tall(svg):
    """Return whether a figure is high for its width."""
    found = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    return bool(found) and float(found[2]) > TALL * float(found[1])


def section(slide, before, number, total, foot, render):
    """Return the HTML of one slide."""
    def code(item):
        return highlight(item.body, PythonLexer(), HtmlFormatter(style=STYLE))

    draw = {
        "text": lambda item: render(item.body),
        "code": code,
        "solution": lambda item: (
            f"<details><summary><b>The cell</b></summary>\n{code(item)}</details>"),
        "print": lambda item: f'<pre class="printed">{html.escape(item.body)}</pre>',
        "figure": lambda item: figure(item.body, item.alt),
    }
    classes = ["slide", slide.kind]
    words = "".join(draw[item.kind](item) for item in slide.items if item.kind != "figure")
    pictures = [item for item in slide.items if item.kind == "figure"]
    content = words
    if pictures:
        classes.append("figure")
        classes += ["beside"] if is_tall(pictures[0].body) and words else []
        drawn = "".join(map(draw["figure"], pictures))
        words = f'<div class="words">{words}</div>' if words else ""
        above = slide.items[0].kind != "figure"
        content = words + drawn if above else drawn + words
    title = render(slide.title).strip().removeprefix("<p>").removesuffix("</p>")
    if slide.kind == "title":
        heading = f"<h1>{title}</h1>"
    else:
        few = slide.lines < choose.FEW and all(item.kind == "text" for item in slide.items)
        classes += ["few"] if few else []
        classes += ["goes-on"] if before and before.title == slide.title else []
        heading = f"<h2>{title}</h2>"
    return (f'<section class="{" ".join(filter(None, classes))}" aria-label="{number} of {total}">'
            f'{heading}<div class="content">{content}</div>'
            f'<p class="foot">{foot} · {number} / {total}</p></section>')


def make(stem, root=ROOT):
    """
    Make the deck of one chapter.

    Parameters
    ----------
    stem : str
        The chapter; its notebook is stored.
    root : path-like
        The folder of the repository.

    Returns
    -------
    str
        A page that needs no other file.
    """
    book, path = Book(Path(root)), Path(root) / "chapters" / f"{stem}.ipynb"
    edition = convert(path, book)
    # What the edition puts in front of the chapter is about installing.
    extra = len(edition.cells) - len(nbformat.read(path, as_version=4).cells)
    edition.cells = edition.cells[extra:]
    chosen = choose.slides(edition)
    render, title = renderer(), book.title_of(f"chapters/{stem}")
    foot = html.escape(title)
    parts = [section(slide, chosen[n - 1] if n else None, n + 1, len(chosen), foot, render)
             for n, slide in enumerate(chosen)]
    body = "\n".join(parts)
    setter = ""
    if 'class="math' in body:
        setter = f"<script>{SETTINGS}</script>\n<script>{mathjax()}</script>\n"
    style = HtmlFormatter(style=STYLE).get_style_defs(".highlight pre") + "\n"
    style += (HERE / "deck.css").read_text(encoding="utf-8")
    script = (HERE / "deck.js").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{foot}: slides</title>\n<style>\n{style}\n</style>\n</head>\n"
        f'<body class="plain">\n<main>\n{body}\n'
        '<nav aria-label="Slides"><button class="back" aria-label="Back">‹</button>'
        '<button class="on" aria-label="On">›</button></nav>\n</main>\n'
        f"<script>\n{script}\n</script>\n{setter}</body>\n</html>\n"
    )
