"""
Grade a class: many submissions side by side, in shards, and again where a run was cut off.

One file, ``results/STUDENT.json``, is written for each submission when it has been graded, in one
step. It holds digests of the submission and of the assignment. A run grades what has no such file
with these digests, so a run that was killed loses what it was grading at that moment, and the next
one grades that and no more.
"""

import csv
import hashlib
import io
import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath

import filelock

from tools.grading import archives, grader, sandbox, submission

#: Our own files that decide what a submission gets. A change of one of them grades anew.
_DECIDE = ("compare.py", "driver.py", "grader.py", "models.py", "submission.py")


class ClassroomError(Exception):
    """A class cannot be graded; the message names the thing, the cause and the remedy."""


@dataclass(frozen=True)
class Entry:
    """One submission of a class: the student's name and where the submission lies."""

    student: str
    path: Path

    @property
    def file(self):
        """The name that the student's files have, without an ending."""
        if len(os.fsencode(self.student)) <= 200:
            return self.student
        digest = hashlib.sha256(os.fsencode(self.student)).hexdigest()
        return f"{self.student[:40]}-{digest[:16]}"


@dataclass
class Summary:
    """
    What a run did.

    Attributes
    ----------
    results : list of dict
        One for each submission of the shard that has been graded, in this run or before.
    graded, kept : int
        How many were graded in this run, and how many had been before.
    failures : dict of str to str
        Students whose submission the grader itself could not deal with, and why. These are graded
        again by the next run.
    seconds : float
        How long it took.
    """

    results: list = field(default_factory=list)
    graded: int = 0
    kept: int = 0
    failures: dict = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def not_run(self):
        """Students whose submission could not be run, and why."""
        return {result["student"]: result["reason"] for result in self.results if result["reason"]}


def printable(text):
    r"""
    Return a name as it may be shown: no control characters, whatever a file is called.

    Examples
    --------
    >>> printable("ada\x1b[31m")
    'ada?[31m'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def entries(folder):
    """
    List the submissions of a class.

    Parameters
    ----------
    folder : path-like
        Each file and each folder in it is one, save what systems leave behind.

    Returns
    -------
    list of Entry
        By name. A student is named after the file, without its ending where that is enough.

    Raises
    ------
    ClassroomError
        When there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ClassroomError(f"{folder}: there is no such folder; name the one that holds the "
                             "submissions")
    paths = sorted(path for path in folder.iterdir()
                   if not archives.by_the_way(PurePath(path.name)))
    if not paths:
        raise ClassroomError(f"{folder}: there is no submission in it; each notebook, zip or "
                             "folder in it is one")
    short = {path: path.name if path.is_dir() else path.stem for path in paths}
    taken = Counter(name.casefold() for name in short.values())
    return [Entry(short[path] if taken[short[path].casefold()] == 1 else path.name, path)
            for path in paths]


def part(found, shard):
    """
    Return the submissions of one shard.

    Parameters
    ----------
    found : list of Entry
        All of them.
    shard : tuple of int
        Number, from 1, and how many there are.

    Returns
    -------
    list of Entry
        Each submission is in exactly one shard.

    Examples
    --------
    >>> [part(list("abcde"), (number, 2)) for number in (1, 2)]
    [['a', 'c', 'e'], ['b', 'd']]
    """
    number, of = shard
    return found[number - 1::of]


def digest(assignment):
    """
    Return a digest of all that decides what a submission to an assignment gets.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment

    Returns
    -------
    str
        SHA-256, in hexadecimal.
    """
    sha = hashlib.sha256()
    files = [assignment.folder / "checks.py", assignment.folder / "harness.py",
             *sorted((assignment.folder / "data").rglob("*"))]
    files += [Path(__file__).with_name(name) for name in _DECIDE]
    for path in files:
        if path.is_file():
            sha.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            sha.update(path.read_bytes())
    sha.update(repr((assignment.name, sorted(assignment.variant.items()),
                     sorted(assignment.limits.items()), assignment.files)).encode())
    return sha.hexdigest()


def write(path, text):
    """
    Write a file in one step: it is there whole, or as it was.

    Parameters
    ----------
    path : pathlib.Path
    text : str
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _stored(out, entry, digests):
    """Return the result of a submission that was graded before, or None."""
    try:
        result = json.loads((out / "results" / f"{entry.file}.json").read_text(encoding="utf-8"))
        same = (result["submission"], result["definition"]) == digests
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if same and result["student"] == entry.student else None


def plain(grade):
    """
    Return a grade as JSON can hold it.

    Parameters
    ----------
    grade : tools.grading.grader.Grade

    Returns
    -------
    dict
    """
    return {
        "points": grade.points, "possible": grade.possible, "reason": grade.reason,
        "questions": {
            name: {"points": question.points, "possible": question.possible,
                   "cases": {case: asdict(outcome) for case, outcome in question.cases.items()}}
            for name, question in grade.questions.items()},
        "notes": {str(number): note for number, note in grade.notes.items()},
        "seconds": round(grade.seconds, 3), "memory": grade.memory, "figures": grade.figures,
    }


def _graded(entry, assignment, isolation, threads, digests):
    """Grade one submission and return its result, ready for JSON."""
    grade = grader.grade_one(entry.path, assignment, isolation=isolation, threads=threads)
    return {
        "student": entry.student, "entry": entry.path.name, "assignment": assignment.name,
        "submission": digests[0], "definition": digests[1], "isolation": isolation, **plain(grade),
        "graded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


@contextmanager
def _alone(out, shard):
    """Keep a second process from grading the same shard into the same folder."""
    out.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(out / f".shard-{shard[0]}-of-{shard[1]}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ClassroomError(f"{out}: shard {shard[0]}/{shard[1]} is being graded there by another "
                             "process; wait for it, or end it first") from None
    try:
        yield
    finally:
        lock.release()


def grade(folder, assignment, out, *, jobs=1, shard=(1, 1), isolation="bubblewrap", progress=None):
    """
    Grade the submissions of a class, or of one shard of it, that have not been graded yet.

    Parameters
    ----------
    folder : path-like
        The submissions.
    assignment : tools.grading.definition.Assignment
    out : path-like
        Where ``results/`` is written, and read from again.
    jobs : int
        How many are graded at a time.
    shard : tuple of int
        Number, from 1, and how many there are.
    isolation : str
        ``"bubblewrap"`` or ``"none"``.
    progress : callable, optional
        Called with the number done and the number in all.

    Returns
    -------
    Summary

    Raises
    ------
    ClassroomError
        When there is nothing to grade, or somebody else is grading it.
    tools.grading.sandbox.SandboxError
        When there is no sandbox.
    """
    out = Path(out)
    sandbox.check(isolation)
    if out.resolve().is_relative_to(Path(folder).resolve()):
        raise ClassroomError(f"{out}: it lies in the folder of the submissions, and would be taken "
                             "for one; name another with --out")
    mine = part(entries(folder), shard)
    began, wanted = time.monotonic(), digest(assignment)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    summary = Summary()

    def one(entry):
        digests = submission.digest(entry.path), wanted
        result = _stored(out, entry, digests)
        if result is not None:
            return result, False
        result = _graded(entry, assignment, isolation, threads, digests)
        write(out / "results" / f"{entry.file}.json", json.dumps(result, indent=1))
        return result, True

    sandbox.sweep()
    with _alone(out, shard):
        pool = ThreadPoolExecutor(jobs)
        try:
            waiting = {pool.submit(one, entry): entry for entry in mine}
            for number, future in enumerate(as_completed(waiting), 1):
                try:
                    result, new = future.result()
                    summary.results.append(result)
                    summary.graded += new
                    summary.kept += not new
                except Exception as error:  # one submission must not cost the others their grades
                    summary.failures[waiting[future].student] = (
                        f"{type(error).__name__}: {error}")
                if progress:
                    progress(number, len(mine))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)  # not to wait for what is being graded
            sandbox.abandon()
            raise
        pool.shutdown()
    summary.results.sort(key=lambda result: result["student"])
    summary.seconds = time.monotonic() - began
    return summary


def merge(folder, assignment, sources, out):
    """
    Gather the results of shards.

    Parameters
    ----------
    folder : path-like
        The submissions.
    assignment : tools.grading.definition.Assignment
    sources : list of path-like
        The folders that the shards wrote.
    out : path-like
        Where the results are gathered.

    Returns
    -------
    Summary
        Of all submissions.

    Raises
    ------
    ClassroomError
        When one is missing, or two shards do not agree about one.
    """
    out, wanted, summary = Path(out), digest(assignment), Summary()
    missing = []
    for source in map(Path, sources):
        if not (source / "results").is_dir():
            raise ClassroomError(f"{source}: there is no folder results/ in it; name what the "
                                 "shards were given as --out")
    for entry in entries(folder):
        digests = submission.digest(entry.path), wanted
        found = [result for source in sources
                 if (result := _stored(Path(source), entry, digests)) is not None]
        if not found:
            missing.append(printable(entry.student))
            continue
        if len({(result["points"], result["reason"]) for result in found}) > 1:
            raise ClassroomError(f"{printable(entry.student)}: two shards graded it and do not "
                                 "agree; remove one of the results and grade it again")
        summary.results.append(found[0])
    if missing:
        raise ClassroomError(f"{len(missing)} submissions have not been graded as they are now: "
                             f"{', '.join(missing[:10])}{' ...' if len(missing) > 10 else ''}. Run "
                             "their shards again, and then merge")
    summary.kept = len(summary.results)
    for entry, result in zip(entries(folder), summary.results, strict=True):
        write(out / "results" / f"{entry.file}.json", json.dumps(result, indent=1))
    return summary


def _number(points):
    return f"{round(points, 2):g}"


def _cell(text):
    """Return a text that no spreadsheet takes for a formula."""
    text = printable(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def table(assignment, results):
    """
    Return the grades of a class as CSV.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    results : list of dict

    Returns
    -------
    str
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [question.name for question in assignment.questions]
    writer.writerow(["student", *names, "total", "possible", "reason"])
    for result in results:
        writer.writerow([_cell(result["student"]),
                         *(_number(result["questions"][name]["points"]) for name in names),
                         _number(result["points"]), _number(result["possible"]),
                         _cell(result["reason"])])
    return text.getvalue()


def leaderboard(assignment, results):
    """
    Return the leaderboard of a class as CSV, without the students' names.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    results : list of dict

    Returns
    -------
    str
        The best first. Equals share a rank, in the order of the other columns.
    """
    columns, best = (assignment.leaderboard[part] for part in ("columns", "best"))

    def rank(figures):
        return tuple(-figures[name[1:]] if name.startswith("-") else figures[name]
                     for name in best)

    def row(figures):
        return [_cell(value) if isinstance(value := figures.get(name, ""), str)
                else f"{value:.10g}" for name in columns]

    listed = [figures for result in results
              if {name.lstrip("-") for name in best} <= set(figures := result["figures"])]
    places = sorted((rank(figures), row(figures)) for figures in listed)
    ranks = [place for place, _ in places]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", *columns])
    writer.writerows([1 + ranks.index(place), *cells] for place, cells in places)
    return text.getvalue()


def feedback(assignment, result):
    """
    Return what a student is told, as Markdown: nothing of the hidden cases but how they failed.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    result : dict

    Returns
    -------
    str
    """
    lines = [f"# {assignment.name}: {_number(result['points'])} of {_number(result['possible'])} "
             "points", ""]
    if result["reason"]:
        lines += [f"The submission could not be run: {printable(result['reason'])}.", ""]
    for number, note in result["notes"].items():
        lines += [f"Code cell {number} did not run to its end: {note}.", ""]
    for question in assignment.questions:
        graded = result["questions"][question.name]
        lines += [f"## {question.title}: {_number(graded['points'])} of "
                  f"{_number(question.points)}", ""]
        if result["reason"]:
            continue
        hidden = Counter()
        for case in question.cases:
            outcome = graded["cases"][case.name]
            if outcome["passed"]:
                continue
            if not case.public:
                hidden[outcome["reason"]] += 1
                continue
            detail = f" ({printable(outcome['detail'])})" if outcome["detail"] else ""
            lines += [f"- `{case.target}`: {outcome['reason']}{detail}. {case.message}"]
        many = sum(not case.public for case in question.cases)
        if hidden:
            ways = "; ".join(f"{reason} ({count})" for reason, count in sorted(hidden.items()))
            lines += [f"- {sum(hidden.values())} of {many} hidden tests failed: {ways}."]
        elif lines[-1] == "":
            lines += ["- All tests passed."]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def gradescope(assignment, result):
    """
    Return a result as Gradescope reads it: a score for each question, and nothing else.

    Parameters
    ----------
    assignment : tools.grading.definition.Assignment
    result : dict

    Returns
    -------
    dict
    """
    tests = [{"name": f"{question.name} {question.title}", "max_score": question.points,
              "score": round(result["questions"][question.name]["points"], 4)}
             for question in assignment.questions]
    shown = {"score": round(result["points"], 4), "tests": tests}
    if result["reason"]:
        shown["output"] = f"The submission could not be run: {printable(result['reason'])}."
    return shown


def report(folder, assignment, results, out):
    """
    Write ``grades.csv``, perhaps ``leaderboard.csv``, and feedback and JSON for each student.

    Parameters
    ----------
    folder : path-like
        The submissions.
    assignment : tools.grading.definition.Assignment
    results : list of dict
    out : path-like
    """
    out = Path(out)
    files = {entry.student: entry.file for entry in entries(folder)}
    for result in results:
        name = files[result["student"]]
        write(out / "feedback" / f"{name}.md", feedback(assignment, result))
        write(out / "gradescope" / f"{name}.json",
              json.dumps(gradescope(assignment, result), indent=1))
    write(out / "grades.csv", table(assignment, results))
    if assignment.leaderboard:
        write(out / "leaderboard.csv", leaderboard(assignment, results))


class Progress:
    """
    One line that tells how far a run is: rewritten in a terminal, seldom in a log.

    Parameters
    ----------
    stream : file object
    """

    def __init__(self, stream=sys.stderr):
        self._stream, self._terminal = stream, stream.isatty()
        self._began = self._told = time.monotonic()
        self._width = 0

    def __call__(self, done, total):
        """Tell that so many are done, if it is time to."""
        now = time.monotonic()
        if not self._terminal and done < total and now - self._told < 30:
            return
        self._told = now
        left = (now - self._began) / done * (total - done)
        line = f"{done}/{total} submissions, {now - self._began:.0f} s, about {left:.0f} s left"
        if self._terminal:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def close(self):
        """Leave nothing of the line behind."""
        if self._terminal and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
