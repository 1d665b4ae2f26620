"""Plans by user under the full theory: their work and limits, what each comes to, and which of two is better."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.candidates import latency_margins
from dmoa_theory.optimisation.limits import Figures, Limits, Violation, figures_of
from dmoa_theory.optimisation.programs.gossip import GossipProgram
from dmoa_theory.optimisation.programs.settle import settle
from dmoa_theory.optimisation.programs.work import work_of

__all__ = ["Evaluated", "Plans", "proportion"]

# Estimates and compiled programs that are kept.
_KEPT = 300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """A plan by user with the full theory's figures.

    Attributes
    ----------
    choice : ndarray of int, shape (U,)
    asked : ndarray, shape (L,)
    accuracy : float
        Over all prompts.
    estimate : LatencyEstimate
        With margins where the plan is robust.
    figures : Figures
    violations : tuple of Violation
    """

    choice: IntArray
    asked: FloatArray
    accuracy: float
    estimate: LatencyEstimate
    figures: Figures
    violations: tuple[Violation, ...]

    @property
    def feasible(self) -> bool:
        """Whether every limit is met."""
        return not self.violations

    def same_as(self, other: Evaluated | None) -> bool:
        """Whether it is the same plan."""
        return (
            other is not None and bool((self.choice == other.choice).all()) and np.allclose(self.asked, other.asked, atol=1e-6)
        )


class Plans:
    """What plans by user are judged by: the work that they make, the limits, and the full theory.

    Parameters
    ----------
    system : System
    configurations : sequence of (int, int)
    accuracy : ndarray, shape (U, C)
        Of every user with prompts in every configuration.
    limits : Limits
    objective : str
        ``"accuracy"`` or ``"latency"``.
    per_user, gossip : bool
        What is free.
    margin : bool
        Whether latencies are raised by their typical error.
    least : float
        Smallest inclusion probability, as a share of uniform gossip's.
    time_limit : float
        Seconds for all programs together.

    Attributes
    ----------
    built, work : Work
        At the rates that programs are compiled for, and at those of now: ``scale`` times as many prompts.
    most_load : float
        The largest utilisation that programs are compiled for.
    rounds, evaluations : int
        Programs solved and plans evaluated since the limits were set.
    """

    def __init__(
        self,
        system: System,
        configurations: Sequence[tuple[int, int]],
        accuracy: FloatArray,
        limits: Limits,
        *,
        objective: str = "accuracy",
        per_user: bool = True,
        gossip: bool = False,
        margin: bool = False,
        least: float = 0.0,
        time_limit: float = 10.0,
    ) -> None:
        self.work = work_of(system, configurations)
        self.accuracy, self.limits, self.objective = accuracy, limits, objective
        self.per_user, self.gossip, self.margin, self.least = per_user, gossip, margin, least
        self.time_limit, self.most_load = time_limit, limits.max_utilisation
        self.scale, self.built = 1.0, self.work
        self._gossips: dict[bytes, GossipProgram] = {}
        self._estimates: dict[tuple[bytes, bytes], LatencyEstimate] = {}
        self._start(limits)

    def _start(self, limits: Limits) -> None:
        """Count anew, under these limits."""
        self.limits, self.evaluations, self.rounds = limits, 0, 0
        self._start_clock()

    def _start_clock(self) -> None:
        self._until = time.perf_counter() + self.time_limit

    def time_left(self) -> bool:
        """Whether a further program may be solved."""
        return time.perf_counter() < self._until

    def under(self, limits: Limits, rates: FloatArray | None = None) -> Self:
        """The same under other limits, and at other rates in the same proportions; the programs stay compiled.

        Parameters
        ----------
        limits : Limits
            With the utilisation that was allowed when this was made, or less.
        rates : ndarray, shape (n,), prompts/s, optional
            Default those of the last time.

        Raises
        ------
        InputError
            When the limits or the rates ask for programs that were not compiled.
        """
        if limits.max_utilisation > self.most_load:
            raise InputError("max_utilisation", limits.max_utilisation, f"at most {self.most_load:g}, as compiled")
        if rates is not None and not np.array_equal(rates, self.work.system.rates):
            scale = proportion(self.built.system.rates, rates)
            if scale is None:
                raise InputError("rates", "other proportions", "the rates of the system, all multiplied by one factor")
            self.scale, self.work = scale, self.built.at_rates(rates)
            self._estimates.clear()
        self._start(limits)
        return self

    def evaluate(self, choice: IntArray, asked: FloatArray) -> Evaluated:
        """A plan with the full theory's figures."""
        self.evaluations += 1
        estimate = self._estimate(choice, asked)
        figures = figures_of(estimate)
        held = figures.raised(latency_margins(estimate.expected_error)) if self.margin else figures
        accuracy = float(self.work.share @ self.accuracy[np.arange(choice.size), choice])
        return Evaluated(
            choice=choice,
            asked=asked,
            accuracy=accuracy,
            estimate=estimate,
            figures=held,
            violations=self.limits.broken(held, accuracy),
        )

    def _estimate(self, choice: IntArray, asked: FloatArray) -> LatencyEstimate:
        """The latency of a plan; worked out once for all limits, as far as some hundred plans are kept."""
        key = choice.tobytes(), asked.tobytes()
        if key not in self._estimates:
            if len(self._estimates) >= _KEPT:
                self._estimates.clear()
            uniform = not self.gossip or np.allclose(asked, self.work.uniform(choice), atol=1e-9)
            self._estimates[key] = latency(settle(self.work, choice, None if uniform else asked))
        return self._estimates[key]

    def gossip_program(self, choice: IntArray) -> GossipProgram:
        """The program of the best gossip for these choices, compiled once."""
        key = choice.tobytes()
        if key not in self._gossips:
            if len(self._gossips) >= _KEPT:
                self._gossips.clear()
            self._gossips[key] = GossipProgram(self.built, choice, least=self.least)
        return self._gossips[key]

    def better(self, one: Evaluated, other: Evaluated | None) -> bool:
        """Whether a feasible plan beats another."""
        if not one.feasible:
            return False
        if other is None:
            return True
        if self.objective == "latency":
            return one.figures.mean_latency < other.figures.mean_latency * (1 - 1e-9)
        if abs(one.accuracy - other.accuracy) > 1e-9:
            return one.accuracy > other.accuracy
        return one.figures.mean_latency < other.figures.mean_latency * (1 - 1e-6)

    def common(self) -> tuple[Evaluated | None, Evaluated]:
        """The best plan with one configuration for all, and what to start from: that one, failing that the lightest."""
        best, lightest = None, None
        w = self.work
        for c in range(len(w.configurations)):
            if not w.allowed[:, c].all():
                continue
            choice = np.full(w.users.size, c)
            asked = w.uniform(choice)
            if w.load(choice, asked).max() >= 1:
                continue
            found = self.evaluate(choice, asked)
            if self.better(found, best):
                best = found
            if lightest is None or found.figures.max_utilisation < lightest.figures.max_utilisation:
                lightest = found
        if lightest is None:
            choice = np.where(w.allowed, w.own_load, np.inf).argmin(axis=1)
            lightest = self.evaluate(choice, w.uniform(choice))
        return best, best or lightest


def proportion(rates: FloatArray, others: FloatArray) -> float | None:
    """The factor that makes rates the others, to 1e-12; None where there is none, or where it is 0.

    Examples
    --------
    >>> proportion(np.array([1.0, 0.0, 2.0]), np.array([0.5, 0.0, 1.0]))
    0.5
    >>> proportion(np.array([1.0, 0.0, 2.0]), np.array([0.5, 0.1, 1.0])) is None
    True
    """
    factor = float(others.sum() / rates.sum())
    return factor if factor > 0 and np.allclose(rates * factor, others, rtol=1e-12, atol=0.0) else None
