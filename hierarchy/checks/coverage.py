"""How many classes there is evidence about: without any, a clustering puts a class anywhere, and says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hierarchy.checks.evidence import Evidence
from hierarchy.english import count
from hierarchy.proposal import Finding
from hierarchy.views import KNOWN, measure_knowledge

SHOWN = 5  # classes named in the finding


def count_known(evidence: Evidence) -> Mapping[str, int]:
    """The number of classes that each view knows, and that any knows; empty without views.

    A view knows a class if it rests on more than a guess: WordNet's on the whole name, the sentence model on words of
    its vocabulary.
    """
    if not evidence.views:
        return {}
    known = {view.name: int((view.knows >= KNOWN).sum()) for view in evidence.views}
    return {**known, "any": int((measure_knowledge(evidence.views) >= KNOWN).sum())}


def find_unknown(evidence: Evidence) -> Iterator[Finding]:
    """A warning if there are classes of which no view knows anything."""
    if not evidence.views:
        return
    knows = measure_knowledge(evidence.views)
    unknown = [id for id, share in zip(evidence.classes.ids, knows, strict=True) if share < KNOWN]
    if unknown:
        total = len(evidence.classes)
        of_them = f"all {total:,}" if len(unknown) == total else f"{len(unknown):,} of {total:,}"
        names = ", ".join(map(repr, unknown[:SHOWN])) + (", ..." if len(unknown) > SHOWN else "")
        where = "its place is" if len(unknown) == 1 else "their places are"
        message = f"nothing is known of {of_them} classes, so {where} arbitrary: {names}"
        yield Finding("unknown", "", message, "warning", len(unknown) / total, {"ids": unknown})


def describe_coverage(known: Mapping[str, int], total: int) -> str:
    """One line about how many classes are known.

    >>> describe_coverage({"tfidf": 72, "sentences": 80, "any": 80}, 80)
    'evidence about 80 of 80 classes (tfidf 72, sentences 80)'
    """
    views = ", ".join(f"{view} {number:,}" for view, number in known.items() if view != "any")
    return f"evidence about {known['any']:,} of {count(total, 'class')} ({views})"
