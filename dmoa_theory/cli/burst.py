"""``dmoa burst``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dmoa_theory.cli.options import SECONDS, WHOLE, Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table, progress
from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_theory.model.arrival_log import ArrivalLog, Dispersion
    from dmoa_theory.simulation.bursts.burst_result import BurstResult
    from dmoa_theory.simulation.output.intervals import Interval

__all__ = ["burst"]

_INTERRUPTED = 130
# Chance below which counts are held to be none of a Poisson process.
_DOUBTFUL = 0.01


def burst(
    scenario: Path | None = None,
    /,
    *,
    prompts: Annotated[
        int | None, WHOLE, Parameter(help="How many prompts arrive in a run. Either this, or --until, or --arrivals.")
    ] = None,
    until: Annotated[float | None, SECONDS, Parameter(help='Or: seconds, or "5 min", up to which prompts arrive.')] = None,
    arrivals: Annotated[
        Path | None,
        Parameter(
            help="Or: a CSV of prompts as they came, columns time (seconds, or dates) and user. Played as they are, beside"
            " Poisson arrivals at the same rates, which the formulas of latency take."
        ),
    ] = None,
    at_once: Annotated[
        bool, Parameter(negative="", help="All --prompts arrive at time 0, at users drawn by their rates.")
    ] = False,
    buffer: Annotated[
        int | None, WHOLE, Parameter(help="Tell how often, and when, so many jobs first wait at a device.")
    ] = None,
    replications: Annotated[int, WHOLE, Parameter(help="Independent runs.")] = 100,
    seed: Annotated[int, WHOLE, Parameter(help="Same seed, same answer.")] = 0,
    workers: Annotated[int, WHOLE, Parameter(help="Processes; the answer does not depend on them.")] = 1,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Finite runs from empty queues: a burst of prompts, queues over time, when a buffer is full.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example. It need not be stable.
    """
    from dmoa_theory.model.arrival_log import read_arrivals
    from dmoa_theory.simulation.bursts.burst import simulate_burst

    system = options.system(scenario)
    log = None if arrivals is None else read_arrivals(arrivals, system.network)
    try:
        with progress("runs from empty queues") as advance:
            result = simulate_burst(
                system,
                prompts=prompts,
                until=until,
                at_once=at_once,
                arrivals=log,
                buffer=buffer,
                replications=replications,
                seed=seed,
                workers=workers,
                progress=advance,
            )
    except InputError as error:  # of the options: the scenario has been read
        raise error.located(field=f"--{error.field.replace('_', '-')}") from None
    written = None if options.out is None else _write(result, OutFolder(options.out))
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.report import headline

        out_console = console()
        print_lines(out_console, headline(result.system))
        print_table(out_console, result.table())
        print_table(out_console, result.device_table())
        print_lines(out_console, _lines(result))
        if written is not None:
            print_lines(out_console, [str(written)])
    return _INTERRUPTED if result.partial else 0


def _write(result: BurstResult, out: OutFolder) -> OutFolder:
    from dmoa_theory.plots.trajectories import plot_trajectories

    out.document("burst.json", result.to_dict())
    out.table("burst.csv", result.records())
    out.table("queues.csv", result.device_records())
    out.table("trajectories.csv", result.trajectory_records())
    out.picture("trajectories.png", plot_trajectories(result))
    return out


def _logged(result: BurstResult, log: ArrivalLog) -> Iterator[str]:
    """What the list is like, and what the formulas of latency, which take Poisson arrivals, make of it."""
    from dmoa_theory.quantities import show_seconds

    seen, users = log.dispersion(), int((log.counts > 0).sum())
    who = f"{users} of {log.n_devices} devices" if users < log.n_devices else f"all {log.n_devices} devices"
    yield f"{log.prompts:,} prompts of {who} in {show_seconds(log.span)}; {_evenness(seen)}."
    if result.poisson is None:
        return
    beside = ", ".join(
        f"{name} {ratio:.3g} ± {error:.2g} times"
        for name, ratio, error in (
            ("mean", *_ratio(result.mean, result.poisson.mean)),
            ("p95", *_ratio(result.p95, result.poisson.p95)),
        )
        if ratio == ratio
    )
    yield (
        f"Latency is, beside that of Poisson arrivals at the same rates: {beside}. `dmoa latency`, `plan` and `simulate` take"
        " Poisson arrivals; what they say has to be multiplied by that for prompts like these."
    )


def _ratio(ours: Interval, theirs: Interval) -> tuple[float, float]:
    """One figure over the other, with half of its 95 % interval."""
    if not theirs.value > 0:
        return math.nan, math.nan
    ratio = float(ours.value / theirs.value)
    return ratio, ratio * math.hypot(float(ours.half_width / ours.value), float(theirs.half_width / theirs.value))


def _evenness(seen: Dispersion) -> str:
    """How unevenly prompts came, in words."""
    from dmoa_theory.quantities import show_seconds

    if not seen.windows:
        return "too few to tell whether they come as a Poisson process"
    counted = f"counted {show_seconds(seen.window)} at a time, their variance is {seen.counts:.3g} times their mean"
    if seen.chance < _DOUBTFUL:
        return f"{counted} (a Poisson process': 1): they come in clumps, or at rates that change"
    if seen.chance > 1 - _DOUBTFUL:
        return f"{counted} (a Poisson process': 1): they come more evenly than that"
    return f"{counted}, which is not to be told from the 1 of a Poisson process"


def _lines(result: BurstResult) -> Iterator[str]:
    """How latency grows with the place in the burst, how far a single run strays, when buffers are full."""
    from dmoa_theory.quantities import show_seconds, show_share

    if result.log is not None:
        yield from _logged(result, result.log)
    places = result.places
    if result.prompts is not None and result.log is None and places.first.size > 1:
        first, last = (show_seconds(float(places.mean.value[p])) for p in (0, -1))
        which = (
            "the last" if places.first[-1] == places.last[-1] else f"one of the last {places.last[-1] - places.first[-1] + 1}"
        )
        start = "the first prompt" if places.last[0] == 1 else f"one of the first {places.last[0]} prompts"
        yield f"On average {start} takes {first}, {which} {last}."
    if result.mean_deviation == result.mean_deviation:
        yield f"The mean latency of a single run strays by {show_seconds(result.mean_deviation)} (standard deviation)."
    if result.buffer is not None:
        somewhere = result.buffer.any_device
        chance = show_share(float(somewhere.chance.value))
        when = f", half of them by {show_seconds(float(somewhere.median))}" if somewhere.chance.value > 0 else ""
        yield f"A device has {result.buffer.size:,} jobs waiting at some time in {chance} of the runs{when}."
    for reason in result.reasons:
        if reason.startswith(("published is null", "ends of the interval")):
            continue  # of figures that only the JSON holds
        yield f"{reason[0].upper()}{reason[1:]}."
    for text in result.system.warnings():
        yield f"Beware: {text}."
