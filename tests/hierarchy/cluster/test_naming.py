"""Names of nodes: what they share, apart from their siblings, readable, unique."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierarchy.cluster.naming import name_nodes
from hierarchy.english import plural
from hierarchy.sources import ClassList
from hierarchy.tree import Hierarchy
from hierarchy.wordnet import find_senses


def names_of(wordnet, named, *groups):
    """Names the groups, all of one superclass."""
    classes = named(*(name for group in groups for name in group))
    placement = [(0, index) for index, group in enumerate(groups) for _ in group]
    found = name_nodes(classes, placement, senses=find_senses(classes, wordnet))
    return found[0][0], list(dict.fromkeys(group for _, group in found))


def test_a_node_is_named_by_the_hypernym_its_classes_share(wordnet, named):
    top, groups = names_of(
        wordnet,
        named,
        ("hammerhead", "great white shark", "tiger shark"),
        ("robin", "magpie", "jay"),
        ("beagle", "collie"),
    )
    assert groups == ["sharks", "birds", "dogs"]
    assert top == "animals"


def test_two_kinds_are_named_together(wordnet, named):
    _, groups = names_of(
        wordnet, named, ("tiger", "lion", "leopard", "canoe", "yawl", "kayak"), ("hat", "coat", "sock")
    )
    assert groups[0] == "big cats and boats"


def test_what_a_name_is_not_true_of_is_named_too(wordnet, named):
    _, groups = names_of(
        wordnet, named, ("car", "truck", "bus", "tractor", "traffic light"), ("apple", "banana", "pear", "orange")
    )
    assert groups[0] == "vehicles and traffic lights"


def test_a_name_is_true_of_all_if_a_word_for_all_is_known(wordnet, named):
    top, _ = names_of(wordnet, named, ("apple", "banana", "broccoli", "carrot"), ("pizza", "sandwich", "cake", "donut"))
    assert top == "food"


def test_brackets_are_not_put_in_the_plural_nor_what_cannot_be_counted(wordnet, named):
    names = names_of(wordnet, named, ("steak (food)", "lamp"), ("yoga", "angel"))[1]
    assert names == ["steak (food) and lamp", "yoga and angels"]


def test_the_only_group_of_a_superclass_is_named_by_its_classes(wordnet, named):
    assert names_of(wordnet, named, ("cat", "dog", "horse")) == ("mammals", ["cats, dogs and horses"])


def test_a_superclass_of_one_class_has_the_wider_name(wordnet, named):
    classes = named("cat", "dog", "horse", "car")
    found = name_nodes(classes, [(0, 0), (0, 0), (0, 0), (1, 0)], senses=find_senses(classes, wordnet))
    assert found[3] == ("motor vehicles", "cars")


def test_siblings_never_share_a_name(wordnet, named):
    _, groups = names_of(wordnet, named, ("beagle", "collie"), ("poodle", "boxer"), ("pug", "husky"))
    assert len(set(groups)) == 3


def test_no_superclass_is_called_like_a_class(wordnet, named):
    classes = named("birds", "dogs", "sharks", "robin", "jay", "magpie")
    found = name_nodes(classes, [(0, 0)] * 3 + [(1, 0)] * 3, senses=find_senses(classes, wordnet))
    Hierarchy(classes.ids, classes.names, found)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=30), st.data())
def test_the_names_make_a_hierarchy_for_any_words_and_partition(placement, data):
    words = st.text("abc /-'é🦈xyz ", min_size=1, max_size=8).map(str.strip).filter(lambda w: w and "/" not in w)
    ids = tuple(f"id{i}" for i in range(len(placement)))
    names = tuple(data.draw(words) for _ in placement)
    classes = ClassList(ids, names, ("",) * len(ids), "")
    found = name_nodes(classes, placement)
    hierarchy = Hierarchy(ids, names, found)
    assert hierarchy.sizes[1] == len(set(placement))
    assert hierarchy.sizes[0] == len({top for top, _ in placement})


def test_words_without_wordnet_are_named_by_their_common_end():
    names = ("oak tree", "palm tree", "pine tree", "pickup truck", "tow truck")
    classes = ClassList(names, names, ("",) * 5, "")
    assert [group for _, group in name_nodes(classes, [(0, 0)] * 3 + [(0, 1)] * 2)] == ["tree"] * 3 + ["truck"] * 2


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("berry", "berries"), ("day", "days"), ("bus", "buses"), ("church", "churches"), ("fox", "foxes"),
        ("woman", "women"), ("human", "humans"), ("bookshelf", "bookshelves"),
        ("mongoose", "mongooses"), ("monarch", "monarchs"), ("knife", "knives"),
        ("glasses", "glasses"),
        ("goldfish", "goldfish"), ("aircraft", "aircraft"), ("hen of the woods", "hens of the woods"),
        ("sword and sheath", "swords and sheaths"), ("furniture", "furniture"), ("building", "buildings"),
        ("bathing trunks", "bathing trunks"), ("compass", "compasses"),
        ("octopus", "octopuses"), ("dormouse", "dormice"), ("dice", "dice"),
    ],
)  # fmt: skip
def test_plurals(one, many):
    assert plural(one) == many
