"""The published tables as transients: how they depend on the number of prompts, and what stable loads would show instead."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dmoa_paper_figures.experiment.rows import fit_of
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.published import ARRIVAL_RATE, PROMPTS, configurations, published_row
from dmoa_paper_figures.settings import Settings
from dmoa_theory import MoA, ServiceTime, System, build_topology, latency, overload, simulate
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREEN, ORANGE, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.quantities import show_rate
from dmoa_theory.results import Table
from dmoa_theory.simulation.kernel.recorded_run import record_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["nominal_load", "published_system", "reproduce", "stable_system"]

_COUNTS = (1, 3, 10, 30, 100, 300)
_LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
_SHOWN = ((0, 0), (1, 1), (2, 3))
#: Load of the busiest configuration at the one rate at which all are compared.
_COMMON = 0.8


class _Steady(NamedTuple):
    load: float
    rate: float
    simulated: float
    half_width: float
    waiting: float
    theory: float


def _system(M: int, k: int, rate: float, settings: Settings) -> System:
    fit = fit_of("I", settings)
    return System(
        network=build_topology("complete", n=4),
        arrival_rate=rate,
        service=ServiceTime.gamma(fit.times.mean[0], fit.scv),
        moa=MoA(M, k),
    )


def published_system(M: int, k: int, settings: Settings) -> System:
    """The system of Table I: services as estimated from it, a quarter of a prompt a second and user."""
    return _system(M, k, ARRIVAL_RATE / 4, settings)


def nominal_load(M: int, k: int, settings: Settings) -> float:
    """Exact: the left-hand side of Theorem 1 in the published experiment."""
    return float(overload(published_system(M, k, settings)).nominal.max())


def stable_system(M: int, k: int, load: float, settings: Settings) -> System:
    """The same with fewer prompts, so that the left-hand side of Theorem 1 is ``load``."""
    return _system(M, k, load / (fit_of("I", settings).times.mean[0] * MoA(M, k).inferences()), settings)


@cache
def _by_count(settings: Settings) -> dict[tuple[int, int], list[tuple[int, float, float]]]:
    """Mean latency of the first N prompts when none comes after them, with half widths."""
    found = {}
    for place, (M, k) in enumerate(_SHOWN):
        system, line = published_system(M, k, settings), []
        for count in _COUNTS:
            runs = max(3, (300 if settings.quick else 4000) // count)
            seeds = np.random.SeedSequence([settings.seed, 6, place, count]).spawn(runs)
            means = np.array([record_run(system, queries=count, seed=seed).latency.mean() for seed in seeds])
            line.append((count, float(means.mean()), float(1.96 * means.std(ddof=1) / np.sqrt(runs))))
        found[(M, k)] = line
    return found


def _steady(system: System, load: float, settings: Settings, seed: int) -> _Steady:
    found = simulate(system, queries=settings.queries, seed=seed).whole()
    return _Steady(
        load=load,
        rate=float(system.rates[0]),
        simulated=found.mean_latency,
        half_width=float(found.mean.half_width),
        waiting=float(found.waiting_mean.value.mean()),
        theory=latency(system).mean,
    )


@cache
def _over_load(settings: Settings) -> dict[tuple[int, int], list[_Steady]]:
    loads = (0.3, 0.7) if settings.quick else _LOADS
    return {
        (M, k): [
            _steady(stable_system(M, k, load, settings), load, settings, settings.seed + place)
            for place, load in enumerate(loads)
        ]
        for M, k in _SHOWN
    }


@cache
def _at_common_rate(settings: Settings) -> dict[tuple[int, int], _Steady]:
    rate = float(stable_system(2, 3, _COMMON, settings).rates[0])
    mean = fit_of("I", settings).times.mean[0]
    return {
        (M, k): _steady(
            _system(M, k, rate, settings), rate * mean * MoA(M, k).inferences(), settings, settings.seed + 50 + place
        )
        for place, (M, k) in enumerate(configurations())
    }


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(8.4, 3.7)
        left, right = figure.subplots(1, 2)
        for colour, (M, k) in zip((BLUE, ORANGE, GREEN), _SHOWN, strict=True):
            line = np.array(_by_count(settings)[(M, k)])
            left.errorbar(
                line[:, 0], line[:, 1], yerr=line[:, 2], color=colour, marker="o", markersize=4, label=f"M={M}, k={k}"
            )
            left.plot(PROMPTS, published_row("I", M, k).latency, marker="D", color=VERMILION, markersize=6, zorder=5)
            steady = _over_load(settings)[(M, k)]
            right.errorbar(
                [p.load for p in steady],
                [p.simulated for p in steady],
                yerr=[p.half_width for p in steady],
                color=colour,
                fmt="o",
                markersize=4,
                label=f"M={M}, k={k}",
            )
            fine = np.linspace(0.02, 0.93, 25)
            right.plot(fine, [latency(stable_system(M, k, x, settings)).mean for x in fine], color=colour, linewidth=1.2)
            right.axhline(published_row("I", M, k).latency, color=colour, linewidth=0.8, linestyle=(0, (2, 3)))
        left.plot([], [], marker="D", color=VERMILION, linestyle="none", label="published")
        left.set_xscale("log")
        left.set_yscale("log")
        left.set_xticks(_COUNTS, [str(count) for count in _COUNTS])
        left.minorticks_off()
        left.set_yticks([30, 100, 300, 1000, 3000, 10000], ["30", "100", "300", "1,000", "3,000", "10,000"])
        left.set_xlabel("prompts in the run")
        left.set_ylabel("mean latency (s)")
        left.legend(loc="upper left")
        heading(left, "At the published rate", "one prompt a second, services of Table I")
        right.set_xlim(0, 1)
        right.set_ylim(0, 1500)
        right.set_xlabel("α((k + 1)M + 1)λ")
        right.set_ylabel("mean latency (s)")
        right.legend(loc="upper left")
        heading(right, "In steady state at stable loads", "lines: theory; points: simulated; dotted: published")
        for axes in (left, right):
            grid_lines(axes.yaxis)
        return figure


def reproduce(settings: Settings) -> Outcome:
    """Runs of other lengths, and steady states of stable loads.

    Parameters
    ----------
    settings : Settings
    """
    loads = {(M, k): nominal_load(M, k, settings) for M, k in configurations()}
    grown, common = _by_count(settings), _at_common_rate(settings)
    ten, hundred = ({c: next(v for n, v, _ in line if n == count) for c, line in grown.items()} for count in (10, 100))
    fluid = {c: overload(published_system(*c, settings)) for c in _SHOWN}
    rows = []
    for M, k in configurations():
        most = stable_system(M, k, 1.0, settings).rates[0]
        steady = common[(M, k)]
        rows.append(
            (
                f"M={M}, k={k}",
                f"{loads[(M, k)]:.0f}",
                f"{published_row('I', M, k).latency:,.0f} s",
                show_rate(float(most)),
                f"{100 * steady.load:.0f} %",
                f"{steady.simulated:,.0f} ± {steady.half_width:.1f} s",
                f"{steady.waiting:.3f}",
            )
        )
    by_published = sorted(configurations(), key=lambda c: published_row("I", *c).latency)
    same_order = by_published == sorted(configurations(), key=lambda c: common[c].simulated)
    rate = show_rate(common[(2, 3)].rate)
    least, most = common[(0, 0)], common[(2, 3)]
    return Outcome(
        published="The tables give latency and average queue size of ten prompts that arrive within about ten seconds, "
        "although the theorem is about queues that stay bounded for ever.",
        how=(
            "Service times are those estimated from Table I. Runs of 1 to 300 prompts at the published rate are simulated "
            f"exactly; then the seven configurations in steady state, {settings.queries:,} prompts each, at rates that Theorem "
            "1 allows.",
        ),
        findings=(
            f"At the published rate the left-hand side of Theorem 1 is {min(loads.values()):.0f} to {max(loads.values()):.0f}: "
            "far outside the region. Latency therefore depends on when one stops. With a hundred prompts in place of ten it is "
            + ", ".join(f"{hundred[c] / ten[c]:.1f} times as long for M={c[0]}, k={c[1]}" for c in _SHOWN)
            + ".",
            f"To be stable with M=2, k=3 a user may send {rows[-1][3]} at most, not 900 an hour.",
            f"At {rate} and user, where M=2, k=3 runs at load {_COMMON:g}, latencies are {least.simulated:.0f} s (M=0) to "
            f"{most.simulated:.0f} s (M=2, k=3): {most.simulated / least.simulated:.0f} times, in place of "
            f"{published_row('I', 2, 3).latency / published_row('I', 0, 0).latency:.0f} times in Table I.",
            *(("The order of the configurations by latency is the same in both.",) if same_order else ()),
        ),
        tables=(
            Table(
                f"Table I as published, and in steady state at {rate} of each user",
                (
                    "",
                    "load, published",
                    "latency, published",
                    "largest rate",
                    "load",
                    "latency",
                    "waiting",
                ),
                tuple(rows),
            ),
        ),
        checks=tuple(
            Check(
                quantity=f"mean latency in steady state, M={M}, k={k}, load {p.load:g}",
                unit="s",
                expected=p.theory,
                reproduced=p.simulated,
                ci95=p.half_width,
                against="dmoa latency (approximation)",
            )
            for (M, k), line in _over_load(settings).items()
            for p in line
        )
        + tuple(
            Check(
                quantity=f"load as it arrives in the published experiment, M={M}, k={k}",
                unit="",
                expected=loads[(M, k)] if M == 0 else None,
                reproduced=float(fluid[(M, k)].effective.max()),
                ci95=None,
                against="nominal load; less where overload holds back later layers",
            )
            for M, k in _SHOWN
        ),
        pictures=(
            Picture(
                name="transient",
                caption="Left, at the published rate latency grows with the number of prompts one waits for; right, latency in "
                "steady state at loads that Theorem 1 allows.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
