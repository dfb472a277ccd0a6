"""The result of a review, X.json: made from the proposal and the log; the same two give the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hierarchy.errors import ReviewError
from hierarchy.files import read_json, write_text
from hierarchy.io import read, save
from hierarchy.proposal import Proposal
from hierarchy.review.log import Accept, Decision, Log, Undo
from hierarchy.review.session import Session
from hierarchy.review.state import placed_ids, replay
from hierarchy.review.storage import Paths


def write_result(paths: Paths, session: Session) -> None:
    """Writes X.json, unless a class is unsettled.

    Raises:
        OutputError: it cannot be written.
    """
    if session.proposal.unsettled:
        return
    provenance = describe_origin(session)
    save(session.proposal.hierarchy(), paths.result, provenance=provenance)
    if paths.is_csv:
        write_text(paths.provenance, json.dumps(provenance, ensure_ascii=False, indent=1) + "\n")


def describe_origin(session: Session) -> dict[str, Any]:
    """The provenance of a result: the proposal's, who decided, and how many classes were looked at."""
    base, decisions = session.base, session.history.decisions
    if not decisions:
        return dict(base.provenance)
    before = base.provenance.get("reviewed_by") or []
    reviewers = {*([before] if isinstance(before, str) else before), *(decision.who for decision in decisions)}
    reviewed, single = session.state.classes, _reviewed_singly(decisions)
    return {
        **base.provenance,
        "reviewed_by": sorted(reviewers),
        "review": {
            "decisions": len(decisions),
            "reviewed": len(reviewed),
            "one_by_one": len(reviewed & single),
            "together": len(reviewed - single),
            "classes": len(base.classes),
            "until": decisions[-1].time,
            "base": base.digest,
            "log": session.log.digest,
        },
    }


def _reviewed_singly(decisions: Sequence[Decision]) -> frozenset[str]:
    """Ids of the classes that were placed by hand, or accepted by an act that accepted nothing else."""
    accepted = Counter(decision.act for decision in decisions if isinstance(decision.what, Accept))
    found: set[str] = set()
    for decision in decisions:
        if isinstance(decision.what, Accept):
            found |= {decision.subject} if accepted[decision.act] == 1 else set()
        elif not isinstance(decision.what, Undo):
            found.update(placed_ids(decision.what))
    return frozenset(found)


def check_result(paths: Paths, base: Proposal, log: Log, now: Proposal) -> None:
    """Checks that the result, if there is one, comes from this proposal and this log, so that it may be overwritten.

    Args:
        now: the proposal after the log.

    Raises:
        ReviewError: the result was changed by other means.
        FormatError: it cannot be read.
    """
    if not paths.result.exists():
        return
    held = read(paths.result)
    if held.hierarchy.digest in (base.digest, now.digest):
        return
    origin = read_json(paths.provenance) if paths.is_csv and paths.provenance.exists() else held.provenance
    earlier = log.find_beginning(_find_log_digest(origin))  # a crash leaves a result that is older than the log
    if earlier is None or replay(earlier, base).proposal.digest != held.hierarchy.digest:
        raise ReviewError(
            f"{str(paths.result)!r} was changed outside the review; to keep the change, move {paths.base.name!r} and"
            f" {paths.log.name!r} away; to continue from the log, move {paths.result.name!r} away"
        )


def check_is_new(log: Log, where: Path, base: Proposal) -> None:
    """Checks that a proposal is not itself the result of a log, as when a result is copied along with its log.

    Raises:
        ReviewError: it is.
    """
    if log.decisions and is_result_of(base, log):
        raise ReviewError(
            f"the hierarchy is already the result of {str(where)!r}; to review it again, move the log away; to continue"
            " the old review, generate the proposal again and apply the log with --replay"
        )


def is_result_of(proposal: Proposal, log: Log) -> bool:
    """Whether a proposal is a hierarchy that a log made."""
    return _find_log_digest(proposal.provenance) == log.digest


def _find_log_digest(provenance: Any) -> str:
    """The digest of the log that made a result; "" if its provenance does not say."""
    review = provenance.get("review") if isinstance(provenance, Mapping) else None
    digest = review.get("log") if isinstance(review, Mapping) else None
    return digest if isinstance(digest, str) else ""
