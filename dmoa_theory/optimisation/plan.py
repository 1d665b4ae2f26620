"""The main job in one object: where the system stands, how long prompts take, and which (M, k) to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.candidates import Evaluations
from dmoa_theory.optimisation.choose import Decision, optimise
from dmoa_theory.optimisation.recommend import STANDARD_ERRORS
from dmoa_theory.optimisation.replayed import Replays
from dmoa_theory.optimisation.robust import at_upper_limits
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.region import StabilityRegion, stability_region

__all__ = ["Plan", "make_plan"]

# The part of the work that comes before lists are played.
_CHOOSING = 0.7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Plan(Result):
    """Stability region and latency of a system as configured, and the decision which (M, k) to run.

    Attributes
    ----------
    region : StabilityRegion
    latency : LatencyEstimate
    decision : Decision
        Where the system knows its prompts one by one, its ``replayed`` are all configurations that meet the limits in theory:
        what is recommended first, then what was chosen, then the others, the most accurate first.
    settled : StabilityRegion or None
    settled_latency : LatencyEstimate or None
        Region and latency of the recommended configuration (failing that, of the choice); None when neither exists.
    slower : LatencyEstimate or None
        Its latency if every mean service time were two standard errors longer; None where they are known exactly.
    remark : str
        What has to be said of the scenario's own configuration; empty when nothing has.
    """

    verb: ClassVar[str] = "plan"

    region: StabilityRegion
    latency: LatencyEstimate
    decision: Decision
    settled: StabilityRegion | None
    settled_latency: LatencyEstimate | None
    slower: LatencyEstimate | None = None
    remark: str = ""

    @property
    def source(self) -> Source:
        """As its weakest part: an approximation."""
        return Source.APPROXIMATION

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract: region and latency as configured, the decision, and both for what is to run."""
        settled = None
        if self.settled is not None and self.settled_latency is not None:
            settled = {
                "region": self.settled.to_dict(),
                "latency": self.settled_latency.to_dict(),
                "slower_service": None if self.slower is None else _slower(self.slower),
            }
        return {
            "region": self.region.to_dict(),
            "latency": self.latency.to_dict(),
            "settled": settled,
            **self.decision.payload(),
            "warnings": self.warnings(),
        }

    def warnings(self) -> tuple[str, ...]:
        """What to be wary of, one sentence each."""
        return (*([self.remark] if self.remark else []), *self.decision.warnings())

    def table(self) -> Table:
        """Every configuration, and what keeps it out."""
        return self.decision.table()

    def records(self) -> list[dict[str, Any]]:
        """One row a configuration."""
        return self.decision.records()


def make_plan(
    system: System,
    *,
    simulation: bool = True,
    seed: int = 0,
    remark: str = "",
    progress: Callable[[float], None] | None = None,
) -> Plan:
    """Plan a system: stability, latency, choice of (M, k).

    Parameters
    ----------
    system : System
    simulation : bool
        Whether to try out in simulation what is chosen and recommended.
    seed : int
        Of the simulations.
    remark : str
        What has to be said of the scenario's own configuration.
    progress : callable, optional
        Told the fraction done, from 0 to 1.
    """
    evaluations = Evaluations(system)
    tell = progress or (lambda fraction: None)
    replays = Replays(evaluations, seed=seed) if system.log is not None and simulation else None
    decision = optimise(
        system,
        evaluations=evaluations,
        simulation=simulation,
        replays=replays,
        explain=False,
        seed=seed,
        progress=lambda share: tell(share * (1.0 if replays is None else _CHOOSING)),
    )
    picked = decision.recommended or decision.choice
    settled = slower = None
    if picked is not None:
        settled = evaluations.estimate(picked.M, picked.k)
        held = at_upper_limits(settled.system, [picked.k if picked.M else 0])
        slower = None if held is settled.system else latency(held)
    if replays is not None:
        decision = _under_the_list(decision, replays, lambda share: tell(_CHOOSING + (1 - _CHOOSING) * share))
    return Plan(
        region=stability_region(system),
        latency=_as_configured(system, evaluations),
        decision=decision,
        settled=None if settled is None else stability_region(settled.system),
        settled_latency=settled,
        slower=slower,
        remark=remark,
    )


def _under_the_list(decision: Decision, replays: Replays, tell: Callable[[float], None]) -> Decision:
    """The same with every configuration that meets the limits in theory played: recommended, chosen, most accurate first."""
    others = sorted((c for c in decision.candidates if c.feasible), key=lambda c: (-c.accuracy, c.mean_latency))
    ranked = {c.configuration: c for c in (decision.recommended, decision.choice, *others) if c is not None}.values()
    found = []
    for place, candidate in enumerate(ranked):
        found.append(replays.of(candidate, progress=lambda part, at=place: tell((at + part) / len(ranked))))  # type: ignore[misc]
    return replace(decision, replayed=tuple(each for each in found if each is not None), not_replayed=replays.failed)


def _slower(estimate: LatencyEstimate) -> dict[str, Any]:
    return {
        "standard_errors": STANDARD_ERRORS,
        "stable": estimate.stable,
        "mean": estimate.mean,
        "p95": estimate.p95,
        "critical_scale": stability_region(estimate.system).critical_scale,
    }


def _as_configured(system: System, evaluations: Evaluations) -> LatencyEstimate:
    """The latency of the scenario's own configuration, from what was evaluated already where it is among it."""
    moa = system.moa
    if not moa.is_common or moa.quorum is not None:
        return latency(system)
    M, k, _ = (int(values[0]) for values in moa.per_user(1)) if moa.n_users is None else (0, 0, 0)
    known = moa.n_users is None and not evaluations.impossible(M, k)
    return replace(evaluations.estimate(M, k), system=system) if known else latency(system)
