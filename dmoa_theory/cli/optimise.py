"""``dmoa optimise``."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from dmoa_theory.cli.options import WHOLE, Options, only_beside
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
from dmoa_theory.cli.workable import workable_system
from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.choose import optimise as choose
from dmoa_theory.optimisation.choose import table_of
from dmoa_theory.optimisation.decision import Decision
from dmoa_theory.optimisation.limits import Limits, parse_limit
from dmoa_theory.optimisation.sweep import parse_sweep
from dmoa_theory.results import jsonable

if TYPE_CHECKING:
    from dmoa_theory.model.system import System
    from dmoa_theory.optimisation.admission import Admission
    from dmoa_theory.optimisation.choice_map import ChoiceMap
    from dmoa_theory.optimisation.individual import IndividualPlan
    from dmoa_theory.optimisation.sweep import Sweep

__all__ = ["Request", "optimise"]

#: The longest that a program may be given, s.
_LONGEST = 1e6
# To be raised when a sweep's columns change: a file with others is of another request.
_COLUMNS = 2
# Keys that the verb chooses itself.
_CHOSEN = re.compile(r"moa\.[Mk](\[.*\])?")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sought, and how."""

    objective: Annotated[
        Literal["accuracy", "latency", "load"],
        Parameter(help="What is sought within the limits: the most accurate, the fastest, or what carries the most load."),
    ] = "accuracy"
    per_user: Annotated[bool, Parameter(negative="", help="Also let every user have an (M, k) of its own.")] = False
    gossip: Annotated[bool, Parameter(negative="", help="Also choose whom users ask, and how often.")] = False
    margins: Annotated[
        bool,
        Parameter(
            name="--robust",
            show_default=False,
            negative="",
            help="Hold limits with margins, as is the default: service times two standard errors longer, latencies raised by "
            "their typical error.",
        ),
    ] = False
    nominal: Annotated[bool, Parameter(negative="", help="Hold limits as figures are stated, not --robust.")] = False
    by_fit: Annotated[
        bool,
        Parameter(
            name="--fitted",
            show_default=False,
            negative="",
            help="Recommend by accuracies fitted to all of the data, as is the default.",
        ),
    ] = False
    stated: Annotated[bool, Parameter(negative="", help="Recommend by accuracies as they are stated, not --fitted.")] = False
    limit: Annotated[
        list[str],
        Parameter(
            negative="",
            help="A further limit on latency: mean, p95 or p99 over all prompts, or user-mean, user-p95, user-p99 of every "
            "user, such as p99=10min; may be given again.",
        ),
    ] = field(default_factory=list)
    gap: Annotated[float | None, Parameter(help="Relative gap at which a program may stop; default 0.001.")] = None
    time_limit: Annotated[float | None, Parameter(help="Seconds for the programs of one plan; default 10.")] = None
    least_inclusion: Annotated[
        float | None,
        Parameter(help="With --gossip: smallest probability of asking a neighbour, as a share of uniform gossip's; default 0."),
    ] = None
    solver: Annotated[str | None, Parameter(help="HIGHS, or SCIP where it is installed.")] = None
    admit: Annotated[bool, Parameter(negative="", help="Also say how much load the limits admit, and fair rates.")] = False
    map: Annotated[bool, Parameter(negative="", help="Also map the best (M, k) over load and latency budget.")] = False
    sweep: Annotated[
        str | None,
        Parameter(
            help="Ask again for n values of a key, such as constraints.p95_latency=100:600:11 (or a:b:n:log); with --out "
            "the answers are kept, and a sweep that was interrupted goes on."
        ),
    ] = None
    workers: Annotated[int | None, WHOLE, Parameter(help="Processes that share a sweep; default 1.")] = None
    simulation: Annotated[
        bool, Parameter(negative="--no-simulation", help="Try out in simulation what is chosen and recommended.")
    ] = True
    seed: Annotated[int, WHOLE, Parameter(help="Of the simulations.")] = 0

    @property
    def robust(self) -> bool:
        """Whether limits are held with margins."""
        return not self.nominal

    @property
    def fitted(self) -> bool:
        """Whether fitted accuracies decide what is recommended."""
        return not self.stated

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        InputError
        """
        for one, other, both in (
            ("--robust", "--nominal", self.margins and self.nominal),
            ("--fitted", "--stated", self.by_fit and self.stated),
        ):
            if both:
                raise InputError("", InputError.MISSING, f"{one} or {other}, not both")
        if self.sweep is not None and _CHOSEN.fullmatch(parse_sweep(self.sweep)[0]):
            raise InputError("--sweep", self.sweep, "a key other than moa.M and moa.k, which this verb chooses itself")
        programs = self.per_user or self.gossip
        only_beside(
            "--per-user or --gossip", programs, {"--gap": self.gap, "--time-limit": self.time_limit, "--solver": self.solver}
        )
        only_beside("--gossip", self.gossip, {"--least-inclusion": self.least_inclusion})
        only_beside("--sweep", self.sweep is not None, {"--workers": self.workers})
        if self.gap is not None and not 0 <= self.gap < 1:
            raise InputError("--gap", self.gap, "a share from 0, below 1")
        if self.time_limit is not None and not 0 < self.time_limit <= _LONGEST:
            raise InputError("--time-limit", self.time_limit, "seconds, above 0")
        if self.least_inclusion is not None and not 0 <= self.least_inclusion <= 1:
            raise InputError("--least-inclusion", self.least_inclusion, "a share from 0 to 1 of uniform gossip's probability")
        if self.workers is not None and self.workers < 1:
            raise InputError("--workers", self.workers, "a whole number, 1 or more")
        if self.seed < 0:
            raise InputError("--seed", self.seed, "a whole number, 0 or more")
        if programs and self.objective == "load":
            raise InputError(
                "--objective", "load", "accuracy or latency beside --per-user and --gossip; --admit says what load is admitted"
            )

    def limits(self, system: System) -> Limits:
        """The scenario's limits, and those given beside it."""
        return Limits.of(system.constraints, **dict(parse_limit(text) for text in self.limit))


def optimise(
    scenario: Path | None = None,
    /,
    *,
    request: Request = Request(),
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Choose (M, k): the most accurate configuration within the limits, and the one to defend.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    request.check()
    system, remark = workable_system(options, scenario)
    limits = request.limits(system)
    out = None if options.out is None else folder(options.out)  # before minutes of work, not after
    with options.speaking_of(scenario):
        with progress("evaluating configurations") as advance:
            result = choose(
                system,
                limits=limits,
                objective=request.objective,
                robust=request.robust,
                fitted=request.fitted,
                simulation=request.simulation,
                seed=request.seed,
                progress=advance,
            )
        further = _Further.of(system, limits, result, request, scenario, options, out)
    document = {**result.to_dict(), **jsonable(further.to_dict())}
    if remark:
        document["warnings"] = [remark, *document["warnings"]]
    written = [] if out is None else _write(result, further, document, out)
    if options.json:
        print_json(document)
    else:
        _print(system, result, further, remark)
        if written:
            print_lines(console(), [f"Written to {options.out}: {', '.join(written)}."])
    if further.sweep is not None and further.sweep.partial:
        return 130
    feasible = result.feasible if further.individual is None else further.individual.feasible
    return 0 if feasible else 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Further:
    """What was asked for beside the choice."""

    individual: IndividualPlan | None
    admission: Admission | None
    map: ChoiceMap | None
    sweep: Sweep | None

    @classmethod
    def of(
        cls,
        system: System,
        limits: Limits,
        result: Decision,
        request: Request,
        scenario: Path | None,
        options: Options,
        out: Path | None,
    ) -> _Further:
        individual = admission = found_map = found_sweep = None
        if request.per_user or request.gossip:
            with progress("plan by user") as advance:
                individual = _individual(system, limits, request, advance)
        if request.admit:
            from dmoa_theory.optimisation.admission import fair_rates

            picked = result.recommended or result.choice or min(result.candidates, key=lambda c: c.M * (c.k + 1))
            admission = fair_rates(
                system,
                picked.M,
                picked.k,
                limits=limits,
                robust=request.robust,
                simulation=request.simulation,
                seed=request.seed,
            )
        if request.map:
            from dmoa_theory.optimisation.candidates import Evaluations
            from dmoa_theory.optimisation.choice_map import choice_map

            with progress("map") as advance:
                found_map = choice_map(Evaluations(system, limits), table_of(system).entries, points=16, progress=advance)
        if request.sweep is not None:
            found_sweep = _sweep(request, scenario, options, out)
        return cls(individual=individual, admission=admission, map=found_map, sweep=found_sweep)

    def to_dict(self) -> dict[str, Any]:
        """Keys of the JSON contract; null for what was not asked for."""
        parts = {"individual": self.individual, "admission": self.admission, "map": self.map, "sweep": self.sweep}
        return {name: None if part is None else part.to_dict() for name, part in parts.items()}


def _individual(system: System, limits: Limits, request: Request, advance: Any = None) -> IndividualPlan:
    from dmoa_theory.optimisation.accuracies import accuracies
    from dmoa_theory.optimisation.individual import plan_by_user

    known = accuracies(system, fitted=request.fitted)
    return plan_by_user(
        system,
        known.configurations,
        known.lower if request.robust else known.expected,
        limits,
        objective=request.objective,
        per_user=request.per_user,
        gossip=request.gossip,
        robust=request.robust,
        least=request.least_inclusion or 0.0,
        gap=1e-3 if request.gap is None else request.gap,
        time_limit=10.0 if request.time_limit is None else request.time_limit,
        solver=(request.solver or "HIGHS").upper(),
        expected=known.expected,
        simulation=request.simulation,
        seed=request.seed,
        progress=advance,
    )


def _sweep(request: Request, scenario: Path | None, options: Options, out: Path | None) -> Sweep:
    from dmoa_theory.optimisation.sweep import sweep

    assert request.sweep is not None
    key, values = parse_sweep(request.sweep)
    text = b"" if scenario is None else scenario.read_bytes()
    kinds = (request.objective, request.per_user, request.gossip, request.robust, request.fitted, request.limit, options.set)
    asked = hashlib.sha256(text + repr((_COLUMNS, *kinds)).encode()).hexdigest()[:12]

    def answer(value: float) -> dict[str, Any]:
        there, _ = workable_system(options, scenario, (f"{key}={value:.12g}",))
        return _row(there, request)

    file = None if out is None else out / "sweep.csv"
    with progress("sweep") as advance:
        return sweep(key, values, answer, file=file, request=asked, workers=request.workers or 1, progress=advance)


def _row(system: System, request: Request) -> dict[str, Any]:
    """One answer of a sweep; not simulated."""
    limits = request.limits(system)
    found = choose(
        system,
        limits=limits,
        objective=request.objective,
        robust=request.robust,
        fitted=request.fitted,
        simulation=False,
        explain=False,
    )
    choice, recommended = found.choice, found.recommended
    row = {
        "choice": None if choice is None else f"M={choice.M} k={choice.k}",
        "accuracy": None if choice is None else choice.accuracy,
        "accuracy_error": None if choice is None else choice.accuracy_error,
        "mean_s": None if choice is None else choice.mean_latency,
        "p95_s": None if choice is None else choice.p95_latency,
        "utilisation": None if choice is None else choice.utilisation,
        "recommended": None if recommended is None else f"M={recommended.M} k={recommended.k}",
        "recommended_accuracy": None if recommended is None else recommended.accuracy,
        "recommended_mean_s": None if recommended is None else recommended.mean_latency,
        "recommended_p95_s": None if recommended is None else recommended.p95_latency,
    }
    if request.per_user or request.gossip:
        plan = _individual(system, limits, _quiet(request))
        row["by_user_accuracy"] = plan.accuracy_of(plan.best)
        row["by_user_mean_s"] = None if plan.nominal is None else plan.nominal.mean_latency
    return row


def _quiet(request: Request) -> Request:
    from dataclasses import replace

    return replace(request, simulation=False)


def _print(system: System, result: Decision, further: _Further, remark: str) -> None:
    from dmoa_theory.cli import further_report as report
    from dmoa_theory.cli.decision_report import decision_lines
    from dmoa_theory.cli.report import headline

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


def _write(result: Decision, further: _Further, document: dict[str, Any], out: Path) -> list[str]:
    """The names of what was written."""
    from dmoa_theory.plots.choice import plot_choice
    from dmoa_theory.plots.style import save

    write_text(out / "optimise.json", json_text(document))
    write_csv(out / "configurations.csv", result.records())
    front = result.front("accuracy", "mean_latency", "memory", "load")
    write_csv(out / "pareto.csv", [point.to_dict() for point in front])
    save(plot_choice(result), out / "choice.png")
    written = ["choice.png", "optimise.json", "configurations.csv", "pareto.csv"]
    if further.individual is not None and further.individual.best is not None:
        write_csv(out / "plan_by_user.csv", further.individual.records())
        written.append("plan_by_user.csv")
    if further.individual is not None and further.individual.gossip and further.individual.best is not None:
        from dmoa_theory.stability.gossip.selection import write_selection

        plan = further.individual
        work, best = plan.work, plan.best
        assert best is not None
        inclusion, asks = _zeros(work.system.network.n_links), _zeros(work.n).astype(bool)
        inclusion[work.links] = best.asked
        asks[work.users] = work.k[best.choice] > 0
        write_selection(work.system.network, inclusion, asks, out / "selection.csv")
        written.append("selection.csv")
    if further.map is not None:
        from dmoa_theory.plots.choice_map import plot_choice_map

        save(plot_choice_map(further.map), out / "map.png")
        written.append("map.png")
    if further.sweep is not None and further.sweep.rows:
        from dmoa_theory.plots.sweep import plot_sweep

        save(plot_sweep(further.sweep), out / "sweep.png")
        written += ["sweep.png", "sweep.csv"]
    return written


def _zeros(size: int) -> Any:
    import numpy as np

    return np.zeros(size)
