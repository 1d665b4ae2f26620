"""Warnings that would come with every message, written once a minute."""

from __future__ import annotations

import logging
import time

__all__ = ["Complaints"]

_PAUSE = 60.0  # seconds
_MOST = 200  # different ones that are remembered

_log = logging.getLogger("dmoa.testbed")


class Complaints:
    """Logs a warning unless the same one was logged within the last minute."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def say(self, text: str) -> bool:
        """Log it; False if that is not long ago."""
        now = time.monotonic()
        if now - self._last.get(text, -_PAUSE) < _PAUSE:
            return False
        if len(self._last) >= _MOST:
            self._last.clear()
        self._last[text] = now
        _log.warning("%s", text)
        return True
