"""What each (M, k) would mean for a system: load, latency, memory, accuracy, and the limits that it would break."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmoa_theory.accuracy.table import AccuracyEntry
from dmoa_theory.delay.expected_error import ErrorBand
from dmoa_theory.delay.latency import latency
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.system import System
from dmoa_theory.model.units import show_bytes
from dmoa_theory.quantities import show_seconds, show_share

__all__ = ["LIMITS", "Candidate", "Violation", "evaluate", "evaluate_all"]

#: Names of the limits, in words, and how to show their values.
LIMITS: dict[str, tuple[str, Callable[[float], str]]] = {
    "max_utilisation": ("utilisation", show_share),
    "mean_latency": ("mean latency", show_seconds),
    "p95_latency": ("p95 latency", show_seconds),
    "memory": ("memory", show_bytes),
    "min_accuracy": ("accuracy", show_share),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit that a configuration breaks: its name in the scenario, the value, and what is allowed."""

    limit: str
    value: float
    allowed: float

    @property
    def excess(self) -> float:
        """How far beyond the limit, as a fraction of it; infinite for an unbounded value."""
        return abs(self.value - self.allowed) / self.allowed

    def __str__(self) -> str:
        """In words, such as "p95 latency 721 s against 600 s"; to five digits where three do not tell them apart."""
        name, show = LIMITS[self.limit]
        value, allowed = show(self.value), show(self.allowed)
        if value == allowed:
            value, allowed = f"{self.value:.5g}", f"{self.allowed:.5g}"
        return f"{name} {value} against {allowed}"

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {"limit": self.limit, "value": self.value, "allowed": self.allowed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One (M, k), evaluated.

    Attributes
    ----------
    M, k : int
    accuracy, accuracy_error : float
        Stated accuracy (0 to 1) and its standard error.
    utilisation : float
        Of the busiest device.
    mean_latency, p95_latency : float, seconds
        Approximations; infinite when a queue is not bounded.
    mean_error, p95_error : ErrorBand or None
        How far such latencies were from simulation; None when not measured.
    memory_bytes : float or None
        Of the neediest device, at the overflow probability; None when nothing is known of memory.
    violations : tuple of Violation
        Limits that it breaks.
    impossible : str
        Why the network does not allow it; empty when it does.
    """

    M: int
    k: int
    accuracy: float
    accuracy_error: float
    utilisation: float
    mean_latency: float
    p95_latency: float
    mean_error: ErrorBand | None
    p95_error: ErrorBand | None
    memory_bytes: float | None
    violations: tuple[Violation, ...]
    impossible: str = ""

    @property
    def feasible(self) -> bool:
        """Whether it is possible and breaks no limit."""
        return not self.impossible and not self.violations

    @property
    def stable(self) -> bool:
        """Whether every queue is bounded."""
        return not self.impossible and self.utilisation < 1

    @property
    def name(self) -> str:
        """Such as "M=1, k=2"."""
        return f"M={self.M}, k={self.k}"

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "M": self.M,
            "k": self.k,
            "accuracy": self.accuracy,
            "accuracy_standard_error": self.accuracy_error,
            "utilisation": self.utilisation,
            "critical_scale": 1 / self.utilisation if self.utilisation > 0 else None,
            "mean_latency": self.mean_latency,
            "p95_latency": self.p95_latency,
            "memory_bytes": self.memory_bytes,
            "feasible": self.feasible,
            "violations": [violation.to_dict() for violation in self.violations],
            "impossible": self.impossible or None,
        }


def evaluate(system: System, entry: AccuracyEntry, *, standard_errors: float = 0.0, margin: bool = False) -> Candidate:
    """Evaluate one configuration with the load and latency theory.

    Parameters
    ----------
    system : System
    entry : AccuracyEntry
        The configuration, and its accuracy.
    standard_errors : float
        Raise every mean service time by that many of its standard errors first.
    margin : bool
        Hold latency limits with the typical error of the estimate added.
    """
    choice = int(system.choice_size()[system.rates > 0].min())
    if entry.M > 0 and entry.k > choice:
        return Candidate(
            M=entry.M,
            k=entry.k,
            accuracy=entry.accuracy,
            accuracy_error=entry.standard_error,
            utilisation=np.nan,
            mean_latency=np.nan,
            p95_latency=np.nan,
            mean_error=None,
            p95_error=None,
            memory_bytes=None,
            violations=(),
            impossible=f"a user has only {choice} neighbour{'s' * (choice > 1)}" if choice else "a user has nobody to ask",
        )
    configured = system.with_moa(entry.M, entry.k)
    if standard_errors:
        raised = configured.service.for_k(entry.k if entry.M else 0).at_upper_limit(standard_errors)
        configured = replace(configured, service=raised)
    estimate = latency(configured)
    load = float(estimate.utilisation.max())
    memory = None if estimate.memory is None else float(estimate.memory.quantile.max())
    bands = estimate.expected_error
    mean_margin, p95_margin = (1 + band.typical if margin and band is not None else 1.0 for band in (bands.mean, bands.p95))
    held: dict[str, float | None] = {
        "max_utilisation": load,
        "mean_latency": estimate.mean * mean_margin,
        "p95_latency": estimate.p95 * p95_margin,
        "memory": memory,
        "min_accuracy": entry.accuracy,
    }
    return Candidate(
        M=entry.M,
        k=entry.k,
        accuracy=entry.accuracy,
        accuracy_error=entry.standard_error,
        utilisation=load,
        mean_latency=estimate.mean,
        p95_latency=estimate.p95,
        mean_error=bands.mean,
        p95_error=bands.p95,
        memory_bytes=memory,
        violations=_violations(held, system.constraints),
    )


def _violations(values: dict[str, float | None], limits: Constraints) -> tuple[Violation, ...]:
    broken = []
    for limit in LIMITS:
        allowed, value = getattr(limits, limit), values[limit]
        if allowed is None or value is None:
            continue
        beyond = value < allowed if limit == "min_accuracy" else value > allowed
        if beyond:
            broken.append(Violation(limit=limit, value=value, allowed=allowed))
    return tuple(broken)


def evaluate_all(
    system: System,
    entries: Iterable[AccuracyEntry],
    *,
    standard_errors: float = 0.0,
    margin: bool = False,
    progress: Callable[[float], None] | None = None,
) -> tuple[Candidate, ...]:
    """Evaluate configurations one by one; see :func:`evaluate`."""
    listed = list(entries)
    evaluated = []
    for place, entry in enumerate(listed):
        evaluated.append(evaluate(system, entry, standard_errors=standard_errors, margin=margin))
        if progress is not None:
            progress((place + 1) / len(listed))
    return tuple(evaluated)
