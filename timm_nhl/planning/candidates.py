"""Networks that might do the tasks of a plan, and what each costs, counted without building it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import timm
from torch import nn

from hierarchy import Hierarchy, HierarchyError
from hierarchy.errors import nearest
from timm_nhl.costs import CostCounter, CountedTrunk, cost, create_on_meta
from timm_nhl.errors import NHLError, OptionError, summarize
from timm_nhl.experts import Rows, select_rows
from timm_nhl.models import SUFFIX

NESTED, PLAIN, SMALLER = "nested", "plain", "smaller"  # kinds of candidates
Draws = Sequence[Sequence[Rows]]  # the nodes of the three levels that each expert of a task keeps


@dataclass(frozen=True)
class Spread:
    """A number for one expert, or its mean, least and most for several."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Needs:
    """What a network needs for a task: parameters, multiply-accumulates of an image, milliseconds if measured."""

    params: Spread
    macs: Spread
    ms: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A network of a plan.

    Args:
        model: its name for timm.
        kind: NESTED; PLAIN, the backbone itself; SMALLER, a plain network of its family.
        backbone: the backbone that it is listed with.
        shape: the preset or the options of a nested network.
        options: what timm creates it with, apart from its classes.
        input_size: (channels, height, width) of an image.
        whole: what it needs for all classes.
        tasks: what its expert needs for each task; a plain network keeps the rows of its classifier that are wanted.
    """

    model: str
    kind: str
    backbone: str
    shape: str
    options: Mapping[str, Any] = field(repr=False)
    input_size: tuple[int, int, int]
    whole: Needs
    tasks: tuple[Needs, ...]


@dataclass(frozen=True)
class Backbone:
    """A timm network, its image size and the option that it needs for it."""

    name: str
    input_size: tuple[int, int, int]
    options: Mapping[str, Any]

    @property
    def nested(self) -> str:
        """The name of its nested model."""
        architecture, dot, tag = self.name.partition(".")
        return f"{architecture}{SUFFIX}{dot}{tag}"


def find_backbones(names: Iterable[str], *, img_size: int | None = None) -> tuple[Backbone, ...]:
    """The backbones of some names, without duplicates; nested names count as those of their backbones.

    Args:
        img_size: height and width of the images; by default each backbone's own.

    Raises:
        OptionError: with all names that timm does not have.
    """
    plain = list(dict.fromkeys(name.replace(SUFFIX, "", 1) for name in names))
    problems = []
    for name in plain:
        known = timm.list_models(include_tags="." in name, exclude_filters=f"*{SUFFIX}*")
        if name not in known:
            problems.append(f"{name!r} is not a timm model{nearest(name, known)}")
    if problems:
        raise OptionError("; ".join(problems))
    return tuple(describe_backbone(name, img_size=img_size) for name in plain)


def describe_backbone(name: str, *, img_size: int | None) -> Backbone:
    """The backbone of a name that timm has."""
    cfg = timm.get_pretrained_cfg(name)
    own = (3, 224, 224) if cfg is None else cfg.input_size
    if img_size is None:
        return Backbone(name, own, {})
    fixed = cfg is not None and cfg.fixed_input_size
    return Backbone(name, (own[0], img_size, img_size), {"img_size": img_size} if fixed else {})


def count_nested(
    backbone: Backbone,
    shape: str,
    options: Mapping[str, Any],
    tree: Hierarchy,
    tasks: Sequence[Draws],
    *,
    count_trunk: Callable[[nn.Module], CountedTrunk],
) -> Candidate:
    """The nested network of a shape; raises OptionError if it cannot be counted."""
    given = {**backbone.options, **options}
    taken = [name for name in given if name in ("hierarchy", "num_classes")]
    if taken:
        raise OptionError(f"{shape!r} sets {' and '.join(taken)}, which the hierarchy decides; remove it")
    # one class shows what the nodes of each level cost; only a router has a row for every group
    shown = tree if given.get("router") else tree.at([0])
    with explained(backbone.nested):
        model: Any = create_on_meta(backbone.nested, hierarchy=shown, **given)
        counter = CostCounter(model, input_size=backbone.input_size, trunk=count_trunk(model.trunk))
    whole = counter.count(select_rows(tree, range(len(tree))))
    return Candidate(
        backbone.nested,
        NESTED,
        backbone.name,
        shape,
        given,
        backbone.input_size,
        Needs(spread([whole.params]), spread([whole.macs])),
        tuple(
            Needs(spread([each.params for each in drawn]), spread([each.macs for each in drawn]))
            for drawn in ([counter.count(rows) for rows in draws] for draws in tasks)
        ),
    )


def count_plain(backbone: Backbone, kind: str, listed: str, tree: Hierarchy, tasks: Sequence[Draws]) -> Candidate:
    """A plain network; raises OptionError if it cannot be counted."""
    with explained(backbone.name):
        model = create_on_meta(backbone.name, num_classes=len(tree), **backbone.options)
        whole = cost(model, input_size=backbone.input_size)
        row = find_row(model, len(tree))
        if row is None:  # a classifier of another kind: what one class costs shows how much more each adds
            one = cost(backbone.name, num_classes=1, input_size=backbone.input_size, **backbone.options)
            more = max(1, len(tree) - 1)
            row = (whole.params - one.params) // more, (whole.macs - one.macs) // more

    def restrict(classes: int) -> Needs:
        cut = len(tree) - classes
        return Needs(spread([whole.params - cut * row[0]]), spread([whole.macs - cut * row[1]]))

    needs = tuple(restrict(len(draws[0][-1].rows)) for draws in tasks)
    return Candidate(backbone.name, kind, listed, "", backbone.options, backbone.input_size, restrict(len(tree)), needs)


def spread(values: Sequence[float]) -> Spread:
    """Mean, least and most."""
    return Spread(fmean(values), min(values), max(values))


def find_row(model: Any, classes: int) -> tuple[int, int] | None:
    """Parameters and multiply-accumulates of a class in linear classifiers of pooled features; None in other kinds."""
    found = model.get_classifier()
    layers = [found] if isinstance(found, nn.Module) else list(found)
    params = macs = 0
    for layer in layers:
        if type(layer) is not nn.Linear or layer.out_features != classes:
            return None
        params += layer.in_features + (layer.bias is not None)
        macs += layer.in_features
    return params, macs


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turns what torch and timm raise about a network into an OptionError that names it."""
    try:
        yield
    except (NHLError, HierarchyError):
        raise
    except (RuntimeError, ValueError, TypeError, AssertionError, NotImplementedError) as error:
        raise OptionError(f"cannot count {name!r} without building it: {summarize(error)}; leave it out") from error
