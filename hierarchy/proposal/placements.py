"""Rows as a file or an answer states them become a proposal; what cannot be taken over becomes findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hierarchy.errors import InvalidHierarchy
from hierarchy.names import join_path
from hierarchy.proposal.findings import Finding, rank
from hierarchy.proposal.proposal import Place, Proposal
from hierarchy.sources import ClassList


def collect(classes: ClassList, placements: Iterable[tuple[str, str, str]]) -> tuple[Proposal, tuple[Finding, ...]]:
    """Takes over what is certain, and reports what is not.

    Args:
        classes: the classes that must be placed.
        placements: (class id, superclass, group); an id may be missing, repeated or unknown.

    Returns:
        The proposal, in which a class is settled where exactly one place is given, and errors about all others. If the
        names are not those of a hierarchy, no class is settled.

    >>> pets = ClassList(("tabby", "carp"), ("tabby", "carp"), ("", ""), "pets.txt")
    >>> proposal, errors = collect(pets, [("tabby", "mammals", "cats"), ("dodo", "birds", "pigeons")])
    >>> proposal.unsettled, [error.kind for error in errors]
    (('carp',), ['missing', 'unknown'])
    """
    places: defaultdict[str, list[Place]] = defaultdict(list)
    for id, superclass, group in placements:
        places[id].append((superclass, group))
    sure = (places[id][0] if len(places.get(id, ())) == 1 else None for id in classes.ids)
    try:
        proposal, invalid = Proposal(classes, tuple(sure)), None
        if not proposal.unsettled:
            proposal.hierarchy()  # of no classes at all, there is none
    except InvalidHierarchy as error:
        proposal = Proposal(classes, (None,) * len(classes))
        invalid = Finding("invalid", "", str(error), "error", 1.0)
    missing = [finding for finding in find_unplaced(proposal) if finding.node not in places]
    errors = [*missing, *_errors(classes, places)]
    return proposal, rank(errors or ([invalid] if invalid else []))


def find_unplaced(proposal: Proposal) -> tuple[Finding, ...]:
    """An error about each unsettled class."""
    names = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    return tuple(
        Finding("missing", id, f"{names[id]!r} ({id}) is not placed", "error", 1.0) for id in proposal.unsettled
    )


def _errors(classes: ClassList, places: Mapping[str, Sequence[Place]]) -> Iterator[Finding]:
    names = dict(zip(classes.ids, classes.names, strict=True))
    for id, found in places.items():
        paths = [join_path(*place) for place in found]
        if id not in names:
            message = f"{id!r} in {paths[0]!r} is not one of the {len(names)} classes"
            yield Finding("unknown", id, message, "error", 0.8, {"places": paths})
        elif len(found) > 1:
            message = f"{names[id]!r} ({id}) is placed {len(found)} times: {', '.join(map(repr, paths))}"
            yield Finding("twice", id, message, "error", 0.9, {"places": paths})
