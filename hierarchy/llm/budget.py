"""What calls cost, how much may be spent, and how far a run is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hierarchy.errors import ChatError
from hierarchy.llm.compat import LIMIT
from hierarchy.llm.tokens import count_tokens
from hierarchy.llm.types import Reply, Request

MILLION = 1_000_000
PER_MESSAGE = 4  # tokens around each message, as OpenAI's chat format counts them
MARGIN = 1.1  # of an upper bound over the estimate of `count_tokens`


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens, read and written."""

    input: float
    output: float

    def of(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars.

        >>> Price(2.5, 10.0).of(4_000, 1_000)
        0.02
        """
        return (input_tokens * self.input + output_tokens * self.output) / MILLION


# OpenAI's published prices (developers.openai.com/api/docs/pricing; standard tier, requests below 272,000 tokens) as of
# March to October 2026, copied at second hand and not verified.
PRICES: Mapping[str, Price] = {
    "gpt-4": Price(30, 60),
    "gpt-4-turbo": Price(10, 30),
    "gpt-4o-2024-05-13": Price(5, 15),
    "gpt-4o": Price(2.5, 10),
    "gpt-4o-mini": Price(0.15, 0.6),
    "gpt-4.1": Price(2, 8),
    "gpt-4.1-mini": Price(0.4, 1.6),
    "gpt-4.1-nano": Price(0.1, 0.4),
    "o3": Price(2, 8),
    "o4-mini": Price(1.1, 4.4),
    "gpt-5": Price(1.25, 10),
    "gpt-5-mini": Price(0.25, 2),
    "gpt-5-nano": Price(0.05, 0.4),
    "gpt-5.1": Price(1.25, 10),
    "gpt-5.2": Price(1.75, 14),
    "gpt-5.4": Price(2.5, 15),
    "gpt-5.4-mini": Price(0.75, 4.5),
    "gpt-5.4-nano": Price(0.2, 1.25),
    "gpt-5.5": Price(5, 30),
    "gpt-6-sol": Price(2, 10),
    "gpt-6-luna": Price(0.1, 0.5),
}
BATCH = 0.5  # of the price, where the Batch API is used


def price_of(model: str) -> Price | None:
    """The published price of a model of OpenAI's; None of a model it is not known of.

    >>> price_of("gpt-4o-2024-08-06")
    Price(input=2.5, output=10)
    """
    return PRICES.get(model) or PRICES.get(re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model))


@dataclass(frozen=True)
class Limits:
    """How much one run may spend. What earlier runs with the same ledger spent, or began as a batch, does not count.

    A retry after an error that the server told of is not counted, as such an error is not billed. An answer that was
    lost on the way, as where the connection broke or the time was up, may be: it counts as a call that costs as much
    as it can. It counts once its request is through with its retries, so that these may exceed a limit by as many
    answers as the requests in flight lose.

    Args:
        calls: requests that are sent.
        cost: US dollars.
        price: of the model, where it is not OpenAI's or has another price now.
    """

    calls: int | None = None
    cost: float | None = None
    price: Price | None = None


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        done, total: requests answered, of those that were asked for; what the ledger held is among them.
        calls: HTTP calls of this run, with retries.
        input_tokens, output_tokens: of this run's replies, as the server counts them.
        cost: US dollars; None where a price is unknown.
        seconds_left: at the pace so far.
        note: what else there is to say, such as whom it waits for.
    """

    done: int
    total: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    seconds_left: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """One line for a person.

        >>> print(Progress(12, 60, 13, 9_000, 1_000, 0.0325, 48.0))
        12 of 60 answered, 13 calls, 10,000 tokens, $0.03, 48 s left
        """
        parts = [f"{self.done} of {self.total} answered", f"{self.calls} call" + "s" * (self.calls != 1)]
        parts.append(f"{self.input_tokens + self.output_tokens:,} tokens")
        parts.append("price unknown" if self.cost is None else f"${self.cost:.2f}")
        if self.seconds_left:
            parts.append(f"{self.seconds_left:.0f} s left")
        return ", ".join([*parts, self.note] if self.note else parts)


def input_tokens(request: Request) -> int:
    """Tokens of a request's messages, of what is around them, and of its schema, as estimated.

    >>> input_tokens(Request("assign", (("user", "Sort the classes."),), {"type": "object"}, "gpt-4o"))
    13
    """
    schema = json.dumps(dict(request.schema), separators=(",", ":"))
    return count_tokens(schema) + sum(count_tokens(text) + PER_MESSAGE for _, text in request.messages)


def bound(request: Request) -> tuple[int, int]:
    """Tokens that a request takes at most: read (as estimated, and a tenth more) and written (its limit).

    Raises:
        ChatError: the request has no limit, so there is no bound.
    """
    if LIMIT not in request.settings:
        raise ChatError(f"a request of prompt {request.prompt!r} has no {LIMIT!r}, so its cost has no bound; give one")
    return math.ceil(input_tokens(request) * MARGIN), int(request.settings[LIMIT])


def unbounded(model: str) -> str:
    """What to say where a limit of dollars meets a server that takes no limit of an answer's tokens."""
    return (
        f"--max-cost cannot be held: the server refuses every limit on the tokens of an answer of model {model!r}, so"
        " that its cost has no bound; limit the calls with --max-calls"
    )


class Budget:
    """What a run may spend, and what it has spent.

    Args:
        limits: what it may.
        published: the published prices hold, because the server is OpenAI's.
        share: of the price that is to be paid; half in batches.
    """

    def __init__(self, limits: Limits, *, published: bool, share: float = 1.0) -> None:
        self._limits = limits
        self._published = published
        self._share = share
        self._admitted = 0
        self._reserved: dict[str, float] = {}  # US dollars that requests in flight may cost, by key
        self._lost = 0.0  # US dollars that answers lost on the way may have cost
        self._spent = Progress(0, 0, 0, 0, 0, 0.0)

    def price(self, model: str) -> Price | None:
        """What the model costs, as far as is known."""
        return self._limits.price or (price_of(model) if self._published else None)

    def check(self, model: str, *, bounded: bool = True) -> None:
        """Refuses a limit of dollars for a model whose price is not known.

        Args:
            bounded: the server takes a limit on the tokens of an answer, as far as is known.

        Raises:
            ChatError: that is so, or answers have no bound.
        """
        if self._limits.cost is not None and not bounded:
            raise ChatError(unbounded(model))
        if self._limits.cost is not None and self.price(model) is None:
            raise ChatError(
                f"--max-cost {self._limits.cost:g} cannot be held: the price of model {model!r} here is unknown; give"
                " it with --price INPUT:OUTPUT (US dollars for a million tokens), or limit the calls with --max-calls"
            )

    def admit(self, request: Request) -> str:
        """Sets aside what a request may cost; gives the reason where that could exceed a limit, else nothing."""
        limits, price = self._limits, self.price(request.model)
        if limits.calls is not None and self._admitted >= limits.calls:
            return f"--max-calls {limits.calls} is reached"
        if limits.cost is not None and price is not None:
            most = price.of(*bound(request)) * self._share
            if (self._spent.cost or 0.0) + self._lost + sum(self._reserved.values()) + most > limits.cost:
                return f"--max-cost {limits.cost:g} could be exceeded by the next call, of up to ${most:.4f}"
            self._reserved[request.key] = most
        self._admitted += 1
        return ""

    def settle(self, request: Request, reply: Reply, *, calls: int = 1, lost: int = 0) -> None:
        """Counts what a request did cost, in place of what it might have.

        Args:
            calls: HTTP calls it took.
            lost: of these, how many may have been answered and billed without the answer arriving.
        """
        self._reserved.pop(request.key, None)
        price, spent = self.price(request.model), self._spent
        self._admitted += min(lost, calls - 1)  # one of all its calls was admitted
        if lost and price is not None and self._limits.cost is not None:
            self._lost += lost * price.of(*bound(request)) * self._share
        known = price is not None and spent.cost is not None
        paid = price.of(reply.input_tokens, reply.output_tokens) * self._share if price else 0.0
        self._spent = replace(
            spent,
            calls=spent.calls + calls,
            input_tokens=spent.input_tokens + reply.input_tokens,
            output_tokens=spent.output_tokens + reply.output_tokens,
            cost=(spent.cost or 0.0) + paid if known else None,
        )

    def progress(self, done: int, total: int, *, seconds_left: float | None = None, note: str = "") -> Progress:
        """How far the run is."""
        return replace(self._spent, done=done, total=total, seconds_left=seconds_left, note=note)

    def spent(self) -> str:
        """Tokens and US dollars spent, in words."""
        tokens = f"{self._spent.input_tokens + self._spent.output_tokens:,} tokens"
        lost = f", and up to ${self._lost:.4f} for answers that were lost on the way" if self._lost else ""
        cost = "" if self._spent.cost is None else f" or ${self._spent.cost:.4f}"
        return f"{tokens}{cost} are spent{lost}"
