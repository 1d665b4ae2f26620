"""What ``dmoa optimise`` works out beside the choice: plans by user, admitted rates, a map, a sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmoa_theory.cli.optimise_request import Request
from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import progress
from dmoa_theory.optimisation.choose import table_of
from dmoa_theory.optimisation.decision import Decision
from dmoa_theory.optimisation.limits import Limits

if TYPE_CHECKING:
    from dmoa_theory.model.system import System
    from dmoa_theory.optimisation.admission import Admission
    from dmoa_theory.optimisation.choice_map import ChoiceMap
    from dmoa_theory.optimisation.individual import IndividualPlan
    from dmoa_theory.optimisation.sweep import Sweep

__all__ = ["Further"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """What was asked for beside the choice; None for what was not."""

    individual: IndividualPlan | None = None
    admission: Admission | None = None
    map: ChoiceMap | None = None
    sweep: Sweep | None = None

    @classmethod
    def of(
        cls,
        system: System,
        limits: Limits,
        result: Decision,
        request: Request,
        scenario: Path | None,
        options: Options,
        out: Path | None,
    ) -> Further:
        """Work out what the request asks for beside the choice."""
        found: dict[str, Any] = {}
        if request.asked.by_user:
            with progress("plan by user") as advance:
                found["individual"] = _individual(system, limits, request, advance)
        if request.admit:
            found["admission"] = _admission(system, limits, result, request)
        if request.map:
            with progress("map") as advance:
                found["map"] = _map(system, limits, advance)
        if request.sweep is not None:
            from dmoa_theory.cli.optimise_sweep import sweep_of

            with progress("sweep") as advance:
                found["sweep"] = sweep_of(request, system, scenario, options, out, advance)
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """Keys of the JSON contract; null for what was not asked for."""
        parts = {"individual": self.individual, "admission": self.admission, "map": self.map, "sweep": self.sweep}
        return {name: None if part is None else part.to_dict() for name, part in parts.items()}


def _individual(system: System, limits: Limits, request: Request, advance: Callable[[float], None]) -> IndividualPlan:
    from dmoa_theory.optimisation.accuracies import accuracies
    from dmoa_theory.optimisation.individual import plan_by_user

    asked = request.asked
    known = accuracies(system, fitted=asked.fitted)
    return plan_by_user(
        system,
        known.configurations,
        known.lower if asked.robust else known.expected,
        limits,
        **asked.of_plan(),
        expected=known.expected,
        simulation=request.simulation,
        seed=request.seed,
        progress=advance,
    )


def _admission(system: System, limits: Limits, result: Decision, request: Request) -> Admission:
    from dmoa_theory.optimisation.admission import fair_rates

    picked = result.recommended or result.choice or min(result.candidates, key=lambda c: c.M * (c.k + 1))
    kinds: dict[str, Any] = {"robust": request.asked.robust, "simulation": request.simulation, "seed": request.seed}
    return fair_rates(system, picked.M, picked.k, limits=limits, **kinds)


def _map(system: System, limits: Limits, advance: Callable[[float], None]) -> ChoiceMap:
    from dmoa_theory.optimisation.candidates import Evaluations
    from dmoa_theory.optimisation.choice_map import choice_map

    return choice_map(Evaluations(system, limits), table_of(system).entries, points=16, progress=advance)
