"""The rendered book, as `make book` left it."""

import json
from pathlib import Path

import pytest
import yaml

from tests.book import sitecheck
from tools.notebook_edition import Book
from tools.site import repository

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"


def toc_documents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"]] + [
        chapter["file"] for part in toc["parts"] for chapter in part["chapters"]
    ]


CHAPTERS = [name for name in toc_documents() if name.startswith("chapters/")]


@pytest.fixture(scope="module", autouse=True)
def site():
    if not (SITE / "index.html").is_file():
        pytest.fail("the book is not built: run `make book` (`make test` does)")
    return SITE


@pytest.fixture(scope="module")
def pages(site):
    """Document name -> the text of its page."""
    return {
        name: (site / f"{name}.html").read_text(encoding="utf-8")
        for name in toc_documents() if (site / f"{name}.html").is_file()
    }


def failures(pages, check):
    return {name: found for name, text in pages.items() if (found := check(text))}


def test_every_document_of_the_toc_has_a_page(pages):
    assert sorted(pages) == sorted(toc_documents())


def test_no_markup_shows_through(pages):
    assert failures(pages, sitecheck.raw_markup) == {}


def test_every_picture_has_an_alternative_text(pages):
    assert failures(pages, sitecheck.pictures_without_text) == {}


def test_no_formula_is_left_open(pages):
    assert failures(pages, sitecheck.bad_tex) == {}


def test_internal_links_and_anchors_resolve(site):
    links = sitecheck.Links(site)
    pages = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    dead = {path.name: found for path in pages if (found := links.dead(path))}
    assert dead == {}


def test_no_page_asks_another_host(site, pages):
    hosts = set().union(*(sitecheck.foreign_hosts(text) for text in pages.values()))
    assert hosts == set()
    mathjax = site / "_static" / "mathjax"
    assert (mathjax / "mathjax.js").stat().st_size > 500_000
    assert len(list((mathjax / "output/chtml/fonts/woff-v2").glob("*.woff"))) > 20


def test_nothing_tells_where_it_was_built(site):
    secrets = sitecheck.telling(ROOT, Path.home())
    told = [
        str(path.relative_to(site)) for path in site.rglob("*")
        if path.suffix in {".html", ".js", ".ipynb", ".md", ".svg", ".json"}
        and any(secret in path.read_text(encoding="utf-8") for secret in secrets)
    ]
    assert told == []


def test_every_page_has_a_description_of_its_own(pages):
    found = {}
    for name, text in pages.items():
        metas = sitecheck.parse(text).find_all("meta", attrs={"name": "description"})
        assert len(metas) == 1, name
        found[name] = metas[0]["content"]
    assert all(30 <= len(text) <= 155 for text in found.values()), found
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_downloads_as_the_notebook_it_is(pages, name):
    link = sitecheck.parse(pages[name]).find("a", class_="btn-download-source-button")
    assert link["href"].endswith(f"_sources/{name}.ipynb")
    copy = SITE / "_sources" / f"{name}.ipynb"
    original = ROOT / f"{name}.ipynb"
    assert json.loads(copy.read_text(encoding="utf-8")) == json.loads(
        original.read_text(encoding="utf-8"))


def colab_links(text):
    return [
        link["href"] for link in sitecheck.parse(text).find_all("a", href=True)
        if "colab.research.google.com" in link["href"]
    ]


def test_the_launch_buttons_follow_the_address(pages):
    book = Book(ROOT, repository())
    for name, text in pages.items():
        expected = book.colab_url(Path(name).name) if name in CHAPTERS else ""
        assert colab_links(text) == ([expected] if expected else []), name
        if not repository():
            assert "launch-buttons" not in text and "source-repository-button" not in text


def test_the_results_tables_equal_the_ledger(pages):
    ledger = json.loads((ROOT / "results.json").read_text(encoding="utf-8"))
    stated = yaml.safe_load((ROOT / "pages" / "stated.yml").read_text(encoding="utf-8"))
    page = sitecheck.parse(pages["pages/results"])
    tables = page.find_all("table", class_="course-results")
    assert len(tables) == len(stated)
    for table, expected in zip(tables, stated.values(), strict=True):
        rows = table.find("tbody").find_all("tr")
        assert len(rows) == len(expected["rows"])
        for row, want in zip(rows, expected["rows"], strict=True):
            cells = [cell.find_all("p")[0].get_text() for cell in row.find_all(["th", "td"])]
            assert cells[0] == want["what"]
            held = ledger[expected["chapter"]]
            ours = held[want["record"]]
            if "by_seed" in want:
                seeds = held[want["by_seed"]]
                assert f"{len(seeds)} seeds" in row.find_all("td")[2].get_text()
                assert ours == pytest.approx(sum(seeds) / len(seeds))
            if ours is None:
                assert cells[3] == "not measured"
                continue
            digits = len(cells[3].partition(".")[2])
            assert float(cells[3].replace(",", "")) == pytest.approx(ours, abs=0.51 * 10**-digits)
            if isinstance(want.get("stated"), int | float):
                gap = float(cells[4].replace("−", "-").replace(",", ""))
                assert gap == pytest.approx(ours - want["stated"], abs=0.51 * 10**-digits)


def test_the_conditions_table_equals_the_ledger(pages):
    ledger = json.loads((ROOT / "results.json").read_text(encoding="utf-8"))
    table = sitecheck.parse(pages["pages/results"]).find("table", class_="course-conditions")
    rows = table.find("tbody").find_all("tr")
    linked = [Path(row.find("a")["href"]).stem for row in rows]
    assert [f"chapters/{stem}" for stem in linked] == CHAPTERS
    for stem, row in zip(linked, rows, strict=True):
        cells = [cell.get_text("\n") for cell in row.find_all(["th", "td"])]
        held = ledger[stem]["conditions"]
        for edition in held["editions"]:
            assert edition in cells[1]
        seconds = ledger[stem]["seconds"]
        assert cells[2] == ("not measured" if seconds is None else f"{seconds:,.0f}")
        assert held["date"] == cells[4]
        for where, of in held.get("elsewhere", {}).items():
            assert f"{of['runs']} training runs on {where}" in cells[3]


def test_the_times_of_the_teachers_page_are_those_of_the_ledger(pages):
    ledger = json.loads((ROOT / "results.json").read_text(encoding="utf-8"))
    table = sitecheck.parse(pages["pages/teachers"]).find("table", class_="course-conditions")
    rows = table.find("tbody").find_all("tr")
    assert [f"chapters/{Path(row.find('a')['href']).stem}" for row in rows] == CHAPTERS
    for row in rows:
        cells = [cell.get_text().strip() for cell in row.find_all(["th", "td"])]
        seconds = ledger[Path(row.find("a")["href"]).stem]["seconds"]
        assert int(cells[1].replace(",", "")) > 1000
        if seconds is None:
            assert cells[4] == "not measured"
        else:
            number, unit = cells[4].split()
            assert abs(float(number) * {"s": 1, "min": 60}[unit] - seconds) <= 30


def markdown_of(name):
    notebook = ROOT / f"{name}.ipynb"
    if not notebook.is_file():
        return [(ROOT / f"{name}.md").read_text(encoding="utf-8")]
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


@pytest.mark.parametrize("name", toc_documents())
def test_nothing_is_opened_and_never_closed(name):
    # Sphinx says nothing about either: the rest of the page silently moves into the box.
    assert [found for text in markdown_of(name) if (found := sitecheck.open_fences(text))] == []
