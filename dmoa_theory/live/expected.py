"""What a run of this length has to look like: many simulated runs of the same system and length, cut in the same way.

A live run is finite and starts from empty queues. So do the runs that it is held against: their mean is what to expect of it,
and the middle 95 % of them is where it lies 19 times in 20. Neither depends on a warm-up being long enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dmoa_theory.live.figures import figures
from dmoa_theory.live.growth import growth_rates
from dmoa_theory.live.observed import Observed, observe_trajectory
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.output.warm_up import mser

__all__ = ["RUNS", "Cut", "Expected", "expected"]

#: Runs; fewer where they are long, so that there are no more inferences than these, but never fewer than the last.
RUNS, _JOBS, _FEWEST_RUNS = 200, 3_000_000, 40
#: Most of the prompts that are left out at the start, and at the end.
_MOST_LEFT_OUT, _MOST_CUT_OFF = 0.3, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Prompts that are left out of the figures: those that found queues still filling, and those that saw them run empty."""

    left_out: int
    cut_off: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Expected:
    """Simulated: figures of many runs of one length.

    Attributes
    ----------
    system : System
    prompts, runs, seed : int
        Prompts in each run, and how many runs.
    cut : Cut
    mean, error, lower, upper : dict of str to ndarray
        Of every figure of :func:`dmoa_theory.live.figures.figures`, and of ``growth`` (jobs/s, shape (n,)) and
        ``total_growth``: mean over runs, its standard error, and the ends of the middle 95 % of runs.
    distribution_at : ndarray, shape (m,), s
        Latencies.
    distribution : ndarray, shape (m,)
        Share of the prompts of all runs that were answered faster.
    """

    system: System
    prompts: int
    runs: int
    seed: int
    cut: Cut
    mean: dict[str, FloatArray]
    error: dict[str, FloatArray]
    lower: dict[str, FloatArray]
    upper: dict[str, FloatArray]
    distribution_at: FloatArray
    distribution: FloatArray


def expected(
    system: System,
    prompts: int,
    *,
    arrivals: ArrivalLog | None = None,
    stopped_after: float = math.inf,
    seed: int = 0,
    runs: int = RUNS,
    progress: Callable[[float], None] | None = None,
) -> Expected:
    """Simulated, every run exact: what figures a run of so many prompts from empty queues has, and how they scatter.

    Parameters
    ----------
    system : System
        Need not be stable.
    prompts : int
        In each run.
    arrivals : ArrivalLog, optional
        Those prompts, at their times, instead of as a Poisson process.
    stopped_after : float, s
        Stop the runs so long after their last prompt came, as one was that was interrupted.
    seed : int
    runs : int
        Fewer where they are long.
    progress : callable, optional
        Told the share of the runs that are in.

    Notes
    -----
    Which prompts are left out at the start is fixed by the rule MSER-5 on the latency of the i-th prompt, averaged over all
    runs; at most 30 %. At the end those are cut off that arrive within the 99th percentile of the latency before the last, at
    most 10 %: after the last prompt queues run empty, and layers end sooner than in a run that goes on. Of a list none is left
    out: it has a beginning and an end. Nor of a run that was interrupted, for what was still open is missing from all alike.
    """
    M, k, _ = system.moa.per_user(system.n_devices)
    jobs = float(system.rates @ (M * (k + 1) + 1)) / float(system.rates.sum()) * prompts
    count = int(np.clip(_JOBS / jobs, min(_FEWEST_RUNS, runs), runs))
    played: list[Observed] = []
    for place, each in enumerate(np.random.SeedSequence(seed).spawn(count)):
        path = record_run(system, queries=None if arrivals is not None else prompts, arrivals=arrivals, seed=each)
        played.append(observe_trajectory(path, stopped_after=stopped_after))
        if progress is not None:
            progress((place + 1) / count)
    cut = _cut(system, played) if arrivals is None and stopped_after == math.inf else Cut(left_out=0, cut_off=0)
    found: dict[str, list[FloatArray]] = {}
    for run in played:
        grown = growth_rates(run)
        mine = figures(run, run.window(cut.left_out, cut.cut_off)) | {"growth": grown, "total_growth": grown.sum()}
        for name, value in mine.items():
            found.setdefault(name, []).append(np.asarray(value))
    stacked = {name: np.array(values) for name, values in found.items()}
    latencies = np.concatenate([run.latency[cut.left_out : prompts - cut.cut_off or None] for run in played])
    latencies = latencies[~np.isnan(latencies)]
    share = np.unique(np.concatenate((np.linspace(0, 0.9, 91), 1 - np.geomspace(0.1, 10 / max(latencies.size, 100), 60))))
    return Expected(
        system=system,
        prompts=prompts,
        runs=count,
        seed=seed,
        cut=cut,
        mean={name: _over_runs(np.mean, values) for name, values in stacked.items()},
        error={name: _over_runs(np.std, values) / math.sqrt(count - 1) for name, values in stacked.items()},
        lower={name: _over_runs(lambda seen: np.quantile(seen, 0.025), values) for name, values in stacked.items()},
        upper={name: _over_runs(lambda seen: np.quantile(seen, 0.975), values) for name, values in stacked.items()},
        distribution_at=np.quantile(latencies, share) if latencies.size else np.zeros(share.size),
        distribution=share,
    )


def _cut(system: System, runs: list[Observed]) -> Cut:
    latency = np.array([run.latency for run in runs])
    prompts = latency.shape[1]
    left_out = min(mser(latency.mean(axis=0)), int(_MOST_LEFT_OUT * prompts))
    last_ones = float(system.rates.sum()) * float(np.quantile(latency[:, prompts // 2 :], 0.99))
    return Cut(left_out=left_out, cut_off=min(math.ceil(last_ones), int(_MOST_CUT_OFF * prompts)))


def _over_runs(statistic: Callable[[FloatArray], float], values: FloatArray) -> FloatArray:
    """A statistic over the runs in which a figure was seen at all; NaN where it was in none."""
    flat = values.reshape(values.shape[0], -1)
    known = ~np.isnan(flat)
    found = [statistic(flat[known[:, c], c]) if known[:, c].any() else np.nan for c in range(flat.shape[1])]
    return np.array(found, dtype=np.float64).reshape(values.shape[1:])
