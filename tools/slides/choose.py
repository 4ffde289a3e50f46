"""
What of a chapter goes on its slides.

A slide has a question, a picture, a formula, a key sentence. The running text stays in the book.
The rule, which ``CONTRIBUTING.md`` tells to those who write chapters:

- each heading opens a slide, and a slide that is full goes on with the same heading;
- of a paragraph, the sentences with bold words, and the questions with the sentence behind each; of
  the first one below a heading or behind an output, the first sentence as well; a sentence that
  announces a formula, with it; what is shorter than six words, or begins with "this" or "it", takes
  its neighbour along;
- of a list, the first sentence of each item; tables, formulas and what unfolds as a whole;
- figures always; code and printed text where they are short and not hidden in the book;
- exercises, self-check and summary word for word; parameters, notes and reading lists not at all;
- a question ends its slide: what answers it comes on the next.

The tag ``slide`` on a cell takes all of it, ``no-slide`` none.
"""

import re
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

from tools.pairs import PARAMETERS, tags

#: Lines of text that a slide holds, heading apart.
FULL = 13
#: A slide with fewer is set in larger letters.
FEW = 5.5
#: Characters in such a line, and lines of code in the height of one.
WIDTH = 70
CODE_LINE = 0.66
#: Lines that a figure takes; it is drawn into what is left.
FIGURE = 8.0
#: Code of more lines than this stays in the book; printed text is cut there.
LONGEST_CODE = 14
LONGEST_PRINT = 12

#: Sections that a class does not need on the wall.
LEFT_OUT = {"Further reading", "How this page was made"}
WHOLE = {"Summary"}
NUMBERED = {"Exercises": "Exercise", "Check yourself": "Check yourself"}
#: Boxes of asides; of other boxes, the title and the first sentences go on a slide.
ASIDES = {"Note", "Tip", "Important", "Warning", "On a GPU"}

#: What has fewer words than this says nothing by itself.
FEW_WORDS = 6

#: What begins with one of these speaks of the sentence before it.
POINTS_BACK = re.compile(r"(?:\*\*)?(?:That|This|These|It|They|Both|Each) ")

#: A sentence ends here, unless within code or a formula.
END = re.compile(r'(?<=[.?!])((?:\*\*|["”)])*)\s+(?=[A-Z0-9"“`$*({\[])')
OPAQUE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)|\$\$.+?\$\$|\$[^$]+?\$|\]\([^)]*\)", re.S)
NUMBER = re.compile(r"\*\*(\d+)\.\s*([^*]*?)\.?\*\*\s*")


@dataclass
class Item:
    """One thing on a slide: Markdown, code with what it printed, or a picture."""

    kind: str  # "text", "code", "print", "figure", "solution"
    body: str
    alt: str = ""
    lines: float = 0.0


@dataclass
class Slide:
    """A heading and what stands below it."""

    title: str
    items: list = field(default_factory=list)
    kind: str = ""

    @property
    def lines(self):
        """Height of what it holds, in lines of text."""
        return sum(item.lines for item in self.items)

    def has(self, *kinds):
        """Whether it holds an item of one of these kinds."""
        return any(item.kind in kinds for item in self.items)

    @property
    def asks(self):
        """Whether its last words hold a question."""
        return bool(self.items) and self.items[-1].kind == "text" and asking(self.items[-1].body)


def parser():
    """Return the parser of the notebook edition's Markdown."""
    parsed = MarkdownIt("commonmark", {"html": True}).enable("table")
    return parsed.use(dollarmath_plugin, allow_digits=False).use(amsmath_plugin)


def sentences(text):
    """
    Split a paragraph of Markdown into its sentences.

    Parameters
    ----------
    text : str
        The paragraph.

    Returns
    -------
    list of str

    Examples
    --------
    >>> sentences("It is 0.5 wide. **How wide?** See `a. B` and $p. Q$.")
    ['It is 0.5 wide.', '**How wide?**', 'See `a. B` and $p. Q$.']
    """
    hidden = []

    def hide(match):
        hidden.append(match[0])
        return f"`\0{len(hidden) - 1}\0`"

    # Bold words of several sentences are one statement.
    text = re.sub(r"\*\*[^*]+\*\*", lambda m: re.sub(r"\s+", "\1", m[0]), " ".join(text.split()))
    parts = END.sub(r"\1\n", OPAQUE.sub(hide, text)).split("\n")
    return [re.sub(r"`\0(\d+)\0`", lambda m: hidden[int(m[1])], part).replace("\1", " ")
            for part in parts if part.strip()]


def is_question(sentence):
    """
    Say whether a sentence is a question, bold or not.

    Examples
    --------
    >>> is_question("**Which one?**"), is_question("This one.")
    (True, False)
    """
    return sentence.rstrip('*"”) ').endswith("?")


def asking(text):
    """Say whether one of the sentences of a text is a question."""
    return any(map(is_question, sentences(text)))


def beginning(parts):
    """
    Return the first sentence, with those behind it while that is but a few words.

    Examples
    --------
    >>> beginning(["Two.", "One of them is larger than the other.", "It is."])
    ['Two.', 'One of them is larger than the other.']
    """
    for number in range(1, len(parts)):
        if len(" ".join(parts[:number]).split()) >= FEW_WORDS:
            return parts[:number]
    return parts


def telling(parts, lead=False, announces=False):
    """
    Choose the sentences of a paragraph that are worth a place on the wall.

    Parameters
    ----------
    parts : list of str
        Its sentences.
    lead : bool
        Whether it opens a section or follows an output.
    announces : bool
        Whether a formula or code comes next.

    Returns
    -------
    list of str

    Examples
    --------
    >>> telling(["On paper they agree.", "And in float32?", "Try it.", "It is late."])
    ['On paper they agree.', 'And in float32?', 'Try it.']
    >>> telling(["It is.", "A **kernel** is small.", "So it is."])
    ['A **kernel** is small.']
    >>> telling(["Zeros go around it.", "This is **padding**.", "So it is."])
    ['Zeros go around it.', 'This is **padding**.']
    """
    kept = set(range(len(beginning(parts)))) if lead else set()
    for number, part in enumerate(parts):
        if "**" in part:
            kept.add(number)
        if is_question(part):
            kept |= {number, number + 1}
            if len(part.split()) < FEW_WORDS:
                kept.add(number - 1)
    kept |= {number - 1 for number in kept if number and POINTS_BACK.match((*parts, "")[number])}
    if announces and parts[-1].endswith((":", ",")):
        kept.add(len(parts) - 1)
    return [part for number, part in enumerate(parts) if number in kept]


def blocks(text):
    """
    Split Markdown into its outermost blocks.

    Parameters
    ----------
    text : str
        Markdown of the notebook edition.

    Returns
    -------
    list of tuple
        Kind (``paragraph``, ``heading``, ``list``, ``table``, ``math``, ``fence``, ``quote``,
        ``details``) and source of each.
    """
    lines, found, fold = text.split("\n"), [], None
    names = {"bullet_list_open": "list", "ordered_list_open": "list", "blockquote_open": "quote",
             "math_block": "math", "amsmath": "math"}
    for token in parser().parse(text):
        if token.level or not token.map or token.nesting < 0:
            continue
        source = "\n".join(lines[token.map[0]: token.map[1]]).strip()
        if fold is None and token.type == "html_block" and source.startswith("<details"):
            fold = token.map[0]
        if fold is not None:
            if token.type == "html_block" and source.endswith("</details>"):
                found.append(("details", "\n".join(lines[fold: token.map[1]]).strip()))
                fold = None
            continue
        kind = names.get(token.type, token.type.removesuffix("_open"))
        found.append((kind, source))
    return found


def shortened(text):
    """Return a list with the first sentence of each item, and its questions."""
    items = re.split(r"^(?=(?:[-*]|\d+\.)\s)", text, flags=re.M)
    kept = []
    for item in filter(str.strip, items):
        mark, body = re.match(r"((?:[-*]|\d+\.)\s+)(.*)", item, re.S).groups()
        parts = sentences(re.split(r"\n\s*\n", body)[0])
        first = beginning(parts)
        kept.append(mark + " ".join([*first, *filter(is_question, parts[len(first):])]))
    return "\n".join(kept)


def height(kind, text):
    """Estimate the height of a block, in lines of text."""
    if kind == "math":
        return 2.0 + 1.1 * text.count(r"\\")
    if kind == "table":
        return 1.25 * max(1, len(text.splitlines()) - 1)
    if kind == "details":
        return 1.3
    if kind == "fence":
        return CODE_LINE * len(text.splitlines()) + 0.9
    plain = re.sub(r"[*`$]|\]\([^)]*\)", "", text)
    if kind == "list":
        return sum(1.15 * -(-len(line) // WIDTH) + 0.1
                   for line in re.split(r"\n(?=[-*\d])", plain))
    return -(-len(plain) // WIDTH) + 0.5


def box(source):
    """Return what a box of the text leaves on a slide: title and first sentences, or nothing."""
    inner = re.sub(r"^>[ ]?", "", source, flags=re.M)
    (_, head), *rest = blocks(inner)
    title = head.strip("* \n")
    if title in ASIDES:
        return ""
    if title.startswith("Explorer: "):
        return f"> **{title}.** Open it in the book."
    kept = sentences(rest[0][1])[:3] if rest and rest[0][0] == "paragraph" else []
    return f"> **{title}**\n>\n> {' '.join(kept)}" if kept else f"> **{title}**"


class Chooser:
    """Walks through the cells of a chapter and fills slides."""

    def __init__(self):
        self.slides = []
        self.heading = self.section = ""
        self.lead = False

    # --- slides

    def turn(self, title=None, kind=""):
        """Begin a slide."""
        self.slides.append(Slide(title or self.heading, kind=kind))

    def put(self, kind, body, lines, alt=""):
        """Put something on the present slide, or on a new one where it is full."""
        slide = self.slides[-1]
        answers = kind in ("figure", "code", "print") and slide.asks
        asks_anew = kind == "text" and slide.has("figure", "print") and asking(body)
        if slide.items and (answers or asks_anew or slide.lines + lines > FULL):
            self.turn()
            last = slide.items[-1]
            if len(slide.items) > 1 and last.kind == "text" and last.body.endswith((":", ",")):
                self.slides[-1].items.append(slide.items.pop())  # it announces what comes now
        self.slides[-1].items.append(Item(kind, body.strip(), alt, lines))

    def put_list(self, body):
        """Put a list on the present slide; one that is longer than a slide goes on on the next."""
        part = ""
        for item in re.split(r"^(?=(?:[-*]|\d+\.)\s)", body, flags=re.M):
            if part and height("list", part + item) > FULL:
                self.put("text", part, height("list", part))
                part = ""
            part += item
        self.put("text", part, height("list", part))

    # --- text

    def text(self, source, whole=False):
        """Take what the rule takes of a cell of text."""
        found = blocks(source)
        for number, (kind, block) in enumerate(found):
            if kind == "heading":
                self.open(block)
                continue
            if self.section in LEFT_OUT:
                continue
            if self.section in NUMBERED:
                self.numbered(kind, block)
                continue
            after = found[number + 1][0] if number + 1 < len(found) else ""
            self.block(kind, block, whole or self.section in WHOLE, after)

    def open(self, heading):
        """Begin the section of a heading."""
        marks, self.heading = re.match(r"(#+)\s+(.*)", heading, re.S).groups()
        if len(marks) == 1:
            self.section = "title"
            self.turn(kind="title")
            return
        self.section = self.heading if len(marks) == 2 else self.section
        self.lead = True
        self.turn()

    def block(self, kind, block, whole, after):
        """Take what the rule takes of one block."""
        if self.section == "title" and kind == "list":
            self.turn("By the end of this chapter you will be able to")
            self.put("text", block, height(kind, block))
        elif self.section == "title" and self.slides[-1].kind != "title" and not whole:
            return
        elif kind == "paragraph":
            parts = sentences(block)
            kept = parts if whole else telling(parts, self.lead, after in ("math", "fence"))
            if self.section == "title":
                kept = [part for part in kept if part.startswith("**")]
            if kept:
                self.lead = False
                body = " ".join(kept)
                self.put("text", body, height(kind, body))
        elif kind == "list":
            self.put_list(block if whole else shortened(block))
        elif kind == "quote":
            if body := block if whole else box(block):
                self.put("text", body, height("paragraph", body) + 0.8)
        elif kind in ("math", "table", "details", "fence"):
            self.put("text", block, height(kind, block))

    def numbered(self, kind, block):
        """Take an exercise or a question of the self-check, on a slide of its own."""
        if kind == "paragraph" and (found := NUMBER.match(block)):
            title = f"{NUMBERED[self.section]} {found[1]}"
            self.turn(f"{title}: {found[2]}" if found[2] else title, kind="numbered")
            block = block[found.end():]
            self.heading = self.slides[-1].title
        if self.slides[-1].kind == "numbered":
            self.slides[-1].items.append(Item("text", block, "", height(kind, block)))

    # --- code

    def code(self, cell, whole=False):
        """Take the picture of a cell of code, and its text and code where they are short."""
        if self.section in {"title", *LEFT_OUT}:
            return
        if self.section in NUMBERED:
            self.slides[-1].items.append(Item("solution", cell.source.strip(), "", 1.3))
            return
        marked = set(tags(cell))
        if "hide-cell" in marked and not whole:
            return
        alone = whole or not marked & {"hide-input"}
        source = cell.source.strip()
        printed = "".join(o.text for o in cell.outputs if o.get("name") == "stdout").rstrip()
        if "hide-output" in marked:
            printed = ""
        figures = [o.data["image/svg+xml"] for o in cell.outputs
                   if "image/svg+xml" in o.get("data", {})]
        n_lines = len(source.splitlines())
        if alone and source and (whole or n_lines <= LONGEST_CODE) and not figures:
            self.put("code", source, CODE_LINE * n_lines + 0.9)
        if printed and not figures:
            shown = printed.splitlines()
            if len(shown) > LONGEST_PRINT:
                shown = [*shown[: LONGEST_PRINT - 1], "..."]
            self.put("print", "\n".join(shown), CODE_LINE * len(shown) + 0.9)
        for figure in figures:
            self.put("figure", figure, FIGURE, cell.metadata.get("alt", ""))
        self.lead = self.lead or bool(printed or figures)


def slides(notebook):
    """
    Choose the slides of a chapter.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Its notebook edition, with stored outputs and without the setup cells.

    Returns
    -------
    list of Slide
        In order; none is empty.
    """
    chooser = Chooser()
    for cell in notebook.cells:
        marked = tags(cell)
        if "no-slide" in marked or PARAMETERS in marked:
            if cell.cell_type == "markdown":
                for kind, block in blocks(cell.source):
                    if kind == "heading":
                        chooser.open(block)
            continue
        take = chooser.text if cell.cell_type == "markdown" else chooser.code
        take(cell.source if cell.cell_type == "markdown" else cell, "slide" in marked)
    return [slide for slide in chooser.slides if slide.items]
