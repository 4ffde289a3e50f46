"""The checks of the built pages, each on something that it must find."""

from pathlib import Path

import pytest

from tests.book import sitecheck


def page(body):
    return f"<html><body><article>{body}</article></body></html>"


@pytest.mark.parametrize("text", [
    "<p>about {glue:text}`minutes`</p>", "<p>::: note</p>", "<p>see {cite:p}`lecun`</p>",
    "<p>$$ x $$</p>", r"<p>\begin{aligned} x</p>", "<p>{{ value }}</p>",
])
def test_markup_that_shows_through_is_found(text):
    assert sitecheck.raw_markup(page(text))


def test_markup_in_code_and_formulas_is_not_raw():
    shown = r'<pre>::: {glue:text}</pre><code>$$</code><div class="math">\[\begin{x}\end{x}\]</div>'
    assert sitecheck.raw_markup(page(shown)) == []


def test_only_a_folder_that_tells_something_is_looked_for():
    folders = [Path("/"), Path("/root"), Path("/home/ann"), Path("/srv/course")]
    assert sitecheck.telling(*folders) == ["/home/ann/", "/srv/course/"]


@pytest.mark.parametrize("image", [
    '<img src="a.svg">', '<img src="a.svg" alt=" ">', '<img src="a.svg" alt="../_images/a.svg">',
    '<svg role="img"><path/></svg>',
])
def test_a_picture_without_text_is_found(image):
    assert sitecheck.pictures_without_text(page(image))


def test_a_picture_with_text_is_accepted():
    good = '<img src="a.svg" alt="Loss falls"><svg role="img"><title>A kernel</title></svg>'
    assert sitecheck.pictures_without_text(page(good)) == []


@pytest.mark.parametrize("tex", [
    r"\frac{1}{2", r"a}{b", r"\begin{aligned} x", r"\begin{cases} x \end{aligned}", r"\left( x",
])
def test_a_formula_left_open_is_found(tex):
    assert sitecheck.bad_tex(page(f'<span class="math">{tex}</span>')) == [tex]


@pytest.mark.parametrize("tex", [
    r"\left\lfloor \frac{n-k}{s} \right\rfloor + 1", r"\{1, 2\}", r"x \leftarrow y",
    r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
])
def test_a_good_formula_is_accepted(tex):
    assert sitecheck.bad_tex(page(f'<span class="math">{tex}</span>')) == []


@pytest.mark.parametrize("text", [
    ":::{note}\nAnd then the page goes on.", "::::{grid}\n:::{card}\n:::\n", "$$\nx = 1\n",
    "```python\nx = 1\n", "text\n:::\n",
])
def test_what_is_never_closed_is_found(text):
    assert sitecheck.open_fences(text)


@pytest.mark.parametrize("text", [
    ":::{note}\nText.\n:::\n", "::::{grid} 1 1 3 3\n:::{card} A\n:::\n::::\n", "$$\nx\n$$\n",
    "```text\n:::{note}\n$$\n```\n", "write `$$` for mathematics", "$$x$$ and $$y$$",
])
def test_what_is_closed_is_accepted(text):
    assert sitecheck.open_fences(text) == []


def test_dead_links_and_anchors_are_found(tmp_path):
    (tmp_path / "b.html").write_text('<h1 id="here">B</h1>', encoding="utf-8")
    links = '<a href="b.html#here">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>' \
        '<a href="#">4</a><a href="https://example.org/x">5</a><img src="d.svg">'
    path = tmp_path / "a.html"
    path.write_text(page(links), encoding="utf-8")
    assert sitecheck.Links(tmp_path).dead(path) == ["b.html#gone", "c.html", "d.svg"]


def test_foreign_hosts_are_found():
    text = '<script src="https://a.example/x.js"></script><link rel="stylesheet" ' \
        'href="//b.example/y.css"><a href="https://c.example">a link loads nothing</a>'
    assert sitecheck.foreign_hosts(text) == {"a.example", "b.example"}
