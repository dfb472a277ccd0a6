"""The emoji and digits datasets: cropped images, separate vendors, lists that a seed determines.

The packages are made here in the layout of npm's. All messages are in tests/golden/emoji_messages.txt; regenerate it
with `WRITE_GOLDEN=1 pytest tests/benchmarks/test_emoji.py`.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections import Counter
from pathlib import Path

import digits
import emoji
import emoji_sheets
import numpy as np
import pytest
import similarity
from datasets import load_from_disk
from emoji_sheets import CELL, SIDE, VENDORS, VERSION, Emoji, fetch, parse, read_sheet
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.golden_messages import Golden

import hierarchy
from hierarchy.errors import HierarchyError
from hierarchy.sources import read_classes

COLUMNS = 7  # of the test sheets
COUNT = 40  # emoji, four in each of ten subcategories


def entry(number: int, **more: object) -> dict[str, object]:
    """An entry of `emoji.json`; the order on the sheets differs from Unicode's."""
    cell = (number * 3) % COUNT
    return {
        "name": f"EMOJI {number}",
        "unified": f"1F{number:03}",
        "short_name": f"short_{number}",
        "category": f"category {number // 16}",
        "subcategory": f"subcategory {number // 4}",
        "sheet_x": cell % COLUMNS,
        "sheet_y": cell // COLUMNS,
        "sort_order": number,
        **{f"has_img_{vendor}": True for vendor in VENDORS},
        "skin_variations": {"1F3FB": {"unified": f"1F{number:03}-1F3FB", "sheet_x": 0, "sheet_y": 0}},
        **more,
    }


def drawing(vendor: str, number: int) -> np.ndarray:
    """(64, 64, 4): an image of a vendor's emoji, different in every pixel."""
    return np.random.default_rng([VENDORS.index(vendor), number]).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)


def package(
    folder: Path, vendor: str, table: list[dict[str, object]], twins: dict[int, int], inside: str = "sheets-clean"
) -> Path:
    """Packs a vendor's images like npm; `twins` look like another emoji."""
    sheet = np.zeros((-(-COUNT // COLUMNS) * CELL, COLUMNS * CELL, 4), dtype=np.uint8)
    sheet[...] = (255, 0, 0, 255)  # would show in a crop that is off by a pixel
    for number, row in enumerate(table):
        top, left = int(row["sheet_y"]) * CELL + 1, int(row["sheet_x"]) * CELL + 1
        sheet[top : top + SIDE, left : left + SIDE] = drawing(vendor, twins.get(number, number))
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    files = {
        "package/package.json": b"{}",
        "package/emoji.json": json.dumps(table).encode(),
        f"package/img/{vendor}/{inside}/64.png": file.getvalue(),
        f"package/img/{vendor}/sheets/64.png": b"with Apple's images",
    }
    path = folder / f"emoji-datasource-{vendor}-{VERSION}.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def expected(vendor: str, number: int) -> np.ndarray:
    """(64, 64, 3): a drawing on white, by arithmetic."""
    drawn = drawing(vendor, number).astype(float)
    share = drawn[..., 3:] / 255
    return drawn[..., :3] * share + 255 * (1 - share)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Packages in which Twitter draws emoji 6 like 5, and Facebook does not draw 9."""
    folder = tmp_path_factory.mktemp("cache")
    table = [entry(number, has_img_facebook=number != 9) for number in range(COUNT)]
    for vendor in VENDORS:
        package(folder, vendor, table[::-1], {33: 34} if vendor == "twitter" else {})
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script in this process; returns its exit code or error, and its output."""

    def call(script, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *map(str, arguments)])
        try:
            script.main()
        except SystemExit as ended:
            return ended.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return call


def test_images_are_cropped_exactly_composed_on_white_and_labelled_correctly(cache, tmp_path, run):
    folder = tmp_path / "new" / "data"
    assert run(emoji, folder, "--cache", cache)[0] == 0
    data, tree = load_from_disk(str(folder)), hierarchy.load(folder / "hierarchy.json")
    numbers = [number for number in range(COUNT) if number not in (6, 9)]
    assert tree.classes == tuple(f"1F{number:03}" for number in numbers)
    assert tree.names[0] == "emoji 0" and tree.groups[-1] == ("category 2", "subcategory 9")
    assert {split: Counter(rows["vendor"]) for split, rows in data.items()} == {
        "train": {"google": 38, "twitter": 38},
        "test": {"facebook": 38},
    }
    for rows in data.values():
        assert rows.features["label"].names == list(tree.classes)
        for row in rows:
            image = np.asarray(row["image"])
            assert image.shape == (SIDE, SIDE, 3)
            number = COUNT - 1 - numbers[row["label"]]
            assert np.abs(image - expected(row["vendor"], number)).max() <= 1  # of 255, for rounding
    names = read_classes(str(folder / "names.csv"))
    assert (names.ids, names.names) == (tree.classes, tree.names)
    assert not any(names.definitions)  # they could reveal Unicode's groups


def test_any_vendor_can_be_held_out(cache, tmp_path, run):
    code, out = run(emoji, tmp_path / "data", "--cache", cache, "--classes", 12, "--test-vendor", "google")
    assert code == 0
    assert out == f"{tmp_path / 'data'}: 2 superclasses, 3 groups, 12 classes; test: google\n"
    data = load_from_disk(str(tmp_path / "data"))
    assert Counter(data["train"]["vendor"]) == {"twitter": 12, "facebook": 12}
    assert Counter(data["test"]["vendor"]) == {"google": 12}
    assert data["train"]["label"] == [*range(12), *range(12)]
    text = (tmp_path / "data" / "hierarchy.json").read_text()
    assert "--test-vendor google" in json.loads(text)["provenance"]["command"]


def many(sizes: dict[str, int]) -> tuple[Emoji, ...]:
    """Emoji in subcategories of these sizes."""
    return tuple(
        Emoji(f"{group} {number}", f"{group} {number}", "all", group, 0, 0, VENDORS)
        for group, size in sizes.items()
        for number in range(size)
    )


SIZES = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 9), min_size=4)


@given(SIZES, st.integers(2, 20), st.integers(0, 3), st.integers(1, 3))
def test_lists_are_disjoint_have_the_wanted_length_and_depend_on_the_seed_only(sizes, classes, seed, count):
    everything = many(sizes)
    try:
        found = emoji.draw_lists(everything, classes, seed=seed, count=count)
    except hierarchy.errors.ShapeError:
        return
    ids = [one.id for part in found for one in part]
    assert len(ids) == len(set(ids)) == classes * count
    assert found == emoji.draw_lists(everything, classes, seed=seed, count=count)
    assert found[:1] == emoji.draw_lists(
        everything, classes, seed=seed, count=1
    )  # further lists do not change the first
    order = {one.id: place for place, one in enumerate(everything)}
    for part in found:
        assert [order[one.id] for one in part] == sorted(order[one.id] for one in part)
        assert len({one.subcategory for one in part}) <= max(1, classes // 4)


def test_the_groups_of_a_list_are_as_even_as_possible():
    sizes = {f"group {number:02}": 3 + number % 8 for number in range(80)}
    (hundred,) = emoji.draw_lists(many(sizes), 100, seed=0, count=1)
    assert Counter(Counter(one.subcategory for one in hundred).values()) == {4: 25}
    (large,) = emoji.draw_lists(many(sizes), 400, seed=0, count=1)
    kept = Counter(one.subcategory for one in large)
    assert len(kept) == 60 and sum(kept.values()) == 400
    fewest = min(kept[group] for group in kept if kept[group] < sizes[group])  # of those with classes to spare
    assert max(kept.values()) - fewest <= 1


def test_other_seeds_give_other_lists():
    everything = many({f"group {number:02}": 6 for number in range(60)})
    first, second = (emoji.draw_lists(everything, 100, seed=seed, count=1)[0] for seed in (0, 1))
    assert first != second


def test_a_seed_gives_the_same_list_on_every_machine():
    everything = many({f"group {number:02}": 6 for number in range(12)})
    (found,) = emoji.draw_lists(everything, 8, seed=3, count=1)
    assert [one.id for one in found] == KNOWN


KNOWN = ["group 07 1", "group 07 2", "group 07 3", "group 07 4", "group 09 0", "group 09 1", "group 09 2", "group 09 3"]


def test_duplicate_names_become_short_names():
    found = parse([entry(1, name="SAME"), entry(2, name="SAME"), entry(3)])
    assert [one.name for one in found] == ["short 1", "short 2", "emoji 3"]


def test_near_copies_of_training_images_are_found():
    rng = np.random.default_rng(0)
    train, test = rng.random((6, 50)), rng.random((3, 50))
    test[1] = 0.5 * train[4] + 3  # the same image, paler
    labels = np.array([0, 1, 2, 0, 1, 2])
    found = similarity.compare(train, labels, test, np.array([0, 1, 2]))
    slow = [
        max(np.corrcoef(test[row], train[column])[0, 1] for column in np.flatnonzero(labels == row)) for row in range(3)
    ]
    assert np.allclose(found["own"], slow)
    assert found["correct"][1]
    assert found["own"].argmax() == 1 and found["own"][1] > similarity.SAME


def test_similarities_of_a_dataset_are_printed(cache, tmp_path, run):
    assert run(emoji, tmp_path / "data", "--cache", cache)[0] == 0
    _, out = run(similarity, tmp_path / "data")
    first, *categories, same = map(json.loads, out.splitlines())
    assert first["test images"] == 38 and first["nearest neighbour"] < 0.2  # noise has no near copies
    assert [next(iter(line)) for line in categories] == ["category 0", "category 1", "category 2"]
    assert same == {"0 above 0.95": {}}


def test_digits_are_split_evenly_and_upright(tmp_path, run):
    said = f"{tmp_path / 'digits'}: 1347 training images, 450 test images\n"
    assert run(digits, tmp_path / "digits") == (0, said)
    data = load_from_disk(str(tmp_path / "digits"))
    tree = hierarchy.load(tmp_path / "digits" / "hierarchy.json")
    assert data["train"].features["label"].names == list(tree.classes)
    assert read_classes(str(tmp_path / "digits" / "names.csv")).ids == tree.classes
    for split, share in (("train", 0.75), ("test", 0.25)):
        counts = Counter(data[split]["label"])
        assert all(abs(counts[label] - share * 180) < 5 for label in range(10))
    from sklearn.datasets import load_digits

    known = {
        digit.tobytes(): int(target) for digit, target in zip(load_digits().images, load_digits().target, strict=True)
    }
    assert len(known) == 1797
    shrunk = np.asarray(data["test"][0]["image"].resize((8, 8), Image.Resampling.BOX).convert("L"), dtype=float)
    near = min(known, key=lambda digit: np.abs(np.frombuffer(digit).reshape(8, 8) * 255 / 16 - shrunk).sum())
    assert known[near] == data["test"][0]["label"]


def broken(folder: Path) -> Path:
    path = folder / "broken.tgz"
    path.write_bytes(b"no package")
    return path


def fetched_without_npm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    fetch("google", Path("packages"))


def fetched_with_an_npm_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "npm").write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    fetch("google", Path("packages"))


TABLE = [entry(number) for number in range(COUNT)]
CALLS = {  # case -> a call in an empty folder
    "no npm": fetched_without_npm,
    "an npm that fails": fetched_with_an_npm_that_fails,
    "a damaged package": lambda folder, _: read_sheet(Path(broken(folder).name), "google"),
    "a package without clean sheets": lambda folder, _: read_sheet(
        Path(package(folder, "google", TABLE, {}, inside="sheets-128").name), "google"
    ),
    "an emoji outside the sheet": lambda folder, _: read_sheet(
        Path(package(folder, "google", TABLE, {}).name), "google"
    ),
    "too many classes": lambda folder, _: emoji.draw_lists(parse(TABLE), 41, seed=0, count=1),
    "too many lists": lambda folder, _: emoji.draw_lists(parse(TABLE), 16, seed=0, count=4),
    "a list of one class": lambda folder, _: emoji.draw_lists(parse(TABLE), 1, seed=0, count=1),
}


GOLDEN = Golden("emoji_messages.txt", lambda: [*CALLS])


@pytest.mark.parametrize("case", CALLS)
def test_errors_are_one_line(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if case == "an emoji outside the sheet":
        monkeypatch.setattr(emoji_sheets, "CELL", CELL + 30)
    with pytest.raises(HierarchyError) as caught:
        CALLS[case](tmp_path, monkeypatch)
    assert not {path.name for path in tmp_path.rglob("*")} - {
        "npm",
        "packages",
        "broken.tgz",
        f"emoji-datasource-google-{VERSION}.tgz",
    }
    GOLDEN.compare(case, str(caught.value))


def test_the_command_reports_an_error_in_one_line(cache, tmp_path, run):
    (tmp_path / "there").mkdir()
    code, out = run(emoji, tmp_path / "there", "--cache", cache, "--classes", 8)
    assert (code, out) == (f"error: cannot write {str(tmp_path / 'there')!r}: {THERE}", "")


THERE = "it exists; remove it or choose another folder"


def test_an_invalid_number_of_classes_is_refused(tmp_path, run, capsys):
    assert run(emoji, tmp_path / "new", "--classes", "few") == (2, "")


@pytest.mark.network
@pytest.mark.slow
def test_the_real_packages_have_the_expected_layout(tmp_path, run):
    """Downloads 240 MB with npm."""
    code, out = run(emoji, tmp_path / "data", "--cache", tmp_path / "npm", "--classes", 100)
    assert code == 0
    assert out == f"{tmp_path / 'data'}: 7 superclasses, 25 groups, 100 classes; test: facebook\n"
    for vendor in VENDORS:
        sheet = read_sheet(tmp_path / "npm" / f"emoji-datasource-{vendor}-{VERSION}.tgz", vendor)
        with tarfile.open(tmp_path / "npm" / f"emoji-datasource-{vendor}-{VERSION}.tgz") as tar:
            for one in [one for one in sheet.emoji if vendor in one.vendors][::100]:  # compared with the single images
                file = tar.extractfile(f"package/img/{vendor}/64/{one.id.lower()}.png")
                alone = Image.open(io.BytesIO(file.read())).convert("RGBA")
                white = Image.new("RGBA", alone.size, "white")
                white.alpha_composite(alone)
                assert np.abs(np.asarray(white.convert("RGB"), float) - np.asarray(sheet.crop(one), float)).mean() < 2
