"""How long bundles take on this machine, next to each other and to the plain backbone, and what memory they need."""

from timm_nhl.latency.measure import Entry, Row, Timing, list_entries, measure
from timm_nhl.latency.plain import write_plain
from timm_nhl.latency.report import show, to_dict

__all__ = ["Entry", "Row", "Timing", "list_entries", "measure", "show", "to_dict", "write_plain"]
