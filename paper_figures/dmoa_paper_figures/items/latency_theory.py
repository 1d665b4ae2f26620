"""The latency formula against exact simulation, on the system of the paper."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dmoa_paper_figures.items.transient import stable_system
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import latency, simulate
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Point", "points", "reproduce"]

_SHOWN = ((1, 1), (1, 3), (2, 2), (2, 3))
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)


class Point(NamedTuple):
    """One (M, k) at one load: mean and 95th percentile of the latency, in theory and simulated with half widths."""

    M: int
    k: int
    load: float
    theory: tuple[float, float]
    simulated: tuple[float, float]
    half_width: tuple[float, float]


@cache
def points(settings: Settings) -> tuple[Point, ...]:
    """Every point.

    Parameters
    ----------
    settings : Settings
    """
    found = []
    for M, k in _SHOWN:
        for load in (0.3, 0.7) if settings.quick else (0.1, 0.3, 0.5, 0.7, 0.8, 0.9):
            system = stable_system(M, k, load, settings)
            estimate = latency(system)
            seen = simulate(system, queries=2 * settings.queries, seed=settings.seed + 7).whole()
            found.append(
                Point(
                    M=M,
                    k=k,
                    load=load,
                    theory=(estimate.mean, estimate.p95),
                    simulated=(float(seen.mean.value), float(seen.p95.value)),
                    half_width=(float(seen.mean.half_width), float(np.max(seen.p95.half_width))),
                )
            )
    return tuple(found)


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(8.4, 3.6)
        for which, (axes, name) in enumerate(zip(figure.subplots(1, 2, sharey=True), ("mean", "95th percentile"), strict=True)):
            for colour, (M, k) in zip(_COLOURS, _SHOWN, strict=True):
                line = [p for p in points(settings) if (p.M, p.k) == (M, k)]
                axes.errorbar(
                    [p.load for p in line],
                    [100 * (p.theory[which] / p.simulated[which] - 1) for p in line],
                    yerr=[100 * p.half_width[which] / p.simulated[which] for p in line],
                    color=colour,
                    marker="o",
                    markersize=4,
                    linewidth=1.1,
                    capsize=2,
                    label=f"M={M}, k={k}",
                )
            axes.axhline(0, color=GREY, linewidth=1.0)
            axes.set_xlim(0, 1)
            axes.set_xlabel("α((k + 1)M + 1)λ")
            grid_lines(axes.yaxis)
            heading(axes, f"Error of the {name}", "theory less simulation; bars: 95 % intervals")
            if which == 0:
                axes.set_ylabel("error (%)")
                axes.legend(loc="best")
        return figure


def reproduce(settings: Settings) -> Outcome:
    """Formula and simulation side by side.

    Parameters
    ----------
    settings : Settings
    """
    found = points(settings)
    errors = np.array([[p.theory[w] / p.simulated[w] - 1 for w in (0, 1)] for p in found])
    worst = found[int(np.abs(errors[:, 0]).argmax())]
    rows = tuple(
        (
            f"M={p.M}, k={p.k}, load {p.load:g}",
            f"{p.theory[0]:.1f} s",
            f"{p.simulated[0]:.1f} ± {p.half_width[0]:.1f} s",
            f"{100 * error[0]:+.1f} %",
            f"{p.theory[1]:.1f} s",
            f"{p.simulated[1]:.1f} ± {p.half_width[1]:.1f} s",
            f"{100 * error[1]:+.1f} %",
        )
        for p, error in zip(found, errors, strict=True)
    )
    return Outcome(
        published="The paper has no formula for latency.",
        how=(
            f"The devices and service times of Table I at stable loads, {2 * settings.queries:,} simulated prompts each, "
            "beside the approximation of dmoa latency, whose constants were fitted on other systems.",
        ),
        findings=(
            f"The mean is off by {100 * np.abs(errors[:, 0]).mean():.1f} % on average, at most "
            f"{100 * np.abs(errors[:, 0]).max():.1f} % (M={worst.M}, k={worst.k}, load {worst.load:g}); the 95th percentile by "
            f"{100 * np.abs(errors[:, 1]).mean():.1f} %, at most {100 * np.abs(errors[:, 1]).max():.1f} %.",
            "k = n - 1 with little variability is where the formula is weakest: all queues then get the same work at the same "
            "time. Most networks are kinder to it.",
        ),
        tables=(
            Table(
                "Latency in theory and simulated",
                ("", "mean, theory", "mean, simulated", "error", "p95, theory", "p95, simulated", "error "),
                rows,
            ),
        ),
        checks=tuple(
            Check(
                quantity=f"mean latency, M={p.M}, k={p.k}, load {p.load:g}",
                unit="s",
                expected=p.simulated[0],
                reproduced=p.theory[0],
                ci95=None,
                against="exact simulation",
            )
            for p in found
        ),
        pictures=(
            Picture(
                name="latency-theory",
                caption="Relative error of the latency formula over load, for the mean and the 95th percentile.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
