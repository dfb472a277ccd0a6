"""A review line by line, in the grammar of `git add -p`: it works over ssh, in pipes and in tests."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hierarchy.english import count
from hierarchy.errors import HierarchyError, ReviewError
from hierarchy.review.session import Session
from hierarchy.review.ui.actions import (
    DIGITS,
    KEYS,
    WITH_TEXT,
    WITHOUT_TEXT,
    find_node,
    find_prompt,
    is_number,
    list_meanings,
    list_to_split,
    parse_numbers,
    split,
    take,
)
from hierarchy.review.ui.describe import (
    TITLES,
    describe_end,
    describe_keys,
    describe_numbers,
    describe_question,
    describe_vote,
)
from hierarchy.review.ui.editor import revise
from hierarchy.review.ui.search import find_subjects

PROMPT = "correct? [" + ",".join([DIGITS, *(key.key for key in KEYS)]) + "] "
MOST_FOUND = 12  # search results that are listed; the rest are counted
UNCHANGED = "nothing changed"


@dataclass(frozen=True)
class Terminal:
    """How the dialogue talks to a person.

    Args:
        ask: shows a prompt and returns a line without its end, or None at the end of the input.
        say: shows some lines.
        edit_text: shows a text in an editor and returns the edited text.
    """

    ask: Callable[[str], str | None]
    say: Callable[[str], None]
    edit_text: Callable[[str], str]

    def ask_for(self, what: str) -> str:
        """The answer to an indented question, "" at the end of the input."""
        return (self.ask(f"    {what}: ") or "").strip()


def converse(session: Session, terminal: Terminal) -> None:
    """Asks questions until the person quits."""
    terminal.say(", ".join(f"[{key.key}] {key.label}" for key in KEYS))
    shown: object = ()
    while True:
        current = (session.question, session.state)
        if current != shown:
            terminal.say("\n" + (show(session, _columns()) if session.question else describe_end(session)))
            shown = current
        answer = terminal.ask(PROMPT)
        if answer is None or answer.strip() in ("q", "Q"):
            terminal.say("" if answer is not None else "\n")
            return
        try:
            said = _answer(session, answer.strip(), terminal)
        except HierarchyError as error:
            said = f"! {error}"
        if said:
            terminal.say(textwrap.indent(said, "    "))


def _answer(session: Session, answer: str, terminal: Terminal) -> str:
    """Does what an answer says: a key, with the text it needs behind it or asked for now."""
    if not answer:
        return f"the keys are {_KEYS}; ? explains them"
    key, text = answer[:1], answer[1:].strip()
    if is_number(answer):
        return take(session, int(answer))
    if answer in WITHOUT_TEXT:
        return WITHOUT_TEXT[key](session)
    if answer == "?":
        return "\n".join([*describe_numbers(session), "", describe_keys()])
    if answer == "e":
        return session.edit(*revise(session.proposal, find_node(session, superclass=True), terminal.edit_text))
    wanted = find_prompt(key)
    if not wanted or (text and len(answer.split()[0]) > 1 and key != "/"):
        raise ReviewError(f"unknown answer {answer[:40]!r}; the keys are {_KEYS}, ? explains them")
    if key in "rRgGpP":
        terminal.say(f"    {find_node(session, superclass=key.isupper())}")
    if key == "w" and not text:
        terminal.say(_number([str(sense) for sense in list_meanings(session)], 0))
    text = text or terminal.ask_for(wanted)
    if not text and not (key == "m" and session.suggestions):
        return UNCHANGED
    if key == "/":
        return _search(session, text, terminal)
    if key in "pP":
        return _split(session, text, terminal, superclass=key == "P")
    return WITH_TEXT[key](session, text)


def _search(session: Session, text: str, terminal: Terminal) -> str:
    found = find_subjects(text, session.proposal)
    if not found:
        raise ReviewError(f"nothing matches {text!r}; try a shorter part of the name")
    if len(found) > 1:
        terminal.say(_number([_locate(session, subject) for subject in found[:MOST_FOUND]], len(found)))
        choice = terminal.ask_for("which (a number)")
        if not choice:
            return UNCHANGED
        found = (found[parse_numbers(choice, min(len(found), MOST_FOUND))[0] - 1],)
    session.jump(found[0])
    return ""


def _split(session: Session, name: str, terminal: Terminal, *, superclass: bool) -> str:
    choices = list_to_split(session, superclass=superclass)
    terminal.say(_number(list(choices.values()), len(choices)))
    choice = terminal.ask_for(f"which go to {name!r} (such as 1 3 5-7)")
    if not choice:
        return UNCHANGED
    ids = [list(choices)[number - 1] for number in parse_numbers(choice, len(choices))]
    return split(session, name, ids, superclass=superclass)


def _locate(session: Session, subject: str) -> str:
    if session.is_class(subject):
        group = session.node(subject)
        return f"{session.name(subject)!r} {subject}, " + (f"in {group}" if group else "unsettled")
    return f"{subject}  ({count(len(session.members(subject)), 'class')})"


def _number(lines: Sequence[str], total: int) -> str:
    text = "\n".join(f"    {number:3}  {line}" for number, line in enumerate(lines, 1))
    return text + (f"\n         and {total - len(lines)} more" if total > len(lines) else "")


# What is shown


def show(session: Session, columns: int = 80) -> str:
    """The question, the votes and the suggestions."""
    question = session.require_question()
    subject, name = question.subject, session.name(question.subject)
    number, of = session.position
    about = f"{name!r}" + (f" {subject}" if name != subject else "")
    lines = [f"({number}/{of}) {', '.join(question.kinds)}  {about}"]
    for paragraph in describe_question(session):
        lines += textwrap.wrap(paragraph, columns, initial_indent="    ", subsequent_indent="    ")
    lines += _tabulate_votes(session, subject, columns) if session.is_class(subject) else []
    lines += [f"    {number}  {session.describe(edit)}" for number, edit in enumerate(session.suggestions, 1)]
    return "\n".join(lines)


def _tabulate_votes(session: Session, id: str, columns: int) -> list[str]:
    """The votes in three columns, one per witness."""
    width = max(16, (columns - 8) // 3)
    votes = session.votes(id)
    if not votes:
        return ["    no votes"]
    cells = []
    for witness, title in TITLES.items():
        lines = [title]
        for vote in (vote for vote in votes if vote.witness == witness):
            for text in (describe_vote(session, id, vote), vote.why):
                lines += textwrap.wrap(text, width)[:3]
        cells.append(lines if len(lines) > 1 else [title, "-"])
    height = max(map(len, cells))
    rows = zip(*(lines + [""] * (height - len(lines)) for lines in cells), strict=True)
    return ["    " + "  ".join(f"{cell:{width}}" for cell in row).rstrip() for row in rows]


def _columns() -> int:
    return min(160, max(60, shutil.get_terminal_size((80, 24)).columns))


_KEYS = " ".join([*(key.key for key in KEYS), DIGITS])
