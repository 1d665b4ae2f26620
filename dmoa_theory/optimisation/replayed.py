"""Configurations under the prompts of a list, as they came: the limits on latency held against what Poisson arrivals hide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dmoa_theory.model.system import System
from dmoa_theory.optimisation.candidates import Candidate
from dmoa_theory.optimisation.limits import LATENCIES, Limits
from dmoa_theory.optimisation.verify import Tried
from dmoa_theory.simulation.bursts.burst import simulate_burst
from dmoa_theory.simulation.bursts.burst_result import BurstResult

__all__ = ["Replayed", "held_against", "replay_list"]

# Prompts of all runs of one configuration, and the least and most runs that they are shared by.
_PROMPTS, _FEWEST, _MOST = 30_000, 10, 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replayed:
    """One configuration under a list of prompts.

    Attributes
    ----------
    candidate : Candidate
    result : BurstResult
        Runs of the list, and beside them Poisson arrivals at its rates.
    figures : tuple of Tried
        Mean, p95 and p99 of all prompts.
    """

    candidate: Candidate
    result: BurstResult
    figures: tuple[Tried, ...]

    @property
    def misses(self) -> tuple[Tried, ...]:
        """Limits that are missed by more than the interval."""
        return tuple(each for each in self.figures if each.holds is False)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "M": self.candidate.M,
            "k": self.candidate.k,
            "runs": self.result.replications,
            "figures": [each.to_dict() for each in self.figures],
            "misses": [each.name for each in self.misses],
        }


def replay_list(
    system_of: Callable[[Candidate], System],
    candidates: Sequence[Candidate],
    limits: Limits,
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> tuple[Replayed, ...]:
    """Simulated: configurations of a system that knows its prompts one by one, under these prompts.

    Parameters
    ----------
    system_of : callable
        The system as configured, with its list of prompts.
    candidates : sequence of Candidate
    limits : Limits
        Those on the latency of all prompts are held against.
    seed : int
    progress : callable, optional
        Told the fraction done, from 0 to 1.

    Raises
    ------
    KeyboardInterrupt
        When a simulation was interrupted.
    """
    found = []
    for place, candidate in enumerate(candidates):
        system = system_of(candidate)
        assert system.log is not None
        runs = min(max(_PROMPTS // system.log.prompts, _FEWEST), _MOST)
        result = simulate_burst(
            system,
            arrivals=system.log,
            replications=runs,
            seed=seed,
            progress=None if progress is None else lambda part, at=place: progress((at + part) / len(candidates)),  # type: ignore[misc]
        ).whole()
        found.append(Replayed(candidate=candidate, result=result, figures=held_against(result, limits)))
    return tuple(found)


def held_against(result: BurstResult, limits: Limits) -> tuple[Tried, ...]:
    """Mean, p95 and p99 of finite runs beside the limits on them and, where those were run too, Poisson arrivals' figures."""
    allowed, tried = limits.latencies, []
    for name in ("mean_latency", "p95_latency", "p99_latency"):
        figure = LATENCIES[name]
        interval, limit = getattr(result, figure), allowed.get(name)
        value, half = float(interval.value), float(interval.half_width)
        predicted = None if result.poisson is None else float(getattr(result.poisson, figure).value)
        holds = None
        if limit is not None:  # an interval that is not known decides nothing
            holds = True if value + half <= limit else False if value - half > limit else None
        tried.append(Tried(name=name, value=value, half_width=half, predicted=predicted, allowed=limit, holds=holds))
    return tuple(tried)
