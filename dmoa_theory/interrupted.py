"""Ctrl-C before there is anything to end: while Python still imports, it leaves at once, with a line and exit code 130.

An interruption raised in the middle of an import may come out as anything: as an ImportError of a compiled module, as a
traceback, or not at all.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = [
    "INTERRUPTED",
    "deaf_to_interruptions",
    "heard_outside_callbacks",
    "ignore_interruptions",
    "leave_when_interrupted",
    "raise_when_interrupted",
    "was_interrupted",
]

#: Exit code of a process that somebody interrupted.
INTERRUPTED = 130
#: The process whose interruptions are answered from here.
_process: int | None = None


def leave_when_interrupted() -> None:
    """Let SIGINT end the process at once: for the time in which nothing has begun; a signal that is ignored stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
        global _process
        _process = os.getpid()


def raise_when_interrupted() -> None:
    """Let SIGINT raise KeyboardInterrupt again: work begins."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore_interruptions() -> bool:
    """Hear no further SIGINT where the first was answered, or all is done: on the way out it would only add a traceback.

    Only in a process that :func:`leave_when_interrupted` was called in, which is one that ends now.

    Returns
    -------
    bool
        Whether it is such a process.
    """
    ends = _process == os.getpid()
    if ends:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return ends


@contextmanager
def deaf_to_interruptions() -> Iterator[None]:
    """Put Ctrl-C off for the moment in which processes are started.

    They inherit that they do not hear it, for good: who waits for them can end them. Here it is heard when all are started, for
    on a busy machine that moment may be seconds.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return
    masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    if masks:
        _start_trackers()
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if heard:
        signal.raise_signal(signal.SIGINT)


def _start_trackers() -> None:
    """Start Python's and joblib's trackers of resources now, which let SIGINT through for whatever is started after them."""
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as of_joblib

    resource_tracker.ensure_running()
    of_joblib.ensure_running()


#: Functions that numba has called back while it fetches compiled code: what they raise is printed, and lost.
_CALLED_BACK = {"_raw_object_cache_notify", "_raw_object_cache_getbuffer"}
_SOON = 0.02  # seconds


@contextmanager
def heard_outside_callbacks() -> Iterator[None]:
    """Hear Ctrl-C a moment later where it comes in a function that compiled code calls back, while kernels are compiled."""
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt_soon)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt_soon(number: int, frame: FrameType | None) -> None:
    seen = frame
    while seen is not None:
        if seen.f_code.co_name in _CALLED_BACK:
            threading.Timer(_SOON, os.kill, (os.getpid(), signal.SIGINT)).start()
            return
        seen = seen.f_back
    signal.default_int_handler(number, frame)


def was_interrupted(error: BaseException) -> bool:
    """Whether an error is an interruption, or came of one.

    Parameters
    ----------
    error : BaseException

    Examples
    --------
    >>> try:
    ...     try:
    ...         raise KeyboardInterrupt
    ...     except KeyboardInterrupt:
    ...         raise ImportError("a compiled module did not load")
    ... except ImportError as error:
    ...     was_interrupted(error)
    True
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__cause__ or seen.__context__
    return seen is not None


def _leave(_number: int, _frame: FrameType | None) -> None:
    try:
        os.write(2, b"dmoa: interrupted\n")
    finally:
        os._exit(INTERRUPTED)
