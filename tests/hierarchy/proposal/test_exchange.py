"""Newick and hiclass: what is written reads back as the same tree, whatever the names."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hierarchy import Hierarchy
from hierarchy.names import name_fault
from hierarchy.proposal.exchange import to_hiclass, to_newick

NAMES = st.text("ab'(),;:[] \\\"é_", min_size=1, max_size=6).filter(lambda name: name_fault(name) is None)


@st.composite
def hierarchies(draw):
    ids = draw(st.lists(NAMES, min_size=1, max_size=12, unique=True))
    superclasses = NAMES.filter(lambda name: name not in ids)
    return Hierarchy.from_rows((id, draw(NAMES), draw(superclasses), draw(NAMES)) for id in ids)


def parse(text):
    """An independent reader of Newick with quoted labels: (label, children)."""
    at = 0

    def node():
        nonlocal at
        children = []
        if text[at] == "(":
            while text[at] in "(,":
                at += 1
                children.append(node())
            assert text[at] == ")"
            at += 1
        label = ""
        if text[at] == "'":
            at += 1
            while text[at] != "'" or text[at : at + 2] == "''":
                at += 2 if text[at] == "'" else 1
                label += text[at - 1]
            at += 1
        return label, children

    tree = node()
    assert text[at:] == ";"
    return tree


@given(hierarchies())
def test_newick_reads_back_as_the_same_tree(tree):
    label, superclasses = parse(to_newick(tree))
    assert label == ""
    groups = [((s, g), [id for id, _ in classes]) for s, below in superclasses for g, classes in below]
    assert [s for s, _ in superclasses] == list(tree.nodes(1))
    assert [f"{s}/{g}" for (s, g), _ in groups] == list(tree.nodes(2))
    assert {id: group for group, ids in groups for id in ids} == dict(zip(tree.classes, tree.groups, strict=True))


def test_classes_of_a_group_stand_in_node_order():
    rows = [
        ("n2", "zebra", "animals", "horses"),
        ("n1", "ass", "animals", "horses"),
        ("n3", "mule", "animals", "horses"),
    ]
    assert to_newick(Hierarchy.from_rows(rows)) == "((('n1','n3','n2')'horses')'animals');"


@settings(deadline=None)  # the first call imports numpy
@given(hierarchies())
def test_hiclass_rows_are_in_label_order_and_a_group_has_one_parent(tree):
    target = to_hiclass(tree)
    assert target.shape == (len(tree), 3) and target.dtype == object
    assert target[:, 2].tolist() == list(tree.classes)
    assert target[:, 0].tolist() == [superclass for superclass, _ in tree.groups]
    parent = {}
    for superclass, group, _ in target.tolist():
        assert parent.setdefault(group, superclass) == superclass
    assert len(parent) == tree.sizes[1]
