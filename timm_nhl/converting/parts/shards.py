"""Which classes one of several independent conversions learns: whole superclasses, about as many classes each."""

from __future__ import annotations

import re

from hierarchy import Hierarchy
from hierarchy.english import count
from timm_nhl.errors import OptionError


def choose_shard(tree: Hierarchy, shard: str) -> tuple[int, ...]:
    """The labels of one of several parts of a hierarchy, which never share a branch.

    Large superclasses are dealt first, each to the part with the fewest classes; so all jobs agree without a word.

    Args:
        shard: K/N, part K of N, counted from 1.

    Raises:
        OptionError: it is not K/N, or there are fewer superclasses than parts.

    >>> [choose_shard(Hierarchy.balanced(8), shard) for shard in ("1/2", "2/2")]
    [(0, 1, 2, 3), (4, 5, 6, 7)]
    """
    found = re.fullmatch(r"(\d+)/(\d+)", shard)
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of:
        raise OptionError(f"--shard {shard!r} is not a part; use K/N, like 1/4 to 4/4")
    if of > tree.sizes[0]:
        superclasses, parts = count(tree.sizes[0], "superclass"), count(tree.sizes[0], "part")
        raise OptionError(
            f"--shard {shard!r}: a superclass is never divided, and the hierarchy has {superclasses}; use at most"
            f" {parts}, or pass another --hierarchy"
        )
    members: list[list[int]] = [[] for _ in range(tree.sizes[0])]
    for label, node in enumerate(tree.ancestors(1)):
        members[node].append(label)
    dealt: list[list[int]] = [[] for _ in range(of)]
    for each in sorted(members, key=len, reverse=True):  # stable: equal ones in node order
        min(dealt, key=len).extend(each)
    return tuple(sorted(dealt[number - 1]))
