"""Finds names by a few letters of them, the way a person types while a list shrinks."""

from __future__ import annotations

from collections.abc import Iterable


def fuzzy(text: str, names: Iterable[str], most: int = 50) -> list[str]:
    """The names that hold the letters of a text in their order, best first, else in the order given.

    Beginnings (of a name, or of its part behind the last slash) come before words, those before parts of words, and
    those before letters that lie apart.

    >>> fuzzy("st", ["seats", "rust", "structures/homes", "music/strings"])
    ['music/strings', 'structures/homes', 'rust', 'seats']
    """
    wanted = text.casefold().strip()
    ranked = [(rank, place, name) for place, name in enumerate(names) if (rank := _rank(wanted, name.casefold()))]
    return [name for _, _, name in sorted(ranked)[:most]]


def _rank(wanted: str, name: str) -> int:
    """How badly a name fits, from 1; 0 if it does not."""
    if not wanted or name == wanted or name.rpartition("/")[2].startswith(wanted):
        return 1
    at = name.find(wanted)
    if at >= 0:
        return 2 if at == 0 or not name[at - 1].isalnum() else 3
    for letter in wanted:
        at = name.find(letter, at + 1)
        if at < 0:
            return 0
    return 4
