"""The ledger: a SQLite file of every reply that was paid for, beside the result it helped to make.

A reply is committed before anybody sees it, so a run that is killed at any instant finds it again. Nothing here knows
how replies are had: `openai_chat` and `batch_chat` put them in, `recorded` is a chat that only looks them up.

The file holds requests and replies in full, and no key, no server's address and nothing of the machine.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from hierarchy.errors import ChatError, FormatError, Locked, OutputError
from hierarchy.files import lock
from hierarchy.llm.types import Chat, Reply, Request

APPLICATION = 0x484C4447  # "HLDG" in SQLite's header says that a file is a ledger
VERSION = 1
TABLES = """
CREATE TABLE requests (key TEXT PRIMARY KEY, prompt TEXT NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL);
CREATE TABLE replies (key TEXT PRIMARY KEY REFERENCES requests, reply TEXT NOT NULL, seconds REAL NOT NULL,
                      batch TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE attempts (id INTEGER PRIMARY KEY, key TEXT NOT NULL, at REAL NOT NULL, calls INTEGER, outcome TEXT);
CREATE TABLE batches (digest TEXT NOT NULL, server TEXT NOT NULL, keys TEXT NOT NULL, id TEXT, status TEXT NOT NULL,
                      at REAL NOT NULL);
CREATE TABLE learned (about TEXT PRIMARY KEY, what TEXT NOT NULL);
"""
# Not there in ledgers of earlier releases, which pass over them.
VECTORS = "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, model TEXT NOT NULL, vector BLOB NOT NULL)"
SERVERS = "CREATE TABLE IF NOT EXISTS servers (key TEXT PRIMARY KEY, server TEXT NOT NULL)"  # who answered


@dataclass(frozen=True)
class Total:
    """What a model's stored replies took: how many there are, how many of them came by batch, and their tokens."""

    replies: int
    batched: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Batch:
    """A batch that was sent, or was about to be: `id` is empty where the run was stopped before it was known."""

    digest: str
    server: str
    keys: tuple[str, ...]
    id: str = ""
    status: str = "open"


class Ledger:
    """A file of paid replies; made where there is none. Threads and processes may share it.

    Args:
        frozen: it is there and nobody can write to it, which is not tried, either.

    Raises:
        FormatError: the file is no ledger, is corrupt, or was written by a newer version; it is left as it is.
        OutputError: it cannot be made; or, later and from each method, cannot be read or written any more.
    """

    def __init__(self, path: str | PathLike[str], *, frozen: bool = False) -> None:
        self.path = Path(path)
        self._mutex = threading.RLock()
        new = not self.path.exists() or _is_unwritten(self.path, frozen=frozen)
        try:
            # Autocommit; transactions are opened by hand. 60 s: how long one process may make another wait.
            where, uri = (_uri(self.path, frozen=True), True) if frozen else (str(self.path), False)
            self._db = sqlite3.connect(where, timeout=60, isolation_level=None, check_same_thread=False, uri=uri)
        except sqlite3.Error as error:
            raise OutputError(f"cannot write {str(path)!r}: {error}; name a file in a writable folder") from None
        if frozen:
            return
        with self._reported():
            if new:
                self._make_tables()
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut, not only a kill
            self._db.execute(VECTORS)
            self._db.execute(SERVERS)

    @classmethod
    def to_read(cls, path: str | PathLike[str]) -> Ledger:
        """A ledger that is there and is only read, as from a folder that is read-only.

        Raises:
            FormatError, OutputError: as for any; it cannot be read.
        """
        try:
            return cls(path)
        except OutputError:
            newest = Path(f"{path}-wal")  # what was stored last, which a frozen one would be without
            if newest.exists() and newest.stat().st_size:
                raise
            return cls(path, frozen=True)

    def get(self, key: str) -> Reply | None:
        """The reply to the request with this key, if it was ever had."""
        rows = self._rows("SELECT reply FROM replies WHERE key = ?", key)
        return Reply(**json.loads(rows[0][0])) if rows else None

    def known(self, keys: Iterable[str]) -> dict[str, Reply]:
        """The replies to the requests with these keys; those without one are left out."""
        found = {key: self.get(key) for key in keys}
        return {key: reply for key, reply in found.items() if reply is not None}

    def asked(self, request: Request) -> int:
        """Notes that a request is about to be sent; gives the number of the attempt, which `put` or `failed` ends."""
        with self._transaction():
            self._note(request)
            done = self._db.execute("INSERT INTO attempts (key, at) VALUES (?, ?)", (request.key, time.time()))
            assert done.lastrowid is not None
            return done.lastrowid

    def put(
        self,
        request: Request,
        reply: Reply,
        *,
        attempt: int | None = None,
        calls: int = 1,
        seconds: float = 0.0,
        batch: str = "",
        server: str = "",
    ) -> None:
        """Stores a reply; it is on disk when this returns. The first reply to a request stays.

        Args:
            attempt: what `asked` gave, if it was asked.
            calls: HTTP calls the answer took, with retries and refused ways of asking.
            seconds: from the first of them to the answer.
            batch: the id of the batch it came by.
            server: who answered, by a name without its address.
        """
        assert reply.finish != "failed", "a failure is no reply"
        row = (request.key, json.dumps(reply.to_dict(), ensure_ascii=False), seconds, batch, time.time())
        with self._transaction():
            self._note(request)
            done = self._db.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?)", row)
            self._answered_by(server, request.key, new=done.rowcount > 0)
            self._end(attempt, reply.finish, calls)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Stores all that is put inside at once, or nothing: much faster for many replies."""
        with self._transaction():
            yield

    def failed(self, attempt: int, outcome: str, *, calls: int = 1) -> None:
        """Ends an attempt that brought no reply; `outcome` is the kind of error, without the server's own words."""
        with self._transaction():
            self._end(attempt, outcome, calls)

    def history(self, keys: Iterable[str]) -> list[tuple[Request, Reply]]:
        """The requests with these keys and their replies, in the order of the keys; those without one are left out."""
        query = "SELECT prompt, model, request, reply FROM requests JOIN replies USING (key) WHERE key = ?"
        rows = [row for key in keys for row in self._rows(query, key)]
        return [(_request(prompt, model, text), Reply(**json.loads(reply))) for prompt, model, text, reply in rows]

    def request(self, key: str) -> Request | None:
        """The request with this key, if it was ever asked."""
        rows = self._rows("SELECT prompt, model, request FROM requests WHERE key = ?", key)
        return _request(*rows[0]) if rows else None

    def keys(self) -> list[str]:
        """Keys of all replies, the oldest first."""
        return [key for (key,) in self._rows("SELECT key FROM replies ORDER BY rowid")]

    def totals(self) -> dict[str, Total]:
        """What all stored replies took, by the model that was asked for."""
        query = (
            "SELECT model, COUNT(*), SUM(batch != ''), SUM(json_extract(reply, '$.input_tokens')),"
            " SUM(json_extract(reply, '$.output_tokens')) FROM requests JOIN replies USING (key)"
            " GROUP BY model ORDER BY model"
        )
        return {model: Total(*numbers) for model, *numbers in self._rows(query)}

    def calls(self) -> int:
        """HTTP calls that all ended attempts took, answered or not."""
        return int(self._rows("SELECT COALESCE(SUM(calls), 0) FROM attempts")[0][0])

    def in_flight(self) -> int:
        """How many requests were sent, by whomever, of which nothing is known yet."""
        return int(self._rows("SELECT COUNT(*) FROM attempts WHERE outcome IS NULL")[0][0])

    @contextmanager
    def alone(self, waiting: Callable[[int], None]) -> Iterator[int]:
        """Holds the right to send requests for this ledger, which one process has at a time.

        Args:
            waiting: told the number of requests in flight, if somebody else has the right and must be waited for.

        Yields:
            How many requests nobody will ever tell of: the process that sent them died with them, as in a power cut.
            They may have been billed, and are told of once.
        """
        with self.held(waiting):
            with self._transaction():
                lost = self._db.execute("UPDATE attempts SET outcome = 'lost' WHERE outcome IS NULL").rowcount
            yield lost

    @contextmanager
    def held(self, waiting: Callable[[int], None]) -> Iterator[None]:
        """Holds the same right, and leaves it to `alone` to tell what nobody will tell of; arguments as there."""
        file, busy = f"{self.path}.lock", f"{str(self.path)!r} is in use"
        with ExitStack() as stack:
            try:
                stack.enter_context(lock(file, busy=busy))
            except Locked:
                waiting(self.in_flight())
                stack.enter_context(lock(file, busy=busy, wait=True))
            yield

    def learned(self, about: str) -> dict[str, Any]:
        """What was learned of a server, by a name without its address; empty at first."""
        rows = self._rows("SELECT what FROM learned WHERE about = ?", about)
        return dict(json.loads(rows[0][0])) if rows else {}

    def learn(self, about: str, what: Mapping[str, Any]) -> None:
        """Keeps what was learned of a server, in place of what was known of it."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO learned VALUES (?, ?)", (about, json.dumps(dict(what))))

    def vectors(self, keys: Iterable[str]) -> dict[str, tuple[float, ...]]:
        """The vectors with these keys, as they were put; those that are not there are left out."""
        found = {key: self._rows("SELECT vector FROM vectors WHERE key = ?", key) for key in keys}
        return {key: struct.unpack(f"<{len(rows[0][0]) // 8}d", rows[0][0]) for key, rows in found.items() if rows}

    def put_vectors(self, model: str, vectors: Mapping[str, Sequence[float]], *, server: str = "") -> None:
        """Stores vectors by key, all at once or none; they are on disk when this returns. `server` as in `put`."""
        with self._transaction():
            for key, vector in vectors.items():
                row = (key, model, struct.pack(f"<{len(vector)}d", *vector))
                done = self._db.execute("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", row)
                self._answered_by(server, key, new=done.rowcount > 0)

    def of_others(self, server: str, model: str) -> int:
        """How many replies and vectors of a model another server gave; of those of earlier releases nobody knows."""
        query = (
            "SELECT COUNT(*) FROM servers"
            " JOIN (SELECT key, model FROM requests UNION ALL SELECT key, model FROM vectors) USING (key)"
            " WHERE model = ? AND server != ?"
        )
        return int(self._rows(query, model, server)[0][0])

    def batches(self, server: str) -> list[Batch]:
        """All batches that were sent to a server, the oldest first."""
        return self._batches("server = ?", server)

    def under_way(self, server: str) -> list[Batch]:
        """The batches that were sent to a server and are not over, as far as the ledger knows, the oldest first."""
        return self._batches("server = ? AND status = 'open'", server)

    def put_batch(self, batch: Batch, requests: Iterable[Request] = ()) -> None:
        """Notes a batch: with its requests before it is made, with an id afterwards, with another status at its end."""
        row = (batch.digest, batch.server, json.dumps(batch.keys), batch.id or None, batch.status, time.time())
        with self._transaction():
            for request in requests:
                self._note(request)
            self._db.execute(
                "DELETE FROM batches WHERE server = ? AND (id = ? OR id IS NULL AND digest = ?)",
                (batch.server, batch.id, batch.digest),
            )
            self._db.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        """Lets go of the file."""
        with self._mutex:
            self._db.close()

    def _make_tables(self) -> None:
        with self._transaction():
            if self._db.execute("PRAGMA application_id").fetchone() == (0,):  # nobody was faster
                for statement in TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
                self._db.execute(f"PRAGMA application_id = {APPLICATION}")

    def _note(self, request: Request) -> None:
        content = {"messages": request.messages, "schema": dict(request.schema), "settings": dict(request.settings)}
        row = (request.key, request.prompt, request.model, json.dumps(content, ensure_ascii=False))
        self._db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?)", row)

    def _answered_by(self, server: str, key: str, *, new: bool) -> None:
        if server and new:
            self._db.execute("INSERT OR IGNORE INTO servers VALUES (?, ?)", (key, server))

    def _end(self, attempt: int | None, outcome: str, calls: int) -> None:
        self._db.execute("UPDATE attempts SET outcome = ?, calls = ? WHERE id = ?", (outcome, calls, attempt))

    def _batches(self, where: str, *values: Any) -> list[Batch]:
        query = f"SELECT digest, server, keys, COALESCE(id, ''), status FROM batches WHERE {where} ORDER BY rowid"
        rows = self._rows(query, *values)
        return [Batch(digest, at, tuple(json.loads(keys)), id, status) for digest, at, keys, id, status in rows]

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._mutex, self._reported():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._mutex:
            if self._db.in_transaction:  # inside another, which ends it
                yield
                return
            with self._reported():
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:  # SQLite ends it by itself where the disk is full
                        self._db.execute("ROLLBACK")
                    raise

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Makes errors of SQLite ours: a full disk, a file that was taken away or spoilt since it was opened."""
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"cannot keep replies in {str(self.path)!r}: {error}; see to the disk and the file, and run again"
            ) from None


def recorded(ledger: Ledger) -> Chat:
    """A chat that answers from a ledger alone and never asks anybody.

    Raises:
        ChatError: a request was never answered.
    """

    def chat(requests: Sequence[Request]) -> list[Reply]:
        replies = [ledger.get(request.key) for request in requests]
        missing = [request for request, reply in zip(requests, replies, strict=True) if reply is None]
        if missing:
            first = missing[0]
            raise ChatError(
                f"{ledger.path.name} holds no reply to {len(missing)} of {len(requests)} requests, first of all one of"
                f" prompt {first.prompt!r} to {first.model!r}; it was recorded with other classes, prompts or settings,"
                " or is not complete: run again with a server to go on"
            )
        return [reply for reply in replies if reply is not None]

    return chat


def _request(prompt: str, model: str, text: str) -> Request:
    content = json.loads(text)
    messages = tuple((role, words) for role, words in content["messages"])
    return Request(prompt, messages, content["schema"], model, content["settings"])


def _uri(path: Path, *, frozen: bool) -> str:
    # Not mode=ro alone, which would leave files beside it that it may not delete.
    return f"{path.resolve().as_uri()}?{'mode=ro&immutable=1' if frozen else 'mode=rw'}"


def _is_unwritten(path: Path, *, frozen: bool) -> bool:
    """Whether a file holds nothing yet, as where its maker was killed at once; refuses what is no ledger, untouched."""
    other = "name another file, or move this one away"
    if path.is_dir():
        raise FormatError(f"{path} is a folder; name a file")
    try:
        with closing(sqlite3.connect(_uri(path, frozen=frozen), uri=True)) as db:
            ((application,), (version,)) = (
                db.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
            )
            (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            (state,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:  # nothing is wrong with what is in it
        raise OutputError(
            f"cannot open {str(path)!r}: {error}; leave it there, as it may hold what was paid for, and see to the"
            " permissions of the file and its folder"
        ) from None
    except sqlite3.DatabaseError as error:
        raise FormatError(f"{path} is no ledger of replies ({error}); {other}") from None
    if (application, tables) == (0, 0):
        return True
    if application != APPLICATION:
        raise FormatError(f"{path} is the database of another program; {other}")
    if version > VERSION:
        raise FormatError(f"{path} is a ledger of version {version}, this is version {VERSION}; upgrade timm-nhl")
    if state != "ok":
        raise FormatError(f"{path} is damaged: not all of it can be read; {other}")
    return False
