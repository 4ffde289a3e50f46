"""
Find what the explorers say, and write a table of it in another language.

In ``assets/explorers`` every text that a reader sees or hears goes through ``tr("...")``: English
in the source, and the key of the table of the page's language,
``assets/explorers/words_zh_CN.js``. What it fills in stands in braces:
``tr("Row {row}", { row: 3 })``.
"""

import json
from io import BytesIO

from babel.messages.extract import extract_javascript

FOLDER = "assets/explorers"
#: Files with numbers or strokes, and no word.
SILENT = ("lenet_weights.js", "lenet_strokes.js")


def translate(say, root):
    """
    Hand what the explorers say to a function.

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
    words = {}
    for path in sorted((root / FOLDER).glob("*.js")):
        if path.name in SILENT or path.name.startswith("words_"):
            continue
        for line, _, found, _ in extract_javascript(
                BytesIO(path.read_bytes()), {"tr": None}, (), {"encoding": "utf-8"}):
            # The values that it fills in count as arguments.
            text = found if isinstance(found, str) else found[0]
            place = f"{FOLDER}/{path.name}:{line}"
            words[text] = say(text, f"said by the explorer: {path.stem}", place)
    table = json.dumps(words, ensure_ascii=False, indent=1, sort_keys=True)
    return {f"{FOLDER}/words_zh_CN.js":
            f"window.course = window.course || {{}};\nwindow.course.words = {table};\n"}
