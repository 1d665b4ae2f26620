"""How much work reaches every device once overloaded ones hold back the layers that would follow.

With ``x_i = 1 + w_i`` (:mod:`dmoa_theory.stability.growth.joins`) and ``phi_u = E[1 / J_u]``, forks of stage ``s`` of user
``u`` take place at the rate ``lambda_u phi_u^s``: those at ``t J`` stem from those at ``t``, so a rate ``e`` becomes
``e E[1 / J]``. Summed over users and stages this gives the work that arrives at each device, ``G_i(x)`` seconds a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.growth.joins import Joins, all_joins

__all__ = ["ClassFlow", "Flows"]

#: Share of entries that are not zero from which on full matrices are quicker.
_DENSE = 0.05


@dataclass(frozen=True, slots=True)
class ClassFlow:
    """Jobs whose service follows one law: ``mean`` (n, 3) in seconds, ``rate`` (n, 3) in jobs/s, and the users' ``k``."""

    mean: FloatArray
    rate: FloatArray
    k: int


class _Forks(NamedTuple):
    """Forks of first layers, later layers and aggregations by user, prompts/s; shape (n,) each."""

    first: FloatArray
    later: FloatArray
    home: FloatArray


class Flows:
    """The work that reaches every device, as a function of how fast queues grow.

    Parameters
    ----------
    system : System
    """

    def __init__(self, system: System) -> None:
        self.system = system
        n = system.n_devices
        self.rates = system.rates
        self.layers, ks, _ = system.moa.per_user(n)
        self.joins: list[Joins] = list(all_joins(system))
        self._to_neighbours = sparse.csr_array(system.network.matrix(system.inclusion()).T)
        used = ks if system.service.grows_with_k else np.zeros(n, dtype=np.int64)
        able = self.rates > 0
        self._classes: list[tuple[int, FloatArray, BoolArray]] = []
        for k in np.unique(used[able]).tolist():
            members = able & (used == k)
            mean = np.broadcast_to(system.service.for_k(int(ks[members].max())).mean, (n, len(Stage)))
            self._classes.append((int(ks[members].max()), mean, members))

    def phi(self, x: FloatArray) -> FloatArray:
        """E[1 / J] of every user; 1 where it plays no part. Shape (n,)."""
        phi = np.ones(self.rates.size)
        for joins in self.joins:
            phi[joins.users] = joins.average(np.reciprocal, x)
        return phi

    def forks(self, phi: FloatArray) -> _Forks:
        """Fork rates ``lambda``, ``lambda (phi + ... + phi^(M-1))``, ``lambda phi^M``; a bare prompt (M = 0) is first."""
        layered = self.layers > 0
        later = np.where(layered, _powers(phi, self.layers), 0.0)
        return _Forks(self.rates, self.rates * later, self.rates * np.where(layered, phi**self.layers, 0.0))

    def by_class(self, phi: FloatArray) -> list[ClassFlow]:
        """The jobs that reach every device, one entry for each law of service times."""
        forks, layered = self.forks(phi), self.layers > 0
        flows = []
        for k, mean, members in self._classes:
            own = np.where(members, forks.first, 0.0)
            asked = np.where(layered, own, 0.0)
            later = np.where(members, forks.later, 0.0)
            rate = np.column_stack((own + self._to_neighbours @ asked, self._spread(later), np.where(members, forks.home, 0.0)))
            flows.append(ClassFlow(mean, rate, k))
        return flows

    def work(self, phi: FloatArray) -> FloatArray:
        """``G``: seconds of work a second that reach every device; shape (n,)."""
        return np.asarray(sum((flow.rate * flow.mean).sum(axis=1) for flow in self.by_class(phi)))

    def elasticity(self, phi: FloatArray, work: FloatArray) -> FloatArray:
        """By what power the work at every device falls when all ``x`` rise together: its mean number of layers gone by."""
        later, home = self._rises(phi)
        by_power = np.zeros(work.size)
        for _, mean, members in self._classes:
            by_power += mean[:, Stage.LATER] * self._spread(np.where(members, later, 0.0))
            by_power += mean[:, Stage.AGGREGATE] * np.where(members, home, 0.0)
        return np.divide(by_power, work, out=np.zeros(work.size), where=work > 0)

    def log_slopes(self, x: FloatArray, phi: FloatArray, work: FloatArray) -> sparse.csr_array:
        """``N``: entry (i, j) is by what power the work at ``i`` falls as ``x_j`` rises; shape (n, n), none below 0."""
        n = work.size
        later, home = self._rises(phi)
        to_all = sparse.csr_array(self._to_neighbours + self._identity)
        by_fork = sparse.csr_array((n, n))
        for _, mean, members in self._classes:
            spread = sparse.diags_array(mean[:, Stage.LATER]) @ to_all @ sparse.diags_array(np.where(members, later, 0.0))
            by_fork = by_fork + spread + sparse.diags_array(mean[:, Stage.AGGREGATE] * np.where(members, home, 0.0))
        rows, columns, values = [], [], []
        for joins in self.joins:
            slopes = joins.slopes(x)
            fork = np.broadcast_to(joins.users[:, None], joins.neighbours.shape)
            rows += [joins.users, fork.ravel()]
            columns += [joins.users, joins.neighbours.ravel()]
            values += [slopes.own, slopes.neighbours.ravel()]
        if not rows:
            return sparse.csr_array((n, n))
        place = (np.concatenate(rows), np.concatenate(columns))
        of_phi = sparse.csr_array((np.concatenate(values), place), shape=(n, n))
        scale = np.divide(1.0, work, out=np.zeros(n), where=work > 0)
        relative = sparse.diags_array(1 / phi) @ of_phi @ sparse.diags_array(x)
        scaled = sparse.diags_array(-scale) @ by_fork
        if relative.nnz > _DENSE * n**2:  # then so is the product, and full matrices are quicker
            return sparse.csr_array(scaled.toarray() @ relative.toarray())
        return sparse.csr_array(scaled @ relative)

    def _rises(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """By how much forks of later layers, and aggregations, rise for one per cent more of ``phi``, in hundredths."""
        later = self.rates * np.where(self.layers > 0, _weighted_powers(phi, self.layers), 0.0)
        return later, self.rates * self.layers * np.where(self.layers > 0, phi**self.layers, 0.0)

    def _spread(self, forks: FloatArray) -> FloatArray:
        return np.asarray(forks + self._to_neighbours @ forks)

    @cached_property
    def _identity(self) -> sparse.dia_array:
        return sparse.diags_array(np.ones(self.rates.size))


def _powers(phi: FloatArray, layers: IntArray) -> FloatArray:
    """``phi + ... + phi^(M-1)``, 0 for M below 2."""
    log_phi = np.log(phi)
    steps = np.maximum(layers - 1, 0)
    ratio = np.divide(np.expm1(steps * log_phi), np.expm1(log_phi), out=steps.astype(np.float64), where=log_phi < 0)
    return np.asarray(phi * ratio)


def _weighted_powers(phi: FloatArray, layers: IntArray) -> FloatArray:
    """``phi + 2 phi^2 + ... + (M-1) phi^(M-1)``; near ``phi = 1``, where the closed form loses digits, ``M (M-1) / 2``."""
    M = np.maximum(layers, 1).astype(np.float64)
    gap = 1 - phi
    safe = np.where(gap * M > 1e-4, gap, 1.0)
    closed = phi * (1 - M * phi ** (M - 1) + (M - 1) * phi**M) / safe**2
    return np.where(gap * M > 1e-4, closed, M * (M - 1) / 2)
