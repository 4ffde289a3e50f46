"""Measure the built pages with Lighthouse, beside the same content under Jupyter Book's defaults.

    python benchmarks/lighthouse.py [--runs 5] [--devices mobile desktop] [--pages text ...]

One command, both sides in one run. *This book* is what ``make book`` left in ``_build/html``. *The
defaults* are the same sources, copied to a temporary folder and built with a ``_config.yml`` that
holds what the content needs and nothing else: no style sheet, script or setting of ours. Its
formulas would come from a public host; the very same MathJax is put beside its pages instead, so
that no network is needed. That is to its advantage.

Both are served by this machine, compressed as GitHub Pages compresses, and each page is loaded
as often as ``--runs`` says, the two sides in turn. Lighthouse (its version is in
``benchmarks/lighthouse/package-lock.json``) slows the network and the processor down by
simulation, with the settings that are written out below; the table shows medians. Needs Node.js
with npm, which installs Lighthouse the first time, and Chromium or Chrome: the one that
``CHROME_PATH`` names, else the one that the tests of the pages use.

The table is printed, and everything measured is written to ``build/lighthouse.json``.
The exit status is 1 if a page of this book misses a bound. A run of one page on one device takes
some ten seconds; the whole takes about twelve minutes on two cores.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools import browser, serve  # noqa: E402

TOOL = ROOT / "benchmarks" / "lighthouse"
SITES = ("this book", "the defaults")

#: One page of each kind: running text, many formulas, many figures.
PAGES = {
    "text": "pages/how_to_use.html",
    "mathematics": "chapters/01_convolution.html",
    "figures": "chapters/04_mnist_tensorflow.html",
}

#: Lighthouse's own presets, written out so that a new version cannot change them unseen.
DEVICES = {
    "mobile": {
        "formFactor": "mobile",
        "screenEmulation": {
            "mobile": True, "width": 412, "height": 823, "deviceScaleFactor": 1.75,
        },
        "throttling": {
            "rttMs": 150, "throughputKbps": 1638.4, "cpuSlowdownMultiplier": 4,
            "requestLatencyMs": 562.5, "downloadThroughputKbps": 1474.56,
            "uploadThroughputKbps": 675,
        },
    },
    "desktop": {
        "formFactor": "desktop",
        "screenEmulation": {
            "mobile": False, "width": 1350, "height": 940, "deviceScaleFactor": 1,
        },
        "throttling": {
            "rttMs": 40, "throughputKbps": 10240, "cpuSlowdownMultiplier": 1,
            "requestLatencyMs": 0, "downloadThroughputKbps": 0, "uploadThroughputKbps": 0,
        },
    },
}
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")

#: Column -> (heading, how a value is shown).
COLUMNS = {
    "performance": ("perf.", "{:.0f}"),
    "accessibility": ("access.", "{:.0f}"),
    "best-practices": ("practices", "{:.0f}"),
    "seo": ("SEO", "{:.0f}"),
    "lcp": ("LCP s", "{:.2f}"),
    "cls": ("CLS", "{:.3f}"),
    "tbt": ("blocked ms", "{:.0f}"),
    "bytes": ("kB", "{:.0f}"),
    "requests": ("requests", "{:.0f}"),
}

#: What this book promises: the least score of a category, the most of anything else.
LEAST = {"accessibility": 100, "best-practices": 95, "seo": 95}
LEAST_PERFORMANCE = {"mobile": 85, "desktop": 95}
MOST_BYTES = {"text": 600, "mathematics": 900}
MOST_LCP, MOST_CLS = 2.5, 0.05


def default_config(config):
    """
    Return what the content needs of a book's configuration; all else is left to Jupyter Book.

    Parameters
    ----------
    config : dict
        The ``_config.yml`` of this book.
    """
    extensions = config["sphinx"]["local_extensions"]
    settings = config["sphinx"]["config"]
    wanted = (
        "bibtex_bibfiles", "bibtex_reference_style", "bibtex_default_style",
        "autodoc_mock_imports", "autodoc_typehints", "myst_heading_anchors", "nb_merge_streams",
    )
    return {
        **{name: config[name] for name in (
            "title", "author", "logo", "only_build_toc_files", "exclude_patterns", "execute",
            "parse")},
        "sphinx": {
            "extra_extensions": [
                name for name in config["sphinx"]["extra_extensions"]
                if name in ("sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.bibtex")
            ],
            # Of our extensions those alone that define what the pages are written with.
            "local_extensions": {
                "contents": "_ext", **{name: at for name, at in extensions.items()
                                       if name in ("explorers", "measured")},
            },
            "config": {name: settings[name] for name in wanted if name in settings},
        },
    }


#: The extension of the default book: the directives and roles of the pages, and MathJax at hand.
CONTENTS = """
import course

def setup(app):
    app.add_config_value("course_ledger", "results.json", "env", [str])
    app.add_directive("results", course.Results)
    app.add_directive("conditions", course.Conditions)
    app.add_role("ledger", course.LedgerRole())
    app.config.mathjax_path = "mathjax/tex-mml-chtml.js"
"""


def build_defaults(folder):
    """
    Build the same content with Jupyter Book's defaults.

    Parameters
    ----------
    folder : path-like
        An empty folder.

    Returns
    -------
    pathlib.Path
        The built pages.
    """
    folder = Path(folder)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    (folder / "_config.yml").write_text(yaml.safe_dump(default_config(config)), encoding="utf-8")
    (folder / "_ext" / "contents.py").write_text(CONTENTS, encoding="utf-8")
    program = "from jupyter_book.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "build", "-q", "."], cwd=folder,
                          capture_output=True, text=True)
    site = folder / "_build" / "html"
    if done.returncode or not (site / "index.html").is_file():
        sys.exit(f"the book with the defaults could not be built:\n{done.stdout}{done.stderr}")
    # As on the public host that the defaults name: the script, and its fonts beside it.
    sys.path.insert(0, str(ROOT / "_ext"))
    from course import mathjax_folder

    for name in ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2"):
        source, target = mathjax_folder() / name, site / "_static" / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    return site


def lighthouse():
    """Return the command that starts the pinned Lighthouse; install it where it is missing."""
    # Not beside its lock: whoever walks through the sources would find thousands of files there.
    folder = ROOT / "build" / "lighthouse"
    if not installed(folder):
        if not shutil.which("npm"):
            sys.exit("npm is missing: install Node.js 18.20 or newer, which brings it")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(TOOL / name, folder / name)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                              cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit("Lighthouse could not be installed from benchmarks/lighthouse/"
                     f"package-lock.json:\n{done.stderr}")
    return ["node", str(folder / "node_modules" / "lighthouse" / "cli" / "index.js")]


def installed(folder):
    """Say whether a folder holds what the lock names: npm leaves the lock that it installed."""
    try:
        same = (folder / "package-lock.json").read_bytes() == (
            TOOL / "package-lock.json").read_bytes()
    except FileNotFoundError:
        return False
    return same and (folder / "node_modules" / ".package-lock.json").is_file()


def measure(command, address, device, scratch):
    """
    Load one page once.

    Parameters
    ----------
    command : list of str
        What `lighthouse` returns.
    address : str
        The page.
    device : dict
        One of `DEVICES`.
    scratch : path-like
        A folder for the settings and the report.

    Returns
    -------
    dict
        A value for each column, and the audits that did not get their full mark.
    """
    settings, report = Path(scratch) / "settings.json", Path(scratch) / "report.json"
    settings.write_text(json.dumps({
        "extends": "lighthouse:default",
        "settings": {**device, "throttlingMethod": "simulate", "onlyCategories": CATEGORIES},
    }), encoding="utf-8")
    chrome = os.environ.get("CHROME_PATH") or browser.find()
    if not chrome:
        sys.exit(browser.MISSING)
    flags = ["--headless=new", *browser.ARGUMENTS]
    if browser.is_root():
        flags.append("--no-sandbox")
    done = subprocess.run(
        [*command, address, f"--config-path={settings}", "--output=json", "--quiet",
         f"--output-path={report}", f"--chrome-flags={' '.join(map(quoted, flags))}"],
        env={**os.environ, "CHROME_PATH": str(chrome)}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"Lighthouse could not measure {address}:\n{done.stderr}")
    return read_report(json.loads(report.read_text(encoding="utf-8")))


def quoted(flag):
    """Return a flag of Chromium as Lighthouse's command line takes it."""
    name, _, value = flag.partition("=")
    return f'{name}="{value}"' if " " in value else flag


def read_report(report):
    """Return the columns of one report, and which audits fell short."""
    if report.get("runtimeError"):
        sys.exit(f"Lighthouse: {report['runtimeError']['message']}")
    audits, categories = report["audits"], report["categories"]
    requests = audits["network-requests"]["details"]["items"]
    short = {
        name: sorted(
            ref["id"] for ref in categories[name]["auditRefs"]
            if ref["weight"] and (audits[ref["id"]]["score"] or 0) < 1
            and audits[ref["id"]]["scoreDisplayMode"] not in ("notApplicable", "manual")
        ) for name in CATEGORIES
    }
    return {
        **{name: 100 * categories[name]["score"] for name in CATEGORIES},
        "lcp": audits["largest-contentful-paint"]["numericValue"] / 1000,
        "cls": audits["cumulative-layout-shift"]["numericValue"],
        "tbt": audits["total-blocking-time"]["numericValue"],
        "bytes": sum(item.get("transferSize", 0) for item in requests) / 1000,
        "requests": len(requests),
        "version": report["lighthouseVersion"],
        "short": short,
    }


def median(loads):
    """Return the median of each column over several loads of one page."""
    return {name: statistics.median(load[name] for load in loads) for name in COLUMNS}


def missed(device, page, found):
    """
    Return the bounds that one page of this book misses.

    Examples
    --------
    >>> good = dict.fromkeys(COLUMNS, 100) | {"lcp": 1.2, "cls": 0.01}
    >>> missed("mobile", "text", good)
    []
    >>> missed("desktop", "text", good | {"performance": 94, "bytes": 601})
    ['performance 94, at least 95', 'bytes 601, at most 600']
    """
    least = {"performance": LEAST_PERFORMANCE[device], **LEAST}
    most = {"cls": MOST_CLS}
    if device == "mobile":
        most["lcp"] = MOST_LCP
    if page in MOST_BYTES:
        most["bytes"] = MOST_BYTES[page]
    # A score is a whole number as everyone quotes it.
    return [
        f"{name} {found[name]:.0f}, at least {bound}"
        for name, bound in least.items() if round(found[name]) < bound
    ] + [
        f"{name} {found[name]:{'.0f' if name == 'bytes' else '.3f'}}, at most {bound}"
        for name, bound in most.items() if found[name] > bound
    ]


def table(medians):
    """
    Return the table as text.

    Parameters
    ----------
    medians : dict
        (device, page, site) -> what `median` returns.
    """
    head = ["device", "page", "site", *(heading for heading, _ in COLUMNS.values())]
    rows = [head]
    for device, page in dict.fromkeys((device, page) for device, page, _ in medians):
        both = [medians.get((device, page, site)) for site in SITES]
        for site, found in zip(SITES, both, strict=True):
            if found:
                rows.append([device, page, site, *(
                    form.format(found[name]) for name, (_, form) in COLUMNS.items())])
        if all(both):
            ratios = [
                f"{both[1][name] / both[0][name]:.1f}x"
                if name in ("lcp", "bytes", "requests") and both[0][name] else ""
                for name in COLUMNS
            ]
            rows.append([device, page, "ratio", *ratios])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column < 3 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows)


def main():
    """Measure, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--result", type=Path, default=ROOT / "build" / "lighthouse.json")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--devices", nargs="+", choices=DEVICES, default=list(DEVICES))
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=list(PAGES))
    parser.add_argument("--sites", nargs="+", choices=SITES, default=list(SITES))
    options = parser.parse_args()
    command = lighthouse()
    loads = {}
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        built = {}
        if SITES[0] in options.sites:
            if not (serve.SITE / "index.html").is_file():
                sys.exit("the book is not built: run `make book`")
            built[SITES[0]] = serve.SITE
        if SITES[1] in options.sites:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            built[SITES[1]] = build_defaults(folder)
        servers = {
            site: stack.enter_context(serve.Server(at)).address for site, at in built.items()}
        for device in options.devices:
            for page in options.pages:
                for _ in range(options.runs):
                    for site, address in servers.items():
                        found = measure(command, address + PAGES[page], DEVICES[device], scratch)
                        loads.setdefault((device, page, site), []).append(found)
                        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    medians = {key: median(found) for key, found in loads.items()}
    version = next(iter(loads.values()))[0]["version"]
    print(f"Lighthouse {version}, simulated throttling, median of {options.runs}, {date.today()}")
    print(table(medians))
    failed = [
        f"{device}, {page}: {what}" for (device, page, site), found in medians.items()
        if site == SITES[0] for what in missed(device, page, found)
    ]
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(json.dumps({
        "lighthouse": version, "date": str(date.today()), "runs": options.runs,
        "devices": {name: DEVICES[name] for name in options.devices},
        "pages": {name: PAGES[name] for name in options.pages},
        "measured": [
            {"device": device, "page": page, "site": site, "median": medians[device, page, site],
             "loads": found} for (device, page, site), found in loads.items()
        ],
        "missed": failed,
    }, indent=1) + "\n", encoding="utf-8")
    if failed:
        sys.exit("Bounds missed:\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
