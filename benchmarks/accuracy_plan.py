"""The trainings that test the published accuracy: the published protocol, its controls and variations.

The protocol (Kelm et al., 2024) compares a flat backbone on all classes, the nested network on all classes, experts cut
out of it, a flat backbone trained on an expert's classes only, and the flat backbone of all classes restricted to
them. All trainings have the recipe and the number of steps of their `Size`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Unicode's; one generated from the names with the same number of nodes; Unicode's with shuffled classes (each seed has
# its own shuffle); and one superclass with one group, which has branches but no hierarchy.
TREES = ("unicode", "generated", "random", "single")
FLAT, NESTED = "flat", "nested"
Values = tuple[tuple[str, Any], ...]  # fields of `timm_nhl.train.Settings`


@dataclass(frozen=True)
class List:
    """A list of classes that `emoji.draw_lists` draws, or all classes, and the vendor held out for testing."""

    name: str
    classes: int | None  # None for all
    part: int = 0
    test_vendor: str = "facebook"


@dataclass(frozen=True)
class Size:
    """What all trainings of a plan share.

    Args:
        backbone: the flat network, and the trunk of the nested ones.
        steps: optimizer steps.
        batch_size: images per step; all images if there are fewer.
        warmup: steps of warm-up.
        recipe: settings of every training.
        nested: settings of nested networks only.
        wider: settings of larger flat networks that match the cost of the nested one, by name.
    """

    backbone: str
    steps: int
    batch_size: int
    warmup: int
    recipe: Values
    nested: Values = ()
    wider: tuple[tuple[str, Values], ...] = ()


@dataclass(frozen=True)
class Training:
    """A network to train and measure.

    Args:
        list: the classes.
        kind: "flat" or "nested".
        tree: the hierarchy of a nested network, one of TREES.
        seed: seed of weights, image order, augmentation, random tree and experts' classes.
        experts: sizes of experts; for each size, experts are cut such that each class is in one.
        part: number of the expert whose classes alone are trained on; None for all classes.
        part_of: size of that expert.
        variation: name of the variation of the recipe, or "".
        values: settings that differ from those of `size`.
        distilled: whether the flat network of the same seed is trained first and serves as a teacher.
    """

    list: List
    kind: str
    size: Size
    tree: str = ""
    seed: int = 0
    experts: tuple[int, ...] = (20, 5)
    part: int | None = None
    part_of: int = 20
    variation: str = ""
    values: Values = ()
    distilled: bool = False

    @property
    def key(self) -> str:
        """A unique name within a plan, and the name of the file of results."""
        part = "" if self.part is None else f"part{self.part}of{self.part_of}"
        words = (self.list.name, self.kind, self.tree, part, self.variation, f"seed{self.seed}")
        return "_".join(word.replace(" ", "-") for word in words if word)


def draw_parts(classes: Sequence[str], each: int, *, seed: int) -> list[tuple[str, ...]]:
    """Deals classes out at random to experts of `each` classes; the last expert may be smaller.

    >>> [len(part) for part in draw_parts("abcdefg", 3, seed=0)]
    [3, 3, 1]
    """
    shuffled = random.Random(f"experts {seed}").sample(list(classes), len(classes))
    order = {id: label for label, id in enumerate(classes)}
    return [
        tuple(sorted(shuffled[start : start + each], key=order.__getitem__)) for start in range(0, len(shuffled), each)
    ]


def list_protocol(
    size: Size,
    lists: Sequence[List],
    seeds: Sequence[int],
    *,
    experts: tuple[int, ...],
    trained: Mapping[int, int],
    trees: Sequence[str] = TREES,
) -> Iterator[Training]:
    """The published protocol with its controls, one seed after the other, so that a stopped run has complete seeds.

    Args:
        experts: sizes of the experts that are cut.
        trained: size of experts -> number of experts for whose classes alone a flat network is trained.
    """
    for seed in seeds:
        for each in lists:
            yield Training(each, FLAT, size, seed=seed)
            for tree in trees:
                yield Training(each, NESTED, size, tree=tree, seed=seed, experts=experts)
            for part_of, count in trained.items():
                for part in range(count):
                    yield Training(each, FLAT, size, seed=seed, part=part, part_of=part_of)
            for name, values in size.wider:
                yield Training(each, FLAT, size, seed=seed, variation=name, values=values)
