"""What a person is told when a server, a limit or a ledger is not as it should be: one clear sentence each.

All stand in golden/chat_messages.txt, to be read aloud. After a change of wording, write it anew with
`WRITE_GOLDEN=1 pytest tests/test_chat_messages.py`, and read the difference.
"""

import os
import re
import sqlite3
from pathlib import Path

import pytest
from support.asking import chat_with, request
from support.golden_messages import Golden
from support.openai_server import Server, always, script

from hierarchy.errors import HierarchyError
from hierarchy.llm.batch import batch_chat
from hierarchy.llm.budget import Limits, Price, Progress
from hierarchy.llm.cache import Batch, Ledger, recorded
from hierarchy.llm.client import ChatOptions, openai_chat
from hierarchy.llm.compat import server_of
from hierarchy.llm.keeper import Keeper
from hierarchy.llm.types import Reply

ASKED = [request(str(number)) for number in range(3)]
BATCH = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"requests": "of these"}}


def asking(faults=None, *, asked=ASKED, by_batch=False, batch_end="completed", **options):
    """A case: a server with faults, and options of the chat."""

    def case():
        with Server(faults=faults, batch_end=batch_end) as server, ledger() as replies:
            if by_batch:
                options_ = ChatOptions(base_url=server.url, backoff=0.02, poll=0.01, **options)
                batch_chat(replies, options=options_)(asked)
            else:
                with chat_with(server, replies, **{"max_retries": 1} | options) as chat:
                    chat(asked)

    return case


class ledger:
    """A ledger in the current folder, closed in the end."""

    def __enter__(self):
        self.open = Ledger("out.replies.sqlite")
        return self.open

    def __exit__(self, *_):
        self.open.close()


def without_key():
    with ledger() as replies, openai_chat(replies) as chat:
        chat(ASKED)


def nobody():
    with Server() as server:
        pass
    with ledger() as replies, chat_with(server, replies, max_retries=0) as chat:
        chat(ASKED)


def nobody_for_batches():
    with Server() as server:
        pass
    with ledger() as replies:
        batch_chat(replies, options=ChatOptions(base_url=server.url, max_retries=0))(ASKED)


def no_batches():
    with Server() as server, ledger() as replies:
        batch_chat(replies, options=ChatOptions(base_url=server.url.replace("/v1", "/v2")))(ASKED)


def batch_under_way():
    with Server() as server, ledger() as replies:
        replies.put_batch(Batch("of these", server_of(server.url), tuple(one.key for one in ASKED[:2])), ASKED)
        server.start_batch({"input_file_id": server.upload(b"")["id"]} | BATCH)
        with chat_with(server, replies) as chat:
            chat(ASKED)


def answers_without_limit(by_batch):
    def case():
        options = {"limits": Limits(cost=1, price=Price(1, 1)), "backoff": 0.02, "poll": 0.01}
        with Server(refuses=("max_tokens", "max_completion_tokens")) as server, ledger() as replies:
            options = ChatOptions(base_url=server.url, **options)
            if by_batch:
                batch_chat(replies, options=options)(ASKED)
            with openai_chat(replies, options=options) as chat:
                chat(ASKED)

    return case


def keeper_dies():
    with Server(lambda messages, schema: "{}") as server, ledger() as replies:
        chat = chat_with(server, replies, lambda progress: os.kill(chat._keeper._process.pid, 9), concurrency=1)
        chat(ASKED)


def from_a_recording():
    with ledger() as replies:
        replies.put(ASKED[0], Reply("{}"))
        recorded(replies)(ASKED)


def full_disk():
    with ledger() as replies:
        replies._db.execute("PRAGMA max_page_count = 1")
        for one in ASKED:
            replies.put(one, Reply("x" * 10_000))


def not_a_database():
    Path("pets.txt").write_text("tabby\n")
    Ledger("pets.txt")


def other_program():
    with sqlite3.connect("other.sqlite") as db:
        db.execute("CREATE TABLE a (b)")
    db.close()
    Ledger("other.sqlite")


def newer():
    Ledger("new.sqlite").close()
    with sqlite3.connect("new.sqlite") as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    Ledger("new.sqlite")


def damaged():
    with ledger() as replies:
        for number in range(60):
            replies.put(request(str(number)), Reply("x" * 500))
    content = Path("out.replies.sqlite").read_bytes()
    Path("out.replies.sqlite").write_bytes(content[:4096] + bytes(4096 * 20) + content[4096 * 21 :])
    Ledger("out.replies.sqlite")


CASES = {
    "no key": without_key,
    "nobody there": nobody,
    "wrong key": asking(always("401")),
    "not allowed": asking(always("403")),
    "no such model": asking(always("404")),
    "no credit": asking(always("quota")),
    "no credit half way": asking(script(None, "quota", "quota"), concurrency=1),
    "every request is refused": asking(always("400")),
    "the only request finds the server broken": asking(always("500"), asked=ASKED[:1]),
    "the server is broken": asking(always("500")),
    "connections are lost": asking(always("drop")),
    "completions are empty": asking(always("no text")),
    "the keeper dies": keeper_dies,
    "max calls": asking(limits=Limits(calls=2)),
    "max cost": asking(limits=Limits(cost=0.3, price=Price(500, 1000)), concurrency=1),
    "max cost of an unknown price": asking(limits=Limits(cost=0.3)),
    "max cost without a bound": asking(limits=Limits(cost=1, price=Price(1, 1)), asked=[request(settings={})]),
    "max cost without a limit of tokens": answers_without_limit(by_batch=False),
    "batch: max cost without a limit of tokens": answers_without_limit(by_batch=True),
    "batch: under way": batch_under_way,
    "batch: nobody there": nobody_for_batches,
    "batch: no batches": no_batches,
    "batch: failed": asking(by_batch=True, batch_end="failed"),
    "batch: every line fails": asking(always("500"), by_batch=True),
    "batch: max calls": asking(by_batch=True, limits=Limits(calls=2)),
    "recording: incomplete": from_a_recording,
    "ledger: full disk": full_disk,
    "ledger: not a database": not_a_database,
    "ledger: another program's": other_program,
    "ledger: newer": newer,
    "ledger: damaged": damaged,
    "ledger: no folder": lambda: Ledger("missing/out.replies.sqlite"),
    "ledger: a folder": lambda: Ledger("folder"),
}
TOLD = {  # what progress says
    "progress": str(Progress(12, 60, 13, 9_000, 1_000, 0.0325, 48.2)),
    "progress, price unknown": str(Progress(12, 60, 13, 9_000, 1_000, None, 48.2)),
    "progress with a note": str(Progress(12, 60, 1, 9_000, 1_000, 0.5, None, "waiting for 3 calls in flight")),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


GOLDEN = Golden("chat_messages.txt", lambda: [*CASES, *TOLD])


def compare(case, message):
    message = re.sub(r"batch_\w+", "batch_1", message)
    message = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", message)
    GOLDEN.compare(case, message)


@pytest.mark.parametrize("case", CASES)
def test_a_problem_is_one_sentence(case, folder):
    with pytest.raises(HierarchyError) as caught:
        CASES[case]()
    compare(case, str(caught.value))


@pytest.mark.parametrize("case", TOLD)
def test_progress_is_one_line(case):
    compare(case, TOLD[case])


def test_the_golden_file_has_no_message_of_a_case_that_is_gone():
    assert list(GOLDEN.messages()) == [*CASES, *TOLD]


@pytest.mark.parametrize("message", GOLDEN.messages().values(), ids=GOLDEN.messages())
def test_messages_are_one_lower_case_sentence_without_a_machine_in_it(message):
    assert not re.match(r"[A-Z][a-z]", message)
    assert not message.endswith(".")
    assert "/tmp" not in message and "Errno" not in message and "sk-" not in message
    assert not re.search(r"\b(invalid input|illegal|oops|please|sorry)\b", message, re.IGNORECASE)


def test_a_ledger_that_cannot_be_written_stops_the_keeper(folder, capsys):
    """As on a full disk; what is asked then would be paid and lost."""
    with Server() as server, ledger() as replies:
        keeper = Keeper(replies, ChatOptions(base_url=server.url).wire())
        replies._db.execute("PRAGMA max_page_count = 1")
        keeper.answer(request("x" * 10_000))
        assert not server.paid
    assert '"hopeless": "cannot keep replies in' in capsys.readouterr().out
