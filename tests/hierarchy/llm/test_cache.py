"""The reply cache keeps every reply: across kills, threads and processes; it leaves files of others alone."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT, TESTS
from support.asking import request

from hierarchy.errors import FormatError, OutputError
from hierarchy.llm import Reply, ReplyCache, Request, Total

PETS = request()
REPLY = Reply('{"größe":"☃"}', "stop", 12, 3, "gpt-test-1")


@pytest.fixture
def cache(tmp_path):
    with ReplyCache(tmp_path / "out.replies.sqlite") as cache:
        yield cache


def stored(cache, asked=PETS):
    return cache.find([asked.key]).get(asked.key)


def test_a_stored_reply_is_found_by_another_process_too(cache):
    assert stored(cache) is None
    cache.put(request(), REPLY)
    assert stored(cache) == REPLY == stored(ReplyCache(cache.path))


def test_a_newer_reply_replaces_an_older_one(cache):
    cache.put(request(), REPLY)
    cache.put(request(), Reply("another"))
    assert stored(cache) == Reply("another") and cache.count() == 1


def test_a_failure_is_not_stored(cache):
    with pytest.raises(AssertionError):
        cache.put(request(), Reply("no", "failed"))
    assert cache.count() == 0


@settings(max_examples=20, deadline=None)
@given(
    texts=st.lists(st.text(max_size=40), min_size=1, max_size=4),
    values=st.dictionaries(st.sampled_from(["temperature", "seed", "max_tokens", "note"]), st.integers() | st.text()),
    text=st.text(max_size=200),
)
def test_requests_and_replies_come_back_as_they_were(texts, values, text, tmp_path_factory):
    messages = tuple(("user", words) for words in texts)
    asked = Request(
        "merge", messages, {"title": "x", "type": "object"}, "m", values, {"classes": [1], "nodes": {"1": ""}}
    )
    reply = Reply(text, "length", 2**40, 1, "☃")
    with ReplyCache(tmp_path_factory.mktemp("law") / "x.sqlite") as cache:
        cache.put(asked, reply)
        assert cache.history([asked.key]) == [(asked, reply)]


def test_history_is_in_the_order_of_the_keys_and_skips_what_has_no_reply(cache):
    asked = [request(str(number)) for number in range(4)]
    for one in asked[:3]:
        cache.put(one, Reply(one.key))
    found = cache.history([asked[2].key, "unknown", asked[3].key, asked[0].key])
    assert [(one.key, reply.text) for one, reply in found] == [(asked[2].key,) * 2, (asked[0].key,) * 2]


def test_totals_count_replies_and_tokens_by_model(cache):
    cache.put(request("a"), REPLY)
    cache.put(request("b"), REPLY)
    cache.put(request("c", model="other"), REPLY)
    assert cache.totals() == {"gpt-test": Total(2, 24, 6), "other": Total(1, 12, 3)}


def test_threads_and_two_connections_write_at_once(cache):
    other = ReplyCache(cache.path)

    def work(number):
        for count in range(4):
            (cache, other)[count % 2].put(request(f"{number} {count}"), Reply("x"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.count() == 24
    other.close()


KILLED = """
import sys
from support.asking import request
from hierarchy.llm import Reply, ReplyCache
cache = ReplyCache(sys.argv[1])
for number in range(10_000):
    cache.put(request(str(number)), Reply(str(number)))
    print(number, flush=True)
"""


def test_replies_stored_before_a_kill_are_kept(tmp_path):
    path = tmp_path / "x.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(ROOT)])},
    )
    for _ in range(17):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    said = 17 + len(process.communicate()[0].split("\n")) - 1
    with ReplyCache(path) as cache:
        assert said <= cache.count() <= said + 1
        assert all(stored(cache, request(str(number))).text == str(number) for number in range(said))


def test_vectors_are_found_by_key_exactly_as_they_were(cache):
    vectors = {"a": (0.1, -2.5e-300), "b": (1.0, 3.0)}
    cache.put_vectors("m", vectors)
    assert ReplyCache(cache.path).find_vectors(["b", "c", "a"]) == vectors


def test_replies_of_other_servers_are_counted_by_model(cache):
    cache.put(request("a"), REPLY, server="one")
    cache.put(request("b"), REPLY, server="two")
    cache.put_vectors("e", {"k": (0.5,)}, server="two")
    cache.put_vectors("e", {"l": (0.5,)}, server="one")
    counts = {server: cache.count_from_other_servers(server, "gpt-test") for server in ("one", "two", "three")}
    assert counts == {"one": 1, "two": 1, "three": 2}
    assert cache.count_from_other_servers("one", "e") == 1


# Files of others


def write_database(path, *statements):
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def newer(path):
    ReplyCache(path).close()
    write_database(path, "PRAGMA user_version = 9")


BAD = {
    "text": lambda path: path.write_text("tabby\n" * 1000),
    "another program's": lambda path: write_database(path, "CREATE TABLE a (b)"),
    "newer": newer,
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_not_a_cache_is_refused_and_left_unchanged(kind, tmp_path):
    path = tmp_path / "x.sqlite"
    BAD[kind](path)
    before = path.read_bytes()
    with pytest.raises(FormatError):
        ReplyCache(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["x.sqlite"]


def test_an_empty_file_becomes_a_cache(tmp_path):
    (tmp_path / "x.sqlite").touch()
    with ReplyCache(tmp_path / "x.sqlite") as cache:
        cache.put(request(), REPLY)
        assert stored(cache) == REPLY


@pytest.mark.parametrize("name", ["missing/x.sqlite", "."])
def test_a_path_where_no_file_can_be_created_is_an_error(name, tmp_path):
    with pytest.raises((OutputError, FormatError)):
        ReplyCache(tmp_path / name)


@pytest.fixture
def without_rights():
    """Makes permissions apply to this process, even if root runs the tests."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def read_only():
    """A cache with a reply in a folder that only root can write to."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are for their owner alone
    path = folder / "x.sqlite"
    with ReplyCache(path) as cache:
        cache.put(request(), REPLY)
    path.chmod(0o444)
    folder.chmod(0o555)
    yield path
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_cache_can_be_read(read_only, without_rights):
    with ReplyCache(read_only, read_only=True) as cache:
        assert cache.history([request().key]) == [(request(), REPLY)]
        with pytest.raises(OutputError):
            cache.put(request("b"), REPLY)
    assert [path.name for path in read_only.parent.iterdir()] == ["x.sqlite"]


def test_closing_leaves_one_file(tmp_path):
    with ReplyCache(tmp_path / "x.sqlite") as cache:
        cache.put(request(), REPLY)
    assert [found.name for found in tmp_path.iterdir()] == ["x.sqlite"]
