"""What calls cost, how much may be spent, and how far a run is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hierarchy.chat import Reply, Request
from hierarchy.errors import ChatError
from hierarchy.protocol import LIMIT
from hierarchy.tokens import count_tokens

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


PRICES: Mapping[str, Price] = {}


def price_of(model: str) -> Price | None:
    """The published price of a model of OpenAI's; None of a model it is not known of."""
    return PRICES.get(model) or PRICES.get(re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model))


@dataclass(frozen=True)
class Limits:
    """How much one run may spend. What earlier runs with the same ledger spent does not count.

    Args:
        calls: requests that are sent; a retry after an error is not counted, as an error is not billed.
        cost: US dollars.
        price: of the model, where it is not OpenAI's or has another price now.
    """

    calls: int | None = None
    cost: float | None = None
    price: Price | None = None


@dataclass(frozen=True)
class Progress:
    """How far a run is: requests answered of those asked for, calls and tokens spent, US dollars, seconds left."""

    done: int
    total: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None = None
    seconds_left: float | None = None
    note: str = ""

    def noting(self, note: str) -> Progress:
        """The same, with something to be said."""
        return replace(self, note=note)


def bound(request: Request) -> tuple[int, int]:
    """Tokens that a request takes at most: read (an estimate and a tenth more) and written (its limit).

    Raises:
        ChatError: the request has no limit, so no bound can be had.
    """
    text = "".join(words for _, words in request.messages) + json.dumps(dict(request.schema), separators=(",", ":"))
    if LIMIT not in request.settings:
        raise ChatError(f"a request of prompt {request.prompt!r} has no {LIMIT!r}, so its cost has no bound; set it")
    read = count_tokens(text) * MARGIN + PER_MESSAGE * (len(request.messages) + 1)
    return int(read) + 1, int(request.settings[LIMIT])


@dataclass
class Budget:
    """What a run may spend and has spent; `own_prices` says that the published prices hold on its server."""

    limits: Limits
    own_prices: bool = True
    factor: float = 1.0
    calls: int = 0
    sent: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    _reserved: dict[str, float] = field(default_factory=dict)

    def price(self, model: str) -> Price | None:
        """What the model costs here."""
        return self.limits.price or (price_of(model) if self.own_prices else None)

    def check(self, model: str) -> None:
        """Refuses a limit of dollars for a model whose price is not known."""
        if self.limits.cost is not None and self.price(model) is None:
            raise ChatError(
                f"the price of model {model!r} is unknown, so ${self.limits.cost:g} cannot be held; give its price with"
                " --price INPUT:OUTPUT (US dollars for a million tokens), or limit the calls with --max-calls"
            )

    def admit(self, request: Request) -> str:
        """Reserves what a request may cost; gives the reason where that could exceed a limit, else nothing."""
        if self.limits.calls is not None and self.sent >= self.limits.calls:
            return f"--max-calls {self.limits.calls} is reached{self._spent()}; run again to go on"
        if self.limits.cost is not None:
            price = self.price(request.model)
            assert price is not None
            most = price.of(*bound(request)) * self.factor
            if (self.cost or 0.0) + sum(self._reserved.values()) + most > self.limits.cost:
                return (
                    f"--max-cost {self.limits.cost:g} could be exceeded by the next call, of up to ${most:.4f}"
                    f"{self._spent()}; run again, with more if that is too little, to go on"
                )
            self._reserved[request.key] = most
        self.sent += 1
        return ""

    def settle(self, request: Request, reply: Reply, *, calls: int = 1) -> None:
        """Counts what a request did cost."""
        self._reserved.pop(request.key, None)
        self.calls += calls
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens
        price = self.price(request.model)
        if price is None or self.cost is None:
            self.cost = None
        else:
            self.cost += price.of(reply.input_tokens, reply.output_tokens) * self.factor

    def progress(self, done: int, total: int, **more: Any) -> Progress:
        """How far the run is."""
        seconds, new = more.get("seconds", 0.0), more.get("new", 0)
        left = seconds / new * (total - done) if new else None
        return Progress(done, total, self.calls, self.input_tokens, self.output_tokens, self.cost, left)

    def _spent(self) -> str:
        cost = "" if self.cost is None else f" and ${self.cost:.4f}"
        return f" ({self.input_tokens + self.output_tokens:,} tokens{cost} spent)"
