"""How alike two hierarchies are: laws first, then a slow and obvious reference, then what a reference file may hold."""

import json
import random
import warnings
from itertools import combinations, permutations
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hierarchy import Hierarchy, HierarchyError, save
from hierarchy.checks import read_reference, score
from hierarchy.errors import FormatError
from hierarchy.names import join_path


@st.composite
def pairs_of_trees(draw, fewest=4, most=12):
    """Two hierarchies over the same classes; the second is also the reference."""
    n = draw(st.integers(fewest, most))
    node = st.tuples(st.integers(0, 2), st.integers(0, 2))
    ours, theirs = (draw(st.lists(node, min_size=n, max_size=n)) for _ in range(2))
    return of(ours), of(theirs)


def of(nodes):
    return Hierarchy.from_rows((f"c{i}", f"c{i}", f"super {s}", f"group {s}{g}") for i, (s, g) in enumerate(nodes))


def slow_triplets(ours, theirs):
    """Looks at every triplet: of those that `theirs` resolves, the share that `ours` resolves alike."""

    def depth(tree, a, b):
        (s, g), (t, h) = tree.groups[a], tree.groups[b]
        return 0 if s != t else 1 if g != h else 2

    def odd_one_out(tree, triplet):
        for a, b, c in permutations(triplet):
            if a < b and depth(tree, a, b) > depth(tree, a, c) and depth(tree, a, b) > depth(tree, b, c):
                return c
        return None

    resolved = [t for t in combinations(range(len(ours)), 3) if odd_one_out(theirs, t) is not None]
    return sum(odd_one_out(ours, t) == odd_one_out(theirs, t) for t in resolved) / len(resolved)


def slow_purity(ours, wanted):
    """Looks at every pair: the smallest node that holds both, and the share of their kind in it."""
    purities = []
    for a, b in combinations(range(len(ours)), 2):
        if wanted[a] != wanted[b]:
            continue
        (s, g), (t, h) = ours.groups[a], ours.groups[b]
        node = "" if s != t else join_path(s) if g != h else join_path(s, g)
        below = ours.labels(node)
        purities.append(sum(wanted[label] == wanted[a] for label in below) / len(below))
    return sum(purities) / len(purities)


def superclass_map(tree):
    return {id: superclass for id, (superclass, _) in zip(tree.classes, tree.groups, strict=True)}


def flattened(tree):
    """The tree without its groups: each class is one of its own."""
    rows = zip(tree.groups, tree.classes, strict=True)
    return Hierarchy(tree.classes, tree.names, tuple((superclass, f"only {id}") for (superclass, _), id in rows))


def is_comparable(theirs):
    """Whether some triplet is resolved: a node holds two of its children, and another class lies outside it."""
    nodes = [*superclass_map(theirs).values()], ["/".join(group) for group in theirs.groups]
    return any(1 < level.count(node) < len(level) for level in nodes for node in level)


@settings(max_examples=10)
@given(pairs_of_trees())
def test_a_hierarchy_is_a_perfect_match_of_itself(trees):
    tree, _ = trees
    assume(is_comparable(tree))
    result = score(tree, tree)
    for name in (
        "superclass_ari",
        "superclass_ami",
        "groups_ari",
        "groups_ami",
        "dendrogram_purity",
        "triplet_agreement",
    ):
        assert result.measures[name].value == pytest.approx(1), name


@settings(max_examples=10)
@given(pairs_of_trees(), st.randoms(use_true_random=False))
def test_the_order_of_labels_changes_nothing(trees, chance):
    ours, theirs = trees
    assume(is_comparable(theirs))
    order = list(range(len(ours)))
    chance.shuffle(order)
    for reference, permuted in ((theirs, theirs.at(order)), (superclass_map(theirs),) * 2):
        if isinstance(reference, dict) and not is_comparable(flattened(theirs)):
            continue
        before, after = score(ours, reference), score(ours.at(order), permuted)
        for name, figure in before.measures.items():
            assert after.measures[name].value == pytest.approx(figure.value), name
            assert after.measures[name].random == pytest.approx(figure.random), name


@settings(max_examples=10)
@given(pairs_of_trees())
def test_counting_agrees_with_looking_at_every_pair_and_triplet(trees):
    ours, theirs = trees
    assume(is_comparable(theirs))
    result = score(ours, theirs)
    assert result.triplet_agreement.value == pytest.approx(slow_triplets(ours, theirs))
    wanted = [superclass for superclass, _ in theirs.groups]
    assert result.dendrogram_purity.value == pytest.approx(slow_purity(ours, wanted))


@settings(max_examples=10)
@given(pairs_of_trees())
def test_a_map_counts_triplets_of_superclasses_only(trees):
    ours, theirs = trees
    wanted = superclass_map(theirs)
    assume(is_comparable(flattened(theirs)))
    flat = flattened(theirs)
    assert score(ours, wanted).triplet_agreement.value == pytest.approx(slow_triplets(ours, flat))


def test_a_random_tree_is_no_better_than_chance():
    chance = random.Random(3)
    ours, theirs = (of([(chance.randrange(8), chance.randrange(4)) for _ in range(400)]) for _ in range(2))
    for name, figure in score(ours, theirs).measures.items():
        assert figure.value == pytest.approx(figure.random, abs=0.02), name
    assert abs(score(ours, theirs).superclass_ari.value) < 0.02
    assert abs(score(ours, theirs).superclass_ami.value) < 0.02


def test_a_score_is_the_same_each_time():
    chance = random.Random(3)
    ours, theirs = (of([(chance.randrange(3), chance.randrange(3)) for _ in range(30)]) for _ in range(2))
    assert score(ours, theirs) == score(ours, theirs)


def test_a_tie_does_not_agree():
    flat = of([(0, 0)] * 4)
    split = {"c0": "x", "c1": "x", "c2": "y", "c3": "y"}
    assert score(flat, split).triplet_agreement.value == 0


def test_small_comparisons_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score(of([(0, 0), (0, 1), (1, 0)]), {"c0": "x", "c1": "x", "c2": "y"})


TWO_CRANES = Hierarchy.from_rows(
    [
        ("n1", "crane", "machines", "lifts"),
        ("n2", "crane", "birds", "waders"),
        ("n3", "Indian elephant", "mammals", "elephants"),
        ("n4", "tusker", "mammals", "elephants"),
        ("aquarium_fish", "aquarium fish", "fish", "carps"),
    ]
)


@pytest.mark.parametrize(
    ("keys", "unmatched"),
    [
        (["n1", "n2", "n3", "n4"], ()),  # ids
        (["n1", "tusker", "Indian elephant"], ()),  # names
        (["n1", "TUSKER", "indian_elephant", "Aquarium Fish"], ()),  # spelled otherwise
        (["n3", "n4", "aquarium_fish", "crane"], ("crane",)),  # two classes are called so
        (["n1", "n3", "tusker", "Tusker"], ("Tusker",)),  # the exact name first
        (["n1", "n2", "n3", "TUSKER", "Tusker"], ("TUSKER", "Tusker")),  # each could be it
        (["n1", "n3", "n4", "tusker"], ("tusker",)),  # taken by its id
        (["n1", "n3", "n4", "zebra"], ("zebra",)),
    ],
)
def test_classes_are_matched_by_id_then_by_a_name_that_can_mean_one_thing(keys, unmatched):
    result = score(TWO_CRANES, {key: "b" if i else "a" for i, key in enumerate(keys)})
    assert (result.covered, result.unmatched) == (len(keys) - len(unmatched), unmatched)
    assert (result.classes, result.referenced) == (5, len(keys))


def test_names_of_a_reference_that_contradict_its_ids_match_nothing():
    theirs = [
        ("n1", "tusker", "a", "a"),  # the id counts, not the name of another class
        ("z", "n1", "a", "b"),
        ("r1", "n3", "b", "c"),  # the id of n3 and the name of n3: it could be either
        ("r2", "Indian elephant", "b", "c"),
        ("n2", "crane", "b", "c"),
        ("aquarium_fish", "aquarium fish", "b", "c"),
    ]
    result = score(TWO_CRANES, Hierarchy.from_rows(theirs))
    assert (result.covered, result.unmatched) == (3, ("z", "r1", "r2"))


def test_an_id_outweighs_a_name_that_means_another_class():
    theirs = [("n1", "tusker", "a", "a"), ("z", "n1", "a", "b"), ("n3", "n3", "b", "c"), ("n2", "n2", "b", "c")]
    result = score(TWO_CRANES, Hierarchy.from_rows(theirs))
    assert result.covered == 3
    assert result.superclass_ari.value == 0  # as the tusker, n1 would share the superclass of n3, and ARI be -0.5


def test_a_part_scores_as_if_the_rest_were_not_there():
    chance = random.Random(5)
    ours, theirs = (of([(chance.randrange(3), chance.randrange(3)) for _ in range(40)]) for _ in range(2))
    part = theirs.at(range(10, 30))
    assert score(ours, part).measures == score(ours.at(range(10, 30)), part).measures


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            {f"unheard of {i}": "x" for i in range(11)},
            "the reference covers 0 of 5 classes, but 3 are needed; no class has these ids or unique names:"
            " 'unheard of 0'; 'unheard of 1'; 'unheard of 2'; 'unheard of 3'; 'unheard of 4';"
            " 'unheard of 5'; 'unheard of 6'; 'unheard of 7'; and 3 more",
        ),
        (
            {"n1": "a", "n2": "b", "n3": "c"},
            "the reference groups all 3 classes that it covers together, or none; give one that groups some of them",
        ),
    ],
)
def test_a_reference_that_says_nothing_is_refused(reference, message):
    with pytest.raises(HierarchyError) as error:
        score(TWO_CRANES, reference)
    assert str(error.value) == message


def test_the_score_is_plain_json():
    result = score(TWO_CRANES, {"n1": "a", "n3": "b", "n4": "b", "zebra": "b"})
    content = json.loads(json.dumps(result.to_dict()))
    assert content["superclass_ari"]["value"] == 1
    assert content["groups_ari"] is None and "groups_ari" not in result.measures
    assert content["unmatched"] == ["zebra"]


@pytest.mark.parametrize("name", ["reference.json", "reference.csv"])
def test_a_reference_may_be_a_hierarchy_file(tmp_path, name):
    save(TWO_CRANES, tmp_path / name)
    assert read_reference(tmp_path / name) == TWO_CRANES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.json", '{\n"apple": "fruit",\n"caf\\u00e9 \\"x\\"": "place"}'),
        ("map.csv", 'class,superclass\napple,fruit\n"café ""x""",place\n'),
        ("lists.json", '{"fruit": ["apple"], "place": ["caf\\u00e9 \\"x\\""], "nothing": []}'),
    ],
)
def test_a_reference_may_be_a_map(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_reference(str(tmp_path / name)) == {"apple": "fruit", 'café "x"': "place"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.json", "", "r.json:1: not JSON (Expecting value at column 1); is the file complete?"),
        ("r.json", '{"a": "b"', "r.json:1: not JSON (Expecting ',' delimiter at column 10); is the file complete?"),
        ("r.json", "[]", "r.json is a JSON list; give an object {class: superclass}"),
        ("r.json", "{}", "r.json is not a reference: no classes; give one class and its superclass per line"),
        (
            "r.json",
            '{"a": "b",\n "a": "y",\n "b": 3,\n "c": ["a", "b"], "": "x", "d": ""}',
            "r.json is not a reference: class 'a' occurs 2 times; give each class one superclass; the superclass of 'b'"
            " is 3; give it a name; the superclass of 'c' is ['a', 'b']; give it a name; a class has no name; give it"
            " one; the superclass of 'd' is ''; give it a name",
        ),
        (
            "r.json",
            '{"fruit": ["apple", 3], "place": ["apple"]}',
            "r.json is not a reference: class 'apple' occurs 2 times; give each class one superclass; a class has no"
            " name; give it one",
        ),
        (
            "r.csv",
            "fine,coarse\na,b\n",
            "r.csv:1: the header is 'fine,coarse'; make it class,superclass or id,name,superclass,group",
        ),
        (
            "r.csv",
            "class,superclass\na,b\na, b, c\n",
            "r.csv: expected 2 fields, got 3 in 'a, b, c'; quote fields that contain commas",
        ),
        ("r.csv", 'class,superclass\n"a,b\n', "r.csv:2: not CSV (unexpected end of data); check the quotes"),
        (
            "r.csv",
            "class,superclass\na,x\na,y\n",
            "r.csv is not a reference: class 'a' occurs 2 times; give each class one superclass",
        ),
    ],
)
def test_a_bad_reference_is_named_with_all_its_faults(tmp_path, monkeypatch, name, text, message):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text, encoding="utf-8")
    with pytest.raises(FormatError) as error:
        read_reference(name)
    assert str(error.value) == message
