"""Theory beside simulation: every quantity of a latency estimate with what an exact simulation of the same system found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.expected_error import ErrorBand, ExpectedError
from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.same_system import first_difference
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.model.units import show_bytes
from dmoa_theory.quantities import show_number, show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.simulation.output.intervals import Interval
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.simulation.steady.simulation_result import SimulationResult

__all__ = ["Comparison", "Row", "Sweep", "compare", "compare_over_load"]

_SHOWN = 12
#: Loads at which the theory's curve is drawn.
_CURVE = 25
#: Standard errors in half a 95 % interval.
_NORMAL = 1.959963984540054
_UNITS = {"s": show_seconds, "share": show_share, "jobs": show_number, "bytes": show_bytes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity: what the theory says, what the simulation found, and how far apart they are.

    ``of`` names all prompts, a user or a device; ``half_width`` is that of the simulation's 95 % interval; ``difference`` is
    theory less simulation, relative to the simulation; ``standard_errors`` the same in standard errors of the simulation.
    """

    quantity: str
    of: str
    unit: str
    theory: float
    simulated: float
    half_width: float
    expected: ErrorBand | None = None

    @property
    def difference(self) -> float:
        """Relative difference; NaN where the simulation found zero or nothing."""
        return (self.theory - self.simulated) / self.simulated if self.simulated else float("nan")

    @property
    def standard_errors(self) -> float:
        """Difference in standard errors of the simulation; NaN where its error is not known."""
        error = self.half_width / _NORMAL
        return (self.theory - self.simulated) / error if error > 0 else float("nan")

    @property
    def within_expected(self) -> bool | None:
        """Whether the difference, less the interval, is no more than the largest in comparable systems; None: not known."""
        if self.expected is None or not np.isfinite(self.difference):
            return None
        noise = self.half_width / self.simulated if np.isfinite(self.half_width) else 0.0
        return abs(self.difference) <= self.expected.largest + noise

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "quantity": self.quantity,
            "of": self.of,
            "unit": self.unit,
            "theory": self.theory,
            "simulated": self.simulated,
            "ci95": self.half_width,
            "difference": self.difference,
            "standard_errors": self.standard_errors,
            "within_expected": self.within_expected,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Comparison(Result):
    """Theory beside simulation, quantity by quantity."""

    verb: ClassVar[str] = "compare"

    estimate: LatencyEstimate
    simulation: SimulationResult
    rows: tuple[Row, ...]

    @property
    def source(self) -> Source:
        """Simulated: that is what the theory is held against."""
        return Source.SIMULATED

    @property
    def stable(self) -> bool:
        """Whether theory and simulation both find bounded queues."""
        return self.estimate.stable and self.simulation.stable

    def reasons(self) -> list[str]:
        """Why there is nothing to compare, or why not to trust it."""
        found = list(self.simulation.reasons())
        if self.estimate.stable != self.simulation.stable:
            load = show_share(float(self.estimate.utilisation.max()))
            verdict = "does not see it" if self.simulation.stable else "sees queues grow"
            found.insert(0, f"the busiest device is offered {load} of its time; the simulation, so long as it is, {verdict}")
        return found

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "configuration": self.estimate.system.moa.to_dict(),
            "stable": self.stable,
            "partial": self.simulation.partial,
            "queries": self.simulation.queries,
            "seed": self.simulation.seed,
            "rows": [row.to_dict() for row in self.rows],
            "reasons": self.reasons(),
            "warnings": self.estimate.system.warnings(),
        }

    def table(self) -> Table:
        """All prompts first, then users and devices; of a large network those that are furthest apart, in standard errors."""
        overall = [row for row in self.rows if row.of == "all prompts"]
        others = [row for row in self.rows if row.of != "all prompts"]
        left_out = ""
        if len(others) > 4 * _SHOWN:
            left_out = f" ({2 * _SHOWN} furthest apart of {len(others)} by user and device)"
            others = sorted(others, key=lambda row: -abs(np.nan_to_num(row.standard_errors)))[: 2 * _SHOWN]
        label = self.estimate.system.moa.label
        nothing = "" if self.rows else f" (nothing to compare: {'; '.join(self.reasons()) or 'no prompts were kept'})"
        return Table(
            f"theory beside simulation with {label}{left_out}{nothing}",
            ("quantity", "of", "theory", "simulated", "± 95 %", "difference", "in s.e."),
            tuple(_cells(row) for row in [*overall, *others]),
        )

    def records(self) -> list[dict[str, Any]]:
        """One row a quantity."""
        return [row.to_dict() for row in self.rows]


def compare(estimate: LatencyEstimate, simulation: SimulationResult) -> Comparison:
    """A latency estimate beside a simulation of the same system: value, interval, difference in % and in standard errors.

    Parameters
    ----------
    estimate : LatencyEstimate
        From :func:`dmoa_theory.latency`.
    simulation : SimulationResult
        From :func:`dmoa_theory.simulate`.

    Raises
    ------
    InputError
        When they are of systems that differ; it says in what.

    Examples
    --------
    >>> from dmoa_theory import System, latency, simulate
    >>> alone = System.from_arrays([[0]], 0.7, 1.0, M=0, k=0, law="exponential")
    >>> result = compare(latency(alone), simulate(alone, queries=100_000))
    >>> abs(result.rows[0].standard_errors) < 3
    True
    """
    apart = first_difference(estimate.system, simulation.system)
    if apart is not None:
        raise InputError("", "these results are of systems that differ", f"the same system for both ({apart})")
    rows = tuple(_rows(estimate, simulation)) if estimate.stable and simulation.stable and simulation.queries else ()
    return Comparison(estimate=estimate, simulation=simulation, rows=rows)


def _rows(estimate: LatencyEstimate, simulation: SimulationResult) -> Iterator[Row]:
    system, errors = estimate.system, estimate.expected_error
    # limits may differ, but a quantile is that of one of them
    same_overflow = system.constraints.overflow_probability == simulation.system.constraints.overflow_probability
    for name in ("mean", "p50", "p95", "p99"):
        band = getattr(errors, name)
        yield _row(f"{name} latency", "all prompts", "s", getattr(estimate, name), getattr(simulation, name), (), band)
    for u in np.flatnonzero(system.rates > 0).tolist():
        user = system.network.name(u)
        for name in ("mean", "p50", "p95", "p99"):
            theory = getattr(estimate, f"user_{name}")[u]
            yield _row(f"{name} latency", user, "s", theory, getattr(simulation, f"user_{name}"), (u,))
        for stage in Stage:
            theory = estimate.stage_mean[u, stage]
            if np.isfinite(theory):
                yield _row(f"mean {_STAGES[stage]}", user, "s", theory, simulation.user_stage_mean, (u, int(stage)))
    for i in range(system.n_devices):
        device = system.network.name(i)
        for name, unit, value, interval in (
            ("utilisation", "share", estimate.utilisation, simulation.utilisation),
            ("mean wait", "s", estimate.wait_mean, simulation.wait_mean),
            ("mean in system", "jobs", estimate.jobs_mean, simulation.jobs_mean),
        ):
            yield _row(name, device, unit, value[i], interval, (i,))
        if estimate.memory is not None and simulation.memory_mean is not None:
            yield _row("mean memory", device, "bytes", estimate.memory.mean[i], simulation.memory_mean, (i,))
        if estimate.memory is not None and simulation.memory_quantile is not None and same_overflow:
            yield _row("memory quantile", device, "bytes", estimate.memory.quantile[i], simulation.memory_quantile, (i,))


_STAGES = {Stage.FIRST: "first layer", Stage.LATER: "later layer", Stage.AGGREGATE: "aggregation"}


def _row(
    quantity: str, of: str, unit: str, theory: float, interval: Interval, at: tuple[int, ...], band: ErrorBand | None = None
) -> Row:
    return Row(
        quantity=quantity,
        of=of,
        unit=unit,
        theory=float(theory),
        simulated=float(interval.value[at]),
        half_width=float(interval.half_width[at]),
        expected=band,
    )


def _cells(row: Row) -> tuple[str, ...]:
    show = _UNITS[row.unit]
    known = np.isfinite(row.simulated)
    return (
        row.quantity,
        row.of,
        show(row.theory),
        show(row.simulated) if known else "-",
        show(row.half_width) if np.isfinite(row.half_width) else "-",
        f"{100 * row.difference:+.1f} %" if np.isfinite(row.difference) else "-",
        f"{row.standard_errors:+.1f}" if np.isfinite(row.standard_errors) else "-",
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """Comparisons of one system at rising loads: its arrival rates scaled so that the busiest device has each utilisation.

    Attributes
    ----------
    loads : tuple of float
        Utilisation of the busiest device.
    comparisons : tuple of Comparison
        One a load.
    curve_loads : ndarray, shape (c,)
        Loads between the first and the last, close together.
    curve : mapping of str to ndarray, shape (c,), s
        What the theory says there of ``"mean"``, ``"p95"`` and ``"p99"``.
    """

    loads: tuple[float, ...]
    comparisons: tuple[Comparison, ...]
    curve_loads: FloatArray
    curve: Mapping[str, FloatArray]

    def expected(self) -> tuple[ExpectedError, ...]:
        """The errors that the theory expects of itself, one a load."""
        return tuple(comparison.estimate.expected_error for comparison in self.comparisons)

    def table(self) -> Table:
        """Mean and p95 over all prompts, theory and simulation, load by load."""
        rows = []
        for load, comparison in zip(self.loads, self.comparisons, strict=True):
            by_name = {row.quantity: row for row in comparison.rows if row.of == "all prompts"}
            cells = [show_share(load)]
            for name in ("mean latency", "p95 latency"):
                row = by_name.get(name)
                cells += ["-"] * 3 if row is None else [show_seconds(row.theory), show_seconds(row.simulated), _cells(row)[5]]
            rows.append(tuple(cells))
        of = ("in theory", "simulated", "off by")
        heads = ("busiest device", *(f"mean {what}" for what in of), *(f"p95 {what}" for what in of))
        return Table("theory beside simulation over load, all prompts", heads, tuple(rows))

    def records(self) -> list[dict[str, Any]]:
        """One row a load and a figure over all prompts."""
        return [
            {"load": load, **row.to_dict()}
            for load, comparison in zip(self.loads, self.comparisons, strict=True)
            for row in comparison.rows
            if row.of == "all prompts"
        ]


def compare_over_load(
    system: System,
    loads: Sequence[float],
    *,
    queries: int = 1_000_000,
    seed: int = 0,
    replications: int = 1,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Sweep:
    """Theory beside simulation at several loads.

    Parameters
    ----------
    system : System
        All its arrival rates are scaled by one factor.
    loads : sequence of float
        Utilisations of the busiest device, each above 0 and below 1.
    queries, seed, replications, workers
        As for :func:`dmoa_theory.simulate`.
    progress : callable, optional
        Told the fraction done.

    Raises
    ------
    InputError
        When there is no load, or one is not between 0 and 1.
    KeyboardInterrupt
        When a simulation was interrupted.
    """
    if not loads:
        raise InputError("loads", "none", "utilisations above 0 and below 1, such as 0.3,0.6,0.9")
    for load in loads:
        if not 0 < load < 1:
            raise InputError("loads", load, "utilisations above 0 and below 1")
    now = float(latency(system).utilisation.max())
    loads = sorted(loads)
    comparisons = []
    for place, load in enumerate(loads):
        scaled = system.with_rates(system.rates * (load / now))
        found = simulate(
            scaled,
            queries=queries,
            seed=seed,
            replications=replications,
            workers=workers,
            progress=None if progress is None else lambda part, at=place: progress((at + part) / len(loads)),  # type: ignore[misc]
        )
        comparisons.append(compare(latency(scaled), found.whole()))
    between = np.linspace(min(loads), max(loads), _CURVE) if len(loads) > 1 else np.array(loads)
    estimates = [latency(system.with_rates(system.rates * (load / now))) for load in between]
    curve = {name: np.array([getattr(estimate, name) for estimate in estimates]) for name in ("mean", "p95", "p99")}
    return Sweep(loads=tuple(loads), comparisons=tuple(comparisons), curve_loads=between, curve=curve)
