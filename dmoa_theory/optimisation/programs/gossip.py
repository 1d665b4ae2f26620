"""Convex program: whom to ask, for given (M, k) of every user, so that prompts take least on average.

With inclusion probabilities ``q`` loads are linear, and the surrogate's mean latency

    sum_u share_u idle_u(q) + sum_i crowd_i rho_i^2 / (1 - rho_i) / Lambda,      rho^2 / (1 - rho) = 1 / (1 - rho) - 1 - rho,

is convex. CLARABEL solves it. Left to itself it asks fast devices only; ``least`` keeps some of uniform gossip's diversity.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.optimisation.programs.congestion import Congestion
from dmoa_theory.optimisation.programs.mixed import tidied
from dmoa_theory.optimisation.programs.modelling import modelling
from dmoa_theory.optimisation.programs.work import Work

__all__ = ["GossipProgram"]


class GossipProgram:
    """The program of one system and one choice of (M, k) by user; compiled once, solved for any congestion, caps and load.

    Parameters
    ----------
    work : Work
    choice : ndarray of int, shape (U,)
    least : float
        Smallest inclusion probability of a link, as a share of uniform gossip's.
    """

    def __init__(self, work: Work, choice: IntArray, *, least: float = 0.0) -> None:
        from scipy import sparse

        cp = modelling()

        self.work, self.choice, self.least = work, choice, least
        n, links, users = work.n, work.links.size, work.users.size
        k, mine = work.k[choice], choice[work.link_user]
        uniform = work.uniform(choice)
        self.crowd, self.scale = cp.Parameter(n, nonneg=True), cp.Parameter(nonneg=True)
        self.cap = cp.Parameter(n, nonneg=True)
        self.q = cp.Variable(links)
        into = sparse.csr_array(
            (work.link_load[np.arange(links), mine], (work.link_device, np.arange(links))), shape=(n, links)
        )
        own = np.bincount(work.users, work.own_load[np.arange(users), choice], n)
        self.load = cp.Variable(n)
        back = sparse.csr_array((np.ones(links), (work.link_user, np.arange(links))), shape=(users, links))
        idle = work.share[work.link_user] * work.link_idle[np.arange(links), mine]
        rows: list[Any] = [
            self.load == self.scale * (into @ self.q + own),
            self.load <= self.cap,
            back @ self.q == k.astype(float),
            self.q >= least * uniform,
            self.q <= np.where(k[work.link_user] > 0, 1.0, 0.0),
        ]
        crowding = cp.inv_pos(1 - self.load) - 1 - self.load
        self.problem = cp.Problem(cp.Minimize(idle @ self.q + self.crowd @ crowding), rows)

    def solve(self, congestion: Congestion, cap: FloatArray, *, scale: float = 1.0) -> FloatArray | None:
        """Exact for the surrogate (to 1e-6): the best inclusion probabilities, shape (L,); None where a device is overfull.

        Parameters
        ----------
        congestion : Congestion
        cap : ndarray, shape (n,)
            Largest utilisation of every device.
        scale : float
            Factor on all rates.
        """
        cp = modelling()

        self.scale.value, self.cap.value = scale, cap
        self.crowd.value = congestion.crowd / (scale * float(self.work.rates.sum()))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of accuracy short of the solver's own: what it finds is evaluated anyway
                self.problem.solve(solver=cp.CLARABEL, warm_start=False)
        except cp.SolverError:
            return None
        if self.q.value is None or self.problem.status not in {"optimal", "optimal_inaccurate"}:
            return None
        return tidied(self.work, self.choice, np.clip(self.q.value, 0.0, 1.0), self.least)
