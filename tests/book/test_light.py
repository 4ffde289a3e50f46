"""What makes the pages light, in the built book."""

import base64
import doctest
import re
from io import BytesIO
from pathlib import Path

import pytest
from fontTools import ttLib

from tests.book.test_findable import load

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
light = load("light")


def chapter():
    return (SITE / "chapters" / "01_convolution.html").read_text(encoding="utf-8")


def test_the_docstrings_are_true():
    assert doctest.testmod(light).failed == 0


def test_a_page_loads_one_style_sheet_and_one_script_of_the_theme():
    head = (SITE / "pages" / "about.html").read_text(encoding="utf-8").split("</head>")[0]
    assert len(re.findall(r'rel="stylesheet"', head)) == 1
    assert re.findall(r'<script[^>]*src="([^"?]*)', head) == ["../_static/scripts/site.js"]


def test_no_script_holds_the_page_up():
    for path in SITE.glob("chapters/*.html"):
        for tag in re.findall(r"<script[^>]*\ssrc=[^>]*>", path.read_text(encoding="utf-8")):
            assert " defer" in tag or " async" in tag, (path.name, tag)


def test_code_has_no_elements_without_a_colour_of_their_own():
    kinds = light.untoned((SITE / "_static" / "pygments.css").read_text(encoding="utf-8"))
    assert {"n", "p"} <= kinds and not kinds & {"k", "c1", "mi", "s2", "o"}
    page = chapter()
    code = re.findall(r'<pre class="toned">(.*?)</pre>', page, re.DOTALL)
    assert len(code) > 20
    left = set(re.findall(r'<span class="(\w+)">', "".join(code)))
    assert {"k", "mi", "o"} <= left and not left & kinds
    # Without this rule, the names would have the colour of a page's text.
    assert "pre.toned{color: inherit}" in (SITE / "_static" / light.STYLE).read_text("utf-8")


def test_a_script_that_no_longer_holds_what_is_changed_is_named():
    for name, (old, new) in light.CHANGES.items():
        assert light.changed(f"a;{old};b", name) == f"a;{new};b"
        with pytest.raises(ValueError, match=re.escape(name)):
            light.changed("a;b", name)
    assert light.changed("a;b", "another.js") == "a;b"


def test_formulas_are_fetched_where_there_are_any():
    assert light.FORMULAS in chapter()
    assert light.FORMULAS not in (SITE / "pages" / "about.html").read_text(encoding="utf-8")


def test_figures_are_sized_and_wait():
    tags = re.findall(r"<img[^>]*_images/[^>]*>", chapter())
    assert len(tags) > 5
    assert all(re.search(r'width="\d+" height="\d+"', tag) for tag in tags)
    assert all('loading="lazy"' in tag for tag in tags[1:])


def test_rules_that_match_nothing_are_left_out_and_the_others_kept():
    css = (SITE / "_static" / light.STYLE).read_text(encoding="utf-8")
    whole = (SITE / "_static/styles/pydata-sphinx-theme.css").read_text(encoding="utf-8")
    assert len(css) < len(whole) / 2
    assert ".btn-outline-warning" in whole and ".btn-outline-warning" not in css
    for kept in (".bd-sidebar-primary", ".dropdown-menu.show", "sd-card", "skip-link"):
        assert kept in css, kept


def test_the_fonts_in_the_style_sheet_have_every_icon_that_it_shows():
    css = (SITE / "_static" / light.STYLE).read_text(encoding="utf-8")
    # The theme writes those of the boxes (note, warning) as characters, the others as codes.
    shown = {ord(icon) for icon in re.findall(r"[\ue000-\uf8ff]", css)}
    assert len(shown) >= 4
    shown |= {int(code, 16) for code in re.findall(r'content:\s*"\\([ef][0-9a-f]{3})"', css)}
    there = set()
    for data in re.findall(r"base64,([A-Za-z0-9+/=]+)\) format\(\"woff\"\)", css):
        there |= set(ttLib.TTFont(BytesIO(base64.b64decode(data))).getBestCmap())
    # The marks of GitHub and GitLab come with the font of the brands, where a page uses one.
    assert {hex(icon) for icon in shown - there} <= {"0xf09b", "0xf296"}
