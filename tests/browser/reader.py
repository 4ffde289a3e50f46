"""What readers do, for the tests that do it on a server and from files."""

import re
from collections import Counter
from functools import cache
from urllib.parse import quote_plus

import numpy as np
from bs4 import BeautifulSoup

from tests.browser.conftest import built
from tests.browser.contents import documents

WORD = re.compile(r"(?<![\w-])[a-z]{6,}(?![\w-])")


@cache
def words():
    """Return, for each page of the book, how often its running text has which word."""
    found = {}
    for name in documents():
        page = BeautifulSoup((built() / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        prose = " ".join(p.get_text(" ") for p in page.find("article").find_all(["p", "li"]))
        found[name] = Counter(WORD.findall(prose))
    return found


def term_of(name):
    """
    Return a word that a page uses, more than any other, and that no other page has.

    So a chapter that is added is searched for as well, and nobody has to choose a word for it.
    """
    own = words()[name]
    others = set().union(*(counts for other, counts in words().items() if other != name))
    alone = [word for word in own if word not in others]
    assert alone, f"{name} has no word of its own"
    return max(alone, key=lambda word: (own[word], len(word), word))


def come_near(page, selector):
    """Scroll to an explorer, which starts when its reader comes near; return it."""
    place = page.locator(selector)
    place.scroll_into_view_if_needed()
    place.and_(page.locator(".x-live")).wait_for()
    return place


#: Colours that glide, and what fades in, are judged when they have arrived.
CALM = """() => Promise.all(
    document.getAnimations().map((running) => running.finished.catch(() => null)))"""


#: The rules of axe that ask for colours. What the others ask for is the same in light and dark.
OF_COLOUR = ["color-contrast", "link-in-text-block"]


def numbers(explorer, which):
    """Return what the image (0) or the map (1) of an explorer shows; what is empty is NaN."""
    texts = explorer.locator("[role=grid]").nth(which).evaluate("""grid =>
        [...grid.querySelectorAll("[role=row]")].map(row =>
            [...row.querySelectorAll("[role=gridcell]")].map(cell => cell.textContent))""")
    return np.array([[float(text.replace("\u2212", "-") or "nan") for text in row]
                     for row in texts])


def cell(explorer, which, i, j):
    """Return one cell of the image (0) or of the map (1) of an explorer."""
    return explorer.locator("[role=grid]").nth(which).locator(f"[data-i='{i}'][data-j='{j}']")


def find(page, term, done="Search finished"):
    """Search for a term as a reader does, from the page that is open; return what is found.

    ``done`` is how the page says that it has searched.
    """
    field = page.locator("input[type=search]:visible")
    # The page of results shows its field at once, the others after a click.
    if field.count() == 0:
        page.locator("button.search-button__button:visible").first.click()
    field = field.first
    field.fill(term)
    field.press("Enter")
    page.wait_for_url(f"**/search.html?q={quote_plus(term)}*")
    page.locator("#search-results", has_text=done).wait_for()
    links = page.locator("#search-results li a")
    addresses = links.evaluate_all("links => links.map(link => link.href)")
    return [address.split("?")[0].split("#")[0] for address in addresses]


def switch_theme(page, name):
    """Press the button until the page is light or dark; its background has to change as well."""
    def background():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    before = background()
    for _ in range(3):
        page.locator("button.theme-switch-button:visible").first.click()
        if page.evaluate("document.documentElement.dataset.theme") == name:
            break
    assert page.evaluate("document.documentElement.dataset.theme") == name
    assert background() != before


def paste(page):
    """Return what the clipboard holds, pasted into a field."""
    page.evaluate("""() => {
        const field = document.createElement("textarea");
        field.id = "paste-here";
        document.body.append(field);
        field.focus();
    }""")
    page.keyboard.press("Control+v")
    return page.locator("#paste-here").input_value()


def toggles(page):
    """Return everything in the text that unfolds and lies open to view: not one inside another."""
    # An explorer that starts meanwhile would change what is there.
    page.evaluate("window.course.whole()")
    page.wait_for_function("() => !document.querySelector('.x-waiting')")
    return page.locator("article details:not(article details details)").all()
