"""``dmoa latency``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import (
    console,
    folder,
    json_text,
    print_json,
    print_lines,
    print_table,
    progress,
    write_csv,
    write_text,
)
from dmoa_theory.delay.latency import latency as estimate_latency
from dmoa_theory.quantities import show_number, show_seconds, show_share
from dmoa_theory.results import jsonable

if TYPE_CHECKING:
    from dmoa_theory.delay.target import TargetScale

__all__ = ["latency"]

_UNSTABLE_OR_MISSED = 3


def latency(
    scenario: Path | None = None,
    /,
    *,
    target: Annotated[
        str | None,
        Parameter(help='Up to which load is this met? Such as p95=60 or "mean=2 min"; mean, p50, p95 or p99 of all prompts.'),
    ] = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """How long do prompts take? Mean and percentiles, and the memory that queues need (an approximation).

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    from dmoa_theory.delay.target import largest_scale, parse_target

    asked = None if target is None else parse_target(target, field="--target")
    system = options.system(scenario)
    with progress("latency of every user") as advance:
        result = estimate_latency(system, progress=advance)
    found = None
    if asked is not None:
        with progress("load by load") as advance:
            found = largest_scale(system, *asked, progress=advance)
    document = result.to_dict() | {"target": None if found is None else jsonable(found.payload())}
    if options.out is not None:
        from dmoa_theory.plots.latency import plot_latency
        from dmoa_theory.plots.style import save

        out = folder(options.out)
        write_text(out / "latency.json", json_text(document))
        write_csv(out / "latency.csv", result.records())
        write_csv(out / "queues.csv", result.device_records())
        if found is not None:
            write_csv(out / "target.csv", found.records())
        save(plot_latency(result, target=asked), out / "latency.png")
    if options.json:
        print_json(document)
    else:
        from dmoa_theory.cli.report import headline, latency_lines

        out_console = console()
        print_lines(out_console, headline(system))
        print_table(out_console, result.table())
        print_table(out_console, result.device_table())
        print_lines(out_console, latency_lines(result))
        if found is not None:
            print_lines(out_console, _target_lines(found))
    return 0 if result.stable and (found is None or found.met) else _UNSTABLE_OR_MISSED


def _target_lines(found: TargetScale) -> Iterator[str]:
    """Whether the target is met, up to which load, and how sure that is."""
    name = "mean" if found.level == "mean" else found.level
    limit, now = show_seconds(found.seconds), show_seconds(found.present)
    yield f"Target: {name} of {limit} at most. It is {'met' if found.met else 'MISSED'} at the present load, with {now}."
    if found.scale == 0:
        yield f"No load meets it: a prompt that finds every device idle takes {show_seconds(found.empty)} ({name})."
    else:
        load = show_share(found.scale / found.critical_scale)
        edge = "" if found.bound_by == "target" else "; beyond it queues are not bounded, however large the target"
        yield f"It is met up to {show_number(found.scale)} times the present rates, the busiest device at {load}{edge}."
    if found.interval is not None and found.interval != (found.scale, found.scale):
        low, high = (show_number(each) for each in found.interval)
        yield f"With estimates off by their typical error, up to {low} to {high} times."
    if not found.monotone:
        yield "The estimate does not rise with the load everywhere; that is where it first exceeds the target."
