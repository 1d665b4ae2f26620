"""The published "average queue size" against the usual time average, on the same runs and in steady state."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.experiment.rows import simulated
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.published import configurations
from dmoa_paper_figures.settings import Settings
from dmoa_theory import System
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREY, ORANGE, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.traces.published_metrics import published_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["in_steady_state", "reproduce"]

_LOADS = (0.3, 0.5, 0.7)


def in_steady_state(load: float) -> tuple[float, float]:
    """Exact: the published figure and the mean number waiting of M/M/1 in steady state, for that load.

    A job counts, for the whole of its service, the queries that it leaves behind: ``rho Lq + lambda^2 E[S^2]``, of which
    ``rho Lq`` were there when its service began and the rest arrived during it; the usual figure is ``Lq``.

    Parameters
    ----------
    load : float

    Examples
    --------
    >>> in_steady_state(0.5)
    (0.75, 0.5)
    """
    waiting = load**2 / (1 - load)
    return load * waiting + 2 * load**2, waiting


@cache
def _long_runs(settings: Settings) -> tuple[tuple[float, float, float, float], ...]:
    """Load, published figure with its half width, and time average, of M/M/1 in long runs."""
    found = []
    runs, prompts = (4, 4000) if settings.quick else (16, 20_000)
    for place, load in enumerate(_LOADS):
        system = System.from_arrays([[0]], load, 1.0, M=0, k=0, law="exponential")
        published, usual = [], []
        for seed in np.random.SeedSequence([settings.seed, 5, place]).spawn(runs):
            trajectory = record_run(system, queries=prompts, seed=seed)
            published.append(published_metrics(trajectory.trace).average_queue_size)
            usual.append(float(trajectory.waiting.time_average(trajectory.last_end)[0]))
        error = float(np.std(published, ddof=1)) / np.sqrt(runs)
        found.append((load, float(np.mean(published)), 1.96 * error, float(np.mean(usual))))
    return tuple(found)


def _ratios(table: str, settings: Settings) -> list[tuple[float, float]]:
    return [(float(runs.queue.mean()), float(runs.waiting.mean())) for runs in simulated(table, settings)]


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(8.4, 3.5)
        left, right = figure.subplots(1, 2)
        shown = np.arange(len(configurations()))
        for table, colour, shift in (("I", BLUE, -0.2), ("II", ORANGE, 0.2)):
            ratios = _ratios(table, settings)
            left.bar(shown + shift, [a / b for a, b in ratios], 0.36, color=colour, label=f"Table {table}", zorder=2)
        left.axhline(1, color=GREY, linewidth=1.0, zorder=3)
        left.set_xticks(shown, [f"{M},{k}" for M, k in configurations()])
        left.tick_params(axis="x", length=0)
        left.set_xlabel("M,k")
        left.set_ylabel("published figure / time average")
        left.legend(loc="upper right")
        heading(left, "Two counts of the same runs", "ten prompts, estimated service times")
        load = np.linspace(0, 0.85, 100)
        curves = np.array([in_steady_state(x) for x in load])
        right.plot(load, curves[:, 0], color=BLUE, label="published figure, exact")
        right.plot(load, curves[:, 1], color=ORANGE, label="time average, exact")
        for x, value, half, usual in _long_runs(settings):
            right.errorbar(x, value, yerr=half, fmt="o", color=BLUE, markersize=5, capsize=2)
            right.plot(x, usual, "s", color=ORANGE, markersize=5)
        right.set_xlabel("load of M/M/1")
        right.set_ylabel("queue size")
        right.legend(loc="upper left")
        heading(right, "In steady state", "lines: formulas; points: simulated")
        for axes in (left, right):
            grid_lines(axes.yaxis)
        return figure


def reproduce(settings: Settings) -> Outcome:
    """Both ways of counting on the same runs.

    Parameters
    ----------
    settings : Settings
    """
    ratios = {table: [a / b for a, b in _ratios(table, settings)] for table in ("I", "II")}
    long_runs = _long_runs(settings)
    rows = tuple(
        (f"Table {table}, M={M}, k={k}", f"{a:.2f}", f"{b:.2f}", f"{a / b:.2f}")
        for table in ("I", "II")
        for (M, k), (a, b) in zip(configurations(), _ratios(table, settings), strict=True)
    )
    collaborating = [r for table in ("I", "II") for r in ratios[table][1:]]
    return Outcome(
        published='The paper calls its statistic "average queue size"; its code counts, for each job served, the other queries '
        "whose next layer includes that device and is ready by the job's end, for the whole of the service.",
        how=(
            "Both figures are computed on the same simulated runs: the published one as its code has it, and the time-average "
            "number of jobs that wait at a device.",
            "In steady state, M = 0 and Poisson arrivals, the published figure is rho Lq + lambda² E[S²] (two lines of "
            "algebra, in this module); long runs of M/M/1 are held against it.",
        ),
        findings=(
            f"It is larger: {ratios['I'][0]:.2f} and {ratios['II'][0]:.2f} times the time average for M = 0 in the two tables, "
            f"and {min(collaborating):.2f} to {max(collaborating):.2f} times where devices collaborate.",
            "They differ in three ways. It counts for a whole service what only came during it, and it divides by the end of "
            "the aggregation taken out last, which need not be the last to end: both make it larger. It sees of each query "
            "only the layer that is next, which makes it smaller.",
            "Of M/M/1 it is 2 - load times the time average: twice at light load, and at heavy load the same.",
        ),
        tables=(Table("The same runs, counted twice", ("", "published figure", "time average", "ratio"), rows),),
        checks=tuple(
            Check(
                quantity=f"published figure of M/M/1 at load {load:g}",
                unit="queries",
                expected=in_steady_state(load)[0],
                reproduced=value,
                ci95=half,
                against="rho Lq + lambda^2 E[S^2]",
            )
            for load, value, half, _ in long_runs
        ),
        pictures=(
            Picture(
                name="queue-metric",
                caption="Left, by how much the published queue figure exceeds the time average of the same runs; right, both "
                "in steady state.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
