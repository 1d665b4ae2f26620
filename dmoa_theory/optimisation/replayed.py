"""Configurations under the prompts of a list, as they came: the limits on latency held against what Poisson arrivals hide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.candidates import Candidate, Evaluations
from dmoa_theory.optimisation.limits import LATENCIES, LIMITS, Limits
from dmoa_theory.optimisation.verify import Tried, largest, verdict
from dmoa_theory.simulation.bursts.burst import simulate_burst
from dmoa_theory.simulation.bursts.burst_result import BurstResult

__all__ = ["Replayed", "Replays", "held_against"]

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
        return "" if self.result.log is None else self.result.log.label

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


class Replays:
    """Configurations of a system that knows its prompts one by one, under these prompts: each is simulated once.

    Parameters
    ----------
    evaluations : Evaluations
        Of that system; its limits on latency are held against.
    seed : int
    """

    def __init__(self, evaluations: Evaluations, *, seed: int = 0) -> None:
        self._evaluations, self._seed = evaluations, seed
        self._played: dict[tuple[int, int], Replayed] = {}
        self.failed = ""

    def played(self, *first: Candidate | None) -> tuple[Replayed, ...]:
        """What was simulated: these first, as far as they were, then the others in that order."""
        order = [c.configuration for c in first if c is not None and c.configuration in self._played]
        return tuple(self._played[configuration] for configuration in dict.fromkeys([*order, *self._played]))

    def of(self, candidate: Candidate, *, progress: Callable[[float], None] | None = None) -> Replayed | None:
        """One configuration; None, and ``failed`` says why, where the list is too long to be played.

        Parameters
        ----------
        candidate : Candidate
        progress : callable, optional
            Told the fraction done, from 0 to 1.

        Raises
        ------
        KeyboardInterrupt
            When the simulation was interrupted.
        """
        if candidate.configuration not in self._played and not self.failed:
            system = self._evaluations.configured(candidate.M, candidate.k)
            assert system.log is not None
            runs = min(max(_PROMPTS // system.log.prompts, _FEWEST), _MOST)
            try:
                result = simulate_burst(
                    system,
                    arrivals=system.log,
                    replications=runs,
                    seed=self._seed,
                    points=2,  # nobody looks at the queues
                    progress=progress,
                ).whole()
            except InputError as error:
                self.failed = f"the list of prompts is not played: {error}"
            else:
                figures = held_against(result, self._evaluations.limits)
                self._played[candidate.configuration] = Replayed(candidate=candidate, result=result, figures=figures)
        return self._played.get(candidate.configuration)

    def objection(self, candidate: Candidate) -> str:
        """Why a configuration is not for these prompts, to be read after "since"; empty where no limit is surely missed."""
        found = self.of(candidate)
        if found is None or not found.misses:
            return ""
        missed = " and ".join(LIMITS[each.name][0] for each in found.misses)
        limits = "its limit" if len(found.misses) == 1 else "their limits"
        return f"under the prompts of {found.list_name} {missed} would miss {limits}"


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
