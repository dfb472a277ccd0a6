"""The tasks of a plan: classes that are named, or drawn at random or among relatives."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from hierarchy import Hierarchy
from hierarchy.english import count
from hierarchy.errors import HierarchyError
from timm_nhl.errors import OptionError


@dataclass(frozen=True)
class Task:
    """What an expert is wanted for.

    Args:
        name: for people.
        draws: the labels of one expert, ascending; of several if they are drawn.
    """

    name: str
    draws: tuple[tuple[int, ...], ...]


def name_tasks(tree: Hierarchy, texts: Iterable[str]) -> tuple[Task, ...]:
    """A task for each text: an id, a name or a node path, or several with commas between.

    Raises:
        OptionError: with everything that the hierarchy does not have, or that belongs to several classes.
    """
    tasks, problems = [], []
    for text in texts:
        labels: set[int] = set()
        for part in split_names(tree, text):
            try:
                labels |= {*tree.labels(part)}
            except HierarchyError as error:
                problems.append(str(error))
        tasks.append(Task(text or "all", (tuple(sorted(labels)),)))
    if problems:
        raise OptionError("; ".join(dict.fromkeys(problems)))
    return tuple(tasks)


def split_names(tree: Hierarchy, text: str) -> list[str]:
    """The names in a text with commas; a text that is a name as it is stays whole.

    >>> split_names(Hierarchy.balanced(4), "class 0, class 3")
    ['class 0', 'class 3']
    """
    try:
        tree.labels(text)
    except HierarchyError:
        return [part.strip() for part in text.split(",") if part.strip()]
    return [text]


def draw_random(tree: Hierarchy, size: int, *, draws: int, seed: int) -> Task:
    """Experts of random classes.

    Raises:
        OptionError: a size of less than 1 or more than all classes.

    >>> draw_random(Hierarchy.balanced(8), 3, draws=2, seed=0).draws
    ((3, 6, 7), (0, 2, 4))
    """
    check_size(tree, "--random", size)
    generator = random.Random(f"random {size} {seed}")
    labels = range(len(tree))
    return Task(f"{size} random", tuple(tuple(sorted(generator.sample(labels, size))) for _ in range(draws)))


def draw_related(tree: Hierarchy, size: int, *, draws: int, seed: int) -> Task:
    """Experts of classes that are neighbours in the hierarchy: of one superclass, if one has as many.

    Raises:
        OptionError: a size of less than 1 or more than all classes.

    >>> draw_related(Hierarchy.balanced(8), 2, draws=2, seed=0).draws
    ((4, 5), (0, 1))
    """
    check_size(tree, "--related", size)
    superclasses = tree.ancestors(1)
    near = sorted(range(len(tree)), key=tree.ancestors(3).__getitem__)  # siblings side by side
    kin = [list(each) for _, each in groupby(near, key=superclasses.__getitem__)]
    runs = [each for each in kin if len(each) >= size] or [near]
    starts = [(each, start) for each in runs for start in range(len(each) - size + 1)]
    generator = random.Random(f"related {size} {seed}")
    drawn = [generator.choice(starts) for _ in range(draws)]
    return Task(f"{size} related", tuple(tuple(sorted(each[start : start + size])) for each, start in drawn))


def check_size(tree: Hierarchy, flag: str, size: int) -> None:
    """Raises OptionError if there are not as many classes."""
    if not 1 <= size <= len(tree):
        raise OptionError(
            f"{flag} {size} is out of range: the hierarchy has {count(len(tree), 'class')}; use 1 to {len(tree)}"
        )
