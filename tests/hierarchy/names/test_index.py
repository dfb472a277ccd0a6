"""Names: the same words mean the same classes, whether these are settled, unsettled or in somebody else's list."""

import pytest

from hierarchy.errors import AmbiguousName, UnknownNode
from hierarchy.names import NameIndex, match

PETS = NameIndex(
    ("n1", "n2", "n3", "n4"),
    ("tabby", "carp", "crane", "crane"),
    (("mammals", "cats"), ("fish", "carps"), ("birds", "waders"), None),
)


@pytest.mark.parametrize(
    ("asked", "label"),
    [("n1", 0), ("tabby", 0), ("mammals/cats/tabby", 0), ("mammals/cats/n1", 0), ("fish", 1), ("n3", 2), ("n4", 3)],
)
def test_an_id_a_name_and_a_path_mean_the_class_settled_or_not(asked, label):
    assert PETS.label(asked) == label


def test_a_repeated_name_is_refused_with_the_paths_and_ids():
    with pytest.raises(AmbiguousName) as caught:
        PETS.label("crane")
    assert (
        str(caught.value)
        == "'crane' is ambiguous: 'birds/waders/crane' (id 'n3') and 'n4' (id 'n4'); use an id or a path"
    )
    assert PETS.candidates("crane") == (2, 3) and PETS.candidates("n4") == (3,) and PETS.candidates("dodo") == ()


def test_a_node_of_several_classes_is_not_a_class():
    with pytest.raises(UnknownNode, match="'' is a node of 4 classes; name one of them"):
        PETS.label("")


def test_two_lists_are_paired_by_id_then_by_name_then_by_loose_spelling():
    ours = [("n1", "tabby cat"), ("n2", "carp"), ("n3", "Carp")]
    assert match(ours, [("TABBY_CAT",), ("n3",), ("carp",)]) == {1: 2, 2: 1, 0: 0}
    assert match(ours, [("cArP",)]) == {}  # either of two
