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
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from dmoa_theory.plots.style import PALE
from dmoa_theory.plots.text import axes_size, text_width

__all__ = ["grid_lines", "legend_below", "linear_scale", "log_scale", "pin_ticks"]


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
    return f"{value:g}"


def log_scale(axes: Axes, low: float, high: float) -> None:
    """A logarithmic horizontal axis from ``low`` to ``high``, with ticks written as plain numbers."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    subs: Sequence[float] = (1.0, 2.0, 5.0) if math.log10(high / low) < 3 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_minor_locator(NullLocator())


def linear_scale(axis: Axis, bins: int = 6) -> None:
    """A linear axis with at most that many intervals between ticks, written as plain numbers."""
    axis.set_major_locator(MaxNLocator(nbins=bins, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(_plain))


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

    columns = next((c for c in range(min(4, len(widths)), 1, -1) if total(c) <= axes_size(axes)[0]), 1)
    anchor = axes.transAxes + ScaledTranslation(0, -down / 72, figure.dpi_scale_trans)
    axes.legend(handles=list(handles), loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=anchor, ncols=columns)
