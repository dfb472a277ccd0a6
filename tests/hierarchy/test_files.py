"""Hierarchy files: saving and loading, atomic writes, locks, and messages about bad files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support import ROOT
from support.strategies import hierarchies, names

from hierarchy import Hierarchy, load, save
from hierarchy.errors import FormatError, Locked, OutputError
from hierarchy.files import lock, read_text, write_text
from hierarchy.io import dumps, folder, read, read_rows, shipped, to_csv, to_dict

DOCS = ROOT / "docs"
SCHEMA = Draft202012Validator(json.loads((folder("data") / "hierarchy.schema.json").read_text(encoding="utf-8")))
SHIPPED = sorted(path for path in folder("data").glob("*.json") if not path.name.endswith(".schema.json"))
SHARKS = Hierarchy.from_rows(
    [("n01494475", "hammerhead", "marine animals", "sharks"), ("n01496331", "electric ray", "marine animals", "rays")]
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
provenances = st.dictionaries(st.text(), values, max_size=4)


@pytest.fixture
def scratch(tmp_path):
    """A folder that must hold nothing but what the test names, and no temporary files."""
    yield tmp_path
    assert not [path.name for path in tmp_path.rglob("*.tmp")]


# Law 1


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@given(hierarchies(), provenances)
def test_json_is_loaded_with_its_provenance(place, tree, provenance):
    save(tree, place / "tree.json", provenance=provenance)
    held = read(place / "tree.json")
    assert held.hierarchy == load(str(place / "tree.json")) == tree
    assert held.hierarchy.digest == tree.digest
    assert held.provenance == provenance
    assert [path.name for path in place.iterdir() if path.suffix == ".json"] == ["tree.json"]


@given(hierarchies())
def test_saved_csv_is_loaded(place, tree):
    save(tree, place / "tree.csv", provenance={"lost": "here"})
    assert load(place / "tree.csv") == tree
    assert load(place / "tree.csv").digest == tree.digest
    assert read(place / "tree.csv").provenance == {}


@given(hierarchies(), provenances)
def test_a_dict_is_loaded_and_valid_by_the_schema(tree, provenance):
    content = to_dict(tree, provenance=provenance)
    assert load(content) == tree
    assert json.loads(dumps(tree, provenance=provenance)) == content
    SCHEMA.validate(content)
    assert read(content).provenance == provenance
    assert load(tree) is tree


@given(hierarchies(fewest=2), st.data())
def test_a_changed_class_changes_one_line_and_the_digest(tree, data):
    label = data.draw(st.integers(0, len(tree) - 1))
    rows = [list(row) for row in tree.rows]
    rows[label][1] = data.draw(names.filter(lambda name: name != tree.names[label]))
    before, after = (dumps(one).splitlines() for one in (tree, Hierarchy.from_rows(rows)))
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 2
    assert '"digest"' in changed[0][0]
    assert json.loads(changed[1][1].rstrip(",")) == dict(
        zip(("id", "name", "superclass", "group"), rows[label], strict=True)
    )


@given(hierarchies())
def test_a_byte_order_mark_and_other_line_ends_change_nothing(place, tree):
    for ending, text in ((".json", dumps(tree)), (".csv", to_csv(tree))):
        path = place / f"foreign{ending}"
        path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
        assert load(path) == tree


# The schema


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA.schema)
    assert SCHEMA.is_valid(to_dict(SHARKS))


def change(**fields):
    content = {**to_dict(SHARKS), **fields}
    return {key: value for key, value in content.items() if value is not ...}


def change_class(**fields):
    first = {**to_dict(SHARKS)["classes"][0], **fields}
    return change(digest=..., classes=[{key: value for key, value in first.items() if value is not ...}])


BAD = {
    "no format": change(format=...),
    "other format": change(format="tree"),
    "no version": change(version=...),
    "version 0": change(version=0),
    "a future version": change(version=2),
    "a version in words": change(version="1"),
    "true": change(version=True),
    "digest a number": change(digest=7),
    "digest of something else": change(digest="0" * 63),
    "provenance a list": change(provenance=[]),
    "no classes": change(classes=...),
    "classes an object": change(classes={}),
    "no class": change(digest=..., classes=[]),
    "a class that is a string": change(classes=["hammerhead"]),
    "a class without a group": change_class(group=...),
    "a class with a colour": change_class(colour="grey"),
    "an id that is a number": change_class(id=7),
    "an id that is a list": change_class(id=["n01494475"]),
    "a name that is an object": change_class(name={}),
    "an empty id": change_class(id=""),
    "a line break": change_class(group="a\nb"),
    "a control character": change_class(superclass="a\x7f"),
    "a line separator": change_class(superclass="a\u2028b"),
    "a space in front": change_class(name=" a"),
    "a space behind": change_class(name="a\u00a0"),
    "a list": [],
    "nothing": None,
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_the_schema_and_the_reader_refuse_the_same(content, scratch):
    assert not SCHEMA.is_valid(content)
    path = scratch / "bad.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FormatError, match=re.escape(str(path))):
        load(path)
    if isinstance(content, dict):
        with pytest.raises(FormatError, match="the given dict"):
            load(content)


def test_a_file_by_hand_needs_neither_digest_nor_provenance_and_may_say_more():
    content = change(digest=..., provenance=..., comment="by hand")
    assert SCHEMA.is_valid(content)
    assert load(content) == SHARKS


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_is_valid(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    if path.name.endswith(".findings.json"):
        assert isinstance(content, list)
        return
    SCHEMA.validate(content)
    assert content["digest"] == load(path.stem).digest
    assert content["provenance"]["command"].startswith("python -m hierarchy.generate ")
    assert path.read_text(encoding="utf-8") == dumps(load(path.stem), provenance=content["provenance"])


def test_the_hierarchies_shipped_are_those_of_the_package():
    hierarchies = {path.stem for path in SHIPPED if "." not in path.stem}
    assert set(shipped()) == hierarchies
    assert not SHIPPED or hierarchies  # findings alone are not data


def test_the_page_about_the_format_shows_a_valid_file():
    page = (DOCS / "reference" / "formats.md").read_text(encoding="utf-8")
    example, *_ = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    SCHEMA.validate(json.loads(example))
    assert load(json.loads(example)) == SHARKS
    for field in (*SCHEMA.schema["properties"], *SCHEMA.schema["properties"]["classes"]["items"]["properties"]):
        assert f"| `{field}` |" in page
    assert "`id,name,superclass,group`" in page and to_csv(SHARKS).startswith("id,name,superclass,group\n")


# What is refused (golden/messages.txt has the messages of other bad files)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[" * 100_000, "{path} is nested too deeply; give a file written by `save`"),
        (
            "a.csv",
            b"id,name,superclass,group\na,b,c,d\na,b\n",
            "{path}:3: expected 4 fields, got 2; quote fields that contain commas",
        ),
        (
            "a.csv",
            b'id,name,superclass,group\na,"b,c,d\n',
            "{path}:2: not CSV (unexpected end of data); check the quotes",
        ),
        (
            "a.csv",
            b"id,name,superclass,group\n" + b"a" * 1_000_000 + b",b,c,d\n",
            "{path}:2: not CSV (field larger than field limit (131072)); check the quotes",
        ),
    ],
    ids=["deep", "fields", "quote", "long"],
)
def test_a_bad_file_is_refused_with_its_name_and_line(name, content, message, scratch):
    path = scratch / name
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        load(path)
    assert str(caught.value) == message.format(path=path)


def test_rows_are_read_from_a_table_that_is_not_a_hierarchy(scratch):
    path = scratch / "twice.csv"
    path.write_text("id,name,superclass,group\na,a,b,c\na,a,b/,d\n", encoding="utf-8")
    assert read_rows(path) == (("a", "a", "b", "c"), ("a", "a", "b/", "d"))


# Writing


@pytest.mark.parametrize("target", ["file/below.json", "missing/below.json", "folder.json", "x" * 300 + ".json"])
def test_a_failed_write_is_reported_and_leaves_nothing(target, scratch):
    (scratch / "file").write_text("whole")
    (scratch / "folder.json").mkdir()
    before = sorted(scratch.rglob("*"))
    with pytest.raises(OutputError, match=r"^cannot write '.*json': [a-z ]+; name a file in a writable folder$"):
        save(SHARKS, scratch / target)
    assert sorted(scratch.rglob("*")) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_amid_writing_leaves_the_old_file(error, step, scratch, monkeypatch):
    path = scratch / "tree.json"
    path.write_text("old")

    def fail(*_):
        raise error

    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (os, "replace", fail)))
    monkeypatch.setattr(Path, "replace", fail if step == "replace" else Path.replace)
    with pytest.raises(OutputError if isinstance(error, OSError) else error):
        save(SHARKS, path)
    assert path.read_text() == "old"
    assert [found.name for found in scratch.iterdir()] == ["tree.json"]


@pytest.mark.parametrize(("before", "mode"), [(None, 0o640), (0o600, 0o600), (0o664, 0o664)])
def test_a_file_keeps_its_permissions_and_a_new_one_has_the_usual_ones(before, mode, scratch):
    path = scratch / "tree.json"
    if before is not None:
        path.touch()
        path.chmod(before)
    old = os.umask(0o027)
    try:
        save(SHARKS, path)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o7777 == mode


def test_a_link_is_followed(scratch):
    (scratch / "real.json").write_text("old")
    (scratch / "link.json").symlink_to("real.json")
    save(SHARKS, scratch / "link.json")
    assert (scratch / "link.json").is_symlink()
    assert load(scratch / "real.json") == SHARKS


def test_a_provenance_with_the_name_of_a_file_that_is_not_utf8_is_kept(scratch):
    provenance = {"source": "b\udcff.txt", "other": "é🦈"}
    save(SHARKS, scratch / "tree.json", provenance=provenance)
    assert read(scratch / "tree.json").provenance == provenance


def test_text_is_written_as_it_is(scratch):
    write_text(scratch / "a.txt", "é\r\n🦈\n")
    assert (scratch / "a.txt").read_bytes() == "é\r\n🦈\n".encode()
    assert read_text(scratch / "a.txt") == "é\n🦈\n"


# Locks

HOLD = "from hierarchy.files import lock\nwith lock('x.lock', busy='x', holder='Ada'):\n print(flush=True)\n input()"


@pytest.fixture
def holder(scratch):
    """Another process that holds a lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=scratch, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def refusal(path, error, **words):
    with pytest.raises(error) as caught, lock(path, **words):
        pass
    return str(caught.value)


def test_a_lock_keeps_others_out_and_says_who_holds_it(holder, scratch):
    path = scratch / "x.lock"
    said = "'x' is being reviewed by Ada; wait until it has finished"
    assert refusal(path, Locked, busy="'x' is being reviewed") == said
    holder.communicate("\n")
    with lock(path, busy="x"):
        assert refusal(path, Locked, busy="y", fix="stop it") == "y by another process; stop it"
    assert not path.exists()


def test_a_killed_process_leaves_no_lock(holder, scratch):
    holder.kill()
    holder.wait()
    assert (scratch / "x.lock").read_text() == "Ada"
    with lock(scratch / "x.lock", busy="x"):
        pass


def test_a_lock_that_cannot_be_written_is_refused(scratch):
    (scratch / "file").touch()
    path = scratch / "file" / "x.lock"
    assert re.fullmatch(
        f"cannot write '{path}': [a-z ]+; name a file in a writable folder", refusal(path, OutputError, busy="x")
    )
