"""What must survive a ``kill -9``: prompts accepted, jobs taken on, responses received, answers given.

SQLite with a write-ahead log and ``synchronous=FULL``, in a thread of its own. Writes that come while one is being brought to
disk go together in the next one, so that many at once cost little more than one; writes that nobody waits for are held back a
moment for the same reason, and keep their order. A write that cannot be made takes none of those beside it along.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dmoa_theory.errors import InputError

__all__ = ["Journal", "Statement"]

Statement = tuple[str, Sequence[Any]]

_log = logging.getLogger("dmoa.testbed")

_HELD_BACK = 0.05  # seconds
_MOST_AT_ONCE = 500
_FORMAT = 1
_TABLES = """
create table if not exists facts (name text primary key, value text not null) without rowid;
create table if not exists queries (
    id text primary key, arrived_wall real not null, prompt text not null, state text not null default 'accepted',
    resumed integer not null default 0, ended integer, ended_wall real, answer text);
create unique index if not exists ended_queries on queries (ended) where ended is not null;
create table if not exists stages (
    query text not null, stage integer not null, asked text not null, queued_wall real,
    primary key (query, stage)) without rowid;
create table if not exists responses (
    query text not null, stage integer not null, device text not null, response text not null,
    primary key (query, stage, device)) without rowid;
create table if not exists jobs (
    number integer primary key autoincrement, job text not null unique, state text not null default 'queued',
    request text not null, response text, queued_wall real);
create index if not exists open_jobs on jobs (state) where state <> 'delivered';
"""


class Journal:
    """A node's durable memory.

    Parameters
    ----------
    path : Path
        Of the database; made if it is not there.

    Raises
    ------
    InputError
        When it cannot be opened, is no journal, or another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._work: queue.SimpleQueue[_Write | _Read | None] = queue.SimpleQueue()
        self.failure: str | None = None
        self.unreadable = {"queries": 0, "jobs": 0}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _connect(path)
        except (sqlite3.Error, OSError) as error:
            allowed = f"a place for a journal that no other process uses ({error})"
            raise InputError("data_dir", path.parent, allowed) from None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def read_now(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read at once, before anything is written: at the start of a node.

        Raises
        ------
        InputError
            When the file is broken.
        """
        found = _Read(sql, parameters, None)
        self._work.put(found)
        found.over.wait()
        if found.error is not None:
            raise InputError("data_dir", self._path.parent, f"a folder with a journal that can be read ({found.error})")
        return found.rows

    async def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read after all that was written before."""
        asked = _Read(sql, parameters, _Reply())
        self._work.put(asked)
        assert asked.reply is not None
        rows: list[tuple[Any, ...]] = await asked.reply.future
        return rows

    def write(self, *statements: Statement) -> asyncio.Future[None]:
        """Write, all or nothing, in the order of the calls; the future is settled when it is on disk.

        It raises ``sqlite3.Error`` where it cannot be written, because the disk is full or broken.
        """
        reply = _Reply()
        self._work.put(_Write(statements, reply))
        return reply.future

    def note(self, *statements: Statement) -> None:
        """Write soon, in order, without waiting."""
        self._work.put(_Write(statements, None))

    def set_aside(self, what: str, name: str, *statements: Statement) -> None:
        """Count and tell of an entry that cannot be read, and write what keeps it from coming up again.

        Parameters
        ----------
        what : {"queries", "jobs"}
        name : str
            Of the query or the job.
        statements : Statement
        """
        self.unreadable[what] += 1
        said = {"queries": "query %.80a, which counts as failed", "jobs": "job %.80a, which is left out"}[what]
        _log.warning(f"%s: cannot read the entry of {said}; all else goes on", self._path, name)
        self.note(*statements)

    def close(self) -> None:
        """Write what is left, and close."""
        self._work.put(None)
        self._thread.join(timeout=30.0)

    # -- in the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        going = True
        while going:
            batch: list[_Write] = []
            first = self._work.get()
            going = self._collect(first, batch)
            if batch:
                self._commit(batch)
        self._connection.close()

    def _collect(self, item: _Write | _Read | None, batch: list[_Write]) -> bool:
        """Put together what can go to disk at once; whether there may be more after it."""
        until, waited_for = time.monotonic() + _HELD_BACK, False
        while True:
            if item is None:
                return False
            if isinstance(item, _Read):
                if batch:
                    self._commit(batch)
                    batch.clear()
                self._read(item)
                return True
            batch.append(item)
            if len(batch) >= _MOST_AT_ONCE:
                return True
            waited_for = waited_for or item.reply is not None
            left = 0.0 if waited_for else until - time.monotonic()
            try:
                item = self._work.get(timeout=left) if left > 0 else self._work.get_nowait()
            except queue.Empty:
                return True

    def _commit(self, batch: list[_Write]) -> None:
        """Bring writes to disk together; where that fails each by itself, for the others are not at fault."""
        error = self._write_all(batch)
        if error is not None and len(batch) > 1:
            for write in batch:
                self._commit([write])
            return
        self.failure = None if error is None else str(error)
        for write in batch:
            if write.reply is not None:
                write.reply.give(None) if error is None else write.reply.fail(error)

    def _write_all(self, batch: list[_Write]) -> sqlite3.Error | None:
        """All or nothing; what went wrong, if so."""
        try:
            self._connection.execute("begin immediate")
            try:
                for write in batch:
                    for sql, parameters in write.statements:
                        self._connection.execute(sql, parameters)
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("rollback")
                raise
        except Exception as error:
            return _as_sqlite_error(error)
        return None

    def _read(self, asked: _Read) -> None:
        try:
            asked.rows = self._connection.execute(asked.sql, asked.parameters).fetchall()
            if asked.reply is not None:
                asked.reply.give(asked.rows)
        except Exception as error:
            asked.error = _as_sqlite_error(error)
            if asked.reply is not None:
                asked.reply.fail(asked.error)
        asked.over.set()


def _as_sqlite_error(error: Exception) -> sqlite3.Error:
    """Whatever goes wrong with a statement is for its sender; the thread goes on."""
    return error if isinstance(error, sqlite3.Error) else sqlite3.DataError(f"{type(error).__name__}: {error}")


def _connect(path: Path) -> sqlite3.Connection:
    _keep_from_others(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
    try:
        connection.execute("pragma locking_mode=exclusive")  # one process a journal
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("begin immediate")
        connection.execute("commit")
        connection.text_factory = lambda raw: raw.decode("utf-8", errors="surrogateescape")  # one bad byte spoils one entry
        connection.executescript(_TABLES)
        for table in ("stages", "jobs"):
            if "queued_wall" not in {column[1] for column in connection.execute(f"pragma table_info({table})")}:
                connection.execute(f"alter table {table} add column queued_wall real")  # of a journal from before it was kept
        connection.execute("insert or ignore into facts values ('format', ?)", (str(_FORMAT),))
        (found,) = connection.execute("select value from facts where name = 'format'").fetchone()
        if found != str(_FORMAT):
            raise sqlite3.DatabaseError(f"its format is {found}, this version writes {_FORMAT}")
    except BaseException:
        connection.close()
        raise
    return connection


def _keep_from_others(path: Path) -> None:
    """It holds prompts and answers, and so does the log beside it, which takes over the journal's mode when it is made."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        log.chmod(0o600)


class _Reply:
    """A future of the event loop, to be settled from the journal's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def give(self, value: Any) -> None:
        self._settle(lambda: self.future.set_result(value))

    def fail(self, error: Exception) -> None:
        self._settle(lambda: self.future.set_exception(error))

    def _settle(self, settle: Callable[[], None]) -> None:
        def unless_cancelled() -> None:
            if not self.future.done():
                settle()

        try:
            self._loop.call_soon_threadsafe(unless_cancelled)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return


class _Write:
    __slots__ = ("reply", "statements")

    def __init__(self, statements: Sequence[Statement], reply: _Reply | None) -> None:
        self.statements, self.reply = statements, reply


class _Read:
    __slots__ = ("error", "over", "parameters", "reply", "rows", "sql")

    def __init__(self, sql: str, parameters: Sequence[Any], reply: _Reply | None) -> None:
        self.sql, self.parameters, self.reply = sql, parameters, reply
        self.rows: list[tuple[Any, ...]] = []
        self.error: sqlite3.Error | None = None
        self.over = threading.Event()
