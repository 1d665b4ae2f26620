"""``dmoa compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dmoa_theory.cli.options import WHOLE, Options
from dmoa_theory.cli.output import console, folder, print_json, print_lines, print_table, progress, write_csv
from dmoa_theory.compare import Comparison, Sweep, compare_over_load
from dmoa_theory.compare import compare as hold_against
from dmoa_theory.delay.latency import latency
from dmoa_theory.errors import InputError
from dmoa_theory.simulation.steady.simulate import simulate

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
        str, Parameter(help='Also scale the load: utilisations of the busiest device, such as "0.3,0.6,0.9".')
    ] = "",
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """How good is the theory here? Every figure beside an exact simulation of the same system.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    system = options.system(scenario)
    wanted = _loads(loads)
    plan = {"queries": queries, "seed": seed, "replications": replications, "workers": workers}
    with progress("simulating the scenario") as advance:
        found = simulate(system, **plan, progress=advance)  # type: ignore[arg-type]
    result = hold_against(latency(system), found)
    sweep = None
    if wanted and not found.partial:
        with progress("simulating every load") as advance:
            sweep = compare_over_load(system, wanted, **plan, progress=advance)
    if options.out is not None:
        _write(result, sweep, folder(options.out))
    if options.json:
        print_json(_document(result, sweep))
    else:
        _report(result, sweep)
    return 130 if found.partial else 0 if result.stable else 3


def _loads(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        found = (0.0,)
    if not all(0 < load < 1 for load in found):
        raise InputError("--loads", text, 'utilisations above 0 and below 1, such as "0.3,0.6,0.9"')
    return found


def _document(result: Comparison, sweep: Sweep | None) -> dict[str, Any]:
    from dmoa_theory.results import jsonable

    return {**result.to_dict(), "over_load": None if sweep is None else jsonable(sweep.records())}


def _report(result: Comparison, sweep: Sweep | None) -> None:
    from dmoa_theory.cli.report import comparison_lines, headline

    out = console()
    print_lines(out, headline(result.estimate.system))
    if result.rows:
        print_table(out, result.table())
    if sweep is not None:
        print_table(out, sweep.table())
    print_lines(out, comparison_lines(result))


def _write(result: Comparison, sweep: Sweep | None, out: Path) -> None:
    from dmoa_theory.cli.output import json_text, write_text

    write_text(out / "compare.json", json_text(_document(result, sweep)))
    write_csv(out / "compare.csv", result.records())
    if sweep is not None:
        from dmoa_theory.plots.comparison import plot_over_load
        from dmoa_theory.plots.style import save

        write_csv(out / "over_load.csv", sweep.records())
        save(plot_over_load(sweep), out / "over_load.png")
