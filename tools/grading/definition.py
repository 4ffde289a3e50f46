"""
Read the one definition of an assignment's tests: ``assignments/NAME/checks.py``.

The file is plain Python and NumPy. At its top it imports nothing of ours; a function that makes
hidden inputs (below) may import `datasetslib`. It holds

``VARIANT``
    A dictionary: seeds, shapes, sizes and thresholds of the sample that is published. A teacher's
    private variant is the same file with other values.
``private(rng)``
    Returns such values, or those that differ, drawn from a NumPy generator: plain numbers, strings,
    and lists, tuples and dictionaries of these. `tools.grading.private` writes them.
``questions(variant)``
    Returns a list of questions, each a dictionary::

        {"name": "q1", "title": "Convolution by hand", "points": 4, "cases": [...]}

    A case asks the student's program for something, by the name of a function or a variable, and
    says what should come back::

        {"call": "conv2d", "args": [image, kernel], "kwargs": {"stride": 2},
         "expected": feature_map, "message": "With a stride of 2 every second position counts."}
        {"value": "n_parameters", "expected": 3255914, "message": "..."}
        {"call": "augment", "args": [images], "holds": keeps_the_shape, "message": "..."}

Where what comes back is made by more than one call (training for ten steps, say), the case names a
function of ``assignments/NAME/harness.py`` instead: ``{"harness": "train_ten", "args": [...]}``. It
is called as ``train_ten(program, *args)``, in the sandbox, where ``program`` maps the names of the
student's program to their values.

A case ``{"model": "network.keras", "args": [images]}`` asks a saved network that was handed in
(``FILES`` names it), without running any of the student's code: our own program loads it in the
sandbox and predicts. Such a case has a ``holds``, which gets a dictionary:

``"predictions"``
    What the network answers to ``images``, one float32 array.
``"config"``
    The ``config.json`` of the file, as plain dictionaries and lists, checked: every layer is one
    of `tools.grading.models.LAYERS`. The student wrote it: ``build_config`` and names may lie.
``"layers"``
    A list of dictionaries, one for each layer that was *built*, in order: ``"name"``, ``"class"``,
    ``"input"`` and ``"output"`` (shapes with None for the batch; lists of shapes where a layer has
    several), ``"parameters"``, and ``"weights"`` (a list of shapes). Count from these.
``"parameters"``
    The number of weights of the whole network, those that are not trained included.
``"path_size"``
    Size of the file in bytes.

What enters the sandbox, and can be read there: ``args`` and ``kwargs``, ``harness.py`` and the
folder ``data/`` (which lies where the notebook runs). ``expected`` and ``holds`` stay outside. What
a harness returns is the student's word: let it return what can be judged outside (the weights after
ten steps), not a verdict.

How things compare. Arrays by the norm of the difference over the norm of ``expected``; whole
numbers, truth values and strings must be equal, unless the case sets a tolerance of its own.
Shapes must be equal; the type of the numbers does not matter. A tuple may come back as a list. NaN
is wrong where none is expected. ``holds`` gets what `tools.grading.driver.as_arrays` makes of what
came back; an exception in it rejects the answer too, so it may index without asking first.

``texts(variant)`` may return a dictionary of names, and strings or whole numbers: what the student
copy carries within itself, so that the notebook alone is enough (a table of numbers, a packed set
of images), and so that a private variant says its own numbers. In the master ``{{name}}`` stands
for it, in a cell of code or of prose: 150000 becomes ``150_000`` in code and 150,000 in prose. A
mark without a text is an error, and so is a text without a mark. Students read these texts: put
nothing hidden into them.

``LIMITS`` may set ``seconds`` and ``memory`` (bytes) for one submission, and ``case``: the seconds
for one case (a fifth of all, otherwise).

Cases are hidden unless they say ``"public": True``.

Inputs that are large, or that not every machine has, are made when they are asked for: ``args`` is
then a function of no arguments that returns the list. So a definition can be read without its data;
`ready` finds out, before anybody is graded, whether they are there. Cases that name the very same
function ask a saved network once, and judge the one answer.

A case may have ``figures``: a function of what came back that returns a dictionary of numbers and
short texts, for the teacher and, perhaps, for a leaderboard. It is called where the case is passed,
outside the sandbox. ``LEADERBOARD`` is a dictionary: ``"columns"`` lists figures, and ``"best"``
those that rank, the first decides, ``"-accuracy"`` the largest first. Who lacks one of the latter
is not listed.

Where something is handed in beside the notebook, ``assignments/NAME/files.py`` makes it for the
proof. It has one function, ``make_files(assignment, cells, folder)``: ``cells`` are the sources of
the solution's cells of code, and what it writes into ``folder/solution/`` is handed in with the
solution. A wrong answer hands in the same, unless there is a folder of its name:
``folder/wrong_NAME/``, then that. The untouched copy comes without.
"""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ASSIGNMENTS = ROOT / "assignments"

#: The house rule for equality: norm of the difference over norm, in float32.
TOLERANCE = 1e-4

#: At least so much of every question is decided by cases that the student has not seen.
HIDDEN_SHARE = 0.5

_KINDS = ("call", "value", "harness", "model")
_OF_A_CASE = {*_KINDS, "args", "kwargs", "expected", "holds", "tolerance", "public", "weight",
              "message", "figures"}
_OF_A_QUESTION = {"name", "title", "points", "cases"}


class DefinitionError(Exception):
    """A definition cannot be used; the message names the place, the cause and the remedy."""


class Later(Sequence):
    """
    Inputs that are made when they are asked for.

    Parameters
    ----------
    make : callable
        Returns the list; it is called each time, and may keep what it has made.
    """

    def __init__(self, make):
        self.make = make

    def __len__(self):
        """Return how many there are."""
        return len(self.make())

    def __getitem__(self, index):
        """Return one of them."""
        return self.make()[index]


@dataclass(frozen=True)
class Case:
    """
    One thing that is asked of a submission.

    Attributes
    ----------
    name : str
        Question and number, such as ``"q1-3"``; counts from 1.
    kind : str
        ``"call"``, ``"value"``, ``"harness"`` or ``"model"``.
    target : str
        The function, the variable, the function of the harness, or the file.
    args, kwargs : list, dict
        What a function is called with: None, truth values, numbers, strings, arrays, and lists,
        tuples and dictionaries of these. `args` may be a `Later`.
    expected : object
        What should come back: a number, a truth value, a string, an array, or a list, tuple or
        dictionary of these; None where `holds` decides.
    holds : callable or None
        Takes what came back, as `expected` would be but made of NumPy arrays, and returns None or
        a sentence that says what is wrong. Runs outside the sandbox.
    tolerance : float
        Largest relative difference, norm over norm; 0 asks for equality.
    public : bool
        Whether the student sees the case.
    weight : float
        Its share of the question's points, relative to the other cases.
    message : str
        What a student learns from failing it.
    figures : callable or None
        Takes what came back, and returns what the teacher and a leaderboard are told of it.
    """

    name: str
    kind: str
    target: str
    args: list = field(default_factory=list)
    kwargs: dict = field(default_factory=dict)
    expected: object = None
    holds: object = None
    tolerance: float = TOLERANCE
    public: bool = False
    weight: float = 1.0
    message: str = ""
    figures: object = None


@dataclass(frozen=True)
class Question:
    """
    One question: ``name`` (such as ``"q1"``), ``title``, ``points`` and its ``cases``.

    Attributes
    ----------
    hidden_share : float
        Share of the weight that hidden cases have, from 0 to 1.
    """

    name: str
    title: str
    points: float
    cases: tuple

    @property
    def hidden_share(self):
        """Share of the weight that hidden cases have."""
        total = sum(case.weight for case in self.cases)
        return sum(case.weight for case in self.cases if not case.public) / total


@dataclass(frozen=True)
class Assignment:
    """
    One assignment as it is defined.

    Attributes
    ----------
    name : str
        The folder's name.
    folder : pathlib.Path
        ``master.py``, ``checks.py``, perhaps ``harness.py`` and ``data/``, and ``mutants/``.
    variant : dict
        The values that this variant is made with.
    questions : tuple of Question
    limits : dict
        ``seconds`` and ``memory`` (bytes) that one submission may take, and perhaps ``case``, the
        seconds for one case: ``LIMITS`` of the file.
    files : tuple of str
        What is handed in beside the notebook: ``FILES`` of the file.
    texts : dict of str to (str or int)
        What stands in the student copy where the master has ``{{name}}``: ``texts`` of the file.
    leaderboard : dict
        ``"columns"`` and ``"best"``: ``LEADERBOARD`` of the file; empty where there is none.
    """

    name: str
    folder: Path
    variant: dict
    questions: tuple
    limits: dict
    files: tuple
    texts: dict = field(default_factory=dict)
    leaderboard: dict = field(default_factory=dict)

    @property
    def cases(self):
        """All cases of all questions, in order."""
        return tuple(case for question in self.questions for case in question.cases)


def names(folder=ASSIGNMENTS):
    """Return the names of the assignments in a folder, sorted."""
    return sorted(path.parent.name for path in Path(folder).glob("*/checks.py"))


def load(name, folder=ASSIGNMENTS, variant=None):
    """
    Read and check one assignment's definition.

    Parameters
    ----------
    name : str
        The assignment's folder.
    folder : path-like
        Where the assignments are; a private variant lies elsewhere.
    variant : dict, optional
        Values that replace those of ``VARIANT``.

    Returns
    -------
    Assignment

    Raises
    ------
    DefinitionError
        When there is no such assignment, or its definition is not in order.
    """
    place = Path(folder) / name
    if not (place / "checks.py").is_file():
        known = ", ".join(names(folder)) or "none"
        raise DefinitionError(f"{name}: no such assignment in {Path(folder).name}/; there are: "
                              f"{known}")
    checks = _module(place / "checks.py")
    for needed in ("VARIANT", "questions"):
        if not hasattr(checks, needed):
            raise DefinitionError(f"{name}/checks.py: it has no {needed}")
    unknown = sorted(set(variant or {}) - set(checks.VARIANT))
    if unknown:
        raise DefinitionError(f"{name}: the variant sets {', '.join(unknown)}, which VARIANT does "
                              f"not have (it has {', '.join(sorted(checks.VARIANT))})")
    chosen = {**checks.VARIANT, **(variant or {})}
    questions = tuple(_question(entry, f"{name}/checks.py") for entry in checks.questions(chosen))
    if not questions:
        raise DefinitionError(f"{name}/checks.py: it has no question")
    taken = [question.name for question in questions]
    if len(set(taken)) < len(taken):
        raise DefinitionError(f"{name}/checks.py: two questions have one name")
    limits = {"seconds": 60, "memory": 2 << 30, **getattr(checks, "LIMITS", {})}
    return Assignment(name, place, chosen, questions, limits,
                      tuple(getattr(checks, "FILES", ())), _texts(checks, chosen, name),
                      _board(getattr(checks, "LEADERBOARD", {}), f"{name}/checks.py"))


def _board(board, place):
    """Check what a leaderboard is made of."""
    ranking = [column.lstrip("-") for column in board.get("best", ())]
    if board and not (set(board) == {"columns", "best"} and ranking
                      and set(ranking) <= set(board["columns"])):
        raise DefinitionError(f"{place}: LEADERBOARD has columns, and best, some of the columns")
    return board


def ready(assignment):
    """
    Make the inputs that are made when they are asked for, to find out whether that can be done.

    Parameters
    ----------
    assignment : Assignment

    Raises
    ------
    DefinitionError
        When it cannot; the message says why, and what to do.
    """
    for case in assignment.cases:
        if isinstance(case.args, Later):
            try:
                len(case.args)
            except Exception as error:
                raise DefinitionError(f"{assignment.name}, case {case.name}: its inputs cannot be "
                                      f"made: {error}") from error


def _texts(checks, variant, name):
    """Return the texts that the student copy carries within itself."""
    try:
        texts = checks.texts(variant) if hasattr(checks, "texts") else {}
    except (OSError, ValueError) as error:
        raise DefinitionError(f"{name}/checks.py, texts: {error}") from None
    if not (isinstance(texts, dict) and all(
            isinstance(key, str) and key.isidentifier() and isinstance(text, (str, int))
            for key, text in texts.items())):
        raise DefinitionError(f"{name}/checks.py: texts(variant) returns a dictionary of names, "
                              "and strings or whole numbers; a name is what {{name}} says in the "
                              "master")
    return texts


def _module(path):
    """Execute a file of an assignment as a module of its own, not found under any name."""
    spec = importlib.util.spec_from_file_location(f"_{path.stem}_{path.parent.name}", path)
    made = importlib.util.module_from_spec(spec)
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(made)
    finally:
        sys.dont_write_bytecode = kept
    return made


def _question(entry, place):
    """Turn a question's dictionary into a Question."""
    missing = sorted(_OF_A_QUESTION - set(entry))
    unknown = sorted(set(entry) - _OF_A_QUESTION)
    if missing or unknown:
        raise DefinitionError(f"{place}: a question lacks {missing} or has {unknown}; it has "
                              f"{', '.join(sorted(_OF_A_QUESTION))}")
    place = f"{place}, {entry['name']}"
    if not entry["points"] > 0 or not entry["cases"]:
        raise DefinitionError(f"{place}: a question has points, above 0, and cases")
    cases = tuple(_case(case, f"{entry['name']}-{number}", place)
                  for number, case in enumerate(entry["cases"], 1))
    question = Question(entry["name"], entry["title"], entry["points"], cases)
    if question.hidden_share < HIDDEN_SHARE:
        raise DefinitionError(f"{place}: hidden cases weigh {question.hidden_share:.0%}, and must "
                              f"weigh at least {HIDDEN_SHARE:.0%}: give some a larger weight")
    if not any(case.public for case in cases):
        raise DefinitionError(f"{place}: no case is public, so a student gets no feedback")
    return question


def _case(entry, name, place):
    """Turn a case's dictionary into a Case."""
    place = f"{place}, case {name}"
    unknown = sorted(set(entry) - _OF_A_CASE)
    kinds = [kind for kind in _KINDS if kind in entry]
    if unknown or len(kinds) != 1:
        raise DefinitionError(f"{place}: give one of {', '.join(_KINDS)}, and nothing unknown "
                              f"(found {', '.join(map(str, sorted(entry)))})")
    if ("expected" in entry) == ("holds" in entry):
        raise DefinitionError(f"{place}: give either expected or holds")
    if kinds == ["model"] and "holds" not in entry:
        raise DefinitionError(f"{place}: judge a saved network by holds, which gets a "
                              "dictionary")
    if not entry.get("message"):
        raise DefinitionError(f"{place}: it has no message, so a failure would teach nothing")
    if not entry.get("weight", 1.0) > 0:
        raise DefinitionError(f"{place}: its weight must be above 0")
    rest = {key: value for key, value in entry.items() if key not in _KINDS}
    if callable(rest.get("args")):
        rest["args"] = Later(rest["args"])
    return Case(name, kinds[0], entry[kinds[0]], **rest)


def flat(value, at="it"):
    """
    Take apart what came back, or should, into pairs of a place and a NumPy array.

    Examples
    --------
    >>> [(at, array.shape) for at, array in flat({"kernel": [[1.0]], "bias": 2}, "it")]
    [("it['bias']", ()), ("it['kernel']", (1, 1))]
    """
    if isinstance(value, dict):
        pairs = [(f"{at}[{key!r}]", value[key]) for key in sorted(value)]
    elif isinstance(value, tuple):
        pairs = [(f"{at}[{number}]", item) for number, item in enumerate(value)]
    else:
        return [(at, np.asarray(value))]
    return [leaf for place, item in pairs for leaf in flat(item, place)]
