"""What finite runs from empty queues show: latency, queues over time, when a buffer is full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.simulation.bursts.burst_summary import (
    Band,
    BufferTimes,
    FirstFull,
    Latencies,
    PromptPlaces,
    PublishedRuns,
    QueueTrajectories,
)
from dmoa_theory.simulation.bursts.user_latencies import UserLatencies
from dmoa_theory.simulation.output.intervals import Interval

__all__ = ["BurstResult"]

_SHOWN = 12
_NOT_SHOWN = "-"
_MEAN = "mean of devices"
_LATENCIES = ("latency, mean", "latency, median", "latency, p95", "latency, p99")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class BurstResult(Result):
    """Simulated: finite runs from empty queues. Intervals hold the truth in 95 of 100 cases; every run is one observation.

    Time averages are over a run from 0 to the end of its last job, or to ``until`` where that is later.

    Attributes
    ----------
    system : System
    prompts : int or None
        In each run; None where they arrive ``until`` a time.
    until : float or None, s
    at_once : bool
    log : ArrivalLog or None
        When and where prompts came, if that was given.
    poisson : Latencies or None
        Beside a log: the same number of prompts with Poisson arrivals at its rates.
    poisson_deviation : float
        Standard deviation of the mean latency of one run of those, s: how far lists of Poisson prompts differ among themselves.
    seed : int
    asked, replications : int
        Runs that were asked for, and that are in; fewer when interrupted.
    prompts_per_run : float
        Mean.
    mean, p50, p95, p99 : Interval
        Latency over all prompts of all runs, s.
    users : UserLatencies
        The same by user.
    mean_deviation : float
        Standard deviation of the mean latency of one run, s: how far a single experiment strays.
    makespan : Interval
        When the last job of a run is done, s: 0 where no prompt arrives. Its answer may have come too late to be used.
    makespan_deviation : float
    utilisation, waiting, in_system : Interval, shape (n,)
        Time averages by device.
    waiting_per_device, in_system_per_device : Interval
        Mean of the devices.
    waiting_deviation : float
        Standard deviation of one run's ``waiting_per_device``.
    largest_waiting : Interval, shape (n,)
        Most jobs that waited at once in a run.
    most_waiting : ndarray of int, shape (n,)
        In any run.
    places : PromptPlaces
        Latency by the prompt's place in its run.
    trajectories : QueueTrajectories
    published : PublishedRuns or None
        Figures of the published code; ``published_reason`` says why there are none.
    published_reason : str or None
    buffer : BufferTimes or None
        When buffers are first full, if that was asked.
    """

    verb: ClassVar[str] = "burst"

    system: System
    prompts: int | None
    until: float | None
    at_once: bool
    log: ArrivalLog | None
    poisson: Latencies | None
    poisson_deviation: float
    seed: int
    asked: int
    replications: int
    prompts_per_run: float
    mean: Interval
    p50: Interval
    p95: Interval
    p99: Interval
    users: UserLatencies
    mean_deviation: float
    makespan: Interval
    makespan_deviation: float
    utilisation: Interval
    waiting: Interval
    in_system: Interval
    waiting_per_device: Interval
    in_system_per_device: Interval
    waiting_deviation: float
    largest_waiting: Interval
    most_waiting: IntArray
    places: PromptPlaces
    trajectories: QueueTrajectories
    published: PublishedRuns | None
    published_reason: str | None
    buffer: BufferTimes | None

    @property
    def source(self) -> Source:
        """Simulated."""
        return Source.SIMULATED

    @property
    def partial(self) -> bool:
        """Whether the runs were interrupted."""
        return self.replications < self.asked

    def whole(self) -> BurstResult:
        """The same, for work that goes on with it.

        Raises
        ------
        KeyboardInterrupt
            When it was interrupted: who did that wants the end of the rest too.
        """
        if self.partial:
            raise KeyboardInterrupt
        return self

    @property
    def busiest(self) -> IntArray:
        """Devices in order of the jobs that are there on average, the most first; shape (n,)."""
        return np.argsort(-self.in_system.value, kind="stable")

    @property
    def arrivals(self) -> str:
        """How prompts arrive, in words."""
        if self.prompts is None:
            assert self.until is not None
            return f"prompts until {show_seconds(self.until)}"
        counted = "1 prompt" if self.prompts == 1 else f"{self.prompts:,} prompts"
        if self.log is not None:
            return f"{counted} as in {self.log.label}" if self.log.name else f"{counted} as listed"
        return f"{counted} at once" if self.at_once else counted

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why figures are missing, one sentence each."""
        found = []
        if self.partial:
            found.append(f"partial: interrupted after {self.replications:,} of {self.asked:,} runs")
        if self.prompts_per_run == 0:
            found.append("latencies are null: no prompt arrived in any run")
        elif self.replications == 1:
            found.append("intervals and deviations are null: a single run tells no error")
        else:
            short = [name for name in ("p50", "p95", "p99") if not np.isfinite(getattr(self, name).half_width)]
            if short:
                found.append(f"ends of the interval of {', '.join(short)} are null: too few prompts beyond")
        if self.published_reason is not None:
            found.append(f"published is null: {self.published_reason}")
        return tuple(found)

    @property
    def _names(self) -> list[str]:
        return [self.system.network.name(d) for d in range(self.system.n_devices)]

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        n, name = self.system.n_devices, self.system.network.name
        devices = [
            {
                "name": name(d),
                "utilisation": _interval(self.utilisation, d),
                "mean_waiting": _interval(self.waiting, d),
                "mean_in_system": _interval(self.in_system, d),
                "largest_waiting_mean": _interval(self.largest_waiting, d),
                "largest_waiting": self.most_waiting[d],
            }
            for d in range(n)
        ]
        places = self.places
        by_prompt = [
            {
                "first": places.first[p],
                "last": places.last[p],
                "mean": _interval(places.mean, p),
                "p50": places.p50[p],
                "p95": places.p95[p],
                "p99": places.p99[p],
            }
            for p in range(places.first.size)
        ]
        seen = self.trajectories
        buffer, published = self.buffer, self.published
        return {
            "configuration": self.system.moa.to_dict(),
            "prompts": self.prompts,
            "until": self.until,
            "at_once": self.at_once,
            "arrivals": None if self.log is None else self._logged(self.log),
            "seed": self.seed,
            "replications": self.replications,
            "partial": self.partial,
            "prompts_per_run": self.prompts_per_run,
            "mean": _interval(self.mean),
            "p50": _interval(self.p50),
            "p95": _interval(self.p95),
            "p99": _interval(self.p99),
            "mean_one_run_deviation": self.mean_deviation,
            "makespan": _interval(self.makespan),
            "makespan_one_run_deviation": self.makespan_deviation,
            "mean_waiting": _interval(self.waiting_per_device),
            "mean_waiting_one_run_deviation": self.waiting_deviation,
            "mean_in_system": _interval(self.in_system_per_device),
            "per_user": self.users.payload(self._names),
            "per_device": devices,
            "by_prompt": by_prompt,
            "trajectories": {
                "time": seen.time,
                "mean_of_devices": {
                    "waiting": _band(seen.waiting_per_device),
                    "in_system": _band(seen.in_system_per_device),
                },
                "busiest_devices": [
                    {"name": name(d), "waiting": _band(seen.waiting, d), "in_system": _band(seen.in_system, d)}
                    for d in self.busiest[:_SHOWN].tolist()
                ],
            },
            "published": {
                "latency": None if published is None else _interval(published.latency),
                "latency_one_run_deviation": None if published is None else published.latency_deviation,
                "average_queue_size": None if published is None else _interval(published.average_queue_size),
                "average_queue_size_one_run_deviation": None if published is None else published.queue_deviation,
            },
            "buffer": None
            if buffer is None
            else {
                "size": buffer.size,
                "any_device": _full(buffer.any_device),
                "per_device": [{"name": name(d), **_full(buffer.by_device, d)} for d in range(n)],
            },
            "reasons": self.reasons,
            "warnings": self.system.warnings(),
        }

    def _logged(self, log: ArrivalLog) -> dict[str, Any]:
        """What the list of arrivals is like, and what Poisson arrivals would have made of it."""
        seen = log.dispersion()
        poisson = None if self.poisson is None else {name: _interval(each) for name, each in self.poisson._asdict().items()}
        return {
            "file": log.name or None,
            "speed": log.speed,
            "span": log.span,
            "per_user": [
                {"name": self.system.network.name(u), "prompts": log.counts[u], "rate": log.rates[u]}
                for u in range(self.system.n_devices)
            ],
            "count_dispersion": seen.counts,
            "count_window": seen.window,
            "gap_scv": seen.gaps,
            "poisson_chance": seen.chance,
            "poisson": poisson,
            "poisson_one_run_deviation": self.poisson_deviation,
        }

    def table(self) -> Table:
        """Latency, queues and their spread from run to run."""
        runs = "1 run" if self.replications == 1 else f"{self.replications:,} runs"
        interrupted = f" of {self.asked:,}, interrupted" if self.partial else ""
        return Table(
            f"{self.arrivals} with {self.system.moa.label}, from empty queues (simulated, {runs}{interrupted})",
            ("figure", "value", "95 % interval", "sd of one run", *(() if self.poisson is None else ("Poisson arrivals",))),
            tuple(self._rows() if self.poisson is None else self._rows_beside(self.poisson)),
        )

    def _rows_beside(self, poisson: Latencies) -> Iterator[tuple[str, ...]]:
        """The same with what Poisson arrivals make of the latencies."""
        beside = dict(zip(_LATENCIES, poisson, strict=True))
        for row in self._rows():
            yield *row, _second(float(beside[row[0]].value)) if row[0] in beside else _NOT_SHOWN

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        if self.prompts is None:
            yield "prompts in a run, mean", _number(self.prompts_per_run), _NOT_SHOWN, _NOT_SHOWN
        for name, latency in zip(_LATENCIES, (self.mean, self.p50, self.p95, self.p99), strict=True):
            yield name, *_seconds(latency), _second(self.mean_deviation) if latency is self.mean else _NOT_SHOWN
        yield "last job done", *_seconds(self.makespan), _second(self.makespan_deviation)
        yield "number waiting, mean of devices", *_numbers(self.waiting_per_device), _number(self.waiting_deviation)
        yield "number there, mean of devices", *_numbers(self.in_system_per_device), _NOT_SHOWN
        if self.published is not None:
            published = self.published
            label = '"average queue size" of the published code'
            yield label, *_numbers(published.average_queue_size), _number(published.queue_deviation)
        if self.buffer is not None:
            first = self.buffer.any_device
            yield f"{self.buffer.size} waiting somewhere, chance", *_shares(first.chance), _NOT_SHOWN
            yield f"{self.buffer.size} waiting somewhere first, mean", *_seconds(first.mean), _NOT_SHOWN

    def device_table(self) -> Table:
        """Utilisation and queue of every device; the busiest of many."""
        n = self.system.n_devices
        order = self.busiest[:_SHOWN].tolist() if n > _SHOWN else range(n)
        left_out = f", {_SHOWN} busiest of {n} devices" if n > _SHOWN else ""
        buffer = self.buffer
        extra = () if buffer is None else (f"{buffer.size} waiting", "at first")
        rows = []
        for d in order:
            full = () if buffer is None else (_share(buffer.by_device.chance.value[d]), _second(buffer.by_device.mean.value[d]))
            rows.append(
                (
                    self.system.network.name(d),
                    _share(self.utilisation.value[d]),
                    _number(self.waiting.value[d]),
                    _number(self.in_system.value[d]),
                    _number(self.largest_waiting.value[d]),
                    f"{self.most_waiting[d]:,}",
                    *full,
                )
            )
        return Table(
            f"queues (simulated; means over runs{left_out})",
            ("device", "utilisation", "mean waiting", "jobs there", "largest waiting", "in any run", *extra),
            tuple(rows),
        )

    def records(self) -> list[dict[str, Any]]:
        """All prompts, then one row a place in the run: plain numbers, units in the names of the columns."""
        overall = {
            "prompts": "all",
            **_columns("mean", self.mean),
            **{f"{name}_s": float(getattr(self, name).value) for name in ("p50", "p95", "p99")},
        }
        places = self.places
        by_place = [
            {
                "prompts": str(first) if first == last else f"{first}-{last}",
                **_columns("mean", places.mean, p),
                **{f"{name}_s": float(getattr(places, name)[p]) for name in ("p50", "p95", "p99")},
            }
            for p, (first, last) in enumerate(zip(places.first.tolist(), places.last.tolist(), strict=True))
        ]
        return [overall, *by_place]

    def user_records(self) -> list[dict[str, Any]]:
        """One row a user with prompts: plain numbers, units in the names of the columns."""
        return self.users.records(self._names)

    def device_records(self) -> list[dict[str, Any]]:
        """One row a device: plain numbers, units in the names of the columns."""
        columns: dict[str, FloatArray | IntArray] = {}
        for name, interval in (
            ("utilisation", self.utilisation),
            ("mean_waiting", self.waiting),
            ("mean_in_system", self.in_system),
            ("largest_waiting_mean", self.largest_waiting),
        ):
            columns |= {name: interval.value, f"{name}_lower": interval.lower, f"{name}_upper": interval.upper}
        columns["largest_waiting"] = self.most_waiting
        if self.buffer is not None:
            full = self.buffer.by_device
            columns |= {"full_chance": full.chance.value, "full_mean_s": full.mean.value, "full_median_s": full.median}
        return [
            {"device": self.system.network.name(d), **{name: column[d].item() for name, column in columns.items()}}
            for d in range(self.system.n_devices)
        ]

    def trajectory_records(self) -> list[dict[str, Any]]:
        """One row a time and device, and before the devices one for their mean: plain numbers."""
        seen = self.trajectories
        names = self._names
        whole = {"waiting": seen.waiting_per_device, "in_system": seen.in_system_per_device}
        each = {"waiting": seen.waiting, "in_system": seen.in_system}
        rows = []
        for t, time in enumerate(seen.time.tolist()):
            rows.append({"time_s": time, "device": _MEAN, **_at(whole, t)})
            rows.extend({"time_s": time, "device": name, **_at(each, (t, d))} for d, name in enumerate(names))
        return rows


def _interval(interval: Interval, place: int | tuple[()] = ()) -> dict[str, float]:
    return {name: float(getattr(interval, name)[place]) for name in ("value", "lower", "upper")}


def _band(band: Band, device: int | None = None) -> dict[str, FloatArray]:
    column = ... if device is None else (slice(None), device)
    return {name: getattr(band, name)[column] for name in ("mean", "lower", "upper")}


def _full(first: FirstFull, place: int | tuple[()] = ()) -> dict[str, Any]:
    times = {"mean_time": _interval(first.mean, place), "median_time": float(first.median[place])}
    return {"chance": _interval(first.chance, place), **times}


def _columns(name: str, interval: Interval, place: int | tuple[()] = ()) -> dict[str, float]:
    ends = {f"{name}_{end}_s": float(getattr(interval, end)[place]) for end in ("lower", "upper")}
    return {f"{name}_s": float(interval.value[place]), **ends}


def _at(bands: dict[str, Band], place: int | tuple[int, int]) -> dict[str, float]:
    return {
        f"{name}_{figure}": float(getattr(band, part)[place])
        for name, band in bands.items()
        for figure, part in (("mean", "mean"), ("p5", "lower"), ("p95", "upper"))
    }


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else _NOT_SHOWN


def _second(value: float) -> str:
    return show_seconds(float(value)) if np.isfinite(value) else _NOT_SHOWN


def _share(value: float) -> str:
    return show_share(float(value))


def _seconds(interval: Interval) -> tuple[str, str]:
    return _second(float(interval.value)), _span(_second(float(interval.lower)), _second(float(interval.upper)))


def _numbers(interval: Interval) -> tuple[str, str]:
    return _number(float(interval.value)), _span(_number(float(interval.lower)), _number(float(interval.upper)))


def _shares(interval: Interval) -> tuple[str, str]:
    return _share(float(interval.value)), _span(_share(float(interval.lower)), _share(float(interval.upper)))


def _span(lower: str, upper: str) -> str:
    return _NOT_SHOWN if _NOT_SHOWN in (lower, upper) else f"{lower} to {upper}"
