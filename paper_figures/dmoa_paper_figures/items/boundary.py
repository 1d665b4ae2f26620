"""How much load a network carries, over (M, k) and over topologies."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import MoA, ServiceTime, System, build_topology, simulate, stability_region
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmoa_theory.model.network import Network

__all__ = ["largest_rate", "networks", "reproduce", "surface"]

_N, _LAYERS, _NEIGHBOURS = 16, 4, 6
_SHOWN = (2, 1)


@cache
def networks() -> tuple[tuple[str, Network], ...]:
    """Sixteen devices in nine topologies, random ones of seed 0."""
    return (
        ("complete", build_topology("complete", n=_N)),
        ("hypercube", build_topology("hypercube", n=_N)),
        ("torus 4 x 4", build_topology("torus", n=_N)),
        ("ring", build_topology("ring", n=_N)),
        ("grid 4 x 4", build_topology("grid", n=_N)),
        ("random, p = 0.3", build_topology("erdos_renyi", n=_N, p=0.3, seed=1)),
        ("line", build_topology("line", n=_N)),
        ("scale-free, 2 links", build_topology("barabasi_albert", n=_N, links=2)),
        ("star", build_topology("star", n=_N)),
    )


def largest_rate(network: Network, M: int, k: int) -> float:
    """Exact: the rate of every user up to which all queues stay bounded, in prompts a mean service."""
    system = System(network=network, arrival_rate=1.0, service=ServiceTime.exponential(1.0), moa=MoA(M, k))
    return stability_region(system).critical_scale


@cache
def surface() -> FloatArray:
    """Largest rate on the complete network; entry (M, k), shape (5, 7)."""
    complete = networks()[0][1]
    return np.array([[largest_rate(complete, M, k) for k in range(_NEIGHBOURS + 1)] for M in range(_LAYERS + 1)])


@cache
def _by_topology() -> tuple[tuple[str, float], ...]:
    found = [(name, largest_rate(network, *_SHOWN)) for name, network in networks()]
    return tuple(sorted(found, key=lambda pair: -pair[1]))


@cache
def _beside_the_edge(settings: Settings) -> tuple[tuple[str, float, bool, bool], ...]:
    """Whether simulated queues stay bounded below the edge and grow above it, for three topologies."""
    found = []
    for name, network in networks():
        if name not in {"complete", "grid 4 x 4", "star"}:
            continue
        edge = largest_rate(network, *_SHOWN)
        stable = [
            simulate(
                System(network=network, arrival_rate=factor * edge, service=ServiceTime.exponential(1.0), moa=MoA(*_SHOWN)),
                queries=settings.queries // 4,
                seed=settings.seed,
            )
            .whole()
            .stable
            for factor in (0.9, 1.2)
        ]
        found.append((name, edge, stable[0], stable[1]))
    return tuple(found)


def _draw() -> Figure:
    with house_style():
        figure = new_figure(8.4, 3.7)
        left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
        values = surface()
        picture = left.imshow(np.log10(values), cmap="cividis", aspect="auto", origin="lower")
        for M in range(values.shape[0]):
            for k in range(values.shape[1]):
                dark = np.log10(values[M, k]) < -0.75
                left.text(k, M, f"{values[M, k]:.2g}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
        assert picture is not None
        left.set_xticks(range(values.shape[1]))
        left.set_yticks(range(values.shape[0]))
        left.set_xlabel("neighbours k")
        left.set_ylabel("layers M")
        left.tick_params(length=0)
        heading(left, "Largest rate over (M, k)", f"{_N} devices, complete; per user and mean service")
        names, rates = zip(*_by_topology(), strict=True)
        rows = np.arange(len(names))
        right.barh(rows, rates, 0.62, color=[VERMILION if name == "star" else BLUE for name in names], zorder=2)
        for row, rate in zip(rows, rates, strict=True):
            right.annotate(f"{rate:.3f}", (rate, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
        right.set_yticks(rows, names)
        right.set_ylim(len(names) - 0.4, -0.6)
        right.set_xlim(0, 1.2 * max(rates))
        right.tick_params(axis="y", length=0)
        right.set_xlabel("prompts of a user a mean service")
        grid_lines(right.xaxis)
        heading(right, "Largest rate by topology", f"{_N} devices, M={_SHOWN[0]}, k={_SHOWN[1]}")
        return figure


def reproduce(settings: Settings) -> Outcome:
    """The boundary over (M, k) and over topologies.

    Parameters
    ----------
    settings : Settings
    """
    values, topologies, seen = surface(), dict(_by_topology()), _beside_the_edge(settings)
    theorem = np.array([[1 / ((k + 1) * M + 1) for k in range(_NEIGHBOURS + 1)] for M in range(_LAYERS + 1)])
    alike = [name for name, rate in topologies.items() if abs(rate - topologies["complete"]) < 1e-9]
    checks = [
        Check(
            quantity="largest relative gap between the region and Theorem 1 over (M, k), complete network",
            unit="",
            expected=0,
            reproduced=float(np.abs(values / theorem - 1).max()),
            ci95=None,
            against="1 / (alpha ((k + 1) M + 1))",
        )
    ]
    for name, _, below, above in seen:
        for factor, stable in ((0.9, below), (1.2, above)):
            checks.append(
                Check(
                    quantity=f"queues bounded at {factor:g} times the edge, {name}, simulated (1 yes, 0 no)",
                    unit="",
                    expected=float(factor < 1),
                    reproduced=float(stable),
                    ci95=None,
                    against="the region",
                )
            )
    return Outcome(
        published="Theorem 1 and Remark 1 are about the complete graph only.",
        how=(
            "The region of any graph: a device's load is the sum over users of their rates times the chance that a layer "
            "includes it. Sixteen devices alike, services of mean 1 s.",
        ),
        findings=(
            f"On every regular network ({', '.join(alike)}) the boundary is that of Theorem 1, whatever the links.",
            f"Elsewhere those whom many ask give way first: with M=2, k=1 a line carries "
            f"{topologies['line'] / topologies['complete']:.0%}, a scale-free network "
            f"{topologies['scale-free, 2 links'] / topologies['complete']:.0%} and a star "
            f"{topologies['star'] / topologies['complete']:.0%} of what the complete network does.",
        ),
        tables=(
            Table(
                "Largest rate of every user, M=2, k=1, in prompts a mean service",
                ("topology", "largest rate"),
                tuple((name, f"{rate:.4f}") for name, rate in topologies.items()),
            ),
        ),
        checks=tuple(checks),
        pictures=(
            Picture(
                name="boundary",
                caption="The largest stable rate over (M, k) on a complete network, and over topologies of the same size.",
                draw=_draw,
            ),
        ),
    )
