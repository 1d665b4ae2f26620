"""Choose (M, k): the most accurate configuration within the limits, and the one that can be defended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.accuracy.table import DEFAULT_TABLE, AccuracyEntry, AccuracyTable, read_accuracy
from dmoa_theory.model.system import System
from dmoa_theory.model.units import show_bytes
from dmoa_theory.optimisation.candidates import LIMITS, Candidate, Violation, evaluate, evaluate_all
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Result, Source, Table

__all__ = ["Decision", "Relaxation", "optimise"]

#: Service times of a defended pick are raised by this many standard errors (two: about 2 % are larger still).
STANDARD_ERRORS = 2.0
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Decision(Result):
    """Which (M, k) to run; latencies are approximations, accuracies are as stated by their source.

    Attributes
    ----------
    system : System
    accuracy : AccuracyTable
    candidates : tuple of Candidate
        Every tabulated configuration, evaluated.
    choice : Candidate or None
        The most accurate that meets every limit (of equals the fastest); None when none does.
    recommended : Candidate or None
        The one to defend: meets every limit also with service times two standard errors longer and latencies raised by
        their typical error, and is the fastest among those within one standard error of the best accuracy.
    why : str
        The reasons for ``recommended``, in words.
    runner_up : Candidate or None
        The second most accurate that meets every limit.
    binding : tuple of (Candidate, Violation)
        More accurate configurations, and the limits that keep them out.
    relaxation : Relaxation or None
        What would mend an infeasible request.
    """

    verb: ClassVar[str] = "optimise"

    system: System
    accuracy: AccuracyTable
    candidates: tuple[Candidate, ...]
    choice: Candidate | None
    recommended: Candidate | None
    why: str
    runner_up: Candidate | None
    binding: tuple[tuple[Candidate, Violation], ...]
    relaxation: Relaxation | None

    @property
    def source(self) -> Source:
        """Latencies are approximations, and so is what follows from them."""
        return Source.APPROXIMATION

    @property
    def feasible(self) -> bool:
        """Whether any configuration meets every limit."""
        return self.choice is not None

    def pareto(self) -> tuple[Candidate, ...]:
        """Stable configurations that no other beats in both accuracy and mean latency, fastest first."""
        front: list[Candidate] = []
        for candidate in sorted((c for c in self.candidates if c.stable), key=lambda c: (c.mean_latency, -c.accuracy)):
            if not front or candidate.accuracy > front[-1].accuracy:
                front.append(candidate)
        return tuple(front)

    def warnings(self) -> tuple[str, ...]:
        """What to be wary of: what was set aside, and the measurements behind the configurations picked; one sentence each."""
        moa = self.system.moa
        found: list[str] = []
        if not moa.is_common:
            found.append("the scenario's M, k and quorum by user are set aside: one (M, k) is chosen for all users")
        elif moa.quorum is not None:
            found.append("accuracies were measured with every answer waited for, latencies here are with the scenario's quorum")
        picked = [c for c in (self.recommended, self.choice) if c is not None]
        found += [text for c in picked for text in self.system.with_moa(c.M, c.k).warnings()]
        return tuple(dict.fromkeys(found))

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        recommended = None if self.recommended is None else {**self.recommended.to_dict(), "why": self.why}
        return {
            "choice": None if self.choice is None else self.choice.to_dict(),
            "recommended": recommended,
            "why": self.why,
            "verified": None,
            "feasible": self.feasible,
            "pareto": [candidate.to_dict() for candidate in self.pareto()],
            "binding": [{"M": c.M, "k": c.k, **violation.to_dict()} for c, violation in self.binding],
            "runner_up": None if self.runner_up is None else self.runner_up.to_dict(),
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "relaxation": None if self.relaxation is None else self.relaxation.to_dict(),
            "accuracy_table": {
                "name": self.accuracy.name,
                "source": self.accuracy.source,
                "metric": self.accuracy.metric,
                "remark": self.accuracy.sampling_remark(),
            },
            "reasons": ["verified is null: no simulation was run"],
            "warnings": self.warnings(),
        }

    def records(self) -> list[dict[str, Any]]:
        """One row a configuration."""
        rows = []
        for candidate in self.candidates:
            row = candidate.to_dict()
            row["violations"] = " ".join(violation["limit"] for violation in row["violations"])
            row["choice"] = candidate is self.choice
            row["recommended"] = candidate is self.recommended
            for name in ("mean_latency", "p95_latency"):
                row[f"{name}_s"] = row.pop(name)
            rows.append(row)
        return rows

    def table(self) -> Table:
        """Every configuration, and what keeps it out."""
        rows = []
        for c in self.candidates:
            if c is self.choice or (self.choice is not None and (c.M, c.k) == (self.choice.M, self.choice.k)):
                mark = "most accurate as stated"
            else:
                mark = c.impossible or _broken(c) or "within the limits"
            if self.recommended is not None and (c.M, c.k) == (self.recommended.M, self.recommended.k):
                mark = "RECOMMENDED" + (", " + mark if mark != "within the limits" else "")
            rows.append(
                (
                    c.name,
                    f"{100 * c.accuracy:.1f} ± {100 * c.accuracy_error:.1f} %",
                    show_share(c.utilisation),
                    "-" if c.impossible else show_seconds(c.mean_latency),
                    "-" if c.impossible else show_seconds(c.p95_latency),
                    "-"
                    if c.memory_bytes is None
                    else show_bytes(c.memory_bytes)
                    if np.isfinite(c.memory_bytes)
                    else "unbounded",
                    mark,
                )
            )
        heads = ("configuration", "accuracy ± s.e.", "utilisation", "mean", "p95", "memory", "verdict")
        return Table(f"configurations of {self.accuracy.name}", heads, tuple(rows))


def _broken(candidate: Candidate) -> str:
    """The limits that a configuration breaks; the figures stand in the columns beside."""
    names = [LIMITS[violation.limit][0] for violation in candidate.violations]
    return "out: " + ", ".join(names) if names else ""


def optimise(
    system: System, *, accuracy: AccuracyTable | str | None = None, progress: Callable[[float], None] | None = None
) -> Decision:
    """Choose (M, k) among the configurations whose accuracy is known, by evaluating every one.

    Parameters
    ----------
    system : System
        Its ``constraints`` are the limits; its own (M, k) plays no part.
    accuracy : AccuracyTable or str, optional
        Accuracy by (M, k); default the system's own table, and failing that ``"mitra2024-diverse"``.
    progress : callable, optional
        Told the fraction done, from 0 to 1.

    Returns
    -------
    Decision

    Raises
    ------
    InputError
        When the accuracy data cannot be read.

    Notes
    -----
    ``recommended`` follows the one-standard-error rule: sampling error makes the very best of several noisy figures look
    better than it is, so among configurations within one standard error of the best the cheapest is taken.

    References
    ----------
    Breiman, L., Friedman, J. H., Olshen, R. A. and Stone, C. J. (1984), Classification and Regression Trees, section 3.4.3.

    Examples
    --------
    >>> from dmoa_theory import load_scenario, optimise
    >>> decision = optimise(load_scenario())
    >>> decision.feasible
    True
    """
    if not isinstance(accuracy, AccuracyTable):
        named = accuracy if accuracy is not None else system.accuracy
        accuracy = read_accuracy(DEFAULT_TABLE if named is None else named)
    candidates = evaluate_all(system, accuracy.entries, progress=progress)
    ranked = sorted((c for c in candidates if c.feasible), key=lambda c: (-c.accuracy, c.mean_latency))
    choice = ranked[0] if ranked else None
    recommended, why = (
        _recommend(system, accuracy, candidates) if choice is not None else (None, "no configuration meets every limit")
    )
    bar = choice.accuracy if choice is not None else -np.inf
    binding = tuple((c, v) for c in candidates if c.accuracy > bar for v in c.violations)
    return Decision(
        system=system,
        accuracy=accuracy,
        candidates=candidates,
        choice=choice,
        recommended=recommended,
        why=why,
        runner_up=ranked[1] if len(ranked) > 1 else None,
        binding=binding,
        relaxation=None if choice is not None else _relax(system, accuracy, candidates),
    )


def _recommend(system: System, accuracy: AccuracyTable, candidates: tuple[Candidate, ...]) -> tuple[Candidate | None, str]:
    """The fastest robust configuration within one standard error of the most accurate robust one."""
    plain = {(c.M, c.k): c for c in candidates}
    cautious = evaluate_all(system, accuracy.entries, standard_errors=STANDARD_ERRORS, margin=True)
    sturdy = [plain[(c.M, c.k)] for c in cautious if c.feasible and plain[(c.M, c.k)].feasible]
    caution = _caution(system)
    if not sturdy:
        feasible = ", ".join(c.name for c in candidates if c.feasible)
        return None, f"no configuration still meets every limit with {caution}; {feasible} meets them with nothing to spare"
    best = max(sturdy, key=lambda c: (c.accuracy, -c.mean_latency))
    bar = best.accuracy - best.accuracy_error
    pick = min((c for c in sturdy if c.accuracy >= bar), key=lambda c: (c.mean_latency, -c.accuracy))
    why = f"meets every limit also with {caution}"
    tight = [c.name for c in candidates if c.feasible and c not in sturdy and c.accuracy > pick.accuracy]
    margin = f"; {' and '.join(tight)}, more accurate, does not" if tight else ""
    if pick is best:
        return pick, f"{why}{margin}; of those that do it is the most accurate, and none faster comes within its standard error"
    gap = 100 * (best.accuracy - pick.accuracy)
    return pick, (
        f"{why}{margin}; {best.name} is stated to be {gap:.1f} points more accurate, less than its standard error of "
        f"{100 * best.accuracy_error:.1f} points, and takes {best.mean_latency / pick.mean_latency:.1f} times as long"
    )


def _caution(system: System) -> str:
    """What a defended pick has to bear, in words."""
    uncertain = bool(np.any(system.service.for_k(0).mean_error))
    longer = f"service times {STANDARD_ERRORS:g} standard errors longer and " if uncertain else ""
    return f"{longer}latencies raised by their typical error"


def _relax(system: System, accuracy: AccuracyTable, candidates: tuple[Candidate, ...]) -> Relaxation:
    """The configuration nearest to feasible, and the largest load at which one is feasible as it is."""
    within_reach = [c for c in candidates if c.stable and c.utilisation <= 1 and np.isfinite(c.mean_latency)]
    nearest = min(within_reach, key=lambda c: (max(v.excess for v in c.violations), -c.accuracy), default=None)
    scale, at_load = _feasible_load(system, accuracy)
    return Relaxation(
        configuration=nearest,
        changes=nearest.violations if nearest is not None else (),
        load_scale=scale,
        at_load=at_load,
    )


def _feasible_load(system: System, accuracy: AccuracyTable) -> tuple[float | None, Candidate | None]:
    """Largest factor on all rates (to 0.1 %) at which some configuration is feasible, and the most accurate there.

    Loads and latencies rise with the rates, so each configuration is feasible up to one factor. The configurations are
    tried in turn, and one that is not feasible beyond the best factor so far is passed over at once.
    """

    def at(scale: float, entry: AccuracyEntry) -> Candidate:
        return evaluate(replace(system, arrival_rate=system.rates * scale), entry)

    able = [entry for entry in accuracy.entries if at(_NO_LOAD, entry).feasible]
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
