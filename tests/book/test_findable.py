"""Canonical addresses, previews, the map of the site and citations, with an address and without."""

import doctest
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.book import sitecheck

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://someone.github.io/course/"


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


findable = load("findable")


def test_the_docstrings_are_true():
    assert doctest.testmod(findable).failed == 0


def written(folder):
    """Write a book of two pages with our extension, beside the tools that it imports."""
    shutil.copytree(ROOT / "_ext", folder / "_ext")
    shutil.copytree(ROOT / "tools", folder / "tools")
    for name in ("CITATION.cff", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "chapters").mkdir()
    (folder / "intro.md").write_text("# First\n\nA page & its words.\n", encoding="utf-8")
    (folder / "chapters" / "01_x.md").write_text("# Ways <to> see\n\nText.\n", encoding="utf-8")
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: intro\nchapters:\n  - file: chapters/01_x\n", encoding="utf-8")
    (folder / "_config.yml").write_text(yaml.safe_dump({
        "title": "A book", "only_build_toc_files": True,
        "sphinx": {"local_extensions": {"course": "_ext", "findable": "_ext"}},
    }), encoding="utf-8")
    return folder


def build(book, repository):
    environ = {name: value for name, value in os.environ.items()
               if not name.startswith(("GITHUB_", "COURSE_"))}
    environ["COURSE_REPOSITORY"] = repository
    program = "from jupyter_book.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "build", "-W", "."], cwd=book,
                          env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return book / "_build" / "html"


@pytest.fixture(scope="module")
def without_an_address(tmp_path_factory):
    """The book built where nothing says where it will be published."""
    return build(written(tmp_path_factory.mktemp("book")), "")


def test_with_an_address_pages_are_found_and_shown(tmp_path):
    html = build(written(tmp_path), "https://github.com/someone/course")
    address = SITE + "chapters/01_x.html"
    page = sitecheck.parse((html / "chapters" / "01_x.html").read_text(encoding="utf-8"))
    assert [link["href"] for link in page.find_all("link", rel="canonical")] == [address]
    shown = {tag["property"]: tag["content"] for tag in page.find_all("meta", property=True)}
    assert shown["og:title"] == "Ways <to> see"
    assert shown["og:url"] == address
    assert shown["og:description"]
    site_map = (html / "sitemap.xml").read_text(encoding="utf-8")
    assert f"<loc>{address}</loc>" in site_map and f"<loc>{SITE}intro.html</loc>" in site_map
    assert f"Sitemap: {SITE}sitemap.xml" in (html / "robots.txt").read_text(encoding="utf-8")
    assert address in page.find(class_="course-cite").get_text()


def test_without_an_address_none_is_claimed(without_an_address):
    html = without_an_address
    text = (html / "chapters" / "01_x.html").read_text(encoding="utf-8")
    assert 'rel="canonical"' not in text and "og:" not in text
    assert not (html / "sitemap.xml").exists() and not (html / "robots.txt").exists()


def test_a_chapter_says_how_to_cite_it_and_other_pages_do_not(without_an_address):
    html = without_an_address
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    page = sitecheck.parse((html / "chapters" / "01_x.html").read_text(encoding="utf-8"))
    block = page.find("details", class_="course-cite")
    sentence, bibtex = (box.get_text() for box in block.find_all("pre"))
    for text in (sentence, bibtex):
        assert "Ways <to> see" in text
        assert cff["title"] in text
        assert str(cff["version"]) in text and str(cff["date-released"])[:4] in text
    assert bibtex.startswith("@incollection{") and bibtex.count("{") == bibtex.count("}")
    assert "course-cite" not in (html / "intro.html").read_text(encoding="utf-8")
