"""Convex program: the fair rates that the limits admit, for one (M, k).

Maximise ``sum_u weight_u log lambda_u`` (proportional fairness) subject to the limits. Loads are linear in the rates; with
waits ``theta_i rho_i / (1 - rho_i)`` both the mean latency of every user and, times the sum of the rates, the mean over all
prompts are convex. CLARABEL solves it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.optimisation.programs.congestion import Congestion
from dmoa_theory.optimisation.programs.mixed import Budgets
from dmoa_theory.optimisation.programs.modelling import modelling
from dmoa_theory.optimisation.programs.work import Work

__all__ = ["RatesProgram"]


class RatesProgram:
    """The program of one system in one configuration; compiled once, solved for any congestion and budgets.

    Parameters
    ----------
    work : Work
    place : int
        Of the configuration among those of ``work``.
    weight : ndarray, shape (U,), optional
        Of every user; default equal.
    """

    def __init__(self, work: Work, place: int, *, weight: FloatArray | None = None) -> None:
        cp = modelling()

        self.work, self.place = work, place
        n, users = work.n, work.users.size
        self.weight = np.ones(users) if weight is None else weight
        choice = np.full(users, place)
        asked = work.uniform(choice)
        self.unit = float(work.rates.max())
        self.loads = _by_user(work, work.own_load[:, place], work.link_load[:, place] * asked) / work.rates * self.unit
        seen = _by_user(work, work.own_waits[:, place], np.full(asked.size, work.link_waits[place]) * asked)
        self.idle = work.idle(choice, asked)
        self.residual, self.crowd = cp.Parameter(n, nonneg=True), cp.Parameter(n, nonneg=True)
        self.cap, self.mean = cp.Parameter(n, nonneg=True), cp.Parameter(nonneg=True)
        self.user = cp.Parameter(users, nonneg=True)
        self.x = cp.Variable(users, nonneg=True)
        load = self.loads @ self.x
        self.e = cp.Variable(n, nonneg=True)
        rows: list[Any] = [
            load <= self.cap,
            self.e >= cp.inv_pos(1 - load) - 1,
            self.idle + seen.T @ cp.multiply(self.residual, self.e) <= self.user,
            self.idle @ self.x + self.crowd @ (self.e - load) <= self.mean * cp.sum(self.x),
        ]
        self.problem = cp.Problem(cp.Maximize(self.weight @ cp.log(self.x)), rows)

    def solve(self, congestion: Congestion, budgets: Budgets) -> FloatArray | None:
        """Exact for the surrogate (to 1e-6): fair rates, shape (U,), prompts/s; None where none are admissible."""
        cp = modelling()

        self.residual.value = congestion.residual
        self.crowd.value = congestion.crowd / self.unit
        self.cap.value = budgets.cap
        self.mean.value = min(budgets.mean, 1e6 * float(self.idle.max()))
        self.user.value = np.minimum(budgets.user / congestion.user_ratio, 1e6 * self.idle.max())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of accuracy short of the solver's own: what it finds is evaluated anyway
                self.problem.solve(solver=cp.CLARABEL, warm_start=False)
        except cp.SolverError:
            return None
        if self.x.value is None or self.problem.status not in {"optimal", "optimal_inaccurate"}:
            return None
        return np.asarray(np.maximum(self.x.value, 0.0) * self.unit)


def _by_user(work: Work, own: FloatArray, link: FloatArray) -> FloatArray:
    """What each user (column) brings to each device (row); shape (n, U)."""
    found = np.zeros((work.n, work.users.size))
    found[work.users, np.arange(work.users.size)] = own
    np.add.at(found, (work.link_device, work.link_user), link)
    return found
