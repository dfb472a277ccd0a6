"""The keys of a review and what each does: the one table that the dialogue, the full screen and the docs go by."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hierarchy.errors import ReviewError
from hierarchy.proposal import Merge, Move, Rename, Split
from hierarchy.review.lookup import group_meant, sibling_meant
from hierarchy.review.review import Review
from hierarchy.review.state import groups


@dataclass(frozen=True)
class Key:
    """One key.

    Args:
        key: what is typed; the full screen and the dialogue share it.
        label: a word for a bar of keys.
        help: what it does.
        asks: what is asked for behind it; "" if nothing.
    """

    key: str
    label: str
    help: str
    asks: str = ""


KEYS = (
    Key("y", "accept", "it stands well where it does"),
    Key("m", "move", "put the class into another group", "move to (a number, a name or a path)"),
    Key("n", "new", "put the class into a new group, the group into a new superclass", "name of the new node"),
    Key("r", "rename", "give the group another name; R: the superclass", "new name"),
    Key("g", "merge", "put all of the group into another; G: the superclass", "merge into"),
    Key("p", "split", "make a new group of some classes of the group; P: a superclass", "name of the new node"),
    Key("s", "skip", "leave the question for later"),
    Key("u", "undo", "take the last decision back, up to the very first"),
    Key("/", "search", "find a class or a node by a part of its name, and go there", "search"),
    Key("a", "accept all", "accept everything that is left in this superclass"),
    Key("e", "edit", "edit the whole superclass as a text in $EDITOR"),
    Key("q", "quit", "stop here; every decision is kept, go on at any time"),
    Key("?", "help", "show this"),
)
DIGITS = "1-9"
DIGITS_HELP = "do what stands behind the number"


def take(review: Review, number: int) -> str:
    """Does what is suggested under a number, from 1."""
    offered = review.suggestions
    if not 1 <= number <= len(offered):
        raise ReviewError(f"no suggestion {number}; there are {len(offered) or 'none'}")
    return review.do(offered[number - 1])


def move(review: Review, text: str) -> str:
    """Moves the class into a group that is there; nothing said means the first suggestion."""
    id = _class(review)
    moves = [edit.to for edit in review.suggestions if isinstance(edit, Move)]
    if not text and moves:
        return review.do(Move(id, moves[0]))
    if is_number(text) and 1 <= int(text) <= len(moves) and text not in groups(review.proposal):
        return review.do(Move(id, moves[int(text) - 1]))
    return review.do(Move(id, group_meant(text, review.proposal)))


def new(review: Review, text: str) -> str:
    """Moves the class into a new group, `group` or `superclass/group`, or the group into a new superclass."""
    question, name = review.asked(), text.strip()
    if review.is_class(question.subject):
        here = review.proposal.place(question.subject).partition("/")[0]
        if "/" not in name and not here:
            raise ReviewError(f"{review.name(question.subject)!r} is unsettled; give superclass/group")
        to = name if "/" in name else f"{here}/{name}"
        if to in groups(review.proposal):
            raise ReviewError(f"the group {to!r} is there already; move goes there")
        return review.do(Move(question.subject, to))
    superclass, slash, _ = question.subject.partition("/")
    if not slash:
        raise ReviewError(f"{superclass!r} is a superclass already; rename, merge or split it")
    return review.do(Split(superclass, name, review.members(question.subject)))


def rename(review: Review, text: str, *, superclass: bool = False) -> str:
    """Renames the group of the question, or its superclass."""
    return review.do(Rename(node_of(review, superclass=superclass), text.strip()))


def merge(review: Review, text: str, *, superclass: bool = False) -> str:
    """Merges the group of the question, or its superclass, into another one."""
    node = node_of(review, superclass=superclass)
    return review.do(Merge(node, sibling_meant(text, node, review.proposal)))


def split(review: Review, name: str, ids: Sequence[str], *, superclass: bool = False) -> str:
    """Splits classes off the group of the question, or off its superclass."""
    return review.do(Split(node_of(review, superclass=superclass), name.strip(), tuple(ids)))


def node_of(review: Review, *, superclass: bool = False) -> str:
    """The node that r, g and p are about: the question's own or its class's group, or the superclass of it."""
    node = review.node(review.asked())
    if not node:
        raise ReviewError(f"{review.name(review.asked().subject)!r} is unsettled; move it first")
    return node.partition("/")[0] if superclass else node


def is_number(text: str) -> bool:
    """Whether a text is a number that may stand in a list: digits, and not thousands of them.

    >>> is_number("12"), is_number("²"), is_number("9" * 5000)
    (True, False, False)
    """
    return re.fullmatch(r"[0-9]{1,6}", text) is not None


def parse_numbers(text: str, most: int) -> tuple[int, ...]:
    """Reads numbers from 1, as in "1 3 5-7".

    Raises:
        ReviewError: something is no number, or too large.

    >>> parse_numbers("1, 3 5-7", 9)
    (1, 3, 5, 6, 7)
    """
    found: dict[int, None] = {}
    for part in re.split(r"[\s,]+", text.strip()):
        bounds = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", part)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (0, 0)
        if not 1 <= first <= last <= most:
            raise ReviewError(f"{part!r} is no number from 1 to {most}; give some, as 1 3 5-7")
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


def _class(review: Review) -> str:
    """The class that is moved: the question's, or the only one of its group."""
    question = review.asked()
    if review.is_class(question.subject):
        return question.subject
    below = review.members(question.subject)
    if "/" in question.subject and len(below) == 1:
        return below[0]
    raise ReviewError(f"{question.subject!r} is a node; it is renamed, merged or split, its classes are moved")


SIMPLE: dict[str, Callable[[Review], str]] = {  # keys that ask for nothing
    "y": Review.accept,
    "s": Review.skip,
    "u": Review.undo,
    "a": Review.accept_rest,
}
TEXTUAL: dict[str, Callable[[Review, str], str]] = {  # and those that want a text; what splits wants more
    "m": move,
    "n": new,
    "r": rename,
    "R": lambda review, text: rename(review, text, superclass=True),
    "g": merge,
    "G": lambda review, text: merge(review, text, superclass=True),
}
