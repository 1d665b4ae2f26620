"""Replay a trace: what became of every query, and how long the queues were, by both ways of counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.simulation.traces.published_metrics import PublishedMetrics, published_metrics, why_unpublished
from dmoa_theory.simulation.traces.reference import run_reference
from dmoa_theory.simulation.traces.trace import Trace
from dmoa_theory.simulation.traces.trajectory import Trajectory

__all__ = ["ReplayResult", "replay"]

_SHOWN = 12
_NOT_SHOWN = "-"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ReplayResult(Result):
    """Exact: a trace played through FCFS devices. Times and averages are over the whole run, from 0 to ``last_end``.

    Attributes
    ----------
    trajectory : Trajectory
        Every job and stage; its ``latency`` holds that of every query.
    mean, p50, p95 : float
        Latency over queries, s; percentiles between two queries are interpolated.
    last_end : float
        When the last job is done and the last query answered, s.
    utilisation, waiting_mean, jobs_mean : ndarray, shape (n,)
        By device, time averages: share of time busy, number waiting, number there; NaN when the run takes no time.
    largest_waiting : ndarray of int, shape (n,)
        Most jobs that ever waited at once.
    published : PublishedMetrics or None
        The two figures of the published code; None where it has none, and ``published_reason`` says why.
    published_reason : str or None
    """

    verb: ClassVar[str] = "replay"

    trajectory: Trajectory
    mean: float
    p50: float
    p95: float
    last_end: float
    utilisation: FloatArray
    waiting_mean: FloatArray
    jobs_mean: FloatArray
    largest_waiting: IntArray
    published: PublishedMetrics | None
    published_reason: str | None

    @property
    def source(self) -> Source:
        """Exact: nothing is drawn, and nothing approximated."""
        return Source.EXACT

    @property
    def trace(self) -> Trace:
        """What was replayed."""
        return self.trajectory.trace

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why figures are missing, one sentence each."""
        found = [] if self.published_reason is None else [f"published is null: {self.published_reason}"]
        if self.published is not None and np.isnan(self.published.average_queue_size):
            found.append("published.average_queue_size is null: the aggregation taken out last ends at time 0")
        if self.last_end == 0:
            found.append("time averages are null: every job ends at time 0")
        return tuple(found)

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        jobs = np.bincount(self.trace.device, minlength=self.trace.n_devices)
        devices = [
            {
                "name": self.trace.name(d),
                "jobs": jobs[d],
                "utilisation": self.utilisation[d],
                "mean_waiting": self.waiting_mean[d],
                "mean_in_system": self.jobs_mean[d],
                "largest_waiting": self.largest_waiting[d],
            }
            for d in range(self.trace.n_devices)
        ]
        published = self.published
        return {
            "queries": self.trace.n_queries,
            "jobs": self.trace.n_jobs,
            "last_end": self.last_end,
            "mean": self.mean,
            "p50": self.p50,
            "p95": self.p95,
            "latency": self.trajectory.latency,
            "mean_waiting": self.waiting_mean.mean(),
            "mean_in_system": self.jobs_mean.mean(),
            "per_device": devices,
            "published": {
                "latency": None if published is None else published.latency,
                "average_queue_size": None if published is None else published.average_queue_size,
            },
            "reasons": self.reasons,
        }

    def table(self) -> Table:
        """Latency, and the length of the queues by both ways of counting."""
        published = self.published
        rows = [
            ("latency, mean", show_seconds(self.mean)),
            ("latency, median", show_seconds(self.p50)),
            ("latency, p95", show_seconds(self.p95)),
            ("last job done", show_seconds(self.last_end)),
            ("number waiting, time average, mean of devices", _number(float(self.waiting_mean.mean()))),
            (
                '"average queue size" of the published code',
                _NOT_SHOWN if published is None else _number(published.average_queue_size),
            ),
        ]
        queries = "1 query" if self.trace.n_queries == 1 else f"{self.trace.n_queries:,} queries"
        return Table(f"replay of {queries} (exact)", ("figure", "value"), tuple(rows))

    def device_table(self) -> Table:
        """Utilisation and queue of every device; the busiest of many."""
        order = np.argsort(-self.utilisation, kind="stable")[:_SHOWN] if self.utilisation.size > _SHOWN else None
        left_out = "" if order is None else f" ({_SHOWN} busiest of {self.utilisation.size} devices)"
        return Table(
            f"queues (exact){left_out}",
            ("device", "utilisation", "mean waiting", "largest waiting", "jobs there"),
            tuple(
                (
                    self.trace.name(d),
                    show_share(self.utilisation[d]),
                    _number(self.waiting_mean[d]),
                    f"{self.largest_waiting[d]:,}",
                    _number(self.jobs_mean[d]),
                )
                for d in (range(self.utilisation.size) if order is None else order.tolist())
            ),
        )

    def records(self) -> list[dict[str, Any]]:
        """One row a query: plain numbers, units in the names of the columns."""
        trace = self.trace
        jobs = np.diff(trace.job_start[trace.stage_start])
        columns = zip(
            trace.user.tolist(),
            jobs.tolist(),
            trace.arrival.tolist(),
            self.trajectory.query_end.tolist(),
            self.trajectory.latency.tolist(),
            strict=True,
        )
        return [
            {"query": q, "user": trace.name(user), "jobs": size, "arrival_s": arrival, "end_s": end, "latency_s": latency}
            for q, (user, size, arrival, end, latency) in enumerate(columns)
        ]

    def device_records(self) -> list[dict[str, Any]]:
        """One row a device: plain numbers."""
        columns = {
            "utilisation": self.utilisation,
            "mean_waiting": self.waiting_mean,
            "mean_in_system": self.jobs_mean,
            "largest_waiting": self.largest_waiting,
        }
        return [
            {"device": self.trace.name(d), **{name: column[d].item() for name, column in columns.items()}}
            for d in range(self.trace.n_devices)
        ]


def replay(trace: Trace) -> ReplayResult:
    """Exact: play recorded inference times through FCFS devices, and take stock.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    ReplayResult

    Notes
    -----
    Queues are counted twice: as the time-average number of jobs waiting, which is what queueing theory means, and as the
    published code of Distributed Mixture-of-Agents counts (Mitra2024, arXiv:2412.21200); the two differ, and neither bounds
    the other. See :func:`dmoa_theory.simulation.traces.published_metrics.published_metrics`.

    Examples
    --------
    >>> from dmoa_theory import replay
    >>> from dmoa_theory.simulation.traces.trace import Trace
    >>> trace = Trace(n_devices=1, arrival=[0.0, 1.0], user=[0, 0], stage_start=[0, 1, 2], job_start=[0, 1, 2],
    ...               device=[0, 0], service=[4.0, 2.0])
    >>> result = replay(trace)
    >>> result.mean, result.waiting_mean.tolist(), result.largest_waiting.tolist()
    (4.5, [0.5], [1])
    """
    trajectory = run_reference(trace)
    latency, last_end = trajectory.latency, trajectory.last_end
    nothing = np.full(trace.n_devices, np.nan)
    utilisation, waiting, jobs = (
        occupancy.time_average(last_end) if last_end > 0 else nothing
        for occupancy in (trajectory.in_service, trajectory.waiting, trajectory.in_system)
    )
    reason = why_unpublished(trace)
    p50, p95 = np.quantile(latency, (0.5, 0.95))
    return ReplayResult(
        trajectory=trajectory,
        mean=float(latency.mean()),
        p50=float(p50),
        p95=float(p95),
        last_end=last_end,
        utilisation=utilisation,
        waiting_mean=waiting,
        jobs_mean=jobs,
        largest_waiting=trajectory.waiting.largest(),
        published=published_metrics(trace) if reason is None else None,
        published_reason=reason,
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else _NOT_SHOWN
