"""Bounds on the mean duration of a layer that hold whatever the dependence between its jobs.

The own job and those at a random set A of k neighbours take T_u and T_j; the layer ends when r of the m = k + 1 are done. Write
``g_u(t) = P(T_u > t)`` and ``g_j(t) = pi_j P(T_j > t | j asked)``, with ``pi_j = P(j in A)``. While the layer is not over at
least a = m - r + 1 jobs are not done, of which at most l are at any l given devices; so by Markov's inequality, for l = 0..a-1,

    P(layer > t)  <=  (sum of all but the l largest g_j(t)) / (a - l).

Likewise at least r jobs are done once the layer is over, which bounds ``P(layer <= t)`` in the same way with
``f_j(t) = pi_j P(T_j <= t | j asked)`` in place of g and r in place of a.

For r = m the first integrates to the classical bound ``E max <= min_theta theta + sum pi_j E[(T_j - theta)+]``, and
every law alone bounds it from below: ``P(max > t) >= P(T_j > t)``, integrated. For a set that is not random both are sharp:
the upper one is reached by the maximally dependent joint law (Lai and Robbins 1976; Meilijson and Nádas 1979), the lower one
by the comonotone law, under which the largest is ``max_j`` of the quantile functions at one uniform variable
(Fréchet-Hoeffding). They bound a layer given the laws of its jobs' sojourns; what those laws are they do not say.

References
----------
Lai, T. L. and Robbins, H. (1976), "Maximally dependent random variables", Proceedings of the National Academy of Sciences
73(2), 286-288. Meilijson, I. and Nádas, A. (1979), "Convex majorization with an application to the length of critical paths",
Journal of Applied Probability 16(3), 671-677.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmoa_theory.delay.fork_join_bounds.laws import SojournLaw, survivals
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.selection import head_counts

__all__ = ["StageBounds", "comonotone_mean", "stage_bounds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBounds:
    """Bounds on the mean duration of a layer, seconds.

    Attributes
    ----------
    lower, upper : float
        The mean lies between them.
    lower_by_means : float
        What the jobs' means alone say: ``E max >= max_j E T_j``, averaged over the random set; at most ``lower``, and 0 with
        a smaller quorum, of which means say nothing.
    theta : float
        The time up to which the upper bound on ``P(layer > t)`` is 1; the minimising one of the classical bound.
    """

    lower: float
    upper: float
    lower_by_means: float
    theta: float


def stage_bounds(
    own: SojournLaw,
    neighbours: Sequence[SojournLaw] = (),
    inclusion: FloatArray | None = None,
    *,
    k: int | None = None,
    quorum: int | None = None,
    coins: FloatArray | None = None,
) -> StageBounds:
    """Bound: the mean duration of a layer, given the laws of the sojourns of its jobs.

    Parameters
    ----------
    own : SojournLaw
        Of the own job.
    neighbours : sequence of SojournLaw
        Of the job at each neighbour, given that it is asked.
    inclusion : ndarray, shape (d,)
        Probability that each neighbour is asked; default 1.
    k : int, optional
        Neighbours asked at a time; default the sum of ``inclusion``.
    quorum : int, optional
        Answers that end the layer; default all k + 1.
    coins : ndarray, shape (d,), optional
        Coin chances of the choice (see :mod:`dmoa_theory.model.selection`), where the neighbours are chosen without regard to
        how long their jobs will take, and a job takes as long whichever others are asked. The lower bound is then averaged
        over the random set, and higher. So it is in a DMoA system without link delays: all jobs of a layer are queued at once.

    Returns
    -------
    StageBounds
        Exact bounds for samples, up to rounding; else up to the error of quadrature, about 1e-7 of them.

    Raises
    ------
    InputError
        When the lengths, the probabilities or the quorum do not fit.

    Examples
    --------
    Two exponential jobs of mean 1: the slower takes 1.5 on average if they are independent, 1 if they are equal, and
    ``1 + log 2`` if they are maximally dependent.

    >>> from dmoa_theory.delay.fork_join_bounds.laws import GammaLaw
    >>> unit = GammaLaw(1.0, 1.0)
    >>> found = stage_bounds(unit, [unit])
    >>> round(found.lower, 6), round(found.upper, 6), round(found.theta, 2)
    (1.0, 1.693147, 0.69)
    """
    d = len(neighbours)
    chance = np.ones(d) if inclusion is None else np.asarray(inclusion, dtype=np.float64)
    if chance.shape != (d,) or not ((chance >= 0) & (chance <= 1 + 1e-12)).all():
        raise InputError("inclusion", f"shape {chance.shape}", f"{d} probabilities, one a neighbour")
    asked = round(float(chance.sum())) if k is None else k
    if abs(chance.sum() - asked) > 1e-9 * (1 + d):
        raise InputError("inclusion", f"a sum of {chance.sum():.6g}", f"probabilities that sum to k = {asked}")
    r = asked + 1 if quorum is None else quorum
    if not 1 <= r <= asked + 1:
        raise InputError("quorum", r, f"a whole number from 1 to {asked + 1}")
    weight = np.append(1.0, chance)[:, None]
    theta = _split([own, *neighbours], weight, asked + 2 - r)
    grid = survivals([own, *neighbours], theta)
    upper = np.minimum(_at_least(weight * grid.of_law, asked + 2 - r), 1.0)
    means = np.array([[own.mean], *([law.mean] for law in neighbours)])
    lower = _lower(grid.of_law, chance, asked, r, coins)
    by_means = _lower(means, chance, asked, r, coins) if r == asked + 1 else np.zeros(1)
    return StageBounds(
        lower=float(lower @ grid.weight),
        upper=float(upper @ grid.weight),
        lower_by_means=float(by_means[0]),
        theta=theta,
    )


def comonotone_mean(laws: Sequence[SojournLaw]) -> float:
    """Exact: the mean of the largest of comonotone times, all driven by one uniform variable; no dependence makes it smaller.

    Examples
    --------
    >>> from dmoa_theory.delay.fork_join_bounds.laws import GammaLaw
    >>> round(comonotone_mean([GammaLaw(1.0, 1.0), GammaLaw(3.0, 9.0)]), 6)
    3.0
    """
    grid = survivals(laws)
    return float(grid.of_law.max(axis=0) @ grid.weight)


def _lower(of_law: FloatArray, chance: FloatArray, k: int, quorum: int, coins: FloatArray | None) -> FloatArray:
    """Lower bound on P(layer > t) from the survival functions, or on E max from the means; shape (g,)."""
    own, rest = of_law[0], of_law[1:]
    weighted: FloatArray = chance @ rest
    if quorum <= k:
        weight = np.append(1.0, chance)[:, None]
        return np.asarray(np.maximum(1 - _at_least(weight * (1 - of_law), quorum), 0.0))
    if k == 0:
        return np.asarray(own)
    if coins is not None:
        return _averaged(own, rest, np.asarray(coins, dtype=np.float64), k)
    # at most one layer's worth of jobs is late with it: the maximum over all weights whose k largest sum to one
    return np.asarray(np.maximum.reduce([own, (chance[:, None] * rest).max(axis=0), weighted / k]))


def _averaged(own: FloatArray, rest: FloatArray, coins: FloatArray, k: int) -> FloatArray:
    """``max(own, max_{j in A} rest_j)`` averaged over the random set A; shape (g,).

    In falling order of ``rest``, neighbour i is the largest asked if those before it are not and k of the others from i on are.
    """
    order = np.argsort(-rest, axis=0, kind="stable")
    falling, p = np.take_along_axis(rest, order, axis=0), coins[order]
    d, g = rest.shape
    heads = np.zeros((k + 1, g))  # chance of c heads among the coins from place i + 1 on
    heads[0] = 1.0
    at = np.empty((d, g))
    for i in range(d - 1, -1, -1):
        at[i] = p[i] * heads[k - 1]
        heads[1:] = heads[1:] * (1 - p[i]) + heads[:-1] * p[i]
        heads[0] *= 1 - p[i]
    before = np.vstack((np.ones((1, g)), np.cumprod(1 - p, axis=0)[:-1]))
    total = head_counts(coins, k)[k]
    return np.asarray((before * at * np.maximum(own, falling)).sum(axis=0) / total)


def _at_least(chances: FloatArray, count: int) -> FloatArray:
    """Bound on the probability that at least ``count`` of the events happen, of which any l are left out in turn; shape (g,).

    Parameters
    ----------
    chances : ndarray, shape (n_events, g)
    count : int
        At least 1.
    """
    if count == 1:
        return np.asarray(chances.sum(axis=0))
    rising = np.cumsum(np.sort(chances, axis=0), axis=0)
    return np.asarray(np.min([rising[len(chances) - 1 - left] / (count - left) for left in range(count)], axis=0))


def _split(laws: list[SojournLaw], weight: FloatArray, count: int) -> float:
    """The time up to which the upper bound on the chance that the layer is not over is at least 1, by bisection."""

    def bound(t: float) -> float:
        return float(_at_least(weight * np.array([law.survival(np.array([t])) for law in laws]), count)[0])

    low, high = 0.0, max(float(law.quantiles(np.array([1 - 1e-12]))[0]) for law in laws)
    if bound(low) < 1:
        return 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if bound(middle) >= 1 else (low, middle)
    return high
