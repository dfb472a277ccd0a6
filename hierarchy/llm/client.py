"""A chat with an OpenAI-compatible server, in which no answer is lost or paid for twice.

    ledger = Ledger("imagenet.replies.sqlite")
    with openai_chat(ledger, options=ChatOptions(base_url="http://localhost:8000/v1")) as chat:
        replies = chat(requests)

What the ledger holds is answered from it; the rest is asked by the keeper, a process of its own that outlives this one
by the calls in flight (keeper.py, docs/decisions/0020-the-keeper.md).
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from hierarchy.errors import BudgetReached, ChatError
from hierarchy.llm.budget import Budget, Limits, Progress
from hierarchy.llm.cache import Ledger
from hierarchy.llm.compat import is_the_requests_own, server_of
from hierarchy.llm.outliving import last_words, start
from hierarchy.llm.sdk import address_of
from hierarchy.llm.types import Reply, Request


@dataclass(frozen=True)
class ChatOptions:
    """How a server is spoken to.

    Args:
        base_url: of another server than OpenAI's ("http://localhost:11434/v1"); OPENAI_BASE_URL where it is None.
        concurrency: calls in flight at a time.
        timeout: seconds an HTTP call may take.
        max_retries: how often the SDK makes a call again after 408, 409, 429, 5xx, a timeout or a lost connection.
        backoff: a factor on the SDK's pause before a retry (0.5 s, doubled each time, 8 s at most), for servers of
            one's own that need no such patience; a pause the server asks for is kept.
        limits: calls and US dollars that may be spent.
        poll: seconds until a batch is looked at again; half as many more each time, up to a minute.
    """

    base_url: str | None = None
    concurrency: int = 8
    timeout: float = 300.0
    max_retries: int = 5
    backoff: float = 1.0
    limits: Limits = field(default_factory=Limits)
    poll: float = 5.0

    @property
    def server(self) -> str | None:
        """The address that calls go to; None is OpenAI's."""
        return address_of(self.base_url)

    def wire(self) -> dict[str, Any]:
        """What `client_for` and the keeper need to know; the API key, taken from the environment, is not in it.

        Raises:
            ChatError: there is no key, and the server is OpenAI's.
        """
        keyless = not os.environ.get("OPENAI_API_KEY")
        if keyless and self.server is None:
            raise ChatError("no API key: set OPENAI_API_KEY to OpenAI's, or name a server of your own with --base-url")
        names = ("timeout", "max_retries", "backoff", "concurrency")
        limited = {"bounded": self.limits.cost is not None}  # answers have to be
        return {name: getattr(self, name) for name in names} | limited | {"base_url": self.server, "keyless": keyless}


def openai_chat(
    ledger: Ledger, *, options: ChatOptions = ChatOptions(), tell: Callable[[Progress], None] | None = None
) -> OpenAIChat:
    """A chat with a server; replies are stored in the ledger before it gives them.

    Args:
        tell: told after each reply how far it is.
    """
    return OpenAIChat(ledger, options, tell or (lambda progress: None))


class OpenAIChat:
    """A `Chat`; close it, or use it in a `with`, to end its keeper. One thread at a time."""

    def __init__(self, ledger: Ledger, options: ChatOptions, tell: Callable[[Progress], None]) -> None:
        self._ledger = ledger
        self._options = options
        self._tell = tell
        self._budget = Budget(options.limits, published=options.server is None)
        self._keeper: _Keeper | None = None

    def __call__(self, requests: Sequence[Request]) -> list[Reply]:
        """Answers the requests, in their order; of equal ones, one is asked.

        Raises:
            ChatError: the server cannot be used, or answered none of the requests that had to be asked; or a batch
                under way has some of them.
            BudgetReached: a limit is reached; what was in flight is answered and stored.
        """
        wanted = {request.key: request for request in requests}
        replies = self._ledger.known(wanted)
        if len(replies) < len(wanted):
            replies = self._ask(wanted)
        return [replies[request.key] for request in requests]

    def close(self) -> None:
        """Ends the keeper; calls in flight, if the chat was interrupted, are still finished and stored."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    def __enter__(self) -> OpenAIChat:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, wanted: dict[str, Request]) -> dict[str, Reply]:
        """Has the keeper ask what the ledger lacks, as many at a time as may be in flight."""
        for model in {request.model for request in self._missing(wanted).values()}:
            self._budget.check(model)
        if self._keeper is None:
            self._fetch(wanted)
            missing = self._missing(wanted)
            self._check_batches(missing)
            if not missing:
                return self._ledger.known(wanted)

            def note(words: str) -> None:
                known = len(self._ledger.known(wanted))
                self._tell(self._budget.progress(known, len(wanted), note=words))

            self._keeper = _Keeper(self._ledger, self._options, note)
        try:
            known = self._ledger.known(wanted)  # another run may have stored some while this one waited
            missing = self._missing(wanted)
            self._check_batches(missing)  # which that run may have begun, too
            return known | self._converse(missing, len(known))
        except BaseException:
            self.close()
            raise

    def _missing(self, wanted: dict[str, Request]) -> dict[str, Request]:
        known = self._ledger.known(wanted)
        return {key: request for key, request in wanted.items() if key not in known}

    def _fetch(self, wanted: dict[str, Request]) -> None:
        """Stores what batches of earlier runs brought since, and forgets those that ended without an answer."""
        if self._ledger.under_way(server_of(self._options.server)):
            from hierarchy.llm.batch import BatchRun  # it is made of this module

            BatchRun(
                ledger=self._ledger, wanted=wanted, options=self._options, budget=self._budget, tell=self._tell
            ).fetch()

    def _check_batches(self, missing: dict[str, Request]) -> None:
        """Refuses to ask what a batch is about to answer, and what would be paid twice.

        Raises:
            ChatError: there is such a batch.
        """
        for batch in self._ledger.under_way(server_of(self._options.server)):
            number = len(missing.keys() & set(batch.keys))
            if number:
                raise ChatError(
                    f"batch {batch.id or 'of another run'} is under way with {number:,} of the {len(missing):,} missing"
                    " requests, which would be paid twice; run with --batch to wait for it, or cancel it at the server"
                    " and run again"
                )

    def _converse(self, missing: dict[str, Request], known: int) -> dict[str, Reply]:
        assert self._keeper is not None
        began, total = time.monotonic(), known + len(missing)
        replies: dict[str, Reply] = {}
        waiting, in_flight, refused, hopeless = list(missing.values()), 0, "", ""
        while True:
            while waiting and in_flight < self._options.concurrency:
                refused = self._budget.admit(waiting[0])
                if refused:
                    break  # for now: a reply that costs less than it might have may make room
                self._keeper.send(waiting.pop(0))
                in_flight += 1
            if not in_flight:
                break
            answer = self._keeper.receive()
            reply = Reply(**answer["reply"])
            in_flight -= 1
            replies[answer["key"]] = reply
            self._budget.settle(missing[answer["key"]], reply, calls=answer["calls"], lost=answer["lost"])
            if answer["hopeless"]:
                hopeless = hopeless or answer["hopeless"]
                waiting.clear()
            left = (time.monotonic() - began) / len(replies) * (len(missing) - len(replies))
            self._tell(self._budget.progress(known + len(replies), total, seconds_left=left))
        over_budget = f"{refused}, {self._budget.spent()}" if waiting else ""
        check_replies(list(replies.values()), self._ledger, hopeless=hopeless, over_budget=over_budget)
        return replies


def check_replies(replies: Sequence[Reply], ledger: Ledger, *, hopeless: str = "", over_budget: str = "") -> None:
    """Raises what is to be said of new replies: that there is no use in going on, no allowance, or no good one.

    A single request that the server, being well, has no answer to is no reason to end a run.

    Raises:
        ChatError, BudgetReached: so it is; the message says what is kept.
    """
    kept = _kept(ledger)
    if hopeless:
        raise ChatError(hopeless + kept)
    if over_budget:
        raise BudgetReached(f"{over_budget}; run again to go on{kept}")
    failed = [reply for reply in replies if reply.finish == "failed"]
    if failed and len(failed) == len(replies) and not (len(failed) == 1 and is_the_requests_own(failed[0])):
        which = "the only request" if len(failed) == 1 else f"any of {len(failed)} requests"
        raise ChatError(f"the server did not answer {which} ({failed[0].text}); run again to go on{kept}")


class _Keeper:
    """The run's end of the line to the keeper."""

    def __init__(self, ledger: Ledger, options: ChatOptions, note: Callable[[str], None]) -> None:
        wire = options.wire()
        self._ledger = ledger
        self._busy = 0  # requests sent and not answered
        self._ready = False
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = start("hierarchy.llm.keeper", str(ledger.path), self._errors)
        try:
            self._write(wire)  # not on the command line, nor on disk
            self._wait_until_ready(note)
        except BaseException:
            self.close()
            raise

    def send(self, request: Request) -> None:
        """Has a request sent at once."""
        self._busy += 1
        self._write(
            {
                "prompt": request.prompt,
                "messages": request.messages,
                "schema": dict(request.schema),
                "model": request.model,
                "settings": dict(request.settings),
            }
        )

    def receive(self) -> dict[str, Any]:
        """The next line; waits for it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            code = self._process.wait()
            raise ChatError(
                f"the process that sends the requests ended with code {code}{last_words(self._errors)}"
                + (f", with {_calls(lost)} in flight" if (lost := self._ledger.in_flight()) else "")
                + f"; run again to go on{_kept(self._ledger)}"
            )
        content = dict(json.loads(line))
        self._busy -= "reply" in content
        return content

    def close(self) -> None:
        """Closes its stdin, whereupon it ends by itself; waits for that where it has nothing in flight."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._ready and not self._busy:
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _wait_until_ready(self, note: Callable[[str], None]) -> None:
        while not (line := self.receive()).get("ready"):
            note(waiting_for(line["waiting"]))
        self._ready = True
        if line["lost"]:
            note(died_with(line["lost"]))

    def _write(self, content: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; `receive` says why


def waiting_for(calls: int) -> str:
    """What is noted where another run has the ledger, with calls in flight."""
    what = f"{_calls(calls)} in flight of " if calls else ""
    return f"waiting for {what}another run with this ledger"


def died_with(calls: int) -> str:
    """What is noted where calls of an earlier run are lost, see `Ledger.alone`."""
    return f"{_calls(calls)} of a run that died cannot be found again and may be billed twice"


def _calls(number: int) -> str:
    return f"{number} call" + "s" * (number != 1)


def _kept(ledger: Ledger) -> str:
    """What the ledger holds, at the end of a message; nothing where it holds nothing."""
    number = len(ledger.keys())
    return f"; {number:,} answer{'s are' if number != 1 else ' is'} kept in {ledger.path.name}" if number else ""
