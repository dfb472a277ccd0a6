"""Whatever is wrong with an input: exit code 2, one clear line on stderr, no traceback, no file half-written.

All messages are in golden/messages.txt. After a change of wording, regenerate it with
`WRITE_GOLDEN=1 pytest tests/hierarchy/test_bad_input.py`, and read the difference.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from support.golden_messages import Golden

import hierarchy.io
import hierarchy.wordnet.database
from hierarchy import Hierarchy, load, save
from hierarchy.cli.console import run
from hierarchy.cli.main import app
from hierarchy.errors import HierarchyError, WordNetMissing
from hierarchy.io import dumps, to_dict
from hierarchy.proposal import Merge, Move, Proposal, Rename, Split, apply

PETS = Hierarchy.from_rows(
    [
        ("n1", "tabby", "mammals", "cats"),
        ("n2", "carp", "fish", "carps"),
        ("n3", "siamese", "mammals", "cats"),
        ("n4", "beagle", "mammals", "dogs"),
        ("n5", "beagle", "mammals", "dogs"),
    ]
)
NAMES = b"tabby\ncarp\nbeagle\nsalmon\npoodle\ntrout\n"


def pets(**fields):
    return json.dumps({**to_dict(PETS), **fields}, indent=1).encode()


FILES = {
    "pets.txt": NAMES,
    "pets.json": dumps(PETS).encode(),
    "reviewed.decisions.jsonl": b"",
    "empty.txt": b"",
    "blank.txt": b"\n\n\n",
    "one.txt": b"tabby\n",
    "two.txt": b"tabby\ncarp\n",
    "twice.txt": b"tabby\ncarp\ntrout\ntabby\n",
    "gap.txt": b"tabby\n\ncarp\ntrout\n",
    "control.txt": b"tabby\nca\x07rp\ntrout\n",
    "latin1.txt": "tabby\ncarp\nbr\u00e4me\n".encode("latin-1"),
    "utf16.txt": "tabby\ncarp\n".encode("utf-16"),
    "long.txt": b"tabby\n" + b"a" * 1_000_000 + b"\ncarp\n",
    "many.txt": b"a\x01b\nc\x01d\n\ne\x01f\ng\x01h\ni\x01j\nk\x01l\nm\x01n\no\x01p\nq\x01r\n",
    "empty.csv": b"",
    "header.csv": b"colour,size\n1,tabby\n",
    "only header.csv": b"id,name\n",
    "newline.csv": b'id,name\nn1,"tab\nby"\nn2,carp\nn3,trout\n',
    "fields.csv": b"id,name\nn1,tabby\nn2,carp,trout\n",
    "few fields.csv": b"id,name\nn1,tabby\nn2\n",
    "quote.csv": b'id,name\nn1,"tabby\nn2,carp\n',
    "after quote.csv": b'id,name\nn1,tabby\nn2,"carp"x\n',
    "long.csv": b"id,name\nn1,tabby\nn2," + b"a" * 1_000_000 + b"\n",
    "twice.csv": b"id,name\nn1,tabby\nn2,carp\nn1,trout\n",
    "no id.csv": b"id,name\n,tabby\nn2,carp\nn3,trout\n",
    "empty.tsv": b"",
    "images/.hidden/a.jpg": b"",
    "one image folder/tabby/a.jpg": b"",
    "broken/dataset_dict.json": b"{",
    "half.json": dumps(PETS).encode()[:300],
    "empty.json": b"",
    "list.json": b"[1, 2]",
    "latin1.json": '{"format":\n"hierarchy", "name": "br\u00e4me"}'.encode("latin-1"),
    "future.json": pets(version=2),
    "version.json": pets(version="one"),
    "digest.json": pets(digest="0" * 64),
    "no classes.json": pets(classes=[], digest=None),
    "number.json": pets(classes=[{"id": 7, "name": "x", "superclass": "x", "group": "y"}]),
    "list id.json": pets(classes=[{"id": ["n1"], "name": "x", "superclass": "x", "group": "y"}]),
    "colour.json": pets(classes=[{"id": "n1", "colour": "grey"}]),
    "strings.json": pets(classes=["n1"]),
    "twice.json": pets(classes=to_dict(PETS)["classes"][:2] * 2, digest=None),
    "digits.json": b"1" * 1_000_000,
    "header.csv.csv": b"a,b\n",
    "map.json": b'{"tabby": "furry", "carp": "wet"}',
    "stranger.json": b'{"lion": "furry", "pike": "wet", "tabbi": "furry"}',
    "odd map.json": b'{"tabby": 3,\n"carp": ""}',
    "flat map.json": b'{"tabby": "a", "carp": "a", "siamese": "a"}',
}

GENERATE = {  # what is wrong -> arguments of `hierarchy generate` and of `python -m hierarchy.generate`
    "no source": [],
    "empty file": ["empty.txt"],
    "blank lines only": ["blank.txt"],
    "one class": ["one.txt"],
    "two classes": ["two.txt"],
    "duplicate ids": ["twice.txt"],
    "an empty line": ["gap.txt"],
    "a control character in a name": ["control.txt"],
    "not UTF-8": ["latin1.txt"],
    "UTF-16": ["utf16.txt"],
    "a line of 1 MB": ["long.txt"],
    "many problems": ["many.txt"],
    "empty csv": ["empty.csv"],
    "csv with other columns": ["header.csv"],
    "csv with a header only": ["only header.csv"],
    "csv with a newline in a name": ["newline.csv"],
    "csv with too many fields": ["fields.csv"],
    "csv with too few fields": ["few fields.csv"],
    "csv with an open quote": ["quote.csv"],
    "csv with text behind a quote": ["after quote.csv"],
    "csv with a field of 1 MB": ["long.csv"],
    "csv with duplicate ids": ["twice.csv"],
    "csv without an id": ["no id.csv"],
    "empty tsv": ["empty.tsv"],
    "missing file": ["missing.txt"],
    "missing file with a folder": ["missing/pets.csv"],
    "an image folder without classes": ["images"],
    "an image folder with one class": ["one image folder"],
    "a dataset that is broken": ["broken"],
    "unknown source": ["imagenet-2k"],
    "unknown source, nothing like it": ["zzz"],
    "no name": [""],
    "a source longer than a file's name": ["x" * 5000],
    "a source over itself": ["pets.json", "--out", "pets.json"],
    "an unknown format": ["pets.txt", "--format", "yollo"],
    "groups that the source does not state": ["pets.txt", "--use-groups"],
    "given groups and a language model": ["pets.txt", "--use-groups", "--propose", "openai"],
    "output below a file": ["pets.txt", "--out", "pets.txt/out.json"],
    "output deep below a file": ["pets.txt", "--out", "pets.txt/a/b/out.json"],
    "output is a folder": ["pets.txt", "--out", "folder.json"],
    "output with an unknown ending": ["pets.txt", "--out", "out.yaml"],
    "output without an ending": ["pets.txt", "--out", "out"],
    "output with a name too long": ["pets.txt", "--out", "x" * 300 + ".json"],
    "no superclass": ["pets.txt", "--superclasses", "0"],
    "negative": ["pets.txt", "--groups=-3"],
    "larger number first": ["pets.txt", "--superclasses", "9:5"],
    "a letter": ["pets.txt", "--groups", "x"],
    "a fraction": ["pets.txt", "--groups", "2.5"],
    "a shape without text": ["pets.txt", "--superclasses", ""],
    "more superclasses than can be had": ["pets.txt", "--superclasses", "5"],
    "fewer groups than superclasses": ["pets.txt", "--superclasses", "3", "--groups", "2", "--chains"],
    "impossible sizes": ["pets.txt", "--classes-per-group", "4:5"],
    "unknown embedder": ["pets.txt", "--embed", "tfdif"],
    "one unknown embedder of two": ["pets.txt", "--embed", "tfidf+word2vec"],
    "embedder without a model": ["pets.txt", "--embed", "timm"],
    "embedder wordnet without WordNet": ["pets.txt", "--embed", "wordnet"],
    "unknown flag": ["pets.txt", "--superclases", "3"],
    "a seed in words": ["pets.txt", "--seed", "one"],
    "an unknown proposer": ["pets.txt", "--propose", "gpt"],
    "a dry run without a model": ["pets.txt", "--dry-run"],
    "asking again without a model": ["pets.txt", "--ask-again"],
    "a model, and money, where none proposes": ["pets.txt", "--model", "gpt-5", "--max-cost", "2", "--yes"],
    "a server where none is asked": ["pets.txt", "--base-url", "http://localhost:1"],
    "a limit of an embedding server's calls": ["pets.txt", "--embed", "tfidf+openai:m", "--max-calls", "3"],
    "sizes of a model's nodes": ["pets.txt", "--propose", "openai", "--classes-per-group", "2:5"],
    "a price in words": ["pets.txt", "--propose", "openai", "--price", "cheap"],
    "no votes": ["pets.txt", "--propose", "openai", "--votes", "0"],
    "a result under review": ["pets.txt", "--out", "reviewed.json"],
}
COMMANDS = {  # the same for the other commands
    "unknown command": ["shwo"],
    "explain nothing": ["explain", "pets.json"],
    "explain an unknown class": ["explain", "pets.json", "tabi"],
    "explain a node": ["explain", "pets.json", "mammals"],
    "explain an ambiguous name": ["explain", "pets.json", "beagle"],
    "explain in a file that is missing": ["explain", "missing.json", "tabby"],
    "show a file that is missing": ["show", "missing.json"],
    "show an unknown name": ["show", "imagenet1000"],
    "show another kind of file": ["show", "folder/pets.txt"],
    "show a folder": ["show", "folder.json"],
    "show an empty file": ["show", "empty.json"],
    "show half a file": ["show", "half.json"],
    "show a list": ["show", "list.json"],
    "show what is not UTF-8": ["show", "latin1.json"],
    "show a line of 1 MB": ["show", "digits.json"],
    "show a future version": ["show", "future.json"],
    "show an odd version": ["show", "version.json"],
    "show a wrong digest": ["show", "digest.json"],
    "show no classes": ["show", "no classes.json"],
    "show an id that is a number": ["show", "number.json"],
    "show an id that is a list": ["show", "list id.json"],
    "show other fields": ["show", "colour.json"],
    "show strings": ["show", "strings.json"],
    "show a duplicate class": ["show", "twice.json"],
    "show a csv with another header": ["show", "header.csv.csv"],
    "show depth 9": ["show", "pets.json", "--depth", "9"],
    "find what is not there": ["show", "pets.json", "--find", "zzzz"],
    "check half a file": ["check", "half.json"],
    "check with an unknown embedder": ["check", "pets.json", "--embed", "x"],
    "check against an unknown source": ["check", "pets.json", "--classes", "x"],
    "score against nothing": ["score", "pets.json", "missing.json"],
    "score against too few": ["score", "pets.json", "map.json"],
    "score against strangers": ["score", "pets.json", "stranger.json"],
    "score against an odd map": ["score", "pets.json", "odd map.json"],
    "score against one superclass": ["score", "pets.json", "flat map.json"],
    "score half a file": ["score", "half.json", "map.json"],
    "report half a file": ["report", "half.json"],
    "report into a missing folder": ["report", "pets.json", "--out", "missing/page.html"],
    "report below a file": ["report", "pets.json", "--out", "pets.txt/page.html"],
}
CALLS = {  # and for what only Python asks
    "an id that is a path": lambda: PETS.labels("n1/n2"),
    "a near miss": lambda: PETS.labels("mamals/cats"),
    "a name of two": lambda: PETS.labels("beagle"),
    "a label out of range": lambda: PETS.at([5]),
    "a subset without classes": lambda: PETS.subset(),
    "an id that is a superclass": lambda: Hierarchy(("a", "b"), ("a", "b"), (("a", "g"), ("a", "g"))),
    "columns of other lengths": lambda: Hierarchy(("a",), ("a", "b"), (("s", "g"),)),
    "move what is not there": lambda: apply(Move("n9", "fish/carps"), Proposal.from_hierarchy(PETS)),
    "move to a superclass": lambda: apply(Move("n1", "fish"), Proposal.from_hierarchy(PETS)),
    "move to a bad name": lambda: apply(Move("n1", "fish/"), Proposal.from_hierarchy(PETS)),
    "rename what is not there": lambda: apply(Rename("mammals/cat", "felines"), Proposal.from_hierarchy(PETS)),
    "rename a class": lambda: apply(Rename("mammals/cats/tabby", "x"), Proposal.from_hierarchy(PETS)),
    "rename to a name that is taken": lambda: apply(Rename("mammals/cats", "dogs"), Proposal.from_hierarchy(PETS)),
    "rename to a bad name": lambda: apply(Rename("mammals/cats", "cats "), Proposal.from_hierarchy(PETS)),
    "merge two levels": lambda: apply(Merge("mammals/cats", "fish"), Proposal.from_hierarchy(PETS)),
    "merge with itself": lambda: apply(Merge("fish", "fish"), Proposal.from_hierarchy(PETS)),
    "split off what is elsewhere": lambda: apply(
        Split("mammals/cats", "big cats", ("n1", "n2", "n9")), Proposal.from_hierarchy(PETS)
    ),
    "split off nothing": lambda: apply(Split("mammals/cats", "big cats", ()), Proposal.from_hierarchy(PETS)),
    "save as text": lambda: save(PETS, "pets.txt"),
    "save what JSON does not know": lambda: save(PETS, "out.json", provenance={"when": {1}}),
    "save NaN": lambda: save(PETS, "out.json", provenance={"share": float("nan")}),
    "load a list": lambda: load({"classes": []}),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with all bad files, without WordNet, in which nothing may change."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "folder.json").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hierarchy.wordnet.database, "_reader", without_wordnet)
    monkeypatch.setattr(hierarchy.io, "shipped", lambda: ("cifar100", "imagenet100", "imagenet1k"))
    before = sorted(tmp_path.rglob("*"))
    yield tmp_path
    assert sorted(tmp_path.rglob("*")) == before


def without_wordnet():
    raise WordNetMissing("WordNet is not on this machine")


def message_of(capsys, monkeypatch, arguments):
    """The message of a command on stderr, without its progress; the command must fail cleanly."""
    monkeypatch.setattr(sys, "argv", ["hierarchy", *arguments])
    code = run(app)
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not re.match(r" +\d+\.\d s  ", line)]
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < 1200
    return lines[0].removeprefix("error: ")


def all_cases():
    return [*(f"generate: {case}" for case in GENERATE), *COMMANDS, *(f"python: {case}" for case in CALLS)]


GOLDEN = Golden("messages.txt", all_cases)


@pytest.mark.parametrize("case", GENERATE)
def test_generate_refuses_bad_input_in_one_line(case, folder, capsys, monkeypatch):
    GOLDEN.compare(f"generate: {case}", message_of(capsys, monkeypatch, ["generate", *GENERATE[case]]))


@pytest.mark.parametrize("case", COMMANDS)
def test_commands_refuse_bad_input_in_one_line(case, folder, capsys, monkeypatch):
    GOLDEN.compare(case, message_of(capsys, monkeypatch, COMMANDS[case]))


@pytest.mark.parametrize("case", CALLS)
def test_calls_refuse_bad_input_in_one_line(case, folder):
    with pytest.raises(HierarchyError) as caught:
        CALLS[case]()
    GOLDEN.compare(f"python: {case}", str(caught.value))


def test_a_file_that_was_there_is_left_alone(folder, capsys, monkeypatch):
    before = (folder / "pets.json").read_bytes()
    message_of(capsys, monkeypatch, ["generate", "one.txt", "--out", "pets.json"])
    message_of(capsys, monkeypatch, ["generate", "pets.txt", "--superclasses", "5", "--out", "pets.json"])
    assert (folder / "pets.json").read_bytes() == before


# The real command lines


def start(folder, *arguments, module="hierarchy.generate", before="", **options):
    code = f"import runpy, sys; {before}; sys.argv[0] = {module!r}; runpy.run_module({module!r}, run_name='__main__')"
    words = ["-c", code] if before else ["-m", module]
    return subprocess.Popen(
        [sys.executable, *words, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        **options,
    )


@pytest.mark.parametrize(
    ("module", "arguments", "case"),
    [
        ("hierarchy.generate", ["latin1.txt"], "generate: not UTF-8"),
        ("hierarchy", ["generate", "twice.csv"], "generate: csv with duplicate ids"),
        ("hierarchy", ["show", "future.json"], "show a future version"),
    ],
)
def test_the_real_commands_say_the_same(module, arguments, case, folder):
    process = start(folder, *arguments, module=module)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (2, "", f"error: {GOLDEN.messages()[case]}\n")


def test_python_m_without_arguments_says_how_help_is_had(folder):
    process = start(folder)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert err.endswith("; see `python -m hierarchy.generate --help`\n")


@pytest.mark.parametrize("out", [[], ["--out", "new/out.json"]], ids=["default", "folder"])
def test_ctrl_c_half_way_stops_at_once_and_leaves_nothing(out, folder):
    """Once the classes are read, WordNet takes seconds to open; that is when the signal comes."""
    process = start(folder, "pets.txt", "--out", "pets.out.json", *out, start_new_session=True)
    lines = [process.stderr.readline() for _ in range(2)]
    assert lines[0].endswith("reading classes\n")
    assert lines[1].endswith("read 6 classes from names, one per line\n")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines()[-1] == "interrupted; no partial files were left"


def test_without_wordnet_everything_runs_and_says_unchecked(tmp_path):
    (tmp_path / "pets.txt").write_bytes(NAMES)
    elsewhere = "import nltk.data; nltk.data.path[:] = []"
    process = start(tmp_path, "pets.txt", "--json", before=elsewhere)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    content = json.loads((tmp_path / "pets.json").read_text(encoding="utf-8"))
    assert content["provenance"]["wordnet"] == "unchecked"
    assert json.loads(out)["digest"] == content["digest"]
    assert load(content).sizes[2] == 6
    findings = json.loads((tmp_path / "pets.findings.json").read_text(encoding="utf-8"))
    (finding,) = (finding for finding in findings if finding["kind"] == "unchecked")
    assert finding["message"] == "not checked against WordNet; run `hierarchy wordnet install`"
    missing = "classes were compared by their names alone: WordNet is not installed; run `hierarchy wordnet install`"
    assert err.splitlines().count(missing) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "pets.evidence.json",
        "pets.findings.json",
        "pets.json",
        "pets.proposal.json",
        "pets.txt",
    ]


def test_names_that_wordnet_does_not_know_are_not_said_to_lack_wordnet(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("xkqz\nvrrt\nplugh\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["hierarchy", "generate", "words.txt", "--out", "words.json"])
    assert run(app) == 0
    assert "wordnet install" not in capsys.readouterr().err
    findings = json.loads((tmp_path / "words.findings.json").read_text(encoding="utf-8"))
    assert "unchecked" not in {finding["kind"] for finding in findings}


@pytest.mark.parametrize("command", [["show"], ["check"], ["score", "pets.json"], ["report", "--out", "page.html"]])
def test_without_wordnet_every_command_runs(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hierarchy.wordnet.database, "_reader", without_wordnet)
    save(PETS, "pets.json")
    monkeypatch.setattr(sys, "argv", ["hierarchy", command[0], "pets.json", *command[1:]])
    assert run(app) == 0
    out, _ = capsys.readouterr()
    assert out
    assert ("not checked against WordNet" in out) == (command == ["check"])


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("command", [["show"], ["check"], ["report", "--out", "page.html"]])
def test_the_smallest_hierarchies_are_shown_checked_and_reported(command, classes, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hierarchy.wordnet.database, "_reader", without_wordnet)
    save(PETS.at(range(classes)), "pets.json")
    monkeypatch.setattr(sys, "argv", ["hierarchy", command[0], "pets.json", *command[1:]])
    assert run(app) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_without_classes_is_checked_too(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["hierarchy", "check", "no classes.json"])
    assert run(app) == 1
    assert capsys.readouterr().out == "error   invalid        not a hierarchy: no classes; give at least one\n"
