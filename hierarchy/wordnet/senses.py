"""What WordNet says about a list of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hierarchy.errors import WordNetMissing
from hierarchy.sources import ClassList
from hierarchy.wordnet.column import read_senses
from hierarchy.wordnet.database import WordNet
from hierarchy.wordnet.disambiguate import Liken, Meaning, choose_senses, mean_exactly


@dataclass(frozen=True)
class Senses:
    """What WordNet says about some classes.

    Args:
        wordnet: the database.
        meanings: what each class means, in label order.
        definitions: the definition of each class: its own, else the gloss of its meaning if that is sure, else "".
    """

    wordnet: WordNet
    meanings: tuple[Meaning, ...]
    definitions: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether WordNet knows any of the classes."""
        return any(self.meanings)


def find_senses(
    classes: ClassList,
    wordnet: WordNet | None = None,
    *,
    sheet: str | None = None,
    decided: Mapping[str, str] = {},
    liken: Liken | None = None,
) -> Senses | None:
    """Looks classes up in WordNet.

    Args:
        classes: the classes, with definitions where they have any.
        wordnet: an open database; opened if None.
        sheet: a CSV file with senses that a person chose, as for `read_senses`.
        decided: class id -> the WNID that a person chose for it in a review, "" for none.
        liken: a sentence model's opinion: all names, and pairs of a label and a description of a sense -> how alike
            each two are.

    Returns:
        Their meanings, and their definitions filled in; None if WordNet is not installed.

    Raises:
        FormatError, SourceError: the sheet cannot be used.
        WordNetMissing: there is a sheet but no WordNet.
    """
    try:
        wordnet = wordnet or WordNet()
    except WordNetMissing:
        if sheet is not None:
            raise
        return None
    meanings = choose_senses(classes, wordnet, liken)
    if sheet is not None:
        meanings = read_senses(sheet, classes, meanings, wordnet)
    meanings = tuple(
        mean_exactly(decided[id] if wordnet.has(decided[id]) else "") if id in decided else meaning
        for id, meaning in zip(classes.ids, meanings, strict=True)
    )
    definitions = (
        definition or (wordnet.synset(meaning.wnid).gloss if meaning.is_sure else "")
        for definition, meaning in zip(classes.definitions, meanings, strict=True)
    )
    return Senses(wordnet, meanings, tuple(definitions))
