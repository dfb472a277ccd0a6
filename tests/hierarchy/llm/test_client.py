"""A chat with a server: whatever it does, the outcome is known, the calls are counted and no answer is lost."""

import json
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from support.asking import SCHEMA, chat_with, digest, request
from support.openai_server import Server, always, at_first, script

from hierarchy.errors import BudgetReached, ChatError
from hierarchy.llm.cache import Ledger, recorded
from hierarchy.llm.client import ChatOptions, Limits, openai_chat

GOOD = '{"classes":[{"id":1,"group":"something"},{"id":2,"group":"something"}]}'
CUT = GOOD[: len(GOOD) // 2]
ONCE = {  # a fault at the first call of a request -> finish, text, HTTP calls, completions paid for
    "429": ("stop", GOOD, 2, 1),
    "429 bare": ("stop", GOOD, 2, 1),
    "500": ("stop", GOOD, 2, 1),
    "drop": ("stop", GOOD, 2, 1),
    "drop amid": ("stop", GOOD, 2, 2),  # the server had generated it all; nobody can know
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
    "400": ("failed", "the server answered 400: ", 1, 0),
}
EVERY_TIME = ("429", "429 bare", "500", "drop", "drop amid")  # what is tried again, and fails again


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "out.replies.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """All faults of the table asked at once, and then once more: server, ledger, first and second replies."""
    requests = {name: request(name) for name in ONCE} | {f"{name}!": request(f"{name}!") for name in EVERY_TIME}
    names = {digest(asked): name for name, asked in requests.items()}

    def faults(asked, before):
        name = names[asked]
        return name.removesuffix("!") if before == 0 or name.endswith("!") else None

    ledger = Ledger(tmp_path_factory.mktemp("table") / "replies.sqlite")
    with Server(faults=faults) as server, chat_with(server, ledger, max_retries=2) as chat:
        first = dict(zip(requests, chat(list(requests.values())), strict=True))
        counts = {name: (server.seen[digest(asked)], server.paid[digest(asked)]) for name, asked in requests.items()}
        calls = server.counts["http"]["/chat/completions"]
        spent = ledger.calls()
        second = dict(zip(requests, chat(list(requests.values())), strict=True))
        again = {name: server.seen[digest(asked)] - counts[name][0] for name, asked in requests.items()}
    yield {"first": first, "second": second, "counts": counts, "again": again, "calls": calls, "spent": spent}
    ledger.close()


@pytest.mark.parametrize("fault", ONCE)
def test_a_fault_at_the_first_call(fault, table):
    finish, text, calls, paid = ONCE[fault]
    reply = table["first"][fault]
    assert (reply.finish, table["counts"][fault]) == (finish, (calls, paid))
    assert reply.text.replace(", ", ",").replace(": ", ":").startswith(text.replace(", ", ",").replace(": ", ":"))


@pytest.mark.parametrize("fault", ONCE)
def test_what_was_answered_is_not_asked_again_and_what_failed_is(fault, table):
    failed = table["first"][fault].finish == "failed"
    assert table["again"][fault] == (1 if failed else 0)
    assert table["second"][fault] == table["first"][fault] or failed
    assert table["second"][fault].finish != "failed"


@pytest.mark.parametrize("fault", EVERY_TIME)
def test_a_fault_at_every_call_ends_after_the_retries(fault, table):
    assert table["first"][f"{fault}!"].finish == "failed"
    assert table["counts"][f"{fault}!"] == (3, 3 if fault == "drop amid" else 0)


def test_the_ledger_knows_how_many_calls_the_server_got(table):
    assert table["spent"] == table["calls"]


def test_a_call_that_hangs_is_given_up_and_made_again(ledger):
    with Server(faults=at_first("hang")) as server, chat_with(server, ledger, timeout=2.0) as chat:
        assert chat([request()])[0].text == GOOD
        assert server.fault_counts == {"hang": 1}
        assert ledger.calls() >= 2


def test_replies_come_in_the_order_of_requests_and_equal_ones_are_asked_once(server, ledger):
    asked = [request(str(number)) for number in (3, 1, 2, 1, 3)]
    server.brain = lambda messages, schema: json.dumps(messages[-1]["content"].split()[1])
    with chat_with(server, ledger) as chat:
        assert [reply.text for reply in chat(asked)] == ['"3."', '"1."', '"2."', '"1."', '"3."']
    assert sorted(server.paid.values()) == [1, 1, 1]


def test_no_more_calls_are_in_flight_than_allowed(ledger):
    mutex, now, most = threading.Lock(), 0, 0

    def brain(messages, schema):
        nonlocal now, most
        with mutex:
            now, most = now + 1, max(most, now + 1)
        threading.Event().wait(0.03)
        with mutex:
            now -= 1
        return GOOD

    with Server(brain) as server, chat_with(server, ledger, concurrency=3) as chat:
        chat([request(str(number)) for number in range(12)])
    assert most == 3


def test_a_second_run_asks_nothing_and_needs_no_key(server, ledger, monkeypatch):
    asked = [request(str(number)) for number in range(5)]
    with chat_with(server, ledger) as chat:
        first = chat(asked)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with openai_chat(ledger) as chat:
        assert chat(asked) == first
    assert recorded(ledger)(asked) == first


def test_settings_are_sent_as_they_are_and_the_schema_is_strict(server, ledger):
    with chat_with(server, ledger) as chat:
        chat([request(settings={"temperature": 0.5, "seed": 3, "max_tokens": 77})])
    (body,) = server.bodies
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 3, 77)
    described = {"name": "groups", "strict": True, "schema": SCHEMA}
    assert body["response_format"] == {"type": "json_schema", "json_schema": described}


# A server that does not take all we send

REFUSALS = {  # what a server refuses -> what it is sent in the end
    ("json_schema",): {"response_format": {"type": "json_object"}, "max_tokens": 200, "temperature": 0},
    ("json_schema", "json_object"): {"max_tokens": 200, "temperature": 0},
    ("temperature",): {"response_format": "json_schema", "max_tokens": 200},
    ("max_tokens",): {"response_format": "json_schema", "max_completion_tokens": 200, "temperature": 0},
    ("max_tokens", "max_completion_tokens"): {"response_format": "json_schema", "temperature": 0},
    ("temperature", "json_schema", "max_tokens", "json_object"): {"max_completion_tokens": 200},
}


@pytest.mark.parametrize("refused", REFUSALS, ids=" ".join)
def test_what_a_server_refuses_is_asked_otherwise_and_remembered(refused, ledger):
    asked = [request(str(number)) for number in range(3)]
    with Server(refuses=refused) as server:
        with chat_with(server, ledger, concurrency=1) as chat:
            assert [reply.text for reply in chat(asked)] == [GOOD] * 3
        assert server.refusals == dict.fromkeys(refused, 1)
        assert ledger.calls() == 3 + len(refused)
        body = server.bodies[-1]
    format = body.get("response_format")
    expected = REFUSALS[refused]
    if expected.get("response_format") == "json_schema":
        assert format["type"] == "json_schema"
    else:
        assert format == expected.get("response_format")
        assert body["messages"][-1]["content"].endswith(json.dumps(SCHEMA, separators=(",", ":")))
        assert "JSON" in body["messages"][-1]["content"]
    limits = {"temperature", "max_tokens", "max_completion_tokens"}
    assert {name: body[name] for name in limits if name in body} == {
        name: value for name, value in expected.items() if name != "response_format"
    }


def test_the_next_run_remembers_what_is_refused_by_this_server_and_no_other(ledger):
    with Server(refuses=["json_schema"]) as server:
        for name in "ab":
            with chat_with(server, ledger) as chat:
                chat([request(name)])
        assert server.refusals == {"json_schema": 1}
    with Server() as server, chat_with(server, ledger) as chat:
        chat([request("c")])
        assert server.bodies[-1]["response_format"]["type"] == "json_schema"


def test_how_a_question_had_to_be_put_does_not_change_its_key(ledger):
    with Server(refuses=["json_schema", "temperature"]) as server, chat_with(server, ledger) as chat:
        first = chat([request()])
    assert ledger.get(request().key) == first[0]


def test_another_400_teaches_nothing(ledger):
    with Server(faults=script("400")) as server, chat_with(server, ledger, concurrency=1) as chat:
        assert [reply.finish for reply in chat([request("a"), request("b")])] == ["failed", "stop"]
        assert server.bodies[-1]["response_format"]["type"] == "json_schema"


# A server that cannot be used

HOPELESS = {"401": 1, "403": 1, "404": 1, "quota": 2}  # fault -> HTTP calls of a request, with max_retries=1


@pytest.mark.parametrize("fault", HOPELESS)
def test_a_server_that_cannot_be_used_is_asked_no_more(fault, ledger):
    asked = [request(str(number)) for number in range(30)]
    with Server(faults=always(fault)) as server, chat_with(server, ledger, concurrency=2, max_retries=1) as chat:
        with pytest.raises(ChatError):
            chat(asked)
        assert sum(server.seen.values()) <= 2 * HOPELESS[fault]
        assert not server.paid


def test_nobody_there(ledger):
    with Server() as server:
        pass
    with (
        chat_with(server, ledger, max_retries=1) as chat,
        pytest.raises(ChatError, match=r"nobody answers at http://127"),
    ):
        chat([request(str(number)) for number in range(30)])


def test_all_failed_is_an_error_and_one_failed_is_not(ledger):
    asked = [request(str(number)) for number in range(3)]
    bad = {digest(asked[0])}
    server = Server(faults=lambda about, before: "500" if about in bad else None)
    with server, chat_with(server, ledger, max_retries=0) as chat:
        assert [reply.finish for reply in chat(asked)] == ["failed", "stop", "stop"]
        with pytest.raises(ChatError, match="did not answer the only request"):
            chat(asked)


@pytest.mark.parametrize("fault", ["400", "no text"])
def test_one_request_that_a_server_has_no_answer_to_ends_no_run(ledger, fault):
    with Server(faults=always(fault)) as server, chat_with(server, ledger, max_retries=0) as chat:
        assert [reply.finish for reply in chat([request("odd")])] == ["failed"]
    assert not ledger.keys()


def test_no_key_and_no_server_of_ones_own(ledger, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with openai_chat(ledger) as chat, pytest.raises(ChatError, match="no API key"):
        chat([request()])


def test_neither_the_key_nor_the_address_is_written_anywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-9876")
    folder = tmp_path / "run"
    folder.mkdir()
    ledger = Ledger(folder / "replies.sqlite")
    faults = script("400", "401", None)
    with Server(faults=faults, refuses=["temperature"]) as server:
        with chat_with(server, ledger, concurrency=1) as chat:
            with pytest.raises(ChatError) as caught:
                chat([request("a"), request("b")])
            assert chat([request("c")])[0].finish == "stop"
        host = server.url.split("/")[2].encode()
    for path in folder.iterdir():
        content = path.read_bytes()
        assert b"sk-very" not in content and host not in content, path.name
    assert "sk-very" not in str(caught.value)
    ledger.close()


# Limits


def test_max_calls_stops_before_the_call_too_many_and_the_next_run_goes_on(server, ledger):
    asked = [request(str(number)) for number in range(10)]
    for left in (6, 2):
        with chat_with(server, ledger, limits=Limits(calls=4)) as chat, pytest.raises(BudgetReached):
            chat(asked)
        assert len(ledger.keys()) == 10 - left == sum(server.paid.values())
    with chat_with(server, ledger, limits=Limits(calls=4)) as chat:
        assert [reply.text for reply in chat(asked)] == [GOOD] * 10
    assert set(server.paid.values()) == {1}


def test_a_limit_holds_for_all_calls_of_a_chat(server, ledger):
    with chat_with(server, ledger, limits=Limits(calls=4)) as chat:
        chat([request("a"), request("b"), request("c")])
        with pytest.raises(BudgetReached):
            chat([request("d"), request("e")])
    assert sum(server.paid.values()) == 4


def test_progress_is_told_after_each_reply(server, ledger):
    told = []
    with chat_with(server, ledger) as chat:
        chat([request("a")])
    with chat_with(server, ledger, told.append) as chat:
        chat([request(name) for name in "abcd"])
    assert [(progress.done, progress.total, progress.calls) for progress in told] == [(2, 4, 1), (3, 4, 2), (4, 4, 3)]
    assert told[-1].seconds_left == 0
    assert told[-1].cost is None
    assert told[-1].output_tokens == server.tokens["output"] * 3 // 4


def test_the_openai_key_is_not_on_the_command_line(server, ledger, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-9876")
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    seen = []

    def look(progress):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                seen.append(path.read_bytes())

    with chat_with(server, ledger, look) as chat:
        chat([request()])
    assert any(b"hierarchy.llm.keeper" in line for line in seen)
    assert not any(b"sk-very" in line for line in seen)


def test_options_have_no_default_server_of_their_own(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://from-the-environment/v1")
    assert ChatOptions().server == "http://from-the-environment/v1"
    assert ChatOptions(base_url="http://given/v1").server == "http://given/v1"
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert ChatOptions().server is None
