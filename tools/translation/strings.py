"""
Find and replace the sentences among the strings of ``checks.py``: what it says to students.

These are the texts under ``"message"`` and ``"title"``, and every other string with a space and a
word in it that is neither a docstring nor part of a ``raise``. What an f-string fills in stands in
a message as it does in the source, ``{answer['steps']}``.
"""

import ast

from tools.translation.messages import is_prose

_KEYS = ("message", "title")


def _text(node):
    """Return the text of a string or an f-string, with what it fills in; None if it is neither."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    # unparse gives f'...'; what is within is the text as an f-string has it.
    made = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            made.append(part.value.replace("{", "{{").replace("}", "}}"))
        else:
            form = _text(part.format_spec) if part.format_spec else ""
            kind = f"!{chr(part.conversion)}" if part.conversion > 0 else ""
            made.append(f"{{{ast.unparse(part.value)}{kind}{':' + form if form else ''}}}")
    return "".join(made)


def _strings(tree):
    """Return the nodes that hold what is said, with what each is."""
    found, skipped = {}, set()
    for node in ast.walk(tree):
        if (isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
                and ast.get_docstring(node)):
            skipped.add(id(node.body[0].value))
        elif isinstance(node, ast.Raise):
            skipped.update(id(part) for part in ast.walk(node))
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in ast.walk(node) if part is not node)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in _KEYS and _text(value):
                    found[id(value)] = (value, f"{key.value} of an assignment's checks")
    for node in ast.walk(tree):
        text = None if id(node) in skipped else _text(node)
        if text and id(node) not in found and " " in text.strip() and is_prose(text):
            found[id(node)] = (node, "what an assignment's check says")
    return sorted(found.values(), key=lambda item: (item[0].lineno, item[0].col_offset))


def translate(source, say):
    """
    Replace what a ``checks.py`` says.

    Parameters
    ----------
    source : str
    say : callable
        Takes a text, what it is, and its line; returns what takes its place.

    Returns
    -------
    str

    Examples
    --------
    >>> print(translate('x = {"message": "No. " f"{n} are left."}', lambda *t: t[0].lower()))
    x = {"message": f'no. {n} are left.'}
    """
    # Positions are counted in bytes.
    lines = source.encode().split(b"\n")
    said = [(node, _text(node), say(_text(node), kind, node.lineno))
            for node, kind in _strings(ast.parse(source))]
    for node, text, new in reversed(said):
        if new == text:
            continue
        written = repr(new)
        if isinstance(node, ast.JoinedStr):
            # Before Python 3.12 what is filled in may not have the quotes that enclose it.
            quote = next(q for q in ("'", '"', '"""', "'''") if q not in new)
            written = f"f{quote}{new}{quote}"
        start, end = node.lineno - 1, node.end_lineno - 1
        lines[start:end + 1] = [lines[start][:node.col_offset] + written.encode()
                                + lines[end][node.end_col_offset:]]
    return b"\n".join(lines).decode()

