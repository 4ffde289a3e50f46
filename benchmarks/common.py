"""What the benchmarks share: peers, conditions, the code of the chapters, results on the disk."""

import argparse
import ast
import hashlib
import json
import os
import platform
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from benchmarks import verdicts

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"
#: What the benchmarks leave behind besides their results: trials, packed data, half-done trainings.
SCRATCH = ROOT / "build" / "benchmarks"

#: Module -> the package that has it, where the two names differ.
PACKAGES = {"tensorflow_datasets": "tensorflow-datasets", "PIL": "pillow"}
#: Whose versions stand in a result, where they are installed.
NAMED = ("numpy", "scipy", "tensorflow", "keras", "torch", "torchvision", "jax", "jaxlib",
         "tensorflow-datasets")


class BenchmarkError(Exception):
    """A benchmark cannot run, or must not write its result; says why, and what to do."""


# --- what is needed ----------------------------------------------------------------------


def need(*modules):
    """
    Refuse to go on without the named modules.

    Parameters
    ----------
    *modules : str

    Raises
    ------
    BenchmarkError
        Naming the packages that are missing, and the remedy.
    """
    missing = [PACKAGES.get(name, name) for name in modules if find_spec(name) is None]
    if missing:
        raise BenchmarkError(
            f"this Python has no {', '.join(missing)}: leave out --here, and the command makes the "
            "benchmarks' own environment from benchmarks/requirements.txt")


def chapter_functions(stem, names, given, folder=CHAPTERS):
    """
    Take functions out of a chapter, as they stand there.

    Parameters
    ----------
    stem : str
        The chapter, such as ``"01_convolution"``.
    names : list of str
        Its functions.
    given : dict
        What they use besides each other: modules, and parameters of the chapter. The functions
        are added to it, so that they see one another.
    folder : path-like

    Returns
    -------
    dict
        `given`.

    Raises
    ------
    BenchmarkError
        When the chapter has no function of this name, or none that is called twice the same.
    """
    nodes, path = _definitions(stem, names, folder)
    exec(compile(ast.Module(nodes, []), str(path), "exec"), given)
    return given


def chapter_digest(stem, names, folder=CHAPTERS):
    """
    Return a digest of functions of a chapter, comments and layout left out.

    Parameters and errors are those of `chapter_functions`.

    Returns
    -------
    str
    """
    nodes, _ = _definitions(stem, names, folder)
    return hashlib.sha256("\n".join(map(ast.dump, nodes)).encode()).hexdigest()


def _definitions(stem, names, folder):
    """Return the syntax trees of a chapter's functions and classes, and the chapter's path."""
    path = Path(folder) / f"{stem}.py"
    if not path.is_file():
        raise BenchmarkError(f"there is no chapter chapters/{stem}.py, whose code is measured")
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            if node.name in found:
                raise BenchmarkError(f"chapters/{stem}.py defines {node.name} twice: which of "
                                     "them is to be measured?")
            found[node.name] = node
    if missing := [name for name in names if name not in found]:
        raise BenchmarkError(f"chapters/{stem}.py has no function {', '.join(missing)}: if it was "
                             "renamed, rename it in the benchmark too")
    return [found[name] for name in names], path


# --- conditions --------------------------------------------------------------------------


def cores():
    """Return how many cores this process may use (int)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def one_thread_pool(threads):
    """Return the variables that hold the libraries of a process to so many threads (dict)."""
    number = str(threads)
    return {"OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number, "OPENBLAS_NUM_THREADS": number,
            "TF_NUM_INTRAOP_THREADS": number, "TF_NUM_INTEROP_THREADS": number,
            "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


def versions():
    """Return the versions of Python and of what is installed of `NAMED` (dict of str)."""
    import datasetslib

    found = {"python": platform.python_version(), "datasetslib": datasetslib.__version__}
    for name in NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def measured(result):
    """
    Note in a result under which conditions the block ran: machine, time, what else was going on.

    Parameters
    ----------
    result : dict
        Gets ``conditions``. ``quiet`` is False where other programs used 5 % of the machine or
        more, and None where that is not known.
    """
    from datasetslib import recording

    before, began = recording.cpu_snapshot(), time.monotonic()
    yield
    share = recording.others_share(before)
    result["conditions"] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": recording.machine(),
        "cores": cores(),
        "threads": cores(),
        "system": platform.system(),
        "seconds": round(time.monotonic() - began, 1),
        "others_share": None if share is None else round(share, 3),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "quiet": None if share is None else share < recording.QUIET_SHARE,
        "versions": versions(),
        # What the user's environment asks of the libraries: a BLAS held back by it is slower.
        "settings": {name: value for name, value in sorted(os.environ.items())
                     if name.startswith(("OPENBLAS_", "OMP_", "MKL_", "XLA_FLAGS"))},
    }


def real_data():
    """Choose the data as the tests do; return the line that says which (str)."""
    from tools import testdata

    try:
        added, line = testdata.choose()
    except testdata.DataError as error:
        raise BenchmarkError(str(error)) from None
    os.environ.update(added)
    return line


# --- results -----------------------------------------------------------------------------


def parser(name, text):
    """
    Return the parser of a benchmark's command line, with the options that all of them have.

    Parameters
    ----------
    name, text : str
        The benchmark, and its description.

    Returns
    -------
    argparse.ArgumentParser
    """
    made = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=text,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--here", action="store_true",
                      help="run in this Python, in place of the benchmarks' own environment")
    made.add_argument("--smoke", action="store_true",
                      help="tiny: shows that everything runs, measures nothing; written elsewhere")
    made.add_argument("--force", action="store_true",
                      help="write a busy machine's result over that of a quiet one")
    made.add_argument("--out", type=Path, help="the file that gets the result")
    made.add_argument("--repeats", type=int, default=5, help="of each measurement (default 5)")
    return made


def destination(name, options, partial=False):
    """
    Return where a result goes (Path); a trial's never lies among those of the page.

    Raises
    ------
    BenchmarkError
        When only some of the sides are measured and no other place is named.
    """
    if options.out is not None:
        return options.out
    if options.smoke:
        return SCRATCH / "smoke" / f"{name}.json"
    if partial:
        raise BenchmarkError("only some of the sides: name a file with --out, since the page wants "
                             "them all in one run")
    return verdicts.RESULTS / f"{name}.json"


def may_write(path, quiet, force):
    """
    Refuse to put the result of a busy machine in the place of a quiet one's.

    Parameters
    ----------
    path : pathlib.Path
    quiet : bool or None
        Of the new result.
    force : bool

    Raises
    ------
    BenchmarkError
        Saying where the new result was put instead.
    """
    if force or quiet or not path.is_file():
        return
    if json.loads(path.read_text(encoding="utf-8"))["conditions"]["quiet"]:
        raise BenchmarkError(
            f"other programs were busy, and {path.name} is the result of a quiet run: it stays. "
            "Run again on a quiet machine, or with --force")


def write(result, path, force=False):
    """
    Write a result, whole or not at all; a refused one is kept beside the scratch files.

    Parameters
    ----------
    result : dict
    path : path-like
    force : bool

    Raises
    ------
    BenchmarkError
        Where `may_write` refuses.
    """
    path = Path(path)
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    try:
        may_write(path, result["conditions"]["quiet"], force)
    except BenchmarkError as error:
        kept = SCRATCH / "busy" / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text, encoding="utf-8")
        raise BenchmarkError(f"{error}. What was measured is in {kept}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def rounded(number):
    """Return a number with five digits that count; None stays None."""
    return None if number is None else float(f"{number:.5g}")


def measurement(case, side, measure, values):
    """Return one entry of a result's ``measurements`` (dict)."""
    return {"case": case, "side": side, "measure": measure, "values": [rounded(v) for v in values]}


def show(result):
    """Print a result's tables: medians, quartiles, ratios, and which peers are ahead."""
    ours = result["ours"]
    for measure, about in result["measures"].items():
        wanted, rows = verdicts.table(result, measure)
        unit = about.get("unit", "")
        print(f"\n{measure}{f' ({unit})' if unit else ''}: median, quartiles, times {ours}")
        for case in wanted:
            print(f"  {case}")
            for side, cells in rows:
                found, ratio = cells[wanted.index(case)]
                if found is None and verdicts.values(result, case, side, measure) is None:
                    continue
                values = "not reached" if found is None else (
                    f"{verdicts.shown(found.median):>10} ({verdicts.shown(found.low)} to "
                    f"{verdicts.shown(found.high)})")
                print(f"    {side:<24}{values:<36}"
                      f"{'' if ratio is None else f'x {verdicts.shown(ratio)}'}")
    ahead = verdicts.leads(result)
    print(f"\nahead of {ours}: {'nobody' if not ahead else ''}")
    for lead in ahead:
        print(f"  {lead.side}: {lead.case}, {lead.measure}"
              f"{'' if lead.ratio is None else f' x {verdicts.shown(lead.ratio)}'}")
    found = result["conditions"]
    quiet = {True: "quiet", False: "BUSY", None: "not known whether quiet"}[found["quiet"]]
    print(f"\n{found['machine']}, {found['cores']} cores, {found['seconds']:.0f} s, {quiet} "
          f"(others {found['others_share']}, load {found['load_average']})")


def finish(result, options, partial=False):
    """Print a finished result and write it; return the exit status."""
    show(result)
    path = destination(result["benchmark"], options, partial)
    write(result, path, options.force)
    print(f"written: {path}")
    return 0


def say(text):
    """Print a line of progress on standard error, at once."""
    print(text, file=sys.stderr, flush=True)
