"""Ctrl-C while processes are started: put off, never lost, and not for those processes."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dmoa_theory.interrupted import deaf_to_interruptions, heard_outside_callbacks

# Interrupts itself, and says whether it is still there.
_CHILD = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('there')"


@pytest.fixture(autouse=True)
def heeding() -> Iterator[None]:
    """Tests may run in the background, where Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_heard_when_all_are_started() -> None:
    steps = []

    def start() -> None:
        with deaf_to_interruptions():
            for step in range(3):
                signal.raise_signal(signal.SIGINT)
                steps.append(step)

    with pytest.raises(KeyboardInterrupt):
        start()
    assert steps == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with deaf_to_interruptions():  # it was heard, and is forgotten
        steps.append(3)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_processes_that_are_started_do_not_hear_it() -> None:
    with deaf_to_interruptions():
        deaf = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=False)
    hears = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=False)
    assert (deaf.returncode, deaf.stdout, deaf.stderr) == (0, "there\n", "")
    assert (hears.returncode != 0, hears.stdout) == (True, "")


# In a process of its own, in which nothing has started joblib's helpers yet: whether two workers hear it.
_WORKERS = """
import signal
from joblib import Parallel, delayed
from dmoa_theory.interrupted import deaf_to_interruptions

def is_deaf(_number):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

with deaf_to_interruptions():
    answers = Parallel(n_jobs=2, return_as="generator")(delayed(is_deaf)(number) for number in range(4))
print(list(answers), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""


def test_workers_do_not_hear_it() -> None:
    done = subprocess.run([sys.executable, "-c", _WORKERS], capture_output=True, text=True, timeout=600, check=False)
    assert (done.stdout, done.stderr) == ("[True, True, True, True] False\n", "")


def test_what_is_ignored_stays_ignored_and_errors_come_through() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deaf_to_interruptions():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def fail() -> None:
        with deaf_to_interruptions():
            signal.raise_signal(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_a_function_that_numba_calls_back_comes_a_moment_later() -> None:
    """Raised in it, it would be printed and lost, as ctypes does with whatever a callback raises."""
    steps = []

    @ctypes.CFUNCTYPE(None)
    def _raw_object_cache_notify() -> None:
        signal.raise_signal(signal.SIGINT)
        steps.append("called back")

    def wait() -> None:
        _raw_object_cache_notify()
        time.sleep(600)

    with pytest.raises(KeyboardInterrupt), heard_outside_callbacks():
        wait()
    assert steps == ["called back"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def elsewhere() -> None:
        signal.raise_signal(signal.SIGINT)
        steps.append("not reached")

    with pytest.raises(KeyboardInterrupt), heard_outside_callbacks():
        elsewhere()
    assert "not reached" not in steps


def test_numba_still_calls_back_by_these_names_and_kernels_are_compiled_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from llvmlite.binding.executionengine import ExecutionEngine

    from dmoa_theory import kernel_build
    from dmoa_theory.interrupted import _CALLED_BACK
    from dmoa_theory.simulation.kernel.compiled import kernel

    assert all(callable(getattr(ExecutionEngine, name)) for name in _CALLED_BACK)
    heard = []

    @contextmanager
    def noting() -> Iterator[None]:
        heard.append(True)
        yield

    monkeypatch.setattr(kernel_build, "heard_outside_callbacks", noting)
    assert kernel(_double)(2.0) == 4.0
    assert heard


def _double(x: float) -> float:
    return 2 * x
