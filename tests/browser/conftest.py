"""What the tests in a real browser share: the built book on a server, the browser, watched pages.

Write a test with ``page`` (a wide screen) or ``phone`` (390 pixels) and ``site`` or ``site_file``::

    def test_something(page, site):
        page.goto(site + "chapters/01_convolution.html")

At its end nothing may have gone wrong in the page: no console error, no failed request, no request
to another host. A test that provokes errors reads them in ``problems`` and clears that
list.
"""

import os
from urllib.parse import urlsplit

import pytest

from tools import browser as chromium
from tools.serve import SITE, Server

#: Milliseconds. Two workers share two cores, so a page may take its time.
PATIENCE = 20_000


def built():
    """Return the folder of the built book."""
    if not (SITE / "index.html").is_file():
        pytest.fail("the book is not built: run `make book` (`make test` does)")
    return SITE


@pytest.fixture(scope="package")
def site():
    """Address of the built book, on this machine, below a path: ends with a slash."""
    with Server(built()) as server:
        yield server.address


@pytest.fixture(scope="session")
def site_file():
    """Address of the built book as files, as a reader has it who unpacked the zip."""
    return built().as_uri() + "/"


# Of the package, not of the session: while Playwright's synchronous half is in use, no other test
# of this process could run an event loop of its own, as those that execute notebooks do.
@pytest.fixture(scope="package")
def browser():
    """Chromium, started once for the tests of this folder."""
    from playwright.sync_api import sync_playwright

    program = chromium.find()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(chromium.MISSING)
        pytest.skip(chromium.MISSING)
    with sync_playwright() as playwright:
        running = chromium.launch(playwright, program)
        yield running
        running.close()


@pytest.fixture
def problems():
    """List of what went wrong in the pages of a test; it has to be empty at the end."""
    found = []
    yield found
    assert found == []


def watch(context, found):
    """Note in a list what goes wrong in any page of a browser context."""
    # The browser asks for it by itself where a page names none: the redirect in index.html.
    def icon(address):
        return urlsplit(address).path == "/favicon.ico"

    def console(message):
        if message.type == "error" and not icon(message.location["url"]):
            found.append(f"console: {message.text} ({message.location['url']})")

    def request(asked):
        parts = urlsplit(asked.url)
        if parts.scheme not in {"file", "data", "blob"} and parts.hostname != "127.0.0.1":
            found.append(f"foreign host: {asked.url}")

    def failed(asked):
        # A page that is left while it loads gives up what it still waits for.
        if asked.failure != "net::ERR_ABORTED":
            found.append(f"failed: {asked.url} ({asked.failure})")

    def response(answer):
        if answer.status >= 400 and not icon(answer.url):
            found.append(f"status {answer.status}: {answer.url}")

    context.on("console", console)
    context.on("weberror", lambda error: found.append(f"exception: {error.error}"))
    context.on("request", request)
    context.on("requestfailed", failed)
    context.on("response", response)


@pytest.fixture
def open_context(browser, problems):
    """Function: open a fresh, watched browser context; it takes the options of ``new_context``."""
    opened = []

    def new(**options):
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        opened.append(context)
        watch(context, problems)
        return context

    yield new
    for context in opened:
        context.close()


READY = """() => !window.course
    || (document.readyState !== "loading" && !window.course.busy())"""


def patient(page):
    """Have ``goto`` wait for the scripts of the page, which run in turns: a test clicks at once."""
    plain = page.goto

    def goto(*args, **kwargs):
        answer = plain(*args, **kwargs)
        page.wait_for_function(READY)
        return answer

    page.goto = goto
    return page


@pytest.fixture
def page(open_context):
    """An empty page on a screen of 1280 by 800 pixels."""
    return patient(open_context(viewport={"width": 1280, "height": 800}).new_page())


@pytest.fixture
def phone(open_context):
    """An empty page on a telephone: 390 by 844 points, operated with a finger."""
    return patient(open_context(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True,
        is_mobile=True,
    ).new_page())


@pytest.fixture
def theme():
    """Function: give a page of the book the theme ``"light"`` or ``"dark"``, and wait for it.

    It asks as the reader's system does, so the pages that follow have that theme as well.
    """
    def choose(page, name):
        page.emulate_media(color_scheme=name)
        page.wait_for_function("name => document.documentElement.dataset.theme === name", arg=name)

    return choose
