"""What a plan is held to: latency over all prompts or of every user, memory, utilisation, accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.delay.target import parse_target
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, SMALLEST
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.units import show_bytes
from dmoa_theory.quantities import show_seconds, show_share

__all__ = ["LATENCIES", "LIMITS", "Figures", "Limits", "Violation", "figures_of", "parse_limit", "told_apart"]

#: Names of the limits, in words, and how to show their values.
LIMITS: dict[str, tuple[str, Callable[[float], str]]] = {
    "max_utilisation": ("utilisation", show_share),
    "mean_latency": ("mean latency", show_seconds),
    "p95_latency": ("p95 latency", show_seconds),
    "p99_latency": ("p99 latency", show_seconds),
    "user_mean_latency": ("mean latency of the slowest user", show_seconds),
    "user_p95_latency": ("p95 latency of the slowest user", show_seconds),
    "user_p99_latency": ("p99 latency of the slowest user", show_seconds),
    "memory": ("memory", show_bytes),
    "min_accuracy": ("accuracy", show_share),
}
#: Those that are latencies, and the figure of a latency estimate that each is about.
LATENCIES = {
    "mean_latency": "mean",
    "p95_latency": "p95",
    "p99_latency": "p99",
    "user_mean_latency": "user_mean",
    "user_p95_latency": "user_p95",
    "user_p99_latency": "user_p99",
}


def told_apart(limit: str, first: float, second: float) -> tuple[str, str]:
    """Two values of a limit in words; with as many digits as it takes to tell them apart.

    Examples
    --------
    >>> told_apart("p95_latency", 100.0, 300.0), told_apart("p95_latency", 100.0, 100.02)
    (('100 s', '300 s'), ('100 s', '100.02 s'))
    """
    show = LIMITS[limit][1]
    unit, factor = ("s", 1.0) if limit in LATENCIES else ("bytes", 1.0) if limit == "memory" else ("%", 100.0)
    one, other = show(first), show(second)
    for digits in range(5, 18):
        if one != other or first == second:
            break
        one, other = (f"{factor * value:.{digits}g} {unit}" for value in (first, second))
    return one, other


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
        """In words, such as "p95 latency 721 s against 600 s"; with digits enough to tell them apart."""
        value, allowed = told_apart(self.limit, self.value, self.allowed)
        return f"{LIMITS[self.limit][0]} {value} against {allowed}"

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {"limit": self.limit, "value": self.value, "allowed": self.allowed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the limits are about, of one system as configured; infinite where a queue is not bounded.

    Attributes
    ----------
    max_utilisation : float
        Of the busiest device.
    mean_latency, p95_latency, p99_latency : float, seconds
        Over all prompts.
    user_mean_latency, user_p95_latency, user_p99_latency : float, seconds
        Of the slowest user.
    memory : float or None, bytes
        Of the neediest device; None when nothing is known of memory.
    """

    max_utilisation: float
    mean_latency: float
    p95_latency: float
    p99_latency: float
    user_mean_latency: float
    user_p95_latency: float
    user_p99_latency: float
    memory: float | None

    def raised(self, factors: Mapping[str, float]) -> Figures:
        """The same with some figures multiplied, by name."""
        return replace(self, **{name: getattr(self, name) * factor for name, factor in factors.items()})

    def to_dict(self) -> dict[str, float | None]:
        """For the JSON contract."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def figures_of(estimate: LatencyEstimate) -> Figures:
    """The figures of a latency estimate."""
    users = estimate.system.rates > 0
    return Figures(
        max_utilisation=float(estimate.utilisation.max()),
        mean_latency=estimate.mean,
        p95_latency=estimate.p95,
        p99_latency=estimate.p99,
        user_mean_latency=float(estimate.user_mean[users].max()),
        user_p95_latency=float(estimate.user_p95[users].max()),
        user_p99_latency=float(estimate.user_p99[users].max()),
        memory=None if estimate.memory is None else float(estimate.memory.quantile.max()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on a plan; None where there is none. Seconds, bytes, fractions; see :class:`dmoa_theory.Constraints`.

    The names that begin with ``user_`` are limits on every user; those of the other latencies on all prompts together.

    Examples
    --------
    >>> limits = Limits.of(Constraints(p95_latency=300.0), user_mean_latency=200.0)
    >>> limits.p95_latency, limits.user_mean_latency, limits.max_utilisation
    (300.0, 200.0, 0.95)
    """

    max_utilisation: float = 0.95
    mean_latency: float | None = None
    p95_latency: float | None = None
    p99_latency: float | None = None
    user_mean_latency: float | None = None
    user_p95_latency: float | None = None
    user_p99_latency: float | None = None
    memory: float | None = None
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        """Check every limit that is given."""
        for name in LATENCIES:
            value = getattr(self, name)
            if value is not None and not SMALLEST <= value <= LARGEST:
                raise InputError(name, value, "a finite number of seconds above 0")

    @classmethod
    def of(cls, constraints: Constraints, **further: float | None) -> Limits:
        """The limits of a scenario, with further ones added or put in their place."""
        known = {name: getattr(constraints, name, None) for name in LIMITS}
        return cls(**{**known, **further})  # type: ignore[arg-type]

    @property
    def latencies(self) -> dict[str, float]:
        """Limits on latency that are given, by name."""
        return {name: getattr(self, name) for name in LATENCIES if getattr(self, name) is not None}

    def given(self) -> dict[str, float]:
        """All limits that are given, by name."""
        return {name: getattr(self, name) for name in LIMITS if getattr(self, name) is not None}

    def broken(self, figures: Figures, accuracy: float | None = None) -> tuple[Violation, ...]:
        """The limits that these figures break."""
        found = []
        for name, allowed in self.given().items():
            value = accuracy if name == "min_accuracy" else getattr(figures, name)
            if value is None:
                continue
            if not (value >= allowed if name == "min_accuracy" else value <= allowed):  # so that no nan is within a limit
                found.append(Violation(limit=name, value=value, allowed=allowed))
        return tuple(found)

    def fullness(self, figures: Figures) -> float:
        """The largest share of a limit that is used, of those that load moves; above 1 where one is broken, or a figure nan."""
        shares = [
            getattr(figures, name) / allowed
            for name, allowed in self.given().items()
            if name != "min_accuracy" and getattr(figures, name) is not None
        ]
        return float(np.max(np.nan_to_num(shares, nan=np.inf)))


def parse_limit(text: str) -> tuple[str, float]:
    """A limit such as ``"p99=10 min"`` or ``"user-mean=200"``: its name and seconds.

    Raises
    ------
    InputError
        When it is on something else, or the time cannot be read.

    Examples
    --------
    >>> parse_limit("p99=10 min"), parse_limit("user-mean=200")
    (('p99_latency', 600.0), ('user_mean_latency', 200.0))
    """
    each = text.strip().startswith("user-")
    level, _, _ = text.strip().removeprefix("user-").partition("=")
    allowed = (
        "mean, p95 or p99 (with user- before it: of every user), = and a time above 0 (ms, s, min, h), such as p99=10min or "
        "user-p95=300"
    )
    if level.strip() not in {"mean", "p95", "p99"}:
        raise InputError("--limit", text, allowed)
    try:
        name, seconds = parse_target(text.strip().removeprefix("user-"), field="--limit")
    except InputError:  # whose own hint lists what may be a target, which is not what may be a limit
        raise InputError("--limit", text, allowed) from None
    return f"{'user_' if each else ''}{name}_latency", seconds
