"""Ctrl-C and SIGTERM while nodes run: heard from the first folder to the last process, and answered where that is safe."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interruptions", "interruptions"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptions:
    """How often somebody asked for the end, and what is done about it.

    Attributes
    ----------
    count : int
        Signals so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answers: list[Callable[[], object]] = []

    def answer_with(self, *answers: Callable[[], object]) -> None:
        """Do these in the running loop, one at each signal from now on; nothing when they are used up, or none is given.

        Parameters
        ----------
        answers : callables
        """
        self._loop, self._answers = asyncio.get_running_loop(), list(answers)

    def heard(self, _number: int, _frame: FrameType | None) -> None:
        """Count a signal, and have the loop answer it: a handler may not touch the loop in the middle of anything."""
        self.count += 1
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        if self._answers:
            self._answers.pop(0)()


@contextmanager
def interruptions() -> Iterator[Interruptions]:
    """Count SIGINT and SIGTERM instead of being ended by them, until the end of the ``with`` block.

    A signal that is ignored, as SIGINT is in the background of a shell, stays ignored; outside of the main thread none is
    heard.
    """
    found = Interruptions()
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        before = {number: was for number, was in before.items() if was is not None and was is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, found.heard)
        yield found
    finally:
        for number, was in before.items():
            signal.signal(number, was)
