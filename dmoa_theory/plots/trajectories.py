"""Queues over time, from empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import GREY, INK, PALETTE, house_style, new_axes
from dmoa_theory.plots.text import heading, shorten
from dmoa_theory.quantities import time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.simulation.bursts.burst_result import BurstResult
    from dmoa_theory.simulation.bursts.burst_summary import Band

__all__ = ["plot_trajectories"]

#: More lines than this cannot be told apart; of more devices the busiest are drawn, and the mean of all.
MOST_LINES = 6
_OF_MANY = 4
#: Mean number waiting, at its largest, from which on percentiles over runs make a smooth band.
_LONG = 3.0
#: Standard errors in half a 95 % interval.
_NORMAL = 1.96
_DASHES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))


def plot_trajectories(result: BurstResult, *, ax: Axes | None = None, note: str = "") -> Axes:
    """Draw how many jobs wait at each device over time: mean over runs, with a band.

    The band holds 90 % of the runs; of short queues, where it would jump between whole numbers, it is the 95 % interval of the
    mean. Of more than six devices the four busiest are drawn, and the mean of all devices in black.

    Parameters
    ----------
    result : BurstResult
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    note : str
        What to say of the (M, k) in place of its numbers alone.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory import System
    >>> from dmoa_theory.simulation.bursts.burst import simulate_burst
    >>> alone = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0)
    >>> plot_trajectories(simulate_burst(alone, prompts=5, replications=10)).get_ylabel()
    'jobs waiting at a device'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(7.2, 4.4)
        pin_ticks(axes)
        seen, n = result.trajectories, result.system.n_devices
        many = n > MOST_LINES
        devices = np.sort(result.busiest[:_OF_MANY]).tolist() if many else list(range(n))
        runs = "1 run" if result.replications == 1 else f"{result.replications:,} runs"
        some = f"; {_OF_MANY} busiest of {n:,} devices" if many else ""
        interrupted = " (interrupted)" if result.partial else ""
        heading(
            axes,
            "Queues from empty",
            f"{result.arrivals}, {note or result.system.moa.label}; simulated, {runs}{interrupted}{some}",
        )
        seconds, unit = time_unit(float(seen.time[-1]))
        time = seen.time / seconds
        bands = result.replications > 1
        long = float(seen.waiting.mean[:, devices].max()) >= _LONG
        handles: list[Artist] = []
        step = "default" if bands else "steps-post"
        for line, d in enumerate(devices):
            colour = PALETTE[line]
            if bands:
                lower, upper = _ends(seen.waiting, long=long)
                _draw_band(axes, time, lower[:, d], upper[:, d], colour)
            name, dashes = shorten(result.system.network.name(d)), _DASHES[line % len(_DASHES)]
            mean = seen.waiting.mean[:, d]
            handles += axes.plot(time, mean, color=colour, linestyle=dashes, drawstyle=step, label=name, zorder=4)
        if many:
            every = seen.waiting_per_device
            if bands:
                _draw_band(axes, time, *_ends(every, long=long), INK)
            handles += axes.plot(
                time, every.mean, color=INK, linewidth=2.2, drawstyle=step, label="mean of all devices", zorder=5
            )
        if bands:
            label = "5th to 95th percentile of runs" if long else "95 % interval of the mean"
            handles.append(Patch(color=GREY, alpha=0.3, linewidth=0, label=label))
        drawn = _ends(seen.waiting, long=long)[1] if bands else seen.waiting.mean
        top = max(float(drawn[:, devices].max()), float(seen.waiting.mean[:, devices].max())) or 1.0
        if result.buffer is not None and result.buffer.size <= 1.5 * top:
            top = max(top, float(result.buffer.size))
            label = f"buffer full: {result.buffer.size} waiting"
            axes.axhline(result.buffer.size, color=INK, linestyle=(0, (4, 3)), linewidth=1.0, zorder=1)
            handles.append(Line2D([], [], color=INK, linestyle=(0, (4, 3)), linewidth=1.0, label=label))
        axes.set_xlim(0, max(float(time[-1]), 1e-12))
        axes.set_ylim(0, 1.06 * top)
        linear_scale(axes.xaxis, 8)
        linear_scale(axes.yaxis)
        grid_lines(axes.yaxis)
        axes.set_xlabel(f"time from the start ({unit})")
        axes.set_ylabel("jobs waiting at a device")
        legend_below(axes, handles)
        return axes


def _ends(band: Band, *, long: bool) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end of what is drawn round the mean."""
    if long:
        return band.lower, band.upper
    return np.maximum(band.mean - _NORMAL * band.error, 0.0), band.mean + _NORMAL * band.error


def _draw_band(axes: Axes, time: FloatArray, lower: FloatArray, upper: FloatArray, colour: str) -> None:
    """A pale area with a fine rim, by which bands that lie over each other can be followed."""
    axes.fill_between(time, lower, upper, color=colour, alpha=0.1, linewidth=0, zorder=2)
    for end in (lower, upper):
        axes.plot(time, end, color=colour, linewidth=0.6, alpha=0.6, zorder=3)
