"""
Time from a clean clone to a book and to green tests, and the weight of its pages.

    python -m benchmarks book

What is committed is cloned into an empty folder, and ``make book`` and then ``make test`` are run
there with a home of their own that holds nothing. Only the caches of pip and uv are those of this
machine: what a download costs depends on the line. The data are the tests' own choice (real where
there is a copy beside the clone, else synthetic), and the system's packages are those that are
installed.

The seconds of each chapter are read from what ``make test`` prints. The weight of a page is what
its HTML names, each file counted once: the HTML itself, scripts, style sheets, the fonts that
these load, and pictures; as they are, and as a web server sends them (gzip, for what is text).
Formulas are not counted: their script is fetched by the pages that have some, and stands in the
table by itself.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks import common

OURS = "this book"
#: A line of the chapters' runner: the chapter, its seconds, the verdict.
CHAPTER = re.compile(r"^(\d\d_\w+)\s+([\d.]+) s  (passed|FAILED)", re.MULTILINE)
TEXT = {".html", ".js", ".css", ".svg", ".json", ".txt", ".xml"}
KINDS = {".html": "HTML", ".js": "scripts", ".css": "style sheets", ".woff2": "fonts",
         ".woff": "fonts", ".ttf": "fonts"}
MATHJAX = "_static/mathjax"


# --- the clone ---------------------------------------------------------------------------


def clone(folder):
    """Clone what is committed; return the clone's folder (Path)."""
    target = Path(folder) / "clone"
    done = subprocess.run(["git", "clone", "--quiet", str(common.ROOT), str(target)],
                          capture_output=True, text=True)
    if done.returncode:
        raise common.BenchmarkError(f"the repository cannot be cloned: {done.stderr.strip()}")
    return target


def environ_of(home):
    """Return the variables of the verbs: an empty home, the caches of this machine (dict)."""
    keep = {key: value for key, value in os.environ.items()
            if not key.startswith(("DATASETSLIB_", "PYTHONPATH", "VIRTUAL_ENV", "KERAS_",
                                   "MAKE", "MFLAGS"))}
    old = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return {**keep, "HOME": str(home), "XDG_CACHE_HOME": str(Path(home) / ".cache"),
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(old / "pip")),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(old / "uv"))}


def verb(name, folder, environ):
    """
    Run a verb of the Makefile.

    Returns
    -------
    tuple
        Seconds (float) and what it printed (str).

    Raises
    ------
    BenchmarkError
        When it fails, with the end of what it printed.
    """
    common.say(f"book: make {name}")
    start = time.perf_counter()
    done = subprocess.run(["make", name], cwd=folder, env=environ, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise common.BenchmarkError(
            f"make {name} failed in the clone (exit status {done.returncode}):\n"
            f"{done.stdout[-3000:]}")
    return seconds, done.stdout


def chapter_seconds(printed):
    r"""
    Return the seconds of each chapter from what the runner printed.

    Parameters
    ----------
    printed : str

    Returns
    -------
    dict

    Raises
    ------
    BenchmarkError
        When no chapter is told of, or one of them failed.

    Examples
    --------
    >>> chapter_seconds("lint\n01_convolution               12.3 s  passed\n")
    {'01_convolution': 12.3}
    """
    found = CHAPTER.findall(printed)
    if failed := [name for name, _, verdict in found if verdict == "FAILED"]:
        raise common.BenchmarkError(f"these chapters failed: {', '.join(failed)}")
    if not found:
        raise common.BenchmarkError("the runner of the chapters printed no line of the form "
                                    "'01_name  12.3 s  passed'")
    return {name: float(seconds) for name, seconds, _ in found}


# --- the pages ---------------------------------------------------------------------------


def named(page, site):
    """
    Return the files of the site that a page names, itself included, and the fonts of its styles.

    Parameters
    ----------
    page, site : pathlib.Path

    Returns
    -------
    set of Path

    Raises
    ------
    BenchmarkError
        When a file that is named is not there.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    addresses = [tag["src"] for tag in soup.select("script[src], img[src]")]
    addresses += [tag["href"] for tag in soup.select("link[href]")
                  if {"stylesheet", "preload", "icon"} & set(tag.get("rel", []))]
    found = {page}
    for address in addresses:
        if (path := local(address, page, site)) is not None:
            found.add(path)
    for style in [path for path in found if path.suffix == ".css"]:
        text = style.read_text(encoding="utf-8")
        # Of the formats of one font, a browser loads the first one that it knows.
        for address in re.findall(r"url\(\s*['\"]?([^'\")]+\.woff2)", text):
            if (path := local(address, style, site)) is not None:
                found.add(path)
    return found


def local(address, beside, site):
    """Return the file that an address names, or None where it leads elsewhere."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path:
        return None
    path = (beside.parent / unquote(parts.path)).resolve()
    if not path.is_file() or not path.is_relative_to(site.resolve()):
        raise common.BenchmarkError(f"{beside.name} names {address}, which the site does not have")
    return path


def kilobytes(path):
    """Return the size of a file in kB, as it is and as a server sends it (tuple of float)."""
    content = path.read_bytes()
    sent = len(gzip.compress(content, 6)) if path.suffix in TEXT else len(content)
    return len(content) / 1000, sent / 1000


def weights(site):
    """
    Weigh all pages of the table of contents, and MathJax by itself.

    Parameters
    ----------
    site : pathlib.Path
        ``_build/html`` of a built book.

    Returns
    -------
    dict
        Page -> kind -> (kB, kB as sent); ``"MathJax"`` among the pages' names is its script.
    """
    found, sizes = {}, {}
    folders = [site, site / "chapters", site / "pages"]
    pages = [page for folder in folders for page in sorted(folder.glob("*.html"))]
    if not pages:
        raise common.BenchmarkError(f"there is no page in {site}: make book")
    for page in pages:
        parts = {}
        for path in named(page, site):
            if MATHJAX in path.as_posix():
                continue
            size = sizes.setdefault(path, kilobytes(path))
            kind = KINDS.get(path.suffix, "pictures")
            old = parts.get(kind, (0.0, 0.0))
            parts[kind] = tuple(a + b for a, b in zip(old, size, strict=True))
        found[page.relative_to(site).as_posix().removesuffix(".html")] = parts
    script = site / MATHJAX / "tex-mml-chtml.js"
    if script.is_file():
        found["MathJax"] = {"scripts": kilobytes(script)}
    return found


def weight_rows(found):
    """Return the measurements of weights: one case for each kind and one for the whole."""
    rows = []
    pages = {name: parts for name, parts in found.items() if name != "MathJax"}
    for at, measure in enumerate(("kB", "kB sent")):
        for kind in ("HTML", "scripts", "style sheets", "fonts", "pictures"):
            rows.append(common.measurement(
                kind, OURS, measure, [parts.get(kind, (0, 0))[at] for parts in pages.values()]))
        rows.append(common.measurement("a page, all in all", OURS, measure, [
            sum(part[at] for part in parts.values()) for parts in pages.values()]))
        if "MathJax" in found:
            rows.append(common.measurement("formulas, where there are some", OURS, measure,
                                           [found["MathJax"]["scripts"][at]]))
    return rows


# --- the benchmark -----------------------------------------------------------------------


def main(arguments):
    """Run the benchmark; return the exit status."""
    parser = common.parser("book", __doc__)
    parser.set_defaults(repeats=1)
    parser.add_argument("--site", type=Path,
                        help="weigh the pages of this built book, and run no verb")
    options = parser.parse_args(arguments)
    common.need("bs4")
    partial = options.site is not None
    common.destination("book", options, partial)
    if options.smoke and not options.site:
        raise common.BenchmarkError("a trial weighs pages only: name a built book with --site")
    result = {"benchmark": "book", "smoke": options.smoke, "ours": OURS, "sides": [OURS],
              "measures": {"seconds": {"unit": "s"}, "chapter seconds": {"unit": "s"},
                           "kB": {"unit": "kB"}, "kB sent": {"unit": "kB"}}}
    rows, spent, chapters = [], {}, {}
    with common.measured(result):
        if options.site:
            pages = weights(options.site)
            for measure in ("seconds", "chapter seconds"):
                del result["measures"][measure]
        else:
            pages = {}
            for _ in range(options.repeats):
                # A home beside the clone; both vanish with the folder.
                with tempfile.TemporaryDirectory(prefix="book-") as folder:
                    environ = environ_of(Path(folder, "home"))
                    Path(environ["HOME"]).mkdir()
                    start = time.perf_counter()
                    tree = clone(folder)
                    cloning = time.perf_counter() - start
                    building, _ = verb("book", tree, environ)
                    testing, printed = verb("test", tree, environ)
                    pages = weights(tree / "_build" / "html")
                    for what, seconds in (("clone to rendered book", cloning + building),
                                          ("book to green tests", testing)):
                        spent.setdefault(what, []).append(seconds)
                    for name, seconds in chapter_seconds(printed).items():
                        chapters.setdefault(name, []).append(seconds)
                    shutil.rmtree(tree, ignore_errors=True)
    rows += [common.measurement(what, OURS, "seconds", values) for what, values in spent.items()]
    rows += [common.measurement(name, OURS, "chapter seconds", values)
             for name, values in chapters.items()]
    rows += weight_rows(pages)
    result["measurements"] = rows
    result["pages"] = {name: {kind: [common.rounded(v) for v in size]
                              for kind, size in parts.items()} for name, parts in pages.items()}
    print(f"{sys.platform}: the heaviest page is " + max(
        result["pages"], key=lambda name: sum(v[1] for v in result["pages"][name].values())))
    return common.finish(result, options, partial)
