"""The self-check of a chapter works where no script runs at all."""

import pytest

from tests.browser.contents import chapters


@pytest.mark.parametrize("name", chapters())
def test_answers_unfold_without_a_script(open_context, site, name):
    page = open_context(java_script_enabled=False).new_page()
    page.goto(f"{site}{name}.html")
    answers = page.locator("section#check-yourself details")
    assert answers.count() == 5
    assert page.locator("section#check-yourself :is(script, input, form)").count() == 0
    for number in range(5):
        answer = answers.nth(number)
        words = answer.locator("p").first
        assert words.is_hidden()
        answer.locator("summary").click()
        assert words.is_visible() and len(words.inner_text().split()) > 5
