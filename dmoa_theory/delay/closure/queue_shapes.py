"""Shape of the wait of a job that waits, by M/G/1: numerically, from the mix of jobs that each device serves.

By Pollaczek and Khinchine the wait is a sum of N independent remainders of service times, with N geometric; given that the job
waits, N >= 1. Convolution on an even grid gives the law, which is kept relative to its mean: the closure supplies the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.delay.closure.unit_laws import UnitLawBook, UnitLaws
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import WorkMoments, stage_flows

__all__ = ["JobMix", "QueueShapes", "job_mix", "queue_shapes"]

_NODES, _SPAN, _AT_ONCE = 2048, 16.0, 64
# With fewer nodes than this for a mean remainder, shapes are taken as gamma.
_NODES_EACH = 3.0
# Beyond so many devices, those whose loads and job mixes agree to two digits share a shape.
_MANY = 2000


@dataclass(frozen=True, slots=True)
class JobMix:
    """The kinds of jobs at each device: share of the load, mean service (s) and number of the unit law; shape (n, kinds)."""

    share: FloatArray
    mean: FloatArray
    law: IntArray


@dataclass(frozen=True, slots=True)
class QueueShapes:
    """Distribution functions of waits relative to their mean, at ``reach (i / m)^2``; ``of`` says which one a device has.

    Attributes
    ----------
    of : ndarray, shape (n,)
    reach, scv : ndarray, shape (shapes,)
    cdf : ndarray, shape (shapes, points + 1)
    """

    of: IntArray
    reach: FloatArray
    scv: FloatArray
    cdf: FloatArray


def job_mix(system: System, devices: IntArray, load: FloatArray, book: UnitLawBook) -> JobMix:
    """Kinds of jobs at some devices, of all users' stages; ``load`` has shape (devices,)."""
    share, means, laws = [], [], []
    for flow in stage_flows(system):
        for stage in Stage:
            n = system.n_devices
            mean = np.broadcast_to(flow.service.mean[:, stage], (n,))
            scv = np.broadcast_to(flow.service.scv[:, stage], (n,))
            rate = flow.rate[:, stage]
            if rate.any():
                share.append((rate * mean)[devices] / load)
                means.append(mean[devices])
                laws.append(book.numbers(flow.service, scv)[devices])
    return JobMix(np.column_stack(share), np.column_stack(means), np.column_stack(laws))


def queue_shapes(mix: JobMix, work: WorkMoments, scv: FloatArray, laws: UnitLaws, points: int) -> QueueShapes:
    """Numerically exact for M/G/1 (to about 1e-3): the shape of every device's wait, alike devices worked out once.

    Parameters
    ----------
    mix : JobMix
    work : WorkMoments
        Of the same devices, all of them used and stable.
    scv : ndarray, shape (n,)
        Of the wait of a job that waits.
    laws : UnitLaws
    points : int
        Steps of the tables.
    """
    mean = work.second / (2 * (1 - work.load)) / work.load  # of the wait of a job that waits
    keys = np.column_stack((work.load, mix.share, mix.mean / mean[:, None], mix.law))
    digits = 2 if work.load.size > _MANY else 12
    _, first, of = np.unique(np.round(keys, digits), axis=0, return_index=True, return_inverse=True)
    remainder = _remainders(laws)
    reach, variability = 1 + _SPAN * np.sqrt(scv[first]), scv[first].copy()
    even = (np.arange(points + 1) / points) ** 2
    cdf = _gamma_shapes(variability, reach, even)
    resolved = np.flatnonzero((1 - work.load[first]) * _NODES >= _NODES_EACH * reach)
    for begin in range(0, resolved.size, _AT_ONCE):
        chunk = resolved[begin : begin + _AT_ONCE]
        which = first[chunk]
        end = mean[which] * reach[chunk]
        masses = np.stack([_masses(mix, int(d), e, laws, remainder) for d, e in zip(which, end, strict=True)])
        phi = np.fft.rfft(masses, 2 * _NODES, axis=1)
        load = work.load[which, None]
        law = np.fft.irfft((1 - load) * phi / (1 - load * phi), 2 * _NODES, axis=1)[:, :_NODES]
        law = np.maximum(law, 0.0)
        law /= law.sum(axis=1, keepdims=True)
        x = end[:, None] * np.arange(_NODES) / _NODES
        first_moment = (law * x).sum(axis=1)
        variability[chunk] = (law * x**2).sum(axis=1) / first_moment**2 - 1
        reach[chunk] = end / first_moment
        total = np.cumsum(law, axis=1) - law / 2
        for row, values in zip(chunk.tolist(), total, strict=True):
            cdf[row] = np.interp(even * _NODES, np.arange(_NODES), values)
            cdf[row, 0], cdf[row, -1] = 0.0, 1.0
    return QueueShapes(of.ravel(), reach, variability, cdf)


def _gamma_shapes(scv: FloatArray, reach: FloatArray, even: FloatArray) -> FloatArray:
    """Gamma laws of mean 1 with these SCVs: the shapes of waits many times as long as a service, where details are lost."""
    from scipy import special

    cdf = special.gammainc(1 / scv[:, None], even * (reach / scv)[:, None])
    return np.asarray(cdf / cdf[:, -1:])


def _remainders(laws: UnitLaws) -> tuple[FloatArray, FloatArray]:
    """Integral of the distribution function of every unit law's remainder, at the even steps of a fine grid of each."""
    steps = np.arange(laws.cdf.shape[1]) / (laws.cdf.shape[1] - 1)
    x = laws.low[:, None] + laws.span[:, None] * steps**2
    x = np.concatenate((np.zeros((x.shape[0], 1)), x), axis=1)
    tail = np.concatenate((np.ones((x.shape[0], 1)), 1 - laws.cdf), axis=1)
    tail[:, 1] = 1.0
    width = np.diff(x, axis=1)
    law = np.concatenate((np.zeros((x.shape[0], 1)), np.cumsum(width * (tail[:, 1:] + tail[:, :-1]) / 2, axis=1)), axis=1)
    return x, law / law[:, -1:]


def _masses(mix: JobMix, device: int, end: float, laws: UnitLaws, remainder: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Mass of a device's remaining service at the nodes of an even grid up to ``end``."""
    edges = (np.arange(_NODES + 1) - 0.5) * end / _NODES
    total = np.zeros(_NODES + 1)
    for share, mean, law in zip(mix.share[device], mix.mean[device], mix.law[device], strict=True):
        if share > 0:
            total += share * np.interp(edges / mean, remainder[0][law], remainder[1][law])
    return np.diff(total)
