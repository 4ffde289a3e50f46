"""The Chinese book, as `make book` left it in the site, beside the English one."""

import json
import re
from pathlib import Path

import pytest

from tests.book import sitecheck
from tests.book.test_findable import load
from tests.book.test_site import CHAPTERS, ROOT, SITE, colab_links, failures, toc_documents
from tools.languages import CHINESE, ENGLISH
from tools.notebook_edition import Book
from tools.site import repository
from tools.translation.comments import width

findable = load("findable")
HAN = re.compile("[\u4e00-\u9fff]")
#: Pages that Sphinx makes by itself.
MADE = ["search", "genindex"]


@pytest.fixture(scope="module", autouse=True)
def chinese():
    """Return the folder of the Chinese book."""
    folder = SITE / "zh"
    if not (folder / "index.html").is_file():
        pytest.fail("the book is not built: run `make book` (`make test` does)")
    return folder


def read(folder, names):
    return {name: (folder / f"{name}.html").read_text(encoding="utf-8") for name in names
            if (folder / f"{name}.html").is_file()}


@pytest.fixture(scope="module")
def pages(chinese):
    """Document name -> the text of its Chinese page."""
    return read(chinese, [*toc_documents(), *MADE])


@pytest.fixture(scope="module")
def english():
    """Document name -> the text of its English page."""
    return read(SITE, [*toc_documents(), *MADE])


def test_each_page_is_there_and_names_its_language(pages, english):
    assert sorted(pages) == sorted(english) == sorted([*toc_documents(), *MADE])
    for found, language in ((pages, CHINESE), (english, ENGLISH)):
        tags = {sitecheck.parse(text).html["lang"] for text in found.values()}
        assert tags == {language.tag}


def sections(text):
    """Return the ids of the sections and explorers of a page, in order."""
    body = sitecheck.article(sitecheck.parse(text))
    return [node["id"] for node in body.find_all(["section", "div"], id=True)
            if node.name == "section" or "course-explorer" in node.get("class", ())]


def test_both_books_have_the_same_sections(pages, english):
    for name in toc_documents():
        assert sections(pages[name]) == sections(english[name]), name
        # A link of a heading leads to the section that it heads.
        body = sitecheck.article(sitecheck.parse(pages[name]))
        for link in body.select("section > :is(h1, h2, h3) > a.headerlink"):
            assert link["href"] == f"#{link.find_parent('section')['id']}"


@pytest.mark.parametrize("which", ["pages", "english"])
def test_a_page_leads_to_itself_in_the_other_language(which, request, chinese):
    here, other = (CHINESE, ENGLISH) if which == "pages" else (ENGLISH, CHINESE)
    for name, text in request.getfixturevalue(which).items():
        page = sitecheck.parse(text)
        (link,) = page.select(".bd-header-article a.course-language")
        assert (link["hreflang"], link["lang"]) == (other.tag, other.tag)
        assert link.get_text() == other.name
        folder = (SITE / here.folder / name).parent
        target = SITE / other.folder / f"{name}.html"
        assert (folder / link["href"]).resolve() == target and target.is_file()
        told = {node["hreflang"]: node["href"] for node in page.select("head link[hreflang]")}
        base = findable.published(repository())
        root = base or "../" * f"{here.folder}{name}".count("/")
        assert told == {one: f"{root}{folder}{name}.html" for one, folder in (
            ("en", ""), ("zh-CN", "zh/"), ("x-default", ""))}


def test_no_markup_shows_through(pages):
    pages = {name: pages[name] for name in toc_documents()}
    assert failures(pages, sitecheck.raw_markup) == {}
    assert failures(pages, sitecheck.pictures_without_text) == {}
    assert failures(pages, sitecheck.bad_tex) == {}
    assert set().union(*map(sitecheck.foreign_hosts, pages.values())) == set()


def test_chinese_is_emphasised_with_dots_and_latin_letters_are_slanted(pages):
    found = {True: set(), False: set()}
    for name in toc_documents():
        for node in sitecheck.article(sitecheck.parse(pages[name])).find_all("em"):
            # What the reference says of a function is code; the style sheet leaves it alone, too.
            if not {"property", "sig-param"} & set(node.get("class", ())):
                found["latin" in node.get("class", ())].add(node.get_text())
    assert "et al." in found[True] and not any(map(HAN.search, found[True]))
    assert found[False] and all(map(HAN.search, found[False]))


def test_no_space_follows_a_full_width_mark_in_the_footer(pages, english):
    for found, colon in ((pages, "："), (english, "By ")):
        (author,) = sitecheck.parse(found["intro"]).select("footer .component-author")
        assert re.fullmatch(f".*{colon}\\S.*", author.get_text().strip())


def test_headings_are_chinese(pages):
    for name in toc_documents():
        body = sitecheck.article(sitecheck.parse(pages[name]))
        found = [node.get_text() for node in body.select("section > :is(h1, h2, h3)")]
        assert len([text for text in found if HAN.search(text)]) > 0.8 * len(found), (name, found)


def test_every_page_has_a_chinese_description_of_its_own(pages):
    found = {}
    for name in toc_documents():
        (meta,) = sitecheck.parse(pages[name]).find_all("meta", attrs={"name": "description"})
        found[name] = meta["content"]
    assert all(24 <= width(text) <= 155 and HAN.search(text) for text in found.values()), found
    assert len(set(found.values())) == len(found)


#: What stays as it is in Chinese: names, and keys of the keyboard.
KEPT = re.compile(
    r"\b(Copyright|Ctrl|Colab|GitHub|K|LeNet|ipynb|pdf|PDF|MNIST|Keras|TensorFlow|CIFAR)\b")


def english_words(text):
    """Return the English in what surrounds the text of a page: in attributes and in buttons."""
    page = sitecheck.parse(text)
    said = [node[key] for key in ("title", "aria-label", "placeholder", "data-bs-title", "alt")
            for node in page.find_all(attrs={key: True})
            # What is cited, and what the reference names, stands in a link's title.
            if "reference" not in node.get("class", ())]
    outside = [node for part in page.select(
        "header, dialog, footer, .bd-header-article, .bd-sidebar-primary, .bd-sidebar-secondary")
        for node in part.select("button, p, a, summary, div.onthispage, label")]
    said += [" ".join(node.find_all(string=True, recursive=False)) for node in outside
             if node.get("lang") != ENGLISH.tag]
    found = {" ".join(text.split()) for text in said if not HAN.search(text)}
    return {text for text in found if re.search(r"[A-Za-z]{2}", KEPT.sub("", text))}


def test_the_theme_speaks_chinese(pages):
    found = {name: left for name, text in pages.items() if (left := english_words(text))}
    # Its sections are named after modules.
    assert found.pop("pages/reference", set()) <= {"mnist", "cifar"}
    assert found == {}
    script = (SITE / "zh/_static/scripts/site.js").read_text(encoding="utf-8")
    assert "点击显示" in script and "Click to show" not in script


def test_the_tables_of_the_extension_speak_chinese(pages):
    for name, kind in (("pages/results", "results"), ("pages/results", "conditions"),
                       ("pages/teachers", "conditions")):
        table = sitecheck.parse(pages[name]).find("table", class_=f"course-{kind}")
        heads = [node.get_text().strip() for node in table.find("thead").find_all(["th", "td"])]
        assert all(HAN.search(head) for head in heads), heads


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_downloads_as_its_chinese_notebook(pages, chinese, name):
    link = sitecheck.parse(pages[name]).find("a", class_="btn-download-source-button")
    assert link["href"].endswith(f"_sources/{name}.ipynb") and link.has_attr("download")
    copy = json.loads((chinese / "_sources" / f"{name}.ipynb").read_text(encoding="utf-8"))
    original = json.loads((ROOT / f"{name}.ipynb").read_text(encoding="utf-8"))
    outputs = [[cell.get("outputs") for cell in one["cells"]] for one in (copy, original)]
    assert outputs[0] == outputs[1]


def test_the_launch_buttons_open_the_chinese_notebooks(pages):
    book = Book(ROOT, repository(), folder=CHINESE.folder)
    for name, text in pages.items():
        expected = book.colab_url(Path(name).name) if name in CHAPTERS else ""
        assert colab_links(text) == ([expected] if expected else []), name


def test_the_explorers_have_their_words(pages, english):
    table = "explorers/words_zh_CN.js"
    assert (SITE / "zh/_static" / table).is_file() and not (SITE / "_static" / table).exists()
    for name in CHAPTERS:
        if "course-explorer" in pages[name]:
            assert pages[name].index(table) < pages[name].index("explorers/core.js")
            assert table not in english[name]
            place = sitecheck.parse(pages[name]).find("div", class_="course-explorer")
            assert HAN.search(place["data-label"])


def test_the_index_knows_words_of_the_course(chinese):
    text = (chinese / "searchindex.js").read_text(encoding="utf-8")
    terms = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", text, re.DOTALL)[1])["terms"]
    for word in ("卷积核", "步幅", "汇聚", "感受野", "特征图", "填充"):
        assert word in terms, word


def test_the_english_pages_were_made_light_once_and_the_chinese_ones_apart(pages, english):
    """A second build of the English book must not mistake the Chinese pages for its own."""
    def version(text):
        return set(re.findall(r"styles/site\.css\?v=(\w+)", text))

    for found in (pages, english):
        assert len(set().union(*map(version, found.values()))) == 1
