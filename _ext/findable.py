"""What makes the book findable and quotable: addresses, previews, a map of the site, citations.

Where the book is published follows from where its repository is (`tools.site.repository`). With
it, every page names its canonical address and what a link to it shows (Open Graph), and the site
has a ``sitemap.xml``, and a ``robots.txt`` that names those of all languages. Without it none of
these is written: an address that leads nowhere is worse than none. How to cite a chapter stands at
its foot in either case.
"""

import html
import re
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import yaml
from docutils import nodes

#: Pages that lead to others and say nothing themselves.
MADE = ("search", "genindex", "py-modindex")


def published(repository):
    """
    Return the address of the book, with a slash at its end, or an empty string.

    Examples
    --------
    >>> published("https://github.com/Someone/course")
    'https://someone.github.io/course/'
    >>> published("https://github.com/someone/someone.github.io")
    'https://someone.github.io/'
    >>> published(""), published("https://git.school.example/someone/course")
    ('', '')
    """
    parts = urlsplit(repository)
    if parts.netloc != "github.com":
        return ""
    owner, name = parts.path.strip("/").split("/")[:2]
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def configure(app, config):
    """Tell Sphinx where the book will be: it writes the canonical links."""
    from tools.languages import language
    from tools.site import repository

    base = published(repository())
    config.html_baseurl = base and base + language(config.language).folder


def preview(title, text, address, site):
    """Return the Open Graph tags of a page."""
    found = {"og:type": "article", "og:title": title, "og:description": text, "og:url": address,
             "og:site_name": site}
    return "".join(
        f'\n<meta property="{name}" content="{html.escape(value)}">'
        for name, value in found.items() if value)


def citation(title, page, cff, address, book, tr):
    """
    Return a chapter's citation, as a sentence and as BibTeX.

    Parameters
    ----------
    title : str
        The chapter's title.
    page : str
        Its name, such as ``chapters/01_convolution``.
    cff : dict
        What ``CITATION.cff`` says.
    address : str
        The page's address, or an empty string.
    book : str
        The book's title.
    tr : tools.languages.Words

    Returns
    -------
    (str, str)
    """
    author = " and ".join(
        person.get("name") or f"{person['family-names']}, {person['given-names']}"
        for person in cff["authors"])
    year, version = str(cff["date-released"])[:4], cff["version"]
    sentence = tr("{author} ({year}). {title}. In: {book}, version {version}.", author=author,
                  year=year, title=title, book=book, version=version)
    fields = {"author": f"{{{author}}}", "title": title, "booktitle": book, "year": year,
              "note": tr("Version {version}", version=version)}
    if address:
        sentence += f" {address}"
        fields["url"] = address
    key = re.sub(r"\W+", "_", page.rpartition("/")[2])
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return sentence, f"@incollection{{seeing_with_numbers_{key},\n{lines}}}"


def citation_block(sentence, bibtex, tr):
    """Return the block at the foot of a chapter; the theme's script gives it a copy button."""
    boxes = "".join(
        f'<div class="highlight-none notranslate"><div class="highlight"><pre>{html.escape(text)}'
        "\n</pre></div></div>" for text in (sentence, bibtex))
    return (f'\n<details class="course-cite"><summary>{tr("Cite this chapter")}</summary>'
            f"{boxes}</details>\n")


def add_to_page(app, pagename, templatename, context, doctree):
    """Add the preview to a page's head, and the citation to a chapter's foot."""
    if doctree is None:
        return
    base = app.config.html_baseurl
    address = f"{base}{pagename}.html" if base else ""
    title = next(doctree.findall(nodes.title)).astext()
    if base:
        from course import description

        text = description(doctree, app.env.metadata[pagename])
        context["metatags"] = context.get("metatags", "") + preview(
            title, text, address, app.config.html_title)
    if pagename.startswith("chapters/"):
        file = Path(app.srcdir) / "CITATION.cff"
        if file.is_file():
            from tools.languages import ENGLISH, words

            cff, tr = yaml.safe_load(file.read_text(encoding="utf-8")), words(app.srcdir)
            english = app.config.language == ENGLISH.code
            book = cff["title"] if english else app.config.html_title
            if not english:
                cff["authors"] = [{"name": app.config.author}]
            context["body"] += citation_block(
                *citation(title, pagename, cff, address, book, tr), tr)


def write_map(app, error):
    """Write the map of the site for search engines, where the site has an address."""
    from tools.languages import LANGUAGES, language

    if error is not None or app.builder.format != "html":
        return
    here = language(app.config.language)
    out, base = Path(app.outdir), app.config.html_baseurl
    if not base:
        for name in ("sitemap.xml", "robots.txt"):
            (out / name).unlink(missing_ok=True)
        return
    places = "".join(
        f"  <url><loc>{escape(base + name)}.html</loc></url>\n"
        for name in sorted(app.env.found_docs) if name not in MADE)
    (out / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{places}</urlset>\n',
        encoding="utf-8")
    # One for the whole site, which is where robots look for it.
    if not here.folder:
        maps = "".join(f"Sitemap: {base}{one.folder}sitemap.xml\n" for one in LANGUAGES)
        (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\n{maps}", encoding="utf-8")


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", configure, priority=900)
    app.connect("html-page-context", add_to_page)
    app.connect("build-finished", write_map)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
