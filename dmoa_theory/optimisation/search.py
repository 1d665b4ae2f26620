"""The search behind plans by user: solve on a surrogate, evaluate with the full theory, set the surrogate anew, solve again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.best_gossip import best_common_with_gossip
from dmoa_theory.optimisation.evaluated_plans import Evaluated, Plans
from dmoa_theory.optimisation.limits import LATENCIES, Limits
from dmoa_theory.optimisation.programs.congestion import Congestion
from dmoa_theory.optimisation.programs.mixed import Budgets, Certificate, MixedProgram
from dmoa_theory.optimisation.refining import best_of_all, improved

__all__ = ["Search"]

_ROUNDS = 10
# How much a budget shrinks when a plan that seemed admissible is not, beyond what the new constants say.
_CUT = 0.997
# How much more of a limit a price is told for.
_MORE = 1.1


class Search(Plans):
    """Solve, re-evaluate with the full theory, set the surrogate's constants anew, tighten, and solve again.

    Parameters
    ----------
    system, configurations, accuracy, limits, objective, per_user, gossip, margin, least
        As of :class:`~dmoa_theory.optimisation.evaluated_plans.Plans`.
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
        super().__init__(
            system,
            configurations,
            accuracy,
            limits,
            objective=objective,
            per_user=per_user,
            gossip=gossip,
            margin=margin,
            least=least,
            time_limit=time_limit,
        )
        self.gap = gap
        self.program = MixedProgram(
            self.work,
            accuracy,
            gossip=gossip,
            least=least,
            objective=objective,
            most_load=self.most_load,
            solver=solver,
        )

    def _start(self, limits: Limits) -> None:
        super()._start(limits)
        self.certificate: Certificate | None = None
        self.exhausted: int | None = None
        self._cap = np.full(self.work.n, limits.max_utilisation)
        self._tighter = dict.fromkeys(LATENCIES, 1.0)

    def run(self, progress: Callable[[float], None] | None = None) -> tuple[Evaluated | None, Evaluated | None]:
        """The best plan found that meets every limit under the full theory, and the best common one."""
        self._start_clock()
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
        self._start_clock()
        common, _ = self.common()
        return (best_common_with_gossip(self, common) if self.gossip else common), common

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
