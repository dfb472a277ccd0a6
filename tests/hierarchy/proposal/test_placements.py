"""Rows become a proposal: what is certain is settled, everything else is an error that names it."""

from hierarchy.proposal import collect
from hierarchy.sources import ClassList

CLASSES = ClassList(("a", "b", "c", "d"), ("a", "b", "c", "d"), ("",) * 4, "letters")


def test_missing_repeated_and_unknown_classes_are_errors_and_unsettled():
    rows = [("a", "x", "y"), ("a", "x", "z"), ("b", "x", "y"), ("made up", "x", "y")]
    proposal, errors = collect(CLASSES, rows)
    assert proposal.places == (None, ("x", "y"), None, None)
    assert [(error.kind, error.node) for error in errors] == [
        ("missing", "c"), ("missing", "d"), ("twice", "a"), ("unknown", "made up"),
    ]  # fmt: skip
    assert {error.severity for error in errors} == {"error"}
    assert errors[2].evidence == {"places": ["x/y", "x/z"]}
    assert [error.message for error in errors[1:]] == [
        "'d' (d) is not placed",
        "'a' (a) is placed 2 times: 'x/y', 'x/z'",
        "'made up' in 'x/y' is not one of the 4 classes",
    ]


def test_complete_rows_give_no_errors_in_any_order():
    proposal, errors = collect(CLASSES, [(id, "x", "y") for id in "dbca"])
    assert not errors and proposal.hierarchy().classes == CLASSES.ids


def test_a_bad_name_is_an_error_and_settles_nothing():
    proposal, (error,) = collect(CLASSES, [("a", "", "y"), *((id, "x", "y") for id in "bcd")])
    assert (error.kind, error.severity) == ("invalid", "error")
    assert "superclass '' is empty" in error.message
    assert proposal.unsettled == CLASSES.ids
