"""
The addresses of headings: both books have those of the English one.

What a section is called in an address, Sphinx makes of its heading, and of Chinese characters it
makes nothing. So the translated source has, beside each page, the list of the English addresses in
the order of the headings (``anchors/chapters/03_lenet.json``), and the extension
``_ext/languages.py`` gives them to the sections.
"""

import json
import re

from docutils.nodes import fully_normalize_name, make_id
from myst_parser.mdit_to_docutils.base import default_slugify

from tools.translation.messages import TranslationError

FOLDER = "anchors"
_MARKUP = re.compile(r"[`*$\\{}<>\[\]_]")


def addresses(headings):
    """
    Return how the headings of a page are addressed.

    Parameters
    ----------
    headings : list of tuple
        Text and place of each, in the order of the page.

    Returns
    -------
    list of list of str
        For each heading: the id of its section, and its name in links of MyST.

    Raises
    ------
    TranslationError
        When two headings of a page have one address, or a heading has markup.

    Examples
    --------
    >>> addresses([("How much of 0.9884 is luck?", "a.md:1")])
    [['how-much-of-0-9884-is-luck', 'how-much-of-09884-is-luck']]
    """
    found, seen = [], {}
    for text, place in headings:
        if _MARKUP.search(text):
            raise TranslationError(f"{place}: {text!r}: a heading is plain text, without code, "
                                   "formulas and links: its address is made of it")
        name = make_id(fully_normalize_name(text))
        if not name or name in seen:
            other = f"that of {seen[name]}" if name else "no letter in it"
            raise TranslationError(f"{place}: {text!r}: its address is {other}; word it otherwise")
        seen[name] = place
        found.append([name, default_slugify(text)])
    return found


class Listener:
    """
    A `say` that notes the headings of a page on the way to another.

    Parameters
    ----------
    say : callable
    """

    def __init__(self, say):
        self.say, self.headings = say, []

    def __call__(self, text, kind, place):
        """Note a heading, and return what takes the place of a text."""
        if kind == "heading":
            self.headings.append((text, place))
        return self.say(text, kind, place)

    def files(self, document):
        """Return the list of a document's addresses, under the name of its file."""
        return {f"{FOLDER}/{document}.json": json.dumps(addresses(self.headings), indent=1)}
