"""Where the time of the mean prompt goes, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.delay.where_time_goes import Part, label_of, show_signed
from dmoa_theory.plots.scales import grid_lines, linear_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, YELLOW, house_style, new_axes
from dmoa_theory.plots.text import halo, heading, panel_message
from dmoa_theory.quantities import show_seconds, show_share, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.delay.where_time_goes import TimeParts

__all__ = ["plot_waterfall"]

_MINUS = "\N{MINUS SIGN}"  # as on the axis
_COLOURS = {
    Part.OWN_WAIT: ORANGE,
    Part.NEIGHBOUR_WAIT: YELLOW,
    Part.SERVICE: BLUE,
    Part.LINKS: SKY,
    Part.SYNCHRONISATION: PURPLE,
    Part.AGGREGATION_WAIT: VERMILION,
    Part.AGGREGATION: GREEN,
}


def plot_waterfall(result: TimeParts, *, ax: Axes | None = None, note: str = "") -> Axes:
    """Draw the mean latency as a waterfall: each part begins where the one above it ends, the sum stands last.

    Parts that are nil are left out. A negative part (with a quorum, layers may end before their mean job) is hatched and
    leads back.

    Parameters
    ----------
    result : TimeParts
        From :func:`dmoa_theory.delay.where_time_goes.where_time_goes`.
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
    >>> from dmoa_theory.delay.where_time_goes import where_time_goes
    >>> plot_waterfall(where_time_goes(System.from_arrays([[0]], 0.5, 1.0, M=0, k=0))).get_xlabel()
    'time (s)'
    """
    with house_style():
        parts = {part: seconds for part, seconds in result.parts.items() if seconds != 0}
        axes = ax if ax is not None else new_axes(6.8, 1.7 + 0.34 * (len(parts) + 1))
        pin_ticks(axes)
        M, _, _ = result.system.moa.per_user(result.system.n_devices)
        layers = bool((M[result.system.rates > 0] > 0).any())
        how = "approximation" if layers else "exact"  # every device is an M/G/1 queue then
        heading(axes, "Where the time of the mean prompt goes", f"{note or result.system.moa.label}; {how}")
        if not np.isfinite(result.mean):
            axes.set_xlabel("time (s)")
            axes.set_xticks([])
            axes.set_yticks([])
            panel_message(axes, "Latency is unbounded: a device is offered more work than it can do.", VERMILION)
            return axes
        size, unit = time_unit(result.mean)
        total = result.mean / size
        values = np.array(list(parts.values())) / size
        ends = np.cumsum(values)
        starts = ends - values
        for row, (part, seconds) in enumerate(parts.items()):
            left, right = min(starts[row], ends[row]), max(starts[row], ends[row])
            hatch = "////" if seconds < 0 else None
            axes.barh(
                row, right - left, left=left, height=0.66, color=_COLOURS[part], hatch=hatch, edgecolor="white", linewidth=0
            )
            # across the row of a part that is too short to be seen, so that the stairs go on
            top = row - 0.33 if right - left < 0.004 * total else row + 0.33
            axes.plot([ends[row]] * 2, [top, row + 0.67], color=GREY, linewidth=0.8, zorder=1)
            _label(axes, right, row, show_signed(seconds), seconds, result.mean)
        axes.barh(len(parts), total, height=0.66, color=INK)
        _label(axes, total, len(parts), show_seconds(result.mean), None, result.mean)
        axes.set_yticks(
            np.arange(len(parts) + 1), [*(label_of(*part) for part in parts.items()), "mean latency"], parse_math=False
        )
        axes.get_yticklabels()[-1].set_fontweight("bold")
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(parts) + 0.6, -0.6)
        axes.set_xlim(min(0.0, float(starts.min())), 1.22 * max(total, float(ends.max())))
        linear_scale(axes.xaxis, 7)
        grid_lines(axes.xaxis)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"time ({unit})")
        return axes


def _label(axes: Axes, right: float, row: int, text: str, seconds: float | None, mean: float) -> None:
    """Seconds behind a bar, and which share of all that is."""
    axes.annotate(
        text if seconds is None else f"{text}, {show_share(seconds / mean).replace('-', _MINUS)}",
        (right, row),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        fontweight="bold" if seconds is None else "normal",
        path_effects=halo(3),
    )
