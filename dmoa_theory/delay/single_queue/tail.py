"""How often the wait at a device exceeds a given time: exactly, in the limit of long times, and bounded.

Exact for M/G/1. In a DMoA network with layers arrivals come in groups, and the figures are an approximation.

The wait W of an M/G/1 queue has the transform ``E[exp(-s W)] = (1 - rho) s / (s - R + R E[exp(-s S)])`` (Pollaczek and
Khinchine). Where the service law is light-tailed there is one eta > 0 with ``R (E[exp(eta S)] - 1) = eta``, and
``P(W > x)`` decays like ``C exp(-eta x)`` and never exceeds ``exp(-eta x)`` (Cramér and Lundberg). A lognormal law has no such
eta: then ``P(W > x) ~ rho / (1 - rho) P(S_e > x)``, with ``P(S_e > x) = E[(S - x)+] / E[S]`` (Pakes, Embrechts, Veraverbeke).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.single_queue.closed_form import md1_wait_tail
from dmoa_theory.delay.single_queue.inversion import invert
from dmoa_theory.delay.single_queue.job_mix import ComplexArray, JobMix
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray

__all__ = ["Decay", "decay", "lundberg_bound", "sojourn_tail", "subexponential_tail", "wait_quantile", "wait_tail"]

# Up to so many constant services the closed form is used.
_MOST_SERVICES = 200


class Decay(NamedTuple):
    """``P(W > x) ~ constant exp(-rate x)``: rate in 1/s, constant from 0 to 1."""

    rate: float
    constant: float


def decay(mix: JobMix) -> Decay | None:
    """Exact for M/G/1: how fast the tail of the wait decays; None for a lognormal law, under which no exponential bounds it.

    Parameters
    ----------
    mix : JobMix
        Of load below 1.

    Notes
    -----
    eta is the root of ``R (E[exp(eta S)] - 1) = eta``, the constant is ``(1 - rho) / (R E[S exp(eta S)] - 1)``.

    References
    ----------
    Asmussen, S. (2003), Applied Probability and Queues, 2nd edition, chapter XIII, section 5.

    Examples
    --------
    M/M/1: the rate is ``mu - R``, the constant rho.

    >>> from dmoa_theory import System
    >>> from dmoa_theory.delay.single_queue.job_mix import job_mix
    >>> [round(x, 12) for x in decay(job_mix(System.from_arrays([[0]], 0.75, 1.0, M=0, k=0), 0))]
    [0.25, 0.75]
    """
    if not mix.light_tailed:
        return None
    from scipy import optimize

    def excess(s: float) -> float:
        return float(min(mix.rate * mix.growth(s)[0] - 1, 1e300))

    low = high = min(0.5 * mix.abscissa, 1.0 / float(mix.mean.max()))
    while excess(low) > 0:
        low /= 2
    while excess(high) < 0:
        high = 2 * high if not np.isfinite(mix.abscissa) else (high + mix.abscissa) / 2
        if high >= mix.abscissa:  # rounding: a load so small that eta is the abscissa itself
            return Decay(mix.abscissa, 0.0)
    rate = low if low == high else float(optimize.brentq(excess, low, high, xtol=1e-15 * high, rtol=1e-14))
    return Decay(rate, (1 - mix.load) / (mix.rate * mix.growth(rate)[1] - 1))


def lundberg_bound(mix: JobMix, x: FloatArray) -> FloatArray:
    """Bound for M/G/1: ``P(W > x) <= exp(-eta x)``; 1 for a lognormal law, of which nothing of the kind is true.

    References
    ----------
    Kingman, J. F. C. (1964), "A martingale inequality in the theory of queues", Mathematical Proceedings of the Cambridge
    Philosophical Society 60(2), 359-361.
    """
    found = decay(mix)
    x = np.asarray(x, dtype=np.float64)
    return np.ones(x.shape) if found is None else np.asarray(np.exp(-found.rate * x))


def wait_tail(mix: JobMix, x: FloatArray) -> FloatArray:
    """Exact for M/G/1 (to about 1e-8 of itself): the probability that a job waits longer than x.

    Where the density jumps, as at the possible values of mixed constants or samples, to about 1e-3, 1e-2 at loads near 0.

    Parameters
    ----------
    mix : JobMix
        Of load below 1; not of a lognormal law (see :func:`dmoa_theory.delay.single_queue.lattice.tail_bracket`).
    x : ndarray, seconds
        At least 0.

    Notes
    -----
    The transform of ``exp(eta x) P(W > x)``, a bounded function, is inverted, so that small probabilities keep their digits.

    Examples
    --------
    >>> from dmoa_theory import System
    >>> from dmoa_theory.delay.single_queue.job_mix import job_mix
    >>> mix = job_mix(System.from_arrays([[0]], 0.75, 1.0, M=0, k=0), 0)
    >>> [float(f"{p:.6g}") for p in (wait_tail(mix, np.array([0.0, 4.0, 200.0])) / (0.75 * np.exp([0, -1, -50])))]
    [1.0, 1.0, 1.0]
    """
    x = np.asarray(x, dtype=np.float64)
    tail = _tail(mix, None, x)
    if mix.samples is None and not mix.scv.any() and np.ptp(mix.mean) == 0:
        exact = md1_wait_tail(mix.load, mix.service_mean, np.minimum(x, _MOST_SERVICES * mix.service_mean))
        return np.where((x <= _MOST_SERVICES * mix.service_mean) & (exact > 1e-8), exact, tail)
    return tail


def sojourn_tail(mix: JobMix, job: JobMix, x: FloatArray) -> FloatArray:
    """Exact for M/G/1 (as :func:`wait_tail`): the probability that wait and service of a job together take longer than x.

    Parameters
    ----------
    mix : JobMix
        All jobs of the device.
    job : JobMix
        Those it is asked of, such as the jobs of one stage.
    x : ndarray, seconds
    """
    return _tail(mix, job, x)


def _tail(mix: JobMix, job: JobMix | None, x: FloatArray) -> FloatArray:
    found = decay(mix)
    if found is None:
        raise InputError("law", mix.law.value, "a light-tailed law; for others see tail_bracket and subexponential_tail")
    x = np.asarray(x, dtype=np.float64)
    eta = found.rate if job is None or found.rate < job.abscissa else 0.5 * job.abscissa

    def tilted(s: ComplexArray) -> ComplexArray:
        s = s - eta
        idle = mix.rate * (1 - mix.transform(s))
        tail = (mix.load - idle / s) / (s - idle)  # (1 - E[exp(-s W)]) / s, without the cancellation
        if job is None:
            return np.asarray(tail)
        own = job.transform(s)
        return np.asarray(tail * own + (1 - own) / s)

    positive = x > 0
    answer = np.full(x.shape, mix.load if job is None else 1.0)
    answer[positive] = np.clip(invert(tilted, x[positive]) * np.exp(-eta * x[positive]), 0.0, 1.0)
    return answer


def wait_quantile(mix: JobMix, level: float) -> float:
    """Exact for M/G/1 (as :func:`wait_tail`): the wait that a fraction ``level`` of the jobs does not exceed, seconds.

    Examples
    --------
    >>> from dmoa_theory import System
    >>> from dmoa_theory.delay.single_queue.job_mix import job_mix
    >>> mix = job_mix(System.from_arrays([[0]], 0.75, 1.0, M=0, k=0), 0)
    >>> round(wait_quantile(mix, 0.95), 6), round(float(np.log(15) * 4), 6), wait_quantile(mix, 0.2)
    (10.832201, 10.832201, 0.0)
    """
    if not 0 < level < 1:
        raise InputError("level", level, "a number above 0 and below 1")
    if level <= 1 - mix.load:
        return 0.0
    from scipy import optimize

    found = decay(mix)
    if found is None:
        raise InputError("law", mix.law.value, "a light-tailed law; for others see tail_bracket")
    most = -np.log1p(-level) / found.rate  # by Lundberg's bound

    def beyond(t: float) -> float:
        return float(wait_tail(mix, np.array([t]))[0]) - (1 - level)

    return float(optimize.brentq(beyond, 0.0, most * (1 + 1e-6), xtol=1e-10 * most, rtol=1e-12))


def subexponential_tail(mix: JobMix, x: FloatArray) -> FloatArray:
    """Approximation for M/G/1, exact in the limit of large x for subexponential laws such as the lognormal.

    ``P(W > x) ~ rho / (1 - rho) P(S_e > x)``: one long service makes the wait long. At moderate x it is far too low, the more
    so at high loads; :func:`dmoa_theory.delay.single_queue.lattice.tail_bracket` says by how much.

    References
    ----------
    Pakes, A. G. (1975), "On the tails of waiting-time distributions", Journal of Applied Probability 12(3), 555-564.
    Embrechts, P. and Veraverbeke, N. (1982), "Estimates for the probability of ruin with special emphasis on the possibility of
    large claims", Insurance: Mathematics and Economics 1(1), 55-72.
    """
    return np.minimum(mix.load / (1 - mix.load) * mix.excess(x) / mix.service_mean, 1.0)
