"""A chat with an OpenAI-compatible server: a reply is in the cache before it is read, and is asked for once.

cache = ReplyCache("imagenet.replies.sqlite")
chat = OpenAIChat(cache, ChatOptions(base_url="http://localhost:8000/v1"))
replies = chat(requests)
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from hierarchy.errors import BudgetReached, ChatError, HierarchyError
from hierarchy.llm.budget import Budget, Limits, Progress
from hierarchy.llm.cache import ReplyCache
from hierarchy.llm.compat import (
    LIMIT,
    TRIES,
    Capabilities,
    concerns_only_this_request,
    describe_fatal,
    digest_server,
    downgrade,
    loosen,
    make_body,
    read_completion,
    read_error,
    resolve_base_url,
)
from hierarchy.llm.types import Reply, Request

DEFAULT_TIMEOUT = 600.0  # seconds, as OpenAI's SDK has it


@dataclass(frozen=True)
class ChatOptions:
    """How to talk to a server.

    Args:
        base_url: of a server other than OpenAI's ("http://localhost:11434/v1"); OPENAI_BASE_URL if it is None.
        concurrency: calls in flight at a time.
        timeout: seconds an HTTP call may take; a large model on a small machine needs minutes for an answer.
        max_retries: how often the SDK repeats a call after 408, 409, 429, 5xx, a timeout or a lost connection.
        limits: calls and US dollars that a run may spend.
        ask_again: ask for what is in the cache too, once a run, and replace it.
    """

    base_url: str | None = None
    concurrency: int = 8
    timeout: float = DEFAULT_TIMEOUT
    max_retries: int = 5
    limits: Limits = field(default_factory=Limits)
    ask_again: bool = False


@dataclass(frozen=True)
class _Outcome:
    """What became of a request: its reply, the HTTP calls it took, and what to report if all others would fail too."""

    request: Request
    reply: Reply
    calls: int = 1
    fatal: str = ""


class OpenAIChat:
    """A `Chat` with a server; use it from one thread.

    Args:
        cache: where replies are looked up and stored.
        options: how to talk to the server.
        progress: receives the progress after each reply.

    Raises:
        ChatError: the limits name a cost and no price.
    """

    def __init__(
        self,
        cache: ReplyCache,
        options: ChatOptions = ChatOptions(),
        *,
        progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._cache, self._options, self._progress = cache, options, progress
        self._base_url = resolve_base_url(options.base_url)
        self._budget = Budget(options.limits)
        self._capabilities: dict[str, Capabilities] = {}
        self._new: set[str] = set()  # keys of replies that this run stored,
        self._modes: dict[str, str] = {}  # and how each of them was asked for
        self._client: Any = None
        self._connected = False

    def __call__(self, requests: Sequence[Request]) -> list[Reply]:
        """Answers the requests in their order; equal ones are asked once.

        Ctrl-C sends no further request and waits for those in flight; a second one abandons these.

        Raises:
            ChatError: the server cannot be used, or answered none of the requests.
            BudgetReached: a limit is reached; what was in flight is answered and stored.
        """
        wanted = {request.key: request for request in requests}
        stored = self._cache.find(self._new & wanted.keys() if self._options.ask_again else wanted)
        missing = [request for key, request in wanted.items() if key not in stored]
        replies = stored | (self._converse(missing, len(stored)) if missing else {})
        return [replies[request.key] for request in requests]

    def reject(self, request: Request) -> None:
        """Sets the reply to a request aside, since it cannot be used: another run asks again.

        A server that ignores the form it was asked for, or cannot keep to it, is asked in a looser one from then on.
        """
        self._cache.set_aside(request.key)
        known = self._capabilities.get(request.model) or Capabilities.assume(self._base_url)
        if self._modes.get(request.key) == known.mode:  # once for all replies to that form
            self._capabilities[request.model] = loosen(known)

    def _converse(self, missing: Sequence[Request], stored: int) -> dict[str, Reply]:
        """Asks, with as many calls in flight as the options allow."""
        self._client = self._client or make_client(self._base_url, self._options.timeout, self._options.max_retries)
        waiting, outcomes = deque(missing), SimpleQueue[_Outcome]()
        threads: list[threading.Thread] = []
        replies: dict[str, Reply] = {}
        began, refused, fatal = time.monotonic(), "", ""
        try:
            while True:
                while waiting and len(threads) - len(replies) < self._options.concurrency:
                    refused = self._budget.admit(waiting[0])
                    if refused:
                        break  # for now: a reply that costs less than it might may make room
                    threads.append(threading.Thread(target=self._work, args=(waiting.popleft(), outcomes), daemon=True))
                    threads[-1].start()
                if len(threads) == len(replies):
                    break
                outcome = outcomes.get()
                replies[outcome.request.key] = outcome.reply
                self._budget.settle(outcome.request, outcome.reply, calls=outcome.calls)
                if outcome.fatal:
                    fatal = fatal or outcome.fatal
                    waiting.clear()
                left = (time.monotonic() - began) / len(replies) * (len(missing) - len(replies))
                self._report(stored + len(replies), stored + len(missing), seconds_left=left)
        except KeyboardInterrupt:
            note = "waiting for calls in flight, Ctrl-C again abandons them"
            self._report(stored + len(replies), stored + len(missing), note=note)
            for thread in threads:
                thread.join()
            raise
        self._check(list(replies.values()), fatal, f"{refused} ({self._budget.spent()})" if waiting else "")
        return replies

    def _report(self, done: int, total: int, *, seconds_left: float | None = None, note: str = "") -> None:
        self._progress(self._budget.progress(done, total, seconds_left=seconds_left, note=note))

    def _check(self, replies: Sequence[Reply], fatal: str, over_budget: str) -> None:
        """Raises what is wrong with the server or the limits; a single unanswered request does not end a run."""
        count = self._cache.count()
        kept = f"; {count:,} {'reply is' if count == 1 else 'replies are'} in {self._cache.path.name}" if count else ""
        if fatal:
            raise ChatError(fatal + kept)
        if over_budget:
            raise BudgetReached(f"{over_budget}; run again to continue{kept}")
        failed = [reply for reply in replies if reply.finish == "failed"]
        if failed and len(failed) == len(replies) and not (len(failed) == 1 and concerns_only_this_request(failed[0])):
            which = "the only request" if len(failed) == 1 else f"all {len(failed)} requests"
            raise ChatError(f"{which} failed ({failed[0].text}); run again to continue{kept}")

    def _work(self, request: Request, outcomes: SimpleQueue[_Outcome]) -> None:
        """Asks, stores the reply, and only then hands it over; runs in a thread of its own."""
        try:
            outcome = self._ask(request)
            if outcome.reply.finish != "failed":
                self._cache.put(request, outcome.reply, server=digest_server(self._base_url))
                self._new.add(request.key)
        except HierarchyError as error:  # the cache cannot be written: ask for nothing more
            outcome = _Outcome(request, Reply(str(error), "failed"), fatal=str(error))
        except Exception as error:  # a bug must not leave the run waiting for ever
            outcome = _Outcome(request, Reply(f"{type(error).__name__}: {error}", "failed"))
        outcomes.put(outcome)

    def _ask(self, request: Request) -> _Outcome:
        """Asks in the strictest form the server is known to accept, and in looser ones as long as it rejects them."""
        import openai

        assumed = self._capabilities.get(request.model) or Capabilities.assume(self._base_url)
        capabilities, calls, in_general = assumed, 0, True
        for _ in range(TRIES):
            if self._options.limits.cost is not None and LIMIT in request.settings and not capabilities.limits:
                fatal = (
                    f"cannot enforce --max-cost: the server rejects every limit on the answers of model"
                    f" {request.model!r}; use --max-calls"
                )
                return _Outcome(request, Reply(fatal, "failed"), calls, fatal)
            try:
                raw = self._client.chat.completions.with_raw_response.create(**make_body(request, capabilities))
                reply = read_completion(raw.http_response.json())
            except openai.APIStatusError as error:
                calls += _count_calls(error.response.request)
                text = self._read_body(error)
                looser = downgrade(capabilities, request, error.status_code, text)
                if looser is not None:
                    capabilities, in_general = looser, in_general and "invalid schema" not in text.lower()
                    continue
                reply = read_error(error.status_code, text)
                fatal = describe_fatal(error.status_code, text, request.model) or ""
                return _Outcome(request, reply, calls, fatal if reply.finish == "failed" else "")
            except openai.APIConnectionError as error:
                reason = _describe_connection(error, self._options.timeout)
                no_server = not self._connected and type(error.__cause__).__name__.startswith("Connect")
                fatal = f"cannot connect to {self._client.base_url} ({reason}); check --base-url and the network"
                reply = Reply(reason, "failed")
                return _Outcome(request, reply, calls + _count_calls(error.request), fatal if no_server else "")
            except ValueError:  # 200, but not JSON
                return _Outcome(request, Reply("the server's answer is not JSON", "failed"), calls + 1)
            self._connected = True
            self._modes[request.key] = capabilities.mode
            if in_general and capabilities != assumed:
                self._capabilities[request.model] = capabilities
            return _Outcome(request, reply, calls + 1 + raw.retries_taken)
        return _Outcome(request, Reply("the server rejects every form of the request", "failed"), calls)

    def _read_body(self, error: Any) -> str:
        """The whole error of a server, without the API key, should the server quote it."""
        text = json.dumps(error.body) if isinstance(error.body, Mapping) else str(error.message)
        return text.replace(self._client.api_key, "***")


def make_client(base_url: str | None, timeout: float = DEFAULT_TIMEOUT, max_retries: int = 5) -> Any:
    """The OpenAI SDK's client; the API key comes from OPENAI_API_KEY.

    Raises:
        ChatError: there is no key, and the server is OpenAI's.
    """
    import openai

    address, key = resolve_base_url(base_url), os.environ.get("OPENAI_API_KEY")
    if not key and address is None:
        raise ChatError("no API key: set OPENAI_API_KEY, or use your own server with --base-url")
    return openai.OpenAI(api_key=key or "none", base_url=address, timeout=timeout, max_retries=max_retries)


def _count_calls(last: Any) -> int:
    """HTTP calls that the SDK made, given the last of them."""
    return 1 + int(last.headers.get("x-stainless-retry-count", 0))


def _describe_connection(error: Any, timeout: float) -> str:
    """What went wrong with a connection, in a few words."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return f"no answer within {timeout:g} s; allow more with --timeout"
    words = re.sub(r"^\[Errno -?\d+\] ", "", str(error.__cause__ or error)).rstrip(".")
    return words[:1].lower() + words[1:]
