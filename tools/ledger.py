"""The ledger of the full runs: ``results.json``, made from nothing but the stored notebooks."""

import json
from pathlib import Path

from datasetslib.recording import recorded_values
from tools import pairs

NAME = "results.json"


def collect(root=pairs.ROOT):
    """
    Read what every stored notebook recorded.

    Parameters
    ----------
    root : path-like
        The folder of the repository.

    Returns
    -------
    dict of dict
        Recorded values by chapter and name; ``conditions`` and ``seconds`` are among them.
    """
    return {
        stem: recorded_values(pairs.read(pairs.paths(stem, root)[1]))
        for stem in pairs.notebooks(root)
    }


def write(root=pairs.ROOT):
    """Write ``results.json`` anew from the notebooks: sorted, so that a change is a small diff."""
    text = json.dumps(collect(root), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    pairs.replace_text(Path(root) / NAME, text + "\n")


def differences(root=pairs.ROOT):
    """
    Compare ``results.json`` with the notebooks.

    Parameters
    ----------
    root : path-like
        The folder of the repository.

    Returns
    -------
    list of str
        One sentence for each difference; empty when they agree.
    """
    path, held = Path(root) / NAME, collect(root)
    remedy = "`python -m tools.chapters ledger` writes it anew from the notebooks"
    if not path.is_file():
        return [f"{NAME} is missing: {remedy}"] if held else []
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"{NAME} is not valid JSON ({error}): {remedy}"]
    found = []
    for stem in sorted(set(written) | set(held)):
        old, new = written.get(stem), held.get(stem)
        if old is None or new is None:
            where = "the notebooks" if old is None else NAME
            found.append(f"{NAME}: {stem} is only in {where}: {remedy}")
            continue
        names = [n for n in sorted(set(old) | set(new)) if old.get(n, ...) != new.get(n, ...)]
        if names:
            differing = ", ".join(names)
            found.append(f"{NAME}: {stem} differs from its notebook in {differing}: {remedy}")
    return found
