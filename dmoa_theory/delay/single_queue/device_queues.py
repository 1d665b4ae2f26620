"""Every device of a system as an M/G/1 queue of its own: how often jobs wait and how long, busy periods, decay of the tail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from dmoa_theory.delay.single_queue.busy_period import busy_periods
from dmoa_theory.delay.single_queue.job_mix import JobMix, job_mix
from dmoa_theory.delay.single_queue.lattice import tail_bracket
from dmoa_theory.delay.single_queue.moments import queue_moments
from dmoa_theory.delay.single_queue.tail import decay, wait_quantile
from dmoa_theory.model.checks import FloatArray, IntArray, read_only
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.loads import stage_flows, work_moments

__all__ = ["DeviceQueues", "device_queues"]

_SHOWN = 12
_LEVEL = 0.95
# Of more different queues than this, tails are worked out for the busiest.
_MOST_TAILS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DeviceQueues(Result):
    """Exact for M/G/1 (an approximation in a network with layers). Infinite where overloaded, NaN where no job ever comes.

    With lognormal service ``wait_p95`` is the middle of two bounds, about 0.1 % apart.

    Attributes
    ----------
    system : System
    exact : bool
        Whether the devices are M/G/1 queues: where no user has layers.
    wait_chance : ndarray, shape (n,)
        Chance that a job has to wait: the utilisation.
    wait_mean, wait_p95 : ndarray, shape (n,), s
        Wait of a job, those that do not wait included. ``wait_p95`` is NaN where its tail was not worked out.
    decay_time : ndarray, shape (n,), s
        After so much longer, the chance of a longer wait is less by a factor e (in the limit of long waits; Lundberg). NaN for
        a lognormal law, whose tail decays more slowly than any exponential.
    busy_period : ndarray, shape (n,), s
        Mean length.
    jobs_mean : ndarray, shape (n,)
        Mean number in system, by Little's law.
    heavy : bool
        Whether the service law has no exponential decay.
    tails_of : int
        Devices whose tails were worked out.
    """

    verb: ClassVar[str] = "queues"

    system: System
    exact: bool
    wait_chance: FloatArray
    wait_mean: FloatArray
    wait_p95: FloatArray
    decay_time: FloatArray
    busy_period: FloatArray
    jobs_mean: FloatArray
    heavy: bool
    tails_of: int

    @property
    def source(self) -> Source:
        """Exact without layers (but for the p95 of lognormal service), else an approximation."""
        return Source.EXACT if self.exact else Source.APPROXIMATION

    def reasons(self) -> list[str]:
        """What the figures are, and why some are missing; one sentence each."""
        found = [
            f"exact{' but for the p95' if self.heavy else ''}: without layers every device is an M/G/1 queue"
            if self.exact
            else "an approximation: each device as an M/G/1 queue with the same jobs, though with layers they arrive in groups"
        ]
        if self.heavy:
            found.append(
                "no decay time: service is lognormal, and the tail of the wait decays more slowly than any exponential, "
                "as P(W > x) ~ rho / (1 - rho) P(S_e > x) with S_e what is left of a service; its p95 is the middle of two "
                "bounds about 0.1 % apart"
            )
        used = int((self.wait_chance > 0).sum())
        if self.tails_of < used:
            found.append(f"p95 and decay time of the {self.tails_of} busiest of {used} devices only: the others are too many")
        return found

    def _columns(self) -> dict[str, FloatArray]:
        return {
            "wait_chance": self.wait_chance,
            "mean_wait": self.wait_mean,
            "p95_wait": self.wait_p95,
            "decay_time": self.decay_time,
            "mean_busy_period": self.busy_period,
            "mean_in_system": self.jobs_mean,
        }

    def payload(self) -> dict[str, Any]:
        """The key ``queues`` of ``dmoa latency --json``."""
        columns = self._columns()
        devices = [{name: column[i] for name, column in columns.items()} for i in range(self.system.n_devices)]
        return {"model": "M/G/1", "exact": self.exact, "per_device": devices, "reasons": self.reasons()}

    def records(self) -> list[dict[str, Any]]:
        """One row a device."""
        unit = {"wait_chance": "", "mean_in_system": ""}
        columns = {name + unit.get(name, "_s"): column for name, column in self._columns().items()}
        return [
            {"device": self.system.network.name(i), **{name: float(column[i]) for name, column in columns.items()}}
            for i in range(self.system.n_devices)
        ]

    def table(self) -> Table:
        """The devices, the busiest of a large network."""
        order, some = np.arange(self.system.n_devices), ""
        if order.size > _SHOWN:
            order = np.argsort(-np.nan_to_num(self.wait_chance), kind="stable")[:_SHOWN]
            some = f", {_SHOWN} busiest of {self.system.n_devices}"
        what = "exact" if self.exact else "an approximation here"
        rows = []
        for i in order.tolist():
            seconds = (self.wait_mean[i], self.wait_p95[i], self.decay_time[i], self.busy_period[i])
            jobs = self.jobs_mean[i]
            there = "-" if np.isnan(jobs) else f"{jobs:.2f}" if np.isfinite(jobs) else "unbounded"
            cells = ("-" if np.isnan(value) else show_seconds(value) for value in seconds)
            rows.append((self.system.network.name(i), show_share(self.wait_chance[i]), *cells, there))
        heads = ("device", "has to wait", "mean wait", "p95 wait", "decay time", "busy period", "jobs there")
        return Table(f"each device as an M/G/1 queue ({what}{some})", heads, tuple(rows))


def device_queues(system: System, *, progress: Callable[[float], None] | None = None) -> DeviceQueues:
    """Exact for M/G/1, but for a lognormal p95 (an approximation with layers): waits, busy periods, tails of every device.

    Parameters
    ----------
    system : System
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Notes
    -----
    Of more than 1,000 different queues, tails (p95, decay time) are those of the busiest only. With a lognormal law the p95 is
    the middle of two bounds that lie about 0.1 % apart.

    Examples
    --------
    M/M/1 with mean service 1 s at load 0.75: 95 in 100 wait no more than 4 ln 15 s.

    >>> found = device_queues(System.from_arrays([[0]], 0.75, 1.0, M=0, k=0, law="exponential"))
    >>> [round(float(x[0]), 6) for x in (found.wait_mean, found.wait_p95, found.decay_time, found.busy_period)]
    [3.0, 10.832201, 4.0, 4.0]
    """
    work = work_moments(system)
    used, stable = work.jobs > 0, work.load < 1
    moments = queue_moments(system)
    service = np.divide(work.load, work.jobs, out=np.zeros_like(work.load), where=used)
    missing = np.where(used, np.where(stable, np.nan, np.inf), np.nan)
    p95, decays = missing.copy(), missing.copy()
    kinds = _kinds(system, np.flatnonzero(used & stable), work.load)
    heavy = False
    for place, devices in enumerate(kinds[:_MOST_TAILS]):
        tail = _tail(job_mix(system, int(devices[0])))
        p95[devices], decays[devices] = tail.p95, tail.decay_time
        heavy |= bool(np.isnan(tail.decay_time))
        if progress is not None:
            progress((place + 1) / min(len(kinds), _MOST_TAILS))
    known = np.where(used, 1.0, np.nan)
    M, _, _ = system.moa.per_user(system.n_devices)
    return DeviceQueues(
        system=system,
        exact=not bool((M[system.rates > 0] > 0).any()),
        wait_chance=read_only(np.where(used, np.minimum(work.load, 1.0), np.nan)),
        wait_mean=read_only(known * moments.wait_mean),
        wait_p95=read_only(p95),
        decay_time=read_only(decays),
        busy_period=busy_periods(system).mean,
        jobs_mean=read_only(known * work.jobs * (moments.wait_mean + service)),
        heavy=heavy,
        tails_of=int(np.isfinite(p95).sum() + (used & ~stable).sum()),
    )


def _kinds(system: System, devices: IntArray, load: FloatArray) -> list[IntArray]:
    """Devices that serve the same jobs, the busiest first."""
    flows = list(stage_flows(system))
    columns = []
    for flow in flows:
        shape = flow.rate.shape
        columns += [flow.rate, np.broadcast_to(flow.service.mean, shape), np.broadcast_to(flow.service.scv, shape)]
        if flow.service.samples is not None:
            columns.append((np.arange(float(shape[0])) % len(flow.service.samples))[:, None])
    key = np.hstack(columns)[devices]
    scale = np.abs(key).max(axis=0, initial=0.0)
    _, first, which = np.unique(
        np.round(key / np.where(scale > 0, scale, 1.0), 12), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(which.ravel(), kind="stable")
    groups = np.split(devices[order], np.cumsum(np.bincount(which.ravel(), minlength=first.size))[:-1]) if devices.size else []
    return sorted(groups, key=lambda group: -float(load[group[0]]))


class _Tail(NamedTuple):
    p95: float
    decay_time: float


def _tail(mix: JobMix) -> _Tail:
    found = decay(mix)
    if found is None:
        return _Tail(_between_bounds(mix), float("nan"))
    return _Tail(wait_quantile(mix, _LEVEL), 1 / found.rate)


def _between_bounds(mix: JobMix) -> float:
    """The middle between bounds of the 95th percentile of the wait, s: on a lattice that just reaches it."""
    if mix.load <= 1 - _LEVEL:
        return 0.0
    reach, low, high = 4 * mix.service_mean / (1 - mix.load), 0.0, np.inf
    while True:
        t, lower, upper = tail_bracket(mix, reach)
        if upper[-1] <= 1 - _LEVEL:
            low, high = float(t[np.argmax(lower <= 1 - _LEVEL)]), float(t[np.argmax(upper <= 1 - _LEVEL)])
            if high > reach / 2:
                return (low + high) / 2
            reach = 1.2 * high
        else:
            reach *= 2
