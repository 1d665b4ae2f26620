"""Fig. 3: a Mixture-of-Agents of two layers with three proposers each, and an aggregator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmoa_paper_figures.drawing.parts import arrow, blank, box, chip, label, message
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import MoA, System
from dmoa_theory.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, house_style
from dmoa_theory.simulation.kernel.recorded_run import record_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw", "reproduce"]

_MOA = MoA(2, 2)
_COLOURS = (BLUE, ORANGE, GREEN)


def draw() -> Figure:
    """Layers from left to right."""
    M, k, _ = (int(values[0]) for values in _MOA.per_user(1))
    step, gap = 3.15, 1.15
    axes = blank(8.6, 3.7, (-1.5, M * step + 2.0, -2.25, 1.95))
    rows = [gap * (k / 2 - row) for row in range(k + 1)]
    with house_style():
        message(axes, (-1.15, 0), colour=INK, size=0.42)
        label(axes, (-1.15, -0.42), "prompt", size=8.5)
        for layer in range(M):
            x = layer * step
            box(axes, (x, 0), 1.25, gap * (k + 1) + 0.25, face="#FAFAFA")
            label(axes, (x, -gap * (k + 1) / 2 - 0.38), f"layer {layer + 1}", size=10, bold=True)
            join = (x + 1.55, 0.0)
            for row, y in enumerate(rows):
                arrow(axes, (x - (0.85 if layer == 0 else 1.12), 0), (x - 0.42, y), colour=INK, width=1.1, z=4)
                chip(axes, (x, y), 0.62, edge=_COLOURS[row])
                label(axes, (x, y - 0.5), "own" if row == 0 else f"neighbour {row}", size=7.5, colour=_COLOURS[row])
                arrow(axes, (x + 0.42, y), (join[0] - 0.24, 0.16 * (k / 2 - row)), colour=_COLOURS[row], width=1.3, z=4)
            for row in range(k + 1):
                message(axes, (join[0], 0.24 * (k / 2 - row)), colour=_COLOURS[row], response=True, size=0.3)
            message(axes, (join[0], 0.24 * (k / 2 + 1)), colour=INK, size=0.3)
            label(axes, (join[0], -0.72), "prompt and\nresponses,\nconcatenated", size=7.5)
        x = M * step
        box(axes, (x, 0), 1.25, 1.55, face="#FAFAFA")
        arrow(axes, (x - 1.12, 0), (x - 0.42, 0), colour=INK, width=1.1, z=4)
        chip(axes, (x, 0.05), 0.62, edge=PURPLE)
        label(axes, (x, -0.48), "own", size=7.5, colour=PURPLE)
        label(axes, (x, -1.05), "final\naggregator", size=10, bold=True)
        arrow(axes, (x + 0.42, 0), (x + 1.3, 0), colour=PURPLE, z=4)
        message(axes, (x + 1.6, 0), colour=PURPLE, response=True, size=0.42)
        label(axes, (x + 1.6, -0.42), "answer", size=8.5)
        return axes.figure.canvas.figure


def reproduce(settings: Settings) -> Outcome:
    """The drawing, and its number of inferences counted in a simulated run.

    Parameters
    ----------
    settings : Settings
    """
    four = [[int(u != v) for v in range(4)] for u in range(4)]
    trajectory = record_run(System.from_arrays(four, 0.01, 1.0, M=2, k=2), queries=100, seed=settings.seed)
    counted = trajectory.trace.n_jobs / trajectory.trace.n_queries
    return Outcome(
        published="Fig. 3 shows a Mixture-of-Agents of two layers, each with three proposers, and one final aggregator.",
        how=(
            "Drawn from MoA(M = 2, k = 2): the own model and two neighbours propose in each layer, and the own model "
            "aggregates.",
        ),
        findings=("A query makes (k + 1) M + 1 = 7 inferences; a simulated run of 100 queries makes 700.",),
        not_reproduced=("The original artwork.",),
        checks=(
            Check(
                quantity="inferences of a query",
                unit="",
                expected=_MOA.inferences(),
                reproduced=counted,
                ci95=None,
                against="(k + 1) M + 1, section II",
            ),
        ),
        pictures=(
            Picture(
                name="figure-3",
                caption="A query with M = 2, k = 2: two layers of three proposers, whose responses are put behind the prompt, "
                "and the aggregation at home.",
                draw=draw,
            ),
        ),
    )
