"""Datasets along a hierarchy: laws of labels, subsets, statistics and splits; streams behave like datasets."""

from collections import Counter
from math import log2

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from support import strategies
from support.images import PETS, image_rows, stored

from hierarchy import Hierarchy, load
from hierarchy.dataset import check_images, label, match, split, stats, subset
from hierarchy.dataset.stratify import allot
from hierarchy.errors import DataError


def rows_of(labels, names=None):
    """A dataset of labels alone: of strings, or numbers with names."""
    feature = datasets.ClassLabel(names=list(names)) if names else datasets.Value("string")
    return datasets.Dataset.from_dict(
        {"label": list(labels), "row": list(range(len(labels)))},
        features=datasets.Features({"label": feature, "row": datasets.Value("int64")}),
    )


@st.composite
def labelled(draw, fewest=0):
    """A hierarchy, some of its ids in any order, and rows of these."""
    tree = draw(strategies.hierarchies())
    names = draw(st.permutations(tree.classes))[: draw(st.integers(1, len(tree)))]
    return tree, names, draw(st.lists(st.integers(0, len(names) - 1), min_size=fewest, max_size=20))


KINDS = {
    "ClassLabel": lambda names, numbers: (rows_of(numbers, names), None),
    "strings": lambda names, numbers: (rows_of([names[n] for n in numbers]), None),
    "numbers": lambda names, numbers: (rows_of(numbers, names).cast_column("label", datasets.Value("int16")), names),
}


# Labels


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(case=labelled())
def test_labels_and_level_columns_are_those_of_the_hierarchy(kind, case):
    tree, names, numbers = case
    data, given_names = KINDS[kind](names, numbers)
    made = label(data, tree, names=given_names)
    assert made.features["label"].names == list(tree.classes)
    assert made.features["superclass"].names == list(tree.nodes(1))
    assert made.features["group"].names == list(tree.nodes(2))
    assert [tree.classes[n] for n in made["label"]] == [names[n] for n in numbers]
    assert list(made["superclass"]) == [tree.ancestors(1)[n] for n in made["label"]]
    assert list(made["group"]) == [tree.ancestors(2)[n] for n in made["label"]]
    assert list(made["row"]) == list(range(len(numbers)))


@settings(max_examples=15)
@given(case=labelled(), data=st.data())
def test_a_subset_is_labelled_as_the_subset_of_the_hierarchy(case, data):
    tree, names, numbers = case
    asked = data.draw(st.lists(st.sampled_from([*tree.classes, *tree.nodes(1), *tree.nodes(2), ""]), min_size=1))
    small, rows = tree.subset(*asked), rows_of(numbers, names)
    found = subset(rows, tree, asked)
    assert found.hierarchy == small
    assert found.data.features["label"].names == list(small.classes)
    kept = [(row, names[n]) for row, n in enumerate(numbers) if names[n] in small.classes]
    assert list(zip(found.data["row"], found.data["label"], strict=True)) == [
        (row, small.classes.index(id)) for row, id in kept
    ]
    assert found.mapping == {n: small.classes.index(id) for n, id in enumerate(names) if id in small.classes}


@settings(max_examples=15)
@given(case=labelled(), data=st.data())
def test_labelling_and_taking_a_subset_commute(case, data):
    tree, names, numbers = case
    asked = [data.draw(st.sampled_from(tree.classes))]
    rows = rows_of(numbers, names)
    one = subset(label(rows, tree), tree, asked)
    other = label(subset(rows, tree, asked).data, one.hierarchy)
    assert one.data.features == other.features
    assert one.data.to_dict() == other.to_dict()


@settings(max_examples=20)
@given(case=labelled())
def test_labelling_twice_is_labelling_once(case):
    tree, names, numbers = case
    once = label(rows_of(numbers, names), tree)
    twice = label(once, tree)
    assert (twice.features, twice.to_dict()) == (once.features, once.to_dict())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15)
@given(case=labelled(fewest=1), data=st.data())  # the library streams no dataset without rows
def test_a_stream_gives_what_a_dataset_gives(kind, case, data):
    tree, names, numbers = case
    asked = [data.draw(st.sampled_from([*tree.classes, ""]))]
    rows, given_names = KINDS[kind](names, numbers)
    stream = rows.to_iterable_dataset()
    one, other = label(rows, tree, names=given_names), label(stream, tree, names=given_names)
    assert other.features == one.features
    assert list(other) == list(one)
    small = subset(stream, tree, asked, names=given_names)
    expected = subset(rows, tree, asked, names=given_names)
    assert list(small.data) == list(expected.data)
    assert small.mapping == (None if kind == "strings" else expected.mapping)
    assert stats(stream, tree, names=given_names) == stats(rows, tree, names=given_names)


def test_ids_match_before_names():
    tree = Hierarchy(("a", "b", "c"), ("b", "x", "y"), (("s", "g"),) * 3)
    assert match(["b", "y"], tree) == {"b": 1, "y": 2}


def test_rows_of_a_selection_are_labelled_without_copying_images(tmp_path):
    image_rows([0, 1, 2, 3, 0], ["tabby", "carp", "siamese", "beagle"]).save_to_disk(tmp_path / "d")
    data = datasets.load_from_disk(str(tmp_path / "d"))
    chosen = data.select([4, 1, 1, 3])
    made = label(chosen, PETS)
    assert list(made["label"]) == [0, 1, 1, 3]
    assert stored(made) == [stored(data)[i] for i in (4, 1, 1, 3)]
    for found in (made, subset(made, PETS, ["mammals"]).data, split(made, {"a": 0.5, "b": 0.5}).data["a"]):
        where = found.data.column("image").chunk(0).field("bytes").buffers()[2].address
        assert where == data.data.column("image").chunk(0).field("bytes").buffers()[2].address


def test_images_are_not_opened(tmp_path):
    files = [str(tmp_path / f"{i}.png") for i in range(3)]  # none of which is there
    data = datasets.Dataset.from_dict({"image": files, "label": ["n1", "n2", "n1"]})
    data = data.cast_column("image", datasets.Image())
    assert stats(label(data, PETS), PETS).images(1) == {"fish": 1, "mammals": 2}
    assert subset(data, PETS, ["fish"]).data.num_rows == 1
    streamed = label(data.to_iterable_dataset(), PETS).with_format("arrow")
    assert sum(table.num_rows for table in streamed.iter(2)) == 3


def test_all_splits_are_processed_the_same_way():
    data = datasets.DatasetDict(train=rows_of(["n1", "n2"]), test=rows_of(["beagle"]))
    made = label(data, PETS)
    assert isinstance(made, datasets.DatasetDict)
    assert {name: list(part["label"]) for name, part in made.items()} == {"train": [0, 1], "test": [3]}
    found = stats(made, PETS)
    assert found.counts == {"train": (1, 1, 0, 0), "test": (0, 0, 0, 1)}
    assert found.missing == {"train": ("n3", "n4"), "test": ("n1", "n2", "n3")}
    streams = datasets.IterableDatasetDict({name: part.to_iterable_dataset() for name, part in data.items()})
    assert isinstance(label(streams, PETS), datasets.IterableDatasetDict)
    assert list(label(streams, PETS)["test"]) == list(made["test"])


def test_a_stream_from_a_generator_declares_its_columns_late():
    stream = datasets.IterableDataset.from_generator(lambda: iter([{"label": "carp"}, {"label": "n1"}]))
    assert stream.features is None
    assert [row["group"] for row in label(stream, PETS)] == [0, 1]


def test_a_text_is_not_a_list_of_classes():
    with pytest.raises(TypeError, match=r"give a list, as in \['fish'\]"):
        subset(rows_of(["n1"]), PETS, "fish")


# Statistics


@settings(max_examples=20)
@given(case=labelled())
def test_images_of_nodes_are_those_of_their_classes(case):
    tree, names, numbers = case
    found = stats(rows_of(numbers, names), tree)
    ids = Counter(names[n] for n in numbers)
    for level in (1, 2):
        for path, images in found.images(level).items():
            assert images == sum(ids[tree.classes[n]] for n in tree.labels(path))
    assert list(found.images(3).values()) == [ids[tree.classes[tree.labels(path)[0]]] for path in tree.nodes(3)]
    assert found.missing.get("", ()) == tuple(id for id in tree.classes if not ids[id])
    for level in (1, 2, 3):
        assert sum(found.images(level).values()) == len(numbers)
        balance = found.balance(level)
        assert 0 <= balance.entropy <= log2(balance.nodes) + 1e-9
        assert balance.missing == list(found.images(level).values()).count(0)
        assert (balance.imbalance is None) == (not numbers)


def test_even_classes_have_evenness_one_and_no_imbalance():
    balance = stats(rows_of(["n1", "n2", "n3", "n4"] * 3), PETS).balance(3)
    assert (balance.entropy, balance.evenness, balance.imbalance) == (2.0, 1.0, 1.0)
    balance = stats(rows_of(["n1", "n1", "n1", "n2"]), PETS).balance(3)
    assert (balance.least, balance.most, balance.imbalance, balance.missing) == (1, 3, 3.0, 2)
    assert balance.entropy == pytest.approx(0.75 * log2(4 / 3) + 0.25 * 2)


def test_the_page_knows_the_images_of_each_class():
    text = stats(rows_of(["n1", "n1", "n2"]), PETS).page(title="pets")
    assert '"images":[1,0,2,0]' in text  # carp, siamese, tabby, beagle: node order
    assert "no images of beagle (n4) in the dataset" in text


def test_a_table_of_many_missing_classes_names_the_first_of_them():
    tree = load("imagenet1k")
    (line,) = [
        line for line in stats(rows_of([], tree.classes), tree).text(depth=1).splitlines() if "no images" in line
    ]
    assert line.startswith("no images of 1,000 classes: tench (n01440764), goldfish (n01443537), ")
    assert line.endswith(" and 900 more; --json lists all") and line.count("(") == 100


# Splits


@settings(max_examples=30)
@given(
    labels=st.lists(st.sampled_from("abcd"), max_size=60),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_a_split_is_a_partition_and_stratified(labels, weights, seed):
    shares = {f"part{i}": weight / sum(weights) for i, weight in enumerate(weights)}
    data = rows_of(labels)
    found = split(data, shares, seed=seed)
    assert list(found.data) == list(shares)
    rows = [list(part["row"]) for part in found.data.values()]
    assert sorted(row for part in rows for row in part) == list(range(len(labels)))
    assert all(part == sorted(part) for part in rows)
    for value, size in Counter(labels).items():
        counts = [list(part["label"]).count(value) for part in found.data.values()]
        assert counts == allot(size, list(shares.values()))
        assert (value in found.too_small) == (size < len(shares))
    again = split(data, shares, seed=seed)
    assert [list(part["row"]) for part in again.data.values()] == rows


@given(rows=st.integers(0, 500), weights=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_shares_are_met_to_less_than_a_row_where_no_part_would_be_empty(rows, weights):
    shares = [weight / sum(weights) for weight in weights]
    counts = allot(rows, shares)
    assert sum(counts) == rows
    assert rows < len(shares) or min(counts) >= 1
    if all(rows * share >= 1 for share in shares):
        assert all(abs(count - rows * share) < 1 for count, share in zip(counts, shares, strict=True))


@given(rows=st.integers(0, 500), weights=st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_fewer_rows_than_parts_go_where_the_shares_say_and_to_large_parts_first(rows, weights):
    shares = [weight / sum(weights) for weight in weights]
    rows %= len(shares)
    counts = allot(rows, shares)
    assert sum(counts) == rows
    assert all(abs(count - rows * share) < 1 for count, share in zip(counts, shares, strict=True))
    by_share = [count for _, count in sorted(zip(shares, counts, strict=True), reverse=True)]
    assert by_share == sorted(counts, reverse=True)


def test_another_seed_gives_other_rows():
    data = rows_of(["n1"] * 50)
    one, other = (split(data, {"a": 0.5, "b": 0.5}, seed=seed).data["a"]["row"] for seed in (0, 1))
    assert list(one) != list(other)


# Bad rows


def test_bad_rows_of_all_splits_are_reported_at_once():
    names = ["n1", "n2"]
    train = rows_of([0, 1, None, 0, 1], names)
    test = datasets.Dataset.from_dict({"label": [7, 0, -1, None]}).cast_column("label", datasets.Value("int64"))
    test = datasets.Dataset(
        test.data, info=datasets.DatasetInfo(features=datasets.Features(label=train.features["label"]))
    )
    data = datasets.DatasetDict(train=train.select_columns("label"), test=test)
    with pytest.raises(DataError) as caught:
        label(data, PETS)
    assert caught.value.rows == {"train": (2,), "test": (0, 2, 3)}
    assert caught.value.problems == (
        "train row 2: no label",
        "test row 3: no label",
        "test row 2: label -1 is out of range 0 to 1",
        "test row 0: label 7 is out of range 0 to 1",
    )


@pytest.mark.parametrize("num_proc", [1, 2])
def test_images_that_cannot_be_decoded_are_reported_with_their_rows(num_proc, tmp_path):
    data = image_rows(["n1"] * 6)
    images = [{"bytes": content, "path": None} for content in stored(data)]
    images[1]["bytes"] = images[1]["bytes"][:-6]  # its header is whole
    images[2] = None
    images[4] = {"bytes": None, "path": str(tmp_path / "gone.png")}
    images[5]["bytes"] = b"text"
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    data = datasets.Dataset.from_dict({"image": images, "label": ["n1"] * 3 + [None] + ["n1"] * 2}, features=features)
    with pytest.raises(DataError) as caught:
        label(data, PETS, check=check_images(num_proc=num_proc))
    assert caught.value.rows == {"": (1, 2, 3, 4, 5)}
    assert sorted(caught.value.problems) == [
        "row 2: no image",
        "row 3: no label",
        "row 4: cannot read the image file",
        "rows 1, 5: cannot decode the image",
    ]
    assert label(data.select([0]), PETS, check=check_images()).num_rows == 1


def test_an_image_that_is_too_large_for_pillow_is_reported(monkeypatch, recwarn):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 40)  # 8 x 8 is more, and less than twice as much
    assert label(image_rows(["n1"]), PETS, check=check_images()).num_rows == 1
    assert not [warning for warning in recwarn if issubclass(warning.category, Pillow.DecompressionBombWarning)]
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match="row 0: image has more pixels than Pillow decodes"):
        label(image_rows(["n1"]), PETS, check=check_images())


def test_a_stream_raises_for_bad_rows_when_they_are_reached():
    stream = label(rows_of([0, None, 0], ["n1", "n2"]).to_iterable_dataset(), PETS)
    with pytest.raises(DataError, match="row 1: no label"):
        list(stream)
    with pytest.raises(DataError, match="has the id or name 'lion'"):
        list(label(rows_of(["n1", "lion"]).to_iterable_dataset(), PETS))


def test_of_many_unknown_classes_a_few_are_named():
    with pytest.raises(DataError, match="'strange 7' and 3 more; rename them"):
        label(rows_of([f"strange {number}" for number in range(11)]), PETS)
