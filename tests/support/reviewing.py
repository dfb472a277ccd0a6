"""Sessions kept in memory, and random things a reviewer does."""

from functools import partial

from hypothesis import strategies as st

from hierarchy.errors import HierarchyError
from hierarchy.proposal import Merge, Move, Proposal, Regroup, Rename, Vote, apply
from hierarchy.review.log import Log
from hierarchy.review.session import Session
from hierarchy.review.state import groups
from hierarchy.review.storage import append_to_log, load_log
from hierarchy.sources import ClassList
from hierarchy.tree import Hierarchy

NOON = "2026-01-31T12:00:00Z"


def start(proposal, *, log=None, write=lambda log, decisions: None, who="Ada", **options):
    """A session on a proposal, in memory unless `write` writes to the disk."""
    log = log or Log(proposal.digest, proposal.classes.source)
    return Session(proposal, log, write, who=who, now=lambda: NOON, **options)


def start_on_disk(paths, base, *, who="Ada", notify=print):
    """A session on files, as `open_session` starts it, but without its lock and result, and always at noon."""
    write = partial(append_to_log, paths=paths, base=base, findings=())
    return start(base, log=load_log(paths, base, notify), write=write, who=who)


def act(session, data):
    """One thing a person may do; what fails leaves everything as it was."""
    proposal = session.proposal
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
    choices = st.sampled_from(["accept", "edit", "edit", "edit", "two", "undo", "skip", "rest", "jump", "undo number"])
    choice = data.draw(choices)
    before = (session.proposal, session.log)
    try:
        if choice == "accept":
            session.accept()
        elif choice == "edit":
            session.edit(data.draw(edit))
        elif choice == "two":
            session.edit(data.draw(edit), data.draw(edit))
        elif choice == "undo":
            session.undo()
        elif choice == "undo number":
            session.undo(data.draw(st.integers(1, 9)))
        elif choice == "skip":
            session.skip()
        elif choice == "rest":
            session.accept_rest()
        else:
            session.jump(data.draw(ids))
    except HierarchyError:
        assert (session.proposal, session.log) == before


VOTES = {
    "n09": (
        Vote("llm", "reptiles/snakes", 0.67, "2 of 3 votes"),
        Vote("wordnet", "reptiles", 0.8, "4 of 5 there are snakes, 0 of 2 here"),
        Vote("embedding", "fish/eels", 0.6, "like eel, moray 0.62, like the next best group 0.05"),
    ),
    "n01": (
        Vote("llm", "mammals/big cats", 1.0, "3 of 3 votes"),
        Vote("wordnet", "mammals/cats", 0.9, "9 of 10 others are cats"),
    ),
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


def zoo(*, unsettled=("n04",), **options):
    """A session on ZOO with VOTES; some classes are unsettled."""
    places = [None if id in unsettled else place for id, place in zip(ZOO.classes, ZOO.groups, strict=True)]
    definitions = tuple(f"what {name} means" for name in ZOO.names)
    return start(Proposal(ClassList(ZOO.classes, ZOO.names, definitions, "zoo.txt"), tuple(places), VOTES), **options)


def apply_all(edits, proposal):
    for edit in edits:
        proposal = apply(edit, proposal)
    return proposal
