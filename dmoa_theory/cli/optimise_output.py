"""What ``dmoa optimise`` prints and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.cli import further_report as report
from dmoa_theory.cli.decision_report import decision_lines
from dmoa_theory.cli.output import OutFolder, console, print_lines, print_table
from dmoa_theory.cli.report import headline

if TYPE_CHECKING:
    from dmoa_theory.cli.optimise_further import Further
    from dmoa_theory.model.system import System
    from dmoa_theory.optimisation.decision import Decision
    from dmoa_theory.optimisation.individual import IndividualPlan

__all__ = ["print_answer", "write_answer"]


def print_answer(system: System, result: Decision, further: Further, remark: str) -> None:
    """The report: the choice, then what was asked for beside it."""
    out = console()
    print_lines(out, headline(system))
    print_table(out, result.table())
    print_lines(out, decision_lines(result))
    if remark:
        print_lines(out, [f"Beware: {remark}."])
    if further.individual is not None:
        out.print()
        if further.individual.best is not None:
            print_table(out, report.individual_table(further.individual))
        print_lines(out, report.individual_lines(further.individual))
    if further.admission is not None:
        out.print()
        if further.admission.figures is not None:
            print_table(out, report.admission_table(further.admission))
        print_lines(out, report.admission_lines(further.admission))
    if further.map is not None:
        out.print()
        print_table(out, report.map_table(further.map))
    if further.sweep is not None:
        out.print()
        print_table(out, report.sweep_table(further.sweep))
        if further.sweep.partial:
            print_lines(out, ["INTERRUPTED: what is finished is above, and with --out in sweep.csv; ask again to go on."])


def write_answer(result: Decision, further: Further, document: dict[str, Any], out: OutFolder) -> None:
    """Write JSON, tables and pictures."""
    from dmoa_theory.plots.choice import plot_choice

    out.document("optimise.json", document)
    out.table("configurations.csv", result.records())
    front = result.front("accuracy", "mean_latency", "memory", "load")
    out.table("pareto.csv", [point.to_dict() for point in front])
    out.picture("choice.png", plot_choice(result))
    if further.individual is not None and further.individual.best is not None:
        _write_plan(further.individual, out)
    if further.map is not None:
        from dmoa_theory.plots.choice_map import plot_choice_map

        out.picture("map.png", plot_choice_map(further.map))
    if further.sweep is not None and further.sweep.rows:
        from dmoa_theory.plots.sweep import plot_sweep

        out.add("sweep.csv")  # written row by row, as they came
        out.picture("sweep.png", plot_sweep(further.sweep))


def _write_plan(plan: IndividualPlan, out: OutFolder) -> None:
    """What every user runs, and the selection probabilities where they are free."""
    out.table("plan_by_user.csv", plan.records())
    if not plan.gossip:
        return
    from dmoa_theory.stability.gossip.selection import write_selection

    work, best = plan.work, plan.best
    assert best is not None
    inclusion, asks = np.zeros(work.system.network.n_links), np.zeros(work.n, dtype=bool)
    inclusion[work.links] = best.asked
    asks[work.users] = work.k[best.choice] > 0
    write_selection(work.system.network, inclusion, asks, out.add("selection.csv"))
