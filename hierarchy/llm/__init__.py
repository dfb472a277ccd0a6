"""Talking with a language model's server: requests and replies, the client, the reply cache and the budget.

What is asked, and what is made of the answers, is in `hierarchy.prompting`. Importing this loads no SDK.
"""

from hierarchy.llm.budget import Limits, Price, Progress, bound_tokens, count_input_tokens, count_tokens
from hierarchy.llm.cache import ReplyCache, Total
from hierarchy.llm.client import DEFAULT_TIMEOUT, ChatOptions, OpenAIChat, make_client
from hierarchy.llm.compat import digest_server
from hierarchy.llm.types import Chat, Reply, Request, reject

__all__ = [
    "DEFAULT_TIMEOUT",
    "Chat",
    "ChatOptions",
    "Limits",
    "OpenAIChat",
    "Price",
    "Progress",
    "Reply",
    "ReplyCache",
    "Request",
    "Total",
    "bound_tokens",
    "count_input_tokens",
    "count_tokens",
    "digest_server",
    "make_client",
    "reject",
]
