"""The chapters as they are stored: pairs, digests, outputs, TOC, CI sizes and the ledger."""

import pytest

from tools import checks, ledger, pairs


def test_every_chapter_is_everywhere():
    assert checks.everywhere() == []


@pytest.mark.parametrize("stem", pairs.sources())
def test_the_source_is_in_order(stem):
    assert checks.source(stem) == []


@pytest.mark.parametrize("stem", pairs.notebooks())
def test_the_notebook_belongs_to_its_source_and_is_fit_to_publish(stem):
    assert checks.stored(stem)[0] == []


def test_the_ledger_equals_what_the_notebooks_hold():
    assert ledger.differences() == []
