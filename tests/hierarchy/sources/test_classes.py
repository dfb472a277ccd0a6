"""Class sources: each kind of file gives its ids, names and definitions in label order, twins included."""

import hashlib
from collections import Counter

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from support.strategies import names

from hierarchy.errors import SourceError
from hierarchy.io import folder
from hierarchy.sources import read_classes
from hierarchy.sources.classes import LONGEST, Entry
from hierarchy.sources.files.forms import TEXT, Form
from hierarchy.sources.read import KINDS, Kind

ODD = ["tabby, cat", 'the "big" one', "jack-o'-lantern", "Löwe", "大熊猫", "🦈"]


def write(path, *lines, end="\n", encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return str(path)


# Text


def test_a_text_file_has_a_name_a_line(tmp_path):
    source = write(tmp_path / "pets.txt", "tabby", "great white shark", "aquarium_fish", *ODD)
    classes = read_classes(source)
    assert classes.ids == ("tabby", "great white shark", "aquarium_fish", *ODD)
    assert classes.names == ("tabby", "great white shark", "aquarium fish", *ODD)
    assert classes.definitions == ("",) * 9
    assert (classes.source, len(classes)) == (source, 9)


@pytest.mark.parametrize(("end", "encoding"), [("\r\n", "utf-8"), ("\n", "utf-8-sig"), ("\r\n", "utf-8-sig")])
def test_line_ends_and_a_byte_order_mark_do_not_matter(end, encoding, tmp_path):
    source = write(tmp_path / "PETS.TXT", "tabby ", "  carp", "Löwe", "", "", end=end, encoding=encoding)
    assert read_classes(source).ids == ("tabby", "carp", "Löwe")


@given(st.lists(names, min_size=3, max_size=9, unique=True))
@example(["a", "_", " ".join(["_", "_"])])
@example(["<pad>", "<unk>", "a"])
def test_any_names_survive_a_text_and_a_csv_file(tmp_path_factory, ids):
    assume(not ids[0].startswith("\ufeff"))  # at the start of a file it is a byte order mark
    place = tmp_path_factory.getbasetemp()
    classes = read_classes(write(place / "any.txt", *ids))
    assert classes.ids == tuple(ids)
    quoted = ['"' + id.replace('"', '""') + '"' for id in ids]
    assert read_classes(write(place / "any.csv", "id", *quoted)).ids == tuple(ids)


def test_a_synset_list_keeps_its_own_first_names(tmp_path):
    lines = ["n01440764 tench, Tinca tinca", "n02012849\tgrey crane, big bird", "n03126707"]
    classes = read_classes(write(tmp_path / "synset_words.txt", *lines))
    assert classes.ids == ("n01440764", "n02012849", "n03126707")
    assert classes.names == ("tench", "grey crane", "crane")
    assert all(classes.definitions)


def test_a_wnid_among_names_is_still_one(tmp_path):
    classes = read_classes(write(tmp_path / "mixed.txt", "n01440764", "tabby", "n1234 is a name"))
    assert classes.ids == ("n01440764", "tabby", "n1234 is a name")
    assert classes.names == ("tench", "tabby", "n1234 is a name")


# Tables


@pytest.mark.parametrize(("ending", "separator"), [(".csv", ","), (".tsv", "\t"), (".TSV", "\t")])
def test_a_table_has_ids_names_and_definitions_in_any_order(ending, separator, tmp_path):
    rows = [
        ["name", "colour", "id", "definition"],
        ["crane", "grey", "n1", '"a bird, tall"'],
        ["crane", "red", "n2", '"lifts ""things"""'],
        ["", "", "sea_lion", ""],
    ]
    classes = read_classes(write(tmp_path / f"pets{ending}", *map(separator.join, rows)))
    assert classes.ids == ("n1", "n2", "sea_lion")
    assert classes.names == ("crane", "crane", "sea lion")
    assert classes.definitions == ("a bird, tall", 'lifts "things"', "")


def test_a_table_of_names_takes_them_as_ids(tmp_path):
    classes = read_classes(write(tmp_path / "pets.csv", "name", "tabby", '"carp, wild"', "sea_lion"))
    assert classes.ids == ("tabby", "carp, wild", "sea_lion")
    assert classes.names == ("tabby", "carp, wild", "sea lion")


# Image folders


def image_folder(root, *classes):
    for name in classes:
        write(root / name / "1.jpg")
    return str(root)


def test_an_image_folder_has_a_class_a_folder_in_sorted_order(tmp_path):
    source = image_folder(tmp_path, "tabby", "carp", "Zebra", "sea_lion", ".cache")
    write(tmp_path / "readme.md")
    classes = read_classes(source)
    assert classes.ids == ("Zebra", "carp", "sea_lion", "tabby")
    assert classes.names == ("Zebra", "carp", "sea lion", "tabby")


@pytest.mark.parametrize(
    "splits", [("train", "val"), ("test", "train"), ("valid", "test"), ("train",), ("validation",)]
)
def test_classes_are_those_of_train_or_else_of_the_first_split(splits, tmp_path):
    for split in splits:
        extra = ["only in training"] if split == "train" else []
        image_folder(tmp_path / split, "tabby", "carp", "trout", *extra)
    expected = ["carp", "tabby", "trout"] if "train" not in splits else ["carp", "only in training", "tabby", "trout"]
    assert read_classes(f"{tmp_path}/").ids == tuple(expected)


@pytest.mark.parametrize(
    "splits, expected",
    [
        (("holdout", "train"), ["carp", "train", "trout"]),
        (("fold.1", "fold.2"), ["carp", "only in fold.1", "only in fold.2", "train", "trout"]),
    ],
)
def test_splits_may_have_any_name(splits, expected, tmp_path):
    for split in splits:
        extra = [] if split == "train" else [f"only in {split}"]
        image_folder(tmp_path / split, "train", "carp", "trout", *extra)
    assert read_classes(str(tmp_path)).ids == tuple(expected)


def test_a_class_with_the_name_of_a_split_is_a_class(tmp_path):
    assert read_classes(image_folder(tmp_path, "train", "bus", "car")).ids == ("bus", "car", "train")


def test_a_folder_whose_name_is_not_utf8_is_refused(tmp_path):
    image_folder(tmp_path, "tabby", "carp", "trout", "l\udcf6we")
    with pytest.raises(SourceError, match="contains a control character such as a line break"):
        read_classes(str(tmp_path))


@pytest.mark.parametrize("kind", ["wnids.txt", "pets.csv", "images"])
def test_wnids_get_names_from_imagenet(kind, tmp_path):
    ids = ["n01440764", "n02012849", "n03126707", "n99999999"]
    source = tmp_path / kind
    if kind == "images":
        image_folder(source, *ids)
    else:
        write(source, *(["id"] if kind == "pets.csv" else []), *ids)
    classes = read_classes(str(source))
    assert classes.ids == tuple(ids)
    assert classes.names == ("tench", "crane", "crane", "n99999999")
    if kind != "pets.csv":  # a table has definitions of its own, or none
        assert classes.definitions[0].startswith("freshwater dace-like game fish")
        assert classes.definitions[1] != classes.definitions[2] and classes.definitions[3] == ""


# Datasets


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Datasets as `datasets` itself writes them: one and two label columns, alone and in splits, and none."""
    datasets = pytest.importorskip("datasets")
    root = tmp_path_factory.mktemp("datasets")
    fine = datasets.ClassLabel(names=["tabby", "carp", "sea_lion"])
    coarse = datasets.ClassLabel(names=["mammal", "fish", "bird", "reptile"])
    rows = {"fine": [0, 1], "coarse": [0, 1], "text": ["a", "b"]}
    text = datasets.Value("string")
    both = datasets.Features({"fine": fine, "coarse": coarse, "text": text})
    one = datasets.Features({"label": fine, "text": text})
    single = datasets.Dataset.from_dict({"label": [0, 1], "text": ["a", "b"]}, features=one)
    double = datasets.Dataset.from_dict(rows, features=both)
    single.save_to_disk(str(root / "one"))
    double.save_to_disk(str(root / "two"))
    datasets.DatasetDict(train=single, test=single).save_to_disk(str(root / "one in splits"))
    datasets.DatasetDict(train=double).save_to_disk(str(root / "two in splits"))
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(str(root / "none"))
    return root


@pytest.mark.parametrize("name", ["one", "one in splits", "one:label", "two:fine", "two in splits:fine"])
def test_a_saved_dataset_gives_its_label_column(name, datasets):
    classes = read_classes(f"{datasets}/{name}")
    assert classes.ids == ("tabby", "carp", "sea_lion")
    assert classes.names == ("tabby", "carp", "sea lion")


def test_another_label_column_is_chosen_by_name(datasets):
    assert read_classes(f"{datasets}/two in splits:coarse").ids == ("mammal", "fish", "bird", "reptile")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two", "{root}/two has several label columns (fine, coarse); name one, as in {root}/two:fine"),
        ("two:colour", "{root}/two has no label column 'colour'; it has fine, coarse"),
        ("none", "{root}/none has no label column among ['text']; name one, as in {root}/none:label"),
        ("none:text", "{root}/none has no label column 'text'; it has none"),
    ],
)
def test_a_dataset_without_a_clear_label_column_is_refused(name, message, datasets):
    with pytest.raises(SourceError) as caught:
        read_classes(f"{datasets}/{name}")
    assert str(caught.value) == message.format(root=datasets)


@pytest.mark.parametrize("source", ["nobody/nothing", "datasets:nobody/nothing", "images/trian"])
def test_a_dataset_that_cannot_be_reached_is_refused(source, monkeypatch):
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    name = source.removeprefix("datasets:")
    with pytest.raises(SourceError, match=f"^no folder '{name}', and no dataset of that name could be read: .*; check"):
        read_classes(source)


# Lists


@pytest.mark.parametrize(
    ("source", "count"),
    [("imagenet-1k", 1000), ("imagenet-12k", 11_821), ("imagenet-21k", 21_843), ("imagenet-100-cmc", 100)],
)
def test_the_lists_of_imagenet_are_complete_and_their_ids_unique(source, count):
    classes = read_classes(source)
    assert len(classes) == len(set(classes.ids)) == len(classes.names) == len(classes.definitions) == count
    assert all(id[0] == "n" and id[1:].isdigit() and len(id) == 9 for id in classes.ids)
    assert sum(map(bool, classes.definitions)) == count
    assert max(map(len, classes.names)) <= LONGEST
    assert not any("/" in name or "," in name for name in classes.names)


def test_the_labels_of_imagenet_are_the_usual_ones():
    classes = read_classes("imagenet-1k")
    assert {label: classes.names[label] for label in (0, 4, 207, 999)} == {
        0: "tench",
        4: "hammerhead",
        207: "golden retriever",
        999: "toilet tissue",
    }


def test_cranes_and_maillots_survive_under_their_own_ids():
    classes = read_classes("imagenet-1k")
    assert {name for name, uses in Counter(classes.names).items() if uses > 1} == {"crane", "maillot"}
    twins = {label: (classes.ids[label], classes.names[label]) for label in (134, 517, 638, 639)}
    assert twins == {
        134: ("n02012849", "crane"),
        517: ("n03126707", "crane"),
        638: ("n03710637", "maillot"),
        639: ("n03710721", "maillot"),
    }
    assert len({classes.definitions[label] for label in twins}) == 4


def test_imagenet_1k_is_part_of_21k_with_the_same_names():
    large = read_classes("imagenet-21k")
    name_of = dict(zip(large.ids, large.names, strict=True))
    small = read_classes("imagenet-1k")
    assert [name_of[id] for id in small.ids if id in name_of] == [
        name for id, name in zip(small.ids, small.names, strict=True) if id in name_of
    ]


def test_imagenet_100_is_the_list_of_cmc_in_its_order():
    lines = (folder("data") / "imagenet100_cmc.txt").read_text(encoding="utf-8").split()
    classes = read_classes("imagenet-100-cmc")
    assert list(classes.ids) == lines
    assert (lines[0], lines[1], lines[-1]) == ("n02869837", "n01749939", "n02090622")
    assert set(lines) <= set(read_classes("imagenet-1k").ids)


def test_the_list_of_cmc_is_the_published_one_to_the_byte():
    content = (folder("data") / "imagenet100_cmc.txt").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "79f3f1552ccc478ce24bd934b4573625db584ddc1f4643ae23c994a94cb11397"


def test_cifar_100_has_its_hundred_names_in_label_order():
    classes = read_classes("cifar-100")
    assert len(classes) == 100 and list(classes.ids) == sorted(classes.ids)
    assert (classes.ids[0], classes.ids[1], classes.names[1], classes.ids[-1]) == (
        "apple",
        "aquarium_fish",
        "aquarium fish",
        "worm",
    )


# A new form of file, and a new kind of source


def read_ini(content):
    if content.ending != ".ini":
        return None
    return [Entry(place, *line.split("=")) for place, line in content.lines]


def test_a_new_form_is_one_function_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("hierarchy.sources.files.forms.TEXT", (*TEXT, Form("ini", "an .ini file", read_ini)))
    classes = read_classes(write(tmp_path / "pets.ini", "n1=tabby", "n2=carp", "n3=beagle"))
    assert (classes.names, classes.form) == (("tabby", "carp", "beagle"), "an .ini file")
    with pytest.raises(SourceError, match=r"pets\.ini:2: duplicate id 'n1', first used at .*pets\.ini:1"):
        read_classes(write(tmp_path / "pets.ini", "n1=tabby", "n1=carp", "n3=beagle"))


def test_a_new_kind_of_source_is_one_function_and_one_line(monkeypatch):
    kind = Kind("a zoo", lambda source: source == "zoo:", lambda source: [Entry(source, id, id) for id in "abc"])
    monkeypatch.setattr("hierarchy.sources.read.KINDS", (kind, *KINDS))
    assert (read_classes("zoo:").ids, read_classes("zoo:").form) == (("a", "b", "c"), "a zoo")
    with pytest.raises(SourceError, match=r"^unknown class source 'pets'.* a file with class names, a zoo, "):
        read_classes("pets")


# What is refused (golden/messages.txt has the messages of bad files)


def test_a_caller_that_builds_no_hierarchy_may_accept_fewer_classes(tmp_path):
    assert read_classes(write(tmp_path / "two.txt", "a", "b"), fewest=1).ids == ("a", "b")
    with pytest.raises(SourceError, match=r"has no classes; give at least 1$"):
        read_classes(write(tmp_path / "none.txt"), fewest=1)
