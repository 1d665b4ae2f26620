"""Pictures of stability: which rates of two users the devices can carry, and how busy every device is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, INK, SKY, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import axes_size, halo, heading, panel_message, rows_that_fit, shorten, text_width
from dmoa_theory.quantities import rate_unit, show_number, show_share
from dmoa_theory.stability.region import stability_region

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.stability.region import RegionSection, StabilityRegion

__all__ = ["plot_section", "plot_utilisation", "scaled_to_fit"]

#: More bars than this cannot be read.
MOST_BARS = 30
_MOST_EDGE_NAMES = 6
#: Of the busiest device where all rates are scaled down until the system is stable, as ``dmoa region --check`` has it.
FULL_ENOUGH = 0.95
#: Where the system stands is drawn to scale up to this many times the reach of the region.
_IN_SIGHT = 8.0


def scaled_to_fit(region: StabilityRegion) -> StabilityRegion:
    """The same system with all rates scaled by one factor so that its busiest device is at 95 %."""
    system = region.system
    return stability_region(system.with_rates(system.rates * (FULL_ENOUGH * region.critical_scale)))


def telling_users(region: StabilityRegion) -> list[int]:
    """Users who can ask: of a stable system first those with most prompts, of others those who load the busiest device most."""
    system = region.system
    able = np.flatnonzero(system.can_ask())
    rates = system.rates[able]
    load = region.coefficients().tocsr()[[region.bottleneck.device]].toarray()[0, able]
    order = np.lexsort((-load, -rates) if region.stable else (-rates, -load * rates))
    told: list[int] = able[order].tolist()
    return told


def in_sight(now: FloatArray, reach: FloatArray) -> FloatArray:
    """A point from which the region can still be seen: the present rates, or of far larger ones a part along the same line."""
    beyond = float(np.max(np.divide(now, _IN_SIGHT * reach, out=np.zeros(now.size), where=reach > 0)))
    return now / max(beyond, 1.0)


def plot_section(
    section: RegionSection, *, ax: Axes | None = None, note: str = "", scaled: RegionSection | None = None
) -> Axes:
    """Draw the rates of two users that keep every queue bounded, and where the system stands.

    From an unstable system an arrow leads to where it would be stable.

    Parameters
    ----------
    section : RegionSection
        From :meth:`dmoa_theory.stability.region.StabilityRegion.section`.
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    note : str
        A remark below the title, such as the (M, k) that runs.
    scaled : RegionSection, optional
        The same plane with all rates scaled down, from :func:`scaled_to_fit`: drawn where the other users alone overload a
        device, so that no rates of these two are stable.

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
        now, alone = np.asarray(section.operating_point), not section.corners.size
        drawn = scaled if alone and scaled is not None else section
        reach = drawn.corners.max(axis=0) if drawn.corners.size else np.zeros(2)
        seen = in_sight(now, reach)
        far = np.maximum(reach, seen)
        seconds, unit = rate_unit(float(seen.max()) or float(far.max()))  # that of the present rates, as in the table
        names = [shorten(name) for name in section.names]
        axes.set_xlabel(f"prompts of {names[0]} (per {unit})")
        axes.set_ylabel(f"prompts of {names[1]} (per {unit})")
        right, top = np.where(far > 0, far, far.max() or 1 / seconds) * seconds * 1.14
        axes.set_xlim(0, right)
        axes.set_ylim(0, top)
        linear_scale(axes.xaxis)
        linear_scale(axes.yaxis)
        title = f"Stable rates of {names[0]} and {names[1]}"
        if not drawn.corners.size:
            heading(axes, title, note)
            axes.set_facecolor("#F6F6F6")
            panel_message(
                axes, "No rates of these two users keep every queue bounded: the other users alone overload a device."
            )
            _mark_now(axes, now * seconds, stable=False)
            return axes
        if drawn is section:
            factor, others = _target(section, now), "other users as they are"
        else:
            factor, others = shared_factor(drawn.operating_point, now)
        heading(axes, title, "; ".join(filter(None, (note, others, "each edge names the device that is full"))))
        _draw_polygon(axes, drawn.corners * seconds, drawn.binding)
        if not section.stable and now.any():
            of = "both" if drawn is section else "all"
            _lead_back(axes, seen * seconds, now * factor * seconds, f"{of} rates × {show_number(factor)}: stable")
        _mark_now(axes, seen * seconds, stable=section.stable, further=float(now.max() / seen.max()) if now.any() else 1.0)
        return axes


def shared_factor(scaled: tuple[float, ...], now: FloatArray) -> tuple[float, str]:
    """The factor on all rates, 1 where these users have no prompts, and why the others are drawn as they are not."""
    factor = scaled[int(now.argmax())] / float(now.max()) if now.any() else 1.0
    times = f"× {show_number(factor)}" if now.any() else "scaled down"
    return factor, f"other users {times} too, as they alone overload a device"


def _target(section: RegionSection, now: FloatArray) -> float:
    """Factor on both rates that leads to 95 % of the way from no prompts to the edge."""
    step = np.diff(section.corners[1:], axis=0)
    outward = np.column_stack((step[:, 1], -step[:, 0]))
    along = (outward @ now) / np.sum(outward * section.corners[1:-1], axis=1)  # 1 on the edge
    return FULL_ENOUGH / float(along.max()) if now.any() else 1.0


def _lead_back(axes: Axes, now: FloatArray, target: FloatArray, label: str) -> None:
    """An arrow from where the system stands to where it would be stable."""
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": VERMILION, "linewidth": 1.3, "shrinkA": 7, "shrinkB": 4}
    axes.annotate("", tuple(target), xytext=tuple(now), arrowprops=arrow, zorder=4)
    point: dict[str, Any] = {"marker": "o", "color": INK, "markersize": 8, "markeredgecolor": "white", "linestyle": "none"}
    axes.plot(*target, **point, clip_on=False, zorder=5)
    legend_below(axes, [Line2D([], [], **point, label=label)])


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
        words: dict[str, Any] = {
            "fontsize": size,
            "color": BLUE,
            "path_effects": halo(),
            "textcoords": "offset points",
            "va": "center",
        }
        if text_width(text, size) > lengths[edge] and paper[edge + 1, 0] + text_width(text, size) + 12 < axes_size(axes)[0]:
            up = 9.0 if corners[edge + 1, 1] <= 0 else 2.0
            axes.annotate(text, tuple(corners[edge + 1]), xytext=(9.0, up), ha="left", **words)  # beside the end of its edge
            continue
        middle = (corners[edge + 1] + corners[edge + 2]) / 2
        slope = math.degrees(math.atan2(-steps[edge, 1], -steps[edge, 0]))  # edges run from right to left
        outward = np.array([steps[edge, 1], -steps[edge, 0]]) / max(lengths[edge], 1e-9)
        turned: dict[str, Any] = {"rotation": slope, "rotation_mode": "anchor", "ha": "center"}
        axes.annotate(text, tuple(middle), xytext=tuple(8.0 * outward), **words, **turned)


def _mark_now(axes: Axes, now: FloatArray, *, stable: bool, further: float = 1.0) -> None:
    """Where the system stands, in words too; or that it stands so many times further out than the picture reaches."""
    colour, marker = (INK, "o") if stable else (VERMILION, "X" if further == 1 else "")
    words = "now: stable" if stable else "now: unstable" + (f", {further:.3g} times as far out" if further > 1 else "")
    axes.plot(
        *now, marker=marker, color=colour, markersize=8, markeredgecolor="white", linestyle="none", clip_on=False, zorder=5
    )
    across, up = now[0] / axes.get_xlim()[1], now[1] / axes.get_ylim()[1]
    if stable:  # beside the point, on the side of the larger part of the region
        right, above = (-9 if across > 0.6 else 9), (-9 if up > 0.8 else 9 if up < 0.06 else 0)
        ha = "right" if across > 0.6 else "left"
    else:  # above it: beside it the label would lie across the edge that the point has left
        right, above = (0, 13)
        ha = "left" if across < 0.12 else "right" if across > 0.5 and further > 1 else "center"
    axes.annotate(
        words,
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


def plot_utilisation(region: StabilityRegion, *, ax: Axes | None = None, title: str = "", note: str = "") -> Axes:
    """Draw how busy every device is, the 30 busiest of a large network.

    Parameters
    ----------
    region : StabilityRegion
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    title, note : str
        What to say above it in place of what it shows.

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
        limit = 100 * region.system.constraints.max_utilisation
        axes.axvline(limit, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
        draw_loads(axes, [shorten(network.name(u)) for u in shown.tolist()], load[shown])
        axes.set_xlabel("utilisation (% of time)")
        axes.set_ylabel("device")
        state = "every queue stays bounded" if region.stable else f"{int((load >= 100).sum())} of {load.size} overloaded"
        shows = "How busy each device is" if load.size <= room else f"The {shown.size} busiest of {load.size:,} devices"
        heading(axes, title or shows, note or f"{region.system.moa.label}; {state}")
        legend_below(axes, _utilisation_legend(limit, overloaded=bool((load[shown] >= 100).any())))
        return axes


def draw_loads(axes: Axes, labels: list[str], load: FloatArray) -> None:
    """Bars of loads in per cent, a row each, with the line at 100 % and their figures; hatched from there on."""
    pin_ticks(axes)
    rows, over = np.arange(load.size), load >= 100
    for chosen, colour, hatch in ((~over, BLUE, None), (over, VERMILION, "////")):
        axes.barh(rows[chosen], load[chosen], height=0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
    axes.axvline(100, color=INK, linewidth=1.2)
    axes.set_xlim(0, 1.14 * max(100.0, float(load.max())))
    axes.set_ylim(max(rows.size, 3) - 0.4, -0.6)
    for row, value in zip(rows.tolist(), load.tolist(), strict=True):
        axes.annotate(
            show_share(value / 100),
            (value, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            path_effects=halo(3),
        )
    axes.set_yticks(rows, labels, parse_math=False)
    axes.tick_params(axis="y", length=0)
    linear_scale(axes.xaxis)
    grid_lines(axes.xaxis)


def _utilisation_legend(limit: float, *, overloaded: bool) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, linewidth=1.2, label="100 %: the queue grows without bound"),
        Line2D([], [], color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label=f"limit of the plan: {limit:g} %"),
    ]
    if overloaded:
        handles.append(Patch(facecolor=VERMILION, hatch="////", edgecolor="white", linewidth=0, label="overloaded"))
    return handles
