"""Which groups of a network run for an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from timm_nhl.errors import OptionError


def choose(probabilities: Tensor, superclasses: Sequence[int], keep: int) -> Tensor:
    """The groups below the most likely superclasses of each image: (B, N) -> (B, N), True where a group runs.

    Args:
        probabilities: of the N groups, in node order.
        superclasses: (N,) the superclass of each group.
        keep: how many superclasses run; more than there are is all of them.

    Raises:
        OptionError: fewer than one.

    >>> choose(torch.tensor([[0.4, 0.3, 0.3]]), [0, 1, 1], keep=1)
    tensor([[False,  True,  True]])
    """
    if type(keep) is not int or keep < 1:
        raise OptionError(f"keep={keep!r} is not a whole number >= 1; use the number of superclasses to run")
    parents = torch.tensor(superclasses, device=probabilities.device)
    count = max(superclasses) + 1
    sums = probabilities.new_zeros(len(probabilities), count).index_add(1, parents, probabilities)  # (B, S)
    best = sums.topk(min(keep, count), dim=1).indices
    kept = torch.zeros_like(sums, dtype=torch.bool).scatter(1, best, True)
    return kept.index_select(1, parents)
