"""dmoa: plan and run distributed Mixture-of-Agents (arXiv:2412.21200).

Edge devices that each hold one language model gossip prompts to ``k`` neighbours over ``M`` layers and aggregate the
answers, with no central server. This package answers: do the queues stay bounded, how long do users wait, and which (M, k)
should run. Names are imported from their modules when they are first used, so that ``import dmoa_theory`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmoa_theory.accuracy.assessment import assess
    from dmoa_theory.accuracy.belief import believe
    from dmoa_theory.accuracy.given import accuracy_from_figures, accuracy_from_scores
    from dmoa_theory.accuracy.measured import AccuracyTable
    from dmoa_theory.accuracy.table import bundled_tables, read_accuracy, read_tables
    from dmoa_theory.accuracy.telling import prompts_needed, tell_apart
    from dmoa_theory.compare import compare_over_load
    from dmoa_theory.delay.latency import latency
    from dmoa_theory.delay.target import TargetScale, largest_scale
    from dmoa_theory.delay.where_time_goes import where_time_goes
    from dmoa_theory.errors import DmoaError, InputError
    from dmoa_theory.model.arrival_log import ArrivalLog, read_arrivals
    from dmoa_theory.model.constraints import Constraints
    from dmoa_theory.model.footprint import Footprint
    from dmoa_theory.model.graph_files.reading import read_graph
    from dmoa_theory.model.moa import MoA
    from dmoa_theory.model.network import Network
    from dmoa_theory.model.profile import Profile, read_profile
    from dmoa_theory.model.scenario import load_scenario
    from dmoa_theory.model.service import MeasuredServiceTime, ServiceTime
    from dmoa_theory.model.system import System
    from dmoa_theory.model.tokens import TokenLengths, named_workload
    from dmoa_theory.model.topologies import build_topology
    from dmoa_theory.optimisation.admission import fair_rates
    from dmoa_theory.optimisation.choose import optimise
    from dmoa_theory.optimisation.individual import plan_by_user
    from dmoa_theory.optimisation.plan import make_plan
    from dmoa_theory.simulation.bursts.burst import simulate_burst
    from dmoa_theory.simulation.steady.simulate import simulate
    from dmoa_theory.simulation.traces.files import read_trace
    from dmoa_theory.simulation.traces.replay import replay
    from dmoa_theory.stability.gossip.capacity import capacity
    from dmoa_theory.stability.growth.overload import overload
    from dmoa_theory.stability.region import stability_region
    from dmoa_theory.symbolic.derive import derive
    from dmoa_theory.whatif.availability import availability
    from dmoa_theory.whatif.central import against_central
    from dmoa_theory.whatif.effect import loss_effect
    from dmoa_theory.whatif.loss import lose
    from dmoa_theory.whatif.single_losses import single_losses

__version__ = "0.1.0"

__all__ = [
    "AccuracyTable",
    "ArrivalLog",
    "Constraints",
    "DmoaError",
    "Footprint",
    "InputError",
    "MeasuredServiceTime",
    "MoA",
    "Network",
    "Profile",
    "ServiceTime",
    "System",
    "TargetScale",
    "TokenLengths",
    "__version__",
    "accuracy_from_figures",
    "accuracy_from_scores",
    "against_central",
    "assess",
    "availability",
    "believe",
    "build_topology",
    "bundled_tables",
    "capacity",
    "compare_over_load",
    "derive",
    "fair_rates",
    "largest_scale",
    "latency",
    "load_scenario",
    "lose",
    "loss_effect",
    "make_plan",
    "named_workload",
    "optimise",
    "overload",
    "plan_by_user",
    "prompts_needed",
    "read_accuracy",
    "read_arrivals",
    "read_graph",
    "read_profile",
    "read_tables",
    "read_trace",
    "replay",
    "simulate",
    "simulate_burst",
    "single_losses",
    "stability_region",
    "tell_apart",
    "where_time_goes",
]

_HOME = {
    "AccuracyTable": "accuracy.measured",
    "ArrivalLog": "model.arrival_log",
    "Constraints": "model.constraints",
    "DmoaError": "errors",
    "Footprint": "model.footprint",
    "InputError": "errors",
    "MeasuredServiceTime": "model.service",
    "MoA": "model.moa",
    "Network": "model.network",
    "Profile": "model.profile",
    "ServiceTime": "model.service",
    "System": "model.system",
    "TargetScale": "delay.target",
    "TokenLengths": "model.tokens",
    "accuracy_from_figures": "accuracy.given",
    "accuracy_from_scores": "accuracy.given",
    "against_central": "whatif.central",
    "assess": "accuracy.assessment",
    "availability": "whatif.availability",
    "believe": "accuracy.belief",
    "build_topology": "model.topologies",
    "bundled_tables": "accuracy.table",
    "capacity": "stability.gossip.capacity",
    "compare_over_load": "compare",
    "derive": "symbolic.derive",
    "fair_rates": "optimisation.admission",
    "largest_scale": "delay.target",
    "latency": "delay.latency",
    "load_scenario": "model.scenario",
    "lose": "whatif.loss",
    "loss_effect": "whatif.effect",
    "make_plan": "optimisation.plan",
    "named_workload": "model.tokens",
    "optimise": "optimisation.choose",
    "overload": "stability.growth.overload",
    "plan_by_user": "optimisation.individual",
    "prompts_needed": "accuracy.telling",
    "read_accuracy": "accuracy.table",
    "read_arrivals": "model.arrival_log",
    "read_graph": "model.graph_files.reading",
    "read_profile": "model.profile",
    "read_tables": "accuracy.table",
    "read_trace": "simulation.traces.files",
    "replay": "simulation.traces.replay",
    "simulate": "simulation.steady.simulate",
    "simulate_burst": "simulation.bursts.burst",
    "single_losses": "whatif.single_losses",
    "stability_region": "stability.region",
    "tell_apart": "accuracy.telling",
    "where_time_goes": "delay.where_time_goes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
