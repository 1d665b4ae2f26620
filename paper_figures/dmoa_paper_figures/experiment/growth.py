"""Queues over time from empty, and how fast they grow, from long exact runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_paper_figures.settings import Settings
from dmoa_theory import System
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.simulation.kernel.recorded_run import record_run

__all__ = ["Growth", "growth_of"]

_LOOKS = 81


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Growth:
    """What long runs from empty queues show.

    Attributes
    ----------
    time : ndarray, shape (81,), s
    jobs : ndarray, shape (81, n)
        At every device, waiting or in service; mean of runs.
    low, high : ndarray, shape (81,)
        5th and 95th percentile of runs of the mean over devices.
    rate, half_width : ndarray, shape (n,), jobs/s
        Growth in the second half of the runs, and half its 95 % interval.
    mean_rate, mean_half_width : float, jobs/s
        Of the mean over devices.
    """

    time: FloatArray
    jobs: FloatArray
    low: FloatArray
    high: FloatArray
    rate: FloatArray
    half_width: FloatArray
    mean_rate: float
    mean_half_width: float


def growth_of(system: System, settings: Settings, *purpose: int) -> Growth:
    """Exact runs: queues from empty while prompts keep arriving.

    Parameters
    ----------
    system : System
        Stable or not; one second is about a service.
    settings : Settings
    *purpose : int
        Which random numbers to use.
    """
    from scipy.stats import t

    time = np.linspace(0.0, settings.span, _LOOKS)
    seeds = np.random.SeedSequence([settings.seed, *purpose]).spawn(settings.trajectories)
    seen = np.array([record_run(system, until=settings.span, seed=seed).in_system.counts(time) for seed in seeds], dtype=float)
    half = _LOOKS // 2
    rate = (seen[:, -1] - seen[:, half]) / (time[-1] - time[half])
    mean = seen.mean(axis=2)
    wide = float(t.ppf(0.975, len(seeds) - 1)) / np.sqrt(len(seeds))
    of_runs = rate.mean(axis=1)
    return Growth(
        time=time,
        jobs=seen.mean(axis=0),
        low=np.quantile(mean, 0.05, axis=0),
        high=np.quantile(mean, 0.95, axis=0),
        rate=rate.mean(axis=0),
        half_width=wide * rate.std(axis=0, ddof=1),
        mean_rate=float(of_runs.mean()),
        mean_half_width=float(wide * of_runs.std(ddof=1)),
    )
