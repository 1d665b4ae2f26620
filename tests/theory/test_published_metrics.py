"""The published code's latency and "average queue size" against its definition written out, and against the simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.traces.published_metrics import published_metrics
from dmoa_theory.simulation.traces.reference import run_reference
from dmoa_theory.simulation.traces.replay import replay
from dmoa_theory.simulation.traces.trace import Trace


def burst(rng: np.random.Generator, n: int, queries: int, M: int | None, k: int | None, load: float, ties: bool) -> Trace:
    """Poisson arrivals at random users, k random others a layer; M or k None: drawn query by query."""
    arrival = np.cumsum(rng.exponential(1.0, queries))
    user = rng.integers(0, n, queries)
    stages, jobs, device = [0], [0], []
    for own in user.tolist():
        layers = int(rng.integers(0, 4)) if M is None else M
        for _ in range(layers):
            others = rng.permutation(np.delete(np.arange(n), own))[: rng.integers(0, n) if k is None else k]
            device += rng.permutation([own, *others]).tolist()
            jobs.append(len(device))
        device.append(own)
        jobs.append(len(device))
        stages.append(len(jobs) - 1)
    service = rng.exponential(load * n * queries / len(device), len(device))
    if ties:
        arrival, service = np.floor(arrival / 2), np.floor(service)
    return Trace(n_devices=n, arrival=arrival, user=user, stage_start=stages, job_start=jobs, device=device, service=service)


def as_defined(trace: Trace) -> tuple[np.ndarray[Any, Any], float]:
    """The definition, step by step: a list of all that is pending, searched from end to end."""
    layers = [
        [
            [(int(trace.device[j]), float(trace.service[j])) for j in range(trace.job_start[s], trace.job_start[s + 1])]
            for s in range(trace.stage_start[q], trace.stage_start[q + 1])
        ]
        for q in range(trace.n_queries)
    ]
    pending = [(float(t), q, 0) for q, t in enumerate(trace.arrival)]
    free = [0.0] * trace.n_devices
    total = last = 0.0
    latency = np.full(trace.n_queries, np.nan)
    while pending:
        t, q, s = min(pending)
        pending.remove((t, q, s))
        for d, x in layers[q][s]:
            start = max(free[d], t)
            free[d] = start + x
            waiting = [p for p in pending if p[0] <= free[d] and d in [device for device, _ in layers[p[1]][p[2]]]]
            total += x * len(waiting)
        end = max(free[d] for d, _ in layers[q][s])
        if s == len(layers[q]) - 1:
            last, latency[q] = end, end - trace.arrival[q]
        else:
            pending.append((end, q, s + 1))
    return latency, total / last / trace.n_devices


RANDOM = [
    (seed, n, queries, M, k, load, ties)
    for seed, (n, queries, M, k) in enumerate(
        [
            (1, 20, 0, 0),
            (1, 20, 3, 0),
            (2, 30, 1, 1),
            (4, 10, 0, 0),
            (4, 10, 1, 3),
            (4, 10, 2, 3),
            (4, 40, 2, 2),
            (5, 40, 3, 1),
            (8, 60, None, 2),
            (6, 50, None, None),
        ]
    )
    for load in (0.3, 0.9, 3.0, 20.0, 0.0)
    for ties in (False, True)
]


@pytest.mark.parametrize(("seed", "n", "queries", "M", "k", "load", "ties"), RANDOM)
def test_as_defined_and_as_simulated(
    seed: int, n: int, queries: int, M: int | None, k: int | None, load: float, ties: bool
) -> None:
    """A hundred traces: light load and a burst, every query alike and each its own, with ties and with no service at all."""
    trace = burst(np.random.default_rng(seed), n, queries, M, k, load, ties)
    metrics = published_metrics(trace)
    latency, size = as_defined(trace)
    assert metrics.query_latency == pytest.approx(latency, rel=1e-9, abs=1e-9)
    assert metrics.average_queue_size == pytest.approx(size, rel=1e-9, abs=1e-9)
    assert metrics.query_latency.tolist() == run_reference(trace).latency.tolist()
    assert metrics.latency == pytest.approx(latency.mean(), rel=1e-9, abs=1e-9)


def test_the_worked_trace() -> None:
    """Three queries, M = 1, k = 1: latencies 9, 11, 11 and 25 / 13 / 2; the time average waiting is another figure."""
    trace = Trace(
        n_devices=2,
        arrival=[0.0, 1.0, 2.0],
        user=[0, 1, 0],
        stage_start=[0, 2, 4, 6],
        job_start=[0, 2, 3, 5, 6, 8, 9],
        device=[0, 1, 0, 1, 0, 1, 0, 1, 0],
        service=[4.0, 3.0, 2.0, 5.0, 1.0, 2.0, 2.0, 2.0, 3.0],
    )
    metrics = published_metrics(trace)
    assert metrics.query_latency.tolist() == [9, 11, 11]
    assert metrics.latency == pytest.approx(31 / 3)
    assert metrics.average_queue_size == pytest.approx(25 / 13 / 2, rel=1e-15)
    result = replay(trace)
    assert result.waiting_mean == pytest.approx([9 / 13, 10 / 13])
    assert result.p50 == 11
    assert result.mean == metrics.latency


def test_without_layers_the_statistic_counts_by_hand() -> None:
    """One device, services 4 and 2, arrivals 0 and 1: query 1 counts for all of the 4 seconds, over 6; it waits for 3."""
    trace = Trace(
        n_devices=1,
        arrival=[0.0, 1.0],
        user=[0, 0],
        stage_start=[0, 1, 2],
        job_start=[0, 1, 2],
        device=[0, 0],
        service=[4.0, 2.0],
    )
    result = replay(trace)
    assert result.published is not None
    assert result.published.average_queue_size == pytest.approx(4 / 6)
    assert result.waiting_mean == pytest.approx([3 / 6])


def test_neither_count_of_the_queue_bounds_the_other() -> None:
    """A stage that is not pending yet when a job is taken out is not counted, though its job will wait for that one."""
    larger, smaller = (
        Trace(
            n_devices=2, arrival=[0.0, second], user=[0, 0], stage_start=stages, job_start=jobs, device=device, service=service
        )
        for second, stages, jobs, device, service in (
            (3.0, [0, 1, 2], [0, 1, 2], [0, 0], [4.0, 1.0]),
            (0.0, [0, 1, 3], [0, 1, 2, 3], [0, 1, 0], [9.0, 1.0, 1.0]),
        )
    )
    for trace, published, average in ((larger, 4 / 5 / 2, 1 / 5 / 2), (smaller, 0.0, 8 / 10 / 2)):
        result = replay(trace)
        assert result.published is not None
        assert result.published.average_queue_size == pytest.approx(published)
        assert result.waiting_mean.mean() == pytest.approx(average)


def test_what_the_published_code_knows_nothing_of() -> None:
    plain: dict[str, Any] = {
        "n_devices": 2,
        "arrival": [0.0],
        "user": [0],
        "stage_start": [0, 2],
        "job_start": [0, 2, 3],
        "device": [0, 1, 0],
        "service": [1.0, 2.0, 1.0],
    }
    for more, reason in (
        ({"quorum": [1, 1]}, "the published code waits for every answer, and this trace has a quorum"),
        ({"back": [0.0, 0.5, 0.0]}, "the published code knows no link delays, and this trace has some"),
    ):
        trace = Trace(**plain, **more)
        with pytest.raises(InputError, match=reason):
            published_metrics(trace)
        result = replay(trace)
        assert result.published is None
        assert result.reasons == (f"published is null: {reason}",)
    harmless = Trace(**plain, quorum=[2, 1], there=np.zeros(3), back=np.zeros(3))
    assert published_metrics(harmless).average_queue_size == published_metrics(Trace(**plain)).average_queue_size
