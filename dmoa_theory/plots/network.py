"""The network as a picture: who may ask whom, and how busy everybody is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.patches import FancyArrowPatch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter

from dmoa_theory.plots.bends import bends, control_points
from dmoa_theory.plots.layout import positions
from dmoa_theory.plots.placement import Box, OnPaper, place_labels
from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, INK, SKY, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import axes_size, fold, halo, heading
from dmoa_theory.quantities import rate_unit, show_number, show_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.model.checks import FloatArray, IntArray
    from dmoa_theory.model.network import Network
    from dmoa_theory.stability.region import StabilityRegion

__all__ = ["plot_network"]

#: Beyond this many devices a drawing shows nothing; the histogram of utilisation takes its place.
MOST_NODES = 200
_MOST_ARROWS = 3000
#: Beyond this many devices, links that pass through marks of others are drawn straight all the same.
_MOST_BENDING = 60
#: Bend of an arrow, as a share of its length, so that it is told from a link that works both ways.
_ARROW = 0.06
#: Where the name of a device may stand, in steps of a little more than its radius: beside it, else farther off.
_NEAR = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
_ROUND = (*_NEAR, *((2.0 * right, 2.0 * up) for right, up in _NEAR), *((3.0 * right, 3.0 * up) for right, up in _NEAR))


def plot_network(region: StabilityRegion, *, ax: Axes | None = None) -> Axes:
    """Draw the network with the utilisation of its devices.

    Colour is utilisation, area is the rate of the user's prompts (squares have none), arrows are links that work one way
    only. Links that would pass through a third device are bent round it, in networks of up to 60 devices. More than 200
    devices are drawn as a histogram of utilisation instead.

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
    >>> from dmoa_theory.plots.network import plot_network
    >>> from dmoa_theory import System, stability_region
    >>> region = stability_region(System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1))
    >>> plot_network(region).get_title(loc="left")
    'Network of 2 devices'
    """
    with house_style():
        if region.system.n_devices > MOST_NODES:
            return _histogram(region, ax if ax is not None else new_axes(6.4, 4.2))
        axes = ax if ax is not None else new_axes(6.4, 5.4)
        network, rates = region.system.network, region.system.rates
        place = positions(network)
        folded = any("\n" in fold(name) for name in network.names or ())
        paper, limits = _frame(axes, place, below=18.0 if folded else 0.0)
        area = _areas(rates, paper)
        links = _Links.of(network, paper, np.sqrt(area / np.pi))
        _draw_links(axes, place, links, np.sqrt(area / np.pi))
        _draw_nodes(axes, place, region, area)
        # as a wish only: the equal aspect widens one of the two when the figure is laid out, and never cuts into what is said
        # to be data
        axes.update_datalim(limits.T)
        axes.set_xlim(*limits[0], auto=True)
        axes.set_ylim(*limits[1], auto=True)
        left_out = _draw_names(axes, place, region, np.sqrt(area / np.pi), links)
        named = "; names where there is room" if left_out else ""
        heading(axes, _title(network), f"{region.system.moa.label}; {_about_size(rates)}{named}")
        return axes


def _title(network: Network) -> str:
    n = network.n_devices
    return f"Network of {n:,} device{'s' * (n != 1)}"


def _about_size(rates: FloatArray) -> str:
    """What the areas of the nodes say."""
    users = rates[rates > 0]
    low, high = float(users.min()), float(users.max())
    if low == high:
        text = f"prompts of each user: {show_rate(high)}"
    else:
        seconds, unit = rate_unit(high)
        text = f"circle area: {show_number(low * seconds)} to {show_number(high * seconds)} prompts per {unit}"
    return text + ("; squares: no prompts" if users.size < rates.size else "")


def _frame(axes: Axes, place: FloatArray, *, below: float) -> tuple[FloatArray, FloatArray]:
    """Fit the layout into the axes, equal scales both ways; places on paper in points, and limits of the axes.

    So many points more are left above and below for names of two lines.
    """
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    span = np.maximum(np.ptp(place, axis=0), 1e-9)
    size = np.asarray(axes_size(axes)) * (0.84, 0.95)  # the colour bar takes its share
    margin = np.array([22.0, 22.0 + below])
    scale = float(min((size - 2 * margin) / span)) if place.shape[0] > 1 else 1.0
    middle = (place.min(axis=0) + place.max(axis=0)) / 2
    half = size / scale / 2
    return (place - middle) * scale + size / 2, np.column_stack((middle - half, middle + half))


def _areas(rates: FloatArray, paper: FloatArray) -> FloatArray:
    """Areas of the nodes in square points, so that even close ones hardly touch."""
    n = rates.size
    diameter = 30.0
    if n > 1:
        gaps = np.hypot(*(paper[:, None, :] - paper[None, :, :]).transpose(2, 0, 1)) + 1e9 * np.eye(n)
        diameter = float(np.clip(0.85 * np.quantile(gaps.min(axis=1), 0.2), 7.0, 30.0))
    largest = np.pi * diameter**2 / 4
    return np.asarray(largest * (0.35 + 0.65 * rates / rates.max()))


@dataclass(frozen=True, slots=True)
class _Links:
    """Links as pairs of ends: those that work both ways once, and those that work one way only; and how each is bent."""

    both: IntArray
    single: IntArray
    both_bend: FloatArray
    single_bend: FloatArray

    @classmethod
    def of(cls, network: Network, paper: FloatArray, radius: FloatArray) -> _Links:
        source, target = network.link_sources().astype(np.int64), network.indices.astype(np.int64)
        n = network.n_devices
        answered = np.isin(source * n + target, target * n + source)
        ends = np.column_stack((source, target))
        both, single = ends[answered & (source < target)], ends[~answered]
        if n > _MOST_BENDING:
            return cls(both, single, np.zeros(len(both)), np.full(len(single), _ARROW))
        return cls(both, single, bends(paper, radius, both), bends(paper, radius, single, _ARROW))


def _draw_links(axes: Axes, place: FloatArray, links: _Links, radius: FloatArray) -> None:
    count = max(len(links.both) + len(links.single), 1)
    strength = float(np.clip(6 / np.sqrt(count), 0.25, 0.9))
    colour, width = "#9A9A9A", 1.0 if count < 200 else 0.6
    straight = links.both_bend == 0
    lines = list(place[links.both[straight]])
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, alpha=strength, zorder=1))
    bent = links.both[~straight]
    for (u, v), middle in zip(bent.tolist(), control_points(place, bent, links.both_bend[~straight]), strict=True):
        path = Path(np.array([place[u], middle, place[v]]), [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        axes.add_patch(PathPatch(path, facecolor="none", edgecolor=colour, linewidth=width, alpha=strength, zorder=1))
    if len(links.single) > _MOST_ARROWS:  # heads would cover everything
        axes.add_collection(
            LineCollection(list(place[links.single]), colors=colour, linewidths=width, alpha=strength, zorder=1)
        )
        return
    for (u, v), bend in zip(links.single.tolist(), links.single_bend.tolist(), strict=True):
        arrow = FancyArrowPatch(
            tuple(place[u]),
            tuple(place[v]),
            arrowstyle="-|>",
            connectionstyle=f"arc3,rad={bend:g}",
            mutation_scale=7 if count < 200 else 5,
            shrinkA=radius[u],
            shrinkB=radius[v] + 0.5,
            color="#6E6E6E",
            linewidth=width,
            alpha=min(1.0, 1.4 * strength),
            zorder=1,
        )
        axes.add_patch(arrow)


def _colours() -> Colormap:
    """Pale to dark blue up to 100 %; the colour beyond it is no shade of blue."""
    return LinearSegmentedColormap.from_list("utilisation", ["#EAF4FB", SKY, BLUE, "#002B44"]).with_extremes(over=VERMILION)


def _draw_nodes(axes: Axes, place: FloatArray, region: StabilityRegion, area: FloatArray) -> None:
    colours, norm = _colours(), Normalize(0, 100)
    # exactly 100 % is overloaded too: a step beyond, so that it takes the other colour
    load = np.where(region.utilisation >= 1, 101.0, 100 * region.utilisation)
    silent = region.system.rates == 0
    for chosen, marker in ((~silent, "o"), (silent, "s")):
        axes.scatter(
            place[chosen, 0],
            place[chosen, 1],
            s=area[chosen],
            c=load[chosen],
            cmap=colours,
            norm=norm,
            marker=marker,
            edgecolors=INK,
            linewidths=0.8,
            zorder=2,
            clip_on=False,
        )
        full = chosen & (region.utilisation >= 1)
        if full.any():  # hatched, as overloaded bars are: colour alone does not tell everybody
            axes.scatter(
                place[full, 0],
                place[full, 1],
                s=0.8 * area[full],
                facecolors="none",
                edgecolors="white",
                hatch="////",
                linewidths=0.0,
                marker=marker,
                zorder=2.5,
                clip_on=False,
            )
    over = not region.stable
    bar = axes.figure.colorbar(
        ScalarMappable(norm, colours),
        ax=axes,
        extend="max" if over else "neither",
        fraction=0.05,
        pad=0.02,
        shrink=0.75,
        aspect=22,
    )
    bar.set_label("utilisation (% of time)" + ("; hatched: overloaded" if over else ""))
    bar.set_ticks([0, 20, 40, 60, 80, 100])
    pin_ticks(bar.ax)


def _draw_names(axes: Axes, place: FloatArray, region: StabilityRegion, radius: FloatArray, links: _Links) -> int:
    """Names beside the nodes, or numbers inside them where the network has no names; how many found no room."""
    network, load = region.system.network, region.utilisation
    n = network.n_devices
    if not network.names and np.quantile(radius, 0.25) >= 4.0:
        for u in range(n):
            size, dark = float(np.clip(0.85 * radius[u], 4.5, 9.0)), 0.45 <= load[u] < 1
            axes.annotate(
                str(u),
                tuple(place[u]),
                ha="center",
                va="center",
                fontsize=size,
                color="white" if dark else INK,
                path_effects=halo() if load[u] >= 1 else None,
                zorder=4,
            )
        return 0
    busiest = np.argsort(-load, kind="stable")
    texts = [fold(network.name(u)) if network.names else str(u) for u in busiest.tolist()]
    folded = any("\n" in text for text in texts)
    size = 9.0 if n <= 12 and not folded else 8.0 if n <= 24 else 7.0

    def taken(on_paper: OnPaper) -> list[Box]:
        paper = on_paper(place)
        nodes = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(paper.tolist(), radius.tolist(), strict=True)]
        return nodes + _along(paper, links)

    return place_labels(
        axes,
        place[busiest],
        texts,
        size=size,
        gap=(radius[busiest] + 2).tolist(),
        avoid=taken,
        bleed=20.0,  # names may stand out to the sides: the layout makes room for them
        sides=_ROUND,
        optional=n > 12,
        leaders=True,
    )


def _along(paper: FloatArray, links: _Links) -> list[Box]:
    """Small boxes along the links, for names to keep clear of; none where links are everywhere."""
    ends = np.vstack((links.both, links.single))
    if len(ends) > 60:
        return []
    bend = np.concatenate((links.both_bend, np.where(links.single_bend == _ARROW, 0.0, links.single_bend)))
    middle = control_points(paper, ends, bend)
    steps = np.linspace(0.1, 0.9, 15)[:, None, None]
    dots = (1 - steps) ** 2 * paper[ends[:, 0]] + 2 * steps * (1 - steps) * middle + steps**2 * paper[ends[:, 1]]
    dots = dots.reshape(-1, 2)
    return [(x - 2, y - 2, x + 2, y + 2) for x, y in dots.tolist()]


def _histogram(region: StabilityRegion, axes: Axes) -> Axes:
    """How many devices are how busy."""
    pin_ticks(axes)
    load = 100 * region.utilisation
    top = max(float(load.max()), 100.0)
    # 100 % is always the border of a bar, so that no bar is partly overloaded
    step = next((s for s in (2.5, 5.0, 10.0, 20.0, 50.0, 100.0) if top / s <= 60), 100.0 * np.ceil(top / 6000))
    edges = np.arange(0.0, top + 1.001 * step, step)
    counts, _ = np.histogram(load, edges)
    over = edges[:-1] >= 100 - 1e-9
    for chosen, colour, hatch in ((~over, BLUE, None), (over, VERMILION, "////")):
        axes.bar(
            edges[:-1][chosen],
            counts[chosen],
            width=step,
            align="edge",
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.5,
        )
    limit = 100 * region.system.constraints.max_utilisation
    full = axes.axvline(100, color=INK, linewidth=1.2, label="100 %: the queue grows without bound")
    planned = axes.axvline(limit, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label=f"limit of the plan: {limit:g} %")
    axes.set_xlim(0, max(1.04 * top, edges[-1]))
    linear_scale(axes.xaxis)
    grid_lines(axes.yaxis)
    axes.set_xlabel("utilisation (% of time)")
    axes.set_ylabel("devices")
    if counts.max() > 200:  # a handful of overloaded devices is what matters, and would not be seen
        axes.set_yscale("log")
        axes.set_ylim(0.6, 1.5 * counts.max())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,g}"))
        axes.set_ylabel("devices (logarithmic)")
    state = "every queue stays bounded" if region.stable else f"{int((load >= 100).sum()):,} overloaded"
    note = f"{region.system.moa.label}; {state}; too many devices to draw the network"
    heading(axes, f"How busy {load.size:,} devices are", note)
    legend_below(axes, [full, planned])
    return axes
