"""The tables and figures of the benchmarks' page, made from ``benchmarks/results``.

    ```{benchmark} data
    :measure: seconds
    :cases: mnist, cold; mnist, warm
    ```

    ```{benchmark-figure} convolution
    ```

    ```{benchmark-leads} data
    ```

    ```{benchmark-conditions}
    ```

A table has a row for each side and a column for each case: the median, the quartiles, and how many
times ours the median is. ``benchmark-leads`` names each peer that is ahead of ours, with the reason
that ``pages/reasons.yml`` gives. A peer that is ahead without a reason fails the build, and so
does a reason without such a peer, a result that is missing, and one of a trial.

A figure is drawn once and kept beside the doctrees, as the explorers' still pictures are.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import verdicts  # noqa: E402
from tools.languages import Words, mark, words  # noqa: E402

FOLDER = "benchmark-figures"
PLAIN = Words()
#: What the sides and cases are called where a name of ours is no name of a program.
NAMES = [
    mark("ours"), mark("this book"), mark("loop, TensorFlow"), mark("NumPy, vectorised"),
    mark("NumPy, loops"), mark("NumPy, correlate"), mark("TensorFlow tutorial"),
    mark("source, chapter 6"), mark("source, chapter 7"), mark("PyTorch, channels last"),
    mark("at the end"), mark("clone to rendered book"), mark("book to green tests"),
    mark("scripts"), mark("style sheets"), mark("fonts"), mark("pictures"),
    mark("a page, all in all"), mark("formulas, where there are some"),
    mark("mnist, first"), mark("mnist, cold"), mark("mnist, warm"),
    mark("cifar10, first"), mark("cifar10, cold"), mark("cifar10, warm"),
]
MEASURES = {
    "seconds": mark("seconds"), "ms": mark("milliseconds"), "MB": mark("memory in MB"),
    "images/s": mark("images a second"), "share of the peak": mark("share of the measured peak"),
    "test accuracy": mark("test accuracy"), "chapter seconds": mark("seconds of the chapter"),
    "kB": mark("kB"), "kB sent": mark("kB as sent"),
}


# --- tables ------------------------------------------------------------------------------


def name_of(text, tr=PLAIN):
    """
    Return what a side or a case is called; names of programs and numbers stay as they are.

    Examples
    --------
    >>> name_of("image 256"), name_of("tf.nn.conv2d"), name_of("mnist, cold")
    ('image 256', 'tf.nn.conv2d', 'mnist, cold')
    """
    word, _, number = text.partition(" ")
    if number.isdigit() and word in ("image", "kernel"):
        return tr("image {n}", n=number) if word == "image" else tr("kernel {n}", n=number)
    if text.startswith("Keras fit, "):
        return tr("Keras fit, {backend}", backend=text.removeprefix("Keras fit, "))
    return tr(text) if text in NAMES else text


def cell(found, ratio, is_ours, tr=PLAIN):
    """
    Return the lines of a cell.

    Parameters
    ----------
    found : verdicts.Spread or None
    ratio : float or None
        The median over that of ours.
    is_ours : bool
    tr : tools.languages.Words

    Examples
    --------
    >>> print(cell(verdicts.Spread(2.0, 1.9, 2.1, 5), 4.0, False))
    2.00
    1.90 to 2.10
    4.00 × ours
    >>> cell(None, None, False)
    '–'
    """
    if found is None:
        return "–"
    lines = [verdicts.shown(found.median)]
    if found.n > 1:
        lines.append(tr("{low} to {high}", low=verdicts.shown(found.low),
                        high=verdicts.shown(found.high)))
    if ratio is not None and not is_ours:
        lines.append(tr("{ratio} × ours", ratio=verdicts.shown(ratio)))
    return "\n".join(lines)


def table_rows(result, measure, wanted=None, sides=None, upright=False, tr=PLAIN):
    """
    Return head and rows of a table of one measure.

    Parameters
    ----------
    result : dict
    measure : str
    wanted, sides : list of str, optional
        Cases and sides; by default all.
    upright : bool
        Whether the cases are the rows: for results with one side and many cases.
    tr : tools.languages.Words

    Returns
    -------
    tuple
        Headings (list of str) and rows (list of list of str).
    """
    found, rows = verdicts.table(result, measure, sides, wanted)
    cells = [[name_of(side, tr), *(cell(value, ratio, side == result["ours"], tr)
                          for value, ratio in of_side)] for side, of_side in rows]
    corner = tr(MEASURES[measure])
    if upright:
        turned = [[name_of(case, tr), *(row[1 + k] for row in cells)]
                  for k, case in enumerate(found)]
        return [corner, *(row[0] for row in cells)], turned
    return [corner, *(name_of(case, tr) for case in found)], cells


#: More cases than these in which a side is ahead are told together.
LISTED = 4
QUIET, BUSY = mark("{share} %: quiet"), mark("{share} %: busy")
LEADS_HEAD = [mark("Ahead of ours"), mark("Where"), mark("Why, or what mends it")]
LAWS_HEAD = [mark("Side"), mark("Image: power of its side"), mark("Kernel: power of its side")]
PEAKS_HEAD = [mark("Measured peak, GFLOP/s")]
CONDITIONS_HEAD = [mark("Benchmark"), mark("Date"), mark("Machine and software"),
                   mark("Data"), mark("Others' share of the CPU time")]


def leads_rows(name, result, reasons, tr=PLAIN):
    """
    Return the rows of the peers that are ahead.

    Raises
    ------
    verdicts.ResultError
        When a peer is ahead without a reason, or a reason has no such peer.
    """
    rows = []
    for side, where, reason in verdicts.explained(name, result, reasons):
        places = []
        for measure in dict.fromkeys(lead.measure for lead in where):
            places += _places([lead for lead in where if lead.measure == measure], tr)
        rows.append([name_of(side, tr), "\n".join(places), reason])
    return rows


def _places(leads, tr):
    """Return where a side is ahead in one measure: each case, or from where to where."""
    measure = tr(MEASURES[leads[0].measure])
    ratios = [lead.ratio for lead in leads if lead.ratio is not None]
    if len(leads) > LISTED and len(ratios) == len(leads):
        return [tr("{measure}, {n} cases: {low} to {high} × ours", measure=measure, n=len(leads),
                   low=verdicts.shown(min(ratios)), high=verdicts.shown(max(ratios))),
                "; ".join(name_of(lead.case, tr) for lead in leads)]
    return [f"{name_of(lead.case, tr)}, {measure}: " + (
        tr("only it gets there") if lead.ratio is None
        else tr("{ratio} × ours", ratio=verdicts.shown(lead.ratio))) for lead in leads]


def laws_rows(result, tr=PLAIN):
    """Return the rows of the slopes: how time grows with the image and with the kernel."""
    found = {(law["side"], law["series"]): law for law in result["laws"]}

    def shown(law):
        return "–" if law is None else f"{law['slope']:.2f}\n" + tr(
            "{low} to {high}", low=f"{law['low']:.2f}", high=f"{law['high']:.2f}")

    series = ("image", "kernel")
    return [[name_of(side, tr), *(shown(found.get((side, one))) for one in series)]
            for side in result["sides"]]


def peaks_rows(result, tr=PLAIN):
    """Return the machine's measured peaks, and which library reached them."""
    kinds = list(next(iter(result["peaks"].values())))
    titles = {"matrix product": mark("matrix product"), "convolution": mark("3x3 convolution")}
    return [[tr(titles[kind]), *(
        f"{verdicts.shown(of[kind]['GFLOP/s'])}\n{name_of(of[kind]['by'], tr)}"
        for of in result["peaks"].values())] for kind in kinds]


def conditions_rows(results, tr=PLAIN):
    """Return under which conditions each benchmark ran."""
    rows = []
    for name, result in results.items():
        found = result["conditions"]
        software = [f"{package} {version}" for package, version in found["versions"].items()]
        share = found["others_share"]
        rows.append([
            name, found["date"],
            tr("{device}, {n} threads", device=found["machine"], n=found["threads"])
            + "\n" + ", ".join(software),
            "; ".join(result.get("editions", [])) or tr("none needed"),
            tr("not known") if share is None else tr(QUIET if found["quiet"] else BUSY,
                                                     share=f"{100 * share:.1f}")])
    return rows


# --- figures -----------------------------------------------------------------------------


def _lines(result):
    """Return the look of each side, the same in all figures (dict)."""
    from datasetslib.plots.style import LINES

    return {side: LINES[k % len(LINES)] for k, side in enumerate(result["sides"])}


def _convolution(result):
    from statistics import median

    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 1, figsize=(6.4, 8.6))
    for ax, series in zip(axes, ("image", "kernel"), strict=True):
        for side, look in _lines(result).items():
            points = [(row["size"], median(row["values"])) for row in result["measurements"]
                      if row["side"] == side and row["series"] == series]
            ax.loglog(*zip(*points, strict=True), label=side, **look)
        ax.set_ylabel("milliseconds of a call")
        ax.grid(axis="y")
        sizes = sorted({row["size"] for row in result["measurements"] if row["series"] == series})
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
    fixed = result["fixed"]
    axes[0].set_xlabel(f"side of the image, kernel {fixed['kernel']} x {fixed['kernel']}")
    axes[1].set_xlabel(f"side of the kernel, image {fixed['image']} x {fixed['image']}")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def _accuracy(result):
    import matplotlib.pyplot as plt
    import numpy as np

    fig, ax = plt.subplots(figsize=(6.4, 6.2))
    named = set()
    for run in result["runs"]:
        look = {**_lines(result)[run["side"]], "marker": None}
        ours = run["side"] == result["ours"]
        ax.semilogx(np.cumsum(run["seconds"]), run["accuracy"],
                    label=None if run["side"] in named else run["side"],
                    **{**look, "linewidth": 2 if ours else 1.2})
        ax.plot(sum(run["seconds"]), run["accuracy"][-1], color=look["color"],
                marker=_lines(result)[run["side"]]["marker"])
        named.add(run["side"])
    ax.set_xlabel("seconds of training")
    ax.set_ylabel("test accuracy")
    ax.grid(axis="y")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def _training(result):
    import matplotlib.pyplot as plt

    precisions = verdicts.cases(result, "images/s")
    sides = result["sides"]
    fig, ax = plt.subplots(figsize=(6.4, 1.2 + 0.75 * len(sides)))
    from datasetslib.plots import COLOURS

    looks = [{"color": COLOURS["blue"]}, {"color": COLOURS["orange"], "hatch": "//"}]
    for k, (precision, look) in enumerate(zip(precisions, looks, strict=True)):
        for row, side in enumerate(sides):
            found = verdicts.spread(verdicts.values(result, precision, side, "images/s"))
            ax.barh(row + 0.38 * (k - 0.5), found.median, 0.36, edgecolor=COLOURS["face"],
                    label=None if row else precision, **look)
            ax.plot([found.low, found.high], [row + 0.38 * (k - 0.5)] * 2,
                    color=COLOURS["black"], linewidth=1.5)
    ax.set_yticks(range(len(sides)), [side.replace(", ", ",\n") for side in sides])
    ax.invert_yaxis()
    ax.set_axisbelow(True)
    ax.set_xlabel("images a second")
    ax.grid(axis="x")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


#: Benchmark -> how it is drawn, and what the picture shows, whatever its outcome.
FIGURES = {
    "convolution": (_convolution, mark(
        "Two panels with logarithmic axes: milliseconds of one convolution against the side of the "
        "image, and against the side of the kernel; a line for each side of the benchmark. A "
        "steeper line grows faster. The numbers are those of the tables.")),
    "training": (_training, mark(
        "Bars: images a second for each side of the benchmark, one bar for float32 and a hatched "
        "one for bfloat16, with the quartiles as a black line. The numbers are those of "
        "the table.")),
    "accuracy": (_accuracy, mark(
        "Curves of the test accuracy after each epoch against the seconds of training, on a "
        "logarithmic axis; one curve for each run, with a mark at its end. The further up and to "
        "the left, the better. The numbers are those of the table.")),
}


def draw(name, result, folder):
    """
    Draw the figure of a benchmark, unless it is there already.

    Parameters
    ----------
    name : str
    result : dict
    folder : path-like

    Returns
    -------
    pathlib.Path
        An SVG file whose name tells the result and the code that it is drawn from.
    """
    sources = [Path(__file__), *sorted((ROOT / "datasetslib" / "plots").glob("*.py"))]
    content = json.dumps(result, sort_keys=True).encode() + b"".join(
        path.read_bytes() for path in sources)
    path = Path(folder) / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}.svg"
    if not path.is_file():
        import matplotlib

        matplotlib.use("svg")
        from datasetslib import plots

        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context():
            plots.use_style()
            figure = plots.finish(FIGURES[name][0](result), synthetic=False)
            part = path.with_suffix(f".{os.getpid()}.part")
            figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})
        part.replace(path)
    return path


# --- directives --------------------------------------------------------------------------


class _Directive(SphinxDirective):
    """What the directives share: results, and their errors as Sphinx's."""

    @property
    def tr(self):
        """What the tables say, in the language of the book."""
        return words(self.env.srcdir)

    def result(self, name):
        """Read a result, and have the page built again when it changes."""
        # A translated book shows the results of the English one, whose folder this setting names.
        folder = Path(self.env.srcdir, self.config.course_source, self.config.course_benchmarks)
        self.env.note_dependency(str(folder / f"{name}.json"))
        return verdicts.read(name, folder)

    def reasons(self):
        """Read the reasons."""
        path = Path(self.env.srcdir, "pages", "reasons.yml")
        self.env.note_dependency(str(path))
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}

    def table(self, head, rows, *classes):
        """Build the table."""
        from course import build_table

        return [build_table(head, rows, ["course-conditions", "course-benchmark", *classes])]

    def head(self, texts):
        """Return headings in the language of the book."""
        return [self.tr(text) for text in texts]

    def run(self):
        """Build the nodes, or report what is wrong with the results."""
        try:
            return self.made()
        except verdicts.ResultError as error:
            raise self.error(str(error)) from None


def _listed(text):
    return [part.strip() for part in (text or "").split(";") if part.strip()]


class Benchmark(_Directive):
    """``benchmark``: a table of one measure. Argument: the benchmark."""

    required_arguments = 1
    option_spec = {"measure": directives.unchanged_required, "cases": _listed, "sides": _listed,
                   "upright": directives.flag}

    def made(self):
        """Build the table."""
        result = self.result(self.arguments[0])
        if "measure" not in self.options:
            raise verdicts.ResultError("benchmark: name the measure, for example :measure: seconds")
        return self.table(*table_rows(
            result, self.options["measure"], self.options.get("cases"),
            self.options.get("sides"), "upright" in self.options, self.tr))


class Leads(_Directive):
    """``benchmark-leads``: who is ahead of ours, and why. Argument: the benchmark."""

    required_arguments = 1

    def made(self):
        """Build the table, or a sentence where nobody is ahead."""
        name = self.arguments[0]
        rows = leads_rows(name, self.result(name), self.reasons(), self.tr)
        if not rows:
            return [nodes.paragraph("", self.tr("No peer is ahead of ours beyond the spread."))]
        return self.table(self.head(LEADS_HEAD), rows, "course-leads")


class Laws(_Directive):
    """``benchmark-laws``: the fitted slopes of the convolution benchmark."""

    def made(self):
        """Build the table."""
        return self.table(self.head(LAWS_HEAD),
                          laws_rows(self.result("convolution"), self.tr))


class Peaks(_Directive):
    """``benchmark-peaks``: the machine's peaks in the training benchmark."""

    def made(self):
        """Build the table."""
        result = self.result("training")
        return self.table([*self.head(PEAKS_HEAD), *result["peaks"]], peaks_rows(result, self.tr))


class Conditions(_Directive):
    """``benchmark-conditions``: machine, date, versions and quiet of all benchmarks."""

    def made(self):
        """Build the table."""
        results = {name: self.result(name) for name in verdicts.NAMES}
        return self.table(self.head(CONDITIONS_HEAD), conditions_rows(results, self.tr))


class Figure(_Directive):
    """``benchmark-figure``: the picture of a result. Argument: the benchmark."""

    required_arguments = 1

    def made(self):
        """Build the figure."""
        name = self.arguments[0]
        if name not in FIGURES:
            raise verdicts.ResultError(f"no figure of {name!r}; there are {', '.join(FIGURES)}")
        path = draw(name, self.result(name), Path(self.env.doctreedir) / FOLDER)
        uri = "/" + Path(os.path.relpath(path, self.env.srcdir)).as_posix()
        self.env.note_dependency(str(path))
        figure = nodes.figure()
        figure += nodes.image(uri=uri, alt=self.tr(FIGURES[name][1]))
        return [figure]


def setup(app):
    """Register the directives with Sphinx."""
    app.add_config_value("course_benchmarks", "benchmarks/results", "env", [str])
    # With Jupyter Book's defaults (benchmarks/lighthouse.py) there is no `course` before this one.
    if "course_source" not in app.config:
        app.add_config_value("course_source", ".", "env", [str])
    for name, directive in (("benchmark", Benchmark), ("benchmark-leads", Leads),
                            ("benchmark-laws", Laws), ("benchmark-peaks", Peaks),
                            ("benchmark-conditions", Conditions), ("benchmark-figure", Figure)):
        app.add_directive(name, directive)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
