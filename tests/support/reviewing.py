"""Reviews kept in memory, and random things a reviewer does."""

from dataclasses import replace

from hypothesis import strategies as st

from hierarchy.errors import HierarchyError
from hierarchy.proposal import Merge, Move, Proposal, Regroup, Rename, Vote, apply
from hierarchy.review.log import Log
from hierarchy.review.review import Review
from hierarchy.review.state import groups
from hierarchy.tree import Hierarchy

NOON = "2026-01-31T12:00:00Z"


class Memory:
    """A journal that forgets when the test ends."""

    def __init__(self, proposal):
        self.log = Log(proposal.digest, proposal.classes.source)

    def append(self, decisions):
        self.log = replace(self.log, decisions=(*self.log.decisions, *decisions))


def review_of(proposal, **options):
    return Review(proposal, Memory(proposal), who="Ada", now=lambda: NOON, **options)


def act(review, data):
    """One thing a person may do; what cannot be done leaves everything as it was."""
    proposal = review.proposal
    paths = sorted({*groups(proposal), *(path.split("/")[0] for path in groups(proposal))})
    path = st.sampled_from(paths) if paths else st.just("x")
    ids = st.sampled_from(proposal.classes.ids)
    group = st.one_of(st.sampled_from(sorted(groups(proposal)) or ["x/y"]), st.sampled_from(["x/y", "x/z", "y/y"]))
    edit = st.one_of(
        st.builds(Move, ids, group),
        st.builds(Rename, path, st.sampled_from(["x", "y", "q"])),
        st.builds(Merge, path, path),
        st.builds(Regroup, st.tuples(st.tuples(ids, st.one_of(group, st.just(""))))),
    )
    choices = st.sampled_from(["accept", "do", "do", "do", "two", "undo", "skip", "rest", "jump", "undo number"])
    choice = data.draw(choices)
    before = (review.proposal, review.journal.log)
    try:
        if choice == "accept":
            review.accept()
        elif choice == "do":
            review.do(data.draw(edit))
        elif choice == "two":
            review.do(data.draw(edit), data.draw(edit))
        elif choice == "undo":
            review.undo()
        elif choice == "undo number":
            review.undo(data.draw(st.integers(1, 9)))
        elif choice == "skip":
            review.skip()
        elif choice == "rest":
            review.accept_rest()
        else:
            review.jump(data.draw(ids))
    except HierarchyError:
        assert (review.proposal, review.journal.log) == before


VOTES = {
    "n09": (
        Vote("llm", "reptiles/snakes", 0.67, "2 of 3 votes"),
        Vote("wordnet", "reptiles", 0.8, "its hypernyms fit: snake"),
        Vote("embedding", "fish/eels", 0.6, "3 of 5 nearest: eel, moray"),
    ),
    "n01": (Vote("llm", "mammals/big cats", 1.0, "3 of 3 votes"), Vote("wordnet", "mammals/cats", 0.9, "fits")),
    "n12": (Vote("llm", "fish/carps", 1.0, "3 of 3 votes"),),
}


ZOO = Hierarchy.from_rows(
    [
        ("n01", "tabby", "mammals", "cats"),
        ("n02", "siamese", "mammals", "cats"),
        ("n03", "lion", "mammals", "big cats"),
        ("n04", "tiger", "mammals", "big cats"),
        ("n05", "crane", "birds", "wading birds"),
        ("n06", "crane", "machines", "lifting machines"),
        ("n07", "eel", "fish", "eels"),
        ("n08", "moray", "fish", "eels"),
        ("n09", "sea snake", "fish", "eels"),
        ("n10", "boa", "reptiles", "snakes"),
        ("n11", "adder", "reptiles", "snakes"),
        ("n12", "carp", "fish", "carps"),
    ]
)


def zoo(*, unsettled=("n04",), only=(), who="Ada", findings=()):
    places = [None if id in unsettled else place for id, place in zip(ZOO.classes, ZOO.groups, strict=True)]
    definitions = tuple(f"what {name} means" for name in ZOO.names)
    classes = Proposal.from_hierarchy(ZOO, definitions, source="zoo.txt").classes
    base = Proposal(classes, tuple(places), VOTES)
    return Review(base, Memory(base), who=who, only=only, now=lambda: NOON, findings=findings)


def made(edits, proposal):
    for edit in edits:
        proposal = apply(edit, proposal)
    return proposal
