"""Write the translated source of the book: what the ordinary tools then build, run and publish."""

import shutil
from pathlib import Path

import nbformat

from tools.translation import catalogue, sources
from tools.translation.messages import TranslationError

OUT = "build/zh"


def speaker(name, root, draft=False):
    """
    Return the `say` that puts the translations of a catalogue in place.

    Parameters
    ----------
    name : str
        Such as ``"chapters/03_lenet"``.
    root : path-like
        The folder of the repository.
    draft : bool
        Whether English may stay where there is no translation, or only a fuzzy one.
    """
    known = catalogue.translations(name, root)

    def say(text, kind, place):
        if text in known:
            return known[text]
        if draft:
            return text
        raise TranslationError(f"{place}: no translation of {text[:60]!r}; see "
                               f"{catalogue.FOLDER}/{name}.po, and "
                               f"python -m tools.translation check {name}")

    return say


def write(root=sources.ROOT, out=None, draft=False):
    """
    Write the translated source.

    Parameters
    ----------
    root : path-like
        The folder of the repository.
    out : path-like, optional
        The folder to write; what it held is gone afterwards.
    draft : bool
        As for `speaker`.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    root = Path(root)
    out = root / OUT if out is None else Path(out)
    made = {}
    for name in sources.catalogues(root):
        made |= sources.translate(name, speaker(name, root, draft), root)
    shutil.rmtree(out, ignore_errors=True)
    for file, content in made.items():
        path = out / file
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else nbformat.writes(content)
        path.write_text(text.rstrip("\n") + "\n", encoding="utf-8", newline="\n")
    return out
