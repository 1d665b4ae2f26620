"""Who asks whom with what work: the pieces from which the loads of all reduced systems are put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.selection import coin_chances, inclusion_from_coins
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System

__all__ = ["Asking", "asking", "inclusion_of_rows"]


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """A system's links as its users with prompts use them.

    Attributes
    ----------
    system : System
    M, k : ndarray, shape (n,)
        With ``k = 0`` for users who ask nobody, or have no prompts.
    choice : ndarray, shape (n,)
        From how many neighbours each user chooses.
    source, target : ndarray, shape (a,)
        Ends of the links that are in use: of users who ask, and with a weight above zero.
    place : ndarray, shape (a,)
        Their places among all links.
    """

    system: System
    M: IntArray
    k: IntArray
    choice: IntArray
    source: IntArray
    target: IntArray
    place: IntArray

    @property
    def rates(self) -> FloatArray:
        """Prompts/s of each user; shape (n,)."""
        return self.system.rates

    def own_work(self, k: IntArray) -> FloatArray:
        """Seconds of work that a prompt of each user brings to its own device when it asks ``k``; shape as ``k``, (..., n)."""
        own = np.empty(k.shape)
        for size, mean in self._means(k):
            layers = mean[:, Stage.FIRST] + np.maximum(self.M - 1, 0) * mean[:, Stage.LATER]
            value = layers + (self.M > 0) * mean[:, Stage.AGGREGATE]
            own = value * np.ones(k.shape) if size is None else np.where(k == size, value, own)
        return own

    def visit_work(self, k: IntArray) -> FloatArray:
        """Seconds of work at the target of each used link if all layers of a prompt ask it; shape (..., a), ``k`` (..., n)."""
        work = np.empty((*k.shape[:-1], self.source.size))
        for size, mean in self._means(k):
            value = mean[self.target, Stage.FIRST] + (self.M[self.source] - 1) * mean[self.target, Stage.LATER]
            work = value * np.ones(work.shape) if size is None else np.where(k[..., self.source] == size, value, work)
        return work

    def work(self) -> FloatArray:
        """Seconds of work a second that each used link brings to its target now; shape (a,)."""
        return np.asarray(self.rates[self.source] * self.system.inclusion()[self.place] * self.visit_work(self.k))

    def _means(self, k: IntArray) -> list[tuple[int | None, FloatArray]]:
        """Mean service times for each k that occurs; once, for None, where they do not depend on it."""
        service, shape = self.system.service, (self.system.n_devices, len(Stage))
        if not service.grows_with_k:
            return [(None, np.broadcast_to(service.for_k(0).mean, shape))]
        return [(size, np.broadcast_to(service.for_k(size).mean, shape)) for size in np.unique(k).tolist()]

    def rows(self) -> IntArray:
        """Where each user's used links start and the last one's end; shape (n + 1,)."""
        return np.concatenate(([0], np.cumsum(np.bincount(self.source, minlength=self.M.size))))

    def weights(self) -> FloatArray | None:
        """Selection weights of the used links; None where neighbours are drawn uniformly."""
        weight = self.system.moa.selection_weight
        return None if weight is None else weight[self.place]

    def coins(self) -> FloatArray:
        """Coin chances of the used links, whose odds are proportional to the weights; NaN where somebody is asked always."""
        rows, weights = self.rows(), self.weights()
        found = np.full(self.source.size, np.nan)
        if weights is None:
            return found
        degree = np.diff(rows)
        users = np.flatnonzero(degree)
        for size, k in np.unique(np.column_stack((degree[users], self.k[users])), axis=0).tolist():
            links = rows[users[(degree[users] == size) & (self.k[users] == k)]][:, None] + np.arange(size)
            links = links[np.isfinite(weights[links]).all(axis=1)]
            found[links] = coin_chances(weights[links], k)
        return found


def asking(system: System) -> Asking:
    """Exact: the links that the users with prompts of a system use."""
    M, k, _ = system.moa.per_user(system.n_devices)
    k = np.where(system.rates > 0, k, 0)
    network, weight = system.network, system.moa.selection_weight
    source = network.link_sources()
    used = k[source] > 0 if weight is None else (k[source] > 0) & (weight > 0)
    place = np.flatnonzero(used)
    return Asking(
        system, M, k, system.choice_size(), source[place].astype(np.int64), network.indices[place].astype(np.int64), place
    )


def inclusion_of_rows(weights: FloatArray, k: int, coins: FloatArray) -> FloatArray:
    """Exact: inclusion probabilities of rows of choices; a weight of zero excludes.

    Parameters
    ----------
    weights : ndarray, shape (r, d)
        Each row with at least ``k`` positive weights and at most ``k`` infinite ones.
    k : int
    coins : ndarray, shape (r, d)
        Chances whose odds are proportional to the weights row by row; NaN where they have to be solved for. Any factor gives
        the same law, given k heads; so those of all neighbours serve also where some are excluded.

    Returns
    -------
    ndarray, shape (r, d)
    """
    usable = (weights > 0).sum(axis=1) == k
    found = np.zeros(weights.shape)
    found[usable] = weights[usable] > 0  # all that are left are asked
    solved = ~usable & np.isfinite(coins).all(axis=1)
    for rows in (solved, ~usable & ~solved):
        if rows.any():
            chances = coins[rows] * (weights[rows] > 0) if rows is solved else coin_chances(weights[rows], k)
            found[rows] = inclusion_from_coins(chances, k)
    return found
