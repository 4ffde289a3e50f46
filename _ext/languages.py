"""The book in more than one language: the switch, the addresses of sections, the Chinese search.

- Every page has a link to the same page in the other language, in its header for readers and in its
  head for search engines. Both books lie in one site, so the links work from files too.
- The sections of a translated page have the ids of the English ones, so that a link to a section is
  good in both books. The list lies beside the page (`tools.translation.anchors`).
- The Chinese search takes sentences apart with jieba's dictionary and the words of the course;
  what a reader types is taken apart by the words that the index has.
- Chinese is emphasised with dots, as Chinese books do it; words in Latin letters are slanted.
- The ``terms`` directive makes a table of the terms in both languages, from the file that every
  translation is held against.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.search.zh import SearchChinese
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).resolve().parent
TEMPLATE = "course-language.html"


# --- the switch --------------------------------------------------------------------------


def configure(app, config):
    """Put the switch into the header of the theme, and say what the theme says in English only."""
    from tools.languages import words

    tr = words(app.srcdir)
    # Before those of the theme, which has one of the same name.
    config.templates_path = [str(HERE / "templates"), *config.templates_path]
    config.html_theme_options = {
        **config.html_theme_options,
        "article_header_end": [TEMPLATE, "article-header-buttons.html"],
        "search_bar_text": tr("Search this book..."),
    }


def addresses(page, here, base):
    """
    Return where a page lies in each language.

    Parameters
    ----------
    page : str
        Its name, such as ``chapters/01_convolution``.
    here : tools.languages.Language
        The language of the page that links.
    base : str
        The public address of the English book; empty while there is none.

    Returns
    -------
    dict
        Language -> address: relative to the page where there is no public one.
    """
    from tools.languages import LANGUAGES

    root = base or "../" * (page.count("/") + here.folder.count("/"))
    return {one: f"{root}{one.folder}{page}.html" for one in LANGUAGES}


def add_to_page(app, pagename, templatename, context, doctree):
    """Tell the page, and search engines, where it is in the other languages."""
    from findable import published

    from tools.languages import ENGLISH, language
    from tools.site import repository

    here = language(app.config.language)
    context["course_languages"] = [
        {"href": address, "tag": one.tag, "name": one.name}
        for one, address in addresses(pagename, here, "").items() if one != here]
    found = addresses(pagename, here, published(repository()))
    links = [(one.tag, address) for one, address in found.items()]
    context["metatags"] = context.get("metatags", "") + "".join(
        f'\n<link rel="alternate" hreflang="{tag}" href="{address}">'
        for tag, address in [*links, ("x-default", found[ENGLISH])])


# --- the addresses of sections -----------------------------------------------------------


class Anchors(SphinxTransform):
    """Give the sections of a translated page the ids that they have in English."""

    # Before anything that refers to a section.
    default_priority = 100

    def apply(self):
        """Replace the ids, and the names by which MyST knows the sections."""
        path = Path(self.env.srcdir) / "anchors" / f"{self.env.docname}.json"
        if not path.is_file():
            return
        self.env.note_dependency(str(path))
        wanted = json.loads(path.read_text(encoding="utf-8"))
        sections = list(self.document.findall(nodes.section))
        if len(sections) != len(wanted):
            logging.getLogger(__name__).warning(
                "it has %s sections, and its English source %s headings: `python -m "
                "tools.translation build` writes the list", len(sections), len(wanted),
                location=self.env.docname)
            return
        slugs = {}
        for section, (name, slug) in zip(sections, wanted, strict=True):
            for old in section["ids"]:
                self.document.ids.pop(old, None)
            for text in section["names"]:
                self.document.nameids[text] = name
            section["ids"] = [name]
            section["slug"] = slug
            self.document.ids[name] = section
            slugs[slug] = (section.line, name, section[0].astext())
        # What `#how-big-is-the-map` means in links within the page, and from others.
        self.document.myst_slugs = slugs
        self.env.metadata[self.env.docname]["myst_slugs"] = slugs


# --- emphasis ----------------------------------------------------------------------------


def slant_latin(app, doctree, docname):
    """Mark what is emphasised and has no Chinese in it, such as *et al.*: it gets no dots.

    The citations are known only now, when all pages have been read.
    """
    for node in doctree.findall(nodes.emphasis):
        if not re.search("[\u3400-\u9fff]", node.astext()):
            node["classes"].append("latin")


# --- the search --------------------------------------------------------------------------


class Chinese(SearchChinese):
    """Sphinx's Chinese search, with the words of the course, and for what readers type."""

    js_splitter_code = (HERE / "splitter.js").read_text(encoding="utf-8")

    def init(self, options):
        """Read the words of the course."""
        # Sphinx looks for jieba, and does without it in silence; then it finds no Chinese. This one
        # is the same dictionary and method, and has a wheel for every platform.
        from rjieba import Jieba

        self.jieba = Jieba()
        for word in options.get("words", "").split():
            self.jieba.add_word(word, None, None)
        # Sphinx looks each word up in a list, which takes longer than all the rest of the build.
        self.latin_terms = set()
        super().init(options)

    def split(self, input):
        """Return the words of a text: Chinese ones of the dictionary, and all others."""
        latin = self.latin1_letters.findall(input)
        self.latin_terms.update(latin)
        return latin + [word for run in re.findall("[\u3400-\u9fff]+", input)
                        for word in self.jieba.cut_for_search(run, hmm=False)]

    @classmethod
    def configure(cls, app, config):
        """Hand over the words of the course; when they change, the pages are indexed anew."""
        path = Path(app.srcdir) / "dictionary.txt"
        if path.is_file():
            config.html_search_options = {"words": path.read_text(encoding="utf-8")}


# --- the terms ---------------------------------------------------------------------------


class Terms(SphinxDirective):
    """``terms``: the words of the course in English and in Chinese."""

    def run(self):
        """Return the table; remarks are in Chinese, so the English book leaves them out."""
        from course import build_table

        from tools.languages import CHINESE, words
        from tools.translation import glossary

        root, tr = HERE.parent, words(self.env.srcdir)
        self.env.note_dependency(str(root / glossary.FILE))
        columns = 3 if self.config.language == CHINESE.code else 2
        head = [tr("English"), tr("Chinese"), tr("Remark")]
        rows = [[term.en, "、".join(term.zh), term.note] for term in
                sorted(glossary.read(root).terms, key=lambda term: term.en.lower())]
        return [build_table(head[:columns], [row[:columns] for row in rows], ["course-terms"])]


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", configure)
    app.connect("config-inited", Chinese.configure)
    # Before the theme, which leaves out what has nothing to show.
    app.connect("html-page-context", add_to_page, priority=100)
    app.connect("doctree-resolved", slant_latin)
    app.add_transform(Anchors)
    app.add_search_language(Chinese)
    app.add_directive("terms", Terms)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
