"""The commands `hierarchy review` and `hierarchy edit`: files, logs, two people, crashes, and every message.

All messages stand in golden/review_messages.txt, to be read aloud. After a change of wording, write it anew with
`WRITE_GOLDEN=1 pytest tests/test_review_commands.py`, and read the difference.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import ROOT
from support.editing import PETS
from support.golden_messages import Golden
from support.reviewing import ZOO, zoo

from hierarchy import load, save
from hierarchy.cli.console import run
from hierarchy.cli.main import app
from hierarchy.errors import ReviewError
from hierarchy.io import read
from hierarchy.proposal import Finding, Move, Proposal, Rename, read_proposal, save_findings, save_proposal
from hierarchy.review.log import read_log
from hierarchy.review.review import Review
from hierarchy.review.reviewed import read_base
from hierarchy.review.storage import LogFile, Paths, hold

NOON = "2026-01-31T12:00:00Z"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a hierarchy (pets.json) and a proposal with an unsettled class (zoo.proposal.json)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISUAL", raising=False)
    save(PETS, "pets.json", provenance={"proposed_by": "a test", "reviewed_by": None, "settings": {"source": "pets"}})
    save_proposal(zoo().base, "zoo.proposal.json")
    return tmp_path


@pytest.fixture
def hierarchy(folder, capsys, monkeypatch):
    """Runs a command: its exit code, what it prints, what it says."""

    def call(*words, by="Ada", stdin=None):
        reads = {"--look", "--export", "--diff", "--log"}.intersection(words)
        arguments = [*words] + (["--by", by] if by and words[0] in ("review", "edit") and not reads else [])
        monkeypatch.setattr(sys, "argv", ["hierarchy", *arguments])
        if stdin is not None:
            reader, writer = os.pipe()
            os.write(writer, stdin.encode() if isinstance(stdin, str) else stdin)
            os.close(writer)
            monkeypatch.setattr(sys, "stdin", os.fdopen(reader, encoding="utf-8"))
        code = run(app)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


def beside(folder, stem="pets"):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(stem))


# Where a review lies


def test_the_first_decision_writes_the_proposal_and_the_log_and_the_end_the_result(folder, hierarchy):
    before = (folder / "pets.json").read_bytes()
    assert hierarchy("review", "pets.json", "--plain", stdin="q\n")[0] == 0
    assert beside(folder) == ["pets.json"] and (folder / "pets.json").read_bytes() == before
    code, out, err = hierarchy("review", "pets.json", "--plain", stdin="/ tabby\nm dogs\ny\nq\n")
    assert (code, err) == (0, "pets.json: 2 decisions, 1 of 5 classes reviewed\n")  # the second is about a node
    assert "move 'tabby' to mammals/dogs" in out
    assert beside(folder) == ["pets.decisions.jsonl", "pets.json", "pets.proposal.json"]
    held = read("pets.json")
    assert held.hierarchy.groups[0] == ("mammals", "dogs")
    log = read_log(Path("pets.decisions.jsonl"))[0]
    assert held.provenance == {
        "proposed_by": "a test",
        "reviewed_by": ["Ada"],
        "settings": {"source": "pets"},
        "review": {
            "decisions": 2,
            "reviewed": 1,
            "one_by_one": 1,
            "together": 0,
            "classes": 5,
            "until": log.decisions[-1].time,
            "base": PETS.digest,
            "log": log.digest,
        },
    }
    assert read_proposal("pets.proposal.json").settled == PETS and log.source == "pets"


def test_undoing_to_the_beginning_gives_the_very_file_of_the_proposal(folder, hierarchy):
    before = (folder / "pets.json").read_bytes()
    hierarchy("review", "pets.json", "--plain", stdin="/ tabby\nm dogs\nr wolves\ny\nq\n")
    assert (folder / "pets.json").read_bytes() != before
    hierarchy("review", "pets.json", "--plain", stdin="u\nu\nu\nu\nq\n")
    assert (folder / "pets.json").read_bytes() == before


def test_a_result_waits_until_every_class_is_settled(folder, hierarchy):
    code, _, err = hierarchy("review", "zoo.json", "--plain", stdin="s\ny\n")
    assert code == 0 and not (folder / "zoo.json").exists()
    assert err == "zoo.json waits: unsettled 'n04'; zoo.decisions.jsonl keeps 1 decision, 1 of 12 classes reviewed\n"
    code, _, err = hierarchy("edit", "zoo.json", "move", "tiger", "mammals/big cats")
    assert (code, err) == (0, "zoo.json: 2 decisions, 2 of 12 classes reviewed\n")
    assert load("zoo.json").groups == ZOO.groups


def test_a_csv_is_reviewed_too_and_its_provenance_lies_beside_it(folder, hierarchy):
    save(PETS, "pets.csv")
    (folder / "pets.json").unlink()
    assert hierarchy("edit", "pets.csv", "move", "tabby", "mammals/dogs")[0] == 0
    assert load("pets.csv").groups[0] == ("mammals", "dogs")
    assert json.loads((folder / "pets.provenance.json").read_text())["reviewed_by"] == ["Ada"]
    assert hierarchy("edit", "pets.csv", "undo")[0] == 0
    assert load("pets.csv") == PETS


def test_several_people_one_after_the_other_are_all_named(folder, hierarchy):
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs", by="Zoe")
    hierarchy("edit", "pets.json", "rename", "fish", "fishes", by="Bob")
    assert read("pets.json").provenance["reviewed_by"] == ["Bob", "Zoe"]
    hierarchy("edit", "pets.json", "undo", by="Eve")
    assert read("pets.json").provenance["reviewed_by"] == ["Zoe"]  # what is undone was nobody's decision


def test_a_copy_is_reviewed_and_the_original_stays(folder, hierarchy):
    before = (folder / "pets.json").read_bytes()
    hierarchy("review", "pets.json", "--out", "copy.json", "--plain", stdin="/ tabby\nm dogs\nq\n")
    assert beside(folder) == ["pets.json"] and (folder / "pets.json").read_bytes() == before
    assert beside(folder, "copy") == ["copy.decisions.jsonl", "copy.json", "copy.proposal.json"]
    code, _, err = hierarchy("review", "pets.json", "--out", "copy.json", "--plain", stdin="/ fish/carps\nr wet\nq\n")
    assert (code, err) == (0, "copy.json: 2 decisions, 1 of 5 classes reviewed\n")
    code, _, err = hierarchy("review", "cifar100", "--out", "mine.json", "--plain", stdin="y\nq\n")
    assert code == 0 and load("mine.json") == load("cifar100")


def test_who_decides_is_gits_user_or_the_users_name(folder, hierarchy, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Grace Hopper")
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs", by=None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LOGNAME", "grace")
    hierarchy("edit", "pets.json", "rename", "fish", "fishes", by=None)
    assert [decision.who for decision in read_log(Path("pets.decisions.jsonl"))[0].decisions] == [
        "Grace Hopper",
        "grace",
    ]


def test_a_link_is_reviewed_where_the_file_lies(folder, hierarchy):
    (folder / "elsewhere").mkdir()
    (folder / "pets.json").rename(folder / "elsewhere" / "pets.json")
    (folder / "elsewhere" / "pets.findings.json").write_text("[]")
    (folder / "link.json").symlink_to(folder / "elsewhere" / "pets.json")
    assert hierarchy("edit", "link.json", "move", "tabby", "mammals/dogs")[0] == 0
    assert (folder / "link.json").is_symlink() and beside(folder, "link") == ["link.json"]
    assert beside(folder / "elsewhere") == [
        "pets.decisions.jsonl",
        "pets.findings.json",
        "pets.json",
        "pets.proposal.json",
    ]
    assert hierarchy("edit", "elsewhere/pets.json", "undo")[0] == 0
    assert load("link.json") == PETS


def test_a_copy_keeps_what_the_checks_found_when_it_is_gone_on_with(folder, hierarchy):
    found = [Finding("ambiguous", "n1", "'tabby' means two things", "warning", 0.5, {"ids": ["n1"]})]
    save_findings(found, "pets.findings.json")
    asked = hierarchy("review", "pets.json", "--out", "copy.json", "--plain", stdin="q\n")[1]
    assert "ambiguous" in asked and beside(folder, "copy") == []
    hierarchy("review", "pets.json", "--out", "copy.json", "--plain", stdin="s\ny\nq\n")
    assert (folder / "copy.findings.json").read_bytes() == (folder / "pets.findings.json").read_bytes()
    assert "ambiguous" in hierarchy("review", "copy.json", "--plain", stdin="q\n")[1]
    words = ("--replay", "copy.decisions.jsonl", "--out", "more.json")
    assert hierarchy("review", "pets.json", *words)[0] == 0
    assert (folder / "more.findings.json").read_bytes() == (folder / "pets.findings.json").read_bytes()


def test_two_hierarchies_of_one_name_are_told_apart(folder, hierarchy):
    save(PETS.at([1, 2, 3]), "pets.csv")
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    message = (
        "error: 'pets.proposal.json' and 'pets.decisions.jsonl' are of the review of 'pets.json'; review that, or"
        " copy 'pets.csv' to a name of its own\n"
    )
    assert hierarchy("edit", "pets.csv", "undo") == (2, "", message)
    save(PETS, "pets.csv")  # the same as the proposal of pets.json
    assert hierarchy("edit", "pets.csv", "undo") == (2, "", message)
    (folder / "pets.csv").unlink()
    assert hierarchy("edit", "pets.csv", "undo")[2] == message.replace("copy 'pets.csv' to", "give another").replace(
        "another a name of its own", "another name"
    )
    (folder / "pets.csv").write_text("junk")
    assert hierarchy("edit", "pets.json", "undo")[0] == 0
    assert set(folder.iterdir()) == set(before)


def test_a_csv_under_review_is_not_taken_for_the_json_of_its_name(folder, hierarchy):
    (folder / "pets.json").unlink()
    save(PETS, "pets.csv")
    hierarchy("edit", "pets.csv", "move", "tabby", "mammals/dogs")
    save(PETS.at([1, 2, 3]), "pets.json")
    code, _, err = hierarchy("edit", "pets.json", "undo")
    assert code == 2 and "are of the review of 'pets.csv'; review that, or copy 'pets.json' to a name of its own" in err
    assert hierarchy("edit", "pets.csv", "undo")[0] == 0


def test_what_was_accepted_all_at_once_is_told_apart(folder, hierarchy):
    hierarchy("review", "pets.json", "--plain", stdin="/ tabby\ny\n/ siamese\na\n/ carp\nm cats\nmammals/cats\nq\n")
    review = read("pets.json").provenance["review"]
    assert {name: review[name] for name in ("reviewed", "one_by_one", "together")} == {
        "reviewed": 3,
        "one_by_one": 1,
        "together": 2,
    }


# Scripts


def test_every_verb_edits_and_says_so(folder, hierarchy):
    for words, said in [
        (["move", "n1", "mammals/dogs"], "move 'tabby' to mammals/dogs"),
        (["move", "tabby", "birds/owls", "--new"], "move 'tabby' to birds/owls"),
        (["rename", "birds/owls", "kites"], "rename birds/owls to kites"),
        (["merge", "birds", "mammals"], "merge birds into mammals"),
        (["split", "mammals", "beasts", "siamese", "n4"], "split 2 classes off mammals as beasts"),
        (["undo"], "undid split 2 classes off mammals as beasts"),
        (["undo", "1"], "undid move 'tabby' to mammals/dogs"),
    ]:
        code, out, err = hierarchy("edit", "pets.json", *words)
        assert (code, out) == (0, said + "\n"), err
    assert load("pets.json").nodes(2) == ("fish/carps", "food/cats", "mammals/cats", "mammals/dogs", "mammals/kites")
    _, out, _ = hierarchy("edit", "pets.json", "merge", "fish/carps", "food/cats", "--json")
    summary = json.loads(out)
    assert summary == {
        "file": "pets.json",
        "written": True,
        "digest": load("pets.json").digest,
        "decisions": 4,
        "reviewed": 1,
        "classes": 5,
        "unsettled": [],
        "disputed": 0,
    }


def test_a_sheet_goes_out_and_comes_back_as_few_decisions(folder, hierarchy):
    assert hierarchy("review", "zoo.json", "--export", "zoo.csv")[:2] == (0, "zoo.csv\n")
    text = (folder / "zoo.csv").read_text().replace("reptiles,snakes", "reptiles,serpents")
    (folder / "zoo.csv").write_text(text.replace("n04,tiger,what tiger means,,", "n04,tiger,,mammals,big cats"))
    code, out, _ = hierarchy("review", "zoo.json", "--import", "zoo.csv")
    assert (code, out) == (0, "rename reptiles/snakes to serpents\nmove n04 to mammals/big cats\n")
    assert load("zoo.json").nodes(2) == tuple(sorted({*ZOO.nodes(2), "reptiles/serpents"} - {"reptiles/snakes"}))
    code, _, err = hierarchy("review", "zoo.json", "--import", "zoo.csv")
    assert (code, err) == (0, "zoo.csv changes nothing\nzoo.json: 2 decisions, 1 of 12 classes reviewed\n")
    assert hierarchy("edit", "zoo.json", "undo")[1] == "undid 2 decisions\n"


@pytest.mark.parametrize("way", ["link", "spelling", "link to the file itself"])
def test_a_sheet_never_replaces_the_hierarchy_whatever_it_is_called(way, folder, hierarchy):
    (folder / "data").mkdir()
    save(PETS, "data/pets.csv")
    (folder / "link.csv").symlink_to(folder / "data" / "pets.csv")
    before = (folder / "data" / "pets.csv").read_bytes()
    file, sheet = {
        "link": ("link.csv", "link.csv"),
        "spelling": ("data/pets.csv", "data/../data/pets.csv"),
        "link to the file itself": ("data/pets.csv", "link.csv"),
    }[way]
    message = f"error: cannot write {sheet!r}: it is the hierarchy; choose another name\n"
    assert hierarchy("review", file, "--export", sheet) == (2, "", message)
    assert (folder / "data" / "pets.csv").read_bytes() == before and beside(folder, "link") == ["link.csv"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_sheet_replaces_a_sheet_as_a_spreadsheet_saved_it_and_nothing_else(separator, folder, hierarchy):
    assert hierarchy("review", "pets.json", "--export", "sheet.csv")[0] == 0
    text = (folder / "sheet.csv").read_text()
    (folder / "sheet.csv").write_text("\ufeff" + text.replace(",", separator).replace("group", '"group"'))
    (folder / "empty.csv").touch()
    for name in ("sheet.csv", "empty.csv"):
        assert hierarchy("review", "pets.json", "--export", name)[0] == 0
        assert (folder / name).read_text() == text
    others = {"names.csv": b"id,name\nn1,tabby\n", "latin1.csv": b"br\xe4me\n", "quote.csv": b'"id\n'}
    for name, content in others.items():
        (folder / name).write_bytes(content)
        code, out, err = hierarchy("review", "pets.json", "--export", name)
        assert (code, out) == (2, "") and "it is there already and is no sheet; choose another name" in err
        assert (folder / name).read_bytes() == content


def test_what_was_changed_and_by_whom_can_be_read(folder, hierarchy):
    assert hierarchy("review", "pets.json", "--diff")[1] == "nothing is changed\n"
    assert hierarchy("review", "pets.json", "--log")[1] == "nothing is decided\n"
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")
    hierarchy("edit", "pets.json", "rename", "fish", "fishes", by="Bob")
    hierarchy("edit", "pets.json", "rename", "food", "meals", by="Bob")
    hierarchy("edit", "pets.json", "undo")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert hierarchy("review", "pets.json", "--diff")[1].splitlines() == [
        f"fish/carps  ->  fishes/carps    (Bob, {day})",
        "    carp  n2",
        f"mammals/cats  ->  mammals/dogs    (Ada, {day})",
        "    tabby  n1",
    ]
    lines = hierarchy("review", "pets.json", "--log")[1].splitlines()
    assert [re.sub(r"\d{4}-.*Z", "TIME", line) for line in lines] == [
        "    1  TIME  Ada  move n1 to mammals/dogs",
        "    2  TIME  Bob  rename fish to fishes",
        "    3  TIME  Bob  rename food to meals  (undone)",
        "    4  TIME  Ada  undo 3",
    ]
    assert len(json.loads(hierarchy("review", "pets.json", "--log", "--json")[1])) == 4
    changes = json.loads(hierarchy("review", "pets.json", "--diff", "--json")[1])
    assert changes[0] == {
        "before": "fish/carps",
        "after": "fishes/carps",
        "ids": ["n2"],
        "by": f"Bob, {day}",
        "decisions": [2],
    }


def test_a_summary_for_scripts_has_stdout_to_itself(folder, hierarchy):
    code, out, err = hierarchy("review", "zoo.json", "--json", stdin="s\ny\nq\n")
    assert code == 0 and json.loads(out)["unsettled"] == ["n04"] and json.loads(out)["disputed"] == 1
    assert "(1/19) unsettled  'tiger'" in err


def test_looking_and_exporting_give_a_script_a_summary(folder, hierarchy):
    code, out, _ = hierarchy("review", "zoo.json", "--look", "--json", stdin="q\n")
    assert code == 0 and json.loads(out)["unsettled"] == ["n04"]
    assert json.loads(hierarchy("review", "zoo.json", "--export", "zoo.csv", "--json")[1])["classes"] == 12


@pytest.mark.parametrize("reads", [["--export", "x.csv"], ["--diff"], ["--log"]])
@pytest.mark.parametrize("idle", [["--plain"], ["--only", "chain"], ["--by", "Ada"]])
def test_a_flag_that_does_nothing_is_refused(reads, idle, folder, hierarchy):
    code, out, err = hierarchy("review", "pets.json", *reads, *idle)
    assert (code, out, err) == (2, "", f"error: {idle[0]} does nothing with {reads[0]}; leave it out\n")
    assert beside(folder, "") == ["pets.json", "zoo.proposal.json"]


# Replay


def decide(file, *edits):
    """A log of edits on a file."""
    paths = Paths(Path(file))
    base = read_base(file)
    review = Review(base, LogFile(paths, base), who="Ada", now=lambda: NOON)
    for edit in edits:
        review.do(edit)
    review.jump("n4")
    review.accept()


def test_a_replay_on_the_same_proposal_gives_the_same_bytes(folder, hierarchy):
    original = (folder / "pets.json").read_bytes()
    hierarchy("review", "pets.json", "--plain", stdin="/ tabby\nm dogs\nr wolves\nu\ny\nq\n")
    wanted, log = (folder / "pets.json").read_bytes(), (folder / "pets.decisions.jsonl").read_bytes()
    (folder / "kept.jsonl").write_bytes(log)
    for keep_base in (True, False):
        (folder / "pets.decisions.jsonl").unlink()
        (folder / "pets.json").write_bytes(original)  # as `generate` writes it
        if not keep_base:
            (folder / "pets.proposal.json").unlink()
        code, out, err = hierarchy("review", "pets.json", "--replay", "kept.jsonl", by=None)
        assert (code, out) == (0, "")
        assert err.splitlines()[0] == "2 decisions taken over from kept.jsonl"
        assert (folder / "pets.json").read_bytes() == wanted
        assert (folder / "pets.decisions.jsonl").read_bytes() == log
    code, _, _ = hierarchy("review", "pets.json", "--replay", "pets.decisions.jsonl")
    assert code == 0 and (folder / "pets.json").read_bytes() == wanted  # its own, once more
    code, _, _ = hierarchy("review", "pets.json", "--replay", "kept.jsonl", "--out", "new.json")
    assert code == 0 and (folder / "new.json").read_bytes() == wanted


def test_a_replay_on_another_proposal_lists_its_conflicts(folder, hierarchy):
    decide("pets.json", Move("n1", "mammals/dogs"), Rename("fish/carps", "koi"), Move("n3", "food/cats"))
    Path("pets.decisions.jsonl").rename("old.jsonl")
    Path("pets.proposal.json").unlink()
    rows = [(id, name, top, "hounds" if group == "dogs" else group) for id, name, top, group in PETS.rows]
    save(type(PETS).from_rows(rows), "pets.json")
    code, out, err = hierarchy("review", "pets.json", "--replay", "old.jsonl")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "conflict: decision 1 (Ada: move n1 to mammals/dogs): there is no group 'mammals/dogs' any more",
        "conflict: decision 4 (Ada: accept n4 in mammals/dogs): 'n4' stands in 'mammals/hounds'",
        "2 decisions taken over from old.jsonl, 2 in conflict left out",
        "pets.json: 2 decisions, 1 of 5 classes reviewed",
    ]
    assert "fish/koi" in load("pets.json").nodes(2)
    assert [decision.number for decision in read_log(Path("pets.decisions.jsonl"))[0].decisions] == [2, 3]
    _, out, _ = hierarchy("review", "pets.json", "--replay", "old.jsonl", "--out", "b.json", "--json")
    assert len(json.loads(out)["conflicts"]) == 2 and json.loads(out)["decisions"] == 2


def test_a_log_of_a_proposal_that_was_made_anew_is_taken_over_and_kept(folder, hierarchy):
    decide("pets.json", Move("n1", "mammals/dogs"))
    old = Path("pets.decisions.jsonl").read_bytes()
    save(PETS.at([1, 0, 2, 3, 4]), "pets.json")
    Path("pets.proposal.json").unlink()
    code, _, err = hierarchy("review", "pets.json", "--plain", stdin="q\n")
    assert code == 2 and "take them over with --replay" in err
    assert hierarchy("review", "pets.json", "--replay", "pets.decisions.jsonl")[0] == 0
    assert load("pets.json").groups[1] == ("mammals", "dogs")
    assert Path("pets.decisions.1.jsonl").read_bytes() == old


def test_a_replay_overwrites_nothing_that_was_changed_by_hand(folder, hierarchy):
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")
    (folder / "kept.jsonl").write_bytes((folder / "pets.decisions.jsonl").read_bytes())
    save(PETS.at([1, 2, 3]), "pets.json")
    hand = (folder / "pets.json").read_bytes()
    for log in ("pets.decisions.jsonl", "kept.jsonl"):
        code, out, err = hierarchy("review", "pets.json", "--replay", log)
        assert (code, out) == (2, "") and "'pets.json' was changed by other means than a review" in err
    (folder / "pets.decisions.jsonl").unlink()
    assert hierarchy("review", "pets.json", "--replay", "kept.jsonl")[0] == 2
    assert (folder / "pets.json").read_bytes() == hand and not (folder / "pets.decisions.jsonl").exists()


def test_a_replay_of_what_a_copied_result_is_made_of_says_so(folder, hierarchy):
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")
    for ending in (".json", ".decisions.jsonl"):
        (folder / f"copy{ending}").write_bytes((folder / f"pets{ending}").read_bytes())
    before = (folder / "copy.json").read_bytes()
    message = (
        "error: what 'copy.decisions.jsonl' decides is done already in the hierarchy: it is the result of that log; to"
        " review the result anew, move the log away; to go on in the old review, make the proposal again with generate"
        " and take the log over with --replay\n"
    )
    for words in (
        ["review", "copy.json", "--plain"],
        ["edit", "copy.json", "undo"],
        ["review", "copy.json", "--replay", "copy.decisions.jsonl"],
        ["review", "copy.json", "--out", "more.json", "--replay", "copy.decisions.jsonl"],
    ):
        assert hierarchy(*words, stdin="q\n") == (2, "", message)
    (folder / "copy.decisions.jsonl").rename("done.jsonl")
    assert hierarchy("edit", "copy.json", "rename", "fish", "wet")[0] == 0
    assert (folder / "copy.json").read_bytes() != before and load("copy.json").groups[0] == ("mammals", "dogs")


@pytest.mark.parametrize("name", ["cifar100", "imagenet100", "imagenet1k"])
def test_a_shipped_hierarchy_beside_its_log_says_how_to_go_on(name, folder, hierarchy):
    data = ROOT / "data"
    for ending in (".json", ".decisions.jsonl"):
        (folder / f"mine{ending}").write_bytes((data / f"{name}{ending}").read_bytes())
    code, _, err = hierarchy("review", "mine.json", "--plain", stdin="q\n")
    assert code == 2 and "is done already in the hierarchy" in err


# Two people, and crashes


def start(folder, *words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "hierarchy", *words],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        **options,
    )


def wait_for(process, words):
    """Reads what a process prints until it has printed some words."""
    seen = ""
    while words not in seen:
        letter = process.stdout.read(1)
        assert letter, seen + process.stderr.read()
        seen += letter


def test_a_second_person_is_told_who_reviews_and_may_look(folder, hierarchy):
    first = start(folder, "review", "zoo.json", "--plain", "--by", "Ada")
    wait_for(first, "stands well?")
    before = sorted(path.name for path in folder.iterdir())
    for words in (["review", "zoo.json", "--plain"], ["edit", "zoo.json", "undo"]):
        code, out, err = hierarchy(*words, by="Bob")
        assert (code, out) == (2, "")
        holder = r"Ada \(process \d+ on .+, since 20\S+Z\)"
        assert re.fullmatch(f"error: 'zoo.json' is being reviewed by {holder}; wait, or look with --look\n", err)
    code, out, err = hierarchy("review", "zoo.json", "--look", "--plain", by="Bob", stdin="s\ny\nq\n")
    assert code == 0 and "! only looking, nothing is decided here" in out and err == ""
    assert sorted(path.name for path in folder.iterdir()) == before
    first.communicate("q\n", timeout=30)
    assert first.returncode == 0 and not Path("zoo.lock").exists()
    assert hierarchy("review", "zoo.json", "--plain", by="Bob", stdin="q\n")[0] == 0


def test_the_first_decision_is_refused_where_the_proposal_was_made_anew_meanwhile(folder):
    paths = Paths(Path("pets.json"))
    review = Review(read_base("pets.json"), LogFile(paths, read_base("pets.json")), who="Ada", now=lambda: NOON)
    save_proposal(Proposal.from_hierarchy(PETS.at([1, 2, 3]), source="pets"), paths.base)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ReviewError, match=r"'pets\.proposal\.json' was made anew since this review began; no"):
        review.do(Move("n1", "mammals/dogs"))
    assert review.decisions == () and {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_proposal_that_was_made_anew_and_is_the_same_is_gone_on_with(folder):
    paths = Paths(Path("pets.json"))
    review = Review(read_base("pets.json"), LogFile(paths, read_base("pets.json")), who="Ada", now=lambda: NOON)
    save_proposal(read_base("pets.json"), paths.base)
    review.do(Move("n1", "mammals/dogs"))
    assert len(read_log(paths.log)[0].decisions) == 1


def test_a_lock_that_a_crash_left_keeps_nobody_out(folder):
    paths = Paths(Path("pets.json"))
    paths.lock.write_text('{"who": "Ada"')
    with hold(paths, "Bob", NOON):
        assert paths.lock.read_text().startswith("Bob (process ")
    assert not paths.lock.exists()


@pytest.mark.parametrize("last", ["m big cats", "y", "u"])
def test_killed_at_any_point_it_goes_on_where_it_was(last, folder, hierarchy):
    answers = {"m big cats": ["m big cats"], "y": ["m big cats", "y"], "u": ["m big cats", "y", "u"]}[last]
    process = start(folder, "review", "zoo.json", "--plain", "--by", "Ada")
    for answer in answers:
        wait_for(process, "stands well?")
        process.stdin.write(answer + "\n")
        process.stdin.flush()
    wait_for(process, "stands well?")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert Path("zoo.lock").exists() and not Path("zoo.json").exists()
    log = read_log(Path("zoo.decisions.jsonl"))[0]
    assert len(log.decisions) == len(answers)
    code, out, _ = hierarchy("review", "zoo.json", "--plain", by="Bob", stdin="q\n")
    assert code == 0 and {"m big cats": "(1/17)", "y": "(1/16)", "u": "(1/17)"}[last] in out
    assert load("zoo.json") == ZOO


def test_ctrl_c_in_a_sitting_loses_nothing(folder):
    process = start(folder, "review", "zoo.json", "--plain", "--by", "Ada", start_new_session=True)
    wait_for(process, "stands well?")
    process.stdin.write("m big cats\n")
    process.stdin.flush()
    wait_for(process, "stands well?")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (2, "stopped; no file is half-written\n")
    assert load("zoo.json") == ZOO and not Path("zoo.lock").exists()


def test_a_torn_log_is_told_and_gone_on_with(folder, hierarchy):
    decide("pets.json", Move("n1", "mammals/dogs"))
    with Path("pets.decisions.jsonl").open("ab") as file:
        file.write(b'{"number": 3, "ti')
    code, _, err = hierarchy("edit", "pets.json", "rename", "fish", "wet")
    assert (code, err.splitlines()) == (
        0,
        [
            "pets.decisions.jsonl: its last line is torn (17 bytes of a write that was cut off) and does not count",
            "the torn line of pets.decisions.jsonl was moved to pets.decisions.torn",
            "pets.json: 3 decisions, 2 of 5 classes reviewed",
        ],
    )
    assert Path("pets.decisions.torn").read_bytes() == b'{"number": 3, "ti\n'


def test_a_result_older_than_its_log_is_made_anew(folder, hierarchy):
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")
    early = Path("pets.json").read_bytes()
    hierarchy("edit", "pets.json", "rename", "fish", "wet")
    late = Path("pets.json").read_bytes()
    Path("pets.json").write_bytes(early)  # as after a crash
    hierarchy("review", "pets.json", "--plain", stdin="q\n")
    assert Path("pets.json").read_bytes() == late


def test_a_full_disk_decides_nothing(folder, monkeypatch):
    paths = Paths(Path("pets.json"))
    base = read_base("pets.json")
    journal = LogFile(paths, base)
    review = Review(base, journal, who="Ada", now=lambda: NOON)
    review.do(Move("n1", "mammals/dogs"))
    before = paths.log.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hierarchy.review.storage.os.fsync", full)
    with pytest.raises(ValueError, match="no space left on device; nothing was decided, make room and decide again"):
        review.do(Rename("fish", "wet"))
    assert paths.log.read_bytes() == before and len(review.decisions) == 1
    monkeypatch.undo()
    os.chdir(folder)
    review.do(Rename("fish", "wet"))
    assert len(read_log(paths.log)[0].decisions) == 2


# Every message


BAD = b'{"format": "decisions", "version": 1, "base": "00", "source": "x"}\n'
FILES = {
    "other.decisions.jsonl": BAD,
    "latin1.jsonl": BAD + "br\u00e4me".encode("latin-1") + b"\n",
    "list.jsonl": b"[]\n",
    "half.jsonl": b'{"format": "deci',
    "future.jsonl": BAD.replace(b"1", b"2", 1),
    "loop.jsonl": BAD + b'{"number": 1, "time": "now", "who": "", "what": "accept", "subject": "", "before": ""}\n',
    "huge.jsonl": BAD + b"[" * 1_000_000 + b"\n",
    "missing.csv": b"id,superclass,group\nn1,mammals,cats\nn9,a,b\n",
    "header.csv": b"id,where\n",
    "broken.proposal.json": b"{",
    "hand.json": b"",
    "hand.proposal.json": b"",
}
MESSAGES = {
    "a shipped one": ["review", "cifar100"],
    "no such file": ["review", "nothing.json"],
    "another ending": ["review", "pets.txt"],
    "the proposal itself": ["review", "pets.proposal.json"],
    "a broken proposal": ["review", "broken.json"],
    "changed by other means": ["review", "hand.json"],
    "a log of another proposal": ["review", "other.json"],
    "an unknown kind": ["review", "pets.json", "--only", "disputd"],
    "two things at once": ["review", "pets.json", "--diff", "--log"],
    "a copy over another file": ["review", "pets.json", "--out", "other.json"],
    "a copy over another review": ["review", "pets.json", "--out", "zoo.json"],
    "a bad name of who decides": ["review", "pets.json", "--by", " "],
    "replay nothing": ["review", "pets.json", "--replay", "no.jsonl"],
    "replay a list": ["review", "pets.json", "--replay", "list.jsonl"],
    "replay half a line": ["review", "pets.json", "--replay", "half.jsonl"],
    "replay what is not UTF-8": ["review", "pets.json", "--replay", "latin1.jsonl"],
    "replay a future version": ["review", "pets.json", "--replay", "future.jsonl"],
    "replay a time in words": ["review", "pets.json", "--replay", "loop.jsonl"],
    "replay a line of 1 MB": ["review", "pets.json", "--replay", "huge.jsonl"],
    "import nothing": ["review", "pets.json", "--import", "no.csv"],
    "import other columns": ["review", "pets.json", "--import", "header.csv"],
    "import with many faults": ["review", "pets.json", "--import", "missing.csv"],
    "export over the hierarchy": ["review", "pets.csv", "--export", "pets.csv"],
    "export over a list of classes": ["review", "pets.json", "--export", "missing.csv"],
    "export as json": ["review", "pets.json", "--export", "sheet.json"],
    "an unknown verb": ["edit", "pets.json", "mvoe", "n1", "a/b"],
    "too few words": ["edit", "pets.json", "move", "n1"],
    "too many words": ["edit", "pets.json", "rename", "fish", "a", "b"],
    "move to a new group": ["edit", "pets.json", "move", "n1", "mammals/dog"],
    "move an unknown class": ["edit", "pets.json", "move", "tabbi", "mammals/dogs"],
    "move to where it stands": ["edit", "pets.json", "move", "n1", "mammals/cats"],
    "rename what is not there": ["edit", "pets.json", "rename", "fishes", "x"],
    "rename to a name that is taken": ["edit", "pets.json", "rename", "fish", "food"],
    "merge two levels": ["edit", "pets.json", "merge", "fish", "food/cats"],
    "split off what is elsewhere": ["edit", "pets.json", "split", "fish", "wet", "n1"],
    "undo nothing": ["edit", "pets.json", "undo"],
    "undo in words": ["edit", "pets.json", "undo", "all"],
    "undo what is far too long for a number": ["edit", "pets.json", "undo", "9" * 5000],
    "a flag that does nothing": ["review", "pets.json", "--look", "--by", "Ada"],
    "replay over what was changed by hand": ["review", "hand.json", "--replay", "other.decisions.jsonl"],
}


GOLDEN = Golden("review_messages.txt", lambda: [*MESSAGES])


@pytest.mark.parametrize("case", MESSAGES)
def test_what_cannot_be_done_is_told_in_one_line_and_changes_nothing(case, folder, hierarchy):
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    save(PETS, "pets.csv")
    save(PETS.at([1, 2, 3]), "hand.json")
    save(PETS.at([1, 2, 3]), "other.json")
    save_proposal(zoo(unsettled=()).base, "hand.proposal.json")
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    code, out, err = hierarchy(*MESSAGES[case], by=None if "--by" in MESSAGES[case] else "Ada", stdin="q\n")
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and len(err) < 700
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before
    message = err.removeprefix("error: ").rstrip("\n")
    GOLDEN.compare(case, message)


def test_the_golden_file_has_no_message_of_a_case_that_is_gone():
    assert list(GOLDEN.messages()) == list(MESSAGES)
