"""``dmoa simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dmoa_theory.cli.options import WHOLE, Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table, progress
from dmoa_theory.errors import InputError
from dmoa_theory.simulation.steady.simulate import simulate as run_simulation
from dmoa_theory.simulation.steady.simulation_result import SimulationResult
from dmoa_theory.stability.region import StabilityRegion, stability_region

__all__ = ["simulate"]

_MOST_QUERIES = 100_000_000


_OPTIONS = {name: f"--{name.replace('_', '-')}" for name in ("queries", "seed", "replications", "workers", "scheduler")}


def simulate(
    scenario: Path | None = None,
    /,
    *,
    queries: Annotated[int, WHOLE, Parameter(help="Prompts to keep, after a warm-up that a pilot run fixes.")] = 1_000_000,
    seed: Annotated[int, WHOLE, Parameter(help="Same seed, same figures, whatever the number of workers.")] = 0,
    replications: Annotated[int, WHOLE, Parameter(help="Independent runs that share the prompts.")] = 1,
    workers: Annotated[int, WHOLE, Parameter(help="Processes that share the replications.")] = 1,
    scheduler: Annotated[
        str | None, Parameter(help="Address of a Dask scheduler whose workers share them, such as tcp://127.0.0.1:8786.")
    ] = None,
    precision: Annotated[
        str | None,
        Parameter(help='Go on beyond --queries until mean and p95 of the latency are known to so much, such as "1%" or 0.01.'),
    ] = None,
    max_queries: Annotated[int | None, WHOLE, Parameter(help="Where that ends at the latest; default 100 million.")] = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Simulate exactly: latency, queues and memory, each figure with its 95 % interval.

    Ctrl-C ends it, and prints what is finished.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    share = None if precision is None else _share(precision)
    most = _most(queries, max_queries, wanted=share is not None)
    system = options.system(scenario)
    region = stability_region(system)
    out = None if options.out is None else OutFolder(options.out)  # before hours of work, not after
    with progress("simulation") as advance:
        try:
            result = run_simulation(
                system,
                queries=queries,
                seed=seed,
                replications=replications,
                workers=workers,
                scheduler=scheduler,
                precision=share,
                max_queries=most,
                progress=advance,
            )
        except InputError as error:
            raise error.located(field=_OPTIONS.get(error.field, error.field)) from None
    document = _document(result, region)
    if out is not None:
        _write(result, document, out)
    if options.json:
        print_json(document)
    else:
        from dmoa_theory.cli.report import headline, simulation_lines

        out_console = console()
        print_lines(out_console, headline(system))
        if result.partial:
            print_lines(out_console, ["INTERRUPTED: what follows is partial."])
        if result.stable and result.queries:
            print_table(out_console, result.table())
        if result.queries or not result.stable:
            print_table(out_console, result.device_table())
        print_lines(out_console, simulation_lines(result, region, workers))
        if out is not None:
            print_lines(out_console, [str(out)])
    if result.partial:
        return 130
    return 0 if document["stable"] else 3


def _share(text: str) -> float:
    """A precision, written as a percentage or as a number."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if number != text.strip() else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise InputError("--precision", text, "a share above 0 and below 1, such as 1% or 0.01")
    return share


def _most(queries: int, most: int | None, *, wanted: bool) -> int:
    if most is None:
        return max(queries, _MOST_QUERIES)
    if not wanted:
        raise InputError("--max-queries", most, "only beside --precision: otherwise --queries says how many")
    if most < max(queries, 1):
        raise InputError("--max-queries", most, f"a whole number, --queries = {queries} or more")
    return most


def _document(result: SimulationResult, region: StabilityRegion) -> dict[str, Any]:
    """What --json prints: a load of one or more is unstable even where the run was too short to show it."""
    document = result.to_dict()
    if result.stable and not region.stable:
        document["stable"] = False
        document["reasons"].insert(
            0,
            f"unstable: {region.bottleneck.name} is offered {region.bottleneck.utilisation:.4g} seconds of work a "
            f"second, which the run was too short to show; queues stay bounded when all rates are scaled by less than "
            f"{region.critical_scale:.4g}",
        )
    return document


def _write(result: SimulationResult, document: dict[str, Any], out: OutFolder) -> None:
    from dmoa_theory.plots.simulation import plot_latency_distribution, plot_queue_lengths

    out.document("simulate.json", document)
    out.table("simulate.csv", result.records())
    out.table("queues.csv", result.device_records())
    out.table("queue_lengths.csv", result.length_records())
    out.picture("latency.png", plot_latency_distribution(result))
    out.picture("queue_lengths.png", plot_queue_lengths(result))
