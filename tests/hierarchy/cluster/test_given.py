"""Superclasses and groups that a source states are kept; what it leaves open is filled in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierarchy.cluster import Range, Shape, propose_by_clustering
from hierarchy.errors import ShapeError
from hierarchy.sources import ClassList

NAMES = st.sampled_from(["", "a", "b", "c", "d", "e"])


def propose(places, shape=None, vectors=None, ids=None):
    ids = ids or tuple(f"class {label}" for label in range(len(places)))
    classes = ClassList(ids, ids, ("",) * len(ids), "list.json", tuple(places))
    if vectors is None:
        vectors = np.random.default_rng(0).normal(size=(len(ids), 6))
    return propose_by_clustering(
        classes, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), None, shape, use_groups=True
    )


@given(st.lists(st.tuples(NAMES, NAMES), min_size=3, max_size=40).filter(lambda places: any(map(any, places))))
def test_what_the_source_states_is_kept(places):
    proposal = propose(places)
    known = any(superclass for superclass, _ in places)
    for (superclass, group), found in zip(places, proposal.places, strict=True):
        assert not superclass or found[0] == superclass
        if group and not known:
            assert found[1] == group
    assert not proposal.unsettled
    if all(superclass and group and superclass != group for superclass, group in places):
        assert proposal.places == tuple(places)


def test_given_superclasses_are_divided_into_groups():
    rows = np.repeat(np.eye(6), 5, axis=0) + 0.01  # six tight kinds of five
    proposal = propose([("top", "")] * 15 + [("low", "")] * 15, vectors=rows)
    assert proposal.settled.sizes == (2, 6, 30)


def test_given_groups_are_gathered_into_superclasses():
    axes = np.array([[1, 0.2, 0], [1, -0.2, 0], [0, 0.2, 1], [0, -0.2, 1]])
    proposal = propose(
        [("", name) for name in "abcd" for _ in range(4)], Shape(Range(2, 2)), vectors=np.repeat(axes, 4, axis=0)
    )
    (a, _), (b, _), (c, _), (d, _) = proposal.places[::4]
    assert a == b != c == d


def test_a_class_without_a_place_joins_the_nearest():
    rows = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0.9, 0.2]])
    proposal = propose([("x", ""), ("x", ""), ("y", ""), ("y", ""), ("", "")], vectors=rows)
    assert proposal.places[4][0] == "x"


def test_a_superclass_named_like_a_class_is_renamed():
    proposal = propose([("person", ""), ("animal", ""), ("animal", "")], ids=("person", "cat", "dog"))
    assert [superclass for superclass, _ in proposal.places] == ["people", "animal", "animal"]


@pytest.mark.parametrize(
    ("places", "shape", "message"),
    [
        ((), None, "list.json states no groups of its classes; leave out --use-groups"),
        ([("a", ""), ("b", ""), ("b", "")], Shape(Range(3, 3)), "the source gives 2 superclasses, not 3; "),
        ([("", "a"), ("", "b"), ("", "b")], Shape(groups=Range(3, 3)), "the source gives 2 groups, not 3; "),
    ],
)
def test_what_contradicts_the_source_is_refused(places, shape, message):
    with pytest.raises(ShapeError, match=f"^{message}"):
        propose(places, shape, ids=("x", "y", "z"))
