"""Grade a class of two hundred on two cores: seconds and memory.

    python benchmarks/grading.py [RESULT.json] [--assignment NAME] [--many 200] [--jobs 2]

The class is made from the assignment's own solution and mutants, and from what students hand in by
mistake or on purpose: a notebook without answers, a function that raises, one that never returns,
one that ends the process, one that takes memory without end, no notebook and an empty folder. Of
fifty submissions, 28 are right. Each is another file, so nothing is graded once for many.

It is graded by the command that a teacher gives, in a process of its own, in the sandbox. Ten times
a second the memory of that process and of all that it started is added up (pages of files left out:
they are shared). Then the same command is given once more, which grades nothing. The exit status is
1 if a submission does not get what it should: full points for a solution, less for anything else.

Linux only, as the sandbox is. The result is written to ``build/grading.json``.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.grading import definition, sandbox  # noqa: E402

#: Of fifty submissions so many are of a kind; the rest are mutants.
OF_FIFTY = {"solution": 28, "no answers": 3, "raises": 1, "never returns": 1, "ends the process": 1,
            "takes memory": 1, "no notebook": 1, "empty folder": 1}


def kinds(many):
    """Return the kind of each submission of a class, well mixed and always the same."""
    fifty = [kind for kind, count in OF_FIFTY.items() for _ in range(count)]
    fifty += ["mutant"] * (50 - len(fifty))
    return [fifty[number * 17 % 50] for number in range(many)]


def broken(assignment, kind):
    """Return a cell that breaks a solution."""
    target = [case.target for case in assignment.cases if case.kind == "call"][-1]
    bodies = {"raises": "raise NotImplementedError", "never returns": "while True:\n        pass",
              "ends the process": "import os\n    os._exit(0)",
              "takes memory": "taken = []\n    while True:\n        taken += [bytearray(1 << 24)]"}
    return f"def {target}(*args, **kwargs):\n    {bodies[kind]}\n"


def hand_in(folder, assignment, many):
    """Write a class; return the kind of each student's submission."""
    master = jupytext.read(assignment.folder / "master.py", fmt="py:percent")
    solution = [cell.source for cell in master.cells if cell.cell_type == "code"]
    wrong = sorted((assignment.folder / "mutants").glob("*.py"))
    made, mutant = {}, 0
    for number, kind in enumerate(kinds(many)):
        name = f"student{number:03}"
        made[name] = kind
        path = folder / f"{name}.ipynb"
        if kind == "empty folder":
            (folder / name).mkdir()
            continue
        if kind == "no notebook":
            path.write_text(f"<html>{number}</html>")
            continue
        cells = list(solution)
        if kind == "mutant":
            cells.append(wrong[mutant % len(wrong)].read_text(encoding="utf-8"))
            mutant += 1
        elif kind == "no answers":
            cells = ["import numpy as np"]
        elif kind != "solution":
            cells.append(broken(assignment, kind))
        cells.append(f"# Handed in by {name}.")
        nbformat.write(nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells))),
                       path)
    return made


def run(folder, assignment, out, jobs):
    """Grade the class; return seconds, and the most memory of the command and of everything."""
    command = [sys.executable, "-m", "tools.grade", folder, "--assignment", assignment,
               "--out", out, "--jobs", str(jobs)]
    began, own, whole = time.monotonic(), 0, 0
    with open(out.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            used = [sandbox.memory(pid) for pid in sandbox.tree(process.pid)]
            own, whole = max(own, used[0]), max(whole, sum(used))
            time.sleep(0.1)
    if process.returncode not in (0, 1):
        sys.exit(out.with_suffix(".log").read_text())
    return time.monotonic() - began, own, whole


def summary(made, out):
    """Return what each kind of submission took and got, and what was not as it should be."""
    results = {name: json.loads((out / "results" / f"{name}.json").read_text()) for name in made}
    with open(out / "grades.csv", newline="") as file:
        listed = [row["student"] for row in csv.DictReader(file)]
    wrong = [] if sorted(listed) == sorted(made) else ["the table does not list every student once"]
    for name, kind in made.items():
        full = results[name]["points"] == results[name]["possible"]
        if full != (kind == "solution"):
            wrong.append(f"{name} ({kind}): {results[name]['points']:g} points")
    rows = {}
    for kind, count in sorted(Counter(made.values()).items(), key=lambda pair: -pair[1]):
        these = [results[name] for name in made if made[name] == kind]
        rows[kind] = {
            "submissions": count,
            "median seconds": round(statistics.median(one["seconds"] for one in these), 2),
            "most seconds": round(max(one["seconds"] for one in these), 2),
            "most memory in MB": round(max(one["memory"] for one in these) / 1e6),
            "mean share of the points": round(
                statistics.mean(one["points"] / one["possible"] for one in these), 3)}
    return rows, wrong


def main():
    """Run the benchmark, print its tables and write its result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", nargs="?", type=Path, default=ROOT / "build" / "grading.json")
    parser.add_argument("--assignment", default="01_convolution")
    parser.add_argument("--many", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    sandbox.ensure()
    assignment = definition.load(options.assignment)
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch, "class"), Path(scratch, "graded")
        folder.mkdir()
        made = hand_in(folder, assignment, options.many)
        seconds, own, whole = run(folder, options.assignment, out, options.jobs)
        again, _, _ = run(folder, options.assignment, out, options.jobs)
        rows, wrong = summary(made, out)
    measured = {
        "submissions": options.many, "jobs": options.jobs, "seconds": round(seconds, 1),
        "seconds a submission": round(seconds / options.many, 2),
        "seconds of a second run": round(again, 1),
        "most memory of the grader in MB": round(own / 1e6),
        "most memory of all processes in MB": round(whole / 1e6)}
    for name, value in measured.items():
        print(f"{name:<36}{value:>8}")
    print(f"\n{'kind':<18}{'number':>7}{'median s':>10}{'most s':>8}{'most MB':>9}{'points':>8}")
    for kind, row in rows.items():
        count, median, most, memory, share = row.values()
        print(f"{kind:<18}{count:>7}{median:>10.2f}{most:>8.2f}{memory:>9}{share:>8.0%}")
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(json.dumps({
        "assignment": options.assignment, "date": str(date.today()),
        "python": platform.python_version(), "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(), **measured, "kinds": rows,
        "not as it should be": wrong}, indent=1) + "\n")
    print(f"\nwritten: {options.result}")
    for line in wrong:
        print(f"NOT AS IT SHOULD BE: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
