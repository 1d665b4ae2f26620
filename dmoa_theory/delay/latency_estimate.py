"""What is known of a system's latency: by prompt, by user, by stage, by device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.expected_error import ErrorBand, ExpectedError, show_error
from dmoa_theory.delay.memory import DeviceMemory
from dmoa_theory.errors import UnstableSystemError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Result, Source, Table

__all__ = ["LEVELS", "LatencyEstimate"]

#: Percentiles that an estimate states.
LEVELS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LatencyEstimate(Result):
    """Approximation: time from prompt to answer. Seconds throughout; infinite where a queue is not bounded.

    Attributes
    ----------
    system : System
    mean, p50, p95, p99 : float
        Over all prompts.
    user_mean, user_p50, user_p95, user_p99 : ndarray, shape (n,)
        By user; NaN for users without prompts.
    stage_mean : ndarray, shape (n, 3)
        Mean duration of one first layer, one later layer and the aggregation; NaN where a user has no such stage.
    utilisation, wait_mean, jobs_mean : ndarray, shape (n,)
        By device: fraction of time busy, mean wait in queue (s), time-average number of jobs.
    memory : DeviceMemory or None
        By device, bytes; None when the scenario says nothing of memory.
    expected_error : ExpectedError
        How far such estimates were from simulation, over all prompts; single users' figures may be further off.
    """

    verb: ClassVar[str] = "latency"

    system: System
    mean: float
    p50: float
    p95: float
    p99: float
    user_mean: FloatArray
    user_p50: FloatArray
    user_p95: FloatArray
    user_p99: FloatArray
    stage_mean: FloatArray
    utilisation: FloatArray
    wait_mean: FloatArray
    jobs_mean: FloatArray
    memory: DeviceMemory | None
    expected_error: ExpectedError

    @property
    def source(self) -> Source:
        """An approximation, whatever the load."""
        return Source.APPROXIMATION

    @property
    def stable(self) -> bool:
        """Whether every queue is bounded."""
        return bool((self.utilisation < 1).all())

    @property
    def _exact(self) -> bool:
        """Whether means are exact: without layers every device is an M/G/1 queue."""
        return self.expected_error.mean is not None and self.expected_error.mean.largest == 0

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        active = self.system.rates > 0
        users = [
            {
                "mean": self.user_mean[u],
                "p50": self.user_p50[u],
                "p95": self.user_p95[u],
                "p99": self.user_p99[u],
                "per_stage": dict(zip(("first", "later", "aggregate"), self.stage_mean[u], strict=True)),
            }
            if active[u]
            else None
            for u in range(self.system.n_devices)
        ]
        memory = self.memory
        devices = [
            {
                "utilisation": self.utilisation[i],
                "mean_wait": self.wait_mean[i],
                "mean_in_system": self.jobs_mean[i],
                "memory_mean_bytes": None if memory is None else memory.mean[i],
                "memory_quantile_bytes": None if memory is None else memory.quantile[i],
            }
            for i in range(self.system.n_devices)
        ]
        reasons = []
        if not self.stable:
            worst = int(self.utilisation.argmax())
            load = float(self.utilisation[worst])
            reasons.append(str(UnstableSystemError(self.system.network.name(worst), load, 1 / load)))
        if memory is None:
            reasons.append("memory is null: the scenario has neither a [memory] section nor a measured profile")
        return {
            "configuration": self.system.moa.to_dict(),
            "stable": self.stable,
            "mean": self.mean,
            **{name: getattr(self, name) for name in LEVELS},
            "per_user": users,
            "per_device": devices,
            "expected_error": self.expected_error.to_dict(),
            "reasons": reasons,
            "warnings": self.system.warnings(),
        }

    def table(self) -> Table:
        """Mean and percentiles, over all prompts and by user; the slowest users of a large network."""
        users = np.flatnonzero(self.system.rates > 0)
        left_out = ""
        if users.size > _SHOWN:
            left_out = f" ({_SHOWN} slowest of {users.size} users)"
            users = users[np.argsort(-self.user_mean[users], kind="stable")[:_SHOWN]]
        by_user = [
            (self.system.network.name(u), self.user_mean[u], self.user_p50[u], self.user_p95[u], self.user_p99[u])
            for u in users.tolist()
        ]
        rows = [("all prompts", self.mean, self.p50, self.p95, self.p99), *by_user]
        error = self.expected_error
        bands = (error.mean, error.p50, error.p95, error.p99)
        errors = [
            ("expected error, all prompts", *(_cell(band, "typical") for band in bands)),
            ("95 % within, all prompts", *(_cell(band, "within") for band in bands)),
        ]
        how = "mean exact, percentiles numerical" if self._exact else "approximation"
        return Table(
            f"latency with {self.system.moa.label} ({how}){left_out}",
            ("prompts of", "mean", "median", "p95", "p99"),
            (*((name, *(show_seconds(x) for x in values)) for name, *values in rows), *errors),
        )

    def records(self) -> list[dict[str, Any]]:
        """All prompts, then one row a user."""
        active = np.flatnonzero(self.system.rates > 0).tolist()
        overall = {"prompts_of": "all", "mean_s": self.mean, "p50_s": self.p50, "p95_s": self.p95, "p99_s": self.p99}
        columns = {"mean_s": self.user_mean, "p50_s": self.user_p50, "p95_s": self.user_p95, "p99_s": self.user_p99}
        by_user = [
            {"prompts_of": self.system.network.name(u), **{name: float(column[u]) for name, column in columns.items()}}
            for u in active
        ]
        return [overall, *by_user]

    def device_records(self) -> list[dict[str, Any]]:
        """One row a device: plain numbers, units in the names of the columns."""
        columns = {"utilisation": self.utilisation, "mean_wait_s": self.wait_mean, "mean_jobs": self.jobs_mean}
        if self.memory is not None:
            columns |= {"memory_mean_bytes": self.memory.mean, "memory_quantile_bytes": self.memory.quantile}
        return [
            {"device": self.system.network.name(i), **{name: float(column[i]) for name, column in columns.items()}}
            for i in range(self.system.n_devices)
        ]

    def device_table(self) -> Table:
        """Utilisation, wait and jobs by device; the busiest of a large network."""
        order = (
            np.argsort(-self.utilisation, kind="stable")[:_SHOWN]
            if self.utilisation.size > _SHOWN
            else np.arange(self.utilisation.size)
        )
        return Table(
            f"queues with {self.system.moa.label} ({'exact' if self._exact else 'approximation'})",
            ("device", "utilisation", "mean wait", "jobs there"),
            tuple(
                (
                    self.system.network.name(i),
                    show_share(self.utilisation[i]),
                    show_seconds(self.wait_mean[i]),
                    f"{self.jobs_mean[i]:.2f}" if np.isfinite(self.jobs_mean[i]) else "unbounded",
                )
                for i in order.tolist()
            ),
        )


def _cell(band: ErrorBand | None, name: str) -> str:
    """An error in a cell of a table."""
    if band is None:
        return "unknown"
    return "exact" if band.largest == 0 else show_error(getattr(band, name))
