"""What better gossip gains where devices differ."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import MoA, ServiceTime, System, build_topology, capacity, simulate
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREY, house_style, new_axes
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.stability.gossip.result import Capacity

__all__ = ["cases", "reproduce"]


class _Case(NamedTuple):
    name: str
    found: Capacity


def _system(network: str, means: object, M: int, k: int, rates: object = 1.0, **parameters: object) -> System:
    return System(
        network=build_topology(network, **parameters),
        arrival_rate=np.asarray(rates, dtype=float) if np.ndim(rates) else 1.0,  # type: ignore[arg-type]
        service=ServiceTime.exponential(np.asarray(means, dtype=float)),
        moa=MoA(M, k),
    )


@cache
def cases() -> tuple[_Case, ...]:
    """Systems of unequal devices, users or places, and their capacities; rates are in prompts a second and user."""
    spread = 4.0 ** np.linspace(-0.5, 0.5, 16)
    listed = (
        ("4 alike, M=1, k=2", _system("complete", [1, 1, 1, 1], 1, 2, n=4)),
        ("4, one 3 times slower, M=1, k=1", _system("complete", [1, 1, 1, 3], 1, 1, n=4)),
        ("4, one 3 times slower, M=1, k=2", _system("complete", [1, 1, 1, 3], 1, 2, n=4)),
        ("4 alike, one user 4 times busier, M=2, k=1", _system("complete", [1, 1, 1, 1], 2, 1, [4, 1, 1, 1], n=4)),
        ("16, means spread 4-fold, M=1, k=1", _system("complete", spread, 1, 1, n=16)),
        ("16, means spread 4-fold, M=2, k=3", _system("complete", spread, 2, 3, n=16)),
        ("16 alike, scale-free, M=2, k=1", _system("barabasi_albert", np.ones(16), 2, 1, n=16, links=2)),
        ("8 alike, star, M=1, k=1", _system("star", np.ones(8), 1, 1, n=8)),
    )
    return tuple(_Case(name, capacity(system)) for name, system in listed)


@cache
def _verified(settings: Settings) -> tuple[tuple[str, float, float, float], ...]:
    """Largest utilisation at 0.95 of the best capacity: simulated with its half width, and what uniform gossip would offer."""
    found = []
    for case in (cases()[2], cases()[5]):
        system = case.found.system(0.95 * case.found.scale_best)
        seen = simulate(system, queries=settings.queries // 2, seed=settings.seed).whole()
        uniform = 0.95 * case.found.scale_best / case.found.scale_uniform
        busiest = int(seen.utilisation.value.argmax())
        busy, half = float(seen.utilisation.value[busiest]), float(seen.utilisation.half_width[busiest])
        found.append((case.name, busy, half, uniform))
    return tuple(found)


def _draw() -> Axes:
    with house_style():
        axes = new_axes(7.4, 3.8)
        found = cases()
        rows = np.arange(len(found))
        axes.barh(rows - 0.18, [c.found.scale_uniform for c in found], 0.34, color=GREY, label="uniform gossip", zorder=2)
        axes.barh(rows + 0.18, [c.found.scale_best for c in found], 0.34, color=BLUE, label="best gossip", zorder=2)
        for row, case in zip(rows, found, strict=True):
            axes.annotate(
                f"+{100 * case.found.gain:.0f} %", (case.found.scale_best, row + 0.18), xytext=(4, 0), textcoords="offset "
                "points",
                va="center", fontsize=8,
            )  # fmt: skip
        axes.set_yticks(rows, [c.name for c in found])
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("largest rate (times one prompt a mean service and user)")
        axes.set_xlim(0, 1.12 * max(c.found.scale_best for c in found))
        axes.legend(loc="lower right")
        grid_lines(axes.xaxis)
        heading(axes, "Load that the network carries", "over all selection probabilities, against uniform choice")
        return axes


def reproduce(settings: Settings) -> Outcome:
    """Capacity with the best gossip, and its simulation.

    Parameters
    ----------
    settings : Settings
    """
    found, verified = cases(), _verified(settings)
    rows = tuple(
        (c.name, f"{c.found.scale_uniform:.4f}", f"{c.found.scale_best:.4f}", f"{100 * c.found.gain:+.0f} %") for c in found
    )
    best = max(found, key=lambda c: c.found.gain)
    return Outcome(
        published="The paper draws neighbours uniformly; Remark 1 says that then the slowest device decides.",
        how=(
            "A linear program over all selection probabilities of each user, each layer still asking exactly k distinct "
            "neighbours; simulated with the gossip found, at 0.95 of the capacity found.",
        ),
        findings=(
            f"Where devices differ, better gossip carries up to {100 * best.found.gain:.0f} % more ({best.name}): the slow "
            "device is asked less.",
            "On a complete network of equal devices, and on a star, where nobody has a choice, there is nothing to gain.",
            *(
                f"Simulated at 0.95 of its capacity ({name}), the best gossip keeps the busiest device at {100 * busy:.1f} %; "
                f"uniform gossip would offer it {100 * uniform:.0f} %."
                for name, busy, _, uniform in verified
            ),
        ),
        tables=(Table("Largest rates", ("", "uniform", "best", "gain"), rows),),
        checks=tuple(
            Check(
                quantity=f"utilisation of the busiest device at 0.95 of capacity, {name}",
                unit="",
                expected=0.95,
                reproduced=busy,
                ci95=half,
                against="the linear program",
            )
            for name, busy, half, _ in verified
        ),
        pictures=(
            Picture(
                name="capacity-gain",
                caption="The load that networks of unequal devices carry with uniform and with the best gossip.",
                draw=_draw,
            ),
        ),
    )
