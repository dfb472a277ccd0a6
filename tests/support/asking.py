"""Requests for the tests of chats, and a chat with a server of the tests."""

from __future__ import annotations

from hierarchy.llm.cache import Ledger
from hierarchy.llm.client import ChatOptions, openai_chat
from hierarchy.llm.compat import Abilities, body_of
from hierarchy.llm.types import Request
from support.openai_server import Server, digest_of

ITEM = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "group": {"type": "string"}},
    "required": ["id", "group"],
    "additionalProperties": False,
}
SCHEMA = {
    "title": "groups",
    "type": "object",
    "properties": {"classes": {"type": "array", "items": ITEM}},
    "required": ["classes"],
    "additionalProperties": False,
}
QUICK = {"backoff": 0.02, "timeout": 60.0}  # the SDK's pauses are for a server of others


def request(what: str = "pets", **fields) -> Request:
    """A request about two classes; other words make another request."""
    messages = (
        ("system", "Sort the classes into groups."),
        ("user", f"About {what}.\n1. tabby: a cat\n2. beagle: a dog\n"),
    )
    values = {"settings": {"temperature": 0, "max_tokens": 200}, "model": "gpt-test", "schema": SCHEMA}
    return Request(**values | fields, prompt="assign", messages=messages)


def digest(asked: Request) -> str:
    """What the server calls a request."""
    return digest_of(body_of(asked, Abilities.of("http://elsewhere")))


def chat_with(server: Server, ledger: Ledger, tell=None, **options):
    """A chat with a server of the tests, without the SDK's patience."""
    return openai_chat(ledger, options=ChatOptions(base_url=server.url, **QUICK | options), tell=tell)
