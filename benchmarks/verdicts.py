"""
What a result says: medians with their spread, ratios, and where a peer is faster than ours.

The benchmarks write with it, and the page of the book reads with it. Standard library only.

A result holds ``measurements``: a list of ``{"case", "side", "measure", "values"}``, where one
value is one repeat. ``ours`` names the side of the course, ``sides`` all of them, and ``measures``
says of each measure its ``unit`` and whether ``"low"`` or ``"high"`` is ``better``. A value that
could not be had, such as the seconds to an accuracy that was never reached, is null.
"""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
REASONS = ROOT / "pages" / "reasons.yml"

#: The benchmarks of the page, in its order.
NAMES = ("data", "training", "convolution", "accuracy", "book")


class ResultError(Exception):
    """A result is missing or wrong, or a faster peer has no reason; says which, and the remedy."""


@dataclass(frozen=True)
class Spread:
    """
    Median and quartiles of the repeats.

    Attributes
    ----------
    median, low, high : float
        Low and high are the quartiles: half of the repeats lie between them.
    n : int
        How many repeats there were.
    """

    median: float
    low: float
    high: float
    n: int


def spread(values):
    """
    Return median and quartiles; None where one of the repeats gave no value.

    Parameters
    ----------
    values : list of (float or None)

    Returns
    -------
    Spread or None

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0, 5.0, 4.0])
    Spread(median=3.0, low=2.0, high=4.0, n=5)
    >>> spread([1.0, None]) is None
    True
    """
    if not values or None in values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high, len(values))


def read(name, folder=RESULTS):
    """
    Read the result of one benchmark.

    Parameters
    ----------
    name : str
    folder : path-like

    Returns
    -------
    dict

    Raises
    ------
    ResultError
        Where there is none, or where it is one of a trial.
    """
    path = Path(folder) / f"{name}.json"
    if name not in NAMES:
        raise ResultError(f"there is no benchmark {name!r}; there are {', '.join(NAMES)}")
    if not path.is_file():
        raise ResultError(f"there is no benchmarks/results/{name}.json: "
                          f"`make benchmarks NAME={name}` measures it")
    result = json.loads(path.read_text(encoding="utf-8"))
    if result.get("smoke"):
        raise ResultError(f"benchmarks/results/{name}.json is the result of a trial (--smoke): "
                          f"`make benchmarks NAME={name}` measures it in full")
    return result


def values(result, case, side, measure):
    """
    Return the repeats of one measurement.

    Returns
    -------
    list or None
        None where this side was not measured in this case.
    """
    for row in result["measurements"]:
        if (row["case"], row["side"], row["measure"]) == (case, side, measure):
            return row["values"]
    return None


def cases(result, measure):
    """Return the cases that have this measure, in the order of the result (list of str)."""
    return list(dict.fromkeys(row["case"] for row in result["measurements"]
                              if row["measure"] == measure))


def ratio(result, case, side, measure):
    """
    Return how many times ours a side's median is.

    Returns
    -------
    float or None
        Below 1 in seconds, and above 1 in images a second, the side is ahead. None where there is
        nothing to divide.
    """
    mine = spread(values(result, case, result["ours"], measure))
    theirs = spread(values(result, case, side, measure))
    return theirs.median / mine.median if mine and theirs and mine.median else None


@dataclass(frozen=True)
class Lead:
    """One place where a peer is ahead of ours; the ratio is None where only the peer got there."""

    side: str
    case: str
    measure: str
    ratio: float | None


def leads(result):
    """
    Return where a peer is ahead of ours beyond the spread.

    Ahead means: the better median, and quartiles that do not overlap ours. A peer that reached what
    ours did not reach is ahead too.

    Parameters
    ----------
    result : dict

    Returns
    -------
    list of Lead

    Examples
    --------
    >>> measures = {"seconds": {"unit": "s", "better": "low"}}
    >>> def row(side, *values):
    ...     return {"case": "all", "side": side, "measure": "seconds", "values": list(values)}
    >>> rows = [row("we", 2.0, 2.1, 2.2), row("they", 1.0, 1.1, 1.2), row("others", 1.9, 2.2, 2.3)]
    >>> leads({"ours": "we", "measures": measures, "measurements": rows})
    [Lead(side='they', case='all', measure='seconds', ratio=0.52...)]
    """
    found = []
    for row in result["measurements"]:
        side, case, measure = row["side"], row["case"], row["measure"]
        better = result["measures"][measure].get("better")
        theirs = spread(row["values"])
        of_ours = values(result, case, result["ours"], measure)
        if side == result["ours"] or better is None or theirs is None or of_ours is None:
            continue
        mine = spread(of_ours)
        if mine is None:
            found.append(Lead(side, case, measure, None))
        elif theirs.high < mine.low if better == "low" else theirs.low > mine.high:
            found.append(Lead(side, case, measure, theirs.median / mine.median))
    return found


def explained(name, result, reasons):
    """
    Return each peer that is ahead, with where it is and the reason.

    Parameters
    ----------
    name : str
        The benchmark.
    result : dict
    reasons : dict
        Benchmark -> side -> text: ``pages/reasons.yml``.

    Returns
    -------
    list of tuple
        Side (str), its leads (list of Lead), the reason or the mend (str).

    Raises
    ------
    ResultError
        Naming each peer that is ahead without a reason, and each reason whose peer is not ahead.
    """
    by_side = {}
    for lead in leads(result):
        by_side.setdefault(lead.side, []).append(lead)
    given = reasons.get(name) or {}
    problems = [
        f"{side} is ahead of {result['ours']} ({'; '.join(f'{x.case}: {x.measure}' for x in where)}"
        f"): say why, or what mends it, in pages/reasons.yml under {name}: {side}"
        for side, where in by_side.items() if not str(given.get(side) or "").strip()
    ] + [
        f"pages/reasons.yml gives a reason for {side}, which is not ahead: take it out"
        for side in given if side not in by_side
    ]
    if problems:
        raise ResultError(f"benchmark {name}: " + "; ".join(problems))
    return [(side, where, " ".join(given[side].split())) for side, where in by_side.items()]


def shown(number, unit=""):
    """
    Return a number with three digits that count, and its unit.

    Examples
    --------
    >>> [shown(x) for x in (0.01234, 12.345, 1234.5, 0, None)]
    ['0.0123', '12.3', '1,234', '0', '–']
    >>> shown(2.0, "s")
    '2.00 s'
    """
    if number is None:
        return "–"
    if number == 0:
        text = "0"
    else:
        size = abs(number)
        places = max(0, 2 - (len(str(int(size))) - 1)) if size >= 1 else None
        if places is None:
            places = 2
            while size * 10 ** (places - 2) < 1 and places < 9:
                places += 1
        text = f"{number:,.{places}f}"
    return f"{text} {unit}".rstrip()


def table(result, measure, sides=None, wanted=None):
    """
    Return a table: a row for each side, a column for each case.

    Parameters
    ----------
    result : dict
    measure : str
    sides, wanted : list of str, optional
        Which sides and cases; by default all that have the measure.

    Returns
    -------
    tuple
        The cases (list of str), and the rows: a list of (side, cells), each cell a pair of
        `Spread` or None, and the ratio to ours or None.

    Raises
    ------
    ResultError
        When a side or a case is asked for that the result does not have.
    """
    if measure not in result["measures"]:
        raise ResultError(f"benchmark {result['benchmark']} has no measure {measure!r}; it has "
                          f"{', '.join(result['measures'])}")
    there = cases(result, measure)
    wanted = there if wanted is None else wanted
    if missing := [case for case in wanted if case not in there]:
        raise ResultError(f"benchmark {result['benchmark']} has no {measure} for "
                          f"{', '.join(map(repr, missing))}; it has {', '.join(there)}")
    sides = list(result["sides"]) if sides is None else sides
    if missing := [side for side in sides if side not in result["sides"]]:
        raise ResultError(f"benchmark {result['benchmark']} has no side {', '.join(missing)}")
    rows = []
    for side in sides:
        cells = []
        for case in wanted:
            found = values(result, case, side, measure)
            cells.append((None if found is None else spread(found),
                          ratio(result, case, side, measure)))
        if any(values(result, case, side, measure) is not None for case in wanted):
            rows.append((side, cells))
    return wanted, rows
