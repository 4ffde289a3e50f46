"""
The translations of the book.

    python -m tools.translation update [catalogue ...]   bring catalogues up to date with the source
    python -m tools.translation check  [catalogue ...]   everything that makes a translation wrong
    python -m tools.translation count  [catalogue ...]   how much there is, and how much is left
    python -m tools.translation build  [--draft]         the translated source, into build/zh
    python -m tools.translation place                    its built book, into _build/html/zh
    python -m tools.translation readme                   README.zh.md, from README.md

A catalogue is named like its source: chapters/03_lenet, pages/teachers, README.
"""

import argparse
import sys
from difflib import get_close_matches

from tools.translation import catalogue, faults, glossary, sources, tree
from tools.translation.messages import TranslationError


def _named(given, root):
    """Return the catalogues that a command is about; their files may be named as well."""
    known, found = sources.catalogues(root), []
    for text in given:
        name = text.replace("\\", "/").partition(f"{catalogue.FOLDER}/")[2] or text
        for suffix in (".po", ".py", ".ipynb", ".md", "/master"):
            name = name.removesuffix(suffix)
        if name not in known:
            near = get_close_matches(name, known, 1, 0.3)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise TranslationError(f"{text}: no such catalogue; {hint}")
        found.append(name)
    return found or known


def update(names, root):
    """Bring catalogues up to date with the source."""
    known = {}
    for name in sources.catalogues(root):
        known |= {text: (name, said) for text, said in catalogue.translations(name, root).items()}
    for name in names:
        elsewhere = {text: said for text, (owner, said) in known.items() if owner != name}
        made = catalogue.updated(sources.extract(name, root), catalogue.read(name, root), elsewhere)
        if catalogue.write(made, name, root):
            print(f"{name}: written")
    wanted = {catalogue.path_of(name, root) for name in sources.catalogues(root)}
    for path in sorted((root / catalogue.FOLDER).rglob("*.po")):
        if path not in wanted:
            print(f"{path.relative_to(root)}: no source any more; delete it")
    return 0


def check(names, root):
    """Print everything that makes a translation wrong."""
    terms = glossary.read(root)
    found = [fault for name in names for fault in faults.check(name, root, terms)]
    found += [fault for fault in faults.unlike(root)
              if any(f"/{name}.po:" in fault for name in names)]
    wanted = {catalogue.path_of(name, root) for name in sources.catalogues(root)}
    found += [f"{path.relative_to(root)}: no source has this catalogue; delete it"
              for path in sorted((root / catalogue.FOLDER).rglob("*.po")) if path not in wanted]
    if "README" in names and not any("/README.po" in fault for fault in found):
        path = root / tree.README
        if not path.is_file() or path.read_text(encoding="utf-8") != tree.readme(root):
            found.append(f"{tree.README}: not what README.md and its catalogue make; "
                         "python -m tools.translation readme")
    for fault in found:
        print(fault, file=sys.stderr)
    print(f"{len(names)} catalogues checked, {len(found)} faults")
    return 1 if found else 0


def count(names, root):
    """Print how much there is, and how much is left."""
    total = [0, 0, 0, 0]
    print(f"{'messages':>8} {'words':>7} {'left':>6} {'fuzzy':>6}")
    for name in names:
        messages = sources.extract(name, root)
        stored = {entry.msgid: entry for entry in catalogue.read(name, root)}
        row = [len(messages), sum(len(text.split()) for text in messages),
               sum(not (text in stored and stored[text].msgstr) for text in messages),
               sum(text in stored and stored[text].fuzzy for text in messages)]
        total = [a + b for a, b in zip(total, row, strict=True)]
        print("{:>8} {:>7} {:>6} {:>6}  {}".format(*row, name))
    print("{:>8} {:>7} {:>6} {:>6}  in all".format(*total))
    return 0


def build(root, draft):
    """Write the translated source."""
    tree.write(root, draft=draft)
    return 0


def place(names, root):
    """Put the built Chinese book into the built English one."""
    tree.place(root / "_build" / "html", root)
    return 0


def readme(names, root):
    """Write the Chinese README."""
    (root / tree.README).write_text(tree.readme(root), encoding="utf-8", newline="\n")
    return 0


def main(arguments=None):
    """Run one verb and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.translation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, metavar="verb")
    for action in (update, check, count):
        verb = verbs.add_parser(action.__name__, help=action.__doc__)
        verb.add_argument("names", nargs="*", metavar="catalogue")
        verb.set_defaults(action=action)
    verb = verbs.add_parser("build", help="write the translated source into build/zh")
    verb.add_argument("--draft", action="store_true", help="leave English what is not translated")
    verb.set_defaults(action=lambda names, root: build(root, options.draft), names=())
    verb = verbs.add_parser("place", help="put the built Chinese book into the built English one")
    verb.set_defaults(action=place, names=())
    verb = verbs.add_parser("readme", help="write the Chinese README")
    verb.set_defaults(action=readme, names=())
    options = parser.parse_args(arguments)
    try:
        return options.action(_named(options.names, sources.ROOT), sources.ROOT)
    except TranslationError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
