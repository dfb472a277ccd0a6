"""A plan: every backbone in every shape, plain, and its smaller siblings, for some tasks and within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import timm

from hierarchy import Hierarchy
from timm_nhl.costs import CountedTrunk, count_trunk
from timm_nhl.experts import select_rows
from timm_nhl.planning.candidates import (
    NESTED,
    PLAIN,
    SMALLER,
    Backbone,
    Candidate,
    Draws,
    Needs,
    count_nested,
    count_plain,
)
from timm_nhl.planning.siblings import smaller_siblings
from timm_nhl.planning.tasks import Task
from timm_nhl.planning.timing import measure

Track = Callable[[str], None]  # is told what happens now


@dataclass(frozen=True)
class Budget:
    """The most that an expert may need: parameters, MACs and milliseconds of an image; None is no limit."""

    macs: float | None = None
    params: float | None = None
    ms: float | None = None

    def excess(self, needs: Needs) -> float:
        """The largest ratio of what is needed to what is allowed; experts that were drawn must all fit.

        >>> from timm_nhl.planning.candidates import Spread
        >>> Budget(macs=100).excess(Needs(Spread(5, 5, 5), Spread(80, 50, 110)))
        1.1
        """
        pairs = [(needs.macs.high, self.macs), (needs.params.high, self.params)]
        if needs.ms is not None:
            pairs.append((needs.ms, self.ms))
        return max((value / limit for value, limit in pairs if limit is not None), default=0.0)


@dataclass(frozen=True)
class Plan:
    """What was asked, and the candidates in the order they are listed."""

    hierarchy: Hierarchy
    tasks: tuple[Task, ...]
    budget: Budget
    candidates: tuple[Candidate, ...]

    def judged(self, candidate: Candidate) -> tuple[Needs, ...]:
        """What the budget is for: the experts of all tasks; without tasks the network of all classes."""
        return candidate.tasks or (candidate.whole,)

    def excess(self, candidate: Candidate) -> float:
        """The largest ratio of what a candidate needs to what is allowed."""
        return max(self.budget.excess(needs) for needs in self.judged(candidate))

    @property
    def fitting(self) -> tuple[Candidate, ...]:
        """The candidates that are within the budget."""
        return tuple(each for each in self.candidates if self.excess(each) <= 1)


def plan(
    backbones: Sequence[Backbone],
    tree: Hierarchy,
    tasks: Sequence[Task],
    shapes: Mapping[str, Mapping[str, Any]],
    *,
    budget: Budget | None = None,
    track: Track = lambda stage: None,
) -> Plan:
    """Counts all candidates, and measures those that a limit on milliseconds may still exclude.

    Args:
        shapes: name -> options of `timm.create_model` for a nested network.

    Raises:
        OptionError: a network that cannot be counted, or an option that does not exist.
        ExportError: milliseconds are wanted, and a network cannot be exported.
    """
    drawn = [[select_rows(tree, labels) for labels in task.draws] for task in tasks]
    counted: list[Candidate] = []
    for backbone in backbones:
        track(backbone.name)
        counted += count_all(backbone, tree, drawn, shapes, known=[each.name for each in backbones])
    made = Plan(tree, tuple(tasks), budget or Budget(), tuple(counted))
    if made.budget.ms is None:
        return made
    return replace(made, candidates=tuple(measure_all(made, track)))


def count_all(
    backbone: Backbone,
    tree: Hierarchy,
    tasks: Sequence[Draws],
    shapes: Mapping[str, Mapping[str, Any]],
    *,
    known: Sequence[str],
) -> Iterator[Candidate]:
    """The candidates of one backbone; siblings that are backbones of the plan themselves are left out."""
    plain = count_plain(backbone, PLAIN, backbone.name, tree, tasks)
    yield plain
    counted: dict[str, CountedTrunk] = {}

    def count_once(trunk: Any) -> CountedTrunk:
        key = f"{trunk.split} {trunk.backbone_args}"  # many shapes share a trunk
        if key not in counted:
            counted[key] = count_trunk(trunk, backbone.input_size)
        return counted[key]

    for shape, options in shapes.items():
        yield count_nested(backbone, shape, options, tree, tasks, count_trunk=count_once)
    for name in smaller_siblings(backbone.name):
        cfg: Any = timm.get_pretrained_cfg(name)
        fixed = cfg is not None and cfg.fixed_input_size
        other_size = fixed and not backbone.options and cfg.input_size != backbone.input_size
        if name in known or other_size:
            continue
        sibling = Backbone(name, backbone.input_size, backbone.options if fixed else {})
        smaller = count_plain(sibling, SMALLER, backbone.name, tree, tasks)
        if smaller.whole.macs.mean < plain.whole.macs.mean:
            yield smaller


def measure_all(made: Plan, track: Track) -> Iterator[Candidate]:
    """The candidates; with milliseconds where parameters and multiply-accumulates are within the budget."""
    trees = [made.hierarchy.at(dearest(made.hierarchy, task)) for task in made.tasks] or [made.hierarchy]
    for candidate in made.candidates:
        if made.excess(candidate) > 1:
            yield candidate
            continue
        track(f"measuring {candidate.model} {candidate.shape}".rstrip())
        if candidate.kind == NESTED:
            measured = [measure(candidate, tree) for tree in trees]
        else:  # a few rows of the classifier take no time
            measured = [measure(candidate, max(trees, key=len))] * len(trees)
        needs = tuple(replace(each, ms=ms) for each, ms in zip(made.judged(candidate), measured, strict=True))
        yield replace(candidate, tasks=needs) if made.tasks else replace(candidate, whole=needs[0])


def dearest(tree: Hierarchy, task: Task) -> tuple[int, ...]:
    """The labels of the draw with the most branches."""
    return max(task.draws, key=lambda labels: sum(len(level.rows) for level in select_rows(tree, labels)))
