"""What many finite runs say together. Each run counts as one independent observation, whatever happened inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.simulation.bursts.burst_run import Run, look_times
from dmoa_theory.simulation.output.intervals import FEWEST_BEYOND, Interval, ratio_interval

__all__ = [
    "Band",
    "BufferTimes",
    "FirstFull",
    "Latencies",
    "PromptPlaces",
    "PublishedRuns",
    "QueueTrajectories",
    "buffer_times",
    "deviation",
    "latencies",
    "latency_mean",
    "latency_quantile",
    "mean_of_runs",
    "prompt_places",
    "published_runs",
    "queue_trajectories",
]

#: Places in a burst that are told apart; more prompts are taken together in groups.
MOST_PLACES = 200
#: Shares of the runs below the two ends of a band.
BAND = (0.05, 0.95)
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Band:
    """A queue over time: mean over runs with its standard error, and the 5th and 95th percentile of runs.

    Arrays of one shape, times first; the standard error is NaN of a single run.
    """

    mean: FloatArray
    error: FloatArray
    lower: FloatArray
    upper: FloatArray


class Latencies(NamedTuple):
    """Latency over all prompts of all runs, s."""

    mean: Interval
    p50: Interval
    p95: Interval
    p99: Interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueueTrajectories:
    """Queues over time.

    Attributes
    ----------
    time : ndarray, shape (T,), s
    waiting, in_system : Band, shape (T, n)
    waiting_per_device, in_system_per_device : Band, shape (T,)
        Of the mean over devices.
    """

    time: FloatArray
    waiting: Band
    in_system: Band
    waiting_per_device: Band
    in_system_per_device: Band


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptPlaces:
    """Latency by the prompt's place in its run, counted from 1; shape (places,), seconds.

    Attributes
    ----------
    first, last : ndarray of int
        The places that are taken together: one, unless runs are longer than 200 prompts.
    mean : Interval
    p50, p95, p99 : ndarray
    """

    first: IntArray
    last: IntArray
    mean: Interval
    p50: FloatArray
    p95: FloatArray
    p99: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublishedRuns:
    """What the published code would report, over runs.

    Attributes
    ----------
    latency, average_queue_size : Interval
    latency_deviation, queue_deviation : float
        Standard deviation of one run.
    """

    latency: Interval
    latency_deviation: float
    average_queue_size: Interval
    queue_deviation: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstFull:
    """When a number of waiting jobs is first reached.

    Attributes
    ----------
    chance : Interval
        That it is, within a run.
    mean : Interval, s
        Time, of the runs in which it is.
    median : ndarray, s
        Likewise; NaN where it never is.
    """

    chance: Interval
    mean: Interval
    median: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BufferTimes:
    """When buffers of ``size`` jobs are first full: by device, and the first of all devices."""

    size: int
    by_device: FirstFull
    any_device: FirstFull


def mean_of_runs(values: npt.NDArray[np.generic]) -> Interval:
    """Exact for normal figures: mean over runs, the first axis, with Student's interval; runs that have none are left out."""
    figures = np.asarray(values, dtype=np.float64)
    known = np.isfinite(figures)
    return ratio_interval(np.where(known, figures, 0.0), known.astype(np.float64), CONFIDENCE)


def deviation(values: FloatArray) -> float:
    """Standard deviation of one run's figure; NaN when fewer than two runs have it."""
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1)) if known.size > 1 else np.nan


def latency_mean(runs: Sequence[Run]) -> Interval:
    """Approximation, exact for runs of equally many prompts: mean over prompts; a ratio of totals over runs."""
    totals = np.array([[run.latency.sum(), run.latency.size] for run in runs])
    return ratio_interval(totals[:, 0], totals[:, 1], CONFIDENCE)


def latency_quantile(runs: Sequence[Run], level: float) -> Interval:
    """Approximation for many runs: a percentile over prompts, with its 95 % interval.

    Notes
    -----
    As :func:`dmoa_theory.simulation.output.intervals.quantile_interval`, from the latencies themselves, not a histogram: with
    ``Q`` the pooled quantile function and ``h`` the half width of the share of prompts at or below ``Q(p)``, a ratio over
    runs, the interval is ``[Q(p - h), Q(p + h)]``; prompts of one run, which are alike, thus do not count as independent.
    """
    pooled = np.concatenate([run.latency for run in runs])
    if not pooled.size:
        return Interval.around(np.asarray(np.nan), np.asarray(np.nan))
    value = np.quantile(pooled, level)
    below = np.array([[np.count_nonzero(run.latency <= value), run.latency.size] for run in runs], dtype=np.float64)
    half = float(ratio_interval(below[:, 0], below[:, 1], CONFIDENCE).half_width)
    enough = pooled.size * min(level, 1 - level) >= FEWEST_BEYOND * (1 - 1e-12)  # 100 (1 - 0.9) falls short of 10
    lower = np.quantile(pooled, level - half) if enough and level - half > 0 else np.nan
    upper = np.quantile(pooled, level + half) if enough and level + half < 1 else np.nan
    ends = np.asarray(lower), np.asarray(upper)
    return Interval(value=np.asarray(value), half_width=(ends[1] - ends[0]) / 2, lower=ends[0], upper=ends[1])


def latencies(runs: Sequence[Run]) -> Latencies:
    """Mean and percentiles over prompts."""
    return Latencies(latency_mean(runs), *(latency_quantile(runs, level) for level in (0.50, 0.95, 0.99)))


def prompt_places(runs: Sequence[Run]) -> PromptPlaces:
    """Latency by the prompt's place in its run; later places of runs of unequal length are those of the longer runs."""
    most = max(run.latency.size for run in runs)
    together = max(1, -(-most // MOST_PLACES))
    first = np.arange(0, most, together)
    total, count = np.zeros((len(runs), first.size)), np.zeros((len(runs), first.size))
    for r, run in enumerate(runs):
        if run.latency.size:
            starts = first[first < run.latency.size]
            total[r, : starts.size] = np.add.reduceat(run.latency, starts)
            count[r, : starts.size] = np.diff(np.append(starts, run.latency.size))
    place = np.concatenate([np.arange(run.latency.size) // together for run in runs])
    pooled = np.concatenate([run.latency for run in runs])[np.argsort(place, kind="stable")]
    parts = np.split(pooled, np.cumsum(np.bincount(place, minlength=first.size))[:-1])
    figures = np.array([np.quantile(part, (0.5, 0.95, 0.99)) for part in parts if part.size]).reshape(-1, 3)
    return PromptPlaces(
        first=first + 1,
        last=np.minimum(first + together, most),
        mean=ratio_interval(total, count, CONFIDENCE),
        p50=figures[:, 0],
        p95=figures[:, 1],
        p99=figures[:, 2],
    )


def published_runs(runs: Sequence[Run]) -> tuple[PublishedRuns | None, str | None]:
    """The published figures over runs, or why there are none."""
    reason = next((run.published_reason for run in runs if run.published_reason is not None), None)
    if reason is not None:
        return None, reason
    latency = np.array([run.published_latency for run in runs])
    queue = np.array([run.published_queue for run in runs])
    if not np.isfinite(latency).any():
        return None, "no prompt arrived in any run"
    published = PublishedRuns(
        latency=mean_of_runs(latency),
        latency_deviation=deviation(latency),
        average_queue_size=mean_of_runs(queue),
        queue_deviation=deviation(queue),
    )
    return published, None


def buffer_times(runs: Sequence[Run], size: int) -> BufferTimes:
    """When ``size`` jobs first wait, device by device and at any."""
    first = np.array([run.first_full for run in runs], dtype=np.float64)
    return BufferTimes(size=size, by_device=_first_full(first), any_device=_first_full(first.min(axis=1)))


def _first_full(first: FloatArray) -> FirstFull:
    """Over runs, the first axis; times are infinite in runs in which it does not happen."""
    happens = np.isfinite(first)
    medians = [
        float(np.median(times[np.isfinite(times)])) if np.isfinite(times).any() else np.nan for times in np.atleast_2d(first.T)
    ]
    return FirstFull(
        chance=_chance(happens.sum(axis=0), len(first)),
        mean=mean_of_runs(first),
        median=np.array(medians).reshape(first.shape[1:]),
    )


def _chance(times: IntArray, runs: int) -> Interval:
    """A share of runs with the exact interval of Clopper and Pearson (Biometrika 26(4), 1934), sound for none and for all."""
    from scipy.special import betaincinv

    tail = (1 - CONFIDENCE) / 2
    count = np.asarray(times, dtype=np.float64)
    lower = np.where(count > 0, betaincinv(np.maximum(count, 1), runs - count + 1, tail), 0.0)
    upper = np.where(count < runs, betaincinv(count + 1, np.maximum(runs - count, 1), 1 - tail), 1.0)
    return Interval(value=count / runs, half_width=(upper - lower) / 2, lower=lower, upper=upper)


def queue_trajectories(runs: Sequence[Run]) -> QueueTrajectories:
    """The runs laid over each other, at the times of the run with the longest steps; a queue is empty after its run's end."""
    octave = max(run.octave for run in runs)
    time = look_times(max(run.span for run in runs), octave)
    waiting = _laid_over([(run.waiting_at, run.octave) for run in runs], octave, time.size)
    waiting_mean, waiting_band = _bands(waiting)
    del waiting
    in_system = _laid_over([(run.in_system_at, run.octave) for run in runs], octave, time.size)
    in_system_mean, in_system_band = _bands(in_system)
    return QueueTrajectories(
        time=time,
        waiting=waiting_band,
        in_system=in_system_band,
        waiting_per_device=waiting_mean,
        in_system_per_device=in_system_mean,
    )


def _laid_over(looks: Sequence[tuple[npt.NDArray[np.int32], int]], octave: int, size: int) -> npt.NDArray[np.int32]:
    """Counts of every run at common times; shape (runs, T, n)."""
    counts = np.zeros((len(looks), size, looks[0][0].shape[1]), dtype=np.int32)
    for r, (seen, steps) in enumerate(looks):
        picked = seen[:: min(2 ** (octave - steps), len(seen))]
        counts[r, : len(picked)] = picked
    return counts


def _bands(counts: npt.NDArray[np.int32]) -> tuple[Band, Band]:
    """Of the mean over devices, and of every device; device by device, so that no second copy of all counts is made."""
    runs, size, n = counts.shape
    mean, error, lower, upper = (np.full((size, n), np.nan) for _ in range(4))
    alone = np.full(size, np.nan)
    for d in range(n):
        mean[:, d] = counts[:, :, d].mean(axis=0)
        error[:, d] = counts[:, :, d].std(axis=0, ddof=1) / np.sqrt(runs) if runs > 1 else alone
        lower[:, d], upper[:, d] = np.quantile(counts[:, :, d], BAND, axis=0)
    over_devices = counts.mean(axis=2)
    low, high = np.quantile(over_devices, BAND, axis=0)
    scatter = over_devices.std(axis=0, ddof=1) / np.sqrt(runs) if runs > 1 else alone
    together = Band(mean=over_devices.mean(axis=0), error=scatter, lower=low, upper=high)
    return together, Band(mean=mean, error=error, lower=lower, upper=upper)
