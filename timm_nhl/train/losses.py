"""The loss of a router, beside that of the classes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hierarchy import Hierarchy


def of_nodes(p: Tensor, node_of: Tensor) -> Tensor:
    """Probabilities of nodes: the sums of their classes'.

    Args:
        p: (B, K).
        node_of: (K,), each class's node of the N.

    >>> of_nodes(torch.tensor([[0.5, 0.2, 0.3]]), torch.tensor([0, 1, 0]))
    tensor([[0.8000, 0.2000]])
    """
    nodes = int(node_of.max()) + 1
    return p.new_zeros(p.shape[0], nodes).index_add(1, node_of, p)  # (B, K) -> (B, N)


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
    expert's images says how likely other groups are.

    Args:
        tree: the hierarchy of the K classes.
        rows: for each of its N groups, its column in the scores.
        smoothing: of labels that come as numbers; mixed ones are smoothed already.
    """

    group_of: Tensor
    rows: Tensor

    def __init__(self, tree: Hierarchy, rows: Tensor, *, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("group_of", torch.tensor(tree.ancestors(2)), persistent=False)  # (K,)
        self.register_buffer("rows", rows.clone(), persistent=False)  # (N,)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """(B, G) scores, (B,) labels or (B, K) probabilities -> the loss, a mean over the batch."""
        scores = scores.index_select(1, self.rows).float()  # (B, G) -> (B, N)
        if target.ndim == 2:
            return F.cross_entropy(scores, of_nodes(target, self.group_of).float())
        return F.cross_entropy(scores, self.group_of[target], label_smoothing=self.smoothing)
