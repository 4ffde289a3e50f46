"""
Find what the tools say on the pages and in the notebooks, and write a table of it.

In the files below, every text for readers goes through ``tr("...")``, or stands in ``mark("...")``
where it is only said later; see `tools.languages`. How long a chapter takes stands in its text, and
once more in a table of the teachers' page: the phrase is found by the extension's own pattern.
"""

import ast
import json
import re

from tools import languages, pairs

FILES = ("_ext/*.py", "tools/grading/asserts.py", "tools/grading/student.py",
         "tools/notebook_edition.py", "tools/offline.py")
#: How a chapter says what time it takes; `_ext/course.py` reads it too.
ESTIMATE = re.compile(r"Time to read and to try things out: (.+?)\.", re.DOTALL)


def _said(source):
    r"""
    Return the texts in calls of ``tr`` and ``mark``, with their lines, in the order of the source.

    Babel's extractor does not look into f-strings before Python 3.12.

    Examples
    --------
    >>> _said("a = mark('one')\nb = f'<p>{self.tr(\"two \" \"three\", n=1)}</p>' + tr(a)")
    [(1, 'one'), (2, 'two three')]
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            text = getattr(node.args[0], "value", None)
            if name in ("tr", "mark") and isinstance(text, str):
                found.append((node.lineno, node.col_offset, text))
    return [(line, text) for line, _, text in sorted(found)]


def translate(say, root):
    """
    Hand what the tools say to a function.

    Parameters
    ----------
    say : callable
        Takes a text, what it is, and where it stands; returns what takes its place.
    root : pathlib.Path
        The folder of the repository.

    Returns
    -------
    dict
        The table, under the name of its file.
    """
    table = {}
    for path in sorted(file for pattern in FILES for file in root.glob(pattern)):
        place = path.relative_to(root).as_posix()
        kind = f"{'paragraph ' if place.startswith('tools/') else ''}said by the tools"
        for line, text in _said(path.read_text(encoding="utf-8")):
            table[text] = say(text, kind, f"{place}:{line}")
    for stem in pairs.sources(root):
        place = f"chapters/{stem}.py"
        # In a text cell, each line begins with a mark.
        text = re.sub(r"^# ?", "", (root / place).read_text(encoding="utf-8"), flags=re.MULTILINE)
        for estimate in ESTIMATE.findall(text)[:1]:
            time = " ".join(estimate.split())
            table[time] = say(time, "how long a chapter takes, in a table", place)
    return {languages.FILE: json.dumps(table, ensure_ascii=False, indent=1, sort_keys=True)}
