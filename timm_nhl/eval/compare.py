"""A model next to what one would use instead: restricted to some classes, the expert of these, a flat model.

One pass of a network over the images gives all that is asked of it: what a model predicts when it is restricted to some
classes is in the logits that it computes for all of them.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, cast

from torch import nn

from hierarchy import Hierarchy
from timm_nhl.costs import Cost, CostCounter, cost
from timm_nhl.data import Images
from timm_nhl.errors import OptionError
from timm_nhl.eval.device.bundles import Opened
from timm_nhl.eval.intervals import Estimate, estimate_difference, estimate_mean
from timm_nhl.eval.metrics import Measures, Outcomes, measure
from timm_nhl.eval.model_io import Classifier
from timm_nhl.eval.predict import Inference, Track, predict, select_classes, skip_tracking
from timm_nhl.models import NHL

RESTRICTED = ", restricted"


@dataclass(frozen=True)
class Row:
    """One network on the images of some classes.

    Args:
        name: `full`, `expert` or `flat`; with `, restricted` if it computes more classes than it chooses among.
        hierarchy: of the classes; the outcomes' labels are its own.
        outcomes: of each image.
        measures: of all images together.
        cost: of the network.
        bundle: if the row is about one.
    """

    name: str
    hierarchy: Hierarchy
    outcomes: Outcomes
    measures: Measures
    cost: Cost
    bundle: Opened | None = None


@dataclass(frozen=True)
class Difference:
    """How much more often one row is right than another, on the same images of the same classes."""

    first: Row
    second: Row
    top1: Estimate


@dataclass(frozen=True)
class RandomExperts:
    """Experts of random classes, and a flat model restricted to the same classes.

    Args:
        labels: of each expert.
        experts: their measures, in the same order.
        flat: those of the flat model; empty without one.
        params: parameters of an expert, on average.
        macs: multiply-accumulates of an expert, on average.
    """

    labels: tuple[tuple[int, ...], ...]
    experts: tuple[Measures, ...]
    flat: tuple[Measures, ...]
    params: float
    macs: float

    @property
    def gain(self) -> Estimate | None:
        """By how much the experts' top-1 exceeds that of the restricted flat model, on average over the experts."""
        pairs = zip(self.experts, self.flat, strict=False)
        gains = [expert.top1.value - flat.top1.value for expert, flat in pairs]
        return estimate_mean(gains, -1, 1) if gains else None


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured, in the order it is reported."""

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    random: RandomExperts | None

    def find_model(self, bundle: Row) -> Row:
        """The row that a bundle's is compared with: the expert of its classes, or else the first of these classes."""
        rows = [row for row in self.rows if row.bundle is None and row.hierarchy == bundle.hierarchy]
        return next((row for row in rows if row.name == "expert"), rows[0])


def evaluate(
    main: Classifier,
    images: Images,
    *,
    classes: Iterable[str] = (),
    flat: Classifier | None = None,
    draws: Sequence[tuple[int, ...]] = (),
    bundles: Sequence[Opened] = (),
    inference: Inference | None = None,
    track: Track = skip_tracking,
) -> Evaluation:
    """Measures a model on all images, and on those of some classes: restricted to them, and as their expert.

    Args:
        main: nested or flat; its classes, and `flat`'s, are ids of the images' hierarchy.
        images: labelled along the hierarchy to measure along.
        classes: ids, names and paths of the expert's classes; without any there is no expert.
        flat: what a nested model is compared with; it may know more classes than the images.
        draws: labels of more experts. They are not run: their logits are the full network's at their classes.
        bundles: opened along the images' hierarchy; each has a row, next to the model restricted to its classes.
        inference: how networks are run; by default on the CPU.
        track: reports how far a network is.

    Raises:
        EvaluationError: a class without output or images, or logits that are not finite.
        OptionError: a flat model is compared with a flat one.
        UnknownNode: there is no such class or node.
        AmbiguousName: a name belongs to several classes or nodes.
    """
    tree, inference, wanted = images.hierarchy, inference or Inference(), tuple(classes)
    assert tree is not None
    if flat is not None and not isinstance(main.model, NHL):
        raise OptionError(f"--flat compares a nested model with a plain one, but {main.source!r} is plain itself")
    asked = [tree.labels(*wanted)] if wanted else []
    parts = [tuple(range(len(tree))), *asked]  # each has a row of its own
    parts += dict.fromkeys(each.labels for each in bundles if each.labels not in parts)
    found = predict(main, images, [*parts, *draws], inference=inference, track=track)
    rows = list(_make_rows(main, tree, parts, found, inference))
    if wanted and isinstance(main.model, NHL):
        some = select_classes(images, asked[0])
        assert some.hierarchy is not None
        expert, every = cut_expert(main, some.classes), [tuple(range(len(some.classes)))]
        outcomes = predict(expert, some, every, inference=inference, track=track)
        rows += _make_rows(expert, some.hierarchy, every, outcomes, inference, name="expert")
    found_flat: list[Outcomes] = []
    if flat is not None:
        found_flat = predict(flat, images, [*parts, *draws], inference=inference, track=track)
        rows += _make_rows(flat, tree, parts, found_flat, inference)
    for each in bundles:
        small, judged = each.judge(images, track)
        rows.append(Row(each.name, small, judged, measure(judged, small), each.cost, each))
    drawn = None
    if draws:
        drawn = _measure_draws(main, tree, draws, found[len(parts) :], found_flat[len(parts) :], inference)
    return Evaluation(tuple(rows), tuple(_compare(rows)), drawn)


def cut_expert(nested: Classifier, classes: Sequence[str]) -> Classifier:
    """The expert of some classes, by id."""
    assert isinstance(nested.model, NHL)
    expert = nested.model.expert([nested.model.hierarchy.classes[output] for output in nested.outputs(classes)])
    known = tuple(nested.classes[label] for label in expert.labels)
    return Classifier(f"expert of {nested.source}", expert, known, expert.hierarchy)


def draw_classes(classes: int, size: int, count: int, *, seed: int = 0) -> tuple[tuple[int, ...], ...]:
    """The labels of `count` experts of `size` random classes each, ascending.

    All classes are shuffled and cut into pieces, what is left over is dropped, and so on. So experts have no class in
    common as long as there are enough.

    Raises:
        OptionError: a size of less than 1 or more than all classes.

    >>> draw_classes(6, 3, 4)
    ((0, 3, 5), (1, 2, 4), (2, 3, 5), (0, 1, 4))
    """
    if not 1 <= size <= classes:
        raise OptionError(f"--size {size} is out of range: there are {classes} classes; use 1 to {classes}")
    generator = random.Random(seed)
    drawn: list[tuple[int, ...]] = []
    while len(drawn) < count:
        shuffled = generator.sample(range(classes), classes)
        drawn += [tuple(sorted(shuffled[first : first + size])) for first in range(0, classes - size + 1, size)]
    return tuple(drawn[:count])


def _make_rows(
    classifier: Classifier,
    tree: Hierarchy,
    parts: Sequence[Sequence[int]],
    found: Sequence[Outcomes],
    inference: Inference,
    name: str | None = None,
) -> Iterator[Row]:
    """A row for each part of the classes."""
    nested = isinstance(classifier.model, NHL)
    name = name or ("full" if nested else "flat")
    for part, outcomes in zip(parts, found, strict=False):  # more may have been found
        small = tree.at(part)
        restricted = RESTRICTED if len(part) < len(classifier.classes) else ""
        # of a plain network, anybody would remove the rows of the other classes from the classifier
        (total,) = _count_costs(classifier, [classifier.classes if nested else small.classes], inference)
        yield Row(name + restricted, small, outcomes, measure(outcomes, small), total)


def _measure_draws(
    main: Classifier,
    tree: Hierarchy,
    draws: Sequence[tuple[int, ...]],
    found: Sequence[Outcomes],
    found_flat: Sequence[Outcomes],
    inference: Inference,
) -> RandomExperts:
    trees = [tree.at(labels) for labels in draws]
    experts, flat = (
        tuple(measure(outcomes, small) for outcomes, small in zip(some, trees, strict=False))
        for some in (found, found_flat)
    )
    costs = _count_costs(main, [small.classes for small in trees], inference)
    params, macs = fmean(each.params for each in costs), fmean(each.macs for each in costs)
    return RandomExperts(tuple(draws), experts, flat, params, macs)


def _count_costs(classifier: Classifier, each: Sequence[Sequence[str]], inference: Inference) -> list[Cost]:
    """The cost of the expert of each of some classes; a flat model keeps all but the other rows of its classifier."""
    model = classifier.model
    size = inference.config(model)["input_size"]
    if isinstance(model, NHL):
        counter = CostCounter(model, input_size=size)
        return [counter.at(sorted(classifier.outputs(classes))) for classes in each]
    return [cost(_cut_classifier(model, len(classes)), input_size=size) for classes in each]


def _cut_classifier(model: nn.Module, classes: int) -> nn.Module:
    """A plain model with a classifier of fewer classes, without its weights."""
    small: Any = copy.deepcopy(model).to("meta")
    if small.num_classes != classes:
        small.reset_classifier(classes)
    return cast(nn.Module, small)


def _compare(rows: Sequence[Row]) -> Iterator[Difference]:
    """Each pair of rows about the same classes."""
    for first, second in combinations(rows, 2):
        if first.hierarchy == second.hierarchy:
            yield Difference(first, second, estimate_difference(first.outcomes.correct, second.outcomes.correct))
