"""What a sweep found: accuracy and latency of the choice, and of what is recommended, over the values of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.plots.scales import pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, ORANGE, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import FAINT, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.optimisation.sweep import Sweep

__all__ = ["plot_sweep"]

_MOST_NAMES = 12
_STEPS = "steps-post"
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
        figure = new_figure(6.8, 6.2)
        top, bottom = figure.subplots(2, 1, sharex=True)
        rows = [row for row in found.rows if row.get("accuracy") is not None]
        pin_ticks(top)
        pin_ticks(bottom)
        words = _WORDS.get(found.key, found.key)
        heading(top, "Accuracy and latency of what is chosen and recommended", f"by {words}")
        if rows:
            _draw_accuracies(top, found)
            _draw_latencies(bottom, found)
            _name_changes(top, [row[found.key] for row in rows], rows)
            top.legend(loc="best", fontsize=8)
            bottom.legend(loc="best", fontsize=8)
        nothing = [row[found.key] for row in found.rows if row.get("accuracy") is None]
        for value in nothing:
            bottom.axvline(value, color=FAINT, linewidth=0.8, linestyle=":")
        top.set_ylabel("accuracy (%)")
        bottom.set_ylabel("latency (s)")
        bottom.set_xlabel(words + ("; dotted: nothing meets the limits" if nothing else ""))
        return figure


def _draw_accuracies(axes: Axes, found: Sweep) -> None:
    x = _column(found, found.key)
    axes.errorbar(
        x,
        100 * _column(found, "accuracy"),
        yerr=100 * _column(found, "accuracy_error"),
        fmt="o-",
        drawstyle=_STEPS,
        color=BLUE,
        markersize=4,
        elinewidth=0.7,
        capsize=2,
        label="choice, as stated ± 1 standard error",
    )
    others = (
        ("recommended_accuracy", "D:", VERMILION, "recommended, as stated"),
        ("by_user_accuracy", "s--", GREEN, "plan by user, fitted"),
    )
    for name, style, colour, label in others:
        y = 100 * _column(found, name)
        if np.isfinite(y).any():
            axes.plot(x, y, style, drawstyle=_STEPS, color=colour, markersize=4, label=label)


def _draw_latencies(axes: Axes, found: Sweep) -> None:
    curves = (
        ("mean_s", "choice", "o-", BLUE, "mean, choice"),
        ("p95_s", "choice", "^-", ORANGE, "p95, choice"),
        ("recommended_mean_s", "recommended", "o:", FAINT, "mean, recommended"),
        ("recommended_p95_s", "recommended", "^:", VERMILION, "p95, recommended"),
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
        axes.plot(x, y, style, drawstyle=_STEPS if limit else "default", color=colour, markersize=4, label=label)


def _column(found: Sweep, name: str) -> FloatArray:
    """One column; nan where there is no such figure."""
    values = (row.get(name) for row in found.rows)
    return np.array([np.nan if value is None else float(value) for value in values])


def _name_changes(axes: Axes, x: list[float], rows: list[dict[str, object]]) -> None:
    """The (M, k) of the choice, where it changes."""
    before, named = None, 0
    for value, row in zip(x, rows, strict=True):
        if row["choice"] != before and named < _MOST_NAMES:
            accuracy = row["accuracy"]
            assert isinstance(accuracy, float)
            axes.annotate(
                str(row["choice"]).replace("M=", "(").replace(" k=", ",") + ")",
                (value, 100 * accuracy),
                xytext=(6, -11),
                textcoords="offset points",
                fontsize=8,
            )
            named += 1
        before = row["choice"]
