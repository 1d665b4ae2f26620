"""Pictures of a measured profile: time against prompt length, residuals of the fit, CPU against wall seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from dmoa_theory.errors import InputError
from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, log_scale, pin_ticks
from dmoa_theory.plots.style import GREY, INK, PALETTE, VERMILION, house_style, new_axes, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.quantities import time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.model.profile import Profile

__all__ = ["plot_clocks", "plot_profile", "plot_residuals", "plot_times"]

_MOST_LINES = len(PALETTE)
_CONTENDED = 0.9
_MARKS = "osD^vPX"


def plot_times(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """Draw the fitted time against the prompt length, a line an answer length, with the samples as dots.

    Of more than seven answer lengths, as in a file of real prompts, seven lines are drawn, and each sample takes the colour
    of the nearest.

    Parameters
    ----------
    profile : Profile
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.6)
        pin_ticks(axes)
        fit = profile.fit
        p, o, wall, cpu = _samples(profile)
        taken = cpu if fit.clock == "cpu" else wall
        outputs = _answer_lengths(o, fit.o_range)
        low, high = fit.p_range
        prompts = np.geomspace(low, max(high, low + 1), 200)
        scale, unit = time_unit(float(fit.seconds(float(high), float(outputs[-1]))))
        nearest = np.abs(np.log(o)[:, None] - np.log(outputs)).argmin(axis=1) if o.size else np.zeros(0, dtype=int)
        handles: list[Artist] = []
        for line, output in enumerate(outputs):
            colour = PALETTE[line]
            middle, error = fit.seconds(prompts, output), fit.seconds_error(prompts, output)
            axes.plot(prompts, middle / scale, color=colour, linewidth=1.8, zorder=3)
            lower, upper = (middle - 1.96 * error) / scale, (middle + 1.96 * error) / scale
            axes.fill_between(prompts, lower, upper, color=colour, alpha=0.18, linewidth=0, zorder=2)
            own = nearest == line
            axes.plot(p[own], taken[own] / scale, _MARKS[line], color=colour, markersize=4.5, markeredgecolor="white", zorder=4)
            label = f"{output:g} answer tokens"
            handles.append(Line2D([], [], color=colour, linewidth=2.0, marker=_MARKS[line], markersize=4.5, label=label))
        log_scale(axes, low / 1.15, max(high, low + 1) * 1.15)
        axes.set_ylim(bottom=0)
        linear_scale(axes.yaxis)
        grid_lines(axes.yaxis)
        axes.set_xlabel("prompt tokens")
        axes.set_ylabel(f"{'CPU time' if fit.clock == 'cpu' else 'time'} of one inference ({unit})")
        weights = " with random weights" if profile.random_weights else ""
        heading(axes, f"{profile.name}{weights}", f"{profile.backend}, {profile.hardware.cpu_model}; lines fitted, band 95 %")
        legend_below(axes, handles)
        return axes


def plot_residuals(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """Draw the relative error of every sample in the order measured: what the fit does not explain, and any drift.

    Parameters
    ----------
    profile : Profile
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        When the profile holds no samples, as one made of llama-bench rows.
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.0)
        pin_ticks(axes)
        fit = profile.fit
        p, o, wall, cpu = _samples(profile)
        if not p.size:
            raise InputError("samples", "none", "a profile with single timings")
        residual = 100 * (fit.seconds(p, o) / (cpu if fit.clock == "cpu" else wall) - 1)
        order = np.arange(1, residual.size + 1)
        prompts = np.unique(p)
        place = (
            np.searchsorted(prompts, p) * (_MOST_LINES - 1) // max(prompts.size - 1, 1) if prompts.size > _MOST_LINES else None
        )
        colour = place if place is not None else np.searchsorted(prompts, p)
        axes.axhline(0, color=INK, linewidth=0.9, zorder=2)
        handles: list[Artist] = []
        for each in np.unique(colour):
            own = colour == each
            axes.plot(
                order[own], residual[own], _MARKS[each], color=PALETTE[each], markersize=4.5, markeredgecolor="white", zorder=4
            )
            low, high = p[own].min(), p[own].max()
            label = f"{low:g} prompt tokens" if low == high else f"{low:g} to {high:g} prompt tokens"
            handles.append(Line2D([], [], color=PALETTE[each], marker=_MARKS[each], linestyle="", label=label))
        typical = 100 * fit.loo_median_rel_err
        for side in (-typical, typical):
            axes.axhline(side, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        handles.append(
            Line2D([], [], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), label="typical error on lengths left out")
        )
        reach = 1.15 * max(float(np.abs(residual).max()), typical, 0.5)
        axes.set_ylim(-reach, reach)
        axes.set_xlim(0.5, residual.size + 0.5)
        linear_scale(axes.xaxis)
        linear_scale(axes.yaxis)
        grid_lines(axes.yaxis)
        axes.set_xlabel("sample, in the order measured")
        axes.set_ylabel("fitted above measured (%)")
        heading(axes, "Residuals", f"median {100 * fit.median_rel_err:.1f} %, largest {100 * fit.max_rel_err:.1f} %")
        legend_below(axes, handles)
        return axes


def plot_clocks(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """Draw CPU seconds over wall seconds of every sample: near 1 on a core of its own, less on a busy machine.

    Parameters
    ----------
    profile : Profile
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        When the profile holds no CPU seconds.
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.0)
        pin_ticks(axes)
        _, _, wall, cpu = _samples(profile)
        known = np.isfinite(cpu)
        if not known.any():
            raise InputError("samples", "no CPU seconds", "a profile whose engine told them")
        seconds, share = wall[known], cpu[known] / wall[known]
        scale, unit = time_unit(float(seconds.max()))
        busy = share < _CONTENDED
        for own, colour, mark in ((~busy, PALETTE[0], "o"), (busy, VERMILION, "X")):
            axes.plot(seconds[own] / scale, share[own], mark, color=colour, markersize=4.5, markeredgecolor="white", zorder=4)
        axes.axhline(1, color=INK, linewidth=0.9, zorder=2)
        axes.axhline(_CONTENDED, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        span = float(seconds.max() / seconds.min())
        log_scale(axes, float(seconds.min()) / scale / 1.2, float(seconds.max()) / scale * (1.2 if span > 1 else 1.5))
        axes.set_ylim(0, max(1.1, 1.1 * float(share.max())))
        linear_scale(axes.yaxis)
        grid_lines(axes.yaxis)
        axes.set_xlabel(f"wall time of the sample ({unit})")
        axes.set_ylabel("CPU over wall seconds")
        heading(
            axes,
            "CPU against wall",
            f"{int(busy.sum())} of {busy.size} samples below {_CONTENDED:g}, where other work is in the way",
        )
        handles: list[Artist] = [
            Line2D([], [], color=PALETTE[0], marker="o", linestyle="", label="on a core of its own"),
            Line2D([], [], color=VERMILION, marker="X", linestyle="", label="busy machine"),
        ]
        legend_below(axes, handles if busy.any() else handles[:1])
        return axes


def plot_profile(profile: Profile) -> Figure:
    """Draw everything a profile shows in one figure: times, and residuals and clocks where it holds samples for them.

    Parameters
    ----------
    profile : Profile

    Returns
    -------
    Figure
    """
    p, _, _, cpu = _samples(profile)
    panels: list[Any] = [plot_times]
    if p.size:
        panels.append(plot_residuals)
    if np.isfinite(cpu).any():
        panels.append(plot_clocks)
    with house_style():
        figure = new_figure(6.0 * len(panels), 4.6)
        for axes, draw in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            draw(profile, ax=axes)
        return figure


def _samples(profile: Profile) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Prompt tokens, answer tokens, wall and CPU seconds (NaN where unknown) of the samples; each of shape (n,)."""
    rows = [
        (s["prompt_tokens"], s["output_tokens"], s["request_latency_ms"], np.nan if s["cpu_ms"] is None else s["cpu_ms"])
        for s in profile.document["samples"]
    ]
    p, o, wall, cpu = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return p, o, wall / 1e3, cpu / 1e3


def _answer_lengths(o: FloatArray, measured: tuple[int, int]) -> FloatArray:
    """The answer lengths that get a line: all of them, or as many as there are colours."""
    lengths = np.unique(o) if o.size else np.unique(np.array(measured, dtype=np.float64))
    if lengths.size <= _MOST_LINES:
        return np.asarray(lengths)
    return np.asarray(np.unique(np.rint(np.geomspace(lengths[0], lengths[-1], _MOST_LINES))))
