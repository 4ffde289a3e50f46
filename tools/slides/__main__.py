"""
A deck of slides for each chapter that has stored outputs, each one file that needs no network.

    python -m tools.slides [chapter ...]
"""

import argparse
import sys
from pathlib import Path

from tools import pairs
from tools.notebook_edition import EditionError
from tools.slides import deck

OUT = pairs.ROOT / "build" / "slides"


def main(arguments=None):
    """Write the decks and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.slides", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", metavar="chapter", help="all by default")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write (build/slides)")
    options = parser.parse_args(arguments)
    written = pairs.notebooks()
    stems = [Path(name).stem for name in options.chapters] or written
    for stem in stems:
        if stem not in written:
            print(f"{stem}: no stored notebook; there are: {', '.join(written)}", file=sys.stderr)
            return 1
    options.out.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        try:
            text = deck.make(stem)
        except (EditionError, deck.SlidesError) as error:
            print(f"{stem}: {error}", file=sys.stderr)
            return 1
        path = options.out / f"{stem}.html"
        pairs.replace_text(path, text)
        print(f"{path}: {text.count('<section ')} slides, {len(text.encode()) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
