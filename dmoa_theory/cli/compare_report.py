"""What ``dmoa compare --measured`` says of a live run beside theory and simulation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dmoa_theory.quantities import show_number, show_seconds, show_share

if TYPE_CHECKING:
    from dmoa_theory.compare_measured import MeasuredComparison, Off

__all__ = ["measured_lines"]

#: Prompts below which percentiles of a run are biased so much that it shows.
_FEW = 1000


def measured_lines(beside: MeasuredComparison) -> Iterator[str]:
    """What ran, how far it is from what theory and simulation say at either service times, and what to be wary of.

    Parameters
    ----------
    beside : MeasuredComparison
    """
    run, facts = beside.run, beside.run.record.facts
    engine = "no LLM" if facts.get("backend") is None else facts["backend"]
    yield (
        f"Measured, {facts['mode']} ({engine}): {run.answered:,} of {len(run.record.prompts):,} prompts answered, figures of "
        f"{run.timed:,}; seed {facts['seed']}."
    )
    yield from _as_run(beside)
    yield _service(beside)
    if run.averages:
        row = next(row for row in beside.rows if (row.quantity, row.of) == ("mean latency", "all prompts"))
        for said, where in ((row.scenario, "the scenario's"), (row.at_measured, "the measured")):
            parts = [
                f"{_side(off)} the {who} ({show_seconds(value)})"
                for off, who, value in (
                    (row.off_theory(said), "theory", said.theory),
                    (row.off_simulated(said), "simulation", said.simulated),
                )
                if math.isfinite(off.difference)
            ]
            if parts:
                yield f"Its mean latency, {show_seconds(row.measured)}, is at {where} service times {' and '.join(parts)}."
        again = run.replayed
        if again.prompts and not run.partial:
            yield (
                f"The run itself through ideal queues takes {show_seconds(float(again.replayed.mean()))}: "
                f"{show_seconds(again.overhead)} ({show_share(again.share)}) is network, hand-over and the wait for a "
                "processor, which neither theory nor simulation has."
            )
        alike = "of the same length, cut alike" if run.list_name is None else "of the same prompts at the same times"
        yield f"Standard errors of measured figures are the scatter of {run.simulated.runs} simulated runs {alike}."
        if run.list_name is None and run.kept < _FEW:
            yield (
                f"Percentiles of {run.kept:,} prompts lie below those of a steady state, in simulated runs as in this one: "
                "hold measured ones against simulated, not against the theory."
            )
    yield from (f"Of the run: {reason}." for reason in run.reasons())


def _as_run(beside: MeasuredComparison) -> Iterator[str]:
    """Speed and load, where they are not the scenario's."""
    facts = beside.run.record.facts
    speed = float(facts.get("speed", 1.0))
    if speed != 1:
        factor = f"{show_number(speed)} times faster" if speed > 1 else f"{show_number(1 / speed)} times slower"
        yield f"Times are as run, {factor} than the scenario's."
    if facts.get("load") is not None:
        yield f"Rates are as run, scaled so that the busiest device has load {facts['load']:g} by the scenario's times."


def _service(beside: MeasuredComparison) -> str:
    """How far the measured service times are from those of the scenario, which is why there are two tables."""
    jobs = beside.run.record.jobs
    apart = {}
    for d, each in enumerate(beside.run.payload()["service"]):
        ran = [stage for place, stage in enumerate(each["measured"]) if ((jobs.device == d) & (jobs.kind == place)).any()]
        if ran:
            said = sum(each["scenario"][stage] for stage in ran)
            apart[beside.run.record.names[d]] = sum(each["measured"][stage] for stage in ran) / said - 1
    low, high = min(apart, key=lambda name: apart[name]), max(apart, key=lambda name: apart[name])
    return (
        f"Measured service times are {100 * apart[low]:+.1f} % ({low}) to {100 * apart[high]:+.1f} % ({high}) off the "
        "scenario's on average over the stages that ran. The second table is at them, and its simulated runs are as long as "
        "the live one."
    )


def _side(off: Off) -> str:
    errors = f" ({abs(off.standard_errors):.1f} standard errors)" if math.isfinite(off.standard_errors) else ""
    return f"{100 * abs(off.difference):.1f} %{errors} {'above' if off.difference > 0 else 'below'}"
