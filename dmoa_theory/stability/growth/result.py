"""What an overloaded system does: which queues grow and how fast, what still gets done, when buffers are full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.model.checks import BoolArray, FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.quantities import rate_unit, show_number, show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.growth.solution import Uniqueness

__all__ = ["Overload"]

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Overload(Result):
    """Exact in the fluid limit, an approximation for finite times: queues from empty as multiples of the time.

    Every figure is a slope: of what grows without bound, what is left after division by the time. Bounded queues count as
    empty, and so do the services and link delays that a prompt meets on its way.

    Attributes
    ----------
    system : System
    nominal : ndarray, shape (n,)
        Seconds of work a second offered to each device if no query were held back: the utilisation of ``region``.
    effective : ndarray, shape (n,)
        What arrives when overloaded devices hold back the layers that would follow.
    arriving_jobs, service_rate : ndarray, shape (n,), jobs/s
        Jobs that arrive at each device then, and that it completes.
    growth_rate : ndarray, shape (n,), jobs/s
        How fast each queue grows; 0 where it stays bounded or grows less than in proportion to the time.
    goodput : ndarray, shape (n,), prompts/s
        Queries of each user that are answered.
    latency_growth : ndarray, shape (n,)
        Latency of a user's prompt, as a multiple of the time at which it arrives; NaN for users without prompts.
    memory_growth : ndarray, shape (n,), bytes/s, or None
        Prompts that wait, at the device and for answers of its own user, and answers that wait for the rest of their layer.
    memory_left : ndarray, shape (n,), bytes, or None
        The scenario's limit less weights and the largest cache.
    buffer : int or None
        Jobs that fill a device; None where the scenario's memory does.
    prompts : int
        Of how many first prompts :attr:`mean_latency` is the mean.
    uniqueness : Uniqueness
        What is proved of the solution.
    residual : float
        Largest relative error of the fixed point.
    """

    verb: ClassVar[str] = "overload"

    system: System
    nominal: FloatArray
    effective: FloatArray
    arriving_jobs: FloatArray
    service_rate: FloatArray
    growth_rate: FloatArray
    goodput: FloatArray
    latency_growth: FloatArray
    memory_growth: FloatArray | None
    memory_left: FloatArray | None
    buffer: int | None
    prompts: int
    uniqueness: Uniqueness
    residual: float

    @property
    def source(self) -> Source:
        """Exact only in the limit of long times."""
        return Source.APPROXIMATION

    @property
    def stable(self) -> bool:
        """Whether every device is nominally offered less than one second of work a second."""
        return float(self.nominal.max()) < 1

    @property
    def growing(self) -> BoolArray:
        """Devices whose queues grow in proportion to the time; shape (n,)."""
        return np.asarray(self.growth_rate > 0)

    @property
    def throughput(self) -> float:
        """Queries answered, over all users, prompts/s."""
        return float(self.goodput.sum())

    @property
    def time_to_full(self) -> FloatArray:
        """Seconds from empty until each device is full: of jobs (``buffer``) or of bytes; infinite where it never is.

        0 where the memory does not hold even an idle device (:attr:`too_small`).
        """
        if self.buffer is not None:
            room, growth = np.full(self.growth_rate.size, float(self.buffer)), self.growth_rate
        else:
            assert self.memory_growth is not None
            assert self.memory_left is not None
            room, growth = np.maximum(self.memory_left, 0.0), self.memory_growth
        never = np.where(room > 0, np.inf, 0.0)
        return np.asarray(np.divide(room, growth, out=never, where=(growth > 0) & (room > 0)))

    @property
    def too_small(self) -> BoolArray:
        """Devices whose memory does not hold even the weights and the largest cache; shape (n,). None of them with a buffer."""
        if self.buffer is not None or self.memory_left is None:
            return np.zeros(self.growth_rate.size, dtype=bool)
        return np.asarray(self.memory_left <= 0)

    @property
    def mean_latency(self) -> float:
        """Mean latency of the first ``prompts`` prompts while more keep arriving, s: ``sum_u (lambda_u/L) c_u (N+1)/(2 L)``.

        With ``L`` the rate of all prompts, the i-th arrives after ``i / L`` on average, and ``c_u`` is the latency growth of
        its user. Where nothing arrives after the N-th, the last prompts find shorter queues in their later layers.
        """
        rates = self.system.rates
        total = float(rates.sum())
        growth = np.where(rates > 0, self.latency_growth, 0.0)
        return float(rates @ growth) * (self.prompts + 1) / (2 * total**2)

    def jobs_at(self, time: FloatArray | float) -> FloatArray:
        """Jobs at every device at times from empty, s; shape (..., n)."""
        return np.asarray(np.multiply.outer(np.asarray(time, dtype=np.float64), self.growth_rate))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why figures are null, or 0 without any time having passed, one sentence each."""
        found = []
        if not self.growing.all() and np.isinf(self.time_to_full).any():
            found.append("time_to_full is null where nothing grows in proportion to the time")
        if self.too_small.any():
            found.append("time_to_full is 0 where the memory does not hold even the weights and the largest cache")
        if np.isinf(self.latency_growth).any():
            found.append("latency_growth is null where it is larger than any number that is kept")
        if (self.system.rates == 0).any():
            found.append("latency_growth is null for users without prompts")
        return tuple(found)

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        asks = self.system.rates > 0
        return {
            "configuration": self.system.moa.to_dict(),
            "names": [self.system.network.name(u) for u in range(self.system.n_devices)],
            "stable": self.stable,
            "growth_rate": self.growth_rate,
            "utilisation": {"nominal": self.nominal, "effective": self.effective},
            "arriving_jobs": self.arriving_jobs,
            "service_rate": self.service_rate,
            "throughput": self.throughput,
            "offered": float(self.system.rates.sum()),
            "per_user_goodput": np.where(asks, self.goodput, np.nan),
            "latency_growth": self.latency_growth,
            "buffer": {
                "jobs": self.buffer,
                "memory_bytes": self.system.constraints.memory if self.buffer is None else None,
            },
            "time_to_full": self.time_to_full,
            "first_prompts": {"prompts": self.prompts, "mean_latency": self.mean_latency},
            "solution": {"uniqueness": self.uniqueness, "residual": self.residual},
            "reasons": self.reasons,
            "warnings": self.system.warnings(),
        }

    def table(self) -> Table:
        """Loads, growth, and when full; of a large network the devices that grow fastest."""
        n = self.system.n_devices
        order = np.arange(n)
        if n > _SHOWN:
            order = np.lexsort((-self.effective, -self.growth_rate))[:_SHOWN]
        name, full, small = self.system.network.name, self.time_to_full, self.too_small
        seconds, unit = rate_unit(float(self.growth_rate.max()) or 1.0)
        rows = tuple(
            (
                name(d),
                show_share(self.nominal[d]),
                show_share(self.effective[d]),
                show_number(seconds * self.growth_rate[d]),
                "does not fit" if small[d] else show_seconds(full[d]) if np.isfinite(full[d]) else "never",
                "overloaded" if self.growing[d] else "relieved" if self.nominal[d] > 1 else "",
            )
            for d in order.tolist()
        )
        left_out = f" ({_SHOWN} of {n} devices)" if n > _SHOWN else ""
        count = int(self.growing.sum())
        state = "no queue grows" if count == 0 else "1 queue grows" if count == 1 else f"{count} queues grow"
        filled = "memory full after" if self.buffer is None else f"{self.buffer:,} jobs after"
        heads = ("device", "nominal load", "effective load", f"jobs gained per {unit}", filled, "")
        return Table(f"{state} with {self.system.moa.label}{left_out} (fluid limit)", heads, rows)

    def records(self) -> list[dict[str, Any]]:
        """One row a device and its user: plain numbers, units in the names of the columns."""
        columns = {
            "nominal_load": self.nominal,
            "effective_load": self.effective,
            "growth_jobs_per_s": self.growth_rate,
            "arriving_jobs_per_s": self.arriving_jobs,
            "service_rate_jobs_per_s": self.service_rate,
            "time_to_full_s": self.time_to_full,
            "prompts_per_s": self.system.rates,
            "goodput_prompts_per_s": self.goodput,
            "latency_growth": self.latency_growth,
        }
        return [
            {"device": self.system.network.name(d), **{name: float(column[d]) for name, column in columns.items()}}
            for d in range(self.system.n_devices)
        ]
