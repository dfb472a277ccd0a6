"""Classes -> proposal by prompts: superclasses, votes on who belongs where, groups, names, and what is still disputed.

    superclasses (from all classes, in parts) -> merge -> assign (every class, several shuffled votes)
      -> groups (inside each superclass) -> again (only missing, twice placed and disputed classes) -> rename

Published precedent: Kelm et al. (2024) had ChatGPT-4 sort ImageNet's classes ("marine animals, sharks, hammerhead
shark"). Here a model only ever answers with numbers of a closed list, and what it says is a vote among others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from hierarchy.asking import Asked, Question, Value, ask
from hierarchy.chat import Chat
from hierarchy.classes import ClassList
from hierarchy.draft import Draft
from hierarchy.english import plural
from hierarchy.errors import ChatError
from hierarchy.proposal import Opinion
from hierarchy.tree import name_fault
from hierarchy.wording import Branch, Node, Wording

CANDIDATES = 4  # groups a disputed class may choose from
EXAMPLES = 4  # classes shown of each
AGAIN = 0.15  # of all classes may be asked about again, the most disputed first
Opinions = Sequence[Sequence[Opinion]]


@dataclass(frozen=True)
class Plan:
    """What decides a proposal, beside the classes.

    Args:
        model: what the server calls it.
        superclasses, groups: how many to ask for; what comes back may differ.
        votes: how often every class is put into a superclass, each time in another order.
        part: classes in one request.
        seed: of the shuffles.
        settings: sent with every request (temperature, max_tokens, ...).
    """

    model: str
    superclasses: int
    groups: int
    votes: int = 3
    part: int = 125
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposed:
    """A model's proposal.

    Args:
        draft: every class with one place, or unsettled.
        opinions: of each class, where the model would put it, the strongest first.
        replies: of each class, the keys of the replies that placed it.
        left: id -> why a class is unsettled.
        troubles: how often each kind of trouble was met.
        requests: how many requests were made, those answered before included.
    """

    draft: Draft
    opinions: tuple[tuple[Opinion, ...], ...]
    replies: tuple[tuple[str, ...], ...]
    left: Mapping[str, str]
    troubles: Mapping[str, int]
    requests: int


def propose(
    classes: ClassList,
    chat: Chat,
    plan: Plan,
    *,
    witnesses: Callable[[Draft], Opinions] | None = None,
    tell: Callable[[str], None] = lambda stage: None,
) -> Proposed:
    """Has a model build the hierarchy of some classes.

    Args:
        classes: with definitions, where there are any: they go with the names.
        chat: who is asked.
        plan: how.
        witnesses: what WordNet and the embedding say of a draft; where they agree against the model, it is asked again.
        tell: is called with the name of each stage.

    Raises:
        ChatError: no superclasses could be had at all.
    """
    return _Run(classes, chat, plan, witnesses, tell).run()


class _Run:
    """One proposal under way; classes go by their numbers, label + 1, and superclasses and groups by indices."""

    def __init__(
        self,
        classes: ClassList,
        chat: Chat,
        plan: Plan,
        witnesses: Callable[[Draft], Opinions] | None,
        tell: Callable[[str], None],
    ) -> None:
        self.classes, self.chat, self.plan, self.witnesses, self.tell = classes, chat, plan, witnesses, tell
        self.wording = Wording(classes, plan.model, plan.settings)
        self.numbers = tuple(range(1, len(classes) + 1))
        self.supers: list[Node] = []
        self.votes: dict[int, Counter[int]] = {number: Counter() for number in self.numbers}
        self.groups: list[tuple[int, str]] = []  # (index of superclass, name)
        self.group_of: dict[int, int] = {}
        self.keys: dict[int, list[str]] = {number: [] for number in self.numbers}
        self.again: dict[int, int] = {}  # what a disputed class chose
        self.left: dict[int, str] = {}
        self.troubles: Counter[str] = Counter()
        self.requests = 0

    def run(self) -> Proposed:
        self.supers = self._superclasses()
        self._assign()
        self._divide()
        self._settle()
        self._rename()
        places = tuple(self._place(number) for number in self.numbers)
        return Proposed(
            draft=Draft(self.classes, places),
            opinions=tuple(self._opinions(number) for number in self.numbers),
            replies=tuple(tuple(dict.fromkeys(self.keys[number])) for number in self.numbers),
            left={self.classes.ids[n - 1]: self.left.get(n, "no majority") for n in self.numbers if not places[n - 1]},
            troubles=dict(sorted((+self.troubles).items())),
            requests=self.requests,
        )

    def _superclasses(self) -> list[Node]:
        self.tell("asking for superclasses")
        parts = _parts(self._shuffled("superclasses"), 2 * self.plan.part)
        wanted = self.plan.superclasses
        asked = self._ask([self.wording.superclasses(part, wanted, alone=len(parts) == 1) for part in parts])
        suggested = [node for nodes, _, _ in asked.answers for node in nodes]
        if not suggested:
            why = next(iter(asked.left.values()), "no answer")
            raise ChatError(
                f"model {self.plan.model!r} proposed no superclasses ({why}); try another model, or a larger limit"
            )
        if len(parts) > 1:
            self.tell("merging superclasses")
            merged = self._ask([self.wording.merge(suggested, wanted)]).answers
            suggested = list(merged[0][0]) if merged else _commonest(suggested, wanted)
        return _distinct(suggested, taken=set(self.classes.ids))

    def _assign(self) -> None:
        self.tell(f"{self.plan.votes} votes on every class")
        orders = [self._shuffled(f"vote {vote}") for vote in range(self.plan.votes)]
        questions = [
            self.wording.assign(part, Random(f"{self.plan.seed} nodes {vote}").sample(self.supers, len(self.supers)))
            for vote, order in enumerate(orders)
            for part in _parts(order, self.plan.part)
        ]
        index_of = {node.name: index for index, node in enumerate(self.supers)}
        asked = self._ask_about_classes(questions)
        for placed, _, key in asked.answers:
            for number, name in placed.items():
                self.votes[number][index_of[name] if name else -1] += 1
                self.keys[number].append(key)

    def _majority(self, number: int) -> int | None:
        """The superclass that more than half of the votes on a class are for."""
        votes = self.votes[number]
        if not votes:
            return None
        best, count = votes.most_common(1)[0]
        return best if best >= 0 and 2 * count > votes.total() and 2 * votes.total() > self.plan.votes else None

    def _divide(self) -> None:
        self.tell("dividing superclasses into groups")
        members: dict[int, list[int]] = {}
        for number in self._shuffled("groups"):
            best = self._majority(number)
            if best is not None:
                members.setdefault(best, []).append(number)
        questions: list[Question[dict[int, str]]] = []
        homes: dict[int, int] = {}
        for index, numbers in sorted(members.items()):
            siblings = [node.name for other, node in enumerate(self.supers) if other != index]
            for part in _parts(numbers, 3 * self.plan.part):
                wanted = max(1, min(round(self.plan.groups * len(part) / len(self.classes)), len(part) // 2))
                questions.append(self.wording.groups(part, self.supers[index].name, siblings, wanted))
                homes |= dict.fromkeys(part, index)
        asked = self._ask_about_classes(questions)
        for named, items, key in asked.answers:
            for number, name in named.items():
                self.group_of[number] = self._group(homes[items[0]], name)
                self.keys[number].append(key)

    def _group(self, index: int, name: str) -> int:
        """The index of a group by its superclass and name, made where there is none (case does not count)."""
        for place, (superclass, other) in enumerate(self.groups):
            if superclass == index and other.casefold() == name.casefold():
                return place
        self.groups.append((index, name))
        return len(self.groups) - 1

    def _settle(self) -> None:
        """Asks again about classes without a group, and those that the witnesses would put elsewhere with one voice."""
        opinions = self._heard()
        open_ones = [number for number in self.numbers if number not in self.group_of]
        disputed = {
            number: strength
            for number in self.group_of
            for node, strength in _one_voice(opinions[number - 1])
            if node != "/".join(self._path(self.group_of[number]))
        }
        worst = sorted(disputed, key=lambda number: (-disputed[number], number))
        chosen = [*open_ones, *worst[: round(AGAIN * len(self.classes))]]
        candidates = {number: self._candidates(number, opinions[number - 1]) for number in chosen}
        asked_of = [number for number in chosen if candidates[number]]
        if not asked_of:
            return
        self.tell(f"asking again about {len(asked_of)} classes")
        groups = {group for number in asked_of for group in candidates[number]}
        listed = {g: f"{'/'.join(self._path(g))} ({', '.join(self._members(g)[:EXAMPLES])})" for g in groups}
        questions = [self.wording.again(part, candidates, listed) for part in _parts(asked_of, self.plan.part // 4)]
        for found, _, key in self._ask_about_classes(questions).answers:
            for number, group in found.items():
                self.keys[number].append(key)
                if group is not None:
                    self.group_of[number] = self.again[number] = group

    def _heard(self) -> Opinions:
        if self.witnesses is None or not self.group_of:
            return [()] * len(self.classes)
        return self.witnesses(Draft(self.classes, tuple(self._place(number) for number in self.numbers)))

    def _candidates(self, number: int, opinions: Sequence[Opinion]) -> tuple[int, ...]:
        """Groups a class may belong to: its own, those of the witnesses, then the largest of the superclasses voted."""
        by_path = {"/".join(self._path(group)): group for group in range(len(self.groups))}
        found = [self.group_of[number]] if number in self.group_of else []
        found += [by_path[opinion.node] for opinion in opinions if opinion.node in by_path]
        size = Counter(self.group_of.values())
        for index, _ in self.votes[number].most_common():
            inside = [group for group, (superclass, _) in enumerate(self.groups) if superclass == index]
            found += sorted(inside, key=lambda group: (-size[group], group))
        return tuple(dict.fromkeys(found))[:CANDIDATES]

    def _rename(self) -> None:
        self.tell("checking names")
        taken = [node.name for node in self.supers]
        for (supers, groups), _, _ in self._ask(
            [self.wording.rename(part, taken) for part in self._branches()]
        ).answers:
            for index, name in supers.items():
                others = {node.name.casefold() for other, node in enumerate(self.supers) if other != index}
                if name.casefold() not in others and name not in self.classes.ids:
                    self.supers[index] = Node(name, self.supers[index].about)
            for group, name in groups.items():
                index = self.groups[group][0]
                others = {other.casefold() for g, (i, other) in enumerate(self.groups) if i == index and g != group}
                if name.casefold() not in others | {self.supers[index].name.casefold()}:
                    self.groups[group] = (index, name)

    def _branches(self) -> list[list[Branch]]:
        """The tree so far, in parts of so many classes that one request can show their names."""
        parts: list[list[Branch]] = []
        room = 0
        for index, node in enumerate(self.supers):
            used = sorted({group for group in self.group_of.values() if self.groups[group][0] == index})
            groups = tuple((group, self.groups[group][1], self._members(group)) for group in used)
            size = sum(len(names) for _, _, names in groups)
            if size and size > room:
                parts.append([])
                room = 3 * self.plan.part
            if size:
                parts[-1].append(Branch(index, node.name, groups))
                room -= size
        return parts

    def _members(self, group: int) -> tuple[str, ...]:
        return tuple(self.classes.names[n - 1] for n in self.numbers if self.group_of.get(n) == group)

    def _path(self, group: int) -> tuple[str, str]:
        index, name = self.groups[group]
        return self.supers[index].name, name

    def _place(self, number: int) -> tuple[str, str] | None:
        return self._path(self.group_of[number]) if number in self.group_of else None

    def _opinions(self, number: int) -> tuple[Opinion, ...]:
        """What the model says of a class: its place with the votes for it, then other superclasses it voted for."""
        votes = self.votes[number]
        total = max(1, votes.total())
        found = []
        home = self.groups[self.group_of[number]][0] if number in self.group_of else None
        if home is not None:
            why = f"{votes[home]} of {votes.total()} votes"
            why += ", and again when asked about this class" if number in self.again else ""
            strength = max(votes[home] / total, 0.5 if number in self.again else 0.0)
            found.append(Opinion("llm", "/".join(self._path(self.group_of[number])), round(strength, 3), why))
        for index, count in votes.most_common():
            if index >= 0 and index != home:
                why = f"{count} of {votes.total()} votes"
                found.append(Opinion("llm", self.supers[index].name, round(count / total, 3), why))
        return tuple(found)

    def _shuffled(self, purpose: str) -> list[int]:
        return Random(f"{self.plan.seed} {purpose}").sample(self.numbers, len(self.numbers))

    def _ask(self, questions: list[Question[Value]]) -> Asked[Value]:
        asked = ask(self.chat, questions)
        self.troubles += asked.troubles
        self.requests += asked.requests
        return asked

    def _ask_about_classes(self, questions: list[Question[Value]]) -> Asked[Value]:
        asked = self._ask(questions)
        self.left |= asked.left
        return asked


def _parts(numbers: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """The numbers in order, in the fewest parts of at most so many, as even as can be."""
    count = -(-len(numbers) // max(1, most))
    bounds = [round(i * len(numbers) / count) for i in range(count + 1)] if count else []
    return [tuple(numbers[start:end]) for start, end in pairwise(bounds)]


def _one_voice(opinions: Sequence[Opinion]) -> list[tuple[str, float]]:
    """Where two witnesses or more put a class with one voice, and how sure they are; nothing where they differ."""
    nodes = {opinion.node for opinion in opinions}
    if len(opinions) < 2 or len(nodes) != 1:
        return []
    return [(nodes.pop(), sum(opinion.strength for opinion in opinions))]


def _commonest(suggested: Sequence[Node], wanted: int) -> list[Node]:
    """The suggestions made most often, where nobody could merge them."""
    counts = Counter(node.name.casefold() for node in suggested)
    first = {node.name.casefold(): node for node in reversed(suggested)}
    return [first[name] for name, _ in counts.most_common(wanted)]


def _distinct(nodes: Sequence[Node], taken: set[str]) -> list[Node]:
    """Nodes of different names; one that is called like a class's id gets a plural, or a number, instead."""
    found: dict[str, Node] = {}
    for node in nodes:
        names = [node.name, plural(node.name), *(f"{node.name} {n}" for n in range(2, 9))]
        name = next(name for name in names if name not in taken and not name_fault(name))
        found.setdefault(name.casefold(), Node(name, node.about))
    return list(found.values())
