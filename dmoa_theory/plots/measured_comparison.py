"""Theory, simulation and a live run in one picture: every figure relative to the simulated runs of the same length."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale
from dmoa_theory.plots.style import BLUE, GREY, INK, ORANGE, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import heading, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.compare_measured import MeasuredComparison, MeasuredRow

__all__ = ["plot_measured"]

_MOST_ROWS = 28
_SHOWN = ("mean latency", "p50 latency", "p95 latency", "p99 latency", "utilisation", "mean in system", "mean wait")


def plot_measured(comparison: MeasuredComparison, *, ax: Axes | None = None) -> Axes:
    """Draw how far measured, predicted and simulated figures are from the mean of simulated runs of the same length.

    Bars show where 19 of 20 simulated runs at the measured service times lie. Figures over all prompts and of devices are
    drawn, of large networks the first.

    Parameters
    ----------
    comparison : MeasuredComparison
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    rows = _drawn(comparison)
    with house_style():
        axes = ax if ax is not None else new_axes(7.2, 1.9 + 0.27 * len(rows))
        run = comparison.run
        state = (
            f"{run.system.moa.label}, {run.record.facts['mode']}, {run.timed:,} prompts, {run.simulated.runs} simulated runs"
        )
        heading(axes, "Measured beside theory and simulation", state)
        axes.use_sticky_edges = False  # bars keep off the frame
        axes.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
        for place, row in enumerate(rows):
            base = row.at_measured.simulated
            low, high = (100 * (end / base - 1) for end in (row.lower, row.upper))
            axes.barh(place, high - low, left=low, height=0.62, color=GREY, alpha=0.3, linewidth=0, zorder=0)
            for value, marker, colour, size, filled in _marks(row):
                if math.isfinite(value):
                    face = colour if filled else "none"
                    where = 100 * (value / base - 1)
                    axes.plot(where, place, marker, color=colour, markerfacecolor=face, markersize=size, zorder=3)
        axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        linear_scale(axes.xaxis, 9)
        grid_lines(axes.xaxis)
        axes.set_xlabel("off the mean of simulated runs at the measured service times (%)")
        legend_below(axes, _keys())
        return axes


def _drawn(comparison: MeasuredComparison) -> list[MeasuredRow]:
    devices = set(comparison.run.record.names)
    chosen = []
    for row in comparison.rows:
        of_device = row.of in devices and row.quantity in {"utilisation", "mean in system", "mean wait"}
        if row.quantity in _SHOWN and (row.of == "all prompts" or of_device) and row.at_measured.simulated > 0:
            chosen.append(row)
    return chosen[:_MOST_ROWS]


def _marks(row: MeasuredRow) -> tuple[tuple[float, str, str, float, bool], ...]:
    return (
        (row.scenario.simulated, "s", ORANGE, 7.0, False),
        (row.scenario.theory, "D", VERMILION, 4.5, False),
        (row.at_measured.theory, "D", VERMILION, 4.5, True),
        (row.measured, "o", BLUE, 7.0, True),
    )


def _name(row: MeasuredRow) -> str:
    return row.quantity if row.of == "all prompts" else f"{row.quantity}, {shorten(row.of, 18)}"


def _keys() -> list[Artist]:
    def mark(marker: str, colour: str, label: str, *, filled: bool) -> Line2D:
        face = colour if filled else "none"
        return Line2D([], [], linestyle="none", marker=marker, color=colour, markerfacecolor=face, markersize=6, label=label)

    return [
        mark("o", BLUE, "measured", filled=True),
        mark("D", VERMILION, "theory, measured service times", filled=True),
        Patch(color=GREY, alpha=0.3, linewidth=0, label="19 of 20 simulated runs, measured service times"),
        mark("D", VERMILION, "theory, the scenario's", filled=False),
        mark("s", ORANGE, "simulated, the scenario's", filled=False),
    ]
