"""The teachers' page: its plans add up, and what it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "pages" / "teachers.md").read_text(encoding="utf-8")


def test_the_page_opens_with_its_description():
    assert re.match(r"---\ndescription: .+\n---\n\n# For teachers\n", PAGE)


def table(heading):
    """Return the cells of the first table below a heading, without its head."""
    below = re.split(rf"^#+ {heading}$", PAGE, flags=re.M)[1]
    rows = re.search(r"(?:^\|.*\n)+", below, re.M)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize("plan, minutes", [
    ("One day", 6 * 60), ("Two weeks", 10 * 90), ("Half a semester", 14 * 90)])
def test_the_minutes_of_a_plan_add_up(plan, minutes):
    assert sum(int(row[-1]) for row in table(plan)) == minutes


def test_every_assignment_has_a_row():
    there = [str(int(path.name[:2])) for path in sorted((ROOT / "assignments").glob("[0-9]*_*"))]
    named = [row[0] for row in table("Assignments")]
    assert there and named[: len(there)] == there


def test_the_weights_of_the_rubric_are_a_whole():
    weights = [int(row[-1].removesuffix(" %")) for row in table("The open challenge")]
    assert len(weights) == 4 and sum(weights) == 100


def test_each_misconception_has_a_question_and_a_place():
    part = re.search(r"^## Misconceptions.*?(?=^### Photographs)", PAGE, re.M | re.S)[0]
    found = re.findall(r'^"(.+)"\n: (.*(?:\n  .*)*)', part, re.M)
    assert len(found) >= 20
    for belief, answer in found:
        answer = " ".join(answer.split())
        assert answer.startswith("*Ask"), belief
        place = re.search(r"\[([^\]]+)\]\(\.\./chapters/(\w+)\.ipynb#([\w-]+)\)", answer)
        assert place, belief
        source = (ROOT / "chapters" / f"{place[2]}.py").read_text(encoding="utf-8")
        assert re.search(rf"^# ##+ {re.escape(place[1])}$", source, re.M), place[1]
