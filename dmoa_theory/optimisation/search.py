"""The search behind plans by user: solve on a surrogate, evaluate with the full theory, set the surrogate anew, solve again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.best_gossip import best_common_with_gossip
from dmoa_theory.optimisation.candidates import latency_margins
from dmoa_theory.optimisation.limits import LATENCIES, Figures, Limits, Violation, figures_of
from dmoa_theory.optimisation.programs.congestion import Congestion
from dmoa_theory.optimisation.programs.gossip import GossipProgram
from dmoa_theory.optimisation.programs.mixed import Budgets, Certificate, MixedProgram
from dmoa_theory.optimisation.programs.settle import settle
from dmoa_theory.optimisation.programs.work import work_of
from dmoa_theory.optimisation.refining import best_of_all, improved

__all__ = ["Evaluated", "Search", "proportion"]

_ROUNDS = 10
# How much a budget shrinks when a plan that seemed admissible is not, beyond what the new constants say.
_CUT = 0.997
# How much more of a limit a price is told for.
_MORE = 1.1
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


class Search:
    """Solve, re-evaluate with the full theory, set the surrogate's constants anew, tighten, and solve again.

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
    gap, time_limit : float
        Relative gap at which a program may stop, and seconds for all of them together (as much again for the evaluations).
    solver : str
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
        gap: float = 1e-3,
        time_limit: float = 10.0,
        solver: str = "HIGHS",
    ) -> None:
        self.work = work_of(system, configurations)
        self.accuracy, self.limits, self.objective = accuracy, limits, objective
        self.per_user, self.gossip, self.margin, self.least = per_user, gossip, margin, least
        self.gap, self.time_limit = gap, time_limit
        self.program = MixedProgram(
            self.work,
            accuracy,
            gossip=gossip,
            least=least,
            objective=objective,
            most_load=limits.max_utilisation,
            solver=solver,
        )
        self.scale, self.built = 1.0, self.work
        self._gossips: dict[bytes, GossipProgram] = {}
        self._estimates: dict[tuple[bytes, bytes], LatencyEstimate] = {}
        self._start(limits)

    def _start(self, limits: Limits) -> None:
        self.limits, self.evaluations, self.rounds = limits, 0, 0
        self.certificate: Certificate | None = None
        self.exhausted: int | None = None
        self._until = time.perf_counter() + self.time_limit
        self._cap = np.full(self.work.n, limits.max_utilisation)
        self._tighter = dict.fromkeys(LATENCIES, 1.0)

    def under(self, limits: Limits, rates: FloatArray | None = None) -> Search:
        """The same search under other limits, and at other rates in the same proportions; the programs stay compiled.

        Parameters
        ----------
        limits : Limits
            With the utilisation that was allowed when the search was made, or less.
        rates : ndarray, shape (n,), prompts/s, optional
            Default those of the last time.

        Raises
        ------
        InputError
            When the limits or the rates ask for programs that were not compiled.
        """
        if limits.max_utilisation > self.program.most_load:
            raise InputError("max_utilisation", limits.max_utilisation, f"at most {self.program.most_load:g}, as compiled")
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

    def run(self, progress: Callable[[float], None] | None = None) -> tuple[Evaluated | None, Evaluated | None]:
        """The best plan found that meets every limit under the full theory, and the best common one."""
        self._until = time.perf_counter() + self.time_limit
        common, last = self.common()
        best = common
        if self.gossip:
            best = best_common_with_gossip(self, common)
            last = best or last
        trusted: Congestion | None = None
        for turn in range(_ROUNDS):
            if progress is not None:
                progress(turn / _ROUNDS)
            congestion = self._congestion(last)
            if trusted is not None and not last.feasible:
                congestion = congestion.blended(trusted)
            if last.feasible:
                trusted = congestion
            found = self._solve(congestion, last)
            if found is None:
                if trusted is None or last.feasible or not self.time_left():
                    break
                last = best if best is not None else last  # back to what is known to work, with budgets that were tightened
                continue
            gained = self._gain(found, best)
            if self.better(found, best):
                best = found
            elif not found.feasible:
                self._tighten(found)
            if (found.feasible and gained <= self.gap) or not self.time_left():
                break
            last = found
        best = None if best is None else improved(self, best, 0.5 * self.time_limit)
        best, self.exhausted = best_of_all(self, best, 0.5 * self.time_limit)
        if progress is not None:
            progress(1.0)
        return best, common

    def one_for_all(self) -> tuple[Evaluated | None, Evaluated | None]:
        """The best plan with one configuration for all users, each with its best gossip, and the best with uniform gossip."""
        self._until = time.perf_counter() + self.time_limit
        common, _ = self.common()
        return (best_common_with_gossip(self, common) if self.gossip else common), common

    def time_left(self) -> bool:
        """Whether a further program may be solved."""
        return time.perf_counter() < self._until

    def _gain(self, found: Evaluated, best: Evaluated | None) -> float:
        """Relative gain of a plan over the best so far."""
        if best is None:
            return np.inf
        if self.objective == "latency":
            return 1 - found.figures.mean_latency / best.figures.mean_latency
        return found.accuracy / max(best.accuracy, 1e-12) - 1

    def _congestion(self, last: Evaluated) -> Congestion:
        if np.isfinite(last.estimate.mean):
            return Congestion.at(self.work, last.choice, last.asked, last.estimate)
        return Congestion.pollaczek_khinchine(self.work, last.choice, last.asked)

    def _solve(self, congestion: Congestion, last: Evaluated) -> Evaluated | None:
        self.rounds += 1
        budgets = self._budgets(last)
        certificate = self._program(congestion, budgets)
        if certificate is None:
            return None
        choice, asked = certificate
        if self.gossip and not np.isfinite(budgets.user).any():  # the polish is for the mean over all prompts alone
            asked = self._polished(choice, asked, congestion, budgets)
        return self.evaluate(choice, asked)

    def _program(self, congestion: Congestion, budgets: Budgets) -> tuple[IntArray, FloatArray] | None:
        left = max(0.3 * self.time_limit, 0.7 * (self._until - time.perf_counter()))
        certificate = self.program.solve(congestion, budgets, scale=self.scale, gap=self.gap, time_limit=left)
        if certificate.choice is None or certificate.asked is None:
            return None
        self.certificate = certificate
        return certificate.choice, certificate.asked

    def _polished(self, choice: IntArray, asked: FloatArray, congestion: Congestion, budgets: Budgets) -> FloatArray:
        """Of the gossips with which these choices are admissible, the one with the least latency."""
        found = self.gossip_program(choice).solve(congestion, budgets.cap, scale=self.scale)
        return asked if found is None else found

    def _budgets(self, last: Evaluated) -> Budgets:
        """Limits on the surrogate's means that stand for all limits on latency, by the ratios of the last plan."""
        figures, limits = last.figures, self.limits.latencies
        plain = last.estimate
        mean, users = np.inf, np.full(self.work.users.size, np.inf)
        for name, allowed in limits.items():
            value = getattr(figures, name)
            allowed = allowed * self._tighter[name]
            if not np.isfinite(value):
                ratio = {"mean": 1.0, "p95": 2.5, "p99": 4.0}[LATENCIES[name].removeprefix("user_")]
                if name.startswith("user_"):
                    users = np.minimum(users, allowed / ratio)
                else:
                    mean = min(mean, allowed / ratio)
            elif name.startswith("user_"):
                raised = getattr(figures, name) / max(float(getattr(plain, LATENCIES[name])[self.work.users].max()), 1e-300)
                by_user = getattr(plain, LATENCIES[name])[self.work.users] * raised
                users = np.minimum(users, allowed * plain.user_mean[self.work.users] / by_user)
            else:
                mean = min(mean, allowed * plain.mean / value)
        return Budgets(mean=mean, user=users, cap=self._cap.copy(), min_accuracy=self.limits.min_accuracy or 0.0)

    def _tighten(self, found: Evaluated) -> None:
        """After a plan that breaks limits: what broke has to be kept with more room."""
        for violation in found.violations:
            if violation.limit in self._tighter:
                self._tighter[violation.limit] *= _CUT
            elif violation.limit in {"memory", "max_utilisation"}:
                memory = found.estimate.memory
                over = found.estimate.utilisation > self.limits.max_utilisation
                if memory is not None and self.limits.memory is not None:
                    over |= memory.quantile > self.limits.memory
                room = np.minimum(self._cap, found.estimate.utilisation)
                self._cap = np.where(over, np.maximum(0.93 * room, 1e-6), self._cap)

    def prices(self, best: Evaluated) -> tuple[tuple[str, float, float, float], ...]:
        """Approximation, by the surrogate at a plan: what a tenth more of every latency limit buys.

        Returns
        -------
        tuple of (str, float, float, float)
            Name of the limit, its value, the value that is a tenth more, and the rise of the accuracy.
        """
        if self.objective != "accuracy" or not self.per_user:
            return ()
        congestion, found = self._congestion(best), []
        self._tighter = dict.fromkeys(LATENCIES, 1.0)
        options = {"scale": self.scale, "gap": self.gap, "time_limit": 0.2 * self.time_limit}
        here = self.program.solve(congestion, self._budgets(best), **options)
        kept = self.limits
        for name, allowed in kept.latencies.items():
            self.limits = replace(kept, **{name: _MORE * allowed})
            there = self.program.solve(congestion, self._budgets(best), **options)
            self.limits = kept
            if here.choice is not None and there.choice is not None:
                found.append((name, allowed, _MORE * allowed, max(0.0, there.value - here.value)))
        return tuple(found)


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
