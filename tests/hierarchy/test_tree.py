"""`Hierarchy`: laws over random hierarchies, compared with slow and obvious versions; then a table of edge cases."""

import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import hierarchies, hierarchies_and_requests, names, tables

from hierarchy import Hierarchy
from hierarchy.errors import AmbiguousName, HierarchyError, InvalidHierarchy, UnknownNode
from hierarchy.names import join_path, name_fault


def below(tree, node):
    """The labels below a node path or of an id, read off the table row by row."""
    found = []
    for label, (id, name, superclass, group) in enumerate(tree.rows):
        twins = [row for row in tree.rows if row[2:] == (superclass, group) and name in row[:2]]
        leaf = name if len(twins) == 1 else id
        if node in (
            "",
            id,
            superclass,
            join_path(superclass),
            join_path(superclass, group),
            join_path(superclass, group, leaf),
        ):
            found.append(label)
    return tuple(found)


# Laws


@given(hierarchies())
def test_the_empty_path_is_everything(tree):
    assert tree.labels("") == tuple(range(len(tree)))
    assert tree.subset("") == tree


@given(hierarchies_and_requests())
def test_every_id_and_every_path_means_exactly_its_classes(tree_and_asked):
    tree, asked = tree_and_asked
    for item in asked:
        assert tree.labels(item) == below(tree, item)
    assert tree.labels(*asked) == tuple(sorted({label for item in asked for label in below(tree, item)}))


@given(hierarchies())
def test_each_node_has_a_unique_path(tree):
    paths = [path for level in (1, 2, 3) for path in tree.nodes(level)]
    assert len(set(paths)) == len(paths) == sum(tree.sizes)
    assert [path.count("/") + 1 for path in paths] == [level for level in (1, 2, 3) for _ in tree.nodes(level)]


@given(hierarchies_and_requests(), st.data())
def test_a_subset_of_a_subset_is_the_subset(tree_and_asked, data):
    tree, asked = tree_and_asked
    part = tree.subset(*asked)
    again = data.draw(st.lists(st.sampled_from([*part.classes, *part.nodes(1), *part.nodes(2), ""]), min_size=1))
    inner = part.subset(*again)
    assert inner == tree.subset(*inner.classes)
    assert inner.rows == tuple(row for row in tree.rows if row[0] in inner.classes)


@given(hierarchies_and_requests())
def test_a_subset_that_is_extended_by_the_whole_keeps_its_labels(tree_and_asked):
    tree, asked = tree_and_asked
    part = tree.subset(*asked)
    whole = part.extend(tree)
    assert whole.rows[: len(part)] == part.rows
    assert set(whole.rows) == set(tree.rows)
    assert whole.extend(part) == whole


def test_a_class_that_data_would_take_for_an_own_one_is_no_further_one():
    wnids = Hierarchy(("n1",), ("tabby",), (("mammals", "cats"),))
    names = Hierarchy(("tabby", "carp"), ("tabby", "carp"), (("pets", "cats"), ("fish", "carps")))
    assert wnids.extend(names).classes == ("n1", "carp")
    assert names.extend(wnids) == names
    cranes = Hierarchy(("n1", "n2"), ("tabby", "tabby"), (("mammals", "cats"), ("pets", "cats")))
    assert wnids.extend(cranes) == cranes  # ids tell classes of one name apart


@given(hierarchies_and_requests())
def test_a_subset_has_the_order_of_the_whole_with_gaps(tree_and_asked):
    tree, asked = tree_and_asked
    part = tree.subset(*asked)
    for level in (1, 2):
        assert part.nodes(level) == tuple(node for node in tree.nodes(level) if node in part.nodes(level))
    assert in_node_order(part) == tuple(id for id in in_node_order(tree) if id in part.classes)


def in_node_order(tree):
    return tuple(tree.classes[tree.ancestors(3).index(place)] for place in range(len(tree)))


@given(hierarchies())
def test_parents_are_the_paths_without_their_end(tree):
    assert set(tree.parents(1)) == {0} and len(tree.parents(1)) == tree.sizes[0]
    for level in (2, 3):
        above = [path.rpartition("/")[0] for path in tree.nodes(level)]
        assert [tree.nodes(level - 1)[parent] for parent in tree.parents(level)] == above


@given(hierarchies())
def test_ancestors_are_the_nodes_a_class_lies_below(tree):
    for level in (1, 2, 3):
        assert len(tree.ancestors(level)) == len(tree)
        for label, node in enumerate(tree.ancestors(level)):
            assert [i for i, path in enumerate(tree.nodes(level)) if label in below(tree, path)] == [node]


@given(hierarchies(), st.randoms(use_true_random=False))
def test_permuting_labels_permutes_ancestors_and_leaves_nodes_and_parents_alone(tree, chance):
    order = chance.sample(range(len(tree)), len(tree))
    shuffled = tree.at(order)
    assert shuffled.classes == tuple(tree.classes[label] for label in order)
    for level in (1, 2, 3):
        assert shuffled.nodes(level) == tree.nodes(level)
        assert shuffled.parents(level) == tree.parents(level)
        assert shuffled.ancestors(level) == tuple(tree.ancestors(level)[label] for label in order)


@given(tables(), tables())
def test_digests_are_equal_exactly_if_hierarchies_are(one, other):
    assert Hierarchy.from_rows(one).digest == Hierarchy.from_rows(list(one)).digest
    first, second = Hierarchy.from_rows(one), Hierarchy.from_rows(other)
    assert (first.digest == second.digest) == (first == second) == (one == other)


@given(tables(), st.data())
def test_any_change_of_one_field_or_of_the_order_changes_the_digest(rows, data):
    before = Hierarchy.from_rows(rows)
    place, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 3))
    new = data.draw(names.filter(lambda name: all(name not in row for row in rows)))
    changed = [list(row) for row in rows]
    changed[place][column] = new
    assert Hierarchy.from_rows(changed).digest != before.digest
    assert len(rows) == 1 or Hierarchy.from_rows(rows[::-1]).digest != before.digest


def test_moving_text_from_one_field_to_the_next_changes_the_digest():
    pairs = [("a", '","b'), ('a","', "b"), ("a,", "b"), ("a", ",b"), ("a b", "c"), ("a", "b c")]
    assert len({Hierarchy(("i",), ("n",), (pair,)).digest for pair in pairs}) == len(pairs)


def test_the_digest_is_the_one_files_were_written_with():
    tree = Hierarchy(("n1", "n2"), ("crane", "é🦈"), (("birds", "waders"), ("fish", "sharks")))
    assert tree.digest == "4344babdec70e12b3294cf3d2780a5f13d54db0e4447517d7efa7c022e06af3e"


@given(hierarchies())
def test_a_hierarchy_survives_pickling_and_hashing(tree):
    fresh = pickle.loads(pickle.dumps(tree))
    tree.labels(tree.classes[0])
    used = pickle.loads(pickle.dumps(tree))
    for copy in (fresh, used):
        assert copy == tree and hash(copy) == hash(tree) and copy.digest == tree.digest
        assert copy.nodes(3) == tree.nodes(3)
    assert len({tree, fresh, used}) == 1


@given(hierarchies())
def test_find_gives_every_node_by_its_path_first(tree):
    for level in (1, 2, 3):
        for path in tree.nodes(level):
            assert path in tree.find(path)


# Edge cases

CRANES = Hierarchy.from_rows(
    [
        ("n02012849", "crane", "animals", "birds"),
        ("n03126707", "crane", "machines", "lifting gear"),
        ("n03710637", "maillot", "clothing", "swimwear"),
        ("n03710721", "maillot", "clothing", "swimwear"),
        ("n01491361", "shark", "animals", "shark"),
        ("n01494475", "machines", "animals", "shark"),
    ]
)


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        (["n02012849"], (0,)),
        (["animals/birds/crane"], (0,)),
        (["animals/birds/n02012849"], (0,)),
        (["clothing/swimwear/n03710721"], (3,)),
        (["clothing/swimwear"], (2, 3)),
        (["shark"], (4,)),  # a group goes by its path, so this is the class
        (["animals/shark"], (4, 5)),
        (["animals/shark/shark"], (4,)),
        (["machines"], (1,)),  # a path means its node, whatever class is called so
        (["n01494475"], (5,)),
        (["animals/shark/machines"], (5,)),
        (["machines", "n02012849", "n02012849", "animals/birds"], (0, 1)),
        ([], ()),
    ],
)
def test_classes_of_one_name_are_distinguished_by_id_and_by_path(asked, labels):
    assert CRANES.labels(*asked) == labels


def test_paths_of_classes_with_one_name_in_one_group_end_in_their_ids():
    assert [path for path in CRANES.nodes(3) if "maillot" in path] == []
    assert "clothing/swimwear/n03710637" in CRANES.nodes(3)
    assert CRANES.subset("n03710637").nodes(3) == ("clothing/swimwear/maillot",)


def test_an_id_means_its_own_class_even_if_another_has_it_as_its_name():
    swapped = Hierarchy(("a", "b"), ("b", "a"), (("x", "y"), ("x", "y")))
    assert swapped.labels("a") == (0,) and swapped.labels("b") == (1,)
    assert swapped.nodes(3) == ("x/y/b", "x/y/a")
    assert swapped.labels("x/y/a") == (0,)


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("sharks", "; nearest: 'shark'"),
        ("animals/brids", "; nearest: 'animals/birds', "),
        ("SHARK", "; nearest: 'shark'"),
        ("n0201284", "; nearest: 'n02012849'"),
        (" ", ""),
        ("/", ""),
        ("zzzzzz", ""),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_names(asked, nearest):
    with pytest.raises(UnknownNode) as caught:
        CRANES.labels(asked)
    start = f"no class or node {asked!r}"
    assert str(caught.value).startswith(start + nearest)
    assert nearest or str(caught.value) == start + "; use an id, a name or a path"


@pytest.mark.parametrize("asked", [0, None, ["shark"], ("shark",)])
def test_a_request_that_is_not_a_string_is_refused(asked):
    with pytest.raises(TypeError, match=r"^cannot look up .*; give ids, names or paths, as in labels\('shark', "):
        CRANES.labels(asked)


def test_a_label_given_twice_is_refused():
    with pytest.raises(InvalidHierarchy, match="id 'n02012849' occurs 2 times"):
        CRANES.at([0, 0])


@pytest.mark.parametrize("ask", [Hierarchy.nodes, Hierarchy.parents, Hierarchy.ancestors])
@pytest.mark.parametrize("level", [0, 4, "1", None])
def test_an_unknown_level_is_refused(ask, level):
    with pytest.raises(
        ValueError, match=r"^level=.* is not a level; use 1 \(superclasses\), 2 \(groups\) or 3 \(classes\)$"
    ):
        ask(CRANES, level)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("crane", ("animals/birds/crane", "machines/lifting gear/crane")),
        ("CRANE", ("animals/birds/crane", "machines/lifting gear/crane")),
        ("shark", ("animals/shark", "animals/shark/shark")),
        ("Animals/Shark", ("animals/shark",)),
        ("n03126707", ("machines/lifting gear/crane",)),
        ("lift", ("machines/lifting gear",)),
        ("crain", ("animals/birds/crane", "machines/lifting gear/crane")),
        ("zzzzzz", ()),
    ],
)
def test_find_gives_what_a_text_may_mean(text, found):
    assert CRANES.find(text) == found


SLASHES = Hierarchy.from_rows(
    [
        ("T-shirt/top", "T-shirt/top", "clothes/shoes", "tops"),
        ("n/a", "none", "clothes/shoes", "n/a"),
        ("%2F", "100% cotton", "cloth", "cotton"),
    ]
)


def test_a_slash_in_a_name_is_escaped_in_its_path():
    assert SLASHES.nodes(1) == ("cloth", "clothes%2Fshoes")
    assert SLASHES.nodes(2) == ("cloth/cotton", "clothes%2Fshoes/n%2Fa", "clothes%2Fshoes/tops")
    assert SLASHES.nodes(3)[::2] == ("cloth/cotton/100% cotton", "clothes%2Fshoes/tops/T-shirt%2Ftop")
    assert SLASHES.find("shirt/t") == ("clothes%2Fshoes/tops/T-shirt%2Ftop",)


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        ("T-shirt/top", (0,)),
        ("T-shirt%2Ftop", (0,)),
        ("clothes%2Fshoes/tops/T-shirt%2Ftop", (0,)),
        ("clothes/shoes", (0, 1)),
        ("clothes%2Fshoes", (0, 1)),
        ("clothes%2Fshoes/n%2Fa", (1,)),
        ("n/a", (1,)),
        ("%2F", (2,)),
        ("%252F", (2,)),
    ],
)
def test_a_name_with_a_slash_is_found_as_it_is_and_escaped(asked, labels):
    assert SLASHES.labels(asked) == labels


def test_a_folder_of_a_class_may_have_its_escaped_name():
    index = SLASHES.index
    assert [index.candidates(name) for name in ("T-shirt%2Ftop", "T-shirt/top", "n%2Fa", "none", "zzz%2F")] == [
        (0,), (0,), (1,), (1,), (),
    ]  # fmt: skip


def test_an_id_that_is_the_path_of_another_node_is_refused():
    rows = [
        ("field/wild", "a", "forest", "x"),
        ("b", "b", "field", "wild"),
        ("s/g/c", "d", "s", "g"),
        ("c", "e", "s", "g"),
    ]
    with pytest.raises(InvalidHierarchy) as caught:
        Hierarchy.from_rows(rows)
    assert caught.value.problems == tuple(
        f"id {id!r} is also the path of a node, so it would be ambiguous; rename the node"
        for id in ("field/wild", "s/g/c")
    )


def test_all_problems_of_a_table_are_reported_at_once():
    with pytest.raises(InvalidHierarchy) as caught:
        Hierarchy(
            classes=("a", "b", "a", "c/d", "", "e\n", "a"),
            names=("x", " y", "z", "z", "z", "z", 7),
            groups=(("s", "g"), ("s", "g\t"), ("b", "g"), ("", "g"), ("s", "g"), ("s", "g"), (None, ["g"])),
        )
    assert caught.value.problems == (
        "id 'a' occurs 3 times (labels 0, 2, 6); ids must be unique",
        "id '' is empty; give it a name",
        "id 'e\\n' contains a control character such as a line break; remove it",
        "name ' y' starts or ends with a space; strip it",
        "name 7 is of type int; give a string",
        "superclass '' is empty; give it a name",
        "superclass None is of type NoneType; give a string",
        "group 'g\\t' contains a control character such as a line break; remove it",
        "group ['g'] is of type list; give a string",
        "superclass 'b' is also the id of a class, so it would be ambiguous; rename it",
    )
    assert str(caught.value).startswith("not a hierarchy: id 'a' occurs 3 times")
    assert str(caught.value).endswith("; and 2 more")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (((), (), ()), "no classes; give at least one"),
        ((("a",), (), ()), "got 1 id, 0 names and 0 groups; give one of each per class"),
        ((("a",), ("a",), ("sg",)), "group 'sg' of label 0 is not a pair; give (superclass, group)"),
        (
            (("a",), ("a",), (("s", "g", "h"),)),
            "group ('s', 'g', 'h') of label 0 is not a pair; give (superclass, group)",
        ),
        ((("a",), ("a",), (7,)), "group 7 of label 0 is not a pair; give (superclass, group)"),
        (
            (("\ud800",), ("a",), (("s", "g"),)),
            "id '\\ud800' contains a control character such as a line break; remove it",
        ),
    ],
)
def test_a_malformed_table_is_refused(columns, problem):
    with pytest.raises(InvalidHierarchy) as caught:
        Hierarchy(*columns)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\u00a0", "a\nb", "a\rb", "a\0", "a\x7f", "a\x85", "a\u2028b", "\udfff"]
)
def test_bad_names_have_a_fault(name):
    assert name_fault(name)


@pytest.mark.parametrize(
    "name",
    ["a", "a b", "ä", "中", "🦈", "👩\u200d🚒", "'", '"', ",", "\\", "..", "a/b", "/", "%2F", "a\u00a0b", "NaN", "0"],
)
def test_good_names_have_none(name):
    assert name_fault(name) is None


def test_a_hierarchy_cannot_be_changed():
    columns = [["a", "b"], ["a", "b"], [["s", "g"], ["s", "g"]]]
    tree = Hierarchy(*columns)
    columns[0][0] = columns[2][0][0] = "changed"
    assert tree.rows == (("a", "a", "s", "g"), ("b", "b", "s", "g"))
    for field in dataclasses.fields(tree):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(tree, field.name, ())
        assert isinstance(getattr(tree, field.name), tuple)


def test_every_error_is_a_hierarchy_error():
    for error in (AmbiguousName, InvalidHierarchy, UnknownNode):
        assert issubclass(error, HierarchyError) and issubclass(error, ValueError)


def test_a_flat_hierarchy_has_one_group_whatever_its_classes_are_called():
    tree = Hierarchy.flat(["everything", "b"], ["all", "everything else"])
    assert tree.sizes == (1, 1, 2) and tree.names == ("all", "everything else")
    assert tree.labels("everything") == (0,) and tree.labels("") == (0, 1)
    with pytest.raises(InvalidHierarchy):
        Hierarchy.flat(["a", "b"], [])
