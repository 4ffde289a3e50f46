"""
Find and replace the prose in MyST Markdown.

One pass serves extraction and translation: every block of prose is handed to a function, and what
it returns takes the block's place. What the pass does not know, it refuses, with the place and the
remedy; nothing that a reader sees can go by unnoticed.
"""

import functools
import json
import re

import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from tools.translation import comments
from tools.translation.messages import TranslationError, is_prose, normalised

#: Those of ``_config.yml``.
EXTENSIONS = ("amsmath", "colon_fence", "deflist", "dollarmath")

#: What the parts of a directive are. Its title: "prose", "content" (the beginning of the content)
#: or "code". Its content: "prose", or "code", which nobody translates.
DIRECTIVES = {
    **dict.fromkeys(["note", "tip", "important", "warning"], ("content", "prose")),
    **dict.fromkeys(["admonition", "dropdown", "grid-item-card", "table"], ("prose", "prose")),
    **dict.fromkeys(["explorer", "grid"], ("code", "prose")),
    **dict.fromkeys(
        ["math", "raw", "results", "conditions", "times", "terms", "bibliography", "eval-rst",
         "benchmark", "benchmark-figure", "benchmark-leads", "benchmark-laws", "benchmark-peaks",
         "benchmark-conditions"],
        ("code", "code")),
}
OPTIONS = {"alt": True, "caption": True} | dict.fromkeys(
    ["class", "open", "icon", "color", "animate", "chevron", "gutter", "link", "link-type", "name",
     "file", "all", "measure", "cases", "sides", "upright"], False)
#: Blocks without prose.
SILENT = {"math_block", "amsmath", "hr", "myst_target", "myst_line_comment", "myst_block_break",
          "code_block"}
#: Blocks that only hold others.
HOLDERS = {f"{name}_{side}" for side in ("open", "close") for name in (
    "bullet_list ordered_list list_item blockquote table thead tbody th td dl dt dd heading "
    "paragraph tr").split()}
KINDS = {"paragraph_open": "paragraph", "dt_open": "term", "heading_open": "heading",
         "th_open": "head of a column", "td_open": "cell of a table"}

_DIRECTIVE = re.compile(r"\s*\{(?P<name>[^}\s]+)\}\s*(?P<title>.*?)\s*")
_OPTION = re.compile(r":(?P<name>[\w-]+):\s*(?P<value>.*?)\s*")


@functools.cache
def parser():
    """Return a parser that sees what the book's own sees."""
    return create_md_parser(MdParserConfig(enable_extensions=set(EXTENSIONS)), RendererHTML)


def translate(text, say, line=1, place="the text"):
    r"""
    Replace the prose of a text.

    Parameters
    ----------
    text : str
        MyST Markdown.
    say : callable
        Takes the text of a message, what it is, and its line; returns what takes its place.
    line : int
        The line, in its file, of the first line of the text.
    place : str
        The file, for messages.

    Returns
    -------
    str
        Each block of prose that was replaced stands on one line.

    Raises
    ------
    TranslationError
        When the text has a construct that this pass does not know.

    Examples
    --------
    >>> print(translate("# One\n\n- two\n  three", lambda text, kind, line: text.upper()))
    # ONE
    <BLANKLINE>
    - TWO THREE
    """
    lines = text.split("\n")
    changes = []
    tokens = parser().parse(text)
    row = []
    for number, token in enumerate(tokens):
        def error(why, token=token):
            at = line + (token.map or [0])[0]
            shown = " ".join(token.content.split())[:60] or token.type
            return TranslationError(f"{place}:{at}: {shown!r}: {why}")

        if token.type == "front_matter":
            changes.append((*token.map, _front_matter(token.content, say, line + 1)))
        elif token.type == "inline":
            opened = tokens[number - 1].type
            if opened in ("th_open", "td_open"):
                row.append(_said(token.content, KINDS[opened], line + token.map[0], say))
                continue
            start = token.map[0]
            pieces = token.content.split("\n")
            if not lines[start].rstrip().endswith(pieces[0].rstrip()):
                raise error("its beginning cannot be told from its mark; write it plainly")
            prefix = lines[start].rstrip()[:-len(pieces[0].rstrip())]
            new = _said(token.content, KINDS[opened], line + start, say)
            if new != normalised(token.content) or len(pieces) > 1:
                more = [" " * len(prefix) + rest for rest in new.split("\n")[1:]]
                changes.append((start, start + len(pieces), [prefix + new.split("\n")[0], *more]))
        elif token.type == "tr_close":
            start = next(t for t in reversed(tokens[:number]) if t.type == "tr_open").map[0]
            cells = " | ".join(cell.replace("|", "\\|") for cell in row)
            indent = lines[start][:len(lines[start]) - len(lines[start].lstrip())]
            changes.append((start, start + 1, [f"{indent}| {cells} |"]))
            row = []
        elif token.type in ("fence", "colon_fence"):
            changes.append((*token.map, _fence(token, lines, say, line, place, error)))
        elif token.type == "html_block" and re.fullmatch(r"\s*<!--.*?-->\s*", token.content, re.S):
            continue
        elif token.type not in SILENT | HOLDERS:
            raise error(f"{token.type} has no place in what is translated; write Markdown, or a "
                        "directive that tools/translation/markdown.py lists")
    for start, end, new in sorted(changes, key=lambda change: -change[0]):
        lines[start:end] = new
    return "\n".join(lines)


def _said(content, kind, line, say):
    """Return what takes the place of a block's prose."""
    text = normalised(content)
    return say(text, kind, line) if is_prose(text) else text


def _front_matter(content, say, line):
    """Translate the description of a page, the one prose of its front matter."""
    matter = yaml.safe_load(content)
    if text := matter.get("description"):
        matter["description"] = _said(text, "what search engines show of the page", line, say)
    # JSON is YAML, whatever characters a translation has.
    return ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}"
                     for key, value in matter.items()), "---"]


def _fence(token, lines, say, line, place, error):
    """Return the lines of a fenced block, translated."""
    start, end = token.map
    prefix = lines[start][:lines[start].index(token.markup)]
    indent = " " * len(prefix)
    body, first = token.content.split("\n"), line + start + 1
    if body and body[-1] == "":
        body.pop()
    info = token.info
    directive = _DIRECTIVE.fullmatch(info)
    if directive is None:
        language = info.split()[0] if info.split() else ""
        body = comments.translate_fence("\n".join(body), language, say, first).split("\n")
    else:
        name, title = directive["name"], directive["title"]
        if name not in DIRECTIVES:
            raise error(f"unknown directive {name!r}; list it in tools/translation/markdown.py")
        kind_of_title, kind_of_content = DIRECTIVES[name]
        if title and kind_of_title != "code":
            title = _said(title, f"title of a {name}", line + start, say)
            info = f"{{{name}}} {title}"
        options = []
        while body and (option := _OPTION.fullmatch(body[0])):
            if option["name"] not in OPTIONS:
                raise error(f"unknown option {option['name']!r}; list it in "
                            "tools/translation/markdown.py")
            if OPTIONS[option["name"]] and kind_of_content == "prose":
                value = _said(option["value"], f"{option['name']} of a {name}", first, say)
                options.append(f":{option['name']}: {value}")
            else:
                options.append(body[0])
            body, first = body[1:], first + 1
        if kind_of_content == "prose":
            body = translate("\n".join(body), say, first, place).split("\n") if body else []
        body = options + body
    closing = lines[end - 1]
    return [f"{prefix}{token.markup}{info}",
            *((indent + text).rstrip() if text else "" for text in body), closing]
