"""The highest load that meets a target: closed forms, the edges, and estimates that do not rise with the load."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dmoa_theory import System, latency
from dmoa_theory.delay import target as module
from dmoa_theory.delay.expected_error import ErrorBand
from dmoa_theory.delay.target import TARGETS, TargetScale, largest_scale, parse_target
from dmoa_theory.errors import InputError
from dmoa_theory.results import Source


def alone(load: float = 0.5) -> System:
    """M/M/1 with mean service 1: exponential sojourns of mean 1 / (1 - load)."""
    return System.from_arrays([[0]], load, 1.0, M=0, k=0, law="exponential")


def four(rate: float = 0.05) -> System:
    """Four equal devices, M = 2, k = 2: load 7 times the rate."""
    return System.from_arrays(np.ones((4, 4)) - np.eye(4), rate, 1.0, M=2, k=2)


@pytest.mark.parametrize(("level", "factor"), [("mean", 1.0), ("p50", np.log(2)), ("p95", np.log(20)), ("p99", np.log(100))])
@pytest.mark.parametrize("load", [0.1, 0.7, 3.0])
def test_the_exponential_queue_in_closed_form(level: str, factor: float, load: float) -> None:
    """Each figure is ``factor / (1 - rho)``: the load that meets 4 times the factor is 0.75, however loaded it is now."""
    found = largest_scale(alone(load), level, 4 * factor)
    assert found.scale * load == pytest.approx(0.75, abs=2e-4)
    assert found.scale * load <= 0.75 * (1 + 1e-6)
    assert found.empty == pytest.approx(factor, rel=1e-5)
    assert found.critical_scale == pytest.approx(1 / load)
    assert found.met == (load < 0.75)
    assert found.present == (np.inf if load > 1 else pytest.approx(factor / (1 - load), rel=1e-6))
    assert (found.bound_by, found.monotone, found.source) == ("target", True, Source.APPROXIMATION)


@pytest.mark.parametrize("level", TARGETS)
def test_the_estimate_at_the_scale_meets_the_target(level: str) -> None:
    """And a little more load misses it."""
    system = four()
    seconds = 1.7 * getattr(latency(system), level)
    found = largest_scale(system, level, seconds)
    assert getattr(latency(system.with_rates(system.rates * found.scale)), level) <= seconds
    assert getattr(latency(system.with_rates(system.rates * (found.scale + 2e-4 * found.critical_scale))), level) > seconds
    scales = [scale for scale, _ in found.checked]
    assert scales == sorted(scales)
    assert len(scales) < 45
    assert found.interval is not None
    assert found.interval[0] <= found.scale <= found.interval[1] < found.critical_scale


def test_the_interval_carries_the_typical_error_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """M/M/1 with an error of 10 % said of it: targets 10 % smaller and larger in closed form."""
    _say(monkeypatch, lambda scale: 1 / (1 - scale), 0.1)
    found = largest_scale(alone(1.0), "mean", 4.0)
    assert found.scale == pytest.approx(1 - 1 / 4, abs=2e-4)
    assert found.interval == pytest.approx((1 - 1 / 3.6, 1 - 1 / 4.4), abs=2e-4)
    _say(monkeypatch, lambda scale: 1 / (1 - scale), None)
    unknown = largest_scale(alone(1.0), "mean", 4.0)
    assert unknown.interval is None
    assert any("not known" in reason for reason in unknown.reasons())


def test_a_target_that_nothing_meets() -> None:
    """Scale 0, missed, and what idle devices take."""
    found = largest_scale(four(), "mean", 0.5)
    assert (found.scale, found.met, found.interval) == (0.0, False, (0.0, 0.0))
    assert found.empty == pytest.approx(latency(four(1e-9)).mean, rel=1e-3)
    assert any("no load meets the target" in reason for reason in found.reasons())


def test_a_target_that_only_stability_bounds() -> None:
    """So large that it is met up to the last load looked at."""
    found = largest_scale(alone(), "mean", 1e6)
    assert found.bound_by == "stability"
    assert 1.99 < found.scale < found.critical_scale == 2.0


def test_an_estimate_that_does_not_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that dips on the way is followed to where it exceeds the target, and told of; one that comes back is not."""
    _say(monkeypatch, lambda scale: 3 * scale if scale < 0.25 else 2 * scale**2, 0.0)
    dips = largest_scale(alone(1.0), "p95", 1.0)
    assert dips.scale == pytest.approx(0.5**0.5, abs=2e-4)
    assert not dips.monotone
    assert any("does not rise" in reason for reason in dips.reasons())
    _say(monkeypatch, lambda scale: 3 * scale if scale < 0.42 else 0.4 + scale**2, 0.0)
    comes_back = largest_scale(alone(1.0), "p95", 1.0)
    assert comes_back.scale == pytest.approx(1 / 3, abs=2e-4)
    assert all(value <= 1.0 for scale, value in comes_back.checked if scale <= comes_back.scale)


def _say(monkeypatch: pytest.MonkeyPatch, figure: Callable[[float], float], error: float | None) -> None:
    """Put an estimate by a formula of the load in the place of the real one."""
    band = None if error is None else ErrorBand(error, error, error, 0.0)

    def estimate(system: System) -> Any:
        value = figure(float(system.rates[0]))
        return SimpleNamespace(mean=value, p95=value, expected_error=SimpleNamespace(mean=band, p95=band))

    monkeypatch.setattr(module, "latency", estimate)


def test_what_a_result_can_do() -> None:
    """Table, records, payload: one row a load that was looked at."""
    found = largest_scale(four(), "p95", 30.0)
    assert isinstance(found, TargetScale)
    assert len(found.records()) == len(found.checked) == len(found.table().rows)
    assert {row[-1] for row in found.table().rows} == {"met", "missed"}
    assert found.to_dict()["schema"] == "dmoa/target/1"
    assert "p95" in repr(found)
    told: list[float] = []
    largest_scale(alone(), "mean", 4.0, progress=told.append)
    assert told[-1] == 1.0
    assert (np.diff(told) >= 0).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("p95=60", 60), ("p95=60 s", 60), (" p95 = 1min", 60), ("p95=.5 h", 1800), ("p95=250ms", 0.25), ("p95=1e2", 100)],
)
def test_targets_as_people_write_them(text: str, expected: float) -> None:
    """With or without a unit and blanks."""
    assert parse_target(text) == ("p95", expected)


@pytest.mark.parametrize("text", ["", "p95", "60", "p90=60", "p95=", "p95=0", "p95=-1", "p95=6 days", "p95=nan", "p95=1e999 s"])
def test_targets_that_cannot_be_read(text: str) -> None:
    """One line that says what would do."""
    with pytest.raises(InputError, match="such as p95=60"):
        parse_target(text)
    with pytest.raises(InputError, match="one of mean"):
        largest_scale(alone(), "p90", 1.0)
    with pytest.raises(InputError, match="above 0"):
        largest_scale(alone(), "p95", 0.0)
