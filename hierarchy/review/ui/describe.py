"""What both user interfaces say about a question: definition, place, votes."""

from __future__ import annotations

from collections.abc import Sequence

from hierarchy.english import count
from hierarchy.proposal import Vote
from hierarchy.review.session import Session
from hierarchy.review.ui.actions import DIGITS, DIGITS_HELP, KEYS

TITLES = {"llm": "LLM", "wordnet": "WordNet", "embedding": "embedding"}
MOST_NAMED = 12  # classes of a node; the rest are counted


def describe_question(session: Session) -> list[str]:
    """What is known about the subject of the question, a paragraph each; votes and suggestions are shown next to it."""
    question = session.require_question()
    subject, members = question.subject, session.members(session.node(question.subject))
    if not session.is_class(subject):
        names = _join([session.name(id) for id in members])
        return [f"holds {count(len(members), 'class')}: {names}", *question.reasons]
    classes, group = session.proposal.classes, session.node(subject)
    others = [session.name(id) for id in members if id != subject]
    place = f"in {group} with {_join(others)}" if others else f"alone in {group}"
    definition = classes.definitions[classes.ids.index(subject)]
    return [*filter(None, [definition]), place if group else "unsettled: it has no place yet", *question.reasons]


def describe_vote(session: Session, id: str, vote: Vote) -> str:
    """A vote against the place of a class: "=" agrees, "~" another group, "≠" another superclass."""
    group = session.node(id)
    superclass, _, inside = vote.node.partition("/")
    if not group:
        return f"→ {vote.strength:.2f} {vote.node}"
    if group.partition("/")[0] != superclass:
        return f"≠ {vote.strength:.2f} {vote.node}"
    differs = inside and vote.node != group
    return f"~ {vote.strength:.2f} {vote.node}" if differs else f"= {vote.strength:.2f} here"


def describe_end(session: Session) -> str:
    """What is said when no question is left."""
    left = len(session.proposal.unsettled)
    unsettled = f", but {count(left, 'class')} {'is' if left == 1 else 'are'} unsettled" if left else ""
    return f"no question is left{unsettled}; search for a class, undo or quit"


def describe_keys() -> str:
    """All keys and what they do, one per line."""
    rows = [(DIGITS, DIGITS_HELP), *((key.key, f"{key.label}: {key.help}") for key in KEYS)]
    return "\n".join(f"{key:4} {text}" for key, text in rows)


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
