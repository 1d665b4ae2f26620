"""Figures of one run within a window, live or simulated alike: latency, stages, devices."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dmoa_theory.live.observed import Observed, Window
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.simulation.output.intervals import Interval, quantile_interval, ratio_interval, variance_interval
from dmoa_theory.simulation.output.log_histogram import LogHistogram
from dmoa_theory.simulation.traces.occupancy import Occupancy

__all__ = ["LEVELS", "figures", "figures_with_intervals", "fitting_batches"]

#: Percentiles that are stated.
LEVELS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
#: Batches of a run that intervals come from, and prompts in each of them.
_FEWEST, _MOST, _PROMPTS = 5, 32, 50
#: From a microsecond to nineteen years, 256 bins an octave.
_BINS = LogHistogram(fraction_bits=8, lowest_exponent=-20, octaves=50)

_Sums = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def fitting_batches(prompts: int) -> int:
    """How many batches a run of so many prompts is cut into: 50 prompts in each, but 5 to 32 batches.

    Examples
    --------
    >>> fitting_batches(40), fitting_batches(1000), fitting_batches(10**6)
    (5, 20, 32)
    """
    return int(np.clip(prompts // _PROMPTS, _FEWEST, _MOST))


def figures(run: Observed, window: Window) -> dict[str, FloatArray]:
    """Exact, of this one run: every figure within the window; NaN where nothing was seen.

    Returns
    -------
    dict of str to ndarray
        ``mean``, ``variance``, ``p50``, ``p95``, ``p99`` of the latency, ``in_flight`` and ``throughput``: shape (); the same
        of the latency with ``user_`` before them, ``utilisation``, ``wait_mean``, ``waiting_mean``, ``jobs_mean`` and
        ``job_rate``: shape (n,); ``stage_mean``, ``stage_wait``, ``stage_sojourn``, ``stage_variance``, ``stage_p50``, ...:
        shape (3,); ``user_stage_mean``: shape (n, 3).
    """
    found = {name: _ratio(*(part.sum(axis=0) for part in sums)) for name, sums in _sums(run, window, 1).items()}
    for prefix, (values, group, groups) in _spreads(run, window).items():
        found |= _spread(prefix, values, group, groups)
    return found


def figures_with_intervals(run: Observed, window: Window, batches: int) -> dict[str, Interval]:
    """Approximation for many long batches: every figure of :func:`figures` with its 95 % interval.

    Parameters
    ----------
    run : Observed
    window : Window
    batches : int
        Parts into which the prompts (by number) and the time are cut.
    """
    found = {name: ratio_interval(*sums) for name, sums in _sums(run, window, batches).items()}
    exact = figures(run, window)
    for prefix, (values, group, groups) in _spreads(run, window).items():
        part = _parts(window, batches)[_prompts_of(run, window, prefix)]
        count, first, second = (
            _added(part, group, values**power, batches, max(groups, 1)).reshape((batches, groups) if groups else (batches,))
            for power in (0, 1, 2)
        )
        found[f"{prefix}variance"] = variance_interval(count, first, second)
        if prefix == "user_" and groups * batches * _BINS.n_bins > 2**26:
            continue  # of very many users only the figures are told
        histogram = np.zeros((batches, max(groups, 1), _BINS.n_bins))
        np.add.at(histogram, (part, group, _BINS.index(values)), 1.0)
        for name, level in LEVELS.items():
            interval = quantile_interval(histogram if groups else histogram[:, 0], _BINS, level)
            found[prefix + name] = replace(interval, value=exact[prefix + name])  # the bins are for its ends alone
    for name, value in exact.items():
        found.setdefault(name, Interval.around(value, np.full(value.shape, np.nan)))
    return found


def _sums(run: Observed, window: Window, batches: int) -> dict[str, _Sums]:
    """Numerator and denominator of every mean and time average, batch by batch; shapes (batches, ...)."""
    n = run.n_devices
    values, user = run.latency[window.first : window.last], run.user[window.first : window.last]
    part, known = _parts(window, batches), ~np.isnan(values)
    here = part[known]
    everyone = np.zeros(here.size, dtype=np.int64)
    stage_part, stage_value, stage_kind, stage_user = _stages(run, window, batches)
    by_both = stage_user * len(Stage) + stage_kind
    edges = np.linspace(window.begin, window.end, batches + 1)
    span = np.broadcast_to(np.diff(edges), (batches,))
    seen = (run.reached >= window.begin) & (run.reached < window.end)
    when = np.minimum(np.searchsorted(edges, run.reached[seen], side="right") - 1, batches - 1)
    device, kind = run.device[seen], run.kind[seen]
    wait, sojourn = (run.start - run.reached)[seen], (run.end - run.reached)[seen]
    jobs, jobs_of_kind = (_added(when, which, wait**0, batches, size) for which, size in ((device, n), (kind, len(Stage))))

    def over_time(occupancy: Occupancy) -> FloatArray:
        return np.array([occupancy.time_average(b, begin=a) * (b - a) for a, b in pairwise(edges)])

    answers = run.arrival + run.latency
    answered = np.histogram(answers[~np.isnan(answers)], bins=edges)[0].astype(np.float64)
    alone = {
        "mean": (_added(here, everyone, values[known], batches, 1)[:, 0], np.bincount(here, minlength=batches).astype(float)),
        "in_flight": (over_time(run.under_way)[:, 0], span),
        "throughput": (answered, span),
    }
    time = span[:, None]
    by_user_and_stage = _mean(stage_part, by_both, stage_value, batches, n * len(Stage))
    shape = batches, n, len(Stage)
    return alone | {
        "user_mean": _mean(here, user[known], values[known], batches, n),
        "stage_mean": _mean(stage_part, stage_kind, stage_value, batches, len(Stage)),
        "user_stage_mean": (by_user_and_stage[0].reshape(shape), by_user_and_stage[1].reshape(shape)),
        "stage_wait": (_added(when, kind, wait, batches, len(Stage)), jobs_of_kind),
        "stage_sojourn": (_added(when, kind, sojourn, batches, len(Stage)), jobs_of_kind),
        "utilisation": (over_time(run.in_service), time),
        "wait_mean": (_added(when, device, wait, batches, n), jobs),
        "waiting_mean": (over_time(run.waiting), time),
        "jobs_mean": (over_time(run.in_system), time),
        "job_rate": (jobs, time),
    }


def _parts(window: Window, batches: int) -> IntArray:
    """The batch of every prompt of the window."""
    size = window.last - window.first
    return np.arange(size) * batches // size


def _stages(run: Observed, window: Window, batches: int) -> tuple[IntArray, FloatArray, IntArray, IntArray]:
    """Batch, duration, kind and user of every stage of the window that joined."""
    chosen = _chosen_stages(run, window)
    prompt = run.stage_prompt[chosen]
    return _parts(window, batches)[prompt - window.first], run.stage_duration[chosen], run.stage_kind[chosen], run.user[prompt]


def _chosen_stages(run: Observed, window: Window) -> npt.NDArray[np.bool_]:
    return (run.stage_prompt >= window.first) & (run.stage_prompt < window.last) & ~np.isnan(run.stage_duration)


def _spreads(run: Observed, window: Window) -> dict[str, tuple[FloatArray, IntArray, int]]:
    """What percentiles are taken of: values, the group of each, and how many groups there are (0: no such axis)."""
    values, user = run.latency[window.first : window.last], run.user[window.first : window.last]
    known = ~np.isnan(values)
    chosen = _chosen_stages(run, window)
    everyone = np.zeros(int(known.sum()), dtype=np.int64)
    return {
        "": (values[known], everyone, 0),
        "user_": (values[known], user[known], run.n_devices),
        "stage_": (run.stage_duration[chosen], run.stage_kind[chosen], len(Stage)),
    }


def _prompts_of(run: Observed, window: Window, prefix: str) -> IntArray:
    """The prompts, counted from the window's first, of the values of :func:`_spreads`."""
    if prefix == "stage_":
        return run.stage_prompt[_chosen_stages(run, window)] - window.first
    return np.flatnonzero(~np.isnan(run.latency[window.first : window.last]))


def _spread(prefix: str, values: FloatArray, group: IntArray, groups: int) -> dict[str, FloatArray]:
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=max(groups, 1)))
    parts = np.split(values[order], ends[:-1])
    shape = (groups,) if groups else ()
    found = {f"{prefix}variance": np.array([part.var() if part.size else np.nan for part in parts]).reshape(shape)}
    for name, level in LEVELS.items():
        found[prefix + name] = np.array([np.quantile(part, level) if part.size else np.nan for part in parts]).reshape(shape)
    return found


def _added(part: IntArray, group: IntArray, values: FloatArray, batches: int, groups: int) -> FloatArray:
    """Sums by batch and group; shape (batches, groups)."""
    added = np.bincount(part * groups + group, weights=values, minlength=batches * groups).astype(np.float64)
    return np.asarray(added.reshape(batches, groups))


def _mean(part: IntArray, group: IntArray, values: FloatArray, batches: int, groups: int) -> _Sums:
    """Numerator and denominator of means by batch and group."""
    return _added(part, group, values, batches, groups), _added(part, group, np.ones_like(values), batches, groups)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    unknown = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=unknown, where=np.asarray(denominator) > 0))
