"""Reviews: what a person decided about a proposal, and the hierarchy that follows from it.

`replay` applies a decision log to a proposal: it decides which group a class ends up in. A `Session` asks questions and
takes decisions; `open_session` opens one on a file; `hierarchy.review.ui` shows it.
"""

from hierarchy.review.changes import Change, list_changes
from hierarchy.review.explanation import Explanation, explain
from hierarchy.review.log import Accept, Decision, Log, Undo, decision_to_dict, read_log
from hierarchy.review.opening import describe_outcome, look_at, open_session, read_reviewed, replay_log, summarize
from hierarchy.review.queue import parse_kinds
from hierarchy.review.session import Session, utc_now
from hierarchy.review.state import History, State, groups, replay
from hierarchy.review.storage import Notify, Paths, find_paths, hold_lock, read_base

__all__ = [
    "Accept",
    "Change",
    "Decision",
    "Explanation",
    "History",
    "Log",
    "Notify",
    "Paths",
    "Session",
    "State",
    "Undo",
    "decision_to_dict",
    "describe_outcome",
    "explain",
    "find_paths",
    "groups",
    "hold_lock",
    "list_changes",
    "look_at",
    "open_session",
    "parse_kinds",
    "read_base",
    "read_log",
    "read_reviewed",
    "replay",
    "replay_log",
    "summarize",
    "utc_now",
]
