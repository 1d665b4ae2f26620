"""Plans tried out: an exact simulation of a configuration, held against its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.model.system import System
from dmoa_theory.optimisation.limits import LATENCIES, LIMITS, Figures, Limits
from dmoa_theory.quantities import show_uncertain_seconds
from dmoa_theory.simulation.output.intervals import Interval
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.simulation.steady.simulation_result import SimulationResult

__all__ = ["Trial", "Tried", "largest", "try_out", "verdict"]

#: Prompts kept before the first look, and what they grow to while a limit lies within an interval.
QUERIES, MOST_QUERIES = 20_000, 320_000
# Chance that an interval lies beyond the truth on one side.
_BEYOND = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One figure as simulated: value and half width of its 95 % interval, what the theory said, and the limit if any.

    ``holds`` is True or False where the interval tells, None where the limit lies inside it, or where there is no limit.
    """

    name: str
    value: float
    half_width: float
    predicted: float | None
    allowed: float | None
    holds: bool | None

    def __str__(self) -> str:
        """In words, such as "p95 latency 315.2 ± 4.1 s, against 300 s"."""
        words, show = LIMITS[self.name]
        shown = show_uncertain_seconds(self.value, self.half_width) if self.name in LATENCIES else show(self.value)
        return f"{words} {shown}" + ("" if self.allowed is None else f" against {show(self.allowed)}")

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "figure": self.name,
            "value": self.value,
            "ci95": self.half_width,
            "predicted": self.predicted,
            "allowed": self.allowed,
            "holds": self.holds,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trial:
    """A configuration as simulated.

    Attributes
    ----------
    result : SimulationResult
    figures : tuple of Tried
        Utilisation, latencies and memory; empty when queues grew.
    """

    result: SimulationResult
    figures: tuple[Tried, ...]

    @property
    def stable(self) -> bool:
        """Whether the queues settled."""
        return self.result.stable and self.result.queries > 0

    @property
    def misses(self) -> tuple[Tried, ...]:
        """Limits that are missed by more than the interval."""
        return tuple(each for each in self.figures if each.holds is False)

    @property
    def open(self) -> tuple[Tried, ...]:
        """Limits that lie within the interval: met or not, the run does not tell."""
        return tuple(each for each in self.figures if each.allowed is not None and each.holds is None)

    @property
    def holds(self) -> bool:
        """Whether no limit is missed by more than the interval."""
        return self.stable and not self.misses

    def __repr__(self) -> str:
        """As in words."""
        return f"<Trial: {self}>"

    def __str__(self) -> str:
        """In words: what was missed, or that every limit holds."""
        if not self.stable:
            return "queues grew in the simulation"
        if self.misses:
            return "missed: " + "; ".join(map(str, self.misses))
        if self.open:
            return "too close to tell: " + "; ".join(map(str, self.open))
        return "every limit holds"

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "configuration": self.result.system.moa.to_dict(),
            "stable": self.stable,
            "holds": self.holds,
            "figures": [each.to_dict() for each in self.figures],
            "misses": [each.name for each in self.misses],
            "open": [each.name for each in self.open],
            "queries": self.result.queries,
            "jobs": self.result.jobs,
            "seed": self.result.seed,
            "reasons": self.result.reasons(),
        }


def try_out(
    system: System,
    limits: Limits,
    *,
    predicted: Figures | None = None,
    seed: int = 0,
    queries: int = QUERIES,
    most_queries: int = MOST_QUERIES,
) -> Trial:
    """Exact simulation: whether a system as configured keeps its limits, with prompts enough to tell.

    Parameters
    ----------
    system : System
    limits : Limits
    predicted : Figures, optional
        What the theory says of it.
    seed : int
    queries, most_queries : int
        Prompts to keep at first, and at most; four times as many while a limit lies within an interval.

    Raises
    ------
    KeyboardInterrupt
        When the simulation was interrupted.

    Notes
    -----
    A limit on every user or device is held against all of them together (:func:`verdict`). What is shown is the largest of the
    noisy figures, too high on average.
    """
    while True:
        result = simulate(system, queries=queries, seed=seed).whole()  # half a trial proves nothing
        trial = Trial(result=result, figures=_figures(result, limits, predicted))
        if not trial.stable or not trial.open or 4 * queries > most_queries:
            return trial
        queries *= 4


def _figures(result: SimulationResult, limits: Limits, predicted: Figures | None) -> tuple[Tried, ...]:
    if not result.stable or not result.queries:
        return ()
    found = []
    intervals: dict[str, Interval | None] = {"max_utilisation": result.utilisation, "memory": result.memory_quantile}
    intervals |= {name: getattr(result, figure) for name, figure in LATENCIES.items()}
    for name in LIMITS:
        interval = intervals.get(name)
        if interval is None or not np.isfinite(interval.value).any():
            continue
        value, half_width = largest(interval)
        allowed: float | None = getattr(limits, name)
        holds = None if allowed is None else verdict(interval, allowed)
        if holds is None and name == "memory" and value <= (allowed or 0):
            holds = True  # a percentile of bytes that come in lumps has wide intervals
        found.append(
            Tried(
                name=name,
                value=value,
                half_width=half_width,
                predicted=None if predicted is None else getattr(predicted, name),
                allowed=allowed,
                holds=holds,
            )
        )
    return tuple(found)


def verdict(interval: Interval, allowed: float) -> bool | None:
    """Whether figures are all within a limit, or one is surely beyond it; None where their intervals do not tell.

    Of several figures the intervals are widened (Bonferroni, normal), so that all of them hold at once in 95 of 100 cases. One
    whose interval is not known may be anything.
    """
    from scipy.special import ndtri

    known = np.isfinite(interval.value)
    value, lower, upper = interval.value[known], interval.lower[known], interval.upper[known]
    widen = float(ndtri(1 - _BEYOND / max(value.size, 1)) / ndtri(1 - _BEYOND))
    lower = value - widen * (value - np.where(np.isfinite(lower), lower, -np.inf))
    upper = value + widen * (np.where(np.isfinite(upper), upper, np.inf) - value)
    if (lower > allowed).any():
        return False
    return True if (upper <= allowed).all() else None


def largest(interval: Interval) -> tuple[float, float]:
    """The largest of several figures, and its half width."""
    values, widths = np.ravel(interval.value), np.ravel(interval.half_width)
    place = int(np.nanargmax(values))
    return float(values[place]), float(widths[place])
