"""The directive that places an explorer, in a small book of its own."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.book import sitecheck

ROOT = Path(__file__).resolve().parents[2]

_spec = importlib.util.spec_from_file_location("explorers", ROOT / "_ext" / "explorers.py")
explorers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(explorers)

PAGE = "# First\n\nText.\n\n:::{explorer} convolution\nA kernel *slides* over $n$ pixels.\n:::\n"


#: A change to the page, and what the build says of it.
WRONG = {
    "unknown": ((":::{explorer} convolution", ":::{explorer} convolutoin"),
                "unknown explorer 'convolutoin'; there are convolution, pooling, shapes, lenet"),
    "silent": (("A kernel *slides* over $n$ pixels.\n", ""),
               "explorer 'convolution' has no description"),
    "unfinished": ((":::{explorer} convolution", ":::{explorer} pooling"),
                   "explorer 'pooling': assets/explorers/ has no pooling_math.js, pooling.js"),
    "twice": (("Text.", ":::{explorer} convolution\nTwice.\n:::"),
              "stands on this page already"),
}


def write(book, *chapters):
    """Write a book's contents: these chapters."""
    toc = {"format": "jb-book", "root": "intro",
           "chapters": [{"file": f"chapters/{name}"} for name in chapters]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")


def build(book, **environ):
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", "-W", "-n", "--keep-going", "."]
    return subprocess.run(command, cwd=book, env={**os.environ, **environ}, capture_output=True,
                          text=True)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A book of two pages, of which the first, in a folder, holds an explorer; built."""
    folder = tmp_path_factory.mktemp("book")
    config = {
        "title": "Sample", "only_build_toc_files": True,
        "parse": {"myst_enable_extensions": ["colon_fence", "dollarmath"]},
        "sphinx": {
            "local_extensions": {"explorers": str(ROOT / "_ext")},
            "config": {"html_static_path": ["assets"]},
        },
    }
    (folder / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "intro.md").write_text("# Home\n\nNo explorer.\n", encoding="utf-8")
    (folder / "chapters").mkdir()
    (folder / "chapters" / "one.md").write_text(PAGE, encoding="utf-8")
    assets = folder / "assets" / "explorers"
    assets.mkdir(parents=True)
    for name in ("core.js", "explorers.css", "convolution_math.js", "convolution.js"):
        (assets / name).write_text(f"/* {name} */\n", encoding="utf-8")
    write(folder, "one")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def again(book, tmp_path_factory):
    """The book, its page changed and four wrong ones beside it, and what building it again said."""
    folder = tmp_path_factory.mktemp("again") / "book"
    shutil.copytree(book, folder)
    chapters = folder / "chapters"
    (chapters / "one.md").write_text(PAGE.replace("Text.", "Other text."), encoding="utf-8")
    for name, (change, _) in WRONG.items():
        (chapters / f"{name}.md").write_text(PAGE.replace(*change), encoding="utf-8")
    write(folder, "one", *WRONG)
    # The picture is there already, and matplotlib is not needed.
    (folder / "matplotlib.py").write_text("raise RuntimeError('drawn again')\n", encoding="utf-8")
    return folder, build(folder, PYTHONPATH=str(folder))


def page(book, name):
    return sitecheck.parse((book / "_build" / "html" / name).read_text(encoding="utf-8"))


def files(page):
    loaded = [node.get("src") or node.get("href") for node in page.find_all(["script", "link"])]
    return [name.partition("?")[0] for name in loaded if name and "/explorers/" in f"/{name}"]


def test_a_page_with_an_explorer_and_one_without(book):
    one = page(book, "chapters/one.html")
    # Relative addresses, in the order in which they are needed, and only where they are needed.
    assert files(one) == [f"../_static/explorers/{name}" for name in (
        "explorers.css", "core.js", "convolution_math.js", "convolution.js")]
    scripts = one.find_all("script", src=re.compile("explorers/"))
    assert len(scripts) == 3 and all(node.has_attr("defer") for node in scripts)
    assert files(page(book, "intro.html")) == []
    for name in files(one):
        assert (book / "_build" / "html" / "chapters" / name).is_file()
    place = one.find("div", class_="course-explorer")
    assert (place["data-explorer"], place["id"]) == ("convolution", "explorer-convolution")
    assert place.find(class_="x-description").find("em").get_text() == "slides"
    assert place.find("a") is None
    picture = place.select_one(":scope > figure.x-still > img")
    drawing = book / "_build" / "html" / "chapters" / picture["src"]
    assert "<svg" in drawing.read_text(encoding="utf-8")
    assert "-6, -8, -12 and -14" in picture["alt"]
    assert int(picture["width"]) > 300 and int(picture["height"]) > 200


def complaints(done):
    """Return what a build complained of: the name of the page -> what it said there."""
    said = re.findall(r"/chapters/(\w+)\.md:\d+: (?:WARNING|ERROR): (.*?)(?=\n/|\n\n|\Z)",
                      re.sub(r"\x1b\[[\d;]*m", "", done.stderr), re.DOTALL)
    return {name: " ".join(text.split()) for name, text in said}


def test_a_page_that_changed_is_built_again_without_drawing_its_picture_again(again):
    folder, done = again
    assert "one" not in complaints(done) and "drawn again" not in done.stdout + done.stderr
    one = page(folder, "chapters/one.html")
    assert "Other text." in one.get_text()
    assert one.find("div", class_="course-explorer").find("img")


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_page_and_fails_the_build(again, name):
    # With -W whatever is complained of fails the build, and with --keep-going all of it is said.
    _, done = again
    assert done.returncode != 0
    assert set(complaints(done)) == set(WRONG)
    assert WRONG[name][1] in complaints(done)[name]


@pytest.mark.parametrize("name", explorers.EXPLORERS)
def test_a_still_is_drawn_once_and_states_its_size(name, tmp_path):
    path = explorers.draw_still(name, tmp_path)
    first = path.stat().st_mtime_ns
    assert explorers.draw_still(name, tmp_path) == path
    assert path.stat().st_mtime_ns == first
    width, height = explorers.svg_size(path)
    assert 300 < width < 900 and 80 < height < 1500
    assert not list(tmp_path.rglob("*.part"))
    assert len(explorers.EXPLORERS[name].alt) > 80


def test_a_still_without_a_size_is_refused(tmp_path):
    path = tmp_path / "x.svg"
    path.write_text('<svg width="100%" height="10pt">', encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.svg"):
        explorers.svg_size(path)
