"""``dmoa burst``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dmoa_theory.cli.options import SECONDS, WHOLE, Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table, progress
from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_theory.model.system import System
    from dmoa_theory.simulation.bursts.burst_result import BurstResult

__all__ = ["burst"]

_INTERRUPTED = 130
# Looks at the queues of a list of prompts, at most and at least, and looks at all devices in all runs that are kept.
_MOST_LOOKS, _FEWEST_LOOKS, _KEPT_LOOKS = 2_000, 200, 10**7


def burst(
    scenario: Path | None = None,
    /,
    *,
    prompts: Annotated[
        int | None,
        WHOLE,
        Parameter(help="How many prompts arrive in a run. Either this, or --until, or --arrivals, or log in the scenario."),
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

    if arrivals is not None and (prompts is not None or until is not None or at_once):
        raise InputError("--arrivals", arrivals, "alone: the list says how many prompts come, and when")
    system = options.system(scenario)
    log = None if arrivals is None else read_arrivals(arrivals, system.network)
    if prompts is None and until is None and not at_once and arrivals is None:
        log = system.log
    looks = _FEWEST_LOOKS  # prompts that come in bouts are missed by too few
    if log is not None and replications > 0:
        looks = min(max(_KEPT_LOOKS // (replications * system.n_devices), _FEWEST_LOOKS), _MOST_LOOKS)
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
                points=looks,
                progress=advance,
            )
    except InputError as error:  # of the options: the scenario has been read
        raise error.located(field=f"--{error.field.replace('_', '-')}") from None
    written = None if options.out is None else _write(result, OutFolder(options.out))
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.arrival_report import arrival_table
        from dmoa_theory.cli.report import headline

        out_console = console()
        print_lines(out_console, headline(result.system))
        if result.log is not None:
            print_table(out_console, arrival_table(result, result.log, system))
        print_table(out_console, result.table())
        print_table(out_console, result.device_table())
        print_lines(out_console, _lines(result, system))
        if written is not None:
            print_lines(out_console, [str(written)])
    return _INTERRUPTED if result.partial else 0


def _write(result: BurstResult, out: OutFolder) -> OutFolder:
    from dmoa_theory.plots.trajectories import plot_trajectories

    out.document("burst.json", result.to_dict())
    out.table("burst.csv", result.records())
    out.table("users.csv", result.user_records())
    out.table("queues.csv", result.device_records())
    out.table("trajectories.csv", result.trajectory_records())
    out.picture("trajectories.png", plot_trajectories(result))
    return out


def _lines(result: BurstResult, system: System) -> Iterator[str]:
    """How latency grows with the place in the burst, how far a single run strays, when buffers are full."""
    from dmoa_theory.quantities import show_seconds, show_share

    if result.log is not None:
        from dmoa_theory.cli.arrival_report import arrival_lines

        yield from arrival_lines(result, result.log, system)
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
