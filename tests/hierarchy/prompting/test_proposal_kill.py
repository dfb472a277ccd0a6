"""A run over 1,000 classes that is killed again and again ends like one left alone, and pays for nothing twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from support import TESTS
from support.brain import Brain
from support.openai_server import Server

import hierarchy
from hierarchy.sources import read_classes

RUN = TESTS / "support" / "proposal_run.py"
KILLS = 20


@pytest.mark.slow
def test_a_thousand_classes_survive_twenty_kills_and_no_request_is_paid_twice(tmp_path):
    tree, classes = hierarchy.load("imagenet1k"), read_classes("imagenet-1k")
    (tmp_path / "classes.json").write_text(json.dumps([classes.ids, classes.names, classes.definitions]))

    def start(server, name):
        words = [tmp_path / "classes.json", tmp_path / f"{name}.sqlite", server.url, tmp_path / f"{name}.json"]
        return subprocess.Popen([sys.executable, RUN, *map(str, words)], stderr=subprocess.PIPE, text=True)

    with Server(Brain(tree)) as server:
        alone = start(server, "alone")
        assert alone.wait(timeout=120) == 0, alone.stderr.read()
        undisturbed = server.counts

    rng, kills, amid = random.Random(4), 0, 0
    with Server(Brain(tree), latency=0.25) as server:  # some 120 requests, two at a time
        while kills < KILLS:
            run = start(server, "killed")
            before = server.seen.total()
            while run.poll() is None and server.seen.total() == before:
                time.sleep(0.005)  # it is starting, or waits for calls of the last run
            time.sleep(rng.uniform(0, 0.5))
            assert run.poll() is None, "the work was done before it could be disturbed so often"
            run.send_signal(signal.SIGKILL)
            run.communicate()
            kills += 1
            amid += server.seen.total() > server.paid.total()
        last = start(server, "killed")
        assert last.wait(timeout=120) == 0, last.stderr.read()
        disturbed = server.counts

    assert (tmp_path / "killed.json").read_bytes() == (tmp_path / "alone.json").read_bytes()
    assert disturbed["paid"] == undisturbed["paid"] and set(disturbed["paid"].values()) == {1}
    assert amid >= KILLS / 2, "too few kills hit a run with calls in flight"
    assert len(json.loads(json.loads((tmp_path / "killed.json").read_text())[0])["classes"]) == 1000
