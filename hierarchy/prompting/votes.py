"""What a model has said so far: votes on classes, groups and who is in them, and which replies said so.

Classes go by their numbers (label + 1), superclasses and groups by indices, so that a node can be renamed at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hierarchy.prompting.stages import Branch, Node
from hierarchy.proposal import Place, Proposal, Vote
from hierarchy.sources import ClassList

NONE = -1  # the vote that a class fits no superclass


class Tally:
    """The votes and the tree they make.

    Args:
        classes: K of them.
        supers: the closed list of superclasses.
        votes: how many votes each class is to get.
    """

    def __init__(self, classes: ClassList, supers: Sequence[Node], votes: int) -> None:
        self.classes, self.supers, self._wanted = classes, list(supers), votes
        self.numbers = tuple(range(1, len(classes) + 1))
        self.groups: list[tuple[int, str]] = []  # index of the superclass, name
        self.group_of: dict[int, int] = {}
        self.chosen_again: set[int] = set()
        self._refused: set[int] = set()
        self._votes: dict[int, Counter[int]] = {number: Counter() for number in self.numbers}
        self._keys: dict[int, dict[str, None]] = {number: {} for number in self.numbers}

    def vote(self, number: int, superclass: int, key: str) -> None:
        """Counts a vote on a class."""
        self._votes[number][superclass] += 1
        self._keys[number][key] = None

    def put(self, number: int, group: int, key: str, *, again: bool = False) -> None:
        """Puts a class into a group; `again` says that it was asked about by itself."""
        self.group_of[number] = group
        self.note(number, key)
        if again:
            self.chosen_again.add(number)

    def refuse(self, number: int, key: str) -> None:
        """Keeps that a class, asked about by itself, was said to fit none of the groups it could choose from."""
        self.note(number, key)
        if number not in self.group_of:
            self._refused.add(number)

    def why_unsettled(self, number: int) -> str:
        """Why a class has no group, as the model's answers have it."""
        votes = self._votes[number]
        if number in self._refused or votes[NONE] * 2 > votes.total():
            return "the model says that it fits nowhere"
        return "no majority of the votes for one superclass" if votes else "no votes"

    def note(self, number: int, key: str) -> None:
        """Keeps which reply spoke of a class."""
        self._keys[number][key] = None

    def group(self, superclass: int, name: str) -> int:
        """The index of a group, made where there is none of that name (case does not count)."""
        for index, (own, other) in enumerate(self.groups):
            if own == superclass and other.casefold() == name.casefold():
                return index
        self.groups.append((superclass, name))
        return len(self.groups) - 1

    def majority(self, number: int) -> int | None:
        """The superclass that more than half of the votes on a class are for, if more than half were cast."""
        votes = self._votes[number]
        if 2 * votes.total() <= self._wanted:
            return None
        best, count = votes.most_common(1)[0]
        return best if best != NONE and 2 * count > votes.total() else None

    def candidates(self, number: int, votes: Sequence[Vote], most: int) -> tuple[int, ...]:
        """Groups a class may belong to: its own, the witnesses', then the largest of the superclasses voted for."""
        by_path = {self.path(group): group for group in range(len(self.groups))}
        found = [self.group_of[number]] if number in self.group_of else []
        found += [by_path[vote.node] for vote in votes if vote.node in by_path]
        size = Counter(self.group_of.values())
        for superclass, _ in self._votes[number].most_common():
            inside = [group for group, (own, _) in enumerate(self.groups) if own == superclass]
            found += sorted(inside, key=lambda group: (-size[group], group))
        return tuple(dict.fromkeys(found))[:most]

    def rename_superclass(self, index: int, name: str) -> None:
        """Renames a superclass, unless the name is taken by another one or is the id of a class."""
        others = {node.name.casefold() for other, node in enumerate(self.supers) if other != index}
        if name.casefold() not in others and name not in self.classes.ids:
            self.supers[index] = Node(name, self.supers[index].about)

    def rename_group(self, index: int, name: str) -> None:
        """Renames a group, unless the name is taken by a sibling or by its superclass."""
        superclass = self.groups[index][0]
        siblings = {other.casefold() for g, (own, other) in enumerate(self.groups) if own == superclass and g != index}
        if name.casefold() not in siblings | {self.supers[superclass].name.casefold()}:
            self.groups[index] = (superclass, name)

    def members(self, group: int) -> tuple[str, ...]:
        """Names of a group's classes, in label order."""
        return tuple(self.classes.names[n - 1] for n in self.numbers if self.group_of.get(n) == group)

    def branches(self) -> list[Branch]:
        """The superclasses that have classes, with their groups."""
        used = sorted(set(self.group_of.values()))
        return [
            Branch(index, node.name, groups)
            for index, node in enumerate(self.supers)
            if (groups := tuple((g, self.groups[g][1], self.members(g)) for g in used if self.groups[g][0] == index))
        ]

    def path(self, group: int) -> str:
        """The path of a group."""
        superclass, name = self.groups[group]
        return f"{self.supers[superclass].name}/{name}"

    def place(self, number: int) -> Place | None:
        """Where a class stands; None while it is unsettled."""
        if number not in self.group_of:
            return None
        superclass, name = self.groups[self.group_of[number]]
        return self.supers[superclass].name, name

    def proposal(self) -> Proposal:
        """All classes with their places, votes and replies so far."""
        about = {self.classes.ids[number - 1]: number for number in self.numbers}
        return Proposal(
            self.classes,
            tuple(map(self.place, self.numbers)),
            votes={id: votes for id, number in about.items() if (votes := self.votes(number))},
            replies={id: keys for id, number in about.items() if (keys := self.keys(number))},
        )

    def keys(self, number: int) -> tuple[str, ...]:
        """Keys of the replies that spoke of a class, in the order they did."""
        return tuple(self._keys[number])

    def votes(self, number: int) -> tuple[Vote, ...]:
        """What the model says of a class: its place with the votes for it, then other superclasses it voted for."""
        votes = self._votes[number]
        cast = votes.total()
        home = self.groups[self.group_of[number]][0] if number in self.group_of else None
        found = []
        if home is not None:
            again = number in self.chosen_again
            why = f"{votes[home]} of {cast} votes" + (", and when asked again about this class" if again else "")
            strength = max(votes[home] / max(1, cast), 0.5 if again else 0.0)
            found.append(Vote("llm", self.path(self.group_of[number]), round(strength, 3), why))
        for superclass, count in votes.most_common():
            if superclass not in (NONE, home):
                why = f"{count} of {cast} votes"
                found.append(Vote("llm", self.supers[superclass].name, round(count / cast, 3), why))
        return tuple(found)
