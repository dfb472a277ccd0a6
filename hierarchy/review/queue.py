"""What a review asks, most disputed first, and what it suggests; pure functions of how the review stands."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from hierarchy.checks.checks import check
from hierarchy.errors import ReviewError, nearest
from hierarchy.proposal import Edit, Finding, Merge, Move, Proposal, Vote
from hierarchy.review.state import Standing, groups, nodes

KINDS = {  # in the order in which they are asked
    "unsettled": "a class without a place",
    "disputed": "a class that a witness would put elsewhere; first those that belong into another superclass",
    "ambiguous": "a name of several classes, or of several senses",
    "oversized": "a node far larger than its siblings",
    "near-duplicate": "siblings whose names are almost the same",
    "chain": "a node with a single child",
    "undisputed": "a class that no witness would move",
}
OF_NODES = ("oversized", "near-duplicate", "chain")
FAR = 2.0  # how much more a witness for another superclass weighs than one for another group
MOST = 6  # suggestions; more would not be read

Votes = Mapping[str, tuple[Vote, ...]]


@dataclass(frozen=True)
class Question:
    """What is asked about one class or node.

    Args:
        subject: the id of a class or the path of a node.
        kinds: why it is asked, of KINDS, in their order.
        weight: how much it is disputed; ranks questions of one kind.
        reasons: what the checks say, a sentence each.
        edits: what the checks would do.
    """

    subject: str
    kinds: tuple[str, ...]
    weight: float = 0.0
    reasons: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


def questions(
    standing: Standing, votes: Votes, findings: Sequence[Finding], only: Iterable[str] = ()
) -> tuple[Question, ...]:
    """All questions, in the order in which they are asked, those that are answered among them.

    Args:
        standing: how the review stands.
        votes: what the witnesses say, in the names of the proposal.
        findings: what the checks say about how it stands (see `findings_now`).
        only: kinds to ask; all, if none is given.
    """
    asked = [*_of_classes(standing, votes, findings), *_of_nodes(findings)]
    wanted = set(only)
    rank = {kind: place for place, kind in enumerate(KINDS)}
    chosen = [question for question in asked if not wanted or wanted.intersection(question.kinds)]
    return tuple(sorted(chosen, key=lambda question: (rank[question.kinds[0]], -question.weight)))


def parse_kinds(text: str) -> tuple[str, ...]:
    """Reads kinds of questions, "disputed,oversized".

    Raises:
        ReviewError: one of them is none.
    """
    kinds = tuple(kind.strip() for kind in text.split(",") if kind.strip())
    for kind in kinds:
        if kind not in KINDS:
            raise ReviewError(f"no kind of question {kind!r}{nearest(kind, KINDS)}; there are {', '.join(KINDS)}")
    return kinds


def findings_now(proposal: Proposal, given: Iterable[Finding] = ()) -> tuple[Finding, ...]:
    """What the cheap checks say of a proposal, and of the given findings those about ambiguous names."""
    if not any(proposal.places):
        return ()
    names = [finding for finding in given if finding.kind == "ambiguous"]
    here = check(Proposal.from_hierarchy(proposal.settled))
    found = [finding for finding in here if finding.kind in KINDS] + names
    unique: dict[tuple[str, str], Finding] = {}  # what was found when the proposal was made is found again here
    for finding in found:
        unique.setdefault((finding.node, finding.message), finding)
    return tuple(unique.values())


def with_findings(votes: Votes, findings: Iterable[Finding]) -> Votes:
    """The votes, and as further ones what the checks by WordNet and embeddings found, where they were not asked."""
    more: defaultdict[str, tuple[Vote, ...]] = defaultdict(tuple, votes)
    for finding in findings:
        known = {vote.witness for vote in more[finding.node]}
        for witness in ("wordnet", "embedding"):
            if finding.kind == witness and witness not in known and isinstance(finding.edit, Move):
                vote = Vote(witness, finding.edit.to, min(1.0, max(0.0, finding.weight)), finding.message)
                more[finding.node] += (vote,)
    return {id: said for id, said in more.items() if said}


def dispute(place: str, said: Iterable[Vote]) -> float:
    """How much the witnesses disagree with a place; 0 if none does.

    >>> dispute("fish/sharks", [Vote("llm", "fish/rays", 0.6, ""), Vote("wordnet", "mammals", 0.5, "")])
    1.6
    """
    superclass, _, group = place.partition("/")
    weight = 0.0
    for vote in said:
        there, _, inside = vote.node.partition("/")
        if there != superclass:
            weight += FAR * vote.strength
        elif inside and inside != group:
            weight += vote.strength
    return weight


def said_now(id: str, standing: Standing, votes: Votes) -> tuple[Vote, ...]:
    """What the witnesses say of a class, in the names of now."""
    return tuple(replace(vote, node=standing.now(vote.node)) for vote in votes.get(id, ()))


def _of_classes(standing: Standing, votes: Votes, findings: Sequence[Finding]) -> list[Question]:
    proposal = standing.proposal
    ambiguous: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.kind == "ambiguous":
            for id in dict.fromkeys([finding.node, *finding.evidence.get("ids", ())]):
                ambiguous[id].append(finding)
    now = {node: standing.now(node) for said in votes.values() for node in {vote.node for vote in said}}
    asked = []
    for id, place in sorted(
        zip(proposal.classes.ids, proposal.places, strict=True), key=lambda pair: pair[1] or ("", "")
    ):
        said = [replace(vote, node=now[vote.node]) for vote in votes.get(id, ())]
        weight = dispute("/".join(place), said) if place else 0.0
        kinds = [] if place else ["unsettled"]
        kinds += ["disputed"] if weight > 0 else []
        kinds += ["ambiguous"] if id in ambiguous else []
        reasons = tuple(finding.message for finding in ambiguous.get(id, ()))
        asked.append(Question(id, tuple(kinds) or ("undisputed",), weight, reasons))
    return asked


def _of_nodes(findings: Sequence[Finding]) -> list[Question]:
    found: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.kind in OF_NODES:
            found[finding.node].append(finding)
    asked = []
    for node, all_here in found.items():
        kinds = tuple(kind for kind in KINDS if kind in {finding.kind for finding in all_here})
        edits = tuple(finding.edit for finding in all_here if finding.edit)
        weight = max(finding.weight for finding in all_here)
        asked.append(Question(node, kinds, weight, tuple(finding.message for finding in all_here), edits))
    return asked


# What is suggested


def suggestions(question: Question, standing: Standing, votes: Votes) -> tuple[Edit, ...]:
    """Edits that may answer a question, the likeliest first."""
    if question.subject not in standing.proposal.classes.ids:
        return tuple(dict.fromkeys([*question.edits, *_for_node(question, standing, votes)]))[:MOST]
    return tuple(Move(question.subject, to) for to in targets(question.subject, standing, votes))[:MOST]


def targets(id: str, standing: Standing, votes: Votes) -> list[str]:
    """Groups a class may belong into, likeliest first: those of witnesses by their votes, then siblings by words."""
    proposal = standing.proposal
    here = proposal.place(id)
    superclass = here.partition("/")[0]
    alike = _likeness(id, proposal)
    support: Counter[str] = Counter()
    for vote in said_now(id, standing, votes):
        if "/" in vote.node:
            if vote.node in alike:  # a group that was dissolved comes back only by the key n
                support[vote.node] += vote.strength  # type: ignore[assignment]
        elif vote.node != superclass:
            inside = [path for path in alike if path.startswith(vote.node + "/")]
            if inside:
                support[max(inside, key=alike.__getitem__)] += vote.strength / 2  # type: ignore[assignment]
    by_votes = sorted(support, key=lambda path: (-support[path], path))
    likely = superclass or (by_votes[0].partition("/")[0] if by_votes else "")
    siblings = [path for path in alike if (path.partition("/")[0] == likely if likely else alike[path] > 0)]
    by_words = sorted(siblings, key=lambda path: (-alike[path], path))
    return [path for path in dict.fromkeys([*by_votes, *by_words]) if path != here]


def _for_node(question: Question, standing: Standing, votes: Votes) -> list[Edit]:
    """Ways to mend a chain: its single class elsewhere, or its single group into another superclass."""
    proposal = standing.proposal
    if "chain" not in question.kinds:
        return []
    below = [id for id in proposal.classes.ids if f"{proposal.place(id)}/".startswith(f"{question.subject}/")]
    if "/" in question.subject and len(below) == 1:
        return [Move(below[0], to) for to in targets(below[0], standing, votes)]
    others = Counter(path.partition("/")[0] for id in below[:1] for path in targets(id, standing, votes))
    superclasses = [name for name in dict.fromkeys([*others, *sorted(nodes(proposal))]) if "/" not in name]
    return [Merge(question.subject, name) for name in superclasses if name != question.subject]


def _likeness(id: str, proposal: Proposal) -> dict[str, float]:
    """For each group, how many words of a class's name and definition its own name and its classes' names share."""
    words_of = {other: _words(name) for other, name in zip(proposal.classes.ids, proposal.classes.names, strict=True)}
    about = dict(zip(proposal.classes.ids, proposal.classes.definitions, strict=True))[id]
    own = words_of.pop(id) | _words(about)
    common = Counter(word for words in words_of.values() for word in words)
    alike = {path: float(len(own & _words(path.rpartition("/")[2]))) for path in groups(proposal)}
    for other, words in words_of.items():
        if proposal.place(other):
            alike[proposal.place(other)] += sum(1 / (1 + common[word]) for word in words & own)
    return alike


@lru_cache(maxsize=1 << 16)
def _words(text: str) -> frozenset[str]:
    """The words of a text that say something, in lower case, without the plural's s."""
    words = re.findall(r"[^\W\d_]{3,}", text.casefold())
    return frozenset(word.rstrip("s") for word in words if word not in _UNSAID)


_SAID_BY_ALL = "and any are for from has having its large not often one other small some that the with used"
_UNSAID = frozenset(re.findall(r"\w+", _SAID_BY_ALL))
