"""The router: a linear layer on the trunk that scores groups."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hierarchy.errors import nearest
from timm_nhl.errors import OptionError
from timm_nhl.models.levels import join, shallow, take

GRID = 3  # the map is pooled to 3 x 3 means: one knows 44 % of the groups of unseen icons, nine 77 % (decision 0040)


class Router(nn.Module):
    """Scores the groups of a network by the trunk's features: (B, C, h, w) -> (B, G).

    It is linear in them: pooled to a grid, normalised, multiplied. There is one softmax over all G groups; the
    probability of a superclass is the sum of its groups'. An expert keeps
    all G rows: the groups that it does not have are where images of none of its classes belong.

    The trunk learns nothing from it: it is trained on the features as they are. Its weights start at zero, where all
    groups are equally likely.

    Args:
        channels: C.
        scored: paths of the G groups of the network that the router is trained in.
        groups: paths of the N groups that the model has, all of them among `scored`.

    Raises:
        OptionError: a group that is not scored, or is listed twice.

    >>> router = Router(8, ["animals/cats", "animals/dogs", "tools/saws"], ["animals/dogs"]).eval()
    >>> scores = router(torch.zeros(1, 8, 4, 4)).detach()
    >>> router.probabilities(scores), router.none_of_these(scores)
    (tensor([[0.3333]]), tensor([0.6667]))
    """

    own: Tensor

    def __init__(self, channels: int, scored: Sequence[str], groups: Sequence[str]) -> None:
        super().__init__()
        self.scored = tuple(scored)
        self.norm = nn.BatchNorm1d(GRID * GRID * channels, affine=False)
        self.fc = nn.Linear(GRID * GRID * channels, len(self.scored), device="meta")  # draws no random numbers
        self.fc.weight = nn.Parameter(torch.zeros(self.fc.weight.shape))
        self.fc.bias = nn.Parameter(torch.zeros(len(self.scored)))
        self.set_groups(groups)

    def set_groups(self, groups: Sequence[str], device: torch.device | None = None) -> None:
        """Says which of the scored groups the model has."""
        row_of = {path: row for row, path in enumerate(self.scored)}
        missing = [path for path in groups if path not in row_of]
        if missing:
            near = nearest(missing[0], self.scored)
            raise OptionError(
                f"the router does not score {missing[0]!r}, a group of the hierarchy{near}; list all groups of the"
                " network that it is trained in, or use router=True for those of the hierarchy"
            )
        if len(row_of) < len(self.scored):
            twice = next(path for path in self.scored if self.scored.count(path) > 1)
            raise OptionError(f"the router lists the group {twice!r} twice; list each group once")
        self.groups = tuple(groups)
        own = torch.tensor([row_of[path] for path in groups], dtype=torch.long, device=device)
        self.register_buffer("own", own, persistent=False)  # (N,), each group's row

    def init_non_persistent_buffers(self) -> None:
        """Fills the index buffer again, after a model was built on the meta device (timm's name for it)."""
        self.set_groups(self.groups, self.own.device)

    @property
    def is_whole(self) -> bool:
        """Whether the model has all groups that are scored."""
        return len(self.groups) == len(self.scored)

    def take(self, groups: Sequence[str], *, share: bool = False) -> Router:
        """The router of a model with some of the groups; it keeps all rows.

        Args:
            share: use the same memory for the weights.
        """
        router, scored = shallow(self), len(self.scored)
        router.norm = take(self.norm, range(1), 1, share=share)
        router.fc = take(self.fc, range(scored), scored, siblings=True, share=share)
        router.set_groups(groups, self.own.device)
        return router

    def extend(self, groups: Sequence[str]) -> Router:
        """A router of more groups only, fresh, with the norm of this one."""
        fresh = copy.deepcopy(self)
        fresh.scored = tuple(groups)
        for name, value in self.fc.named_parameters():
            fresh.fc._parameters[name] = nn.Parameter(value.new_zeros(len(groups), *value.shape[1:]))
        fresh.fc.out_features = len(groups)
        fresh.set_groups(groups, self.own.device)
        return fresh

    def join(self, other: Router) -> Router:
        """The router that scores the groups of both, those of this one in front, for a model that has all of these."""
        router = self.take(self.groups)
        router.fc = join(self.fc, other.fc, siblings=True)
        router.scored = (*self.scored, *other.scored)
        router.set_groups((*self.groups, *other.groups), self.own.device)
        return router

    def pool(self, x: Tensor) -> Tensor:
        """What is scored: (B, C, h, w) -> (B, 9*C); maps of fewer places repeat theirs."""
        return F.adaptive_avg_pool2d(x.detach(), GRID).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, G)."""
        y: Tensor = self.fc(self.norm(self.pool(x)))
        return y

    def probabilities(self, scores: Tensor) -> Tensor:
        """Scores (B, G) -> the probability (B, N) of each group that the model has, in node order."""
        return scores.softmax(1).index_select(1, self.own)

    def none_of_these(self, scores: Tensor) -> Tensor:
        """Scores (B, G) -> the probability (B,) that an image is of none of the groups that the model has."""
        return scores.softmax(1).index_fill(1, self.own, 0.0).sum(1)

    def extra_repr(self) -> str:
        return f"{len(self.scored)} groups, {len(self.groups)} of them here"
