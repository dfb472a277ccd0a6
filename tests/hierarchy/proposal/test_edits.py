"""Edits: each does what it says to the rows it names, leaves all others alone, and never changes its argument."""

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.editing import PETS, proposals_and_edits
from support.strategies import hierarchies, names

from hierarchy.errors import EditError, InvalidHierarchy, UnknownNode
from hierarchy.names import join_path, split_path
from hierarchy.proposal import (
    Merge,
    Move,
    Proposal,
    Regroup,
    Rename,
    Split,
    apply,
    edit_from_dict,
    edit_to_dict,
    inverse,
)


def change(edit, tree):
    """The hierarchy after an edit of a hierarchy."""
    return apply(edit, Proposal.from_hierarchy(tree)).hierarchy()


def places(tree):
    return dict(zip(tree.classes, (join_path(*group) for group in tree.groups), strict=True))


@pytest.mark.parametrize(
    ("edit", "changed", "words"),
    [
        (Move("n1", "mammals/dogs"), {"n1": "mammals/dogs"}, "move n1 to mammals/dogs"),
        (Move("n1", "birds/owls"), {"n1": "birds/owls"}, "move n1 to birds/owls"),
        (Move("n2", "fish/cats"), {"n2": "fish/cats"}, "move n2 to fish/cats"),
        (Move("n1", "mammals/cats"), {}, "move n1 to mammals/cats"),
        (
            Rename("mammals", "beasts"),
            {"n1": "beasts/cats", "n3": "beasts/cats", "n4": "beasts/dogs"},
            "rename mammals to beasts",
        ),
        (Rename("fish", "fishes"), {"n2": "fishes/carps"}, "rename fish to fishes"),
        (Rename("food/cats", "dishes"), {"n5": "food/dishes"}, "rename food/cats to dishes"),
        (Rename("mammals/dogs", "carps"), {"n4": "mammals/carps"}, "rename mammals/dogs to carps"),
        (Merge("mammals/dogs", "mammals/cats"), {"n4": "mammals/cats"}, "merge mammals/dogs into mammals/cats"),
        (Merge("fish/carps", "mammals/dogs"), {"n2": "mammals/dogs"}, "merge fish/carps into mammals/dogs"),
        (
            Merge("mammals", "food"),
            {"n1": "food/cats", "n3": "food/cats", "n4": "food/dogs"},
            "merge mammals into food",
        ),
        (
            Split("mammals/cats", "big cats", ("n3",)),
            {"n3": "mammals/big cats"},
            "split 1 class off mammals/cats as big cats",
        ),
        (
            Split("mammals", "hounds", ("n4", "n1")),
            {"n1": "hounds/cats", "n4": "hounds/dogs"},
            "split 2 classes off mammals as hounds",
        ),
        (
            Regroup((("n1", "birds/owls"), ("n2", "mammals/cats"))),
            {"n1": "birds/owls", "n2": "mammals/cats"},
            "regroup 2 classes",
        ),
        (Regroup(()), {}, "regroup 0 classes"),
    ],
    ids=str,
)
def test_an_edit_changes_what_it_names_and_nothing_else(edit, changed, words):
    before = PETS.rows
    after = change(edit, PETS)
    assert places(after) == places(PETS) | changed
    assert (after.classes, after.names, PETS.rows) == (PETS.classes, PETS.names, before)
    assert str(edit) == words


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (Move("n11", "fish/carps"), UnknownNode, "no class 'n11' to move; nearest: 'n1'; give the id of a class"),
        (Move("tabby", "fish/carps"), UnknownNode, "no class 'tabby' to move; give the id of a class"),
        (Move("n1", "fish"), EditError, "'fish' is not the path of a group; use superclass/group"),
        (Move("n1", ""), EditError, "'' is not the path of a group; use superclass/group"),
        (Move("n1", "a/b/c"), EditError, "'a/b/c' is not the path of a group; use superclass/group"),
        (Move("n1", "fish/"), InvalidHierarchy, "not a hierarchy: group '' is empty; give it a name"),
        (Move("n1", "n2/x"), InvalidHierarchy, "not a hierarchy: superclass 'n2' is also the id of a class, "),
        (
            Regroup((("n1", "fish/carps"), ("n11", "x/y"))),
            UnknownNode,
            "no class 'n11' to move; nearest: 'n1'; give the",
        ),
        (Regroup((("n1", "fish"),)), EditError, "'fish' is not the path of a group; use superclass/group"),
        (Rename("mamals", "x"), UnknownNode, "no superclass or group 'mamals'; nearest: 'mammals'"),
        (Rename("", "x"), UnknownNode, "no superclass or group ''"),
        (Rename("mammals/cats/tabby", "x"), UnknownNode, "no superclass or group 'mammals/cats/tabby'; nearest: "),
        (Rename("fish", "food"), EditError, "the name 'food' is taken; choose another, or merge the two"),
        (Rename("fish", "fish"), EditError, "the name 'fish' is taken; choose another, or merge the two"),
        (
            Rename("mammals/cats", "dogs"),
            EditError,
            "the name 'mammals/dogs' is taken; choose another, or merge the two",
        ),
        (Rename("fish", " "), InvalidHierarchy, "not a hierarchy: superclass ' ' starts or ends with a space; strip"),
        (Merge("fish", "fish"), EditError, "cannot merge 'fish' into 'fish'; give two nodes of the same level"),
        (
            Merge("fish", "food/cats"),
            EditError,
            "cannot merge 'fish' into 'food/cats'; give two nodes of the same level",
        ),
        (Merge("fish", "foot"), UnknownNode, "no superclass or group 'foot'; nearest: 'food'"),
        (Split("fish", "food", ("n2",)), EditError, "the name 'food' is taken; choose another, or merge the two"),
        (Split("fish", "x", ("n2", "n1")), EditError, "not below 'fish': 'n1'; give ids of classes below it"),
        (Split("fish", "x", ("n9",)), EditError, "not below 'fish': 'n9'; give ids of classes below it"),
        (Split("fish", "x", ()), EditError, "no classes to split off 'fish'; give their ids"),
    ],
    ids=str,
)
def test_an_edit_that_cannot_be_done_is_refused(edit, error, message):
    with pytest.raises(error) as caught:
        change(edit, PETS)
    assert str(caught.value).startswith(message)


@given(hierarchies(), st.data())
def test_a_move_and_its_way_back_are_the_identity(tree, data):
    label = data.draw(st.integers(0, len(tree) - 1))
    free = names.filter(lambda name: name not in tree.classes)
    to = data.draw(
        st.one_of(st.sampled_from(tree.nodes(2)), st.tuples(free, names).map(lambda place: join_path(*place)))
    )
    id, old = tree.classes[label], join_path(*tree.groups[label])
    there = change(Move(id, to), tree)
    assert join_path(*there.groups[label]) == to
    assert change(Move(id, old), there) == tree


@given(hierarchies(), st.data())
def test_a_rename_and_its_way_back_are_the_identity(tree, data):
    node = data.draw(st.sampled_from(tree.nodes(1) + tree.nodes(2)))
    new = data.draw(names.filter(lambda name: name not in tree.classes))
    *parent, old = split_path(node)
    renamed = join_path(*parent, new)
    assume(renamed not in tree.nodes(1) + tree.nodes(2))
    there = change(Rename(node, new), tree)
    assert there.sizes == tree.sizes and there.labels(renamed) == tree.labels(node)
    assert change(Rename(renamed, old), there) == tree


@given(hierarchies(), st.data())
def test_a_split_and_a_merge_back_are_the_identity(tree, data):
    node = data.draw(st.sampled_from(tree.nodes(1) + tree.nodes(2)))
    below = [tree.classes[label] for label in tree.labels(node)]
    ids = tuple(data.draw(st.lists(st.sampled_from(below), min_size=1, unique=True)))
    name = data.draw(names.filter(lambda name: name not in tree.classes))
    new = join_path(*split_path(node)[:-1], name)
    assume(new not in tree.nodes(1) + tree.nodes(2))
    there = change(Split(node, name, ids), tree)
    assert {there.classes[label] for label in there.labels(new)} == set(ids)
    if len(ids) < len(below):
        assert change(Merge(new, node), there) == tree


@given(hierarchies(), st.data())
def test_a_merge_leaves_one_node_with_the_classes_of_both(tree, data):
    level = data.draw(st.sampled_from((1, 2)))
    assume(len(tree.nodes(level)) > 1)
    node, into = data.draw(st.permutations(tree.nodes(level)))[:2]
    after = change(Merge(node, into), tree)
    assert after.labels(into) == tree.labels(node, into)
    assert node not in after.nodes(level)
    others = [label for label in range(len(tree)) if label not in tree.labels(node)]
    assert [after.groups[label] for label in others] == [tree.groups[label] for label in others]


@given(proposals_and_edits())
def test_an_edit_and_its_inverse_are_the_identity(case):
    proposal, edit = case
    try:
        after = apply(edit, proposal)
    except (EditError, UnknownNode, InvalidHierarchy):
        assume(False)
    assert apply(inverse(edit, proposal), after) == proposal


@given(proposals_and_edits())
def test_an_edit_survives_its_way_through_json(case):
    edit = case[1]
    assert edit_from_dict(json.loads(json.dumps(edit_to_dict(edit)))) == edit


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "unknown kind of edit None; use move, rename, merge, split, regroup"),
        ({"edit": ["move"]}, "unknown kind of edit ['move']; use"),
        ({"edit": "delete", "id": "n1"}, "unknown kind of edit 'delete'; use"),
        ({"edit": "move", "id": "n1"}, "a move has the fields id; give id, to"),
        ({"edit": "move", "id": "n1", "to": 3}, "to is 3; give a string"),
        ({"edit": "split", "node": "a", "name": "b", "ids": "n1"}, "ids are 'n1'; give a list of strings"),
        ({"edit": "regroup", "places": [["n1"]]}, "places are [['n1']]; give a list of pairs (id, path)"),
    ],
)
def test_invalid_edits_are_refused(content, message):
    with pytest.raises(EditError) as caught:
        edit_from_dict(content)
    assert str(caught.value).startswith(message)


def test_a_move_settles_a_class_and_a_regroup_can_take_its_place_away():
    proposal = replace(Proposal.from_hierarchy(PETS), places=(None, *PETS.groups[1:]))
    assert proposal.unsettled == ("n1",) and proposal.place("n1") == ""
    with pytest.raises(InvalidHierarchy, match="class 'n1' is not placed"):
        proposal.hierarchy()
    settled = apply(Move("n1", "mammals/cats"), proposal)
    assert settled.hierarchy() == PETS and settled.digest == PETS.digest != proposal.digest
    assert apply(Regroup((("n1", ""),)), settled) == proposal


def test_a_draft_without_a_settled_class_takes_moves_only():
    proposal = replace(Proposal.from_hierarchy(PETS), places=(None,) * len(PETS))
    with pytest.raises(UnknownNode, match="no class is settled yet"):
        apply(Rename("fish", "x"), proposal)
    assert apply(Move("n2", "fish/carps"), proposal).settled.nodes(3) == ("fish/carps/carp",)
