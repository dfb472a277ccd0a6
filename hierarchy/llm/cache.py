"""The reply cache: a SQLite file with every reply of a server, next to the result it helped to make.

A reply is committed before it is read, so a run that stops finds it again and does not ask twice. The file holds
requests and replies in full, and neither API keys nor server addresses.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from hierarchy.errors import FormatError, OutputError
from hierarchy.llm.types import Reply, Request

APPLICATION = 0x484C4447  # in SQLite's header, marks the file as a reply cache
VERSION = 2
SCHEMA = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, server TEXT NOT NULL,
                                    request TEXT NOT NULL, reply TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, model TEXT NOT NULL, server TEXT NOT NULL,
                                    vector BLOB NOT NULL);
PRAGMA user_version = {VERSION};
PRAGMA application_id = {APPLICATION};
COMMIT;
"""
PATIENCE = 60  # seconds that one process waits for another one's commit


@dataclass(frozen=True)
class Total:
    """What all stored replies of a model add up to."""

    replies: int
    input_tokens: int
    output_tokens: int


class ReplyCache:
    """A file of replies by request and of vectors by text, made if it does not exist; threads may share it.

    Args:
        path: the file.
        read_only: open an existing file without writing to it or its folder.

    Raises:
        FormatError: the file is not a reply cache, or a newer version wrote it; it is left unchanged.
        OutputError: it cannot be opened; later, from any method, it cannot be read or written.
    """

    def __init__(self, path: str | PathLike[str], *, read_only: bool = False) -> None:
        self.path = Path(path)
        self._mutex = threading.Lock()
        mode = "ro" if read_only else "rwc"
        if self.path.is_dir():
            raise FormatError(f"{str(path)!r} is a folder; name a file")
        try:
            uri = f"{self.path.absolute().as_uri()}?mode={mode}"
            self._db = sqlite3.connect(uri, uri=True, timeout=PATIENCE, check_same_thread=False)
            self._prepare()
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"cannot open {str(path)!r}: {error}; check that its folder exists and who may write there"
            ) from None
        except sqlite3.DatabaseError as error:
            raise FormatError(
                f"{path} is not a reply cache ({error}); choose another file or move this one away"
            ) from None

    def find(self, keys: Iterable[str]) -> dict[str, Reply]:
        """The replies to the requests with these keys; keys without a reply are left out."""
        return {key: reply for key, (_, reply) in self._exchanges(keys).items()}

    def history(self, keys: Iterable[str]) -> list[tuple[Request, Reply]]:
        """Requests with their replies, in the order of the keys; keys without a reply are left out."""
        return list(self._exchanges(keys).values())

    def put(self, request: Request, reply: Reply, *, server: str = "") -> None:
        """Stores a reply in place of an older one; it is on disk when this returns.

        Args:
            request: what was asked.
            reply: the answer; not a failure.
            server: the digest of the server that answered.
        """
        assert reply.finish != "failed", "a failure is not a reply"
        asked, answered = (json.dumps(asdict(value), ensure_ascii=False) for value in (request, reply))
        self._write("replies", [(request.key, request.model, server, asked, answered)])

    def set_aside(self, key: str) -> None:
        """Keeps the reply to a request, and counts it, but does not find it any more: it could not be used."""
        with self._reported(), self._db:
            self._db.execute("UPDATE replies SET key = key || ' unusable ' || rowid WHERE key = ?", (key,))

    def totals(self) -> dict[str, Total]:
        """How many replies there are, and their tokens, by the model that was asked."""
        query = (
            "SELECT model, COUNT(*), SUM(json_extract(reply, '$.input_tokens')),"
            " SUM(json_extract(reply, '$.output_tokens')) FROM replies GROUP BY model ORDER BY model"
        )
        return {model: Total(*numbers) for model, *numbers in self._rows(query)}

    def count_from_other_servers(self, server: str, model: str) -> int:
        """How many replies and vectors of a model came from another server than this one."""
        table = "(SELECT model, server FROM replies UNION ALL SELECT model, server FROM vectors)"
        query = f"SELECT COUNT(*) FROM {table} WHERE model = ? AND server != ?"
        return int(self._rows(query, model, server)[0][0])

    def find_vectors(self, keys: Iterable[str]) -> dict[str, tuple[float, ...]]:
        """The vectors with these keys; keys without a vector are left out."""
        found = {key: self._rows("SELECT vector FROM vectors WHERE key = ?", key) for key in keys}
        return {key: struct.unpack(f"<{len(rows[0][0]) // 8}d", rows[0][0]) for key, rows in found.items() if rows}

    def put_vectors(self, model: str, vectors: Mapping[str, Sequence[float]], *, server: str = "") -> None:
        """Stores vectors by key, all or none; they are on disk when this returns."""
        self._write(
            "vectors",
            [(key, model, server, struct.pack(f"<{len(vector)}d", *vector)) for key, vector in vectors.items()],
        )

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def count(self) -> int:
        """The number of replies."""
        return int(self._rows("SELECT COUNT(*) FROM replies")[0][0])

    def __enter__(self) -> ReplyCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        """Creates the tables in an empty file; refuses a file that is something else."""
        ((application,), (version,), (tables,)) = (
            self._db.execute(query).fetchone()
            for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
        )
        if (application, tables) == (0, 0):
            self._db.executescript(SCHEMA)
        elif application != APPLICATION:
            raise FormatError(
                f"{self.path} is a database of another program; choose another file or move this one away"
            )
        elif version != VERSION:
            what = "upgrade timm-nhl" if version > VERSION else "move it away"
            raise FormatError(
                f"{self.path} is a reply cache of version {version}, and this release uses version {VERSION}; {what}"
            )

    def _exchanges(self, keys: Iterable[str]) -> dict[str, tuple[Request, Reply]]:
        query = "SELECT request, reply FROM replies WHERE key = ?"
        rows = {key: self._rows(query, key) for key in keys}
        return {
            key: (_read_request(found[0][0]), Reply(**json.loads(found[0][1]))) for key, found in rows.items() if found
        }

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._reported():
            return self._db.execute(query, values).fetchall()

    def _write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._reported(), self._db:
            places = ", ".join("?" * len(rows[0]))
            self._db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", rows)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Holds the connection, and turns SQLite's errors into ours: a full disk, a file that was taken away."""
        with self._mutex:
            try:
                yield
            except sqlite3.Error as error:
                raise OutputError(
                    f"cannot use {str(self.path)!r}: {error}; check the disk and the file, then run again"
                ) from None


def _read_request(text: str) -> Request:
    content = json.loads(text)
    return Request(**content | {"messages": tuple((role, words) for role, words in content["messages"])})
