"""The shape contract is kept to the letter or refused; the answer is the same again."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.metrics import adjusted_rand_score

from hierarchy.cluster import Range, Shape
from hierarchy.cluster.constrained import FEW, cluster, cut, link, pair_distances
from hierarchy.cluster.shape import likely_numbers
from hierarchy.errors import ShapeError


def random_rows(count, seed, dimensions=8):
    rows = np.random.default_rng(seed).normal(size=(count, dimensions))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sizes_of(placement):
    supers, groups = Counter(top for top, _ in placement), Counter(placement)
    return supers, groups, Counter(top for top, _ in groups)


@given(st.integers(3, 80), st.integers(0, 10**6))
def test_any_number_of_classes_gets_a_tree_without_chains(count, seed):
    supers, groups, groups_of = sizes_of(cluster(random_rows(count, seed)))
    assert sum(groups.values()) == count
    if count > FEW:
        assert min(groups.values()) >= 2
        assert min(groups_of.values()) >= 2
        assert len(supers) <= round(count**0.434)
    elif count >= 4:
        assert 2 <= len(supers) <= max(2, count // 3)


@given(st.integers(20, 90), st.integers(2, 6), st.integers(0, 10**6), st.booleans())
def test_the_numbers_and_sizes_asked_for_are_the_numbers_and_sizes_given(count, many, seed, chains):
    shape = Shape(
        superclasses=Range(many, many),
        groups=Range(2 * many, 3 * many),
        classes_per_superclass=Range(4, max(count // many + 6, 8)),
        chains=chains,
    )
    try:
        supers, groups, groups_of = sizes_of(cluster(random_rows(count, seed), shape))
    except ShapeError:
        assert count < 4 * many or count // 2 < 2 * many
        return
    assert len(supers) == many
    assert 2 * many <= len(groups) <= 3 * many
    assert all(4 <= size <= max(count // many + 6, 8) for size in supers.values())
    assert chains or min(groups.values()) >= 2 <= min(groups_of.values())


ranges = st.none() | st.tuples(st.integers(1, 8), st.integers(0, 8)).map(lambda pair: Range(pair[0], sum(pair)))


@settings(max_examples=300, deadline=None)
@given(st.integers(3, 40), ranges, ranges, ranges, ranges, st.booleans())
@example(13, None, Range(1, 1), None, None, False)
def test_any_shape_is_met_exactly_or_refused(count, supers, groups, per_group, per_super, chains):
    shape = Shape(supers, groups, per_group, per_super, chains)
    try:
        found = sizes_of(cluster(random_rows(count, count), shape))
    except ShapeError:
        return
    for asked, given_numbers in (
        (supers, [len(found[0])]), (groups, [len(found[1])]), (per_group, found[1].values()),
        (per_super, found[0].values()),
    ):  # fmt: skip
        assert asked is None or all(asked.least <= number <= asked.most for number in given_numbers)
    alone = groups is not None and len(found[1]) == 1  # one group was asked for, so its superclass has no other
    assert chains or alone or count <= FEW or min([*found[1].values(), *found[2].values()]) >= 2


def test_groups_keep_to_their_sizes():
    placement = cluster(random_rows(100, 0), Shape(Range(5, 5), Range(25, 25), Range(3, 6)))
    assert all(3 <= size <= 6 for size in sizes_of(placement)[1].values())


def test_clusters_that_are_there_are_found():
    centres = np.eye(12)[:, :12]
    rows = np.repeat(centres, 10, axis=0) + 0.05 * np.random.default_rng(0).normal(size=(120, 12))
    rows[:60] += 0.5  # two superclasses: the first six centres and the last six
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    placement = cluster(rows, Shape(Range(2, 2), Range(12, 12)))
    assert adjusted_rand_score([top for top, _ in placement], np.repeat([0, 1], 60)) == 1
    assert adjusted_rand_score([hash(place) for place in placement], np.repeat(range(12), 10)) == 1


def test_a_range_is_cut_at_the_widest_gap():
    rows = np.repeat(np.eye(4), 8, axis=0) + 0.02 * np.random.default_rng(0).normal(size=(32, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert len({top for top, _ in cluster(rows, Shape(superclasses=Range(2, 7)))}) == 4


def test_the_answer_is_the_same_again():
    rows = random_rows(90, 3)
    assert cluster(rows) == cluster(rows.copy())


def test_equal_rows_are_clustered():
    placement = cluster(np.tile(random_rows(1, 0), (12, 1)), Shape(Range(2, 2), Range(4, 4)))
    assert sorted(sizes_of(placement)[2].values()) == [2, 2]


def test_distances_and_cuts_are_those_of_scipy():
    rows = random_rows(700, 5)
    assert np.allclose(pair_distances(rows), pdist(rows), atol=1e-6)
    tree = link(rows)
    assert adjusted_rand_score(cut(tree, 9), fcluster(linkage(rows, "ward"), 9, "maxclust")) == 1


@pytest.mark.parametrize(
    ("count", "shape", "message"),
    [
        (10, Shape(superclasses=Range(4, 4)), "10 classes cannot make 4 superclasses"),
        (10, Shape(groups=Range(9, 9)), "10 classes cannot make 9 groups"),
        (40, Shape(superclasses=Range(8, 8), groups=Range(9, 9)), "8 superclasses need at least 16 groups, not 9"),
        (40, Shape(groups=Range(1, 1), classes_per_group=Range(2, 10)), "one group, not 2:10 classes per group"),
        (40, Shape(classes_per_group=Range(1, 2), groups=Range(5, 5)), "40 classes cannot make 5 groups"),
    ],
)
def test_an_impossible_shape_is_refused_with_a_hint(count, shape, message):
    with pytest.raises(ShapeError, match=message):
        cluster(random_rows(count, 0), shape)


@pytest.mark.parametrize("superclasses", [None, Range(1, 1), Range(1, 3)])
def test_one_group_may_be_asked_for(superclasses):
    shape = Shape(superclasses, Range(1, 1))
    assert len(set(cluster(random_rows(40, 0), shape))) == 1
    assert likely_numbers(shape, 40) == (1, 1)


def test_few_groups_leave_room_for_as_many_superclasses():
    for most in (2, 3, 5, 8):
        shape = Shape(groups=Range(most, most))
        supers, groups, _ = sizes_of(cluster(random_rows(40, 0), shape))
        assert (len(supers), len(groups)) == likely_numbers(shape, 40) == (max(1, most // 2), most)


@pytest.mark.parametrize("text", ["", "0", "9:5", "x", "3:x", "-1", ":", "1:2:3", "²", "1" * 5000])
def test_invalid_ranges_are_refused(text):
    with pytest.raises(ShapeError, match=r"invalid range .*; use N, MIN:MAX, MIN: or :MAX, MIN >= 1"):
        Range.parse(text)


def test_chains_are_made_only_when_asked_for():
    rows = random_rows(12, 0)
    assert len(set(cluster(rows, Shape(Range(3, 3), Range(12, 12), chains=True)))) == 12
    with pytest.raises(ShapeError):
        cluster(rows, Shape(Range(3, 3), Range(12, 12)))
