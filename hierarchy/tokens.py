"""How many tokens a text has, without the tokenizer: an estimate for models of OpenAI's GPT-4 class."""

from __future__ import annotations


def count_tokens(text: str) -> int:
    """An estimate of the tokens of a text."""
    return len(text) // 4 + 1
