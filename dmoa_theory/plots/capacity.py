"""The capacity as a picture: how busy devices are with uniform and with the best gossip, and how the best gossip chooses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREY, INK, PALE, VERMILION, house_style, new_axes, new_figure
from dmoa_theory.plots.text import heading, panel_message, rows_that_fit, shorten
from dmoa_theory.quantities import show_number, show_rate, show_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.model.checks import FloatArray, IntArray
    from dmoa_theory.stability.gossip.result import Capacity

__all__ = ["plot_capacity", "plot_gossip", "plot_relief"]

#: More rows than this cannot be read.
MOST_ROWS = 24
#: Beyond this percentage it is not rounding.
_FULL = 100.0001


def plot_capacity(result: Capacity) -> Figure:
    """Draw both: what the best gossip does to the devices, and which links it uses more and less.

    Parameters
    ----------
    result : Capacity

    Returns
    -------
    Figure

    Examples
    --------
    >>> from dmoa_theory.plots.capacity import plot_capacity
    >>> from dmoa_theory import System
    >>> from dmoa_theory.stability.gossip.capacity import capacity
    >>> found = capacity(System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1))
    >>> len(plot_capacity(found).axes)
    2
    """
    changed = _changed(result).size
    rows = max(3, min(MOST_ROWS, max(result.given.n_devices, changed)))
    with house_style():
        figure = new_figure(11.0, 2.3 + 0.26 * rows)
        left, right = figure.subplots(1, 2)
        plot_relief(result, ax=left)
        plot_gossip(result, ax=right)
        return figure


def plot_relief(result: Capacity, *, ax: Axes | None = None) -> Axes:
    """Draw the utilisation of each device at the best capacity, with uniform and with the best gossip.

    Parameters
    ----------
    result : Capacity
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    with house_style():
        program, network = result.program, result.given.network
        rates = program.rates_at(result.scale_best if result.feasible else 1.0)
        links = result.asks[network.link_sources()]
        uniform, best = (100 * program.load(rates, q) for q in (program.uniform(), result.inclusion[links]))
        axes = ax if ax is not None else new_axes(6.4, 2.3 + 0.26 * min(max(best.size, 3), MOST_ROWS))
        pin_ticks(axes)
        room = rows_that_fit(axes, MOST_ROWS)
        busiest = np.argsort(-np.maximum(uniform, best), kind="stable")[:room]
        shown = np.arange(best.size) if best.size <= room else busiest
        _dumbbells(axes, uniform[shown], best[shown], [shorten(network.name(u)) for u in shown.tolist()])
        axes.axvline(100, color=INK, linewidth=1.2)
        axes.set_xlim(0, 1.08 * max(100.0, float(np.maximum(uniform, best)[shown].max())))
        axes.set_xlabel("utilisation at that load (% of time)")
        axes.set_ylabel("device")
        over = "" if math.isnan(result.gain) else f", {show_share(result.gain)} over uniform gossip"
        of = "" if best.size <= room else f"; the {room} busiest of {best.size:,} devices"
        heading(axes, "What the best gossip carries", f"{result.given.moa.label}; {_load(result)}{over}{of}")
        legend_below(axes, _legend(full=True, overloaded=bool((uniform[shown] > _FULL).any())))
        return axes


def plot_gossip(result: Capacity, *, ax: Axes | None = None) -> Axes:
    """Draw the links whose probability the best gossip changes most, beside that of uniform gossip.

    Parameters
    ----------
    result : Capacity
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    with house_style():
        program, network = result.program, result.given.network
        axes = ax if ax is not None else new_axes(6.4, 2.3 + 0.26 * min(max(_changed(result).size, 3), MOST_ROWS))
        best = result.inclusion[result.asks[network.link_sources()]]
        uniform, changed = program.uniform(), _changed(result)
        shown = changed[: rows_that_fit(axes, MOST_ROWS)]
        if not shown.size:
            axes.set_axis_off()
            heading(axes, "Which links it uses")
            panel_message(axes, "Uniform gossip is already best on this network.")
            return axes
        pin_ticks(axes)
        shown = shown[np.lexsort((program.target[shown], program.source[shown]))]
        names = [
            f"{shorten(network.name(u), 14)} → {shorten(network.name(v), 14)}"
            for u, v in zip(program.source[shown].tolist(), program.target[shown].tolist(), strict=True)
        ]
        _dumbbells(axes, 100 * uniform[shown], 100 * best[shown], names)
        axes.set_xlim(-2, 104)
        axes.set_xlabel("layers that use the link (%)")
        axes.set_ylabel("link")
        note = f"{changed.size:,} of {best.size:,} links differ from uniform gossip"
        if not result.feasible:
            note = f"best for the users who do not grow: {note}"
        heading(
            axes, "Which links it uses", note + (f"; the {shown.size} that differ most" if changed.size > shown.size else "")
        )
        legend_below(axes, _legend(full=False))
        return axes


def _load(result: Capacity) -> str:
    """At which load the devices are drawn."""
    if not result.feasible:
        return "the present load: no gossip carries the users who do not grow"
    if result.program.growth is None:
        return f"{show_number(result.scale_best)} times the present load"
    return f"{show_rate(float(result.rates(result.scale_best).sum()))} in all, in the direction given"


def _changed(result: Capacity) -> IntArray:
    """Links of the program whose probability differs from uniform gossip, the largest change first."""
    best = result.inclusion[result.asks[result.given.network.link_sources()]]
    change = np.abs(best - result.program.uniform())
    order = np.argsort(-change, kind="stable")
    return np.asarray(order[change[order] > 1e-6])


def _dumbbells(axes: Axes, uniform: FloatArray, best: FloatArray, names: list[str]) -> None:
    """A row each: an open mark for uniform, a full one for the best gossip, a line between."""
    rows = np.arange(best.size)
    for row in rows.tolist():
        axes.plot([uniform[row], best[row]], [row, row], color=PALE, linewidth=3.5, solid_capstyle="round", zorder=1)
    axes.scatter(uniform, rows, s=34, facecolors="white", edgecolors=GREY, linewidths=1.4, zorder=3, clip_on=False)
    over = uniform > _FULL
    axes.scatter(uniform[over], rows[over], s=34, facecolors="white", edgecolors=VERMILION, linewidths=1.4, zorder=3)
    axes.scatter(best, rows, s=34, color=BLUE, zorder=4, clip_on=False)
    axes.set_ylim(max(rows.size, 3) - 0.4, -0.6)
    axes.set_yticks(rows, names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    linear_scale(axes.xaxis)
    grid_lines(axes.xaxis)


def _legend(*, full: bool, overloaded: bool = False) -> list[Line2D]:
    marks = [
        Line2D([], [], marker="o", linestyle="none", markerfacecolor="white", markeredgecolor=GREY, label="uniform gossip"),
        Line2D([], [], marker="o", linestyle="none", color=BLUE, label="best gossip"),
    ]
    if not full:
        return marks
    if overloaded:
        ring = Line2D([], [], marker="o", linestyle="none", markerfacecolor="white", markeredgecolor=VERMILION)
        ring.set_label("uniform, overloaded")
        marks.insert(1, ring)
    return [*marks, Line2D([], [], color=INK, linewidth=1.2, label="100 %: full")]
