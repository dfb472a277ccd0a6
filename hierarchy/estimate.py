"""What a model's proposal will take: the pipeline rehearsed with answers from the clustering, spending nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hierarchy.asking import SPARE
from hierarchy.budget import MARGIN, Price
from hierarchy.chat import Reply, Request
from hierarchy.draft import Draft
from hierarchy.propose import Opinions, Plan, propose
from hierarchy.rehearsal import Rehearsal


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
        price = "the price of the model is unknown"
        if self.cost is not None and self.most_cost is not None:
            price = f"${self.cost:.2f} (at most ${self.most_cost:.2f})"
        return (
            f"{self.model}: {self.calls} calls (at most {self.most_calls}), "
            f"{self.tokens:,} tokens (at most {self.most_tokens:,}), {price}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, without the request."""
        return {name: value for name, value in asdict(self).items() if name != "first"} | {"tokens": self.tokens}


def estimate(
    draft: Draft, plan: Plan, *, heard: Opinions = (), price: Price | None = None, factor: float = 1.0
) -> Estimate:
    """Rehearses a proposal.

    Args:
        draft: the classes with their definitions, all of them placed: what the rehearsal answers from.
        plan: what a model is going to be asked for.
        heard: what the witnesses say of the draft, so that the disputed classes are asked about again.
        price: of the model, if known.
        factor: on the price; 0.5 for batches.
    """
    chat = _Counting(Rehearsal(draft.hierarchy()))
    propose(draft.classes, chat, plan, witnesses=lambda _: heard or [()] * len(draft.places))
    read, written = sum(stage.read for stage in chat.stages), sum(stage.written for stage in chat.stages)
    most_read = sum(stage.read * stage.growth for stage in chat.stages) * MARGIN
    most_written = sum(stage.limit * stage.growth for stage in chat.stages)
    return Estimate(
        model=plan.model,
        calls=sum(stage.calls for stage in chat.stages),
        most_calls=sum(stage.calls + max(SPARE, stage.calls) for stage in chat.stages),
        input_tokens=read,
        output_tokens=written,
        most_tokens=round(most_read + most_written),
        cost=price.of(read, written) * factor if price else None,
        most_cost=price.of(most_read, most_written) * factor if price else None,
        prompts={stage.prompt: stage.calls for stage in chat.stages},
        first=chat.stages[0].first,
    )


@dataclass(frozen=True)
class _Stage:
    """One round of requests: how many, tokens read and written, tokens that may be written, and the first of them."""

    prompt: str
    calls: int
    read: int
    written: int
    limit: int
    first: Request

    @property
    def growth(self) -> float:
        """How many times as much the stage takes where all spare requests are needed (see `hierarchy.asking`)."""
        return (self.calls + max(SPARE, self.calls)) / self.calls


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
                    limit=sum(int(request.settings["max_tokens"]) for request in requests),
                    first=requests[0],
                )
            )
        return replies
