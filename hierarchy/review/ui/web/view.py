"""What the page shows of a session, as plain values for JSON, and what its requests do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hierarchy.errors import ReviewError
from hierarchy.names import join_path, split_path
from hierarchy.proposal import Merge, Move, Split
from hierarchy.review.session import Session
from hierarchy.review.ui.actions import (
    DIGITS,
    DIGITS_HELP,
    KEYS,
    WITH_TEXT,
    WITHOUT_TEXT,
    find_node,
    find_prompt,
    list_meanings,
    split,
    take,
)
from hierarchy.review.ui.describe import TITLES, describe_end, describe_numbers, describe_question, describe_vote

ABSENT = ("e",)  # keys without a meaning in a browser: there is no $EDITOR


def describe_start(session: Session, title: str, pictures: Mapping[str, Sequence[object]]) -> dict[str, Any]:
    """What does not change in a session: names, images, keys."""
    classes = session.proposal.classes
    keys = [[DIGITS, "take", DIGITS_HELP, ""], *([key.key, key.label, key.help, find_prompt(key.key)] for key in KEYS)]
    return {
        "title": title,
        "who": session.who or "read-only",
        "names": dict(zip(classes.ids, classes.names, strict=True)),
        "images": {id: len(paths) for id, paths in pictures.items()},
        "keys": [key for key in keys if key[0] not in ABSENT],
    }


def describe_state(session: Session, said: str = "", *, refused: bool = False) -> dict[str, Any]:
    """What is shown now: the question, its votes and suggestions, the tree, and what came of the last key."""
    question = session.question
    number, of = session.position
    state: dict[str, Any] = {
        "said": said,
        "refused": refused,
        "number": min(number, of),
        "of": of,
        "decisions": len(session.history.decisions),
        "question": None,
        "about": [describe_end(session)],
        "numbers": describe_numbers(session),
        "tree": _describe_tree(session),
        "unsettled": list(session.proposal.unsettled),
        "reviewed": sorted(session.state.classes),
        "accepted": sorted(session.state.nodes),
    }
    if question is None:
        return state
    subject, node = question.subject, session.node(question.subject)
    is_class = session.is_class(subject)
    return state | {
        "question": subject,
        "name": session.name(subject),
        "is_class": is_class,
        "kinds": list(question.kinds),
        "node": node,
        "members": [id for id in session.members(node) if id != subject] if node else [],
        "about": describe_question(session),
        "votes": _describe_votes(session, subject) if is_class else [],
        "suggestions": [
            {"text": session.describe(edit), "node": _find_target(edit), "ids": _find_ids(session, edit)}
            for edit in session.suggestions
        ],
    }


def act(session: Session, asked: Mapping[str, Any]) -> str:
    """Does what a request of the page asks for, and says what came of it.

    Args:
        session: the review.
        asked: `key`, and what the key needs: `text`, `ids`, or `subject` and `to` of something dragged.

    Raises:
        HierarchyError: it cannot be done; nothing has changed.
    """
    key, text = _text(asked, "key"), _text(asked, "text")
    if key in WITHOUT_TEXT:
        return WITHOUT_TEXT[key](session)
    if len(key) == 1 and key in "123456789":
        return take(session, int(key))
    if key in WITH_TEXT:
        return WITH_TEXT[key](session, text)
    if key in ("p", "P"):
        return split(session, text, _ids(asked), superclass=key == "P")
    if key == "/":
        session.jump(text)
        return ""
    if key == "drop":
        return _drop(session, _text(asked, "subject"), _text(asked, "to"))
    raise ReviewError(f"unknown key {key[:20]!r}; the keys are listed behind ?")


def list_senses(session: Session) -> list[list[str]]:
    """The senses of the class in question: synsets, and words for a list."""
    return [[sense.wnid, str(sense)] for sense in list_meanings(session)]


def _drop(session: Session, subject: str, to: str) -> str:
    """Moves what was dragged: a class into a group, or a group into a superclass."""
    if session.is_class(subject):
        return session.edit(Move(subject, to))
    names = split_path(subject)
    if len(names) != 2 or "/" in to:
        raise ReviewError(f"cannot drop {subject!r} on {to!r}; drop a class on a group, or a group on a superclass")
    return session.edit(*(Move(id, f"{to}/{join_path(names[1])}") for id in session.members(subject)))


def _describe_tree(session: Session) -> list[list[Any]]:
    """Superclasses, each [path, name, groups]; groups, each [path, name, ids of its classes, sorted by name]."""
    inside: dict[str, dict[str, list[str]]] = {}
    names = dict(zip(session.proposal.classes.ids, session.proposal.classes.names, strict=True))
    for id, place in zip(session.proposal.classes.ids, session.proposal.places, strict=True):
        if place:
            inside.setdefault(place[0], {}).setdefault(place[1], []).append(id)
    return [
        [
            join_path(superclass),
            superclass,
            [
                [join_path(superclass, group), group, sorted(ids, key=lambda id: (names[id], id))]
                for group, ids in sorted(groups.items())
            ],
        ]
        for superclass, groups in sorted(inside.items())
    ]


def _describe_votes(session: Session, id: str) -> list[dict[str, Any]]:
    cast = session.votes(id)
    return [
        {
            "title": title,
            "votes": [[describe_vote(session, id, vote), vote.why] for vote in cast if vote.witness == witness],
        }
        for witness, title in TITLES.items()
    ]


def _find_target(edit: object) -> str:
    return edit.to if isinstance(edit, Move) else edit.into if isinstance(edit, Merge) else ""


def _find_ids(session: Session, edit: object) -> list[str]:
    """Classes whose images show what a suggestion means: those of the group it moves to, or those it splits off."""
    if isinstance(edit, Split):
        return list(edit.ids)
    target = _find_target(edit)
    return list(session.members(target)) if target else []


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str):
        raise ReviewError(f"{name} is {value!r:.40}; give a text")
    return value


def _ids(asked: Mapping[str, Any]) -> list[str]:
    ids = asked.get("ids", [])
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise ReviewError(f"ids are {ids!r:.40}; give a list of ids")
    return ids


def find_nodes(session: Session) -> dict[str, str]:
    """The nodes that r, g and p are about, and their capitals: key -> path; none while the class is unsettled."""
    question = session.question
    if question is None or not session.node(question.subject):
        return {}
    return {"small": find_node(session), "capital": find_node(session, superclass=True)}
