"""What calls cost, how much a run may spend, and how far it is."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace

from hierarchy.errors import ChatError
from hierarchy.llm.compat import LIMIT
from hierarchy.llm.types import Reply, Request

MILLION = 1_000_000
PER_MESSAGE = 4  # tokens around each message, as OpenAI's chat format counts them
MARGIN = 1.1  # from `count_tokens` to an upper bound; it is at most 7.4 % too low on the texts it was measured on

# One match a token: up to 8 Latin letters, 3 digits or 4 marks, a run of line ends, or any other letter.
TOKEN = re.compile(r"[a-zA-Z\u00c0-\u024f]{1,8}|\d{1,3}|[^\w\s]{1,4}|\n+|[^\W\d]")


def count_tokens(text: str) -> int:
    """An estimate of the number of tokens, without a tokenizer and its megabytes of vocabulary.

    Measured against o200k_base (gpt-4o and later) on the texts in tests/golden/tokens.json: class names -7.4 %, names
    with definitions -0.9 %, JSON -4.9 to 0.0 %, instructions +5.1 to +8.2 %, all together -1.4 %.

    >>> count_tokens("12. hammerhead: medium-sized live-bearing shark with eyes at either end of a flattened head")
    22
    """
    return len(TOKEN.findall(text))


def count_input_tokens(request: Request) -> int:
    """An estimate of the tokens of a request: its messages, what surrounds them, and its schema.

    >>> count_input_tokens(Request("assign", (("user", "Sort the classes."),), {"type": "object"}, "gpt-4o"))
    13
    """
    schema = json.dumps(dict(request.schema), separators=(",", ":"))
    return count_tokens(schema) + sum(count_tokens(text) + PER_MESSAGE for _, text in request.messages)


def bound_tokens(request: Request) -> tuple[int, int]:
    """The most tokens a request may read (as estimated, plus a margin) and write (its limit).

    Raises:
        ChatError: the request has no limit, so there is no bound.
    """
    if LIMIT not in request.settings:
        raise ChatError(f"a request of prompt {request.prompt!r} sets no {LIMIT!r}, so its cost has no bound; set it")
    return math.ceil(count_input_tokens(request) * MARGIN), int(request.settings[LIMIT])


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens, read and written."""

    input: float
    output: float

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars.

        >>> Price(2.5, 10.0).cost(4_000, 1_000)
        0.02
        """
        return (input_tokens * self.input + output_tokens * self.output) / MILLION


@dataclass(frozen=True)
class Limits:
    """How much one run may spend; what is in the cache already does not count.

    The SDK's retries are not counted either. A server does not bill an error, but an answer whose connection broke on
    the way may be billed and asked for again.

    Args:
        calls: requests.
        cost: US dollars; needs a price.
        price: of the model.
    """

    calls: int | None = None
    cost: float | None = None
    price: Price | None = None


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        done, total: requests with a reply, of all that were asked for; replies from the cache are among them.
        calls: HTTP calls of this run, retries included.
        input_tokens, output_tokens: of this run's replies, as the server counts them.
        cost: US dollars; None where the price is unknown.
        seconds_left: at the pace so far.
        note: what else to show, such as what the run waits for.
    """

    done: int = 0
    total: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    seconds_left: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """One line for a person.

        >>> print(Progress(12, 60, 13, 9_000, 1_000, 0.0325, 48.0))
        12 of 60 answered, 13 calls, 10,000 tokens, $0.03, 48 s left
        """
        parts = [f"{self.done} of {self.total} answered", f"{self.calls} call" + "s" * (self.calls != 1)]
        parts.append(f"{self.input_tokens + self.output_tokens:,} tokens")
        parts += [f"${self.cost:.2f}"] if self.cost is not None else []
        parts += [f"{self.seconds_left:.0f} s left"] if self.seconds_left else []
        return ", ".join([*parts, self.note] if self.note else parts)


class Budget:
    """Counts what a run spends, and refuses a request that could exceed its limits.

    Raises:
        ChatError: the limits name a cost and no price.
    """

    def __init__(self, limits: Limits) -> None:
        if limits.cost is not None and limits.price is None:
            raise ChatError(
                "--max-cost needs the price of the model; pass --price INPUT:OUTPUT (US dollars per million tokens), or"
                " limit the calls with --max-calls"
            )
        self._limits = limits
        self._admitted = 0
        self._reserved: dict[str, float] = {}  # US dollars that requests in flight may cost, by key
        self._spent = Progress(cost=None if limits.price is None else 0.0)

    def admit(self, request: Request) -> str:
        """Reserves what a request may cost; gives the reason if that could exceed a limit, else an empty string.

        Raises:
            ChatError: cost is limited, and the request's is not.
        """
        limits = self._limits
        if limits.calls is not None and self._admitted >= limits.calls:
            return f"reached --max-calls {limits.calls}"
        if limits.cost is not None:
            assert limits.price is not None
            most = limits.price.cost(*bound_tokens(request))
            if (self._spent.cost or 0.0) + sum(self._reserved.values()) + most > limits.cost:
                return f"the next call may cost up to ${most:.4f} and exceed --max-cost {limits.cost:g}"
            self._reserved[request.key] = most
        self._admitted += 1
        return ""

    def settle(self, request: Request, reply: Reply, *, calls: int = 1) -> None:
        """Replaces what a request may cost by what it did cost.

        Args:
            request: an admitted one.
            reply: the answer to it.
            calls: HTTP calls it took.
        """
        self._reserved.pop(request.key, None)
        price, spent = self._limits.price, self._spent
        self._spent = replace(
            spent,
            calls=spent.calls + calls,
            input_tokens=spent.input_tokens + reply.input_tokens,
            output_tokens=spent.output_tokens + reply.output_tokens,
            cost=(spent.cost or 0.0) + price.cost(reply.input_tokens, reply.output_tokens) if price else None,
        )

    def progress(self, done: int, total: int, *, seconds_left: float | None = None, note: str = "") -> Progress:
        """How far the run is."""
        return replace(self._spent, done=done, total=total, seconds_left=seconds_left, note=note)

    def spent(self) -> str:
        """Tokens and US dollars spent, in words."""
        cost = "" if self._spent.cost is None else f" and ${self._spent.cost:.4f}"
        return f"{self._spent.input_tokens + self._spent.output_tokens:,} tokens{cost} spent"
