"""Theorem 1 and equations 2 to 6: derived in symbols, and put to the test on both sides of the boundary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.experiment.growth import Growth, growth_of
from dmoa_paper_figures.outcome import Check, Formula, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import MoA, ServiceTime, System, build_topology, overload
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table
from dmoa_theory.symbolic.printing import equation_latex
from dmoa_theory.symbolic.theorem_one import derive_theorem_one

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LOADS", "reproduce", "system_at", "unequal_at"]

#: Left-hand side of Theorem 1 at which systems are simulated.
LOADS = (0.8, 0.95, 1.05, 1.25, 1.5, 2.0)
_CONFIGURATIONS = ((0, 0), (1, 1), (1, 3), (2, 2), (2, 3))
_SHOWN = (2, 2)
_UNEQUAL = (0.5, 1.0, 1.0, 2.0)
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Point:
    M: int
    k: int
    load: float
    seen: Growth
    theory: float

    @property
    def growth(self) -> float:
        return self.seen.mean_rate

    @property
    def half_width(self) -> float:
        return self.seen.mean_half_width


def system_at(M: int, k: int, load: float) -> System:
    """The complete network of four devices alike, exponential service of mean 1 s, with that left-hand side of Theorem 1."""
    return System(
        network=build_topology("complete", n=4),
        arrival_rate=load / MoA(M, k).inferences(),
        service=ServiceTime.exponential(1.0),
        moa=MoA(M, k),
    )


def unequal_at(load: float) -> System:
    """The same with mean services 0.5, 1, 1 and 2 s, M = 2 and k = 2, and that left-hand side of Remark 1."""
    return System(
        network=build_topology("complete", n=4),
        arrival_rate=load / MoA(2, 2).inferences() / max(_UNEQUAL),
        service=ServiceTime.exponential(_UNEQUAL),
        moa=MoA(2, 2),
    )


@cache
def _points(settings: Settings) -> tuple[_Point, ...]:
    loads = LOADS[:-1] if settings.quick else LOADS
    found = []
    for place, (M, k) in enumerate(_CONFIGURATIONS):
        for step, load in enumerate(loads):
            system = system_at(M, k, load)
            seen = growth_of(system, settings, 3, place, step)
            found.append(_Point(M=M, k=k, load=load, seen=seen, theory=float(overload(system).growth_rate.mean())))
    return tuple(found)


@cache
def _unequal(settings: Settings) -> tuple[tuple[float, Growth, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], ...]:
    return tuple(
        (load, growth_of(unequal_at(load), settings, 4, step), overload(unequal_at(load)).growth_rate)
        for step, load in enumerate((0.95, 1.25))
    )


def _formulas() -> tuple[Formula, ...]:
    import sympy  # type: ignore[import-untyped]

    from dmoa_theory.symbolic.symbols import lam

    greek = {lam: sympy.Symbol("lambda"), sympy.IndexedBase("lambda"): sympy.IndexedBase("λ")}
    return tuple(
        Formula(
            reason=step.reason,
            latex=equation_latex(step.equation),
            text=str(sympy.pretty(step.equation.xreplace(greek), use_unicode=True, wrap_line=False)),
        )
        for step in derive_theorem_one().steps
    )


def _draw_trajectories(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(8.4, 3.7)
        left, right = figure.subplots(1, 2)
        points = [p for p in _points(settings) if (p.M, p.k) == _SHOWN and p.load in (0.8, 0.95, 1.05, 1.25)]
        colours = dict(zip((0.8, 0.95, 1.05, 1.25), (BLUE, GREEN, ORANGE, VERMILION), strict=True))
        for p in points:
            colour = colours[p.load]
            left.fill_between(p.seen.time, p.seen.low, p.seen.high, color=colour, alpha=0.15, linewidth=0)
            left.plot(p.seen.time, p.seen.jobs.mean(axis=1), color=colour, label=f"simulated, load {p.load:g}")
            if p.load > 1:
                left.plot(p.seen.time, p.theory * p.seen.time, color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
        left.plot([], [], color=INK, linewidth=1.0, linestyle=(0, (5, 3)), label="fluid limit")
        left.set_xlim(0, settings.span)
        left.set_ylim(bottom=0)
        left.set_xlabel("time (mean services)")
        left.set_ylabel("jobs at a device")
        left.legend(loc="upper left")
        heading(left, "Below and above the boundary", f"n = 4, M = 2, k = 2; {settings.trajectories} runs, bands 5 to 95 %")
        for colour, (M, k) in zip(_COLOURS, _CONFIGURATIONS, strict=True):
            line = [p for p in _points(settings) if (p.M, p.k) == (M, k)]
            fine = np.linspace(min(p.load for p in line), max(p.load for p in line), 60)
            theory = [float(overload(system_at(M, k, load)).growth_rate.mean()) for load in fine]
            right.plot(fine, theory, color=colour, linewidth=1.2)
            right.errorbar(
                [p.load for p in line],
                [p.growth for p in line],
                yerr=[p.half_width for p in line],
                color=colour,
                fmt="o",
                markersize=4,
                capsize=2,
                label=f"M={M}, k={k}",
            )
        right.axvline(1, color=GREY, linewidth=1.0)
        right.set_xlabel("α((k + 1)M + 1)λ")
        right.set_ylabel("growth (jobs at a device, a mean service)")
        right.legend(loc="upper left", frameon=True, framealpha=1.0, edgecolor="none")
        heading(right, "Growth on both sides", "lines: fluid limit; points: simulated, 95 % intervals")
        for axes in (left, right):
            grid_lines(axes.yaxis)
        return figure


def reproduce(settings: Settings) -> Outcome:
    """Derivation, and growth of queues below and above.

    Parameters
    ----------
    settings : Settings
    """
    points, unequal = _points(settings), _unequal(settings)
    checks = [
        Check(
            quantity=f"growth of queues, M={p.M}, k={p.k}, load {p.load:g}",
            unit="jobs/s",
            expected=p.theory,
            reproduced=p.growth,
            ci95=p.half_width,
            against="Theorem 1: no growth" if p.load < 1 else "fluid limit",
        )
        for p in points
    ]
    for load, seen, theory in unequal:
        checks += [
            Check(
                quantity=f"growth of the queue of the device with alpha {alpha:g}, slowest at load {load:g}",
                unit="jobs/s",
                expected=float(theory[d]),
                reproduced=float(seen.rate[d]),
                ci95=float(seen.half_width[d]),
                against="Remark 1: no growth" if load < 1 else "fluid limit",
            )
            for d, alpha in enumerate(_UNEQUAL)
        ]
    above = [p for p in points if p.load > 1.2]
    worst = max(abs(p.growth / p.theory - 1) for p in above)
    usual = float(np.mean([abs(p.growth / p.theory - 1) for p in above]))
    near = [p for p in points if 1 < p.load < 1.2]
    below = max(abs(p.growth) for p in points if p.load < 1)
    rows = tuple(
        (f"M={p.M}, k={p.k}", f"{p.load:g}", f"{p.theory:.4f}", f"{p.growth:.4f} ± {p.half_width:.4f}") for p in points
    )
    return Outcome(
        published="Theorem 1: on the complete graph of equal devices every queue stays bounded if α((k + 1)M + 1)λ < 1 "
        "(equations 2 to 5 lead there); Remark 1: with unequal devices if ((k + 1)M + 1)λ < 1/max α (equation 6).",
        how=(
            "Derived in symbols as a case of the condition for any graph; nothing is put in by hand.",
            f"Simulated exactly from empty queues, n = 4, exponential services of mean 1 s, {settings.trajectories} runs of "
            f"{settings.span:g} s: growth is that of the second half of the runs. Above the boundary it is held against the "
            "fluid limit, in which overloaded devices hold back later layers.",
        ),
        findings=(
            f"Below the boundary no queue grows by more than {below:.4f} jobs a mean service, which is noise; at 1.05 every "
            f"one grows, by {min(p.growth for p in near):.3f} to {max(p.growth for p in near):.3f}.",
            f"From 1.25 on growth agrees with the fluid limit to {100 * usual:.1f} % on average and {100 * worst:.1f} % at "
            "worst, which is noise; nearer the boundary, runs of this length need not have reached that limit.",
            "The paper's theorem and its proof hold, and the condition is also necessary. For M of 3 and more with k below "
            "n - 1, that load below one suffices is proved only up to a somewhat smaller load: see dmoa region.",
            "Remark 1 holds: with services of 0.5, 1, 1 and 2 s only the slowest device's queue grows.",
        ),
        formulas=_formulas(),
        tables=(Table("Growth of queues, jobs a mean service at a device", ("", "load", "theory", "simulated"), rows),),
        checks=tuple(checks),
        pictures=(
            Picture(
                name="theorem-1",
                caption="Left, queues over time just below and above the boundary of Theorem 1; right, how fast they grow, in "
                "theory and simulated, over its left-hand side.",
                draw=lambda: _draw_trajectories(settings),
            ),
        ),
    )
