"""Picking and adding the classes of a head."""

from __future__ import annotations

from collections.abc import Sequence

from timm_nhl.models.head import Head, LeafFC
from timm_nhl.models.levels import join, shallow, take


def take_head(head: Head, rows: Sequence[int], *, share: bool = False) -> Head:
    """The head of some leaves, in the order given."""
    kept = shallow(head)
    kept._modules = dict(head._modules)
    if isinstance(head.fc, LeafFC):
        kept.fc = take(head.fc, rows, head.fc.nodes, share=share)
    return kept


def merge_heads(first: Head, second: Head, order: Sequence[int]) -> Head:
    """The head of the leaves of two; `order` gives each leaf's place among those of the first and then the second."""
    both = shallow(first)
    both._modules = dict(first._modules)
    both.fc = join(first.fc, second.fc)
    return take_head(both, order)
