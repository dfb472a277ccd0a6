"""Requests for the tests of chats, and a chat with a server of the tests."""

from __future__ import annotations

import openai._base_client

from hierarchy.llm import ChatOptions, OpenAIChat, ReplyCache, Request
from hierarchy.llm.compat import Capabilities, make_body
from support.openai_server import Server, digest_of

openai._base_client.INITIAL_RETRY_DELAY = 0.01  # seconds; half a second is for other people's servers

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
SHAPE = '{"classes":[{"id":1,"group":"something"},{"id":2,"group":"something"}]}'


def request(what: str = "pets", **fields) -> Request:
    """A request about two classes; other words make another request."""
    messages = (
        ("system", "Sort the classes into groups."),
        ("user", f"About {what}.\n1. tabby: a cat\n2. beagle: a dog\n\nAnswer with JSON of this shape:\n{SHAPE}"),
    )
    values = {"settings": {"temperature": 0, "max_tokens": 200}, "model": "gpt-test", "schema": SCHEMA}
    return Request(**values | fields, prompt="assign", messages=messages)


def digest(asked: Request) -> str:
    """The server's digest of a request."""
    return digest_of(make_body(asked, Capabilities.assume("http://elsewhere")))


def chat_with(server: Server, cache: ReplyCache, progress=lambda progress: None, **options) -> OpenAIChat:
    """A chat with a server of the tests."""
    return OpenAIChat(cache, ChatOptions(base_url=server.url, **{"timeout": 60.0} | options), progress=progress)
