"""What ``dmoa optimise`` prints and writes."""

from __future__ import annotations

import json
import shlex
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

_SELECTION = "selection.csv"
# Devices whose M and k are listed as what to set; of more the line would be longer than anybody copies.
_MOST_LISTED = 24


def print_answer(system: System, result: Decision, further: Further, remark: str, written: OutFolder | None) -> None:
    """The report: the choice, then what was asked for beside it, and where that was written."""
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
        print_lines(out, report.sweep_lines(further.sweep, kept=written is not None))
    if written is not None:
        print_lines(out, [str(written)])
        if further.individual is not None and _SELECTION in written.written:
            print_lines(out, [_to_run(further.individual, written)])


def _to_run(plan: IndividualPlan, out: OutFolder) -> str:
    """What sets a plan with gossip of its own: what users run, and the selection that was written."""
    runs = plan.runs()
    of_users = {runs[u] for u in plan.work.users.tolist()}
    values = {name: [pair[place] for pair in runs] for place, name in enumerate("Mk")}
    words = {name: json.dumps(found, separators=(",", ":")) for name, found in values.items()}
    if len(of_users) == 1:
        words = {name: str(value) for name, value in zip("Mk", of_users.pop(), strict=True)}
    elif len(runs) > _MOST_LISTED:
        words = {}
    aside = "" if words else f", and moa.M and moa.k of every user as in {out.path / 'plan_by_user.csv'}"
    words["selection"] = str((out.path / _SELECTION).resolve())
    settings = [shlex.quote(f"moa.{name}={word}") for name, word in words.items()]
    return f"Run that plan with --set {' --set '.join(settings)}{aside}"


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
    write_selection(work.system.network, inclusion, asks, out.add(_SELECTION))
