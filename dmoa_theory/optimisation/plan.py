"""The main job in one object: where the system stands, how long prompts take, and which (M, k) to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.choose import Decision, optimise
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.region import StabilityRegion, stability_region

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Plan(Result):
    """Stability region and latency of a system as configured, and the decision which (M, k) to run.

    Attributes
    ----------
    region : StabilityRegion
    latency : LatencyEstimate
    decision : Decision
    settled : StabilityRegion or None
    settled_latency : LatencyEstimate or None
        Region and latency of the recommended configuration (failing that, of the choice); None when neither exists.
    """

    verb: ClassVar[str] = "plan"

    region: StabilityRegion
    latency: LatencyEstimate
    decision: Decision
    settled: StabilityRegion | None
    settled_latency: LatencyEstimate | None

    @property
    def source(self) -> Source:
        """As its weakest part: an approximation."""
        return Source.APPROXIMATION

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract: region and latency as configured, the decision, and both for what is to run."""
        settled = None
        if self.settled is not None and self.settled_latency is not None:
            settled = {"region": self.settled.to_dict(), "latency": self.settled_latency.to_dict()}
        return {
            "region": self.region.to_dict(),
            "latency": self.latency.to_dict(),
            "settled": settled,
            **self.decision.payload(),
        }

    def table(self) -> Table:
        """Every configuration, and what keeps it out."""
        return self.decision.table()

    def records(self) -> list[dict[str, Any]]:
        """One row a configuration."""
        return self.decision.records()


def make_plan(system: System, *, progress: Callable[[float], None] | None = None) -> Plan:
    """Plan a system: stability, latency, choice of (M, k).

    Parameters
    ----------
    system : System
    progress : callable, optional
        Told the fraction done, from 0 to 1.
    """
    decision = optimise(system, progress=progress)
    picked = decision.recommended or decision.choice
    settled = None if picked is None else system.with_moa(picked.M, picked.k)
    return Plan(
        region=stability_region(system),
        latency=latency(system),
        decision=decision,
        settled=None if settled is None else stability_region(settled),
        settled_latency=None if settled is None else latency(settled),
    )
