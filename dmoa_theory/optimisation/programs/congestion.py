"""The surrogate of congestion: waits as in an M/G/1 queue, from the load alone, and lines above and below that curve.

With the mean residual time ``theta_i`` of device ``i``, the mean wait is ``theta_i rho_i / (1 - rho_i)`` (Pollaczek-Khinchine).
Of all waits a second that count in latencies, in proportion ``gamma_i`` to the load, this makes ``theta_i gamma_i`` times
``rho_i^2 / (1 - rho_i)``. Both curves are convex: tangents lie below (they prove bounds), chords above (what they admit is
admissible). The latency theory at the last plan sets ``theta`` and ``gamma``, so there the surrogate is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.optimisation.programs.work import Work
from dmoa_theory.stability.loads import work_moments

__all__ = ["Congestion", "chords", "crowding", "grid", "tangents", "waiting"]


def waiting(load: FloatArray) -> FloatArray:
    """``rho / (1 - rho)``."""
    return np.asarray(load / (1 - load))


def crowding(load: FloatArray) -> FloatArray:
    """``rho^2 / (1 - rho)``."""
    return np.asarray(load**2 / (1 - load))


def grid(cap: float, points: int) -> FloatArray:
    """Loads from 0 to a cap, denser where the curves bend."""
    return np.asarray(1 - (1 - cap) ** (np.arange(points) / (points - 1)))


def tangents(loads: FloatArray, *, squared: bool) -> tuple[FloatArray, FloatArray]:
    """Slopes and intercepts of tangents at these loads, to ``rho^2 / (1 - rho)`` or to ``rho / (1 - rho)``."""
    slope = 1 / (1 - loads) ** 2 - (1.0 if squared else 0.0)
    value = crowding(loads) if squared else waiting(loads)
    return slope, value - slope * loads


def chords(loads: FloatArray, *, squared: bool) -> tuple[FloatArray, FloatArray]:
    """Slopes and intercepts of chords between neighbouring loads."""
    value = crowding(loads) if squared else waiting(loads)
    slope = np.diff(value) / np.diff(loads)
    return slope, value[:-1] - slope * loads[:-1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Congestion:
    """The constants of the surrogate.

    Attributes
    ----------
    residual : ndarray, shape (n,), seconds
        ``theta``: mean wait over ``rho / (1 - rho)``.
    crowd : ndarray, shape (n,)
        ``theta gamma``, in units of prompts under way.
    user_ratio : ndarray, shape (U,)
        The theory's mean latency of each user over the surrogate's, at the plan that set the constants.
    wait : ndarray, shape (n,), seconds
        Mean waits at that plan; limits on every user go by them where gossip is free.
    """

    residual: FloatArray
    crowd: FloatArray
    user_ratio: FloatArray
    wait: FloatArray

    def mean_latency(self, work: Work, choice: IntArray, asked: FloatArray) -> float:
        """The surrogate's mean latency over all prompts, s; infinite where a device is overloaded."""
        load = work.load(choice, asked)
        if (load >= 1).any():
            return float("inf")
        idle = float(work.share @ work.idle(choice, asked))
        return idle + float(self.crowd @ crowding(load)) / float(work.rates.sum())

    def user_latency(self, work: Work, choice: IntArray, asked: FloatArray) -> FloatArray:
        """The surrogate's mean latency of every user, s; shape (U,)."""
        load = work.load(choice, asked)
        if (load >= 1).any():
            return np.full(choice.size, np.inf)
        return work.user_latency(choice, asked, self.residual * waiting(load)) * self.user_ratio

    def blended(self, other: Congestion, share: float = 0.5) -> Congestion:
        """Constants between these and others."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("residual", "crowd", "user_ratio", "wait"))
        residual, crowd, user_ratio, wait = (share * mine + (1 - share) * theirs for mine, theirs in pairs)
        return Congestion(residual=residual, crowd=crowd, user_ratio=user_ratio, wait=wait)

    @classmethod
    def pollaczek_khinchine(cls, work: Work, choice: IntArray, asked: FloatArray) -> Congestion:
        """The constants of M/G/1 queues under a plan."""
        from dmoa_theory.optimisation.programs.settle import settle

        moments = work_moments(settle(work, choice, None))
        residual = np.divide(moments.second / 2, moments.load, out=np.zeros(work.n), where=moments.load > 0)
        return cls._of(work, choice, asked, residual)

    @classmethod
    def _of(cls, work: Work, choice: IntArray, asked: FloatArray, residual: FloatArray) -> Congestion:
        load, waits = work.load(choice, asked), work.waits(choice, asked)
        ratio = np.divide(waits, load, out=np.zeros(work.n), where=load > 0)
        # devices that the plan leaves idle: as the mean of the others
        used = load > 0
        residual = np.where(used, residual, residual[used].mean())
        ratio = np.where(used, ratio, ratio[used].mean())
        wait = residual * waiting(np.minimum(load, 0.99))
        return cls(residual=residual, crowd=residual * ratio, user_ratio=np.ones(choice.size), wait=wait)

    @classmethod
    def at(cls, work: Work, choice: IntArray, asked: FloatArray, estimate: LatencyEstimate) -> Congestion:
        """The constants that make the surrogate exact at a plan, given the latency theory's estimate of it."""
        load = work.load(choice, asked)
        full = np.clip(np.divide(load, 1 - load, out=np.zeros(work.n), where=load < 1), 1e-9, None)
        residual = np.where(load > 1e-9, np.nan_to_num(estimate.wait_mean) / full, 0.0)
        found = cls._of(work, choice, asked, residual)
        idle = float(work.share @ work.idle(choice, asked))
        queued = found.mean_latency(work, choice, asked) - idle
        factor = float(np.clip((estimate.mean - idle) / queued, 0.2, 5.0)) if queued > 1e-9 * idle else 1.0
        surrogate = found.user_latency(work, choice, asked)
        return cls(
            residual=found.residual,
            crowd=found.crowd * factor,
            user_ratio=estimate.user_mean[work.users] / surrogate,
            wait=found.wait,
        )
