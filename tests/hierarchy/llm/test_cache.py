"""The ledger keeps what was paid for: across kills, threads and processes, and it is careful with files of others."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import TESTS
from support.asking import request

from hierarchy.errors import ChatError, FormatError, OutputError
from hierarchy.llm.cache import Batch, Ledger, Total, recorded
from hierarchy.llm.types import Reply, Request

REPLY = Reply('{"größe":"☃"}', "stop", 12, 3, "gpt-test-1")


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "out.replies.sqlite")
    yield ledger
    ledger.close()


def test_what_was_put_is_got_also_by_another_process(ledger):
    assert ledger.get(request().key) is None
    ledger.put(request(), REPLY)
    assert ledger.get(request().key) == REPLY == Ledger(ledger.path).get(request().key)


def test_the_first_reply_stays(ledger):
    ledger.put(request(), REPLY)
    ledger.put(request(), Reply("another"))
    assert ledger.get(request().key) == REPLY


def test_a_failure_is_not_stored(ledger):
    with pytest.raises(AssertionError):
        ledger.put(request(), Reply("no", "failed"))
    assert ledger.keys() == []


@settings(max_examples=50, deadline=None)
@given(
    texts=st.lists(st.text(max_size=40), min_size=1, max_size=4),
    values=st.dictionaries(st.sampled_from(["temperature", "seed", "max_tokens", "note"]), st.integers() | st.text()),
    text=st.text(max_size=200),
)
def test_requests_and_replies_come_back_as_they_were(texts, values, text, tmp_path_factory):
    asked = Request("merge", tuple(("user", words) for words in texts), {"title": "x", "type": "object"}, "m", values)
    reply = Reply(text, "length", 2**40, 1, "☃")
    ledger = Ledger(tmp_path_factory.mktemp("law") / "x.sqlite")
    ledger.put(asked, reply)
    assert ledger.history([asked.key]) == [(asked, reply)]
    assert ledger.request(asked.key).key == asked.key
    ledger.close()


def test_history_is_in_the_order_of_the_keys_and_leaves_out_what_was_not_answered(ledger):
    asked = [request(str(number)) for number in range(4)]
    for one in asked[:3]:
        ledger.put(one, Reply(one.key))
    ledger.asked(asked[3])
    found = ledger.history([asked[2].key, "nobody", asked[3].key, asked[0].key])
    assert [(one.key, reply.text) for one, reply in found] == [(asked[2].key,) * 2, (asked[0].key,) * 2]
    assert ledger.keys() == [one.key for one in asked[:3]]


def test_totals_count_replies_tokens_and_batches_by_model(ledger):
    ledger.put(request("a"), REPLY)
    ledger.put(request("b"), REPLY, batch="batch_1")
    ledger.put(request("c", model="other"), REPLY, calls=5)
    assert ledger.totals() == {"gpt-test": Total(2, 1, 24, 6), "other": Total(1, 0, 12, 3)}


def test_attempts_are_counted_with_their_calls(ledger):
    first, second = ledger.asked(request("a")), ledger.asked(request("b"))
    assert (ledger.in_flight(), ledger.calls()) == (2, 0)
    ledger.put(request("a"), REPLY, attempt=first, calls=3)
    ledger.failed(second, "failed", calls=6)
    assert (ledger.in_flight(), ledger.calls()) == (0, 9)


def test_what_died_is_told_of_once(ledger):
    ledger.asked(request("a"))
    with ledger.alone(lambda number: None) as lost:
        assert lost == 1
    with ledger.alone(lambda number: None) as lost:
        assert lost == 0


def test_one_at_a_time_has_the_right_to_send(ledger):
    told, order = [], []
    other = Ledger(ledger.path)

    def second():
        with other.alone(told.append):
            order.append("second")

    with ledger.alone(told.append):
        ledger.asked(request("a"))
        thread = threading.Thread(target=second)
        thread.start()
        while not told:
            pass
        order.append("first")
    thread.join()
    assert (told, order) == ([1], ["first", "second"])
    other.close()


def test_many_threads_and_two_connections_write_at_once(ledger):
    other = Ledger(ledger.path)

    def work(number):
        for count in range(10):
            asked = request(f"{number} {count}")
            into = (ledger, other)[count % 2]
            into.put(asked, Reply("x"), attempt=into.asked(asked))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(ledger.keys()), ledger.in_flight(), ledger.calls()) == (80, 0, 80)
    other.close()


def test_what_is_put_together_is_stored_together_or_not_at_all(ledger):
    with pytest.raises(KeyError), ledger.together():
        ledger.put(request("a"), REPLY)
        raise KeyError
    assert ledger.keys() == []
    with ledger.together():
        ledger.put(request("a"), REPLY)
        ledger.put(request("b"), REPLY)
    assert len(Ledger(ledger.path).keys()) == 2


KILLED = """
import sys
from support.asking import request
from hierarchy.llm.types import Reply
from hierarchy.llm.cache import Ledger
ledger = Ledger(sys.argv[1])
for number in range(10_000):
    ledger.put(request(str(number)), Reply(str(number)))
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [0, 1, 17])
def test_what_was_put_before_a_kill_is_there(after, tmp_path):
    here = TESTS
    path = tmp_path / "x.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])},
    )
    for _ in range(after):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    said = after + len(process.communicate()[0].split("\n")) - 1
    ledger = Ledger(path)
    assert said <= len(ledger.keys()) <= said + 1
    for number in range(said):
        assert ledger.get(request(str(number)).key).text == str(number)
    ledger.close()


# Learning and batches


def test_what_was_learned_is_replaced(ledger):
    assert ledger.learned("a") == {}
    ledger.learn("a", {"mode": "text"})
    ledger.learn("a", {"mode": "json_object", "without": ["seed"]})
    assert ledger.learned("a") == {"mode": "json_object", "without": ["seed"]}


def test_a_batch_is_noted_before_it_has_an_id(ledger):
    batch = Batch("digest", "server", ("k1", "k2"))
    ledger.put_batch(batch)
    assert ledger.batches("server") == [batch]
    made = Batch("digest", "server", ("k1", "k2"), "batch_1")
    ledger.put_batch(made)
    assert ledger.batches("server") == [made]
    over = Batch("digest", "server", ("k1", "k2"), "batch_1", "completed")
    ledger.put_batch(over)
    ledger.put_batch(batch)  # the same requests once more
    assert ledger.batches("server") == [over, batch]
    assert ledger.batches("another") == []


# A recording


def test_a_recording_answers_what_it_holds_and_names_what_it_lacks(ledger):
    ledger.put(request("a"), REPLY)
    chat = recorded(ledger)
    assert chat([request("a"), request("a")]) == [REPLY, REPLY]
    with pytest.raises(ChatError, match="holds no reply to 1 of 2 requests, first of all one of prompt 'assign'"):
        chat([request("a"), request("b")])


# Files of others


def foreign(path, *statements):
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def damage(path):
    ledger = Ledger(path)
    for number in range(60):
        ledger.put(request(str(number)), Reply("x" * 500))
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = os.urandom(4096 * 3)
    path.write_bytes(content)


def newer(path):
    Ledger(path).close()
    foreign(path, "PRAGMA user_version = 2")


BAD = {
    "text": lambda path: path.write_text("tabby\n" * 1000),
    "another program's": lambda path: foreign(path, "CREATE TABLE a (b)"),
    "newer": newer,
    "damaged": damage,
    "cut": lambda path: (damage(path), path.write_bytes(path.read_bytes()[:5000])),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_good_ledger_is_refused_and_left_as_it_is(kind, tmp_path):
    path = tmp_path / "x.sqlite"
    BAD[kind](path)
    before = path.read_bytes()
    with pytest.raises(FormatError):
        Ledger(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["x.sqlite"]


def test_a_file_without_content_becomes_a_ledger(tmp_path):
    path = tmp_path / "x.sqlite"
    path.touch()
    ledger = Ledger(path)
    ledger.put(request(), REPLY)
    assert Ledger(path).get(request().key) == REPLY


def test_a_ledger_of_an_earlier_release_keeps_vectors_too(tmp_path):
    path = tmp_path / "x.sqlite"
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE vectors")
    ledger = Ledger(path)
    vectors = {"a": (0.1, -2.5e-300), "b": (1.0, 3.0)}
    ledger.put_vectors("m", vectors)
    ledger.put_vectors("m", {"a": (9.0, 9.0)})  # the first that was paid for stays
    assert Ledger(path).vectors(["b", "c", "a"]) == vectors


def test_who_answered_is_known_by_model_and_nobody_of_what_an_earlier_release_kept(tmp_path):
    path = tmp_path / "x.sqlite"
    ledger = Ledger(path)
    ledger.put(request("a"), REPLY)
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE servers")
    ledger = Ledger(path)
    ledger.put(request("a"), REPLY, server="one")  # the first reply stays
    ledger.put(request("b"), REPLY, server="one")
    ledger.put_vectors("e", {"k": (0.5,)}, server="two")
    ledger.put_vectors("e", {"k": (0.5,), "l": (0.5,)}, server="one")
    assert [ledger.of_others(server, "gpt-test") for server in ("one", "two")] == [0, 1]
    assert [ledger.of_others(server, "e") for server in ("one", "two", "three")] == [1, 1, 2]


@pytest.mark.parametrize("name", ["missing/x.sqlite", "."])
def test_where_no_file_can_be_made_it_says_so(name, tmp_path):
    with pytest.raises((OutputError, FormatError)):
        Ledger(tmp_path / name)


@pytest.fixture
def nobody():
    """Makes this process one to which permissions apply, also where root runs the tests."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def read_only():
    """A ledger with a reply in a folder that only root can write to."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are for their owner alone
    path = folder / "x.sqlite"
    ledger = Ledger(path)
    ledger.put(request(), REPLY)
    ledger.close()
    path.chmod(0o444)
    folder.chmod(0o555)
    yield path
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_ledger_is_not_taken_for_no_ledger(read_only, nobody):
    with pytest.raises(OutputError, match=r"leave it there, .* and see to the permissions of the file and its folder"):
        Ledger(read_only)


def test_a_read_only_ledger_can_be_read(read_only, nobody):
    ledger = Ledger.to_read(read_only)
    assert ledger.history([request().key]) == [(request(), REPLY)]
    with pytest.raises(OutputError):
        ledger.put(request("b"), REPLY)
    ledger.close()
    assert [path.name for path in read_only.parent.iterdir()] == ["x.sqlite"]


@pytest.fixture
def with_newer(read_only):
    """The same with replies that SQLite has not moved into the file yet."""
    read_only.parent.chmod(0o755)
    Path(f"{read_only}-wal").write_bytes(b"x" * 100)
    read_only.parent.chmod(0o555)
    return read_only


def test_a_read_only_ledger_is_not_read_without_its_newest_replies(with_newer, nobody):
    with pytest.raises(OutputError, match="cannot open"):
        Ledger.to_read(with_newer)


def test_what_is_no_ledger_is_not_read_either(tmp_path):
    foreign(tmp_path / "x.sqlite", "CREATE TABLE a (b)")
    with pytest.raises(FormatError):
        Ledger.to_read(tmp_path / "x.sqlite")


def test_closing_leaves_one_file_and_the_lock(tmp_path):
    ledger = Ledger(tmp_path / "x.sqlite")
    with ledger.alone(lambda number: None):
        ledger.put(request(), REPLY)
    ledger.close()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["x.sqlite", "x.sqlite.lock"]
