"""How good a router is: accuracy and cost of what it lets run, and how well it knows images of other classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hierarchy.english import count
from timm_nhl.costs import CostCounter
from timm_nhl.data import Images
from timm_nhl.errors import EvaluationError
from timm_nhl.eval.intervals import Estimate, estimate_difference, estimate_mean, estimate_share
from timm_nhl.eval.model_io import Classifier
from timm_nhl.eval.predict import Inference, Track, prepare, skip_tracking
from timm_nhl.models import NHL, choose
from timm_nhl.rejection import measure_area

CHOICES: tuple[dict[str, Any], ...] = (
    *({"keep": keep} for keep in (1, 2, 3)),
    *({"mass": mass} for mass in (0.5, 0.7, 0.8, 0.9, 0.95)),
)


@dataclass(frozen=True)
class Routed:
    """One way to choose what runs, over all images.

    Args:
        name: like `2 groups` or `mass 0.9`.
        top1: share of images whose label has the largest logit among those that ran.
        difference: to the same where everything runs.
        macs: multiply-accumulates of an image, on average.
        most_macs: those of the dearest image.
    """

    name: str
    top1: Estimate
    difference: Estimate
    macs: float
    most_macs: int


@dataclass(frozen=True)
class Routing:
    """What a router does for the whole network, and for experts.

    Args:
        rows: one for each way to choose.
        none_of_these: of each expert asked about, the probability that an image of its classes has a lower
            "none of these" than another (the area under the ROC curve); None for one of all classes, or of all groups.
    """

    rows: tuple[Routed, ...]
    none_of_these: tuple[float | None, ...]

    @property
    def mean_none(self) -> Estimate | None:
        """The mean over the experts that have one."""
        areas = [area for area in self.none_of_these if area is not None]
        return estimate_mean(areas, 0, 1) if areas else None


def measure_routing(
    classifier: Classifier,
    images: Images,
    experts: Sequence[Sequence[int]] = (),
    *,
    inference: Inference | None = None,
    track: Track = skip_tracking,
) -> Routing:
    """Measures a router, in one pass over the images.

    What runs has the logits of the whole network, so they are computed once and those of other groups left out.

    Args:
        classifier: a nested model with a router; its classes are ids of the images' hierarchy.
        images: of some or all of its classes.
        experts: labels of each expert.

    Raises:
        EvaluationError: the model has no router.
        OptionError: the router was never trained.
    """
    model, inference = classifier.model, inference or Inference()
    if not isinstance(model, NHL) or model.router is None:
        raise EvaluationError(f"{classifier.source!r} has no router; fit one with timm-nhl router")
    router = model.find_router()
    loader, precision, memory, config = prepare(classifier, images, inference)
    counter = CostCounter(model, input_size=config["input_size"])
    device = router.own.device
    outputs = torch.tensor(classifier.outputs(images.classes), device=device)
    group_of = torch.tensor(model.hierarchy.ancestors(2), device=device)  # (K,)
    full: list[Tensor] = []  # whether each image is right, in batches
    right: list[list[Tensor]] = [[] for _ in CHOICES]
    macs: list[list[Tensor]] = [[] for _ in CHOICES]
    shares, targets = [], []
    with torch.inference_mode():
        for x, labels in track(loader, classifier.source):
            with precision:
                logits, scores = model.forward_scores(x.contiguous(memory_format=memory))
            groups = router.probabilities(scores.float())
            shares.append(groups.cpu())
            targets.append(labels.cpu())
            full.append((logits[:, outputs].argmax(1) == labels).cpu())
            for choice, hits, costs in zip(CHOICES, right, macs, strict=True):
                ran = choose(groups, **choice).index_select(1, group_of)  # (B, K)
                routed = logits.masked_fill(~ran, -torch.inf)
                hits.append((routed[:, outputs].argmax(1) == labels).cpu())
                costs.append(counter.routed(routed))
    everything = torch.cat(full).numpy()
    rows = [
        _describe(choice, torch.cat(hits).numpy(), everything, torch.cat(costs).double())
        for choice, hits, costs in zip(CHOICES, right, macs, strict=True)
    ]
    of_output, share = group_of[outputs].cpu(), torch.cat(shares)
    areas = [_find_area(share, of_output, torch.cat(targets), labels) for labels in experts]
    return Routing(tuple(rows), tuple(areas))


def _describe(choice: dict[str, Any], right: Any, everything: Any, macs: Tensor) -> Routed:
    name = count(choice["keep"], "group") if "keep" in choice else f"mass {choice['mass']}"
    top1 = estimate_share(int(right.sum()), len(right))
    return Routed(name, top1, estimate_difference(right, everything), macs.mean().item(), int(macs.max()))


def _find_area(groups: Tensor, group_of: Tensor, targets: Tensor, labels: Sequence[int]) -> float | None:
    """The area under the ROC curve of an expert's "none of these" over all images.

    Args:
        groups: (M, N) probabilities of the groups.
        group_of: (K,) the group of each label.
        targets: (M,) the label of each image.
        labels: of the expert.
    """
    own = group_of[list(labels)].unique()
    inside = torch.isin(targets, torch.tensor(list(labels))).numpy()
    if inside.all() or not inside.any() or len(own) == groups.shape[1]:
        return None
    return measure_area(groups[:, own].sum(1).numpy(), inside)
