import re

import pytest

from tests.assignments import attacks
from tools.grading import classroom, sandbox
from tools.grading.grader import grade_one

pytestmark = pytest.mark.usefixtures("bubblewrap")

#: What would show that a hidden input has come out.
SECRET = "918273645"


def outcome(attack, tmp_path):
    """Try an attack; return what it got, and what it said to the student."""
    place = tmp_path / "hand-in"
    place.mkdir()
    with attacks.surroundings(tmp_path) as around:
        grade = grade_one(attack.make(around, place), around.assignment)
        assert around.harm() == ""
        return grade, classroom.feedback(around.assignment, classroom.plain(grade))


@pytest.mark.parametrize("attack", attacks.ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gets_what_its_honest_part_is_worth(attack, tmp_path):
    grade, told = outcome(attack, tmp_path)
    said = attacks.words(grade)
    assert grade.points == attack.points, said
    assert re.search(attack.says, "; ".join(said))
    assert SECRET not in told


# Without root the sandbox is made another way, in a namespace of users.
@pytest.mark.parametrize("name", [
    "fork bomb", "kill everything", "network", "namespaces", "reading tests", "writing outside",
    "memory without a file", "process left behind",
])
def test_an_attack_gets_no_further_in_a_namespace_of_users(name, tmp_path, monkeypatch):
    program = sandbox.find()[0]
    monkeypatch.setattr(sandbox, "find", lambda: (program, False, ""))
    attack = next(attack for attack in attacks.ATTACKS if attack.name == name)
    grade, told = outcome(attack, tmp_path)
    assert grade.points == attack.points, attacks.words(grade)
    assert re.search(attack.says, "; ".join(attacks.words(grade)))


def test_every_attack_of_the_list_would_be_noticed(tmp_path):
    with attacks.surroundings(tmp_path) as around:
        assert around.harm() == ""
        (around.outside.parent / "new").write_text("forged")
        assert around.harm() == "it wrote outside"
        (around.outside.parent / "new").unlink()
        around.connections.append("somebody")
        assert around.harm() == "it reached the server"
