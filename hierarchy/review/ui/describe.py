"""What both user interfaces say about a question: definition, place, votes."""

from __future__ import annotations

from collections.abc import Sequence

from hierarchy.english import count
from hierarchy.proposal import Vote
from hierarchy.review.session import Session
from hierarchy.review.ui.actions import DIGITS, DIGITS_HELP, KEYS

TITLES = {"llm": "LLM", "wordnet": "WordNet", "embedding": "embedding"}
SIGNS = {
    "=": "agrees with the place",
    "~": "for another group of this superclass",
    "≠": "for another superclass",
    "→": "for a place, since it has none",
}
STRENGTHS = {
    "llm": "the number is the share of its votes.",
    "wordnet": "the number is the share of that group's classes that have the hypernym.",
    "embedding": "the number says how much more similar it is to that group than to the other: the difference of"
    " the two mean similarities (cosine) after the names.",
}
ABSTAINS = {
    "llm": "has not voted.",
    "wordnet": "abstains: the meaning is a guess, the group has fewer than 3 classes, or shares no telling hypernym.",
    "embedding": "abstains: the group has fewer than 3 classes, none is nearer than chance, or two are equally near.",
}
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
    rest = f" ({count(session.unasked, 'class')} that nothing speaks against were not asked about)"
    return f"no question is left{unsettled}{rest if session.unasked else ''}; search for a class, undo or quit"


def describe_numbers(session: Session) -> list[str]:
    """What the numbers on the screen of this question mean, a line each."""
    question = session.question
    if question is None:
        return ["There is no question, so there are no numbers to explain."]
    number, of = session.position
    lines = [
        f"({number}/{of}): question {number} of {of}. The most doubtful come first, about one for every ten classes."
        if number <= of
        else f"You went here yourself; all {of} questions are answered or skipped."
    ]
    if session.is_class(question.subject):
        lines += [_explain_vote(session, question.subject, vote) for vote in session.votes(question.subject)]
        silent = {*TITLES} - {vote.witness for vote in session.votes(question.subject)}
        lines += [f"{TITLES[witness]}: {ABSTAINS[witness]}" for witness in TITLES if witness in silent]
    if session.suggestions:
        lines.append("1-9: what the checks propose; then the groups voted for, strongest first; then shared words.")
    return lines


def _explain_vote(session: Session, id: str, vote: Vote) -> str:
    sign = describe_vote(session, id, vote)[0]
    return f"{TITLES[vote.witness]} {sign} {vote.strength:.2f}: {SIGNS[sign]}; {STRENGTHS[vote.witness]}"


def describe_keys() -> str:
    """All keys and what they do, one per line."""
    rows = [(DIGITS, DIGITS_HELP), *((key.key, f"{key.label}: {key.help}") for key in KEYS)]
    return "\n".join(f"{key:4} {text}" for key, text in rows)


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
