"""What happened at a node and when: one JSON object a line, for whoever compares the run with theory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

__all__ = ["EventLog"]


class EventLog:
    """Appends events to a file, a few at a time.

    Parameters
    ----------
    path : Path or None
        None: nothing is kept.
    node : str
        Name that every event carries.
    boot : int
        Incarnation of the process, which every event carries.
    """

    def __init__(self, path: Path | None, node: str, boot: int) -> None:
        self._node, self._boot = node, boot
        self._lines: list[str] = []
        self._file = None if path is None else path.open("a", encoding="utf-8")
        if self._file is not None and self._file.tell() > 0:
            self._lines.append("")  # the process before may have left half a line

    def add(self, event: str, *, at: float | None = None, **facts: Any) -> None:
        """Note an event, now or at a moment of the monotonic clock; secrets and texts have no place here."""
        if self._file is None:
            return
        mono = time.monotonic()
        wall = time.time()
        if at is not None:
            wall, mono = wall - (mono - at), at
        record = {"event": event, "node": self._node, "boot": self._boot, "mono": mono, "wall": wall} | facts
        self._lines.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False))

    def flush(self) -> None:
        """Hand the lines to the operating system."""
        if self._file is not None and self._lines:
            self._file.write("\n".join(self._lines) + "\n")
            self._file.flush()
            self._lines.clear()

    def close(self) -> None:
        """Write what is left."""
        if self._file is not None:
            self.flush()
            self._file.close()
            self._file = None
