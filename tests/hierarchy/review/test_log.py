"""The decision log: replaying it gives what was decided, whatever happens to the file."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.editing import PETS, proposals_and_edits
from support.reviewing import NOON, act, start, start_on_disk

from hierarchy import save
from hierarchy.errors import FormatError, HierarchyError, ReviewError
from hierarchy.proposal import Merge, Move, Proposal, Rename, save_proposal
from hierarchy.review import Paths, replay_log
from hierarchy.review.log import Accept, Decision, Log, Undo, decision_to_line, log_to_text, parse_log, read_log
from hierarchy.review.state import replay

# Laws


@st.composite
def sessions(draw):
    """A session after some random decisions."""
    session, data = start(draw(proposals_and_edits())[0]), draw(st.data())
    for _ in range(draw(st.integers(1, 8))):
        act(session, data)
    return session


@given(sessions())
def test_replaying_a_log_gives_the_same_hierarchy_and_undoing_all_of_it_the_proposal(session):
    assert replay(session.log, session.base) == session.history
    assert start(session.base, log=session.log, who="Bob").history == session.history
    while session.history.decisions:
        session.undo()
    assert session.proposal == session.base and session.state.classes == frozenset()
    with pytest.raises(ReviewError, match="nothing to undo"):
        session.undo()
    assert replay(session.log, session.base).proposal == session.base


@given(sessions(), proposals_and_edits())
def test_a_log_applies_to_another_proposal_except_for_its_conflicts(session, other):
    log = session.log
    replayed = replay(log, other[0])
    assert len(replayed.decisions) + len(replayed.conflicts) == len(log.in_effect)
    left_out = {conflict.decision.number for conflict in replayed.conflicts}
    kept = tuple(decision for decision in log.in_effect if decision.number not in left_out)
    again = replay(replace(log, decisions=kept), other[0])
    assert (again.proposal, again.conflicts, again.decisions) == (replayed.proposal, (), replayed.decisions)


@given(sessions(), st.data())
def test_a_log_cut_anywhere_keeps_every_complete_decision(session, data):
    text = log_to_text(session.log).encode()
    assert parse_log(text) == session.log
    cut = data.draw(st.integers(0, len(text)))
    log = parse_log(text[:cut])
    known = log.decisions if log else ()
    assert known == session.log.decisions[: max(0, text[:cut].count(b"\n") - 1)]
    if known:
        assert session.log.find_beginning(log.digest) == log
    assert session.log.find_beginning("") is None


# Files


@pytest.fixture
def paths(tmp_path):
    return Paths.of(tmp_path / "pets.json")


BASE = Proposal.from_hierarchy(PETS, source="pets.txt")


def decide(paths, *edits, who="Ada", notify=print):
    session = start_on_disk(paths, BASE, who=who, notify=notify)
    for edit in edits:
        session.edit(edit)
    return session


def test_every_decision_is_on_the_disk_when_it_counts(paths):
    decide(paths, Move("n1", "mammals/dogs"), Rename("fish", "fishes"))
    assert [json.loads(text) for text in paths.log.read_text().splitlines()] == [
        {"format": "decisions", "version": 1, "base": BASE.digest, "source": "pets.txt"},
        {
            "number": 1,
            "time": NOON,
            "who": "Ada",
            "what": {"edit": "move", "id": "n1", "to": "mammals/dogs"},
            "subject": "n1",
            "before": "mammals/cats",
        },
        {
            "number": 2,
            "time": NOON,
            "who": "Ada",
            "what": {"edit": "rename", "node": "fish", "name": "fishes"},
            "subject": "fish",
            "before": "fish",
        },
    ]
    assert paths.base.exists()


@pytest.mark.parametrize("cut", [1, 30, -1])
def test_an_incomplete_last_line_is_ignored_and_overwritten(paths, cut):
    decide(paths, Move("n1", "mammals/dogs"), Rename("fish", "fishes"))
    whole = paths.log.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    paths.log.write_bytes(whole.removesuffix(last) + last[:cut])
    heard = []
    session = decide(paths, notify=heard.append)
    assert [decision.number for decision in session.log.decisions] == [1]
    assert heard == [f"{paths.log}: ignored the incomplete last line that a crash left"]
    assert paths.log.read_bytes() == whole.removesuffix(last) + last[:cut]  # reading changes nothing
    decide(paths, Rename("fish", "fishes"), who="Bob")
    assert paths.log.read_bytes() == whole.replace(last, last.replace(b"Ada", b"Bob"))


def test_a_log_with_an_incomplete_first_line_starts_again(paths):
    paths.log.write_bytes(b'{"format": "deci')
    decide(paths, Move("n1", "mammals/dogs"))
    assert len(read_log(paths.log).decisions) == 1


HEADER = b'{"format": "decisions", "version": 1, "base": "00", "source": "x"}\n'
ONE = decision_to_line(Decision(1, NOON, "Ada", Accept("n1"), "n1", "a/b")).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}\n", "x is"),
        (b"[]\n", "x is"),
        (HEADER.replace(b"1", b"2", 1), "x has format version 2, but this release reads up to 1; upgrade timm-nhl"),
        (HEADER.replace(b"1", b"true", 1), 'x: "version" is True'),
        (HEADER.replace(b'"00"', b"7"), "x:1: base: input should be a valid string, got 7"),
        (HEADER + b"\xff\n" + ONE, "x:2: not a line of JSON in UTF-8; delete or fix it"),
        (HEADER + b"{\n", "x:2: not a line of JSON in UTF-8; delete or fix it"),
        (HEADER + b"[" * 100_000 + b"\n", "x:2: not a line of JSON in UTF-8; delete or fix it"),
        (HEADER + b"1" * 10_000 + b"\n", "x:2: not a line of JSON in UTF-8; delete or fix it"),
        (HEADER + b"[]\n", "x:2: input should be a valid dictionary"),
        (HEADER + b'{"number": 1}\n', "x:2: time: field required; who: field required; what: field required;"),
        (HEADER + ONE + ONE, "x:3: decision 1 follows 1; numbers must grow"),
        (HEADER + ONE.replace(b"1,", b'"1",', 1), "x:2: number: input should be a valid integer, got '1'"),
        (HEADER + ONE.replace(b"Z", b""), "x:2: time: string should match pattern"),
        (HEADER + ONE.replace(b'"accept"', b'"yes"'), "x:2: cannot decide 'yes'; use 'accept', an edit, or"),
        (HEADER + ONE.replace(b'"accept"', b'{"undo": 9}'), "x:2: cannot undo 9: no such decision is in effect"),
        (
            HEADER + ONE.replace(b'"accept"', b'{"undo": "1"}'),
            "x:2: cannot decide {'undo': '1'}; use 'accept', an edit",
        ),
        (HEADER + ONE.replace(b'"accept"', b'{"edit": "x"}'), "x:2: "),
        (HEADER + ONE.replace(b'"a/b"', b'"' + b"a" * 10**6 + b'"') + b"x\n", "x:3: not a line of JSON"),
    ],
    ids=lambda value: None,
)
def test_invalid_logs_are_refused_in_one_short_line(content, message):
    with pytest.raises(FormatError) as caught:
        parse_log(content, "x")
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 400


# Conflicts


def log_of(*decisions):
    return Log(BASE.digest, "pets.txt", decisions)


@pytest.mark.parametrize(
    ("decision", "found"),
    [
        (Decision(1, NOON, "Ada", Accept("n1"), "n1", "mammals/dogs"), "'n1' is in 'mammals/cats'"),
        (Decision(1, NOON, "Ada", Accept("n9"), "n9", "mammals/dogs"), "'n9' no longer exists"),
        (Decision(1, NOON, "Ada", Accept("birds"), "birds", "birds"), "'birds' no longer exists"),
        (Decision(1, NOON, "Ada", Move("n1", "birds/owls"), "n1", "x/y"), "the group 'birds/owls' no longer exists"),
        (Decision(1, NOON, "Ada", Move("n9", "fish/carps"), "n9", "x/y"), "no class 'n9'"),
        (Decision(1, NOON, "Ada", Rename("birds", "x"), "birds", "birds"), "no superclass or group 'birds'"),
        (Decision(1, NOON, "Ada", Merge("fish", "birds"), "fish", "fish"), "no superclass or group 'birds'"),
    ],
)
def test_a_conflict_says_what_was_asked_and_what_was_found(decision, found):
    fine = Decision(2, NOON, "Bob", Move("n2", "mammals/cats"), "n2", "fish/carps")
    replayed = replay(log_of(decision, fine), BASE)
    (conflict,) = replayed.conflicts
    assert conflict.decision == decision and conflict.found.startswith(found)
    assert str(conflict).startswith(f"decision 1 (Ada: {decision}): ")
    assert replayed.decisions == (fine,) and replayed.proposal.place("n2") == "mammals/cats"


def test_an_accepted_node_is_in_conflict_if_it_holds_other_classes():
    session = start(BASE)
    session.jump("mammals/cats")
    session.accept()
    session.jump("n1")
    session.accept()
    log = session.log
    assert len(log.decisions[0].holds) == 64 and not log.decisions[1].holds
    assert parse_log(log_to_text(log)) == log
    other = Proposal.from_hierarchy(PETS, source="pets.txt")
    other = replace(other, places=tuple(("mammals", "cats") if id == "n4" else place for id, place in rows(other)))
    (conflict,) = replay(log, other).conflicts
    assert str(conflict) == (
        "decision 1 (Ada: accept mammals/cats): 'mammals/cats' no longer holds the classes that were accepted"
    )
    assert replay(log_of(replace(log.decisions[0], holds="")), other).conflicts == ()  # a log that does not say it


def rows(proposal):
    return zip(proposal.classes.ids, proposal.places, strict=True)


def test_a_move_into_a_group_it_creates_is_not_a_conflict():
    decision = Decision(1, NOON, "Ada", Move("n1", "birds/owls"), "n1", "mammals/cats", new=True)
    assert replay(log_of(decision), BASE).proposal.place("n1") == "birds/owls"


def test_undone_decisions_are_left_out():
    log = log_of(
        Decision(1, NOON, "Ada", Move("n1", "mammals/dogs"), "n1", "mammals/cats"),
        Decision(2, NOON, "Ada", Accept("n1"), "n1", "mammals/dogs"),
        Decision(3, NOON, "Bob", Undo(2), "n1", "mammals/dogs"),
        Decision(4, NOON, "Bob", Undo(1), "n1", "mammals/cats"),
    )
    assert replay(log, BASE).proposal == BASE
    assert log.in_effect == ()


def test_a_log_is_replaced_only_by_itself_and_kept(paths, monkeypatch):
    monkeypatch.chdir(paths.log.parent)
    save(PETS, "pets.json")
    decide(Paths.of("pets.json"), Move("n1", "mammals/dogs"))
    old = read_log(paths.log)
    other = paths.log.with_name("other.jsonl")
    other.write_text(log_to_text(replace(old, decisions=(replace(old.decisions[0], who="Eve"),))))
    with pytest.raises(ReviewError, match="already holds 1 decision; move it away to replay another log"):
        replay_log(other, "pets.json", paths, by="Ada", notify=print)
    moved = Proposal.from_hierarchy(PETS.at([0, 1, 2, 3, 4][::-1]), source="pets.txt")
    save_proposal(moved, paths.base)
    paths.result.unlink()
    session, conflicts = replay_log(paths.log, "pets.json", paths, by="Ada", notify=print)
    assert conflicts == () and session.log == read_log(paths.log) == replace(old, base=moved.digest)
    assert read_log(paths.log.with_suffix(".1.jsonl")) == old


def test_undoing_in_the_middle_is_refused_if_later_decisions_depend_on_it():
    session = start(BASE)
    session.edit(Move("n1", "birds/owls"))
    session.edit(Move("n2", "birds/owls"))
    session.edit(Rename("food", "meals"))
    with pytest.raises(ReviewError, match="cannot undo 1: decision 2 depends on it; undo that first"):
        session.undo(1)
    assert len(session.log.decisions) == 3
    assert session.undo(3) == "undid rename food to meals"
    with pytest.raises(ReviewError, match="no decision 3 is in effect"):
        session.undo(3)
    session.undo(2), session.undo(1)
    assert session.proposal == BASE


def test_decisions_of_one_act_are_undone_together():
    session = start(BASE)
    session.accept()
    session.edit(Move("n1", "birds/owls"), Move("n2", "birds/owls"), Rename("food", "meals"))
    assert [decision.act for decision in session.history.decisions] == [1, 2, 2, 2]
    assert session.undo() == "undid 3 decisions"
    assert session.proposal == BASE and len(session.history.decisions) == 1


def test_an_act_is_atomic():
    session = start(BASE)
    with pytest.raises(HierarchyError):
        session.edit(Move("n1", "birds/owls"), Rename("nothing", "x"))
    assert session.proposal == BASE and not session.log.decisions
