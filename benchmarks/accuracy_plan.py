"""What is trained for the accuracy claim: the published protocol, its controls and variations, as a list of trainings.

The protocol (Kelm et al., 2024): a flat backbone on all classes; the nested network on all of them; experts cut out of
it; a flat backbone trained on just an expert's classes; and the flat one trained on all, restricted to them. The same
recipe and the same number of steps for everyone, stated in `Size`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Unicode's own; generated from the names, with as many nodes; Unicode's with the classes shuffled over it (another
# shuffle for every seed); and one superclass with one group, which is capacity and branches without a hierarchy.
TREES = ("unicode", "generated", "random", "single")
FLAT, NESTED = "flat", "nested"
Values = tuple[tuple[str, Any], ...]  # settings by name, as `timm_nhl.settings` has them


@dataclass(frozen=True)
class List:
    """A list of classes that `emoji.lists` draws, or all of them, and who draws its test pictures."""

    name: str
    classes: int | None  # None for all
    part: int = 0
    test_vendor: str = "facebook"


@dataclass(frozen=True)
class Size:
    """What all trainings of a plan have in common.

    Args:
        backbone: flat, and the trunk of the nested networks.
        steps: of the optimizer.
        batch_size: images of a step, or all there are where there are fewer.
        warmup: steps of it.
        recipe: settings of every training.
        nested: settings of the nested ones only.
        wider: settings of flat ones with about the nested one's parameters or multiply-accumulates, by name.
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
    """One network to be trained; what is measured on it follows from what it is.

    Args:
        list: the classes.
        kind: "flat" or "nested".
        tree: of a nested network.
        seed: of the weights, the order of images and the augmentation, of a random tree, and of the experts' classes.
        experts: classes of an expert, for each size asked about; experts are cut so that every class is in one.
        part, part_of: train on the classes of this expert only, of those that have so many classes.
        variation: "", or what is different about it.
        values: settings that differ from the plan's.
        taught: by the flat network of the same seed, which is trained first.
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
    taught: bool = False

    @property
    def key(self) -> str:
        """A name that no other training of a plan has; its result is in a file of that name."""
        part = "" if self.part is None else f"part{self.part}of{self.part_of}"
        words = (self.list.name, self.kind, self.tree, part, self.variation, f"seed{self.seed}")
        return "_".join(word.replace(" ", "-") for word in words if word)


def parts(classes: Sequence[str], each: int, *, seed: int) -> list[tuple[str, ...]]:
    """Classes dealt out at random to experts of so many, every class to one; what is left over makes a smaller one.

    >>> [len(part) for part in parts("abcdefg", 3, seed=0)]
    [3, 3, 1]
    """
    shuffled = random.Random(f"experts {seed}").sample(list(classes), len(classes))
    order = {id: label for label, id in enumerate(classes)}
    return [
        tuple(sorted(shuffled[start : start + each], key=order.__getitem__)) for start in range(0, len(shuffled), each)
    ]


def protocol(
    size: Size,
    lists: Sequence[List],
    seeds: Sequence[int],
    *,
    experts: tuple[int, ...],
    trained: Mapping[int, int],
    trees: Sequence[str] = TREES,
) -> Iterator[Training]:
    """The published protocol with its controls, one seed after the other: what is stopped has whole seeds.

    Args:
        experts: classes of the experts that are cut.
        trained: by the size of an expert, how many of them flat networks are also trained for, on their classes only.
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
