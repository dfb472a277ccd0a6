"""Which rows of which level a set of classes needs, and running a model with only those."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hierarchy import Hierarchy
from timm_nhl.errors import OptionError
from timm_nhl.experts.slicing import take_head
from timm_nhl.models.levels import Level

if TYPE_CHECKING:
    from timm_nhl.models.head import Head
    from timm_nhl.models.nhl import NHL

# model id -> its selection, in this thread or task only
_ACTIVE: ContextVar[Mapping[int, Selection] | None] = ContextVar("timm_nhl_selection", default=None)


@dataclass(frozen=True)
class Rows:
    """The nodes of one level that are kept: `rows`, ascending, and how many each parent that is kept has."""

    rows: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Maximal stretches of neighbouring rows, each (first, past the last).

        >>> Rows((0, 1, 4), (3,)).runs
        ((0, 2), (4, 5))
        """
        starts = [i for i, row in enumerate(self.rows) if i == 0 or row != self.rows[i - 1] + 1]
        ends = [*starts[1:], len(self.rows)]
        return tuple((self.rows[start], self.rows[end - 1] + 1) for start, end in zip(starts, ends, strict=True))


def labels_of(hierarchy: Hierarchy, asked: str | Iterable[str]) -> tuple[int, ...]:
    """Labels below what is asked (ids, names, node paths, mixed freely), ascending.

    Raises:
        hierarchy.errors.UnknownNode, AmbiguousName: as in `Hierarchy.labels`.
        OptionError: nothing is asked for.
    """
    wanted = [asked] if isinstance(asked, str) else list(asked)
    if not wanted:
        raise OptionError("no classes were asked for; name at least one class or node, '' for all")
    return hierarchy.labels(*wanted)


def rows_of(hierarchy: Hierarchy, labels: Sequence[int]) -> tuple[Rows, Rows, Rows]:
    """For each level, the nodes on the way to some classes.

    >>> import timm_nhl
    >>> [level.rows for level in rows_of(timm_nhl.balanced(8), [0, 7])]
    [(0, 1), (0, 3), (0, 7)]
    """
    levels = []
    above: Sequence[int] = [0] * len(hierarchy)  # for each label, its node one level up; the root at first
    for level in (1, 2, 3):
        ancestors = hierarchy.ancestors(level)
        parent_of = {ancestors[label]: above[label] for label in labels}
        rows = sorted(parent_of)
        counts = Counter(parent_of.values())
        levels.append(Rows(tuple(rows), tuple(counts[parent] for parent in sorted(counts))))
        above = ancestors
    return levels[0], levels[1], levels[2]


def same_rows(whole: Hierarchy, part: Hierarchy) -> tuple[Rows, Rows, Rows] | None:
    """The rows of a hierarchy's levels that make up another one; None if that is no subset of it."""
    label_of = {id: label for label, id in enumerate(whole.classes)}
    if any(label_of.get(row[0]) is None or whole.rows[label_of[row[0]]] != row for row in part.rows):
        return None
    return rows_of(whole, [label_of[id] for id in part.classes])


class Selection:
    """A model restricted to some classes without copying a weight: every run of neighbouring rows is a view.

    Has `hierarchy` (of the wanted classes) and `labels` (their labels in the whole model, ascending).
    """

    def __init__(self, model: NHL, labels: Sequence[int]) -> None:
        self.labels = tuple(labels)
        self.hierarchy = model.hierarchy.at(self.labels)
        kept = rows_of(model.hierarchy, self.labels)
        self._trunk = model.trunk
        self._levels = [_pieces(level, rows) for level, rows in zip(model.each_level(), kept, strict=True)]
        self._heads = _head_pieces(model.head, kept[2], self.hierarchy)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, N*D, h, w) for the N wanted leaves."""
        x = self._trunk(x)
        for pieces in self._levels:
            # (B, P*C, h, w) -> (B, N*D, h', w')
            parts = [level(x[:, first * level.in_channels : last * level.in_channels]) for level, first, last in pieces]
            x = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, N*D, h, w) -> (B, N), in label order."""
        parts = [head(x[:, first:last], pre_logits) for head, first, last in self._heads]
        x = torch.cat(parts, dim=1)
        return x if pre_logits or not self._heads[0][0].classify else x[:, list(self.hierarchy.ancestors(3))]


@contextmanager
def active(model: NHL, selection: Selection) -> Iterator[Selection]:
    """Makes a selection the one its model uses, in this thread (or asyncio task) and this block."""
    token = _ACTIVE.set({**(_ACTIVE.get() or {}), id(model): selection})
    try:
        yield selection
    finally:
        _ACTIVE.reset(token)


def current(model: NHL) -> Selection | None:
    """The selection in force for a model here and now."""
    selections = _ACTIVE.get()
    return None if selections is None else selections.get(id(model))


def _pieces(level: Level, kept: Rows) -> list[tuple[Level, int, int]]:
    """One level of views per run of rows, with the range of kept parents that it reads."""
    parent_of = [parent for parent, count in enumerate(kept.counts) for _ in range(count)]
    pieces, done = [], 0
    for start, end in kept.runs:
        mine = parent_of[done : done + end - start]
        first, last = mine[0], mine[-1] + 1
        counts = [mine.count(parent) for parent in range(first, last)]
        pieces.append((level.take(range(start, end), counts, share=True), first, last))
        done += end - start
    return pieces


def _head_pieces(head: Head, kept: Rows, hierarchy: Hierarchy) -> list[tuple[Head, int, int]]:
    pieces, done = [], 0
    for start, end in kept.runs:
        size = end - start
        piece = take_head(head, range(start, end), share=True)
        piece.set_order(range(size), torch.device("cpu"))
        pieces.append((piece, done * head.channels, (done + size) * head.channels))
        done += size
    return pieces
