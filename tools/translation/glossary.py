"""The words of the course in Chinese: ``locale/zh_CN/glossary.yml``."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.translation.messages import TranslationError
from tools.translation.sources import ROOT

FILE = "locale/zh_CN/glossary.yml"
_KEYS = {"en", "zh", "forms", "never", "nowhere", "check", "note"}


@dataclass(frozen=True)
class Term:
    """
    One term; the file says what its parts mean.

    Attributes
    ----------
    en, note : str
    zh, never, nowhere : tuple of str
    check : bool
    pattern : re.Pattern
        Finds the term in English, in all its forms.
    """

    en: str
    zh: tuple
    never: tuple
    nowhere: tuple
    check: bool
    note: str
    pattern: re.Pattern


@dataclass(frozen=True)
class Glossary:
    """
    All terms, in the order of the file, and the names that stay as they are.

    Attributes
    ----------
    terms : tuple of Term
    names : frozenset of str
    """

    terms: tuple
    names: frozenset

    @functools.cached_property
    def longest_first(self):
        """The terms, those first that may contain others."""
        return sorted(self.terms, key=lambda term: -len(term.en))


def _plurals(form):
    if form.endswith(("s", "x", "ch", "sh")):
        return [form, f"{form}es"]
    return [form, f"{form[:-1]}ies"] if re.search(r"[^aeiou]y$", form) else [form, f"{form}s"]


def _list(value):
    return tuple([value] if isinstance(value, str) else value or ())


def read(root=ROOT):
    """
    Read the glossary.

    Parameters
    ----------
    root : path-like
        The folder of the repository.

    Returns
    -------
    Glossary

    Raises
    ------
    TranslationError
        When an entry has no ``en`` or ``zh``, a key that is none, or comes twice.
    """
    data = yaml.safe_load((Path(root) / FILE).read_text(encoding="utf-8"))
    terms, seen = [], set()
    for number, entry in enumerate(data["terms"], 1):
        place = f"{FILE}, term {number} ({entry.get('en', 'no en')})"
        if odd := set(entry) - _KEYS:
            raise TranslationError(f"{place}: unknown key {sorted(odd)[0]!r}; there are "
                                   f"{', '.join(sorted(_KEYS))}")
        if not entry.get("en") or not entry.get("zh"):
            raise TranslationError(f"{place}: it needs both en and zh")
        if entry["en"] in seen:
            raise TranslationError(f"{place}: it is there twice")
        seen.add(entry["en"])
        forms = [every for form in (entry["en"], *_list(entry.get("forms")))
                 for every in _plurals(form)]
        # A hyphen may stand for a space: max-pooling. Longer forms first.
        either = "|".join(re.escape(form).replace(r"\ ", r"[\s-]+")
                          for form in sorted(forms, key=len, reverse=True))
        terms.append(Term(entry["en"], _list(entry["zh"]), _list(entry.get("never")),
                          _list(entry.get("nowhere")), entry.get("check", True),
                          entry.get("note", ""), re.compile(rf"(?<![\w-])(?:{either})(?![\w])",
                                                            re.IGNORECASE)))
    return Glossary(tuple(terms), frozenset(data["names"].split()))


def dictionary(glossary):
    """
    Return the Chinese words of the terms, as a list for the Chinese search.

    Parameters
    ----------
    glossary : Glossary

    Returns
    -------
    str
        One word a line.

    Examples
    --------
    >>> "卷积核" in dictionary(read()).split()
    True
    """
    found = {part for term in glossary.terms for zh in term.zh
             for part in re.findall("[\u3400-\u9fff]{2,}", zh)}
    return "".join(f"{word}\n" for word in sorted(found))


def faults(english, chinese, glossary, excused=()):
    """
    Say where a translation departs from the glossary.

    Parameters
    ----------
    english, chinese : str
        Prose alone: code, formulas and addresses are taken out.
    glossary : Glossary
    excused : collection of str
        Terms that are not asked about.

    Returns
    -------
    list of str

    Examples
    --------
    >>> terms = read()
    >>> faults("Max pooling keeps it.", "最大汇聚把它留下。", terms)
    []
    >>> faults("The stride is 2.", "步长是 2。", terms)
    ["'stride' is 步幅 here", "'stride' is not 步长"]
    """
    found, left = [], english
    for term in glossary.longest_first:
        hits = term.pattern.findall(left)
        left = term.pattern.sub(" \N{BULLET} ", left) if hits else left
        if term.en in excused:
            continue
        folded = chinese.casefold()
        if hits and term.check and not any(zh.casefold() in folded for zh in term.zh):
            found.append(f"{hits[0].lower()!r} is {' or '.join(term.zh)} here")
        found += [f"{term.en!r} is not {word}" for word in
                  (*(term.never if hits else ()), *term.nowhere) if word in chinese]
    return found
