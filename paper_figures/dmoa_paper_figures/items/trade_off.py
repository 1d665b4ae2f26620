"""Accuracy against latency and against queue size, with the errors that ten prompts leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.experiment.rows import rows_of
from dmoa_paper_figures.outcome import Outcome, Picture
from dmoa_paper_figures.published import published_table
from dmoa_paper_figures.settings import Settings
from dmoa_theory.accuracy.table import read_accuracy
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, INK, ORANGE, house_style, new_figure
from dmoa_theory.plots.text import halo, heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["reproduce"]

_DATA = {"I": "mitra2024-same", "II": "mitra2024-diverse"}


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(8.4, 6.4)
        panels = figure.subplots(2, 2, sharex="col", sharey=True)
        for line, (table, colour, marker) in zip(panels, (("I", BLUE, "o"), ("II", ORANGE, "s")), strict=True):
            for axes, quantity in zip(line, ("latency", "queue"), strict=True):
                _scatter(axes, table, quantity, colour, marker, settings)
            line[0].set_ylabel("published accuracy (%)")
        panels[0, 0].set_ylim(0, 78)
        for axes in panels[0]:
            axes.set_xlim(left=0)
        panels[1, 0].set_xlabel("published latency (s)")
        panels[1, 1].set_xlabel('published "average queue size"')
        heading(panels[0, 0], "Table I: one model", "labels: M,k; bars: one standard error")
        heading(panels[0, 1], "Table I: one model", "the same rows over queue size")
        heading(panels[1, 0], "Table II: four models", "labels: M,k; bars: one standard error")
        heading(panels[1, 1], "Table II: four models", "the same rows over queue size")
        return figure


def _scatter(axes: Axes, table: str, quantity: str, colour: str, marker: str, settings: Settings) -> None:
    """One table's rows with their errors; labels above and below the bars in turn, where neighbours are close."""
    accuracy = read_accuracy(_DATA[table])
    rows = sorted((row for row in rows_of(table, settings) if row.quantity == quantity), key=lambda row: row.published)
    entries = [accuracy.entry(row.M, row.k) for row in rows]
    axes.errorbar(
        [row.published for row in rows],
        [100 * entry.accuracy for entry in entries],
        xerr=[row.run_deviation for row in rows],
        yerr=[100 * entry.standard_error for entry in entries],
        fmt=marker,
        color=colour,
        markersize=5,
        elinewidth=0.9,
    )
    for place, (row, entry) in enumerate(zip(rows, entries, strict=True)):
        above = place % 2 == 1
        axes.annotate(
            f"{row.M},{row.k}",
            (row.published, 100 * (entry.accuracy + (entry.standard_error if above else -entry.standard_error))),
            xytext=(0, 3 if above else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=7.5,
            color=INK,
            path_effects=halo(2),
        )
    grid_lines(axes.yaxis)


def reproduce(settings: Settings) -> Outcome:
    """The trade-off as published, with the errors that the paper does not draw.

    Parameters
    ----------
    settings : Settings
    """
    tables, rows = {name: read_accuracy(_DATA[name]) for name in ("I", "II")}, []
    for name, accuracy in tables.items():
        for row in published_table(name):
            entry = accuracy.entry(row.M, row.k)
            assert abs(entry.accuracy - row.accuracy) < 1e-9
            rows.append(
                (
                    f"Table {name}, M={row.M}, k={row.k}",
                    f"{100 * row.accuracy:.2f} %",
                    f"± {100 * entry.standard_error:.1f} points",
                    f"{row.latency:,.0f} s",
                    f"{row.queue:.2f}",
                )
            )
    gaps = {}
    for name in ("I", "II"):
        entries = tables[name].entries
        best, alone = max(entries, key=lambda e: e.accuracy), tables[name].entry(0, 0)
        error = float(np.hypot(best.standard_error, alone.standard_error))
        gaps[name] = (best, best.accuracy - alone.accuracy, error)
    worst = max(
        abs(a.accuracy - b.accuracy) / float(np.hypot(a.standard_error, b.standard_error))
        for table in tables.values()
        for a in table.entries
        for b in table.entries
    )
    said = "; ".join(
        f"Table {name}: {100 * gap:.0f} ± {100 * error:.0f} points from M=0 to M={best.M}, k={best.k}"
        for name, (best, gap, error) in gaps.items()
    )
    return Outcome(
        published="More layers and proposers are more accurate, slower, and fill queues; the paper recommends its most "
        "accurate configuration.",
        how=(
            "Accuracies are the paper's, quoted; their standard errors follow from the spread of single prompts' scores by "
            "such a judge (30 to 42 points), of which ten leave 10 to 13 points; the larger is drawn. Latency and queue "
            "errors are standard deviations of simulated runs.",
        ),
        findings=(
            f"The largest gains in accuracy, with their standard errors where the prompts of two rows are independent: {said}.",
            f"The two rows of one table that are farthest apart differ by {worst:.1f} standard errors of their difference, so "
            "no order of configurations is established. That rows share their ten prompts may make differences surer than "
            "this; how much cannot be told from the table.",
            "Latency and queue size, in contrast, differ between rows by many times their errors.",
        ),
        not_reproduced=("Accuracies themselves: large models, ten prompts and a paid judge.",),
        tables=(
            Table("Accuracy as published, with its standard error", ("", "accuracy", "error", "latency", "queue"), tuple(rows)),
        ),
        pictures=(
            Picture(
                name="trade-off",
                caption="Accuracy against latency and queue size as published, with standard errors: with ten prompts the "
                "accuracy gains are hardly larger than their errors.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
