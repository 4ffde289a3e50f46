"""Make the built pages light: one style sheet, one script, small icons, formulas in small steps.

Everything happens after Sphinx has written its files, with Python alone. The theme, Jupyter Book
and the extensions each load their own files on every page, most of which the page does not use.

- Styles: their style sheets become one, ``_static/styles/site.css``, without the rules that no page
  and no script of the site can use, and with an icon font of the few icons that are used.
- Scripts: theirs become one, ``_static/scripts/site.js``, which lets the page appear before it
  runs. The search index is loaded where one searches.
- Code: no elements for what has no colour of its own, which are half of all elements of a page.
- Formulas: MathJax without its menu, on pages with formulas, after the text has appeared and a few
  formulas at a time (``assets/formulas.js``).
- Figures: each ``<img>`` gets its width and height, so that nothing moves when it arrives, and
  those after the first wait until the reader comes near.

A page that has been made light stays as it is, so a second build costs nothing.
"""

import base64
import hashlib
import html
import json
import logging
import re
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tools.languages import LANGUAGES, Words, mark, words  # noqa: E402

ENGLISH = Words()

STYLE, SCRIPT, FORMULAS = "styles/site.css", "scripts/site.js", "mathjax/formulas.js"

#: The first part of the one script: what comes late, and turns.
NEAR = "near.js"

#: What the pages load and the one style sheet replaces, in the order of the pages.
STYLES = (
    "basic.css", "styles/pydata-sphinx-theme.css", "pygments.css", "styles/sphinx-book-theme.css",
    "togglebutton.css", "copybutton.css", "mystnb.*.css", "sphinx-design.min.css", "course.css",
)

#: What the one script replaces. The first ones define names that pages and other scripts use, and
#: run at once; the others run in turns, between which the browser may draw and answer. The settings
#: of the toggles are inline scripts on every page.
SCRIPTS_AT_ONCE = (
    "documentation_options.js", "doctools.js", "translations.js", "sphinx_highlight.js")
#: What only a book that is not English has.
FOREIGN = ("translations.js",)
SCRIPTS_IN_TURNS = (
    "scripts/sphinx-book-theme.js", "scripts/bootstrap.js", "scripts/pydata-sphinx-theme.js",
    "togglebutton.js", "clipboard.min.js", "copybutton.js", "language.js",
)
SCRIPTS = SCRIPTS_AT_ONCE + SCRIPTS_IN_TURNS
SETTINGS = """
let toggleHintShow = {show};
let toggleHintHide = {hide};
let toggleOpenOnPrint = 'true';
var togglebuttonSelector = '.toggle, .admonition.dropdown';
"""

#: What these scripts do to a whole page at once, and `assets/near.js` better: asking a box whether
#: it scrolls, which lays the page out anew for each of them; making a button for each code cell.
CHANGES = {
    "scripts/pydata-sphinx-theme.js": (
        '"complete"===document.readyState?I():window.addEventListener("load",I)', "0"),
    "copybutton.js": ("codeCells.forEach((codeCell", "window.course.near(codeCells, (codeCell"),
}

#: Scripts of which a page needs none: the icons are a font; nobody searches while typing; nothing
#: starts a kernel. `TABS` and `SEARCH` stay where they are used.
UNUSED = ("scripts/fontawesome.js",)
TABS = "design-tabs.js"
SEARCH = ("searchtools.js", "language_data.js", "searchindex.js")

#: MathJax in parts: what the whole adds to these is a menu that nothing in the book refers to.
MATHJAX_WHOLE = "mathjax/tex-mml-chtml.js"
MATHJAX = (
    "startup.js", "core.js", "input/tex.js", "output/chtml.js", "output/chtml/fonts/tex.js",
    "a11y/assistive-mml.js",
)

#: Class names that scripts put together from parts, so that no word of theirs gives them away.
BUILT_NAMES = re.compile(r"bs-|tooltip|popover|collapse|collapsing|modal|offcanvas")

#: Files that come with the theme and that no page loads.
LEFT_OVER = (
    "**/*.map", "**/*.LICENSE.txt", "scripts/fontawesome.js", "vendor/fontawesome/**/*",
    "sphinx-thebe.*", "webpack-macros.html", "sbt-webpack-macros.html",
)


# --- styles ------------------------------------------------------------------------------

_CSS_TOKEN = re.compile(r"""/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|[{};]""", re.DOTALL)


def rules(css):
    """
    Split a style sheet into its rules.

    Parameters
    ----------
    css : str

    Returns
    -------
    list of (str, str or None)
        Prelude and body of each rule; the body of a statement such as ``@import`` is None.

    Examples
    --------
    >>> rules("@charset 'x'; a{color:red} @media print{b{top:0}}")
    [("@charset 'x'", None), ('a', 'color:red'), ('@media print', 'b{top:0}')]
    """
    found, depth, start, prelude, pieces, at = [], 0, 0, "", [], 0
    for token in _CSS_TOKEN.finditer(css):
        text = token.group()
        if text.startswith("/*"):
            # Comments vanish: what stands before and after them is kept.
            pieces.append(css[at:token.start()])
            at = token.end()
        elif text == "{":
            if depth == 0:
                prelude, pieces, at = "".join([*pieces, css[at:token.start()]]), [], token.end()
            depth += 1
        elif text == "}":
            depth -= 1
            if depth == 0:
                found.append((prelude.strip(), "".join([*pieces, css[at:token.start()]]).strip()))
                pieces, at = [], token.end()
        elif text == ";" and depth == 0:
            found.append(("".join([*pieces, css[at:token.start()]]).strip(), None))
            pieces, at = [], token.end()
        start = token.end()
    if depth or css[start:].strip():
        raise ValueError(f"a style sheet ends inside a rule: {css[-60:]!r}")
    return found


def split_selectors(prelude):
    """
    Split a list of selectors at its own commas.

    Examples
    --------
    >>> split_selectors("a:is(b, c), d")
    ['a:is(b, c)', 'd']
    """
    parts, depth, start = [], 0, 0
    for position, character in enumerate(prelude):
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(prelude[start:position])
            start = position + 1
    return [part.strip() for part in [*parts, prelude[start:]]]


_NAME = re.compile(r"[.#]((?:\\.|[\w-])+)")


def names_of(selector):
    r"""
    Return the classes and ids that must all be on a page for a selector to match.

    What stands in parentheses or brackets is an alternative, a negation or an attribute, and is
    left out.

    Examples
    --------
    >>> sorted(names_of("div.a:not(.b) > #c .d\\:e:is(.f, .g)"))
    ['a', 'c', 'd:e']
    """
    bare = re.sub(r"\[[^]]*\]", "", selector)
    while bare != (bare := re.sub(r"\([^()]*\)", "", bare)):
        pass
    return {re.sub(r"\\(.)", r"\1", name) for name in _NAME.findall(bare)}


def pruned(css, used):
    """
    Leave out the rules that cannot match.

    Parameters
    ----------
    css : str
        A style sheet.
    used : callable
        Says of a class or an id whether a page of the site has it or may get it.

    Returns
    -------
    str

    Examples
    --------
    >>> pruned("a.x, b.y { top: 0 ; } .y{left:0} @media print{.y{top:0}}", {"x"}.__contains__)
    'a.x{top: 0}'
    """
    kept = []
    for prelude, body in rules(css):
        if body is None:
            if not prelude.startswith(("@charset", "@import")):
                kept.append(prelude + ";")
        elif prelude.startswith(("@media", "@supports", "@layer", "@container")):
            inner = pruned(body, used)
            if inner:
                kept.append(f"{prelude}{{{inner}}}")
        elif prelude.startswith("@"):
            kept.append(f"{prelude}{{{body}}}")
        else:
            selectors = [one for one in split_selectors(prelude) if all(map(used, names_of(one)))]
            if selectors and body.strip(" ;\n"):
                body = re.sub(r"\s*\n\s*", "", body.rstrip("; \n"))
                kept.append(f"{','.join(selectors)}{{{body}}}")
    return "".join(kept)


def rebased(css, folder):
    """
    Change the addresses in a style sheet that moves from ``folder`` to the folder of `STYLE`.

    Examples
    --------
    >>> rebased("a{b:url(x.png)} c{d:url('data:,')}", "")
    "a{b:url(../x.png)} c{d:url('data:,')}"
    """
    if folder == STYLE.rpartition("/")[0]:
        return css
    return re.sub(r"url\((?!['\"]?(?:data:|/|#|https?:))(['\"]?)",
                  lambda found: f"url({found[1]}../{folder}{'/' if folder else ''}", css)


_FONT_FILE = re.compile(r"fa-(solid-900|brands-400|regular-400)\.ttf")


def with_small_fonts(css, folder):
    """
    Put icon fonts into a style sheet that hold the icons it shows and no others.

    Parameters
    ----------
    css : str
        A pruned style sheet with the ``@font-face`` rules of Font Awesome.
    folder : pathlib.Path
        The folder with the fonts.

    Returns
    -------
    str
    """
    from fontTools import subset, ttLib

    logging.getLogger("fontTools").setLevel(logging.WARNING)
    # Written as a code, or as the character itself.
    shown = {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})\b", css)}
    shown |= {ord(icon) for icon in re.findall("[\ue000-\uf8ff]", css)}
    families = {
        "solid": True,
        "brands": re.search(r"\.(fab|fa-brands)\b", css),
        "regular": re.search(r"\.(far|fa-regular)\b", css),
    }
    kept = []
    for prelude, body in rules(css):
        if prelude == "@font-face" and "Awesome" in body:
            file = _FONT_FILE.search(body)
            font = file and ttLib.TTFont(folder / file.group())
            # Old names of the same files.
            if not file or not families[file[1].split("-")[0]] or "Free" not in body \
                    and "Brands" not in body:
                continue
            wanted = shown & set(font.getBestCmap())
            if not wanted:
                continue
            options = subset.Options(flavor="woff", hinting=False, layout_features=[])
            cutter = subset.Subsetter(options)
            cutter.populate(unicodes=wanted)
            cutter.subset(font)
            small = BytesIO()
            font.recalcTimestamp = False
            subset.save_font(font, small, options)
            data = base64.b64encode(small.getvalue()).decode()
            body = re.sub(r"src:.*$", "", body, flags=re.DOTALL).rstrip("; ")
            body += f';src:url(data:font/woff;base64,{data}) format("woff")'
        kept.append(prelude + (";" if body is None else f"{{{body}}}"))
    return "".join(kept)


def names_in(text):
    """Return the words of a script that may be names of classes."""
    return set(re.findall(r"[\w-]+", text))


def names_on(page):
    """Return the classes and ids of a page."""
    return {name for value in re.findall(r"""\b(?:class|id)=["']([^"']*)["']""", page)
            for name in value.split()}


# --- code --------------------------------------------------------------------------------

_TONE = re.compile(r'html\[data-theme="(light|dark)"\] \.highlight( \.\w+)?\s*\{([^}]*)\}')


def untoned(css):
    """
    Return the kinds of code that look like the code around them, light and dark.

    Parameters
    ----------
    css : str
        The style sheet of Pygments for both themes.

    Returns
    -------
    set of str
        Their classes.

    Examples
    --------
    >>> rule = 'html[data-theme="{}"] .highlight {}{{ color: {} }}'.format
    >>> light = [rule("light", kind, "#000") for kind in ("", ".n ", ".p ")]
    >>> dark = [rule("dark", "", "#fff"), rule("dark", ".n ", "#fff"), rule("dark", ".p ", "#ff0")]
    >>> untoned("".join(light + dark))
    {'n'}
    """
    looks = {"light": {}, "dark": {}}
    for theme, kind, body in _TONE.findall(css):
        said = dict(re.findall(r"([\w-]+)\s*:\s*([^;]+?)\s*(?:;|$)", body))
        if not kind:
            said.pop("background", None)
        looks[theme][kind.strip(" .")] = said
    return set.intersection(*(
        {kind for kind, said in looks[theme].items() if kind and said == looks[theme].get("")}
        for theme in looks))


def with_few_spans(page, kinds):
    """
    Take the spans off names, commas and blanks in code: they are half of a page's elements.

    Parameters
    ----------
    page : str
        The text of a page.
    kinds : collection of str
        What `untoned` returns.

    Examples
    --------
    >>> with_few_spans('<pre><span class="n">a</span> <span class="o">=</span></pre>', "n")
    '<pre class="toned">a <span class="o">=</span></pre>'
    """
    plain = re.compile(rf'<span class="(?:{"|".join(sorted(kinds))})">([^<]*)</span>')

    def change(found):
        inner, count = plain.subn(r"\1", found[1])
        return f'<pre class="toned">{inner}</pre>' if count else found.group()

    return re.sub(r"<pre>(.*?)</pre>", change, page, flags=re.DOTALL) if kinds else page


# --- figures -----------------------------------------------------------------------------

_UNITS = {"": 1, "px": 1, "pt": 4 / 3, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4}


def size_of(path):
    """
    Return the width and height of a picture in pixels of the page, or None.

    Parameters
    ----------
    path : pathlib.Path
        An SVG file that says its size, or a file that Pillow reads.
    """
    if path.suffix == ".svg":
        head = path.read_text(encoding="utf-8")[:4000]
        tag = re.search(r"<svg\b[^>]*>", head)
        sides = tag and [re.search(rf'\s{side}="([\d.]+)([a-z]*)"', tag.group())
                         for side in ("width", "height")]
        if not sides or not all(sides) or any(side[2] not in _UNITS for side in sides):
            return None
        return tuple(round(float(side[1]) * _UNITS[side[2]]) for side in sides)
    from PIL import Image

    with Image.open(path) as picture:
        return picture.size


def sized(page, folder):
    """
    Give the pictures of a page their size; those after the first are loaded when they come near.

    Parameters
    ----------
    page : str
        The text of a page.
    folder : pathlib.Path
        The folder of the page.
    """
    seen = 0

    def change(found):
        nonlocal seen
        tag = found.group()
        source = re.search(r'\ssrc="([^":?#]+)', tag)
        if not source or " loading=" in tag:
            return tag
        added = ""
        if not re.search(r"\s(width|height|style)=", tag):
            size = size_of(folder / unquote(source[1]))
            added = f' width="{size[0]}" height="{size[1]}"' if size else ""
        # The logo is in the sidebar; the first picture of the text may well be in view.
        if "logo" not in tag:
            seen += 1
            added += ' loading="lazy" decoding="async"' if seen > 1 else ' decoding="async"'
        return f"<img{added}{tag[4:]}"

    return re.sub(r"<img\s[^>]*>", change, page)


# --- pages -------------------------------------------------------------------------------

_LINK = re.compile(r"[ \t]*<link\b[^>]*>\n?")
_SCRIPT = re.compile(r"[ \t]*<script\b([^>]*)>(.*?)</script>\n?", re.DOTALL)
_INLINE = re.compile(
    r"\s*(let toggleHint(Show|Hide) =|let toggleOpenOnPrint =|var togglebuttonSelector ="
    r"|DOCUMENTATION_OPTIONS\.(pagename|search_as_you_type) =|kernelName =)")
#: The theme learns from its deferred script whether "auto" is light or dark, and then the browser
#: works out the style of the whole page a second time. The page's first lines can tell.
_THEME_LATE = 'document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";'
_THEME_NOW = """{
      const { dataset } = document.documentElement;
      const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
      dataset.theme = dataset.mode === "auto" ? (dark ? "dark" : "light") : dataset.mode;
    }"""
_VIEWPORT = re.compile(r'\s*<meta name="viewport"[^>]*>')


def static_name(address):
    """
    Return a file's name below ``_static``, or an empty string.

    Examples
    --------
    >>> static_name("../_static/styles/theme.css?digest=1"), static_name("page.html")
    ('styles/theme.css', '')
    """
    return address.partition("?")[0].rpartition("_static/")[2] if "_static/" in address else ""


def attribute(tag, name):
    """Return an attribute of a tag, or an empty string."""
    found = re.search(rf'\s{name}="([^"]*)"', tag)
    return found[1] if found else ""


def matches(name, patterns):
    """Say whether a file's name is among patterns."""
    return any(Path(name).match(pattern) and name.count("/") == pattern.count("/")
               for pattern in patterns)


def lightened(page, name, version):
    """
    Make one page load the style sheet and the script of the site instead of many.

    Parameters
    ----------
    page : str
        The text of the page as Sphinx wrote it.
    name : str
        Its name below the site's folder.
    version : str
        What tells browsers that the files have changed.

    Returns
    -------
    str
    """
    head, body = page.split("</head>", 1)
    root = "../" * name.count("/")
    searches = name == "search.html"

    def link(found):
        tag = found.group()
        file = static_name(attribute(tag, "href"))
        styles = matches(file, (*STYLES, "styles/theme.css"))
        loads_script = 'rel="preload"' in tag and 'as="script"' in tag
        return "" if styles or loads_script else tag

    def script(found):
        tag, inner = found[1], found[2]
        source = attribute(tag, "src")
        if not source:
            drop = "thebe" in tag or _INLINE.match(inner)
            return "" if drop else found.group()
        file = static_name(source) or source.rpartition("/")[2].partition("?")[0]
        if matches(file, (*SCRIPTS, *UNUSED)) or file in SEARCH and not searches:
            return ""
        if file == TABS and "sd-tab-set" not in body:
            return ""
        if file == MATHJAX_WHOLE:
            if 'class="math' not in body:
                return ""
            return f'    <script defer src="{root}_static/{FORMULAS}?v={version}"></script>\n'
        waits = " defer" in tag or " async" in tag or "type=" in tag
        return found.group() if waits else found.group().replace("<script", "<script defer", 1)

    def mathjax_settings(found):
        ours = "window.MathJax" in found.group() and 'class="math' not in body
        return "" if ours else found.group()

    head = head.replace(_THEME_LATE, _THEME_NOW)
    head = _SCRIPT.sub(mathjax_settings, _SCRIPT.sub(script, _LINK.sub(link, head)))
    head = re.sub(r"\s*<!-- (?:Loaded before|So that users|Pre-loaded scripts).*?-->", "", head)
    first, *others = _VIEWPORT.findall(head)
    if others:
        head = _VIEWPORT.sub("", head).replace("</title>", f"</title>{first}", 1)
    # Before the styles and scripts that a page has of its own: those build on these.
    head = head.replace(
        "</title>",
        f'</title>\n    <link rel="stylesheet" href="{root}_static/{STYLE}?v={version}">\n'
        f'    <script defer src="{root}_static/{SCRIPT}?v={version}"></script>', 1)
    head = re.sub(r"\n(\s*\n)+", "\n", head)
    body = _SCRIPT.sub(script, body)
    return f"{head}</head>{body}"


#: Faults that axe finds in what the theme and the extensions write, and their remedies.
REPAIRS = (
    # The sidebar holds the logo beside its lists of links; outside a landmark nobody finds it.
    (r'(<(?:div|dialog)[^>]*\bid="pst-primary-sidebar")(?![^>]*role=)',
     r'\1 role="navigation" aria-label="{book}"'),
    # A corner of a table is no heading of anything.
    (r'<th class="(head[^"]*)">\s*(?:<p>\s*</p>)?\s*</th>', r'<td class="\1"></td>'),
    # This role is deprecated, and none that a list may have.
    (r'role="doc-biblioentry"', 'role="listitem"'),
)


def repaired(page, tr=ENGLISH):
    """
    Return a page without the faults that `REPAIRS` names, and without the theme's English.

    Parameters
    ----------
    page : str
        The text of a page.
    tr : tools.languages.Words

    Examples
    --------
    >>> repaired('<th class="head"><p></p></th><th class="head"><p>a</p></th>')
    '<td class="head"></td><th class="head"><p>a</p></th>'
    """
    for pattern, remedy in REPAIRS:
        page = re.sub(pattern, remedy.replace("{book}", tr("The book")), page)
    return chrome(page, tr)


#: What the theme and the extensions say in English only: attributes, and texts alone in an element.
CHROME = (
    mark("Toggle primary sidebar"), mark("Toggle secondary sidebar"), mark("Color mode"),
    mark("System Settings"), mark("Main"), mark("Page"), mark("Launch on Colab"),
    mark("Launch interactive content"), mark("Repository"), mark("Source repositories"),
    mark("Open issue"), mark("Toggle hidden content"), mark("Show code cell source"),
    mark("Hide code cell source"), mark("Show code cell output"), mark("Hide code cell output"),
    mark("Show code cell content"), mark("Hide code cell content"), mark("Link to this heading"),
    mark("Link to this definition"), mark("Link to this table"), mark("Link to this image"),
)
#: What their own translations say amiss, and what it stands for.
AMISS = {"列印成 PDF": mark("Print to PDF"), "上一条": mark("previous page"),
         "下一条": mark("next page")}


def chrome(page, tr):
    """
    Say in the language of the book what theme and extensions say in English in every book.

    Parameters
    ----------
    page : str
        The text of a page.
    tr : tools.languages.Words

    Examples
    --------
    >>> tr = Words(dict.fromkeys([*CHROME, *AMISS.values()], "!"))
    >>> chrome('<button title="Toggle primary sidebar">Main</button> Main', tr)
    '<button title="!">!</button> Main'
    """
    if tr.table is None:
        return page
    said = {text: tr(text) for text in CHROME} | {old: tr(text) for old, text in AMISS.items()}
    texts = "|".join(map(re.escape, sorted(said, key=len, reverse=True)))
    return re.sub(rf'(?<=="|.>)(\s*)({texts})(\s*)(?="|<)',
                  lambda found: f"{found[1]}{html.escape(said[found[2]])}{found[3]}", page)


# --- the site ----------------------------------------------------------------------------


def fonts_folder():
    """Return the folder of the theme's icon fonts."""
    theme = Path(find_spec("pydata_sphinx_theme").origin).parent
    return theme / "theme/pydata_sphinx_theme/static/vendor/fontawesome/webfonts"


def file_in(static, pattern):
    """Return the one file below ``_static`` that a pattern names."""
    found = sorted(static.glob(pattern))
    if not found:
        raise FileNotFoundError(
            f"the site has no _static/{pattern}: the theme or an extension has changed; bring "
            "STYLES and SCRIPTS in _ext/light.py up to date")
    return found[-1]


def site_style(static, used):
    """Return the one style sheet."""
    parts = []
    for pattern in STYLES:
        path = file_in(static, pattern)
        folder = path.parent.relative_to(static).as_posix()
        css = pruned(path.read_text(encoding="utf-8"), used)
        parts.append(rebased(css, "" if folder == "." else folder))
    return with_small_fonts("".join(parts), fonts_folder())


def in_turns(texts):
    r"""
    Return scripts as one that runs them in turns.

    Each becomes the body of a function, so what they declare is not seen by other scripts.

    Examples
    --------
    >>> in_turns(["a()", "b()"])
    'window.course.turns([\nfunction () {\na()\n},\nfunction () {\nb()\n}]);\n'
    """
    works = ",".join(f"\nfunction () {{\n{text}\n}}" for text in texts)
    return f"window.course.turns([{works}]);\n"


def changed(text, name):
    """Return a script with the change that `CHANGES` asks of it, if it asks for one."""
    old, new = CHANGES.get(name, ("", ""))
    if old and text.count(old) != 1:
        raise ValueError(
            f"{name} does not hold {old!r} once: the theme or an extension has changed; bring "
            "CHANGES in _ext/light.py up to date")
    return text.replace(old, new) if old else text


def site_script(static, near, tr=ENGLISH):
    """Return the one script; `near` is the text of its first part, `tr` the language's words."""
    def read(name):
        text = file_in(static, name).read_text(encoding="utf-8")
        return re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)

    at_once = [read(name) for name in SCRIPTS_AT_ONCE
               if name not in FOREIGN or (static / name).is_file()]
    late = {name: changed(read(name), name) for name in SCRIPTS_IN_TURNS}
    hints = {"{show}": tr("Click to show"), "{hide}": tr("Click to hide")}
    settings = re.sub(r"\{\w+\}", lambda found: json.dumps(hints[found[0]], ensure_ascii=False),
                      SETTINGS)
    late["togglebutton.js"] = settings + late["togglebutton.js"]
    # Not the first statement of the file: "use strict" of one script must not bind the others.
    return "void 0;\n" + "\n;\n".join([near, *at_once, in_turns(late.values())])


def mathjax_in_one(folder):
    """Return the parts of MathJax as one script; `assets/formulas.js` fetches it."""
    parts = [(folder / name).read_text(encoding="utf-8") for name in MATHJAX]
    return in_turns([*parts, "window.course.mathjaxReady()"])


def digest(*texts):
    """Return a short digest of texts."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


def write(path, text):
    """Write a file if that changes it."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def lighten(app, error):
    """Make every page of the site light."""
    if error is not None or app.builder.format != "html":
        return
    from course import mathjax_folder

    out, static = Path(app.outdir), Path(app.outdir) / "_static"
    # Not the pages of a translated book in it: they are a site of their own, and light already.
    others = {one.folder.rstrip("/") for one in LANGUAGES if one.folder}
    paths = [path for path in out.rglob("*.html") if "_static" not in path.parts
             and path.relative_to(out).parts[0] not in others]
    kinds = untoned(file_in(static, "pygments.css").read_text(encoding="utf-8"))
    # First of all, because the style sheet keeps what the pages then hold.
    pages = {path: with_few_spans(path.read_text(encoding="utf-8"), kinds) for path in paths}
    assets = Path(app.srcdir) / "assets"
    tr = words(app.srcdir)
    script = site_script(static, (assets / NEAR).read_text(encoding="utf-8"), tr)
    scripts = [
        path.read_text(encoding="utf-8") for path in static.rglob("*.js")
        if path.parent.name != "mathjax" and static_name(f"_static/{path.name}") not in SCRIPTS
        and path.name != "fontawesome.js"
    ]
    known = names_in(" ".join([script, *scripts])).union(*map(names_on, pages.values()))
    style = site_style(static, lambda name: name in known or bool(BUILT_NAMES.match(name)))
    formulas = (assets / "formulas.js").read_text(encoding="utf-8")
    mathjax = mathjax_in_one(mathjax_folder())
    write(static / STYLE, style)
    write(static / SCRIPT, script)
    write(static / FORMULAS, formulas)
    write(static / FORMULAS.replace("formulas", "mathjax"), mathjax)
    # The copies that came with the other assets.
    for name in ("formulas.js", NEAR):
        (static / name).unlink(missing_ok=True)
    (static / MATHJAX_WHOLE).unlink(missing_ok=True)
    version = digest(style, script, formulas, mathjax)
    for path, page in pages.items():
        if f"_static/{STYLE}" in page:
            # Light already; only the files' version may be new.
            new = re.sub(rf"({STYLE}|{SCRIPT}|{FORMULAS})\?v=\w+", rf"\1?v={version}", page)
        elif "</head>" in page and "_static/" in page:
            name = path.relative_to(out).as_posix()
            new = sized(repaired(lightened(page, name, version), tr), path.parent)
        else:
            continue
        write(path, new)
    for pattern in LEFT_OVER:
        for path in static.glob(pattern):
            if path.is_file():
                path.unlink()


def setup(app):
    """Register with Sphinx."""
    # After every extension has written its files.
    app.connect("build-finished", lighten, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
