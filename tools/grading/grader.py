"""
Grade one submission.

The student's program runs in the sandbox and answers one case after another. What it answers is
compared here, outside. A case at which the program dies or hangs fails, and the rest is asked of
the program started anew.

All public cases are asked first, in a process that has not seen a hidden input yet: what a student
reads about them in detail cannot carry one out. Of a hidden case a student reads a category.
"""

import builtins
import contextlib
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from tools.grading import compare, definition, driver, models, sandbox
from tools.grading import submission as handed_in

#: Shares of the whole time that one cell, one case and one saved network may take.
CELL, CASE, MODEL = 1 / 3, 1 / 5, 1 / 2

#: How often the program may be started; and how often it may end at one function, and be too slow
#: there, before that function is not called again.
STARTS, DEATHS, SLOW = 8, 2, 3

#: Longest text that a figure may be.
FIGURE = 60

#: Seconds in which a program that its own clock has stopped may still answer.
GRACE = 1.0

_ENDED = {
    "slow": "too slow",
    "memory": "it took too much memory",
    "processes": "it started too many processes",
    "large": "the answer is too large",
    "forged": "the program wrote what only the grader writes",
    "crash": "the program crashed",
    "exit": "the program ended",
}
_FAILED = {"slow": "too slow", "type": compare.CATEGORIES["type"],
           "large": "the answer is too large"}
_NAMES = frozenset(name for name, kind in vars(builtins).items()
                   if isinstance(kind, type) and issubclass(kind, BaseException))


@dataclass(frozen=True)
class Outcome:
    """
    What became of one case.

    Attributes
    ----------
    passed : bool
    reason : str
        Why it failed, in words that give nothing hidden away; empty where it passed.
    detail : str
        More about it: for the teacher, and for the student where the case is public.
    """

    passed: bool
    reason: str = ""
    detail: str = ""


@dataclass
class QuestionGrade:
    """What one question brought: ``points`` of ``possible``, and ``cases``: names to Outcomes."""

    points: float
    possible: float
    cases: dict


@dataclass
class Grade:
    """
    What one submission brought.

    Attributes
    ----------
    questions : dict of str to QuestionGrade
    reason : str
        Why the submission could not be run at all; empty where it could.
    notes : dict of int to str
        Code cells that did not run to their end, and why.
    seconds : float
        How long it took.
    memory : int
        The most memory that its processes were seen to take, in bytes.
    figures : dict of str to object
        What the cases that were passed tell about the answers: numbers and short texts.
    """

    questions: dict
    reason: str = ""
    notes: dict = field(default_factory=dict)
    seconds: float = 0.0
    memory: int = 0
    figures: dict = field(default_factory=dict)

    @property
    def points(self):
        """Points of all questions."""
        return sum(question.points for question in self.questions.values())

    @property
    def possible(self):
        """Points that there are."""
        return sum(question.possible for question in self.questions.values())


class _StopAskingError(Exception):
    """The program cannot be asked any more; the message says why."""


class _Program:
    """
    A student's program, started in the sandbox when it is needed, and anew where it has ended.

    Attributes
    ----------
    notes : dict of int to str
        Cells that did not run to their end, and why.
    peak : int
        The most memory seen, in bytes.
    """

    def __init__(self, cells, box, limits, end, start):
        self._cells, self._box, self._limits, self._end = cells, box, limits, end
        self._start_process = start
        self._process, self._starts = None, 0
        self._skipped = set()
        self._deaths, self._slow = Counter(), Counter()
        self.notes, self.peak = {}, 0

    def _left(self):
        left = self._end - time.monotonic()
        if left <= 0:
            raise _StopAskingError("the time for the whole submission was over")
        return left

    def close(self):
        """End the process, if there is one."""
        if self._process is not None:
            self.peak = max(self.peak, self._process.peak)
            self._process.close()
            self._process = None

    def _running(self):
        """Return a process whose cells have been run."""
        while self._process is None:
            self._left()
            if self._starts >= STARTS:
                raise _StopAskingError("the program had ended too often")
            self._starts += 1
            self._process = self._start_process(self._box)
            self._run_cells()
        return self._process

    def _run_cells(self):
        seconds = self._limits["seconds"] * CELL
        cells = [cell for cell in self._cells if cell[0] not in self._skipped]
        known = {number for number, _ in cells}
        self._process.send({"do": "cells", "cells": cells, "seconds": seconds})
        current = None
        while True:
            try:
                wait = min(seconds + GRACE, self._left()) if current else self._left()
                head, _ = self._process.receive(wait)
                if head == {"done": True}:
                    return
                number, raised = head.get("cell"), head.get("raised")
                if type(number) is not int or number not in known or not (
                        raised is None or _is_in(raised, {"", "TooSlow", *_NAMES})):
                    raise sandbox.EndedError("forged")
            except sandbox.EndedError as error:
                self.close()
                if current is None:
                    raise _StopAskingError(_ENDED[error.kind]) from None
                # What ended the program is left out from now on; the other cells may be sound.
                self._skipped.add(current)
                self.notes[current] = f"{_ENDED[error.kind]} {_in_brackets(error.detail)}".strip()
                return
            current = number
            if raised:
                self.notes[number] = "too slow" if raised == "TooSlow" else f"raised {raised}"

    def ask(self, case):
        """
        Ask one case.

        Parameters
        ----------
        case : tools.grading.definition.Case

        Returns
        -------
        answer : object
            What came back.
        outcome : Outcome or None
            Why nothing came back.
        """
        target = case.kind, case.target
        try:
            if self._deaths[target] >= DEATHS:
                raise _StopAskingError("the program had ended here before, and was not asked again")
            if self._slow[target] >= SLOW:
                raise _StopAskingError("it had been too slow here before, and was not asked again")
            process = self._running()
            seconds = self._limits.get("case", self._limits["seconds"] * CASE)
            if self._slow[target]:
                seconds /= 4
            seconds = min(seconds, self._left())
        except _StopAskingError as error:
            return None, Outcome(False, str(error))
        tree, blobs = driver.pack((list(case.args), dict(case.kwargs)))
        process.send({"do": "case", "kind": case.kind, "target": case.target, "tree": tree,
                      "seconds": seconds}, blobs)
        try:
            return _understood(*process.receive(seconds + GRACE), case)
        except sandbox.EndedError as error:
            self._deaths[target] += 1
            self._slow[target] += error.kind == "slow"
            self.close()
            return None, Outcome(False, _ENDED[error.kind], error.detail)
        except _TooSlowError:
            self._slow[target] += 1
            return None, Outcome(False, "too slow")


class _TooSlowError(Exception):
    """The program's own clock stopped it."""


def _in_brackets(text):
    return f"({text})" if text else ""


def _is_in(word, words):
    """Say whether something that may be anything is one of some words."""
    return isinstance(word, str) and word in words


def _understood(head, blobs, case):
    """Read an answer from the sandbox, whoever wrote it."""
    if set(head) == {"tree"}:
        try:
            return driver.as_arrays(driver.unpack(head["tree"], blobs, sandbox.ANSWER)), None
        except (driver.MessageError, driver.NotArraysError, driver.TooLargeError):
            raise sandbox.EndedError("forged") from None
    failed, name = head.get("failed"), head.get("name")
    if failed == "slow":
        raise _TooSlowError
    if _is_in(failed, _FAILED):
        return None, Outcome(False, _FAILED[failed])
    if failed == "missing":
        named = case.target if case.kind in ("call", "value") else "a name that is asked for"
        return None, Outcome(False, f"{named} is not defined")
    if failed == "raised" and _is_in(name, _NAMES):
        return None, Outcome(False, f"raised {name}")
    raise sandbox.EndedError("forged")


def _judged(case, answer):
    """Compare one answer."""
    try:
        compare.judge(case, answer)
    except compare.WrongError as error:
        return Outcome(False, compare.CATEGORIES[error.category], error.detail)
    return Outcome(True)


def _figures(case, answer):
    """Return what a case tells about an answer that passed, and the outcome that this leaves."""
    if case.figures is None:
        return {}, Outcome(True)
    try:
        told = {str(name): value if isinstance(value, str) else np.asarray(value).item()
                for name, value in case.figures(answer).items()}
    except Exception as error:  # the answer is anything at all
        return {}, Outcome(False, compare.CATEGORIES["structure"],
                           f"{type(error).__name__}: {error}"[:300])
    return {name: value[:FIGURE] if isinstance(value, str) else value
            for name, value in told.items()}, Outcome(True)


class _Networks:
    """The saved networks of a submission, asked by our own program in a sandbox of their own."""

    def __init__(self, files, limits, end, start):
        self._files, self._limits, self._end, self._start = files, limits, end, start
        self._open, self._loaded = None, {}
        self._answers = {}
        self.peak = 0

    def close(self):
        """End the process, if there is one."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _process(self, name):
        """Return a process that has the file, and the file's configuration."""
        if name not in self._loaded:
            self.close()
            data, config = models.repacked(self._files[name], name)
            stack = contextlib.ExitStack()
            with stack:
                box = stack.enter_context(sandbox.Box(None, {"network.keras": data}))
                process = stack.enter_context(self._start(box))
                self._open = stack.pop_all()
            self._loaded = {name: (process, config)}
        return self._loaded[name]

    def ask(self, case):
        """Ask one case; as `_Program.ask`. What was asked before is not asked again."""
        if not isinstance(case.args, definition.Later):
            return self._ask(case)
        question = case.target, case.args.make
        if question not in self._answers:
            self._answers[question] = self._ask(case)
        return self._answers[question]

    def _ask(self, case):
        if case.target not in self._files:
            return None, Outcome(False, f"{case.target} was not handed in")
        try:
            process, config = self._process(case.target)
        except models.ModelError as error:
            return None, Outcome(False, str(error))
        seconds = min(self._limits["seconds"] * MODEL, self._end - time.monotonic())
        if seconds <= 0:
            return None, Outcome(False, "the time for the whole submission was over")
        tree, blobs = driver.pack((list(case.args), dict(case.kwargs)))
        process.send({"do": "case", "kind": "model", "target": "network.keras", "tree": tree,
                      "seconds": seconds}, blobs)
        try:
            answer, outcome = _understood(*process.receive(seconds + GRACE), case)
        except sandbox.EndedError as error:
            self._loaded = {}
            return None, Outcome(False, _ENDED[error.kind], error.detail)
        except _TooSlowError:
            return None, Outcome(False, "too slow")
        finally:
            self.peak = max(self.peak, process.peak)
        if outcome is not None:
            return None, outcome
        # The file was the student's, so what its weights did to the process is not known.
        try:
            predictions = np.asarray(answer["predictions"], "float32")
            answer = {"predictions": predictions, "config": config,
                      "layers": json.loads(str(answer["layers"])),
                      "parameters": int(answer["parameters"]),
                      "path_size": len(self._files[case.target])}
        except (ValueError, TypeError, KeyError, RecursionError):
            return None, Outcome(False, _ENDED["forged"])
        if not np.isfinite(predictions).all():
            return None, Outcome(False, compare.CATEGORIES["nan"])
        return answer, None


def _nothing(assignment, reason):
    """Return the grade of a submission that could not be run."""
    cases = {question.name: {case.name: Outcome(False, "not run") for case in question.cases}
             for question in assignment.questions}
    return Grade(_weighed(assignment, cases), reason)


def _weighed(assignment, outcomes):
    """Turn outcomes into points."""
    questions = {}
    for question in assignment.questions:
        cases = outcomes[question.name]
        whole = sum(case.weight for case in question.cases)
        good = sum(case.weight for case in question.cases if cases[case.name].passed)
        questions[question.name] = QuestionGrade(question.points * good / whole, question.points,
                                                 cases)
    return questions


def _data(assignment):
    """Return the files of the assignment that its students have too."""
    folder = assignment.folder / "data"
    return {f"data/{path.relative_to(folder).as_posix()}": path
            for path in sorted(folder.rglob("*")) if path.is_file()}


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def grade_one(path, assignment, *, isolation="bubblewrap", threads=1):
    """
    Grade one submission.

    Parameters
    ----------
    path : path-like
        A notebook, or a zip or a folder that holds one.
    assignment : tools.grading.definition.Assignment
    isolation : str
        ``"bubblewrap"``, or ``"none"`` to run the code without protection.
    threads : int
        Threads that the program may use for its arithmetic.

    Returns
    -------
    Grade

    Raises
    ------
    tools.grading.sandbox.SandboxError
        When there is no sandbox; that is no fault of the submission.
    """
    sandbox.check(isolation)
    began = time.monotonic()
    try:
        submission = handed_in.read(path, assignment.name, assignment.files)
    except handed_in.SubmissionError as error:
        grade = _nothing(assignment, str(error))
        grade.seconds = time.monotonic() - began
        return grade
    limits = assignment.limits
    end = time.monotonic() + limits["seconds"]

    def start(box):
        return sandbox.Process(box, isolation, limits["memory"], threads=threads)

    asked, figures = {}, {}
    with sandbox.Box(assignment.folder / "harness.py",
                     {**_data(assignment), **submission.files}) as box:
        program = _Program(submission.cells, box, limits, end, start)
        networks = _Networks(submission.files, limits, end, start)
        try:
            for case in sorted(assignment.cases, key=lambda case: not case.public):
                who = networks if case.kind == "model" else program
                answer, outcome = who.ask(case)
                asked[case.name] = outcome or _judged(case, answer)
                if asked[case.name].passed:
                    told, asked[case.name] = _figures(case, answer)
                    figures.update(told)
        finally:
            program.close()
            networks.close()
    outcomes = {question.name: {case.name: asked[case.name] for case in question.cases}
                for question in assignment.questions}
    return Grade(_weighed(assignment, outcomes), "", program.notes, time.monotonic() - began,
                 max(program.peak, networks.peak), figures)
