"""The votes about a class under review: with the nodes' current paths, and how far they differ from its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from hierarchy.proposal import Finding, Move, Proposal, Vote
from hierarchy.review.state import State

OTHER_SUPERCLASS = 2.0  # how much more a vote for another superclass weighs than one for another group


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


def current_votes(id: str, state: State) -> tuple[Vote, ...]:
    """The votes about a class, with the nodes' current paths."""
    return tuple(replace(vote, node=state.current_path(vote.node)) for vote in state.proposal.votes.get(id, ()))


def differs(vote: Vote, place: str) -> bool:
    """Whether a vote is for another group or superclass than a place.

    >>> [differs(Vote("wordnet", node, 1.0, ""), "fish/eels") for node in ("fish", "fish/eels", "fish/rays")]
    [False, False, True]
    """
    return not f"{place}/".startswith(f"{vote.node}/")


def measure_dispute(place: str, votes: Iterable[Vote]) -> float:
    """How much votes differ from a place; 0 if none does.

    >>> measure_dispute("fish/sharks", [Vote("llm", "fish/rays", 0.6, ""), Vote("wordnet", "mammals", 0.5, "")])
    1.6
    """
    superclass = place.partition("/")[0]
    apart = [vote for vote in votes if differs(vote, place)]
    return sum(
        vote.strength * (OTHER_SUPERCLASS if vote.node.partition("/")[0] != superclass else 1.0) for vote in apart
    )


def measure_doubt(id: str, place: str, votes: Iterable[Vote], state: State) -> float:
    """How unsure the language model that proposed a place is of it: its own doubts, else its votes for other nodes."""
    doubts = state.proposal.doubts.get(id, ())
    if doubts:
        return max(doubt.weight for doubt in doubts)
    return measure_dispute(place, (vote for vote in votes if vote.witness == "llm"))


def measure_disagreement(place: str, votes: Iterable[Vote]) -> float:
    """How strongly WordNet and the embedding agree against a place; 0 where that is no reason to ask a person.

    Against a language model that is sure, both must vote for the same other superclass, or the same other group. Where
    no model has spoken, one is enough if the other does not agree with the place.
    """
    votes = list(votes)
    witnesses = [vote for vote in votes if vote.witness != "llm"]
    apart = [vote for vote in witnesses if differs(vote, place)]
    if len(apart) < len(witnesses) or not apart:
        return 0.0
    if any(vote.witness == "llm" for vote in votes):
        superclass = place.partition("/")[0]
        elsewhere = {
            vote.node if vote.node.startswith(f"{superclass}/") else vote.node.partition("/")[0] for vote in apart
        }
        if len(apart) < 2 or len(elsewhere) > 1:
            return 0.0
    return measure_dispute(place, apart)
