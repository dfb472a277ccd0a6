"""Batches: half the price, resumed from another process at any instant, and what they did not answer is said."""

import os
import subprocess
import sys
import threading
import time

import pytest
from support import TESTS
from support.asking import chat_with, digest, request
from support.openai_server import Server, script

import hierarchy.llm.batch
from hierarchy.errors import BudgetReached, ChatError
from hierarchy.llm.batch import batch_chat
from hierarchy.llm.budget import Limits, Price, bound
from hierarchy.llm.cache import Batch, Ledger
from hierarchy.llm.client import ChatOptions
from hierarchy.llm.compat import server_of
from hierarchy.llm.types import Reply

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
    options = {"poll": 0.01, "backoff": 0.02, **options}
    return batch_chat(ledger, options=ChatOptions(base_url=server.url, **options), tell=tell)


def begin(server, ledger, monkeypatch, asked=ASKED):
    """Has a batch made by a run that dies once it looked at it."""

    def die(seconds):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(hierarchy.llm.batch.time, "sleep", die)
        batch(server, ledger)(asked)
    return next(iter(server.batches))


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
    honest = hierarchy.llm.batch.client_for

    def dying(wire, patch):
        client, calls = honest(wire), []
        resource = type(getattr(client, group))  # also of the client that makes no retries
        call = getattr(resource, name)

        def die(*given, **named):
            calls.append(call(*given, **named) if goes_out or len(calls) + 1 < times else None)
            if len(calls) == times:
                raise Killed
            return calls[-1]

        patch.setattr(resource, name, die)
        return client

    with Server() as server:
        with monkeypatch.context() as patch:
            patch.setattr(hierarchy.llm.batch, "client_for", lambda wire: dying(wire, patch))
            with pytest.raises(Killed):
                batch(server, ledger)(ASKED)
        again = Ledger(ledger.path)  # another process sees no more than the file
        assert [reply.text for reply in batch(server, again)(ASKED)] == [GOOD] * 8
        assert list(server.paid.values()) == [1] * 8
        assert len(server.batches) == 1
        again.close()


def test_a_run_with_other_wishes_finishes_the_batch_of_the_last_one(ledger, monkeypatch):
    with Server() as server:
        begin(server, ledger, monkeypatch, ASKED[:5])
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
    monkeypatch.setattr(hierarchy.llm.batch, "MOST_REQUESTS", 3)
    asked = [*ASKED, *(request(str(number), model="gpt-other") for number in range(2))]
    with Server() as server:
        assert len(batch(server, ledger)(asked)) == 10
        sizes = sorted(len(file.splitlines()) for file in server.files.values() if b'"method"' in file)
        assert sizes == [2, 2, 3, 3]
        monkeypatch.setattr(hierarchy.llm.batch, "MOST_BYTES", 2500)
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
    looks = [(progress.done, progress.total) for progress in told if not progress.note]
    assert looks == [(0, 4), (4, 4), (4, 4), (4, 8), (8, 8), (8, 8)]
    assert [progress.cost for progress in told if not progress.note][2] == pytest.approx(0.5 * first / 1000)
    notes = [progress.note for progress in told if progress.note]
    assert [note.split(" of ")[1] for note in notes[:3]] == [
        "4 requests is in progress",
        "4 requests is finalizing",
        "4 requests is completed",
    ]


def test_a_process_killed_while_it_waits_is_resumed_by_another(ledger):
    code = (
        "import sys; from support.asking import request;"
        "from hierarchy.llm.batch import batch_chat; from hierarchy.llm.cache import Ledger;"
        "from hierarchy.llm.client import ChatOptions; asked = [request(str(number)) for number in range(8)];"
        "batch_chat(Ledger(sys.argv[1]), options=ChatOptions(base_url=sys.argv[2], poll=30))(asked)"
    )
    here = TESTS
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


def test_a_look_that_finds_nothing_new_is_no_note(ledger):
    told = []
    with Server() as server:
        honest, looks = server.look_at, []

        def look_at(id):
            looks.append(id)
            return server.batches[id] if len(looks) in (2, 3, 4) else honest(id)

        server.look_at = look_at
        batch(server, ledger, told.append)(ASKED)
    assert len([progress for progress in told if not progress.note]) == len(looks) == 6
    assert len([progress for progress in told if progress.note]) == 3


# Two runs with a ledger


def in_a_thread(run):
    """Starts a run; gives the thread and what it will have brought."""
    brought = []
    thread = threading.Thread(target=lambda: brought.append(run()))
    thread.start()
    return thread, brought


def wait_for(what):
    deadline = time.monotonic() + 30
    while not what() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert what()


def test_two_batch_runs_at_once_pay_once(ledger):
    told, other = [], Ledger(ledger.path)
    with Server() as server:
        first, brought = in_a_thread(lambda: batch(server, other, poll=0.3)(ASKED))
        wait_for(lambda: server.batches)
        assert [reply.text for reply in batch(server, ledger, told.append)(ASKED)] == [GOOD] * 8
        first.join()
        assert [reply.text for reply in brought[0]] == [GOOD] * 8
        assert list(server.paid.values()) == [1] * 8
        assert len(server.batches) == 1
    assert told[0].note == "waiting for another run with this ledger"
    other.close()


def test_a_batch_run_that_waits_for_a_keeper_sends_only_what_that_left(ledger):
    told, keepers = [], Ledger(ledger.path)
    with Server() as server:
        with keepers.alone(lambda number: None):
            for asked in ASKED[:2]:
                attempt = keepers.asked(asked)
            second, brought = in_a_thread(lambda: batch(server, ledger, told.append)(ASKED))
            wait_for(lambda: told)
            for asked in ASKED[:6]:
                keepers.put(asked, Reply("{}"), attempt=attempt)
        second.join()
        assert [reply.text for reply in brought[0]] == ["{}"] * 6 + [GOOD] * 2
        assert sum(server.paid.values()) == 2
    notes = [progress.note for progress in told if progress.note]
    assert notes[0] == "waiting for 2 calls in flight of another run with this ledger"
    assert notes[1] == "1 call of a run that died cannot be found again and may be billed twice"
    keepers.close()


def test_a_run_without_batches_does_not_ask_what_a_batch_has_and_fetches_it_once_it_is_over(ledger, monkeypatch):
    with Server() as server:
        id = begin(server, ledger, monkeypatch)
        with (
            chat_with(server, ledger) as chat,
            pytest.raises(ChatError, match=f"batch {id} is under way with 8 of the 8"),
        ):
            chat(ASKED)
        with chat_with(server, ledger) as chat:
            assert [reply.text for reply in chat(ASKED)] == [GOOD] * 8
        assert list(server.paid.values()) == [1] * 8
        assert "/chat/completions" not in server.http
    assert ledger.totals()["gpt-test"].batched == 8


def test_a_run_that_asked_other_things_first_does_not_ask_what_a_batch_has(ledger, monkeypatch):
    with Server() as server:
        begin(server, ledger, monkeypatch)
        with chat_with(server, ledger) as chat:
            chat([request("another")])
            with pytest.raises(ChatError, match="with 2 of the 3 missing requests"):
                chat([request("a third"), *ASKED[:2]])
        assert server.http["/chat/completions"] == 1


@pytest.mark.parametrize("end", ["expired", "cancelled", "failed"])
def test_a_run_without_batches_asks_what_a_batch_left_that_is_over(end, ledger, monkeypatch):
    with Server(batch_end=end, batch_share=0.5) as server:
        server.batch_end = "completed"  # until the run is dead, which a failed batch would end
        id = begin(server, ledger, monkeypatch)
        server.batch_end = end
        if end == "failed":
            server.batches[id]["status"] = end
        else:
            server.look_at(id)
        with chat_with(server, ledger) as chat:
            assert [reply.finish for reply in chat(ASKED)] == ["stop"] * 8
        assert list(server.paid.values()) == [1] * 8
        assert server.http["/chat/completions"] == (8 if end == "failed" else 4)
    assert not ledger.under_way(server_of(server.url))


@pytest.mark.parametrize("lists", [True, False], ids=["made none", "has no Batch API"])
def test_a_batch_that_was_never_made_keeps_nobody_from_asking(lists, ledger):
    with Server() as server:
        server.lists_batches = lists
        keys = tuple(asked.key for asked in ASKED)
        ledger.put_batch(Batch("of these", server_of(server.url), keys), ASKED)
        with chat_with(server, ledger) as chat:
            assert [reply.text for reply in chat(ASKED)] == [GOOD] * 8


# Answers of the server that are lost


def losing(server, times, *, made):
    """Has the answers to the making of a batch lost, some times."""
    honest, calls = server.start_batch, []

    def start_batch(body):
        calls.append(honest(body) if made or len(calls) >= times else None)
        if len(calls) <= times:
            raise OSError("the connection breaks")
        return calls[-1]

    server.start_batch = start_batch
    return calls


@pytest.mark.parametrize("made", [True, False])
def test_a_batch_is_made_once_though_the_answer_is_lost(made, ledger):
    with Server() as server:
        calls = losing(server, 1, made=made)
        assert [reply.text for reply in batch(server, ledger)(ASKED)] == [GOOD] * 8
        assert (len(server.batches), len(calls)) == (1, 1 if made else 2)
        assert list(server.paid.values()) == [1] * 8


def test_a_batch_is_tried_as_often_as_a_call_and_the_next_run_goes_on(ledger):
    with Server() as server:
        calls = losing(server, 3, made=False)
        with pytest.raises(ChatError, match="cannot be reached"):
            batch(server, ledger, max_retries=2)(ASKED)
        assert len(calls) == 3
        assert len(batch(server, ledger)(ASKED)) == 8
        assert len(server.batches) == 1


@pytest.mark.parametrize("gone", ["the batch", "its answers"])
@pytest.mark.parametrize("again", [batch, chat_with], ids=["by batch", "without"])
def test_what_a_server_lost_is_said_and_sent_again(again, gone, ledger, monkeypatch):
    told = []
    with Server() as server:
        id = begin(server, ledger, monkeypatch)
        if gone == "the batch":
            server.batches.clear()
        else:
            while server.batches[id]["status"] != "completed":
                server.look_at(id)
            del server.files[server.batches[id]["output_file_id"]]
        chat = again(server, ledger, told.append)
        assert [reply.text for reply in chat(ASKED)] == [GOOD] * 8
        if again is chat_with:
            chat.close()
        note = f"batch {id} or its answers are gone from the server (404); its 8 requests may be billed twice"
        assert note in [progress.note for progress in told]
        told.clear()
        again(server, ledger, told.append)([*ASKED, ASKED[0]])
        assert not told


def test_a_batch_lost_while_a_run_waits_is_not_sent_again_by_it(ledger):
    with Server() as server:
        honest = server.look_at
        server.look_at = lambda id: honest(id) and server.batches.pop(id)
        with pytest.raises(ChatError, match=r"any of 8 requests \(the batch is gone from the server\)"):
            batch(server, ledger)(ASKED)
        server.look_at = honest
        assert [reply.text for reply in batch(server, ledger)(ASKED)] == [GOOD] * 8


FILES = {  # what becomes of a file of answers -> how many of eight requests have one
    "no last line end": (lambda content: content.rstrip(b"\n"), 7),
    "blank lines": (lambda content: content.replace(b"\n", b"\n\n  \r\n"), 7),
    "half a line more": (lambda content: content + b'{"custom_id": "', 7),
    "other lines": (lambda content: content + b'[1]\nnull\n{"custom_id": "x", "response": {"status_code": 400}}\n', 7),
    "half a line": (lambda content: content[40:], 6),
    "a body of another kind": (lambda content: content.replace(b'"choices": [{', b'"choices": ["x", {', 1), 6),
    "no status": (lambda content: content.replace(b'"status_code": 200', b'"status": 200', 1), 6),
}


@pytest.mark.parametrize("what", FILES)
def test_files_of_answers_are_read_as_far_as_they_can_be(what, ledger):
    spoil, good = FILES[what]
    with Server(faults=script("500")) as server:
        honest = server.upload
        server.upload = lambda content: honest(content if b'"method"' in content else spoil(content))
        replies = batch(server, ledger)(ASKED)
    failed = [reply.text for reply in replies if reply.finish == "failed"]
    assert len(replies) - len(failed) == good
    assert ("its line among the batch's answers cannot be read" in failed) == (good == 6)


# Limits


def test_what_an_earlier_run_sent_is_not_charged_to_the_limits_of_this_one(ledger, monkeypatch):
    another, price = request("another"), Price(1000, 1000)
    most = price.of(*bound(another)) * 0.5
    with Server() as server:
        begin(server, ledger, monkeypatch)
        limits = Limits(calls=1, cost=1.2 * most, price=price)
        assert len(batch(server, ledger, limits=limits)([*ASKED, another])) == 9
        assert 0.5 * price.of(server.tokens["input"], server.tokens["output"]) > limits.cost
        assert list(server.paid.values()) == [1] * 9


def test_a_limit_of_dollars_cannot_be_held_where_answers_have_no_limit(ledger):
    limits = Limits(cost=100.0, price=Price(1, 1))
    with Server(refuses=("max_tokens", "max_completion_tokens")) as server:
        with pytest.raises(ChatError, match="refuses every limit on the tokens"):
            batch(server, ledger, limits=limits)(ASKED)
        assert not server.paid
