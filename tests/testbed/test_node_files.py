"""What a node writes down: nothing of it lost, readable by nobody else, and never without end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dmoa_calibration.testbed.config import read_node_config
from dmoa_calibration.testbed.event_log import EventLog
from dmoa_calibration.testbed.journal import Journal
from dmoa_theory.errors import InputError
from tests.testbed.network_of_nodes import run


def test_the_journal_keeps_what_it_said_it_had_and_all_or_nothing_of_a_write(tmp_path):
    insert = "insert into facts values (?, ?)"

    async def write() -> None:
        journal = Journal(tmp_path / "j.sqlite3")
        await asyncio.gather(*(journal.write((insert, (f"n{i}", str(i)))) for i in range(100)))
        journal.note((insert, ("noted", "1")))
        assert await journal.read("select count(*) from facts where name like 'n%'") == [(101,)]
        with pytest.raises(sqlite3.IntegrityError):
            await journal.write((insert, ("new", "1")), (insert, ("n1", "again")))
        assert journal.failure is not None
        await journal.write((insert, ("later", "1")))
        assert journal.failure is None
        assert await journal.read("select name from facts where name in ('new', 'later')") == [("later",)]
        journal.close()

    run(write)


def test_a_write_that_cannot_be_made_takes_none_of_those_beside_it_along(tmp_path):
    """Neither what nobody waits for, nor what others wait for, nor the thread that writes."""
    insert = "insert into facts values (?, ?)"

    async def write() -> None:
        journal = Journal(tmp_path / "j.sqlite3")
        await journal.write((insert, ("there", "1")))
        journal.note((insert, ("noted", "1")))
        again, text, good = (journal.write((insert, (name, "1"))) for name in ("there", "\ud800", "good"))
        with pytest.raises(sqlite3.IntegrityError):
            await again
        with pytest.raises(sqlite3.Error):
            await text
        await good
        found = await journal.read("select name from facts where name in ('noted', 'good') order by name")
        assert found == [("good",), ("noted",)]
        with pytest.raises(sqlite3.Error):
            await journal.read("select ?", ("\ud800",))
        await journal.write((insert, ("after", "1")))
        journal.close()

    run(write)


def test_nobody_else_on_the_machine_can_read_what_a_node_writes(tmp_path):
    """The write-ahead log holds prompts too, and one that an older version made may be open to all."""

    async def write() -> None:
        for _ in range(2):
            journal = Journal(tmp_path / "j.sqlite3")
            await journal.write(("insert or replace into facts values ('n', '1')", ()))
            log = EventLog(tmp_path / "events.jsonl", "a", 1)
            log.add("one")
            log.close()
            for name in ("j.sqlite3", "j.sqlite3-wal", "events.jsonl"):
                assert (tmp_path / name).stat().st_mode & 0o077 == 0, name
            journal.close()
            (tmp_path / "j.sqlite3").chmod(0o644)

    run(write)


def test_a_journal_has_one_owner(tmp_path):
    async def twice() -> None:
        first = Journal(tmp_path / "j.sqlite3")
        with pytest.raises(InputError, match="a place for a journal that no other process uses"):
            Journal(tmp_path / "j.sqlite3")
        first.close()

    run(twice)


_WRITER = """
import asyncio, sys
from pathlib import Path
from dmoa_calibration.testbed.journal import Journal

async def write():
    journal = Journal(Path(sys.argv[1]))
    for i in range(10**6):
        await journal.write(("insert into facts values (?, '')", (f"n{i:07}",)))
        print(i, flush=True)

asyncio.run(write())
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    path = tmp_path / "j.sqlite3"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(40)]
    writer.kill()
    said += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    last = max(int(line) for line in said if line.endswith("\n"))

    async def read() -> list:
        journal = Journal(path)
        rows = await journal.read("select name from facts where name like 'n%' order by name")
        journal.close()
        return rows

    names = [name for (name,) in run(read)]
    assert len(names) in {last + 1, last + 2}  # the one under way may be there or not
    assert names == [f"n{i:07}" for i in range(len(names))]


def test_events_carry_one_clock_and_a_process_that_follows_begins_a_new_line(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "half')
    log = EventLog(path, "a", 7)
    before = time.monotonic()
    log.add("first")
    log.add("then", at=before, much=1)
    log.close()
    half, first, then = path.read_text().splitlines()
    assert half == '{"event": "half'
    assert json.loads(first)["mono"] >= json.loads(then)["mono"] == before
    assert json.loads(then) == json.loads(then) | {"event": "then", "node": "a", "boot": 7, "much": 1}


class NarrowFile:
    """Takes so many bytes, then is full."""

    def __init__(self, room: int) -> None:
        self.room, self.written = room, b""

    def write(self, data: bytearray) -> int:
        taken = bytes(data[: self.room])
        if not taken:
            raise OSError(28, "No space left on device")
        self.room -= len(taken)
        self.written += taken
        return len(taken)

    def tell(self) -> int:
        return len(self.written)

    def close(self) -> None: ...


def test_events_that_a_full_disk_does_not_take_are_written_once_when_there_is_room(tmp_path):
    log = EventLog(tmp_path / "events.jsonl", "a", 1)
    assert log._file is not None
    log._file.close()
    narrow = log._file = NarrowFile(50)
    for i in range(5):
        log.add("numbered", i=i)
        with pytest.raises(OSError, match="No space left"):
            log.flush()
    for i in range(100_000):
        log.add("more", i=i)
    assert len(log._unwritten) < 2**23
    narrow.room = 10**9
    log.flush()
    log.add("last")
    log.close()
    lines = [json.loads(line) for line in narrow.written.splitlines()]
    assert [line["i"] for line in lines if line["event"] == "numbered"] == list(range(5))
    kept = sum(line["event"] == "more" for line in lines)
    lost, last = lines[-2:]
    assert (lost["event"], lost["count"] + kept, last["event"]) == ("events_lost", 100_000, "last")


def test_events_fill_no_disk(tmp_path):
    log = EventLog(tmp_path / "events.jsonl", "a", 1, most_bytes=2000)
    for i in range(200):
        log.add("numbered", i=i, text="\ud800")
        log.flush()
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["events.jsonl", "events.jsonl.1"]
    lines = [json.loads(line) for name in reversed(files) for line in (tmp_path / name).read_text().splitlines()]
    assert [line["i"] for line in lines] == list(range(200))[-len(lines) :]
    assert all((tmp_path / name).stat().st_size < 2500 for name in files)


def test_the_configuration_of_the_guide_is_one(tmp_path):
    """As it stands, and with the times in place of the LLM."""
    page = (Path(__file__).parents[2] / "docs/guides/testbed.md").read_text(encoding="utf-8")
    written = page.split('```toml title="desk-2.toml"\n')[1].split("```")[0]
    times = next(line for line in page.splitlines() if line.startswith("`service = ")).split("`")[1]
    real, paced = tmp_path / "real.toml", tmp_path / "paced.toml"
    real.write_text(written, encoding="utf-8")
    without = [line for line in written.splitlines() if not line.startswith("backend")]
    paced.write_text("\n".join([*without, times]).replace('"real"', '"paced"'), encoding="utf-8")
    assert read_node_config(real).backend.model == "model.gguf"
    assert read_node_config(paced).service["1"].mean == [0.5, 0.7, 0.7]
