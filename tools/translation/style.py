"""How Chinese is set: full-width punctuation, and spaces where they belong. See ``STYLE.md``."""

import re

#: Stands for code, a formula or a value, which is set like a Latin word.
WORD = "\ue000"
#: Stands for a link whose text is a Chinese title.
TITLE = "\ue001"

#: Stands for what a program fills in, of which nobody knows how it is set.
FILLED = "\ue002"

_HAN = f"\u3400-\u4dbf\u4e00-\u9fff\u3007{TITLE}"
_FULL = "，。：；？！、（）“”‘’《》〈〉…—·"
_LATIN = f"A-Za-z0-9{WORD}%°\u00c0-\u024f\u0370-\u03ff"

_RULES = [
    (rf"[{_HAN}][{_LATIN}]|[{_LATIN}][{_HAN}]",
     "a space belongs between a Chinese character and a Latin word, number, code or formula"),
    (rf"[{_HAN}] +[{_HAN}]", "no space belongs between Chinese characters"),
    (rf"[{_FULL}] +|(?<=\S) +[{_FULL}]", "no space belongs beside full-width punctuation"),
    (r"  +", "two spaces in a row"),
    (r"^\s|\s$", "a space at an end"),
    (rf"[{_HAN}”’）] *[,;:?!.()]|[,;:?!()] *[{_HAN}“‘（]|\.(?=[{_HAN}“‘（])",
     "punctuation beside Chinese is full-width: ，。：；？！（）"),
    (rf"\([^()]*[{_HAN}][^()]*\)", "parentheses around Chinese are full-width: （）"),
    (r"(?<=\S)[,;:?!](?= |$)|(?<=[^\d\s.])\.$",
     "a Chinese sentence has full-width punctuation, and 、 between words and numbers in a row"),
    (r"\"|(?<![A-Za-z])'|'(?![A-Za-z])", "quotation marks are “ ” and ‘ ’"),
    (r"[「」『』]", "quotation marks are “ ” and ‘ ’"),
    (r"[\u3000\uff10-\uff19\uff21-\uff3a\uff41-\uff5a％＋－＝＜＞]",
     "digits, letters and signs are half-width"),
    (r"\.\.\.|(?<!…)…(?!…)|…{3,}", "an ellipsis is ……"),
    (rf"(?<!—)—(?!—)|—{{3,}}|--| - |[{_HAN}] *– *[{_HAN}]", "a dash is ——"),
    (r"\*", "an asterisk that marks nothing: with ** put the punctuation outside"),
]
_RULES = [(re.compile(pattern), said) for pattern, said in _RULES]
#: "1. " in front of a heading.
_NUMBERED = re.compile(r"^\d+\. ")
#: Parentheses that are set as a word: of a shape, or with no Chinese in and beside them.
_ASIDE = re.compile(rf"\([\d{WORD}][^(){_HAN}]*,[^(){_HAN}]*\)"
                    rf"|(?<![{_HAN}])(?<![{_HAN}] )\([^(){_HAN}]*\)(?! ?[{_HAN}])")
#: Of one kind of fault, so many are said of one text.
_MOST = 3
_STANDS = re.compile("[\ue000-\ue002]")
_CLOSERS = "”’）》)*_ "
_ENDS = {".": "。！？…", "?": "？", "!": "！。", ":": "：", ";": "；。", ",": "，"}


def faults(text):
    """
    Say what is wrong with how a Chinese text is set.

    Parameters
    ----------
    text : str
        Prose, in which `WORD` stands for code and formulas.

    Returns
    -------
    list of str
        What is wrong, with the characters around it.

    Examples
    --------
    >>> faults("用 2×2 的卷积核，步幅为 1。")
    []
    >>> faults("卷积核, 步幅")
    ['punctuation beside Chinese is full-width: ，。：；？！（）: …卷积核, 步幅…']
    """
    if not re.search(rf"[{_HAN}]", text):
        return []
    bare = _ASIDE.sub(WORD, _NUMBERED.sub("", text))
    found, seen = [], set()
    for pattern, said in _RULES:
        # One place often breaks several rules; the first says what to do.
        hits = [hit for hit in pattern.finditer(bare) if seen.isdisjoint(range(*hit.span()))]
        for hit in hits[:_MOST]:
            near = _STANDS.sub("◌", bare[max(0, hit.start() - 6):hit.end() + 6])
            found.append(f"{said}: …{near}…")
        seen.update(*(range(*hit.span()) for hit in hits))
    for character in text:
        # What is not in GB 2312 is, in this book, a traditional character or a slip.
        if "\u4e00" <= character <= "\u9fff":
            try:
                character.encode("gb2312")
            except UnicodeEncodeError:
                found.append(f"{character} is no common simplified character")
    return found


def end_fault(english, chinese):
    """
    Say whether a translation ends otherwise than its original.

    Examples
    --------
    >>> end_fault("How large?", "多大？"), end_fault("Pooling", "汇聚")
    ('', '')
    >>> end_fault("Pooling", "汇聚。")
    'the English ends without punctuation'
    """
    if not re.search(rf"[{_HAN}]", chinese):
        return ""
    last = english.rstrip(_CLOSERS + "\"'")[-1:]
    end = chinese.rstrip(_CLOSERS)[-1:]
    # A full stop may stand within the last quotation or bracket, and a sentence may end in one.
    if last in _ENDS:
        return "" if end in _ENDS[last] else f"the English ends with {last}, so {_ENDS[last][0]}"
    return "the English ends without punctuation" if end in "，。：；？！、" else ""
