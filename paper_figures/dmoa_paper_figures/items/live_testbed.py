"""Predictions from measured profiles against recorded runs of the live network with real engines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.lines import Line2D

from dmoa_paper_figures.experiment.live_record import LiveRecord, at_work, read_live
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory.live.expected import Expected, expected
from dmoa_theory.live.measured_run import MeasuredRun, evaluate
from dmoa_theory.plots.scales import grid_lines, legend_below
from dmoa_theory.plots.style import BLUE, GREY, INK, ORANGE, PALE, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["RUNS", "by_crowd", "evaluated", "foreseen", "reproduce"]

#: The bundled runs: services padded to those of the profile, and those that the engines took.
RUNS = ("padded", "real")
#: Ends of the groups of inferences by devices at work during them.
_CROWDS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
_FIGURES = ("mean", "p50", "p95")
_LEVELS = (0.5, 0.95)
_MARKS = (("o", "mean"), ("s", "p95"))


class _Source(NamedTuple):
    name: str
    colour: str
    values: dict[str, float]
    lower: dict[str, float]
    upper: dict[str, float]


@cache
def evaluated(name: str, settings: Settings) -> MeasuredRun:
    """Measured, beside theory and simulation: a bundled run, its scenario that of the profile.

    Parameters
    ----------
    name : str
        One of :data:`RUNS`.
    settings : Settings
    """
    live = read_live(name)
    return evaluate(live.record, live.system, seed=settings.seed, runs=settings.live_runs)


@cache
def foreseen(name: str, settings: Settings) -> Expected:
    """Simulated: runs of the same length with the service times of the profile, before anything was run.

    Parameters
    ----------
    name : str
    settings : Settings
    """
    live = read_live(name)
    return expected(live.system, len(live.record.prompts), seed=settings.seed, runs=settings.live_runs)


def by_crowd(live: LiveRecord) -> list[tuple[float, float, int]]:
    """Measured: devices at work, service time over that of the profile (means), and how many inferences; by group.

    Parameters
    ----------
    live : LiveRecord
    """
    crowd, ratio = at_work(live.record), live.record.jobs.service / live.foreseen
    group = np.clip(np.searchsorted(_CROWDS, crowd, side="right") - 1, 0, len(_CROWDS) - 2)
    return [
        (float(crowd[group == g].mean()), float(ratio[group == g].mean()), int((group == g).sum()))
        for g in range(len(_CROWDS) - 1)
        if (group == g).any()
    ]


def _sources(name: str, settings: Settings) -> list[_Source]:
    """Who says what of mean, median and p95."""
    run, before = evaluated(name, settings), foreseen(name, settings)

    def stated(title: str, colour: str, says: object) -> _Source:
        values = {figure: float(getattr(says, figure)) for figure in _FIGURES}
        return _Source(title, colour, values, values, values)

    def simulated(title: str, colour: str, runs: Expected) -> _Source:
        mean, lower, upper = ({f: float(part[f]) for f in _FIGURES} for part in (runs.mean, runs.lower, runs.upper))
        return _Source(title, colour, mean, lower, upper)

    again = run.replayed.within(run.window)
    replay = dict(zip(_FIGURES, (float(again.mean()), *np.quantile(again, _LEVELS).tolist()), strict=True))
    seen = {figure: run.figures[figure] for figure in _FIGURES}
    return [
        stated("theory, profile", VERMILION, run.nominal),
        simulated("simulated, profile", VERMILION, before),
        stated("theory, measured times", ORANGE, run.theory),
        simulated("simulated, measured times", ORANGE, run.simulated),
        _Source("replay of the run", GREY, replay, replay, replay),
        _Source(
            "measured",
            BLUE,
            {figure: float(each.value) for figure, each in seen.items()},
            {figure: float(each.value - each.half_width) for figure, each in seen.items()},
            {figure: float(each.value + each.half_width) for figure, each in seen.items()},
        ),
    ]


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(9.6, 4.2)
        panels = figure.subplots(1, 3)
        for axes, name, title in zip(panels, RUNS, ("Padded to the profile", "In their own time"), strict=False):
            _draw_latency(axes, _sources(name, settings), label=name == RUNS[0])
            heading(axes, title, "bars: 95 % of such runs, or interval")
        _draw_services(panels[2], read_live("real"))
        return figure


def _draw_latency(axes: Axes, sources: list[_Source], *, label: bool) -> None:
    for row, source in enumerate(sources):
        for (marker, name), shift in zip(_MARKS, (-0.16, 0.16), strict=True):
            y = row + shift
            axes.plot([source.lower[name], source.upper[name]], [y, y], color=source.colour, linewidth=1.2)
            axes.plot(source.values[name], y, marker, color=source.colour, markersize=5.5)
    axes.set_yticks(range(len(sources)), [source.name if label else "" for source in sources])
    axes.set_ylim(len(sources) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("latency (s)")
    if not label:
        keys = [Line2D([], [], marker=m, color=INK, linestyle="none", markersize=5, label=name) for m, name in _MARKS]
        legend_below(axes, keys)
    grid_lines(axes.xaxis)


def _draw_services(axes: Axes, live: LiveRecord) -> None:
    crowd, ratio = at_work(live.record), live.record.jobs.service / live.foreseen
    axes.plot(crowd, ratio, ".", color=BLUE, alpha=0.35, markersize=4, label="an inference")
    groups = np.array([(x, y) for x, y, _ in by_crowd(live)])
    axes.plot(groups[:, 0], groups[:, 1], "o-", color=INK, markersize=5, linewidth=1.2, label="mean of a group")
    cores, devices = live.record.facts["hardware"]["n_cores"], live.record.n_devices
    busy = np.linspace(1, devices, 50)
    axes.plot(
        busy, np.maximum(1, busy / cores), color=VERMILION, linewidth=1.2, linestyle=(0, (4, 3)), label="cores shared fairly"
    )
    error = live.profile.fit.stated_error
    axes.axhspan(1 - error, 1 + error, color=PALE, zorder=0)
    axes.set_xlim(0.9, devices + 0.1)
    axes.set_ylim(0, 1.25 * max(float(np.quantile(ratio, 0.998)), devices / cores))
    axes.set_xlabel("devices at work meanwhile")
    axes.set_ylabel("service time / that of the profile")
    legend_below(axes, axes.get_lines())
    grid_lines(axes.yaxis)
    heading(axes, f"Four engines, {cores} cores", f"grey: the profile, typically {100 * error:.0f} % off")


def _made(name: str) -> str:
    """How a run was made, in a sentence."""
    live = read_live(name)
    facts, machine = live.record.facts, live.record.facts["hardware"]
    speed = f", {facts['speed']:g} times faster than the scenario" if facts["speed"] != 1 else ""
    return (
        f"{name}: recorded on {facts['created'][:10]} on {machine['cpu_model']}, {machine['n_cores']} cores, "
        f"Python {machine['python']}, dmoa {facts['dmoa']}; {len(live.record.prompts)} prompts, "
        f"{live.system.moa.label}{speed}; {live.record.n_devices} engines of {facts['backend']} with {facts['model']}, random "
        f"weights. Profile: {live.profile.describe()}. By {'; '.join(facts['made_by'])}."
    )


def _checks(name: str, settings: Settings) -> list[Check]:
    run = evaluated(name, settings)
    row = run.row("mean latency")
    foretold = "dmoa latency, service times of the profile"
    if name == "real":
        foretold += "; differs because cores are shared"
    found = [
        Check(
            quantity=f"mean latency measured, {name}",
            unit="s",
            expected=expected_one,
            reproduced=row.measured,
            ci95=row.half_width,
            against=against,
        )
        for expected_one, against in ((row.scenario, foretold), (row.theory, "dmoa latency, measured service times"))
    ]
    for d, device in enumerate(run.record.names):
        at = run.row("utilisation", device)
        found.append(
            Check(
                quantity=f"utilisation of {device}, {name}",
                unit="",
                expected=at.theory,
                reproduced=at.measured,
                ci95=float(run.figures["utilisation"].half_width[d]),
                against="the region at the measured service times",
            )
        )
    return found


def _findings(settings: Settings) -> tuple[str, ...]:
    padded, real, live = evaluated("padded", settings), evaluated("real", settings), read_live("real")
    before = foreseen("padded", settings)
    low, high = ({figure: float(part[figure]) for figure in _FIGURES} for part in (before.lower, before.upper))
    near, far = padded.row("mean latency"), real.row("mean latency")
    ratio, groups = live.record.jobs.service / live.foreseen, by_crowd(live)

    def off(value: float, row_measured: float) -> str:
        return f"{100 * (value / row_measured - 1):+.1f} %"

    return (
        f"Where services take what the profile says, the profile foretells the network: {near.scenario:.2f} s mean latency by "
        f"theory, {near.measured:.2f} s measured ({off(near.scenario, near.measured)}), within the "
        f"{low['mean']:.2f} to {high['mean']:.2f} s of 95 % of the runs simulated beforehand; p95 {padded.nominal.p95:.2f} s "
        f"and {float(padded.figures['p95'].value):.2f} s, of {low['p95']:.2f} to {high['p95']:.2f} s. The LLM overran its time "
        f"in {100 * padded.overruns:.1f} % of the inferences.",
        f"Left to themselves, four engines on {live.record.facts['hardware']['n_cores']} cores were "
        f"{100 * (ratio.mean() - 1):+.0f} % off the profile, {100 * (groups[0][1] - 1):+.0f} % while hardly another device was "
        f"at work and {100 * (groups[-1][1] - 1):+.0f} % in the most crowded group. What the profile foretells, "
        f"{far.scenario:.2f} s, stands beside {far.measured:.2f} s measured ({off(far.scenario, far.measured)}): a profile "
        "holds for devices with processors of their own.",
        f"At the service times measured in that very run theory says {far.theory:.2f} s ({off(far.theory, far.measured)}) and "
        f"simulated runs {far.simulated:.2f} s, 95 % of them {far.lower:.2f} to {far.upper:.2f} s: the queues are as said; "
        "it is the seconds of an inference that have to be known.",
        f"Through ideal queues the same prompts, choices and seconds take {padded.replayed.replayed.mean():.2f} and "
        f"{real.replayed.replayed.mean():.2f} s: {1000 * padded.replayed.overhead:.0f} and "
        f"{1000 * real.replayed.overhead:.0f} ms a prompt are network, hand-over, disk and the wait for a processor.",
    )


def reproduce(settings: Settings) -> Outcome:
    """Predictions before the runs, at the measured service times, and the runs.

    Parameters
    ----------
    settings : Settings
    """
    rows = []
    for name in RUNS:
        sources = _sources(name, settings)
        measured = sources[-1].values["mean"]
        rows += [
            (
                f"{name}: {source.name}",
                *(f"{source.values[figure]:.2f} s" for figure in _FIGURES),
                f"{100 * (source.values['mean'] / measured - 1):+.1f} %",
            )
            for source in sources
        ]
    crowded = tuple((f"{x:.2f}", f"{count:,}", f"{100 * (y - 1):+.0f} %") for x, y, count in by_crowd(read_live("real")))
    return Outcome(
        published="The paper measures no service times and predicts no latency; its experiment replays recorded times on one "
        "machine.",
        how=(
            "Two runs of the live network, one node a device and an engine in each, are bundled as they were recorded; "
            "prediction, simulation, replay and comparison are computed from them here. In the first every inference is padded "
            "to a time drawn by the profile, as on a device of its own; in the second engines take their own time.",
            *(_made(name) for name in RUNS),
            "The prediction takes token lengths and rates from the scenario and seconds from the profile. Simulated runs "
            f"({settings.live_runs}) are as long as the live one and start from empty queues too.",
        ),
        findings=_findings(settings),
        not_reproduced=(
            "Real devices: engines that share a machine slow each other down, and nothing here has a processor of its own.",
            "Answers that mean something: the weights are random, which take as long as trained ones.",
        ),
        tables=(
            Table("Latency, predicted and measured", ("", "mean", "median", "p95", "mean, off measured"), tuple(rows)),
            Table("Service times against the profile, real", ("devices at work", "inferences", "off the profile"), crowded),
        ),
        checks=tuple(check for name in RUNS for check in _checks(name, settings)),
        pictures=(
            Picture(
                name="live-testbed",
                caption="Latency foretold from a profile, at the measured service times, replayed, and measured: padded to the "
                "profile, and with engines that share cores; right, what sharing does to an inference.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
