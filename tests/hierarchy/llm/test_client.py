"""A chat with a server: whatever it does, the outcome is known, the calls are counted and no answer is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from support import ROOT, TESTS
from support.asking import SCHEMA, chat_with, digest, request
from support.openai_server import Server, always, at_first, script

from hierarchy.errors import BudgetReached, ChatError, OutputError
from hierarchy.llm import Limits, OpenAIChat, ReplyCache, digest_server, make_client

GOOD = '{"classes":[{"id":1,"group":"something"},{"id":2,"group":"something"}]}'
CUT = GOOD[: len(GOOD) // 2]
ONCE = {  # a fault at the first call of a request -> finish, text, HTTP calls, completions paid for
    "429": ("stop", GOOD, 2, 1),
    "429 bare": ("stop", GOOD, 2, 1),
    "500": ("stop", GOOD, 2, 1),
    "drop": ("stop", GOOD, 2, 1),
    "drop amid": ("stop", GOOD, 2, 2),  # the server had generated it all, which no client can know
    "not json": ("failed", "the server's answer is not JSON", 1, 0),
    "no choices": ("failed", "the server sent a completion without text", 1, 1),
    "no text": ("failed", "the server sent a completion without text", 1, 1),
    "length": ("length", CUT, 1, 1),
    "prose": (
        "stop",
        f"Sure! Here is the JSON you asked for:\n\n{GOOD}\n\nLet me know if there is anything else.",
        1,
        1,
    ),
    "fence": ("stop", f"```json\n{GOOD}\n```", 1, 1),
    "invented": ("stop", GOOD.replace("]", ',{"id":987654,"group":"something"}]'), 1, 1),
    "missing": ("stop", '{"classes":[{"id":2,"group":"something"}]}', 1, 1),
    "duplicate": ("stop", GOOD.replace("]", ',{"id":1,"group":"something"}]'), 1, 1),
    "lie": ("stop", GOOD.replace(":1,", ":1000001,").replace(":2,", ":1000002,"), 1, 1),
    "refusal": ("refusal", "I cannot help with that.", 1, 1),
    "filter": ("filter", "the server's content filter stopped the answer", 1, 1),
    "filter 400": ("filter", "the server's content filter stopped the request", 1, 0),
    "context": ("length", "the request is longer than the model's context", 1, 0),
    "400": ("failed", "HTTP 400: ", 1, 0),
}
EVERY_TIME = ("429", "429 bare", "500", "drop", "drop amid")  # what is tried again, and fails again


@pytest.fixture
def cache(tmp_path):
    with ReplyCache(tmp_path / "out.replies.sqlite") as cache:
        yield cache


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """All faults of the table asked at once, and then once more: server, cache, first and second replies."""
    requests = {name: request(name) for name in ONCE} | {f"{name}!": request(f"{name}!") for name in EVERY_TIME}
    names = {digest(asked): name for name, asked in requests.items()}

    def faults(asked, before):
        name = names[asked]
        return name.removesuffix("!") if before == 0 or name.endswith("!") else None

    with (
        Server(faults=faults) as server,
        ReplyCache(tmp_path_factory.mktemp("table") / "replies.sqlite") as cache,
    ):
        told = []
        chat = chat_with(server, cache, told.append, max_retries=2)
        first = dict(zip(requests, chat(list(requests.values())), strict=True))
        counts = {name: (server.seen[digest(asked)], server.paid[digest(asked)]) for name, asked in requests.items()}
        calls = server.counts["http"]["/chat/completions"]
        counted = told[-1].calls
        second = dict(zip(requests, chat(list(requests.values())), strict=True))
        again = {name: server.seen[digest(asked)] - counts[name][0] for name, asked in requests.items()}
    return {"first": first, "second": second, "counts": counts, "again": again, "calls": calls, "counted": counted}


@pytest.mark.parametrize("fault", ONCE)
def test_a_fault_at_the_first_call(fault, table):
    finish, text, calls, paid = ONCE[fault]
    reply = table["first"][fault]
    assert (reply.finish, table["counts"][fault]) == (finish, (calls, paid))
    assert reply.text.replace(", ", ",").replace(": ", ":").startswith(text.replace(", ", ",").replace(": ", ":"))


@pytest.mark.parametrize("fault", ONCE)
def test_answered_requests_are_cached_and_failed_ones_are_sent_again(fault, table):
    failed = table["first"][fault].finish == "failed"
    assert table["again"][fault] == (1 if failed else 0)
    assert table["second"][fault] == table["first"][fault] or failed
    assert table["second"][fault].finish != "failed"


@pytest.mark.parametrize("fault", EVERY_TIME)
def test_a_fault_at_every_call_ends_after_the_retries(fault, table):
    assert table["first"][f"{fault}!"].finish == "failed"
    assert table["counts"][f"{fault}!"] == (3, 3 if fault == "drop amid" else 0)


def test_progress_counts_the_calls_that_the_server_got(table):
    assert table["counted"] == table["calls"]


def test_a_call_that_hangs_is_abandoned_and_repeated(cache):
    with Server(faults=at_first("hang")) as server:
        assert chat_with(server, cache, timeout=0.5)([request()])[0].text == GOOD
        assert server.fault_counts == {"hang": 1}


def test_replies_come_in_the_order_of_requests_and_equal_ones_are_asked_once(server, cache):
    asked = [request(str(number)) for number in (3, 1, 2, 1, 3)]
    server.brain = lambda messages, schema: json.dumps(messages[-1]["content"].split()[1])
    assert [reply.text for reply in chat_with(server, cache)(asked)] == ['"3."', '"1."', '"2."', '"1."', '"3."']
    assert sorted(server.paid.values()) == [1, 1, 1]


def test_no_more_calls_are_in_flight_than_allowed(cache):
    mutex, now, most = threading.Lock(), 0, 0

    def brain(messages, schema):
        nonlocal now, most
        with mutex:
            now, most = now + 1, max(most, now + 1)
        threading.Event().wait(0.03)
        with mutex:
            now -= 1
        return GOOD

    with Server(brain) as server:
        chat_with(server, cache, concurrency=3)([request(str(number)) for number in range(12)])
    assert most == 3


def test_a_second_run_asks_nothing_and_needs_no_key(server, cache, monkeypatch):
    asked = [request(str(number)) for number in range(5)]
    first = chat_with(server, cache)(asked)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert OpenAIChat(cache)(asked) == first


def test_ask_again_asks_once_a_run_and_replaces_the_reply(server, cache):
    server.brain = lambda messages, schema: "old"
    chat_with(server, cache)([request("a"), request("b")])
    server.brain = lambda messages, schema: "new"
    chat = chat_with(server, cache, ask_again=True)
    assert [chat([request("a")])[0].text for _ in range(2)] == ["new", "new"]
    assert [server.paid[digest(request(name))] for name in "ab"] == [2, 1]
    texts = [reply.text for reply in chat_with(server, cache)([request("a"), request("b")])]
    assert texts == ["new", "old"]


def test_a_reply_is_in_the_cache_before_it_is_read(server, cache):
    def stop(progress):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        chat_with(server, cache, stop)([request()])
    assert cache.count() == 1


def test_settings_are_sent_as_they_are_and_the_schema_is_strict(server, cache):
    chat_with(server, cache)([request(settings={"temperature": 0.5, "seed": 3, "max_tokens": 77})])
    (body,) = server.bodies
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 3, 77)
    described = {"name": "groups", "strict": True, "schema": SCHEMA}
    assert body["response_format"] == {"type": "json_schema", "json_schema": described}


# Stopping

RUN = """
import sys
from support.asking import request
from hierarchy.llm import ChatOptions, OpenAIChat, ReplyCache
chat = OpenAIChat(
    ReplyCache(sys.argv[1]),
    ChatOptions(base_url=sys.argv[2], concurrency=4),
    progress=lambda told: print(told.done, told.note, flush=True),
)
chat([request(str(number)) for number in range(12)])
"""


def start(cache, server):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(cache.path), server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(ROOT)])},
    )


def wait_for_calls(server, number):
    deadline = time.monotonic() + 60
    while len(server.bodies) < number and time.monotonic() < deadline:
        time.sleep(0.01)


def test_ctrl_c_sends_no_further_request_and_keeps_those_in_flight(cache):
    with Server(latency=0.5) as server:
        run = start(cache, server)
        wait_for_calls(server, 4)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate()
        assert "KeyboardInterrupt" in err and "waiting for calls in flight, Ctrl-C again abandons them" in out
        assert len(server.bodies) == cache.count() == 4


def test_a_second_ctrl_c_abandons_the_calls_in_flight(cache):
    with Server(latency=30) as server:
        run = start(cache, server)
        wait_for_calls(server, 4)
        run.send_signal(signal.SIGINT)
        run.stdout.readline()
        run.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in run.communicate(timeout=20)[1]
        server.latency = 0
        assert cache.count() == 0


def test_a_killed_run_costs_at_most_the_calls_in_flight_again(cache):
    with Server(latency=0.2) as server:
        run = start(cache, server)
        for _ in range(5):
            run.stdout.readline()
        run.kill()
        run.communicate()
        kept = cache.count()
        assert kept >= 5
        server.latency = 0
        assert len(chat_with(server, cache)([request(str(number)) for number in range(12)])) == 12
        assert sum(server.seen.values()) <= 12 + 4
        assert sum(count > 1 for count in server.seen.values()) <= 4


# A server that does not accept all we send

REFUSALS = {  # what a server refuses -> what it is sent in the end
    ("json_schema",): {"response_format": {"type": "json_object"}, "max_tokens": 200, "temperature": 0},
    ("json_schema", "json_object"): {"max_tokens": 200, "temperature": 0},
    ("temperature",): {"response_format": "json_schema", "max_tokens": 200},
    ("max_tokens",): {"response_format": "json_schema", "max_completion_tokens": 200, "temperature": 0},
    ("max_tokens", "max_completion_tokens"): {"response_format": "json_schema", "temperature": 0},
    ("temperature", "json_schema", "max_tokens", "json_object"): {"max_completion_tokens": 200},
}


@pytest.mark.parametrize("refused", REFUSALS, ids=" ".join)
def test_a_rejected_request_is_adapted_and_remembered(refused, cache):
    asked, told = [request(str(number)) for number in range(3)], []
    with Server(refuses=refused) as server:
        replies = chat_with(server, cache, told.append, concurrency=1)(asked)
        assert [reply.text for reply in replies] == [GOOD] * 3
        assert server.refusals == dict.fromkeys(refused, 1)
        assert told[-1].calls == 3 + len(refused)
        body = server.bodies[-1]
    format = body.get("response_format")
    expected = REFUSALS[refused]
    if expected.get("response_format") == "json_schema":
        assert format["type"] == "json_schema"
    else:
        assert format == expected.get("response_format")
        assert "JSON of this shape" in body["messages"][-1]["content"]  # a prompt shows it; nothing is added
    limits = {"temperature", "max_tokens", "max_completion_tokens"}
    assert {name: body[name] for name in limits if name in body} == {
        name: value for name, value in expected.items() if name != "response_format"
    }


def test_how_a_question_had_to_be_put_does_not_change_its_key(cache):
    with Server(refuses=["json_schema", "temperature"]) as server:
        first = chat_with(server, cache)([request()])
    assert cache.find([request().key]) == {request().key: first[0]}


def test_another_400_changes_nothing(cache):
    with Server(faults=script("400")) as server:
        replies = chat_with(server, cache, concurrency=1)([request("a"), request("b")])
        assert [reply.finish for reply in replies] == ["failed", "stop"]
        assert server.bodies[-1]["response_format"]["type"] == "json_schema"


# A server that cannot be used

FATAL = {"401": 1, "403": 1, "404": 1, "quota": 2}  # fault -> HTTP calls of a request, with max_retries=1


@pytest.mark.parametrize("fault", FATAL)
def test_a_server_that_cannot_be_used_is_asked_no_more(fault, cache):
    asked = [request(str(number)) for number in range(30)]
    with Server(faults=always(fault)) as server:
        with pytest.raises(ChatError):
            chat_with(server, cache, concurrency=2, max_retries=1)(asked)
        assert sum(server.seen.values()) <= 2 * FATAL[fault]
        assert not server.paid


def test_one_failed_request_ends_no_run_and_all_failed_do(cache):
    asked = [request(str(number)) for number in range(3)]
    bad = {digest(asked[0])}
    with Server(faults=lambda about, before: "500" if about in bad else None) as server:
        chat = chat_with(server, cache, max_retries=0)
        assert [reply.finish for reply in chat(asked)] == ["failed", "stop", "stop"]
        with pytest.raises(ChatError, match="the only request failed"):
            chat(asked)


@pytest.mark.parametrize("fault", ["400", "no text"])
def test_one_request_without_an_answer_ends_no_run(cache, fault):
    with Server(faults=always(fault)) as server:
        assert [reply.finish for reply in chat_with(server, cache, max_retries=0)([request("odd")])] == ["failed"]
    assert cache.count() == 0


def test_a_cache_that_cannot_be_written_stops_the_run(server, cache):
    """As on a full disk: what is asked then would be paid for and lost."""
    chat = chat_with(server, cache, lambda progress: cache.close(), concurrency=1)
    with pytest.raises(OutputError, match="cannot use"):
        chat([request(str(number)) for number in range(20)])
    assert len(server.bodies) <= 3


def test_neither_the_key_nor_the_address_is_written_anywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-9876")
    (tmp_path / "run").mkdir()
    faults = script("400", "401", None)
    with (
        Server(faults=faults, refuses=["temperature"]) as server,
        ReplyCache(tmp_path / "run" / "replies.sqlite") as cache,
    ):
        chat = chat_with(server, cache, concurrency=1)
        with pytest.raises(ChatError) as caught:
            chat([request("a"), request("b")])
        assert chat([request("c")])[0].finish == "stop"
        host = server.url.split("/")[2].encode()
    for path in (tmp_path / "run").iterdir():
        content = path.read_bytes()
        assert b"sk-very" not in content and host not in content, path.name
    assert "sk-very" not in str(caught.value)


# Limits and progress


def test_max_calls_stops_before_the_call_too_many_and_the_next_run_continues(server, cache):
    asked = [request(str(number)) for number in range(10)]
    for left in (6, 2):
        with pytest.raises(BudgetReached):
            chat_with(server, cache, limits=Limits(calls=4))(asked)
        assert cache.count() == 10 - left == sum(server.paid.values())
    assert [reply.text for reply in chat_with(server, cache, limits=Limits(calls=4))(asked)] == [GOOD] * 10
    assert set(server.paid.values()) == {1}


def test_a_limit_holds_for_all_calls_of_a_chat(server, cache):
    chat = chat_with(server, cache, limits=Limits(calls=4))
    chat([request("a"), request("b"), request("c")])
    with pytest.raises(BudgetReached):
        chat([request("d"), request("e")])
    assert sum(server.paid.values()) == 4


def test_progress_is_reported_after_each_reply(server, cache):
    told = []
    chat_with(server, cache)([request("a")])
    chat_with(server, cache, told.append)([request(name) for name in "abcd"])
    assert [(progress.done, progress.total, progress.calls) for progress in told] == [(2, 4, 1), (3, 4, 2), (4, 4, 3)]
    assert (told[-1].seconds_left, told[-1].cost) == (0, None)
    assert told[-1].output_tokens == server.tokens["output"] * 3 // 4


def test_the_server_comes_from_the_option_or_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://from-the-environment/v1")
    assert digest_server(None) == digest_server("http://from-the-environment/v1/")
    assert str(make_client("http://given/v1").base_url) == "http://given/v1/"
    assert str(make_client(None).base_url) == "http://from-the-environment/v1/"
