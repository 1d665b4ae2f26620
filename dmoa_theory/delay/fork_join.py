"""How long a layer takes: the slowest of the own job and of ``k`` jobs at neighbours drawn at random.

The jobs are taken as independent with gamma-distributed sojourn times; the average over the random choice of neighbours is
exact. With coin chances ``p_j`` (see :mod:`dmoa_theory.model.selection`) the probability that all drawn neighbours are done
by time ``t`` is the coefficient of ``z^k`` in ``prod_j (1 - p_j + p_j F_j(t) z)``, divided by the same without the ``F_j``:
for the uniform choice, the elementary symmetric polynomial ``e_k(F_1, ..., F_d)`` over the number of subsets. A quorum needs
a second counter, of the jobs done among those drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.selection import head_counts

__all__ = ["GammaLaws", "StageMoments", "TimeGrid", "layer_moments", "time_grid"]

# A gamma law with this shape has a coefficient of variation of 1e-4: near enough to a constant, and still smooth.
_LARGEST_SHAPE = 1e8
_EDGE_LEVELS = np.array(
    [1e-8, 1e-3, 0.03, 0.15, 0.35, 0.6, 0.8, 0.92, 0.97, 0.99, 0.998, 0.9998, 1 - 1e-5, 1 - 1e-7, 1 - 1e-10, 1 - 1e-13]
)
_MOST_EDGES = 160
_NODES = 8
_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True)
class GammaLaws:
    """Gamma distributions matched to mean and variance; shape and scale have shape (m,), scale in seconds."""

    shape: FloatArray
    scale: FloatArray

    @classmethod
    def matching(cls, mean: FloatArray, variance: FloatArray) -> GammaLaws:
        """The laws with these means (s) and variances (s^2)."""
        shape = np.minimum(mean**2 / np.maximum(variance, mean**2 / _LARGEST_SHAPE), _LARGEST_SHAPE)
        return cls(shape, mean / shape)

    def cdf(self, t: FloatArray) -> FloatArray:
        """Chance to be done by times ``t``, shape (g,); result of shape (m, g)."""
        return np.asarray(special.gammainc(self.shape[:, None], np.maximum(t, 0.0) / self.scale[:, None]))

    def quantiles(self, levels: FloatArray) -> FloatArray:
        """Times by which a job is done with these probabilities; shape (m, n_levels), seconds."""
        return np.asarray(special.gammaincinv(self.shape[:, None], levels) * self.scale[:, None])


class TimeGrid(NamedTuple):
    """Nodes (s) and weights (s) of a quadrature over time; shape (g,)."""

    t: FloatArray
    weight: FloatArray


class StageMoments(NamedTuple):
    """Mean (s) and variance (s^2) of the time a layer takes, one a user; shape (n_users,)."""

    mean: FloatArray
    variance: FloatArray


def time_grid(laws: GammaLaws, shifts: FloatArray | None = None) -> TimeGrid:
    """Gauss-Legendre panels between pooled quantiles of all laws, so that every distribution function is resolved.

    Parameters
    ----------
    laws : GammaLaws
    shifts : ndarray, optional, seconds
        Delays by which laws are moved.
    """
    pooled = laws.quantiles(_EDGE_LEVELS)
    if shifts is not None and shifts.any():
        spread = np.unique(np.quantile(shifts, np.linspace(0, 1, 9)))
        pooled = (pooled.reshape(-1, 1) + np.append(spread, 0.0)).ravel()
    edges = np.unique(np.append(pooled.ravel(), 0.0))
    if edges.size > _MOST_EDGES:
        edges = edges[np.unique(np.linspace(0, edges.size - 1, _MOST_EDGES).round().astype(int))]
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(edges)[:, None] / 2
    return TimeGrid((edges[:-1, None] + half * (1 + node)).ravel(), (half * weight).ravel())


def layer_moments(
    laws: GammaLaws,
    own: IntArray,
    neighbours: IntArray,
    coins: FloatArray,
    k: int,
    quorum: int,
    *,
    delay: FloatArray | None = None,
) -> StageMoments:
    """Approximation (independent jobs): mean and variance of the time until ``quorum`` of ``k + 1`` jobs are done.

    Parameters
    ----------
    laws : GammaLaws, m of them
        Sojourn laws.
    own : ndarray, shape (n_users,)
        Which law the own job follows.
    neighbours : ndarray, shape (n_users, d)
        Which laws jobs at the neighbours follow.
    coins : ndarray, shape (n_users, d)
        Coin chances of the choice of neighbours, summing to k.
    k, quorum : int
        Neighbours drawn, and answers waited for (k + 1 for all).
    delay : ndarray, shape (n_users, d), seconds, optional
        Added to the sojourn at each neighbour.

    Returns
    -------
    StageMoments

    Examples
    --------
    The slower of two exponential jobs of mean 1 takes 1 + 1/2 on average.

    >>> unit = GammaLaws.matching(np.ones(2), np.ones(2))
    >>> moments = layer_moments(unit, np.array([0]), np.array([[1]]), np.array([[1.0]]), 1, 2)
    >>> moments.mean.round(9).tolist(), moments.variance.round(9).tolist()
    ([1.5], [1.25])
    """
    grid = time_grid(laws, delay)
    tables = laws.cdf(grid.t)
    users, degree = neighbours.shape
    mean, second = np.empty(users), np.empty(users)
    states = (k + 1) * (1 if quorum == k + 1 else k + 1)
    step = max(1, _CHUNK // (grid.t.size * max(states, 1)))
    for start in range(0, users, step):
        rows = slice(start, min(start + step, users))
        drawn = head_counts(coins[rows], k)[:, k, None] if degree else np.ones((rows.stop - start, 1))

        def done(j: int, rows: slice = rows) -> FloatArray:
            which = neighbours[rows, j]
            if delay is None:
                return np.asarray(tables[which])
            late = np.maximum(grid.t - delay[rows, j, None], 0.0)
            return np.asarray(special.gammainc(laws.shape[which, None], late / laws.scale[which, None]))

        finished = tables[own[rows]]
        if quorum == k + 1:
            layer = finished * _all_done(done, coins[rows], k, grid.t.size) / drawn
        else:
            counted = _counts_done(done, coins[rows], k, grid.t.size)
            layer = (counted[quorum:].sum(axis=0) + finished * counted[quorum - 1]) / drawn
        tail = np.clip(1 - layer, 0.0, 1.0)
        mean[rows] = tail @ grid.weight
        second[rows] = 2 * (tail @ (grid.weight * grid.t))
    return StageMoments(mean, np.maximum(second - mean**2, 0.0))


def _all_done(done: Callable[[int], FloatArray], coins: FloatArray, k: int, size: int) -> FloatArray:
    """Joint probability that k coins come up heads and their jobs are done; shape (n_users, g)."""
    users, degree = coins.shape
    state = np.zeros((k + 1, users, size))
    state[0] = 1.0
    if k == 0:
        return np.asarray(state[0])
    for j in range(degree):
        p = coins[:, j, None]
        gain = p * done(j)
        for c in range(min(k, j + 1), 0, -1):  # from the top, so that the state below is still the old one
            state[c] *= 1 - p
            state[c] += gain * state[c - 1]
        state[0] *= 1 - p
    return np.asarray(state[k])


def _counts_done(done: Callable[[int], FloatArray], coins: FloatArray, k: int, size: int) -> FloatArray:
    """Joint probability that k coins come up heads and m of their jobs are done, m = 0..k; shape (k + 1, n_users, g)."""
    users, degree = coins.shape
    state = np.zeros((k + 1, k + 1, users, size))
    state[0, 0] = 1.0
    for j in range(degree):
        p = coins[:, j, None]
        finished = done(j)
        for c in range(min(k, j + 1), 0, -1):
            for m in range(c, -1, -1):
                value = state[c, m] * (1 - p) + state[c - 1, m] * p * (1 - finished)
                if m:
                    value += state[c - 1, m - 1] * p * finished
                state[c, m] = value
        state[0, 0] *= 1 - p
    return np.asarray(state[k])
