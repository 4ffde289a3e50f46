"""What the tests of the built pages look for, as functions of a page's text or source."""

import functools
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

#: Markup that a page shows to its readers only when it was not understood.
RAW = re.compile(
    r":::|\{(?:glue|cite|doc|ref|ledger|eval-rst|bibliography)\b[^}]*\}|\$\$|\\begin\{|\{\{"
)

#: A stand-in for an alternative text that nobody wrote: the name of the picture's file.
FILE_NAME = re.compile(r"\S+\.(svg|png|jpe?g|gif|webp)")

ENVIRONMENT = re.compile(r"\\(begin|end)\{(\w+\*?)\}")


@functools.lru_cache(maxsize=64)
def parse(text):
    """Parse a page, once for all that look at it; who changes the tree needs one of their own."""
    return BeautifulSoup(text, "html.parser")


def telling(*folders):
    """Return what a page must not contain, lest it tell where it was built.

    A folder with a name of one part, such as ``/root``, tells nothing, and a page may mention it.
    """
    return [f"{folder}/" for folder in folders if len(folder.parts) > 2]


def article(page):
    """Return the part of a page that is the author's."""
    return page.find("article")


def raw_markup(text):
    """Return the markup that shows through in a page's running text."""
    body = article(BeautifulSoup(text, "html.parser"))
    for code in body.find_all(["pre", "code", "script", "style"]):
        code.decompose()
    for maths in body.find_all(class_="math"):
        maths.decompose()
    return RAW.findall(body.get_text(" "))


def pictures_without_text(text):
    """Return the pictures of a page that have no alternative text worth the name."""
    body = article(parse(text))
    found = []
    for image in body.find_all("img"):
        alt = (image.get("alt") or "").strip()
        if not alt or FILE_NAME.fullmatch(alt):
            found.append(image.get("src"))
    for drawing in body.find_all("svg", role="img"):
        if not (drawing.find("title") and drawing.find("title").get_text(strip=True)):
            found.append(str(drawing)[:60])
    return found


def bad_tex(text):
    """Return the formulas of a page that cannot be right: unbalanced braces or environments."""
    found = []
    for node in article(parse(text)).find_all(class_="math"):
        tex = node.get_text()
        open_environments = []
        right = True
        for kind, name in ENVIRONMENT.findall(tex):
            if kind == "begin":
                open_environments.append(name)
            elif not open_environments or open_environments.pop() != name:
                right = False
        braces = re.sub(r"\\[\\{}]", "", tex)
        depth = 0
        for character in braces:
            depth += (character == "{") - (character == "}")
            right = right and depth >= 0
        lefts = len(re.findall(r"\\left(?![a-z])", tex))
        rights = len(re.findall(r"\\right(?![a-z])", tex))
        if not right or depth or open_environments or lefts != rights:
            found.append(tex)
    return found


def open_fences(markdown):
    """Return what a text opens and never closes: colon fences, code fences, display mathematics."""
    fences, code = [], None
    dollars = 0
    for line in markdown.splitlines():
        mark = re.match(r"\s*(`{3,}|~{3,}|:{3,})(.*)", line)
        if code is not None:
            if mark and mark[1].startswith(code) and not mark[2].strip():
                code = None
            continue
        if mark and mark[1][0] != ":":
            code = mark[1]
        elif mark and mark[2].strip():
            fences.append(mark[1])
        elif mark:
            if not fences or fences.pop() != mark[1]:
                return [f"{mark[1]} closes nothing"]
        else:
            dollars += re.sub(r"`[^`]*`", "", line).count("$$")
    return fences + ([code] if code else []) + (["$$"] if dollars % 2 else [])


class Links:
    """The links between the files of a site."""

    def __init__(self, site):
        self.site = Path(site)
        self._anchors = {}

    def anchors(self, path):
        """Return the ids of a page."""
        if path not in self._anchors:
            page = parse(path.read_text(encoding="utf-8"))
            self._anchors[path] = {node["id"] for node in page.find_all(id=True)}
        return self._anchors[path]

    def dead(self, path):
        """Return the links of one page that lead to nothing in the site."""
        page = parse(path.read_text(encoding="utf-8"))
        found = []
        for node in page.find_all(["a", "img", "script", "link", "source"]):
            target = node.get("href") or node.get("src")
            if not target or target == "#" or urlsplit(target).scheme or target.startswith("//"):
                continue
            parts = urlsplit(target)
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if file.is_dir():
                file = file / "index.html"
            if not file.is_file():
                found.append(target)
            elif parts.fragment and file.suffix == ".html":
                if unquote(parts.fragment) not in self.anchors(file):
                    found.append(target)
        return found


def foreign_hosts(text):
    """Return the hosts that a browser asks when it shows the page."""
    page = parse(text)
    loaded = [node.get("src") for node in page.find_all(["script", "img", "iframe", "source"])]
    loaded += [
        node.get("href") for node in page.find_all("link")
        if {"stylesheet", "preload", "icon"} & set(node.get("rel") or ())
    ]
    return {urlsplit(address).netloc for address in loaded if address} - {""}
