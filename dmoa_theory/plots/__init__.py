"""Pictures of results: each function takes a result and returns the matplotlib Axes (of several panels: the Figure) it drew.

What is returned can be changed like any other, ``axes.set_title("mine")``. Of both kinds ``drawn.figure`` is the figure:
``drawn.figure.savefig("mine.png")`` writes it, and :func:`save` does so in the house style, whole or not at all. Figures belong
to no window; in a notebook the last line ``plot_utilisation(region).figure`` shows one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmoa_theory.plots.accuracy import plot_accuracy
    from dmoa_theory.plots.body import plot_body
    from dmoa_theory.plots.capacity import plot_capacity, plot_gossip, plot_relief
    from dmoa_theory.plots.choice import plot_choice
    from dmoa_theory.plots.comparison import plot_comparison, plot_error_over_load, plot_latency_over_load, plot_over_load
    from dmoa_theory.plots.critical_rates import plot_critical_curves, plot_rate_by_k, plot_rate_by_size
    from dmoa_theory.plots.latency import plot_latency
    from dmoa_theory.plots.latency_errors import plot_latency_errors
    from dmoa_theory.plots.load_curves import plot_load_curves
    from dmoa_theory.plots.network import plot_network
    from dmoa_theory.plots.overload import plot_growth, plot_loads
    from dmoa_theory.plots.overview import plot_plan
    from dmoa_theory.plots.profile import plot_clocks, plot_profile, plot_residuals, plot_times
    from dmoa_theory.plots.region import plot_section, plot_utilisation
    from dmoa_theory.plots.simulation import plot_latency_distribution, plot_queue_lengths
    from dmoa_theory.plots.style import house_style, save
    from dmoa_theory.plots.testbed import plot_live_latency, plot_live_queues, plot_live_utilisation
    from dmoa_theory.plots.trajectories import plot_trajectories
    from dmoa_theory.plots.waterfall import plot_waterfall
    from dmoa_theory.plots.whatif import plot_central, plot_loss, plot_single_losses

__all__ = [
    "house_style",
    "plot_accuracy",
    "plot_body",
    "plot_capacity",
    "plot_central",
    "plot_choice",
    "plot_clocks",
    "plot_comparison",
    "plot_critical_curves",
    "plot_error_over_load",
    "plot_gossip",
    "plot_growth",
    "plot_latency",
    "plot_latency_distribution",
    "plot_latency_errors",
    "plot_latency_over_load",
    "plot_live_latency",
    "plot_live_queues",
    "plot_live_utilisation",
    "plot_load_curves",
    "plot_loads",
    "plot_loss",
    "plot_network",
    "plot_over_load",
    "plot_plan",
    "plot_profile",
    "plot_queue_lengths",
    "plot_rate_by_k",
    "plot_rate_by_size",
    "plot_relief",
    "plot_residuals",
    "plot_section",
    "plot_single_losses",
    "plot_times",
    "plot_trajectories",
    "plot_utilisation",
    "plot_waterfall",
    "save",
]

_HOME = {
    "house_style": "style",
    "plot_accuracy": "accuracy",
    "plot_body": "body",
    "plot_capacity": "capacity",
    "plot_central": "whatif",
    "plot_choice": "choice",
    "plot_clocks": "profile",
    "plot_comparison": "comparison",
    "plot_critical_curves": "critical_rates",
    "plot_error_over_load": "comparison",
    "plot_gossip": "capacity",
    "plot_growth": "overload",
    "plot_latency": "latency",
    "plot_latency_distribution": "simulation",
    "plot_latency_errors": "latency_errors",
    "plot_latency_over_load": "comparison",
    "plot_live_latency": "testbed",
    "plot_live_queues": "testbed",
    "plot_live_utilisation": "testbed",
    "plot_load_curves": "load_curves",
    "plot_loads": "overload",
    "plot_loss": "whatif",
    "plot_network": "network",
    "plot_over_load": "comparison",
    "plot_plan": "overview",
    "plot_profile": "profile",
    "plot_queue_lengths": "simulation",
    "plot_rate_by_k": "critical_rates",
    "plot_rate_by_size": "critical_rates",
    "plot_relief": "capacity",
    "plot_residuals": "profile",
    "plot_section": "region",
    "plot_single_losses": "whatif",
    "plot_times": "profile",
    "plot_trajectories": "trajectories",
    "plot_utilisation": "region",
    "plot_waterfall": "waterfall",
    "save": "style",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
