"""Latency by user over finite runs: who waits for whom, which no mean over prompts tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.simulation.bursts.burst_run import Run
from dmoa_theory.simulation.output.intervals import FEWEST_BEYOND, Interval, ratio_interval

__all__ = ["UserLatencies", "user_latencies"]

CONFIDENCE = 0.95
_PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UserLatencies:
    """Latency over all prompts of a user in all runs; NaN of users without prompts.

    Attributes
    ----------
    prompts : ndarray, shape (n,)
        Of a run, mean over runs.
    mean, p50, p95, p99 : Interval, shape (n,), s
        A run is one observation.
    """

    prompts: FloatArray
    mean: Interval
    p50: Interval
    p95: Interval
    p99: Interval

    def payload(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """For the JSON contract, one entry a user with prompts."""
        figures = {name: getattr(self, name) for name in ("mean", *_PERCENTILES)}
        return [
            {
                "name": names[u],
                "prompts_per_run": float(self.prompts[u]),
                **{
                    name: {end: float(getattr(each, end)[u]) for end in ("value", "lower", "upper")}
                    for name, each in figures.items()
                },
            }
            for u in np.flatnonzero(self.prompts).tolist()
        ]

    def records(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """One row a user with prompts: plain numbers, units in the names of the columns."""
        rows = []
        for entry in self.payload(names):
            row: dict[str, Any] = {"user": entry["name"], "prompts_per_run": entry["prompts_per_run"]}
            for name in ("mean", *_PERCENTILES):
                found = entry[name]
                row |= {f"{name}_s": found["value"], f"{name}_lower_s": found["lower"], f"{name}_upper_s": found["upper"]}
            rows.append(row)
        return rows


def user_latencies(runs: Sequence[Run], n_devices: int) -> UserLatencies:
    """Approximation for many runs: means and percentiles by user, with their 95 % intervals.

    Parameters
    ----------
    runs : sequence of Run
    n_devices : int

    Notes
    -----
    As for all prompts: means are ratios of totals over runs, intervals of percentiles the test of a share over runs, inverted
    (:func:`dmoa_theory.simulation.bursts.burst_summary.latency_quantile`).
    """
    R, n = len(runs), n_devices
    latency = np.concatenate([run.latency for run in runs])
    cell = np.concatenate([r * np.int64(n) + run.user for r, run in enumerate(runs)])  # of a run and a user

    def by_run(weights: npt.NDArray[Any] | None = None) -> FloatArray:
        return np.bincount(cell, weights, minlength=R * n).reshape(R, n).astype(np.float64)

    asked = by_run()
    ordered = _Ordered(latency, cell % n, n)
    figures = {}
    for name, level in _PERCENTILES.items():
        value = ordered.quantile(np.full(n, level))
        below = by_run((latency <= value[cell % n]).astype(np.float64))
        half = ratio_interval(below, asked, CONFIDENCE).half_width
        enough = ordered.counts * min(level, 1 - level) >= FEWEST_BEYOND * (1 - 1e-12)  # 100 (1 - 0.9) falls short of 10
        lower = np.where(enough & (level - half > 0), ordered.quantile(level - half), np.nan)
        upper = np.where(enough & (level + half < 1), ordered.quantile(level + half), np.nan)
        figures[name] = Interval(value=value, half_width=(upper - lower) / 2, lower=lower, upper=upper)
    mean = ratio_interval(by_run(latency), asked, CONFIDENCE)
    return UserLatencies(prompts=asked.mean(axis=0), mean=mean, **figures)


class _Ordered:
    """Values of every group in order, for percentiles of all groups at once."""

    def __init__(self, values: FloatArray, group: IntArray, groups: int) -> None:
        self.counts = np.bincount(group, minlength=groups)
        self._values = values[np.lexsort((values, group))]
        self._first = np.cumsum(self.counts) - self.counts

    def quantile(self, level: FloatArray) -> FloatArray:
        """Linear between neighbours, shape (groups,); NaN of an empty group and of no level."""
        found = np.full(self.counts.size, np.nan)
        some = (self.counts > 0) & np.isfinite(level)
        place = np.clip(level[some], 0, 1) * (self.counts[some] - 1)
        below = np.floor(place).astype(np.int64)
        first, last = self._first[some] + below, self._first[some] + self.counts[some] - 1
        low, high = self._values[first], self._values[np.minimum(first + 1, last)]
        found[some] = low + (high - low) * (place - below)
        return found
