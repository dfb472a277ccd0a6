"""What a chat is: a callable that answers requests. A server is one (`openai_chat`), a table of old replies another.

Requests and replies are plain frozen values, so that a reply can be stored under its request's key before anybody reads
it, and the same request is never paid for twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
        model: what the server calls the model.
        settings: what else decides the answer: "temperature", "seed", "max_tokens"; only what is to be sent.
        about: what the request is about, for whoever answers without a model; never sent, not part of the key.
    """

    prompt: str
    messages: tuple[tuple[str, str], ...]
    schema: Mapping[str, Any]
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    about: Any = None

    @cached_property
    def key(self) -> str:
        """SHA-256, in hexadecimal, of model, settings, schema and text: equal for requests with equal answers."""
        content = [self.model, dict(self.settings), dict(self.schema), self.messages]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What came back.

    Args:
        text: the answer, as it was sent; of a refusal its words, of a failure the error.
        finish: "stop" (whole), "length" (cut off), "refusal", "filter" (the server's content filter), or "failed"
            (no answer could be had, after all retries; such a reply is never stored).
        input_tokens, output_tokens: as the server counts them; 0 where it does not say.
        model: the model that answered, as the server names it.
    """

    text: str
    finish: Finish = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The reply as plain values for JSON; `Reply(**values)` reads it back."""
        return asdict(self)


Chat: TypeAlias = Callable[[Sequence[Request]], list[Reply]]  # replies in the order of the requests
