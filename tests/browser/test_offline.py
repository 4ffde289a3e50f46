"""The offline editions: the zip, unpacked and read; the PDF of two pages."""

import re
import subprocess
import sys
import zipfile

import nbformat
import pytest
from pypdf import PdfReader

from tests.book.sitecheck import telling
from tests.browser.contents import ROOT, chapters
from tests.browser.reader import find, term_of
from tools import offline
from tools.grading import definition


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("offline")
    return offline.make_zip(folder / "book.zip")


@pytest.mark.long
def test_the_zip_is_in_order_and_tells_nothing_of_its_maker(packed):
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        assert names[0] == f"{offline.FOLDER}/READ ME FIRST.txt"
        assert names[1:] == sorted(names[1:])
        assert {name.split("/")[0] for name in names} == {offline.FOLDER}
        assert {info.date_time for info in archive.infolist()} == {offline.DATE}
        secrets = [secret.encode() for secret in telling(ROOT)]
        assert [n for n in names if any(s in archive.read(n) for s in secrets)] == []


@pytest.mark.long
def test_the_same_book_makes_the_same_zip(packed, tmp_path):
    assert offline.make_zip(tmp_path / "again.zip").read_bytes() == packed.read_bytes()


@pytest.mark.long
def test_the_unpacked_zip_is_read_by_double_click(packed, page, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path)
    base = tmp_path / offline.FOLDER
    site = (base / "book").as_uri() + "/"
    page.goto(site + "index.html")
    page.wait_for_url("**/intro.html")
    assert f"{site}{chapters()[0]}.html" in find(page, term_of(chapters()[0]))
    for name in chapters():
        nbformat.read(base / "notebooks" / f"{name.split('/')[1]}.ipynb", as_version=4)
    # The Chinese book lies in the English one, and its notebooks beside the others.
    page.goto(f"{site}zh/index.html")
    page.wait_for_url("**/zh/intro.html")
    for name in chapters():
        nbformat.read(base / "zh" / "notebooks" / f"{name.split('/')[1]}.ipynb", as_version=4)
    assert "zh" in (base / "READ ME FIRST.txt").read_text(encoding="utf-8")
    # An assignment may be called as a chapter is: each has its room.
    for name in definition.names():
        for folder in (base, base / "zh"):
            nbformat.read(folder / "assignments" / name / f"{name}.ipynb", as_version=4)


def test_without_a_built_book_the_remedy_is_named(tmp_path):
    with pytest.raises(offline.OfflineError, match="make book"):
        offline.make_zip(tmp_path / "book.zip", tmp_path)
    assert list(tmp_path.iterdir()) == []


PRINT = """
import sys
from pathlib import Path
from tools.languages import language
from tools.offline import make_pdf
make_pdf(Path(sys.argv[1]), only=sys.argv[3:], language=language(sys.argv[2]))
"""


def print_pages(folder, language):
    """Print two pages in a process of their own: Playwright's synchronous half runs once in one."""
    path = folder / "book.pdf"
    pages = ["intro", "chapters/02_pooling"]
    subprocess.run([sys.executable, "-c", PRINT, str(path), language, *pages], cwd=ROOT, check=True,
                   timeout=200)
    return PdfReader(path)


@pytest.fixture(scope="module")
def printed(tmp_path_factory, browser):
    return print_pages(tmp_path_factory.mktemp("pdf"), "en")


def squeezed(text):
    return re.sub(r"\s+", "", text)


def test_the_pdf_has_bookmarks_numbers_and_a_title(printed):
    assert printed.metadata.title == "Seeing with Numbers" and printed.metadata.author
    outline = printed.outline
    assert outline[0].title == "Seeing with Numbers"
    flat = str([item if isinstance(item, list) else item.title for item in outline])
    assert "Foundations" in flat and "Pooling" in flat
    below = outline[outline.index(next(i for i in outline if not isinstance(i, list)
                                      and i.title == "Foundations")) + 1]
    sections = [item.title for item in below[1] if not isinstance(item, list)]
    assert any("Exercises" in title for title in sections)
    assert any("Hints, solutions and answers" in title for title in sections)
    last = len(printed.pages)
    assert last > 5 and re.search(rf"\b{last}\s*$", printed.pages[-1].extract_text())


def test_no_page_of_the_pdf_is_blank_and_no_code_is_cut(printed):
    texts = [page.extract_text() for page in printed.pages]
    assert [n for n, text in enumerate(texts, 1) if len(text) < 40 and not printed.pages[
        n - 1].images] == []
    pages = [squeezed(text).removesuffix(f"2.Pooling{number}")
             for number, text in enumerate(texts, 1)]

    def whole(line):
        # A wrapped line may go on over the page, where code need not come first in the file.
        return any(line in page for page in pages) or any(
            page.endswith(line[:cut]) and line[cut:] in following
            for page, following in zip(pages, pages[1:], strict=False)
            for cut in range(1, len(line)))

    notebook = nbformat.read(ROOT / "chapters" / "02_pooling.ipynb", as_version=4)
    lines = [line for cell in notebook.cells if cell.cell_type == "code"
             for line in cell.source.splitlines() if len(line) > 85]
    assert lines and [line for line in lines if not whole(squeezed(line))] == []
    assert any("Exercises" in page for page in pages)


def test_links_between_pages_of_the_pdf_stay_within_it(printed):
    links = [ref.get_object() for page in printed.pages for ref in page.get("/Annots") or ()]
    local = [str(link["/A"]["/URI"]) for link in links if "/A" in link and "/URI" in link["/A"]]
    assert [address for address in local if "127.0.0.1" in address] == []
    assert any("/Dest" in link for link in links)


@pytest.mark.long
def test_the_chinese_book_on_paper(tmp_path, browser):
    printed = print_pages(tmp_path, "zh_CN")
    assert printed.metadata.title == "用数字看世界"
    assert printed.root_object["/Lang"] == "zh-CN"
    outline = str([item if isinstance(item, list) else item.title for item in printed.outline])
    assert "提示、解答与答案" in outline and "Hints" not in outline
    texts = [squeezed(page.extract_text()) for page in printed.pages]
    assert len(re.findall("[\u4e00-\u9fff]", "".join(texts))) > 3000
    assert any("条，在本章末尾" in text for text in texts)
    # A font without a character shows a box in its place, which comes back as no character.
    assert sum(text.count("\ufffd") + text.count("\x00") for text in texts) == 0


def test_chinese_without_a_font_is_named(tmp_path, monkeypatch):
    text = "convolution: \u5377\u79ef"
    for found, fails in (("", True), ("Noto Sans CJK SC", False)):
        program = tmp_path / "fc-list"
        program.write_text(f"#!/bin/sh\necho '{found}'\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        offline.check_fonts("no such characters", "a page")
        if fails:
            with pytest.raises(offline.OfflineError, match="a page: .*fonts-noto-cjk"):
                offline.check_fonts(text, "a page")
        else:
            offline.check_fonts(text, "a page")
