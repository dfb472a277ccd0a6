"""How well networks tell images of some classes from images of all others: "none of these"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from scipy.stats import norm, rankdata

from timm_nhl.data import Images
from timm_nhl.errors import EvaluationError, OptionError
from timm_nhl.eval.device.bundles import Opened
from timm_nhl.eval.intervals import CONFIDENCE, Estimate, Floats, estimate_mean, estimate_share
from timm_nhl.eval.model_io import Classifier
from timm_nhl.eval.predict import Inference, Track, prepare, skip_tracking
from timm_nhl.models import NHL
from timm_nhl.rejection import Array, compute_score, keep_at, list_scores, measure_area, measure_fpr95

SHARE = "probability of the classes"  # of a network that has other classes, too: it sees all logits
FALSE_ACCEPTS = 0.05


@dataclass(frozen=True)
class Seen:
    """What a network says of all images.

    Args:
        name: of the network, for the report.
        outputs: (K,) the output of each label; -1 without one.
        logits: (N, outputs).
        groups: (N, groups) the router's probabilities, if the network has one that was trained.
        group_of: (outputs,) the group of each output, for these.
        targets: (N,) the label of each image.
    """

    name: str
    outputs: Array
    logits: Array
    groups: Array | None
    group_of: Array | None
    targets: Array


@dataclass(frozen=True)
class Rejection:
    """How well a score tells images of some classes from others, or how well it does on average over several experts.

    Args:
        name: of the network.
        score: its name.
        area: the probability that an image of the classes scores higher than another (the area under the ROC curve).
        fpr95: the share of other images that are accepted where 95 % of the classes' own are.
        kept: the share of the classes' own images that are accepted where 5 % of the others are.
        at_threshold: of a bundle with a threshold, the shares of other images and of its own that pass it.
    """

    name: str
    score: str
    area: Estimate
    fpr95: Estimate
    kept: Estimate
    at_threshold: tuple[Estimate, Estimate] | None = None


def look(
    classifier: Classifier,
    images: Images,
    name: str,
    *,
    inference: Inference | None = None,
    track: Track = skip_tracking,
) -> Seen:
    """Runs a network over images, some of which may be of classes that it does not know."""
    model, inference = classifier.model, inference or Inference()
    loader, precision, memory, _ = prepare(classifier, images, inference)
    router = model.router if isinstance(model, NHL) and model.router is not None else None
    routed = router is not None and bool(router.fc.weight.any())
    logits, groups, targets = [], [], []
    with torch.inference_mode():
        for x, labels in track(loader, classifier.source):
            with precision:
                x = x.contiguous(memory_format=memory)
                found: Any = model.forward_scores(x) if routed else (model(x), None)  # type: ignore[operator]
            logits.append(found[0].float().cpu().numpy())
            targets.append(labels.cpu().numpy())
            if router is not None and routed:
                groups.append(router.probabilities(found[1].float()).cpu().numpy())
    return Seen(
        name,
        find_outputs(classifier.classes, images),
        np.concatenate(logits),
        np.concatenate(groups) if groups else None,
        np.array(model.hierarchy.ancestors(2)) if isinstance(model, NHL) else None,
        np.concatenate(targets),
    )


def find_outputs(classes: Sequence[str], images: Images) -> Array:
    """(K,) the output of each label of some images; -1 where a model has none."""
    output_of = {id: output for output, id in enumerate(classes)}
    return np.array([output_of.get(id, -1) for id in images.classes])


def measure_rejection(seen: Sequence[Seen], parts: Sequence[Sequence[int]]) -> tuple[Rejection, ...]:
    """Measures every score of every network: of one part's images with intervals, of several on average over them.

    Args:
        parts: labels of each; networks know all of them.

    Raises:
        OptionError: there is no part, or one has all classes.
        EvaluationError: a part without images, or with all of them.
    """
    if not parts or any(len(part) == len(each.outputs) for part in parts for each in seen):
        raise OptionError("--reject measures experts of some of the data's classes; pass --classes or --experts")
    found = []
    for each in seen:
        measured = [dict(_measure(each, part)) for part in parts]
        names = [name for name in measured[0] if all(name in one for one in measured)]
        for name in names:
            rows = [one[name] for one in measured]
            area, fpr95, kept = rows[0] if len(rows) == 1 else map(_average, zip(*rows, strict=True))
            found.append(Rejection(each.name, name, area, fpr95, kept))
    return tuple(found)


def _average(values: Sequence[Estimate]) -> Estimate:
    return estimate_mean([each.value for each in values], 0, 1)


def measure_bundle(opened: Opened, images: Images, track: Track = skip_tracking) -> tuple[Rejection, ...]:
    """Measures every score of a bundle, and its threshold, on images of its classes and of others.

    Raises:
        EvaluationError: there are none of either.
    """
    outputs, inside = opened.outputs(images, track), np.isin(images.labels, opened.labels)
    scores = {name: compute_score(name, outputs) for name in list_scores(outputs)}
    found, threshold = [], opened.bundle.threshold
    for name, measured in _estimate(scores, inside):
        passed = None
        if threshold is not None and threshold.score == name:
            accepted = threshold.accept(outputs)
            others, own = (estimate_share(int(accepted[some].sum()), int(some.sum())) for some in (~inside, inside))
            passed = others, own
        found.append(Rejection(opened.name, name, *measured, passed))
    return tuple(found)


def _measure(seen: Seen, part: Sequence[int]) -> Iterator[tuple[str, tuple[Estimate, Estimate, Estimate]]]:
    """The scores of a network as an expert of some labels: area, FPR95, and what is kept at 5 % false accepts."""
    yield from _estimate(dict(_list_scores(seen, part)), np.isin(seen.targets, list(part)))


def _estimate(scores: Mapping[str, Array], inside: Array) -> Iterator[tuple[str, tuple[Estimate, Estimate, Estimate]]]:
    if inside.all() or not inside.any():
        raise EvaluationError(
            f"--reject needs images of the classes and of others, and {'all' if inside.all() else 'none'} are of the"
            " classes; choose another split or other classes"
        )
    for name, each in scores.items():
        own, others = each[inside], each[~inside]
        kept = keep_at(own, others, FALSE_ACCEPTS)[1]
        yield (
            name,
            (
                estimate_area(own, others),
                estimate_share(round(measure_fpr95(own, others) * len(others)), len(others)),
                estimate_share(round(kept * len(own)), len(own)),
            ),
        )


def _list_scores(seen: Seen, part: Sequence[int]) -> Iterator[tuple[str, Array]]:
    """(N,) each score of all images."""
    columns = seen.outputs[list(part)]
    outputs: dict[str, Array] = {"logits": seen.logits[:, columns]}
    if seen.groups is not None and seen.group_of is not None:
        own = np.unique(seen.group_of[columns])
        if len(own) < seen.groups.shape[1]:
            outputs["none_of_these"] = 1 - seen.groups[:, own].astype(np.float64).sum(1)
    yield from ((name, compute_score(name, outputs)) for name in list_scores(outputs))
    if len(columns) < seen.logits.shape[1]:
        yield SHARE, logsumexp(seen.logits[:, columns].astype(float), 1) - logsumexp(seen.logits.astype(float), 1)


def estimate_area(own: Array, others: Array) -> Estimate:
    """The area under the ROC curve with DeLong's interval (DeLong et al. 1988).

    >>> str(estimate_area(np.array([3.0, 2.0, 0.5]), np.array([0.0, 1.0])))
    '0.833 [0.371, 1.000]'
    """
    both = np.concatenate([own, others])
    area = measure_area(both, np.arange(len(both)) < len(own))
    if len(own) == 1 or len(others) == 1:
        return Estimate(area)
    ranks: Floats = rankdata(both)
    above = (ranks[: len(own)] - rankdata(own)) / len(others)  # the share of others below each of its own
    below = 1 - (ranks[len(own) :] - rankdata(others)) / len(own)
    half = float(
        norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(above.var(ddof=1) / len(own) + below.var(ddof=1) / len(others))
    )
    return Estimate(area, max(0.0, area - half), min(1.0, area + half))
