"""Judge what came back from the sandbox, outside of it."""

import numpy as np

from tools.grading.definition import TOLERANCE

#: What may be wrong, as a student reads it, also of a case that is hidden.
CATEGORIES = {
    "structure": "the answer has not the parts that are asked for",
    "shape": "wrong shape",
    "type": "the answer is not made of numbers",
    "values": "wrong values",
    "nan": "the answer is not a number (NaN or infinite) where it should be one",
    "property": "the answer does not have the property that is asked for",
}


class WrongError(Exception):
    """
    An answer is wrong.

    Attributes
    ----------
    category : str
        One of `CATEGORIES`.
    detail : str
        What exactly, for the teacher, and for the student where the case is public.
    """

    def __init__(self, category, detail=""):
        super().__init__(category, detail)
        self.category, self.detail = category, detail


def judge(case, answer):
    """
    Hold an answer against what a case expects.

    Parameters
    ----------
    case : tools.grading.definition.Case
    answer : object
        What `tools.grading.driver.as_arrays` makes of what the program returned.

    Raises
    ------
    WrongError
        When it is wrong.
    """
    try:
        with np.errstate(all="ignore"):
            complaint = None if case.holds is None else case.holds(answer)
            if case.holds is None:
                _equal(case.expected, answer, case.tolerance, "")
    except WrongError:
        raise
    except Exception as error:  # the answer is anything at all
        raise WrongError("structure", f"{type(error).__name__}: {error}"[:300]) from None
    if complaint:
        raise WrongError("property", str(complaint))


def _equal(expected, answer, tolerance, at):
    """Compare two trees of dictionaries, tuples and arrays."""
    place = f" at {at}" if at else ""
    if expected is None:
        if answer is not None:
            raise WrongError("structure", f"None is asked for{place}")
        return
    if isinstance(expected, dict):
        if not isinstance(answer, dict):
            raise WrongError("structure", f"a dictionary is asked for{place}")
        if set(answer) != set(expected):
            raise WrongError("structure", f"the keys{place} should be {sorted(map(str, expected))}")
        pairs = [(f"{at}[{key!r}]", expected[key], answer[key]) for key in expected]
    elif isinstance(expected, tuple) or _uneven(expected):
        if isinstance(answer, np.ndarray) and answer.ndim and len(answer) == len(expected):
            answer = [answer[number, ...] for number in range(len(expected))]
        if not isinstance(answer, (tuple, list)):
            raise WrongError("structure", f"{len(expected)} values are asked for{place}")
        if len(answer) != len(expected):
            raise WrongError("structure", f"{len(expected)} values are asked for{place}, and "
                                          f"{len(answer)} came back")
        pairs = [(f"{at}[{number}]", *both)
                 for number, both in enumerate(zip(expected, answer, strict=True))]
    else:
        _equal_arrays(np.asarray(expected), _one_array(answer, place), tolerance, place)
        return
    for below, one, other in pairs:
        _equal(one, other, tolerance, below)


def _uneven(expected):
    """Say whether what is expected is a list that does not make one array."""
    if not isinstance(expected, list):
        return False
    try:
        return np.asarray(expected).dtype.kind == "O"
    except ValueError:
        return True


def _one_array(answer, place):
    """Return an answer as one array."""
    if answer is None:
        raise WrongError("structure", f"nothing (None) came back{place}")
    if isinstance(answer, dict):
        raise WrongError("structure", f"a dictionary came back{place}")
    if isinstance(answer, np.ndarray):
        return answer
    parts = [_one_array(item, place) for item in answer]
    try:
        return np.asarray(parts)
    except ValueError:
        raise WrongError("shape", f"parts of different shapes came back{place}") from None


def _equal_arrays(expected, answer, tolerance, place):
    """Compare two arrays."""
    if (expected.dtype.kind in "US") != (answer.dtype.kind in "US"):
        wanted = "text" if expected.dtype.kind in "US" else "a number"
        raise WrongError("type", f"{wanted} is asked for{place}")
    if expected.shape != answer.shape:
        raise WrongError("shape", f"the shape{place} should be {expected.shape}, and is "
                                  f"{answer.shape}")
    if expected.dtype.kind in "US":
        if not np.array_equal(expected.astype(str), answer.astype(str)):
            raise WrongError("values", place.strip())
        return
    if answer.dtype.kind == "c" and expected.dtype.kind != "c":
        raise WrongError("type", f"complex numbers came back{place}")
    exact = tolerance == 0 or (expected.dtype.kind in "biu" and tolerance == TOLERANCE)
    if exact and expected.dtype.kind in "biu" and answer.dtype.kind in "biu":
        good = np.array_equal(expected, answer)
    else:
        kind = complex if expected.dtype.kind == "c" else float
        one, other = expected.astype(kind), answer.astype(kind)
        if not np.array_equal(np.isfinite(one), np.isfinite(other)):
            raise WrongError("nan", place.strip())
        same = np.array_equal(one[~np.isfinite(one)], other[~np.isfinite(one)], equal_nan=True)
        one, other = one[np.isfinite(one)], other[np.isfinite(one)]
        good = same and (np.array_equal(one, other) if exact else _near(one, other, tolerance))
    if not good:
        raise WrongError("values", place.strip())


def _near(one, other, tolerance):
    """Say whether the norm of the difference is small beside the norm."""
    norm = np.linalg.norm(one)
    return np.linalg.norm(other - one) <= tolerance * (norm if norm > 0 else 1.0)
