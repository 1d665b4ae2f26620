"""The inverse question: the highest load at which the latency still meets a target."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LEVELS
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, SMALLEST
from dmoa_theory.model.system import System
from dmoa_theory.model.units import parse_seconds
from dmoa_theory.quantities import show_number, show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.loads import utilisation

__all__ = ["TARGETS", "TargetScale", "largest_scale", "parse_target"]

#: What a target may be set on.
TARGETS = ("mean", *LEVELS)
_ALSO = {"median": "p50", "average": "mean"}

# Loads of the busiest device that are looked at in turn, the first as good as none; then the place is narrowed down.
_LOADS = (1e-6, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995, 0.9995)
_NARROW, _STEPS = 1e-4, 40
# Falls of less than this between neighbouring loads are rounding.
_ROUNDING = 1e-6


def parse_target(text: str, *, field: str = "target") -> tuple[str, float]:
    """A target such as ``"p95=60"``, ``"mean <= 1 min"`` or ``"P99 = 2.5 hours"``: what it is set on, and seconds.

    Upper case does as well, "median" for p50, and "<=" or "<" for "=".

    Raises
    ------
    InputError
        When it is set on something else, or the time cannot be read.

    Examples
    --------
    >>> from dmoa_theory.delay.target import parse_target
    >>> parse_target("p95=60"), parse_target("Mean <= 1.5 min"), parse_target("median=800 ms")
    (('p95', 60.0), ('mean', 90.0), ('p50', 0.8))
    """
    allowed = f'a figure ({", ".join(TARGETS)}), "=" and a time above 0, such as p95=60, mean="1 min" (ms, s, min, h)'
    level, sign, time = re.match(r"([^=<≤]*)(<=|=|<|≤)?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    level = level.strip().lower()
    level = _ALSO.get(level, level)
    if not sign or level not in TARGETS:
        raise InputError(field, text, allowed)
    try:
        return level, parse_seconds(field, time)
    except InputError:
        raise InputError(field, text, allowed) from None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TargetScale(Result):
    """Approximation: the highest factor on all arrival rates at which the estimated latency meets a target.

    Parameters
    ----------
    system : System
    level : str
        What the target is set on: ``"mean"``, ``"p50"``, ``"p95"`` or ``"p99"`` over all prompts.
    seconds : float
        The target.
    scale : float
        It is met at this factor on all rates and at every smaller one that was looked at; 0 when not even by an idle network.
    interval : tuple of float, or None
        The same with estimates that are too low, and too high, by their typical error; None where that is not known.
    present : float, s
        The figure at the present load; infinite where it is unbounded.
    empty : float, s
        The figure in a network that is idle but for the one prompt.
    critical_scale : float
        Factor on all rates below which every queue stays bounded; ``scale`` is less.
    bound_by : str
        What keeps the load from being higher: ``"target"``, or ``"stability"`` where the target is met up to the edge.
    monotone : bool
        Whether the figure rose with the load wherever it was looked at.
    checked : tuple of (float, float)
        Factors that were looked at, rising, and the figure at each, s.
    """

    verb: ClassVar[str] = "target"

    system: System
    level: str
    seconds: float
    scale: float
    interval: tuple[float, float] | None
    present: float
    empty: float
    critical_scale: float
    bound_by: str
    monotone: bool
    checked: tuple[tuple[float, float], ...]

    @property
    def source(self) -> Source:
        """An approximation, as the latency is."""
        return Source.APPROXIMATION

    @property
    def met(self) -> bool:
        """Whether the target is met at the present load."""
        return self.present <= self.seconds

    def reasons(self) -> tuple[str, ...]:
        """What a figure needs said beside it, one sentence each."""
        found = []
        if self.scale == 0:
            found.append(f"no load meets the target: idle devices take {show_seconds(self.empty)}")
        if not self.monotone:
            found.append("the estimate does not rise with the load everywhere: it first exceeds the target at the scale given")
        if self.interval is None:
            found.append("no interval: the error of such estimates is not known")
        return tuple(found)

    def payload(self) -> dict[str, Any]:
        """The key ``target`` of ``dmoa latency --json``."""
        return {
            "level": self.level,
            "seconds": self.seconds,
            "met": self.met,
            "scale": self.scale,
            "interval": self.interval,
            "present": self.present,
            "empty": self.empty,
            "critical_scale": self.critical_scale,
            "bound_by": self.bound_by,
            "monotone": self.monotone,
            "checked": self.checked,
            "reasons": self.reasons(),
        }

    def table(self) -> Table:
        """The figure by load, up to where the target is missed."""
        rows = [
            (
                f"{show_number(scale)} times",
                show_share(scale / self.critical_scale),
                show_seconds(value),
                "met" if ok else "missed",
            )
            for (scale, value), ok in zip(self.checked, (value <= self.seconds for _, value in self.checked), strict=True)
        ]
        title = f"{self.level} with {self.system.moa.label} by load (approximation); target {show_seconds(self.seconds)}"
        return Table(title, ("rates", "busiest device", self.level, "target"), tuple(rows))

    def records(self) -> list[dict[str, Any]]:
        """One row a factor that was looked at."""
        return [
            {"scale": scale, "utilisation": scale / self.critical_scale, f"{self.level}_s": value, "met": value <= self.seconds}
            for scale, value in self.checked
        ]


def largest_scale(
    system: System, level: str = "p95", seconds: float = 60.0, *, progress: Callable[[float], None] | None = None
) -> TargetScale:
    """Approximation: the highest factor on all arrival rates at which the estimated latency meets a target.

    Parameters
    ----------
    system : System
        Need not be stable as it is.
    level : str
        What the target is set on, over all prompts: ``"mean"``, ``"p50"``, ``"p95"`` or ``"p99"``.
    seconds : float
        The target.
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Returns
    -------
    TargetScale

    Notes
    -----
    Loads are looked at from low to high, until the target is first missed, and the factor is then narrowed down between the
    last two to a ten-thousandth of the critical one. The interval repeats this for a target that is smaller, and larger, by
    the typical error of the estimate at each load (``expected_error`` of :func:`dmoa_theory.latency`).

    Raises
    ------
    InputError
        For a level or a time that is not known.

    Examples
    --------
    M/M/1 with mean service 1 s: the mean is ``1 / (1 - rho)``, so 4 s allow a load of 0.75, half as much again.

    >>> from dmoa_theory import System, largest_scale
    >>> alone = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0, law="exponential")
    >>> found = largest_scale(alone, "mean", 4.0)
    >>> round(found.scale, 3), found.met, round(found.empty, 3)
    (1.5, True, 1.0)
    """
    if level not in TARGETS:
        raise InputError("level", level, f"one of {', '.join(TARGETS)}")
    if not SMALLEST <= seconds <= LARGEST:
        raise InputError("seconds", seconds, "a finite number above 0")
    search = _Search(system, level, seconds, progress)
    scale, bound_by = search.run(0.0)
    low, high = (search.run(sign)[0] for sign in (-1.0, 1.0)) if search.known else (0.0, 0.0)
    # beyond the edge a percentile may be finite, where few prompts wait for ever; it is no latency that lasts
    present = search.at(1.0)[0] if search.critical > 1 else float("inf")
    checked = sorted((s, value) for s, (value, _) in search.seen.items())
    values = np.array([value for _, value in checked])
    if progress is not None:
        progress(1.0)
    return TargetScale(
        system=system,
        level=level,
        seconds=seconds,
        scale=scale,
        interval=(min(low, scale), max(high, scale)) if search.known else None,
        present=present,
        empty=search.at(search.scales[0])[0],
        critical_scale=search.critical,
        bound_by=bound_by,
        monotone=bool((np.diff(values) >= -_ROUNDING * values[:-1]).all()),
        checked=tuple(checked),
    )


class _Search:
    """Figures by scale, each worked out once."""

    def __init__(self, system: System, level: str, seconds: float, progress: Callable[[float], None] | None) -> None:
        self.system, self.level, self.seconds, self.progress = system, level, seconds, progress
        self.critical = 1 / float(utilisation(system).max())
        self.scales = [self.critical * load for load in _LOADS]
        self.seen: dict[float, tuple[float, float | None]] = {}
        self.known = True

    def at(self, scale: float) -> tuple[float, float | None]:
        """The figure at a scale, s, and its typical relative error."""
        if scale not in self.seen:
            estimate = latency(self.system.with_rates(self.system.rates * scale))
            band = getattr(estimate.expected_error, self.level)
            self.known &= band is not None
            self.seen[scale] = float(getattr(estimate, self.level)), None if band is None else band.typical
            if self.progress is not None:
                self.progress(min(0.99, len(self.seen) / 40))
        return self.seen[scale]

    def excess(self, scale: float, sign: float) -> float:
        """The figure over the target, less 1; with ``sign`` the target is moved by the typical error. Met at 0 and below."""
        value, error = self.at(scale)
        allowed = self.seconds * (1 + sign * (error or 0.0))
        return value / allowed - 1 if allowed > 0 else float("inf")

    def run(self, sign: float) -> tuple[float, str]:
        """The highest scale, and what keeps it from being higher."""
        low, below = 0.0, -1.0
        for high in self.scales:
            above = self.excess(high, sign)
            if above > 0:
                break
            low, below = high, above
        else:
            return low, "stability"
        if low == 0.0:
            return 0.0, "target"
        for step in range(_STEPS):
            if high - low <= _NARROW * self.critical:
                break
            # the reciprocal of the figure is nearly linear in the load, as 1 - rho is; every third step halves the bracket
            share = 0.5
            if step % 3 < 2 and np.isfinite(above):
                near, far = 1 / (1 + below) - 1, 1 - 1 / (1 + above)
                share = float(np.clip(near / (near + far), 0.02, 0.98))
            middle = low + share * (high - low)
            found = self.excess(middle, sign)
            if found > 0:
                high, above = middle, found
            else:
                low, below = middle, found
        return low, "target"
