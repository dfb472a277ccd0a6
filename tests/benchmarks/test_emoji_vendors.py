"""The emoji of many vendors: each hand in its split, matched by code points or names, reserved authors refused."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import load_from_disk
from PIL import Image

import hierarchy
from hierarchy.errors import SourceError

pytest.importorskip("resvg_py", reason="resvg-py, which draws the icons, is not installed")
import emoji_vendors
from emoji_sheets import CELL, VENDORS, VERSION
from emoji_vendors import PACKAGES, read_package

CODES = [f"1f{number:03}" for number in range(12)]
LEFT_OUT = 5  # OpenMoji, which validates, does not draw it
TWIN = 8  # Emoji One draws it like 7


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def pack_sheet(folder: Path, vendor: str) -> None:
    sheet = np.full((CELL, CELL * len(CODES), 4), 255, dtype=np.uint8)
    for number in range(len(CODES)):
        sheet[..., number * CELL : (number + 1) * CELL, :3] = (20 * number, 100, VENDORS.index(vendor))
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    table = [
        {
            "name": f"EMOJI {number}",
            "unified": f"{code.upper()}-FE0F",
            "short_name": f"short_{number}",
            "category": f"category {number // 6}",
            "subcategory": f"subcategory {number // 3}",
            "sheet_x": number,
            "sheet_y": 0,
            "sort_order": number,
            **{f"has_img_{vendor}": True for vendor in VENDORS},
        }
        for number, code in enumerate(CODES)
    ]
    files = {"emoji.json": json.dumps(table).encode(), f"img/{vendor}/sheets-clean/64.png": file.getvalue()}
    pack(folder / f"emoji-datasource-{vendor}-{VERSION}.tgz", files)


def colour(package: str, number: int) -> tuple[int, int, int]:
    return (20 * number, 200, 10 * [*PACKAGES].index(package))


def pack_drawings(path: Path, package: str, *, author: str = "Google Inc", codes: bool = True) -> Path:
    icons = {}
    for number in range(len(CODES)):
        if (package, number) != ("openmoji", LEFT_OUT):
            shown = number - 1 if (package, number) == ("emojione", TWIN) else number
            fill = "#{:02x}{:02x}{:02x}".format(*colour(package, shown))
            icons[f"icon-{number}"] = {"body": f'<path d="M0 0h36v36H0z" fill="{fill}"/>'}
    files = {
        "info.json": json.dumps({"author": {"name": author}}).encode(),
        "icons.json": json.dumps({"prefix": package, "icons": icons, "width": 36, "height": 36}).encode(),
    }
    if codes:
        files["chars.json"] = json.dumps({code: f"icon-{number}" for number, code in enumerate(CODES)}).encode()
    return pack(path, files)


def test_each_hand_is_in_its_split_and_twins_and_emoji_that_are_not_drawn_are_left_out(tmp_path, monkeypatch, capsys):
    for vendor in VENDORS:
        pack_sheet(tmp_path, vendor)
    for package, (version, _) in PACKAGES.items():
        archive = tmp_path / f"iconify-json-{package}-{version}.tgz"
        pack_drawings(archive, package, codes=package == "openmoji")  # the others are matched by its names
    folder = tmp_path / "data"
    monkeypatch.setattr(sys, "argv", ["emoji_vendors.py", str(folder), "--cache", str(tmp_path)])
    emoji_vendors.main()
    numbers = [number for number in range(len(CODES)) if number not in (LEFT_OUT, TWIN)]
    assert capsys.readouterr().out == (
        f"{folder}: 2 superclasses, 4 groups, 10 classes; images: train 50, validation 10, test 20\n"
    )
    data, tree = load_from_disk(str(folder)), hierarchy.load(folder / "hierarchy.json")
    assert tree.classes == tuple(f"{CODES[number].upper()}-FE0F" for number in numbers)
    assert {split: set(rows["vendor"]) for split, rows in data.items()} == {
        "train": {"google", "twitter", "noto-v1", "emojione", "emojione-v1"},
        "validation": {"openmoji"},
        "test": {"facebook", "fluent-emoji-flat"},
    }
    for rows in data.values():
        assert set(Counter(zip(rows["vendor"], rows["label"], strict=True)).values()) == {1}
        for row in rows:
            number = numbers[row["label"]]
            seen = tuple(map(int, np.asarray(row["image"])[32, 32]))
            vendor = row["vendor"]
            assert seen == (colour(vendor, number) if vendor in PACKAGES else (20 * number, 100, VENDORS.index(vendor)))


def test_a_package_of_a_reserved_author_is_refused(tmp_path):
    path = pack_drawings(tmp_path / "package.tgz", "noto-v1", author="Mozilla")
    with pytest.raises(SourceError, match="is by 'Mozilla', a reserved author; leave it out"):
        read_package(path)


def test_a_damaged_package_is_named(tmp_path):
    (tmp_path / "package.tgz").write_bytes(b"not a tar file")
    with pytest.raises(SourceError, match=r"cannot read '.*package.tgz': .*; delete it to download it again"):
        read_package(tmp_path / "package.tgz")
    path = pack(tmp_path / "other.tgz", {"icons.json": b"{}"})
    with pytest.raises(SourceError, match=r"cannot read '.*other.tgz': KeyError"):
        read_package(path)
