"""The line dialogue: transcripts of whole sessions in golden/dialogue.txt.

After a change of wording, regenerate it with `WRITE_GOLDEN=1 pytest tests/hierarchy/review/test_line_ui.py` and read
the difference.
"""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import TESTS
from support.editing import proposals_and_edits
from support.reviewing import start, zoo

from hierarchy.errors import ReviewError
from hierarchy.review.state import replay
from hierarchy.review.ui.actions import KEYS, parse_numbers
from hierarchy.review.ui.line_ui import Terminal, converse

GOLDEN = TESTS / "golden" / "dialogue.txt"
SESSIONS = {
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
    "help, and the end of the input": ["?", "s", "?"],
    "wrong meaning": ["w", "a large striped cat", "s", "w a house pet", "/ birds", "w", "q"],
    "to the end": ["m big cats", *"yyyyy", "y", "u", "y", "q"],
}


def transcript(session, answers, edit_text=lambda text: text, most=400):
    """Everything that is shown in a session, with the answers after their prompts."""
    given, shown = iter(answers), []

    def ask(prompt):
        assert len(shown) < most
        answer = next(given, None)
        shown.append(prompt + ("<end>" if answer is None else answer))
        return answer

    converse(session, Terminal(ask, shown.append, edit_text))
    assert next(given, None) is None, "not all answers were asked for"
    return "\n".join(line.rstrip() for line in "\n".join(shown).splitlines())


def golden():
    parts = re.split(r"^==== (.*)\n", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE) if GOLDEN.exists() else []
    return {name: text.removesuffix("\n\n") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_goes_as_recorded(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    texts = iter([lambda text: text.replace("eels", "long fish"), lambda text: text])
    session = zoo()
    found = transcript(session, SESSIONS[name], lambda text: next(texts)(text))
    if os.environ.get("WRITE_GOLDEN"):
        known = golden() | {name: found}
        GOLDEN.write_text(
            "".join(f"==== {key}\n{known[key]}\n\n" for key in SESSIONS if key in known), encoding="utf-8"
        )
    assert golden()[name] == found
    assert replay(session.log, session.base).proposal == session.proposal


def test_the_golden_file_has_exactly_these_sessions():
    assert list(golden()) == list(SESSIONS)


@given(proposals_and_edits(), st.lists(st.one_of(st.sampled_from([key.key for key in KEYS] + ["1", "2"]), st.text())))
def test_no_answer_breaks_the_dialogue_and_every_decision_is_kept(case, answers):
    session = start(case[0])
    answers = [answer.replace("\n", " ") for answer in answers]
    given = iter(answers)
    edit_text = lambda text: text.replace("    a", "    b")  # noqa: E731
    converse(session, Terminal(lambda prompt: next(given, None), lambda text: None, edit_text))
    replayed = replay(session.log, case[0])
    assert (replayed.proposal, replayed.conflicts) == (session.proposal, ())


def test_bad_numbers_are_refused():
    assert parse_numbers("3,1-2 2", 5) == (3, 1, 2)
    for text in ("", "0", "6", "2-1", "1-9", "x", "-1", "1-", "9" * 99):
        with pytest.raises(ReviewError, match="; give numbers from 1 to 5, such as 1 3 5-7"):
            parse_numbers(text, 5)
