"""The decision log: replaying it gives what was decided, whatever happened to the file meanwhile."""

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.editing import PETS, proposals_and_edits
from support.reviewing import NOON, act, review_of

from hierarchy.errors import FormatError, HierarchyError, ReviewError
from hierarchy.proposal import Merge, Move, Proposal, Rename
from hierarchy.review.log import Accept, Decision, Log, Undo, dumps, line, parse, read_log
from hierarchy.review.review import Review
from hierarchy.review.reviewed import take_over
from hierarchy.review.state import replay, without
from hierarchy.review.storage import LogFile, Paths

# Laws


@given(proposals_and_edits(), st.data())
def test_replaying_a_log_on_its_proposal_gives_the_same_hierarchy(case, data):
    proposal, _ = case
    review = review_of(proposal)
    for _ in range(data.draw(st.integers(1, 8))):
        act(review, data)
    log, torn = parse(dumps(review.journal.log).encode())
    replayed = replay(log, proposal)
    assert (log, torn) == (review.journal.log, b"")
    assert (replayed.proposal, replayed.conflicts) == (review.proposal, ())
    assert replayed.standings == review.standings
    again = Review(review.base, review.journal, who="Bob")
    assert (again.standing, again.decisions) == (review.standing, review.decisions)


@given(proposals_and_edits(), st.data())
def test_undoing_to_the_beginning_gives_the_proposal(case, data):
    proposal, _ = case
    review = review_of(proposal)
    for _ in range(data.draw(st.integers(1, 8))):
        act(review, data)
    while review.decisions:
        review.undo()
    assert review.proposal == proposal and review.standing.classes == frozenset()
    with pytest.raises(ReviewError, match="nothing to undo"):
        review.undo()
    assert replay(review.journal.log, proposal).proposal == proposal


@given(proposals_and_edits())
def test_undoing_one_edit_is_its_inverse(case):
    proposal, edit = case
    review = review_of(proposal)
    try:
        review.do(edit)
    except HierarchyError:
        assume(False)
    review.undo()
    assert review.proposal == proposal


@given(proposals_and_edits(), proposals_and_edits(), st.data())
def test_a_log_is_taken_over_to_another_proposal_but_for_its_conflicts(case, other, data):
    review = review_of(case[0])
    for _ in range(data.draw(st.integers(1, 8))):
        act(review, data)
    log = review.journal.log
    replayed = replay(log, other[0])
    assert len(replayed.decisions) + len(replayed.conflicts) == len(log.in_effect)
    again = replay(without(log, replayed.conflicts), other[0])
    assert (again.proposal, again.conflicts, again.decisions) == (replayed.proposal, (), replayed.decisions)


@given(proposals_and_edits(), st.data())
def test_a_log_cut_anywhere_loses_no_whole_decision(case, data):
    review = review_of(case[0])
    for _ in range(data.draw(st.integers(1, 5))):
        act(review, data)
    text = dumps(review.journal.log).encode()
    cut = data.draw(st.integers(0, len(text)))
    log, torn = parse(text[:cut])
    lines = text[:cut].count(b"\n")
    known = log.decisions if log else ()
    assert known == review.journal.log.decisions[: len(known)]
    assert len(known) >= lines - 1
    assert text[:cut].endswith(torn)


# Files


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "pets.json")


BASE = Proposal.from_hierarchy(PETS, source="pets.txt")


def decided(paths, *edits, who="Ada"):
    journal = LogFile(paths, BASE)
    review = Review(BASE, journal, who=who, now=lambda: NOON)
    for edit in edits:
        review.do(edit)
    return review


def test_every_decision_is_on_the_disk_when_it_counts(paths):
    decided(paths, Move("n1", "mammals/dogs"), Rename("fish", "fishes"))
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


@pytest.mark.parametrize("cut", [1, 30, 100])
def test_a_torn_last_line_is_set_aside_and_nothing_else_is_lost(paths, cut):
    decided(paths, Move("n1", "mammals/dogs"), Rename("fish", "fishes"))
    whole = paths.log.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    paths.log.write_bytes(whole[: -len(last) + cut])
    heard = []
    journal = LogFile(paths, BASE, tell=heard.append)
    assert [decision.number for decision in journal.log.decisions] == [1]
    assert heard == [f"{paths.log}: its last line is torn ({cut} bytes of a write that was cut off) and does not count"]
    assert paths.log.read_bytes() == whole[: -len(last) + cut]  # looking changes nothing
    Review(BASE, journal, who="Bob", now=lambda: NOON).do(Rename("fish", "fishes"))
    assert paths.log.with_suffix(".torn").read_bytes() == last[:cut] + b"\n"
    assert paths.log.read_bytes() == whole.replace(last, last.replace(b"Ada", b"Bob"))
    assert len(heard) == 2


def test_a_last_line_without_its_line_break_counts(paths):
    decided(paths, Move("n1", "mammals/dogs"))
    paths.log.write_bytes(paths.log.read_bytes().rstrip(b"\n"))
    review = decided(paths, Rename("fish", "fishes"))
    assert len(review.decisions) == 2
    assert len(read_log(paths.log)[0].decisions) == 2


def test_a_log_torn_in_its_first_line_starts_again(paths):
    paths.log.write_bytes(b'{"format": "deci')
    decided(paths, Move("n1", "mammals/dogs"))
    assert len(read_log(paths.log)[0].decisions) == 1
    assert paths.log.with_suffix(".torn").read_bytes() == b'{"format": "deci\n'


HEADER = b'{"format": "decisions", "version": 1, "base": "00", "source": "x"}\n'
ONE = line(Decision(1, NOON, "Ada", Accept(), "n1", "a/b")).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}\n", 'x is no decision log: its first line has no "format": "decisions"; give one of a review'),
        (b"[]\n", "x:1: a list, not an object; delete or mend the line"),
        (HEADER.replace(b"1", b"2", 1), "x has format version 2, this release reads up to 1; upgrade timm-nhl"),
        (HEADER.replace(b"1", b"true", 1), 'x:1: "version" is True, not a whole number from 1; give a log of a rev'),
        (HEADER.replace(b'"00"', b"7"), "x:1: 'base' is a int, not a string; mend it"),
        (HEADER + b"\xff\n" + ONE, "x:2: not UTF-8 (byte 0xff); save it as UTF-8"),
        (HEADER + b"{\n", "x:2: not JSON (Expecting property name enclosed in double quotes at column 2); delete or"),
        (HEADER + b"[" * 100_000 + b"\n", "x:2: nests too deeply or holds a number too long; delete or mend the line"),
        (HEADER + b"1" * 10_000 + b"\n", "x:2: nests too deeply or holds a number too long; delete or mend the line"),
        (
            HEADER + b'{"number": 1}\n',
            "x:2: a decision with the fields number; give number, time, who",
        ),
        (HEADER + ONE + ONE, "x:3: decision 1 stands behind 1; numbers grow along a log"),
        (HEADER + ONE.replace(b"1,", b'"1",', 1), "x:2: 'number' is '1', not a whole number; mend it"),
        (HEADER + ONE.replace(b"Z", b""), "x:2: the time is '2026-01-31T12:00:00'; give it as 2026-01-31T12:00:00Z"),
        (
            HEADER + ONE.replace(b'"accept"', b'"yes"'),
            "x:2: decides 'yes'; give 'accept', an edit, or",
        ),
        (HEADER + ONE.replace(b'"accept"', b'{"undo": 9}'), "x:2: undoes 9, which is no decision in effect"),
        (HEADER + ONE.replace(b'"accept"', b'{"undo": "1"}'), "x:2: undoes '1'; give the number of a decision"),
        (HEADER + ONE.replace(b'"accept"', b'{"edit": "x"}'), "x:2: no kind of edit 'x'; there are move, rename,"),
        (HEADER + ONE.replace(b'"a/b"', b'"' + b"a" * 10**6 + b'"') + b"x\n", "x:3: not JSON"),
    ],
    ids=str,
)
def test_what_is_no_log_is_refused_in_one_short_line(content, message):
    with pytest.raises(FormatError) as caught:
        parse(content, "x")
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 400


# Conflicts


def log_of(*decisions):
    return Log(BASE.digest, "pets.txt", decisions)


@pytest.mark.parametrize(
    ("decision", "found"),
    [
        (Decision(1, NOON, "Ada", Accept(), "n1", "mammals/dogs"), "'n1' stands in 'mammals/cats'"),
        (Decision(1, NOON, "Ada", Accept(), "n9", "mammals/dogs"), "there is no 'n9' any more"),
        (Decision(1, NOON, "Ada", Accept(), "birds", "birds"), "there is no 'birds' any more"),
        (Decision(1, NOON, "Ada", Move("n1", "birds/owls"), "n1", "x/y"), "there is no group 'birds/owls' any more"),
        (Decision(1, NOON, "Ada", Move("n9", "fish/carps"), "n9", "x/y"), "no class 'n9' to move; give the id of a"),
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


def test_an_accepted_node_is_in_conflict_where_it_holds_other_classes():
    review = review_of(BASE)
    review.jump("mammals/cats")
    review.accept()
    review.jump("n1")
    review.accept()
    log = review.journal.log
    assert len(log.decisions[0].holds) == 64 and not log.decisions[1].holds
    assert parse(dumps(log).encode())[0] == log
    other = Proposal.from_hierarchy(PETS, source="pets.txt")
    other = replace(other, places=tuple(("mammals", "cats") if id == "n4" else place for id, place in rows(other)))
    (conflict,) = replay(log, other).conflicts
    assert str(conflict) == (
        "decision 1 (Ada: accept mammals/cats in mammals/cats): 'mammals/cats' holds other classes than were accepted"
    )
    assert replay(log_of(replace(log.decisions[0], holds="")), other).conflicts == ()  # a log that does not say it


def rows(proposal):
    return zip(proposal.classes.ids, proposal.places, strict=True)


def test_a_move_into_a_group_it_made_is_no_conflict():
    decision = Decision(1, NOON, "Ada", Move("n1", "birds/owls"), "n1", "mammals/cats", new=True)
    assert replay(log_of(decision), BASE).proposal.place("n1") == "birds/owls"


def test_undone_decisions_fall_out():
    log = log_of(
        Decision(1, NOON, "Ada", Move("n1", "mammals/dogs"), "n1", "mammals/cats"),
        Decision(2, NOON, "Ada", Accept(), "n1", "mammals/dogs"),
        Decision(3, NOON, "Bob", Undo(2), "n1", "mammals/dogs"),
        Decision(4, NOON, "Bob", Undo(1), "n1", "mammals/cats"),
    )
    assert replay(log, BASE).proposal == BASE
    assert log.in_effect == ()


def test_a_log_is_replaced_only_by_itself_and_kept(paths):
    decided(paths, Move("n1", "mammals/dogs"))
    old = read_log(paths.log)[0]
    other = replace(old, decisions=(replace(old.decisions[0], who="Eve"),))
    with pytest.raises(ReviewError, match="holds 1 decisions already; move it away to replay another log"):
        take_over(other, paths, BASE)
    moved = Proposal.from_hierarchy(PETS.at([0, 1, 2, 3, 4][::-1]), source="pets.txt")
    assert take_over(old, paths, moved).conflicts == ()
    assert read_log(paths.log)[0] == replace(old, base=moved.digest)
    assert read_log(paths.log.with_suffix(".1.jsonl"))[0] == old


def test_undoing_in_the_middle_is_refused_where_later_decisions_stand_on_it():
    review = review_of(BASE)
    review.do(Move("n1", "birds/owls"))
    review.do(Move("n2", "birds/owls"))
    review.do(Rename("food", "meals"))
    with pytest.raises(ReviewError, match="cannot undo 1: decision 2 stands on it; undo that first"):
        review.undo(1)
    assert len(review.journal.log.decisions) == 3
    assert review.undo(3) == "undid rename food to meals"
    with pytest.raises(ReviewError, match="no decision 3 in effect"):
        review.undo(3)
    review.undo(2), review.undo(1)
    assert review.proposal == BASE


def test_what_one_act_decided_is_undone_together():
    review = review_of(BASE)
    review.accept()
    review.do(Move("n1", "birds/owls"), Move("n2", "birds/owls"), Rename("food", "meals"))
    assert [decision.act for decision in review.decisions] == [1, 2, 2, 2]
    assert review.undo() == "undid 3 decisions"
    assert review.proposal == BASE and len(review.decisions) == 1


def test_an_act_is_made_whole_or_not_at_all():
    review = review_of(BASE)
    with pytest.raises(HierarchyError):
        review.do(Move("n1", "birds/owls"), Rename("nothing", "x"))
    assert review.proposal == BASE and not review.journal.log.decisions
