"""What is in the way of a request that nothing meets, and the smallest change that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from dmoa_theory.accuracy.table import AccuracyEntry
from dmoa_theory.optimisation.candidates import Candidate, Evaluations
from dmoa_theory.optimisation.limits import LIMITS, Limits, Violation, told_apart
from dmoa_theory.quantities import show_number

__all__ = ["Relaxation", "conflicts", "relax"]

# The search for the largest feasible load: what counts as no load, and how finely it looks.
_NO_LOAD, _LOAD_STEP = 1e-6, 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """The smallest change that makes an infeasible request feasible.

    Attributes
    ----------
    configuration : Candidate or None
        What could then run; None when no change of limits helps, because every configuration is unstable or impossible.
    changes : tuple of Violation
        Limits to move, each from ``allowed`` to ``value``.
    load_scale : float or None
        Alternatively, the factor on all rates below which some configuration meets the limits as they are; None when
        none does even at vanishing load.
    at_load : Candidate or None
        The most accurate one that does, evaluated there.
    """

    configuration: Candidate | None
    changes: tuple[Violation, ...]
    load_scale: float | None
    at_load: Candidate | None

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        configuration, at_load = self.configuration, self.at_load
        return {
            "configuration": None if configuration is None else {"M": configuration.M, "k": configuration.k},
            "changes": [{"limit": change.limit, "from": change.allowed, "to": change.value} for change in self.changes],
            "load_scale": self.load_scale,
            "at_load": None if at_load is None else {"M": at_load.M, "k": at_load.k},
        }


def relax(evaluations: Evaluations, entries: Sequence[AccuracyEntry], candidates: tuple[Candidate, ...]) -> Relaxation:
    """The configuration nearest to feasible, and the largest load at which one is feasible as it is."""
    within_reach = [c for c in candidates if c.stable and c.utilisation <= 1 and np.isfinite(c.mean_latency)]
    nearest = min(within_reach, key=lambda c: (max(v.excess for v in c.violations), -c.accuracy), default=None)
    scale, at_load = _feasible_load(evaluations, entries)
    return Relaxation(
        configuration=nearest,
        changes=nearest.violations if nearest is not None else (),
        load_scale=scale,
        at_load=at_load,
    )


def _feasible_load(evaluations: Evaluations, entries: Sequence[AccuracyEntry]) -> tuple[float | None, Candidate | None]:
    """Largest factor on all rates (to 0.1 %) at which some configuration is feasible, and the most accurate there.

    Loads and latencies rise with the rates, so each configuration is feasible up to one factor. The configurations are
    tried in turn, and one that is not feasible beyond the best factor so far is passed over at once.
    """

    def at(scale: float, entry: AccuracyEntry) -> Candidate:
        return evaluations.candidate(entry, scale=scale)

    able = [entry for entry in entries if at(_NO_LOAD, entry).feasible]
    best = 0.0
    for entry in able:
        if best and not at(best * (1 + _LOAD_STEP), entry).feasible:
            continue
        low, high = max(best, _NO_LOAD), 1.0
        while high > low * (1 + _LOAD_STEP):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if at(middle, entry).feasible else (low, middle)
        best = low
    found = max((c for c in (at(best, entry) for entry in able) if c.feasible), key=lambda c: c.accuracy, default=None)
    return (best, found) if found is not None else (None, None)


def conflicts(limits: Limits, candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
    """The smallest sets of limits that no configuration meets together, a sentence each.

    Parameters
    ----------
    limits : Limits
    candidates : tuple of Candidate
        All that are possible, evaluated.
    """
    possible = [c for c in candidates if not c.impossible]
    if not possible:
        return ("the network allows none of the configurations",)
    broken = [{v.limit for v in c.violations} for c in possible]
    involved = [name for name in limits.given() if any(name in each for each in broken)]
    for size in range(1, len(involved) + 1):
        found = [names for names in combinations(involved, size) if all(set(names) & each for each in broken)]
        if found:
            return tuple(_sentences(limits, possible, found))
    return ()


def _sentences(limits: Limits, possible: list[Candidate], found: list[tuple[str, ...]]) -> Iterator[str]:
    for names in found:
        if len(names) == 1:
            yield _alone(limits, possible, names[0])
        else:
            words = [f"{LIMITS[name][0]} {_bound(limits, name)}" for name in names]
            count = {2: "both", 3: "all three"}.get(len(names), "all of them")
            yield f"{', '.join(words[:-1])} and {words[-1]}: each is met by some configuration, {count} by none"


def _bound(limits: Limits, name: str) -> str:
    side = "at least" if name == "min_accuracy" else "at most"
    return f"{side} {LIMITS[name][1](getattr(limits, name))}"


def _alone(limits: Limits, possible: list[Candidate], name: str) -> str:
    """Of a limit that no configuration meets: what comes nearest."""
    words, show = LIMITS[name]
    if name == "min_accuracy":
        best = max(possible, key=lambda c: c.accuracy)
        return (
            f"{words} {_bound(limits, name)}: none is stated to reach it; {best.name} comes nearest with {show(best.accuracy)}"
        )
    values = [(getattr(c.figures, name), c) for c in possible]
    value, nearest = min(values, key=lambda each: each[0])
    if not np.isfinite(value):
        least = min(possible, key=lambda c: c.utilisation)
        times = show_number(least.utilisation)
        return f"{words} {_bound(limits, name)}: every configuration overloads a device, {least.name} the least, {times} times"
    most, near = told_apart(name, getattr(limits, name), value)
    return f"{words} at most {most}: no configuration meets it; {nearest.name} comes nearest with {near}"
