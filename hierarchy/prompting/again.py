"""Which classes a model is asked about again, and the groups that each may choose from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import TypeAlias

from hierarchy.prompting.readings import NONE
from hierarchy.prompting.stages import Option
from hierarchy.prompting.votes import Tally, Tree
from hierarchy.proposal import Vote

CHOICES = 4  # groups that a class may choose from if only witnesses dispute its place,
MOST_CHOICES = 8  # and one that has none, or that the model itself doubts
EXAMPLES = 4  # classes shown of each group
AGAIN = 0.15  # of all classes may be asked about again though they have a place
Votes: TypeAlias = Sequence[Sequence[Vote]]  # in label order


def find_choices(
    tree: Tree, tally: Tally, *, votes: Votes, misfits: Mapping[int, int], names: Sequence[str], seed: int
) -> dict[int, list[Option]]:
    """The groups that each class may choose from which is asked about again, in random order.

    These are the classes without a group and, of the others, first those that the model's votes differ on, then those
    that the witnesses agree to put elsewhere.

    Args:
        tree: the places so far.
        tally: the model's votes.
        votes: the witnesses'.
        misfits: class -> the superclass where it belongs instead, or NONE.
        names: of the classes.
        seed: of the order of the groups.
    """
    split = {number: tally.share(number) for number in tree.group if tally.share(number) < 1}
    disputed = {
        number: strength
        for number, group in tree.group.items()
        if (strength := _agreement(votes[number - 1], tree.path(group)))
    }
    doubtful = [
        *sorted(split, key=lambda number: (split[number], number)),
        *sorted(disputed, key=lambda number: (-disputed[number], number)),
    ]
    limits = {number: MOST_CHOICES for number in range(1, len(names) + 1) if number not in tree.group}
    for number in list(dict.fromkeys(doubtful))[: round(AGAIN * len(names))]:
        limits[number] = MOST_CHOICES if number in split else CHOICES
    choices = {}
    for number, limit in limits.items():
        sibling = misfits.get(number, NONE)
        groups = find_candidates(tree, tally, number, votes[number - 1], limit, sibling=sibling)
        if groups:
            shuffled = Random(f"{seed} again {number}").sample(groups, len(groups))
            choices[number] = [_make_option(tree, group, number, names) for group in shuffled]
    return choices


def _make_option(tree: Tree, group: int, number: int, names: Sequence[str]) -> Option:
    """A group that a class may choose; the class itself is no evidence of what is in it."""
    return Option(group, tree.path(group), tree.members(group, names, without=number)[:EXAMPLES])


def _agreement(votes: Sequence[Vote], here: str) -> float:
    """How sure two or more witnesses are who agree to put a class elsewhere; 0 if they do not."""
    nodes = {vote.node for vote in votes}
    return sum(vote.strength for vote in votes) if len(votes) > 1 and len(nodes) == 1 and here not in nodes else 0.0


def find_candidates(
    tree: Tree, tally: Tally, number: int, votes: Sequence[Vote], most: int, *, sibling: int = NONE
) -> tuple[int, ...]:
    """Groups a class may belong to, likeliest first, at most `most`.

    Its own, those of the superclass where it belongs as a misfit, the witnesses', then those of the superclasses voted
    for, the largest first. The minority comes before the majority for a class that has a group: its own is known.
    """
    by_path = {tree.path(group): group for group in range(len(tree.groups))}
    size = Counter(tree.group.values())
    own = tree.group.get(number)
    voted = [superclass for superclass, _ in tally[number].most_common()]
    if own is not None:
        voted.sort(key=lambda superclass: superclass == tree.groups[own][0])

    def inside(superclass: int) -> list[int]:
        groups = [group for group, (parent, _) in enumerate(tree.groups) if parent == superclass and size[group]]
        return sorted(groups, key=lambda group: (-size[group], group))

    found = [own] if own is not None else []
    found += inside(sibling)
    found += [by_path[vote.node] for vote in votes if vote.node in by_path]
    found += [group for superclass in voted for group in inside(superclass)]
    return tuple(dict.fromkeys(found))[:most]
