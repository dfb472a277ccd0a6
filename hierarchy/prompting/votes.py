"""What the answers add up to: the votes on each class, and the tree that the classes are sorted into.

Classes go by number (label + 1), superclasses and groups by index, so that a node can be renamed at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hierarchy.english import count
from hierarchy.names import join_path
from hierarchy.prompting.readings import NONE, Home, NewNames, Node
from hierarchy.prompting.retry import Answer
from hierarchy.prompting.stages import Branch
from hierarchy.proposal import Doubt, Place, Vote

MISFIT = 0.5  # the weight of a misfit among doubts: more than one vote of three, less than two;
CHANGED = 0.5  # and of a class that the model moves when it is asked again, although its votes were one


@dataclass(frozen=True)
class Tally:
    """The votes of a model on the superclass of each class.

    Args:
        counts: number of a class -> index of a superclass, or NONE -> votes; classes without a vote are left out.
        wanted: how many votes each class was to get.
    """

    counts: Mapping[int, Counter[int]]
    wanted: int

    def majority(self, number: int) -> int | None:
        """The superclass that more than half of the votes on a class are for, if more than half were cast."""
        votes = self[number]
        if 2 * votes.total() <= self.wanted:
            return None
        best, count = votes.most_common(1)[0]
        return best if best != NONE and 2 * count > votes.total() else None

    def share(self, number: int) -> float:
        """The share of the votes on a class that its commonest answer has; 1 without votes."""
        votes = self[number]
        return votes.most_common(1)[0][1] / votes.total() if votes else 1.0

    def __getitem__(self, number: int) -> Counter[int]:
        return self.counts.get(number, Counter())


def count_votes(answers: Iterable[Answer[dict[int, int]]], wanted: int) -> Tally:
    """Counts the votes of some answers, each class number -> index of a superclass."""
    counts: dict[int, Counter[int]] = {}
    for answer in answers:
        for number, superclass in answer.value.items():
            counts.setdefault(number, Counter())[superclass] += 1
    return Tally(counts, wanted)


@dataclass(frozen=True)
class Tree:
    """Superclasses, their groups, and the group of each class.

    Args:
        superclasses: the closed list of them.
        groups: the index of its superclass and the name of each group.
        group: number of a class -> index of its group; unsettled classes are left out.
    """

    superclasses: tuple[Node, ...]
    groups: tuple[tuple[int, str], ...] = ()
    group: Mapping[int, int] = field(default_factory=dict)

    def place(self, number: int) -> Place | None:
        """The names of a class's superclass and group; None while it is unsettled."""
        if number not in self.group:
            return None
        superclass, name = self.groups[self.group[number]]
        return self.superclasses[superclass].name, name

    def path(self, group: int) -> str:
        """The path of a group."""
        superclass, name = self.groups[group]
        return join_path(self.superclasses[superclass].name, name)

    def members(self, group: int, names: Sequence[str], *, without: int = 0) -> tuple[str, ...]:
        """The names of a group's classes, in label order, given those of all classes, `without` one of them."""
        numbers = sorted(number for number, own in self.group.items() if own == group and number != without)
        return tuple(names[number - 1] for number in numbers)

    def branches(self, names: Sequence[str]) -> list[Branch]:
        """The superclasses that have classes, with their groups, given the names of all classes."""
        used = sorted(set(self.group.values()))
        found = []
        for index, node in enumerate(self.superclasses):
            own = [group for group in used if self.groups[group][0] == index]
            if own:
                groups = tuple((group, self.groups[group][1], self.members(group, names)) for group in own)
                found.append(Branch(index, node.name, groups))
        return found


def group_classes(
    superclasses: Sequence[Node], homes: Mapping[int, int], answers: Iterable[Answer[dict[int, Home]]]
) -> Tree:
    """The tree that answers (class number -> name of a group) make of classes whose superclass is known.

    Groups of a superclass whose names differ in case only are one. A misfit gets no group. A superclass that no answer
    divides is one group, whose name a later stage checks.
    """
    groups: dict[tuple[int, str], tuple[int, str]] = {}
    home: dict[int, tuple[int, str]] = {}
    divided = {number: name for answer in answers for number, name in answer.value.items()}
    known = {homes[number] for number in divided}
    whole = {number: superclasses[own].name for number, own in homes.items() if own not in known}
    for number, name in {**divided, **whole}.items():
        if isinstance(name, str):
            key = homes[number], name.casefold()
            groups.setdefault(key, (homes[number], name))
            home[number] = key
    index = {key: position for position, key in enumerate(groups)}
    return Tree(tuple(superclasses), tuple(groups.values()), {number: index[key] for number, key in home.items()})


def find_misfits(answers: Iterable[Answer[dict[int, Home]]]) -> dict[int, int]:
    """The classes that were put into the wrong superclass: number -> the index of the right one, or NONE."""
    return {number: home for answer in answers for number, home in answer.value.items() if isinstance(home, int)}


def rename_nodes(tree: Tree, names: NewNames, reserved: Collection[str]) -> Tree:
    """Renames nodes one after the other, except where a superclass, a sibling or the parent has the name.

    Args:
        tree: with the old names.
        names: the new ones.
        reserved: names that no superclass may have: the ids of classes.
    """
    superclasses, groups = list(tree.superclasses), list(tree.groups)
    for index, name in names.superclasses.items():
        others = {node.name.casefold() for other, node in enumerate(superclasses) if other != index}
        if name.casefold() not in others and name not in reserved:
            superclasses[index] = replace(superclasses[index], name=name)
    for index, name in names.groups.items():
        parent = groups[index][0]
        siblings = {other.casefold() for g, (own, other) in enumerate(groups) if own == parent and g != index}
        if name.casefold() not in siblings | {superclasses[parent].name.casefold()}:
            groups[index] = parent, name
    return replace(tree, superclasses=tuple(superclasses), groups=tuple(groups))


def list_votes(tree: Tree, tally: Tally, number: int, *, chosen: bool) -> tuple[Vote, ...]:
    """A model's votes on a class: its place first, then the other superclasses it voted for.

    Args:
        tree: with the place of the class.
        tally: the votes.
        number: of the class.
        chosen: the model chose this place when it was asked about the class again.
    """
    votes, cast = tally[number], tally[number].total()
    home = tree.groups[tree.group[number]][0] if number in tree.group else None
    found = []
    if home is not None:
        why = f"{votes[home]} of {count(cast, 'vote')}" + (", and when asked again about this class" if chosen else "")
        strength = max(votes[home] / max(1, cast), 0.5 if chosen else 0.0)
        found.append(Vote("llm", tree.path(tree.group[number]), round(strength, 3), why))
    for superclass, wanted in votes.most_common():
        if superclass not in (NONE, home):
            node = tree.superclasses[superclass].name
            found.append(Vote("llm", node, round(wanted / cast, 3), f"{wanted} of {count(cast, 'vote')}"))
    return tuple(found)


def list_doubts(tree: Tree, tally: Tally, number: int, *, sibling: int | None, picked: int | None) -> tuple[Doubt, ...]:
    """What the model itself doubts about a class, the strongest first.

    Args:
        tree: with the place of the class.
        tally: the votes.
        number: of the class.
        sibling: the superclass where it belongs according to the question about groups, or NONE; None for no misfit.
        picked: the group it chose when it was asked about the class again, or NONE; None if it was not asked.
    """
    votes, cast = tally[number], tally[number].total()
    again = "; asked again, it said that the class fits none of its groups"
    if picked is None:
        again = ""
    elif picked != NONE:
        again = f"; asked again, it chose {tree.path(picked)}"
    found = []
    if votes[NONE] or picked == NONE:
        why = f"{votes[NONE]} of {count(cast, 'vote')} for no superclass at all" if votes[NONE] else again[2:]
        found.append(Doubt("none", 1.0 if picked == NONE else round(votes[NONE] / cast, 3), why))
    shares = [(superclass, wanted) for superclass, wanted in votes.most_common() if superclass != NONE]
    if len(shares) > 1:
        named = [f"{wanted} for {tree.superclasses[superclass].name}" for superclass, wanted in shares[1:]]
        why = f"{shares[0][1]} of {count(cast, 'vote')} for {tree.superclasses[shares[0][0]].name}, {', '.join(named)}"
        found.append(Doubt("split", round(1 - shares[0][1] / cast, 3), why + again))
    elif sibling is None and shares and picked not in (None, NONE) and tree.groups[picked][0] != shares[0][0]:
        why = f"{shares[0][1]} of {count(cast, 'vote')} for {tree.superclasses[shares[0][0]].name}{again}"
        found.append(Doubt("split", CHANGED, why))
    if sibling is not None:
        where = tree.superclasses[sibling].name if sibling != NONE else "none of its siblings"
        at_first = tree.superclasses[shares[0][0]].name if shares else "a superclass"
        found.append(Doubt("misfit", MISFIT, f"first put into {at_first}, then said to belong to {where}{again}"))
    return tuple(sorted(found, key=lambda doubt: -doubt.weight))


def explain_unsettled(tally: Tally, number: int, *, refused: bool) -> str:
    """Why a class has no group, according to the model's answers.

    Args:
        tally: the votes.
        number: of the class.
        refused: asked about the class again, the model said that it fits no group.
    """
    votes = tally[number]
    if refused or votes[NONE] * 2 > votes.total():
        return "the model says that it fits nowhere"
    if tally.majority(number) is not None:
        return "it has a superclass, and no group there"
    return "no majority of the votes for one superclass" if votes else "no votes"
