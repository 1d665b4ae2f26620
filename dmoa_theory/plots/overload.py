"""Pictures of overload: queues that grow, theory over simulation, and loads as offered and as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREY, INK, PALETTE, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import heading, panel_message, rows_that_fit, shorten
from dmoa_theory.quantities import show_share, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.simulation.bursts.burst_summary import QueueTrajectories
    from dmoa_theory.stability.growth.result import Overload

__all__ = ["plot_growth", "plot_loads"]

_MOST_LINES = 6
_MOST_BARS = 20
_DASHES = (0, (5, 2.5))
_MARKS = "osD^vP"
_NEVER = 3600.0


def plot_growth(result: Overload, seen: QueueTrajectories | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw how queues grow: fluid lines, and over them the mean of simulated runs with a band of 90 % of them.

    Of more than six devices those whose queues grow fastest are drawn.

    Parameters
    ----------
    result : Overload
    seen : QueueTrajectories, optional
        From runs of the same system from empty, while prompts keep arriving.
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory.plots.overload import plot_growth
    >>> from dmoa_theory import System
    >>> from dmoa_theory.stability.growth.overload import overload
    >>> plot_growth(overload(System.from_arrays([[0]], 2.0, 1.0, M=0, k=0))).get_ylabel()
    'jobs at a device'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(7.2, 4.6)
        pin_ticks(axes)
        n, name = result.system.n_devices, result.system.network.name
        order = np.lexsort((-result.effective, -result.growth_rate))[:_MOST_LINES]
        devices = np.sort(order).tolist()
        first = result.time_to_full.min()
        end = float(seen.time[-1]) if seen is not None else float(first) if 0 < first < np.inf else _NEVER
        seconds, unit = time_unit(end)
        handles: list[Artist] = []
        mark: dict[str, Any]
        top = 1.0
        if not result.growing.any() and seen is None:
            panel_message(axes, "No queue grows at this load: every line would lie on the axis.")
        for line, d in enumerate(devices):
            colour = PALETTE[line]
            last = float(result.growth_rate[d]) * end
            axes.plot([0, end / seconds], [0, last], color=INK, linestyle=_DASHES, linewidth=1.1, zorder=5)
            mark = {"marker": _MARKS[line], "markersize": 5.5, "markeredgecolor": "white"}
            handles.append(Line2D([], [], color=colour, linewidth=2.4, label=shorten(name(d)), **mark))
            top = max(top, last)
            if seen is not None:
                time, there = seen.time / seconds, seen.in_system
                axes.fill_between(time, there.lower[:, d], there.upper[:, d], color=colour, alpha=0.14, linewidth=0, zorder=2)
                every = (line / (10 * _MOST_LINES), 0.1)
                axes.plot(time, there.mean[:, d], color=colour, linewidth=2.4, markevery=every, zorder=4, **mark)
                top = max(top, float(there.upper[:, d].max()))
        handles.append(Line2D([], [], color=INK, linestyle=_DASHES, linewidth=1.1, label="fluid limit"))
        if seen is not None:
            handles.append(Line2D([], [], color=GREY, linewidth=2.4, label="simulated, mean of runs"))
            handles.append(Patch(color=GREY, alpha=0.3, linewidth=0, label="5th to 95th percentile of runs"))
        else:
            _name_lines(axes, result, devices, end, seconds)
        some = f"; {len(devices)} of {n:,} devices" if n > len(devices) else ""
        state = f"{int(result.growing.sum())} of {n:,} queues grow" if result.growing.any() else "no queue grows"
        heading(axes, "Queues from empty, beyond the edge", f"{result.system.moa.label}; {state}{some}")
        axes.set_xlim(0, end / seconds)
        axes.set_ylim(0, 1.06 * top)
        linear_scale(axes.xaxis, 8)
        linear_scale(axes.yaxis)
        grid_lines(axes.yaxis)
        axes.set_xlabel(f"time from the start ({unit})")
        axes.set_ylabel("jobs at a device")
        legend_below(axes, handles)
        return axes


def _name_lines(axes: Axes, result: Overload, devices: list[int], end: float, seconds: float) -> None:
    """Colour where there is no simulated line that would show it."""
    for line, d in enumerate(devices):
        last = float(result.growth_rate[d]) * end
        x, y = np.linspace(0, end / seconds, 11), np.linspace(0, last, 11)
        marks: dict[str, Any] = {"marker": _MARKS[line], "markersize": 5.5, "markeredgecolor": "white"}
        axes.plot(x, y, color=PALETTE[line], linewidth=2.4, alpha=0.6, zorder=4, **marks)


def plot_loads(result: Overload, *, ax: Axes | None = None) -> Axes:
    """Draw the load of every device as offered and as it arrives once overloaded devices hold back later layers.

    Of many devices those with the largest offered load.

    Parameters
    ----------
    result : Overload
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory.plots.overload import plot_loads
    >>> from dmoa_theory import System
    >>> from dmoa_theory.stability.growth.overload import overload
    >>> plot_loads(overload(System.from_arrays([[0, 1], [1, 0]], 1.0, [1.0, 2.0], M=1, k=1))).get_xlabel()
    'work for a device (% of what it can do)'
    """
    with house_style():
        nominal, effective = 100 * result.nominal, 100 * result.effective
        axes = ax if ax is not None else new_axes(6.8, 2.1 + 0.36 * max(min(nominal.size, _MOST_BARS), 3))
        room = rows_that_fit(axes, _MOST_BARS)
        few = nominal.size <= room
        shown = np.arange(nominal.size) if few else np.argsort(-nominal, kind="stable")[:room]
        pin_ticks(axes)
        rows = np.arange(shown.size)
        over = result.growing[shown]
        axes.barh(rows - 0.19, nominal[shown], height=0.34, color="white", edgecolor=GREY, linewidth=1.0, zorder=2)
        for chosen, colour, hatch in ((~over, BLUE, None), (over, VERMILION, "////")):
            axes.barh(
                rows[chosen] + 0.19,
                effective[shown][chosen],
                height=0.34,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0,
                zorder=2,
            )
        axes.axvline(100, color=INK, linewidth=1.2, zorder=3)
        right = max(100.0, float(nominal[shown].max()), float(effective[shown].max()))
        axes.set_xlim(0, 1.16 * right)
        axes.set_ylim(max(rows.size, 3) - 0.4, -0.6)
        for row, d in enumerate(shown.tolist()):
            for value, shift in ((nominal[d], -0.19), (effective[d], 0.19)):
                axes.annotate(
                    show_share(float(value) / 100),
                    (float(value), row + shift),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=7.5,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},  # the line of 100 % may run there
                    zorder=4,
                )
        axes.set_yticks(rows, [shorten(result.system.network.name(d)) for d in shown.tolist()], parse_math=False)
        axes.tick_params(axis="y", length=0)
        linear_scale(axes.xaxis)
        grid_lines(axes.xaxis)
        axes.set_axisbelow(True)
        axes.set_xlabel("work for a device (% of what it can do)")
        axes.set_ylabel("device")
        title = "Load as offered, and as it arrives"
        heading(axes, title if few else f"{title}: {shown.size} of {nominal.size:,} devices", result.system.moa.label)
        legend_below(axes, _legend(bounded=bool((~over).any()), growing=bool(over.any())))
        return axes


def _legend(*, bounded: bool, growing: bool) -> list[Artist]:
    handles: list[Artist] = [Patch(facecolor="white", edgecolor=GREY, linewidth=1.0, label="offered (nominal)")]
    if bounded:
        handles.append(Patch(facecolor=BLUE, label="arriving, queue bounded"))
    if growing:
        label = "arriving, queue grows"
        handles.append(Patch(facecolor=VERMILION, hatch="////", edgecolor="white", linewidth=0, label=label))
    handles.append(Line2D([], [], color=INK, linewidth=1.2, label="100 %: all that a device can do"))
    return handles
