"""What OpenAI-compatible servers accept and answer: pure functions from values to values.

Servers differ. A request goes out in the strictest form first, with a JSON schema; a server that rejects a form or a
setting, or answers a form with what cannot be read, is asked without it from then on. Every prompt shows the JSON that
it wants, so a request needs no form at all. None of this is part of a request's key: it changes how a question is put,
not the question.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hierarchy.llm.types import Finish, Reply, Request

MODES = ("json_schema", "json_object", "text")  # ways to ask for JSON, the strictest first
LIMIT = "max_tokens"  # what Request.settings calls the largest number of tokens in an answer
NO_TEXT = "the server sent a completion without text"
TRIES = 9  # ways to ask one request: three modes, two names of the limit, no system text, a few settings rejected


def resolve_base_url(base_url: str | None) -> str | None:
    """The address that calls go to: the given one, else OPENAI_BASE_URL; None is OpenAI's own."""
    return base_url or os.environ.get("OPENAI_BASE_URL") or None


def digest_server(base_url: str | None) -> str:
    """A digest of a server's address, which distinguishes servers without revealing the address."""
    return hashlib.sha256((resolve_base_url(base_url) or "openai").rstrip("/").encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Capabilities:
    """What a server accepts for one model.

    Args:
        mode: the strictest of `MODES` that it accepts.
        limits: parameters to try for the largest number of tokens, the best first, without those it rejected.
        without: names of settings that it rejects.
        system: whether it accepts a message of the role "system"; the templates of some models do not.
    """

    mode: str = MODES[0]
    limits: tuple[str, ...] = ("max_completion_tokens", "max_tokens")
    without: tuple[str, ...] = ()
    system: bool = True

    @classmethod
    def assume(cls, base_url: str | None) -> Capabilities:
        """What a server probably accepts; None is OpenAI's own.

        OpenAI's reasoning models know `max_completion_tokens` only. Other servers may know `max_tokens` only and
        silently ignore the new name, which would leave the answer unlimited.
        """
        return cls() if base_url is None else cls(limits=("max_tokens", "max_completion_tokens"))


def make_body(request: Request, capabilities: Capabilities) -> dict[str, Any]:
    """The body of POST /chat/completions."""
    asked = request.messages
    if not capabilities.system:
        asked = (("user", "\n\n".join(text for _, text in asked)),)
    messages = [{"role": role, "content": text} for role, text in asked]
    body: dict[str, Any] = {"model": request.model, "messages": messages}
    for name, value in request.settings.items():
        if name == LIMIT:
            body.update(dict.fromkeys(capabilities.limits[:1], value))
        elif name not in capabilities.without:
            body[name] = value
    if capabilities.mode == "json_schema":
        name = re.sub(r"[^A-Za-z0-9_-]", "_", str(request.schema.get("title", "answer")))[:64]
        described = {"name": name, "strict": True, "schema": dict(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    elif capabilities.mode == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body


def downgrade(capabilities: Capabilities, request: Request, status: int, error: str) -> Capabilities | None:
    """What a server accepts, given that it rejected a request; None where the error is about something else.

    Args:
        capabilities: what was assumed so far.
        request: the rejected request.
        status: of HTTP.
        error: the whole error, as text.
    """
    text = error.lower()
    if status not in _REJECTIONS or _TOO_LONG.search(text):
        return None
    if _NOT_SUPPORTED.search(text):
        named = tuple(
            name
            for name in request.settings
            if name != LIMIT and name not in capabilities.without and re.search(rf"\b{re.escape(name)}\b", text)
        )
        if named:
            return replace(capabilities, without=(*capabilities.without, *named))
        if LIMIT in request.settings and capabilities.limits and re.search(rf"\b{capabilities.limits[0]}\b", text):
            return replace(capabilities, limits=capabilities.limits[1:])
    if capabilities.system and _ABOUT_ROLES.search(text):
        return replace(capabilities, system=False)
    if capabilities.mode != MODES[-1] and _ABOUT_FORMAT.search(text):
        return loosen(capabilities)
    return None


def loosen(capabilities: Capabilities) -> Capabilities:
    """The capabilities with the next looser way to ask for JSON; the loosest stays.

    >>> loosen(Capabilities("json_object")).mode
    'text'
    """
    return replace(capabilities, mode=MODES[min(MODES.index(capabilities.mode) + 1, len(MODES) - 1)])


_REJECTIONS = (400, 404, 405, 415, 422, 500, 501)
_NOT_SUPPORTED = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed"
)
_ABOUT_FORMAT = re.compile(
    r"response.?format|json.?schema|json.?object|json.?mode|structured.?output|schema|grammar|guided"
)
_ABOUT_ROLES = re.compile(r"system role|role.{1,9}system|roles must alternate|alternate user")
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context|context (length|window|size)|(prompt|input) is too long|too many tokens"
)
_FILTERED = re.compile(r"content_filter|content.management.policy|content_policy_violation")
_NO_MONEY = re.compile(r"insufficient_quota|billing_hard_limit|billing_not_active|exceeded your current quota")
_FINISHES: dict[str, Finish] = {"length": "length", "content_filter": "filter"}


def read_completion(completion: Mapping[str, Any]) -> Reply:
    """The reply in a chat completion; "failed" if it has no text."""
    choice = (completion.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    usage = completion.get("usage") or {}
    text, finish = _join(message.get("content")), _FINISHES.get(str(choice.get("finish_reason")), "stop")
    if message.get("refusal"):
        text, finish = message["refusal"], "refusal"
    if finish == "filter":
        text = text or "the server's content filter stopped the answer"
    if not isinstance(text, str) or not (text.strip() or finish == "length"):
        text, finish = NO_TEXT, "failed"
    tokens = (usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)
    return Reply(text, finish, *tokens, str(completion.get("model") or ""))


def _join(content: Any) -> Any:
    """The text of a message, which some servers send in parts."""
    if not isinstance(content, list):
        return content
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))


def read_error(status: int, error: str) -> Reply:
    """The reply that an HTTP error amounts to: "length" and "filter" are answers too, all else is a failure."""
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(error.lower())):
        return Reply("the request is longer than the model's context", "length")
    if status in (400, 403) and _FILTERED.search(error.lower()):
        return Reply("the server's content filter stopped the request", "filter")
    return Reply(f"HTTP {status}: {_message(error)[:300]}", "failed")


def concerns_only_this_request(failure: Reply) -> bool:
    """Whether a failure may be due to one request: the server works, and has no answer to this one.

    >>> concerns_only_this_request(read_error(400, "bad")), concerns_only_this_request(read_error(500, "down"))
    (True, False)
    """
    return failure.text == NO_TEXT or bool(re.match(r"HTTP 4(?!08|29)", failure.text))


def _message(error: str) -> str:
    """The message in an error, or all of it, in one line without a full stop."""
    try:
        content = json.loads(error)
        error = content.get("error", content)["message"]
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    return " ".join(str(error).split()).rstrip(".")


def describe_fatal(status: int, error: str, model: str) -> str | None:
    """What to report of an error that every request would meet; None for one that may pass."""
    if status == 401:
        return "the server rejected the API key (401); set OPENAI_API_KEY to a valid key"
    if status == 402 or (status in (403, 429) and _NO_MONEY.search(error.lower())):
        return f"the account has no credit or quota left ({status}); add credit, then run again to continue"
    if status == 403 and not _FILTERED.search(error.lower()):
        return f"the API key may not use model {model!r} (403); request access or pass another --model"
    if status == 404:
        return f"the server does not know model {model!r} (404); check --model and --base-url"
    return None
