"""
Make a private variant of an assignment: the same questions, with other data, shapes and thresholds.

    python -m tools.grading.private ASSIGNMENT --out FOLDER [--seed N]

The hidden cases of the masters in this repository can be read by anyone. A variant lies in a folder
outside of it, and is what a teacher sets and grades with::

    FOLDER/ASSIGNMENT/            the assignment, as in assignments/; keep it to yourself
    FOLDER/students/ASSIGNMENT/   what students get

It is drawn by the function ``private`` of ``checks.py`` and proven as the published ones are. What
is not proven is not written, and nothing that is there is ever replaced.
"""

import argparse
import ast
import pprint
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from tools.grading import definition, master, prove, sandbox, student
from tools.grading.grader import cores

#: Seeds are drawn below this.
SEEDS = 1 << 32


class PrivateError(Exception):
    """A variant cannot be made; the message names the thing and the remedy."""


def with_variant(source, variant, note):
    r"""
    Return a definition with another ``VARIANT``.

    Parameters
    ----------
    source : str
        The text of ``checks.py``.
    variant : dict
        Plain values: numbers, strings, and lists, tuples and dictionaries of these.
    note : str
        A comment to stand above it.

    Returns
    -------
    str

    Raises
    ------
    PrivateError
        When it has not exactly one ``VARIANT``, or a value cannot be written as it is.

    Examples
    --------
    >>> print(with_variant("VARIANT = {'n': 1}\nLIMITS = {}", {"n": 2}, "Drawn."))
    # Drawn.
    VARIANT = {'n': 2}
    LIMITS = {}
    """
    places = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)
              and ast.unparse(node.targets[0]) == "VARIANT"]
    if len(places) != 1:
        raise PrivateError(f"checks.py sets VARIANT {len(places)} times; it has to once, at the "
                           "top level")
    text = pprint.pformat(variant, width=90, sort_dicts=False)
    try:
        same = ast.literal_eval(text) == variant
    except (ValueError, SyntaxError):
        same = False
    if not same:
        raise PrivateError("private() of checks.py returns values that cannot be written down; "
                           "make them int(), float(), str(), lists, tuples or dictionaries")
    lines = source.split("\n")
    first, last = places[0].lineno, places[0].end_lineno
    lines[first - 1:last] = [f"# {note}", *f"VARIANT = {text}".split("\n")]
    return "\n".join(lines)


def draw(name, folder, seed, assignments=definition.ASSIGNMENTS):
    """
    Write a variant's folder, not yet proven.

    Parameters
    ----------
    name : str
        The assignment.
    folder : path-like
        Where its folder is to lie.
    seed : int
        What decides the variant: the same seed gives the same.
    assignments : path-like
        Where the masters are.

    Returns
    -------
    tools.grading.definition.Assignment

    Raises
    ------
    PrivateError, tools.grading.definition.DefinitionError
        When there is no such assignment, or it cannot be varied.
    """
    original = definition.load(name, assignments)
    module = definition._module(original.folder / "checks.py")
    if not hasattr(module, "private"):
        raise PrivateError(f"{name}/checks.py has no function private(rng), which returns another "
                           "VARIANT; write one, as assignments/01_convolution/checks.py does")
    variant = {**module.VARIANT, **module.private(np.random.default_rng(seed))}
    if variant == module.VARIANT:
        raise PrivateError(f"{name}/checks.py: private(rng) returns the published VARIANT")
    place = Path(folder) / name
    shutil.copytree(original.folder, place, ignore=shutil.ignore_patterns("__pycache__"))
    source = (place / "checks.py").read_text(encoding="utf-8")
    note = f"A private variant: seed {seed}. Keep it to yourself."
    (place / "checks.py").write_text(with_variant(source, variant, note), encoding="utf-8")
    return definition.load(name, folder)


def make(name, out, seed=None, assignments=definition.ASSIGNMENTS, isolation="bubblewrap"):
    """
    Draw a variant, prove it, and put it where the teacher wants it.

    Parameters
    ----------
    name : str
        The assignment.
    out : path-like
        A folder outside the repository.
    seed : int, optional
        Otherwise one that nobody can guess.
    assignments : path-like
        Where the masters are.
    isolation : str
        As in `tools.grading.grader.grade_one`.

    Returns
    -------
    tuple
        The place of the variant, the place of its student copy, and the table of the proof.

    Raises
    ------
    PrivateError
        When `out` is within the repository, or something is there, or the variant is not proven.
    """
    out = Path(out).resolve()
    if out == definition.ROOT or definition.ROOT in out.parents:
        raise PrivateError(f"{out} lies in the repository, from where it would be published; "
                           "name a folder outside of it")
    places = [out / name, out / "students" / name]
    for place in places:
        if place.exists():
            raise PrivateError(f"{place} is there already, and perhaps set to a class; nothing was "
                               "changed. Name another folder, or move it away")
    out.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that it gets there in one step when it is whole.
    with tempfile.TemporaryDirectory(dir=out, prefix=".unproven-") as folder:
        drawn, proof = Path(folder) / "drawn", Path(folder) / "proof"
        proof.mkdir()
        assignment = draw(name, drawn, secrets.randbelow(SEEDS) if seed is None else seed,
                          assignments)
        problems = prove.prove(assignment, proof, isolation=isolation, jobs=cores())
        wrong = [f"{check}: {what}" for check, what in problems.items() if what]
        if wrong:
            raise PrivateError(f"the variant that was drawn is not proven, and not written: "
                               f"{'; '.join(wrong)}. Draw another (--seed), or mend {name}")
        student.publish(assignment, Path(folder) / "students")
        places[1].parent.mkdir(exist_ok=True)
        (Path(folder) / "students").rename(places[1])
        assignment.folder.rename(places[0])
    return *places, prove.table({name: problems})


def main(arguments=None):
    """Make a private variant; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.grading.private",
                                     description=__doc__.strip().splitlines()[0])
    parser.add_argument("assignment", help=f"one of {', '.join(definition.names())}")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER",
                        help="a folder outside the repository")
    parser.add_argument("--seed", type=int, metavar="N",
                        help="draw this variant (default: one that nobody can guess)")
    options = parser.parse_args(arguments)
    try:
        sandbox.ensure()
        place, copy, proof = make(options.assignment, options.out, options.seed)
    except (PrivateError, definition.DefinitionError, master.MasterError, sandbox.SandboxError,
            OSError) as error:
        print(f"private variant: {error}", file=sys.stderr)
        return 1
    print(f"{proof}\n\nFor you:      {place}\nFor students: {copy}\n\n"
          f"Grade with: .venv/bin/python -m tools.grade SUBMISSIONS --assignment {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
