"""The languages of the book, and what the tools themselves say in each of them.

The pages, chapters and assignments are translated where they stand. What the extensions and the
generators add to them (the head of a table, the cell that installs something) goes through `Words`:
English in the code, ``tr("Chapter")``, and the key of a table in the translated source,
``words.json``. A source without that table is the English one.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

#: The table of the words, in the root of a translated source.
FILE = "words.json"


@dataclass(frozen=True)
class Language:
    """
    One language of the book.

    Attributes
    ----------
    code : str
        As Sphinx and gettext name it.
    tag : str
        As the web names it.
    name : str
        As its readers name it.
    folder : str
        Where its book lies in the site, with a slash at its end; empty for the first language.
    """

    code: str
    tag: str
    name: str
    folder: str


ENGLISH = Language("en", "en", "English", "")
CHINESE = Language("zh_CN", "zh-CN", "中文", "zh/")
LANGUAGES = (ENGLISH, CHINESE)


def language(code):
    """
    Return a language of the book by its code.

    Examples
    --------
    >>> language("zh_CN").tag
    'zh-CN'
    """
    return next(one for one in LANGUAGES if one.code == code)


class WordsError(Exception):
    """A text has no translation; the message names it and the remedy."""


class Words:
    """
    What the tools say, in one language: call it with the English.

    Parameters
    ----------
    table : dict, optional
        English -> translation. Without it, the English stays.

    Examples
    --------
    >>> tr = Words({"{n} points": "共 {n} 分"})
    >>> tr("{n} points", n=4)
    '共 4 分'
    >>> Words()("{n:.1f} points", n=4)
    '4.0 points'
    >>> tr("No such text")
    Traceback (most recent call last):
    tools.languages.WordsError: 'No such text': the catalogue of the interface does not have it; ...
    """

    def __init__(self, table=None):
        self.table = table

    def __call__(self, text, **values):
        """Return a text in the language, with values in the place of what stands in braces."""
        if self.table is not None and text not in self.table:
            raise WordsError(
                f"{text!r}: the catalogue of the interface does not have it; the text has to stand "
                "in the code as it is, within tr(...): see tools/translation/interface.py")
        said = text if self.table is None else self.table[text]
        return said.format(**values) if values else said


def mark(text):
    """Return a text as it is: it is said with `Words` elsewhere, and here stands for extraction."""
    return text


def joined(sentences):
    """
    Join sentences; between Chinese ones stands no space.

    Examples
    --------
    >>> joined(["One.", "Two."]), joined(["一。", "二。"])
    ('One. Two.', '一。二。')
    """
    text = ""
    for sentence in sentences:
        text += ("" if not text or text[-1] in "。！？：；" else " ") + sentence
    return text


@functools.lru_cache(maxsize=8)
def _read(path, _):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def words(root):
    """
    Return what the tools say about a source of the book, in its language.

    Parameters
    ----------
    root : path-like
        The folder of the source: the repository, or a translated one.

    Returns
    -------
    Words
    """
    path = Path(root) / FILE
    return Words(_read(str(path), path.stat().st_mtime_ns) if path.is_file() else None)
