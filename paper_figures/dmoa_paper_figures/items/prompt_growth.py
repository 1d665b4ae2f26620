"""Longer prompts in later layers: by how much they move the boundary of Theorem 1."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.outcome import Check, Formula, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import MoA, load_scenario, simulate, stability_region
from dmoa_theory.model.service import Stage
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmoa_theory.model.system import System

__all__ = ["Boundary", "boundaries", "grown_system", "reproduce"]

_LAYERS, _NEIGHBOURS = (1, 2, 3), (0, 1, 2, 3, 5, 7)
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
Boundary = tuple[int, int, float, float]


def grown_system(M: int, k: int, rate: float = 1e-4) -> System:
    """Eight equal devices with the bundled measured profile, prompts of 120 tokens and answers of 200, no link delay."""
    return load_scenario(
        None,
        [
            "network.n=8",
            "network.names=" + "[" + ", ".join(f'"device-{d + 1}"' for d in range(8)) + "]",
            "network.link_delay=0",
            f"arrivals.rate={rate}",
            f"moa.M={M}",
            f"moa.k={k}",
        ],
    )


@cache
def boundaries() -> tuple[Boundary, ...]:
    """For each (M, k): the largest rate of a user by Theorem 1 with the first layer's mean, and with all stages' means."""
    found = []
    for M in _LAYERS:
        for k in _NEIGHBOURS:
            system = grown_system(M, k)
            alpha = float(system.service.for_k(k).mean[0, Stage.FIRST])
            theorem = 1 / (alpha * MoA(M, k).inferences())
            found.append((M, k, theorem, float(system.rates[0]) * stability_region(system).critical_scale))
    return tuple(found)


@cache
def _beside_the_edge(settings: Settings) -> tuple[tuple[float, bool], ...]:
    """Whether simulated queues stay bounded, M = 2, k = 3: below the true edge, and between it and that of Theorem 1."""
    edge = next(true for M, k, _, true in boundaries() if (M, k) == (2, 3))
    theorem = next(first for M, k, first, _ in boundaries() if (M, k) == (2, 3))
    return tuple(
        (rate / edge, simulate(grown_system(2, 3, rate), queries=settings.queries // 4, seed=settings.seed).whole().stable)
        for rate in (0.9 * edge, 0.95 * theorem)
    )


def _draw() -> Figure:
    with house_style():
        figure = new_figure(8.4, 3.6)
        left, right = figure.subplots(1, 2)
        for colour, M in zip(_COLOURS, _LAYERS, strict=False):
            line = np.array([(k, theorem, true) for m, k, theorem, true in boundaries() if m == M])
            left.plot(line[:, 0], 3600 * line[:, 1], color=colour, linestyle=(0, (4, 3)), linewidth=1.2)
            left.plot(line[:, 0], 3600 * line[:, 2], color=colour, marker="o", markersize=4, label=f"M={M}")
            right.plot(line[:, 0], 100 * (line[:, 2] / line[:, 1] - 1), color=colour, marker="o", markersize=4, label=f"M={M}")
        left.plot([], [], color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, label="Theorem 1, first-layer α")
        left.set_ylim(bottom=0)
        left.set_xlabel("neighbours k")
        left.set_ylabel("largest rate (prompts of a user an hour)")
        left.legend(loc="upper right")
        heading(left, "The boundary", "8 equal devices, measured service times")
        right.set_xlabel("neighbours k")
        right.set_ylabel("change of the boundary (%)")
        right.set_ylim(top=0)
        heading(right, "What longer prompts cost", "largest rate against Theorem 1")
        for axes in (left, right):
            grid_lines(axes.yaxis)
        return figure


def reproduce(settings: Settings) -> Outcome:
    """The boundary with the service times of every stage, against Theorem 1.

    Parameters
    ----------
    settings : Settings
    """
    found, seen = boundaries(), _beside_the_edge(settings)
    changes = {(M, k): true / theorem - 1 for M, k, theorem, true in found}
    means = grown_system(2, 3).service.for_k(3).mean[0]
    rows = tuple(
        (f"M={M}, k={k}", f"{3600 * theorem:.2f}", f"{3600 * true:.2f}", f"{100 * (true / theorem - 1):+.1f} %")
        for M, k, theorem, true in found
    )
    worst = min(changes, key=lambda c: changes[c])
    theorem = next(first for M, k, first, _ in found if (M, k) == (2, 3))
    true = next(edge for M, k, _, edge in found if (M, k) == (2, 3))
    a0, a1, a2 = (float(means[s]) for s in Stage)
    by_hand = 1 / (4 * a0 + 4 * a1 + a2)
    return Outcome(
        published="Theorem 1 has one mean α for all inferences; in the experiment later prompts hold the k + 1 responses "
        "before them.",
        how=(
            "Eight equal devices with the bundled measured profile (a 0.5 B model on one thread of a server CPU): the service "
            "time of each stage follows from the tokens it reads. Prompts of 120 tokens, answers of 200.",
        ),
        findings=(
            f"The largest rate is lower than Theorem 1 says with the first layer's α: by {-100 * changes[(1, 1)]:.0f} % for "
            f"M=1, k=1, by {-100 * changes[(2, 3)]:.0f} % for M=2, k=3 and by {-100 * changes[worst]:.0f} % for M={worst[0]}, "
            f"k={worst[1]}, where prompts are longest.",
            f"With M=2, k=3 an inference takes {a0:.1f} s in the first layer, {a1:.1f} s in the second and {a2:.1f} s at the "
            f"aggregation. At {seen[1][0]:.2f} times the true edge, which Theorem 1 would allow, simulated queues "
            f"{'stay bounded' if seen[1][1] else 'grow'}; at {seen[0][0]:.2f} times they "
            f"{'stay bounded' if seen[0][1] else 'grow'}.",
            "The theorem's form stays: α((k + 1)M + 1) becomes the sum of the stages' means.",
        ),
        formulas=(
            Formula(
                reason="With a mean for each stage, on the complete graph of equal devices.",
                latex=r"\lambda \left((k+1)\left(\alpha_1 + (M-1)\,\alpha_2(k)\right) + \alpha_a(k)\right) < 1",
                text="λ ((k + 1) (α₁ + (M - 1) α₂(k)) + αₐ(k)) < 1",
            ),
        ),
        tables=(
            Table(
                "Largest rate, prompts of a user an hour",
                ("", "Theorem 1, first-layer α", "all stages", "change"),
                rows,
            ),
        ),
        checks=(
            Check(
                quantity="largest rate of a user, M=2, k=3",
                unit="prompts/s",
                expected=by_hand,
                reproduced=true,
                ci95=None,
                against="the formula above",
            ),
            Check(
                quantity="largest rate of a user, M=2, k=3, against Theorem 1 with the first layer's mean",
                unit="prompts/s",
                expected=theorem,
                reproduced=true,
                ci95=None,
                against="Theorem 1; differs because prompts grow",
            ),
        ),
        pictures=(
            Picture(
                name="prompt-growth",
                caption="How far longer prompts in later stages pull the stability boundary below that of Theorem 1.",
                draw=_draw,
            ),
        ),
    )
