"""How good predictions are: accuracy, accuracy per level, height of the mistakes, calibration, likelihood.

`judge` keeps a few numbers of each image and drops the logits, `join` puts batches together, and `measure` computes
what is reported, each value with a 95 % interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hierarchy import Hierarchy
from timm_nhl.errors import EvaluationError
from timm_nhl.eval.intervals import (
    RESAMPLES,
    Estimate,
    Floats,
    bootstrap_bias,
    estimate_mean,
    estimate_share,
)

Labels: TypeAlias = NDArray[np.int64]

TOP = 5
BINS = 15  # of confidence, as in Guo et al. 2017
SHOWN = 8  # numbers of images in a message


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What is kept of each image.

    Args:
        classes: K, the number of classes of the model.
        images: (N,) numbers of the images.
        targets: (N,) their labels.
        top: (N, min(5, K)) the labels with the largest logits, largest first; equal ones as `torch.topk` orders them.
        confidence: (N,) the probability given to the first of them.
        nll: (N,) negative logarithm of the probability given to the target. It and the confidence are NaN where a
            logit was not finite.
    """

    classes: int
    images: Labels
    targets: Labels
    top: Labels
    confidence: Floats
    nll: Floats

    def __len__(self) -> int:
        """The number of images, N."""
        return len(self.targets)

    @property
    def predicted(self) -> Labels:
        """(N,) the first label."""
        return self.top[:, 0]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the first label is the target."""
        right: NDArray[np.bool_] = self.predicted == self.targets
        return right


@dataclass(frozen=True)
class Measures:
    """How good a model is; everything but `nll` and the two heights is between 0 and 1.

    Args:
        images: how many it was measured on.
        top1: share of images whose label has the largest logit.
        top5: share of images whose label is among the five largest logits (or all, of fewer classes).
        group: share of images whose most probable *class* lies in the right group. (The group whose classes have the
            largest total probability may be another one.)
        superclass: the same for superclasses.
        mistake_severity: mean height of the mistakes (`find_heights`), None without mistakes ("hierarchical distance
            of a mistake", Bertinetto et al. 2020).
        hierarchical_distance: mean height over all images, 0 for those that are right ("average hierarchical distance
            at 1", ibid.).
        ece: expected calibration error over 15 equally wide bins of confidence (Guo et al. 2017).
        nll: mean negative logarithm of the probability given to the right class, in nats.
    """

    images: int
    top1: Estimate
    top5: Estimate
    group: Estimate
    superclass: Estimate
    mistake_severity: Estimate | None
    hierarchical_distance: Estimate
    ece: Estimate
    nll: Estimate

    @property
    def estimates(self) -> dict[str, Estimate | None]:
        """The measured values by name, in order."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "images"}


def judge(logits: Tensor, targets: Tensor, *, images: Sequence[int] | Labels | None = None) -> Outcomes:
    """(B, K) and (B,) -> what is kept of B images.

    Args:
        logits: of any floating type; the largest are found in that type, on its device, as timm's `accuracy` does.
        targets: labels, 0 to K - 1.
        images: their numbers; 0, 1, ... by default.

    Raises:
        EvaluationError: the shapes do not fit each other, or a label is out of range.

    >>> batch = judge(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([1, 1]), images=[7, 8])
    >>> batch.correct, batch.confidence.round(3), batch.nll.round(3)
    (array([ True, False]), array([0.881, 0.731]), array([0.127, 1.313]))
    """
    if logits.ndim != 2 or targets.shape != logits.shape[:1] or not logits.shape[1]:
        raise EvaluationError(
            "expected logits of shape (B, K) and labels of shape (B,), K >= 1, got"
            f" {tuple(logits.shape)} and {tuple(targets.shape)}; pass one label for each row of logits"
        )
    numbers = np.arange(len(targets)) if images is None else np.asarray(images)
    labels = targets.cpu().numpy().astype(np.int64)
    classes = logits.shape[1]
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(outside):
        raise EvaluationError(
            f"{_name_images(numbers[outside])} labels outside 0 to {classes - 1}, the outputs of the model; label the"
            " dataset along the model's hierarchy"
        )
    top = logits.topk(min(TOP, classes), dim=1).indices  # (B, K) -> (B, 5)
    log_probabilities = logits.float().log_softmax(dim=1)
    finite = logits.isfinite().all(dim=1)  # (B, K) -> (B,)
    first = log_probabilities.gather(1, top[:, :1]).squeeze(1).exp()
    target = log_probabilities.gather(1, targets.to(logits.device).long()[:, None]).squeeze(1)
    return Outcomes(
        classes=classes,
        images=numbers.astype(np.int64),
        targets=labels,
        top=top.cpu().numpy(),
        confidence=_array(first.where(finite, torch.nan)),
        nll=_array(-target.where(finite, torch.nan)),
    )


def join(batches: Iterable[Outcomes]) -> Outcomes:
    """Puts batches together, in the order given.

    Raises:
        EvaluationError: there is none, or some logits were not finite; with the numbers of those images.
    """
    parts = list(batches)
    if not parts:
        raise EvaluationError("no images to measure; check the split and the classes")
    columns = ("images", "targets", "top", "confidence", "nll")
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    outcomes = Outcomes(parts[0].classes, **whole)
    _refuse_unfinite(outcomes)
    return outcomes


def find_heights(hierarchy: Hierarchy, predicted: Labels, targets: Labels) -> Labels:
    """How far up the nearest common node of two classes is: 0 the same class, 1 group, 2 superclass, 3 only the root.

    >>> pets = Hierarchy(("a", "b", "c"), ("a", "b", "c"), (("s", "x"), ("s", "x"), ("s", "y")))
    >>> find_heights(pets, np.array([0, 1, 2]), np.array([0, 0, 0]))
    array([0, 1, 2])
    """
    apart = np.zeros(len(targets), dtype=np.int64)
    for level in (1, 2, 3):
        nodes = np.array(hierarchy.ancestors(level))  # (K,), label -> node
        apart += nodes[predicted] != nodes[targets]
    return apart


def measure(outcomes: Outcomes, hierarchy: Hierarchy, *, resamples: int = RESAMPLES, seed: int = 0) -> Measures:
    """Measures predictions, each value with its 95 % interval.

    Shares have Wilson's interval, means over images Student's, the ECE a bootstrap interval (`resamples` times, from
    `seed`).

    Args:
        outcomes: of all images.
        hierarchy: of the K classes, in the order of the labels.

    Raises:
        EvaluationError: of another number of classes, of no images, or of logits that were not finite.

    >>> logits = torch.tensor([[3.0, 0, 0], [0, 3, 0], [3, 0, 0], [3, 0, 0]])
    >>> pets = Hierarchy(("a", "b", "c"), ("a", "b", "c"), (("s", "x"), ("s", "x"), ("s", "y")))
    >>> measures = measure(judge(logits, torch.tensor([0, 1, 2, 0])), pets)
    >>> str(measures.top1), measures.mistake_severity.value, measures.hierarchical_distance.value
    ('0.750 [0.301, 0.954]', 2.0, 0.5)
    """
    if len(hierarchy) != outcomes.classes:
        raise EvaluationError(
            f"expected a hierarchy of {outcomes.classes} classes, got one of {len(hierarchy)}; measure along the"
            " model's own hierarchy"
        )
    _refuse_unfinite(outcomes)
    height = find_heights(hierarchy, outcomes.predicted, outcomes.targets)
    wrong, count = height > 0, len(outcomes)
    in_top = (outcomes.top == outcomes.targets[:, None]).any(axis=1)
    shares = {
        name: estimate_share(int(hits.sum()), count)
        for name, hits in (("top1", ~wrong), ("top5", in_top), ("group", height <= 1), ("superclass", height <= 2))
    }
    bins = np.clip(np.ceil(outcomes.confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (a, b], as in Guo et al.
    gaps = outcomes.correct - outcomes.confidence
    return Measures(
        images=count,
        **shares,
        mistake_severity=estimate_mean(height[wrong], 1, 3) if wrong.any() else None,
        hierarchical_distance=estimate_mean(height, 0, 3),
        ece=bootstrap_bias(_compute_ece, bins, gaps, resamples=resamples, seed=seed),
        nll=estimate_mean(outcomes.nll, 0, np.inf),
    )


def _compute_ece(bins: NDArray[Any], gaps: Floats) -> float:
    """(N,) the confidence's bin and (N,) right (1) or wrong (0) less the confidence -> the calibration error."""
    sums = np.bincount(bins.astype(np.int64), weights=gaps)  # resampling makes floats of them
    return float(np.abs(sums).sum() / len(gaps))


def _refuse_unfinite(outcomes: Outcomes) -> None:
    bad = outcomes.images[np.isnan(outcomes.nll)]
    if len(bad):
        raise EvaluationError(
            f"{_name_images(bad)} logits that are not finite; check the weights, or evaluate in float32"
        )


def _name_images(images: Labels) -> str:
    """The beginning of a sentence about images.

    >>> _name_images(np.array([7])), _name_images(np.arange(10))
    ('image 7 has', 'images 0, 1, 2, 3, 4, 5, 6, 7 and 2 more have')
    """
    shown = ", ".join(map(str, images[:SHOWN].tolist())) + (
        f" and {len(images) - SHOWN:,} more" if len(images) > SHOWN else ""
    )
    return f"image {shown} has" if len(images) == 1 else f"images {shown} have"


def _array(values: Tensor) -> Floats:
    return values.detach().cpu().double().numpy()
