"""The options of ``dmoa optimise``: what is sought, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from dmoa_theory.cli.options import SECONDS, WHOLE, only_beside
from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.answering import Asked
from dmoa_theory.optimisation.limits import Limits, parse_limit
from dmoa_theory.optimisation.sweep import parse_sweep

if TYPE_CHECKING:
    from dmoa_theory.model.system import System

__all__ = ["Request"]

#: The longest that a program may be given, s.
_LONGEST = 1e6
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
    gap: Annotated[
        float | None, Parameter(help="With --per-user: relative gap at which a program may stop; default 0.001.")
    ] = None
    time_limit: Annotated[
        float | None, SECONDS, Parameter(help="With --per-user or --gossip: seconds for the programs of one plan; default 10.")
    ] = None
    least_inclusion: Annotated[
        float | None,
        Parameter(help="With --gossip: smallest probability of asking a neighbour, as a share of uniform gossip's; default 0."),
    ] = None
    solver: Annotated[
        str | None, Parameter(help="With --per-user: HIGHS, the default, or SCIP (pip install 'dmoa[scip]').")
    ] = None
    admit: Annotated[bool, Parameter(negative="", help="Also say how much load the limits admit, and fair rates.")] = False
    map: Annotated[bool, Parameter(negative="", help="Also map the best (M, k) over load and latency budget.")] = False
    sweep: Annotated[
        str | None,
        Parameter(
            help="Ask again for n values of a key, such as constraints.p95_latency=100:600:11 (or a:b:n:log; bounds may have "
            "units); with --out the answers are kept, and a sweep that was interrupted goes on."
        ),
    ] = None
    workers: Annotated[int | None, WHOLE, Parameter(help="Processes that share a sweep; default 1.")] = None
    scheduler: Annotated[
        str | None, Parameter(help="Address of a Dask scheduler whose workers share a sweep, such as tcp://127.0.0.1:8786.")
    ] = None
    simulation: Annotated[
        bool, Parameter(negative="--no-simulation", help="Try out in simulation what is chosen and recommended.")
    ] = True
    seed: Annotated[int, WHOLE, Parameter(help="Of the simulations.")] = 0

    @property
    def asked(self) -> Asked:
        """The same for :mod:`dmoa_theory.optimisation`."""
        return Asked(
            objective=self.objective,
            robust=not self.nominal,
            fitted=not self.stated,
            per_user=self.per_user,
            gossip=self.gossip,
            least=self.least_inclusion or 0.0,
            gap=1e-3 if self.gap is None else self.gap,
            time_limit=10.0 if self.time_limit is None else self.time_limit,
            solver=(self.solver or "HIGHS").upper(),
        )

    def limits(self, system: System) -> Limits:
        """The scenario's limits, and those given beside it."""
        return Limits.of(system.constraints, **dict(parse_limit(text) for text in self.limit))

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        InputError
        BackendUnavailableError
            When a solver is named that is not installed.
        """
        for one, other, both in (
            ("--robust", "--nominal", self.margins and self.nominal),
            ("--fitted", "--stated", self.by_fit and self.stated),
        ):
            if both:
                raise InputError("", InputError.MISSING, f"{one} or {other}, not both")
        self._check_partners()
        self._check_values()
        if self.solver is not None:
            from dmoa_theory.optimisation.programs.mixed import check_solver

            try:
                check_solver(self.asked.solver)
            except InputError as error:
                raise error.located(field="--solver") from None

    def _check_partners(self) -> None:
        """Options that say nothing alone, and those that do not go together."""
        programs = self.per_user or self.gossip
        only_beside("--per-user", self.per_user, {"--gap": self.gap, "--solver": self.solver})
        only_beside("--per-user or --gossip", programs, {"--time-limit": self.time_limit})
        only_beside("--gossip", self.gossip, {"--least-inclusion": self.least_inclusion})
        only_beside("--sweep", self.sweep is not None, {"--workers": self.workers, "--scheduler": self.scheduler})
        if self.sweep is not None:
            key = parse_sweep(self.sweep)[0]
            for text in self.limit:
                if key == f"constraints.{parse_limit(text)[0]}":
                    raise InputError("--limit", text, "a limit other than the one that --sweep sets")
        if self.workers is not None and self.scheduler is not None:
            raise InputError("", InputError.MISSING, "--workers or --scheduler, not both")
        if programs and self.objective == "load":
            raise InputError(
                "--objective", "load", "accuracy or latency beside --per-user and --gossip; --admit says what load is admitted"
            )

    def _check_values(self) -> None:
        """Values out of their range."""
        if self.sweep is not None and _CHOSEN.fullmatch(parse_sweep(self.sweep)[0]):
            raise InputError("--sweep", self.sweep, "a key other than moa.M and moa.k, which this verb chooses itself")
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
