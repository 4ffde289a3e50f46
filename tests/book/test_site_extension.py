"""The Sphinx extension of the book: buttons, results and descriptions."""

import doctest
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from docutils import nodes

from tests.book import sitecheck
from tools import notebook_edition
from tools.languages import Words
from tools.translation.comments import width

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/someone/course"

_spec = importlib.util.spec_from_file_location("course", ROOT / "_ext" / "course.py")
course = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(course)

LEDGER = {
    "04_x": {
        "test_accuracy": 0.9901,
        "test_accuracy_by_seed": [0.9895, 0.9901, 0.9907],
        "n_parameters": 3255914,
        "seconds": None,
        "conditions": {
            "editions": ["mnist: official bytes, from DATASETSLIB_HOME"], "device": "a processor",
            "threads": 2, "python": "3.11.7", "keras": "3.15.1", "date": "2026-11-22",
        },
    }
}


def test_the_docstrings_are_true():
    assert doctest.testmod(course).failed == 0


def test_without_an_address_there_is_no_button():
    assert course.button_options("") == {}


def test_with_an_address_on_github_colab_opens_the_notebook_edition():
    options = course.button_options(ADDRESS)
    assert options["repository_url"] == ADDRESS
    assert options["repository_branch"] == notebook_edition.BRANCH
    assert options["launch_buttons"] == {"colab_url": "https://colab.research.google.com"}


def test_the_buttons_of_a_chinese_page_open_the_chinese_notebook():
    assert course.button_options(ADDRESS, "zh")["path_to_docs"] == "zh"
    assert "path_to_docs" not in course.button_options(ADDRESS)


@pytest.mark.parametrize("host, provider", [
    ("gitlab.com", "gitlab"), ("gitlab.school.example", "gitlab"), ("git.school.example", "github"),
])
def test_colab_is_not_offered_for_hosts_it_cannot_open(host, provider):
    options = course.button_options(f"https://{host}/someone/course")
    assert "launch_buttons" not in options
    assert options["repository_provider"] == provider


def test_a_row_sets_stated_against_ours():
    rows = [
        {"what": "Test accuracy", "stated": 0.9884, "original": 0.9854, "record": "test_accuracy",
         "by_seed": "test_accuracy_by_seed"},
        {"what": "Parameters", "stated": 3255914, "record": "n_parameters", "format": ",d"},
        {"what": "Seconds an epoch", "stated": "217 to 317", "record": "seconds"},
    ]
    assert course.results_rows(LEDGER, {"chapter": "04_x", "rows": rows}) == [
        ["Test accuracy", "0.9884", "0.9854", "0.9901\n0.9895 to 0.9907, 3 seeds", "+0.0017"],
        ["Parameters", "3,255,914", "–", "3,255,914", "0"],
        ["Seconds an epoch", "217 to 317", "–", "not measured", "–"],
    ]


def test_runs_that_came_from_another_machine_name_it():
    held = {**LEDGER["04_x"]["conditions"], "elsewhere": {"a card": {"runs": 12, "seconds": 9.0}}}
    ledger = {"04_x": {**LEDGER["04_x"], "conditions": held}}
    assert course.conditions_rows(ledger, ["04_x"])[0][3].splitlines() == [
        "a processor, 2 threads", "Python 3.11.7, Keras 3.15.1", "12 training runs on a card"]


def test_seconds_that_were_withheld_are_not_measured():
    assert course.conditions_rows(LEDGER, ["04_x"]) == [[
        "04_x", "mnist: official bytes, from DATASETSLIB_HOME", "not measured",
        "a processor, 2 threads\nPython 3.11.7, Keras 3.15.1", "2026-11-22",
    ]]


@pytest.mark.parametrize("chapter, name", [("04_x", "test_acuracy"), ("05_x", "test_accuracy")])
def test_what_the_ledger_does_not_hold_is_an_error_that_names_it(chapter, name):
    with pytest.raises(course.LedgerError, match=name if chapter in LEDGER else chapter):
        course.recorded(LEDGER, chapter, name)


def test_a_missing_ledger_is_an_error(tmp_path):
    with pytest.raises(course.LedgerError, match="make results"):
        course.read_ledger(tmp_path / "results.json")


TEXT = ["# Four words of title\n\nTime to read and to try things out: about\nan hour. And $x$.",
        "## Exercises\n\n**1.** Not counted."]


def test_a_row_of_times_tells_counted_estimated_and_measured_apart():
    ledger = {"04_x": {"seconds": 130.0}, "05_y": {"seconds": 12.2}, "06_z": {"seconds": None}}
    long = [TEXT[0] + " word" * 630, TEXT[1]]
    rows = course.times_rows(ledger, {"04_x": long, "05_y": TEXT, "06_z": TEXT})
    n_words = 4 + 11 + 1 + 1  # title, sentence, "And", a formula
    assert [row[1] for row in rows] == [str(n_words + 630), str(n_words), str(n_words)]
    assert rows[0] == ["04_x", "647", "5 min", "about an hour", "2 min"]
    assert [row[4] for row in rows] == ["2 min", "12 s", "not measured"]


def test_the_times_of_a_translated_book_are_those_of_the_english_text():
    tr = Words({"about an hour": "大约一小时", "{n:.0f} min": "{n:.0f} 分钟",
                "{n:.0f} s": "{n:.0f} 秒", "not measured": "未测"})
    ledger = {"04_x": {"seconds": 130.0}}
    assert course.times_rows(ledger, {"04_x": TEXT}, tr) == [
        ["04_x", "17", "0 分钟", "大约一小时", "2 分钟"]]


def test_a_chapter_that_names_no_time_is_an_error():
    with pytest.raises(course.LedgerError, match="04_x does not say how long"):
        course.times_rows({"04_x": {"seconds": 1}}, {"04_x": ["# Title"]})


def test_the_description_is_the_front_matter_or_the_first_paragraph():
    section = nodes.section("", nodes.title("", "Title"), nodes.note("", nodes.paragraph("", "no")),
                            nodes.paragraph("", "The question."), nodes.paragraph("", "More."))
    assert course.description(section, {}) == "Title: The question."
    section[2] = nodes.paragraph("", "A question of 60 characters " + 32 * "o")
    assert course.description(section, {}) == section[2].astext()
    assert course.description(section, {"description": "Written."}) == "Written."
    assert len(course.description(section, {"description": "word " * 100})) <= 155


def test_a_chinese_description_is_cut_by_its_width():
    section = nodes.section("", nodes.title("", "步幅"), nodes.paragraph("", "步幅是多少？"))
    assert course.description(section, {}) == "步幅：步幅是多少？"
    text = course.description(section, {"description": "卷积核在图像上滑动，" * 20})
    assert text.endswith("…") and 150 <= width(text) <= 155


# --- a small book of its own -------------------------------------------------------------


@pytest.fixture
def book(tmp_path):
    """A book with one page and one chapter, with the course's own configuration."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"]["local_extensions"] = {"course": str(ROOT / "_ext")}
    config["sphinx"]["config"]["bibtex_bibfiles"] = []
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    shutil.copytree(ROOT / "assets", tmp_path / "assets")
    toc = {"format": "jb-book", "root": "intro", "chapters": [{"file": "chapters/04_x"}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    (tmp_path / "intro.md").write_text(
        "# First\n\nHow <good> is it? {ledger}`04_x test_accuracy .3f` "
        "Seconds: {ledger}`04_x seconds .0f`.\n\n"
        "```{results} small\n```\n\n```{conditions}\n04_x\n```\n", encoding="utf-8")
    (tmp_path / "pages").mkdir()
    stated = {"small": {"chapter": "04_x", "rows": [
        {"what": "Accuracy", "stated": 0.9, "record": "test_accuracy"}]}}
    (tmp_path / "pages" / "stated.yml").write_text(yaml.safe_dump(stated), encoding="utf-8")
    (tmp_path / "results.json").write_text(json.dumps(LEDGER), encoding="utf-8")
    notebook = {
        "cells": [{"cell_type": "markdown", "metadata": {}, "source": "# Chapter\n\nWhy?"}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4, "nbformat_minor": 4,
    }
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "04_x.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return tmp_path


def build(book, address):
    environ = {name: value for name, value in os.environ.items()
               if not name.startswith(("GITHUB_", "COURSE_"))}
    environ["COURSE_REPOSITORY"] = address
    program = "from jupyter_book.cli.main import main; main()"
    options = ["build", "-W", "-n", "--keep-going", "."]
    command = [sys.executable, "-c", program, *options]
    return subprocess.run(command, cwd=book, env=environ, capture_output=True, text=True)


def test_a_book_with_an_address(book):
    done = build(book, ADDRESS)
    assert done.returncode == 0, done.stdout + done.stderr
    html = book / "_build" / "html"
    first = (html / "intro.html").read_text(encoding="utf-8")
    chapter = (html / "chapters" / "04_x.html").read_text(encoding="utf-8")
    expected = notebook_edition.Book(ROOT, ADDRESS).colab_url("04_x")
    assert expected == f"https://colab.research.google.com/github/someone/course/blob/" \
        f"{notebook_edition.BRANCH}/chapters/04_x.ipynb"
    assert f'href="{expected}"' in chapter
    assert "colab.research" not in first
    assert f'href="{ADDRESS}"' in first
    page = sitecheck.parse(first)
    first_words = sitecheck.article(page).find("p").get_text()
    assert first_words.endswith("is it? 0.990 Seconds: not measured.")
    cells = [cell.get_text() for cell in page.find("table", class_="course-results").find_all("td")]
    assert cells == ["0.9000", "–", "0.9901", "+0.0901"]
    assert "THEBE_JS_URL" not in first and "thebe.js" not in first
    meta = page.find("meta", attrs={"name": "description"})
    assert meta["content"].startswith("First: How <good> is it?")


def test_a_book_in_which_nothing_has_changed_is_built_again(book):
    """Sphinx then copies no assets, and those that the first build merged are not there."""
    path = book / "_config.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    ours = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"]["local_extensions"] = {
        name: str(ROOT / folder) for name, folder in ours["sphinx"]["local_extensions"].items()}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    builds = []
    for _ in range(2):
        done = build(book, ADDRESS)
        assert done.returncode == 0, done.stdout + done.stderr
        builds.append({path.name: path.read_bytes()
                       for path in (book / "_build" / "html").rglob("*.html")})
    assert "course-language" in builds[0]["intro.html"].decode()
    assert builds[0] == builds[1]


def test_a_chinese_book(book):
    """The language of the page, its addresses, the search and the notebook that Colab opens."""
    path = book / "_config.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["sphinx"]["local_extensions"] |= {"findable": str(ROOT / "_ext"),
                                             "languages": str(ROOT / "_ext")}
    config["sphinx"]["config"] |= {"language": "zh_CN"}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    page = "# 第一页\n\n卷积核有多大？见[这里](#how-large)。\n\n## 有多大\n\n量子卷积算符很大。\n"
    (book / "intro.md").write_text(page, encoding="utf-8")
    (book / "anchors").mkdir()
    (book / "anchors" / "intro.json").write_text(
        '[["first", "first"], ["how-large-0-9", "how-large"]]')
    (book / "dictionary.txt").write_text("量子卷积算符\n", encoding="utf-8")
    done = build(book, ADDRESS)
    assert done.returncode == 0, done.stdout + done.stderr
    html = book / "_build" / "html"
    first = sitecheck.parse((html / "intro.html").read_text(encoding="utf-8"))
    assert first.html["lang"] == "zh-CN"
    assert [node["id"] for node in first.find_all("section")] == ["first", "how-large-0-9"]
    assert first.select_one("article p a")["href"] == "#how-large-0-9"
    assert [node["href"] for node in first.select("h2 > a.headerlink")] == ["#how-large-0-9"]
    site = "https://someone.github.io/course/"
    assert {node["hreflang"]: node["href"] for node in first.select("head link[hreflang]")} == {
        "en": f"{site}intro.html", "zh-CN": f"{site}zh/intro.html",
        "x-default": f"{site}intro.html"}
    assert first.find("link", rel="canonical")["href"] == f"{site}zh/intro.html"
    link = first.select_one("a.course-language")
    assert (link["href"], link["hreflang"], link.get_text()) == ("../intro.html", "en", "English")
    assert f"{site}zh/intro.html" in (html / "sitemap.xml").read_text(encoding="utf-8")
    assert not (html / "robots.txt").exists()
    chapter = (html / "chapters" / "04_x.html").read_text(encoding="utf-8")
    expected = notebook_edition.Book(ROOT, ADDRESS, folder="zh/").colab_url("04_x")
    assert "/blob/notebooks/zh/chapters/04_x.ipynb" in expected
    assert f'href="{expected}"' in chapter
    index = (html / "searchindex.js").read_text(encoding="utf-8")
    assert "量子卷积算符" in json.loads(re.search(r"\((.*)\)", index, re.DOTALL)[1])["terms"]
    assert "function splitQuery" in (html / "_static/language_data.js").read_text("utf-8")

    # A list of addresses that does not belong to the page is an error.
    (book / "anchors" / "intro.json").write_text('[["first", "first"]]')
    done = build(book, ADDRESS)
    assert done.returncode != 0
    assert "it has 2 sections, and its English source 1 headings" in done.stderr + done.stdout


def test_a_value_that_the_ledger_lacks_fails_the_build(book):
    page = book / "intro.md"
    text = page.read_text(encoding="utf-8").replace("04_x test_accuracy", "04_x precision")
    page.write_text(text, encoding="utf-8")
    stated = book / "pages" / "stated.yml"
    stated.write_text(stated.read_text(encoding="utf-8").replace(
        "record: test_accuracy", "record: test_loss"), encoding="utf-8")
    done = build(book, "")
    assert done.returncode != 0
    assert "no 'precision' for chapter '04_x'" in done.stderr + done.stdout
    assert "no 'test_loss' for chapter '04_x'" in done.stderr + done.stdout
