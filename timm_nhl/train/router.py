"""Training the router beside the classes: one more term of the loss, on the same batches."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hierarchy import Hierarchy
from timm_nhl.train.losses import of_nodes


class WithScores(nn.Module):
    """A model that also keeps the router's scores of its last batch, so that any loss of its logits can be used.

    Args:
        model: has `forward_scores` and a router.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model
        self.scores: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, K)."""
        logits: Tensor
        logits, self.scores = self.model.forward_scores(x)
        return logits


class RouterLoss(nn.Module):
    """Cross-entropy of the router's scores on the groups of the classes.

    The softmax runs over the groups of the hierarchy, also where the router scores more, in an expert: nothing in an
    expert's images says how likely other groups are. Labels are not smoothed: how much of its probability the router
    gives to few groups decides how many have to run.

    Args:
        tree: the hierarchy of the K classes.
        rows: for each of its N groups, its column in the scores.
    """

    group_of: Tensor
    rows: Tensor

    def __init__(self, tree: Hierarchy, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("group_of", torch.tensor(tree.ancestors(2)), persistent=False)  # (K,)
        self.register_buffer("rows", rows.clone(), persistent=False)  # (N,)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """(B, G) scores, (B,) labels or (B, K) probabilities -> the loss, a mean over the batch."""
        target = of_nodes(target, self.group_of) if target.ndim == 2 else self.group_of[target]  # (B, N) or (B,)
        return F.cross_entropy(scores.index_select(1, self.rows).float(), target)
