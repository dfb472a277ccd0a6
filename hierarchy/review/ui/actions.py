"""The keys of a review and what each does: the one table that the dialogue, the full screen and the docs share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hierarchy.errors import ReviewError
from hierarchy.names import split_path
from hierarchy.proposal import Merge, Move, Rename, Split
from hierarchy.review.questions import Sense, list_senses, read_meaning
from hierarchy.review.session import Session
from hierarchy.review.state import groups
from hierarchy.review.ui.search import find_group, find_sibling


@dataclass(frozen=True)
class Key:
    """One key.

    Args:
        key: what is typed, on the full screen and in the dialogue.
        label: a word or two for a bar of keys.
        help: what the key does.
        asks: what it asks for; "" if nothing.
    """

    key: str
    label: str
    help: str
    asks: str = ""


KEYS = (
    Key("y", "accept", "it is correct as it is"),
    Key("m", "move", "move the class to another group", "move to (a number, a name or a path)"),
    Key("n", "new", "move the class to a new group, the group to a new superclass", "name of the new node"),
    Key("r", "rename", "rename the group; R: its superclass", "new name"),
    Key("g", "merge", "merge the group into another one; G: its superclass", "merge into"),
    Key("p", "split", "split some classes off the group; P: off its superclass", "name of the new node"),
    Key(
        "w",
        "wrong meaning",
        "choose what the name means, or describe it; WordNet and the embedding vote again",
        "what it means (a number, or a description)",
    ),
    Key("s", "skip", "leave the question for later"),
    Key("u", "undo", "undo the last decision, back to the very first"),
    Key("/", "search", "find a class or a node by part of its name and go there", "search for"),
    Key("a", "accept all", "accept everything that is left in this superclass"),
    Key("e", "edit", "edit the whole superclass as text in $EDITOR"),
    Key("q", "quit", "stop here; every decision is saved, continue at any time"),
    Key("?", "help", "explain the numbers on the screen, and the keys"),
)
DIGITS = "1-9"
DIGITS_HELP = "take the suggestion with that number"


def take(session: Session, number: int) -> str:
    """Applies the suggestion with a number, from 1."""
    offered = session.suggestions
    if not offered:
        raise ReviewError("there are no suggestions")
    if not 1 <= number <= len(offered):
        raise ReviewError(f"there is no suggestion {number}; give a number from 1 to {len(offered)}")
    return session.edit(offered[number - 1])


def move(session: Session, text: str) -> str:
    """Moves the class to an existing group; no text means the first suggestion."""
    id = _class_to_move(session)
    moves = [edit.to for edit in session.suggestions if isinstance(edit, Move)]
    if not text and moves:
        return session.edit(Move(id, moves[0]))
    if is_number(text) and 1 <= int(text) <= len(moves) and text not in groups(session.proposal):
        return session.edit(Move(id, moves[int(text) - 1]))
    return session.edit(Move(id, find_group(text, session.proposal)))


def move_to_new(session: Session, text: str) -> str:
    """Moves the class to a new group, `group` or `superclass/group`, or the group to a new superclass."""
    subject, name = session.require_question().subject, text.strip()
    if session.is_class(subject):
        superclass = session.node(subject).partition("/")[0]
        if "/" not in name and not superclass:
            raise ReviewError(f"{session.name(subject)!r} is unsettled; give superclass/group")
        to = name if "/" in name else f"{superclass}/{name}"
        if to in groups(session.proposal):
            raise ReviewError(f"the group {to!r} already exists; use move")
        return session.edit(Move(subject, to))
    superclass, slash, _ = subject.partition("/")
    if not slash:
        raise ReviewError(f"{superclass!r} is already a superclass; rename, merge or split it")
    return session.edit(Split(superclass, _one_name(name), session.members(subject)))


def rename(session: Session, text: str, *, superclass: bool = False) -> str:
    """Renames the group of the question, or its superclass."""
    return session.edit(Rename(find_node(session, superclass=superclass), _one_name(text)))


def merge(session: Session, text: str, *, superclass: bool = False) -> str:
    """Merges the group of the question, or its superclass, into another one."""
    node = find_node(session, superclass=superclass)
    return session.edit(Merge(node, find_sibling(text, node, session.proposal)))


def split(session: Session, name: str, ids: Sequence[str], *, superclass: bool = False) -> str:
    """Splits classes off the group of the question, or off its superclass."""
    return session.edit(Split(find_node(session, superclass=superclass), _one_name(name), tuple(ids)))


def list_meanings(session: Session) -> tuple[Sense, ...]:
    """What the name of the class in question may mean; raises ReviewError if the question is about a node."""
    return list_senses(session.name(_class_to_define(session)))


def define(session: Session, text: str) -> str:
    """Says what the class in question means: one of `list_meanings` by its number, a synset, or a description."""
    id, text = _class_to_define(session), text.strip()
    if is_number(text):
        senses = list_meanings(session)
        if not 1 <= int(text) <= len(senses):
            raise ReviewError(f"there is no meaning {text}; give a number from 1 to {len(senses)}, or a description")
        text = senses[int(text) - 1].wnid
    return session.edit(read_meaning(id, text))


def find_node(session: Session, *, superclass: bool = False) -> str:
    """The node that r, g and p are about: the question's node or its class's group, or the superclass of that."""
    subject = session.require_question().subject
    node = session.node(subject)
    if not node:
        raise ReviewError(f"{session.name(subject)!r} is unsettled; move it first")
    return node.partition("/")[0] if superclass else node


def find_prompt(key: str) -> str:
    """What a key asks for; "" if it asks for nothing."""
    known = key in WITH_TEXT or key in ("p", "P", "/")
    return next(entry.asks for entry in KEYS if entry.key == key.lower()) if known else ""


def list_to_split(session: Session, *, superclass: bool = False) -> dict[str, str]:
    """The classes that can be split off the group of the question, or off its superclass: id -> words for a list."""
    members = session.members(find_node(session, superclass=superclass))
    return {id: f"{session.name(id)}  {session.node(id) if superclass else id}" for id in members}


def is_number(text: str) -> bool:
    """Whether a text is a short decimal number.

    >>> is_number("12"), is_number("²"), is_number("9" * 5000)
    (True, False, False)
    """
    return re.fullmatch(r"[0-9]{1,6}", text) is not None


def parse_numbers(text: str, most: int) -> tuple[int, ...]:
    """Parses numbers from 1, such as "1 3 5-7".

    Raises:
        ReviewError: one of them is not a number, or is too large.

    >>> parse_numbers("1, 3 5-7", 9)
    (1, 3, 5, 6, 7)
    """
    found: dict[int, None] = {}
    for part in re.split(r"[\s,]+", text.strip()):
        bounds = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", part)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (0, 0)
        if not 1 <= first <= last <= most:
            raise ReviewError(f"invalid number {part!r}; give numbers from 1 to {most}, such as 1 3 5-7")
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


def _one_name(text: str) -> str:
    """The name of one node as it was typed, with "/" as in a path."""
    names = split_path(text.strip())
    if len(names) > 1:
        raise ReviewError(f"{text.strip()!r} is a path, not a name; give a name without '/', or write '%2F' for it")
    return names[0]


def _class_to_move(session: Session) -> str:
    """The class of the question, or the only class of its group."""
    subject = session.require_question().subject
    if session.is_class(subject):
        return subject
    below = session.members(subject)
    if "/" in subject and len(below) == 1:
        return below[0]
    raise ReviewError(f"{subject!r} is a node; rename, merge or split it, or move one of its classes")


def _class_to_define(session: Session) -> str:
    subject = session.require_question().subject
    if not session.is_class(subject):
        raise ReviewError(f"{subject!r} is a node; only a class has a meaning to choose")
    return subject


WITHOUT_TEXT: dict[str, Callable[[Session], str]] = {
    "y": Session.accept,
    "s": Session.skip,
    "u": Session.undo,
    "a": Session.accept_rest,
}
WITH_TEXT: dict[str, Callable[[Session, str], str]] = {  # split needs classes too
    "m": move,
    "n": move_to_new,
    "w": define,
    "r": rename,
    "R": lambda session, text: rename(session, text, superclass=True),
    "g": merge,
    "G": lambda session, text: merge(session, text, superclass=True),
}
