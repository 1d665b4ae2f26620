"""Pictures of stability: which rates of two users the devices can carry, and how busy every device is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, INK, SKY, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import axes_size, halo, heading, panel_message, rows_that_fit, shorten, text_width
from dmoa_theory.quantities import rate_unit, show_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.stability.region import RegionSection, StabilityRegion

__all__ = ["plot_section", "plot_utilisation"]

#: More bars than this cannot be read.
MOST_BARS = 30
_MOST_EDGE_NAMES = 6


def plot_section(section: RegionSection, *, ax: Axes | None = None, note: str = "") -> Axes:
    """Draw the rates of two users that keep every queue bounded, and where the system stands.

    Parameters
    ----------
    section : RegionSection
        From :meth:`dmoa_theory.stability.region.StabilityRegion.section`.
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    note : str
        A remark below the title, such as the (M, k) that runs.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory.plots.region import plot_section
    >>> from dmoa_theory import System, stability_region
    >>> region = stability_region(System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1))
    >>> plot_section(region.section(0, 1)).get_xlabel()
    'prompts of device-0 (per hour)'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(5.6, 4.8)
        pin_ticks(axes)
        now = np.asarray(section.operating_point)
        far = np.maximum(section.corners.max(axis=0), now) if section.corners.size else now
        seconds, unit = rate_unit(float(now.max()) or float(far.max()))  # the unit of the present rates, as in the table
        names = [shorten(name) for name in section.names]
        axes.set_xlabel(f"prompts of {names[0]} (per {unit})")
        axes.set_ylabel(f"prompts of {names[1]} (per {unit})")
        right, top = np.where(far > 0, far, far.max() or 1 / seconds) * seconds * 1.14
        axes.set_xlim(0, right)
        axes.set_ylim(0, top)
        linear_scale(axes.xaxis)
        linear_scale(axes.yaxis)
        title = f"Stable rates of {names[0]} and {names[1]}"
        if section.corners.size:
            heading(
                axes, title, "; ".join(filter(None, (note, "other users as they are; each edge names the device that is full")))
            )
            _draw_polygon(axes, section.corners * seconds, section.binding)
        else:
            heading(axes, title, note)
            axes.set_facecolor("#F6F6F6")
            panel_message(
                axes, "No rates of these two users keep every queue bounded: the other users alone overload a device."
            )
        _mark_now(axes, now * seconds, stable=section.stable)
        return axes


def _draw_polygon(axes: Axes, corners: FloatArray, binding: tuple[str, ...]) -> None:
    """The area, its upper edges, and the names of the devices that bind along the longest of them."""
    axes.fill(corners[:, 0], corners[:, 1], facecolor=SKY, alpha=0.28, edgecolor="none", label="stable rates")
    axes.plot(corners[1:, 0], corners[1:, 1], color=BLUE, solid_joinstyle="round", clip_on=False, zorder=3)
    if len(binding) > 1:
        axes.plot(corners[2:-1, 0], corners[2:-1, 1], "o", color=BLUE, markersize=3.5, zorder=3)
    # lengths on paper, in points, as text is measured
    paper = corners * np.asarray(axes_size(axes)) / (axes.get_xlim()[1], axes.get_ylim()[1])
    steps = np.diff(paper[1:], axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    size = 8.5
    for place, edge in enumerate(np.argsort(-lengths, kind="stable")[:_MOST_EDGE_NAMES].tolist()):
        text = f"{shorten(binding[edge], 14)} full"
        # a name longer than its edge would run into the next one; the longest edge is named in any case
        if place and text_width(text, size) > 1.05 * lengths[edge]:
            continue
        middle = (corners[edge + 1] + corners[edge + 2]) / 2
        slope = math.degrees(math.atan2(-steps[edge, 1], -steps[edge, 0]))  # edges run from right to left
        outward = np.array([steps[edge, 1], -steps[edge, 0]]) / max(lengths[edge], 1e-9)
        axes.annotate(
            text,
            tuple(middle),
            xytext=tuple(8.0 * outward),
            textcoords="offset points",
            rotation=slope,
            rotation_mode="anchor",
            ha="center",
            va="center",
            fontsize=size,
            color=BLUE,
            path_effects=halo(),
        )


def _mark_now(axes: Axes, now: FloatArray, *, stable: bool) -> None:
    """Where the system stands, in words too."""
    colour, marker = (INK, "o") if stable else (VERMILION, "X")
    axes.plot(
        *now, marker=marker, color=colour, markersize=8, markeredgecolor="white", linestyle="none", clip_on=False, zorder=5
    )
    across, up = now[0] / axes.get_xlim()[1], now[1] / axes.get_ylim()[1]
    if stable:  # beside the point, on the side of the larger part of the region
        right, above = (-9 if across > 0.6 else 9), (-9 if up > 0.8 else 9 if up < 0.06 else 0)
        ha = "right" if across > 0.6 else "left"
    else:  # above it: beside it the label would lie across the edge that the point has left
        right, above = (0, 13)
        ha = "left" if across < 0.12 else "center"
    axes.annotate(
        "now: stable" if stable else "now: unstable",
        (float(now[0]), float(now[1])),
        xytext=(right, above),
        textcoords="offset points",
        ha=ha,
        va="center",
        fontweight="bold",
        color=colour,
        path_effects=halo(),
        zorder=6,
    )


def plot_utilisation(region: StabilityRegion, *, ax: Axes | None = None) -> Axes:
    """Draw how busy every device is, the 30 busiest of a large network.

    Parameters
    ----------
    region : StabilityRegion
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory.plots.region import plot_utilisation
    >>> from dmoa_theory import System, stability_region
    >>> region = stability_region(System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1))
    >>> plot_utilisation(region).get_xlabel()
    'utilisation (% of time)'
    """
    with house_style():
        load, network = 100 * region.utilisation, region.system.network
        axes = ax if ax is not None else new_axes(6.4, 1.9 + 0.24 * max(min(load.size, MOST_BARS), 3))
        room = rows_that_fit(axes, MOST_BARS)
        shown = np.arange(load.size) if load.size <= room else np.argsort(-load, kind="stable")[:room]
        pin_ticks(axes)
        over = load[shown] >= 100
        rows = np.arange(shown.size)
        for rows_of, colour, hatch in ((~over, BLUE, None), (over, VERMILION, "////")):
            axes.barh(
                rows[rows_of], load[shown][rows_of], height=0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0
            )
        limit = 100 * region.system.constraints.max_utilisation
        axes.axvline(100, color=INK, linewidth=1.2)
        axes.axvline(limit, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
        right = max(100.0, float(load[shown].max()))
        axes.set_xlim(0, 1.14 * right)
        axes.set_ylim(max(rows.size, 3) - 0.4, -0.6)
        for row, value in zip(rows.tolist(), load[shown].tolist(), strict=True):
            axes.annotate(
                show_share(value / 100),
                (value, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                path_effects=halo(3),
            )
        labels = [shorten(network.name(u)) for u in shown.tolist()]
        axes.set_yticks(rows, labels, parse_math=False)
        axes.tick_params(axis="y", length=0)
        linear_scale(axes.xaxis)
        grid_lines(axes.xaxis)
        axes.set_xlabel("utilisation (% of time)")
        axes.set_ylabel("device")
        state = "every queue stays bounded" if region.stable else f"{int((load >= 100).sum())} of {load.size} overloaded"
        title = "How busy each device is" if load.size <= room else f"The {shown.size} busiest of {load.size:,} devices"
        heading(axes, title, f"{region.system.moa.label}; {state}")
        legend_below(axes, _utilisation_legend(limit, overloaded=bool(over.any())))
        return axes


def _utilisation_legend(limit: float, *, overloaded: bool) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, linewidth=1.2, label="100 %: the queue grows without bound"),
        Line2D([], [], color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label=f"limit of the plan: {limit:g} %"),
    ]
    if overloaded:
        handles.append(Patch(facecolor=VERMILION, hatch="////", edgecolor="white", linewidth=0, label="overloaded"))
    return handles
