"""Strays: classes among others of one kind whose own kind is elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierarchy.cluster.shape import Range
from hierarchy.cluster.strays import find_kinds, settle_strays
from hierarchy.wordnet import find_senses

NAMES = ("robin", "magpie", "jay", "finch", "elephant", "cow", "dog", "mouse", "rabbit", "camel")
BIRDS_AND_AN_ELEPHANT = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
ANY = Range(1, 99)


@pytest.fixture(scope="module")
def kinds(wordnet, named):
    return find_kinds(find_senses(named(*NAMES), wordnet), len(NAMES))


def test_a_stray_joins_its_kin(kinds):
    assert settle_strays(np.array(BIRDS_AND_AN_ELEPHANT), ANY, kinds).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_no_size_is_left_by_a_move(kinds):
    for allowed in (Range(5, 9), Range(1, 5)):
        assert settle_strays(np.array(BIRDS_AND_AN_ELEPHANT), allowed, kinds).tolist() == BIRDS_AND_AN_ELEPHANT


def test_a_cluster_of_no_kind_keeps_its_classes(wordnet, named):
    names = ("canoe", "apple", "cow", "robin", "magpie", "jay", "finch")
    kinds = find_kinds(find_senses(named(*names), wordnet), len(names))
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    assert settle_strays(labels, ANY, kinds).tolist() == labels.tolist()


def test_without_wordnet_nothing_moves():
    labels = np.array(BIRDS_AND_AN_ELEPHANT)
    assert settle_strays(labels, ANY, find_kinds(None, len(labels))).tolist() == labels.tolist()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(4, 9))
def test_sizes_stay_in_their_range_whatever_is_known(data, least, most):
    sizes = data.draw(st.lists(st.integers(least, most), min_size=1, max_size=4))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    known = st.dictionaries(st.sampled_from("abcde"), st.sampled_from([0.4, 0.7]), max_size=3)
    kinds = [data.draw(known) for _ in labels]
    settled = np.bincount(settle_strays(labels, Range(least, most), kinds), minlength=len(sizes))
    assert settled.sum() == len(labels) and settled.min() >= least and settled.max() <= most
