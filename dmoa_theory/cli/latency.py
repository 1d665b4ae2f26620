"""``dmoa latency``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter

from dmoa_theory.cli.options import WHOLE, Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table, progress
from dmoa_theory.delay.latency import latency as estimate_latency
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import jsonable

if TYPE_CHECKING:
    from dmoa_theory.compare import Comparison
    from dmoa_theory.delay.latency_estimate import LatencyEstimate
    from dmoa_theory.delay.single_queue.device_queues import DeviceQueues
    from dmoa_theory.delay.target import TargetScale

__all__ = ["latency"]

#: What is written to --out, some of it only on demand or where the system is stable.
FILES = (
    "latency.json", "latency.csv", "latency.png", "queues.csv", "target.csv", "single_queues.csv", "verification.csv",
    "where_time_goes.csv", "where_time_goes.png", "over_load.csv", "over_load.png",
)  # fmt: skip
_UNSTABLE_OR_MISSED = 3
_INTERRUPTED = 130


def latency(
    scenario: Path | None = None,
    /,
    *,
    target: Annotated[
        str | None,
        Parameter(help='Up to which load is this met? Such as p95=60 or "mean=2 min"; mean, p50, p95 or p99 of all prompts.'),
    ] = None,
    verify: Annotated[bool, Parameter(negative="", help="Simulate this very system, and print both side by side.")] = False,
    queries: Annotated[int | None, WHOLE, Parameter(help="Prompts that --verify keeps; default 1 million.")] = None,
    seed: Annotated[int | None, WHOLE, Parameter(help="Of the simulation of --verify; default 0.")] = None,
    queues: Annotated[
        bool, Parameter(negative="", help="Each device as a queue of its own (M/G/1): waits, busy periods, decay of the tail.")
    ] = False,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """How long do prompts take? Mean and percentiles, and the memory that queues need (an approximation).

    With --out also pictures: latency by user, latency against load for neighbouring (M, k), and where the time goes.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    from dmoa_theory.cli.verification import QUERIES, check_length, check_options, verification_document
    from dmoa_theory.cli.verification import verify as simulate_it
    from dmoa_theory.delay.target import largest_scale, parse_target

    asked = None if target is None else parse_target(target, field="--target")
    check_options(verify=verify, queries=queries, seed=seed)
    system = options.system(scenario)
    if verify:
        check_length(system, queries or QUERIES)
    out = None if options.out is None else OutFolder(options.out)
    with progress("latency of every user") as advance:
        result = estimate_latency(system, progress=advance)
    found = alone = seen = None
    if asked is not None:
        with progress("load by load") as advance:
            found = largest_scale(system, *asked, progress=advance)
    if queues:
        from dmoa_theory.delay.single_queue.device_queues import device_queues

        with progress("queue by queue") as advance:
            alone = device_queues(system, progress=advance)
    if verify:
        seen = simulate_it(result, queries=queries or QUERIES, seed=seed or 0)
    document = {
        **result.to_dict(),
        "target": None if found is None else jsonable(found.payload()),
        "queues": None if alone is None else jsonable(alone.payload()),
        "verification": verification_document(result, seen, seed=seed or 0) if verify else None,
    }
    answer = _Answer(result, found, alone, seen, verify, asked)
    if out is not None:
        _write(answer, document, out)
        out.remove(name for name in FILES if name not in out.written)  # of an earlier run
    if options.json:
        print_json(document)
    else:
        _report(answer)
    partial = seen is not None and seen.simulation.partial
    if out is not None and not partial:  # last, as it takes longest: who interrupts it has the answer
        _write_curves(answer, out, say=not options.json)
    if out is not None and not options.json:
        print_lines(console(), [str(out)])
    if partial:
        return _INTERRUPTED
    return 0 if result.stable and (found is None or found.met) else _UNSTABLE_OR_MISSED


class _Answer(NamedTuple):
    """All that was found; None for what was not asked for, or not simulated."""

    estimate: LatencyEstimate
    target: TargetScale | None
    queues: DeviceQueues | None
    verification: Comparison | None
    verify: bool
    asked: tuple[str, float] | None


def _report(answer: _Answer) -> None:
    from dmoa_theory.cli.report import headline, latency_lines, wait_lines
    from dmoa_theory.cli.verification import TABLE_NOTE, verification_lines

    out, estimate = console(), answer.estimate
    print_lines(out, headline(estimate.system))
    print_table(out, estimate.table())
    print_table(out, estimate.device_table())
    print_lines(out, wait_lines(estimate.system))
    if answer.queues is not None:
        print_table(out, answer.queues.table())
        print_lines(out, _queue_lines(answer.queues))
    if answer.verification is not None and answer.verification.rows:
        print_table(out, answer.verification.table())
        print_lines(out, [TABLE_NOTE])
    print_lines(out, latency_lines(estimate))
    if answer.verify:
        print_lines(out, verification_lines(estimate, answer.verification))
    if answer.target is not None:
        print_lines(out, _target_lines(answer.target))


def _queue_lines(found: DeviceQueues) -> Iterator[str]:
    """What the columns mean, and what the figures are."""
    yield (
        "Has to wait: chance that a job finds the device busy. Decay time: of long waits, those longer by so much are 2.7 "
        "times rarer. Busy period: from the job that ends an idle spell to the next idle moment, on average."
    )
    yield from (f"Queues: {reason}." for reason in found.reasons())


def _write(answer: _Answer, document: dict[str, Any], out: OutFolder) -> None:
    """All but the curves."""
    from dmoa_theory.cli.verification import verification_records
    from dmoa_theory.plots.latency import plot_latency

    estimate = answer.estimate
    out.document("latency.json", document)
    tables = {"latency.csv": estimate.records(), "queues.csv": estimate.device_records()}
    if answer.target is not None:
        tables["target.csv"] = answer.target.records()
    if answer.queues is not None:
        tables["single_queues.csv"] = answer.queues.records()
    if answer.verification is not None:
        tables["verification.csv"] = verification_records(answer.verification)
    for name, records in tables.items():
        out.table(name, records)
    out.picture("latency.png", plot_latency(estimate, target=answer.asked))
    if estimate.stable:
        _write_parts(estimate, out)


def _write_parts(estimate: LatencyEstimate, out: OutFolder) -> None:
    """Where the time goes."""
    from dmoa_theory.delay.where_time_goes import where_time_goes
    from dmoa_theory.plots.waterfall import plot_waterfall

    with progress("where the time goes") as advance:
        parts = where_time_goes(estimate.system, progress=advance)
    out.table("where_time_goes.csv", parts.records())
    out.picture("where_time_goes.png", plot_waterfall(parts))


def _write_curves(answer: _Answer, out: OutFolder, *, say: bool) -> None:
    """Latency against load for a few (M, k), not of networks so large that it would take minutes."""
    from dmoa_theory.load_curves import affordable, load_curves, neighbouring_configurations
    from dmoa_theory.plots.load_curves import plot_load_curves

    system = answer.estimate.system
    if not affordable(system):
        if say:
            links = system.network.n_links
            print_lines(
                console(), [f"No over_load.png: with {links:,} links it would take minutes; dmoa compare --loads does it."]
            )
        return
    with progress("latency against load") as advance:
        curves = load_curves(neighbouring_configurations(system), progress=advance)
    out.table("over_load.csv", curves.records())
    out.picture("over_load.png", plot_load_curves(curves, target=answer.asked))


def _target_lines(found: TargetScale) -> Iterator[str]:
    """Whether the target is met, up to which load, and how sure that is."""
    name = "mean" if found.level == "mean" else found.level
    limit, now = show_seconds(found.seconds), show_seconds(found.present)
    if math.isfinite(found.present):
        stands = f"It is {'met' if found.met else 'MISSED'} at the present load, with {now}"
    else:
        stands = "It is MISSED at the present load, at which latency grows without bound"
    yield f"Target: {name} of {limit} at most. {stands}."
    scale, *ends = _alike(found.scale, *(found.interval or ()))
    if found.scale == 0:
        yield f"No load meets it: a prompt that finds every device idle takes {show_seconds(found.empty)} ({name})."
    else:
        load = show_share(found.scale / found.critical_scale)
        edge = "" if found.bound_by == "target" else "; beyond it queues are not bounded, however large the target"
        yield f"It is met up to {scale} times the present rates, the busiest device at {load}{edge}."
    if found.interval is not None and found.interval != (found.scale, found.scale):
        yield f"With estimates off by their typical error, up to {ends[0]} to {ends[1]} times."
    if not found.monotone:
        yield "The estimate does not rise with the load everywhere; that is where it first exceeds the target."


def _alike(*factors: float) -> list[str]:
    """Factors with the same number of decimals, three digits of the largest at least.

    Examples
    --------
    >>> _alike(1.9996, 1.98, 2.0213), _alike(0.9, 0.8903, 0.9219), _alike(25.04, 24.9, 25.3)
    (['2.00', '1.98', '2.02'], ['0.900', '0.890', '0.922'], ['25.0', '24.9', '25.3'])
    """
    largest = max(factors)
    decimals = 2 if largest == 0 else max(0, 2 - math.floor(math.log10(largest)))
    return [f"{factor:,.{decimals}f}" for factor in factors]
