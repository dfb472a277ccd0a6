"""The questions of a review, most disputed first, and suggested answers: pure functions of a review's state."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from hierarchy.checks import check
from hierarchy.errors import ReviewError, nearest
from hierarchy.names import join_path, split_path
from hierarchy.proposal import Edit, Finding, Merge, Move, Proposal, Vote
from hierarchy.review.state import State, groups, nodes

KINDS = {  # in the order in which they are asked
    "unsettled": "a class without a place",
    "disputed": "a class that a witness would put elsewhere; votes for another superclass come first",
    "ambiguous": "a name shared by several classes, or one with several senses",
    "oversized": "a node far larger than its siblings",
    "near-duplicate": "siblings whose names are almost the same",
    "chain": "a node with a single child",
    "undisputed": "a class that no witness would move",
}
KINDS_OF_NODES = ("oversized", "near-duplicate", "chain")
OTHER_SUPERCLASS = 2.0  # how much more a vote for another superclass weighs than one for another group
MOST_SUGGESTIONS = 6  # more would not be read


@dataclass(frozen=True)
class Question:
    """A question about one class or node.

    Args:
        subject: the id of a class or the path of a node.
        kinds: why it is asked, of KINDS, in their order.
        weight: how disputed it is; ranks questions of one kind.
        reasons: what the checks say, a sentence each.
        edits: what the checks would do.
    """

    subject: str
    kinds: tuple[str, ...]
    weight: float = 0.0
    reasons: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


def list_questions(state: State, findings: Sequence[Finding], only: Iterable[str] = ()) -> tuple[Question, ...]:
    """All questions in the order in which they are asked, answered ones included.

    Args:
        state: the state of the review.
        findings: what the checks say about this state (`find_now`).
        only: kinds to ask; all if empty.
    """
    wanted = set(only)
    rank = {kind: place for place, kind in enumerate(KINDS)}
    found = [*_about_classes(state, findings), *_about_nodes(findings)]
    chosen = [question for question in found if not wanted or wanted.intersection(question.kinds)]
    return tuple(sorted(chosen, key=lambda question: (rank[question.kinds[0]], -question.weight)))


def parse_kinds(text: str) -> tuple[str, ...]:
    """Parses kinds of questions, such as "disputed,oversized".

    Raises:
        ReviewError: one of them is unknown.
    """
    kinds = tuple(kind.strip() for kind in text.split(",") if kind.strip())
    for kind in kinds:
        if kind not in KINDS:
            raise ReviewError(f"unknown kind of question {kind!r}{nearest(kind, KINDS)}; use {', '.join(KINDS)}")
    return kinds


def find_now(proposal: Proposal, given: Iterable[Finding] = ()) -> tuple[Finding, ...]:
    """What the cheap checks find in a proposal, and the given findings about ambiguous names, each once."""
    if not any(proposal.places):
        return ()
    here = check(Proposal.from_hierarchy(proposal.settled))
    found = [finding for finding in here if finding.kind in KINDS]
    found += [finding for finding in given if finding.kind == "ambiguous"]
    unique: dict[tuple[str, str], Finding] = {}  # the checks may find again what was given
    for finding in found:
        unique.setdefault((finding.node, finding.message), finding)
    return tuple(unique.values())


def add_votes(proposal: Proposal, findings: Iterable[Finding]) -> Proposal:
    """The proposal, with findings of WordNet and the embedding as votes where these witnesses have none."""
    votes: defaultdict[str, tuple[Vote, ...]] = defaultdict(tuple, proposal.votes)
    for finding in findings:
        known = {vote.witness for vote in votes[finding.node]}
        for witness in ("wordnet", "embedding"):
            if finding.kind == witness and witness not in known and isinstance(finding.edit, Move):
                strength = min(1.0, max(0.0, finding.weight))
                votes[finding.node] += (Vote(witness, finding.edit.to, strength, finding.message),)
    return replace(proposal, votes={id: votes[id] for id in proposal.classes.ids if votes[id]})


def measure_dispute(place: str, votes: Iterable[Vote]) -> float:
    """How much the witnesses disagree with a place; 0 if none does.

    >>> measure_dispute("fish/sharks", [Vote("llm", "fish/rays", 0.6, ""), Vote("wordnet", "mammals", 0.5, "")])
    1.6
    """
    superclass, _, group = place.partition("/")
    weight = 0.0
    for vote in votes:
        other, _, inside = vote.node.partition("/")
        if other != superclass:
            weight += OTHER_SUPERCLASS * vote.strength
        elif inside and inside != group:
            weight += vote.strength
    return weight


def current_votes(id: str, state: State) -> tuple[Vote, ...]:
    """The votes about a class, with the nodes' current paths."""
    return tuple(replace(vote, node=state.current_path(vote.node)) for vote in state.proposal.votes.get(id, ()))


def _about_classes(state: State, findings: Sequence[Finding]) -> list[Question]:
    proposal = state.proposal
    ambiguous: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.kind == "ambiguous":
            for id in dict.fromkeys([finding.node, *finding.evidence.get("ids", ())]):
                ambiguous[id].append(finding.message)
    voted = {vote.node for votes in proposal.votes.values() for vote in votes}
    now = {node: state.current_path(node) for node in voted}
    places = zip(proposal.classes.ids, proposal.places, strict=True)
    found = []
    for id, place in sorted(places, key=lambda pair: pair[1] or ("", "")):
        votes = [replace(vote, node=now[vote.node]) for vote in proposal.votes.get(id, ())]
        weight = measure_dispute(join_path(*place), votes) if place else 0.0
        kinds = [] if place else ["unsettled"]
        kinds += ["disputed"] if weight > 0 else []
        kinds += ["ambiguous"] if id in ambiguous else []
        found.append(Question(id, tuple(kinds) or ("undisputed",), weight, tuple(ambiguous.get(id, ()))))
    return found


def _about_nodes(findings: Sequence[Finding]) -> list[Question]:
    by_node: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.kind in KINDS_OF_NODES:
            by_node[finding.node].append(finding)
    found = []
    for node, here in by_node.items():
        kinds = tuple(kind for kind in KINDS if kind in {finding.kind for finding in here})
        edits = tuple(finding.edit for finding in here if finding.edit)
        weight = max(finding.weight for finding in here)
        found.append(Question(node, kinds, weight, tuple(finding.message for finding in here), edits))
    return found


# Suggestions


def suggest(question: Question, state: State) -> tuple[Edit, ...]:
    """Edits that may answer a question, likeliest first."""
    if question.subject not in state.proposal.classes.ids:
        return tuple(dict.fromkeys([*question.edits, *_suggest_for_chain(question, state)]))[:MOST_SUGGESTIONS]
    return tuple(Move(question.subject, to) for to in rank_groups(question.subject, state))[:MOST_SUGGESTIONS]


def rank_groups(id: str, state: State) -> list[str]:
    """Groups a class may belong to, likeliest first: those voted for, then siblings by the words they share."""
    here = state.proposal.place(id)
    superclass = here.partition("/")[0]
    shared = _count_shared_words(id, state.proposal)
    votes: dict[str, float] = {}
    for vote in current_votes(id, state):
        if "/" in vote.node:
            if vote.node in shared:  # a group that was dissolved comes back by the key n only
                votes[vote.node] = votes.get(vote.node, 0) + vote.strength
        elif vote.node != superclass:
            inside = [path for path in shared if path.startswith(vote.node + "/")]
            if inside:
                best = max(inside, key=shared.__getitem__)
                votes[best] = votes.get(best, 0) + vote.strength / 2
    by_votes = sorted(votes, key=lambda path: (-votes[path], path))
    likely = superclass or (by_votes[0].partition("/")[0] if by_votes else "")
    siblings = [path for path in shared if (path.partition("/")[0] == likely if likely else shared[path] > 0)]
    by_words = sorted(siblings, key=lambda path: (-shared[path], path))
    return [path for path in dict.fromkeys([*by_votes, *by_words]) if path != here]


def _suggest_for_chain(question: Question, state: State) -> list[Edit]:
    """Moves of the single class of a group, or merges of a superclass with a single group."""
    if "chain" not in question.kinds:
        return []
    proposal = state.proposal
    below = [id for id in proposal.classes.ids if f"{proposal.place(id)}/".startswith(f"{question.subject}/")]
    if "/" in question.subject and len(below) == 1:
        return [Move(below[0], to) for to in rank_groups(below[0], state)]
    others = [path.partition("/")[0] for id in below[:1] for path in rank_groups(id, state)]
    superclasses = [name for name in dict.fromkeys([*others, *sorted(nodes(proposal))]) if "/" not in name]
    return [Merge(question.subject, name) for name in superclasses if name != question.subject]


def _count_shared_words(id: str, proposal: Proposal) -> dict[str, float]:
    """For each group, how many words its name and its classes' names share with a class's name and definition."""
    classes = proposal.classes
    words_of = {other: _words(name) for other, name in zip(classes.ids, classes.names, strict=True)}
    definition = classes.definitions[classes.ids.index(id)]
    own = words_of.pop(id) | _words(definition)
    common = Counter(word for words in words_of.values() for word in words)
    shared = {path: float(len(own & _words(split_path(path)[-1]))) for path in sorted(groups(proposal))}
    for other, words in words_of.items():
        if proposal.place(other):
            both = sorted(words & own)  # a sum in the order of a set differs from run to run
            shared[proposal.place(other)] += sum(1 / (1 + common[word]) for word in both)
    return shared


@lru_cache(maxsize=1 << 16)
def _words(text: str) -> frozenset[str]:
    """The telling words of a text, in lower case, without the plural's s."""
    words = re.findall(r"[^\W\d_]{3,}", text.casefold())
    return frozenset(word.rstrip("s") for word in words if word not in _STOP_WORDS)


_STOP_WORDS = frozenset(
    re.findall(r"\w+", "and any are for from has having its large not often one other small some that the with used")
)
