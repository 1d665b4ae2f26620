"""Pictures of a live run: latency, queues and loads as measured, beside what theory and simulation say."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREY, INK, ORANGE, PALETTE, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import heading, rows_that_fit, shorten
from dmoa_theory.quantities import show_seconds, show_share, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.live.measured_run import MeasuredRun

__all__ = ["plot_live_latency", "plot_live_queues", "plot_live_utilisation"]

_MOST_LINES = 6
_MARKS = "osD^vP"
_MOST_BARS = 20
#: Parts of the run that queues are averaged over.
_SPANS = 120
_DASHES: Any = (0, (4, 3))


def plot_live_latency(result: MeasuredRun, *, ax: Axes | None = None) -> Axes:
    """Draw the share of prompts that take longer than a time: measured, simulated, replayed, and the theory's percentiles.

    Parameters
    ----------
    result : MeasuredRun
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory import System
    >>> from dmoa_theory.live.examples import small_run
    >>> from dmoa_theory.live.measured_run import evaluate
    >>> result = evaluate(small_run(), System.from_arrays([[0, 1], [1, 0]], [0.1, 0], 1.0, M=1, k=1))
    >>> plot_live_latency(result).get_ylabel()
    'share of prompts that take longer (%)'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.6)
        pin_ticks(axes)
        heading(axes, "How many prompts take longer", _state(result))
        latency = np.sort(result.observed.latency[result.window.first : result.window.last])
        latency = latency[~np.isnan(latency)]
        simulated = result.simulated
        lowest = 0.5 / max(latency.size, 20)
        if result.stable:
            lowest = min(lowest, 0.006)  # the theory's p99 has to be seen
        seen = simulated.distribution < 1 - lowest
        top = float(max(latency[-1] if latency.size else 0.0, simulated.distribution_at[seen][-1]))
        seconds, unit = time_unit(top)
        handles: list[Artist] = []
        replayed = np.sort(result.replayed.within(result.window))
        for values, colour, width, label in (
            (latency, BLUE, 2.0, "measured"),
            (replayed, GREY, 1.0, "the same run through ideal queues"),
        ):
            if values.size:
                share = 1 - np.arange(values.size + 1) / values.size
                at = np.concatenate((values[:1], values))
                handles += axes.step(at / seconds, 100 * share, where="post", color=colour, linewidth=width, label=label)
        beyond = 1 - simulated.distribution
        handles += axes.plot(
            simulated.distribution_at[seen] / seconds,
            100 * beyond[seen],
            color=ORANGE,
            linestyle=_DASHES,
            linewidth=1.6,
            label="simulated at the measured service times",
        )
        if result.stable:
            at = np.array([result.theory.p50, result.theory.p95, result.theory.p99]) / seconds
            handles += axes.plot(at, [50, 5, 1], "D", color=VERMILION, markersize=5, label="theory: median, p95, p99", zorder=5)
            top = max(top, float(at.max()) * seconds if np.isfinite(at).all() else top)
        axes.set_yscale("log")
        axes.set_ylim(100 * lowest, 125)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if lowest > 3e-3 else (1.0,), numticks=12))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlim(0, 1.04 * top / seconds)
        linear_scale(axes.xaxis, 8)
        grid_lines(axes.xaxis)
        grid_lines(axes.yaxis)
        axes.set_xlabel(f"time from prompt to answer ({unit})")
        axes.set_ylabel("share of prompts that take longer (%)")
        legend_below(axes, handles)
        return axes


def plot_live_queues(result: MeasuredRun, *, ax: Axes | None = None) -> Axes:
    """Draw the jobs at every device over the run, averaged over short times, and what is expected of them.

    Dashed lines show the mean of simulated runs; in an overloaded run the fluid limit at the measured service times and
    arrivals. Of more than six devices those with most jobs are drawn.

    Parameters
    ----------
    result : MeasuredRun
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    with house_style():
        axes = ax if ax is not None else new_axes(7.2, 4.6)
        pin_ticks(axes)
        observed, record = result.observed, result.record
        end = float(max(observed.end.max(initial=0.0), observed.arrival[-1]))
        seconds, unit = time_unit(end)
        edges = np.linspace(0, end, _SPANS + 1)
        time = (edges[:-1] + edges[1:]) / 2
        there = np.array([observed.in_system.time_average(b, begin=a) for a, b in pairwise(edges)])
        order = np.argsort(-there.mean(axis=0), kind="stable")[:_MOST_LINES]
        heading(axes, _whose_jobs(order.size, there.shape[1]), _state(result))
        handles: list[Artist] = []
        last = float(observed.arrival[-1])
        overloaded = not result.averages
        for place, d in enumerate(np.sort(order).tolist()):
            colour = PALETTE[place]
            handles += axes.plot(
                time / seconds,
                there[:, d],
                color=colour,
                linewidth=1.6,
                alpha=0.9,
                marker=_MARKS[place],
                markevery=(place * _SPANS // (10 * _MOST_LINES), _SPANS // 10),
                markersize=5,
                markeredgecolor="white",
                label=shorten(record.names[d]),
            )
            if overloaded:
                grown = result.row("jobs gained", record.names[d]).theory
                axes.plot([0, last / seconds], [0, grown * last], color=INK, linestyle=_DASHES, linewidth=1.1, zorder=5)
            else:
                expected = float(result.simulated.mean["jobs_mean"][d])
                axes.plot([0, last / seconds], [expected] * 2, color=colour, linestyle=_DASHES, linewidth=1.4, zorder=5)
        label = "fluid limit" if overloaded else "simulated mean"
        handles.append(Line2D([], [], color=INK if overloaded else GREY, linestyle=_DASHES, linewidth=1.3, label=label))
        axes.axvline(last / seconds, color=GREY, linewidth=0.8, zorder=1)
        handles.append(Line2D([], [], color=GREY, linewidth=0.8, label="last prompt sent"))
        axes.set_xlim(0, end / seconds)
        axes.set_ylim(0, 1.06 * max(float(there.max()), 1.0))
        linear_scale(axes.xaxis, 8)
        linear_scale(axes.yaxis)
        grid_lines(axes.yaxis)
        axes.set_xlabel(f"time from the start ({unit})")
        axes.set_ylabel(f"jobs there, average over {show_seconds(end / _SPANS)}")
        legend_below(axes, handles)
        return axes


def plot_live_utilisation(result: MeasuredRun, *, ax: Axes | None = None) -> Axes:
    """Draw the share of time that every device worked, measured with its interval, beside theory at both service times.

    Parameters
    ----------
    result : MeasuredRun
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    with house_style():
        measured = 100 * result.figures["utilisation"].value
        widths = 100 * result.figures["utilisation"].half_width
        theory, nominal = 100 * result.theory.utilisation, 100 * result.nominal.utilisation
        axes = ax if ax is not None else new_axes(6.8, 2.1 + 0.36 * max(min(theory.size, _MOST_BARS), 3))
        room = rows_that_fit(axes, _MOST_BARS)
        few = theory.size <= room
        shown = np.arange(theory.size) if few else np.argsort(-theory, kind="stable")[:room]
        pin_ticks(axes)
        rows = np.arange(shown.size)
        axes.barh(rows, measured[shown], height=0.62, color=BLUE, alpha=0.85, zorder=2)
        half = np.nan_to_num(widths[shown])
        axes.errorbar(measured[shown], rows, xerr=half, fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5, zorder=4)
        for row, d in enumerate(shown.tolist()):
            axes.plot([theory[d]] * 2, [row - 0.38, row + 0.38], color=VERMILION, linewidth=2.0, zorder=3)
            axes.plot([nominal[d]] * 2, [row - 0.38, row + 0.38], color=ORANGE, linewidth=2.0, linestyle=(0, (2, 1)), zorder=3)
            at = max(float(measured[d]) + float(half[row]), float(theory[d]), float(nominal[d]))
            axes.annotate(
                show_share(float(measured[d]) / 100),
                (at, row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},  # the line of 100 % may run there
                zorder=5,
            )
        right = max(100.0, float(theory.max()), float(nominal.max()), float((measured[shown] + half).max()))
        axes.set_xlim(0, 1.14 * right)
        axes.axvline(100, color=INK, linewidth=1.0, zorder=3)
        axes.set_ylim(max(rows.size, 3) - 0.4, -0.6)
        axes.set_yticks(rows, [shorten(result.record.names[d]) for d in shown.tolist()], parse_math=False)
        axes.tick_params(axis="y", length=0)
        linear_scale(axes.xaxis)
        grid_lines(axes.xaxis)
        axes.set_axisbelow(True)
        axes.set_xlabel("work for a device (% of what it can do)")
        axes.set_ylabel("device")
        heading(axes, "Load of the devices" if few else f"Load: {shown.size} of {theory.size:,} devices", _state(result))
        legend_below(
            axes,
            [
                Patch(facecolor=BLUE, alpha=0.85, label="measured, ± 95 %" if half.any() else "measured"),
                Line2D([], [], color=VERMILION, linewidth=2.0, label="offered, at the measured service times"),
                Line2D([], [], color=ORANGE, linewidth=2.0, linestyle=(0, (2, 1)), label="offered, by the scenario"),
                Line2D([], [], color=INK, linewidth=1.0, label="100 %: all that a device can do"),
            ],
        )
        return axes


def _whose_jobs(drawn: int, devices: int) -> str:
    if drawn == devices:
        return "Jobs at the devices"
    return f"Jobs at the {drawn} fullest devices, and {devices - drawn:,} other{'s' * (devices - drawn > 1)} not drawn"


def _state(result: MeasuredRun) -> str:
    facts = result.record.facts
    engine = facts.get("backend") or "no LLM"
    partial = "interrupted; " if result.partial else ""
    overloaded = "" if result.averages else "; OVERLOADED"
    figures = f"; mean of {result.timed:,}: {show_seconds(float(result.figures['mean'].value))}" if result.averages else ""
    listed = "" if result.list_name is None else f"; prompts as in {result.list_name}, theory: Poisson"
    return (
        f"{partial}{facts.get('mode')} ({engine}), {result.system.moa.label}: {result.answered:,} prompts answered{figures}"
        f"{overloaded}{listed}"
    )
