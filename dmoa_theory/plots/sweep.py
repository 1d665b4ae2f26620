"""What a sweep found: accuracy and latency of the choice over the values of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmoa_theory.plots.scales import pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, ORANGE, house_style, new_figure
from dmoa_theory.plots.text import FAINT, heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmoa_theory.optimisation.sweep import Sweep

__all__ = ["plot_sweep"]

_MOST_NAMES = 12


def plot_sweep(found: Sweep) -> Figure:
    """Draw the accuracy of the choice with its standard error, and its latency, over the values that were swept.

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
        x = [row[found.key] for row in rows]
        pin_ticks(top)
        pin_ticks(bottom)
        heading(top, "Accuracy and latency of the choice", f"over {found.key}")
        if rows:
            top.errorbar(
                x,
                [100 * row["accuracy"] for row in rows],
                yerr=[100 * row["accuracy_error"] for row in rows],
                fmt="o-",
                color=BLUE,
                markersize=4,
                elinewidth=0.7,
                capsize=2,
                label="choice, as stated ± 1 standard error",
            )
            if any(row.get("by_user_accuracy") is not None for row in rows):
                kept = [(v, row) for v, row in zip(x, rows, strict=True) if row.get("by_user_accuracy") is not None]
                top.plot(
                    [v for v, _ in kept],
                    [100 * row["by_user_accuracy"] for _, row in kept],
                    "s--",
                    color=GREEN,
                    markersize=4,
                    label="plan by user, fitted",
                )
            bottom.plot(x, [row["mean_s"] for row in rows], "o-", color=BLUE, markersize=4, label="mean")
            bottom.plot(x, [row["p95_s"] for row in rows], "^-", color=ORANGE, markersize=4, label="p95")
            _name_changes(top, x, rows)
            top.legend(loc="best", fontsize=8)
            bottom.legend(loc="best", fontsize=8)
        nothing = [row[found.key] for row in found.rows if row.get("accuracy") is None]
        for value in nothing:
            bottom.axvline(value, color=FAINT, linewidth=0.8, linestyle=":")
        top.set_ylabel("accuracy (%)")
        bottom.set_ylabel("latency (s)")
        bottom.set_xlabel(found.key + ("; dotted: nothing meets the limits" if nothing else ""))
        return figure


def _name_changes(axes: object, x: list[float], rows: list[dict[str, object]]) -> None:
    """The (M, k) of the choice, where it changes."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
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
