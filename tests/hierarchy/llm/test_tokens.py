"""Tokens are estimated within 5 % of what OpenAI's tokenizer counts, on each kind of text that is sent or comes back.

golden/tokens.json holds the texts, and what tiktoken counts in them with its two vocabularies of the GPT-4 class.
"""

import json

import pytest
from support import TESTS

from hierarchy.llm.tokens import count_tokens

TEXTS = json.loads((TESTS / "golden" / "tokens.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", TEXTS)
def test_the_estimate_is_near(kind):
    text = TEXTS[kind]
    assert count_tokens(text["text"]) == pytest.approx(text["o200k_base"], rel=0.05)
    assert count_tokens(text["text"]) == pytest.approx(text["cl100k_base"], rel=0.06)


def test_all_together_are_nearer():
    total = sum(text["o200k_base"] for text in TEXTS.values())
    assert sum(count_tokens(text["text"]) for text in TEXTS.values()) == pytest.approx(total, rel=0.01)


def test_nothing_has_no_tokens_and_more_text_has_no_fewer():
    assert count_tokens("") == 0
    text = TEXTS["definitions"]["text"]
    counts = [count_tokens(text[:length]) for length in range(0, 3000, 100)]
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    "text", ["猫\n犬\n虎\n", "кошка, собака", "🐈🐕", "\x00\x01", "a" * 10_000, "\n" * 50, "1234567"]
)
def test_any_text_has_tokens(text):
    assert count_tokens(text) > 0
