"""Find and replace the comments in code."""

import io
import re
import tokenize
import unicodedata

from tools.translation.messages import is_prose

#: Comments that programs read.
_MARKS = re.compile(r"#\s*(noqa\b|type:|fmt:|pragma\b|(BEGIN|END) SOLUTION$|SOLUTION$|!)")
WIDTH = 88
#: What must not begin a line.
_CLOSING = "，。：；？！、）”’》…—"


def translate(source, say, line=1):
    r"""
    Replace the comments of Python code; comment lines in a row are one message.

    Parameters
    ----------
    source : str
        Python.
    say : callable
        Takes a comment, what it is, and its line; returns what takes its place.
    line : int
        The line, in its file, of the first line of the source.

    Returns
    -------
    str
        The same code.

    Examples
    --------
    >>> print(translate("# one\n# two\nx = 1  # three", lambda text, kind, line: text.upper()))
    # ONE TWO
    x = 1  # THREE
    """
    lines = source.split("\n")
    found = [token for token in tokenize.generate_tokens(io.StringIO(source).readline)
             if token.type == tokenize.COMMENT]
    blocks = []  # first line, last line, column, text
    for token in found:
        row, column = token.start
        text = token.string.lstrip("#").strip()
        whole = not lines[row - 1][:column].strip()
        if _MARKS.match(token.string):
            continue
        if (whole and blocks and blocks[-1][1] == row - 1 and blocks[-1][2] == column
                and blocks[-1][4] and text):
            blocks[-1][1], blocks[-1][3] = row, f"{blocks[-1][3]} {text}"
        elif text:
            blocks.append([row, row, column, text, whole])
    said = [(*block, say(block[3], "comment in code", line + block[0] - 1))
            for block in blocks if is_prose(block[3])]
    for first, last, column, text, whole, new in reversed(said):
        if new == text:
            continue
        before = lines[first - 1][:column]
        if whole:
            lines[first - 1:last] = [f"{before}# {part}" for part in
                                     wrapped(new, WIDTH - len(before) - 2)]
        else:
            lines[first - 1] = f"{before}# {new}"
    return "\n".join(lines)


def translate_fence(source, language, say, line=1):
    r"""
    Replace the comments in a fenced block of Python or shell; other languages have none.

    Examples
    --------
    >>> upper = lambda text, kind, line: text.upper()
    >>> print(translate_fence("make book    # builds it\n# all", "bash", upper))
    make book    # BUILDS IT
    # ALL
    """
    if language == "python":
        return translate(source, say, line)
    if language not in ("bash", "sh"):
        return source
    made = []
    for number, text in enumerate(source.split("\n")):
        found = re.fullmatch(r"(.*?(?:^|\s{2,}))# (.+)", text)
        if found and is_prose(found[2]):
            text = f"{found[1]}# {say(found[2], 'comment in code', line + number)}"
        made.append(text)
    return "\n".join(made)


def width(text):
    """
    Return how many columns a text takes; a Chinese character takes two.

    Examples
    --------
    >>> width("a卷积")
    5
    """
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def wrapped(text, columns):
    """
    Break a text into lines: between words, and between Chinese characters.

    Parameters
    ----------
    text : str
    columns : int
        How wide a line may be; a word that is longer is not broken.

    Returns
    -------
    list of str

    Examples
    --------
    >>> wrapped("卷积核在图像上滑动，每次 2 个像素。", 16)
    ['卷积核在图像上滑', '动，每次 2 个像', '素。']
    """
    wide = r"\u2e80-\u9fff\uff00-\uffef"
    pieces = re.findall(rf"\s*(?:[{wide}“‘]|[^\s{wide}]+)[{_CLOSING}]*", text)
    lines = [""]
    for piece in pieces:
        if lines[-1] and width(lines[-1] + piece) > columns:
            lines.append(piece.lstrip())
        else:
            lines[-1] += piece
    return lines
