"""What OpenAI-compatible servers are sent and what they answer: pure functions from values to values.

Servers differ in what they take. A request goes out in the strictest way first, a JSON schema; a server that refuses
one way or one setting is asked without it, and what it refused is kept as its `Abilities`. None of this is part of a
request's key: it changes how a question is put, not the question.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hierarchy.llm.types import Finish, Reply, Request

MODES = ("json_schema", "json_object", "text")  # ways to ask for JSON, the strictest first
LIMIT = "max_tokens"  # what Request.settings calls the largest number of tokens to answer with
NO_TEXT = "the server sent a completion without text"
TRIES = 8  # ways of asking one request: three modes, two names of the limit, and a few settings that are refused
IN_WORDS = "\n\nAnswer with one JSON object and nothing else. It must fit this JSON schema:\n"


@dataclass(frozen=True)
class Abilities:
    """What a server takes for one model.

    Args:
        mode: the strictest of `MODES` that it takes.
        limits: parameters to try for the largest number of tokens, the best first; what was refused is gone.
        without: names of settings that it refuses.
    """

    mode: str = MODES[0]
    limits: tuple[str, ...] = ("max_completion_tokens", "max_tokens")
    without: tuple[str, ...] = ()

    @classmethod
    def of(cls, base_url: str | None) -> Abilities:
        """What is assumed of a server nothing is known of; None is OpenAI's own.

        OpenAI's reasoning models know `max_completion_tokens` only. Others may know `max_tokens` only, and pass over
        the new name without a word, which would leave the answer unlimited.
        """
        return cls() if base_url is None else cls(limits=("max_tokens", "max_completion_tokens"))

    @classmethod
    def known(cls, learned: Mapping[str, Any], base_url: str | None) -> Abilities:
        """What was learned of a server, as JSON gives it back; what is assumed of it where that is nothing."""
        if not learned:
            return cls.of(base_url)
        return cls(learned["mode"], tuple(learned["limits"]), tuple(learned["without"]))


def name_of(base_url: str | None, model: str) -> str:
    """Under what a ledger keeps what was learned of a model on a server."""
    return f"{server_of(base_url)} {model}"


def server_of(base_url: str | None) -> str:
    """What a ledger calls a server: a digest, which tells two apart and gives no address away."""
    return hashlib.sha256((base_url or "openai").rstrip("/").encode()).hexdigest()[:16]


def body_of(request: Request, abilities: Abilities) -> dict[str, Any]:
    """The body of POST /chat/completions."""
    messages = [{"role": role, "content": text} for role, text in request.messages]
    body: dict[str, Any] = {"model": request.model, "messages": messages}
    for name, value in request.settings.items():
        if name == LIMIT:
            body.update(dict.fromkeys(abilities.limits[:1], value))
        elif name not in abilities.without:
            body[name] = value
    if abilities.mode == "json_schema":
        name = re.sub(r"[^A-Za-z0-9_-]", "_", str(request.schema.get("title", "answer")))[:64]
        described = {"name": name, "strict": True, "schema": dict(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    else:
        messages[-1]["content"] += IN_WORDS + json.dumps(request.schema, separators=(",", ":"))
    if abilities.mode == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body


def poorer(abilities: Abilities, request: Request, status: int, error: str) -> Abilities | None:
    """What a server can do after it refused a request, or None where the refusal is about something else.

    Args:
        status: of HTTP.
        error: all that the server said, as text.
    """
    said = error.lower()
    if status not in _REFUSALS or _TOO_LONG.search(said):
        return None
    if _NOT_TAKEN.search(said):
        named = [name for name in request.settings if name != LIMIT and re.search(rf"\b{re.escape(name)}\b", said)]
        named = [name for name in named if name not in abilities.without]
        if named:
            return replace(abilities, without=(*abilities.without, *named))
        if LIMIT in request.settings and abilities.limits and re.search(rf"\b{abilities.limits[0]}\b", said):
            return replace(abilities, limits=abilities.limits[1:])
    if abilities.mode != MODES[-1] and _ABOUT_FORMAT.search(said):
        return replace(abilities, mode=MODES[MODES.index(abilities.mode) + 1])
    return None


_REFUSALS = (400, 404, 405, 415, 422, 500, 501)
_NOT_TAKEN = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed"
)
_ABOUT_FORMAT = re.compile(
    r"response.?format|json.?schema|json.?object|json.?mode|structured.?output|schema|grammar|guided"
)
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context|context (length|window|size)|(prompt|input) is too long|too many tokens"
)
_FILTERED = re.compile(r"content_filter|content.management.policy|content_policy_violation")
_NO_MONEY = re.compile(r"insufficient_quota|billing_hard_limit|billing_not_active|exceeded your current quota")


def reply_to(completion: Mapping[str, Any]) -> Reply:
    """The reply that a chat completion brings; "failed" where there is no text in it."""
    choice = (completion.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    usage = completion.get("usage") or {}
    text, finish = message.get("content"), _FINISHES.get(str(choice.get("finish_reason")), "stop")
    if message.get("refusal"):
        text, finish = message["refusal"], "refusal"
    if finish == "filter":
        text = text or "the server's content filter stopped the answer"
    if not isinstance(text, str) or not (text.strip() or finish == "length"):
        text, finish = NO_TEXT, "failed"
    return Reply(
        text,
        finish,
        usage.get("prompt_tokens") or 0,
        usage.get("completion_tokens") or 0,
        str(completion.get("model") or ""),
    )


_FINISHES: dict[str, Finish] = {"length": "length", "content_filter": "filter"}


def reply_to_error(status: int, error: str) -> Reply:
    """The reply that an HTTP error amounts to: "length" and "filter" are answers too, all else is a failure."""
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(error.lower())):
        return Reply("the request is longer than the model's context", "length")
    if status in (400, 403) and _FILTERED.search(error.lower()):
        return Reply("the server's content filter stopped the request", "filter")
    return Reply(f"the server answered {status}: {_words(error)[:300]}", "failed")


def is_the_requests_own(failure: Reply) -> bool:
    """Whether a failure may be that of one request: the server is well, and has no answer to just this one.

    >>> is_the_requests_own(reply_to_error(400, "bad")), is_the_requests_own(reply_to_error(500, "down"))
    (True, False)
    """
    return failure.text == NO_TEXT or bool(re.match(r"the server answered 4(?!08|29)", failure.text))


def _words(error: str) -> str:
    """The message in an error, or all of it, in one line."""
    try:
        content = json.loads(error)
        error = content.get("error", content)["message"]
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    return " ".join(str(error).split())


def hopeless(status: int, error: str, model: str) -> str | None:
    """What is to be said of an error that every request will meet, or None for one that may pass."""
    if status == 401:
        return "the server does not accept the API key (401); set OPENAI_API_KEY to one that is valid"
    if status == 402 or (status in (403, 429) and _NO_MONEY.search(error.lower())):
        return f"the account has no credit or quota left ({status}); add some, and run again to go on"
    if status == 403 and not _FILTERED.search(error.lower()):
        return (
            f"the server does not allow this key to use model {model!r} (403); ask for access, or name another --model"
        )
    if status == 404:
        return f"the server knows no model {model!r} (404); check --model and --base-url"
    return None
