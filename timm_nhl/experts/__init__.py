"""Which nodes of each level an expert of some classes needs.

Knows hierarchies only; cutting an expert out of a network is `NHL.expert`.
"""

from timm_nhl.experts.rows import Rows, match_labels, resolve_labels, select_rows

__all__ = ["Rows", "match_labels", "resolve_labels", "select_rows"]
