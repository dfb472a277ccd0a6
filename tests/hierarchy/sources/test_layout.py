"""Which split and class each file of a folder belongs to; golden/dataset_messages.txt has the refusals."""

import json
from pathlib import Path

import datasets
import pytest
from support.images import image_file, image_rows

from hierarchy.dataset import open_data
from hierarchy.errors import SourceError
from hierarchy.sources import read_classes

NAMES = ["apple", "bear", "train"]


@pytest.fixture(autouse=True)
def place(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.chdir(tmp_path)


def images(*paths, root="img"):
    """A folder of images, each of its own grey."""
    for number, path in enumerate(paths):
        file = Path(root, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image_file(number) if file.suffix == ".png" else b"x")
    return root


def classes_by_split(data):
    """The class of each row by split, or None for a split without classes."""
    return {
        split: [part.features["label"].int2str(row["label"]) for row in part.remove_columns("image")]
        if "label" in part.features
        else None
        for split, part in data.items()
    }


LAYOUTS = {  # files -> the classes that rows of each split have
    "classes, one called as a split": (
        ["apple/1.png", "bear/2.png", "train/3.png"],
        {"train": ["apple", "bear", "train"]},
    ),
    "one class": (["apple/1.png", "apple/2.png"], {"train": ["apple", "apple"]}),
    "a split of one class": (["train/apple/1.png"], {"train": ["apple"]}),
    "splits that lack classes": (
        ["test/train/1.png", "train/apple/2.png", "train/train/3.png"],
        {"train": ["apple", "train"], "test": ["train"]},
    ),
    "splits of other names": (
        ["holdout/train/1.png", "fold.1/bear/2.png", "train/apple/3.png"],
        {"train": ["apple"], "fold.1": ["bear"], "holdout": ["train"]},
    ),
    "splits of which none has a usual name": (
        ["a/x/1.png", "b/x/2.png", "b/y/3.png"],
        {"a": ["x"], "b": ["x", "y"]},
    ),
    "superclasses, which share no classes": (["a/x/1.png", "b/y/2.png"], {"train": ["x", "y"]}),
    "splits as they are called": (["train/a/1.png", "val/a/2.png"], {"train": ["a"], "val": ["a"]}),
    "files next to splits": (
        ["train/a/1.png", "test/a/2.png", "preview.png", "hierarchy.json", "all.zip"],
        {"train": ["a"], "test": ["a"]},
    ),
    "files next to classes": (["a/1.png", "b/1.png", "readme.md", "b/notes.txt"], {"train": ["a", "b"]}),
    "hidden folders": (["a/1.png", ".cache/b/2.png", "__MACOSX/a/3.png"], {"train": ["a"]}),
    "splits twice over, as archives unpack": (
        ["train/train/a/1.png", "test/test/a/2.png"],
        {"train": ["a"], "test": ["a"]},
    ),
    "superclasses that cannot be splits": (
        ["marine animals/ray/1.png", "pets/cat/2.png"],
        {"train": ["ray", "cat"]},
    ),
    "no classes": (["1.png", "2.png"], {"train": None}),
    "splits without classes": (["train/1.png", "test/2.png"], {"train": None, "test": None}),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("case", LAYOUTS)
def test_folders_of_images_are_splits_or_classes(case, streaming):
    files, expected = LAYOUTS[case]
    data = open_data(images(*files), streaming=streaming)
    assert classes_by_split(data) == expected
    assert list(data) == list(expected)
    labels = [part.features["label"] for part in data.values() if "label" in part.features]
    assert all(label == labels[0] for label in labels)
    if labels:
        assert labels[0].names == sorted({name for names in expected.values() for name in names})


@pytest.mark.parametrize("case", [case for case, (_, expected) in LAYOUTS.items() if all(expected.values())])
def test_the_classes_of_a_folder_are_those_of_its_data_set(case):
    files, expected = LAYOUTS[case]
    first = [expected["train"]] if "train" in expected else expected.values()
    assert read_classes(images(*files), fewest=1).ids == tuple(sorted({name for names in first for name in names}))


@pytest.mark.parametrize("root", [".", "photos [of] 2*/a", ".hidden", "__made"])
def test_the_folder_itself_may_have_any_name(root):
    images("train/apple/1.png", "test/[b]/2.png", root=root)
    assert classes_by_split(open_data(root)) == {"train": ["apple"], "test": ["[b]"]}


def test_folders_may_be_links():
    images("apple/1.png", "bear/2.png", root="elsewhere")
    Path("splits").mkdir()
    Path("splits/train").symlink_to("../elsewhere")
    Path("classes").mkdir()
    Path("classes/bear").symlink_to("../elsewhere/bear")
    images("apple/3.png", root="classes")
    assert classes_by_split(open_data("splits")) == {"train": ["apple", "bear"]}
    assert classes_by_split(open_data("classes")) == {"train": ["apple", "bear"]}


@pytest.mark.parametrize(
    "tables, expected",
    [
        ([""], {"train"}),
        (["train/", "test/"], {"train", "test"}),
        (["train/", "holdout/"], {"train", "holdout"}),
        (["apple/", "bear/"], {"train"}),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_images_that_a_table_describes_have_its_columns(tables, expected, ending):
    for at in tables:
        images(f"{at}1.png", f"{at}below/2.png")
        rows = [{"file_name": "1.png", "kind": "x"}, {"file_name": "below/2.png", "kind": "y"}]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if ending == "csv":
            text = "file_name,kind\n" + "".join(f"{row['file_name']},{row['kind']}\n" for row in rows)
        Path("img", at, f"metadata.{ending}").write_text(text)
    data = open_data("img")
    assert set(data) == expected
    assert sum(part.num_rows for part in data.values()) == 2 * len(tables)
    assert all(set(part["kind"]) == {"x", "y"} for part in data.values())


@pytest.mark.parametrize("split, found", [("validation", "val"), ("val", "val"), ("train", "training")])
def test_a_split_is_found_under_its_other_usual_name(split, found):
    data = open_data(images("training/a/1.png", "val/a/2.png", "val/a/3.png"))
    assert open_data("img", split=split).num_rows == data[found].num_rows


def test_a_usual_name_of_two_splits_is_neither():
    images("train/a/1.png", "val/a/2.png", "valid/a/3.png")
    assert open_data("img", split="val").num_rows == 1
    with pytest.raises(
        SourceError, match=r"img has no split 'validation'; nearest: 'valid'.*; it has train, val, valid$"
    ):
        open_data("img", split="validation")


# Parquet files


def tables(*names):
    """A folder of parquet files, of one row each."""
    for name in names:
        file = Path("tables", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        image_rows([0], NAMES).add_column("file", [name]).to_parquet(file)
    return "tables"


@pytest.mark.parametrize(
    "expected",
    [
        {"train": ["train.parquet"], "test": ["test.parquet"]},
        {"train": ["train.parquet"], "holdout": ["holdout.parquet"]},
        {"train": ["train/0000.parquet", "train/0001.parquet"], "test": ["test/0000.parquet"]},
        {"train": ["default/train/0000.parquet"], "test": ["default/test/0000.parquet"]},
        {"train": ["train/0000.parquet"], "holdout": ["holdout/0000.parquet"]},
        {"train": ["train/part-0.parquet"], "test": ["test/part-0.parquet"]},
        {"a": ["a/0000.parquet", "a/0001.parquet"], "b": ["b/0000.parquet"]},
        {"a.1": ["a.1-00000.parquet"], "a.2": ["a.2-00000.parquet"]},
        {
            "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
            "test": ["test-00000-of-00001.parquet"],
        },
        {"train": ["data/train-00000-of-00001-ab12cd.parquet"], "dev": ["data/dev-00000-of-00001-ef34ab.parquet"]},
        {"train": ["train_0.parquet", "train_1.parquet"], "test": ["test_0.parquet"]},
        {"train_0": ["train_0-00000.parquet"], "train_1": ["train_1-00000.parquet"]},
        {"train": ["photos.parquet"]},
        {"test": ["test.parquet"]},
        {"train": ["data/photos.parquet"]},
        {"train": ["0000.parquet", "0001.parquet"]},
        {"train": ["00000-of-00002.parquet", "00001-of-00002.parquet"]},
        {"train": ["shard0.parquet", "shard1.parquet", "shard10.parquet"]},
        {"train": ["data/000/0.parquet", "data/001/0.parquet"]},
        {"train": ["photos [1].parquet"]},
    ],
    ids=lambda expected: " ".join(name.removesuffix(".parquet") for names in expected.values() for name in names),
)
def test_parquet_files_are_of_the_splits_that_they_and_their_folders_are_called_after(expected):
    data = open_data(tables(*(name for names in expected.values() for name in names)))
    assert {split: list(part["file"]) for split, part in data.items()} == expected
    assert list(data) == list(expected)


def test_a_single_parquet_file_is_split_by_its_name():
    tables("test-00000.parquet", "photos.parquet")
    assert list(open_data("tables/test-00000.parquet")) == ["test"]
    assert list(open_data("tables/photos.parquet")) == ["train"]
