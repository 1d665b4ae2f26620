"""Bytes that each device needs: weights, the running inference's cache, queued prompts, prompts and answers kept at home.

What is counted is what the simulator counts: the cache of the inference that runs; the prompts of the jobs that wait; and, for
every query of the own user whose layer is out, its prompt and the answers that are back. The mean follows from mean waits and
mean durations by Little's law. For the quantile, the cache is that of one of the stages or none, and what is held beside it is
taken as nothing with some probability, else as gamma-distributed, matched to mean and variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.delay.memory_at_home import AtHome, at_home
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import WorkMoments, stage_flows

__all__ = ["DeviceMemory", "HeldLaw", "device_memory"]

# Correlation between what waits at a device and what is kept there for queries under way, both of which grow with congestion;
# chosen on 90 simulated systems.
_CORRELATION = 0.5
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Memory need of each device; shape (n,), bytes. Infinite where a queue is not bounded."""

    mean: FloatArray
    quantile: FloatArray


@dataclass(frozen=True, slots=True)
class HeldLaw:
    """A gamma law with an atom at 0, matched to moments; every array has the same shape.

    Parameters
    ----------
    mean, variance : ndarray
        Of the amount held, the atom included.
    some : ndarray
        Probability that it is not 0; raised to ``mean^2 / E[amount^2]``, below which no law has these moments.

    Examples
    --------
    Half the time nothing, else exponential of mean 1: more than ``log 10`` with probability 0.05.

    >>> law = HeldLaw(np.array([0.5]), np.array([0.75]), np.array([0.5]))
    >>> law.quantile(0.05).round(6).tolist(), law.survival(np.log([10.0])).round(6).tolist()
    ([2.302585], [0.05])
    """

    mean: FloatArray
    variance: FloatArray
    some: FloatArray

    def __post_init__(self) -> None:
        """Raise the chance where the moments ask for it."""
        squared = self.variance + self.mean**2
        least = np.divide(self.mean**2, squared, out=np.zeros_like(squared), where=squared > 0)
        object.__setattr__(self, "some", np.where(self.mean > 0, np.clip(np.maximum(self.some, least), 1e-300, 1.0), 0.0))

    @property
    def _shape_and_scale(self) -> tuple[FloatArray, FloatArray]:
        """Of the gamma law of what is held when something is."""
        some = np.where(self.some > 0, self.some, 1.0)
        given = np.where(self.some > 0, self.mean / some, 1.0)
        spread = np.where(self.some > 0, np.maximum((self.variance + self.mean**2) / some - given**2, 1e-10 * given**2), 1.0)
        return given**2 / spread, spread / given

    def survival(self, amount: FloatArray) -> FloatArray:
        """Probability to hold more than an amount; 1 below 0."""
        from scipy import special

        shape, scale = self._shape_and_scale
        return np.where(amount < 0, 1.0, self.some * special.gammaincc(shape, np.maximum(amount, 0.0) / scale))

    def quantile(self, overflow_probability: float) -> FloatArray:
        """The amount that is exceeded with this probability."""
        from scipy import special

        shape, scale = self._shape_and_scale
        level = np.divide(overflow_probability, self.some, out=np.ones_like(self.some), where=self.some > overflow_probability)
        return np.where(level < 1, special.gammainccinv(shape, level) * scale, 0.0)


def device_memory(
    system: System,
    work: WorkMoments,
    mean_jobs: FloatArray,
    user_latency: FloatArray,
    *,
    stage_mean: FloatArray | None = None,
    stage_wait: FloatArray | None = None,
) -> DeviceMemory | None:
    """Approximation: mean memory of each device, and the amount exceeded with the system's overflow probability.

    Parameters
    ----------
    system : System
    work : WorkMoments
    mean_jobs : ndarray, shape (n,)
        Time-average number of jobs at each device.
    user_latency : ndarray, shape (n,), seconds
        Mean latency of each user's prompts; NaN for users without prompts.
    stage_mean : ndarray, shape (n, 3), seconds, optional
        Mean duration of a first layer, a later layer and the aggregation of each user; default from ``user_latency``, shared
        out over the layers in proportion to the mean sojourns of their jobs.
    stage_wait : ndarray, shape (n, 3), seconds, optional
        Mean wait at each device of the jobs of each kind of stage; default the same for all, from ``mean_jobs``.

    Returns
    -------
    DeviceMemory or None
        None when the system has no footprint. The quantile provides for the longest inference in any case.

    Notes
    -----
    The mean is exact given the waits of every kind of job and the durations of layers, but for three things: own and asked jobs
    of a stage are taken to wait alike; an answer's bytes not to depend on how long its layer takes, where devices differ in
    both; and with a quorum, the share of the layer for which answers wait is that of independent exponential jobs.
    ``tests/benchmarks/test_memory_estimate.py`` prints errors against simulation.
    """
    if system.footprint is None:
        return None
    n = system.n_devices
    wait = np.divide(mean_jobs - work.load, work.jobs, out=np.zeros(n), where=(work.jobs > 0) & (work.load < 1))
    waits = np.broadcast_to(wait[:, None], (n, len(Stage))) if stage_wait is None else stage_wait
    waits = np.where((work.load < 1)[:, None], np.nan_to_num(waits, posinf=0.0), 0.0)
    here = _at_device(system, work, waits)
    home, idle = at_home(system, waits, _wait_variance(work, wait), user_latency, stage_mean)
    stable = (work.load < 1) & np.isfinite(np.where(system.rates > 0, user_latency, 0.0))
    mean = here.cache + here.prompts + home.mean
    quantile = np.maximum(_quantile(here, home, idle, system.constraints.overflow_probability), here.contexts.max(axis=1))
    weights = np.broadcast_to(system.footprint.for_k(0).weight_bytes, (n,))
    return DeviceMemory(np.where(stable, weights + mean, np.inf), np.where(stable, weights + quantile, np.inf))


@dataclass(frozen=True, slots=True)
class _AtDevice:
    """What the jobs at a device hold there.

    ``cache`` and ``prompts``, shape (n,), are mean bytes; ``busy``, shape (n, 3), is the share of time that a stage is served,
    ``contexts``, shape (n, 3), the bytes of its cache; ``queue`` the law of the bytes of queued prompts while the device works.
    """

    cache: FloatArray
    prompts: FloatArray
    busy: FloatArray
    contexts: FloatArray
    queue: HeldLaw


def _wait_variance(work: WorkMoments, wait: FloatArray) -> FloatArray:
    """Variance of the wait: that of Pollaczek and Khinchine, scaled to the mean wait; shape (n,)."""
    free = np.where(work.load < 1, 1 - work.load, 1.0)
    exact = work.second / (2 * free)
    squared = 2 * exact**2 + work.third / (3 * free)
    return np.asarray(np.maximum(wait**2 * (np.divide(squared, exact**2, out=np.ones_like(wait), where=exact > 0) - 1), 0.0))


def _at_device(system: System, work: WorkMoments, waits: FloatArray) -> _AtDevice:
    """Cache of the running inference and prompts in the queue."""
    assert system.footprint is not None
    n = system.n_devices
    shape = (n, len(Stage))
    busy, cache = np.zeros(shape), np.zeros(shape)
    queued, prompts, prompts_squared = np.zeros(n), np.zeros(n), np.zeros(n)
    for flow in stage_flows(system):
        footprint = system.footprint.for_k(flow.k)
        tokens = np.broadcast_to(footprint.kv_bytes_per_token, shape[:1])[:, None]
        prompt = np.broadcast_to(footprint.prompt_bytes, shape)
        share, waiting = flow.rate * flow.service.mean, flow.rate * waits
        busy += share
        cache += share * tokens * np.broadcast_to(footprint.context_tokens, shape)
        queued += waiting.sum(axis=1)
        prompts += (waiting * prompt).sum(axis=1)
        prompts_squared += (waiting * prompt**2).sum(axis=1)
    load = np.where((work.load > 0) & (work.load < 1), work.load, 1.0)
    wait = np.divide(queued, work.jobs, out=np.zeros(n), where=work.jobs > 0)
    # jobs in the queue by the distributional form of Little's law: E[N (N - 1)] = R^2 E[W^2]
    squared = work.jobs**2 * (wait**2 + _wait_variance(work, wait)) + queued
    size = np.divide(prompts, queued, out=np.zeros(n), where=queued > 0)
    amount_squared = (prompts_squared - queued * size**2 + squared * size**2) / load  # while the device works
    some = np.divide(2 * queued**2, queued + squared, out=np.zeros(n), where=prompts > 0)
    return _AtDevice(
        cache=cache.sum(axis=1),
        prompts=prompts,
        busy=busy,
        contexts=np.divide(cache, busy, out=np.zeros(shape), where=busy > 0),
        queue=HeldLaw(prompts / load, np.maximum(amount_squared - (prompts / load) ** 2, 0.0), np.minimum(some / load, 1.0)),
    )


def _quantile(here: _AtDevice, home: AtHome, home_idle: AtHome, overflow_probability: float) -> FloatArray:
    """The bytes that are exceeded with this probability, by bisection; shape (n,)."""
    queue, kept = here.queue, home.while_working(home_idle, here.busy.sum(axis=1))
    both = queue.variance + kept.variance + 2 * _CORRELATION * np.sqrt(queue.variance * kept.variance)
    works = HeldLaw(queue.mean + kept.mean, both, 1 - (1 - queue.some) * (1 - kept.some))
    idle = HeldLaw(home_idle.mean, home_idle.variance, home_idle.some)
    rest = np.maximum(1 - here.busy.sum(axis=1), 0.0)
    low = np.zeros_like(rest)
    high = here.contexts.max(axis=1) + np.maximum(works.quantile(overflow_probability), idle.quantile(overflow_probability))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        beyond = rest * idle.survival(middle)
        for stage in Stage:
            beyond += here.busy[:, stage] * works.survival(middle - here.contexts[:, stage])
        above = beyond > overflow_probability
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(high)
