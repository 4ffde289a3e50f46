"""Everything that makes a translation wrong, each with its place."""

import re
from collections import Counter

from tools.translation import catalogue, glossary, markdown, sources, style
from tools.translation.messages import LITERAL, TranslationError

_MARKDOWN = ("heading", "paragraph", "term", "head of a column", "cell of a table", "title of a",
             "caption of a")
_TITLED = re.compile(r"(?P<title>.+?)\s*<(?P<target>[^<>]+)>", re.DOTALL)
_BRACES = re.compile(r"\{+[^{}\n]+\}+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_EXCUSE = re.compile(r"^ok:\s*(.+)$", re.MULTILINE)
EXCUSES = ("same", "numbers", "end")
_HAN = re.compile("[\u3400-\u9fff]")


def _is_markdown(kinds):
    return any(kind.startswith(_MARKDOWN) for kind in kinds)


class Parts:
    """
    What a message is made of.

    Parameters
    ----------
    text : str
    is_markdown : bool
        Comments, labels and alternative texts are not.

    Attributes
    ----------
    kept : collections.Counter
        What a translation must have as well, in any order: pairs of a kind and a text.
    numbers : collections.Counter
        The same for the numbers in the prose.
    plain : str
        The prose, with `style.WORD` and its like for the rest.
    """

    def __init__(self, text, is_markdown):
        self.kept, self._prose = Counter(), []
        if is_markdown:
            self._inline(markdown.parser().parseInline(text)[0].children)
        else:
            self._raw(text)
        self.plain = "".join(self._prose)
        self.numbers = Counter(("number", number.rstrip(",").replace(",", ""))
                               for number in _NUMBER.findall(self.plain))

    def _word(self, kind, text):
        self.kept[kind, text] += 1
        self._prose.append(style.FILLED if kind == "placeholder" else style.WORD)

    def _text(self, text):
        """Note prose, in which braces may stand for something."""
        at = 0
        for hit in _BRACES.finditer(text):
            self._prose.append(text[at:hit.start()])
            self._word("placeholder", hit[0])
            at = hit.end()
        self._prose.append(text[at:])

    def _raw(self, text):
        # In a comment, a word between straight quotes is a value: "auto".
        at = 0
        for hit in re.finditer(LITERAL.pattern + r'|"[^"\s]*"', text, re.DOTALL):
            self._prose.append(text[at:hit.start()])
            kind = "placeholder" if hit[0].startswith("{") else "code"
            self._word(kind, hit[0])
            at = hit.end()
        self._prose.append(text[at:])

    def _inline(self, tokens):
        for token in tokens:
            if token.type in ("text", "text_special"):
                self._text(token.content)
            elif token.type == "code_inline":
                self._word("code", f"`{token.content}`")
            elif token.type in ("math_inline", "math_inline_double"):
                self._word("formula", f"${' '.join(token.content.split())}$")
            elif token.type == "myst_role":
                self._role(token.meta["name"], token.content)
            elif token.type == "link_open":
                self.kept["link", str(token.attrs["href"])] += 1
            elif token.type == "image":
                self.kept["image", str(token.attrs["src"])] += 1
                self._inline(token.children)
            elif token.type == "strong_open":
                self.kept["bold", "**"] += 1
            elif token.type == "hardbreak":
                self.kept["line break", "\\"] += 1
                self._prose.append("\n")
            elif token.type not in ("em_open", "em_close", "strong_close", "link_close"):
                self._word(token.type, token.content)

    def _role(self, name, content):
        titled = _TITLED.fullmatch(content) if name in ("doc", "ref") else None
        if titled:
            self.kept["link", f"{{{name}}} {titled['target']}"] += 1
            self._prose.append(titled["title"])
        elif name in ("doc", "ref"):
            self.kept["link", f"{{{name}}} {content}"] += 1
            self._prose.append(style.TITLE)
        else:
            self._word("role", f"{{{name}}}`{content}`")


def _lost(before, after):
    """Say what a translation lost, and what it has besides."""
    found = []
    for said, counter in (("is missing", before - after),
                          ("is not in the English", after - before)):
        found += [f"{kind} {text} {said}" for kind, text in counter.elements()]
    return found


def _shape(text):
    """Return the kinds of blocks that a text would be on a line of its own."""
    return [token.type for token in markdown.parser().parse(text)]


def of_message(english, chinese, kinds, terms, excused=()):
    """
    Say what is wrong with one translation.

    Parameters
    ----------
    english, chinese : str
    kinds : list of str
        What the message is, as `tools.translation.messages.Message` says it.
    terms : tools.translation.glossary.Glossary
    excused : collection of str
        What the translator answers for: a term, or one of `EXCUSES`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> terms = glossary.read()
    >>> of_message("Use `conv`.", "用 `conv`。", ["paragraph"], terms)
    []
    >>> of_message("Use `conv`.", "用 conv。", ["paragraph"], terms)
    ['code `conv` is missing']
    """
    is_markdown = _is_markdown(kinds)
    before, after = Parts(english, is_markdown), Parts(chinese, is_markdown)
    found = _lost(before.kept, after.kept)
    if "numbers" not in excused:
        found += _lost(before.numbers, after.numbers)
    if not _HAN.search(after.plain) and "same" not in excused:
        words = re.findall(r"[^\W\d_]{2,}\d*\w*", before.plain)
        if any(word not in terms.names for word in words):
            found.append("there is no Chinese in it; where it stays as it is, write '# ok: same' "
                         "above it")
    if "\n" in chinese.replace("\\\n", ""):
        found.append("a translation is one line")
    elif is_markdown and _shape(chinese) != _shape(english):
        found.append("at the beginning of a line this is no longer a paragraph but a list, a "
                     "heading or the like; begin it otherwise")
    found += style.faults(after.plain)
    if "end" not in excused and (fault := style.end_fault(before.plain, after.plain)):
        found.append(fault)
    found += glossary.faults(before.plain, after.plain, terms, excused)
    return found


def excuses(entry, terms, place):
    """Return what a translator answers for, and complaints about what nobody can answer for."""
    known = {term.en for term in terms.terms} | set(EXCUSES)
    named = {name.strip() for line in _EXCUSE.findall(entry.tcomment or "")
             for name in line.split(",")}
    return named, [f"{place}: '# ok: {name}' is no term of {glossary.FILE}, and none of "
                   f"{', '.join(EXCUSES)}" for name in sorted(named - known)]


def check(name, root=sources.ROOT, terms=None):
    """
    Say everything that is wrong with a catalogue.

    Parameters
    ----------
    name : str
        Such as ``"chapters/03_lenet"``.
    root : path-like
        The folder of the repository.
    terms : tools.translation.glossary.Glossary, optional

    Returns
    -------
    list of str
        Each with the place in the catalogue and the place in the English.
    """
    terms = terms or glossary.read(root)
    file = f"{catalogue.FOLDER}/{name}.po"
    try:
        messages, stored = sources.extract(name, root), catalogue.read(name, root)
    except TranslationError as error:
        return [str(error)]
    found, seen = [], set()
    for entry in stored:
        place = f"{file}:{entry.linenum}"
        if entry.obsolete or entry.msgid not in messages:
            found.append(f"{place}: obsolete, no such English: {entry.msgid[:60]!r}; "
                         f"python -m tools.translation update {name}")
            continue
        seen.add(entry.msgid)
        message = messages[entry.msgid]
        place = f"{place} ({message.places[0]})"
        if not entry.msgstr:
            found.append(f"{place}: untranslated: {entry.msgid[:60]!r}")
        elif entry.fuzzy:
            found.append(f"{place}: fuzzy, the English has changed: {entry.msgid[:60]!r}; mend the "
                         "translation and take the lines '#, fuzzy' and '#|' away")
        else:
            excused, odd = excuses(entry, terms, place)
            found += odd
            found += [f"{place}: {fault}" for fault in of_message(
                entry.msgid, entry.msgstr, message.kinds, terms, excused)]
    for text, message in messages.items():
        if text not in seen:
            found.append(f"{file} ({message.places[0]}): missing: {text[:60]!r}; "
                         f"python -m tools.translation update {name}")
    if not found:
        # As `update` would leave it: order, references and layout too.
        made = catalogue.text_of(catalogue.updated(messages, stored))
        if made != catalogue.path_of(name, root).read_text(encoding="utf-8"):
            found.append(f"{file}: not as it is written; python -m tools.translation update {name}")
    return found


def unlike(root=sources.ROOT):
    """Say which messages are translated in one way here and in another way there."""
    seen, found = {}, []
    for name in sources.catalogues(root):
        for entry in catalogue.read(name, root):
            if not entry.msgstr or entry.fuzzy or entry.obsolete:
                continue
            place = f"{catalogue.FOLDER}/{name}.po:{entry.linenum}"
            first, where = seen.setdefault(entry.msgid, (entry.msgstr, place))
            if first != entry.msgstr:
                found.append(f"{place}: {entry.msgid[:60]!r} is {entry.msgstr[:30]} here, and "
                             f"{first[:30]} in {where}; let them say the same")
    return found
