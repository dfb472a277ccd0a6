"""Losses that also ask whether the superclass and the group are right: of the classes, and of the router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hierarchy import Hierarchy


class LevelLoss(nn.Module):
    """Cross-entropy on the classes, plus weighted cross-entropies on the superclasses and the groups.

    A node's probability is the sum of its classes' probabilities, so its logit is the logsumexp of theirs: no parameter
    is added, and at the end there is still one softmax over the classes. Targets mixed or smoothed are summed alike.

    Args:
        tree: the hierarchy of the K classes.
        weights: of the superclasses' and the groups' loss.
        smoothing: of labels that come as numbers; mixed ones are smoothed already.

    >>> pets = Hierarchy.from_rows([("a", "a", "cats", "x"), ("b", "b", "cats", "x"), ("c", "c", "dogs", "y")])
    >>> logits = torch.zeros(1, 3)
    >>> loss = LevelLoss(pets, weights=(1.0, 0.0))(logits, torch.tensor([0]))
    >>> torch.isclose(loss, torch.tensor(3.0).log() + torch.tensor(3 / 2).log())  # cats are two of three
    tensor(True)
    """

    level1: Tensor
    level2: Tensor

    def __init__(self, tree: Hierarchy, *, weights: Sequence[float], smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.weights = tuple(weights)
        for level in (1, 2):
            self.register_buffer(f"level{level}", torch.tensor(tree.ancestors(level)), persistent=False)  # (K,)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """(B, K) logits, (B,) labels or (B, K) probabilities -> the loss, a mean over the batch."""
        log_p = F.log_softmax(logits.float(), dim=-1)
        p = self._probabilities(target, log_p)  # (B,) -> (B, K)
        loss = _cross_entropy(log_p, p)
        for weight, node_of in zip(self.weights, (self.level1, self.level2), strict=True):
            if weight:
                loss = loss + weight * _cross_entropy(node_log_probabilities(log_p, node_of), of_nodes(p, node_of))
        return loss

    def _probabilities(self, target: Tensor, like: Tensor) -> Tensor:
        if target.ndim == 2:
            return target.to(like.dtype)
        classes = like.shape[-1]
        return F.one_hot(target, classes).to(like.dtype) * (1 - self.smoothing) + self.smoothing / classes


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


def node_log_probabilities(log_p: Tensor, node_of: Tensor) -> Tensor:
    """Logarithms of nodes' probabilities, safe where all of a node's are tiny.

    Args:
        log_p: (B, K).
        node_of: (K,), each class's node of the N.

    >>> node_log_probabilities(torch.tensor([[0.5, 0.2, 0.3]]).log(), torch.tensor([0, 1, 0])).exp()
    tensor([[0.8000, 0.2000]])
    """
    nodes = int(node_of.max()) + 1
    of_class = node_of.expand_as(log_p)  # (B, K)
    # the largest of each node is taken out, as logsumexp does; it cancels, so no gradient goes through it
    most = log_p.detach().new_full((len(log_p), nodes), -torch.inf)
    most = most.scatter_reduce(1, of_class, log_p.detach(), "amax")  # (B, N)
    sums = (log_p - most.gather(1, of_class)).exp()  # (B, K)
    return log_p.new_zeros(len(log_p), nodes).scatter_add(1, of_class, sums).log() + most  # (B, N)


def _cross_entropy(log_p: Tensor, p: Tensor) -> Tensor:
    return -(p * log_p).sum(-1).mean()


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
