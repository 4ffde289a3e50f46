"""Write the translated source of the book: what the ordinary tools then build, run and publish."""

import os
import shutil
from pathlib import Path

import nbformat
import yaml

from tools.languages import CHINESE
from tools.translation import anchors, catalogue, glossary, sources
from tools.translation.messages import TranslationError

OUT = "build/zh"
#: What the translated source shares with the English one: files and folders.
SHARED = ("assets", "assignments", "CITATION.cff", "references.bib", "results.json")
#: What a build leaves in the translated source.
BUILT = "_build"
#: The Chinese README, which is committed: whoever looks at the repository has built nothing.
README = "README.zh.md"
#: The words that the search must not take apart.
DICTIONARY = "dictionary.txt"


def speaker(name, root, draft=False):
    """
    Return the `say` that puts the translations of a catalogue in place.

    Parameters
    ----------
    name : str
        Such as ``"chapters/03_lenet"``.
    root : path-like
        The folder of the repository.
    draft : bool
        Whether English may stay where there is no translation, or only a fuzzy one.
    """
    known = catalogue.translations(name, root)

    def say(text, kind, place):
        if text in known:
            return known[text]
        if draft:
            return text
        raise TranslationError(f"{place}: no translation of {text[:60]!r}; see "
                               f"{catalogue.FOLDER}/{name}.po, and "
                               f"python -m tools.translation check {name}")

    return say


def files(root=sources.ROOT, draft=False):
    """
    Return what differs from the English source.

    Parameters
    ----------
    root : path-like
        The folder of the repository.
    draft : bool
        As for `speaker`.

    Returns
    -------
    dict
        Path in the translated source -> its text.
    """
    made = {}
    for name in sources.catalogues(root):
        listener = anchors.Listener(speaker(name, root, draft))
        if name == "README":
            continue
        made |= sources.translate(name, listener, root)
        if name == "intro" or name.startswith(("pages/", "chapters/")):
            made |= listener.files(name)
    made[DICTIONARY] = glossary.dictionary(glossary.read(root))
    return {path: (content if isinstance(content, str) else nbformat.writes(content)).rstrip("\n")
            + "\n" for path, content in made.items()}


def configuration(text, root, out):
    """
    Return the configuration of the translated book.

    Parameters
    ----------
    text : str
        The English one, its titles translated.
    root, out : path-like
        The folder of the repository, and of the translated source.

    Returns
    -------
    str
    """
    config = yaml.safe_load(text)
    back = Path(os.path.relpath(Path(root).resolve(), Path(out).resolve()))
    sphinx = config["sphinx"]
    sphinx["config"] |= {"language": CHINESE.code, "course_source": back.as_posix()}
    # One set of extensions serves both books.
    sphinx["local_extensions"] = {
        name: (back / folder).as_posix() for name, folder in sphinx["local_extensions"].items()}
    return yaml.safe_dump(config, allow_unicode=True, sort_keys=False)


def write(root=sources.ROOT, out=None, draft=False):
    """
    Write the translated source; what is there already and right is not touched.

    So the build that follows reads the pages that have changed, and no others.

    Parameters
    ----------
    root : path-like
        The folder of the repository.
    out : path-like, optional
        The folder to write. What else it holds is removed, but for what a build left in it.
    draft : bool
        As for `speaker`.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    root = Path(root)
    out = root / OUT if out is None else Path(out)
    made = files(root, draft)
    made["_config.yml"] = configuration(made["_config.yml"], root, out)
    for name, text in made.items():
        path, content = out / name, text.encode()
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for name in SHARED:
        source = root / name
        for path in source.rglob("*") if source.is_dir() else [source]:
            file = path.relative_to(root).as_posix()
            if not path.is_file() or "__pycache__" in path.parts or file in made:
                continue
            made[file] = None
            _copy(path, out / file)
    _sweep(out, set(made))
    return out


def readme(root=sources.ROOT):
    """
    Return the text of the Chinese README, which lies beside the English one.

    Parameters
    ----------
    root : path-like
        The folder of the repository.

    Returns
    -------
    str
    """
    made = sources.translate("README", speaker("README", root), root)["README.md"]
    return f"{made.rstrip()}\n"


def _copy(source, target):
    """Copy a file unless it is there, as large and as old."""
    if target.is_file():
        one, other = source.stat(), target.stat()
        if (one.st_size, int(one.st_mtime)) == (other.st_size, int(other.st_mtime)):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _sweep(out, wanted):
    """Remove what an earlier run wrote and this one did not."""
    for path in sorted(out.rglob("*"), reverse=True):
        file = path.relative_to(out).as_posix()
        if file.split("/")[0] == BUILT:
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif file not in wanted:
            path.unlink()


def place(site, root=sources.ROOT, out=None):
    """
    Put the built Chinese book into the site, as a folder of the English one.

    Parameters
    ----------
    site : path-like
        The built English book.
    root : path-like
        The folder of the repository.
    out : path-like, optional
        The translated source, with the book that was built in it.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    TranslationError
        When one of the two books is not built.
    """
    built = (Path(root) / OUT if out is None else Path(out)) / BUILT / "html"
    target = Path(site) / CHINESE.folder.rstrip("/")
    for folder in (built, Path(site)):
        if not (folder / "index.html").is_file():
            raise TranslationError(f"there is no built book in {folder.name}/: run `make book`")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(built, target, ignore=shutil.ignore_patterns(".buildinfo"))
    return target
