"""Classes -> proposal by prompts: superclasses, votes on who belongs where, groups, what is disputed, and names.

    superclasses (from all classes, in parts) -> merge -> assign (every class, several shuffled votes)
      -> groups (inside each superclass) -> again (only missing, misfit and disputed classes) -> rename

Published precedent: Kelm et al. (2024) had ChatGPT-4 sort ImageNet's classes ("marine animals, sharks, hammerhead
shark"). Here a model answers only with numbers of a closed list, and its answers are votes among others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Any

from hierarchy.english import plural
from hierarchy.errors import ChatError
from hierarchy.llm import Chat
from hierarchy.names import name_fault
from hierarchy.prompting.again import Votes, find_choices
from hierarchy.prompting.readings import NONE, Home, NewNames, Node, Suggested
from hierarchy.prompting.retry import Answer, Answers, ask
from hierarchy.prompting.stages import Branch, Plan, Questions
from hierarchy.prompting.votes import (
    Tally,
    Tree,
    count_votes,
    explain_unsettled,
    find_misfits,
    group_classes,
    list_doubts,
    list_votes,
    rename_nodes,
)
from hierarchy.proposal import Proposal
from hierarchy.sources import ClassList


@dataclass(frozen=True)
class Proposed:
    """A model's proposal.

    Args:
        proposal: the places, the votes for them, what the model doubts, and the replies they came from. Definitions
            are the model's where it corrected them.
        left: id -> why a class is unsettled.
        troubles: how often each kind of trouble occurred.
        requests: how many requests were answered, now or in an earlier run.
    """

    proposal: Proposal
    left: Mapping[str, str]
    troubles: Mapping[str, int]
    requests: int


@dataclass(frozen=True)
class _Run:
    """A proposal under way: who is asked about which classes, and how."""

    classes: ClassList
    plan: Plan
    chat: Chat
    progress: Callable[[str], None]
    guessed: frozenset[int] = frozenset()

    @property
    def questions(self) -> Questions:
        return Questions(self.classes, self.plan, self.guessed)

    def corrected(self, meanings: Mapping[int, str]) -> _Run:
        """The run with the meanings that the model gave in place of definitions."""
        definitions = [meanings.get(n, old) for n, old in zip(self.numbers, self.classes.definitions, strict=True)]
        classes = replace(self.classes, definitions=tuple(definitions))
        return replace(self, classes=classes, guessed=self.guessed - meanings.keys())

    @property
    def numbers(self) -> range:
        return range(1, len(self.classes) + 1)

    def shuffle(self, purpose: str) -> list[int]:
        """All numbers of classes, in an order that depends on the seed and the purpose."""
        return Random(f"{self.plan.seed} {purpose}").sample(self.numbers, len(self.numbers))


def propose(
    classes: ClassList,
    chat: Chat,
    plan: Plan,
    *,
    guessed: Collection[str] = (),
    witnesses: Callable[[Proposal], Votes] | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Proposed:
    """Asks a model for a hierarchy of some classes.

    Args:
        classes: with definitions, where there are any: they go with the names.
        chat: answers the requests.
        plan: how they are asked.
        guessed: ids of the classes whose definition was looked up, and may be that of a namesake.
        witnesses: the votes of WordNet and the embedding on a proposal; where they agree against the model, the
            model is asked again.
        progress: receives the name of each stage.

    Raises:
        ChatError: the model proposed no superclasses.
    """
    numbers = {id: number for number, id in enumerate(classes.ids, 1)}
    run = _Run(classes, plan, chat, progress, frozenset(numbers[id] for id in guessed))
    superclasses, first = _find_superclasses(run)
    run = run.corrected({n: said for answers in first for a in answers.found for n, said in a.value.meanings.items()})
    assigned = _assign(run, superclasses)
    tally = count_votes(assigned.found, plan.votes)
    tree, divided = _divide(run, superclasses, tally)
    misfits = find_misfits(divided.found)
    votes: Votes = [()] * len(classes)
    if witnesses is not None and tree.group:
        votes = witnesses(_make_proposal(run, tree, tally, [*assigned.found, *divided.found], misfits, {}))
    chosen = _choose(run, tree, tally, votes, misfits)
    picks = {number: group for answer in chosen.found for number, group in answer.value.items()}
    tree = replace(tree, group={**tree.group, **{n: group for n, group in picks.items() if group != NONE}})
    renamed = _rename(run, tree)
    for answer in renamed.found:
        tree = rename_nodes(tree, answer.value, classes.ids)
    left = _merge_left(assigned, divided, chosen)
    asked: list[Answers[Any]] = [*first, assigned, divided, chosen, renamed]
    unsettled = {classes.ids[number - 1]: number for number in run.numbers if number not in tree.group}
    return Proposed(
        _make_proposal(run, tree, tally, [*assigned.found, *divided.found, *chosen.found], misfits, picks),
        {
            id: left.get(number) or explain_unsettled(tally, number, refused=picks.get(number) == NONE)
            for id, number in unsettled.items()
        },
        dict(sorted(sum((answers.troubles for answers in asked), Counter()).items())),
        sum(answers.requests for answers in asked),
    )


def _find_superclasses(run: _Run) -> tuple[list[Node], list[Answers[Suggested]]]:
    """Asks for superclasses of all classes, in parts, and merges them."""
    run.progress("asking for superclasses")
    parts = _split(run.shuffle("superclasses"), 2 * run.plan.part)
    asked = [ask(run.chat, [run.questions.superclasses(part) for part in parts])]
    suggested = [node for answer in asked[0].found for node in answer.value.nodes]
    if not suggested:
        why = next(iter(asked[0].left.values()), "no answer")
        raise ChatError(
            f"model {run.plan.model!r} proposed no superclasses ({why}); try another model, or larger --reply-tokens"
            " for one that thinks before it answers"
        )
    if len(asked[0].found) > 1:
        run.progress("merging superclasses")
        asked.append(ask(run.chat, [run.questions.merge(suggested)]))
        merged = asked[1].found
        suggested = list(merged[0].value.nodes) if merged else _take_commonest(suggested, run.plan.superclasses)
    return _make_distinct(suggested, taken=set(run.classes.ids)), asked


def _assign(run: _Run, superclasses: Sequence[Node]) -> Answers[dict[int, int]]:
    """Asks for the superclass of every class several times, each time in another order."""
    run.progress(f"asking for {run.plan.votes} vote" + "s" * (run.plan.votes != 1) + " on every class")
    questions = []
    for vote in range(run.plan.votes):
        order = Random(f"{run.plan.seed} nodes {vote}").sample(range(len(superclasses)), len(superclasses))
        parts = _split(run.shuffle(f"vote {vote}"), run.plan.part)
        questions += [run.questions.assign(part, superclasses, order) for part in parts]
    return ask(run.chat, questions)


def _divide(run: _Run, superclasses: Sequence[Node], tally: Tally) -> tuple[Tree, Answers[dict[int, Home]]]:
    """Asks to divide the classes of each superclass into groups."""
    run.progress("dividing superclasses into groups")
    homes = {number: home for number in run.shuffle("groups") if (home := tally.majority(number)) is not None}
    questions = []
    for home in sorted(set(homes.values())):
        inside = [number for number, own in homes.items() if own == home]
        for part in _split(inside, 3 * run.plan.part):
            questions.append(run.questions.divide(part, superclasses, home, len(inside)))
    asked = ask(run.chat, questions)
    return group_classes(superclasses, homes, asked.found), asked


def _choose(run: _Run, tree: Tree, tally: Tally, votes: Votes, misfits: Mapping[int, int]) -> Answers[dict[int, int]]:
    """Asks again about the classes without a group, and the most doubtful others."""
    choices = find_choices(tree, tally, votes=votes, misfits=misfits, names=run.classes.names, seed=run.plan.seed)
    run.progress(f"asking again about {len(choices)} class" + "es" * (len(choices) != 1))
    order = [number for number in run.shuffle("again") if number in choices]
    return ask(run.chat, [run.questions.choose(part, choices) for part in _split(order, run.plan.part // 4)])


def _rename(run: _Run, tree: Tree) -> Answers[NewNames]:
    """Asks to check the names, a few superclasses at a time."""
    run.progress("checking names")
    parts: list[list[Branch]] = []
    room = 0
    for branch in tree.branches(run.classes.names):
        size = sum(len(names) for _, _, names in branch.groups)
        if size > room:
            parts.append([])
            room = 3 * run.plan.part
        parts[-1].append(branch)
        room -= size
    questions = []
    for part in parts:
        shown = {branch.index for branch in part}
        taken = [node.name for index, node in enumerate(tree.superclasses) if index not in shown]
        questions.append(run.questions.rename(part, taken))
    return ask(run.chat, questions)


def _make_proposal(
    run: _Run,
    tree: Tree,
    tally: Tally,
    answers: Iterable[Answer[Any]],
    misfits: Mapping[int, int],
    picks: Mapping[int, int],
) -> Proposal:
    """All classes with their places, the model's votes and doubts, and the replies that mention them.

    Args:
        run: with all classes.
        tree: their places.
        tally: their votes.
        answers: the answers by class, in the order of the replies.
        misfits: class -> the superclass where it belongs instead, or NONE.
        picks: class -> the group it was given when it was asked about again, or NONE.
    """
    keys: dict[int, dict[str, None]] = {}
    for answer in answers:
        for number in answer.value:
            keys.setdefault(number, {})[answer.key] = None
    numbers = {id: number for number, id in enumerate(run.classes.ids, 1)}
    votes = {
        id: list_votes(tree, tally, number, chosen=picks.get(number, NONE) != NONE) for id, number in numbers.items()
    }
    doubts = {
        id: list_doubts(tree, tally, number, sibling=misfits.get(number), picked=picks.get(number))
        for id, number in numbers.items()
    }
    return Proposal(
        run.classes,
        tuple(map(tree.place, numbers.values())),
        votes={id: own for id, own in votes.items() if own},
        replies={id: tuple(keys[number]) for id, number in numbers.items() if number in keys},
        doubts={id: own for id, own in doubts.items() if own},
    )


def _merge_left(*asked: Answers[dict[int, Any]]) -> dict[int, str]:
    """Why classes got no answer, according to the last stage that asked about them."""
    left: dict[int, str] = {}
    for answers in asked:
        found = {number for answer in answers.found for number in answer.value}
        left = {number: why for number, why in {**left, **answers.left}.items() if number not in found}
    return left


def _split(numbers: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """The numbers in order, in the fewest parts of at most `most`, as even as can be."""
    count = -(-len(numbers) // max(1, most))
    bounds = [round(i * len(numbers) / count) for i in range(count + 1)] if count else []
    return [tuple(numbers[start:end]) for start, end in pairwise(bounds)]


def _take_commonest(suggested: Sequence[Node], wanted: int) -> list[Node]:
    """The suggestions made most often."""
    counts = Counter(node.name.casefold() for node in suggested)
    first = {node.name.casefold(): node for node in reversed(suggested)}
    return [first[name] for name, _ in counts.most_common(wanted)]


def _make_distinct(nodes: Sequence[Node], taken: set[str]) -> list[Node]:
    """Nodes of different names; one whose name is the id of a class gets a plural, or a number, instead."""
    found: dict[str, Node] = {}
    for node in nodes:
        names = [node.name, plural(node.name), *(f"{node.name} {n}" for n in range(2, len(taken) + 3))]
        name = next(name for name in names if name not in taken and not name_fault(name))
        found.setdefault(name.casefold(), Node(name, node.about))
    return list(found.values())
