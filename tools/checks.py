"""
What can be known about the chapters without running them, in seconds.

Every function returns sentences that name the chapter, the cell, the cause and the remedy; an empty
list means that all is well.
"""

import re
from difflib import get_close_matches
from pathlib import Path

import yaml

from datasetslib.recording import recorded_values
from tools import ledger, pairs

CI_PARAMETERS = "ci-parameters.yml"
LONGEST_CELL = 40  # lines
LARGEST_NOTEBOOK = 1_000_000  # bytes

#: The tags a chapter may use. Not among them: those that let a failing or wrong cell pass.
TAGS = {
    pairs.PARAMETERS, pairs.CHECKED, "hide-input", "hide-output", "hide-cell", "slide", "no-slide",
}

#: What may be said about a chapter in ci-parameters.yml.
SETTINGS = {"parameters", "expect", "timeout", "draft"}
BOUNDS = {"min", "max", "equals"}

_MACHINE_PATH = re.compile(
    r"(?<![\w.:/~-])(?:/(?:home|root|tmp|work|Users|private|var|opt|usr|mnt)/|[A-Z]:\\)[\w.]"
)
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
_COMMENT_MARKER = re.compile(r"^\s*#\s*(NBVAL_\w+|PYTEST_VALIDATE\w+)\s*$", re.MULTILINE)


def ci_settings(root=pairs.ROOT, name=CI_PARAMETERS):
    """
    Read ``ci-parameters.yml``, or another file of its form.

    Parameters
    ----------
    root : path-like
        The folder of the repository.
    name : str
        The file in it.

    Returns
    -------
    settings : dict of dict
        What the file says, by chapter.
    problems : list of str
        What is wrong with its form.
    """
    path = Path(root) / name
    if not path.is_file():
        return {}, [f"{name} is missing: it holds every chapter's CI-sized parameters"]
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        return {}, [f"{name} is not valid YAML: {error}"]
    if not isinstance(content, dict):
        return {}, [f"{name}: expected one entry per chapter"]
    problems, settings = [], {}
    for stem, entry in content.items():
        entry = {} if entry is None else entry
        if not isinstance(entry, dict):
            problems.append(f"{name}: {stem}: expected {', '.join(sorted(SETTINGS))}")
            continue
        settings[stem] = entry
        for unknown in sorted(set(entry) - SETTINGS):
            known = ", ".join(sorted(SETTINGS))
            problems.append(f"{name}: {stem}: {unknown!r} is not one of {known}")
        timeout = entry.get("timeout", 1)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            problems.append(
                f"{name}: {stem}: timeout is {timeout!r}, expected seconds, above 0"
            )
        if not isinstance(entry.get("draft", False), bool):
            problems.append(f"{name}: {stem}: draft is {entry['draft']!r}, expected true")
        for value, bounds in (entry.get("expect") or {}).items():
            if not isinstance(bounds, dict) or not bounds or set(bounds) - BOUNDS:
                problems.append(
                    f"{name}: {stem}: expect {value}: give min, max or equals"
                )
    return settings, problems


def in_toc(root=pairs.ROOT):
    """
    Return the chapters that the book's table of contents names, in its order.

    Parameters
    ----------
    root : path-like
        The folder of the repository.

    Returns
    -------
    list of str
        Stems of the files under ``chapters/``.
    """
    path, found = Path(root) / "_toc.yml", []

    def walk(node):
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in ("file", "root") and str(value).startswith("chapters/"):
                    found.append(Path(value).with_suffix("").name)
                walk(value)

    if path.is_file():
        walk(yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


def everywhere(root=pairs.ROOT):
    """
    Check that each chapter is on disk in both forms, in the TOC and in ``ci-parameters.yml``.

    A chapter that ``ci-parameters.yml`` calls a draft waits for its full run: it is tested at CI
    size, and it must be neither in the book nor have a notebook.

    Parameters
    ----------
    root : path-like
        The folder of the repository.

    Returns
    -------
    list of str
        The problems.
    """
    settings, problems = ci_settings(root)
    toc, scripts, stored = in_toc(root), pairs.sources(root), pairs.notebooks(root)
    for stem in sorted({*settings, *toc, *scripts, *stored}):
        if stem not in scripts and stem not in stored:
            where = " and ".join(
                name for name, group in ((CI_PARAMETERS, settings), ("_toc.yml", toc))
                if stem in group
            )
            near = get_close_matches(stem, scripts, 1)
            hint = f" (is it {near[0]}?)" if near else ""
            problems.append(f"{stem}: named in {where}, but not on disk{hint}")
            continue
        if stem not in scripts:
            problems.append(f"{stem}: chapters/{stem}.py, the source of the notebook, is missing")
        if settings.get(stem, {}).get("draft"):
            if stem in stored or stem in toc:
                problems.append(
                    f"{stem}: called a draft in {CI_PARAMETERS}, and it has a notebook or is in "
                    "_toc.yml: remove the line draft there, or those"
                )
            continue
        if stem not in stored:
            problems.append(
                f"{stem}: chapters/{stem}.ipynb is missing: make results CHAPTERS={stem}"
            )
        if stem not in settings:
            problems.append(f"{stem}: not in {CI_PARAMETERS}: it would never be tested")
        if stem not in toc:
            problems.append(f"{stem}: not in _toc.yml: it would not be in the book")
    problems += [f"{s}: named twice in _toc.yml" for s in sorted(set(toc)) if toc.count(s) > 1]
    return problems


def _texts(output):
    """Yield the texts of an output that a reader sees."""
    if output.output_type == "stream":
        yield output.text
    for kind, data in output.get("data", {}).items():
        if isinstance(data, str) and not kind.startswith("image/"):
            yield data


def _cell_problems(cell, number):
    where = f"code cell {number}"
    seen = [o for o in cell.outputs if "scrapbook" not in o.get("metadata", {})]
    kinds = {kind for o in seen for kind in o.get("data", {})}
    if cell.execution_count is None:
        yield f"{where} was never executed: run the chapter in full"
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"{where} holds a stored error: {output.ename}: {output.evalue}"
        if output.get("name") == "stderr":
            yield f"{where} holds standard error: {output.text.strip()[:80]!r}"
        for text in _texts(output):
            if "\r" in text or "\x1b" in text:
                yield f"{where} holds the residue of a progress bar or of terminal colours"
            if found := _ADDRESS.search(text):
                yield f"{where} shows an address in memory ({found.group()}), different at each run"
            if found := _MACHINE_PATH.search(text):
                yield f"{where} shows a path of the machine it ran on ({found.group()}...)"
    if any(kind.startswith("image/") for kind in kinds):
        if not cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip():
            yield f'{where} shows a figure without alt text: mystnb={{"image": {{"alt": "..."}}}}'
        if pairs.CHECKED in pairs.tags(cell):
            yield f"{where} is checked ({pairs.CHECKED}) but shows a figure: only text compares"
    if pairs.CHECKED in pairs.tags(cell) and not seen:
        yield f"{where} is checked ({pairs.CHECKED}) but has no stored output to compare with"


def _source_problems(notebook):
    cells = pairs.code_cells(notebook)
    declared = sum(pairs.PARAMETERS in pairs.tags(cell) for cell in notebook.cells)
    if declared != 1:
        yield f"{declared} cells are tagged {pairs.PARAMETERS!r}, expected exactly one"
    for number, cell in enumerate(cells, 1):
        where, length = f"code cell {number}", len(cell.source.splitlines())
        if length > LONGEST_CELL:
            yield f"{where} has {length} lines, at most {LONGEST_CELL} are readable: split it"
        for tag in sorted(set(pairs.tags(cell)) - TAGS):
            near = get_close_matches(tag, TAGS, 1)
            hint = f" (is it {near[0]!r}?)" if near else ""
            yield f"{where} has the tag {tag!r}, which is not one of ours{hint}"
        if found := _COMMENT_MARKER.search(cell.source):
            yield f"{where} holds the comment {found.group(1)}: use the tag {pairs.CHECKED!r}"
        if found := _MACHINE_PATH.search(cell.source):
            yield f"{where} names a path of one machine ({found.group()}...)"


def source(stem, root=pairs.ROOT):
    """
    Check the ``.py`` of a chapter.

    Parameters
    ----------
    stem : str
        The chapter.
    root : path-like
        The folder of the repository.

    Returns
    -------
    list of str
        The problems.
    """
    fresh = pairs.from_source(pairs.paths(stem, root)[0])
    problems = list(_source_problems(fresh))
    if fresh.metadata.jupytext.formats != "ipynb,py:percent":
        problems.append("the header does not pair it with a notebook (formats: ipynb,py:percent)")
    try:
        pairs.code_digest(fresh)
    except pairs.ChapterError as error:
        problems.append(str(error))
    return [f"{stem}: {problem}" for problem in problems]


def stored(stem, root=pairs.ROOT):
    """
    Check the notebook of a chapter: that it belongs to the ``.py`` and is fit to be published.

    Parameters
    ----------
    stem : str
        The chapter; both forms exist.
    root : path-like
        The folder of the repository.

    Returns
    -------
    problems : list of str
        What is wrong.
    notes : list of str
        What is worth knowing.
    """
    script, path = pairs.paths(stem, root)
    fresh, notebook = pairs.from_source(script), pairs.read(path)
    problems, notes = [], []
    about = notebook.metadata.get("course", {})
    try:
        current = pairs.code_digest(fresh)
    except pairs.ChapterError:
        current = None  # reported by source()
    if current and about.get("code") != current:
        problems.append(
            "stale: the code or the parameters changed since the outputs were made: "
            f"make results CHAPTERS={stem}"
        )
    problems += [
        f"{difference}: make sync CHAPTERS={stem}"
        for difference in pairs.differences(fresh, notebook)
    ]
    cells = pairs.code_cells(notebook)
    for number, cell in enumerate(cells, 1):
        problems += _cell_problems(cell, number)
    counts = [c.execution_count for c in cells if c.execution_count is not None]
    if counts != sorted(set(counts)):
        problems.append("its cells were not executed from top to bottom")
    size = path.stat().st_size
    if size >= LARGEST_NOTEBOOK:
        problems.append(f"the notebook has {size / 1e6:.1f} MB, expected less than 1 MB")
    conditions = recorded_values(notebook).get("conditions")
    if conditions is None:
        problems.append("no conditions are recorded: its last code cell calls conditions()")
    elif conditions.get("synthetic"):
        problems.append(f"its outputs come from synthetic data: make results CHAPTERS={stem}")
    changed = [
        name for name, digest in pairs.surroundings(root).items() if about.get(name) != digest
    ]
    if changed:
        notes.append(f"{stem}: changed since its outputs were made: {', '.join(sorted(changed))}")
    return [f"{stem}: {problem}" for problem in problems], notes


def check(root=pairs.ROOT, stems=None):
    """
    Run every check.

    Parameters
    ----------
    root : path-like
        The folder of the repository.
    stems : list of str, optional
        Look into these chapters only; what concerns all of them together is checked always.

    Returns
    -------
    problems, notes : list of str
        What is wrong, and what is worth knowing.
    """
    problems, notes = everywhere(root), []
    scripts, written = pairs.sources(root), pairs.notebooks(root)
    for stem in stems or scripts:
        if stem not in scripts:
            continue
        problems += source(stem, root)
        if stem in written:
            wrong, worth_knowing = stored(stem, root)
            problems += wrong
            notes += worth_knowing
    return problems + ledger.differences(root), notes
