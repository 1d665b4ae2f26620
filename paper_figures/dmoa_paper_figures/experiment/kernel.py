"""The published replay, compiled: run after run of ten prompts, and what its code reports of each."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["replay_runs"]


@njit(cache=True, error_model="numpy")
def replay_runs(arrival, device, service, M, k, n, latency, queue, waiting, stay):  # type: ignore[no-untyped-def]
    """Exact: published latency and "average queue size", and the time-average number waiting, of every run.

    Follows :func:`dmoa_theory.simulation.traces.published_metrics.published_metrics` job by job.

    Parameters
    ----------
    arrival : ndarray, shape (runs, prompts)
    device, service : ndarray, shape (runs, prompts, jobs)
    M, k, n : int
    latency, queue, waiting : ndarray, shape (runs,)
        Filled in.
    stay : ndarray, shape (runs, prompts)
        Filled in: the latency of every prompt.
    """
    runs, prompts = arrival.shape
    ready = np.empty(prompts)
    stage = np.empty(prompts, dtype=np.int64)
    asks = np.empty((prompts, M + 1), dtype=np.int64)  # devices of a stage, one bit each
    free = np.empty(n)
    for r in range(runs):
        free[:] = 0.0
        for q in range(prompts):
            ready[q] = arrival[r, q]
            stage[q] = 0
            for s in range(M + 1):
                asks[q, s] = 0
                for j in range(s * (k + 1), s * (k + 1) + (k + 1 if s < M else 1)):
                    asks[q, s] |= 1 << device[r, q, j]
        total = waited = last = 0.0
        for _ in range(prompts * (M + 1)):
            q = 0
            for p in range(1, prompts):
                if ready[p] < ready[q]:
                    q = p
            s, now = stage[q], ready[q]
            ready[q] = np.inf  # not pending while its jobs are forked, or when it is answered
            end = 0.0
            first = s * (k + 1)
            for j in range(first, first + (k + 1 if s < M else 1)):
                d = device[r, q, j]
                start = max(free[d], now)
                free[d] = start + service[r, q, j]
                waited += start - now
                left = 0
                for p in range(prompts):
                    if ready[p] <= free[d]:
                        left += (asks[p, stage[p]] >> d) & 1
                total += service[r, q, j] * left
                end = max(end, free[d])
            if s == M:
                stay[r, q] = end - arrival[r, q]
                last = end
            else:
                ready[q] = end
                stage[q] = s + 1
        latency[r] = stay[r].mean()
        queue[r] = total / last / n
        waiting[r] = waited / free.max() / n
