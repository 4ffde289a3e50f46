"""Studies that were run once and are read often: one line for each trial.

A study is a search over designs, made of trials. While it runs, its search library keeps a
journal. What this module writes beside the journal is a file of JSON lines that needs no library
to be read: one line for each trial that has ended, with its parameters, its values by epoch, and
whatever the trial noted about itself. The studies that belong to the course lie in the folder
``studies`` of this package.

A trial is any object with the attributes ``number``, ``state`` (with a ``name``), ``value``,
``params``, ``intermediate_values`` and ``user_attrs``, as Optuna's trials have them.
"""

import json
import os
from pathlib import Path

__all__ = ["Row", "line", "read", "row", "stored", "write"]

_FOLDER = Path(__file__).with_name("studies")
_STATES = ("trained", "stopped", "over budget", "failed")


class Row(dict):
    """One trial of a study: a dictionary, with the keys that each trial has.

    ``number`` (int, from 0), ``state`` (str: ``"trained"`` to the end, ``"stopped"`` early,
    ``"over budget"`` and not trained at all, ``"failed"``), ``value`` (float, or None unless the
    trial was trained to its end), ``params`` (dict) and ``epochs`` (list of float: the value
    after each epoch), and what the trial noted about itself. ``FIELDS`` has the types of the
    former by name.
    """

    FIELDS = {"number": int, "state": str, "value": float, "params": dict, "epochs": list}


def row(trial):
    """Describe one trial that has ended.

    Parameters
    ----------
    trial : object
        See the module's docstring.

    Returns
    -------
    Row
        None for a trial that waits or runs.
    """
    name = trial.state.name
    if name not in ("COMPLETE", "PRUNED", "FAIL"):
        return None
    notes = dict(trial.user_attrs)
    state = {"COMPLETE": "trained", "PRUNED": "stopped", "FAIL": "failed"}[name]
    if notes.pop("over_budget", False):
        state = "over budget"
    steps = sorted(trial.intermediate_values)
    return Row(number=trial.number, state=state,
               value=trial.value if state == "trained" else None, params=dict(trial.params),
               epochs=[trial.intermediate_values[step] for step in steps], **notes)


def line(trial):
    """Return one line of text about a trial that has ended (str)."""
    found = row(trial)
    if found is None:
        return f"trial {trial.number}: not ended"
    reached = f"{found['epochs'][-1]:.3f}" if found["epochs"] else "  -  "
    millions = found.get("multiply_adds", 0) / 1e6
    return (f"trial {found['number']:3d}   {found['state']:<11}   {len(found['epochs'])} epochs   "
            f"accuracy {reached}   {millions:6.2f} million multiply-adds")


def write(trials, path):
    """Write the trials that have ended, one line each, so that the file is whole or not changed.

    Parameters
    ----------
    trials : iterable of object
        See the module's docstring.
    path : path-like

    Returns
    -------
    int
        The number of lines.
    """
    path = Path(path)
    rows = [found for trial in trials if (found := row(trial)) is not None]
    draft = path.with_name(f".{os.getpid()}-{path.name}")
    draft.write_text("".join(json.dumps(r, allow_nan=False) + "\n" for r in rows),
                     encoding="utf-8")
    os.replace(draft, path)
    return len(rows)


def stored(name):
    """Return where a study that belongs to the course is stored.

    Parameters
    ----------
    name : str
        Such as ``"12_challenge"``.

    Returns
    -------
    pathlib.Path
    """
    return _FOLDER / f"{name}.jsonl"


def read(path):
    """Read the trials that `write` has written.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Row

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a line is not a trial, or a number comes twice; the message names the line.
    """
    rows, numbers = [], set()
    for k, text in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        try:
            found = json.loads(text)
            wrong = [name for name, kind in Row.FIELDS.items()
                     if not isinstance(found[name], kind)
                     and not (name == "value" and found[name] is None)]
            if found["state"] not in _STATES:
                wrong.append("state")
            if found["number"] in numbers:
                raise ValueError(f"trial {found['number']} is there already")
            if wrong:
                raise ValueError(f"what stands under {', '.join(wrong)} cannot be used")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{Path(path).name}, line {k}, is not a trial ({error}): restore the "
                             "file from the repository, or take the line out") from error
        numbers.add(found["number"])
        rows.append(Row(found))
    return rows
