"""The line dialogue, as transcripts: whole sittings with all that is shown stand in golden/dialogue.txt.

After a change of wording, write it anew with `WRITE_GOLDEN=1 pytest tests/test_dialogue.py`, and read the difference.
"""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import TESTS
from support.editing import proposals_and_edits
from support.reviewing import review_of, zoo

from hierarchy.errors import ReviewError
from hierarchy.review.actions import KEYS, parse_numbers
from hierarchy.review.line_ui import converse
from hierarchy.review.state import replay

GOLDEN = TESTS / "golden" / "dialogue.txt"
SITTINGS = {
    "settle, accept, move, undo, quit": ["m big cats", "y", "1", "u", "u", "u", "u", "q"],
    "what is asked for": [
        "m",
        "",
        "n",
        "n",
        "r",
        "s",
        "m",
        "",
        "n",
        "fish/x",
        "r",
        "",
        "r kittens",
        "R beasts",
        "g",
        "big",
        "q",
    ],
    "a new group and a new superclass": ["n mammals/striped cats", "/ reptiles/snakes", "n legless", "n legless", "q"],
    "nodes": [
        "/ birds",
        "1",
        "m fish",
        "n x",
        "g fish",
        "/ carps",
        "p x",
        "1-2",
        "m",
        "eels",
        "/ eels",
        "",
        "/ fish/eels",
        "G rept",
        "q",
    ],
    "split": ["s", "p biters", "2-3, 1", "P sea", "9", "P sea", "", "q"],
    "search": ["/ crane", "2", "/ zzz", "/", "", "/ cats", "x", "/ e", "", "q"],
    "accept all that is left": ["s", "a", "s", "a", "u", "q"],
    "bad answers": [
        "",
        "x",
        "yes",
        "9",
        "0",
        "m nowhere",
        "m ca",
        "y 3",
        "r mammals/x",
        "moray",
        "1 2",
        "é",
        "²",
        "٣",
        "q",
    ],
    "in an editor": ["e", "s", "e", "e", "q"],
    "help, and the end of the input": ["?"],
    "to the end": ["1", *"yyyyyyyyyyyyyyyyyy", "y", "u", "y", "q"],
}


def transcript(review, answers, edit_text=lambda text: text, most=400):
    """What is shown in a sitting, with the answers behind their prompts."""
    given, shown = iter(answers), []

    def ask(prompt):
        assert len(shown) < most
        answer = next(given, None)
        shown.append(prompt + ("<end>" if answer is None else answer))
        return answer

    converse(review, ask=ask, say=shown.append, edit_text=edit_text)
    assert next(given, None) is None, "not all was asked for"
    return "\n".join(line.rstrip() for line in "\n".join(shown).splitlines())


def golden():
    parts = re.split(r"^==== (.*)\n", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE) if GOLDEN.exists() else []
    return {name: text.removesuffix("\n\n") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", SITTINGS)
def test_a_sitting_goes_as_it_is_written(name, monkeypatch):
    monkeypatch.setattr("hierarchy.review.line_ui._columns", lambda: 80)
    texts = iter([lambda text: text.replace("eels", "long fish"), lambda text: text])
    review = zoo()
    found = transcript(review, SITTINGS[name], lambda text: next(texts)(text))
    if os.environ.get("WRITE_GOLDEN"):
        known = golden() | {name: found}
        GOLDEN.write_text(
            "".join(f"==== {key}\n{known[key]}\n\n" for key in SITTINGS if key in known), encoding="utf-8"
        )
    assert golden()[name] == found
    assert replay(review.journal.log, review.base).proposal == review.proposal


def test_the_golden_file_has_no_sitting_that_is_gone():
    assert list(golden()) == list(SITTINGS)


@given(proposals_and_edits(), st.lists(st.one_of(st.sampled_from([key.key for key in KEYS] + ["1", "2"]), st.text())))
def test_no_answer_breaks_the_dialogue_and_every_decision_is_kept(case, answers):
    review = review_of(case[0])
    answers = [answer.replace("\n", " ") for answer in answers]
    given = iter(answers)
    converse(
        review,
        ask=lambda prompt: next(given, None),
        say=lambda text: None,
        edit_text=lambda text: text.replace("    a", "    b"),
    )
    replayed = replay(review.journal.log, case[0])
    assert (replayed.proposal, replayed.conflicts) == (review.proposal, ())


def test_numbers_are_read_with_care():
    assert parse_numbers("3,1-2 2", 5) == (3, 1, 2)
    for text in ("", "0", "6", "2-1", "1-9", "x", "-1", "1-", "9" * 99):
        with pytest.raises(ReviewError, match="is no number from 1 to 5; give some, as 1 3 5-7"):
            parse_numbers(text, 5)


def test_what_is_no_number_or_far_too_long_for_one_is_no_answer():
    shown = transcript(zoo(), ["²", "9" * 5000, "m " + "9" * 5000, "m ²", "q"])
    assert shown.count("is no answer;") == 2 and shown.count("! no group '") == 2
