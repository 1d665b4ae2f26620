"""Measured, simulated and predicted figures of one run, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.live.expected import Expected
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage
from dmoa_theory.quantities import (
    show_number,
    show_seconds,
    show_share,
    show_uncertain,
    show_uncertain_seconds,
    show_uncertain_share,
)
from dmoa_theory.simulation.output.intervals import Interval
from dmoa_theory.stability.growth.result import Overload

__all__ = ["CLOSE", "BesideRow", "growth_rows", "steady_rows"]

#: A difference that is no more than this is called none, whatever the interval.
CLOSE = 0.05

_STAGES = {Stage.FIRST: "first layer", Stage.LATER: "later layer", Stage.AGGREGATE: "aggregation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideRow:
    """One figure of a live run, and what was to be expected of it.

    Parameters
    ----------
    quantity, of, unit : str
        What it is; of all prompts, a user or a device; ``"s"``, ``"share"``, ``"jobs"``, ``"prompts"``, ``"prompts/s"`` or
        ``"jobs/s"``.
    measured, half_width : float
        In the run, and half its 95 % interval (from batches; NaN where too little was seen).
    simulated, lower, upper : float
        Mean of simulated runs of the same length at the measured service times, and the ends of the middle 95 % of them.
    theory, scenario : float
        What the formulas say at the measured service times, and at those of the scenario.
    """

    quantity: str
    of: str
    unit: str
    measured: float
    half_width: float
    simulated: float
    lower: float
    upper: float
    theory: float
    scenario: float

    @property
    def difference(self) -> float:
        """Measured less simulated, relative to the simulated; NaN where that is zero or nothing."""
        return self.measured / self.simulated - 1 if self.simulated else float("nan")

    @property
    def within(self) -> bool | None:
        """Whether it lies where 19 of 20 such runs do, or within 5 % of their mean; None where nothing was seen."""
        if not (np.isfinite(self.measured) and np.isfinite(self.simulated)):
            return None
        return bool(self.lower <= self.measured <= self.upper or abs(self.difference) <= CLOSE)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "quantity": self.quantity,
            "of": self.of,
            "unit": self.unit,
            "measured": self.measured,
            "ci95": self.half_width,
            "simulated": self.simulated,
            "range95": [self.lower, self.upper],
            "theory": self.theory,
            "scenario": self.scenario,
            "difference": self.difference,
            "within": self.within,
        }

    def cells(self) -> tuple[str, ...]:
        """For a table: what it is, measured, simulated, where such runs lie, difference (with a mark), theory, scenario."""
        show = _SHOW.get(self.unit, show_number)
        uncertain = _UNCERTAIN.get(self.unit, show_uncertain)

        def plain(value: float) -> str:
            return show(value) if np.isfinite(value) else "-"

        everything = self.of in {"all prompts", "all devices"}
        named = self.quantity if everything else f"{self.quantity}, {self.of}"
        return (
            self.of if self.unit == "jobs/s" else named,  # the head of the column says what it is
            uncertain(self.measured, self.half_width) if np.isfinite(self.measured) else "-",
            plain(self.simulated),
            f"{plain(self.lower)} to {plain(self.upper)}" if np.isfinite(self.lower) else "-",
            f"{100 * self.difference:+.1f} %{' !' if self.within is False else ''}" if np.isfinite(self.difference) else "-",
            plain(self.theory),
            plain(self.scenario),
        )


_SHOW = {"s": show_seconds, "share": show_share}
_UNCERTAIN = {"s": show_uncertain_seconds, "share": show_uncertain_share}


def steady_rows(
    names: tuple[str, ...],
    measured: dict[str, Interval],
    simulated: Expected,
    theory: LatencyEstimate,
    scenario: LatencyEstimate,
) -> Iterator[BesideRow]:
    """Latency, stages and devices of a run whose queues are bounded.

    Parameters
    ----------
    names : tuple of str
        One a device.
    measured : dict of str to Interval
        Of :func:`dmoa_theory.live.figures.figures_with_intervals`.
    simulated : Expected
    theory, scenario : LatencyEstimate
        At the measured service times, and at those of the scenario.
    """

    def row(quantity: str, of: str, unit: str, figure: str, at: tuple[int, ...], says: str | None) -> BesideRow:
        interval = measured[figure]
        return BesideRow(
            quantity=quantity,
            of=of,
            unit=unit,
            measured=float(interval.value[at]),
            half_width=float(interval.half_width[at]),
            simulated=float(simulated.mean[figure][at]),
            lower=float(simulated.lower[figure][at]),
            upper=float(simulated.upper[figure][at]),
            theory=_said(theory, says, at),
            scenario=_said(scenario, says, at),
        )

    levels = {"mean": "mean", "p50": "median", "p95": "p95", "p99": "p99"}
    for figure, word in levels.items():
        yield row(f"{word} latency", "all prompts", "s", figure, (), figure)
    yield row("under way", "all prompts", "prompts", "in_flight", (), None)
    yield row("answers", "all prompts", "prompts/s", "throughput", (), None)
    for u in np.flatnonzero(theory.system.rates > 0).tolist():
        for figure in ("mean", "p95"):
            yield row(f"{figure} latency", names[u], "s", f"user_{figure}", (u,), f"user_{figure}")
        for stage in Stage:
            if np.isfinite(measured["user_stage_mean"].value[u, stage]):
                yield row(f"mean {_STAGES[stage]}", names[u], "s", "user_stage_mean", (u, int(stage)), "stage_mean")
    for d, name in enumerate(names):
        yield row("utilisation", name, "share", "utilisation", (d,), "utilisation")
        yield row("mean wait", name, "s", "wait_mean", (d,), "wait_mean")
        yield row("mean in system", name, "jobs", "jobs_mean", (d,), "jobs_mean")


def _said(estimate: LatencyEstimate, figure: str | None, at: tuple[int, ...]) -> float:
    """A figure of an estimate; NaN where it has none, or there is no steady state."""
    if figure is None:
        return float("nan")
    value = float(np.asarray(getattr(estimate, figure))[at])
    return value if np.isfinite(value) else float("nan")


def growth_rows(
    names: tuple[str, ...],
    grown: FloatArray,
    simulated: Expected,
    theory: Overload,
    scenario: Overload,
    *,
    bounded: bool = False,
) -> Iterator[BesideRow]:
    """How fast the queues of an overloaded run grew, device by device and in all.

    Parameters
    ----------
    names : tuple of str
    grown : ndarray, shape (n,), jobs/s
        In the run.
    simulated : Expected
    theory, scenario : Overload
        The fluid limit at the measured service times and the rates at which prompts really came, and that of the scenario.
    bounded : bool
        Whether full devices refused prompts: simulated queues have room for all, so the run is not held against them.
    """
    unknown = float("nan")
    for d, of in enumerate((*names, "all devices")):
        everything = d == len(names)
        figure, at = ("total_growth", ()) if everything else ("growth", (d,))
        yield BesideRow(
            quantity="jobs gained",
            of=of,
            unit="jobs/s",
            measured=float(grown.sum() if everything else grown[d]),
            half_width=float("nan"),
            simulated=unknown if bounded else float(simulated.mean[figure][at]),
            lower=unknown if bounded else float(simulated.lower[figure][at]),
            upper=unknown if bounded else float(simulated.upper[figure][at]),
            theory=float(theory.growth_rate.sum() if everything else theory.growth_rate[d]),
            scenario=float(scenario.growth_rate.sum() if everything else scenario.growth_rate[d]),
        )
