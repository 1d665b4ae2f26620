"""Ctrl-C in a simulation that is one step of something longer: all of it ends, and nothing is told of half a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import System, compare_over_load
from dmoa_theory.cli import verification
from dmoa_theory.simulation.steady.steady_run import SteadyRun

VERBS = {
    "finding out how long it will take": ("latency", "--verify", "--queries", "6000"),
    "after the fluid model": ("region", "--check"),
    "a plan's trial": ("plan",),
    "a choice's trial": ("optimise",),
}


def interrupt_once(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """Let Ctrl-C come as a simulation ends so many windows."""
    closed, count = SteadyRun._close_window, 0

    def counting(run: SteadyRun) -> Any:
        nonlocal count
        count += 1
        if count == window:
            raise KeyboardInterrupt
        return closed(run)

    monkeypatch.setattr(SteadyRun, "_close_window", counting)


@pytest.mark.parametrize("arguments", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("window", [3, 60])
def test_the_rest_ends_too(
    dmoa: Callable[..., Any],
    scenario: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    window: int,
) -> None:
    """Once, in the warm-up or later; whatever would be simulated after it is not interrupted again, and so would be told."""
    interrupt_once(monkeypatch, window)
    monkeypatch.setattr(verification, "_PILOTS", (3_000, 6_000))
    monkeypatch.setattr(verification, "_FEW_JOBS", 1)
    answer = dmoa(arguments[0], scenario(), *arguments[1:])
    assert (answer.code, answer.err.splitlines()[-1]) == (130, "dmoa: interrupted")
    assert "± " not in answer.out


def test_one_load_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System.from_arrays([[0, 1], [1, 0]], 0.1, 1.0, M=1, k=1)
    interrupt_once(monkeypatch, 20)
    with pytest.raises(KeyboardInterrupt):
        compare_over_load(system, (0.3, 0.6), queries=6_000)
    assert len(compare_over_load(system, (0.3, 0.6), queries=6_000).comparisons) == 2  # it was once
