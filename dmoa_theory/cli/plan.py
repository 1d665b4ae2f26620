"""``dmoa plan``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table, progress
from dmoa_theory.cli.workable import workable_system
from dmoa_theory.optimisation.plan import Plan, make_plan

__all__ = ["plan"]


def plan(
    scenario: Path | None = None,
    /,
    *,
    simulation: Annotated[
        bool, Parameter(negative="--no-simulation", help="Try out in simulation what is chosen and recommended.")
    ] = True,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """The main job: stability region, latency, and which (M, k) to run.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    system, remark = workable_system(options, scenario)
    with options.speaking_of(scenario), progress("evaluating configurations") as advance:
        result = make_plan(system, simulation=simulation, remark=remark, progress=advance)
    written = None if options.out is None else _write(result, OutFolder(options.out))
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.decision_report import plan_lines
        from dmoa_theory.cli.report import headline

        out = console()
        print_lines(out, headline(system))
        out.print()
        print_lines(out, plan_lines(result))
        out.print()
        print_table(out, result.table())
        shown = result.settled or result.region
        print_table(out, shown.table())
        if written is not None:
            print_lines(out, [str(written)])
        print_lines(out, [_next(result, scenario, options)])
    return 0 if result.decision.feasible else 3


def _next(result: Plan, scenario: Path | None, options: Options) -> str:
    """What to type to see more of what was picked."""
    picked = result.decision.recommended or result.decision.choice
    file = f" {shlex.quote(str(scenario))}" if scenario is not None else ""
    given = "".join(f" --set {shlex.quote(each)}" for each in options.set)
    if picked is None:
        return f"Next: dmoa region{file}{given} says more of the loads."
    chosen = f"{file}{given} --set moa.M={picked.M} --set moa.k={picked.k}"
    return f"Next: dmoa latency{chosen} (or region) says more" + ("." if file else "; dmoa init writes a scenario of your own.")


def _write(result: Plan, out: OutFolder) -> OutFolder:
    from dmoa_theory.plots.overview import plot_plan

    out.document("plan.json", result.to_dict())
    out.table("configurations.csv", result.records())
    out.picture("plan.png", plot_plan(result))
    return out
