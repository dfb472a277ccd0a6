"""What a chat is: a function from requests to replies. A server is one (`OpenAIChat`), a rehearsal another.

Requests and replies are plain frozen values, so a reply can be stored under the key of its request before it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

Finish = Literal["stop", "length", "refusal", "filter", "failed"]


@dataclass(frozen=True)
class Request:
    """One question to a model.

    Args:
        prompt: the name of the prompt it was made from ("assign"); for reports, not part of the key.
        messages: (role, text) pairs, roles "system" and "user".
        schema: the JSON schema of the answer, with a "title"; objects forbid further properties.
        model: the server's name for the model.
        settings: what else decides the answer: "temperature", "seed", "max_tokens"; only what is sent.
        about: what the request asks about, as JSON values (numbers of classes and nodes); stored with it, never sent,
            not part of the key.
    """

    prompt: str
    messages: tuple[tuple[str, str], ...]
    schema: Mapping[str, Any]
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """SHA-256, in hexadecimal, of model, settings, schema and text: equal for requests with equal answers."""
        content = [self.model, dict(self.settings), dict(self.schema), self.messages]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    """An answer, or why there is none.

    Args:
        text: the answer as it was sent; the words of a refusal; the error of a failure.
        finish: "stop" (complete), "length" (cut off), "refusal", "filter" (the server's content filter), or "failed"
            (no answer after all retries; such a reply is never stored).
        input_tokens, output_tokens: as the server counts them; 0 where it does not say.
        model: the model that answered, as the server names it.
    """

    text: str
    finish: Finish = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""


Chat: TypeAlias = Callable[[Sequence[Request]], list[Reply]]  # replies in the order of the requests


def reject(chat: Chat, request: Request) -> None:
    """Says that the reply to a request cannot be used, to a chat that wants to know (it has a method `reject`)."""
    getattr(chat, "reject", lambda request: None)(request)
