"""A run may be killed at any instant: what was asked is answered, stored and found again, and nothing is paid twice."""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from support import TESTS
from support.asking import chat_with, request
from support.openai_server import Server

from hierarchy.errors import ChatError
from hierarchy.llm.cache import Ledger

HERE = TESTS
RUN = """
import json, sys
from pathlib import Path
from support.asking import QUICK, request
from hierarchy.llm.cache import Ledger
from hierarchy.llm.client import ChatOptions, openai_chat

folder, url, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
options = ChatOptions(base_url=url, ...)
asked = [request(str(number)) for number in range(count)]
tell = lambda told: print(told.done, told.note, flush=True)
with openai_chat(Ledger(folder / "replies.sqlite"), options=options, tell=tell) as chat:
    replies = [reply.to_dict() for part in range(0, count, 20) for reply in chat(asked[part : part + 20])]
(folder / "out.json").write_text(json.dumps(replies))
"""
REQUESTS = 300  # some 5 seconds of work, more than all kills of a seed leave time for


@pytest.fixture(scope="module")
def server():
    """The server as another process, which a killed run cannot disturb: its address."""
    process = subprocess.Popen(
        [sys.executable, HERE / "openai_server.py", "--latency", "0.05"], stdout=subprocess.PIPE, text=True
    )
    yield process.stdout.readline().strip()
    process.terminate()
    process.communicate()


def start(folder, url, count=REQUESTS, options="concurrency=3, **QUICK"):
    return subprocess.Popen(
        [sys.executable, "-c", RUN.replace("...", options), str(folder), url, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])},
        start_new_session=True,
    )


def paid(url):
    with urllib.request.urlopen(url.replace("/v1", "/_counts")) as answer:
        return json.load(answer)["paid"]


def wait_for_the_keeper(folder):
    """Until nobody holds the lock any more."""
    with (folder / "replies.sqlite.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def kill(process, rng):
    """Kills a run after a random time, or a random number of replies: alone, with its group, or by Ctrl-C."""
    if rng.random() < 0.3:
        time.sleep(rng.uniform(0, 1.5))
    else:
        for _ in range(rng.randrange(4)):
            process.stdout.readline()
        time.sleep(rng.uniform(0, 0.06))
    way = rng.choice([os.kill, os.kill, os.killpg])
    way(
        process.pid, rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]) if way is os.killpg else signal.SIGKILL
    )
    process.communicate()


@pytest.mark.slow  # each of the 22 runs starts a keeper, which takes a second
@pytest.mark.parametrize("seed", [0, 1])
def test_a_run_killed_at_ten_random_moments_ends_as_one_undisturbed_and_pays_once(seed, server, tmp_path):
    """20 moments in all; a seed has requests of its own, by its number of them."""
    rng = random.Random(seed)
    before, count = paid(server), REQUESTS - seed
    for moment in range(10):
        kill(start(tmp_path, server, count), rng)
        assert not (tmp_path / "out.json").exists(), f"done before kill {moment}; ask for more"
    _, err = (last := start(tmp_path, server, count)).communicate()
    assert last.returncode == 0, err
    with Server() as quiet:
        (tmp_path / "quiet").mkdir()
        _, err = (undisturbed := start(tmp_path / "quiet", quiet.url, count)).communicate()
        assert undisturbed.returncode == 0, err
        alone = dict(quiet.paid)
    assert (tmp_path / "out.json").read_text() == (tmp_path / "quiet" / "out.json").read_text()
    new = {key: times - before.get(key, 0) for key, times in paid(server).items()}
    assert {key: new.get(key) for key in alone} == dict.fromkeys(alone, 1)
    assert len(alone) == count
    ledger = Ledger(tmp_path / "replies.sqlite")
    assert (len(ledger.keys()), ledger.in_flight(), ledger.calls()) == (count, 0, count)
    ledger.close()


def test_a_resumed_run_waits_for_the_calls_in_flight_and_says_so(tmp_path):
    with Server(latency=1.0) as slow:
        first = start(tmp_path, slow.url, 4, "concurrency=4, **QUICK")
        deadline = time.monotonic() + 30
        while len(slow.bodies) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        first.kill()
        first.communicate()
        told = []
        ledger = Ledger(tmp_path / "replies.sqlite")
        with chat_with(slow, ledger, told.append) as chat:
            replies = chat([request(str(number)) for number in range(5)])
        assert [reply.finish for reply in replies] == ["stop"] * 5
        assert sorted(slow.paid.values()) == [1] * 5
    assert told[0].note == "waiting for 4 calls in flight of another run with this ledger"
    ledger.close()


def test_the_keeper_starts_nothing_new_when_the_run_is_gone(tmp_path):
    with Server(latency=0.3) as slow:
        first = start(tmp_path, slow.url, 20)
        first.stdout.readline()
        first.kill()
        first.communicate()
        wait_for_the_keeper(tmp_path)
        ledger = Ledger(tmp_path / "replies.sqlite")
        assert len(ledger.keys()) == sum(slow.paid.values()) == len(slow.bodies) <= 6
        assert ledger.in_flight() == 0
        time.sleep(0.4)
        assert len(slow.bodies) <= 6
    ledger.close()


def test_the_keeper_makes_no_retry_when_the_run_is_gone(tmp_path):
    with Server(faults=lambda digest, before: "500") as server:
        ledger = Ledger(tmp_path / "replies.sqlite")
        first = start(tmp_path, server.url, 1, "max_retries=50, backoff=0.4")  # 0.2 s, 0.4 s, ... 3.2 s
        deadline = time.monotonic() + 30
        while not server.bodies and time.monotonic() < deadline:
            time.sleep(0.01)
        first.kill()
        first.communicate()
        wait_for_the_keeper(tmp_path)
        assert len(server.bodies) < 6
        assert (ledger.keys(), ledger.in_flight()) == ([], 0)
    ledger.close()


def test_if_the_keeper_dies_too_the_calls_that_may_be_billed_twice_are_told_of_once(tmp_path):
    """As in a power cut: nobody is left to store what the server is about to answer."""
    asked = [request(str(number)) for number in range(6)]
    ledger = Ledger(tmp_path / "replies.sqlite")
    slow = request("1").messages[-1][1]
    with Server(lambda messages, schema: "{}" if messages[-1]["content"] != slow else time.sleep(1) or "{}") as server:
        chat = chat_with(server, ledger, concurrency=2)

        def die(progress):
            if progress.done == 3:
                os.kill(chat._keeper._process.pid, signal.SIGKILL)

        chat._tell = die
        with pytest.raises(ChatError, match="ended with code -9"):
            chat(asked)
        assert ledger.in_flight() == 1
        told = []
        for _ in range(2):
            with chat_with(server, ledger, told.append) as chat:
                assert {reply.text for reply in chat(asked)} == {"{}"}
            asked.append(request("another"))
    notes = [progress.note for progress in told if progress.note]
    assert notes == ["1 call of a run that died cannot be found again and may be billed twice"]
    ledger.close()


def test_two_runs_at_once_pay_once(tmp_path):
    with Server(latency=0.02) as server:
        runs = [start(tmp_path, server.url, 20) for _ in range(2)]
        for run in runs:
            _, err = run.communicate()
            assert run.returncode == 0, err
        assert list(server.paid.values()) == [1] * 20
