"""
The recorded values that are words: "not measured", "cat taken for dog".

A chapter quotes what its code recorded. A number is the same in every language; a word is not, and
a Chinese sentence with an English word in its middle reads badly. So where a quoted value has a
word in it, the translated chapter has its translation in the place of the role. The outputs stay as
they are. Numbers within such a value are numbered gaps, ``{1}, for the training runs``: a new run
with other numbers needs no new translation.
"""

import re

from datasetslib.recording import recorded_values
from tools.translation.messages import is_prose

_ROLE = re.compile(r"( ?)\{glue:text\}`(\w+)(?::[^`]*)?`( ?)")
_NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?:,\d{3})*(?:\.\d+)*(?:e-?\d+)?(?![A-Za-z\d])")
#: What needs no space beside it.
_WIDE = re.compile("[\u2e80-\u9fff\uff00-\uffef“”‘’…—]")


def message(value):
    """
    Return a value as a message: with gaps for its numbers; and the numbers.

    Examples
    --------
    >>> message("4, for the 2 runs")
    ('{1}, for the {2} runs', ['4', '2'])
    """
    numbers = _NUMBER.findall(value)
    count = iter(range(1, len(numbers) + 1))
    return _NUMBER.sub(lambda _: f"{{{next(count)}}}", value), numbers


def filled(text, numbers):
    """
    Return a message with numbers in its gaps.

    Examples
    --------
    >>> filled("{1}，共 {2} 次训练", ["4", "2"])
    '4，共 2 次训练'
    """
    return re.sub(r"\{(\d+)\}", lambda gap: numbers[int(gap[1]) - 1], text)


def translate(notebook, say, place):
    """
    Replace the roles that quote words, in the cells of a translated chapter.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        It is changed.
    say : callable
        Takes a text, what it is, and where it stands; returns what takes its place.
    place : str
        The chapter, for messages.
    """
    records = recorded_values(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _quoted(cell.source, records, say, place)


def _quoted(source, records, say, place):
    """Replace the roles in one text."""
    def replace(role):
        value = records.get(role[2])
        if not isinstance(value, str) or not is_prose(value):
            return role[0]
        text, numbers = message(value)
        said = filled(say(text, f"value that the text quotes, {role[2]}", place), numbers)
        said = re.sub(r"([\\`*_|<>\[\]$])", r"\\\1", said)
        before, after = source[:role.start()][-1:], source[role.end():][:1]
        left = "" if _WIDE.match(said[0]) and (not before or _WIDE.match(before)) else role[1]
        right = "" if _WIDE.match(said[-1]) and (not after or _WIDE.match(after)) else role[3]
        return f"{left}{said}{right}"

    return _ROLE.sub(replace, source)
