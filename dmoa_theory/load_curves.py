"""Latency against load for several (M, k): estimates as curves up to near the limit, short simulations as points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_rate, show_seconds
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.stability.loads import utilisation

__all__ = ["LoadCurve", "LoadCurves", "SimulatedPoint", "affordable", "load_curves", "neighbouring_configurations"]

#: Shares of the critical scale: of the curve, and of the simulated points.
CURVE = (0.1, 0.97)
# A curve begins at this share of the present load at the latest, so that today's latency can be read off.
_BEFORE_NOW = 0.5
POINTS = (0.25, 0.5, 0.75, 0.9)
#: Prompts of one simulation.
QUERIES = 60_000
_MOST = 4
# Links of a network beyond which curves would take longer than one likes to wait for a picture.
_MOST_LINKS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPoint:
    """One short simulation: rates as a factor on the present ones; mean and p95 (s), with half widths of 95 % intervals."""

    scale: float
    mean: float
    mean_half_width: float
    p95: float
    p95_half_width: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadCurve:
    """One (M, k) from light load to near its limit.

    Attributes
    ----------
    system : System
        With this (M, k), at the present rates.
    critical_scale : float
        Factor on all rates below which every queue stays bounded.
    scale : ndarray, shape (c,)
        Factors of the curve, rising.
    mean, p95 : ndarray, shape (c,), s
        Estimates there.
    points : tuple of SimulatedPoint
    """

    system: System
    critical_scale: float
    scale: FloatArray
    mean: FloatArray
    p95: FloatArray
    points: tuple[SimulatedPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LoadCurves(Result):
    """Approximation (curves) and simulation (points) of the latency over all prompts, by (M, k) and load."""

    verb: ClassVar[str] = "load_curves"

    curves: tuple[LoadCurve, ...]
    queries: int
    seed: int

    @property
    def source(self) -> Source:
        """An approximation; the points are simulated."""
        return Source.APPROXIMATION

    def payload(self) -> dict[str, Any]:
        """The records, and what was simulated."""
        return {"queries": self.queries, "seed": self.seed, "rows": self.records()}

    def records(self) -> list[dict[str, Any]]:
        """One row an estimate or a simulation; intervals are NaN for estimates."""
        rows = []
        for curve in self.curves:
            total = float(curve.system.rates.sum())
            estimates = ((s, m, p, np.nan, np.nan) for s, m, p in zip(curve.scale, curve.mean, curve.p95, strict=True))
            points = ((p.scale, p.mean, p.p95, p.mean_half_width, p.p95_half_width) for p in curve.points)
            for source, found in (("approximation", estimates), ("simulated", points)):
                rows += [
                    {
                        "configuration": curve.system.moa.label,
                        "source": source,
                        "scale": float(scale),
                        "prompts_per_s": total * float(scale),
                        "utilisation": float(scale) / curve.critical_scale,
                        "mean_s": float(mean),
                        "mean_ci95_s": float(mean_half),
                        "p95_s": float(p95),
                        "p95_ci95_s": float(p95_half),
                    }
                    for scale, mean, p95, mean_half, p95_half in found
                ]
        return rows

    def table(self) -> Table:
        """By (M, k): the limit, and mean and p95 with the busiest device at about half its time and near the end."""
        rows = []
        for curve in self.curves:
            half = int(np.argmin(abs(curve.scale / curve.critical_scale - 0.5)))
            limit = show_rate(float(curve.system.rates.sum()) * curve.critical_scale)
            cells = (show_seconds(float(values[i])) for i in (half, -1) for values in (curve.mean, curve.p95))
            rows.append((curve.system.moa.label, limit, *cells))
        heads = ("configuration", "stable below", "mean, half load", "p95", "mean, 97 %", "p95")
        return Table("latency by load (approximation)", heads, tuple(rows))


def affordable(system: System) -> bool:
    """Whether the curves of a system take seconds, not minutes: by its number of links."""
    return system.network.n_links <= _MOST_LINKS


def neighbouring_configurations(system: System) -> tuple[System, ...]:
    """The system as it is, and up to three with one layer or one neighbour more or less; alone where users differ in (M, k).

    Examples
    --------
    >>> three = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=1)
    >>> [s.moa.label for s in neighbouring_configurations(three)]
    ['M=1, k=1', 'M=1, k=2', 'M=2, k=1', 'M=0, k=0']
    """
    if system.moa.n_users is not None:
        return (system,)
    M, k, _ = (int(values[0]) for values in system.moa.per_user(1))
    wanted = [(1, 1), (1, 2), (2, 1)] if M == 0 else [(M, k + 1), (M + 1, k), (M, k - 1), (M - 1, k)]
    found = [system]
    for layers, asked in wanted:
        if asked < 1 and layers > 0:
            continue
        try:
            found.append(system.with_moa(layers, asked if layers > 0 else 0))
        except InputError:  # more neighbours than some user has
            continue
    return tuple(found[:_MOST])


def load_curves(
    systems: Sequence[System],
    *,
    points: Sequence[float] = POINTS,
    steps: int = 14,
    queries: int = QUERIES,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> LoadCurves:
    """Approximation: mean and p95 against load, each system up to 97 % of its critical scale; simulated at a few loads.

    Curves begin at 10 % of the critical scale, or at half of the present load where that is less.

    Parameters
    ----------
    systems : sequence of System
        Which differ in (M, k); their rates are scaled by common factors.
    points : sequence of float
        Utilisations of the busiest device at which to simulate, above 0 and below 1; none to leave the simulations out.
    steps : int
        Estimates of each curve.
    queries : int
        Of each simulation.
    seed : int
        From which every simulation has a seed of its own.
    progress : callable, optional
        Told the fraction done.

    Examples
    --------
    M/M/1 with mean service 1 s: the mean at a load of 0.97 is 1 / 0.03 s.

    >>> alone = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0, law="exponential")
    >>> (curve,) = load_curves([alone], points=()).curves
    >>> curve.critical_scale, round(float(curve.mean[-1]), 6)
    (2.0, 33.333333)
    """
    for load in points:
        if not 0 < load < 1:
            raise InputError("points", load, "utilisations above 0 and below 1")
    tell = progress or (lambda fraction: None)
    curves: list[LoadCurve] = []
    for place, system in enumerate(systems):

        def told(share: float, place: int = place) -> None:
            tell((place + share) / len(systems))

        critical = 1 / float(utilisation(system).max())
        # close together where the curve bends: even in the reciprocal of the time that the busiest device is free
        busy = 1 - np.geomspace(1 - min(CURVE[0], _BEFORE_NOW / critical), 1 - CURVE[1], steps)
        estimates = []
        for step, load in enumerate(busy.tolist()):
            estimates.append(latency(system.with_rates(system.rates * critical * load)))
            told(0.3 * (step + 1) / steps)
        found = []
        for step, load in enumerate(points):
            # a seed of its own: points that share their chance err to one side all along a curve, which looks like a bias
            own = int(np.random.SeedSequence([seed, place, step]).generate_state(1)[0])
            found += _simulated(system, critical * load, queries, own)
            told(0.3 + 0.7 * (step + 1) / len(points))
        curves.append(
            LoadCurve(
                system=system,
                critical_scale=critical,
                scale=critical * busy,
                mean=np.array([estimate.mean for estimate in estimates]),
                p95=np.array([estimate.p95 for estimate in estimates]),
                points=tuple(found),
            )
        )
    return LoadCurves(curves=tuple(curves), queries=queries if points else 0, seed=seed)


def _simulated(system: System, scale: float, queries: int, seed: int) -> list[SimulatedPoint]:
    """A point; none where the run was too short to be steady."""
    if system.link_rate is None:  # nobody asks for memory here, and looks at it take most of the time
        system = replace(system, footprint=None)
    seen = simulate(system.with_rates(system.rates * scale), queries=queries, seed=seed).whole()
    if not seen.stable or not seen.queries:
        return []
    return [
        SimulatedPoint(
            scale=scale,
            mean=float(seen.mean.value),
            mean_half_width=float(seen.mean.half_width),
            p95=float(seen.p95.value),
            p95_half_width=float(seen.p95.half_width),
        )
    ]
