"""Axes with sensible units: rates, durations and shares, and what belongs around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from dmoa_theory.plots.style import PALE
from dmoa_theory.plots.text import axes_size, text_width, width_left

__all__ = ["draw_limit", "grid_lines", "headroom", "legend_below", "linear_scale", "log_scale", "log_ticks", "pin_ticks"]

_BEYOND = "beyond the axis"
_LEAST_TICKS = 3


def pin_ticks(axes: Axes) -> None:
    """Write the style sheet's ticks into the axes: matplotlib makes ticks when it draws, after the style has ended."""
    rc: Any = mpl.rcParams
    for which in ("x", "y"):
        options = {key: rc[f"{which}tick.{key}"] for key in ("color", "labelcolor", "labelsize")}
        tick_params: Any = axes.tick_params
        tick_params(axis=which, **options, length=rc[f"{which}tick.major.size"])


def grid_lines(axis: Axis) -> None:
    """Faint lines at the ticks of one axis."""
    axis.grid(True, color=PALE, linewidth=0.7)


def _plain(value: float, _place: int | None = None) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 and round(value) == value else f"{value:g}"


def log_scale(axes: Axes, low: float, high: float) -> None:
    """A logarithmic horizontal axis from ``low`` to ``high``, with ticks written as plain numbers."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    log_ticks(axes.xaxis, decades=3.0)
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))


def log_ticks(axis: Axis, *, decades: float = 2.5) -> None:
    """Ticks of a logarithmic axis whose ends are set: at least three, for two do not tell it from a linear one.

    Longer axes than so many decades have ticks at powers of ten, others at 1, 2 and 5 too.
    """
    low, high = sorted(axis.get_view_interval())
    axis.set_minor_locator(NullLocator())
    for subs in ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        powers = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = np.outer(powers, subs)
        if len(subs) == 1 and math.log10(high / low) < decades:
            continue
        if np.count_nonzero((ticks >= low) & (ticks <= high)) >= _LEAST_TICKS:
            axis.set_major_locator(LogLocator(subs=subs, numticks=12))
            return
    axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=_LEAST_TICKS))


def linear_scale(axis: Axis, bins: int = 6) -> None:
    """A linear axis with at most that many intervals between ticks, written as plain numbers."""
    axis.set_major_locator(MaxNLocator(nbins=bins, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(_plain))


def headroom(axes: Axes, bottom: float, top: float, points: float) -> float:
    """The upper end of a linear vertical axis from ``bottom`` on that leaves so many points of paper above ``top``."""
    height = axes_size(axes)[1]
    return bottom + (top - bottom) / max(1 - points / height, 0.5)


def draw_limit(axes: Axes, value: float, label: str, *, along: str = "x", **line: Any) -> Line2D:
    """Draw a limit as a line across the axes; beyond their ends as an arrow head at that edge, so that no axis is stretched.

    Parameters
    ----------
    axes : Axes
        With the limits of the axis already set.
    value : float
        Where the limit is, in data.
    label : str
        For the legend; "beyond the axis" is added to it where that is so.
    along : {"x", "y"}
        The axis on which the value is.
    line : dict
        Colour, style and width of the line.

    Returns
    -------
    Line2D
        The handle for the legend.
    """
    low, high = sorted(axes.get_xlim() if along == "x" else axes.get_ylim())
    if low <= value <= high:
        draw = axes.axvline if along == "x" else axes.axhline
        return draw(value, label=label, zorder=1, **line)
    over = value > high
    head = {("x", True): ">", ("x", False): "<", ("y", True): "^", ("y", False): "v"}[along, over]
    before = sum(drawn.get_gid() == f"{_BEYOND} {head}" for drawn in axes.lines)
    aside = 8.0 + 13.0 * before  # heads at one edge stand beside each other
    figure: Any = axes.figure
    end, (right, up) = float(over), ((0.0, -aside) if along == "x" else (-aside, 0.0))
    place = (end, 1.0) if along == "x" else (1.0, end)
    drawn = Line2D(
        *([each] for each in place),
        linestyle="none",
        marker=head,
        color=line.get("color"),
        markersize=8.0,
        label=f"{label}, {_BEYOND}",
        transform=axes.transAxes + ScaledTranslation(right / 72, up / 72, figure.dpi_scale_trans),
        clip_on=False,
        gid=f"{_BEYOND} {head}",
        zorder=5,
    )
    axes.add_line(drawn)
    return drawn


def legend_below(axes: Axes, handles: Sequence[Artist], *, down: float = 34.0) -> None:
    """A legend ``down`` points below the axes, outside the data, in as many columns as are no wider than the axes."""
    figure: Any = axes.figure
    rc: Any = mpl.rcParams
    size = float(rc["legend.fontsize"])
    beside = (rc["legend.handlelength"] + rc["legend.handletextpad"] + rc["legend.columnspacing"]) * size
    widths = [text_width(str(handle.get_label()), size) + beside for handle in handles]

    def total(columns: int) -> float:
        rows, longer = divmod(len(widths), columns)  # matplotlib fills the first columns first
        ends = np.cumsum([rows + (c < longer) for c in range(columns)])
        return sum(float(part.max()) for part in np.split(np.array(widths), ends[:-1]) if part.size)

    columns = next((c for c in range(min(4, len(widths)), 1, -1) if total(c) <= width_left(axes)), 1)
    anchor = axes.transAxes + ScaledTranslation(0, -down / 72, figure.dpi_scale_trans)
    axes.legend(handles=list(handles), loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=anchor, ncols=columns)
