"""What a simulation in steady state found, each figure with its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.quantities import (
    show_number,
    show_seconds,
    show_share,
    show_uncertain,
    show_uncertain_seconds,
    show_uncertain_share,
)
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.simulation.output.intervals import Interval

__all__ = ["LEVELS", "SimulationResult"]

#: Percentiles that a simulation states.
LEVELS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_STAGES = ("first", "later", "aggregate")
_SHOWN = 12
#: Share of time busy from which on a run says little of what would come after it.
_NEARLY_ALWAYS = 0.99
#: Above so many devices the JSON leaves the distribution of queue lengths out.
_MOST_SHARES = 100
#: Queries a batch below which batches are so short that they neither are independent nor betray that they are not.
_FEWEST_A_BATCH = 50
#: Share of the shortest first-layer inference to which the clock must tell times at the end of a run.
_CLOCK = 1 / 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SimulationResult(Result):
    """Exact simulation, figures with 95 % intervals; seconds throughout, NaN where nothing was seen or nothing is steady.

    Attributes
    ----------
    system : System
    seed, replications, wanted_replications, batches, queries, jobs, warm_up : int
        ``queries`` are those kept, ``jobs`` all that were simulated, ``warm_up`` the queries dropped before.
    partial, settled, independent : bool
        Whether the run was interrupted; whether the start was forgotten before anything was kept; whether neighbouring
        batches are uncorrelated, without which the intervals are too narrow.
    stable : bool
        False where queues grew throughout the run.
    growth_rate, growing : ndarray, shape (n,)
        Jobs/s that each queue gained, and whether by more than chance; zero in a stable run.
    precision : float or None
        Relative half width that was asked for.
    mean, variance, p50, p95, p99 : Interval
        Latency over all prompts.
    distribution_at : ndarray, shape (m,)
        Latencies, rising, about 200 of them between the first answer and the last, denser in the upper tail.
    distribution : Interval, shape (m,)
        Share of the prompts that were answered faster than each of these. Neither is in the JSON.
    user_mean, user_variance, user_p50, user_p95, user_p99 : Interval, shape (n,)
        By user; NaN for users without prompts.
    stage_mean, stage_variance, stage_p50, stage_p95, stage_p99 : Interval, shape (3,)
        Duration of a stage from fork to join: first layer, later layers, aggregation.
    stage_wait, stage_sojourn : Interval, shape (3,)
        Mean wait and sojourn of one job, by stage.
    user_stage_mean : Interval, shape (n, 3)
        Duration of a stage by user.
    utilisation, wait_mean, waiting_mean, jobs_mean, job_rate : Interval, shape (n,)
        By device: share of time busy, mean wait, time-average number waiting and in system, jobs/s.
    largest : ndarray, shape (n,)
        Most jobs ever at each device while queries were kept.
    job_shares : Interval, shape (n, most + 1)
        Share of time with 0, 1, 2, ... jobs at each device.
    jobs_at_least : Interval, shape (n, most + 1)
        Share of time with so many or more.
    in_flight, throughput : Interval
        Time-average number of queries under way; answers/s.
    memory_mean, memory_quantile : Interval, shape (n,), or None
        Bytes held by each device: mean, and what is exceeded with the scenario's overflow probability.
    balance : float
        Largest relative error of Little's law and of the conservation of work on the run's own sums: rounding.
    """

    verb: ClassVar[str] = "simulate"

    system: System
    seed: int
    replications: int
    wanted_replications: int
    batches: int
    queries: int
    jobs: int
    warm_up: int
    partial: bool
    settled: bool
    independent: bool
    stable: bool
    growth_rate: FloatArray
    growing: npt.NDArray[np.bool_]
    precision: float | None
    mean: Interval
    variance: Interval
    p50: Interval
    p95: Interval
    p99: Interval
    distribution_at: FloatArray
    distribution: Interval
    user_mean: Interval
    user_variance: Interval
    user_p50: Interval
    user_p95: Interval
    user_p99: Interval
    stage_mean: Interval
    stage_variance: Interval
    stage_p50: Interval
    stage_p95: Interval
    stage_p99: Interval
    user_stage_mean: Interval
    stage_wait: Interval
    stage_sojourn: Interval
    utilisation: Interval
    wait_mean: Interval
    waiting_mean: Interval
    jobs_mean: Interval
    job_rate: Interval
    largest: IntArray
    job_shares: Interval
    jobs_at_least: Interval
    in_flight: Interval
    throughput: Interval
    memory_mean: Interval | None
    memory_quantile: Interval | None
    balance: float
    #: How long it took, s; not in the JSON, which is the same for the same seed.
    seconds: float = field(default=0.0)
    compile_seconds: float = field(default=0.0)

    @property
    def source(self) -> Source:
        """Simulated."""
        return Source.SIMULATED

    @property
    def mean_latency(self) -> float:
        """Mean latency over all prompts, s."""
        return float(self.mean.value)

    def whole(self) -> SimulationResult:
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
    def reached(self) -> float:
        """The larger relative half width of mean and p95 of the latency; NaN when unknown."""
        return float(np.max([_relative(self.mean), _relative(self.p95)]))

    @property
    def precise(self) -> bool:
        """Whether the precision asked for, if any, is reached."""
        return self.precision is None or bool(self.reached <= self.precision)

    def reasons(self) -> list[str]:
        """Why figures are missing or not to be trusted, one sentence each."""
        found = []
        if self.partial and self.queries:
            found.append(f"interrupted: the figures are of the {self.queries:,} queries that were finished")
        elif self.partial and self.stable:
            return ["interrupted: no batch of queries was finished, so there are no figures"]
        elif self.partial:
            found.append("interrupted")
        if not self.stable:
            worst = int(np.where(self.growing, self.growth_rate, -np.inf).argmax())
            found.append(
                f"no averages: the queue of {self.system.network.name(worst)} grew throughout the run, "
                f"by {show_number(3600 * float(self.growth_rate[worst]))} jobs an hour"
                + (f", and so did {self.growing.sum() - 1} more" if self.growing.sum() > 1 else "")
            )
            return found
        busiest = int(np.nan_to_num(self.utilisation.value).argmax())
        if self.utilisation.value[busiest] >= _NEARLY_ALWAYS:
            name, share = self.system.network.name(busiest), show_share(float(self.utilisation.value[busiest]))
            found.append(f"{name} was busy {share} of the time: this run cannot tell a slow queue from a growing one")
        if not self.settled:
            found.append("the start from empty queues was not forgotten in the warm-up: keep more queries")
        if not self.independent:
            found.append(
                "neighbouring batches look alike: unless that is chance, as in one run of a hundred, "
                "the intervals are too narrow: keep more queries"
            )
        if 0 < self.queries < _FEWEST_A_BATCH * self.batches:
            found.append(f"{self.queries:,} queries are too few for honest intervals, which may be far too narrow: keep more")
        tick, shortest = self._tick_and_shortest()
        if tick > _CLOCK * shortest:
            found.append(
                f"times late in the run are known to {show_seconds(tick)} only, too coarse for inferences of "
                f"{show_seconds(shortest)}: keep fewer queries, or raise the rates"
            )
        if not self.precise:
            found.append(
                f"the precision of {100 * (self.precision or 0):g} % was not reached: "
                + (f"{100 * self.reached:.2g} %" if np.isfinite(self.reached) else "too few queries to tell it")
            )
        if self.queries and np.isnan(self.user_p50.value).all():
            found.append("percentiles by user are null: too many users, or too few prompts of each, to keep count")
        if self.queries and self.system.n_devices > _MOST_SHARES:
            found.append(f"jobs_distribution is null: it is given for up to {_MOST_SHARES} devices")
        if self.memory_mean is None:
            found.append("memory is null: the scenario has neither a [memory] section nor a measured profile")
        return found

    def _tick_and_shortest(self) -> tuple[float, float]:
        """Spacing of the times that float64 can tell at the end of a run, and the shortest mean of a first layer, s."""
        prompts = (self.queries + self.warm_up) / max(self.replications, 1)
        means = [self.system.service.for_k(group.k).mean[:, Stage.FIRST].min() for group in self.system.groups()]
        return float(np.spacing(prompts / self.system.rates.sum())), float(min(means))

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        names = ("mean", "variance", *LEVELS)
        n, active = self.system.n_devices, self.system.rates > 0
        return {
            "configuration": self.system.moa.to_dict(),
            "stable": self.stable,
            "partial": self.partial,
            "queries": self.queries,
            "jobs": self.jobs,
            "seed": self.seed,
            "replications": self.replications,
            "warm_up": self.warm_up,
            "precision": {"wanted": self.precision, "reached": self.reached},
            **{name: getattr(self, name).value for name in names},
            "per_stage": self._stages("value"),
            "per_user": [self._user(u, "value") if active[u] else None for u in range(n)],
            "per_device": [
                self._device(i, "value")
                | {
                    "largest": self.largest[i] if self.queries else None,
                    "growth_rate": self.growth_rate[i],
                    "jobs_distribution": self._shares(i) if n <= _MOST_SHARES and self.queries else None,
                }
                for i in range(n)
            ],
            "queries_in_flight": self.in_flight.value,
            "throughput": self.throughput.value,
            "ci95": {
                **{name: getattr(self, name).half_width for name in names},
                "per_stage": self._stages("half_width"),
                "per_user": [self._user(u, "half_width") if active[u] else None for u in range(n)],
                "per_device": [self._device(i, "half_width") for i in range(n)],
                "queries_in_flight": self.in_flight.half_width,
                "throughput": self.throughput.half_width,
            },
            "reasons": self.reasons(),
            "warnings": self.system.warnings(),
        }

    def _stages(self, part: str) -> dict[str, dict[str, float]]:
        figures = {
            "duration": self.stage_mean,
            **{name: getattr(self, f"stage_{name}") for name in ("variance", *LEVELS)},
            "wait": self.stage_wait,
            "sojourn": self.stage_sojourn,
        }
        return {
            stage: {name: getattr(interval, part)[s] for name, interval in figures.items()} for s, stage in enumerate(_STAGES)
        }

    def _user(self, u: int, part: str) -> dict[str, Any]:
        figures = {name: getattr(getattr(self, f"user_{name}"), part)[u] for name in ("mean", "variance", *LEVELS)}
        return {**figures, "per_stage": dict(zip(_STAGES, getattr(self.user_stage_mean, part)[u], strict=True))}

    def _device(self, i: int, part: str) -> dict[str, Any]:
        figures = {
            "utilisation": self.utilisation,
            "mean_wait": self.wait_mean,
            "mean_waiting": self.waiting_mean,
            "mean_in_system": self.jobs_mean,
            "job_rate": self.job_rate,
            "memory_mean_bytes": self.memory_mean,
            "memory_quantile_bytes": self.memory_quantile,
        }
        return {name: None if interval is None else getattr(interval, part)[i] for name, interval in figures.items()}

    def _shares(self, i: int) -> FloatArray:
        share = self.job_shares.value[i]
        used = np.flatnonzero(share > 0)
        return np.asarray(share[: int(used[-1]) + 1 if used.size else 1])

    def table(self) -> Table:
        """Mean and percentiles with intervals, over all prompts and by user; the slowest users of a large network."""
        names = ("mean", *LEVELS)
        users = np.flatnonzero(self.system.rates > 0)
        left_out = ""
        if users.size > _SHOWN:
            left_out = f" ({_SHOWN} slowest of {users.size} users)"
            slow = np.nan_to_num(self.user_mean.value[users], nan=-1.0)
            users = users[np.argsort(-slow, kind="stable")[:_SHOWN]]
        rows = [("all prompts", *(_cell(getattr(self, name), ()) for name in names))]
        rows += [
            (self.system.network.name(u), *(_cell(getattr(self, f"user_{name}"), (u,)) for name in names))
            for u in users.tolist()
        ]
        how = "simulated, ± 95 % interval" if self.stable else "UNSTABLE: queues grew, so there are no averages"
        return Table(
            f"latency with {self.system.moa.label} ({how}){left_out}",
            ("prompts of", "mean", "median", "p95", "p99"),
            tuple(rows),
        )

    def records(self) -> list[dict[str, Any]]:
        """All prompts, then one row a user."""
        names = ("mean", *LEVELS)
        overall: dict[str, Any] = {"prompts_of": "all"}
        for name in names:
            overall |= _columns(f"{name}_s", getattr(self, name), ())
        rows = [overall]
        for u in np.flatnonzero(self.system.rates > 0).tolist():
            row: dict[str, Any] = {"prompts_of": self.system.network.name(u)}
            for name in names:
                row |= _columns(f"{name}_s", getattr(self, f"user_{name}"), (u,))
            rows.append(row)
        return rows

    def length_records(self) -> list[dict[str, Any]]:
        """One row a device and number of jobs: the share of time that so many were there; up to the most that ever were."""
        rows = []
        for i in range(self.system.n_devices):
            for jobs in range(self._shares(i).size if self.queries else 0):
                row: dict[str, Any] = {"device": self.system.network.name(i), "jobs": jobs}
                row |= _columns("share_of_time", self.job_shares, (i, jobs))
                rows.append(row | _columns("share_with_so_many_or_more", self.jobs_at_least, (i, jobs)))
        return rows

    def device_records(self) -> list[dict[str, Any]]:
        """One row a device: plain numbers, units in the names of the columns."""
        figures = {
            "utilisation": self.utilisation,
            "mean_wait_s": self.wait_mean,
            "mean_waiting": self.waiting_mean,
            "mean_jobs": self.jobs_mean,
            "job_rate_per_s": self.job_rate,
            "memory_mean_bytes": self.memory_mean,
            "memory_quantile_bytes": self.memory_quantile,
        }
        rows = []
        for i in range(self.system.n_devices):
            row: dict[str, Any] = {"device": self.system.network.name(i)}
            for name, interval in figures.items():
                if interval is not None:
                    row |= _columns(name, interval, (i,))
            rows.append(row | {"largest": int(self.largest[i]), "growth_jobs_per_s": float(self.growth_rate[i])})
        return rows

    def device_table(self) -> Table:
        """Utilisation, wait and jobs by device; how fast queues grow in an unstable run; the busiest of a large network."""
        n = self.system.n_devices
        order = np.arange(n)
        left_out = ""
        if n > _SHOWN:
            busy = np.nan_to_num(self.utilisation.value) if self.stable else np.where(self.growing, 1e9, 0) + self.growth_rate
            order = np.argsort(-busy, kind="stable")[:_SHOWN]
            left_out = f" ({_SHOWN} {'busiest' if self.stable else 'fastest growing'} of {n:,} devices)"
        if not self.stable:
            return Table(
                f"queues with {self.system.moa.label} (simulated){left_out}",
                ("device", "jobs gained an hour", ""),
                tuple(
                    (
                        self.system.network.name(i),
                        show_number(3600 * float(self.growth_rate[i])),
                        "grows" if self.growing[i] else "",
                    )
                    for i in order.tolist()
                ),
            )
        return Table(
            f"queues with {self.system.moa.label} (simulated, ± 95 % interval){left_out}",
            ("device", "utilisation", "mean wait", "waiting", "jobs there", "most ever"),
            tuple(
                (
                    self.system.network.name(i),
                    _cell(self.utilisation, (i,), show=show_uncertain_share),
                    _cell(self.wait_mean, (i,)),
                    _cell(self.waiting_mean, (i,), show=show_uncertain),
                    _cell(self.jobs_mean, (i,), show=show_uncertain),
                    f"{self.largest[i]:,}" if self.queries else "-",
                )
                for i in order.tolist()
            ),
        )


def _relative(interval: Interval) -> float:
    value = float(interval.value)
    return float(interval.half_width) / value if value > 0 else float("nan")


def _columns(name: str, interval: Interval, at: tuple[int, ...]) -> dict[str, float]:
    return {name: float(interval.value[at]), f"{name}_ci95": float(interval.half_width[at])}


def _cell(interval: Interval, at: tuple[int, ...], show: Callable[[float, float], str] = show_uncertain_seconds) -> str:
    value = float(interval.value[at])
    return show(value, float(interval.half_width[at])) if np.isfinite(value) else "-"
