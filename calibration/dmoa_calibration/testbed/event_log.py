"""What happened at a node and when: one JSON object a line, for whoever compares the run with theory."""

from __future__ import annotations

import json
import os
import time
from io import FileIO
from pathlib import Path
from typing import Any

__all__ = ["EventLog"]

_MOST_HELD = 2**22  # bytes that wait for a disk which is full


class EventLog:
    """Appends events to a file, a few at a time; the file before the last is kept as ``events.jsonl.1``.

    Parameters
    ----------
    path : Path or None
        None: nothing is kept.
    node : str
        Name that every event carries.
    boot : int
        Incarnation of the process, which every event carries.
    most_bytes : int
        Size beyond which a new file is begun.
    """

    def __init__(self, path: Path | None, node: str, boot: int, *, most_bytes: int = 2**30) -> None:
        self._path, self._node, self._boot, self._most_bytes = path, node, boot, most_bytes
        self._unwritten = bytearray()
        self._lost = 0
        self._file = None if path is None else _opened(path)
        if self._file is not None and os.fstat(self._file.fileno()).st_size > 0:
            self._unwritten += b"\n"  # the process before may have left half a line

    def add(self, event: str, *, at: float | None = None, **facts: Any) -> None:
        """Note an event, now or at a moment of the monotonic clock; secrets and texts have no place here."""
        if self._file is None:
            return
        if len(self._unwritten) > _MOST_HELD:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self.add("events_lost", count=lost)
        mono = time.monotonic()
        wall = time.time()
        if at is not None:
            wall, mono = wall - (mono - at), at
        record = {"event": event, "node": self._node, "boot": self._boot, "mono": mono, "wall": wall} | facts
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
        self._unwritten += line.encode("utf-8", errors="replace") + b"\n"

    def flush(self) -> None:
        """Hand the lines to the operating system; what a full disk does not take is kept for the next time.

        Raises
        ------
        OSError
            When they cannot be written.
        """
        if self._file is None or not self._unwritten:
            return
        while self._unwritten:
            written = self._file.write(self._unwritten)
            del self._unwritten[:written]
        if self._file.tell() > self._most_bytes:
            self._begin_anew()

    def _begin_anew(self) -> None:
        assert self._path is not None
        assert self._file is not None
        self._file.close()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = _opened(self._path)

    def close(self) -> None:
        """Write what is left, if that can be."""
        if self._file is not None:
            try:
                self.flush()
            finally:
                self._file.close()
                self._file = None


def _opened(path: Path) -> FileIO:
    """For appending, and for nobody else on the machine: whom a device helps, and when, is its own affair."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0)
