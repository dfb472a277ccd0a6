"""What branches learn: the flat network's answers, and labels where there are some."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CompletedLoss(nn.Module):
    """Distillation of some classes as if all others had been converted already.

    The logits of the classes that are learned replace the teacher's among all classes, so one softmax runs over both.
    Therefore parts that are learned apart agree on one scale, the teacher's, and can be joined. Parts of one network
    may see different images: each part then has a softmax of its own.

    The loss is the KL divergence from the teacher's probabilities at a temperature, times its square (Hinton et al.,
    2015, arXiv 1503.02531), plus weighted cross-entropy on the labels. Classes that the teacher does not have compete
    in the cross-entropy only, and the teacher says nothing of their images.

    Args:
        learned: for each of the S outputs, its class among all K.
        known: (K,), whether the teacher has the class.
        temperature: of the divergence.
        label_weight: of the cross-entropy.
        smoothing: of labels.
        parts: for each output, the part that it belongs to; by default there is one.

    >>> loss = CompletedLoss([1], torch.tensor([True, True, True]), label_weight=0.0)
    >>> teacher = torch.tensor([[1.0, 2.0, 0.0]])
    >>> loss(torch.tensor([[2.0]]), teacher, torch.tensor([-1]))["loss"]
    tensor(0.)
    """

    learned: Tensor
    known: Tensor
    competing: Tensor
    parts: Tensor

    def __init__(
        self,
        learned: Sequence[int],
        known: Tensor,
        *,
        temperature: float = 1.0,
        label_weight: float = 1.0,
        smoothing: float = 0.0,
        parts: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.temperature, self.label_weight, self.smoothing = temperature, label_weight, smoothing
        competing = known.clone()
        competing[list(learned)] = True
        self.register_buffer("learned", torch.tensor(learned))
        self.register_buffer("known", known)
        self.register_buffer("competing", competing)
        self.register_buffer("parts", torch.tensor(parts or [0] * len(learned)))

    def forward(
        self, logits: Tensor, teacher: Tensor, labels: Tensor, weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The loss, summed over parts, and what it consists of.

        (B, S) logits, (B, P, K) the teacher's for what each part sees, (B, P) labels, -1 where none is known, and
        (B, P) weights of these images, 1 unless given. With one part, (B, K), (B,) and (B,).
        """
        images = len(logits)
        teacher = teacher.float().reshape(images, -1, len(self.known))  # (B, K) -> (B, P, K)
        whole = teacher.clone()
        whole[:, self.parts, self.learned] = logits.float()
        whole, teacher = whole.flatten(0, 1), teacher.flatten(0, 1)  # (B, P, K) -> (B*P, K)
        labels = labels.flatten()
        weights = whole.new_ones(len(labels)) if weights is None else weights.flatten()
        labelled = labels >= 0
        told = ~labelled | self.known[labels]  # (B*P,): whether the teacher knows what the image shows
        temperature = self.temperature
        found = {"kl": whole.new_zeros(()), "ce": whole.new_zeros(())}
        if told.any() and bool(self.known.any()):
            mine, theirs = (F.log_softmax(z[told][:, self.known] / temperature, 1) for z in (whole, teacher))
            divergence = F.kl_div(mine, theirs, reduction="none", log_target=True).sum(1)
            found["kl"] = temperature**2 * (weights[told] * divergence).sum() / images
        labelled = labelled & self.competing[labels]
        if self.label_weight and labelled.any():
            targets = (self.competing.cumsum(0) - 1)[labels[labelled]]  # their places among the competing classes
            scores = whole[labelled][:, self.competing]
            loss = F.cross_entropy(scores, targets, label_smoothing=self.smoothing, reduction="none")
            found["ce"] = (weights[labelled] * loss).sum() / images
        return {"loss": found["kl"] + self.label_weight * found["ce"], **found}
