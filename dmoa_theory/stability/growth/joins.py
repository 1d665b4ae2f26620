"""When layers end while queues grow in proportion to time: averages over the random choice of neighbours.

A job that reaches device ``j`` at time ``t`` leaves at ``t x_j``, with ``x_j = 1 + w_j`` and ``w_j t`` the work it finds. A
layer forked at ``t`` ends at ``t J``, with ``J`` the smallest (all answers: the largest) of the ``x`` that is at least as
large as ``quorum`` of them: the own one and those of the ``k`` neighbours drawn. Constant link delays vanish beside ``t``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.selection import coin_chances, head_counts
from dmoa_theory.model.system import System

__all__ = ["JoinSlopes", "Joins", "all_joins"]

#: Entries (user, neighbour) that are worked on at a time.
_CHUNK = 4_000_000


class JoinSlopes(NamedTuple):
    """Derivatives of E[1 / J] by the ``x`` of the own device, shape (m,), and of the neighbours, shape (m, d)."""

    own: FloatArray
    neighbours: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joins:
    """The layers of users who have ``k``, the quorum and the number of neighbours in common.

    Attributes
    ----------
    users : ndarray, shape (m,)
    neighbours : ndarray, shape (m, d)
    k, quorum : int
        Neighbours drawn in a layer, and answers waited for, from 1 to k + 1.
    coins : ndarray, shape (m, d), or None
        Coin chances of a weighted choice (:func:`dmoa_theory.model.selection.coin_chances`).
    """

    users: IntArray
    neighbours: IntArray
    k: int
    quorum: int
    coins: FloatArray | None = None

    def average(self, function: Callable[[FloatArray], FloatArray], x: FloatArray, quorum: int | None = None) -> FloatArray:
        """Exact: E[f(J)] of every user; shape (m,).

        With ``D_c`` the c-th smallest ``x`` among the neighbours drawn and ``r`` the quorum, ``J`` is the own ``x_u`` held
        between ``D_(r-1)`` and ``D_r``, so that ``f(J) = f(min(D_r, x_u)) + f(max(D_(r-1), x_u)) - f(x_u)``; and ``D_c`` is
        the m-th smallest of all neighbours with the probability of :meth:`_chances`.

        Parameters
        ----------
        function : callable
            Of ``x``, entry by entry.
        x : ndarray, shape (n,)
        quorum : int, optional
            Another than the users' own.
        """
        r = self.quorum if quorum is None else quorum
        own = x[self.users]
        at_own = function(own)
        value = at_own.copy()
        if self.k == 0:
            return value
        found = x[self.neighbours]
        order = None if self.coins is None else np.argsort(found, axis=1, kind="stable")
        ranked = np.sort(found, axis=1) if order is None else np.take_along_axis(found, order, axis=1)
        if r <= self.k:
            value += (self._chances(r, order) * function(np.minimum(ranked, own[:, None]))).sum(axis=1) - at_own
        if r >= 2:
            value += (self._chances(r - 1, order) * function(np.maximum(ranked, own[:, None]))).sum(axis=1) - at_own
        return value

    def slopes(self, x: FloatArray) -> JoinSlopes:
        """Exact where no two ``x`` are equal, one of the derivatives elsewhere: how E[1 / J] falls as an ``x`` rises."""
        own = x[self.users]
        by_own, by_rank = np.ones(own.size), np.zeros(self.neighbours.shape)
        if self.k == 0:
            return JoinSlopes(-by_own / own**2, by_rank)
        found = x[self.neighbours]
        order = np.argsort(found, axis=1, kind="stable")
        ranked = np.take_along_axis(found, order, axis=1)
        below = ranked < own[:, None]
        for c, counts in ((self.quorum, below), (self.quorum - 1, ~below)):
            if 1 <= c <= self.k:
                chances = self._chances(c, order)
                by_rank += chances * counts
                by_own -= (chances * counts).sum(axis=1)
        by_neighbour = np.zeros(found.shape)
        np.put_along_axis(by_neighbour, order, by_rank, axis=1)
        return JoinSlopes(-by_own / own**2, -by_neighbour / found**2)

    def _chances(self, c: int, order: IntArray | None) -> FloatArray:
        """Exact: the probability that the c-th smallest of those drawn is the m-th smallest of all; shape (m, d) or (d,).

        Uniform choice: ``C(m - 1, c - 1) C(d - m, k - c) / C(d, k)``. Weighted: ``c - 1`` heads among the coins before it,
        heads, and ``k - c`` heads after it, given ``k`` in all.
        """
        d, k = self.neighbours.shape[1], self.k
        if self.coins is None or order is None:
            log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, d + 1)))))
            m = np.arange(1, d + 1)
            able = (m >= c) & (d - m >= k - c)
            chances = np.zeros(d)
            low, high = m[able] - 1, d - m[able]
            log_ways = log_factorial[low] - log_factorial[low - (c - 1)] + log_factorial[high] - log_factorial[high - (k - c)]
            chances[able] = np.exp(log_ways - log_ways.max())
            return np.asarray(chances / chances.sum())
        p = np.take_along_axis(self.coins, order, axis=1)
        chances = p * _heads_before(p, c - 1) * _heads_before(p[:, ::-1], k - c)[:, ::-1]
        return np.asarray(chances / head_counts(self.coins, k)[:, k, None])


def _heads_before(p: FloatArray, heads: int) -> FloatArray:
    """Exact: the probability of so many heads among the coins before each; shape (m, d)."""
    counts = np.zeros((p.shape[0], heads + 1))
    counts[:, 0] = 1.0
    before = np.empty_like(p)
    for j in range(p.shape[1]):
        before[:, j] = counts[:, heads]
        chance = p[:, j, None]
        counts[:, 1:] = counts[:, 1:] * (1 - chance) + counts[:, :-1] * chance
        counts[:, :1] *= 1 - chance
    return before


def all_joins(system: System) -> Iterator[Joins]:
    """The layers of all users who send prompts and ask others, or only themselves, in at least one layer."""
    network, weight = system.network, system.moa.selection_weight
    degree = network.out_degree
    for group in system.groups():
        if group.M == 0:
            continue
        active = group.users[system.rates[group.users] > 0]
        size = degree[active] if group.k else np.zeros(active.size, dtype=np.int64)
        for d in np.unique(size).tolist():
            alike = active[size == d]
            step = max(1, _CHUNK // max(d, 1))
            for start in range(0, alike.size, step):
                users = alike[start : start + step]
                links = network.indptr[users][:, None] + np.arange(d)
                coins = None if weight is None or d == 0 else coin_chances(weight[links], group.k)
                neighbours = np.asarray(network.indices[links], dtype=np.int64)
                yield Joins(users=users, neighbours=neighbours, k=group.k, quorum=group.quorum, coins=coins)
