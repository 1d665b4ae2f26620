"""What a sweep found: accuracy and latency of the choice, and of what is recommended, over the values of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.plots.placement import Box, OnPaper, place_labels
from dmoa_theory.plots.scales import grid_lines, headroom, legend_below, linear_scale, log_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, ORANGE, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import FAINT, heading, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.optimisation.sweep import Sweep

__all__ = ["plot_sweep"]

_MOST_NAMES = 12
_STEPS = "steps-post"
_ON_TOP = tuple((right, up) for up in (1, 3.5, 6) for right in (0, 1, -1))
# What keys are called beside an axis, with units; a key that is not here stands as it is.
_WORDS = {
    "arrivals.rate": "arrivals.rate (prompts/s of a user)",
    "constraints.max_utilisation": "limit on utilisation",
    "constraints.mean_latency": "limit on mean latency (s)",
    "constraints.memory": "limit on memory (bytes)",
    "constraints.min_accuracy": "limit on accuracy (smallest share)",
    "constraints.p95_latency": "limit on p95 latency (s)",
    "network.n": "devices",
    "service.mean": "mean service time (s)",
}


def plot_sweep(found: Sweep) -> Figure:
    """Draw the accuracy of the choice with its standard error, its latency, and those of what is recommended.

    What is chosen at a value is drawn on as a step to the next value that was asked for; between two values that choose alike
    latency is drawn as a line, unless a limit is swept, which moves no latency.

    Parameters
    ----------
    found : Sweep

    Returns
    -------
    Figure
    """
    with house_style():
        figure = new_figure(6.8, 6.8)
        top, bottom = figure.subplots(2, 1, sharex=True)
        rows = [row for row in found.rows if row.get("accuracy") is not None]
        pin_ticks(top)
        pin_ticks(bottom)
        one = found.key.removeprefix("arrivals.rate.")
        words = _WORDS.get(found.key, found.key) if one == found.key else f"rate of {shorten(one)} (prompts/s)"
        heading(top, "What is chosen, and what is recommended", "names, (M,k), of what is chosen: each up to the next")
        if rows:
            _draw_accuracies(top, found)
            _draw_latencies(bottom, found)
            _name_changes(top, found)
            for axes, down in ((top, 10.0), (bottom, 34.0)):
                legend_below(axes, [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")], down=down)
        nothing = [row[found.key] for row in found.rows if row.get("accuracy") is None]
        for value in nothing:
            bottom.axvline(value, color=FAINT, linewidth=0.8, linestyle=":")
        asked = np.array([float(row[found.key]) for row in found.rows])
        if asked.size > 2 and asked.min() > 0 and np.ptp(np.diff(np.log(asked))) < 1e-6:  # even ratios
            beside = (asked.max() / asked.min()) ** 0.05
            log_scale(bottom, asked.min() / beside, asked.max() * beside)
        else:
            linear_scale(bottom.xaxis, 8)
        linear_scale(bottom.yaxis)
        for axes in (top, bottom):
            grid_lines(axes.yaxis)
        top.set_ylabel("accuracy (%)")
        bottom.set_ylabel("latency (s)")
        bottom.set_xlabel(words + ("; dotted: nothing meets the limits" if nothing else ""))
        return figure


def _draw_accuracies(axes: Axes, found: Sweep) -> None:
    """Steps with a band of one standard error, and bars where the choice changes."""
    x, y, error = _column(found, found.key), 100 * _column(found, "accuracy"), 100 * _column(found, "accuracy_error")
    axes.fill_between(x, y - error, y + error, step="post", color=BLUE, alpha=0.14, linewidth=0)
    axes.plot(x, y, "o-", drawstyle=_STEPS, color=BLUE, markersize=4, label="choice, as stated ± 1 standard error")
    new = _changes(found)
    axes.errorbar(x[new], y[new], yerr=error[new], fmt="none", ecolor=BLUE, elinewidth=0.9, capsize=2.5)
    others = (
        ("recommended_accuracy", "D:", VERMILION, "recommended, as stated"),
        ("by_user_accuracy", "s--", GREEN, "plan by user, fitted"),
    )
    for name, style, colour, label in others:
        y = 100 * _column(found, name)
        if np.isfinite(y).any():
            axes.plot(x, y, style, drawstyle=_STEPS, color=colour, markerfacecolor="none", markersize=7, label=label)


def _draw_latencies(axes: Axes, found: Sweep) -> None:
    """Colour and mark say which figure; full lines and marks are of the choice, dotted and hollow ones of the recommended."""
    curves = (
        ("mean_s", "choice", "o-", BLUE, "mean, choice"),
        ("p95_s", "choice", "^-", ORANGE, "p95, choice"),
        ("recommended_mean_s", "recommended", "o:", BLUE, "mean, recommended"),
        ("recommended_p95_s", "recommended", "^:", ORANGE, "p95, recommended"),
    )
    limit = found.key.startswith("constraints.")
    for name, by, style, colour, label in curves:
        x, y = _column(found, found.key), _column(found, name)
        if not np.isfinite(y).any():
            continue
        if not limit:  # from one configuration to the next latency jumps: no line joins them
            names = [row.get(by) for row in found.rows]
            jumps = [place for place in range(1, len(names)) if names[place] != names[place - 1]]
            x, y = np.insert(x, jumps, np.nan), np.insert(y, jumps, np.nan)
        own = {"markersize": 4.0} if by == "choice" else {"markersize": 8.0, "markerfacecolor": "none"}
        axes.plot(x, y, style, drawstyle=_STEPS if limit else "default", color=colour, label=label, **own)


def _column(found: Sweep, name: str) -> FloatArray:
    """One column; nan where there is no such figure."""
    values = (row.get(name) for row in found.rows)
    return np.array([np.nan if value is None else float(value) for value in values])


def _changes(found: Sweep) -> list[int]:
    """Rows that choose otherwise than the one before."""
    names = [row.get("choice") if row.get("accuracy") is not None else None for row in found.rows]
    return [place for place, name in enumerate(names) if name is not None and (place == 0 or name != names[place - 1])]


def _name_changes(axes: Axes, found: Sweep) -> None:
    """The (M, k) of the choice, where it changes, on top of its error bar."""
    x, y, error = _column(found, found.key), 100 * _column(found, "accuracy"), 100 * _column(found, "accuracy_error")
    new = _changes(found)[:_MOST_NAMES]
    low, high = np.column_stack((x, y - error))[new], np.column_stack((x, y + error))[new]
    bottom = axes.get_ylim()[0]
    axes.set_ylim(bottom, headroom(axes, bottom, float(np.nanmax(y + error)), 34.0))

    def taken(on_paper: OnPaper) -> list[Box]:
        bars = zip(on_paper(low).tolist(), on_paper(high).tolist(), strict=True)
        points = on_paper(np.column_stack((x, y)))
        steps = zip(points[:-1].tolist(), points[1:, 0].tolist(), strict=True)
        flat = [(left, up - 2, right, up + 2) for (left, up), right in steps if np.isfinite(up)]
        return [*((left - 3, foot, left + 3, top + 1) for (left, foot), (_, top) in bars), *flat]

    names = [str(found.rows[place]["choice"]).replace("M=", "(").replace(" k=", ",") + ")" for place in new]
    place_labels(axes, high, names, size=8.0, gap=4.0, avoid=taken, sides=_ON_TOP, leaders=True)
