"""What a model's proposal will take: the pipeline rehearsed with answers from the clustering, spending nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hierarchy.llm import Price, Reply, Request, count_input_tokens
from hierarchy.prompting.pipeline import EXAMPLES, MOST_CHOICES, Plan, Votes, propose
from hierarchy.prompting.rehearsal import Rehearsal
from hierarchy.prompting.retry import SPARE
from hierarchy.prompting.stages import MANY, Wording, brief
from hierarchy.proposal import Proposal, Vote

# Of so many classes one is disputed: of ImageNet-1k's 1,000, both witnesses wanted 100 elsewhere when a model had the
# reviewed hierarchy in mind. The rehearsal's own hierarchy is the witnesses', who would never disagree with it.
DISPUTED = 10
GROWTH = 1.5  # of a request over the largest of its stage in a rehearsal: more superclasses, longer names, a complaint


@dataclass(frozen=True)
class Estimate:
    """Calls, tokens and US dollars: as expected, and at most, with every repeat that may be needed.

    Args:
        cost, most_cost: US dollars, or None where the model's price is not known.
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
        price = "pass --price for the cost"
        if self.cost is not None and self.most_cost is not None:
            price = f"${self.cost:.2f} (at most ${self.most_cost:.2f})"
        return (
            f"{self.model}: {self.calls} calls (at most {self.most_calls}), "
            f"{self.tokens:,} tokens (at most {self.most_tokens:,}), {price}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, without the request."""
        return {name: value for name, value in asdict(self).items() if name != "first"} | {"tokens": self.tokens}


def estimate(proposal: Proposal, plan: Plan, *, price: Price | None = None) -> Estimate:
    """Rehearses a proposal.

    Args:
        proposal: the classes with their definitions, all of them placed: what the rehearsal answers from.
        plan: what a model is going to be asked for.
        price: of the model, if known.
    """
    chat = _Counting(Rehearsal(proposal.hierarchy()))
    propose(proposal.classes, chat, plan, witnesses=_disagreeing)
    read, written = sum(stage.read for stage in chat.stages), sum(stage.written for stage in chat.stages)
    most = [_most(stage, proposal, plan) for stage in chat.stages if stage.prompt != "again"]
    most.append(_all_again(proposal, plan))
    most_read, most_written = sum(n * read for n, read, _ in most), sum(n * written for n, _, written in most)
    return Estimate(
        model=plan.model,
        calls=sum(stage.calls for stage in chat.stages),
        most_calls=sum(calls for calls, _, _ in most),
        input_tokens=read,
        output_tokens=written,
        most_tokens=round(most_read + most_written),
        cost=price.cost(read, written) if price else None,
        most_cost=price.cost(most_read, most_written) if price else None,
        prompts={stage.prompt: stage.calls for stage in chat.stages},
        first=chat.stages[0].first,
    )


def _disagreeing(proposal: Proposal) -> Votes:
    """Witnesses who want every tenth class elsewhere, with one voice."""
    paths = proposal.settled.nodes(2)
    heard: list[tuple[Vote, ...]] = [()] * len(proposal.places)
    for label in range(0, len(heard), DISPUTED):
        other = paths[(paths.index(proposal.place(proposal.classes.ids[label])) + 1) % len(paths)]
        heard[label] = (Vote("wordnet", other, 0.5, ""), Vote("embedding", other, 0.5, ""))
    return heard


def _most(stage: _Stage, proposal: Proposal, plan: Plan) -> tuple[int, float, int]:
    """The most requests of a stage, and tokens that one of them may read and write."""
    whole_parts = -(-len(proposal.places) // (3 * plan.part))
    planned = {"groups": MANY * plan.superclasses + whole_parts, "rename": 2 * whole_parts + 1}
    calls = planned.get(stage.prompt, stage.calls)
    return calls + max(SPARE, calls), stage.most_read * GROWTH, stage.limit


def _all_again(proposal: Proposal, plan: Plan) -> tuple[int, float, int]:
    """The same, if no class had a majority and all were asked about again, with the longest groups to choose from."""
    settled = proposal.settled
    names = {path: settled.subset(path).names for path in settled.nodes(2)}
    listed = [f"{path} ({', '.join(inside[:EXAMPLES])})" for path, inside in names.items()]
    longest = dict(enumerate(sorted(listed, key=len)[-MOST_CHOICES:]))
    numbers = sorted(range(1, len(proposal.places) + 1), key=lambda n: -len(brief(proposal.classes.definitions[n - 1])))
    part = tuple(numbers[: max(1, plan.part // 4)])
    wording = Wording(proposal.classes, plan.model, plan.settings)
    request = wording.again(part, dict.fromkeys(part, tuple(longest)), longest).request()
    calls = -(-len(numbers) // len(part))
    return calls + max(SPARE, calls), count_input_tokens(request) * GROWTH, int(request.settings["max_tokens"])


@dataclass(frozen=True)
class _Stage:
    """One round of requests: how many, tokens read and written, the most of one that may be, and the first of them."""

    prompt: str
    calls: int
    read: int
    written: int
    most_read: int
    limit: int
    first: Request


class _Counting:
    """A chat that notes what goes through it."""

    def __init__(self, chat: Rehearsal) -> None:
        self.chat = chat
        self.stages: list[_Stage] = []

    def __call__(self, requests: Sequence[Request]) -> list[Reply]:
        replies = self.chat(requests)
        if requests:
            self.stages.append(
                _Stage(
                    prompt=requests[0].prompt,
                    calls=len(requests),
                    read=sum(reply.input_tokens for reply in replies),
                    written=sum(reply.output_tokens for reply in replies),
                    most_read=max(reply.input_tokens for reply in replies),
                    limit=max(int(request.settings["max_tokens"]) for request in requests),
                    first=requests[0],
                )
            )
        return replies
