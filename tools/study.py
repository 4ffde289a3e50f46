"""Run the study of a chapter: what its cells define, up to the function ``search``.

    python -m tools.study 12_challenge 80

goes on with the study until 80 of its trials have been trained. The study's journal lies in the
folder that ``DATASETSLIB_RUNS`` names, and beside it the file of JSON lines that
``datasetslib.studies`` reads. Whatever ends the process, the same command goes on from there.
"""

import argparse
import ast
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def definitions(source):
    """Return the part of a chapter that defines its study.

    Parameters
    ----------
    source : str
        The chapter's text.

    Returns
    -------
    str
        Its beginning, up to the end of the function ``search``.

    Raises
    ------
    ValueError
        When the chapter has no such function.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == "search":
            return "".join(source.splitlines(keepends=True)[:node.end_lineno])
    raise ValueError("this chapter defines no study: it has no function named search")


def load(chapter, folder):
    """Execute what defines a chapter's study; return its names.

    Parameters
    ----------
    chapter : path-like
        The chapter's ``.py`` file.
    folder : path-like
        Where a copy of what is executed is kept. The study's digest is read from that copy, so
        the chapter may be edited while its study runs.

    Returns
    -------
    dict
    """
    copy = Path(folder) / f"{Path(chapter).stem}-{os.getpid()}.py"
    copy.write_text(definitions(Path(chapter).read_text(encoding="utf-8")), encoding="utf-8")
    names = {"__name__": "study"}
    exec(compile(copy.read_text(encoding="utf-8"), str(copy), "exec"), names)
    return names


def main(arguments=None):
    """Go on with a study; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", help="such as 12_challenge")
    parser.add_argument("n", type=int, help="go on until so many trials have been trained")
    chosen = parser.parse_args(arguments)
    runs = os.environ.get("DATASETSLIB_RUNS")
    if not runs:
        parser.error("DATASETSLIB_RUNS names no folder: a study has to be kept somewhere")
    folder = Path(runs).expanduser() / "studies"
    folder.mkdir(parents=True, exist_ok=True)
    names = load(ROOT / "chapters" / f"{chosen.chapter}.py", folder)
    names["search"](chosen.n, folder / f"{chosen.chapter}.journal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
