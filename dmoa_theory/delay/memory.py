"""Bytes that each device needs: weights, the running inference's cache, queued prompts, answers waiting for a join.

The number of jobs at a device is taken as geometric beyond the first, with the mean that Little's law gives; that is exact
for M/M/1 and an approximation otherwise. So is the number of queries in flight at home.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import WorkMoments, stage_flows

__all__ = ["DeviceMemory", "device_memory", "quantile_of_jobs"]


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Memory need of each device; shape (n,), bytes. Infinite where a queue is not bounded."""

    mean: FloatArray
    quantile: FloatArray


def quantile_of_jobs(load: FloatArray, mean_jobs: FloatArray, overflow_probability: float | FloatArray) -> FloatArray:
    """Approximation (exact for M/M/1): the number of jobs at a device that is exceeded with a given probability at most.

    ``P(N > m) = load (1 - load / mean_jobs)^m``, which has the right chance of an empty device and the right mean.

    Parameters
    ----------
    load, mean_jobs : ndarray, shape (n,)
        Utilisation below one, and time-average number of jobs at the device (at least the load).
    overflow_probability : float or ndarray, shape (n,)

    Examples
    --------
    M/M/1 at load one half: P(N > m) = 0.5^(m + 1).

    >>> quantile_of_jobs(np.array([0.5]), np.array([1.0]), 2.0**-10).tolist()
    [9.0]
    """
    busy = load > overflow_probability
    ratio = np.where(busy, 1 - load / np.where(mean_jobs > 0, mean_jobs, 1.0), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.log(overflow_probability / np.where(busy, load, 1.0)) / np.log(ratio)
    steps = np.where(ratio > 0, np.ceil(steps - 1e-9), 1.0)
    return np.where(busy, np.maximum(steps, 1.0), 0.0)


def device_memory(system: System, work: WorkMoments, mean_jobs: FloatArray, user_latency: FloatArray) -> DeviceMemory | None:
    """Approximation: mean memory of each device, and the amount exceeded with the system's overflow probability.

    Parameters
    ----------
    system : System
    work : WorkMoments
    mean_jobs : ndarray, shape (n,)
        Time-average number of jobs at each device.
    user_latency : ndarray, shape (n,), seconds
        Mean latency of each user's prompts; NaN for users without prompts.

    Returns
    -------
    DeviceMemory or None
        None when the system has no footprint.
    """
    if system.footprint is None:
        return None
    n = system.n_devices
    _, k, _ = system.moa.per_user(n)
    flows = list(stage_flows(system))
    footprints = [system.footprint.for_k(flow.k) for flow in flows]
    weights = np.broadcast_to(footprints[0].weight_bytes, (n,))
    kv = np.broadcast_to(footprints[0].kv_bytes_per_token, (n,))
    context_now, context_most, prompt_rate, prompt_most = (np.zeros(n) for _ in range(4))
    for flow, footprint in zip(flows, footprints, strict=True):
        context = np.broadcast_to(footprint.context_tokens, (n, len(Stage)))
        prompt = np.broadcast_to(footprint.prompt_bytes, (n, len(Stage)))
        served = flow.rate > 0
        context_now += (flow.rate * flow.service.mean * context).sum(axis=1)  # busy with that stage, times its context
        context_most = np.maximum(context_most, np.where(served, context, 0.0).max(axis=1))
        prompt_rate += (flow.rate * prompt).sum(axis=1)
        prompt_most = np.maximum(prompt_most, np.where(served, prompt, 0.0).max(axis=1))
    response = np.broadcast_to(footprints[0].response_bytes, (n,))
    at_home = (k + 1) * response + prompt_most
    in_flight = np.nan_to_num(system.rates * user_latency, nan=0.0, posinf=np.inf)
    stable = (work.load < 1) & np.isfinite(in_flight)
    waiting = np.where(stable, mean_jobs - work.load, 0.0)
    flying = np.where(stable, in_flight, 0.0)
    per_job = np.divide(prompt_rate, work.jobs, out=np.zeros(n), where=work.jobs > 0)
    mean = weights + kv * context_now + waiting * per_job + flying * at_home
    # The queue and the queries at home may each overflow: by the union bound, half the probability each is safe.
    overflow = system.constraints.overflow_probability * np.where(flying > 0, 0.5, 1.0)
    jobs = quantile_of_jobs(np.where(stable, work.load, 0.0), np.where(stable, mean_jobs, 0.0), overflow)
    # queries in flight: geometric from zero with the same mean, which is the law above at load = mean / (1 + mean)
    queries = quantile_of_jobs(flying / (1 + flying), flying, overflow)
    quantile = weights + kv * context_most + np.maximum(jobs - 1, 0.0) * prompt_most + queries * at_home
    return DeviceMemory(np.where(stable, mean, np.inf), np.where(stable, quantile, np.inf))
