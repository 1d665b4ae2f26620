"""Ctrl-C while processes are started: put off, never lost, and not for those processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dmoa_theory.interrupted import deaf_to_interruptions

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
