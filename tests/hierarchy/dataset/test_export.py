"""Exported datasets are read back byte by byte by the tools they are for; failed exports leave nothing."""

import io
import json
import tarfile
from pathlib import Path

import datasets
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from support.images import PETS, image_file, image_rows, stored

import hierarchy.dataset.formats
from hierarchy import Hierarchy
from hierarchy.dataset import FORMS, export, label, open_data, stats
from hierarchy.errors import DataError
from hierarchy.sources import read_classes

NAMES = ["n1", "n2", "n3", "n4"]
ROWS = [0, 1, 1, 3, 0, 1, 3]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def read_folder(folder):
    """(split, row, class, bytes) of an image folder, sorted."""
    return sorted((path.parts[-3], int(path.stem), path.parts[-2], path.read_bytes()) for path in folder.rglob("*.*"))


def read_parquet(folder):
    """The same of parquet files, by the library."""
    data = open_data(str(folder))
    return sorted(
        (split, row, part.features["label"].int2str(number) if number is not None else None, content)
        for split, part in data.items()
        for row, (number, content) in enumerate(zip(part["label"], stored(part), strict=True))
    )


def read_tars(folder):
    """The same of WebDataset shards, by tarfile; the label is said twice and means one class."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as file:
            files = {member.name: file.extractfile(member).read() for member in file}
        for key in sorted({name.partition(".")[0] for name in files}):
            (image,) = (files[f"{key}.{end}"] for end in ("png", "jpg") if f"{key}.{end}" in files)
            about = json.loads(files[f"{key}.json"])
            assert NAMES[int(files[f"{key}.cls"])] == about["label"]
            found.append((path.name.partition("-")[0], int(key), about["label"], image))
    return sorted(found)


READERS = {"image-folder": read_folder, "parquet": read_parquet, "webdataset": read_tars}


@pytest.mark.parametrize(
    "form, way",
    [(form, way) for form in FORMS for way in ("one thread", "two threads", "streaming")],
)
def test_read_back_are_equal_bytes_and_classes(form, way, tmp_path, monkeypatch):
    monkeypatch.setattr(hierarchy.dataset.formats, "ROWS", 4)
    monkeypatch.setattr(hierarchy.dataset.formats, "BATCH", 2)
    data = datasets.DatasetDict(train=image_rows(ROWS, NAMES), test=image_rows([2, 0], NAMES))
    expected = sorted(
        (split, row, NAMES[number], content)
        for split, part in data.items()
        for row, (number, content) in enumerate(zip(part["label"], stored(part), strict=True))
    )
    if way == "streaming":
        data = datasets.IterableDatasetDict({name: part.to_iterable_dataset() for name, part in data.items()})
    export(data, tmp_path / "out", form=form, num_proc=2 if way == "two threads" else 1)
    assert READERS[form](tmp_path / "out") == expected
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    if form == "webdataset":
        assert files == ["test-000000.tar", "train-000000.tar", "train-000001.tar"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@settings(max_examples=10)
@given(
    splits=st.dictionaries(
        st.sampled_from(["train", "test", "val", "holdout", "a.1", "a.2", "fold_1", "Test"]),
        st.lists(st.integers(0, 3), min_size=1, max_size=4),
        min_size=1,
    ),
    form=st.sampled_from(["image-folder", "parquet"]),
)
@example(splits={"train": [0] * 12, "test": [1] * 5 + [0]}, form="image-folder")
@example(splits={"train": [0, 1], "holdout": [2]}, form="image-folder")
@example(splits={"a.1": [0], "a.2": [0]}, form="parquet")
def test_splits_of_any_name_are_read_back_even_if_a_class_has_the_name_of_one(splits, form, tmp_path_factory):
    usual = {"train", "test", "val"} & set(splits)
    assume(form == "parquet" or usual or len(splits) == 1)  # folders without classes in common are superclasses
    out = tmp_path_factory.mktemp("out") / "out"
    names = ["train", "test", "holdout", "x"]
    export(datasets.DatasetDict({name: image_rows(rows, names) for name, rows in splits.items()}), out, form=form)
    again = open_data(str(out))
    found = {name: sorted(part.features["label"].int2str(part["label"][:])) for name, part in again.items()}
    assert found == {name: sorted(names[row] for row in rows) for name, rows in splits.items()}


def test_parquet_keeps_features_and_other_columns(tmp_path):
    data = label(image_rows(ROWS, NAMES, row=list(range(len(ROWS)))), PETS)
    export(data, tmp_path / "out", form="parquet")
    again = open_data(str(tmp_path / "out"), split="train")
    assert again.features == data.features
    assert again.remove_columns("image").to_dict() == data.remove_columns("image").to_dict()


def test_the_library_reads_the_shards(tmp_path):
    data = image_rows(ROWS, NAMES, note=["é"] * len(ROWS)).select(range(0, len(ROWS), 2))  # it wants images of one kind
    export(data, tmp_path / "out", form="webdataset")
    again = datasets.load_dataset("webdataset", data_files=str(tmp_path / "out" / "*.tar"), streaming=True)
    rows = list(again["train"])
    assert [int(row["cls"]) for row in rows] == ROWS[::2]
    assert {row["json"]["note"] for row in rows} == {"é"}


def test_images_in_files_are_written(tmp_path):
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(image_file(i))
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    data = datasets.Dataset.from_dict({"image": paths, "label": ["a", "b"]}).cast_column("image", datasets.Image())
    export(data, tmp_path / "parquet", form="parquet")
    for i in range(2):
        (tmp_path / f"{i}.png").unlink()
    assert stored(open_data(str(tmp_path / "parquet"), split="train")) == [image_file(0), image_file(1)]


def broken():
    images = [{"bytes": content, "path": None} for content in stored(image_rows(["n1"] * 5))]
    images[1], images[3]["bytes"] = None, b"text"
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    return datasets.Dataset.from_dict({"image": images, "label": ["n1", "n1", None, "n1", "n1"]}, features=features)


@pytest.mark.parametrize("form", ["image-folder", "parquet"])
def test_all_bad_rows_are_reported_and_nothing_is_left(form, tmp_path, monkeypatch):
    monkeypatch.setattr(hierarchy.dataset.formats, "ROWS", 2)
    monkeypatch.setattr(hierarchy.dataset.formats, "BATCH", 1)
    with pytest.raises(DataError) as caught:
        export(broken(), tmp_path / "out", form=form)
    assert caught.value.rows == {"": (1, 2, 3)}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["one thread", "two threads", "streaming"])
def test_an_interrupted_export_leaves_nothing(way, tmp_path, monkeypatch):
    def stop(content):
        raise KeyboardInterrupt

    monkeypatch.setattr(hierarchy.dataset.formats, "find_ending", stop)
    data = image_rows(ROWS, NAMES)
    given = data.to_iterable_dataset() if way == "streaming" else data
    with pytest.raises(KeyboardInterrupt):
        export(given, tmp_path / "out", form="parquet", num_proc=2 if way == "two threads" else 1)
    assert list(tmp_path.iterdir()) == []


def kinds_of_images():
    """An image of each kind that Pillow writes here and datasets hold: 16 bits, CMYK, animated, large files."""
    found = {}
    for name, mode, form, more in (
        ("grey of 16 bits", "I;16", "PNG", {}),
        ("CMYK", "CMYK", "JPEG", {}),
        ("fractions", "F", "TIFF", {}),
        ("BigTIFF", "RGB", "TIFF", {"big_tiff": True}),
        ("animated", "RGB", "GIF", {"save_all": True, "append_images": [Pillow.new("RGB", (9, 9), (9, 9, 9))]}),
        ("with alpha", "RGBA", "WEBP", {}),
        ("black and white", "1", "PPM", {}),
        ("grey", "L", "PPM", {}),
        ("colour", "RGB", "PPM", {}),
        ("icon", "RGB", "ICO", {}),
        ("wavelets", "RGB", "JPEG2000", {}),
    ):
        file = io.BytesIO()
        Pillow.new(mode, (9, 9)).save(file, form, **more)
        found[name] = file.getvalue()
    return found


def with_images(*contents):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    images = [{"bytes": content, "path": None} for content in contents]
    return datasets.Dataset.from_dict({"image": images, "label": [0] * len(images)}, features=features)


@pytest.mark.parametrize("form", FORMS)
def test_all_kinds_of_images_are_written_and_read_by_the_library(form, tmp_path):
    kinds = kinds_of_images()
    export(with_images(*kinds.values()), tmp_path / "out", form=form)
    if form == "webdataset":
        for row, content in enumerate(kinds.values()):  # a shard of one kind
            export(with_images(content), tmp_path / str(row), form=form)
            data_files = str(tmp_path / str(row) / "*.tar")
            (read,) = datasets.load_dataset("webdataset", data_files=data_files, streaming=True)["train"]
            assert any(isinstance(value, Pillow.Image) for value in read.values())
    else:
        assert sorted(stored_anyhow(open_data(str(tmp_path / "out"), split="train"))) == sorted(kinds.values())


def stored_anyhow(data):
    rows = data.cast_column("image", datasets.Image(decode=False))["image"]
    return [row["bytes"] or Path(row["path"]).read_bytes() for row in rows]


def test_images_that_readers_of_a_form_ignore_are_refused(tmp_path):
    avif = b"\x00\x00\x00\x1cftypavif" + b"rest"
    for form in ("image-folder", "webdataset"):
        with pytest.raises(DataError, match=f"row 0: AVIF image, which readers of {form} files ignore"):
            export(with_images(avif), tmp_path / "out", form=form)
    export(with_images(avif), tmp_path / "out", form="parquet")
    assert stored(open_data(str(tmp_path / "out"), split="train")) == [avif]


def test_an_address_without_a_file_system_is_a_bad_row(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    images = [{"bytes": None, "path": path} for path in ("nothing://here/1.png", "gcs://bucket/2.png")]
    data = datasets.Dataset.from_dict({"image": images, "label": ["n1"] * 2}, features=features)
    with pytest.raises(DataError, match="rows 0-1: cannot read the image file"):
        export(data, tmp_path / "out", form="parquet")


def test_a_value_that_json_cannot_represent_is_reported(tmp_path):
    data = image_rows(["n1"] * 2).class_encode_column("label").add_column("raw", [b"a", b"b"])
    with pytest.raises(DataError, match="rows 0-1: a value that JSON cannot represent"):
        export(data, tmp_path / "out", form="webdataset")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("streaming", [False, True])
def test_numbers_that_json_cannot_represent_are_bad_rows(streaming, tmp_path):
    data = image_rows([0] * 4, NAMES, price=[1.5, float("nan"), None, -float("inf")])
    given = data.to_iterable_dataset() if streaming else data
    with pytest.raises(DataError, match=r"^rows 1, 3: a number that JSON cannot represent") as caught:
        export(given, tmp_path / "out", form="webdataset")
    assert caught.value.rows == {"": (1, 3)}
    assert list(tmp_path.iterdir()) == []
    export(data.select([0, 2]), tmp_path / "out", form="webdataset")
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as file:
        rows = [json.load(file.extractfile(member)) for member in file if member.name.endswith(".json")]
    assert [row["price"] for row in rows] == [1.5, None]


def test_a_slash_in_a_class_is_escaped_in_the_name_of_its_folder(tmp_path):
    names = ["T-shirt/top", "n/a", "bag"]
    tree = Hierarchy(tuple(names), tuple(names), (("clothes", "tops"), ("clothes", "tops"), ("clothes/etc.", "bags")))
    out = tmp_path / "out"
    export(image_rows([0, 1, 2, 0], names), out, form="image-folder")
    assert sorted(path.name for path in (out / "train").iterdir()) == ["T-shirt%2Ftop", "bag", "n%2Fa"]
    assert read_classes(str(out)).ids == ("T-shirt/top", "bag", "n/a")
    assert stats(open_data(str(out)), tree).images(3, "train") == {
        "clothes%2Fetc./bags/bag": 1, "clothes/tops/T-shirt%2Ftop": 2, "clothes/tops/n%2Fa": 1,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["..", ".a", "a:b", "a ", 'a"b', "x" * 300, "__x", ""])
def test_a_class_that_cannot_be_a_folder_is_reported_not_renamed(name, tmp_path):
    with pytest.raises(DataError, match="cannot be the name of a folder"):
        export(image_rows([0], [name, "other"]), tmp_path / "out", form="image-folder")
    with pytest.raises(DataError, match="cannot be the name of a folder"):
        export(image_rows([name]), tmp_path / "out", form="image-folder")
    export(image_rows([0], [name, "other"]), tmp_path / "out", form="parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
