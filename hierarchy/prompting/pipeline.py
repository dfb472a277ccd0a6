"""Classes -> proposal by prompts: superclasses, votes on who belongs where, groups, what is disputed, and names.

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
from typing import Any, TypeVar

from hierarchy.english import plural
from hierarchy.errors import ChatError
from hierarchy.llm import Chat
from hierarchy.names import name_fault
from hierarchy.prompting.retry import Asked, Question, Value, ask
from hierarchy.prompting.stages import Branch, Node, Wording
from hierarchy.prompting.votes import NONE, Tally
from hierarchy.proposal import Proposal, Vote
from hierarchy.settings import DEFAULT_VOTES
from hierarchy.sources import ClassList

CHOICES = 4  # groups that a disputed class may choose from,
MOST_CHOICES = 8  # and one without a place
EXAMPLES = 4  # classes shown of each group a disputed class may choose
AGAIN = 0.15  # of all classes may be asked about again though they have a place, the most disputed first
Votes = Sequence[Sequence[Vote]]
Found = TypeVar("Found")


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
    votes: int = DEFAULT_VOTES
    part: int = 125
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposed:
    """A model's proposal.

    Args:
        proposal: the places, the votes for them and the replies they came from.
        left: id -> why a class is unsettled.
        troubles: how often each kind of trouble was met.
        requests: how many requests were answered, now or in an earlier run.
    """

    proposal: Proposal
    left: Mapping[str, str]
    troubles: Mapping[str, int]
    requests: int


def propose(
    classes: ClassList,
    chat: Chat,
    plan: Plan,
    *,
    witnesses: Callable[[Proposal], Votes] | None = None,
    tell: Callable[[str], None] = lambda stage: None,
) -> Proposed:
    """Has a model build the hierarchy of some classes.

    Args:
        classes: with definitions, where there are any: they go with the names.
        chat: who is asked.
        plan: how.
        witnesses: the votes of WordNet and the embedding on a proposal; where they agree against the model, the
            model is asked again.
        tell: is called with the name of each stage.

    Raises:
        ChatError: no superclasses could be had at all.
    """
    return _Stages(classes, chat, plan, witnesses, tell).run()


class _Stages:
    """One proposal under way."""

    def __init__(
        self,
        classes: ClassList,
        chat: Chat,
        plan: Plan,
        witnesses: Callable[[Proposal], Votes] | None,
        tell: Callable[[str], None],
    ) -> None:
        self.classes, self.chat, self.plan, self.witnesses, self.tell = classes, chat, plan, witnesses, tell
        self.wording = Wording(classes, plan.model, plan.settings)
        self.numbers = tuple(range(1, len(classes) + 1))
        self.left: dict[int, str] = {}
        self.troubles: Counter[str] = Counter()
        self.requests = 0

    def run(self) -> Proposed:
        tally = Tally(self.classes, self.superclasses(), self.plan.votes)
        self.assign(tally)
        self.divide(tally)
        self.settle(tally)
        self.rename(tally)
        unsettled = [number for number in self.numbers if number not in tally.group_of]
        return Proposed(
            proposal=tally.proposal(),
            left={self.classes.ids[n - 1]: self.left.get(n) or tally.why_unsettled(n) for n in unsettled},
            troubles=dict(sorted((+self.troubles).items())),
            requests=self.requests,
        )

    def superclasses(self) -> list[Node]:
        self.tell("asking for superclasses")
        parts = _parts(self.shuffled("superclasses"), 2 * self.plan.part)
        wanted = self.plan.superclasses
        asked = self.ask([self.wording.superclasses(part, wanted, alone=len(parts) == 1) for part in parts])
        suggested = [node for nodes, _, _ in asked.answers for node in nodes]
        if not suggested:
            why = next(iter(asked.left.values()), "no answer")
            raise ChatError(
                f"model {self.plan.model!r} proposed no superclasses ({why}); try another model, or larger"
                " --reply-tokens for one that thinks before it answers"
            )
        if len(asked.answers) > 1:
            self.tell("merging superclasses")
            merged = self.ask([self.wording.merge(suggested, wanted)]).answers
            suggested = merged[0][0] if merged else _commonest(suggested, wanted)
        return _distinct(suggested, taken=set(self.classes.ids))

    def assign(self, tally: Tally) -> None:
        self.tell(f"{self.plan.votes} votes on every class")
        questions = []
        for vote in range(self.plan.votes):
            listed = Random(f"{self.plan.seed} nodes {vote}").sample(tally.supers, len(tally.supers))
            questions += [
                self.wording.assign(part, listed) for part in _parts(self.shuffled(f"vote {vote}"), self.plan.part)
            ]
        index_of = {node.name: index for index, node in enumerate(tally.supers)} | {"": NONE}
        for placed, _, key in self.ask_about_classes(questions).answers:
            for number, name in placed.items():
                tally.vote(number, index_of[name], key)

    def divide(self, tally: Tally) -> None:
        self.tell("dividing superclasses into groups")
        members: dict[int, list[int]] = {}
        for number in self.shuffled("groups"):
            home = tally.majority(number)
            if home is not None:
                members.setdefault(home, []).append(number)
        questions = []
        home_of: dict[int, int] = {}
        for home, inside in sorted(members.items()):
            siblings = [node.name for other, node in enumerate(tally.supers) if other != home]
            for part in _parts(inside, 3 * self.plan.part):
                share = self.plan.groups / len(self.classes)
                questions.append(self.wording.groups(part, tally.supers[home].name, siblings, share))
                home_of |= dict.fromkeys(part, home)
        for named, _, key in self.ask_about_classes(questions).answers:
            for number, name in named.items():
                tally.put(number, tally.group(home_of[number], name), key)

    def settle(self, tally: Tally) -> None:
        """Asks again about classes without a group, and those that the witnesses would put elsewhere with one voice."""
        heard: Votes = [()] * len(self.classes)
        if self.witnesses is not None and tally.group_of:
            heard = self.witnesses(tally.proposal())
        disputed = {
            number: strength
            for number, group in tally.group_of.items()
            for node, strength in _one_voice(heard[number - 1])
            if node != tally.path(group)
        }
        worst = sorted(disputed, key=lambda number: (-disputed[number], number))[: round(AGAIN * len(self.classes))]
        open_ones = [number for number in self.numbers if number not in tally.group_of]
        choices = {number: tally.candidates(number, heard[number - 1], MOST_CHOICES) for number in open_ones}
        choices |= {number: tally.candidates(number, heard[number - 1], CHOICES) for number in worst}
        asked_about = [number for number, groups in choices.items() if groups]
        self.tell(f"asking again about {len(asked_about)} classes")
        shown = {group for number in asked_about for group in choices[number]}
        listed = {group: f"{tally.path(group)} ({', '.join(tally.members(group)[:EXAMPLES])})" for group in shown}
        parts = _parts(asked_about, self.plan.part // 4)
        for chosen, _, key in self.ask_about_classes([self.wording.again(p, choices, listed) for p in parts]).answers:
            for number, choice in chosen.items():
                if choice is None:
                    tally.refuse(number, key)
                else:
                    tally.put(number, choice, key, again=True)

    def rename(self, tally: Tally) -> None:
        self.tell("checking names")
        parts: list[list[Branch]] = []
        room = 0
        for branch in tally.branches():
            if branch.size > room:
                parts.append([])
                room = 3 * self.plan.part
            parts[-1].append(branch)
            room -= branch.size
        shown = [{branch.index for branch in part} for part in parts]
        taken = [[node.name for index, node in enumerate(tally.supers) if index not in inside] for inside in shown]
        questions = [self.wording.rename(part, others) for part, others in zip(parts, taken, strict=True)]
        for (supers, groups), _, _ in self.ask(questions).answers:
            for index, name in supers.items():
                tally.rename_superclass(index, name)
            for index, name in groups.items():
                tally.rename_group(index, name)

    def shuffled(self, purpose: str) -> list[int]:
        return Random(f"{self.plan.seed} {purpose}").sample(self.numbers, len(self.numbers))

    def ask(self, questions: list[Question[Value]]) -> Asked[Value]:
        asked = ask(self.chat, questions)
        self.troubles += asked.troubles
        self.requests += asked.requests
        return asked

    def ask_about_classes(self, questions: list[Question[dict[int, Found]]]) -> Asked[dict[int, Found]]:
        asked = self.ask(questions)
        self.left |= asked.left
        for found, _, _ in asked.answers:
            self.left = {number: why for number, why in self.left.items() if number not in found}
        return asked


def _parts(numbers: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """The numbers in order, in the fewest parts of at most so many, as even as can be."""
    count = -(-len(numbers) // max(1, most))
    bounds = [round(i * len(numbers) / count) for i in range(count + 1)] if count else []
    return [tuple(numbers[start:end]) for start, end in pairwise(bounds)]


def _one_voice(votes: Sequence[Vote]) -> list[tuple[str, float]]:
    """Where two witnesses or more put a class with one voice, and how sure they are; nothing where they differ."""
    nodes = {vote.node for vote in votes}
    if len(votes) < 2 or len(nodes) != 1:
        return []
    return [(nodes.pop(), sum(vote.strength for vote in votes))]


def _commonest(suggested: Sequence[Node], wanted: int) -> list[Node]:
    """The suggestions made most often, where nobody could merge them."""
    counts = Counter(node.name.casefold() for node in suggested)
    first = {node.name.casefold(): node for node in reversed(suggested)}
    return [first[name] for name, _ in counts.most_common(wanted)]


def _distinct(nodes: Sequence[Node], taken: set[str]) -> list[Node]:
    """Nodes of different names; one that is called like a class's id gets a plural, or a number, instead."""
    found: dict[str, Node] = {}
    for node in nodes:
        names = [node.name, plural(node.name), *(f"{node.name} {n}" for n in range(2, len(taken) + 3))]
        name = next(name for name in names if name not in taken and not name_fault(name))
        found.setdefault(name.casefold(), Node(name, node.about))
    return list(found.values())
