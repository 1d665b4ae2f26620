"""The rows of a table, simulated with estimated service times and put beside what is published."""

from __future__ import annotations

from functools import cache

import numpy as np

from dmoa_paper_figures.experiment.draws import Draws, draw_runs
from dmoa_paper_figures.experiment.fit import Fit, fit_table, predict_left_out
from dmoa_paper_figures.experiment.lengths import first_prompts
from dmoa_paper_figures.experiment.service import Figures, run_all
from dmoa_paper_figures.outcome import Row
from dmoa_paper_figures.published import published_table
from dmoa_paper_figures.settings import Settings

__all__ = ["READING", "fit_of", "root_mean_square", "rows_of", "simulated"]

#: The reading by which each table is reproduced; ``model-loading`` holds the others against it.
READING = {"I": "alike", "II": "devices, load by size"}
_ITEM = {"I": "table-1", "II": "table-2"}


def fit_of(table: str, settings: Settings) -> Fit:
    """Service times estimated from all rows of a table; their SCV is that of the real answers to the ten prompts.

    Parameters
    ----------
    table : str
    settings : Settings
    """
    return fit_table(table, READING[table], first_prompts().scv, settings)


@cache
def _draws(settings: Settings) -> tuple[Draws, ...]:
    """Fresh draws, of which no estimate has seen any."""
    return tuple(
        draw_runs(row.M, row.k, settings.table_runs, settings.random(2, place))
        for place, row in enumerate(published_table("I"))
    )


@cache
def simulated(table: str, settings: Settings) -> tuple[Figures, ...]:
    """Exact: runs of every row of a table, with the service times estimated from it.

    Parameters
    ----------
    table : str
    settings : Settings
    """
    times = fit_of(table, settings).times
    return tuple(run_all(draws, times) for draws in _draws(settings))


@cache
def rows_of(table: str, settings: Settings) -> tuple[Row, ...]:
    """Latency and queue size of every row: published, reproduced, and predicted from the other rows.

    Parameters
    ----------
    table : str
    settings : Settings
    """
    scv, found = first_prompts().scv, []
    left_out = predict_left_out(table, READING[table], scv, settings)
    for place, (published, figures) in enumerate(zip(published_table(table), simulated(table, settings), strict=True)):
        others = fit_table(table, READING[table], scv, settings, place)
        predicted = run_all(_draws(settings)[place], others.times)
        prediction = left_out[place]
        deviations = np.sqrt(np.diag(prediction.covariance + prediction.parameters))
        for which, (quantity, ours, theirs) in enumerate(
            (("latency", figures.latency, published.latency), ("queue", figures.queue, published.queue))
        ):
            found.append(
                Row(
                    item=_ITEM[table],
                    table=table,
                    M=published.M,
                    k=published.k,
                    quantity=quantity,
                    published=theirs,
                    reproduced=float(ours.mean()),
                    ci95=float(1.96 * ours.std(ddof=1) / np.sqrt(ours.size)),
                    run_deviation=float(ours.std(ddof=1)),
                    share_below=float((ours < theirs).mean()),
                    predicted=float(getattr(predicted, quantity).mean()),
                    predicted_deviation=float(deviations[which]),
                    time_average=float(figures.waiting.mean()) if quantity == "queue" else None,
                )
            )
    return tuple(found)


def root_mean_square(rows: tuple[Row, ...], quantity: str, *, predicted: bool) -> float:
    """Of the relative differences from what is published.

    Parameters
    ----------
    rows : tuple of Row
    quantity : str
        ``"latency"`` or ``"queue"``.
    predicted : bool
        Of the rows left out, or of those fitted.
    """
    gaps = [row.predicted_difference if predicted else row.difference for row in rows if row.quantity == quantity]
    return float(np.sqrt(np.mean(np.square(gaps))))
