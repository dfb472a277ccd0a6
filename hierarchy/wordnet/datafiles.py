"""WordNet's data files as NLTK keeps them: where they are, and the nouns that they describe."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from hierarchy.errors import WordNetMissing

VERSION = "3.0"  # the ids of ImageNet are offsets in its data.noun
READ = ("data.noun", "index.noun", "noun.exc", "cntlist.rev")  # the files that describe nouns

# WordNet's lexicographer files in the order of their numbers, by part of speech (lexnames(5WN)). Debian omits the
# file, but NLTK needs it.
_NOUNS = (
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object"
    " person phenomenon plant possession process quantity relation shape state substance time"
)
_VERBS = (
    "body change cognition communication competition consumption contact creation emotion motion perception possession"
    " social stative weather"
)
LEXNAMES = (
    ("adj.all", 3),
    ("adj.pert", 3),
    ("adv.all", 4),
    *((f"noun.{name}", 1) for name in _NOUNS.split()),
    *((f"verb.{name}", 2) for name in _VERBS.split()),
    ("adj.ppl", 3),
)


@dataclass(frozen=True)
class Noun:
    """One line of data.noun; words have "_" for spaces, and their lex_ids make up sense keys."""

    offset: int
    field: int  # the number of its lexicographer's file
    words: tuple[str, ...]
    lex_ids: tuple[int, ...]
    hypernyms: tuple[int, ...]  # offsets; those of which it is an instance last
    gloss: str  # the definition, without examples


def find_data() -> Path:
    """The folder of the data files, or the zip that holds it, in the first place where NLTK looks that has one.

    Raises:
        WordNetMissing: there is none.
    """
    for folder in search_path():
        found = Path(folder) / "corpora" / "wordnet"
        if all((found / name).is_file() for name in READ):
            return found
        if found.with_suffix(".zip").is_file():
            return found.with_suffix(".zip")
    raise WordNetMissing("WordNet is not installed; run `hierarchy wordnet install`")


def search_path() -> list[str]:
    """The folders in which NLTK looks for data: a program's own choice, if it has loaded NLTK, else NLTK's default.

    NLTK is not imported for this; that takes a second.
    """
    loaded = sys.modules.get("nltk.data")
    if loaded is not None:
        return [str(folder) for folder in loaded.path]
    own = [folder for folder in os.environ.get("NLTK_DATA", "").split(os.pathsep) if folder]
    here = [str(Path(sys.prefix, *place)) for place in (("nltk_data",), ("share", "nltk_data"), ("lib", "nltk_data"))]
    if os.name == "nt":
        system = [str(Path(root, "nltk_data")) for root in (os.environ.get("APPDATA", "C:\\"), "C:\\", "D:\\", "E:\\")]
    else:
        system = [f"/usr/{place}/nltk_data" for place in ("share", "local/share", "lib", "local/lib")]
    # Path.expanduser raises an error where the user has no home, as in some containers
    return [*(os.path.expanduser(folder) for folder in (*own, "~/nltk_data")), *here, *system]  # noqa: PTH111


def read_files(data: Path) -> dict[str, str]:
    """The text of each file that describes nouns.

    Raises:
        WordNetMissing: a file cannot be read, or they are of another version.
    """
    try:
        if data.suffix == ".zip":
            with ZipFile(data) as archive:
                found = {name: archive.read(f"wordnet/{name}").decode("utf-8") for name in READ}
        else:
            found = {name: (data / name).read_text(encoding="utf-8") for name in READ}
    except (OSError, KeyError, BadZipFile, UnicodeDecodeError) as error:
        raise damaged(data, error) from error
    version = re.search(r"WordNet (\d\.\d) Copyright", found["data.noun"][:3000])
    if version is None or version[1] != VERSION:
        other = f"WordNet {version[1]}" if version else "no WordNet"
        raise WordNetMissing(
            f"{str(data)!r} is {other}, but the ids of ImageNet need {VERSION}; delete it and run `hierarchy wordnet"
            " install`"
        )
    return found


def damaged(data: Path, error: Exception) -> WordNetMissing:
    """The error for data files that cannot be understood."""
    return WordNetMissing(
        f"WordNet's data in {str(data)!r} is damaged ({error}); delete it and run `hierarchy wordnet install`"
    )


def read_nouns(text: str) -> Iterator[Noun]:
    """The nouns of data.noun (wndb(5WN))."""
    for line in text.splitlines():
        if line.startswith("  "):  # the licence
            continue
        columns, _, gloss = line.partition("|")
        offset, field, _, count, *rest = columns.split()
        end = 2 * int(count, 16)
        pointers = rest[end + 1 :]
        kinds = [int(to) for symbol, to in zip(pointers[::4], pointers[1::4], strict=False) if symbol == "@"]
        instances = [int(to) for symbol, to in zip(pointers[::4], pointers[1::4], strict=False) if symbol == "@i"]
        yield Noun(
            int(offset),
            int(field),
            tuple(rest[:end:2]),
            tuple(int(number, 16) for number in rest[1:end:2]),
            (*kinds, *instances),
            re.sub(r"\".*?\"", "", gloss).strip().strip("; "),
        )


def read_senses(text: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The words of index.noun, in lower case with "_" for spaces, and their senses' offsets, most frequent first."""
    for line in text.splitlines():
        if not line.startswith("  "):
            word, _, count, *rest = line.split()
            yield word, tuple(map(int, rest[-int(count) :]))


def read_counts(text: str) -> Mapping[str, int]:
    """Sense key -> how often the sense occurs in the tagged texts; cntlist.rev."""
    found = {}
    for line in text.splitlines():
        key, _, count = line.split()
        found[key] = int(count)
    return found


def read_exceptions(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Irregular plurals and the words that they are plurals of; noun.exc."""
    for line in text.splitlines():
        form, *words = line.split()
        yield form, tuple(words)
