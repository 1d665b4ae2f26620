"""Service times that the tables are explained by: what is estimated, and what a set of values means for every inference."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from dmoa_paper_figures.experiment.draws import Draws
from dmoa_paper_figures.experiment.kernel import replay_runs
from dmoa_paper_figures.published import DEVICES
from dmoa_theory.model.checks import FloatArray

__all__ = ["Figures", "ServiceTimes", "run_all", "standard_times"]

#: Parts into which the quantiles of a law are cut; between them it is interpolated.
_GRID = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServiceTimes:
    """How long every inference takes: ``mean[device] * multiplier[stage]`` on average, with that SCV, and loading on top.

    Attributes
    ----------
    mean : tuple of float, s
        One a device.
    scv : float
        Squared coefficient of variation; gamma law, 0 for no variation.
    multiplier : tuple of float
        First layer, later layers, aggregation.
    load : tuple of float, s
        What it takes to bring each device's model into memory.
    """

    mean: tuple[float, ...]
    scv: float
    multiplier: tuple[float, float, float] = (1.0, 1.0, 1.0)
    load: tuple[float, ...] = field(default=(0.0,) * len(DEVICES))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """Outcome of every run; shape (runs,).

    Attributes
    ----------
    latency : ndarray, s
        As published: mean over the ten prompts.
    queue : ndarray
        The published "average queue size".
    waiting : ndarray
        The usual one: jobs waiting at a device, average over time and devices.
    stay : ndarray, shape (runs, 10), s
        Latency of every prompt, in order of arrival.
    """

    latency: FloatArray
    queue: FloatArray
    waiting: FloatArray
    stay: FloatArray


@cache
def _quantiles(scv: float) -> FloatArray:
    """Quantiles of the gamma law of mean 1 and that SCV on an even grid; the mean of the grid is 1."""
    level = (np.arange(_GRID) + 0.5) / _GRID
    if scv == 0:
        return np.ones(_GRID)
    from scipy.special import gammaincinv

    values = np.asarray(gammaincinv(1 / scv, level), dtype=np.float64)
    return np.asarray(values / values.mean())


def standard_times(luck: FloatArray, scv: float) -> FloatArray:
    """Service times of mean 1 for uniform draws, by interpolation of 4096 quantiles.

    Parameters
    ----------
    luck : ndarray
    scv : float

    Examples
    --------
    >>> times = standard_times(np.linspace(0.0001, 0.9999, 5000), 0.25)
    >>> round(float(times.mean()), 3), round(float(times.var()), 2)
    (1.0, 0.25)
    """
    if scv == 0:
        return np.ones_like(luck)
    return np.interp(luck * _GRID - 0.5, np.arange(_GRID), _quantiles(scv))


def run_all(draws: Draws, times: ServiceTimes, standard: FloatArray | None = None) -> Figures:
    """Exact: every run replayed with these service times.

    Parameters
    ----------
    draws : Draws
    times : ServiceTimes
    standard : ndarray, shape (runs, 10, jobs), optional
        The outcome of :func:`standard_times`, where it is kept.
    """
    if standard is None:
        standard = standard_times(draws.luck, times.scv)
    mean, load = np.asarray(times.mean), np.asarray(times.load)
    multiplier = np.asarray(times.multiplier)[draws.stage]
    service = standard * mean[draws.device] * multiplier
    if load.any():
        service += load[draws.device] * draws.loads
    runs = draws.runs
    latency, queue, waiting, stay = np.empty(runs), np.empty(runs), np.empty(runs), np.empty(draws.arrival.shape)
    replay_runs(draws.arrival, draws.device, service, draws.M, draws.k, len(DEVICES), latency, queue, waiting, stay)
    return Figures(latency=latency, queue=queue, waiting=waiting, stay=stay)
