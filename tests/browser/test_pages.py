"""Every page of the book, loaded in a browser."""

import pytest

from tests.browser.contents import documents


@pytest.mark.parametrize("name", documents())
def test_a_page_loads_without_error_failed_request_or_foreign_host(page, site, name):
    page.goto(f"{site}{name}.html", wait_until="networkidle")
    assert page.locator("article h1").count() == 1
