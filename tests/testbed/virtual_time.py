"""An event loop on which time passes only by waiting: whatever a test waits for comes at once, in the order of its moments."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _NoWaiting(selectors.DefaultSelector):
    """Lets time pass instead of waiting; for programs that talk to nobody outside."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for something that never comes"
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._passing = _NoWaiting()
        super().__init__(self._passing)

    def time(self) -> float:
        return self._passing.now


def run_at_once(test: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run an asynchronous test; however busy the machine, it takes the same course."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(test())
