"""
The book in other languages: one source, and a catalogue of translated messages beside it.

    python -m tools.translation update [catalogue ...]   bring catalogues up to date with the source
    python -m tools.translation check  [catalogue ...]   everything that makes a translation wrong
    python -m tools.translation count  [catalogue ...]   how much there is, and how much is left
    python -m tools.translation build  [--draft]         the translated source, into build/zh
    python -m tools.translation place                    its built book, into _build/html/zh
    python -m tools.translation readme                   README.zh.md, from README.md

A catalogue is a GNU gettext file, ``locale/zh_CN/LC_MESSAGES/chapters/03_lenet.po`` for
``chapters/03_lenet.py``. A message is one block of prose: a heading, a paragraph, a cell of a
table, an alternative text, a comment in the code. How the English lines are wrapped does not
matter.

``sources`` knows where prose is, with ``markdown``, ``comments``, ``strings`` and ``labels`` for
what is within a file, ``values`` for what chapters quote, and ``interface`` for what the tools say;
``catalogue`` reads and writes;
``faults``, ``style`` and ``glossary`` say what is wrong; ``tree`` writes the translated source,
with ``anchors`` for the addresses of its headings.
"""
