"""What a person reads when a server, a limit or a cache is not as it should be: one clear sentence each.

All are in golden/chat_messages.txt, to be read aloud. After a change of wording, write it again with
`WRITE_GOLDEN=1 pytest tests/hierarchy/llm/test_chat_messages.py`, and read the difference.
"""

import re
import sqlite3
from pathlib import Path

import pytest
from support.asking import chat_with, request
from support.golden_messages import Golden
from support.openai_server import Server, always, script

from hierarchy.errors import HierarchyError
from hierarchy.llm import Limits, OpenAIChat, Price, Progress, ReplyCache

ASKED = [request(str(number)) for number in range(3)]


def asking(faults=None, *, asked=ASKED, refuses=(), **options):
    """A case: a server with faults, and options of the chat."""

    def case():
        with Server(faults=faults, refuses=refuses) as server, ReplyCache("out.replies.sqlite") as cache:
            chat_with(server, cache, **{"max_retries": 1} | options)(asked)

    return case


def without_key():
    with ReplyCache("out.replies.sqlite") as cache:
        OpenAIChat(cache)(ASKED)


def no_server():
    with Server() as server:
        pass
    with ReplyCache("out.replies.sqlite") as cache:
        chat_with(server, cache, max_retries=0)(ASKED)


def taken_away():
    def drop(progress):
        with sqlite3.connect("out.replies.sqlite") as db:
            db.execute("DROP TABLE IF EXISTS replies")
        db.close()

    with Server() as server, ReplyCache("out.replies.sqlite") as cache:
        chat_with(server, cache, drop)(ASKED)


def not_a_database():
    Path("pets.txt").write_text("tabby\n")
    ReplyCache("pets.txt")


def other_program():
    with sqlite3.connect("other.sqlite") as db:
        db.execute("CREATE TABLE a (b)")
    db.close()
    ReplyCache("other.sqlite")


def of_version(version):
    def case():
        ReplyCache("new.sqlite").close()
        with sqlite3.connect("new.sqlite") as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        ReplyCache("new.sqlite")

    return case


CASES = {
    "no key": without_key,
    "no server": no_server,
    "wrong key": asking(always("401")),
    "not allowed": asking(always("403")),
    "no such model": asking(always("404")),
    "no credit": asking(always("quota")),
    "no credit half way": asking(script(None, "quota", "quota"), concurrency=1),
    "every request is rejected": asking(always("400")),
    "the only request finds the server broken": asking(always("500"), asked=ASKED[:1]),
    "the server is broken": asking(always("500")),
    "connections are lost": asking(always("drop")),
    "completions are empty": asking(always("no text")),
    "max calls": asking(limits=Limits(calls=2)),
    "max cost": asking(limits=Limits(cost=0.3, price=Price(500, 1000)), concurrency=1),
    "max cost without a price": asking(limits=Limits(cost=0.3)),
    "max cost without a bound": asking(limits=Limits(cost=1, price=Price(1, 1)), asked=[request(settings={})]),
    "max cost without a limit of tokens": asking(
        limits=Limits(cost=1, price=Price(1, 1)), refuses=("max_tokens", "max_completion_tokens")
    ),
    "cache: taken away": taken_away,
    "cache: not a database": not_a_database,
    "cache: another program's": other_program,
    "cache: newer": of_version(9),
    "cache: older": of_version(1),
    "cache: no folder": lambda: ReplyCache("missing/out.replies.sqlite"),
    "cache: a folder": lambda: ReplyCache("folder"),
}
TOLD = {
    "progress": str(Progress(12, 60, 13, 9_000, 1_000, 0.0325, 48.2)),
    "progress without a price": str(Progress(12, 60, 13, 9_000, 1_000, None, 48.2)),
    "progress with a note": str(
        Progress(12, 60, 1, 9_000, 1_000, 0.5, None, "waiting for calls in flight, Ctrl-C again abandons them")
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


GOLDEN = Golden("chat_messages.txt", lambda: [*CASES, *TOLD])


def compare(case, message):
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
