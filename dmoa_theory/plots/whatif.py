"""Pictures of failure: loads after every single loss, latency before and after a loss, central against distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator, NullLocator

from dmoa_theory.plots.scales import draw_limit, grid_lines, legend_below, linear_scale, log_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, PURPLE, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import heading, rows_that_fit, shorten, text_width
from dmoa_theory.quantities import rate_unit, show_number, show_rate, show_share, time_unit
from dmoa_theory.stability.loads import utilisation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.model.checks import FloatArray, IntArray
    from dmoa_theory.whatif.central import CentralComparison
    from dmoa_theory.whatif.effect import LossEffect
    from dmoa_theory.whatif.single_losses import SingleLosses

__all__ = ["plot_central", "plot_loss", "plot_single_losses"]

_MOST_ROWS, _MOST_COLUMNS, _MOST_NUMBERS = 30, 30, 12
_DASHES = (0, (5, 2.5))
_MARKS = "osD^v"
#: A present load up to this factor beyond what can be carried is drawn to scale.
_NEAR = 2.5
#: Largest loads further apart than this are drawn on a logarithmic axis.
_APART = 8.0
#: Of the names of losses, and of devices below the picture: letters, and points.
_LONGEST, _SIZE = 26, 8.5
# white to blue: lightness alone carries the value
_COLOURS = LinearSegmentedColormap.from_list("load", ["#FFFFFF", "#9CC9E6", BLUE, "#003B5C"])


def plot_single_losses(result: SingleLosses, *, ax: Axes | None = None) -> Axes:
    """Draw the N-1 heat map: a row a loss, a column a device, and beside each row the load that it leaves room for.

    Of more than 30 losses the worst are drawn, and of more than 30 devices those that become busiest; the last column then
    stands for the busiest of the others. The top row is the system with nothing lost.

    Parameters
    ----------
    result : SingleLosses
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory.plots.whatif import plot_single_losses
    >>> from dmoa_theory import System
    >>> from dmoa_theory.whatif.single_losses import single_losses
    >>> triangle = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=1)
    >>> plot_single_losses(single_losses(triangle)).get_ylabel()
    'lost'
    """
    with house_style():
        total, n = len(result.label), result.system.n_devices
        columns = min(n, _MOST_COLUMNS) + (n > _MOST_COLUMNS)
        names = [shorten(result.system.network.name(d)) for d in range(n)]
        losses = [_loss_label(result, place) for place in range(total)]
        beside = max(text_width(label, _SIZE) for label in losses) / 72 + 2.2  # names, margins and the bar of colours
        wide = beside + max((0.46 if columns <= _MOST_NUMBERS else 0.3) * columns, 3.6)
        turned = max(map(len, names)) > 4 or n > _MOST_COLUMNS
        below = max(text_width(name, _SIZE) for name in names) * 0.71 if turned else 0.0
        high = 2.2 + below / 72 + 0.24 * max(min(total, _MOST_ROWS), 5)
        axes = ax if ax is not None else new_axes(min(wide, 13.0), high)
        room = rows_that_fit(axes, _MOST_ROWS)
        rows = np.arange(total) if total <= room else result.order()[:room]
        load = np.vstack((utilisation(result.system), result.utilisation_after(rows)))
        shown, rest = _columns(load)
        cells = load[:, shown]
        if rest.size:
            cells = np.column_stack((cells, np.nanmax(load[:, rest], axis=1)))
        pin_ticks(axes)
        _cells(axes, cells)
        labels = [losses[row] for row in rows.tolist()]
        axes.set_yticks(np.arange(cells.shape[0]), ["nothing", *labels], parse_math=False)
        axes.set_xticks(
            np.arange(cells.shape[1]),
            [*(names[d] for d in shown.tolist()), *(["busiest other"] if rest.size else [])],
            rotation=45 if turned else 0,
            ha="right" if turned else "center",
            rotation_mode="anchor",
            parse_math=False,
        )
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        _margin(axes, np.concatenate(([1 / load[0].max()], result.critical_scale[rows])))
        few = total <= room
        title = "N-1: how busy every device is after a loss" if few else f"N-1: the {room} worst of {total:,} single losses"
        verdict = "N-1 secure" if result.secure else "not N-1 secure"
        room_for = f"any loss survived below {show_number(result.secure_scale)} × now"
        across = 72 * (min(wide, 13.0) - beside) if ax is None else None
        heading(axes, title, f"{result.system.moa.label}; {verdict}: {room_for}", width=across)
        axes.set_ylabel("lost")
        axes.set_xlabel("device that is left" if not rest.size else f"device that is left: {shown.size} of {n:,}, the busiest")
        _bar(axes, down=(32.0 if turned else 36.0) + below, overloaded=bool((cells >= 1).any()))
        return axes


def _loss_label(result: SingleLosses, place: int) -> str:
    """What is lost, cut to length; of a link the names at both ends."""
    label, network = result.label[place], result.system.network
    if place < network.n_devices or len(label) <= _LONGEST:
        return shorten(label, _LONGEST)
    link = result.links[place - network.n_devices]
    ends = int(network.link_sources()[link[0]]), int(network.indices[link[0]])
    first, second = (shorten(network.name(u), _LONGEST // 2) for u in ends)
    return f"{first} {'-' if len(link) == 2 else '->'} {second}"


def _columns(load: FloatArray) -> tuple[IntArray, IntArray]:
    """The devices that get a column, and the others: of many those that are busiest after some loss."""
    n = load.shape[1]
    if n <= _MOST_COLUMNS:
        return np.arange(n), np.empty(0, dtype=np.int64)
    order = np.argsort(-np.nanmax(load, axis=0), kind="stable")
    return np.sort(order[:_MOST_COLUMNS]), order[_MOST_COLUMNS:]


def _cells(axes: Axes, cells: FloatArray) -> None:
    """Colours, marks of what is overloaded or lost, and numbers where there is room for them."""
    height, width = cells.shape
    axes.imshow(np.clip(cells, 0, 1), cmap=_COLOURS, norm=Normalize(0, 1), aspect="auto", interpolation="nearest")
    for row, column in np.argwhere(np.isnan(cells) | (cells >= 1)).tolist():
        over = cells[row, column] >= 1
        face, line = (VERMILION, "white") if over else (PALE, GREY)
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5), 1, 1, facecolor=face, edgecolor=line, hatch=None if over else "////", linewidth=0
            )
        )
    for edge in range(1, width):
        axes.axvline(edge - 0.5, color="white", linewidth=0.8)
    for edge in range(1, height):
        axes.axhline(edge - 0.5, color="white", linewidth=0.8 if edge > 1 else 4.0)
    if width <= _MOST_NUMBERS:
        for row, column in np.argwhere(~np.isnan(cells)).tolist():
            value = float(cells[row, column])
            colour = "white" if value > 0.6 else INK
            weight = "bold" if value >= 1 else "normal"
            axes.text(
                column, row, f"{100 * value:.0f} %", ha="center", va="center", fontsize=8, color=colour, fontweight=weight
            )
    elif (cells >= 1).any():
        for row, column in np.argwhere(cells >= 1).tolist():
            axes.text(column, row, "×", ha="center", va="center", fontsize=8, color="white", fontweight="bold")


def _margin(axes: Axes, scale: FloatArray) -> None:
    """The load that each row leaves room for, at an axis of its own on the right."""
    right = axes.secondary_yaxis("right")
    texts = ["any" if not np.isfinite(value) else show_number(value) for value in scale.tolist()]
    right.set_yticks(np.arange(scale.size), texts)
    right.tick_params(length=0, labelsize=8, labelcolor=INK)
    right.spines["right"].set_visible(False)
    for label, value in zip(right.get_yticklabels(), scale.tolist(), strict=True):
        if value <= 1:
            label.set(color=VERMILION, fontweight="bold")
    right.set_ylabel("largest load, × now")


def _bar(axes: Axes, *, down: float, overloaded: bool) -> None:
    """What the colours mean."""
    bar = axes.figure.colorbar(ScalarMappable(Normalize(0, 100), _COLOURS), ax=axes, fraction=0.035, shrink=0.7, aspect=18)
    bar.set_label("utilisation (%)")
    bar.outline.set_visible(False)
    pin_ticks(bar.ax)
    handles: list[Artist] = [Patch(facecolor=PALE, edgecolor=GREY, hatch="////", linewidth=0, label="lost")]
    if overloaded:
        handles.append(Patch(facecolor=VERMILION, label="overloaded, written bold" if axes.texts else "overloaded"))
    legend_below(axes, handles, down=down)


def plot_loss(effect: LossEffect, *, ax: Axes | None = None) -> Axes:
    """Draw every user's mean latency before and after a loss; of many users those hit hardest.

    Where every latency is unbounded, the utilisation of the users' devices is drawn instead.

    Parameters
    ----------
    effect : LossEffect
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory.plots.whatif import plot_loss
    >>> from dmoa_theory import System
    >>> from dmoa_theory.whatif.effect import loss_effect
    >>> from dmoa_theory.whatif.loss import lose
    >>> triangle = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=1)
    >>> plot_loss(loss_effect(lose(triangle, [0]))).get_xlabel()
    'mean time from prompt to answer (s)'
    """
    with house_style():
        before, after = effect.user_latency("mean")
        users = np.flatnonzero(effect.loss.before.rates > 0)
        axes = ax if ax is not None else new_axes(6.6, 2.2 + 0.28 * max(min(users.size, _MOST_ROWS), 3))
        room = rows_that_fit(axes, _MOST_ROWS)
        some = ""
        if users.size > room:
            grown = np.where(np.isnan(after), np.inf, after / before)[users]
            some = f"; the {room} hit hardest of {users.size:,} users"
            users = np.sort(users[np.argsort(-grown, kind="stable")[:room]])
        pin_ticks(axes)
        known = np.concatenate((before[users], after[users]))
        known = known[np.isfinite(known)]
        name = effect.loss.before.network.name
        loads = not known.size  # in their place: every latency is unbounded, before and after
        if loads:
            before, after = 100 * utilisation(effect.loss.before), 100 * effect.utilisation
            known = np.concatenate(([100.0], before[users], after[users]))
            known = known[np.isfinite(known)]
            axes.axvline(100, color=INK, linewidth=1.2, zorder=2)
        seconds, unit = (1.0, "") if loads else time_unit(float(np.median(known)))
        low, high = float(known.min()) / seconds, float(known.max()) / seconds
        # dots, not bars: where all are alike the axis need not start at 0
        left = max(low - 0.35 * max(high - low, 0.04 * high), 0.0) if low > 0.6 * high else 0.0
        right = high + 0.18 * (high - left)
        for row, u in enumerate(users.tolist()):
            start = before[u] / seconds if np.isfinite(before[u]) else None
            if start is not None:
                axes.plot(start, row, "o", color="white", markeredgecolor=GREY, markeredgewidth=1.4, zorder=3)
            if np.isnan(after[u]):
                axes.annotate(
                    "cut off",
                    (left if start is None else start, row),
                    xytext=(8, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    color=VERMILION,
                )
                continue
            end = after[u] / seconds if np.isfinite(after[u]) else right
            axes.plot(
                [end if start is None else start, end], [row, row], color=PALE, linewidth=2.4, zorder=1, solid_capstyle="butt"
            )
            if np.isfinite(after[u]):
                axes.plot(end, row, "o", color=BLUE, zorder=4)
            else:
                axes.plot(end - 0.015 * (right - left), row, ">", color=VERMILION, zorder=4)
        axes.set_xlim(left, right)
        axes.set_ylim(max(users.size, 3) - 0.4, -0.6)
        axes.set_yticks(np.arange(users.size), [shorten(name(u)) for u in users.tolist()], parse_math=False)
        axes.tick_params(axis="y", length=0)
        linear_scale(axes.xaxis)
        grid_lines(axes.xaxis)
        axes.set_xlabel("utilisation of its device (% of time)" if loads else f"mean time from prompt to answer ({unit})")
        axes.set_ylabel("user")
        some = f"; every latency is unbounded{some}" if loads else some
        then = (
            "nobody is left" if effect.busiest is None else f"busiest then {name(effect.busiest)}, at {show_share(effect.load)}"
        )
        heading(axes, f"Without {shorten(effect.loss.label, 60)}", f"{effect.loss.before.moa.label}; {then}{some}")
        handles: list[Artist] = []
        if np.isfinite(before[users]).any():
            ring: dict[str, Any] = {"color": "white", "markeredgecolor": GREY, "markeredgewidth": 1.4}
            handles.append(Line2D([], [], marker="o", linestyle="none", label="before", **ring))
        handles.append(Line2D([], [], marker="o", color=BLUE, linestyle="none", label="after"))
        if np.isinf(after[users]).any():
            handles.append(Line2D([], [], marker=">", color=VERMILION, linestyle="none", label="after: grows without bound"))
        if loads:
            handles.append(Line2D([], [], color=INK, linewidth=1.2, label="100 %: the queue grows without bound"))
        legend_below(axes, handles)
        return axes


def plot_central(result: CentralComparison, *, ax: Axes | None = None, points: int = 24) -> Axes:
    """Draw mean and p95 latency over the total load, of the network and of central servers of the same compute.

    Parameters
    ----------
    result : CentralComparison
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    points : int
        Loads up to each one's limit, each a latency estimate of the network.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory.plots.whatif import plot_central
    >>> from dmoa_theory import System
    >>> from dmoa_theory.whatif.central import against_central
    >>> triangle = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=1)
    >>> plot_central(against_central(triangle), points=5).get_xlabel()
    'prompts of all users (per minute)'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.6)
        pin_ticks(axes)
        curves = result.over_load(points)
        now = float(result.system.rates.sum())
        per, unit = rate_unit(now)  # as the report says the present load
        finite = curves.mean[np.isfinite(curves.mean)]
        seconds, symbol = time_unit(float(np.median(finite)))
        labels = [f"{result.system.n_devices:,} devices", *(f"centre: {central.label}" for central in result.centrals)]
        limits = [result.largest_rate, *(central.pool.capacity for central in result.centrals)]
        colours = [BLUE, ORANGE, GREEN, PURPLE, VERMILION]
        handles: list[Artist] = []
        for line, (label, limit) in enumerate(zip(labels, limits, strict=True)):
            colour = colours[line % len(colours)]
            for values, style in ((curves.mean[line], "-"), (curves.p95[line], _DASHES)):
                there = np.isfinite(values)
                mark: dict[str, Any] = {"marker": _MARKS[line % len(_MARKS)], "markersize": 5, "markeredgecolor": "white"}
                every = (line / (10 * len(labels)), 0.1)
                look: dict[str, Any] = {"color": colour, "linestyle": style, "linewidth": 1.8, "markevery": every, **mark}
                axes.plot(per * curves.rate[there], values[there] / seconds, zorder=3, **look)
            axes.axvline(per * limit, color=colour, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
            handles.append(Line2D([], [], color=colour, linewidth=2.4, label=label, **mark))
        top = 1.03 * per * max(limits)
        top = max(top, 1.05 * per * now) if now < _NEAR * max(limits) else top
        if max(limits) > _APART * min(limits):  # on one scale the smaller would be a line along the axis
            log_scale(axes, 0.5 * per * min(now, 0.2 * min(limits)), 1.1 * top)
        else:
            axes.set_xlim(0, top)
            linear_scale(axes.xaxis)
        lowest = np.where(np.isfinite(curves.mean), curves.mean, np.inf).min(axis=1)
        axes.set_yscale("log")
        axes.set_ylim(0.7 * float(lowest.min()) / seconds, 12 * float(lowest[np.isfinite(lowest)].max()) / seconds)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda value, _place: show_number(value))
        axes.yaxis.set_minor_locator(NullLocator())
        grid_lines(axes.yaxis)
        handles.append(draw_limit(axes, per * now, f"now: {show_rate(now)}", color=INK, linewidth=1.0))
        handles += [
            Line2D([], [], color=INK, linewidth=1.6, label="mean"),
            Line2D([], [], color=INK, linewidth=1.6, linestyle=_DASHES, label="95th percentile"),
            Line2D([], [], color=INK, linewidth=1.0, linestyle=(0, (1, 2)), label="largest load of each"),
        ]
        work = "the centre runs one inference a prompt" if result.bare else "the same inferences"
        compute = "equal compute" if result.speed == 1 else f"a centre of {show_number(result.speed)} times the compute"
        heading(axes, "Distributed, and one central server", f"{result.system.moa.label}; {work} on {compute}; approximation")
        axes.set_xlabel(f"prompts of all users (per {unit})")
        axes.set_ylabel(f"time from prompt to answer ({symbol})")
        legend_below(axes, handles)
        return axes
