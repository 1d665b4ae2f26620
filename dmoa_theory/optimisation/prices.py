"""What a little more of a limit would buy, and how far the choice holds when loads or service times are not as stated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.accuracy.table import AccuracyEntry
from dmoa_theory.optimisation.candidates import Candidate, Evaluations
from dmoa_theory.optimisation.limits import LIMITS, figures_of, told_apart
from dmoa_theory.quantities import show_number

__all__ = ["Hold", "Price", "how_far_it_holds", "largest_factor", "prices"]

# The search for the factor at which a limit is reached.
_NARROW, _STEPS, _FURTHEST = 1e-3, 60, 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What moving one limit, or several together, buys: the least move that lets in something more accurate.

    Attributes
    ----------
    limits : tuple of (str, float, float)
        Name, present value, and the value that is needed.
    gain : float
        Rise of the stated accuracy, from 0 to 1.
    candidate : Candidate
        What could then run.
    """

    limits: tuple[tuple[str, float, float], ...]
    gain: float
    candidate: Candidate

    def __str__(self) -> str:
        """In words, such as "p95 latency from 300 s to 451 s buys +1.2 points: M=2, k=2"."""
        ends = {name: told_apart(name, now, then) for name, now, then in self.limits}
        moves = [f"{LIMITS[name][0]} from {now} to {then}" for name, (now, then) in ends.items()]
        return f"{' and '.join(moves)} buys {100 * self.gain:+.1f} points: {self.candidate.name}"

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "limits": [{"limit": name, "from": now, "to": then} for name, now, then in self.limits],
            "gain": self.gain,
            "M": self.candidate.M,
            "k": self.candidate.k,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """For which factor on all rates (or on all service times) a choice stays the choice.

    Attributes
    ----------
    of : str
        ``"rates"`` or ``"service times"``.
    low, high : float
        Below ``low`` something better is possible; above ``high`` a limit breaks.
    choice : str
        Its name.
    below, above : Candidate or None
        The choice beyond either end; None where there is none.
    """

    of: str
    choice: str
    low: float
    high: float
    below: Candidate | None
    above: Candidate | None

    def __str__(self) -> str:
        """In words, such as "rates: M=1, k=2 stays the best as stated up to 1.35 times those of the scenario; ..."."""
        span = (
            f"from {show_number(self.low)} to {show_number(self.high)} times"
            if self.low > 0
            else (f"up to {show_number(self.high)} times")
        )
        said = f"{self.of}: {self.choice} stays the best as stated {span} those of the scenario"
        if self.below is not None:
            said += f"; below, {self.below.name}"
        return said + (f"; above, {self.above.name}" if self.above is not None else "; above, nothing meets the limits")

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        below, above = self.below, self.above
        return {
            "of": self.of,
            "low": self.low,
            "high": self.high,
            "below": None if below is None else {"M": below.M, "k": below.k},
            "above": None if above is None else {"M": above.M, "k": above.k},
        }


def prices(candidates: tuple[Candidate, ...], choice: Candidate) -> tuple[Price, ...]:
    """Exact, given the estimates: the moves of limits that pay, each for the least move that lets something better in.

    Of two that ask for the same limits the one that asks for more is named only if it gains more.
    """
    found: list[Price] = []
    better = [c for c in candidates if c.stable and c.violations and c.accuracy > choice.accuracy]
    for c in sorted(better, key=lambda c: (len(c.violations), max(v.excess for v in c.violations))):
        if any(v.limit == "min_accuracy" or not np.isfinite(v.value) for v in c.violations):
            continue
        moves = tuple((v.limit, v.allowed, v.value) for v in c.violations)
        same = [p for p in found if [m[0] for m in p.limits] == [m[0] for m in moves]]
        if all(c.accuracy - choice.accuracy > p.gain for p in same):
            found.append(Price(limits=moves, gain=c.accuracy - choice.accuracy, candidate=c))
    return tuple(found)


def largest_factor(fullness: Callable[[float], float]) -> float:
    """Approximation (to 0.1 %): the largest factor at which no limit is broken, and none at any smaller one.

    Parameters
    ----------
    fullness : callable
        The largest share of a limit that is used at a factor: it rises with the factor, and is at most 1 where all is well.

    Notes
    -----
    The reciprocal of a latency is nearly linear in the load, as ``1 - rho`` is, so the place where it reaches the limit's is
    found by the secant rule, with every third step a bisection.

    Examples
    --------
    >>> round(largest_factor(lambda factor: 0.2 / (1 - factor / 2) if factor < 2 else float("inf")), 2)
    1.6
    """
    low, high, growth = 0.0, 1.0, 2.0
    at_low, at_high = fullness(1e-6), fullness(1.0)
    if at_low > 1:
        return 0.0
    while at_high <= 1:
        if high > _FURTHEST:
            return high
        low, at_low, high, growth = high, at_high, high * growth, growth**2  # almost idle devices: limits may be far away
        at_high = fullness(high)
    for step in range(_STEPS):
        if high - low <= _NARROW * low:
            break
        share = 0.5
        if step % 3 < 2 and np.isfinite(at_high) and at_low > 0:
            near, far = 1 / at_low - 1, 1 - 1 / at_high
            share = float(np.clip(near / (near + far), 0.02, 0.98))
        middle = low + share * (high - low)
        found = fullness(middle)
        if found > 1:
            high, at_high = middle, found
        else:
            low, at_low = middle, found
    return low


def how_far_it_holds(
    evaluations: Evaluations, entries: dict[tuple[int, int], AccuracyEntry], choice: Candidate
) -> tuple[Hold, ...]:
    """Approximation: over which factors on all rates, and on all service times, a choice stays the most accurate feasible one.

    Parameters
    ----------
    evaluations : Evaluations
    entries : dict
        By (M, k), all configurations that could be chosen.
    choice : Candidate
    """
    found = []
    least = evaluations.limits.min_accuracy
    able = [e for e in entries.values() if not evaluations.impossible(e.M, e.k) and (least is None or e.accuracy >= least)]
    for of, option in (("rates", "scale"), ("service times", "slower")):

        def fullness(factor: float, entry: AccuracyEntry, option: str = option) -> float:
            return evaluations.limits.fullness(figures_of(evaluations.estimate(entry.M, entry.k, **{option: factor})))

        high = largest_factor(lambda factor: fullness(factor, entries[choice.configuration]))
        low, below = 0.0, None
        for entry in (e for e in able if e.accuracy > choice.accuracy):
            if low > 0 and fullness(low * (1 + _NARROW), entry) > 1:
                continue
            reach = largest_factor(lambda factor: fullness(factor, entry))  # noqa: B023 - used at once
            if reach > low:
                low, below = reach, entry
        beyond = [e for e in able if fullness(high * (1 + 2 * _NARROW), e) <= 1]
        above = max(beyond, key=lambda e: e.accuracy, default=None)
        found.append(
            Hold(
                of=of,
                choice=choice.name,
                low=min(low, 1.0),
                high=max(high, 1.0),
                below=None if below is None else evaluations.candidate(below),
                above=None if above is None else evaluations.candidate(above),
            )
        )
    return tuple(found)
