"""The two figures that the published code of Distributed Mixture-of-Agents reports, computed as that code defines them."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, owned
from dmoa_theory.simulation.traces.trace import Trace

__all__ = ["PublishedMetrics", "published_metrics", "why_unpublished"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublishedMetrics:
    """What the published code reports of a run.

    Attributes
    ----------
    query_latency : ndarray, shape (n_queries,), s
        From every query's arrival to the end of its aggregation.
    average_queue_size : float
        The published statistic, which is not a time average; NaN when the last aggregation ends at time 0.
    """

    query_latency: FloatArray
    average_queue_size: float

    @property
    def latency(self) -> float:
        """Mean over queries, s."""
        return float(self.query_latency.mean())


class _Pending:
    """Ready times of the pending stages that include one device.

    First stages are ready when their query arrives, and are taken out in that order, so a list and a count of those gone
    will do. The others are few at a time in any system that keeps up.
    """

    __slots__ = ("first", "gone", "later")

    def __init__(self) -> None:
        self.first: list[float] = []
        self.gone = 0
        self.later: list[float] = []

    def ready_by(self, time: float) -> int:
        """How many are ready no later than a time, at or after that of the last one taken out."""
        return bisect_right(self.first, time) - self.gone + bisect_right(self.later, time)


def why_unpublished(trace: Trace) -> str | None:
    """Why the published code has no figures for a trace; None when it has."""
    if trace.has_quorum:
        return "the published code waits for every answer, and this trace has a quorum"
    if trace.has_delay:
        return "the published code knows no link delays, and this trace has some"
    return None


def published_metrics(trace: Trace) -> PublishedMetrics:
    """Exact: latency and "average queue size" as the published code computes them.

    Parameters
    ----------
    trace : Trace
        Without quorum and without delays, of which the published code knows nothing.

    Raises
    ------
    InputError
        When the trace has a quorum or delays.

    Notes
    -----
    The code replays recorded inference times: it takes the pending stage that is ready first, of equals that of the query
    with the smallest number; each of its jobs starts when its device is free, at the earliest when the stage is ready; the
    stage ends with its last job, and its query's next stage is ready then. This is FCFS in order of ready times, so the
    latencies are those of an exact simulation.

    The "average queue size" is, for each job, its service time multiplied by the number of other queries whose next stage
    includes the job's device and is ready no later than the job's end; summed, divided by the end of the aggregation that
    was taken out last, and averaged over devices. A query thus counts for the whole of the service, even where it was there
    for a moment of it, and once for every device; the time-average number waiting is another, smaller or larger, figure.

    References
    ----------
    Mitra2024: P. Mitra, P. Kaswan, S. Ulukus, "Distributed Mixture-of-Agents for Edge Inference with Large Language Models",
    arXiv:2412.21200, section IV and its published code.

    Examples
    --------
    >>> from dmoa_theory.simulation.traces.published_metrics import published_metrics
    >>> from dmoa_theory.simulation.traces.trace import Trace
    >>> trace = Trace(n_devices=1, arrival=[0.0, 1.0], user=[0, 0], stage_start=[0, 1, 2], job_start=[0, 1, 2],
    ...               device=[0, 0], service=[4.0, 2.0])
    >>> metrics = published_metrics(trace)
    >>> metrics.query_latency.tolist(), round(metrics.average_queue_size, 3)
    ([4.0, 5.0], 0.667)
    """
    reason = why_unpublished(trace)
    if reason is not None:
        raise InputError("trace", repr(trace), reason)
    stage_start, job_start = trace.stage_start.tolist(), trace.job_start.tolist()
    device, service, arrival = trace.device.tolist(), trace.service.tolist(), trace.arrival.tolist()

    heap = [(ready, q, stage_start[q]) for q, ready in enumerate(arrival)]  # rising, hence a heap
    pending = [_Pending() for _ in range(trace.n_devices)]
    for ready, _, stage in heap:
        for job in range(job_start[stage], job_start[stage + 1]):
            pending[device[job]].first.append(ready)

    free = [0.0] * trace.n_devices
    finished = np.empty(trace.n_queries)
    total = last = 0.0
    while heap:
        ready, q, stage = heapq.heappop(heap)
        jobs = range(job_start[stage], job_start[stage + 1])
        for job in jobs:
            _take_out(pending[device[job]], ready, first=stage == stage_start[q])
        end = 0.0
        for job in jobs:
            d = device[job]
            free[d] = max(free[d], ready) + service[job]
            total += service[job] * pending[d].ready_by(free[d])
            end = max(end, free[d])
        if stage + 1 == stage_start[q + 1]:
            finished[q] = last = end
            continue
        heapq.heappush(heap, (end, q, stage + 1))
        for job in range(job_start[stage + 1], job_start[stage + 2]):
            insort(pending[device[job]].later, end)
    size = total / last / trace.n_devices if last > 0 else np.nan
    return PublishedMetrics(query_latency=owned(finished - trace.arrival), average_queue_size=float(size))


def _take_out(pending: _Pending, ready: float, *, first: bool) -> None:
    if first:
        pending.gone += 1
    else:
        del pending.later[bisect_left(pending.later, ready)]
