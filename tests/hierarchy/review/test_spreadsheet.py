"""A review in a spreadsheet: what the sheet says is what the hierarchy becomes, by edits a person would have made."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.editing import PETS, proposals_and_edits
from support.reviewing import apply_all
from support.strategies import names

from hierarchy.errors import FormatError, HierarchyError, ReviewError
from hierarchy.files import from_cell, to_cell
from hierarchy.proposal import Define, Merge, Move, Proposal, Regroup, Rename, Split, Vote, apply, find_edits
from hierarchy.review.state import State
from hierarchy.review.ui.spreadsheet import COLUMNS, from_sheet, to_sheet
from hierarchy.sources import ClassList

PROPOSAL = Proposal.from_hierarchy(PETS)


def written(rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def rows_of(proposal):
    return list(csv.reader(io.StringIO(to_sheet(State(proposal)), newline="")))


@st.composite
def two_proposals(draw):
    """A proposal, and another of the same classes: some edits away, or with some classes anywhere."""
    proposal, edit = draw(proposals_and_edits())
    try:
        after = apply(edit, proposal)
    except HierarchyError:
        after = proposal
    free = names.filter(lambda name: name not in proposal.classes.ids)
    known = [place for place in proposal.places if place]
    place = st.one_of(st.sampled_from(known), st.tuples(free, free), st.none())
    moved = draw(st.dictionaries(st.integers(0, len(proposal.places) - 1), place, max_size=4))
    return proposal, Proposal(proposal.classes, tuple(moved.get(label, old) for label, old in enumerate(after.places)))


@pytest.mark.parametrize("text", ["=1+1", "'=1", "''-2", "+49", "@a", "＝1", "tabby", "'tis", "a=1", ""])
def test_a_cell_is_never_a_formula_and_comes_back(text):
    cell = to_cell(text)
    assert from_cell(cell) == text and (cell[:1] not in "=+-@＝" or not text)
    classes = ClassList((text or "x", "b"), ("n", "m"), ("", ""), "")
    proposal = Proposal(classes, ((f"{text}s", "g"), ("t", "h")))
    sheet = to_sheet(State(proposal))
    assert f"\n{cell or 'x'},n,,{to_cell(text + 's')},g," in sheet
    assert from_sheet(sheet, proposal, "s.csv") == ()


@given(proposals_and_edits())
def test_the_difference_that_one_edit_makes_is_one_edit(case):
    proposal, edit = case
    assume(not isinstance(edit, Regroup | Define))  # a sheet shows many moves as few edits, and no definitions
    try:
        after = apply(edit, proposal)
    except HierarchyError:
        assume(False)
    assert len(find_edits(proposal, after)) == (proposal != after)


@pytest.mark.parametrize(
    "edits",
    [
        [Move("n1", "mammals/dogs")],
        [Rename("mammals", "beasts")],
        [Rename("mammals/cats", "felines")],
        [Merge("mammals", "food")],
        [Merge("mammals/cats", "mammals/dogs")],
        [Split("mammals/cats", "big cats", ("n1", "n3"))],
        [Rename("mammals", "beasts"), Rename("beasts/cats", "felines")],
        [Regroup((("n1", ""), ("n2", "")))],
        [Rename("mammals", "beasts"), Regroup((("n2", ""),)), Move("n4", "beasts/cats")],
    ],
    ids=str,
)
def test_the_difference_equals_the_edits_of_a_person(edits):
    expected = [Rename("mammals/cats", "big cats")] if isinstance(edits[0], Split) else edits
    assert list(find_edits(PROPOSAL, apply_all(edits, PROPOSAL))) == expected


@given(two_proposals(), st.randoms(use_true_random=False))
def test_an_exported_changed_and_imported_sheet_gives_its_contents(case, random):
    before, after = case
    assert from_sheet(to_sheet(State(before)), before, "s.csv") == ()
    header, *rows = rows_of(before)
    places = dict(zip(after.classes.ids, after.places, strict=True))
    for row in rows:
        row[3:5] = map(to_cell, places[from_cell(row[0])] or ("", ""))
    random.shuffle(rows)
    columns = list(range(len(header)))
    random.shuffle(columns)
    table = [[*(row[i] for i in columns), row[0]] for row in [header, *rows]]
    table[0] = [*(header[i] for i in columns), "note"]
    assert apply_all(from_sheet(written(table), before, "s.csv"), before) == after


def test_a_sheet_shows_the_votes():
    votes = {"n1": (Vote("llm", "mammals/dogs", 0.5, "2 of 4 votes"), Vote("wordnet", "fish", 1.0, "why"))}
    header, row, *_ = csv.reader(io.StringIO(to_sheet(State(replace(PROPOSAL, votes=votes)))))
    assert tuple(header) == COLUMNS
    assert row[3:] == [
        "mammals",
        "cats",
        "2.50",
        "mammals/dogs (0.50: 2 of 4 votes)",
        "fish (1.00: why)",
        "",
        f"digest {PROPOSAL.digest[:16]}",
    ]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_sheet_may_come_back_with_another_separator(separator):
    table = [[*row[:3], "beasts" if row[3] == "mammals" else row[3], *row[4:]] for row in rows_of(PROPOSAL)]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(table)
    assert from_sheet(text.getvalue(), PROPOSAL, "s.csv") == (Rename("mammals", "beasts"),)


def sheet(**changes):
    """The sheet with changed rows, id -> row or None."""
    table = {row[0]: row[:5] for row in rows_of(PROPOSAL)} | changes
    return written([row for row in table.values() if row])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "s.csv:1: the header has no column id, superclass, group; export the sheet again"),
        ("id,superclass,group,id\n", FormatError, "s.csv:1: the header has a column twice; export"),
        (
            "id,superclass,group\nn1,x\n",
            FormatError,
            "s.csv:2: expected 3 fields, got 2; quote fields that contain a comma",
        ),
        ('id,superclass,group\nn1,"x\n', FormatError, "s.csv:2: not CSV (unexpected end of data); check the quotes"),
        (sheet(n1=None), ReviewError, "s.csv: class 'n1' (tabby) is missing"),
        (sheet(n9=["n9", "x", "", "a", "b"]), ReviewError, "s.csv:7: no class 'n9'"),
        (sheet(x=["n1", "tabby", "", "a", "b"]), ReviewError, "s.csv:7: class 'n1' is already in line 2"),
        (
            sheet(n1=["n1", "cat", "", "a", "b"]),
            ReviewError,
            "s.csv:2: 'n1' is named 'tabby', got 'cat'; do not change",
        ),
        (
            sheet(n1=["n1", "tabby", "", "a", ""]),
            ReviewError,
            "s.csv:2: 'n1' has only a superclass or only a group; give both",
        ),
        (sheet(n1=["n1", "tabby", "", "n2", "c"]), ReviewError, "s.csv: superclass 'n2' is also the id of a class"),
        (
            sheet(n1=None, n2=["n2", "carp", "", " a", "b"]),
            ReviewError,
            "s.csv:2: superclass ' a' starts or ends with a space; strip it; s.csv: class 'n1' (tabby) is missing",
        ),
    ],
    ids=str,
)
def test_all_problems_of_a_sheet_are_named(text, error, message):
    with pytest.raises(error) as caught:
        from_sheet(text, PROPOSAL, "s.csv")
    assert str(caught.value).startswith(message)


def test_an_older_sheet_reverts_nothing():
    text = to_sheet(State(PROPOSAL))
    later = apply(Move("n1", "mammals/dogs"), PROPOSAL)
    message = (
        rf"s.csv was exported before the last decisions \(it says 'digest {PROPOSAL.digest[:16]}', the proposal is now"
        rf" 'digest {later.digest[:16]}'\) and would revert them; export it again, or delete the column 'proposal' to"
        " let the sheet win"
    )
    with pytest.raises(ReviewError, match=message):
        from_sheet(text, later, "s.csv")
    with pytest.raises(ReviewError, match=message):
        from_sheet(text.replace(",fish,carps", ",fishes,carps"), later, "s.csv")
    with pytest.raises(ReviewError, match="was exported before the last decisions"):  # saved by a spreadsheet
        from_sheet(text.replace(",", ";").replace("\n", "\r\n"), later, "s.csv")
    table = [row[:-1] for row in rows_of(PROPOSAL)]
    assert from_sheet(written(table), later, "s.csv") == (Move("n1", "mammals/cats"),)


def test_a_sheet_that_changes_nothing_may_be_of_any_age():
    later = apply(Rename("fish", "fishes"), PROPOSAL)
    text = to_sheet(State(PROPOSAL)).replace(",fish,carps", ",fishes,carps")
    assert from_sheet(text, later, "s.csv") == ()
