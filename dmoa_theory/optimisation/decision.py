"""The answer of the optimiser: what is chosen, what is recommended and why, what binds, what a little more would buy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.accuracy.table import AccuracyTable
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.model.units import show_bytes
from dmoa_theory.optimisation.candidates import Candidate
from dmoa_theory.optimisation.limits import LIMITS, Limits, Violation
from dmoa_theory.optimisation.mend import Relaxation
from dmoa_theory.optimisation.pareto import Point, pareto_front
from dmoa_theory.optimisation.prices import Hold, Price
from dmoa_theory.optimisation.recommend import Standing
from dmoa_theory.optimisation.replayed import Replayed
from dmoa_theory.optimisation.verify import Trial
from dmoa_theory.quantities import show_number, show_seconds, show_share
from dmoa_theory.results import Result, Source, Table

__all__ = ["OBJECTIVES", "Decision"]

#: What may be sought, and in words.
OBJECTIVES = {
    "accuracy": "the most accurate configuration within the limits",
    "latency": "the fastest configuration within the limits",
    "load": "the configuration that carries the most load within the limits",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Decision(Result):
    """Which (M, k) to run; latencies are approximations, accuracies are as stated by their source, or fitted to it.

    Attributes
    ----------
    system : System
    accuracy : AccuracyTable
    limits : Limits
    objective : str
        ``"accuracy"``, ``"latency"`` or ``"load"``.
    candidates : tuple of Candidate
        Every tabulated configuration, evaluated; for the objective load each at the largest load that it carries.
    standings : tuple of Standing
        What is believed of their accuracy, and which meet the limits also with margins.
    choice : Candidate or None
        The best as stated that meets every limit (of equally accurate the fastest); None when none does.
    recommended : Candidate or None
        The one to defend: it meets every limit also with margins (service times two standard errors longer, latencies
        raised by their typical error), is the fastest of those whose fitted accuracy differs from the best by no more than
        the noise, and missed no limit in simulation, under the system's list of prompts included.
    why : str
        The reasons for ``recommended``, in words.
    runner_up : Candidate or None
        The second best that meets every limit.
    binding : tuple of (Candidate, Violation)
        Better configurations, and the limits that keep them out.
    relaxation : Relaxation or None
        What would mend an infeasible request.
    conflicts : tuple of str
        Of an infeasible request, the limits that cannot be met together.
    trials : dict of (M, k) to Trial
        Simulations of the choice and of what was recommended; empty when none was run.
    replayed : tuple of Replayed
        Where the system knows its prompts one by one: the choice and what might have been recommended, under those prompts.
    not_replayed : str
        Why they were not played, where they could not.
    prices : tuple of Price
    holds : tuple of Hold
    evidence : str
        One sentence on what the accuracy data can tell apart; empty without a fit.
    robust : bool
        Whether ``recommended`` bears margins.
    remarks : tuple of str
        What has to be said wherever the accuracies are shown.
    draws : ndarray, shape (samples, candidates), or None
        Samples of the fitted accuracies.
    """

    verb: ClassVar[str] = "optimise"

    system: System
    accuracy: AccuracyTable
    limits: Limits
    objective: str
    candidates: tuple[Candidate, ...]
    standings: tuple[Standing, ...]
    choice: Candidate | None
    recommended: Candidate | None
    why: str
    runner_up: Candidate | None
    binding: tuple[tuple[Candidate, Violation], ...]
    relaxation: Relaxation | None
    conflicts: tuple[str, ...] = ()
    trials: dict[tuple[int, int], Trial] = field(default_factory=dict)
    replayed: tuple[Replayed, ...] = ()
    not_replayed: str = ""
    prices: tuple[Price, ...] = ()
    holds: tuple[Hold, ...] = ()
    evidence: str = ""
    robust: bool = True
    remarks: tuple[str, ...] = ()
    draws: FloatArray | None = None

    @property
    def source(self) -> Source:
        """Latencies are approximations, and so is what follows from them."""
        return Source.APPROXIMATION

    @property
    def feasible(self) -> bool:
        """Whether any configuration meets every limit."""
        return self.choice is not None

    @property
    def differ(self) -> bool:
        """Whether what is recommended is not what is chosen as stated."""
        return self.choice is not None and (
            self.recommended is None or self.recommended.configuration != self.choice.configuration
        )

    def standing(self, candidate: Candidate) -> Standing | None:
        """What is believed of a candidate's accuracy; None where nothing is."""
        return next((each for each in self.standings if each.candidate.configuration == candidate.configuration), None)

    def pareto(self) -> tuple[Candidate, ...]:
        """Stable configurations that no other beats in both accuracy and mean latency, fastest first.

        For the objective load those that carry one, and that no other beats in both accuracy and load, most load first:
        latencies at different loads do not compare.
        """
        front: list[Candidate] = []
        if self.objective == "load":
            carried = [c for c in self.candidates if self.carries(c) is not None]
            for candidate in sorted(carried, key=lambda c: (-c.scale, -c.accuracy)):
                if not front or candidate.accuracy > front[-1].accuracy:
                    front.append(candidate)
            return tuple(front)
        for candidate in sorted((c for c in self.candidates if c.stable), key=lambda c: (c.mean_latency, -c.accuracy)):
            if not front or candidate.accuracy > front[-1].accuracy:
                front.append(candidate)
        return tuple(front)

    def front(self, *aims: str) -> tuple[Point, ...]:
        """Configurations that no other beats in several aims; see :func:`dmoa_theory.optimisation.pareto.pareto_front`."""
        return pareto_front(self.candidates, aims, standings=self.standings, draws=self.draws)

    def warnings(self) -> tuple[str, ...]:
        """What to be wary of: what was set aside, and the measurements behind the configurations picked; one sentence each."""
        moa = self.system.moa
        found: list[str] = []
        if not moa.is_common:
            found.append("the scenario's M, k and quorum by user are set aside: one (M, k) is chosen for all users")
        elif moa.quorum is not None:
            found.append("accuracies were measured with every answer waited for, latencies here are with the scenario's quorum")
        if self.not_replayed:
            found.append(self.not_replayed)
        picked = [c for c in (self.recommended, self.choice) if c is not None]
        for c in picked:
            trial = self.trials.get(c.configuration)
            if trial is not None and not trial.holds:
                found.append(f"{c.name} did not hold in simulation: {trial}")
        found += [text for c in picked for text in self.system.with_moa(c.M, c.k).warnings()]
        return tuple(dict.fromkeys(found))

    def verified(self) -> dict[str, Any] | None:
        """Simulations by role, for JSON; None when none was run."""
        if not self.trials:
            return None
        roles = {"recommended": self.recommended, "choice": self.choice}
        found: dict[str, Any] = {}
        for role, c in roles.items():
            trial = None if c is None else self.trials.get(c.configuration)
            found[role] = None if c is None or trial is None else {"M": c.M, "k": c.k, **trial.to_dict()}
        shown = {c.configuration for c in roles.values() if c is not None}
        found["passed_over"] = [
            {"M": M, "k": k, **trial.to_dict()} for (M, k), trial in self.trials.items() if (M, k) not in shown
        ]
        return found

    def reasons(self) -> tuple[str, ...]:
        """Why entries are null, one sentence each."""
        found = []
        if not self.trials:
            nothing = "nothing was there to simulate" if self.choice is None else "no simulation was run"
            found.append(f"verified is null: {nothing}")
        if self.objective == "load" and any(self.carries(c) is None for c in self.candidates):
            found.append(
                "largest_load_scale is null: the network does not allow the configuration, or it breaks a limit at any load, "
                "however small; its other figures are then at the present load"
            )
        return tuple(found)

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        recommended = None if self.recommended is None else {**self._row(self.recommended), "why": self.why}
        return {
            "objective": self.objective,
            "limits": self.limits.given(),
            "choice": None if self.choice is None else self._row(self.choice),
            "recommended": recommended,
            "why": self.why,
            "robust": self.robust,
            "verified": self.verified(),
            "replayed": [each.to_dict() for each in self.replayed],
            "feasible": self.feasible,
            "pareto": [self._row(candidate) for candidate in self.pareto()],
            "binding": [{"M": c.M, "k": c.k, **violation.to_dict()} for c, violation in self.binding],
            "prices": [price.to_dict() for price in self.prices],
            "sensitivity": [hold.to_dict() for hold in self.holds],
            "runner_up": None if self.runner_up is None else self._row(self.runner_up),
            "candidates": [self._row(candidate) for candidate in self.candidates],
            "standings": [each.to_dict() for each in self.standings],
            "relaxation": None if self.relaxation is None else self.relaxation.to_dict(),
            "conflicts": self.conflicts,
            "accuracy_table": {
                "name": self.accuracy.name,
                "source": self.accuracy.source,
                "metric": self.accuracy.metric,
                "remark": self.accuracy.sampling_remark(),
                "remarks": self.remarks,
                "evidence": self.evidence or None,
            },
            "reasons": self.reasons(),
            "warnings": self.warnings(),
        }

    def _row(self, c: Candidate) -> dict[str, Any]:
        """A candidate for JSON; for the objective load with the load that it carries, null where that is none."""
        return c.to_dict() | ({"largest_load_scale": self.carries(c)} if self.objective == "load" else {})

    def records(self) -> list[dict[str, Any]]:
        """One row a configuration."""
        rows = []
        for candidate in self.candidates:
            row = self._row(candidate)
            row["violations"] = " ".join(violation["limit"] for violation in row["violations"])
            row["choice"] = candidate is self.choice
            row["recommended"] = self.recommended is not None and candidate.configuration == self.recommended.configuration
            standing = self.standing(candidate)
            if standing is not None:
                row |= {name: value for name, value in standing.to_dict().items() if name not in {"M", "k"}}
            played = {each.candidate.configuration: each for each in self.replayed}
            if played:
                row |= _under_the_list(played.get(candidate.configuration))
            for name in [name for name in row if name.endswith("latency")]:
                row[f"{name}_s"] = row.pop(name)
            rows.append(row)
        return rows

    def table(self) -> Table:
        """Every configuration, what it costs, and what keeps it out."""
        rows = []
        # beside the largest loads accuracy decides nothing but who is out: the verdict needs the room
        believed = self.objective != "load" and any(each.p_best is not None for each in self.standings)
        for c in self.candidates:
            mark = "best as stated"
            if c is not self.choice:
                mark = c.impossible or _broken(c) or "feasible"
            if self.recommended is not None and c.configuration == self.recommended.configuration:
                mark = "RECOMMENDED" + (", " + mark if mark != "feasible" else "")
            missed = next(
                (each for each in self.replayed if each.candidate.configuration == c.configuration and each.misses), None
            )
            mark += "" if missed is None else f", not under {missed.list_name}"
            rows.append((c.name, *self._accuracies(c, believed), *self._costs(c), mark))
        heads = ("configuration", "accuracy ± s.e.", *(("fitted", "P(best)") if believed else ()))
        heads += ("largest load",) if self.objective == "load" else ()
        heads += ("utilisation", "mean", "p95", *(("memory",) if self._shows_memory else ()), "verdict")
        where = ""
        if self.objective == "load":
            where = ", each at the largest load that it carries"
            if any(not c.impossible and not self.carries(c) for c in self.candidates):
                where += " (none: at the present one)"
        return Table(f"configurations of {self.accuracy.name}{where}", heads, tuple(rows))

    def carries(self, c: Candidate) -> float | None:
        """The largest factor on all rates with which a configuration meets the limits that load moves; None where none does.

        Only for the objective load; accuracy, which no load moves, is left to the verdict.
        """
        if self.objective != "load" or c.impossible or any(v.limit != "min_accuracy" for v in c.violations):
            return None
        return c.scale

    @property
    def _shows_memory(self) -> bool:
        """Where the largest loads are shown, memory makes room for the verdict unless it is what limits them."""
        return self.objective != "load" or self.limits.memory is not None

    def _accuracies(self, c: Candidate, believed: bool) -> tuple[str, ...]:
        stated = f"{100 * c.accuracy:.1f} ± {100 * c.accuracy_error:.1f} %"
        standing = self.standing(c)
        if not believed or standing is None:
            return (stated, "-", "-") if believed else (stated,)
        chance = "-" if standing.p_best is None else f"{standing.p_best:.2f}"
        return stated, f"{100 * standing.accuracy:.1f} %", chance

    def _costs(self, c: Candidate) -> tuple[str, ...]:
        factor, memory = self.carries(c), c.memory_bytes
        nothing = "-" if c.impossible else "none"
        load = () if self.objective != "load" else (nothing if factor is None else f"{show_number(factor)} times",)
        held = "-" if memory is None else show_bytes(memory) if np.isfinite(memory) else "unbounded"
        last = (held,) if self._shows_memory else ()
        if c.impossible:
            return *load, "-", "-", "-", *("-" for _ in last)
        return *load, show_share(c.utilisation), show_seconds(c.mean_latency), show_seconds(c.p95_latency), *last


def _under_the_list(played: Replayed | None) -> dict[str, Any]:
    """Columns of one configuration under the list of prompts: empty where it was not played."""
    figures = {} if played is None else {each.name: each for each in played.figures}
    row: dict[str, Any] = {}
    for name in ("mean_latency", "p95_latency"):
        row[f"list_{name}_s"] = figures[name].value if figures else None
        row[f"list_{name}_ci95_s"] = figures[name].half_width if figures else None
    return row | {"list_misses": None if played is None else " ".join(each.name for each in played.misses)}


def _broken(candidate: Candidate) -> str:
    """The limits that a configuration breaks, in short; the figures stand in the columns beside."""
    names = [_SHORT.get(violation.limit, LIMITS[violation.limit][0]) for violation in candidate.violations]
    return "out: " + ", ".join(names) if names else ""


_SHORT = {
    "max_utilisation": "load",
    "mean_latency": "mean",
    "p95_latency": "p95",
    "p99_latency": "p99",
    "user_mean_latency": "user mean",
    "user_p95_latency": "user p95",
    "user_p99_latency": "user p99",
}
