"""What each chapter owes a class: exercises with hints and solutions, and a check of one's own."""

import re
import shutil

import pytest

from tools import checks, ci, pairs

EXERCISES, SELF_CHECK = "Exercises", "Check yourself"
#: An open-ended exercise has no one solution; what to look for takes its place.
SOLUTIONS = {"Solution", "What to look for", "What to see"}
#: Fewer words than these state a result and explain nothing.
SHORTEST_ANSWER = 8

DROPDOWN = re.compile(r"^:::\{dropdown\} (?P<title>.+?)\n(?P<body>.*?)\n:::$", re.M | re.S)
QUESTION = re.compile(r"^\*\*(\d+)\.", re.M)


def section(notebook, title):
    """Return the cells between a heading of second rank and the next, cut at the headings."""
    found, inside = [], False
    for cell in notebook.cells:
        if cell.cell_type == "code":
            found += [cell] if inside else []
            continue
        for part in re.split(r"^(?=## )", cell.source, flags=re.M):
            if part.startswith("## "):
                inside = part.startswith(f"## {title}\n")
            if inside:
                found.append(type(cell)({**cell, "source": part}))
    return found


def questions(cells):
    """Return the numbered questions: number, text up to the next, and the code cells in it."""
    found = []
    for cell in cells:
        if cell.cell_type == "code" and found:
            found[-1][2].append(cell)
        if cell.cell_type == "code":
            continue
        for text in re.split(r"^(?=\*\*\d+\.)", cell.source, flags=re.M):
            if number := QUESTION.match(text):
                found.append([int(number[1]), text, []])
            elif found:
                found[-1][1] += f"\n{text}"
    return found


def folded(text):
    """Return title and body of each drop-down, in order."""
    return [(match["title"], match["body"]) for match in DROPDOWN.finditer(text)]


def exercise_faults(number, text, code):
    """Return what one exercise lacks."""
    boxes = folded(text)
    titles = [title for title, _ in boxes]
    solutions = [body for title, body in boxes if title in SOLUTIONS]
    found = []
    if titles[:1] != ["Hint"]:
        found.append("no hint, or not before the solution")
    if len(solutions) != 1 or titles[-1] not in SOLUTIONS:
        found.append(f"expected one solution, the last to unfold: {titles}")
    if any("```" in body for _, body in boxes):
        found.append("code inside a drop-down: nothing runs it; put it into a cell")
    if any(re.search(r"\bcells? below\b", body) for body in solutions) and not code:
        found.append("the solution speaks of a cell that is not there")
    if any("hide-cell" not in pairs.tags(cell) for cell in code):
        found.append("a cell of the solution lies open: tag it hide-cell")
    return [f"exercise {number}: {fault}" for fault in found]


def self_check_faults(asked):
    """Return what the self-check lacks."""
    found = []
    if [number for number, *_ in asked] != [1, 2, 3, 4, 5]:
        found.append(f"self-check: five questions expected: {[number for number, *_ in asked]}")
    for number, text, code in asked:
        boxes = folded(text)
        if [title for title, _ in boxes] != ["Answer"]:
            found.append(f"question {number}: expected one answer that unfolds")
        elif len(boxes[0][1].split()) < SHORTEST_ANSWER:
            found.append(f"question {number}: the answer explains nothing")
        if code or ":::{explorer}" in text:
            found.append(f"question {number}: needs a kernel or a script")
    return found


def faults(notebook):
    """Return what a chapter lacks as a lesson; an empty list means that it has it all."""
    exercises = questions(section(notebook, EXERCISES))
    numbers = [number for number, *_ in exercises]
    found = []
    if numbers != list(range(1, len(numbers) + 1)) or not 3 <= len(numbers) <= 6:
        return [f"expected three to six exercises, numbered from 1: {numbers}"]
    if "Warm-up" not in exercises[0][1].splitlines()[0]:
        found.append("the first exercise is no warm-up")
    if "Open-ended" not in exercises[-1][1].splitlines()[0]:
        found.append("the last exercise is not open-ended")
    for exercise in exercises:
        found += exercise_faults(*exercise)
    return found + self_check_faults(questions(section(notebook, SELF_CHECK)))


def chapter(stem):
    return pairs.from_source(pairs.paths(stem)[0])


@pytest.mark.parametrize("stem", pairs.sources())
def test_a_chapter_has_its_exercises_and_its_self_check(stem):
    assert faults(chapter(stem)) == []


@pytest.mark.parametrize("stem", pairs.sources())
def test_the_code_of_the_solutions_runs_with_the_chapter(stem, tmp_path):
    """What `make chapters` executes holds every cell of them, and no tag may leave one out."""
    solutions = {cell.source for _, _, code in questions(section(chapter(stem), EXERCISES))
                 for cell in code}
    assert solutions, "a chapter whose solutions hold no code at all"
    (tmp_path / "chapters").mkdir()
    shutil.copy(pairs.paths(stem)[0], tmp_path / "chapters")
    copy = pairs.read(ci.prepare(stem, checks.ci_settings()[0][stem], tmp_path))
    assert solutions <= {cell.source for cell in copy.cells if cell.cell_type == "code"}
    assert {tag for cell in copy.cells for tag in pairs.tags(cell)} <= {
        *checks.TAGS, "injected-parameters"}


#: A change to chapter 3, and what has to be said about it.
SABOTAGE = {
    "an exercise without a hint": (
        ":::{dropdown} Hint\nIf $a \\le b$", ":::{note}\nIf $a \\le b$", "exercise 2: no hint"),
    "a solution before its hint": (
        ":::{dropdown} Hint\nTwo counts", ":::{dropdown} Solution\nTwo counts",
        "exercise 1: no hint"),
    "an exercise without a solution": (
        ":::{dropdown} What to look for", ":::{note}", "exercise 5: expected one solution"),
    "code that nothing runs": (
        "so 50,000 of them buy\n", "so:\n```python\nprint(1)\n```\n", "exercise 5: code inside"),
    "no warm-up": ("**1. Warm-up.**", "**1.**", "no warm-up"),
    "nothing open": ("**5. Open-ended.**", "**5.**", "not open-ended"),
    "a number left out": ("**4. LeNet-5", "**6. LeNet-5", "three to six exercises"),
    "four questions": ("**5.** A network ends", "A network ends", "five questions expected"),
    "a bare answer": (
        "One linear map, however many layers it is written in. A convolution without "
        "nonlinearity is a\nmatrix, and a product of matrices is a matrix.", "A linear map.",
        "question 4: the answer explains nothing"),
    "an answer in the open": (
        ":::{dropdown} Answer\n`from_logits", ":::{note}\n`from_logits", "question 5: expected"),
    "a question that needs a script": (
        "**2.** The second convolution", "**2.** :::{explorer} shapes\nThe second convolution",
        "question 2: needs"),
}


@pytest.mark.parametrize("what", SABOTAGE)
def test_what_a_chapter_lacks_is_found(what):
    old, new, said = SABOTAGE[what]
    notebook = chapter("03_lenet")
    hits = [cell for cell in notebook.cells if old in cell.source]
    assert len(hits) == 1, "chapter 3 has changed: mend the sabotage"
    hits[0].source = hits[0].source.replace(old, new)
    assert any(said in fault for fault in faults(notebook)), faults(notebook)


def test_a_solution_that_lies_open_or_is_gone_is_found():
    notebook = chapter("03_lenet")
    (cell,) = [cell for cell in notebook.cells if cell.source.startswith("print((4 * 4 * 3")]
    cell.metadata.tags = ["nbval-check-output"]
    assert faults(notebook) == ["exercise 1: a cell of the solution lies open: tag it hide-cell"]
    notebook.cells.remove(cell)
    assert faults(notebook) == ["exercise 1: the solution speaks of a cell that is not there"]
