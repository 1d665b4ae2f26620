"""Configurations under the prompts of a list, as they came: the limits on latency held against what Poisson arrivals hide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dmoa_theory.model.system import System
from dmoa_theory.optimisation.candidates import Candidate
from dmoa_theory.optimisation.limits import LATENCIES, Limits
from dmoa_theory.optimisation.verify import Tried, largest, verdict
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
        Mean, p95 and p99 of all prompts, and of the user for whom they are the largest.
    """

    candidate: Candidate
    result: BurstResult
    figures: tuple[Tried, ...]

    @property
    def list_name(self) -> str:
        """Of the list, in words."""
        return "" if self.result.log is None else self.result.log.name or "the list"

    @property
    def holds(self) -> bool:
        """Whether every limit is met by more than the interval."""
        return all(each.holds for each in self.figures if each.allowed is not None)

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
        Those on latency are held against.
    seed : int
    progress : callable, optional
        Told the fraction done, from 0 to 1.

    Raises
    ------
    InputError
        When the list is too long to be played.
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
            points=2,  # nobody looks at the queues
            progress=None if progress is None else lambda part, at=place: progress((at + part) / len(candidates)),  # type: ignore[misc]
        ).whole()
        found.append(Replayed(candidate=candidate, result=result, figures=held_against(result, limits)))
    return tuple(found)


def held_against(result: BurstResult, limits: Limits) -> tuple[Tried, ...]:
    """Latencies of finite runs beside the limits on them; those of all prompts beside Poisson arrivals', if those were run.

    A limit on every user is held against all of them together (:func:`dmoa_theory.optimisation.verify.verdict`).
    """
    allowed, tried = limits.latencies, []
    for name, figure in LATENCIES.items():
        of_users = figure.startswith("user_")
        interval = getattr(result.users if of_users else result, figure.removeprefix("user_"))
        value, half = largest(interval)
        limit = allowed.get(name)
        predicted = None if of_users or result.poisson is None else float(getattr(result.poisson, figure).value)
        holds = None if limit is None else verdict(interval, limit)
        tried.append(Tried(name=name, value=value, half_width=half, predicted=predicted, allowed=limit, holds=holds))
    return tuple(tried)
