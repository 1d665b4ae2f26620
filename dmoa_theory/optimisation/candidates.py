"""What each (M, k) would mean for a system: load, latency, memory, accuracy, and the limits that it would break."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmoa_theory.accuracy.table import AccuracyEntry
from dmoa_theory.delay.expected_error import ErrorBand, ExpectedError
from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.errors import InputError
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.limits import LATENCIES, LIMITS, Figures, Limits, Violation, figures_of

__all__ = ["LIMITS", "Candidate", "Evaluations", "Violation", "evaluate", "evaluate_all", "latency_margins"]

_NOTHING = Figures(
    max_utilisation=np.nan,
    mean_latency=np.nan,
    p95_latency=np.nan,
    p99_latency=np.nan,
    user_mean_latency=np.nan,
    user_p95_latency=np.nan,
    user_p99_latency=np.nan,
    memory=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One (M, k), evaluated.

    Attributes
    ----------
    M, k : int
    accuracy, accuracy_error : float
        Stated accuracy (0 to 1) and its standard error.
    figures : Figures
        Load, latencies and memory; approximations, infinite when a queue is not bounded.
    mean_error, p95_error : ErrorBand or None
        How far such latencies were from simulation; None when not measured.
    violations : tuple of Violation
        Limits that it breaks.
    impossible : str
        Why the network does not allow it; empty when it does.
    scale : float
        Factor on all rates at which it was evaluated.
    """

    M: int
    k: int
    accuracy: float
    accuracy_error: float
    figures: Figures
    mean_error: ErrorBand | None = None
    p95_error: ErrorBand | None = None
    violations: tuple[Violation, ...] = ()
    impossible: str = ""
    scale: float = 1.0

    @property
    def utilisation(self) -> float:
        """Of the busiest device."""
        return self.figures.max_utilisation

    @property
    def mean_latency(self) -> float:
        """Over all prompts, s."""
        return self.figures.mean_latency

    @property
    def p95_latency(self) -> float:
        """Over all prompts, s."""
        return self.figures.p95_latency

    @property
    def memory_bytes(self) -> float | None:
        """Of the neediest device, at the overflow probability; None when nothing is known of memory."""
        return self.figures.memory

    @property
    def feasible(self) -> bool:
        """Whether it is possible and breaks no limit."""
        return not self.impossible and not self.violations

    @property
    def stable(self) -> bool:
        """Whether every queue is bounded."""
        return not self.impossible and self.utilisation < 1

    @property
    def configuration(self) -> tuple[int, int]:
        """(M, k)."""
        return self.M, self.k

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
            "load_scale": self.scale,
            "critical_scale": self.scale / self.utilisation if self.utilisation > 0 else None,
            "mean_latency": self.mean_latency,
            "p95_latency": self.p95_latency,
            "p99_latency": self.figures.p99_latency,
            "user_mean_latency": self.figures.user_mean_latency,
            "user_p95_latency": self.figures.user_p95_latency,
            "user_p99_latency": self.figures.user_p99_latency,
            "memory_bytes": self.memory_bytes,
            "feasible": self.feasible,
            "violations": [violation.to_dict() for violation in self.violations],
            "impossible": self.impossible or None,
        }


class Evaluations:
    """Latency estimates of one system by configuration, each worked out once: a plan looks at some of them several times.

    Parameters
    ----------
    system : System
    limits : Limits, optional
        Default those of the system.
    """

    def __init__(self, system: System, limits: Limits | None = None) -> None:
        self.system = system
        self.limits = Limits.of(system.constraints) if limits is None else limits
        self._seen: dict[tuple[int, int, float, float, float], LatencyEstimate] = {}
        self._choice = int(system.choice_size()[system.rates > 0].min())
        service = system.service.for_k(0)
        self.uncertain = bool(np.any(service.mean_error))

    def under(self, limits: Limits) -> Evaluations:
        """The same system under other limits; what was worked out is shared, for limits move no figure."""
        found = copy(self)
        found.limits = limits
        return found

    def impossible(self, M: int, k: int) -> str:
        """Why the network does not allow a configuration; empty when it does."""
        if M == 0 or k <= self._choice:
            try:
                self.system.with_moa(M, k)
            except InputError as error:  # links that are always used
                return error.allowed
            return ""
        if not self._choice:
            return "a user has nobody to ask"
        return f"a user has only {self._choice} neighbour{'s' * (self._choice > 1)}"

    def configured(self, M: int, k: int, *, standard_errors: float = 0.0, scale: float = 1.0, slower: float = 1.0) -> System:
        """The system with that configuration, its mean service times raised, its rates and service times scaled."""
        system = self.system.with_moa(M, k)
        if scale != 1.0:
            system = system.with_rates(system.rates * scale)
        if (standard_errors and self.uncertain) or slower != 1.0:
            service = system.service.for_k(k if M else 0)
            raised = service.at_upper_limit(standard_errors) if standard_errors and self.uncertain else service
            system = replace(system, service=raised if slower == 1.0 else replace(raised, mean=raised.mean * slower))
        return system

    def estimate(
        self, M: int, k: int, *, standard_errors: float = 0.0, scale: float = 1.0, slower: float = 1.0
    ) -> LatencyEstimate:
        """Approximation: the latency of a configuration; see :meth:`configured`."""
        key = (M, k if M else 0, standard_errors if self.uncertain else 0.0, scale, slower)
        if key not in self._seen:
            self._seen[key] = latency(self.configured(M, k, standard_errors=standard_errors, scale=scale, slower=slower))
        return self._seen[key]

    def candidate(
        self,
        entry: AccuracyEntry,
        *,
        standard_errors: float = 0.0,
        margin: bool = False,
        scale: float = 1.0,
        slower: float = 1.0,
    ) -> Candidate:
        """A configuration evaluated; see :func:`evaluate`."""
        common = {"M": entry.M, "k": entry.k, "accuracy": entry.accuracy, "accuracy_error": entry.standard_error}
        impossible = self.impossible(entry.M, entry.k)
        if impossible:
            return Candidate(**common, figures=_NOTHING, impossible=impossible)  # type: ignore[arg-type]
        estimate = self.estimate(entry.M, entry.k, standard_errors=standard_errors, scale=scale, slower=slower)
        figures, bands = figures_of(estimate), estimate.expected_error
        held = figures.raised(latency_margins(bands)) if margin else figures
        return Candidate(
            **common,  # type: ignore[arg-type]
            figures=figures,
            mean_error=bands.mean,
            p95_error=bands.p95,
            violations=self.limits.broken(held, entry.accuracy),
            scale=scale,
        )


def latency_margins(bands: ExpectedError) -> dict[str, float]:
    """By how much to raise each latency so that its typical error is allowed for; by name of the limit."""
    found = {}
    for name, level in LATENCIES.items():
        band: ErrorBand | None = getattr(bands, level.removeprefix("user_"))
        found[name] = 1.0 if band is None else 1 + band.typical
    return found


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
    return Evaluations(system).candidate(entry, standard_errors=standard_errors, margin=margin)


def evaluate_all(
    evaluations: Evaluations,
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
        evaluated.append(evaluations.candidate(entry, standard_errors=standard_errors, margin=margin))
        if progress is not None:
            progress((place + 1) / len(listed))
    return tuple(evaluated)
