"""What may be spent is not exceeded: a call that could do so is not made. Tokens are estimated without a tokenizer."""

import json
import math
from dataclasses import replace

import pytest
from support import TESTS
from support.asking import chat_with, request
from support.openai_server import Server

from hierarchy.errors import BudgetReached, ChatError
from hierarchy.llm import (
    Limits,
    OpenAIChat,
    Price,
    Reply,
    ReplyCache,
    bound_tokens,
    count_input_tokens,
    count_tokens,
)
from hierarchy.llm.budget import MARGIN, PER_MESSAGE, Budget
from hierarchy.llm.client import ChatOptions

TEXTS = json.loads((TESTS / "golden" / "tokens.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", TEXTS)
def test_tokens_are_estimated_within_nine_percent_on_every_kind_of_text(kind):
    """golden/tokens.json holds the texts, and what tiktoken counts with both vocabularies of the GPT-4 class."""
    text = TEXTS[kind]
    assert count_tokens(text["text"]) == pytest.approx(text["o200k_base"], rel=0.085)
    assert count_tokens(text["text"]) == pytest.approx(text["cl100k_base"], rel=0.09)
    assert count_tokens(text["text"]) * MARGIN >= text["o200k_base"]


def test_all_texts_together_are_estimated_within_two_percent():
    total = sum(text["o200k_base"] for text in TEXTS.values())
    assert sum(count_tokens(text["text"]) for text in TEXTS.values()) == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize(
    "text", ["猫\n犬\n虎\n", "кошка, собака", "🐈🐕", "\x00\x01", "a" * 10_000, "\n" * 50, "1234567"]
)
def test_any_text_has_tokens(text):
    assert count_tokens(text) > 0 == count_tokens("")


def test_the_bound_is_above_the_servers_count(tmp_path):
    with Server() as server, ReplyCache(tmp_path / "x.sqlite") as cache:
        (reply,) = chat_with(server, cache)([request()])
    read, written = bound_tokens(request())
    assert reply.input_tokens < read < reply.input_tokens * 6  # the schema is in ours, and is not in the server's
    assert written == 200


def test_the_bound_is_made_of_messages_and_schema():
    plain, more = request(), replace(request(), messages=(*request().messages, ("user", "Go on.")))
    assert count_input_tokens(more) - count_input_tokens(plain) == count_tokens("Go on.") + PER_MESSAGE
    assert count_input_tokens(plain) - count_input_tokens(replace(plain, schema={})) > 50
    assert bound_tokens(plain)[0] == math.ceil(count_input_tokens(plain) * MARGIN)


def test_cost_is_known_with_a_price_only():
    for price, cost in ((Price(10, 20), 0.012), (None, None)):
        budget = Budget(Limits(price=price))
        budget.settle(request(), Reply("{}", input_tokens=1000, output_tokens=100))
        assert budget.progress(1, 1).cost == (cost and pytest.approx(cost))


def test_the_cost_of_calls_in_flight_is_reserved():
    asked = [request(str(number)) for number in range(9)]
    most = Price(1, 1).cost(*bound_tokens(asked[0]))
    budget = Budget(Limits(cost=3.5 * most, price=Price(1, 1)))
    assert [bool(budget.admit(one)) for one in asked[:4]] == [False, False, False, True]
    budget.settle(asked[0], Reply("{}", input_tokens=1, output_tokens=1))  # far below what it might have cost
    assert [bool(budget.admit(one)) for one in asked[4:6]] == [False, True]


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_max_cost_is_never_exceeded_and_the_next_run_continues(calls, tmp_path):
    asked = [request(str(number)) for number in range(8)]
    price = Price(1000, 3000)
    limits = Limits(cost=price.cost(*bound_tokens(asked[0])) * (calls + 0.5), price=price)
    with Server() as server, ReplyCache(tmp_path / "x.sqlite") as cache:
        chat = chat_with(server, cache, limits=limits)
        if calls == 5:  # the first ones cost less than they might, so that all can be asked
            chat(asked)
        else:
            with pytest.raises(BudgetReached, match="and exceed --max-cost"):
                chat(asked)
        total = cache.totals().get("gpt-test")
        assert (price.cost(total.input_tokens, total.output_tokens) if total else 0.0) <= limits.cost
        assert len(chat_with(server, cache)(asked)) == 8
        assert list(server.paid.values()) == [1] * 8


def test_max_cost_needs_a_price_and_a_bound(tmp_path):
    with Server() as server, ReplyCache(tmp_path / "x.sqlite") as cache:
        with pytest.raises(ChatError, match="needs the price"):
            OpenAIChat(cache, ChatOptions(limits=Limits(cost=1.0)))
        limits = Limits(cost=1.0, price=Price(1, 1))
        with pytest.raises(ChatError, match="no 'max_tokens'"):
            chat_with(server, cache, limits=limits)([request(settings={})])
        assert not server.paid


def test_max_cost_is_refused_where_a_server_takes_no_limit_on_answers(tmp_path):
    asked = [request(str(number)) for number in range(4)]
    with Server(refuses=("max_tokens", "max_completion_tokens")) as server, ReplyCache(tmp_path / "x.sqlite") as cache:
        with pytest.raises(ChatError, match="rejects every limit"):
            chat_with(server, cache, limits=Limits(cost=100.0, price=Price(1, 1)))(asked)
        assert not server.paid
        assert len(chat_with(server, cache)(asked)) == 4
