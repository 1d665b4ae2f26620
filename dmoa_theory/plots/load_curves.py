"""Latency against load for several (M, k)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from dmoa_theory.plots.scales import draw_limit, grid_lines, legend_below, linear_scale, log_ticks, pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import FAINT, halo, heading
from dmoa_theory.quantities import rate_unit, show_number, show_rate, show_seconds, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.load_curves import LoadCurve, LoadCurves
    from dmoa_theory.model.system import System

__all__ = ["plot_load_curves"]

_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = ("o", "s", "^", "d", "v", "P")
_FIGURES = (("mean", "Mean latency"), ("p95", "95th percentile"))
# Lines further than this factor from what else is shown are not drawn.
_REACH = 6.0


def plot_load_curves(result: LoadCurves, *, note: str = "", target: tuple[str, float] | None = None) -> Figure:
    """Draw mean and p95 of the latency against load, one curve a (M, k); simulations as points with 95 % intervals.

    The first curve is the scenario's own and stands out. A dotted vertical line is where a configuration's queues stop being
    bounded; another the present load, or an arrow head where that is beyond the axis. Horizontal lines are the limits of the
    scenario and the target.

    Parameters
    ----------
    result : LoadCurves
        From :func:`dmoa_theory.load_curves.load_curves`.
    note : str
        What to say in place of how the points were made.
    target : tuple of str and float, optional
        ``"mean"`` or ``"p95"`` and the seconds that it should not exceed; one of another figure has no panel here.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from dmoa_theory import System
    >>> from dmoa_theory.load_curves import load_curves
    >>> pair = System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1)
    >>> plot_load_curves(load_curves([pair], points=(), steps=4)).axes[0].get_xlabel()
    'prompts per hour, all users'
    """
    with house_style():
        figure = new_figure(9.2, 4.6)
        panels = figure.subplots(1, 2)
        curves = result.curves
        limits = [float(curve.system.rates.sum()) * curve.critical_scale for curve in curves]
        per, unit = rate_unit(float(curves[0].system.rates.sum()))  # as the report says the present load
        means = np.concatenate([curve.mean for curve in curves])
        seconds, time = time_unit(float(np.median(means)))
        how = note or (f"points: simulated, {result.queries:,} prompts each, 95 % intervals" if result.queries else "")
        lines: list[Line2D] = []
        for axes, (name, title) in zip(panels, _FIGURES, strict=True):
            pin_ticks(axes)
            heading(axes, title, how if axes is panels[0] else "19 of 20 prompts take no longer")
            for place, curve in enumerate(curves):
                _draw(axes, curve, name, place, per, seconds)
            axes.set_yscale("log")
            lines += _allowed(axes, curves[0].system, name, target, seconds)
            _time_ticks(axes)
            axes.set_xlim(0, 1.04 * per * max(limits))
            linear_scale(axes.xaxis)
            grid_lines(axes.yaxis)
            axes.set_xlabel(f"prompts per {unit}, all users")
            axes.set_ylabel(f"time from prompt to answer ({time})")
            beyond = _present(axes, float(curves[0].system.rates.sum()), per)
        lines += beyond  # the same in both panels
        legend_below(panels[0], _names(curves), down=38)
        panels[0].get_legend().get_texts()[0].set_fontweight("bold")
        legend_below(panels[1], [*_keys(points=bool(result.queries)), *lines], down=38)
        return figure


def _draw(axes: Axes, curve: LoadCurve, name: str, place: int, per: float, seconds: float) -> None:
    colour = _COLOURS[place % len(_COLOURS)]
    total = float(curve.system.rates.sum()) * per
    axes.axvline(total * curve.critical_scale, color=colour, linestyle=(0, (1, 1.6)), linewidth=1.2, zorder=1)
    axes.plot(total * curve.scale, getattr(curve, name) / seconds, color=colour, linewidth=1.4 if place else 2.6, zorder=3)
    if curve.points:
        axes.errorbar(
            total * np.array([point.scale for point in curve.points]),
            np.array([getattr(point, name) for point in curve.points]) / seconds,
            yerr=np.nan_to_num([getattr(point, f"{name}_half_width") for point in curve.points]) / seconds,
            fmt=_MARKERS[place % len(_MARKERS)],
            color=colour,
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            capsize=2.2,
            linewidth=1.1,
            zorder=4,
        )


def _time_ticks(axes: Axes) -> None:
    log_ticks(axes.yaxis)
    axes.yaxis.set_major_formatter(lambda value, _place: show_number(value))


def _allowed(axes: Axes, system: System, name: str, target: tuple[str, float] | None, seconds: float) -> list[Line2D]:
    """Limit of the scenario and target for a figure as horizontal lines, one where they agree; for the legend."""
    limit = getattr(system.constraints, f"{name}_latency")
    wanted: dict[float, list[str]] = {} if limit is None else {limit: ["limit"]}
    if target is not None and target[0] == name:
        wanted.setdefault(target[1], []).append("target")
    low, high = axes.get_ylim()
    # others would press all curves together; a line at the very edge would look like a frame
    reached = [value / seconds for value in wanted if low / _REACH < value / seconds < high * _REACH]
    low, high = min([low, *(value / 1.15 for value in reached)]), max([high, *(1.15 * value for value in reached)])
    axes.set_ylim(low * (low / high) ** 0.06, high)  # with room for a word below the curves
    drawn = []
    for value, kinds in wanted.items():
        colour, style = (INK, (0, (4, 3))) if "limit" in kinds else (FAINT, (0, (6, 2, 1, 2)))
        where = value / seconds
        text = f"{' and '.join(kinds)}, {name}: {show_seconds(value)}"
        drawn.append(draw_limit(axes, where, text, along="y", color=colour, linestyle=style, linewidth=1.2))
    return drawn


def _present(axes: Axes, total: float, per: float) -> list[Line2D]:
    """The present load as a grey line, or as an arrow head where it is beyond the axis; what the legend has to say of it."""
    rate, most = total * per, axes.get_xlim()[1]
    if rate > most:
        return [draw_limit(axes, rate, f"now: {show_rate(total)}", color=INK)]
    left = rate > 0.93 * most  # no room for the word on the right
    axes.axvline(rate, color=FAINT, linewidth=0.9, zorder=1)
    axes.annotate(
        "now",
        (rate, 0),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if left else 3, 4),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=7.5,
        color=FAINT,
        path_effects=halo(),
        zorder=5,
    )
    return []


def _names(curves: tuple[LoadCurve, ...]) -> list[Line2D]:
    """Each curve's (M, k), for the legend: beside the curves, names would cover others where limits lie close together."""
    yours = " (yours)" if len(curves) > 1 else ""
    return [
        Line2D(
            [],
            [],
            color=_COLOURS[place % len(_COLOURS)],
            marker=_MARKERS[place % len(_MARKERS)],
            markersize=4.5,
            linewidth=1.4 if place else 2.6,
            label=f"{curve.system.moa.label}{'' if place else yours}",
        )
        for place, curve in enumerate(curves)
    ]


def _keys(*, points: bool) -> list[Line2D]:
    handles = [Line2D([], [], color=INK, linewidth=1.7, label="estimate")]
    if points:
        handles.append(Line2D([], [], color=INK, marker="o", markersize=4.5, linestyle="none", label="simulated"))
    handles.append(
        Line2D([], [], color=INK, linestyle=(0, (1, 1.6)), linewidth=1.2, label="from here on queues grow without bound")
    )
    return handles
