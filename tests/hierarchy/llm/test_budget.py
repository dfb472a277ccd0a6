"""What may be spent is not exceeded: a call that could do so is not made."""

import math
from dataclasses import replace

import pytest
from support.asking import chat_with, request
from support.openai_server import Server, always, at_first

from hierarchy.errors import BudgetReached, ChatError
from hierarchy.llm.budget import MARGIN, PER_MESSAGE, PRICES, Budget, Limits, Price, bound, input_tokens, price_of
from hierarchy.llm.cache import Ledger
from hierarchy.llm.tokens import count_tokens
from hierarchy.llm.types import Reply

REPLY = Reply("{}", input_tokens=1000, output_tokens=100)


def test_a_dated_model_costs_what_the_model_costs():
    assert price_of("gpt-4.1-mini-2025-04-14") == PRICES["gpt-4.1-mini"]
    assert price_of("gpt-4o-2024-05-13") == Price(5, 15)
    assert price_of("gpt-4o-audio-preview") is None
    assert price_of("llama3") is None


def test_the_bound_is_above_what_the_server_counts(tmp_path):
    with Server() as server, chat_with(server, Ledger(tmp_path / "x.sqlite")) as chat:
        (reply,) = chat([request()])
    read, written = bound(request())
    assert reply.input_tokens < read < reply.input_tokens * 6  # the schema is in ours, and is not in the server's
    assert written == 200


def test_the_bound_is_made_of_one_count_of_what_is_read():
    plain, more = request(), replace(request(), messages=(*request().messages, ("user", "Go on.")))
    assert input_tokens(more) - input_tokens(plain) == count_tokens("Go on.") + PER_MESSAGE
    assert input_tokens(plain) - input_tokens(replace(plain, schema={})) > 50
    assert bound(plain)[0] == math.ceil(input_tokens(plain) * MARGIN)


def test_the_published_price_holds_at_openai_only():
    one = request(model="gpt-4o")
    for published, cost in ((True, 0.0035), (False, None)):
        budget = Budget(Limits(), published=published)
        budget.settle(one, REPLY)
        assert budget.progress(1, 1).cost == (pytest.approx(cost) if cost else None)
    given = Budget(Limits(price=Price(10, 20)), published=False)
    given.settle(one, REPLY)
    assert given.progress(1, 1).cost == pytest.approx(0.012)


def test_batches_cost_half():
    budget = Budget(Limits(price=Price(10, 20)), published=False, share=0.5)
    budget.settle(request(), REPLY)
    assert budget.progress(1, 1).cost == pytest.approx(0.006)


def test_what_is_in_flight_is_set_aside():
    asked = [request(str(number)) for number in range(9)]
    most = Price(1, 1).of(*bound(asked[0]))
    budget = Budget(Limits(cost=3.5 * most, price=Price(1, 1)), published=False)
    assert [bool(budget.admit(one)) for one in asked[:4]] == [False, False, False, True]
    budget.settle(asked[0], Reply("{}", input_tokens=1, output_tokens=1))  # far below what it might have cost
    assert [bool(budget.admit(one)) for one in asked[4:6]] == [False, True]


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_max_cost_is_never_exceeded_and_the_next_run_goes_on(calls, tmp_path):
    asked = [request(str(number)) for number in range(8)]
    price = Price(1000, 3000)
    limits = Limits(cost=price.of(*bound(asked[0])) * (calls + 0.5), price=price)
    ledger = Ledger(tmp_path / "x.sqlite")
    with Server() as server:
        with chat_with(server, ledger, limits=limits) as chat:
            if calls == 5:  # the first ones cost less than they might have, so that all can be asked
                chat(asked)
            else:
                with pytest.raises(BudgetReached, match="could be exceeded"):
                    chat(asked)
        total = ledger.totals().get("gpt-test")
        paid = price.of(total.input_tokens, total.output_tokens) if total else 0.0
        assert paid <= limits.cost
        with chat_with(server, ledger) as chat:
            assert len(chat(asked)) == 8
        assert list(server.paid.values()) == [1] * 8
    ledger.close()


def test_a_limit_of_dollars_needs_a_price_and_a_bound(tmp_path):
    ledger = Ledger(tmp_path / "x.sqlite")
    with Server() as server:
        with chat_with(server, ledger, limits=Limits(cost=1.0)) as chat, pytest.raises(ChatError, match="is unknown"):
            chat([request()])
        limits = Limits(cost=1.0, price=Price(1, 1))
        with chat_with(server, ledger, limits=limits) as chat, pytest.raises(ChatError, match="no 'max_tokens'"):
            chat([request(settings={})])
        assert not server.paid
    ledger.close()


LOST = {"drop amid": 2, "hang": 2, "500": 4, "429": 4}  # a fault at first -> requests that four calls are enough for


@pytest.mark.parametrize("fault", LOST)
def test_an_answer_lost_on_the_way_counts_as_a_call_and_an_error_does_not(fault, tmp_path):
    ledger = Ledger(tmp_path / "x.sqlite")
    asked = [request(str(number)) for number in range(8)]
    options = {"limits": Limits(calls=4), "concurrency": 1, "timeout": 1.0}
    with Server(faults=at_first(fault), hang=1.2) as server:
        with chat_with(server, ledger, **options) as chat, pytest.raises(BudgetReached, match="--max-calls 4"):
            chat(asked)
        assert len(ledger.keys()) == LOST[fault]
        assert sum(server.paid.values()) <= 4
    ledger.close()


def test_answers_lost_on_the_way_are_charged_as_much_as_they_may_have_cost(tmp_path):
    ledger = Ledger(tmp_path / "x.sqlite")
    asked = [request(str(number)) for number in range(8)]
    price = Price(1000, 1000)
    limits = Limits(cost=3.5 * price.of(*bound(asked[0])), price=price)
    with Server(faults=always("drop amid")) as server:
        asking = chat_with(server, ledger, limits=limits, concurrency=1, max_retries=1)
        lost = r"spent, and up to \$\S+ for answers that were lost on the way"
        with asking as chat, pytest.raises(BudgetReached, match=lost):
            chat(asked)
        assert sum(server.paid.values()) == 4  # two requests; the retry of the second was too many
    ledger.close()


def test_a_server_that_nobody_reaches_has_answered_nothing(tmp_path):
    ledger = Ledger(tmp_path / "x.sqlite")
    with Server() as server:
        pass
    with chat_with(server, ledger, limits=Limits(calls=9), max_retries=3) as chat:
        with pytest.raises(ChatError, match="nobody answers"):
            chat([request()])
        assert chat._budget._admitted == 1
    ledger.close()


def test_a_limit_of_dollars_cannot_be_held_where_answers_have_no_limit(tmp_path):
    ledger = Ledger(tmp_path / "x.sqlite")
    asked = [request(str(number)) for number in range(4)]
    with Server(refuses=("max_tokens", "max_completion_tokens")) as server:
        limits = Limits(cost=100.0, price=Price(1, 1))
        with chat_with(server, ledger, limits=limits) as chat, pytest.raises(ChatError, match="refuses every limit"):
            chat(asked)
        assert not server.paid
        with chat_with(server, ledger) as chat:
            assert len(chat(asked)) == 4
        with chat_with(server, ledger, limits=limits) as chat, pytest.raises(ChatError, match="refuses every limit"):
            chat([request("another")])  # as the ledger knows by now
        assert len(server.paid) == 4
    ledger.close()
