"""What is translated: messages, each with the places where it stands."""

import re
from dataclasses import dataclass, field

#: What is no prose within a message: code, roles, formulas, addresses, and what braces stand for.
LITERAL = re.compile(
    r"(?:\{[\w:+.-]+\})?(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)"
    r"|\$\$(?:[^$\\]|\\.)+?\$\$|(?<!\\)\$(?:[^$\\]|\\.)+?\$"
    r"|\]\([^)\s]*\)|<https?:[^>]*>|\{+[^{}\n]+\}+",
    re.DOTALL)


class TranslationError(Exception):
    """A source or a catalogue cannot be used; the message names the place, cause and remedy."""


@dataclass
class Message:
    """
    One block of prose.

    Attributes
    ----------
    text : str
        The English, without the line ends of the source.
    kinds : list of str
        What it is, in words for the translator: ``"heading"``, ``'paragraph, in "Pooling"'``.
    places : list of str
        Files and lines: ``"chapters/03_lenet.py:45"``.
    """

    text: str
    kinds: list = field(default_factory=list)
    places: list = field(default_factory=list)


def normalised(text):
    r"""
    Join the lines of a paragraph by single spaces; a hard break, a backslash at an end, stays.

    Examples
    --------
    >>> normalised("one\n  two")
    'one two'
    >>> normalised("one\\\ntwo")
    'one\\\ntwo'
    """
    return re.sub(r"[ \t]*(?<!\\)\n[ \t]*", " ", text.strip())


def is_prose(text):
    """
    Say whether there is anything to translate: a word that is neither code nor a formula.

    Examples
    --------
    >>> is_prose("`x` and $y$"), is_prose("28 x 28"), is_prose("$x$, `pool`"), is_prose("A")
    (True, False, False, False)
    """
    return bool(re.search(r"[^\W\d_]{2}", LITERAL.sub(" ", text)))


class Collector:
    """
    Gathers the messages of a source: a `say` that returns everything as it is.

    Attributes
    ----------
    messages : dict
        Text -> `Message`, in the order of the source.
    """

    def __init__(self):
        self.messages = {}

    def __call__(self, text, kind, place):
        """Note a message and return its text."""
        found = self.messages.setdefault(text, Message(text))
        if kind not in found.kinds:
            found.kinds.append(kind)
        found.places.append(place)
        return text
