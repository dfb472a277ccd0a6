"""A small hierarchy to edit, and a strategy of proposals with edits of them."""

from dataclasses import replace

from hypothesis import strategies as st

from hierarchy import Hierarchy
from hierarchy.names import join_path
from hierarchy.proposal import Define, Merge, Move, Proposal, Regroup, Rename, Split
from support.strategies import hierarchies, names

PETS = Hierarchy.from_rows(
    [
        ("n1", "tabby", "mammals", "cats"),
        ("n2", "carp", "fish", "carps"),
        ("n3", "siamese", "mammals", "cats"),
        ("n4", "beagle", "mammals", "dogs"),
        ("n5", "fish", "food", "cats"),  # a class with the name of a superclass, and a group with that of another
    ]
)


@st.composite
def proposals_and_edits(draw):
    """A proposal, some of whose classes may be unsettled, and an edit that can be done to it."""
    tree = draw(hierarchies())
    unsettled = draw(st.sets(st.sampled_from(tree.classes), max_size=len(tree) - 1))
    pairs = zip(tree.classes, tree.groups, strict=True)
    places = tuple(None if id in unsettled else place for id, place in pairs)
    proposal = replace(Proposal.from_hierarchy(tree), places=places)
    settled = proposal.settled
    nodes = st.sampled_from(settled.nodes(1) + settled.nodes(2))
    free = names.filter(lambda name: name not in tree.classes)
    groups = st.one_of(st.sampled_from(settled.nodes(2)), st.tuples(free, names).map(lambda place: join_path(*place)))
    ids = st.sampled_from(tree.classes)
    one = draw(
        st.one_of(
            st.builds(Move, ids, groups),
            st.builds(Define, ids, names),
            st.builds(Rename, nodes, free),
            st.builds(Merge, nodes, nodes),
            st.builds(Split, nodes, free, st.lists(ids, min_size=1, max_size=3, unique=True).map(tuple)),
            st.builds(
                Regroup, st.lists(st.tuples(ids, st.one_of(groups, st.just(""))), unique_by=lambda p: p[0]).map(tuple)
            ),
        )
    )
    return proposal, one
