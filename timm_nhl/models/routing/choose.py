"""Which groups of a network run for an image, and which node is likely enough to be the answer."""

from __future__ import annotations

import torch
from torch import Tensor

from hierarchy import Hierarchy
from timm_nhl.errors import OptionError

MASS = 0.9  # what runs unless said otherwise: on icons, no top-1 is lost (docs/decisions/0040)


def choose(probabilities: Tensor, *, keep: int | None = None, mass: float | None = None) -> Tensor:
    """The most likely groups of each image: (B, N) -> (B, N), True where a group runs; at least one does.

    Args:
        probabilities: of the N groups.
        keep: how many groups run at most.
        mass: the fewest groups run that hold this share of the probability of all N; by default `MASS`, or all of it if
            `keep` is given.

    Raises:
        OptionError: `keep` is not a whole number >= 1, or `mass` not above 0 and at most 1.

    >>> two = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.2, 0.4]])
    >>> choose(two, mass=0.5)
    tensor([[ True, False, False],
            [ True, False,  True]])
    >>> choose(two, keep=1)
    tensor([[ True, False, False],
            [ True, False, False]])
    """
    if keep is not None and (type(keep) is not int or keep < 1):
        raise OptionError(f"keep={keep!r} is not a whole number >= 1; use the largest number of groups to run, or mass")
    if mass is not None and (isinstance(mass, bool) or not isinstance(mass, (int, float)) or not 0 < mass <= 1):
        raise OptionError(f"mass={mass!r} is not a share of probability above 0 and up to 1; use one like {MASS}")
    if mass is None:
        mass = MASS if keep is None else 1.0
    values, groups = probabilities.sort(dim=1, descending=True, stable=True)
    kept = torch.ones_like(values, dtype=torch.bool)
    if mass < 1:
        before = values.cumsum(1) - values  # what more likely groups hold
        kept = before < mass * values.sum(1, keepdim=True)
        kept[:, 0] = True  # also where rounding has it otherwise
    if keep is not None:
        kept[:, keep:] = False
    return torch.zeros_like(kept).scatter(1, groups, kept)


def find_likely_nodes(probabilities: Tensor, tree: Hierarchy, threshold: float) -> list[str]:
    """The path of the most specific node of each image that has some probability; `""` if none has.

    Args:
        probabilities: (B, K) of the classes, in label order; a node has the sum of its classes'.
        threshold: the least probability.

    >>> pets = Hierarchy.from_rows([("a", "a", "cats", "x"), ("b", "b", "cats", "x"), ("c", "c", "dogs", "y")])
    >>> find_likely_nodes(torch.tensor([[0.4, 0.3, 0.1], [0.1, 0.1, 0.7], [0.2, 0.2, 0.2]]), pets, 0.5)
    ['cats/x', 'dogs/y/c', '']
    """
    answers = [""] * len(probabilities)
    for level in (1, 2, 3):
        paths = tree.nodes(level)
        node_of = torch.tensor(tree.ancestors(level), device=probabilities.device)  # (K,)
        sums = probabilities.new_zeros(len(probabilities), len(paths)).index_add(1, node_of, probabilities)  # (B, N)
        most, best = sums.max(1)
        for image, (value, node) in enumerate(zip(most.tolist(), best.tolist(), strict=True)):
            if value >= threshold:
                answers[image] = paths[node]
    return answers
