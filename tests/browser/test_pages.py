"""Every page of the book, loaded in a browser and looked over, wide and narrow.

One visit for each page, because loading it is what takes the time.
"""

import shutil
from urllib.parse import urldefrag

import pytest
from playwright.sync_api import TimeoutError

from tests.browser.conftest import PATIENCE, built, watch
from tests.browser.contents import documents
from tools.serve import Server

#: Pages that Sphinx makes by itself, beside those of the table of contents.
MADE = ["search", "genindex"]

#: Have every picture loaded, those below the fold too; return those that cannot be shown.
BROKEN_PICTURES = """async () => {
    const pictures = [...document.images];
    for (const picture of pictures) picture.loading = "eager";
    await Promise.all(pictures.map((picture) => picture.decode().catch(() => null)));
    return pictures.filter((picture) => !picture.naturalWidth).map((picture) => picture.src);
}"""

#: Formulas that are still TeX, or that MathJax could not read.
RAW_FORMULAS = r"""() => [...document.querySelectorAll(".math")]
    .filter((node) => !node.querySelector("mjx-container, math, svg")
        || node.querySelector("mjx-merror, [data-mjx-error], merror")
        || /\\[()[\]]/.test(node.textContent))
    .map((node) => node.textContent)"""

#: What reaches beyond the right edge of the screen, unless it scrolls in a box of its own.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = (node) => {
        for (let box = node.parentElement; box && box !== document.body; box = box.parentElement) {
            if (getComputedStyle(box).overflowX !== "visible") return true;
        }
        return false;
    };
    const found = [...document.querySelectorAll("article *")].filter((node) => {
        const box = node.getBoundingClientRect();
        return box.width > 1 && box.right > width + 1 && !scrolls(node);
    }).map((node) => `${node.tagName} ${node.className}: ${node.textContent.slice(0, 40)}`);
    const whole = document.documentElement.scrollWidth;
    return whole > width ? [`the page is ${whole} wide`, ...found] : found;
}"""


def look_over(page, patience=PATIENCE):
    """Return what is wrong with a page that is open, besides what its context has noted."""
    found = [f"picture: {source}" for source in page.evaluate(BROKEN_PICTURES)]
    # What is far from the window waits for the reader: ask for all of it, as a printer does.
    page.evaluate("window.course.whole()")
    try:
        page.wait_for_function(f"() => ({RAW_FORMULAS})().length === 0", timeout=patience)
    except TimeoutError:
        found += [f"formula: {tex}" for tex in page.evaluate(RAW_FORMULAS)]
    page.set_viewport_size({"width": 390, "height": 844})
    found += [f"390 pixels: {what}" for what in page.evaluate(TOO_WIDE)]
    # What is folded away is shown by readers.
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    found += [f"390 pixels, unfolded: {what}" for what in page.evaluate(TOO_WIDE)]
    return found


@pytest.mark.parametrize("name", documents() + MADE)
def test_a_page_is_whole_and_fits_a_telephone(page, site, name):
    page.goto(f"{site}{name}.html", wait_until="networkidle")
    assert page.locator("article h1, #search-results, h1#index").count() >= 1
    assert look_over(page) == []


FAULTS = {
    "<script>nothing.at.all</script>": "exception: nothing is not defined",
    "<script>console.error('so it goes')</script>": "console: so it goes",
    '<img src="gone.svg">': "status 404",
    '<img src="missing.svg">': "picture: http",
    '<img src="https://example.org/a.png">': "foreign host: https://example.org/a.png",
    r'<span class="math">\(\frac{1\)</span>': r"formula: ",
    '<div style="width: 500px">wide</div>': "390 pixels: DIV",
    '<details><p style="width: 500px">wide</p></details>': "390 pixels, unfolded: P",
}


def test_these_checks_find_what_they_are_for(browser, tmp_path):
    text = (built() / "intro.html").read_text(encoding="utf-8")
    shutil.copytree(built() / "_static", tmp_path / "_static")
    (tmp_path / "bad.html").write_text(
        text.replace("</article>", f"{' '.join(FAULTS)}</article>", 1), encoding="utf-8")
    context = browser.new_context()
    found = []
    watch(context, found)
    with Server(tmp_path) as server:
        page = context.new_page()
        page.goto(server.address + "bad.html", wait_until="networkidle")
        found += look_over(page, patience=100)
        context.close()
    unseen = [said for said in FAULTS.values() if not any(said in line for line in found)]
    assert unseen == [], found


def test_links_within_the_book_lead_to_pages_and_places_that_exist(page, site):
    """After the scripts have run: what they add or remove counts."""
    links, places = {}, {}
    for name in documents():
        address = f"{site}{name}.html"
        page.goto(address, wait_until="load")
        links[address] = page.evaluate("[...document.links].map((link) => link.href)")
        places[address] = set(page.evaluate(
            "[...document.querySelectorAll('[id]')].map((node) => node.id)"))
    dead = []
    for address, targets in links.items():
        for target in set(targets):
            bare, fragment = urldefrag(target)
            if not bare.startswith(site):
                continue
            if bare not in places:
                answer = page.request.get(bare)
                places[bare] = None if answer.ok else False
            if places[bare] is False or (fragment and places[bare] is not None
                                         and fragment not in places[bare]):
                dead.append(f"{address} -> {target}")
    assert dead == []
    assert sum(map(len, links.values())) > 20 * len(links)
