"""WordNet's nouns as an SQLite file beside NLTK's data: opens in milliseconds where the data files take seconds.

It is made on first use. Several processes may make it at once: each writes a file of its own and renames it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from graphlib import TopologicalSorter
from pathlib import Path

from hierarchy.files import replacing
from hierarchy.wordnet.datafiles import (
    LEXNAMES,
    READ,
    Noun,
    damaged,
    find_data,
    read_counts,
    read_exceptions,
    read_files,
    read_nouns,
    read_senses,
)

FORMAT = 1  # part of the file's name, so that two versions of this package may share the data
NAME = f"wordnet-nouns.{FORMAT}.sqlite"
TABLES = """
create table about (made_from text, synsets integer);
create table synsets (
    offset integer primary key, words text, gloss text, hypernyms text, field text, uses text, depth integer,
    below integer
);
create table words (word text primary key, offsets text) without rowid;
create table exceptions (form text primary key, words text) without rowid;
"""


def open_index(data: Path | None = None) -> sqlite3.Connection:
    """Opens the index of some data, by default that which NLTK reads; makes it if it is missing, outdated or broken.

    It lies beside the data; if that is read-only, in the user's cache; if that is read-only too, in memory, where it
    lasts as long as the process.

    Raises:
        WordNetMissing: WordNet is not installed, is not version 3.0 or is damaged.
    """
    data = data or find_data()
    stamp = _stamp(data)
    for place in _places(data):
        found = _open(place, stamp)
        if found is not None:
            return found
    for place in _places(data):
        with suppress(OSError, sqlite3.OperationalError):  # read-only, or the disk is full
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as temporary, closing(sqlite3.connect(temporary)) as connection:
                _fill(connection, data, stamp)
            found = _open(place, stamp)
            if found is not None:
                return found
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    _fill(connection, data, stamp)
    return connection


def _places(data: Path) -> tuple[Path, Path]:
    """Where the index of some data may lie, best first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111, as in datafiles
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:12]
    beside = data.parent if data.suffix == ".zip" else data
    return beside / NAME, cache / "timm-nhl" / f"{digest}-{NAME}"


def _stamp(data: Path) -> str:
    """Tells data from other data; sizes alone, because copies and container images change the times of files."""
    files = [data] if data.suffix == ".zip" else [data / name for name in READ]
    return " ".join(str(file.stat().st_size) for file in files)


def _open(place: Path, stamp: str) -> sqlite3.Connection | None:
    """An index that was made from the data of this stamp; None if there is none or it cannot be read."""
    if not place.is_file():
        return None
    try:
        # a file is never changed, only replaced, so no locks are needed, which some network drives lack
        connection = sqlite3.connect(
            f"{place.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        (made_from,) = connection.execute("select made_from from about").fetchone()
    except (sqlite3.Error, TypeError):
        return None
    if made_from == stamp:
        return connection
    connection.close()
    return None


def _fill(connection: sqlite3.Connection, data: Path, stamp: str) -> None:
    files = read_files(data)
    try:
        nouns = {noun.offset: noun for noun in read_nouns(files["data.noun"])}
        rows = list(_rows(nouns, read_counts(files["cntlist.rev"])))
        senses = [(word, _join(offsets)) for word, offsets in read_senses(files["index.noun"])]
        exceptions = dict(read_exceptions(files["noun.exc"]))
    except (ValueError, KeyError, IndexError) as error:
        raise damaged(data, error) from error
    connection.executescript("pragma journal_mode = off; pragma synchronous = off;" + TABLES)
    with connection:
        connection.execute("insert into about values (?, ?)", (stamp, len(nouns)))
        connection.executemany("insert into synsets values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.executemany("insert into words values (?, ?)", senses)
        connection.executemany("insert into exceptions values (?, ?)", [(f, _join(w)) for f, w in exceptions.items()])


def _rows(nouns: dict[int, Noun], counts: Mapping[str, int]) -> Iterator[tuple[object, ...]]:
    depths: dict[int, int] = {}
    above: dict[int, frozenset[int]] = {}
    for offset in TopologicalSorter({offset: noun.hypernyms for offset, noun in nouns.items()}).static_order():
        parents = nouns[offset].hypernyms
        depths[offset] = 1 + max((depths[parent] for parent in parents), default=0)
        above[offset] = frozenset([offset]).union(*(above[parent] for parent in parents))
    below = Counter(ancestor for offset in nouns for ancestor in above[offset])
    for offset, noun in nouns.items():
        keys = [
            f"{word.lower()}%1:{noun.field:02}:{id:02}::" for word, id in zip(noun.words, noun.lex_ids, strict=True)
        ]
        yield (
            offset,
            " ".join(noun.words),
            noun.gloss,
            _join(noun.hypernyms),
            LEXNAMES[noun.field][0].removeprefix("noun."),
            _join(counts.get(key, 0) for key in keys),
            depths[offset],
            below[offset],
        )


def _join(values: Iterable[object]) -> str:
    return " ".join(map(str, values))
