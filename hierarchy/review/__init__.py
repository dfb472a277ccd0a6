"""Reviews: what a person decided about a proposal, and the hierarchy that follows from it.

`state.replay` applies a decision log to a proposal: it decides which group a class ends up in. A `Session` asks
questions and takes decisions; `open_session` opens one on a file; `hierarchy.review.ui` shows it.
"""

from hierarchy.review.changes import list_changes
from hierarchy.review.explanation import explain
from hierarchy.review.log import Undo, decision_to_dict
from hierarchy.review.opening import (
    describe_outcome,
    find_embedder,
    is_proposal,
    look_at,
    open_session,
    read_current,
    read_reviewed,
    replay_log,
    summarize,
)
from hierarchy.review.questions import parse_kinds, read_meaning
from hierarchy.review.session import Session
from hierarchy.review.state import groups
from hierarchy.review.storage import Paths, find_paths, hold_lock

__all__ = [
    "Paths",
    "Session",
    "Undo",
    "decision_to_dict",
    "describe_outcome",
    "explain",
    "find_embedder",
    "find_paths",
    "groups",
    "hold_lock",
    "is_proposal",
    "list_changes",
    "look_at",
    "open_session",
    "parse_kinds",
    "read_current",
    "read_meaning",
    "read_reviewed",
    "replay_log",
    "summarize",
]
