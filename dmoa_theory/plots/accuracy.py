"""Accuracy over (M, k): the fitted surface with its bands, and the figures it was fitted to with their standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import GREY, INK, PALETTE, house_style, new_axes
from dmoa_theory.plots.text import heading, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.accuracy.belief import Belief
    from dmoa_theory.accuracy.measured import AccuracyEntry

__all__ = ["plot_accuracy"]

_MARKS = "osD^vP"
#: More layers than this are not told apart by eye.
_MOST_LAYERS = 6
_APART = 0.12


def plot_accuracy(belief: Belief, *, ax: Axes | None = None) -> Axes:
    """Draw the fitted accuracy over k for each number of layers, with 95 % bands, and the measured figures ± 1 standard error.

    Rows that were read from a transcription are hollow. Bands are those of the smooth surface; a configuration deviates from
    it by 1.5 points of its own, which the bands of :meth:`Belief.band` and of the tables hold too. Figures of the same k are
    drawn side by side.

    Parameters
    ----------
    belief : Belief
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory.plots.accuracy import plot_accuracy
    >>> from dmoa_theory.accuracy.belief import believe
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> plot_accuracy(believe(read_accuracy("mitra2024-same"))).get_ylabel()
    'accuracy (%)'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.8)
        pin_ticks(axes)
        entries = belief.table.entries
        layers = sorted({entry.M for entry in entries if entry.M > 0})[:_MOST_LAYERS]
        widest = max([entry.k for entry in entries if entry.M > 0], default=1)
        handles: list[Artist] = []
        extremes = [_draw_alone(axes, belief, widest, handles)]
        for place, M in enumerate(layers):
            extremes.append(_draw_layer(axes, belief, M, widest, PALETTE[place]))
            shift = _APART * (place - (len(layers) - 1) / 2)
            rows = [entry for entry in entries if entry.M == M]
            extremes.append(_draw_figures(axes, rows, shift, PALETTE[place], _MARKS[place]))
            label = f"M = {M} layer{'s' * (M > 1)}"
            handles.append(Line2D([], [], color=PALETTE[place], linewidth=2, marker=_MARKS[place], markersize=5, label=label))
        aside = ", drawn side by side" if len(layers) > 1 else ""
        handles.append(Patch(color=GREY, alpha=0.3, linewidth=0, label="95 % band of the curve"))
        handles.append(
            Line2D([], [], color=GREY, linewidth=0, marker="|", markersize=11, label=f"measured ± 1 standard error{aside}")
        )
        if belief.table.secondary:
            handles.append(
                Line2D([], [], color=GREY, linewidth=0, marker="o", markerfacecolor="white", label="SECONDARY (transcribed)")
            )
        low, high = min(pair[0] for pair in extremes), max(pair[1] for pair in extremes)
        margin = max(0.04 * (high - low), 0.5)
        axes.set_ylim(max(low - margin, 0.0), min(high + margin, 102.0))
        axes.set_xlim(-0.35, widest + 0.35)
        axes.set_xticks(np.unique(np.linspace(0, widest, min(widest, 10) + 1).round()))
        linear_scale(axes.yaxis, 7)
        grid_lines(axes.yaxis)
        axes.set_axisbelow(True)
        axes.set_xlabel("neighbours asked in each layer, k")
        axes.set_ylabel("accuracy (%)")
        name, source = belief.table.name, belief.table.source
        part = f"{shorten(name.partition('/')[2], 40)}: " if "/" in name and source else ""
        heading(axes, "Accuracy over (M, k), and how well it is known", part + (source or shorten(name, 60)))
        legend_below(axes, handles)
        return axes


def _draw_alone(axes: Axes, belief: Belief, widest: int, handles: list[Artist]) -> tuple[float, float]:
    """One model alone: a line across, as k does not matter to it."""
    low, middle, high = 100 * np.quantile(belief.surface_on([(0, 0)])[:, 0], (0.025, 0.5, 0.975))
    axes.axhspan(low, high, color=GREY, alpha=0.12, linewidth=0, zorder=1)
    axes.axhline(middle, color=INK, linestyle=(0, (4, 3)), linewidth=1.3, zorder=2)
    rows = [entry for entry in belief.table.entries if entry.M == 0]
    handles.append(Line2D([], [], color=INK, linestyle=(0, (4, 3)), linewidth=1.3, marker="X", label="M = 0, one model alone"))
    bottom, top = _draw_figures(axes, rows, -0.2, INK, "X")
    return min(bottom, float(low)), max(top, float(high))


def _draw_layer(axes: Axes, belief: Belief, M: int, widest: int, colour: str) -> tuple[float, float]:
    k = np.linspace(0, widest, 60)
    drawn = belief.surface_on([(M, float(each)) for each in k])
    low, middle, high = 100 * np.quantile(drawn, (0.025, 0.5, 0.975), axis=0)
    axes.fill_between(k, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    axes.plot(k, middle, color=colour, linewidth=2, zorder=3)
    return float(low.min()), float(high.max())


def _draw_figures(axes: Axes, entries: list[AccuracyEntry], shift: float, colour: str, mark: str) -> tuple[float, float]:
    """Measured figures with their standard errors; hollow where they were read from a transcription."""
    for entry in entries:
        axes.errorbar(
            [entry.k + shift if entry.M else shift],
            [100 * entry.accuracy],
            yerr=[100 * entry.standard_error],
            color=colour,
            marker=mark,
            markersize=6.5,
            markerfacecolor="white" if entry.secondary else colour,
            elinewidth=1.1,
            capsize=2.5,
            linestyle="none",
            zorder=5,
        )
    ends = [(100 * (entry.accuracy - entry.standard_error), 100 * (entry.accuracy + entry.standard_error)) for entry in entries]
    return min((end[0] for end in ends), default=100.0), max((end[1] for end in ends), default=0.0)
