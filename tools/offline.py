"""The offline editions of the built book: one zip, opened by double-click, and a PDF a language.

``python -m tools.offline zip`` packs ``_build/html``, which holds both books, and the notebook
edition; ``python -m tools.offline pdf`` has Chromium print each page and joins them, the English
pages into one file and the Chinese ones into another. Both need a built book.
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag

import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NullObject,
    TextStringObject,
)

from tools import browser as chromium
from tools.languages import CHINESE, ENGLISH, LANGUAGES, words
from tools.notebook_edition import Book, EditionError, build_all
from tools.serve import Server
from tools.translation import tree

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
FOLDER = "seeing-with-numbers"
ZIP = ROOT / "_build" / f"{FOLDER}.zip"
#: The files, by language.
PDF = {ENGLISH: ROOT / "_build" / f"{FOLDER}.pdf",
       CHINESE: ROOT / "_build" / f"{FOLDER}-{CHINESE.tag}.pdf"}
STYLE = ROOT / "assets" / "print.css"

#: One date for every file, the earliest that a zip can hold: the same book makes the same zip.
DATE = (1980, 1, 1, 0, 0, 0)

READ_ME = """Seeing with Numbers: the offline edition
用数字看世界：离线版（中文说明在后）

1. Unpack the whole zip. Opened inside the zip, the pages lack their pictures.
2. Double-click index.html in the folder "book". Any current browser will do. No network is needed:
   search, formulas and explorers all work from the disk.
3. The folder "notebooks" holds the chapters as Jupyter notebooks. To run them you need Python with
   numpy, matplotlib, keras and tensorflow; the page "How to use this book" says how.
4. The folder "assignments" holds the assignments, as students get them.

Code: MIT licence. Prose and figures: CC BY 4.0.

1. 先把整个压缩包解开。在压缩包里直接打开，网页会缺图。
2. 进入 book 文件夹里的 zh 文件夹，双击 index.html。用任何一种新的浏览器都行，不需要联网：
   搜索、公式和互动演示都能从磁盘上运行。
3. zh/notebooks 文件夹里是各章的 Jupyter 笔记本。要运行它们，需要装有 numpy、matplotlib、keras
   和 tensorflow 的 Python；怎么装，见书里讲用法的那一页。
4. zh/assignments 文件夹里是作业，与发给学生的一样。

代码：MIT 许可证。文字和图：CC BY 4.0。
"""


class OfflineError(Exception):
    """An edition cannot be made; the message says what to do."""


def contents(root=ROOT):
    """
    Return the parts of the book.

    Parameters
    ----------
    root : path-like
        The folder that holds ``_toc.yml``.

    Returns
    -------
    list of tuple
        Caption of the part (empty for the first page) and the names of its pages.
    """
    toc = yaml.safe_load((Path(root) / "_toc.yml").read_text(encoding="utf-8"))
    parts = [(part["caption"], [c["file"] for c in part["chapters"]]) for part in toc["parts"]]
    return [("", [toc["root"]]), *parts]


def built(site):
    """Return the folder of the built book; it is an error that there is none."""
    site = Path(site)
    if not (site / "index.html").is_file():
        raise OfflineError(f"there is no built book in {site.name}/: run `make book`")
    return site


# --- the zip -----------------------------------------------------------------------------


def make_zip(out=ZIP, site=SITE, draft=False):
    """
    Pack the built book and its notebooks, in an order and with dates that never change.

    Parameters
    ----------
    out : path-like
        The zip to write.
    site : path-like
        The built book.
    draft : bool
        Whether English may stay in the notebooks where there is no translation.

    Returns
    -------
    pathlib.Path
        The zip.
    """
    site, out = built(site), Path(out)
    files = {f"book/{path.relative_to(site).as_posix()}": path
             for path in site.rglob("*") if path.is_file() and path.name != ".buildinfo"}
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".part")
    with tempfile.TemporaryDirectory() as folder:
        edition = Path(folder)
        build_all(edition, Book(ROOT), draft)
        for one in LANGUAGES:
            for name, room in (("chapters", "notebooks"), ("assignments", "assignments")):
                base = edition / one.folder / name
                files |= {f"{one.folder}{room}/{path.relative_to(base).as_posix()}": path
                          for path in base.rglob("*") if path.is_file()}
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            entries = [("READ ME FIRST.txt", READ_ME.encode())]
            entries += [(name, files[name]) for name in sorted(files)]
            for name, content in entries:
                info = zipfile.ZipInfo(f"{FOLDER}/{name}", DATE)
                info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
                info.external_attr = 0o644 << 16
                data = content if isinstance(content, bytes) else content.read_bytes()
                archive.writestr(info, data)
    partial.replace(out)
    return out


# --- the PDF -----------------------------------------------------------------------------

#: Load every picture; wait for formulas; unfold; move answers behind the text; make each id a place
#: that the PDF knows, for the links of other pages.
PREPARE = r"""async ([style, say]) => {
    const sheet = document.createElement("style");
    sheet.textContent = style;
    document.head.append(sheet);
    document.documentElement.dataset.theme = "light";
    for (const picture of document.images) picture.loading = "eager";
    await Promise.all([...document.images].map((picture) => picture.decode().catch(() => null)));
    const article = document.querySelector("article");
    const answers = [...article.querySelectorAll("details.sd-dropdown")].filter(
        (node) => !node.parentElement.closest("details.sd-dropdown"));
    if (answers.length) {
        const end = document.createElement("section");
        end.id = "print-solutions";
        end.innerHTML = "<h2></h2>";
        end.firstChild.textContent = say.end;
        answers.forEach((node, index) => {
            const title = node.querySelector("summary").textContent.trim();
            const place = document.createElement("div");
            place.className = "print-solution";
            place.id = `print-solution-${index + 1}`;
            const pointer = document.createElement("p");
            pointer.className = "print-pointer";
            pointer.innerHTML = `<a href="#${place.id}"></a>`;
            pointer.firstChild.textContent =
                say.pointer.replace("{title}", title).replace("{number}", index + 1);
            const heading = document.createElement("p");
            heading.innerHTML = `<strong></strong>`;
            heading.firstChild.textContent = `${index + 1}. ${title}`;
            place.append(heading);
            const next = node.nextElementSibling;
            // A hidden cell that follows a solution belongs to it.
            const solved = say.solved.includes(title);
            const code = solved && next && next.matches(".tag_hide-cell");
            node.before(pointer);
            place.append(...[...node.children].slice(1));
            node.remove();
            if (code) place.append(next);
            end.append(place);
        });
        article.append(end);
    }
    for (const node of document.querySelectorAll("details")) node.open = true;
    const places = document.createElement("div");
    places.style.display = "none";
    for (const node of article.querySelectorAll("[id]")) {
        const link = document.createElement("a");
        link.href = "#" + encodeURIComponent(node.id);
        places.append(link);
    }
    document.body.append(places);
    await document.fonts.ready;
}"""

TYPESET = r"""() => [...document.querySelectorAll(".math")].every(
    (node) => node.querySelector("mjx-container, math, svg"))"""


HAN = re.compile("[\u3400-\u9fff]")


def check_fonts(text, address):
    """
    See that a page's Chinese can be printed: without a font, each character would be a box.

    Parameters
    ----------
    text : str
        The text of the page.
    address : str
        Its address, for the message.

    Raises
    ------
    OfflineError
        When the page has Chinese characters, and this machine has no font with them.
    """
    # Where there is no fontconfig (macOS, Windows), the system itself has such fonts.
    listing = shutil.which("fc-list")
    if HAN.search(text) and listing and not subprocess.run(
            [listing, ":lang=zh-cn"], capture_output=True, text=True, check=True).stdout.strip():
        raise OfflineError(f"{address}: it has Chinese characters, and no font here has them; "
                           "install one, such as Debian's fonts-noto-cjk")


def sayings(tr):
    """
    Return what `PREPARE` says, and the titles of solutions to which a hidden cell belongs.

    Parameters
    ----------
    tr : tools.languages.Words
    """
    return {"end": tr("Hints, solutions and answers"),
            "pointer": tr("{title}: no. {number}, at the end of this chapter"),
            "solved": [tr("Solution"), tr("What to look for"), tr("What to see")]}


def _print(page, address, style, say):
    """Return the PDF of one page of the book."""
    page.goto(address, wait_until="networkidle")
    check_fonts(page.inner_text("article"), address)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    # What is far from the window waits for a reader to come near.
    page.evaluate("window.course.whole()")
    try:
        page.wait_for_function(TYPESET, timeout=60_000)
    except Exception as error:
        raise OfflineError(f"{address}: some formulas are not typeset after a minute") from error
    page.emulate_media(media="print", color_scheme="light")
    page.evaluate(PREPARE, [style, say])
    return PdfReader(io.BytesIO(page.pdf(
        prefer_css_page_size=True, print_background=True, outline=True, tagged=True)))


def _numbers(page, titles):
    """Return a PDF of as many pages, each with its number and its chapter's title at the foot."""
    feet = "".join(
        f'<div><span></span><b>{number}</b></div>' for number in range(1, len(titles) + 1))
    page.set_content(
        '<style>@page { size: A4; margin: 0 } body { margin: 0 } div { box-sizing: border-box;'
        ' height: 296.9mm; padding: 284mm 17mm 0; display: flex; justify-content: space-between;'
        ' break-after: page; break-inside: avoid; color: #555;'
        ' font: 8.5pt "Liberation Sans", Arial, "Noto Sans CJK SC", sans-serif }'
        f' div:last-child {{ break-after: auto }}</style>{feet}')
    page.evaluate("""(titles) => document.querySelectorAll("span").forEach(
        (node, index) => { node.textContent = titles[index]; })""", titles)
    return PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))


def _places(reader):
    """Return, for each id of a printed page of the book: page number and the height on it."""
    found = {}
    for name, place in reader.named_destinations.items():
        number = reader.get_destination_page_number(place)
        if number is not None:
            found[unquote(name.lstrip("/"))] = (number, float(place.top or 0))
    return found


def _go_to(writer, number, top):
    """Return a destination: a page, and the height on it or its whole."""
    height = NullObject() if top is None else FloatObject(top)
    return ArrayObject([
        writer.pages[number].indirect_reference, NameObject("/XYZ"), NullObject(), height,
        NullObject()])


def _link(writer, base, documents, starts, places):
    """Turn links to pages of the book into links within the PDF."""
    ends = [*list(starts.values())[1:], len(writer.pages)]
    for name, end in zip(documents, ends, strict=True):
        for number in range(starts[name], end):
            for reference in writer.pages[number].get("/Annots") or ():
                link = reference.get_object()
                if link.get("/Subtype") != "/Link":
                    continue
                action = link.get("/A", DictionaryObject()).get_object()
                target = None
                if "/URI" in action:
                    address, fragment = urldefrag(str(action["/URI"]))
                    if address.startswith(base):
                        target = unquote(address[len(base):]).removesuffix(".html")
                        target = documents[0] if target in ("", "index") else target
                else:
                    place = link.get("/Dest", action.get("/D"))
                    if not isinstance(place, str):
                        continue
                    target, fragment = name, place.lstrip("/")
                if target not in starts:
                    if target is not None:  # the index or a source file: not in the PDF
                        link.pop("/A", None)
                    continue
                page, top = places[target].get(unquote(fragment), (0, None))
                link.pop("/A", None)
                link[NameObject("/Dest")] = _go_to(writer, starts[target] + page, top)


def _bookmarks(writer, reader, outline, start, parent):
    """Copy the headings of one printed page of the book below a bookmark."""
    last = parent
    for item in outline:
        if isinstance(item, list):
            _bookmarks(writer, reader, item, start, last)
        else:
            number = start + reader.get_destination_page_number(item)
            last = writer.add_outline_item(
                title=str(item.title).strip(), page_number=number, parent=parent)


def _below_title(outline):
    """Return the headings below the first: the page's own title is its bookmark already."""
    return outline[1] if len(outline) > 1 and isinstance(outline[1], list) else []


def make_pdf(out=None, site=SITE, only=None, language=ENGLISH):
    """
    Print the pages of the book and join them, with bookmarks, links and page numbers.

    Parameters
    ----------
    out : path-like, optional
        The PDF to write.
    site : path-like
        The built book.
    only : collection of str, optional
        The pages to print; by default all of the table of contents.
    language : tools.languages.Language
        The language of the pages.

    Returns
    -------
    pathlib.Path
        The PDF.
    """
    from playwright.sync_api import sync_playwright

    out = PDF[language] if out is None else Path(out)
    site = built(Path(site, language.folder))
    source = ROOT / tree.OUT if language.folder else ROOT
    config = yaml.safe_load((source / "_config.yml").read_text(encoding="utf-8"))
    tr = words(source)
    say = sayings(tr)
    parts = [(caption, [name for name in names if only is None or name in only])
             for caption, names in contents(source)]
    documents = [name for _, names in parts for name in names]
    style, readers, titles = STYLE.read_text(encoding="utf-8"), {}, {}
    with sync_playwright() as playwright, Server(site) as server:
        running = chromium.launch(playwright, chromium.get())
        for name in documents:
            page = running.new_page(viewport={"width": 1000, "height": 1400})
            readers[name] = _print(page, f"{server.address}{quote(name)}.html", style, say)
            titles[name] = page.title().split(" — ")[0]
            page.close()
        feet = [titles[name] for name in documents for _ in readers[name].pages]
        numbers = _numbers(running.new_page(), feet)
        base = server.address
        running.close()
    if len(numbers.pages) != len(feet):
        raise OfflineError(f"{len(feet)} pages have {len(numbers.pages)} feet: mend _numbers")
    writer, starts = PdfWriter(), {}
    for name in documents:
        starts[name] = len(writer.pages)
        writer.append(readers[name], import_outline=False)
    for page, foot in zip(writer.pages, numbers.pages, strict=True):
        page.merge_page(foot)
    _link(writer, base, documents, starts, {n: _places(readers[n]) for n in documents})
    for caption, names in parts:
        above = (writer.add_outline_item(title=caption, page_number=starts[names[0]], bold=True)
                 if caption and names else None)
        for name in names:
            mark = writer.add_outline_item(
                title=titles[name], page_number=starts[name], parent=above)
            outline = _below_title(readers[name].outline)
            _bookmarks(writer, readers[name], outline, starts[name], mark)
    writer.add_metadata({
        "/Title": config["title"], "/Author": config["author"],
        "/Subject": tr("A course on convolutional networks that runs")})
    writer.root_object[NameObject("/Lang")] = TextStringObject(language.tag)
    writer.root_object[NameObject("/PageMode")] = NameObject("/UseOutlines")
    writer.compress_identical_objects()
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".part")
    writer.write(partial)
    partial.replace(out)
    return out


def main():
    """Make one of the offline editions."""
    parser = argparse.ArgumentParser(prog="python -m tools.offline", description=__doc__)
    parser.add_argument("edition", choices=["zip", "pdf"])
    try:
        if parser.parse_args().edition == "zip":
            made = [make_zip()]
        else:
            made = [make_pdf(language=one) for one in LANGUAGES]
    except (OfflineError, EditionError, chromium.BrowserError) as error:
        sys.exit(f"offline: {error}")
    for out in made:
        print(f"{out.relative_to(ROOT)}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
