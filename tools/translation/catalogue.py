"""Read and write catalogues, and bring them up to date with the source."""

from difflib import SequenceMatcher
from pathlib import Path

import polib

from tools.translation.messages import TranslationError
from tools.translation.sources import ROOT

LANGUAGE = "zh_CN"
FOLDER = f"locale/{LANGUAGE}/LC_MESSAGES"
#: How alike an old and a new message must be for the old translation to be a start.
ALIKE = 0.55

_HEAD = {"Language": LANGUAGE, "MIME-Version": "1.0", "Content-Type": "text/plain; charset=UTF-8",
         "Content-Transfer-Encoding": "8bit"}


def path_of(name, root=ROOT):
    """Return the path of a catalogue."""
    return Path(root) / FOLDER / f"{name}.po"


def read(name, root=ROOT):
    """
    Read a catalogue.

    Parameters
    ----------
    name : str
        Such as ``"chapters/03_lenet"``.
    root : path-like
        The folder of the repository.

    Returns
    -------
    polib.POFile
        Empty where there is no file yet.

    Raises
    ------
    TranslationError
        When the file is no catalogue, or has a message twice.
    """
    path = path_of(name, root)
    if not path.is_file():
        return polib.POFile(wrapwidth=0)
    try:
        found = polib.pofile(str(path), encoding="utf-8", wrapwidth=0, check_for_duplicates=True)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        # polib puts the whole path in front, or the whole entry.
        cause = str(error).rpartition(f"{path.name} ")[2].split("\n")[0]
        raise TranslationError(f"{FOLDER}/{name}.po: it cannot be read: {cause}") from None
    return found


def _words(text):
    return text.lower().split()


def _likeness(one, other):
    matcher = SequenceMatcher(None, _words(one), _words(other), False)
    return matcher.ratio() if matcher.quick_ratio() > ALIKE else 0.0


def updated(messages, old, elsewhere=()):
    """
    Return a catalogue of the messages that there are now.

    A translation stays with its message. The translation of a message that is gone goes to the new
    message that is most like it, if any is; it is then *fuzzy*, with the English it was made for
    beside it. A message that is translated in another catalogue is translated alike.

    Parameters
    ----------
    messages : dict
        What `tools.translation.sources.extract` returns.
    old : polib.POFile
        The catalogue so far.
    elsewhere : dict
        English -> translation, in the other catalogues.

    Returns
    -------
    polib.POFile
        In the order of the source.
    """
    before, elsewhere = {e.msgid: e for e in old if not e.obsolete}, dict(elsewhere)
    fresh = [text for text in messages if text not in before]
    gone = [entry for text, entry in before.items() if text not in messages and entry.msgstr]
    pairs = sorted(((_likeness(entry.previous_msgid or entry.msgid, text), number, text, entry)
                    for number, entry in enumerate(gone) for text in fresh),
                   key=lambda pair: (-pair[0], pair[1]))
    starts, used = {}, set()
    for likeness, number, text, entry in pairs:
        if likeness > ALIKE and text not in starts and number not in used:
            starts[text] = entry
            used.add(number)
    made = polib.POFile(wrapwidth=0)
    made.metadata = dict(_HEAD)
    for text, message in messages.items():
        files = dict.fromkeys(place.rpartition(":")[0] or place for place in message.places)
        entry = polib.POEntry(msgid=text, comment="\n".join(message.kinds),
                              occurrences=[(file, "") for file in files])
        if text in before and (before[text].msgstr or text not in elsewhere):
            kept = before[text]
            entry.msgstr, entry.tcomment = kept.msgstr, kept.tcomment
            if kept.fuzzy:
                entry.flags, entry.previous_msgid = ["fuzzy"], kept.previous_msgid
        elif text in elsewhere:
            entry.msgstr = elsewhere[text]
        elif text in starts:
            start = starts[text]
            entry.msgstr, entry.tcomment, entry.flags = start.msgstr, start.tcomment, ["fuzzy"]
            entry.previous_msgid = start.previous_msgid or start.msgid
        if entry.fuzzy and not entry.msgstr:
            entry.flags, entry.previous_msgid = [], None
        made.append(entry)
    return made


def text_of(made):
    """Return a catalogue as it is written: the same messages give the same bytes."""
    return str(made).rstrip("\n") + "\n"


def write(made, name, root=ROOT):
    """
    Write a catalogue, where it differs from what is there.

    Returns
    -------
    bool
        Whether it differed.
    """
    path, text = path_of(name, root), text_of(made)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return True


def translations(name, root=ROOT):
    """Return English -> translation of a catalogue, without what is fuzzy or missing."""
    return {entry.msgid: entry.msgstr for entry in read(name, root)
            if entry.msgstr and not entry.fuzzy and not entry.obsolete}
