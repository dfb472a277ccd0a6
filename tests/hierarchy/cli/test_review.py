"""The commands `hierarchy review` and `hierarchy edit`: files, logs, two people, crashes, and every message.

All messages are in golden/review_messages.txt, to be read aloud. After a change of wording, regenerate it with
`WRITE_GOLDEN=1 pytest tests/hierarchy/cli/test_review.py`, and read the difference.
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
from support.editing import PETS
from support.golden_messages import Golden
from support.reviewing import ZOO, start_on_disk, zoo

from hierarchy import load, save
from hierarchy.cli.console import run
from hierarchy.cli.main import app
from hierarchy.errors import ReviewError
from hierarchy.io import read
from hierarchy.proposal import Finding, Move, Proposal, Rename, read_proposal, save_findings, save_proposal
from hierarchy.review import Paths, hold_lock
from hierarchy.review.log import read_log
from hierarchy.review.storage import read_base


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


def list_files(folder, stem="pets"):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(stem))


# Files


def test_the_first_decision_writes_proposal_and_log_and_quitting_the_result(folder, hierarchy):
    before = (folder / "pets.json").read_bytes()
    assert hierarchy("review", "pets.json", "--plain", stdin="q\n")[0] == 0
    assert list_files(folder) == ["pets.json"] and (folder / "pets.json").read_bytes() == before
    code, out, err = hierarchy("review", "pets.json", "--plain", stdin="/ tabby\nm dogs\ny\nq\n")
    assert (code, err) == (0, "pets.json: 2 decisions, 1 of 5 classes reviewed\n")  # the second is about a node
    assert "move 'tabby' to mammals/dogs" in out
    files = ["pets.decisions.jsonl", "pets.findings.json", "pets.json", "pets.proposal.json"]
    assert list_files(folder) == files
    held = read("pets.json")
    assert held.hierarchy.groups[0] == ("mammals", "dogs")
    log = read_log(Path("pets.decisions.jsonl"))
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


def test_undoing_everything_restores_the_file(folder, hierarchy):
    before = (folder / "pets.json").read_bytes()
    hierarchy("review", "pets.json", "--plain", stdin="/ tabby\nm dogs\nr wolves\ny\nq\n")
    assert (folder / "pets.json").read_bytes() != before
    hierarchy("review", "pets.json", "--plain", stdin="u\nu\nu\nu\nq\n")
    assert (folder / "pets.json").read_bytes() == before


def test_a_result_waits_until_every_class_is_settled(folder, hierarchy):
    code, _, err = hierarchy("review", "zoo.json", "--plain", stdin="s\ny\n")
    assert code == 0 and not (folder / "zoo.json").exists()
    waiting = "zoo.json is not written yet: 'n04' unsettled; zoo.decisions.jsonl holds"
    assert err == f"{waiting} 1 decision, 1 of 12 classes reviewed\n"
    code, _, err = hierarchy("edit", "zoo.json", "move", "tiger", "mammals/big cats")
    assert (code, err) == (0, "zoo.json: 2 decisions, 2 of 12 classes reviewed\n")
    assert load("zoo.json").groups == ZOO.groups


def test_the_provenance_of_a_csv_has_a_file_of_its_own(folder, hierarchy):
    save(PETS, "pets.csv")
    (folder / "pets.json").unlink()
    assert hierarchy("edit", "pets.csv", "move", "tabby", "mammals/dogs")[0] == 0
    assert load("pets.csv").groups[0] == ("mammals", "dogs")
    assert json.loads((folder / "pets.csv.provenance.json").read_text())["reviewed_by"] == ["Ada"]
    assert hierarchy("edit", "pets.csv", "undo")[0] == 0
    assert load("pets.csv") == PETS


def test_all_reviewers_are_named(folder, hierarchy):
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs", by="Zoe")
    hierarchy("edit", "pets.json", "rename", "fish", "fishes", by="Bob")
    assert read("pets.json").provenance["reviewed_by"] == ["Bob", "Zoe"]
    hierarchy("edit", "pets.json", "undo", by="Eve")
    assert read("pets.json").provenance["reviewed_by"] == ["Zoe"]  # undone decisions do not count


def test_a_copy_is_reviewed_and_the_original_stays(folder, hierarchy):
    before = (folder / "pets.json").read_bytes()
    hierarchy("review", "pets.json", "--out", "copy.json", "--plain", stdin="/ tabby\nm dogs\nq\n")
    assert list_files(folder) == ["pets.json"] and (folder / "pets.json").read_bytes() == before
    assert list_files(folder, "copy") == [
        "copy.decisions.jsonl",
        "copy.findings.json",
        "copy.json",
        "copy.proposal.json",
    ]
    code, _, err = hierarchy("review", "pets.json", "--out", "copy.json", "--plain", stdin="/ fish/carps\nr wet\nq\n")
    assert (code, err) == (0, "copy.json: 2 decisions, 1 of 5 classes reviewed\n")
    code, _, err = hierarchy("review", "cifar100", "--out", "mine.json", "--plain", stdin="y\nq\n")
    assert code == 0 and load("mine.json") == load("cifar100")


def test_the_reviewer_is_gits_user_or_the_system_user(folder, hierarchy, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Grace Hopper")
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs", by=None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LOGNAME", "grace")
    hierarchy("edit", "pets.json", "rename", "fish", "fishes", by=None)
    assert [decision.who for decision in read_log(Path("pets.decisions.jsonl")).decisions] == [
        "Grace Hopper",
        "grace",
    ]


def test_a_link_is_reviewed_where_it_leads(folder, hierarchy):
    (folder / "elsewhere").mkdir()
    (folder / "pets.json").rename(folder / "elsewhere" / "pets.json")
    (folder / "elsewhere" / "pets.findings.json").write_text("[]")
    (folder / "link.json").symlink_to(folder / "elsewhere" / "pets.json")
    assert hierarchy("edit", "link.json", "move", "tabby", "mammals/dogs")[0] == 0
    assert (folder / "link.json").is_symlink() and list_files(folder, "link") == ["link.json"]
    assert list_files(folder / "elsewhere") == [
        "pets.decisions.jsonl",
        "pets.findings.json",
        "pets.json",
        "pets.proposal.json",
    ]
    assert hierarchy("edit", "elsewhere/pets.json", "undo")[0] == 0
    assert load("link.json") == PETS


def test_a_copy_keeps_the_findings(folder, hierarchy):
    found = [Finding("ambiguous", "n1", "'tabby' means two things", "warning", 0.5, {"ids": ["n1"]})]
    save_findings(found, "pets.findings.json")
    asked = hierarchy("review", "pets.json", "--out", "copy.json", "--plain", stdin="q\n")[1]
    assert "ambiguous" in asked and list_files(folder, "copy") == []
    hierarchy("review", "pets.json", "--out", "copy.json", "--plain", stdin="s\ny\nq\n")
    assert (folder / "copy.findings.json").read_bytes() == (folder / "pets.findings.json").read_bytes()
    assert "ambiguous" in hierarchy("review", "copy.json", "--plain", stdin="q\n")[1]
    words = ("--replay", "copy.decisions.jsonl", "--out", "more.json")
    assert hierarchy("review", "pets.json", *words)[0] == 0
    assert (folder / "more.findings.json").read_bytes() == (folder / "pets.findings.json").read_bytes()


def test_a_json_and_a_csv_of_one_name_are_reviewed_apart(folder, hierarchy):
    save(PETS.at([1, 2, 3]), "pets.csv")
    assert hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")[0] == 0
    assert hierarchy("edit", "pets.csv", "rename", "fish", "wet")[0] == 0
    assert load("pets.json").groups[0] == ("mammals", "dogs") and "fish" in load("pets.json").nodes(1)
    assert "wet" in load("pets.csv").nodes(1)
    assert {"pets.decisions.jsonl", "pets.csv.decisions.jsonl"} <= set(list_files(folder))


def test_the_result_counts_classes_accepted_together(folder, hierarchy):
    hierarchy("review", "pets.json", "--plain", stdin="/ tabby\ny\n/ siamese\na\n/ carp\nm cats\nmammals/cats\nq\n")
    review = read("pets.json").provenance["review"]
    assert {name: review[name] for name in ("reviewed", "one_by_one", "together")} == {
        "reviewed": 3,
        "one_by_one": 1,
        "together": 2,
    }


# Scripts


def test_every_verb_edits(folder, hierarchy):
    for words, said in [
        (["move", "n1", "mammals/dogs"], "move 'tabby' to mammals/dogs"),
        (["move", "tabby", "birds/owls", "--new"], "move 'tabby' to birds/owls"),
        (["rename", "birds/owls", "kites"], "rename birds/owls to kites"),
        (["merge", "birds", "mammals"], "merge birds into mammals"),
        (["split", "mammals", "beasts", "siamese", "n4"], "split 2 classes off mammals as beasts"),
        (["define", "beasts/cats/siamese", "a  cat of Siam"], "'siamese' means 'a cat of Siam'"),
        (["define", "n1", "n02123045"], "'tabby' means 'a cat with a grey or tawny coat mottled with black'"),
        (["undo"], "undid 'tabby' means 'a cat with a grey or tawny coat mottled with black'"),
        (["undo"], "undid 'siamese' means 'a cat of Siam'"),
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
        "questions": 2,
        "open": 2,
    }


def test_a_sheet_comes_back_as_few_decisions(folder, hierarchy):
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
def test_a_sheet_never_replaces_the_hierarchy(way, folder, hierarchy):
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
    assert (folder / "data" / "pets.csv").read_bytes() == before and list_files(folder, "link") == ["link.csv"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_sheet_replaces_only_a_sheet(separator, folder, hierarchy):
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
        assert (code, out) == (2, "") and "it exists and is not a sheet; choose another name" in err
        assert (folder / name).read_bytes() == content


def test_changes_and_decisions_are_printed(folder, hierarchy):
    assert hierarchy("review", "pets.json", "--diff")[1] == "nothing has changed\n"
    assert hierarchy("review", "pets.json", "--log")[1] == "no decisions yet\n"
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


def test_json_has_stdout_to_itself(folder, hierarchy):
    code, out, err = hierarchy("review", "zoo.json", "--json", stdin="s\ny\nq\n")
    assert code == 0 and json.loads(out)["unsettled"] == ["n04"] and json.loads(out)["open"] == 5
    assert "(1/6) unsettled  'tiger'" in err


def test_looking_and_exporting_print_a_summary_as_json(folder, hierarchy):
    code, out, _ = hierarchy("review", "zoo.json", "--look", "--json", stdin="q\n")
    assert code == 0 and json.loads(out)["unsettled"] == ["n04"]
    assert json.loads(hierarchy("review", "zoo.json", "--export", "zoo.csv", "--json")[1])["classes"] == 12


@pytest.mark.parametrize(
    ("reads", "idle"),
    [(["--export", "x.csv"], ["--plain"]), (["--diff"], ["--only", "chain"]), (["--log"], ["--by", "Ada"])],
)
def test_a_flag_without_effect_is_refused(reads, idle, folder, hierarchy):
    code, out, err = hierarchy("review", "pets.json", *reads, *idle)
    assert (code, out, err) == (2, "", f"error: {idle[0]} has no effect with {reads[0]}; omit it\n")
    assert list_files(folder, "") == ["pets.json", "zoo.proposal.json"]


# Replay


def decide(file, *edits):
    """Decides on a file, and accepts n4."""
    session = start_on_disk(Paths.of(file), read_base(file))
    for edit in edits:
        session.edit(edit)
    session.jump("n4")
    session.accept()


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
        assert err.splitlines()[0] == "applied 2 decisions from kept.jsonl"
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
        "conflict: decision 1 (Ada: move n1 to mammals/dogs): the group 'mammals/dogs' no longer exists",
        "conflict: decision 4 (Ada: accept n4 in mammals/dogs): 'n4' is in 'mammals/hounds'",
        "applied 2 decisions from old.jsonl, left out 2 in conflict",
        "pets.json: 2 decisions, 1 of 5 classes reviewed",
    ]
    assert "fish/koi" in load("pets.json").nodes(2)
    assert [decision.number for decision in read_log(Path("pets.decisions.jsonl")).decisions] == [2, 3]
    _, out, _ = hierarchy("review", "pets.json", "--replay", "old.jsonl", "--out", "b.json", "--json")
    assert len(json.loads(out)["conflicts"]) == 2 and json.loads(out)["decisions"] == 2


def test_a_replay_does_not_overwrite_a_change_by_hand(folder, hierarchy):
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")
    (folder / "kept.jsonl").write_bytes((folder / "pets.decisions.jsonl").read_bytes())
    save(PETS.at([1, 2, 3]), "pets.json")
    hand = (folder / "pets.json").read_bytes()
    for log in ("pets.decisions.jsonl", "kept.jsonl"):
        code, out, err = hierarchy("review", "pets.json", "--replay", log)
        assert (code, out) == (2, "") and "'pets.json' was changed outside the review" in err
    (folder / "pets.decisions.jsonl").unlink()
    assert hierarchy("review", "pets.json", "--replay", "kept.jsonl")[0] == 2
    assert (folder / "pets.json").read_bytes() == hand and not (folder / "pets.decisions.jsonl").exists()


def test_a_log_is_not_replayed_on_its_own_result(folder, hierarchy):
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")
    for ending in (".json", ".decisions.jsonl"):
        (folder / f"copy{ending}").write_bytes((folder / f"pets{ending}").read_bytes())
    before = (folder / "copy.json").read_bytes()
    message = (
        "error: the hierarchy is already the result of 'copy.decisions.jsonl'; to review it again, move the log away;"
        " to continue the old review, generate the proposal again and apply the log with --replay\n"
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


def test_a_second_reviewer_learns_who_holds_the_lock_and_may_look(folder, hierarchy):
    with hold_lock(Paths.of("zoo.json"), "Ada"):
        before = sorted(path.name for path in folder.iterdir())
        for words in (["review", "zoo.json", "--plain"], ["edit", "zoo.json", "undo"]):
            code, out, err = hierarchy(*words, by="Bob")
            assert (code, out) == (2, "")
            holder = r"Ada \(process \d+ on .+, since .+Z\)"
            assert re.fullmatch(f"error: 'zoo.json' is being reviewed by {holder}; wait, or look with --look\n", err)
        code, out, err = hierarchy("review", "zoo.json", "--look", "--plain", by="Bob", stdin="s\ny\nq\n")
        assert code == 0 and "! --look is read-only; review without it to decide" in out and err == ""
        assert sorted(path.name for path in folder.iterdir()) == before
    assert not Path("zoo.lock").exists()
    assert hierarchy("review", "zoo.json", "--plain", by="Bob", stdin="q\n")[0] == 0


def test_the_first_decision_is_refused_if_the_proposal_has_changed(folder):
    paths = Paths.of("pets.json")
    session = start_on_disk(paths, read_base("pets.json"))
    save_proposal(Proposal.from_hierarchy(PETS.at([1, 2, 3]), source="pets"), paths.base)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ReviewError, match=r"'pets\.proposal\.json' has changed since this review began; quit and"):
        session.edit(Move("n1", "mammals/dogs"))
    assert session.history.decisions == () and {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_proposal_that_was_generated_again_unchanged_is_fine(folder):
    paths = Paths.of("pets.json")
    session = start_on_disk(paths, read_base("pets.json"))
    save_proposal(read_base("pets.json"), paths.base)
    session.edit(Move("n1", "mammals/dogs"))
    assert len(read_log(paths.log).decisions) == 1


def test_after_a_kill_the_review_continues(folder, hierarchy):
    answers = ["m big cats", "y", "u"]
    process = start(folder, "review", "zoo.json", "--plain", "--by", "Ada")
    for answer in answers:
        wait_for(process, "correct?")
        process.stdin.write(answer + "\n")
        process.stdin.flush()
    wait_for(process, "correct?")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not Path("zoo.json").exists()
    assert len(read_log(Path("zoo.decisions.jsonl")).decisions) == len(answers)
    code, out, _ = hierarchy("review", "zoo.json", "--plain", by="Bob", stdin="q\n")
    assert code == 0 and "(1/5) unsure  'sea snake'" in out
    assert load("zoo.json") == ZOO


def test_ctrl_c_loses_nothing(folder):
    process = start(folder, "review", "zoo.json", "--plain", "--by", "Ada", start_new_session=True)
    wait_for(process, "correct?")
    process.stdin.write("m big cats\n")
    process.stdin.flush()
    wait_for(process, "correct?")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (2, "interrupted; no partial files were left\n")
    assert load("zoo.json") == ZOO and not Path("zoo.lock").exists()


def test_a_result_older_than_its_log_is_written_again(folder, hierarchy):
    hierarchy("edit", "pets.json", "move", "tabby", "mammals/dogs")
    early = Path("pets.json").read_bytes()
    hierarchy("edit", "pets.json", "rename", "fish", "wet")
    late = Path("pets.json").read_bytes()
    Path("pets.json").write_bytes(early)  # as after a crash
    hierarchy("review", "pets.json", "--plain", stdin="q\n")
    assert Path("pets.json").read_bytes() == late


def test_a_full_disk_decides_nothing(folder, monkeypatch):
    paths = Paths.of("pets.json")
    session = start_on_disk(paths, read_base("pets.json"))
    session.edit(Move("n1", "mammals/dogs"))
    before = paths.log.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ValueError, match="no space left on device; the decision was not saved, free some space"):
            session.edit(Rename("fish", "wet"))
    assert paths.log.read_bytes() == before and len(session.history.decisions) == 1
    session.edit(Rename("fish", "wet"))
    assert len(read_log(paths.log).decisions) == 2


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
    "changed outside the review": ["review", "hand.json"],
    "a log of another proposal": ["review", "other.json"],
    "an unknown kind": ["review", "pets.json", "--only", "disputd"],
    "two things at once": ["review", "pets.json", "--diff", "--log"],
    "a copy over another file": ["review", "pets.json", "--out", "other.json"],
    "a copy over another review": ["review", "pets.json", "--out", "zoo.json"],
    "an invalid reviewer": ["review", "pets.json", "--by", " "],
    "replay nothing": ["review", "pets.json", "--replay", "no.jsonl"],
    "replay a list": ["review", "pets.json", "--replay", "list.jsonl"],
    "replay half a line": ["review", "pets.json", "--replay", "half.jsonl"],
    "replay a file that is not UTF-8": ["review", "pets.json", "--replay", "latin1.jsonl"],
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
    "an unknown synset": ["edit", "pets.json", "define", "n1", "n99999999"],
    "a definition with a control character": ["edit", "pets.json", "define", "n1", "a cat\x00"],
    "too few words": ["edit", "pets.json", "move", "n1"],
    "too many words": ["edit", "pets.json", "rename", "fish", "a", "b"],
    "move to a new group": ["edit", "pets.json", "move", "n1", "mammals/dog"],
    "move an unknown class": ["edit", "pets.json", "move", "tabbi", "mammals/dogs"],
    "move to its own group": ["edit", "pets.json", "move", "n1", "mammals/cats"],
    "rename an unknown node": ["edit", "pets.json", "rename", "fishes", "x"],
    "rename to an existing name": ["edit", "pets.json", "rename", "fish", "food"],
    "merge two levels": ["edit", "pets.json", "merge", "fish", "food/cats"],
    "split off a class of another node": ["edit", "pets.json", "split", "fish", "wet", "n1"],
    "undo nothing": ["edit", "pets.json", "undo"],
    "undo in words": ["edit", "pets.json", "undo", "all"],
    "undo an overlong number": ["edit", "pets.json", "undo", "9" * 5000],
    "a flag that does nothing": ["review", "pets.json", "--look", "--by", "Ada"],
    "replay over a change by hand": ["review", "hand.json", "--replay", "other.decisions.jsonl"],
}


GOLDEN = Golden("review_messages.txt", lambda: [*MESSAGES])


@pytest.mark.parametrize("case", MESSAGES)
def test_an_error_is_one_line_and_changes_nothing(case, folder, hierarchy):
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
