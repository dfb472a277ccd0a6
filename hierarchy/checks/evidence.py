"""What is known about some classes before anyone proposes anything: their senses in WordNet, and their vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from hierarchy.english import count
from hierarchy.llm import ReplyCache
from hierarchy.sources import ClassList
from hierarchy.views import DEFAULT_EMBED, View, combine, compare_senses, look
from hierarchy.wordnet import Confidence, Senses, find_senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What the witnesses know.

    Args:
        classes: the classes, with definitions filled in from WordNet where the source gives none.
        senses: what WordNet says about them; None if it is not installed.
        vectors: (K, D), unit rows in label order; None if there are none.
        views: what the vectors are made of, with how much each view knows of each class.
    """

    classes: ClassList
    senses: Senses | None = None
    vectors: Vectors | None = None
    views: tuple[View, ...] = ()

    def pick(self, labels: Sequence[int]) -> Evidence:
        """What is known about the classes with these labels, in their order."""
        senses, vectors = self.senses, self.vectors
        if senses is not None:
            meanings = tuple(senses.meanings[label] for label in labels)
            definitions = tuple(senses.definitions[label] for label in labels)
            senses = replace(senses, meanings=meanings, definitions=definitions)
        rows = list(labels)
        views = tuple(View(view.name, view.vectors[rows], view.knows[rows]) for view in self.views)
        return Evidence(self.classes.pick(labels), senses, None if vectors is None else vectors[rows], views)


def gather(
    classes: ClassList,
    spec: str = DEFAULT_EMBED,
    *,
    base_url: str | None = None,
    cache: ReplyCache | None = None,
    seed: int = 0,
    sheet: str | None = None,
    meanings: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Evidence:
    """Looks classes up in WordNet and embeds them.

    Args:
        classes: as their source gives them.
        spec: the embedder, as for `hierarchy.views.look`.
        base_url: address of an embedding server.
        cache: cache for the server's replies.
        seed: seed of the embedder.
        sheet: a CSV file with senses that a person chose (`hierarchy senses`).
        meanings: class id -> the synset that a person chose for it; "" for none that WordNet has.
        progress: receives the name of each stage.

    Raises:
        EmbedError: the embedder is unknown, or cannot be used.
        FormatError, SourceError: the sheet cannot be used.
        WordNetMissing: there is a sheet but no WordNet.
    """
    if not classes.ids:
        return Evidence(classes)
    progress(f"looking up {count(len(classes), 'class')} in WordNet")
    choose = partial(find_senses, sheet=sheet, decided=meanings or {}, liken=compare_senses)
    classes = _forget_glosses(classes, choose)
    senses = choose(classes)
    progress(f"embedding with {spec}")
    views = look(classes, spec, senses, base_url=base_url, cache=cache, seed=seed)
    known = replace(classes, definitions=senses.definitions) if senses else classes
    return Evidence(known, senses, combine(views), views)


def _forget_glosses(classes: ClassList, choose: Callable[[ClassList], Senses | None]) -> ClassList:
    """The classes without definitions that were looked up: a proposal's file holds them beside those of its source.

    A looked-up definition is no further evidence, so that a review's witnesses say what they said at first.
    """
    if not any(classes.definitions):
        return classes
    senses = choose(replace(classes, definitions=("",) * len(classes)))
    if senses is None:
        return classes
    own = tuple(
        "" if given == found and meaning.confidence < Confidence.EXACT else given
        for given, found, meaning in zip(classes.definitions, senses.definitions, senses.meanings, strict=True)
    )
    return replace(classes, definitions=own)
