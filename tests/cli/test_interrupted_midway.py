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


def test_interrupted_while_it_writes_it_says_what_is_there(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files that are whole, and no others; the next verb says nothing of them."""

    def interrupted(*_given: Any) -> Any:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    monkeypatch.setattr("dmoa_theory.plots.network.plot_network", interrupted)
    answer = dmoa("region", scenario(), "--out", out)
    assert (answer.code, answer.out) == (130, "")
    start = f"dmoa: interrupted; written till then to {out}: "
    assert answer.err.startswith(start)
    assert sorted(answer.err.removeprefix(start).strip().split(", ")) == sorted(path.name for path in out.iterdir())
    monkeypatch.setattr("dmoa_theory.cli.region.stability_region", interrupted)
    assert dmoa("region", scenario()).err == "dmoa: interrupted\n"


def test_one_load_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System.from_arrays([[0, 1], [1, 0]], 0.1, 1.0, M=1, k=1)
    interrupt_once(monkeypatch, 20)
    with pytest.raises(KeyboardInterrupt):
        compare_over_load(system, (0.3, 0.6), queries=6_000)
    assert len(compare_over_load(system, (0.3, 0.6), queries=6_000).comparisons) == 2  # it was once
