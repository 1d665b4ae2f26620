"""A pool of c equal servers that share one queue, M/G/c: the central server of the comparison.

Erlang's C is exact for exponential service; the mean wait is scaled by ``(1 + SCV) / 2`` (Lee and Longton 1959), which is
exact for exponential service and for a single server (Pollaczek-Khinchine), and an approximation otherwise: against
simulation of 2 to 16 servers, gamma service of SCV 0 to 4 and loads of 0.5 to 0.9, the mean of wait and service together was
within 4 % and its p95 within 8 %. The mean wait alone is worse at low load, where it is short: too short for constant service,
by 5 to 25 % at a load of 0.5, and up to 40 % too long for an SCV of 4 on 16 servers.

References
----------
Lee, A. M. and Longton, P. A. (1959), "Queueing processes associated with airline passenger check-in", Operational Research
Quarterly 10(1), 56-71. Kleinrock, L. (1975), Queueing Systems, volume 1, sections 3.5 and 5.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dmoa_theory.errors import InputError

__all__ = ["Pool", "erlang_c"]

# Nodes of a panel; quantiles of service, and multiples of the mean wait, between which panels lie.
_NODES = 16
_LEVELS = np.array([1e-12, 1e-8, 1e-5, 1e-3, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.999, 1 - 1e-5, 1 - 1e-8, 1 - 1e-12])
_DECAYS = np.array([40.0, 25.0, 15.0, 10.0, 6.0, 4.0, 2.0, 1.0, 0.5])
_CONSTANT = 1e-9
_MOST = 10**6


def erlang_c(servers: int, load: float) -> float:
    """Exact: the probability that an arrival at M/M/c has to wait (Erlang's C).

    Erlang's B by its recursion ``B_k = a B_{k-1} / (k + a B_{k-1})``, which only adds and divides positive numbers and so
    loses no digits; then ``C = B / (1 - rho (1 - B))``.

    Parameters
    ----------
    servers : int
        c, at least 1.
    load : float
        Utilisation of each server, ``rho``; 1 where it is 1 or more.

    Examples
    --------
    >>> from dmoa_theory.whatif.pool import erlang_c
    >>> round(erlang_c(2, 0.75), 12), erlang_c(1, 0.25)
    (0.642857142857, 0.25)
    """
    if isinstance(servers, bool) or not isinstance(servers, int | np.integer) or not 1 <= servers <= _MOST:
        raise InputError("servers", servers, f"a whole number from 1 to {_MOST}")
    if not load >= 0:
        raise InputError("load", load, "0 or more")
    return 1.0 if load >= 1 else _erlang_c(int(servers), float(load))


@lru_cache(maxsize=1024)
def _erlang_c(servers: int, load: float) -> float:
    offered, blocked = servers * load, 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """M/G/c, exact for M/M/c and in the mean for M/G/1, else an approximation.

    Parameters
    ----------
    servers : int
    rate : float, jobs/s
        Poisson arrivals.
    mean : float, s
        Of the service time on one server.
    scv : float
        Its squared coefficient of variation.

    Examples
    --------
    M/M/1 with mean service 1 s and load 0.7: 1 / 0.3 s, and exponential.

    >>> import numpy as np
    >>> from dmoa_theory.whatif.pool import Pool
    >>> queue = Pool(servers=1, rate=0.7, mean=1.0, scv=1.0)
    >>> round(queue.mean_time, 9), round(queue.quantile(0.95), 6), round(float(np.log(20) / 0.3), 6)
    (3.333333333, 9.985774, 9.985774)
    """

    servers: int
    rate: float
    mean: float
    scv: float

    @property
    def load(self) -> float:
        """Utilisation of each server."""
        return self.rate * self.mean / self.servers

    @property
    def capacity(self) -> float:
        """Jobs/s below which the queue stays bounded."""
        return self.servers / self.mean

    @property
    def waits(self) -> float:
        """Probability of having to wait, that of M/M/c (exact for M/G/1 too)."""
        return erlang_c(self.servers, self.load)

    @property
    def mean_wait(self) -> float:
        """Mean wait in queue; infinite at a load of one or more."""
        if self.load >= 1:
            return float("inf")
        return self.waits * self.mean / (self.servers * (1 - self.load)) * (1 + self.scv) / 2

    @property
    def mean_time(self) -> float:
        """Mean time from arrival to the end of service."""
        return self.mean_wait + self.mean

    def beyond(self, time: float) -> float:
        """The probability that a job takes longer, wait and service.

        The wait is zero or exponential with the mean that makes ``mean_wait`` right, as in M/M/c; service is a gamma law.
        """
        if self.load >= 1:
            return 1.0
        waits = self.waits
        if waits == 0:
            served, _ = self._served(time, np.inf)
            return 1 - served
        served, meanwhile = self._served(time, self.mean_wait / waits)
        return 1 - (1 - waits) * served - waits * meanwhile

    def quantile(self, level: float) -> float:
        """The time that a job stays below with that probability; infinite at a load of one or more."""
        from scipy import optimize

        if self.load >= 1:
            return float("inf")
        high = self.mean_time
        while self.beyond(high) > 1 - level:
            high *= 2
        return float(optimize.brentq(lambda time: self.beyond(time) - (1 - level), 0.0, high, xtol=1e-12 * high, rtol=1e-12))

    def _served(self, time: float, wait: float) -> tuple[float, float]:
        """P(S <= t), and P(S + E <= t) with an exponential E of mean ``wait``."""
        from scipy import special

        if self.scv < _CONSTANT:
            left = time - self.mean
            return float(left >= 0), float(-np.expm1(-left / wait)) if left > 0 else 0.0
        shape, scale = 1 / self.scv, self.mean * self.scv
        served = float(special.gammainc(shape, time / scale))
        if time <= 0 or not np.isfinite(wait):
            return served, 0.0
        # P(S + E <= t) is the integral of P(S <= s) exp(-(t - s) / w) / w: panels are short where either of the two bends
        bends = np.concatenate((scale * special.gammaincinv(shape, _LEVELS), time - wait * _DECAYS, (0.0, time)))
        ends = np.unique(bends.clip(0.0, time))
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        middle, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
        times = middle[:, None] + half[:, None] * nodes
        values = special.gammainc(shape, times / scale) * np.exp(-(time - times) / wait) / wait
        return served, float(half @ (values @ weights))
