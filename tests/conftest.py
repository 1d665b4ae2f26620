"""What holds for every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# The same examples in every run, and no example that has to be quick: neither chance nor a busy machine fails a test.
settings.register_profile("dmoa", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dmoa")
# Otherwise Hypothesis also tries numbers and words that stand in the modules of this project which are imported by then, and
# what a test is asked would depend on which tests the same worker happened to run before.
_NO_CONSTANTS = providers.Constants()
providers._get_local_constants = lambda: _NO_CONSTANTS


def pytest_configure() -> None:
    """A script ignores the interrupt for what it puts into the background, and libraries that reset it would seem at fault."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _signals_are_left_alone() -> Iterator[None]:
    """A signal that stayed ignored would be ignored by every process that a later test starts."""
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    yield
    after = [signal.getsignal(number) for number in watched]
    for number, was in zip(watched, before, strict=True):
        signal.signal(number, was)
    assert after == before
