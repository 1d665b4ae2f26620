"""What each (M, k) costs and gives: accuracy against latency, with the limits and the picks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from dmoa_theory.plots.placement import Box, OnPaper, place_labels
from dmoa_theory.plots.region import draw_loads
from dmoa_theory.plots.scales import draw_limit, grid_lines, headroom, legend_below, linear_scale, log_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import FAINT, axes_size, heading, pairs, panel_message, rows_that_fit, shorten, wrap
from dmoa_theory.quantities import show_number, show_seconds, show_share, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.optimisation.candidates import Candidate
    from dmoa_theory.optimisation.choose import Decision

__all__ = ["plot_choice"]

_LABEL_SIZE = 8.0
#: Above error bars, in steps of 4 points: there is room where no other bar stands.
_ON_TOP = tuple((right, up) for up in (1, 3.5, 6, 8.5) for right in (0, 1, -1))
#: With more configurations than this only the front and the picks are labelled.
_MOST_LABELS = 24
_NONE_HOLDS = "No tabulated configuration keeps every queue bounded at these rates."


def plot_choice(decision: Decision, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of every stable (M, k) against its mean latency, with the picks and the limits.

    Parameters
    ----------
    decision : Decision
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory import System, optimise
    >>> decision = optimise(System.from_arrays(1 - np.eye(4), 0.002, 25.0, M=1, k=2))
    >>> plot_choice(decision).get_ylabel()
    'accuracy (%) ± 1 standard error'
    """
    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 5.0)
        pin_ticks(axes)
        shown = [c for c in decision.candidates if c.stable and np.isfinite(c.mean_latency)]
        overloaded = [c for c in decision.candidates if not c.stable and not c.impossible]
        if overloaded and not shown:
            return _draw_overloaded(axes, overloaded, [c for c in decision.candidates if c.impossible])
        heading(axes, "Accuracy against latency of each (M, k)", _verdict(decision))
        axes.set_ylabel("accuracy (%) ± 1 standard error")
        down = _write_left_out(axes, decision)
        if not shown:
            axes.set_xlabel("mean latency (s)")
            axes.set_xticks([])
            axes.set_yticks([])
            panel_message(axes, _NONE_HOLDS, VERMILION)
            return axes
        seconds, unit = time_unit(max(c.mean_latency for c in shown))
        at_which_load = ", each at the largest load that it carries" if decision.objective == "load" else ""
        axes.set_xlabel(f"mean latency ({unit}){at_which_load}")
        _scales(axes, decision, shown, seconds)
        # of points at different loads none beats another
        front = [c for c in decision.pareto() if np.isfinite(c.mean_latency)] if decision.objective != "load" else []
        axes.plot(
            [c.mean_latency / seconds for c in front], [100 * c.accuracy for c in front], color=SHADE, linewidth=1.4, zorder=1
        )
        _draw_points(axes, decision, shown, seconds)
        _draw_picks(axes, decision, seconds)
        limits = _draw_limits(axes, decision, seconds)
        _label(axes, decision, shown, front, seconds)
        legend_below(axes, [*_legend(decision, shown, front), *limits], down=down)
        return axes


SHADE = "#8AB8D6"


def _draw_overloaded(axes: Axes, candidates: list[Candidate], impossible: list[Candidate]) -> Axes:
    """Where nothing has a latency: how far every configuration is from being stable, the nearest first."""
    nearest = sorted(candidates, key=lambda c: c.utilisation)[: rows_that_fit(axes, _MOST_LABELS)]
    draw_loads(axes, [f"({c.M},{c.k})" for c in nearest], np.array([100 * c.utilisation for c in nearest]))
    axes.set_xlabel("utilisation of the busiest device (% of time)")
    axes.set_ylabel("(M, k)")
    others = f" Impossible: {pairs((c.M, c.k) for c in impossible)}." if impossible else ""
    heading(axes, "Load of each (M, k): all are too much", _NONE_HOLDS + others)
    legend_below(axes, [Line2D([], [], color=INK, linewidth=1.2, label="100 %: the queue grows without bound")])
    return axes


def _verdict(decision: Decision) -> str:
    """The picks in words."""
    if decision.choice is None:
        return "no configuration meets every limit"
    word = {"accuracy": "most accurate", "latency": "fastest", "load": "carries most"}[decision.objective]
    best = f"{word} within the limits: {decision.choice.name}"
    if decision.recommended is None:
        sturdy = any(standing.sturdy for standing in decision.standings)
        return f"{best}; none can be recommended: {'simulated, none holds' if sturdy else 'no margin'}"
    return f"recommended: {decision.recommended.name}; {best}"


def _scales(axes: Axes, decision: Decision, shown: list[Candidate], seconds: float) -> None:
    limit = decision.limits.mean_latency
    x = [c.mean_latency / seconds for c in shown]
    low, high = min(x), max(x)
    # a limit far beyond everything would squeeze the points: it becomes an arrow at the edge
    if limit is not None and low / 3 <= limit / seconds <= 3 * high:
        low, high = min(low, limit / seconds), max(high, limit / seconds)
    if max(x) > 10 * min(x):
        log_scale(axes, low / 1.35, high * 1.5)
    else:
        margin = max(0.08 * (high - low), 0.05 * high)  # of points close together the axis need not tell the last digit
        axes.set_xlim(max(low - 1.5 * margin, 0.0), high + 1.8 * margin)
        linear_scale(axes.xaxis, 8)
    bottom = min(100 * (c.accuracy - c.accuracy_error) for c in shown)
    top = max(100 * (c.accuracy + c.accuracy_error) for c in shown)
    bottom = max(bottom - max(0.06 * (top - bottom), 1.0), -2.0)
    axes.set_ylim(bottom, headroom(axes, bottom, top, 36.0))  # labels stand on top of the error bars
    linear_scale(axes.yaxis, 9)
    grid_lines(axes.yaxis)


def _misses_under_the_list(decision: Decision) -> set[tuple[int, int]]:
    """Configurations that meet the limits in theory, and miss one under the list of prompts."""
    return {each.candidate.configuration for each in decision.replayed if each.misses and each.candidate.feasible}


def _draw_points(axes: Axes, decision: Decision, shown: list[Candidate], seconds: float) -> None:
    missing = _misses_under_the_list(decision)
    groups = (
        (GREY, "white", [c for c in shown if not c.feasible]),
        (BLUE, "white", [c for c in shown if c.feasible and c.configuration in missing]),
        (BLUE, BLUE, [c for c in shown if c.feasible and c.configuration not in missing]),
    )
    for colour, fill, group in groups:
        if not group:
            continue
        axes.errorbar(
            [c.mean_latency / seconds for c in group],
            [100 * c.accuracy for c in group],
            yerr=[100 * c.accuracy_error for c in group],
            fmt="o",
            color=colour,
            markerfacecolor=fill,
            markersize=6.5,
            elinewidth=0.9,
            capsize=2.5,
            zorder=3,
        )


def _draw_picks(axes: Axes, decision: Decision, seconds: float) -> None:
    """A ring round the most accurate, a star on the recommended: both are seen where they are the same."""
    for pick, options in ((decision.choice, _RING), (decision.recommended, _STAR)):
        if pick is not None:
            axes.plot(pick.mean_latency / seconds, 100 * pick.accuracy, linestyle="none", **options)


_RING: dict[str, Any] = {
    "marker": "o", "markersize": 15, "markerfacecolor": "none", "markeredgecolor": ORANGE, "markeredgewidth": 2.2, "zorder": 4
}  # fmt: skip
_STAR: dict[str, Any] = {
    "marker": "*", "markersize": 15, "markerfacecolor": GREEN, "markeredgecolor": "white", "markeredgewidth": 0.8, "zorder": 5
}  # fmt: skip


def _draw_limits(axes: Axes, decision: Decision, seconds: float) -> list[Line2D]:
    allowed = decision.limits
    lines = []
    style: dict[str, Any] = {"linestyle": (0, (4, 3)), "linewidth": 1.1}
    if allowed.mean_latency is not None:
        label = f"limit on mean latency: {show_seconds(allowed.mean_latency)}"
        lines.append(draw_limit(axes, allowed.mean_latency / seconds, label, color=INK, **style))
    if allowed.min_accuracy is not None:
        label = f"smallest accuracy: {show_share(allowed.min_accuracy)}"
        lines.append(draw_limit(axes, 100 * allowed.min_accuracy, label, along="y", color=VERMILION, **style))
    return lines


def _label(axes: Axes, decision: Decision, shown: list[Candidate], front: list[Candidate], seconds: float) -> None:
    """Names on top of the error bars, which stand where no others do."""
    picks = {(c.M, c.k) for c in (*front, decision.choice, decision.recommended) if c is not None}
    labelled = [c for c in shown if len(shown) <= _MOST_LABELS or (c.M, c.k) in picks]

    def ends(of: list[Candidate], side: int) -> FloatArray:
        return np.array([(c.mean_latency / seconds, 100 * (c.accuracy + side * c.accuracy_error)) for c in of])

    def taken(on_paper: OnPaper) -> list[Box]:
        pairs_of_ends = zip(on_paper(ends(shown, -1)).tolist(), on_paper(ends(shown, 1)).tolist(), strict=True)
        return [(x - 3, low, x + 3, high + 1) for (x, low), (_, high) in pairs_of_ends]

    def above_rings(on_paper: OnPaper) -> FloatArray:
        """Where the bar is short, clear of the ring round the choice."""
        half = on_paper(ends(labelled, 1))[:, 1] - on_paper(ends(labelled, 0))[:, 1]
        return np.maximum(8.0 - half, 0.0)

    place_labels(
        axes,
        ends(labelled, 1),
        [_named(decision, c) for c in labelled],
        size=_LABEL_SIZE,
        gap=4.0,
        avoid=taken,
        sides=_ON_TOP,
        lift=above_rings,
        leaders=True,
        styles=[{"color": INK if c.feasible else FAINT} for c in labelled],
    )


def _named(decision: Decision, c: Candidate) -> str:
    """(M, k), for the objective load with the factor on all rates that its point stands for."""
    factor = decision.carries(c)
    return f"({c.M},{c.k})" + ("" if factor is None else f" {show_number(factor)}×")


def _write_left_out(axes: Axes, decision: Decision) -> float:
    """Name below the axis label what is not drawn or carries no load; how many points below the axes the legend may begin."""
    unstable = [(c.M, c.k) for c in decision.candidates if not c.stable and not c.impossible]
    impossible = [c for c in decision.candidates if c.impossible]
    parts = [f"unstable: {pairs(unstable)}"] if unstable else []
    if impossible:
        parts.append(f"impossible, {impossible[0].impossible}: {pairs((c.M, c.k) for c in impossible)}")
    said = ["not drawn: " + "; ".join(parts)] if parts else []
    if decision.objective == "load":
        none = [(c.M, c.k) for c in decision.candidates if c.stable and decision.carries(c) is None]
        said = [f"no load at all meets the limits, so drawn at the present one: {pairs(none)}", *said] if none else said
    if not said:
        return 36.0
    width, _ = axes_size(axes)
    text = "\n".join(wrap(each, width, 8.0) for each in said)
    axes.annotate(
        text,
        (0, 0),
        xytext=(0, -36),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top",
        fontsize=8,
        color=FAINT,
        linespacing=1.25,
    )
    return 36.0 + 11.0 * (text.count("\n") + 1) + 4.0


def _legend(decision: Decision, shown: list[Candidate], front: list[Candidate]) -> list[Line2D]:
    handles = []
    missing = _misses_under_the_list(decision)
    if any(c.feasible and c.configuration not in missing for c in shown):
        handles.append(Line2D([], [], color=BLUE, marker="o", linestyle="none", label="within the limits"))
    if missing:
        label = shorten(f"not so under {decision.replayed[0].list_name}", 40)
        handles.append(Line2D([], [], color=BLUE, marker="o", markerfacecolor="white", linestyle="none", label=label))
    if any(not c.feasible for c in shown):
        label = "breaks a limit"
        handles.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none", label=label))
    if len(front) > 1:
        handles.append(Line2D([], [], color=SHADE, label="Pareto front"))
    if decision.choice is not None:
        handles.append(
            Line2D([], [], linestyle="none", **{**_RING, "markersize": 9, "label": "best as stated within the limits"})
        )
    if decision.recommended is not None:
        label = "recommended" + (
            ", at its largest load with margins" if decision.objective == "load" and decision.robust else ""
        )
        handles.append(Line2D([], [], linestyle="none", **{**_STAR, "markersize": 10, "label": label}))
    return handles
