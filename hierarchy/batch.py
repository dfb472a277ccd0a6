"""A chat by the Batch API: half the price, an answer within a day, and the run may end in between.

    replies = batch_chat(Ledger("imagenet.replies.sqlite"), options=ChatOptions())(requests)

What is missing in the ledger goes out as one file of requests for each model (more where they are many), is asked about
until it is done, and is stored. The ledger knows a batch before it is made and its id afterwards, so a run that was
killed, or ended by its user, is resumed by the next one with the same ledger, from another process and whenever.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from hierarchy.budget import BATCH, Budget, Progress
from hierarchy.chat import Chat, Reply, Request
from hierarchy.client import client_for, said_by, why
from hierarchy.errors import ChatError
from hierarchy.ledger import Batch, Ledger
from hierarchy.openai_chat import ChatOptions, check_replies
from hierarchy.protocol import (
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

MOST_REQUESTS = 50_000  # of one file, by the API's reference
MOST_BYTES = 190_000_000  # of one file: it allows 200 MB, and does not say which
LONGEST_PAUSE = 60.0  # seconds
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
        known = {key: reply for key in wanted if (reply := ledger.get(key)) is not None}
        if len(known) < len(wanted):

            def note(words: str) -> None:
                done = sum(ledger.get(key) is not None for key in wanted)
                tell(budget.progress(done, len(wanted), note=words))

            with ledger.alone(lambda number: note("waiting for another run with this ledger")):
                run = _Run(ledger, options, budget, note)
                known |= run.ask({key: request for key, request in wanted.items() if key not in known})
        return [known[request.key] for request in requests]

    return chat


class _Run:
    """One call of the chat, which has the ledger to itself."""

    def __init__(self, ledger: Ledger, options: ChatOptions, budget: Budget, note: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._options = options
        self._budget = budget
        self._note = note
        self._server = server_of(options.server)
        self._client = client_for(options.wire())
        self._abilities: dict[str, Abilities] = {}
        self._poorer: dict[str, Abilities] = {}  # what a server turned out to take, by model
        self._again: set[str] = set()  # keys of what was refused only as it was asked
        self._replies: dict[str, Reply] = {}

    def ask(self, missing: dict[str, Request]) -> dict[str, Reply]:
        """Finishes what an earlier run began, sends the rest, and again what has to be asked otherwise."""
        import openai

        for model in {request.model for request in missing.values()}:
            self._budget.check(model)
        over_budget = ""
        try:
            self._finish([*self._begun()])
            for _ in range(TRIES):
                todo = [missing[key] for key in missing if key not in self._replies or key in self._again]
                self._again.clear()
                self._abilities.update(self._poorer)
                admitted = []
                for request in todo:
                    over_budget = over_budget or self._budget.admit(request)
                    if not over_budget:
                        admitted.append(request)
                if not admitted:
                    break
                self._finish([self._send(part) for part in self._parts(admitted)])
        except openai.APIStatusError as error:
            said = said_by(error, self._client)
            raise ChatError(
                "this server has no Batch API (404); leave out --batch"
                if error.status_code == 404
                else hopeless(error.status_code, said, next(iter(missing.values())).model)
                or f"{reply_to_error(error.status_code, said).text}; run again to go on"
            ) from None
        except openai.APIConnectionError as error:
            raise ChatError(f"the server cannot be reached: {why(error)}; run again to go on with the batch") from None
        replies = {key: self._replies[key] for key in missing if key in self._replies}
        over_budget = over_budget and f"{over_budget}, {self._budget.spent()}"
        check_replies(list(replies.values()), self._ledger, over_budget=over_budget)
        return replies

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
        self._ledger.put_batch(batch, requests)
        content = b"".join(self._line(request) for request in requests)
        file = self._client.files.create(file=("requests.jsonl", content), purpose="batch")
        made = self._client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"requests": batch.digest},
        )
        batch = replace(batch, id=made.id)
        self._ledger.put_batch(batch)
        return batch

    def _begun(self) -> Iterator[Batch]:
        """Batches of earlier runs that are not over, also those that were made and not noted any more."""
        batches = self._ledger.batches(self._server)
        known = {batch.id for batch in batches}
        unnoted = {batch.digest: batch for batch in batches if not batch.id}
        if unnoted:
            for made in self._client.batches.list(limit=100):
                digest = (made.metadata or {}).get("requests")
                if digest in unnoted and made.id not in known:
                    batch = replace(unnoted.pop(digest), id=made.id)
                    self._ledger.put_batch(batch)
                    yield batch
        for batch in unnoted.values():
            self._ledger.put_batch(replace(batch, id="none", status="never made"))
        yield from (batch for batch in batches if batch.id and batch.status == "open")

    # Waiting and storing

    def _finish(self, batches: list[Batch]) -> None:
        """Waits until all batches are over, and stores what each brought as soon as it is."""
        pause = self._options.poll
        while batches:
            for batch in list(batches):
                state = self._client.batches.retrieve(batch.id)
                counts = state.request_counts
                done = f", {counts.completed:,} of {counts.total:,} done" if counts and counts.total else ""
                self._note(f"batch {batch.id} is {state.status.replace('_', ' ')}{done}")
                if state.status in _ENDS:
                    self._collect(batch, state)
                    batches.remove(batch)
            if batches:
                time.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 1.5)

    def _collect(self, batch: Batch, state: Any) -> None:
        """Stores all replies of a batch that is over, and notes then that it is."""
        problems = [error.message for error in (state.errors.data or [])] if state.errors else []
        reason = f"the batch {_ENDS[state.status]}" + (f": {problems[0]}" if problems and problems[0] else "")
        replies = dict.fromkeys(batch.keys, Reply(reason, "failed"))
        files = [self._client.files.content(id).read() for id in (state.output_file_id, state.error_file_id) if id]
        answered = set()
        with self._ledger.together():
            for line in map(json.loads, b"".join(files).splitlines()):
                key = str(line.get("custom_id"))
                if key in replies:  # else it is nothing of ours
                    replies[key] = self._read(key, line)
            for key, reply in replies.items():
                request = self._request(key)
                self._budget.settle(request, reply)
                if reply.finish != "failed":
                    self._ledger.put(request, reply, batch=batch.id)
                    answered.add(request.model)
            self._ledger.put_batch(replace(batch, status=state.status))
            for model in answered:  # what a server refused is kept, now that it answered without it
                self._ledger.learn(name_of(self._options.server, model), asdict(self._known(model)))
        self._replies |= replies

    def _read(self, key: str, line: dict[str, Any]) -> Reply:
        """The reply in a line of an output or error file."""
        response = line.get("response")
        if not response:
            return Reply(str((line.get("error") or {}).get("message") or "no answer"), "failed")
        status, body = response["status_code"], response.get("body") or {}
        if status == 200:
            return reply_to(body)
        request, said = self._request(key), json.dumps(body)
        otherwise = poorer(self._known(request.model), request, status, said)
        if otherwise is not None:
            self._poorer[request.model] = otherwise
            self._again.add(key)
        return reply_to_error(status, said)

    def _request(self, key: str) -> Request:
        request = self._ledger.request(key)
        assert request is not None, "noted before the batch was made"
        return request

    def _known(self, model: str) -> Abilities:
        if model not in self._abilities:
            learned = self._ledger.learned(name_of(self._options.server, model))
            self._abilities[model] = Abilities.known(learned, self._options.server)
        return self._abilities[model]
