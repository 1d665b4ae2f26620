"""Theory beside simulation: the latency of one system side by side, and over load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.plots.scales import grid_lines, headroom, legend_below, linear_scale, log_ticks, pin_ticks
from dmoa_theory.plots.style import BLUE, INK, ORANGE, PURPLE, VERMILION, house_style, new_axes, new_figure
from dmoa_theory.plots.text import halo, heading
from dmoa_theory.quantities import show_number, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.compare import Comparison, Sweep
    from dmoa_theory.compare_measured import MeasuredComparison

__all__ = ["plot_comparison", "plot_error_over_load", "plot_latency_over_load", "plot_over_load"]

# quantity of a row, name of its band, label, colour, marker
_FIGURES = (
    ("mean latency", "mean", "mean", BLUE, "o"),
    ("p95 latency", "p95", "p95", ORANGE, "s"),
    ("p99 latency", "p99", "p99", PURPLE, "^"),
)

_LEVELS = ("mean", "p50", "p95", "p99")
#: Standard errors in half a 95 % interval.
_NORMAL = 1.959963984540054

# of the bands of the expected error, which lie on each other
_SHADE = {"within": 0.1, "typical": 0.16}


def plot_comparison(
    comparison: Comparison, *, beside: MeasuredComparison | None = None, ax: Axes | None = None, note: str = ""
) -> Axes:
    """Draw mean, median, p95 and p99 of the latency side by side: theory, simulation, and where there is one a live run.

    Whiskers of theory reach as far as the errors of 95 % of comparable systems, those of simulation and run are 95 % intervals.

    Parameters
    ----------
    comparison : Comparison
        From :func:`dmoa_theory.compare.compare`, of a stable system.
    beside : MeasuredComparison, optional
        The run, from :func:`dmoa_theory.compare_measured.compare_measured`.
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    note : str
        What to say of the (M, k) in place of its numbers alone.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory import System, latency, simulate
    >>> from dmoa_theory.compare import compare
    >>> from dmoa_theory.plots.comparison import plot_comparison
    >>> pair = System.from_arrays([[0, 1], [1, 0]], 0.01, [20.0, 30.0], M=1, k=1)
    >>> plot_comparison(compare(latency(pair), simulate(pair, queries=2000))).get_ylabel()
    'time from prompt to answer (s)'
    """
    series = _side_by_side(comparison, beside)
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.6)
        pin_ticks(axes)
        seconds, unit = time_unit(float(np.nanmedian(series[0][3][:, 0])))
        wide = 0.8 / len(series)
        for place, (label, colour, hatch, figures) in enumerate(series):
            middle = np.arange(len(_LEVELS)) + (place - (len(series) - 1) / 2) * wide
            value, half = figures.T / seconds
            axes.bar(
                middle,
                value,
                width=0.92 * wide,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0,
                label=label,
                zorder=2,
            )
            axes.errorbar(
                middle, value, yerr=np.nan_to_num(half), fmt="none", ecolor=INK, elinewidth=1.1, capsize=3.0, zorder=3
            )
            for x, height, above in zip(middle.tolist(), value.tolist(), np.nan_to_num(half).tolist(), strict=True):
                if np.isfinite(height):
                    axes.annotate(
                        show_number(height),
                        (x, height + above),
                        xytext=(0, 3),
                        textcoords="offset points",
                        ha="center",
                        fontsize=8,
                        path_effects=halo(),
                        zorder=4,
                    )
        top = max(float(np.nanmax(figures[:, 0] + np.nan_to_num(figures[:, 1]))) for *_, figures in series)
        axes.set_ylim(0, headroom(axes, 0.0, top / seconds, 16.0))
        axes.set_xticks(np.arange(len(_LEVELS)), ["mean", "median (p50)", "p95", "p99"])
        axes.tick_params(axis="x", length=0)
        linear_scale(axes.yaxis)
        grid_lines(axes.yaxis)
        axes.set_axisbelow(True)
        axes.set_ylabel(f"time from prompt to answer ({unit})")
        who = "Theory beside simulation" if beside is None else "A live run beside theory and simulation"
        simulation = comparison.simulation
        told = f"{simulation.queries:,} simulated prompts"
        if beside is not None:
            told += f" at the scenario's service times, {beside.run.kept:,} measured at those of the run"
        heading(axes, f"{who}: latency of all prompts", f"{note or comparison.estimate.system.moa.label}; {told}")
        keys = [
            Patch(facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
            for label, colour, hatch, _ in series
        ]
        legend_below(axes, keys, down=24.0)
        return axes


def _side_by_side(comparison: Comparison, beside: MeasuredComparison | None) -> list[tuple[str, str, str | None, np.ndarray]]:
    """From left to right: label, colour, hatch, and of each level the value and half a 95 % interval, s."""
    rows = {row.quantity: row for row in comparison.rows if row.of == "all prompts"}
    chosen = [rows[f"{level} latency"] for level in _LEVELS]
    theory = [(row.theory, row.theory * row.expected.within if row.expected is not None else np.nan) for row in chosen]
    simulated = [(row.simulated, row.half_width) for row in chosen]
    series: list[tuple[str, str, str | None, np.ndarray]] = [
        ("theory, ± error of 95 % of like systems", VERMILION, None, np.array(theory)),
        ("simulated, ± 95 %", ORANGE, "////", np.array(simulated)),
    ]
    if beside is not None:
        found = {row.quantity: row for row in beside.rows if row.of == "all prompts"}
        run = [found[f"{level} latency"] for level in _LEVELS]
        measured = np.array([(row.measured, _NORMAL * row.standard_error) for row in run])
        series.append(("measured, ± 95 %", BLUE, None, measured))
    return series


def plot_over_load(sweep: Sweep, *, note: str = "") -> Figure:
    """Draw latency over load, theory as lines and simulation as points, and below it how far the theory is off.

    Parameters
    ----------
    sweep : Sweep
        From :func:`dmoa_theory.compare.compare_over_load`.
    note : str
        What to say of the (M, k) in place of its numbers alone.

    Returns
    -------
    Figure
    """
    with house_style():
        figure = new_figure(6.8, 6.6)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        plot_latency_over_load(sweep, ax=upper, note=note, legend=False)
        plot_error_over_load(sweep, ax=lower)
        upper.set_xlabel("")
        return figure


def plot_latency_over_load(sweep: Sweep, *, ax: Axes | None = None, note: str = "", legend: bool = True) -> Axes:
    """Draw mean, p95 and p99 of the latency over load: theory as lines, simulation as points with 95 % intervals.

    Parameters
    ----------
    sweep : Sweep
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    note : str
        What to say of the (M, k) in place of its numbers alone.
    legend : bool

    Returns
    -------
    Axes
    """
    with house_style():
        axes = ax if ax is not None else new_figure(6.8, 4.4).add_subplot()
        pin_ticks(axes)
        system = sweep.comparisons[0].estimate.system
        heading(axes, "Latency over load, all prompts", note or system.moa.label)
        means = [row.simulated for c in sweep.comparisons for row in c.rows if row.of == "all prompts"]
        seconds, unit = time_unit(float(np.nanmedian(means)) if means else 1.0)
        for quantity, name, _, colour, marker in _FIGURES:
            load, _, simulated, half = _series(sweep, quantity)
            axes.plot(100 * sweep.curve_loads, sweep.curve[name] / seconds, color=colour, linewidth=1.6)
            axes.errorbar(
                100 * load,
                simulated / seconds,
                yerr=np.nan_to_num(half) / seconds,
                fmt=marker,
                color=colour,
                markersize=5,
                capsize=2.5,
                linewidth=1.2,
            )
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
        axes.yaxis.set_major_formatter(lambda value, _place: show_number(value))
        grid_lines(axes.yaxis)
        axes.set_ylabel(f"time from prompt to answer ({unit})")
        axes.set_xlabel("utilisation of the busiest device (%)")
        if legend:
            legend_below(axes, _keys())
        return axes


def plot_error_over_load(sweep: Sweep, *, ax: Axes | None = None) -> Axes:
    """Draw how far the theory is off, in per cent of the simulation, with the simulation's 95 % intervals.

    The bands are what the theory states of its mean: the expected error, and that which 95 % of comparable systems keep within.

    Parameters
    ----------
    sweep : Sweep
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    with house_style():
        axes = ax if ax is not None else new_figure(6.8, 3.4).add_subplot()
        pin_ticks(axes)
        axes.axhline(0.0, color=INK, linewidth=0.8)
        bands = [expected.mean for expected in sweep.expected()]
        for name in ("within", "typical"):
            size = np.array([np.nan if band is None else 100 * getattr(band, name) for band in bands])
            axes.fill_between(100 * np.array(sweep.loads), -size, size, color=BLUE, alpha=_SHADE[name], linewidth=0)
        for quantity, _, _, colour, marker in _FIGURES:
            load, theory, simulated, half = _series(sweep, quantity)
            axes.errorbar(
                100 * load,
                100 * (theory / simulated - 1),
                yerr=100 * np.nan_to_num(half / simulated),
                fmt=f"{marker}-",
                color=colour,
                markersize=5,
                capsize=2.5,
                linewidth=1.2,
            )
        grid_lines(axes.yaxis)
        axes.set_xlabel("utilisation of the busiest device (%)")
        axes.set_ylabel("theory less simulation (%)")
        legend_below(axes, _keys())
        return axes


def _series(sweep: Sweep, quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Loads, theory, simulation and half widths of one figure over all prompts, where there are any."""

    def figures(comparison: Comparison) -> tuple[float, float, float]:
        for row in comparison.rows:
            if row.quantity == quantity and row.of == "all prompts":
                return row.theory, row.simulated, row.half_width
        return float("nan"), float("nan"), float("nan")

    values = np.array([figures(comparison) for comparison in sweep.comparisons])
    return np.array(sweep.loads), values[:, 0], values[:, 1], values[:, 2]


def _keys() -> list[Line2D | Patch]:
    kinds = [
        Line2D([], [], color=colour, marker=marker, markersize=5, linestyle="none", label=label)
        for _, _, label, colour, marker in _FIGURES
    ]
    return [
        *kinds,
        Line2D([], [], color=INK, linewidth=1.6, label="theory"),
        Line2D([], [], color=INK, marker="o", markersize=5, linestyle="none", label="simulated, ± 95 %"),
        Patch(color=BLUE, alpha=sum(_SHADE.values()), linewidth=0, label="error expected of the mean"),
        Patch(color=BLUE, alpha=_SHADE["within"], linewidth=0, label="95 % of systems within"),
    ]
