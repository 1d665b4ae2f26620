"""``dmoa overload``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from dmoa_theory.cli.options import WHOLE, Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table
from dmoa_theory.errors import InputError
from dmoa_theory.quantities import rate_unit, show_number, show_seconds, show_share

if TYPE_CHECKING:
    from dmoa_theory.simulation.bursts.burst_summary import QueueTrajectories
    from dmoa_theory.stability.growth.result import Overload

__all__ = ["overload"]

_UNSTABLE = 3
#: Runs that are drawn beside the theory, and inferences in each.
_RUNS, _JOBS, _MOST_JOBS = 20, 5_000, 100_000
_TIMES = 80


def overload(
    scenario: Path | None = None,
    /,
    *,
    scale: Annotated[float, Parameter(help="Multiply all rates by this.")] = 1.0,
    buffer: Annotated[
        int | None, WHOLE, Parameter(help="Jobs that fill a device; default the scenario's memory, or 100.")
    ] = None,
    prompts: Annotated[int, WHOLE, Parameter(help="Of how many first prompts to tell the mean latency.")] = 100,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """What happens beyond the edge? Which queues grow and how fast, what is still answered, when buffers are full.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    from dmoa_theory.stability.growth.overload import overload as fluid

    system = options.system(scenario)
    if not (math.isfinite(scale) and scale > 0):
        raise InputError("--scale", scale, "a finite number above 0")
    if scale != 1:
        try:
            system = system.with_rates(system.rates * scale)
        except InputError:
            raise InputError("--scale", scale, "a factor that leaves rates one can compute with") from None
    try:
        result = fluid(system, buffer=buffer, prompts=prompts)
    except InputError as error:  # of the options: the scenario has been read
        raise error.located(field=f"--{error.field}") from None
    written = None if options.out is None else _write(result, OutFolder(options.out))
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.report import headline

        out = console()
        print_lines(out, headline(system))
        print_table(out, result.table())
        print_lines(out, _lines(result))
        if written is not None:
            print_lines(out, [str(written)])
    return 0 if result.stable else _UNSTABLE


def _lines(result: Overload) -> Iterator[str]:
    """What is answered, how latency grows, what is full first, and what is proved."""
    name, growing = result.system.network.name, result.growing
    yield from _too_small(result)
    busiest = int(result.nominal.argmax())
    load, configuration = float(result.nominal[busiest]), result.system.moa.label
    if result.stable:
        yield f"With {configuration} every queue stays bounded; the busiest device is {name(busiest)}, at {show_share(load)}."
        yield f"So nothing grows; --scale {show_number(1.05 / load)} would show what happens beyond the edge."
    else:
        yield f"UNSTABLE with {configuration}: {name(busiest)} is offered {load:.3g} seconds of work a second."
    if not result.stable and not growing.any():
        yield "That is as much work as it can do: its queue is not bounded, but grows slower than the time."
    elif growing.any():
        offered = float(result.system.rates.sum())
        share = show_share(result.throughput / offered)
        seconds, unit = rate_unit(offered)
        answered, asked = show_number(seconds * result.throughput), show_number(seconds * offered)
        yield f"{share} of the prompts are answered: {answered} of {asked} per {unit}."
        slowest, latency = int(np.nanargmax(result.latency_growth)), float(np.nanmax(result.latency_growth))
        if math.isfinite(latency):
            yield f"A prompt of {name(slowest)} that arrives after an hour takes {show_seconds(3600 * latency)}."
        if math.isfinite(result.mean_latency):
            taken = show_seconds(result.mean_latency)
            yield (
                f"The first {result.prompts:,} prompts wait {taken} on average, while more arrive; "
                "the inferences themselves are not counted."
            )
        full = np.where(result.too_small, np.inf, result.time_to_full)
        first = int(full.argmin())
        if math.isfinite(full[first]):
            what = "The memory" if result.buffer is None else f"A buffer of {show_number(result.buffer)} jobs"
            yield f"{what} is full first at {name(first)}, after {show_seconds(float(full[first]))}."
        relieved = np.flatnonzero((result.nominal > 1) & ~growing)
        if relieved.size:
            some = ", ".join(name(d) for d in relieved[:3].tolist()) + (" and others" if relieved.size > 3 else "")
            yield f"Overloaded devices hold back so many layers that the queue of {some} stays bounded."
        yield f"In the limit of long times, where bounded queues count as empty. {_only_solution(result)}"
    for text in result.system.warnings():
        yield f"Beware: {text}."


def _too_small(result: Overload) -> Iterator[str]:
    """Devices on which nothing runs, however little arrives."""
    small = np.flatnonzero(result.too_small).tolist()
    if small:
        some = ", ".join(result.system.network.name(d) for d in small[:3]) + (
            f" and {len(small) - 3} more" if len(small) > 3 else ""
        )
        yield (
            f"The memory of {some} does not hold even the weights and the largest cache: nothing runs there, at any load; the "
            "rest is told for a memory that is large enough."
        )


def _only_solution(result: Overload) -> str:
    proved, _, why = result.uniqueness.partition(": ")
    return f"That these rates are the only solution is {proved}: {why}."


def _write(result: Overload, out: OutFolder) -> OutFolder:
    from dmoa_theory.plots.overload import plot_growth, plot_loads

    out.document("overload.json", result.to_dict())
    out.table("overload.csv", result.records())
    out.picture("loads.png", plot_loads(result))
    if result.growing.any():
        out.picture("growth.png", plot_growth(result, _simulated(result)))
    else:  # lines along the axis say less than the report
        out.remove(("growth.png",))
    return out


def _simulated(result: Overload) -> QueueTrajectories | None:
    """Jobs at every device in runs from empty while prompts keep arriving; None where nothing grows, or runs would be long."""
    system = result.system
    M, k, _ = system.moa.per_user(system.n_devices)
    per_prompt = float(system.rates @ (M * (k + 1) + 1)) / float(system.rates.sum())
    count = max(_JOBS / per_prompt, 50.0)
    if not result.growing.any() or count * per_prompt > _MOST_JOBS or system.n_devices > _JOBS:
        return None
    from dmoa_theory.simulation.bursts.burst_summary import Band, QueueTrajectories
    from dmoa_theory.simulation.kernel.recorded_run import record_run

    until = count / float(system.rates.sum())
    time = np.linspace(0.0, until, _TIMES)
    seeds = np.random.SeedSequence(0).spawn(_RUNS)
    runs = [record_run(system, until=until, seed=seed) for seed in seeds]
    waiting, there = (
        np.array([getattr(run, what).counts(time) for run in runs], dtype=np.float64) for what in ("waiting", "in_system")
    )

    def band(seen: np.ndarray) -> Band:
        lower, upper = np.quantile(seen, (0.05, 0.95), axis=0)
        return Band(mean=seen.mean(axis=0), error=seen.std(axis=0, ddof=1) / math.sqrt(_RUNS), lower=lower, upper=upper)

    return QueueTrajectories(
        time=time,
        waiting=band(waiting),
        in_system=band(there),
        waiting_per_device=band(waiting.mean(axis=2)),
        in_system_per_device=band(there.mean(axis=2)),
    )
