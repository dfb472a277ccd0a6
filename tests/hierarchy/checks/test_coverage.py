"""What is known of the classes of a list is counted, said, and can be demanded."""

from __future__ import annotations

import pytest

from hierarchy.checks import check, count_known, gather
from hierarchy.cluster import propose_by_clustering
from hierarchy.sources import ClassList


def listed(*names):
    return ClassList(names, names, ("",) * len(names), "a test")


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (("苹果", "香蕉", "橙子", "狗", "猫"), 5),
        (("apple scab", "freeze account", "oil change when", "pay bill"), 4),
        (("class 1", "class 2", "class 3", "class 4"), 0),  # a word that all have says nothing
        (("c1", "c2", "q7", "n02085620"), 0),
        (("xkqz", "qqzx", "vwxq", "hund"), 1),
        (("कुत्ता", "बिल्ली", "कुर्सी", "Αεροπλάνο"), 0),  # scripts that the sentence model does not know
    ],
)
def test_what_the_views_know_is_counted(names, known):
    evidence = gather(listed(*names), "sentences")
    assert count_known(evidence)["any"] == known
    found = check(propose_by_clustering(*given(evidence)), evidence)
    unknown = [finding for finding in found if finding.kind == "unknown"]
    assert len(unknown) == (known < len(names))
    assert all(len(finding.evidence["ids"]) == len(names) - known for finding in unknown)


def given(evidence):
    return evidence.classes, evidence.vectors, evidence.senses


def test_a_definition_stands_in_for_a_name_that_says_nothing():
    classes = ClassList(
        ("c1", "c2", "c3"), ("c1", "c2", "c3"), ("a red round fruit", "a round red berry", "a heavy lorry"), "a test"
    )
    evidence = gather(classes, "sentences")
    assert count_known(evidence)["any"] == 3
    assert evidence.vectors[0] @ evidence.vectors[1] > evidence.vectors[0] @ evidence.vectors[2]


def test_the_order_of_lines_does_not_matter():
    names = (
        "airplane",
        "apple",
        "bus",
        "car",
        "cat",
        "dog",
        "horse",
        "lion",
        "oak",
        "pear",
        "plum",
        "rose",
        "ship",
        "wolf",
    )
    trees = []
    for order in (names, names[::-1], names[5:] + names[:5]):
        evidence = gather(listed(*order), "sentences")
        trees.append(dict(zip(order, propose_by_clustering(*given(evidence)).places, strict=True)))
    assert trees[0] == trees[1] == trees[2]


def test_a_looked_up_definition_is_no_further_evidence():
    names = ("spider", "ant", "skillet", "seal", "stamp", "envelope", "c7")
    classes = ClassList(names, names, ("",) * 6 + ("a small boat for racing",), "a list")
    first = gather(classes)
    again = gather(first.classes)  # as a review does, of the classes in the proposal's file
    assert any(first.classes.definitions[:6])
    assert again.senses.meanings == first.senses.meanings
    assert again.classes == first.classes
    assert (again.vectors == first.vectors).all()
