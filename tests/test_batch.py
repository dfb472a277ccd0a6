"""Batches: half the price, resumed from another process at any instant, and what they did not answer is said."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asking import chat_with, digest, request
from openai_server import Server, script

import hierarchy.batch
from hierarchy.batch import batch_chat
from hierarchy.budget import Limits, Price
from hierarchy.errors import BudgetReached, ChatError
from hierarchy.ledger import Ledger
from hierarchy.openai_chat import ChatOptions
from hierarchy.protocol import server_of

GOOD = '{"classes":[{"id":1,"group":"something"},{"id":2,"group":"something"}]}'
ASKED = [request(str(number)) for number in range(8)]


class Killed(BaseException):
    """The run ends here."""


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "out.replies.sqlite")
    yield ledger
    ledger.close()


def batch(server, ledger, tell=lambda progress: None, **options):
    return batch_chat(ledger, options=ChatOptions(base_url=server.url, poll=0.01, backoff=0.02, **options), tell=tell)


def test_replies_come_in_order_are_stored_and_are_not_paid_again(ledger):
    with Server(lambda messages, schema: messages[-1]["content"].split()[1]) as server:
        replies = batch(server, ledger)([*ASKED, ASKED[0]])
        assert [reply.text for reply in replies] == [*(f"{number}." for number in range(8)), "0."]
        assert batch(server, ledger)(ASKED) == replies[:8]
        assert chat_with(server, ledger)(ASKED) == replies[:8]
        assert list(server.paid.values()) == [1] * 8
        assert server.http["/batches"] == 1
    assert ledger.totals()["gpt-test"].batched == 8


def test_what_the_ledger_has_is_not_sent(ledger):
    with Server() as server:
        with chat_with(server, ledger) as chat:
            chat(ASKED[:3])
        batch(server, ledger)(ASKED)
        assert len(next(iter(server.files.values())).splitlines()) == 5
        assert list(server.paid.values()) == [1] * 8


MOMENTS = {  # where a run dies -> after which call of the SDK, and whether that call still goes out
    "before the upload": ("files.create", False),
    "after the upload": ("files.create", True),
    "before the batch is made": ("batches.create", False),
    "after the batch is made": ("batches.create", True),
    "at the first look": ("batches.retrieve", False),
    "at the third look": ("batches.retrieve 3", True),
    "before the answers are fetched": ("files.content", False),
    "after the answers are fetched": ("files.content", True),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_dies_is_resumed_and_pays_once(moment, ledger, monkeypatch):
    where, goes_out = MOMENTS[moment]
    path, _, which = where.partition(" ")
    (group, name), times = path.split("."), int(which or 1)
    honest = hierarchy.batch.client_for

    def dying(wire):
        client, calls = honest(wire), []
        resource = getattr(client, group)
        call = getattr(resource, name)

        def die(*given, **named):
            calls.append(call(*given, **named) if goes_out or len(calls) + 1 < times else None)
            if len(calls) == times:
                raise Killed
            return calls[-1]

        monkeypatch.setattr(resource, name, die)
        return client

    with Server() as server:
        with monkeypatch.context() as patch:
            patch.setattr(hierarchy.batch, "client_for", dying)
            with pytest.raises(Killed):
                batch(server, ledger)(ASKED)
        again = Ledger(ledger.path)  # another process sees no more than the file
        assert [reply.text for reply in batch(server, again)(ASKED)] == [GOOD] * 8
        assert list(server.paid.values()) == [1] * 8
        assert len(server.batches) == 1
        again.close()


def test_a_run_with_other_wishes_finishes_the_batch_of_the_last_one(ledger, monkeypatch):
    with Server() as server:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(hierarchy.batch.time, "sleep", lambda seconds: (_ for _ in ()).throw(Killed()))
            batch(server, ledger)(ASKED[:5])
        batch(server, ledger)(ASKED[2:])
        assert list(server.paid.values()) == [1] * 8
        assert len(ledger.keys()) == 8


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_a_batch_that_ends_early_keeps_what_it_brought_and_the_rest_is_sent_next_time(end, ledger):
    with Server(batch_end=end, batch_share=0.5) as server:
        replies = batch(server, ledger)(ASKED)
        assert [reply.finish for reply in replies] == ["stop"] * 4 + ["failed"] * 4
        assert len(ledger.keys()) == 4
        server.batch_end, server.batch_share = "completed", 1.0
        assert [reply.finish for reply in batch(server, ledger)(ASKED)] == ["stop"] * 8
        assert list(server.paid.values()) == [1] * 8


def test_a_batch_that_fails_says_why(ledger):
    with Server(batch_end="failed") as server:
        with pytest.raises(ChatError, match=r"any of 8 requests \(the batch failed: bad\)"):
            batch(server, ledger)(ASKED)
        server.batch_end = "completed"
        assert len(batch(server, ledger)(ASKED)) == 8


LINES = {  # a fault in a line -> finish
    "500": "failed",
    "length": "length",
    "refusal": "refusal",
    "filter": "filter",
    "filter 400": "filter",
    "context": "length",
    "no text": "failed",
    "400": "failed",
}


def test_faults_in_lines(ledger):
    asked = {fault: request(fault) for fault in [*LINES, "none"]}
    names = {digest(one): fault for fault, one in asked.items()}
    faults = lambda about, before: names[about] if before == 0 and names[about] != "none" else None  # noqa: E731
    with Server(faults=faults) as server:
        replies = batch(server, ledger)(list(asked.values()))
        assert {fault: reply.finish for fault, reply in zip(asked, replies, strict=True)} == {**LINES, "none": "stop"}
        again = batch(server, ledger)(list(asked.values()))
        failed = [fault for fault, finish in LINES.items() if finish == "failed"]
        assert [reply.finish for fault, reply in zip(asked, again, strict=True) if fault in failed] == ["stop"] * 3


@pytest.mark.parametrize("refused", [("json_schema", "temperature"), ("max_tokens",)], ids=" ".join)
def test_what_a_server_refuses_is_asked_otherwise_and_remembered(refused, ledger):
    with Server(refuses=refused) as server:
        assert [reply.text for reply in batch(server, ledger)(ASKED)] == [GOOD] * 8
        assert len(server.batches) == 1 + len(refused)
        with chat_with(server, ledger) as chat:
            chat([request("another")])
        assert sum(server.refusals.values()) == 8 * len(refused)
        assert list(server.paid.values()) == [1] * 9


def test_many_requests_are_split_and_models_are_not_mixed(ledger, monkeypatch):
    monkeypatch.setattr(hierarchy.batch, "MOST_REQUESTS", 3)
    asked = [*ASKED, *(request(str(number), model="gpt-other") for number in range(2))]
    with Server() as server:
        assert len(batch(server, ledger)(asked)) == 10
        sizes = sorted(len(file.splitlines()) for file in server.files.values() if b'"method"' in file)
        assert sizes == [2, 2, 3, 3]
        monkeypatch.setattr(hierarchy.batch, "MOST_BYTES", 2500)
        batch(server, ledger)([request(str(number)) for number in range(10, 16)])
        assert all(len(file) <= 2500 for file in list(server.files.values())[-6:] if b'"method"' in file)
        assert list(server.paid.values()) == [1] * 16


def test_limits_hold_and_the_next_run_goes_on(ledger):
    with Server() as server:
        with pytest.raises(BudgetReached, match="--max-calls 5 is reached"):
            batch(server, ledger, limits=Limits(calls=5))(ASKED)
        assert len(ledger.keys()) == 5
        batch(server, ledger)(ASKED)
        assert list(server.paid.values()) == [1] * 8


def test_progress_and_half_the_price_are_told(ledger):
    told = []
    with Server() as server:
        chat = batch(server, ledger, told.append, limits=Limits(price=Price(1000, 1000)))
        chat(ASKED[:4])
        first = sum(server.tokens.values())
        chat(ASKED)
    assert [progress.note.split(" is ")[1] for progress in told[:3]] == [
        "in progress, 0 of 4 done",
        "finalizing, 4 of 4 done",
        "completed, 4 of 4 done",
    ]
    assert (told[-1].done, told[-1].total) == (4, 8)
    assert told[-1].cost == pytest.approx(0.5 * first / 1000)


def test_a_process_killed_while_it_waits_is_resumed_by_another(ledger):
    code = (
        "import sys; from asking import request;"
        "from hierarchy.batch import batch_chat; from hierarchy.ledger import Ledger;"
        "from hierarchy.openai_chat import ChatOptions; asked = [request(str(number)) for number in range(8)];"
        "batch_chat(Ledger(sys.argv[1]), options=ChatOptions(base_url=sys.argv[2], poll=30))(asked)"
    )
    here = Path(__file__).parent
    with Server() as server:
        first = subprocess.Popen(
            [sys.executable, "-c", code, str(ledger.path), server.url],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])},
        )
        deadline = time.monotonic() + 60
        while not any(batch.id for batch in ledger.batches(server_of(server.url))) and time.monotonic() < deadline:
            time.sleep(0.01)
        first.kill()
        first.wait()
        assert [reply.text for reply in batch(server, ledger)(ASKED)] == [GOOD] * 8
        assert list(server.paid.values()) == [1] * 8
        assert len(server.batches) == 1


def test_a_server_without_batches_says_so(ledger):
    with Server() as server:
        options = ChatOptions(base_url=server.url.replace("/v1", "/v2"), backoff=0.02)
        with pytest.raises(ChatError, match="no Batch API"):
            batch_chat(ledger, options=options)(ASKED)


def test_an_answer_that_comes_late_is_waited_for_through_errors_of_the_server(ledger):
    with Server(faults=script(None)) as server:
        looks = []
        honest = server.look_at

        def look_at(id):
            looks.append(id)
            if len(looks) in (2, 3):
                raise OSError("the connection breaks")
            return honest(id)

        server.look_at = look_at
        assert len(batch(server, ledger)(ASKED)) == 8
        assert len(looks) > 4
