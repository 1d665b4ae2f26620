"""What a simulation found: how long prompts take, and how long queues get, out to the rare cases."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dmoa_theory.plots.placement import Box, OnPaper, place_labels
from dmoa_theory.plots.scales import draw_limit, grid_lines, legend_below, linear_scale, log_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, GREY, INK, ORANGE, PALETTE, PURPLE, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import heading, panel_message, rows_that_fit, shorten
from dmoa_theory.quantities import show_number, show_seconds, show_uncertain, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.simulation.output.intervals import Interval
    from dmoa_theory.simulation.steady.simulation_result import SimulationResult

__all__ = ["plot_latency_distribution", "plot_queue_lengths"]

#: More devices than this are drawn in grey, but for the busiest.
_MOST_COLOURS = 5
_MARKS = "osD^v"
#: More lines than this are a smear.
_MOST_LINES = 200
#: Shares of time below this are left out: a queue that long was seen once or twice.
_RAREST = 1e-9
_MOST_BARS = 30
#: Points of the curve that labels keep clear of.
_CURVE = 200

# name of the figure in the result, label, colour, marker, size
_FIGURES: tuple[tuple[str, str, str, str, float], ...] = (
    ("p50", "median", GREEN, "d", 6.0),
    ("mean", "mean", BLUE, "o", 6.5),
    ("p95", "p95", ORANGE, "s", 5.5),
    ("p99", "p99", PURPLE, "^", 6.0),
)


def plot_latency_distribution(result: SimulationResult, *, ax: Axes | None = None, note: str = "") -> Axes:
    """Draw the share of prompts that take longer than a time, with its 95 % band, and mean, median, p95 and p99 on it.

    The share is on a logarithmic scale, so that one prompt in a thousand is seen as well as every other one.

    Parameters
    ----------
    result : SimulationResult
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    note : str
        What to say of the (M, k) in place of its numbers alone.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory import System, simulate
    >>> result = simulate(System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1), queries=2000)
    >>> plot_latency_distribution(result).get_xlabel()
    'time from prompt to answer (s)'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.6)
        pin_ticks(axes)
        heading(axes, "How many prompts take longer", f"{note or result.system.moa.label}; {_state(result)}")
        axes.set_ylabel("share of prompts that take longer (%)")
        axes.set_xlabel("time from prompt to answer (s)")
        if not _anything(axes, result):
            return axes
        at, beyond = result.distribution_at, 1 - result.distribution.value
        seen = beyond > 0
        seconds, unit = time_unit(float(result.p95.value))
        axes.set_xlabel(f"time from prompt to answer ({unit})")
        lowest = float(beyond[seen].min())
        _rare_scale(axes, lowest, 1.0)
        figures = np.array([float(getattr(result, name).value) for name, *_ in _FIGURES])
        _time_scale(axes, np.append(at[seen], figures) / seconds)
        band = _band(axes, at / seconds, 1 - result.distribution.upper, 1 - result.distribution.lower, seen, colour=INK)
        axes.plot(at[seen] / seconds, 100 * beyond[seen], color=INK, linewidth=1.4, zorder=3)
        shares = 1 - np.interp(figures, at, result.distribution.value)
        marks = [
            _mark(axes, getattr(result, name), 100 * float(share), label, colour, marker, size, seconds=seconds, unit=unit)
            for (name, label, colour, marker, size), share in zip(_FIGURES, shares, strict=True)
        ]
        _name_marks(axes, figures / seconds, 100 * shares, (at[seen] / seconds, 100 * beyond[seen]))
        limits = _limits(axes, result, seconds)
        legend_below(axes, [*marks, *([Patch(color=INK, alpha=0.2, linewidth=0, label="95 % band")] if band else []), *limits])
        return axes


def plot_queue_lengths(result: SimulationResult, *, ax: Axes | None = None, note: str = "") -> Axes:
    """Draw the share of time that each device has so many jobs or more, waiting or in service, with its 95 % band.

    In networks of more than five devices the five busiest have colours and bands, and the others are grey. Where queues grow
    without bound, how fast each does is drawn instead.

    Parameters
    ----------
    result : SimulationResult
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    note : str
        What to say of the (M, k) in place of its numbers alone.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory import System, simulate
    >>> result = simulate(System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1), queries=2000)
    >>> plot_queue_lengths(result).get_xlabel()
    'jobs at the device, in service and waiting'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.6)
        pin_ticks(axes)
        if not result.stable:
            return _draw_growth(axes, result, note)
        heading(axes, "How often queues are long", f"{note or result.system.moa.label}; {_state(result)}")
        axes.set_xlabel("jobs at the device, in service and waiting")
        axes.set_ylabel("share of time with so many or more (%)")
        if not _anything(axes, result):
            return axes
        reached = result.jobs_at_least.value
        order = np.argsort(-np.nan_to_num(result.jobs_mean.value), kind="stable")[:_MOST_LINES]
        chosen = order[:_MOST_COLOURS]
        lengths = np.arange(reached.shape[1])
        shown = reached[order][:, 1:]
        shown = shown[shown > _RAREST]
        if not shown.size:
            panel_message(axes, "No device ever had a job.", INK)
            return axes
        _rare_scale(axes, float(shown.min()), float(shown.max()))
        most = int(np.flatnonzero((reached[order] > _RAREST).any(axis=0))[-1])
        axes.set_xlim(0.8, max(1.02 * most + 0.3, 2))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
        for d in order[_MOST_COLOURS:][::-1].tolist():
            seen = (reached[d] > _RAREST) & (lengths > 0)
            axes.plot(lengths[seen], 100 * reached[d][seen], color=GREY, alpha=0.35, linewidth=0.8, zorder=2)
        handles: list[Any] = []
        for place, d in enumerate(chosen.tolist()):
            handles.append(_draw_device(axes, result, d, PALETTE[place], _MARKS[place], every=max(most // 15, 1)))
        others = result.system.n_devices - chosen.size
        if others > 0:
            handles.append(Line2D([], [], color=GREY, alpha=0.5, linewidth=1.0, label=_others(others)))
        if np.isfinite(result.jobs_at_least.half_width).any():
            handles.append(Patch(color=GREY, alpha=0.3, linewidth=0, label="95 % band"))
        legend_below(axes, handles)
        return axes


def _others(count: int) -> str:
    if count > _MOST_LINES - _MOST_COLOURS:
        return f"the next {_MOST_LINES - _MOST_COLOURS} of {count:,} others"
    return f"{count:,} other{'s' * (count > 1)}"


def _draw_device(axes: Axes, result: SimulationResult, d: int, colour: str, marker: str, *, every: int) -> Line2D:
    share = result.jobs_at_least
    reached = share.value[d]
    lengths = np.arange(reached.size)
    seen = (reached > _RAREST) & (lengths > 0)
    _band(axes, lengths.astype(float), share.lower[d], share.upper[d], seen, colour=colour)
    name = shorten(result.system.network.name(d))
    jobs = show_number(float(result.jobs_mean.value[d]))
    (line,) = axes.plot(
        lengths[seen],
        100 * reached[seen],
        color=colour,
        marker=marker,
        markevery=every,
        markersize=3.5,
        linewidth=1.4,
        label=f"{name}: {jobs} on average",
        zorder=4,
    )
    return line


def _state(result: SimulationResult) -> str:
    if not result.stable:
        return "UNSTABLE: some queues grow without bound"
    partial = "interrupted; " if result.partial else ""
    return f"{partial}simulated, {result.queries:,} prompt{'s' * (result.queries != 1)}"


def _anything(axes: Axes, result: SimulationResult) -> bool:
    """Whether there is something to draw; if not, say why."""
    if result.stable and result.queries:
        return True
    axes.set_xticks([])
    axes.set_yticks([])
    if result.stable:
        panel_message(axes, "Interrupted before any figure was finished.", VERMILION)
        return False
    panel_message(axes, _no_steady_state(result), VERMILION)
    return False


def _no_steady_state(result: SimulationResult) -> str:
    worst = int(np.where(result.growing, result.growth_rate, -np.inf).argmax())
    name, growth = shorten(result.system.network.name(worst)), show_number(3600 * float(result.growth_rate[worst]))
    more = int(result.growing.sum()) - 1
    others = f" {more} other queue{'s grow' if more > 1 else ' grows'} too." if more else ""
    return f"There is no steady state: the queue of {name} grows by {growth} jobs an hour.{others}"


def _draw_growth(axes: Axes, result: SimulationResult, note: str) -> Axes:
    """Bars of how fast queues grow; of many devices the fastest."""
    growth, name = 3600 * result.growth_rate, result.system.network.name
    room = rows_that_fit(axes, _MOST_BARS)
    shown = np.arange(growth.size) if growth.size <= room else np.argsort(-growth, kind="stable")[:room]
    rows, over = np.arange(shown.size), result.growing[shown]
    handles: list[Any] = []
    for chosen, colour, hatch, label in (
        (over, VERMILION, "////", "grows"),
        (~over, BLUE, None, "growth not told from chance"),
    ):
        if chosen.any():
            look: dict[str, Any] = {"facecolor": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
            axes.barh(rows[chosen], growth[shown][chosen], height=0.7, **look)
            handles.append(Patch(label=label, **look))
    axes.axvline(0.0, color=INK, linewidth=0.8)
    axes.set_ylim(max(rows.size, 3) - 0.4, -0.6)
    axes.set_yticks(rows, [shorten(name(d)) for d in shown.tolist()], parse_math=False)
    axes.tick_params(axis="y", length=0)
    linear_scale(axes.xaxis)
    grid_lines(axes.xaxis)
    axes.set_axisbelow(True)
    axes.set_xlabel("growth of the queue (jobs per hour)")
    axes.set_ylabel("device")
    some = "" if growth.size <= room else f": the {room} fastest of {growth.size:,}"
    about = f"{note or result.system.moa.label}; {_state(result)}. {_no_steady_state(result)}"
    heading(axes, f"How fast queues grow{some}", about)
    legend_below(axes, handles)
    return axes


def _rare_scale(axes: Axes, low: float, high: float) -> None:
    """A logarithmic vertical axis of shares from ``low`` to ``high``, written as plain percentages."""
    axes.set_yscale("log")
    axes.set_ylim(100 * low / 1.5, 100 * high * (1.25 if high >= 0.5 else 1.6))
    decades = math.log10(high / low)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 1.5 else (1.0,), numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: _plain_share(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    grid_lines(axes.yaxis)


def _plain_share(value: float) -> str:
    return f"{value:.12f}".rstrip("0").rstrip(".") if value < 1 else f"{value:g}"


def _time_scale(axes: Axes, values: FloatArray) -> None:
    """Linear from zero; logarithmic when the slowest prompts take far longer than most."""
    low, high = float(values[values > 0].min()), float(values.max())
    if high > 30 * float(np.median(values)):
        log_scale(axes, low / 1.1, high * 1.2)
    else:
        axes.set_xlim(0, 1.04 * high)
        linear_scale(axes.xaxis, 8)
    grid_lines(axes.xaxis)


def _band(axes: Axes, x: FloatArray, lower: FloatArray, upper: FloatArray, seen: Any, *, colour: str) -> bool:
    """A band between two shares, cut off at the foot of the axis; nothing where it is not known."""
    known = seen & np.isfinite(lower) & np.isfinite(upper)
    if not known.any():
        return False
    foot = axes.get_ylim()[0]
    axes.fill_between(
        x[known],
        np.maximum(100 * lower[known], foot),
        np.clip(100 * upper[known], foot, 100),
        color=colour,
        alpha=0.2,
        linewidth=0,
        zorder=2,
    )
    return True


def _mark(
    axes: Axes,
    interval: Interval,
    share: float,
    label: str,
    colour: str,
    marker: str,
    size: float,
    *,
    seconds: float,
    unit: str,
) -> Line2D:
    """One of the figures on the curve, with its interval as a bar along the axis of time."""
    value, half = float(interval.value) / seconds, float(interval.half_width) / seconds
    if np.isfinite(half):
        ends = np.array([float(interval.lower), float(interval.upper)]) / seconds
        axes.plot(ends, [share, share], color=colour, linewidth=2.4, solid_capstyle="butt", alpha=0.8, zorder=4)
    axes.plot(value, share, marker, color=colour, markersize=size, markeredgecolor="white", linestyle="none", zorder=5)
    text = f"{label} {show_uncertain(value, half)} {unit}"
    return Line2D([], [], color=colour, marker=marker, markersize=size, linestyle="none", label=text)


def _name_marks(axes: Axes, values: FloatArray, shares: FloatArray, curve: tuple[FloatArray, FloatArray]) -> None:
    """Write the names of the marks beside them, clear of the curve and of each other."""
    points = np.column_stack((values, shares))
    # many points, so that the curve is covered where it is straight too
    along = np.linspace(0, len(curve[0]) - 1, _CURVE)
    line = np.column_stack([np.interp(along, np.arange(len(part)), part) for part in curve])

    def taken(on_paper: OnPaper) -> list[Box]:
        marks = [(x - 4, y - 4, x + 4, y + 4) for x, y in on_paper(points).tolist()]
        return marks + [(x - 1, y - 1, x + 1, y + 1) for x, y in on_paper(line).tolist()]

    names = [label for _, label, *_ in _FIGURES]
    sides = ((1, 0.7), (-1, -0.7), (1, 2), (-1, -2), (1, -0.7), (-1, 0.7))
    place_labels(axes, points, names, size=8, gap=6.0, avoid=taken, sides=sides)


def _limits(axes: Axes, result: SimulationResult, seconds: float) -> list[Line2D]:
    """The limits of the scenario as lines in the colours of what they limit; arrow heads where they lie beyond the axis."""
    limits = result.system.constraints
    lines = []
    for value, label, colour in ((limits.mean_latency, "mean", BLUE), (limits.p95_latency, "p95", ORANGE)):
        if value is None:
            continue
        text = f"limit on the {label}: {show_seconds(value)}"
        lines.append(draw_limit(axes, value / seconds, text, color=colour, linestyle=(0, (4, 3)), linewidth=1.3))
    return lines
