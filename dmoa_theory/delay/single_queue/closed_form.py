"""Tails of the wait that have a closed form: exponential service (M/M/1) and constant service (M/D/1)."""

from __future__ import annotations

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray

__all__ = ["md1_wait_tail", "mm1_wait_tail"]


def mm1_wait_tail(load: float, mean: float, x: FloatArray) -> FloatArray:
    """Exact for M/M/1: ``P(W > x) = rho exp(-(1 - rho) x / mean)``.

    Parameters
    ----------
    load : float
        Below 1.
    mean : float, seconds
        Mean service time.
    x : ndarray, seconds

    Examples
    --------
    >>> mm1_wait_tail(0.5, 1.0, np.array([0.0, 2.0])).round(6).tolist()
    [0.5, 0.18394]
    """
    _check(load)
    return np.asarray(load * np.exp(-(1 - load) * np.asarray(x, dtype=np.float64) / mean))


def md1_wait_tail(load: float, mean: float, x: FloatArray) -> FloatArray:
    """Exact for M/D/1: the probability that a job waits longer than x when every service takes ``mean``.

    Parameters
    ----------
    load : float
        Below 1.
    mean : float, seconds
        The service time.
    x : ndarray, seconds

    Notes
    -----
    With ``(m - 1) mean <= x < m mean``, ``v = load (m - x / mean)`` and ``Q_i`` the probability that at most i jobs wait,
    ``P(W <= x) = exp(-v) sum_{j=0}^{m-1} Q_{m-1-j} v^j / j!``: a sum of positive terms, unlike the textbook's alternating one.

    References
    ----------
    Franx, G. J. (2001), "A simple solution for the M/D/c waiting time distribution", Operations Research Letters 29(5),
    221-229.

    Examples
    --------
    >>> md1_wait_tail(0.5, 1.0, np.array([0.0, 0.5])).round(6).tolist()
    [0.5, 0.357987]
    """
    _check(load)
    scaled = np.asarray(x, dtype=np.float64) / mean
    places = np.floor(scaled).astype(int)
    waiting = _at_most(load, int(places.max(initial=0)))
    answer = np.empty(scaled.shape)
    for index, (place, at) in enumerate(zip(places.ravel().tolist(), scaled.ravel().tolist(), strict=True)):
        v = load * (place + 1 - at)
        terms = np.exp(-v) * np.cumprod(np.concatenate(([1.0], v / np.arange(1, place + 1))))
        answer.flat[index] = 1 - terms @ waiting[place::-1]
    return np.maximum(answer, 0.0)


def _at_most(load: float, most: int) -> FloatArray:
    """Probability that at most 0, 1, ..., ``most`` jobs wait behind the one in service; shape (most + 1,).

    By level crossings of the number left behind, ``p_{i+1} a_0 = p_0 P(A > i) + sum_{l=1}^i p_l P(A > i - l + 1)`` with A the
    Poisson number of jobs that arrive during a service: positive terms again.
    """
    from scipy import special

    beyond = special.gammainc(np.arange(1, most + 3), load)  # P(A > i) = P(A >= i + 1)
    p = np.zeros(most + 2)
    p[0] = 1 - load
    for i in range(most + 1):
        p[i + 1] = np.exp(load) * (p[0] * beyond[i] + p[i:0:-1] @ beyond[1 : i + 1])
    return np.asarray(np.cumsum(p)[1:])


def _check(load: float) -> None:
    if not 0 <= load < 1:
        raise InputError("load", load, "at least 0 and below 1")
