"""Which groups of a network run for an image."""

from __future__ import annotations

import torch
from torch import Tensor

from timm_nhl.errors import OptionError


def choose(probabilities: Tensor, keep: float) -> Tensor:
    """The most likely groups of each image: (B, N) -> (B, N), True where a group runs; at least one does.

    Args:
        probabilities: of the N groups.
        keep: a share of the probability of all N groups, which the fewest groups hold that run; or, as a whole number,
            how many groups run.

    Raises:
        OptionError: neither a share above 0 and below 1 nor a whole number >= 1.

    >>> choose(torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.2, 0.4]]), keep=0.7)
    tensor([[ True,  True, False],
            [ True, False,  True]])
    >>> choose(torch.tensor([[0.6, 0.3, 0.1]]), keep=1)
    tensor([[ True, False, False]])
    """
    is_count = isinstance(keep, int) and not isinstance(keep, bool) and keep >= 1
    if not is_count and not (isinstance(keep, float) and 0 < keep < 1):
        raise OptionError(
            f"keep={keep!r} is neither a share of probability above 0 and below 1 nor a number of groups; use one like"
            " 0.98 or 2"
        )
    values, groups = probabilities.sort(dim=1, descending=True)
    if is_count:
        kept = (torch.arange(values.shape[1], device=values.device) < keep).expand_as(values)
    else:
        before = values.cumsum(1) - values  # what more likely groups hold
        kept = before < keep * values.sum(1, keepdim=True)
        kept[:, 0] = True  # also where rounding has it otherwise
    return torch.zeros_like(kept).scatter(1, groups, kept)
