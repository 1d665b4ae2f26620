"""Theory, simulation and a live run, figure by figure: at the scenario's service times, and at those that were measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from dmoa_theory.compare import Comparison, Row
from dmoa_theory.errors import InputError
from dmoa_theory.live.measured_run import MeasuredRun
from dmoa_theory.model.same_system import first_difference
from dmoa_theory.model.service import Stage
from dmoa_theory.quantities import show_number, show_seconds, show_share
from dmoa_theory.results import Result, Source, Table

__all__ = ["MeasuredComparison", "MeasuredRow", "Off", "Said", "compare_measured"]

#: Standard errors in half a 95 % interval.
_NORMAL = 1.959963984540054
_SHOWN = 24
_STAGES = {Stage.FIRST: "first layer", Stage.LATER: "later layer", Stage.AGGREGATE: "aggregation"}
_SHOW = {"s": show_seconds, "share": show_share, "jobs": show_number, "jobs/s": show_number}
_IN_SHORT = {"mean latency", "p95 latency", "utilisation", "mean wait", "mean in system"}
_UNKNOWN = float("nan")


class Off(NamedTuple):
    """How far one figure is from another: relative to that, and in standard errors; NaN where it cannot be said."""

    difference: float
    standard_errors: float

    def to_dict(self) -> dict[str, float]:
        """For the JSON contract."""
        return self._asdict()

    def __str__(self) -> str:
        """Per cent, and in brackets how many standard errors that is."""
        if not math.isfinite(self.difference):
            return "-"
        errors = f" ({abs(self.standard_errors):.1f})" if math.isfinite(self.standard_errors) else ""
        return f"{100 * self.difference:+.1f} %{errors}"


class Said(NamedTuple):
    """What theory and simulation say of a figure at one set of service times; ``error`` is the simulation's standard error."""

    theory: float = _UNKNOWN
    simulated: float = _UNKNOWN
    error: float = _UNKNOWN


_NOTHING = Said()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """One figure three times over.

    Parameters
    ----------
    quantity, of, unit : str
    measured, half_width : float
        In the run, and half its 95 % interval from batches; NaN where the run says nothing of it.
    standard_error : float
        Of the measured figure: the standard deviation of simulated runs of that length.
    lower, upper : float
        Ends of the middle 95 % of those runs.
    scenario, at_measured : Said
        At the scenario's service times (of long simulations), and at the measured ones (of runs of that length).
    beside : Row or None
        The figure in the comparison of theory and simulation.
    """

    quantity: str
    of: str
    unit: str
    measured: float = _UNKNOWN
    half_width: float = _UNKNOWN
    standard_error: float = _UNKNOWN
    lower: float = _UNKNOWN
    upper: float = _UNKNOWN
    scenario: Said = _NOTHING
    at_measured: Said = _NOTHING
    beside: Row | None = None

    def off_theory(self, said: Said) -> Off:
        """Measured less theory."""
        return _off(self.measured, said.theory, self.standard_error)

    def off_simulated(self, said: Said) -> Off:
        """Measured less simulated; the standard error is that of both."""
        error = math.hypot(self.standard_error, said.error if math.isfinite(said.error) else 0.0)
        return _off(self.measured, said.simulated, error)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract: the keys of a row of theory and simulation, and those of the run."""
        beside = self.beside or Row(
            quantity=self.quantity,
            of=self.of,
            unit=self.unit,
            theory=self.scenario.theory,
            simulated=self.scenario.simulated,
            half_width=_UNKNOWN,
        )
        return beside.to_dict() | {
            "measured": self.measured,
            "measured_ci95": self.half_width,
            "measured_standard_error": self.standard_error,
            "measured_off_theory": self.off_theory(self.scenario).to_dict(),
            "measured_off_simulated": self.off_simulated(self.scenario).to_dict(),
            "at_measured": {
                "theory": self.at_measured.theory,
                "simulated": self.at_measured.simulated,
                "range95": [self.lower, self.upper],
                "measured_off_theory": self.off_theory(self.at_measured).to_dict(),
                "measured_off_simulated": self.off_simulated(self.at_measured).to_dict(),
            },
        }

    def cells(self, said: Said) -> tuple[str, ...]:
        """For a table: what it is, theory, simulated and measured, each followed by what it is off."""
        show = _SHOW[self.unit]

        def plain(value: float) -> str:
            return show(value) if math.isfinite(value) else "-"

        return (
            self.quantity if self.of in {"all prompts", "all devices"} else f"{self.quantity}, {self.of}",
            plain(said.theory),
            str(_off(said.theory, said.simulated, said.error)),
            plain(said.simulated),
            plain(self.measured),
            str(self.off_theory(said)),
            str(self.off_simulated(said)),
        )


def _off(one: float, other: float, error: float) -> Off:
    return Off(one / other - 1 if other else _UNKNOWN, (one - other) / error if error > 0 else _UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class MeasuredComparison(Result):
    """Measured: a live run beside theory and simulation.

    Attributes
    ----------
    comparison : Comparison
        Theory beside a long simulation, at the scenario's service times.
    run : MeasuredRun
    rows : tuple of MeasuredRow
        Latency and queues; where the measured service times overload a device, without measured figures.
    """

    verb: ClassVar[str] = "compare"

    comparison: Comparison
    run: MeasuredRun
    rows: tuple[MeasuredRow, ...]

    @property
    def source(self) -> Source:
        """Simulated, as every comparison: what was measured is under keys of its own."""
        return self.comparison.source

    @property
    def stable(self) -> bool:
        """Whether queues are bounded at the scenario's service times, and at the measured ones."""
        return self.comparison.stable and self.run.stable

    def reasons(self) -> list[str]:
        """Why figures are missing or not to be trusted: of the run, one sentence each."""
        return [f"of the run: {reason}" for reason in self.run.reasons()]

    def payload(self) -> dict[str, Any]:
        """The keys of a comparison, with more in every row, and those of the run."""
        run, facts = self.run, self.run.record.facts
        growth = () if run.averages else run.rows
        return self.comparison.payload() | {
            "rows": [row.to_dict() for row in self.rows],
            "measured": {
                "mode": facts["mode"],
                "backend": facts.get("backend"),
                "speed": float(facts.get("speed", 1.0)),
                "load": facts.get("load"),
                "seed": int(facts.get("seed", 0)),
                "stable": run.stable,
                "sound": run.sound,
                "partial": run.partial,
                "prompts": len(run.record.prompts),
                "answered": run.answered,
                "kept": run.kept,
                "simulated_runs": run.simulated.runs,
                "service": run.payload()["service"],
                "growth": [row.to_dict() for row in growth],
                "reasons": run.reasons(),
            },
        }

    def table(self) -> Table:
        """At the measured service times."""
        return self._table("at the MEASURED service times", lambda row: row.at_measured)

    def scenario_table(self) -> Table:
        """At the service times of the scenario."""
        return self._table("at the SCENARIO's service times", lambda row: row.scenario)

    def _table(self, where: str, said: Any) -> Table:
        overall = [row for row in self.rows if row.of == "all prompts"]
        others = [row for row in self.rows if row.of != "all prompts" and row.quantity in _IN_SHORT]
        left_out = ""
        if len(others) > _SHOWN:
            left_out = f" ({_SHOWN} of {len(others)} by user and device, furthest apart)"
            others = sorted(others, key=lambda row: -abs(np.nan_to_num(row.off_simulated(said(row)).standard_errors)))[:_SHOWN]
        return Table(
            f"{where} with {self.run.system.moa.label}{left_out}; (in standard errors)",
            ("figure", "theory", "theory's error", "simulated", "measured", "off theory", "off simulated"),
            tuple(row.cells(said(row)) for row in [*overall, *others]),
        )

    def records(self) -> list[dict[str, Any]]:
        """One row a figure; what is nested has its outer name before its own."""
        return [_flat(row.to_dict()) for row in self.rows]


def _flat(nested: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}_")
        elif isinstance(value, list):
            flat |= {f"{before}{name}_{end}": each for end, each in zip(("lower", "upper"), value, strict=True)}
        else:
            flat[before + name] = value
    return flat


def compare_measured(comparison: Comparison, run: MeasuredRun) -> MeasuredComparison:
    """A comparison of theory and simulation with what a live run of the same system measured beside both.

    Parameters
    ----------
    comparison : Comparison
        From :func:`dmoa_theory.compare.compare`, of the scenario at the speed and load of the run.
    run : MeasuredRun
        From :func:`dmoa_theory.live.measured_run.evaluate`.

    Raises
    ------
    InputError
        When they are of systems that differ; it says in what.

    Notes
    -----
    The standard error of a measured figure is the standard deviation of simulated runs of the same length and cut at the
    measured service times: it holds for short runs too, whose batches say little of their error. Figures of a steady state
    (theory, and the long simulation) stand beside those of a run that began with empty queues; what is left of that after the
    cut is part of the difference.

    Examples
    --------
    >>> from dmoa_theory import System, latency, simulate
    >>> from dmoa_theory.compare import compare
    >>> from dmoa_theory.live.examples import small_run
    >>> from dmoa_theory.live.measured_run import evaluate
    >>> system = System.from_arrays([[0, 1], [1, 0]], [0.02, 0], 1.0, M=1, k=1)
    >>> theory_and_simulation = compare(latency(system), simulate(system, queries=5000))
    >>> both = compare_measured(theory_and_simulation, evaluate(small_run(), system, runs=20))
    >>> round(both.rows[0].measured, 1), both.rows[0].scenario.theory < both.rows[0].at_measured.theory
    (5.7, True)
    """
    apart = first_difference(comparison.estimate.system, run.system)
    if apart is not None:
        raise InputError("", "these results are of systems that differ", f"the same system for both ({apart})")
    return MeasuredComparison(comparison=comparison, run=run, rows=tuple(_rows(comparison, run)))


def _figures(run: MeasuredRun) -> Iterator[tuple[str, str, str, str, str, tuple[int, ...]]]:
    """Quantity, of what, unit, name among measured figures, name in an estimate, and place: in the order of a comparison."""
    names, active = run.record.names, np.flatnonzero(run.system.rates > 0).tolist()
    levels = ("mean", "p50", "p95", "p99")
    for name in levels:
        yield f"{name} latency", "all prompts", "s", name, name, ()
    for u in active:
        for name in levels:
            yield f"{name} latency", names[u], "s", f"user_{name}", f"user_{name}", (u,)
        for stage in Stage:
            yield f"mean {_STAGES[stage]}", names[u], "s", "user_stage_mean", "stage_mean", (u, int(stage))
    for d, of in enumerate(names):
        yield "utilisation", of, "share", "utilisation", "utilisation", (d,)
        yield "mean wait", of, "s", "wait_mean", "wait_mean", (d,)
        yield "mean in system", of, "jobs", "jobs_mean", "jobs_mean", (d,)


def _rows(comparison: Comparison, run: MeasuredRun) -> Iterator[MeasuredRow]:
    """What was measured and what goes with it; then what the comparison alone speaks of, such as memory."""
    beside = dict(zip(_keys(comparison, run), comparison.rows, strict=True))
    if run.averages:
        for quantity, of, unit, figure, said, at in _figures(run):
            theory = float(np.asarray(getattr(run.theory, said))[at])
            interval = run.figures[figure]
            if math.isfinite(theory) or np.isfinite(interval.value[at]):
                yield _row(beside.pop((quantity, of), None), run, quantity, of, unit, figure, at, theory)
    for (_, of), row in beside.items():
        yield MeasuredRow(quantity=row.quantity, of=of, unit=row.unit, scenario=_said(row), beside=row)


def _keys(comparison: Comparison, run: MeasuredRun) -> Iterator[tuple[str, str]]:
    """The rows of a comparison by the names that the run knows its devices by."""
    network = comparison.estimate.system.network
    name = {network.name(d): of for d, of in enumerate(run.record.names)}
    return ((row.quantity, name.get(row.of, row.of)) for row in comparison.rows)


def _said(row: Row | None) -> Said:
    return _NOTHING if row is None else Said(row.theory, row.simulated, row.half_width / _NORMAL)


def _row(
    beside: Row | None, run: MeasuredRun, quantity: str, of: str, unit: str, figure: str, at: tuple[int, ...], theory: float
) -> MeasuredRow:
    seen, runs = run.figures[figure], run.simulated
    error = float(runs.error[figure][at])
    return MeasuredRow(
        quantity=quantity,
        of=of,
        unit=unit,
        measured=float(seen.value[at]),
        half_width=float(seen.half_width[at]),
        standard_error=error * math.sqrt(runs.runs),
        lower=float(runs.lower[figure][at]),
        upper=float(runs.upper[figure][at]),
        scenario=_said(beside),
        at_measured=Said(theory, float(runs.mean[figure][at]), error),
        beside=beside,
    )
