"""What a model's proposal will take: the pipeline is rehearsed with answers from the clustering, at no cost."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hierarchy.english import count
from hierarchy.llm import Price, Reply, Request, count_input_tokens, count_tokens
from hierarchy.prompting.again import EXAMPLES, MOST_CHOICES, Votes
from hierarchy.prompting.pipeline import propose
from hierarchy.prompting.readings import MANY, find_fault
from hierarchy.prompting.retry import SPARE
from hierarchy.prompting.stages import Option, Plan, Questions, brief
from hierarchy.proposal import Proposal, Vote
from hierarchy.tree import Hierarchy

# One class of 10 is disputed: of ImageNet-1k's 1,000, both witnesses wanted 100 elsewhere when a model had the
# reviewed hierarchy in mind. The rehearsal's own hierarchy is the witnesses', who would never disagree with it.
DISPUTED = 10
GROWTH = 1.5  # of a request over the largest of its stage in a rehearsal: more superclasses, longer names, a complaint
ABOUT = "what belongs there, and where its border runs"  # as long as a model's would be


@dataclass(frozen=True)
class Estimate:
    """Calls, tokens and US dollars: as expected, and at most, with every repeat that may be needed.

    Args:
        model: the server's name for it.
        calls, most_calls: HTTP calls.
        input_tokens, output_tokens: read and written, as expected.
        most_tokens: read and written, at most.
        cost, most_cost: US dollars; None where the model's price is unknown.
        prompts: calls of each prompt.
        first: the first request, as it will be sent.
    """

    model: str
    calls: int
    most_calls: int
    input_tokens: int
    output_tokens: int
    most_tokens: int
    cost: float | None
    most_cost: float | None
    prompts: dict[str, int]
    first: Request

    @property
    def tokens(self) -> int:
        """Tokens read and written, as expected."""
        return self.input_tokens + self.output_tokens

    def __str__(self) -> str:
        price = "pass --price to estimate the cost"
        if self.cost is not None and self.most_cost is not None:
            price = f"${self.cost:.2f} (at most ${self.most_cost:.2f})"
        return (
            f"{self.model}: {count(self.calls, 'call')} (at most {self.most_calls}), "
            f"{count(self.tokens, 'token')} (at most {self.most_tokens:,}), {price}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, without the request."""
        return {name: value for name, value in asdict(self).items() if name != "first"} | {"tokens": self.tokens}


def estimate_usage(
    proposal: Proposal, plan: Plan, *, guessed: Collection[str] = (), price: Price | None = None
) -> Estimate:
    """Estimates what a proposal by a model will take.

    Args:
        proposal: the classes with their definitions, all of them placed; the rehearsal answers from it.
        plan: how the model will be asked.
        guessed: ids of the classes whose definition was looked up.
        price: of the model, if known.
    """
    stages: list[_Stage] = []
    hierarchy = _name_as_asked(proposal.hierarchy())

    def chat(requests: Sequence[Request]) -> list[Reply]:
        replies = rehearse(hierarchy, requests)
        stages.extend([_Stage(tuple(requests), tuple(replies))] if requests else [])
        return replies

    propose(proposal.classes, chat, plan, guessed=guessed, witnesses=_disagree)
    read = sum(reply.input_tokens for stage in stages for reply in stage.replies)
    written = sum(reply.output_tokens for stage in stages for reply in stage.replies)
    bounds = [_bound(stage, proposal, plan) for stage in stages if stage.prompt != "again"]
    bounds.append(_bound_again(proposal, plan))
    most_read = sum(bound.calls * bound.read for bound in bounds)
    most_written = sum(bound.calls * bound.written for bound in bounds)
    return Estimate(
        model=plan.model,
        calls=sum(len(stage.requests) for stage in stages),
        most_calls=sum(bound.calls for bound in bounds),
        input_tokens=read,
        output_tokens=written,
        most_tokens=round(most_read + most_written),
        cost=price.cost(read, written) if price else None,
        most_cost=price.cost(most_read, most_written) if price else None,
        prompts={stage.prompt: len(stage.requests) for stage in stages},
        first=stages[0].requests[0],
    )


def _name_as_asked(hierarchy: Hierarchy) -> Hierarchy:
    """The hierarchy with other names for nodes whose names a model would be complained to about, such as "devices"."""
    names = dict.fromkeys(name for place in hierarchy.groups for name in place)
    good = {name: f"kind {n}" if find_fault([name]) else name for n, name in enumerate(names)}
    groups = [(good[top], good[group]) for top, group in hierarchy.groups]
    distinct = tuple(
        (top, f"kinds of {group}" if group.casefold() == top.casefold() else group) for top, group in groups
    )
    return Hierarchy(hierarchy.classes, hierarchy.names, distinct)


def rehearse(hierarchy: Hierarchy, requests: Sequence[Request]) -> list[Reply]:
    """Answers as a model would that has a hierarchy in mind; class number n is its label n - 1.

    Replies carry the tokens that a real exchange would take.
    """
    replies = []
    for request in requests:
        answer = _ANSWERS[request.prompt](hierarchy, request.about)
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        replies.append(Reply(text, "stop", count_input_tokens(request), count_tokens(text), request.model))
    return replies


def _answer_superclasses(hierarchy: Hierarchy, about: Mapping[str, Any]) -> dict[str, Any]:
    names = about.get("suggested") or [hierarchy.groups[number - 1][0] for number in about["classes"]]
    return {"superclasses": [{"name": name, "about": ABOUT} for name in dict.fromkeys(names)], "meanings": []}


def _answer_assign(hierarchy: Hierarchy, about: Mapping[str, Any]) -> dict[str, Any]:
    homes = [(number, hierarchy.groups[number - 1][0]) for number in about["classes"]]
    nodes = {name: int(node) for node, name in about["nodes"].items()}
    return {"placements": [{"id": number, "node": nodes.get(home, 0)} for number, home in homes]}


def _answer_groups(hierarchy: Hierarchy, about: Mapping[str, Any]) -> dict[str, Any]:
    members: dict[str, list[int]] = {}
    for number in about["classes"]:
        members.setdefault(hierarchy.groups[number - 1][1], []).append(number)
    return {"groups": [{"name": name, "ids": numbers} for name, numbers in members.items()], "misfits": []}


def _answer_again(hierarchy: Hierarchy, about: Mapping[str, Any]) -> dict[str, Any]:
    pairs = zip(about["classes"], about["choices"], strict=True)
    return {"placements": [{"id": number, "node": choices[0]} for number, choices in pairs]}


def _answer_rename(hierarchy: Hierarchy, about: Mapping[str, Any]) -> dict[str, Any]:
    return {"names": []}


_ANSWERS = {
    "superclasses": _answer_superclasses,
    "merge": _answer_superclasses,
    "assign": _answer_assign,
    "groups": _answer_groups,
    "again": _answer_again,
    "rename": _answer_rename,
}


@dataclass(frozen=True)
class _Stage:
    """One round of requests of a prompt, with their replies."""

    requests: tuple[Request, ...]
    replies: tuple[Reply, ...]

    @property
    def prompt(self) -> str:
        return self.requests[0].prompt


@dataclass(frozen=True)
class _Bound:
    """The most requests of a stage, and tokens that each may read and write."""

    calls: int
    read: float
    written: int


def _bound(stage: _Stage, proposal: Proposal, plan: Plan) -> _Bound:
    whole_parts = -(-len(proposal.places) // (3 * plan.part))
    planned = {"groups": MANY * plan.superclasses + whole_parts, "rename": 2 * whole_parts + 1}
    calls = planned.get(stage.prompt, len(stage.requests))
    read = max(reply.input_tokens for reply in stage.replies) * GROWTH
    return _Bound(calls + max(SPARE, calls), read, max(int(r.settings["max_tokens"]) for r in stage.requests))


def _bound_again(proposal: Proposal, plan: Plan) -> _Bound:
    """The bound if all classes were asked about again, with the longest groups to choose from."""
    settled = proposal.settled
    paths = enumerate(settled.nodes(2))
    options = [Option(group, path, settled.subset(path).names[:EXAMPLES]) for group, path in paths]
    longest = sorted(options, key=lambda option: len(str(option)))[-MOST_CHOICES:]
    numbers = sorted(range(1, len(proposal.places) + 1), key=lambda n: -len(brief(proposal.classes.definitions[n - 1])))
    part = tuple(numbers[: max(1, plan.part // 4)])
    request = Questions(proposal.classes, plan).choose(part, dict.fromkeys(part, longest)).request()
    calls = -(-len(numbers) // len(part))
    read = count_input_tokens(request) * GROWTH
    return _Bound(calls + max(SPARE, calls), read, int(request.settings["max_tokens"]))


def _disagree(proposal: Proposal) -> Votes:
    """Witnesses who agree to put every tenth class elsewhere."""
    paths = proposal.settled.nodes(2)
    votes: list[tuple[Vote, ...]] = [()] * len(proposal.places)
    for label in range(0, len(votes), DISPUTED):
        other = paths[(paths.index(proposal.place(proposal.classes.ids[label])) + 1) % len(paths)]
        votes[label] = (Vote("wordnet", other, 0.5, ""), Vote("embedding", other, 0.5, ""))
    return votes
