"""Each check finds what is wrong, and nothing in a tree that is right; its edit mends it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierarchy.checks import Evidence, check, find_mixed
from hierarchy.checks.checks import ALIKE, _alike, _find_alike, _plain
from hierarchy.proposal import Merge, Move, Proposal, apply
from hierarchy.sources import ClassList
from hierarchy.tree import Hierarchy
from hierarchy.views import embed
from hierarchy.wordnet import find_senses

ANIMALS = {
    "cats": ("tiger", "lion", "leopard", "jaguar"),
    "sharks": ("hammerhead", "tiger shark", "great white shark", "mako"),
}
VEHICLES = {
    "trucks": ("pickup", "fire engine", "garbage truck", "trailer truck"),
    "boats": ("canoe", "gondola", "yawl", "schooner"),
}


def tree(**changes):
    """Animals and vehicles, with some classes put elsewhere: name -> (superclass, group)."""
    rows = [("animals", group, name) for group, names in ANIMALS.items() for name in names]
    rows += [("vehicles", group, name) for group, names in VEHICLES.items() for name in names]
    return Hierarchy.from_rows(
        (name, name, *changes.get(name.replace(" ", "_"), (superclass, group))) for superclass, group, name in rows
    )


def findings(hierarchy, wordnet):
    proposal = Proposal.from_hierarchy(hierarchy)
    senses = find_senses(proposal.classes, wordnet)
    return check(proposal, Evidence(proposal.classes, senses, embed(proposal.classes, "tfidf", senses)))


def warnings(found):
    return {(finding.kind, finding.node) for finding in found if finding.severity != "note"}


def test_nothing_is_wrong_with_a_tree_that_is_right(wordnet):
    assert warnings(findings(tree(), wordnet)) == set()


def test_a_class_among_strangers_is_found_by_both_witnesses_and_sent_home(wordnet):
    wrong = tree(canoe=("animals", "sharks"))
    found = findings(wrong, wordnet)
    assert {("wordnet", "canoe"), ("embedding", "canoe")} <= warnings(found)
    for finding in found:
        if finding.node == "canoe" and finding.kind in ("wordnet", "embedding"):
            assert finding.edit == Move("canoe", "vehicles/boats")
            assert apply(finding.edit, Proposal.from_hierarchy(wrong)).hierarchy() == tree()
            assert finding.evidence


def test_an_unsettled_class_costs_itself_only(wordnet):
    """The rest is checked as if the class were not there."""
    wrong = tree(canoe=("animals", "sharks"))
    classes = Proposal.from_hierarchy(wrong).classes
    senses = find_senses(classes, wordnet)
    known = Evidence(classes, senses, embed(classes, "tfidf", senses))
    first, *rest = check(replace(Proposal.from_hierarchy(wrong), places=(None, *wrong.groups[1:])), known)
    assert (first.kind, first.node, first.severity) == ("missing", "tiger", "error")
    labels = range(1, len(wrong))
    smaller = Proposal.from_hierarchy(wrong.subset(*wrong.classes[1:]))
    assert tuple(rest) == check(smaller, known.pick(labels)) and ("wordnet", "canoe") in warnings(rest)


def test_if_nothing_is_settled_nothing_else_is_said():
    nothing = replace(Proposal.from_hierarchy(tree()), places=(None,) * len(tree()))
    assert {finding.kind for finding in check(nothing)} == {"missing"}


def test_a_node_many_times_the_average_is_oversized():
    rows = [(f"{i}", f"{i}", "top", "crowd" if i < 60 else f"group {i // 3}") for i in range(90)]
    found = [
        finding for finding in check(Proposal.from_hierarchy(Hierarchy.from_rows(rows))) if finding.kind == "oversized"
    ]
    assert [finding.node for finding in found] == ["top/crowd"]
    assert found[0].evidence["classes"] == 60


def test_chains_are_noted_with_the_nearest_sibling():
    rows = [
        ("a", "a", "s", "g"),
        ("b", "b", "s", "g"),
        ("c", "c", "s", "lonely"),
        ("d", "d", "t", "only"),
        ("e", "e", "t", "only"),
    ]
    vectors = np.eye(5)
    vectors[2] = [0.6, 0, 0.8, 0, 0]
    proposal = Proposal.from_hierarchy(Hierarchy.from_rows(rows))
    found = {
        finding.node: finding
        for finding in check(proposal, Evidence(proposal.classes, None, vectors))
        if finding.kind == "chain"
    }
    assert set(found) == {"s/lonely", "t"}
    assert found["s/lonely"].edit == Move("c", "s/g")


@pytest.mark.parametrize(
    ("first", "second"), [("sharks", "Shark"), ("tools and knives", "knives and tools"), ("table lamps", "table lamp")]
)
def test_names_that_differ_in_case_number_or_order_are_near_duplicates(first, second):
    rows = [("a", "a", "s", first), ("b", "b", "s", first), ("c", "c", "s", second), ("d", "d", "t", second)]
    hierarchy = Hierarchy.from_rows(rows)
    found = [finding for finding in check(Proposal.from_hierarchy(hierarchy)) if finding.kind == "near-duplicate"]
    assert [finding.edit for finding in found] == [Merge(f"s/{second}", f"s/{first}")]
    assert apply(found[0].edit, Proposal.from_hierarchy(hierarchy)).hierarchy().sizes[1] == 2


def test_groups_of_different_superclasses_may_have_the_same_name():
    rows = [("a", "a", "s", "small ones"), ("b", "b", "t", "small ones")]
    assert not [
        finding
        for finding in check(Proposal.from_hierarchy(Hierarchy.from_rows(rows)))
        if finding.kind == "near-duplicate"
    ]


def test_a_node_whose_classes_have_little_in_common_is_mixed():
    groups = {"a": range(4), "b": range(4, 8), "c": range(8, 12), "odds": range(12, 15)}
    rows = np.eye(16)[[0] * 4 + [1] * 4 + [2] * 4 + [3, 4, 5]]
    ids = tuple(f"id{label}" for label in range(15))
    places = tuple(("top" if group < "c" else "rest", group) for group, labels in groups.items() for _ in labels)
    classes = ClassList(ids, ids, ("",) * 15, "")
    found = [f for f in check(Proposal(classes, places), Evidence(classes, vectors=rows)) if f.kind == "mixed"]
    assert [f.node for f in found if "/" in f.node] == ["rest/odds"]
    assert "'rest/odds' holds classes that have little in common: id12, id13 and id14" in [f.message for f in found]


def test_a_node_of_two_kinds_of_things_is_mixed_and_its_split_is_the_edit(wordnet):
    rows = [("nature", group, name) for group, names in ANIMALS.items() for name in names]
    rows += [("nature", group, name) for group, names in VEHICLES.items() for name in names]
    rows += [("kitchen", "dishes", name) for name in ("plate", "bowl", "cup", "saucer", "Granny Smith", "orange")]
    proposal = Proposal.from_hierarchy(Hierarchy.from_rows((name, name, top, group) for top, group, name in rows))
    senses = find_senses(proposal.classes, wordnet)
    found = {
        finding.node: finding
        for finding in check(proposal, Evidence(proposal.classes, senses, embed(proposal.classes, "tfidf", senses)))
        if finding.kind == "mixed"
    }
    assert "nature" in found and set(found) <= {"nature", "kitchen/dishes"}
    after = apply(found["nature"].edit, proposal).hierarchy()
    tops = {name: top for name, (top, _) in zip(after.classes, after.groups, strict=True)}
    assert tops["tiger"] == tops["mako"] != tops["canoe"] == tops["pickup"]
    assert "'nature' holds two kinds of things: " in found["nature"].message and found["nature"].weight > 0.1


def test_a_group_of_two_is_mixed_if_one_of_them_is_far_nearer_to_a_class_of_another_superclass():
    rows = [("wolf", "wolf", "predators", "canines"), ("bear", "bear", "predators", "bears")]
    rows += [("fox", "fox", "night animals", "furry"), ("porcupine", "porcupine", "night animals", "furry")]
    rows += [(f"x{i}", f"x{i}", f"s{i}", f"g{i}") for i in range(8)]  # classes that are like no other
    tree = Hierarchy.from_rows(rows)

    def find(fox, *, nodes=None):
        vectors = np.zeros((len(rows), 20))
        vectors[np.arange(len(rows)), np.arange(len(rows))] = 1
        vectors[tree.classes.index("fox")] = fox @ vectors[[0, 1, 2, 3]]
        return [(found.node, found.edit) for found in find_mixed(tree, vectors, None, nodes) if found.edit]

    away = Move("fox", "predators/canines")
    assert find(np.array([0.7, 0, 0.7, 0.1])) == [("night animals/furry", away)]
    assert find(np.array([0.3, 0, 0.9, 0.1])) == []  # hardly nearer
    assert find(np.array([0.7, 0, 0.1, 0.7])) == []  # as near to its sibling
    assert find(np.array([0.7, 0, 0.7, 0.1]), nodes=["predators"]) == []


def test_names_of_two_classes_and_of_two_senses_are_ambiguous(wordnet):
    classes = ClassList(("n02012849", "n03126707", "x", "y"), ("crane", "crane", "bank", "glass"), ("",) * 4, "")
    rows = [(id, name, "s", "g") for id, name in zip(classes.ids, classes.names, strict=True)]
    proposal = Proposal.from_hierarchy(Hierarchy.from_rows(rows))
    found = check(proposal, Evidence(classes, find_senses(classes, wordnet)))
    ambiguous = {finding.node: finding for finding in found if finding.kind == "ambiguous"}
    assert ambiguous["n02012849"].evidence == {"ids": ["n02012849", "n03126707"]}
    assert all(len(finding.evidence.get("senses", [0, 0])) > 1 for finding in ambiguous.values())


def test_checks_that_could_not_run_are_reported():
    assert [finding.kind for finding in check(Proposal.from_hierarchy(tree()))] == ["unchecked", "unchecked"]


def test_findings_are_ranked(wordnet):
    found = findings(tree(canoe=("animals", "sharks"), lion=("vehicles", "trucks"), mako=("animals", "alone")), wordnet)
    order = {"error": 0, "warning": 1, "note": 2}
    keys = [(order[finding.severity], -finding.weight) for finding in found]
    assert keys == sorted(keys)
    assert all(0 <= finding.weight <= 1 and finding.message for finding in found)


@given(st.lists(st.text("abcé s-ABC", min_size=1, max_size=12), min_size=2, max_size=12))
def test_the_names_that_are_alike_are_those_of_comparing_every_pair(names):
    names = [*names, names[0] + "s", names[1] + "b"]
    every = {
        (one, other): alike
        for one, other in combinations(range(len(names)), 2)
        if (alike := _alike(_plain(names[one]), _plain(names[other]))) > ALIKE
    }
    assert {(one, other): alike for one, other, alike in _find_alike(names)} == every
