"""``dmoa compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from dmoa_theory.cli.compare_report import measured_lines
from dmoa_theory.cli.options import WHOLE, Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table, progress
from dmoa_theory.compare import Comparison, Sweep, compare_over_load
from dmoa_theory.compare import compare as hold_against
from dmoa_theory.delay.latency import latency
from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.sweep import parse_span
from dmoa_theory.simulation.steady.simulate import simulate

if TYPE_CHECKING:
    from dmoa_theory.compare_measured import MeasuredComparison
    from dmoa_theory.model.run_record import RunRecord
    from dmoa_theory.model.system import System

__all__ = ["compare"]


def compare(
    scenario: Path | None = None,
    /,
    *,
    queries: Annotated[int, WHOLE, Parameter(help="Prompts to keep of each simulation.")] = 1_000_000,
    seed: Annotated[int, WHOLE, Parameter(help="Same seed, same answer.")] = 0,
    replications: Annotated[int, WHOLE, Parameter(help="Independent runs that share the prompts.")] = 1,
    workers: Annotated[int, WHOLE, Parameter(help="Processes that share the replications.")] = 1,
    loads: Annotated[
        str, Parameter(help='Also scale the load: utilisations of the busiest device, such as "0.3,0.6,0.9" or 0.2:0.8:4.')
    ] = "",
    measured: Annotated[
        Path | None,
        Parameter(
            help="Folder of a live run of this scenario, which dmoa testbed --out wrote: a third column. Without a "
            "SCENARIO the run's own is taken."
        ),
    ] = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """How good is the theory here? Every figure beside an exact simulation of the same system, and beside a live run of it.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    wanted = _loads(loads)
    if measured is None:
        record, system = None, options.system(scenario)
    else:
        record, system = _as_run(measured, scenario, options)
    plan = {"queries": queries, "seed": seed, "replications": replications, "workers": workers}
    with progress("simulating the scenario") as advance:
        found = simulate(system, **plan, progress=advance)  # type: ignore[arg-type]
    result = hold_against(latency(system), found)
    sweep = None
    if wanted and not found.partial:
        with progress("simulating every load") as advance:
            sweep = compare_over_load(system, wanted, **plan, progress=advance)
    beside = None
    if record is not None and not found.partial:
        from dmoa_theory.compare_measured import compare_measured
        from dmoa_theory.live.measured_run import evaluate

        with progress("simulating runs of this length") as advance:
            run = evaluate(record, system, seed=record.facts["seed"], progress=advance)
        beside = compare_measured(result, run)
    written = None if options.out is None else _write(result, sweep, beside, OutFolder(options.out))
    if options.json:
        print_json(_document(result, sweep, beside))
    else:
        _report(result, sweep, beside)
        if written is not None:
            print_lines(console(), [str(written)])
    return 130 if found.partial else 0 if (result if beside is None else beside).stable else 3


def _as_run(folder_of_run: Path, scenario: Path | None, options: Options) -> tuple[RunRecord, System]:
    """A recorded run, and the scenario at its speed and load."""
    from dmoa_theory.live.run_system import recorded_scenario, scenario_as_run
    from dmoa_theory.model.run_record import read_run

    record = read_run(folder_of_run)
    if not len(record.jobs):
        raise InputError("--measured", folder_of_run, "a run in which at least one inference was done")
    told = recorded_scenario(folder_of_run, record, tuple(options.set)) if scenario is None else options.system(scenario)
    return record, scenario_as_run(told, record, folder_of_run)


def _loads(text: str) -> tuple[float, ...]:
    if not text.strip():
        return ()
    try:
        found = parse_span(text) if ":" in text else tuple(float(part) for part in text.split(","))
    except ValueError:
        found = (0.0,)
    if not all(0 < load < 1 for load in found):
        raise InputError("--loads", text, 'utilisations above 0 and below 1, such as "0.3,0.6,0.9" or 0.2:0.8:4')
    return found


def _document(result: Comparison, sweep: Sweep | None, beside: MeasuredComparison | None) -> dict[str, Any]:
    from dmoa_theory.results import jsonable

    found = result.to_dict() | {"measured": None} if beside is None else beside.to_dict()
    return {**found, "over_load": None if sweep is None else jsonable(sweep.records())}


def _report(result: Comparison, sweep: Sweep | None, beside: MeasuredComparison | None) -> None:
    from dmoa_theory.cli.report import comparison_lines, headline

    out = console()
    print_lines(out, headline(result.estimate.system))
    if beside is not None:
        if result.rows:
            print_table(out, beside.scenario_table())
        print_table(out, beside.table() if beside.run.stable else beside.run.table())
    elif result.rows:
        print_table(out, result.table())
    if sweep is not None:
        print_table(out, sweep.table())
    print_lines(out, comparison_lines(result))
    if beside is not None:
        print_lines(out, measured_lines(beside))


def _write(result: Comparison, sweep: Sweep | None, beside: MeasuredComparison | None, out: OutFolder) -> OutFolder:
    out.document("compare.json", _document(result, sweep, beside))
    out.table("compare.csv", (result if beside is None else beside).records())
    measured = beside is not None and any(row.measured == row.measured for row in beside.rows)
    there = {
        "compare.png": bool(result.rows),
        "measured.png": measured,
        "over_load.csv": sweep is not None,
        "over_load.png": sweep is not None,
    }
    out.remove([name for name, drawn in there.items() if not drawn])
    if result.rows:
        from dmoa_theory.plots.comparison import plot_comparison

        out.picture("compare.png", plot_comparison(result, beside=beside if measured else None))
    if beside is not None and measured:
        from dmoa_theory.plots.measured_comparison import plot_measured

        out.picture("measured.png", plot_measured(beside))
    if sweep is not None:
        from dmoa_theory.plots.comparison import plot_over_load

        out.table("over_load.csv", sweep.records())
        out.picture("over_load.png", plot_over_load(sweep))
    return out
