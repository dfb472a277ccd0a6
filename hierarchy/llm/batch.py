"""A chat by the Batch API: half the price, an answer within a day, and the run may end in between.

    replies = batch_chat(Ledger("imagenet.replies.sqlite"), options=ChatOptions())(requests)

What is missing in the ledger goes out as one file of requests for each model (more where they are many), is asked about
until it is done, and is stored. The ledger knows a batch before it is made and its id afterwards, so a run that was
killed, or ended by its user, is resumed by the next one with the same ledger, from another process and whenever. A run
without batches fetches what those that are over brought, and asks nothing that one under way has.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from hierarchy.errors import ChatError
from hierarchy.llm.budget import BATCH, Budget, Progress
from hierarchy.llm.cache import Batch, Ledger
from hierarchy.llm.client import ChatOptions, check_replies, died_with, waiting_for
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
from hierarchy.llm.sdk import client_for, said_by, why
from hierarchy.llm.types import Chat, Reply, Request

MOST_REQUESTS = 50_000  # of one file, by the API's reference
MOST_BYTES = 190_000_000  # of one file: it allows 200 MB, and does not say which
LONGEST_PAUSE = 60.0  # seconds
_NO_API = (404, 405, 501)  # what servers without batches answer
_PASSING = (408, 409, 429)  # errors that may pass, as those from 500 on; the SDK takes the same for it
_UNREADABLE = Reply("its line among the batch's answers cannot be read", "failed")
_GONE = Reply("the batch is gone from the server", "failed")
_ENDS = {  # statuses of a batch that is over, and what that says of a request it did not answer
    "completed": "was completed without an answer to this",
    "failed": "failed",
    "expired": "expired before this was answered",
    "cancelled": "was cancelled before this was answered",
}


def batch_chat(
    ledger: Ledger, *, options: ChatOptions, tell: Callable[[Progress], None] = lambda progress: None
) -> Chat:
    """A chat that sends what the ledger lacks as batches and waits for them.

    Raises:
        ChatError, BudgetReached: when it is called, as `openai_chat` does.
    """
    budget = Budget(options.limits, published=options.server is None, share=BATCH)

    def chat(requests: Sequence[Request]) -> list[Reply]:
        wanted = {request.key: request for request in requests}
        replies = ledger.known(wanted)
        if len(replies) < len(wanted):
            replies = BatchRun(ledger=ledger, wanted=wanted, options=options, budget=budget, tell=tell).ask()
        return [replies[request.key] for request in requests]

    return chat


@dataclass(kw_only=True)
class BatchRun:
    """One call of a chat, from when the ledger lacks a reply.

    Args:
        ledger: where batches and replies are kept.
        wanted: the requests, by key.
        options: of the server.
        budget: what may be spent.
        tell: is told how far the requests are.

    Raises:
        ChatError: from each method: the server cannot be used.
    """

    ledger: Ledger
    wanted: Mapping[str, Request]
    options: ChatOptions
    budget: Budget
    tell: Callable[[Progress], None]

    def __post_init__(self) -> None:
        self._server = server_of(self.options.server)
        self._client = client_for(self.options.wire())
        self._abilities: dict[str, Abilities] = {}
        self._poorer: dict[str, Abilities] = {}  # what a server turned out to take, by model
        self._again: set[str] = set()  # keys of what was refused only as it was asked
        self._sent: set[str] = set()  # ids of batches; others were begun, and are paid, by earlier runs
        self._states: dict[str, str] = {}  # of batches when they were looked at last, by id
        self._replies: dict[str, Reply] = {}  # to what was sent
        self._done = len(self.ledger.known(self.wanted))  # how many of the wanted requests it has replies to

    def ask(self) -> dict[str, Reply]:
        """Finishes what an earlier run began, sends the rest, and again what has to be asked otherwise."""
        with self._alone():
            return self._ask()

    def fetch(self) -> None:
        """Looks once at each batch of earlier runs, stores what those that are over brought, and forgets them."""
        with self._alone(), self._reported():
            for batch in self._begun():
                self._look(batch)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Has the ledger to itself, and says what others left behind."""
        with self.ledger.alone(lambda calls: self._note(waiting_for(calls))) as lost:
            if lost:
                self._note(died_with(lost))
            yield

    def _ask(self) -> dict[str, Reply]:
        missing = self._missing()
        if not missing:  # another run had it all while this one waited
            return self.ledger.known(self.wanted)
        over_budget = ""
        with self._reported():
            self._check(missing.values())
            self._finish([*self._begun()])
            missing = self._missing()
            for _ in range(TRIES):
                todo = [missing[key] for key in missing if key not in self._replies or key in self._again]
                self._again.clear()
                self._abilities.update(self._poorer)
                self._check(todo)
                admitted = []
                for request in todo:
                    over_budget = over_budget or self.budget.admit(request)
                    if not over_budget:
                        admitted.append(request)
                if not admitted:
                    break
                self._finish([self._send(part) for part in self._parts(admitted)])
        over_budget = over_budget and f"{over_budget}, {self.budget.spent()}"
        replies = {key: self._replies[key] for key in missing if key in self._replies}
        check_replies(list(replies.values()), self.ledger, over_budget=over_budget)
        return self.ledger.known(self.wanted) | replies

    def _missing(self) -> dict[str, Request]:
        known = self.ledger.known(self.wanted)
        self._done = len(known)
        return {key: request for key, request in self.wanted.items() if key not in known}

    def _check(self, requests: Iterable[Request]) -> None:
        """Refuses a limit of dollars that cannot be held."""
        for model, limited in {(request.model, LIMIT in request.settings) for request in requests}:
            self.budget.check(model, bounded=not limited or bool(self._known(model).limits))

    def _note(self, words: str) -> None:
        self.tell(self.budget.progress(self._done, len(self.wanted), note=words))

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Makes errors of the SDK ours."""
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            said = said_by(error, self._client)
            raise ChatError(
                f"this server has no Batch API ({error.status_code}); leave out --batch"
                if error.status_code in _NO_API
                else hopeless(error.status_code, said, next(iter(self.wanted.values())).model)
                or f"{reply_to_error(error.status_code, said).text}; run again to go on"
            ) from None
        except openai.APIConnectionError as error:
            raise ChatError(f"the server cannot be reached: {why(error)}; run again to go on with the batch") from None

    # Sending

    def _parts(self, requests: list[Request]) -> Iterator[list[Request]]:
        """Requests of one model each, as many as a file may hold."""
        for model in dict.fromkeys(request.model for request in requests):
            part: list[Request] = []
            size = 0
            for request in requests:
                if request.model == model:
                    length = len(self._line(request))
                    if part and (len(part) == MOST_REQUESTS or size + length > MOST_BYTES):
                        yield part
                        part, size = [], 0
                    part.append(request)
                    size += length
            yield part

    def _line(self, request: Request) -> bytes:
        body = body_of(request, self._known(request.model))
        line = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def _send(self, requests: list[Request]) -> Batch:
        """Makes a batch; the ledger knows of it before, so that one made by a run killed just then is found."""
        keys = tuple(sorted(request.key for request in requests))
        batch = Batch(hashlib.sha256("\n".join(keys).encode()).hexdigest(), self._server, keys)
        content = b"".join(self._line(request) for request in requests)
        file = self._client.files.create(file=("requests.jsonl", content), purpose="batch")
        self.ledger.put_batch(batch, requests)
        batch = replace(batch, id=self._make(batch.digest, file.id))
        self.ledger.put_batch(batch)
        self._sent.add(batch.id)
        return batch

    def _make(self, digest: str, file: str) -> str:
        """Makes a batch and gives its id; what failed may have made it, so that it is looked for before a retry."""
        import openai

        once = self._client.with_options(max_retries=0)  # the SDK would make another
        for retry in range(self.options.max_retries + 1):
            try:
                made = once.batches.create(
                    input_file_id=file,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={"requests": digest},
                )
                return str(made.id)
            except (openai.APIConnectionError, openai.APIStatusError) as error:
                status = getattr(error, "status_code", None)
                passes = status is None or status in _PASSING or (status >= 500 and status not in _NO_API)
                if not passes or retry == self.options.max_retries:
                    raise  # the next run looks for it
            time.sleep(min(8.0, 0.5 * 2**retry) * self.options.backoff)  # as the SDK does
            if found := self._found({digest}).get(digest):
                return found
        raise AssertionError("the last try returns or raises")

    def _found(self, digests: set[str]) -> dict[str, str]:
        """Ids of batches that the server made and the ledger does not know, by their digest."""
        known = {batch.id for batch in self.ledger.batches(self._server)}
        found: dict[str, str] = {}
        for made in self._client.batches.list(limit=100):  # all pages, the newest first
            digest = (made.metadata or {}).get("requests", "")
            if digest in digests and made.id not in known:
                found.setdefault(digest, made.id)
            if len(found) == len(digests):
                break
        return found

    def _begun(self) -> Iterator[Batch]:
        """Batches of earlier runs that are not over, also those that were made and not noted any more."""
        import openai

        batches = self.ledger.under_way(self._server)
        unnoted = {batch.digest for batch in batches if not batch.id}
        try:
            found = self._found(unnoted) if unnoted else {}
        except openai.APIStatusError as error:
            if error.status_code not in _NO_API:
                raise
            found = {}
        for batch in batches:
            if batch.id:
                yield batch
            elif batch.digest in found:
                named = replace(batch, id=found[batch.digest])
                self.ledger.put_batch(named)
                yield named
            else:
                self.ledger.put_batch(replace(batch, id="none", status="never made"))

    # Waiting and storing

    def _finish(self, batches: list[Batch]) -> None:
        """Waits until all batches are over, and stores what each brought as soon as it is."""
        pause = self.options.poll
        while batches:
            looks = [(batch, self._look(batch)) for batch in batches]
            batches = [batch for batch, answered in looks if answered is not None]
            done = self._done + sum(answered or 0 for _, answered in looks)
            self.tell(self.budget.progress(min(done, len(self.wanted)), len(self.wanted)))
            if batches:
                time.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 1.5)

    def _look(self, batch: Batch) -> int | None:
        """How many wanted requests a batch has answered so far; None where it is over, and stored, or lost."""
        import openai

        try:
            state = self._client.batches.retrieve(batch.id)
            if state.status != self._states.get(batch.id):
                self._states[batch.id] = state.status
                which = f"batch {batch.id} of {len(batch.keys):,} request" + "s" * (len(batch.keys) != 1)
                self._note(f"{which} is {state.status.replace('_', ' ')}")
            if state.status not in _ENDS:
                ours = state.request_counts and self.wanted.keys() >= set(batch.keys)
                return int(state.request_counts.completed) if ours else 0
            self._collect(batch, state)
        except openai.NotFoundError:
            self._lose(batch)
        return None

    def _lose(self, batch: Batch) -> None:
        """Notes that the server knows a batch, or what it brought, no more; what it had is sent again."""
        self.ledger.put_batch(replace(batch, status="lost"))
        what = "its request" if len(batch.keys) == 1 else f"its {len(batch.keys):,} requests"
        self._note(f"batch {batch.id} or its answers are gone from the server (404); {what} may be billed twice")
        if batch.id in self._sent:  # the next run sends them; this one might lose and pay one after the other
            for key in batch.keys:
                self.budget.settle(self._request(key), _GONE, lost=1)
                self._replies[key] = _GONE

    def _collect(self, batch: Batch, state: Any) -> None:
        """Stores all replies of a batch that is over, and notes then that it is."""
        problems = [error.message for error in (state.errors.data or [])] if state.errors else []
        reason = f"the batch {_ENDS[state.status]}" + (f": {problems[0]}" if problems and problems[0] else "")
        answers = self._answers(state)
        replies = {key: answers.get(key) or answers.get("") or Reply(reason, "failed") for key in batch.keys}
        answered = set()
        with self.ledger.together():
            for key, reply in replies.items():
                request = self._request(key)
                if batch.id in self._sent:
                    self.budget.settle(request, reply, lost=int(reply is _UNREADABLE))
                if reply.finish != "failed":
                    self.ledger.put(request, reply, batch=batch.id, server=batch.server)
                    answered.add(request.model)
            self.ledger.put_batch(replace(batch, status=state.status))
            for model in answered:  # what a server refused is kept, now that it answered without it
                self.ledger.learn(name_of(self.options.server, model), asdict(self._known(model)))
        if batch.id in self._sent:  # what failed in an earlier run's is sent again
            self._replies |= replies
        self._done = len(self.ledger.known(self.wanted))

    def _answers(self, state: Any) -> dict[str, Reply]:
        """Replies in the files of a batch that is over, by key; of lines whose key cannot be read, one under ""."""
        import openai

        content = self._client.files.content(state.output_file_id).read() if state.output_file_id else b""
        if state.error_file_id:
            with suppress(openai.NotFoundError):  # it holds nothing that was paid
                content += b"\n" + self._client.files.content(state.error_file_id).read()
        answers = {}
        for text in filter(bytes.strip, content.splitlines()):
            key = ""
            try:
                line = json.loads(text)
                key = str(line["custom_id"])
                answers[key] = self._read(key, line)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                answers[key] = _UNREADABLE
        return answers

    def _read(self, key: str, line: dict[str, Any]) -> Reply:
        """The reply in a line of an output or error file."""
        response = line.get("response")
        if not response:
            return Reply(str((line.get("error") or {}).get("message") or "no answer"), "failed")
        status, body = response["status_code"], response.get("body") or {}
        if status == 200:
            return reply_to(body)
        request, said = self.ledger.request(key), json.dumps(body)
        if request is not None:  # else it is nothing of ours
            otherwise = poorer(self._known(request.model), request, status, said)
            if otherwise is not None:
                self._poorer[request.model] = otherwise
                self._again.add(key)
        return reply_to_error(status, said)

    def _request(self, key: str) -> Request:
        request = self.ledger.request(key)
        assert request is not None, "noted before the batch was made"
        return request

    def _known(self, model: str) -> Abilities:
        if model not in self._abilities:
            learned = self.ledger.learned(name_of(self.options.server, model))
            self._abilities[model] = Abilities.known(learned, self.options.server)
        return self._abilities[model]
