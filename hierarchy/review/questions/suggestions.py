"""What may answer a question: the groups that something speaks for, never a list of whatever is near."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from hierarchy.names import split_path
from hierarchy.proposal import Edit, Merge, Move
from hierarchy.review.questions.queue import Question
from hierarchy.review.questions.votes import current_votes
from hierarchy.review.state import State, groups

MOST_SUGGESTIONS = 6  # more would not be read
TELLING = 0.5  # least count of shared words: one that a single other class has


def suggest(question: Question, state: State) -> tuple[Edit, ...]:
    """Edits that may answer a question, likeliest first."""
    if question.subject not in state.proposal.classes.ids:
        return tuple(dict.fromkeys([*question.edits, *_suggest_for_chain(question, state)]))[:MOST_SUGGESTIONS]
    ranked = [Move(question.subject, to) for to in rank_groups(question.subject, state)]
    known = groups(state.proposal)
    given = [edit for edit in question.edits if isinstance(edit, Move) and edit.id == question.subject]
    given = [edit for edit in given if edit.to in known and edit.to != state.proposal.place(edit.id)]
    return tuple(dict.fromkeys([*given, *ranked]))[:MOST_SUGGESTIONS]


def rank_groups(id: str, state: State) -> list[str]:
    """Groups that something speaks for, likeliest first: those voted for, then those that share words with a class.

    A vote for a superclass counts for those of its groups that share most words with the class.
    """
    here = state.proposal.place(id)
    shared = _count_shared_words(id, state)
    votes: dict[str, float] = {}
    for vote in current_votes(id, state):
        if "/" in vote.node:
            if vote.node in shared:  # a group that was dissolved comes back by the key n only
                votes[vote.node] = votes.get(vote.node, 0) + vote.strength
        elif vote.node != here.partition("/")[0]:
            inside = [path for path in shared if path.startswith(vote.node + "/")]
            if inside:
                best = max(inside, key=lambda path: (shared[path], path))
                votes[best] = votes.get(best, 0) + vote.strength / 2
    by_votes = sorted(votes, key=lambda path: (-votes[path], path))
    likely = {path.partition("/")[0] for path in (here, *by_votes)}
    by_words = sorted(
        (path for path in shared if shared[path] >= TELLING),
        key=lambda path: (path.partition("/")[0] not in likely, -shared[path], path),
    )
    return [path for path in dict.fromkeys([*by_votes, *by_words]) if path != here]


def _suggest_for_chain(question: Question, state: State) -> list[Edit]:
    """Moves of the single class of a group, or merges of a superclass with a single group."""
    if "chain" not in question.kinds:
        return []
    proposal = state.proposal
    below = [id for id in proposal.classes.ids if f"{proposal.place(id)}/".startswith(f"{question.subject}/")]
    if "/" in question.subject and len(below) == 1:
        return [Move(below[0], to) for to in rank_groups(below[0], state)]
    if "/" in question.subject:
        return []
    elsewhere = [path.partition("/")[0] for id in below for path in rank_groups(id, state)]
    ranked = Counter(name for name in elsewhere if name != question.subject).most_common()
    return [Merge(question.subject, name) for name, _ in ranked]


def _count_shared_words(id: str, state: State) -> dict[str, float]:
    """For each group, how many words its name and its classes' names share with those of a class.

    The words of its definition count, too, if a person gave it or the class has no place: else it may be a guess.
    """
    proposal, classes = state.proposal, state.proposal.classes
    words_of = {other: _words(name) for other, name in zip(classes.ids, classes.names, strict=True)}
    own = words_of.pop(id)
    if id in state.meanings or not proposal.place(id):
        own |= _words(classes.definitions[classes.ids.index(id)])
    common = Counter(word for words in words_of.values() for word in words)
    shared = {path: float(len(own & _words(split_path(path)[-1]))) for path in sorted(groups(proposal))}
    for other, words in words_of.items():
        if proposal.place(other):
            for word in sorted(words & own):  # in a fixed order: sums of floats depend on it
                shared[proposal.place(other)] += 1 / (1 + common[word])
    return shared


@lru_cache(maxsize=1 << 16)
def _words(text: str) -> frozenset[str]:
    """The telling words of a text, in lower case, without the plural's s."""
    words = re.findall(r"[^\W\d_]{3,}", text.casefold())
    return frozenset(word.rstrip("s") for word in words if word not in _STOP_WORDS)


_STOP_WORDS = frozenset(
    re.findall(r"\w+", "and any are for from has having its large not often one other small some that the with used")
)
