"""The icons dataset: drawings under their classes, authors kept apart, reserved authors never opened.

The package is made here, of the layout that npm's has. All messages are in golden/icon_messages.txt; after a change of
wording, regenerate them with `WRITE_GOLDEN=1 pytest tests/benchmarks/test_icons.py` and read the difference.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
import tarfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import load_from_disk
from support.golden_messages import Golden

import hierarchy
from hierarchy.errors import HierarchyError, SourceError
from hierarchy.sources import read_classes

pytest.importorskip("resvg_py", reason="resvg-py, which draws the icons, is not installed")
import icon_sets
import icons
from icon_sets import SIDE, VERSION, Icon, IconSet, Unrenderable, is_reserved, read_sets, render, strip_style
from npm import fetch

ARCHIVE = f"iconify-json-{VERSION}.tgz"
CLASSES = {
    "square": ("shapes", "plain"),
    "bar": ("shapes", "plain"),
    "dot": ("marks", "small"),
    "dash": ("marks", "small"),
}
OTHERS = [name for name in map("author {}".format, range(99)) if not is_reserved(name)]
AUTHORS = ["Ben Sperry", "Family", *OTHERS[:18]]  # Family copies Ben Sperry
RESERVED = "ByteDance"


def body(author: int, label: int) -> str:
    """A drawing of one author and class alone: its height is the class's, its width the author's."""
    return f'<path d="M0 0h{4 + author}v{5 + 5 * label}h-{4 + author}z" fill="currentColor"/>'


def icon_set(prefix: str, author: int, **bodies: str) -> dict[str, object]:
    drawn = {f"{name}-outline": {"body": body(author, label)} for label, name in enumerate(CLASSES)}
    return {
        "prefix": prefix,
        "icons": drawn | {name: {"body": one} for name, one in bodies.items()},
        "height": 24,
        "width": 24,
    }


def entry(author: str, category: str = "UI 24px") -> dict[str, object]:
    return {"author": {"name": author}, "license": {"title": "MIT", "spdx": "MIT"}, "category": category}


def package(folder: Path, files: dict[str, object]) -> Path:
    """Packs files as npm does; texts as they are, all else as JSON."""
    path = folder / ARCHIVE
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def sets_of_all() -> dict[str, object]:
    """Two sets by each third author, two that must not be opened, a broken and a blank icon."""
    table, files = {}, {}
    for number, author in enumerate(AUTHORS):
        for part in range(2 if number % 3 == 2 else 1):
            prefix = f"set-{number}-{part}"
            table[prefix] = entry(author)
            files[f"json/{prefix}.json"] = icon_set(prefix, number)
    for prefix, changed in {"set-2-0": "<path d='M0 0h5", "set-3-0": ""}.items():
        files[f"json/{prefix}.json"]["icons"]["dot-outline"] = {"body": changed}
    table |= {"reserved": entry(RESERVED), "logos": entry(OTHERS[20], "Logos")}
    files |= {"json/reserved.json": "not to be opened", "json/logos.json": "not to be opened"}
    return {"json/unlisted.json": "not to be opened", **files, "collections.json": table}


def class_list(path: Path, **icon_names: str) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["superclass", "group", "class", "icons", "without"])
        writer.writerows([*CLASSES[name], name, icon_names.get(name, name), ""] for name in CLASSES)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    package(folder, sets_of_all())
    class_list(folder / "classes.csv")
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the script in this process; returns its exit code or error, and what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["icons.py", *map(str, arguments)])
        try:
            icons.main()
        except SystemExit as ended:
            return ended.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return call


@pytest.fixture
def built(cache, tmp_path, run):
    folder = tmp_path / "new" / "data"
    code, out = run(folder, "--cache", cache, "--classes", cache / "classes.csv", "--least-authors", 19)
    assert code == 0
    return SimpleNamespace(folder=folder, out=out, data=load_from_disk(str(folder)))


def test_icons_are_drawn_in_grey_under_their_classes(built):
    tree = hierarchy.load(built.folder / "hierarchy.json")
    assert dict(zip(tree.classes, tree.groups, strict=True)) == CLASSES
    for rows in built.data.values():
        assert rows.column_names == ["image", "label", "author", "set"]
        assert rows.features["label"].names == list(tree.classes)
        for row in rows:
            assert row["image"].mode == "L" and row["image"].size == (SIDE, SIDE)
            dark = np.asarray(row["image"]) < 128
            number = AUTHORS.index(row["author"])
            assert (dark.any(0).sum(), dark.any(1).sum()) == (2 * (4 + number), 2 * (5 + 5 * row["label"]))
            assert row["set"].startswith(f"set-{number}-")
    names = read_classes(str(built.folder / "names.csv"))
    assert names.ids == tree.classes
    provenance = json.loads((built.folder / "hierarchy.json").read_text())["provenance"]
    assert len(provenance["licences"]["MIT"]) == 26 and "--least-authors 19" in provenance["command"]


def test_no_author_is_in_two_splits_and_a_copy_goes_with_its_original(built):
    authors = {split: set(rows["author"]) for split, rows in built.data.items()}
    assert list(authors) == ["train", "validation", "test"]
    assert sorted(author for names in authors.values() for author in names) == sorted(AUTHORS)
    assert any({"Family", "Ben Sperry"} <= names for names in authors.values())
    assert 3 <= len(authors["test"]) <= 5 and 1 <= len(authors["validation"]) <= 3
    assert min(Counter(built.data["test"]["label"]).values()) >= 2


def test_reserved_authors_are_in_no_split(built):
    assert not any(is_reserved(author) for rows in built.data.values() for author in rows["author"])
    assert is_reserved(RESERVED)  # its set is in the package, and is not even JSON


def test_a_reserved_author_is_never_chosen_even_if_given():
    source = IconSet("reserved", RESERVED, "MIT", (Icon("dot", body(0, 0), (0, 0, 24, 24)),))
    thing = icons.Thing("dot", "marks", "small", ("dot",), frozenset())
    with pytest.raises(AssertionError):
        icons.check_authors(icons.choose([source], [thing]), [thing], 1)


def test_icons_that_cannot_be_drawn_are_counted_named_and_skipped(built):
    assert "skipped 2 icons:" in built.out and "  set-3-0:dot-outline: it is blank\n" in built.out
    assert re.search(r"  set-2-0:dot-outline: its SVG is broken: \S", built.out)
    drawn = {(row["set"], row["label"]) for rows in built.data.values() for row in rows}
    assert ("set-2-0", 2) not in drawn and ("set-2-0", 1) in drawn
    assert len(drawn) == 26 * 4 - 2 == sum(map(len, built.data.values()))
    assert built.out.startswith(f"{built.folder}: 2 superclasses, 2 groups, 4 classes\ntrain: ")


def test_the_same_seed_gives_the_same_splits(cache, built, tmp_path, run):
    def split(name, seed):
        arguments = ("--cache", cache, "--classes", cache / "classes.csv", "--least-authors", 19, "--seed", seed)
        assert run(tmp_path / name, *arguments)[0] == 0
        return {split: rows["set"] for split, rows in load_from_disk(str(tmp_path / name)).items()}

    first = {split: rows["set"] for split, rows in built.data.items()}
    assert split("again", 0) == first != split("other", 1)


def thing(name: str, *names: str, without: tuple[str, ...] = ()) -> icons.Thing:
    return icons.Thing(name, "all", "all", names or (name,), frozenset(without))


def drawn_set(prefix: str, author: str, **bodies: str) -> IconSet:
    found = tuple(Icon(name.replace("_", "-"), one, (0, 0, 24, 24)) for name, one in bodies.items())
    return IconSet(prefix, author, "MIT", found)


def test_a_set_gives_the_plainest_drawing_and_an_author_at_most_three():
    sets = [drawn_set(f"set-{number}", "one", bin_outline="a", trash_filled="b", trash="c") for number in range(5)]
    chosen = icons.choose(sets, [thing("trash can", "trash", "bin")])
    assert [drawing.icon.name for drawing in chosen] == ["trash"] * 3
    assert len({drawing.source.prefix for drawing in chosen}) == 3
    assert chosen == icons.choose(sets, [thing("trash can", "trash", "bin")])


def test_what_a_set_draws_alike_for_two_classes_is_left_out():
    sets = [drawn_set("set", "one", lock="a", key="a", key_filled="b"), drawn_set("other", "two", lock="a", key="c")]
    chosen = icons.choose(sets, [thing("lock"), thing("key")])
    assert [(drawing.label, drawing.source.prefix, drawing.icon.body) for drawing in chosen] == [
        (0, "other", "a"),
        (1, "set", "b"),
        (1, "other", "c"),
    ]


def test_a_set_that_means_something_else_by_a_name_is_left_out():
    sets = [drawn_set("animals", "one", mouse="a", mouse_outline="b"), drawn_set("devices", "two", mouse="c")]
    chosen = icons.choose(sets, [thing("computer mouse", "mouse", without=("animals:mouse",))])
    assert [drawing.icon.body for drawing in chosen] == ["c"]


def test_aliases_are_drawn_unless_they_are_turned_and_animations_are_not(tmp_path):
    data = icon_set("one", 0, still=body(0, 0), moving="<path d='M0 0h9'><animate/></path>")
    data |= {
        "left": -4,
        "aliases": {
            "bar": {"parent": "other"},
            "other": {"parent": "still"},
            "dot": {"parent": "still", "hFlip": True},
        },
    }
    path = package(tmp_path, {"collections.json": {"one": entry(OTHERS[0])}, "json/one.json": data})
    (found,) = read_sets(path, {"bar", "dot", "moving"})
    assert [icon.name for icon in found.icons] == ["bar-outline", "dot-outline", "bar"]
    assert found.icons[2] == Icon("bar", body(0, 0), (-4, 0, 24, 24))


def test_colours_become_grey_and_the_box_is_kept():
    red = Icon("red", '<path fill="#f00" d="M12 0h12v24h-12z"/>', (12, 0, 24, 24))
    drawn = np.asarray(render(red))
    assert np.abs(drawn[:, : SIDE // 2].astype(int) - 76).max() <= 1  # luma of pure red, 0.299 x 255
    assert (drawn[:, SIDE // 2 + 1 :] == 255).all()
    with pytest.raises(Unrenderable, match="blank"):
        render(Icon("white", '<path fill="#fff" d="M0 0h24v24H0z"/>', (0, 0, 24, 24)))


@pytest.mark.parametrize(
    ("name", "plain"),
    {
        "heart-outline": "heart",
        "heart-24-filled": "heart",
        "outline-heart": "heart",
        "star-o": "star",
        "outline": "outline",
        "line-chart": "line-chart",
        "light-bulb": "light-bulb",
        "heart-broken": "heart-broken",
        "circle-b": "circle-b",
    }.items(),
)
def test_style_is_stripped_from_names_and_meaning_is_not(name, plain):
    assert strip_style(name) == plain


def test_the_committed_list_has_groups_of_two_classes_or_more_and_plain_names():
    things = icons.read_things(icons.CLASSES)
    assert len(things) >= 200
    assert min(Counter((thing.superclass, thing.group) for thing in things).values()) >= 2
    hierarchy.Hierarchy.from_rows((thing.name, thing.name, thing.superclass, thing.group) for thing in things)
    names = [name for thing in things for name in (*thing.icons, *(icon.split(":")[1] for icon in thing.without))]
    assert all(strip_style(name) == name for name in names)


def made_of(files: dict[str, object]):
    """Reads a package of these files."""
    return lambda folder, _: read_sets(Path(package(folder, files).name), {"dot"})


def listed(text: str):
    """Reads a list of classes of this text."""

    def read(folder: Path, _: pytest.MonkeyPatch) -> None:
        (folder / "classes.csv").write_text(text)
        icons.read_things(Path("classes.csv"))

    return read


def built_of(authors: int, *things: icons.Thing, least: int):
    """Builds a dataset of sets by so many authors that draw a dot and a bar."""
    sets = [drawn_set(f"set-{number}", OTHERS[number], dot=body(number, 0)) for number in range(authors)]
    return lambda folder, _: icons.build(Path("data"), sets, things, least=least, seed=0)


def without_npm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    fetch(icon_sets.PACKAGE, VERSION, Path("packages"))


def without_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "npm").write_text("#!/bin/sh\necho 'npm error code EAI_AGAIN' >&2\nexit 1\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    fetch(icon_sets.PACKAGE, VERSION, Path("packages"))


def without_resvg(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    render(Icon("dot", body(0, 0), (0, 0, 24, 24)))


def broken_package(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / ARCHIVE).write_bytes(b"no package")
    read_sets(Path(ARCHIVE), {"dot"})


def into_a_folder_that_exists(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "there").mkdir()
    icons.build(Path("there"), [], [], least=1, seed=0)


HEADER = "superclass,group,class,icons,without\n"
CALLS = {  # what is wrong -> a call in an empty folder
    "no npm": without_npm,
    "no network": without_network,
    "no resvg-py": without_resvg,
    "a package that is broken": broken_package,
    "a package without its table": made_of({"json/one.json": icon_set("one", 0)}),
    "a package that lacks a set": made_of({"collections.json": {"one": entry(OTHERS[0])}}),
    "a package of another layout": made_of({"collections.json": {"one": {"author": "author 1"}}}),
    "a set that is not JSON": made_of({"collections.json": {"one": entry(OTHERS[0])}, "json/one.json": "{"}),
    "no list of classes": lambda folder, _: icons.read_things(Path("classes.csv")),
    "a list without a column": listed("superclass,group,class\na,b,c\n"),
    "a name of two classes": listed(HEADER + "a,b,bin,trash,\na,b,trash can,trash,\n"),
    "a class in no set": built_of(5, thing("dot"), thing("yeti"), least=5),
    "classes of too few authors": built_of(5, thing("dot"), thing("yeti"), least=6),
    "too few authors to split": built_of(3, thing("dot"), least=3),
    "a folder that exists": into_a_folder_that_exists,
}
GOLDEN = Golden("icon_messages.txt", lambda: [*CALLS])


@pytest.mark.parametrize("case", CALLS)
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_written(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HierarchyError) as caught:
        CALLS[case](tmp_path, monkeypatch)
    assert not {path.name for path in tmp_path.rglob("*")} - {"npm", "packages", ARCHIVE, "classes.csv", "there"}
    GOLDEN.compare(case, str(caught.value))


def test_the_golden_file_has_no_message_of_a_case_that_is_gone():
    assert list(GOLDEN.messages()) == list(CALLS)


def test_the_command_says_an_error_in_one_line_before_it_fetches_anything(tmp_path, run):
    (tmp_path / "there").mkdir()
    code, out = run(tmp_path / "there", "--cache", tmp_path / "npm")
    assert (code, out) == (
        f"error: cannot write {str(tmp_path / 'there')!r}: it exists; remove it or choose another folder",
        "",
    )
    assert not (tmp_path / "npm").exists()


@pytest.mark.network
@pytest.mark.slow
def test_the_real_package_draws_every_class_by_thirty_authors(tmp_path, run):
    """100 MB by npm."""
    code, out = run(tmp_path / "data", "--cache", tmp_path / "npm")
    assert code == 0
    data = load_from_disk(str(tmp_path / "data"))
    assert len(data["test"]) >= 4000 and data["train"].features["label"].num_classes >= 200
    assert not any(is_reserved(author) for rows in data.values() for author in rows["author"])
    assert out.count("skipped") == 1


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_npm_itself_says_why_it_cannot_download(tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")  # nobody listens there
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(SourceError, match=r"cannot download no-such@1.0.0 \(.*ECONNREFUSED.*\); check the network"):
        fetch("no-such", "1.0.0", tmp_path / "packages")
    assert not any((tmp_path / "packages").iterdir())
