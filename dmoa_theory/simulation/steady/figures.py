"""From the sums of batches to figures with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.simulation.output.intervals import (
    Interval,
    batches_are_independent,
    quantile_interval,
    ratio_interval,
    variance_interval,
)
from dmoa_theory.simulation.output.log_histogram import LogHistogram
from dmoa_theory.simulation.steady.simulation_result import LEVELS, SimulationResult
from dmoa_theory.simulation.steady.steady_run import Batches, SteadyRun, padded

__all__ = ["figures_of"]

#: From so many replications on they are the units of which the scatter is taken, not their batches.
MANY_REPLICATIONS = 32
#: Points of the distribution of latency: these shares of the prompts, evenly, and as many in the upper tail.
_POINTS = 100


def figures_of(
    system: System, runs: Sequence[SteadyRun], *, seed: int, wanted: int, partial: bool, precision: float | None
) -> SimulationResult:
    """Every figure of a simulation with its interval, from the batches of all replications.

    Parameters
    ----------
    system : System
    runs : sequence of SteadyRun
        Those that kept something.
    seed, wanted, partial, precision
        What was asked for, and whether it was cut short: see :func:`dmoa_theory.simulation.steady.simulate.simulate`.
    """
    n = system.n_devices
    growing = [run.growth for run in runs if run.growth is not None]
    kept = [run for run in runs if run.finished]
    general: dict[str, Any] = {
        "system": system,
        "seed": seed,
        "replications": len(runs),
        "partial": partial,
        "precision": precision,
        "jobs": sum(int(run.engine.run["jobs"]) for run in runs),
        "warm_up": sum(run.warm_up for run in runs),
        "settled": all(run.settled for run in runs),
        "stable": not growing,
        "growth_rate": np.mean([growth.rate for growth in growing], axis=0) if growing else np.zeros(n),
        "growing": np.any([growth.growing for growth in growing], axis=0) if growing else np.zeros(n, dtype=bool),
        "largest": np.max([run.largest for run in kept], axis=0) if kept else np.zeros(n, dtype=np.int64),
        "balance": max((run.balance for run in runs), default=0.0),
        "wanted_replications": wanted,
    }
    if growing or not kept:
        return SimulationResult(**general, queries=0, batches=0, independent=True, **_unknown(n))
    pooled = _pooled([run.batches() for run in kept])
    labels = np.repeat(np.arange(len(kept)), [run.finished for run in kept])
    groups = labels if len(kept) >= MANY_REPLICATIONS else None
    return SimulationResult(
        **general,
        queries=int(pooled.latency[..., 0].sum()),
        batches=labels.size,
        independent=_independent(pooled, kept),
        **_latency_figures(pooled, kept[0], groups),
        **_device_figures(pooled, groups),
        **_memory_figures(system, pooled, kept[0], groups),
        **_length_figures(kept, pooled.duration, groups),
    )


def _pooled(parts: list[Batches]) -> Batches:
    """The batches of all replications, one after another."""
    return Batches(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Batches)})


def _independent(pooled: Batches, kept: list[SteadyRun]) -> bool:
    """Whether neighbouring batches show no correlation; runs that an interruption left shorter are cut to equal length."""
    totals = pooled.latency[..., :2].sum(axis=1)
    means = totals[:, 1] / np.maximum(totals[:, 0], 1)
    starts = np.concatenate(([0], np.cumsum([run.finished for run in kept])))
    length = min(run.finished for run in kept)
    return batches_are_independent(np.array([means[s : s + length] for s in starts[:-1]]))


def _latency_figures(b: Batches, run: SteadyRun, groups: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    engine = run.engine
    count, first, second = np.moveaxis(b.latency.sum(axis=1), -1, 0)
    n = b.latency.shape[1]
    percentiles = {name: quantile_interval(b.histogram, engine.latencies, p, groups=groups) for name, p in LEVELS.items()}
    by_user = {
        f"user_{name}": _nothing((n,))
        if engine.user_latencies is None
        else quantile_interval(b.user_histogram, engine.user_latencies, p, groups=groups)
        for name, p in LEVELS.items()
    }
    stages = b.stage_durations.sum(axis=1)
    distribution_at, distribution = _distribution(b.histogram, engine.latencies, groups)
    return {
        "mean": ratio_interval(first, count, groups=groups),
        "variance": variance_interval(count, first, second, groups=groups),
        **percentiles,
        "distribution_at": distribution_at,
        "distribution": distribution,
        "user_mean": ratio_interval(b.latency[..., 1], b.latency[..., 0], groups=groups),
        "user_variance": variance_interval(*np.moveaxis(b.latency, -1, 0), groups=groups),
        **by_user,
        "stage_mean": ratio_interval(stages[..., 1], stages[..., 0], groups=groups),
        "stage_variance": variance_interval(*np.moveaxis(stages, -1, 0), groups=groups),
        **{
            f"stage_{name}": quantile_interval(b.stage_histogram, engine.durations, p, groups=groups)
            for name, p in LEVELS.items()
        },
        "user_stage_mean": ratio_interval(b.stage_durations[..., 1], b.stage_durations[..., 0], groups=groups),
        "stage_wait": ratio_interval(b.stages[..., 1], b.stages[..., 0], groups=groups),
        "stage_sojourn": ratio_interval(b.stages[..., 1] + b.stages[..., 3], b.stages[..., 0], groups=groups),
    }


def _distribution(
    counts: npt.NDArray[np.uint32], bins: LogHistogram, groups: npt.NDArray[np.int64] | None
) -> tuple[FloatArray, Interval]:
    """Share of prompts answered faster than some latencies; these are edges of bins, where the shares are exact counts."""
    pooled = counts.sum(axis=0)
    observed = int(pooled.sum())
    tail = np.geomspace(0.1, min(0.1, 1 / max(observed, 1)), _POINTS)
    bin_, _ = bins.locate(pooled, np.unique(np.concatenate((np.linspace(0, 0.9, _POINTS), 1 - tail))))
    edge = np.unique(np.concatenate((bin_[:1], bin_ + 1)))
    edge = edge[np.isfinite(bins.edges()[edge])]
    below = np.concatenate((np.zeros((len(counts), 1)), counts.cumsum(axis=1)), axis=1)
    return bins.edges()[edge], ratio_interval(below[:, edge], counts.sum(axis=1)[:, None], groups=groups)


def _device_figures(b: Batches, groups: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    time = b.duration[:, None]
    return {
        "utilisation": ratio_interval(b.busy, time, groups=groups),
        "wait_mean": ratio_interval(b.waits, b.jobs, groups=groups),
        "waiting_mean": ratio_interval(b.waiting, time, groups=groups),
        "jobs_mean": ratio_interval(b.present, time, groups=groups),
        "job_rate": ratio_interval(b.jobs, time, groups=groups),
        "in_flight": ratio_interval(b.in_flight, b.duration, groups=groups),
        "throughput": ratio_interval(b.done, b.duration, groups=groups),
    }


def _memory_figures(system: System, b: Batches, run: SteadyRun, groups: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    if not b.memory.shape[1]:
        return {"memory_mean": None, "memory_quantile": None}
    weights = run.engine.tables.weight_bytes
    mean = _raised(ratio_interval(b.memory[..., 1], b.memory[..., 0], groups=groups), weights)
    if run.engine.bytes is None or not b.memory_histogram.shape[1]:
        return {"memory_mean": mean, "memory_quantile": _nothing(weights.shape)}
    level = 1 - system.constraints.overflow_probability
    held = quantile_interval(b.memory_histogram, run.engine.bytes, level, groups=groups)
    return {"memory_mean": mean, "memory_quantile": _raised(held, weights)}


def _length_figures(kept: list[SteadyRun], duration: FloatArray, groups: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    """Share of time that each device spends with 0, 1, 2, ... jobs, and with so many or more; shape (n, most + 1)."""
    width = max(levels.shape[1] for run in kept for levels in run.levels)
    if any(run.levels_pooled for run in kept):
        total = np.sum([padded(levels, width) for run in kept for levels in run.levels], axis=0)
        shares = {"job_shares": total / duration.sum(), "jobs_at_least": _at_least(total) / duration.sum()}
        return {name: Interval.around(share, np.full(share.shape, np.nan)) for name, share in shares.items()}
    levels = np.array([padded(each, width) for run in kept for each in run.levels])
    return {
        "job_shares": ratio_interval(levels, duration[:, None, None], groups=groups),
        "jobs_at_least": ratio_interval(_at_least(levels), duration[:, None, None], groups=groups),
    }


def _at_least(levels: FloatArray) -> FloatArray:
    """Times with so many or more, added up from the far end, so that short ones are not what rounding leaves of long ones."""
    return np.asarray(levels[..., ::-1].cumsum(axis=-1)[..., ::-1])


def _raised(interval: Interval, amount: FloatArray) -> Interval:
    return replace(interval, value=interval.value + amount, lower=interval.lower + amount, upper=interval.upper + amount)


def _nothing(shape: tuple[int, ...]) -> Interval:
    """Figures that are not known."""
    return Interval.around(np.full(shape, np.nan), np.full(shape, np.nan))


def _unknown(n: int) -> dict[str, Any]:
    """Every figure, not known: of a system that has no steady state there are no averages."""
    one = ("mean", "variance", *LEVELS, "in_flight", "throughput")
    by_user = ("user_mean", "user_variance", *(f"user_{name}" for name in LEVELS))
    by_stage = ("stage_mean", "stage_variance", *(f"stage_{name}" for name in LEVELS), "stage_wait", "stage_sojourn")
    by_device = ("utilisation", "wait_mean", "waiting_mean", "jobs_mean", "job_rate")
    return {
        **{name: _nothing(()) for name in one},
        **{name: _nothing((n,)) for name in (*by_user, *by_device)},
        **{name: _nothing((3,)) for name in by_stage},
        "distribution_at": np.zeros(0),
        "distribution": _nothing((0,)),
        "user_stage_mean": _nothing((n, 3)),
        "job_shares": _nothing((n, 1)),
        "jobs_at_least": _nothing((n, 1)),
        "memory_mean": None,
        "memory_quantile": None,
    }
