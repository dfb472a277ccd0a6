"""The questions of a review, most doubtful first: pure functions of a review's state.

A person is asked about what the model itself doubts, then about nodes whose classes have little in common, then about
classes that the witnesses would put elsewhere: about one question per ten classes, because a longer list is not
answered with care.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from hierarchy.checks import check
from hierarchy.errors import ReviewError, nearest
from hierarchy.names import join_path
from hierarchy.proposal import Edit, Finding, Merge, Move, Proposal, Rename, Split
from hierarchy.review.questions.votes import current_votes, measure_disagreement, measure_doubt
from hierarchy.review.state import State, groups, list_members

KINDS = {  # in the order in which they are asked
    "unsettled": "a class without a place",
    "unsure": "a class whose place the language model itself doubts: its votes are split, or it says that none fits",
    "mixed": "a node whose classes have little in common",
    "disputed": "a class that WordNet or the embedding would put elsewhere; where a model was sure, only if both would",
    "ambiguous": "a name that several classes share, or one with a second sense that would be elsewhere",
    "oversized": "a node far larger than its siblings",
    "near-duplicate": "siblings whose names are almost the same",
    "chain": "a node with a single child",
    "undoubted": "a class that nothing speaks against; only with `--only undoubted`",
}
KINDS_OF_NODES = ("mixed", "oversized", "near-duplicate", "chain")
GIVEN = ("mixed", "ambiguous")  # what needs vectors or WordNet to find; taken from the findings about the proposal
Seek: TypeAlias = Callable[[Proposal, Mapping[str, str], Collection[str]], Iterable[Finding]]

SHARE, LEAST = 0.1, 5  # questions per class, and the fewest of a small hierarchy


@dataclass(frozen=True)
class Question:
    """A question about one class or node.

    Args:
        subject: the id of a class or the path of a node.
        kinds: why it is asked, of KINDS, in their order.
        weight: how doubtful it is; ranks questions of one kind.
        reasons: what the model and the checks say, a sentence each.
        edits: what the checks would do.
    """

    subject: str
    kinds: tuple[str, ...]
    weight: float = 0.0
    reasons: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


def list_questions(state: State, findings: Sequence[Finding], only: Iterable[str] = ()) -> tuple[Question, ...]:
    """All questions in the order in which they are asked, one about every class, answered ones included.

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


def choose_worthy(questions: Sequence[Question], classes: int) -> frozenset[str]:
    """The subjects that a person is asked about: every unsettled class, and the most doubtful others.

    Args:
        questions: about the first proposal, in order.
        classes: how many classes it has.
    """
    most = max(LEAST, round(SHARE * classes))
    doubtful = [question for question in questions if question.kinds[0] not in ("unsettled", "undoubted")]
    return frozenset(question.subject for question in doubtful[:most])


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


def find_now(
    state: State, given: Iterable[Finding] = (), base: Proposal | None = None, seek: Seek | None = None
) -> tuple[Finding, ...]:
    """What the checks find in a state, and which of the given findings still hold, each once.

    Args:
        state: the state of the review.
        given: findings about the first proposal.
        base: the first proposal.
        seek: (proposal, chosen meanings, nodes) -> those of the nodes that are mixed; it is asked about the nodes that
            hold other classes than in the first proposal, or a class that means something else.
    """
    proposal = state.proposal
    if not any(proposal.places):
        return ()
    here = check(Proposal.from_hierarchy(proposal.settled))
    found = [finding for finding in here if finding.kind in KINDS]
    now = list_members(proposal)
    same = _find_unchanged(state, base or proposal)
    for finding in given:
        if finding.kind == "ambiguous" and finding.node not in state.meanings:
            found.append(finding)
        elif finding.kind == "mixed":
            node = state.current_path(finding.node)
            if node in same:
                said = finding.message.replace(repr(finding.node), repr(node))
                found.append(replace(finding, node=node, message=said, edit=_follow(finding.edit, node, state)))
    changed = now.keys() - same
    found += seek(proposal, state.meanings, changed) if seek and changed else ()
    unique: dict[tuple[str, str], Finding] = {}  # the checks may find again what was given
    for finding in found:
        unique.setdefault((finding.node, finding.message), finding)
    return tuple(unique.values())


def _find_unchanged(state: State, base: Proposal) -> set[str]:
    """Paths of the nodes that hold the same classes, with the same meanings, as in the first proposal."""
    now, before = list_members(state.proposal), list_members(base)
    paths = ((state.current_path(node), ids) for node, ids in before.items())
    return {path for path, ids in paths if now.get(path) == ids and ids.isdisjoint(state.meanings)}


def _follow(edit: Edit | None, node: str, state: State) -> Edit | None:
    """An edit about nodes that were renamed since; None if the group of a move is gone."""
    if isinstance(edit, Move):
        to = state.current_path(edit.to)
        return replace(edit, to=to) if to in groups(state.proposal) else None
    return replace(edit, node=node) if isinstance(edit, Rename | Merge | Split) else edit


def _about_classes(state: State, findings: Sequence[Finding]) -> list[Question]:
    proposal = state.proposal
    ambiguous: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.kind == "ambiguous" and (finding.edit or "ids" in finding.evidence):
            for id in dict.fromkeys([finding.node, *finding.evidence.get("ids", ())]):
                ambiguous[id].append(finding)
    places = zip(proposal.classes.ids, proposal.places, strict=True)
    found = []
    for id, pair in sorted(places, key=lambda pair: pair[1] or ("", "")):
        place, votes = join_path(*pair) if pair else "", current_votes(id, state)
        doubt = measure_doubt(id, place, votes, state) if pair else 0.0
        disagreement = measure_disagreement(place, votes) if pair else 0.0
        kinds = [
            *(["unsettled"] if not pair else []),
            *(["unsure"] if doubt > 0 else []),
            *(["disputed"] if disagreement > 0 else []),
            *(["ambiguous"] if id in ambiguous else []),
        ]
        reasons = [f"the model is unsure: {doubt.why}" for doubt in proposal.doubts.get(id, ())]
        reasons += [finding.message for finding in ambiguous[id]]
        edits = tuple(finding.edit for finding in ambiguous[id] if finding.edit)
        found.append(Question(id, tuple(kinds) or ("undoubted",), doubt or disagreement, tuple(reasons), edits))
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
