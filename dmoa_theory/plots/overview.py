"""A plan on one page: the network, its stable rates, how long prompts take, and which (M, k) to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmoa_theory.plots.choice import plot_choice
from dmoa_theory.plots.latency import plot_latency
from dmoa_theory.plots.network import plot_network
from dmoa_theory.plots.region import plot_section, plot_utilisation, scaled_to_fit, telling_users
from dmoa_theory.plots.style import house_style, new_figure
from dmoa_theory.plots.text import shorten, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.optimisation.plan import Plan
    from dmoa_theory.stability.region import StabilityRegion

__all__ = ["plot_plan"]


def plot_plan(plan: Plan) -> Figure:
    """Draw a plan: network, stable rates and latency of the (M, k) to run (failing that, the scenario's own), and the choice.

    Each panel says below its title which (M, k) it shows.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    Figure
    """
    with house_style():
        figure = new_figure(12.6, 10.0)
        panels = figure.subplots(2, 2)
        settled = plan.settled if plan.settled is not None else plan.region
        plot_network(settled, ax=panels[0, 0])
        _draw_rates(settled, panels[0, 1])
        estimate = plan.settled_latency if plan.settled_latency is not None else plan.latency
        plot_latency(estimate, ax=panels[1, 0], note=estimate.system.moa.label)
        plot_choice(plan.decision, ax=panels[1, 1])
        title = shorten(plan.region.system.title or "plan", 160)
        figure.suptitle(wrap(f"{title}: {_answer(plan)}", 12.0 * 72, 14, bold=True))
        return figure


def _answer(plan: Plan) -> str:
    """The plan in a few words."""
    decision = plan.decision
    if decision.recommended is not None:
        return f"run {decision.recommended.name}"
    if decision.choice is not None:
        return f"{decision.choice.name} meets the limits, without margin"
    return "no (M, k) meets every limit"


def _draw_rates(region: StabilityRegion, axes: Axes) -> None:
    """The stable rates of the two users whose rates tell most; utilisation where there are no two."""
    system = region.system
    users = [u for u in telling_users(region) if system.rates[u] > 0]
    if len(users) < 2:
        plot_utilisation(region, ax=axes)
        return
    first, second = sorted(users[:2])
    scaled = None if region.stable else scaled_to_fit(region).section(first, second)
    plot_section(region.section(first, second), ax=axes, note=system.moa.label, scaled=scaled)
