"""What every verb that takes a scenario is told: the file, overrides, and where the answer goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from dmoa_theory.model.system import System

__all__ = ["Options"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of every verb that takes a scenario."""

    set: Annotated[
        list[str],
        Parameter(name="--set", negative="", help='Override a value of the scenario, such as "moa.k=3"; may be given again.'),
    ] = field(default_factory=list)
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")] = False
    out: Annotated[Path | None, Parameter(name="--out", help="Folder for plots and tables; made if it is not there.")] = None

    def system(self, scenario: Path | None) -> System:
        """The scenario with its overrides."""
        from dmoa_theory.model.scenario import load_scenario

        return load_scenario(scenario, self.set)
