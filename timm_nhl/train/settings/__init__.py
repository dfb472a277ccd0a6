"""What decides a training: its settings, which of them go together, and how the data choose what is left open."""

from timm_nhl.train.settings.config import Chosen, Settings, describe, flag
from timm_nhl.train.settings.conflicts import check, list_nested_only
from timm_nhl.train.settings.defaults import Facts, choose, complete, find_start

__all__ = [
    "Chosen",
    "Facts",
    "Settings",
    "check",
    "choose",
    "complete",
    "describe",
    "find_start",
    "flag",
    "list_nested_only",
]
