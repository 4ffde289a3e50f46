"""
The chapter runner.

    python -m tools.chapters check  [chapter ...]   what can be known without running, in seconds
    python -m tools.chapters sync   [chapter ...]   edited prose from the .py into the .ipynb
    python -m tools.chapters ci     [chapter ...]   at CI size; --draft for a chapter being written
    python -m tools.chapters full   [chapter ...]   in full, outputs written back, results.json anew
    python -m tools.chapters ledger                 results.json anew from the stored notebooks
"""

import argparse
import sys
from difflib import get_close_matches
from pathlib import Path

from tools import checks, ci, full, ledger, pairs, testdata


def _chosen(named, root):
    """Return the chapters a command is about: the named ones, or all; unknown names are errors."""
    known = pairs.sources(root)
    stems = [Path(name).stem for name in named]
    for stem in stems:
        if stem not in known:
            near = get_close_matches(stem, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise pairs.ChapterError(f"{stem}: no such chapter; {hint}")
    if not known:
        raise pairs.ChapterError("there is no chapter in chapters/")
    return stems or known


def _report(problems):
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def check(options):
    """Print every problem that can be seen without running anything."""
    stems = _chosen(options.stems, options.root)
    problems, notes = checks.check(options.root, stems)
    for note in notes:
        print(f"note: {note}")
    print(f"{len(stems)} chapters checked, {len(problems)} problems")
    return _report(problems)


def sync(options):
    """Bring the notebooks up to date with the text of their ``.py``, keeping outputs."""
    for stem in _chosen(options.stems, options.root):
        script, path = pairs.paths(stem, options.root)
        if not path.is_file():
            print(f"{stem}: has no notebook yet: make results CHAPTERS={stem}")
            continue
        fresh, stored = pairs.from_source(script), pairs.read(path)
        lost = pairs.synchronised(fresh, stored)
        if fresh == stored:
            print(f"{stem}: unchanged")
            continue
        pairs.write(fresh, path)
        print(f"{stem}: updated")
        if lost:
            print(f"{stem}: {lost} code cells changed and lost their outputs: run it in full again")
    return 0


def run_ci(options):
    """Run chapters at CI size, after the checks that make the run mean something."""
    stems = _chosen(options.stems, options.root)
    if options.draft:
        problems = [problem for stem in stems for problem in checks.source(stem, options.root)]
    else:
        problems, _ = checks.check(options.root, stems)
    outcomes = ci.run(stems, options.root, options.jobs, say)
    passed = sum(not outcome.cause for outcome in outcomes)
    _report(problems)
    more = f", {len(problems)} problems with what is stored" if problems else ""
    say(f"{passed} passed, {len(outcomes) - passed} failed{more}")
    return 0 if passed == len(outcomes) and not problems else 1


def run_full(options):
    """Run chapters in full and write the ledger."""
    stems = _chosen(options.stems, options.root)
    failed = full.run(stems, options.root, options.allow_synthetic, say)
    print(f"{len(stems) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def write_ledger(options):
    """Write ``results.json`` anew."""
    ledger.write(options.root)
    return 0


def say(line):
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def main(arguments=None):
    """Run one verb and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=pairs.ROOT, help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(required=True, metavar="verb")
    for name, action in (("check", check), ("sync", sync), ("ci", run_ci), ("full", run_full),
                         ("ledger", write_ledger)):
        verb = verbs.add_parser(name, help=action.__doc__)
        verb.set_defaults(action=action)
        if name != "ledger":
            verb.add_argument("stems", nargs="*", metavar="chapter")
        if name == "ci":
            verb.add_argument("--draft", action="store_true",
                              help="for a chapter being written: ask nothing of its stored outputs")
            verb.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
        if name == "full":
            verb.add_argument("--allow-synthetic", action="store_true")
    options = parser.parse_args(arguments)
    try:
        return options.action(options)
    except (pairs.ChapterError, testdata.DataError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
