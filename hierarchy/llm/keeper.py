"""The keeper: a small process that sends requests and stores each reply itself, so that killing a run loses none.

`python -m hierarchy.llm.keeper LEDGER` is started by `openai_chat`, in a session of its own, and spoken to in lines of
JSON. On stdin come the options, then one request a line; on stdout go a line when it has to wait for the keeper of an
earlier run, a line when it is ready, and one for each reply, once that is stored. When stdin closes, because the run
ended or was killed, it starts nothing new, finishes the calls in flight, stores what they bring, and ends
(docs/decisions/0020-the-keeper.md). The API key is read from the environment it inherits.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from hierarchy.errors import HierarchyError
from hierarchy.llm.budget import unbounded
from hierarchy.llm.cache import Ledger
from hierarchy.llm.compat import (
    LIMIT,
    TRIES,
    Abilities,
    body_of,
    hopeless,
    name_of,
    poorer,
    reply_to,
    reply_to_error,
    server_of,
)
from hierarchy.llm.sdk import calls_of, client_for, said_by, why
from hierarchy.llm.types import Reply, Request


def main(path: str) -> None:
    """Answers the requests on stdin until it closes."""
    ledger = Ledger(path)
    options = json.loads(sys.stdin.readline())
    with ledger.alone(lambda in_flight: say(waiting=in_flight)) as lost:
        keeper = Keeper(ledger, options)
        say(ready=True, lost=lost)
        with ThreadPoolExecutor(options["concurrency"]) as threads:
            for line in sys.stdin:
                if line.endswith("\n"):  # not so where the run was killed amid a line
                    threads.submit(keeper.answer, request_of(json.loads(line)))
            keeper.stopping.set()
    ledger.close()


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Args:
        reply: to be stored, or "failed".
        calls: HTTP calls it took.
        hopeless: what to say if all others will fail likewise.
        lost: of the calls, how many may have been answered and billed without the answer arriving.
    """

    reply: Reply
    calls: int
    hopeless: str | None = None
    lost: int = 0


class Keeper:
    """Sends requests to one server, on several threads."""

    def __init__(self, ledger: Ledger, options: dict[str, Any]) -> None:
        self.stopping = threading.Event()
        self._ledger = ledger
        self._base_url: str | None = options["base_url"]
        self._server = server_of(self._base_url)
        self._bounded: bool = options["bounded"]
        self._here = threading.local()  # `lost` in it: answers that this thread's request lost on the way
        self._client = client_for(options, self.stopping, self._lose)
        self._answered = False
        self._abilities: dict[str, Abilities] = {}

    def answer(self, request: Request) -> None:
        """Asks, stores the reply, and only then tells of it."""
        try:
            outcome = self._answer(request)
        except HierarchyError as error:  # the ledger cannot be written: nothing more must be paid for
            outcome = Outcome(Reply(str(error), "failed"), 1, str(error))
        except Exception as error:  # a bug must not leave the run waiting for ever
            outcome = Outcome(Reply(f"{type(error).__name__}: {error}", "failed"), 1)
        say(**{**asdict(outcome), "key": request.key})

    def _answer(self, request: Request) -> Outcome:
        began = time.monotonic()
        attempt = self._ledger.asked(request)
        self._here.lost = 0
        try:
            outcome = self._ask(request)
            outcome = replace(outcome, lost=self._here.lost)
        except Exception:
            self._ledger.failed(attempt, "error")
            raise
        if outcome.reply.finish == "failed":
            self._ledger.failed(attempt, "hopeless" if outcome.hopeless else "failed", calls=outcome.calls)
        else:
            seconds = time.monotonic() - began
            self._ledger.put(
                request, outcome.reply, attempt=attempt, calls=outcome.calls, seconds=seconds, server=self._server
            )
        return outcome

    def _ask(self, request: Request) -> Outcome:
        """Asks in the best way the server is known to take, and in poorer ones as long as it refuses."""
        import openai

        known = self._known(request.model)
        abilities, calls, of_all = known, 0, True
        for _ in range(TRIES):
            if self._bounded and LIMIT in request.settings and not abilities.limits:
                return Outcome(Reply("its cost has no bound", "failed"), calls, unbounded(request.model))
            try:
                raw = self._client.chat.completions.with_raw_response.create(**body_of(request, abilities))
                completion = raw.http_response.json()
            except openai.APIStatusError as error:
                calls += calls_of(error.response.request)
                said = said_by(error, self._client)
                refused = poorer(abilities, request, error.status_code, said)
                if refused is not None:
                    abilities, of_all = refused, of_all and "invalid schema" not in said.lower()
                    continue
                reply = reply_to_error(error.status_code, said)
                failed = reply.finish == "failed"
                return Outcome(reply, calls, hopeless(error.status_code, said, request.model) if failed else None)
            except openai.APIConnectionError as error:
                calls += calls_of(error.request)
                return Outcome(Reply(why(error), "failed"), calls, self._nobody(error))
            except ValueError:  # 200, but not JSON
                self._lose()
                return Outcome(Reply("the server's answer is not JSON", "failed"), calls + 1)
            self._answered = True
            if abilities != known and of_all:
                self._learn(request.model, abilities)
            return Outcome(reply_to(completion), calls + 1 + raw.retries_taken)
        return Outcome(Reply("the server refuses every way of asking", "failed"), calls)

    def _known(self, model: str) -> Abilities:
        if model not in self._abilities:
            learned = self._ledger.learned(name_of(self._base_url, model))
            self._abilities[model] = Abilities.known(learned, self._base_url)
        return self._abilities[model]

    def _learn(self, model: str, abilities: Abilities) -> None:
        """Keeps what a server refused, now that it answered without it."""
        self._abilities[model] = abilities
        self._ledger.learn(name_of(self._base_url, model), asdict(abilities))

    def _lose(self) -> None:
        self._here.lost += 1

    def _nobody(self, error: Exception) -> str | None:
        """What to say where no connection could be made, and none ever was."""
        if self._answered or not type(error.__cause__).__name__.startswith("Connect"):  # ConnectError, ConnectTimeout
            return None
        return f"nobody answers at {self._client.base_url} ({why(error)}); check --base-url and the network"


def request_of(content: dict[str, Any]) -> Request:
    """A request from its line."""
    return Request(**{**content, "messages": tuple((role, text) for role, text in content["messages"])})


_MUTEX = threading.Lock()


def say(**content: Any) -> None:
    """Writes a line to the run, which may be gone."""
    with _MUTEX, suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(content) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
