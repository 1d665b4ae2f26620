"""One run from empty queues, boiled down to what is kept of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.simulation.kernel.recorded_run import count_arrivals, record_run
from dmoa_theory.simulation.traces.occupancy import Occupancy
from dmoa_theory.simulation.traces.published_metrics import published_metrics, why_unpublished
from dmoa_theory.simulation.traces.trajectory import Trajectory

__all__ = ["FiniteRuns", "Run", "grid", "look_times", "play"]

#: Jobs of a run beyond which the published figures, which are worked out job by job, are left out.
MOST_PUBLISHED_JOBS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FiniteRuns:
    """What is run again and again, each time from empty queues and with random numbers of its own.

    Parameters
    ----------
    system : System
    prompts : int or None
        How many arrive in a run; None: those up to ``until``.
    until : float or None, s
    at_once : bool
        All prompts arrive at time 0.
    arrivals : ArrivalLog or None
        Prompts arrive as listed, all ``prompts`` of them.
    buffer : int or None
        Number of waiting jobs whose first time is noted.
    points : int
        Most times at which a queue is looked at.
    """

    system: System
    prompts: int | None
    until: float | None
    at_once: bool
    arrivals: ArrivalLog | None
    buffer: int | None
    points: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """What is kept of one run.

    Attributes
    ----------
    latency : ndarray, shape (prompts,), s
        In order of arrival.
    user : ndarray of int, shape (prompts,)
        Whose they are.
    last_end, span : float, s
        When the last job is done; and the end of the run, which is not before ``until``.
    utilisation, waiting, in_system : ndarray, shape (n,)
        Time averages over the span; NaN when it takes no time.
    largest_waiting : ndarray of int, shape (n,)
    octave : int
        Queues were looked at every ``2 ** octave`` seconds from 0 on.
    waiting_at, in_system_at : ndarray of int, shape (looks, n)
    first_full : ndarray, shape (n,), s, or None
        When the buffer's number of jobs first waited; infinite where it never did.
    published_latency, published_queue : float
        As the published code has them; NaN where it has none.
    published_reason : str or None
        Why it has none.
    """

    latency: FloatArray
    user: npt.NDArray[np.int32]
    last_end: float
    span: float
    utilisation: FloatArray
    waiting: FloatArray
    in_system: FloatArray
    largest_waiting: IntArray
    octave: int
    waiting_at: npt.NDArray[np.int32]
    in_system_at: npt.NDArray[np.int32]
    first_full: FloatArray | None
    published_latency: float
    published_queue: float
    published_reason: str | None


def play(runs: FiniteRuns, seed: np.random.SeedSequence) -> Run:
    """Exact (one sample path): one run.

    Parameters
    ----------
    runs : FiniteRuns
    seed : SeedSequence
    """
    prompts = runs.prompts
    if prompts is None:
        assert runs.until is not None
        prompts = count_arrivals(runs.system, runs.until, seed=seed)
    if prompts == 0:
        return _nothing_arrived(runs)
    if runs.arrivals is not None:
        trajectory = record_run(runs.system, arrivals=runs.arrivals, seed=seed)
    else:
        trajectory = record_run(runs.system, queries=prompts, seed=seed, at_once=runs.at_once)
    last_end = trajectory.last_end
    span = max(last_end, runs.until or 0.0)
    waiting, in_system = trajectory.waiting, trajectory.in_system
    octave, times = grid(span, runs.points)
    latency, queue, reason = _published(trajectory)
    return Run(
        latency=trajectory.latency,
        user=trajectory.trace.user.astype(np.int32),
        last_end=last_end,
        span=span,
        utilisation=_average(trajectory.in_service, span),
        waiting=_average(waiting, span),
        in_system=_average(in_system, span),
        largest_waiting=waiting.largest(),
        octave=octave,
        waiting_at=waiting.counts(times).astype(np.int32),
        in_system_at=in_system.counts(times).astype(np.int32),
        first_full=None if runs.buffer is None else waiting.first_time(runs.buffer),
        published_latency=latency,
        published_queue=queue,
        published_reason=reason,
    )


def grid(span: float, points: int) -> tuple[int, FloatArray]:
    """At most so many times from 0 to the end of a run, a power of two of seconds apart, and the exponent of that power.

    Of two runs the times of the one with longer steps are times of the other too, so that runs whose lengths are not known
    beforehand can be laid over each other without keeping or repeating them.

    Examples
    --------
    >>> from dmoa_theory.simulation.bursts.burst_run import grid
    >>> grid(10.0, 8)
    (1, array([ 0.,  2.,  4.,  6.,  8., 10.]))
    """
    if not span > 0:
        return 0, np.zeros(1)
    octave = math.floor(math.log2(span / points)) - 1
    while math.floor(span / math.ldexp(1.0, octave)) + 1 > points:
        octave += 1
    return octave, look_times(span, octave)


def look_times(span: float, octave: int) -> FloatArray:
    """The times from 0 to the end of a run, ``2 ** octave`` seconds apart."""
    step = math.ldexp(1.0, octave)
    return np.arange(math.floor(span / step) + 1) * np.float64(step)


def _average(occupancy: Occupancy, span: float) -> FloatArray:
    return occupancy.time_average(span) if span > 0 else np.full(occupancy.n_devices, np.nan)


def _published(trajectory: Trajectory) -> tuple[float, float, str | None]:
    """Latency and "average queue size" of the published code, or why there are none."""
    trace = trajectory.trace
    reason = why_unpublished(trace)
    if reason is None and trace.n_jobs > MOST_PUBLISHED_JOBS:
        reason = f"the published figures are worked out for runs of at most {MOST_PUBLISHED_JOBS:,} inferences"
    if reason is not None:
        return math.nan, math.nan, reason
    metrics = published_metrics(trace)
    return metrics.latency, metrics.average_queue_size, None


def _nothing_arrived(runs: FiniteRuns) -> Run:
    """A run in which the queues stay empty for all of its time."""
    n = runs.system.n_devices
    assert runs.until is not None
    octave, times = grid(runs.until, runs.points)
    never = np.zeros((times.size, n), dtype=np.int32)
    idle = np.zeros(n)
    return Run(
        latency=np.zeros(0),
        user=np.zeros(0, dtype=np.int32),
        last_end=0.0,
        span=runs.until,
        utilisation=idle,
        waiting=idle,
        in_system=idle,
        largest_waiting=np.zeros(n, dtype=np.int64),
        octave=octave,
        waiting_at=never,
        in_system_at=never,
        first_full=None if runs.buffer is None else np.full(n, np.inf),
        published_latency=math.nan,
        published_queue=math.nan,
        published_reason=None,
    )
