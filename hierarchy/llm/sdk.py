"""The OpenAI SDK's client, as it is used here: it makes the retries, and tells how many calls they took and lost."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any


class Stopped(Exception):
    """The run ended, and a call would have to be made again."""


def address_of(base_url: str | None) -> str | None:
    """The address that calls go to, with OPENAI_BASE_URL where none is given; None is OpenAI's."""
    return base_url or os.environ.get("OPENAI_BASE_URL") or None


def client_for(
    wire: Mapping[str, Any], stopping: threading.Event | None = None, lost: Callable[[], None] | None = None
) -> Any:
    """A client of a server.

    Args:
        wire: what `ChatOptions.wire` gives; the API key comes from the environment.
        stopping: once it is set, no call is made again.
        lost: called, in the thread that made a call, when its answer may have been billed and did not arrive.
    """
    import openai

    class Client(openai.OpenAI):
        def _calculate_retry_timeout(self, remaining: int, made: Any, headers: Any = None) -> float:
            """Seconds before a retry: the SDK's, times `backoff` where the server does not say how long.

            The SDK has no option for it. Should it name this otherwise one day, its own pauses come back.
            """
            if stopping is not None and stopping.is_set():
                raise Stopped("the run was stopped before a retry")
            seconds = super()._calculate_retry_timeout(remaining, made, headers)
            told = headers is not None and ("retry-after" in headers or "retry-after-ms" in headers)
            return seconds if told else seconds * float(wire["backoff"])

    class Http(openai.DefaultHttpxClient):
        def send(self, *given: Any, **named: Any) -> Any:
            """Sends a call, and tells where its answer is lost, of which the SDK's retries say nothing."""
            try:
                return super().send(*given, **named)
            except Exception as error:
                if lost is not None and not type(error).__name__.startswith(_NEVER_SENT):
                    lost()
                raise

    return Client(
        api_key="none" if wire["keyless"] else None,
        base_url=wire["base_url"],
        timeout=wire["timeout"],
        max_retries=wire["max_retries"],
        http_client=None if lost is None else Http(),
    )


# Exceptions of httpx, by the start of their names, after which the server cannot have seen the call.
_NEVER_SENT = ("Connect", "PoolTimeout", "Proxy", "UnsupportedProtocol", "LocalProtocol")


def calls_of(sent: Any) -> int:
    """HTTP calls that were made when this request of the SDK was the last."""
    return 1 + int(sent.headers.get("x-stainless-retry-count", 0))


def said_by(error: Any, client: Any) -> str:
    """All that a server said with an error, with the API key blotted out, should it have echoed it."""
    text = json.dumps(error.body) if isinstance(error.body, Mapping) else str(error.message)
    return text.replace(client.api_key, "***")


def why(error: Any) -> str:
    """What went wrong with a connection, in a few words."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return "no answer in time"
    words = re.sub(r"^\[Errno -?\d+\] ", "", str(error.__cause__ or error)).rstrip(".")
    return words[:1].lower() + words[1:]
