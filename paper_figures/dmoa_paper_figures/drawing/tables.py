"""Tables I and II as pictures: published figures among the runs that might have been."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_paper_figures.experiment.rows import simulated
from dmoa_paper_figures.outcome import Row
from dmoa_paper_figures.settings import Settings
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, INK, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_table"]


def draw_table(table: str, rows: Sequence[Row], settings: Settings) -> Figure:
    """Latency and queue size by configuration: simulated runs as bands, fitted and predicted means, and the published run.

    Parameters
    ----------
    table : str
    rows : sequence of Row
    settings : Settings
    """
    runs = simulated(table, settings)
    with house_style():
        figure = new_figure(8.4, 3.7)
        for axes, quantity in zip(figure.subplots(1, 2), ("latency", "queue"), strict=True):
            shown = [row for row in rows if row.quantity == quantity]
            for place, (row, figures) in enumerate(zip(shown, runs, strict=True)):
                values = getattr(figures, quantity)
                for low, high, alpha in ((0.025, 0.975, 0.22), (0.25, 0.75, 0.4)):
                    bottom, top = np.quantile(values, (low, high))
                    axes.bar(place, top - bottom, 0.5, bottom, color=BLUE, alpha=alpha, linewidth=0, zorder=2)
                axes.plot([place - 0.25, place + 0.25], [row.reproduced] * 2, color=BLUE, linewidth=2, zorder=3)
                axes.plot(place + 0.33, row.predicted, marker="<", color=INK, markersize=4.5, linestyle="none", zorder=4)
                axes.plot(place, row.published, marker="D", color=VERMILION, markersize=5.5, linestyle="none", zorder=5)
            axes.set_xticks(range(len(shown)), [f"{row.M},{row.k}" for row in shown])
            axes.tick_params(axis="x", length=0)
            axes.set_xlabel("M,k")
            axes.set_ylim(bottom=0)
            grid_lines(axes.yaxis)
            if quantity == "latency":
                axes.set_ylabel("mean latency of ten prompts (s)")
                heading(axes, f"Table {table}: latency", f"{settings.table_runs:,} simulated runs each")
            else:
                axes.set_ylabel('published "average queue size"')
                heading(axes, f"Table {table}: queue size", "as the published code counts")
        figure.legend(
            handles=[
                Line2D([], [], color=VERMILION, marker="D", linestyle="none", markersize=5.5, label="published, one run"),
                Line2D([], [], color=BLUE, linewidth=2, label="mean of runs"),
                Patch(color=BLUE, alpha=0.5, linewidth=0, label="half of the runs"),
                Patch(color=BLUE, alpha=0.22, linewidth=0, label="95 % of the runs"),
                Line2D([], [], color=INK, marker="<", linestyle="none", markersize=4.5, label="predicted from the other rows"),
            ],
            loc="outside lower center",
            ncols=5,
        )
        return figure
