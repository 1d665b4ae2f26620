"""What the best gossip carries: the capacity beside that of uniform gossip, what limits it, and what would raise it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.quantities import rate_unit, show_number, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.gossip.prices import Prices, capacity_prices
from dmoa_theory.stability.gossip.program import Optimum, Program
from dmoa_theory.stability.gossip.selection import selection_weights, write_selection

__all__ = ["Capacity"]

_SHOWN, _NAMED = 12, 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Capacity(Result):
    """Exact: the largest load over all gossip probabilities, and a gossip that carries it.

    Scale 1 is the present load; at scale ``s`` the rates are ``rates + (s - 1) direction``, which without a direction is
    ``s`` times the present rates. Every queue stays bounded below the scale of a gossip, so far as load below one suffices.
    Where users who do not grow overload a device whatever the gossip, no scale works: ``feasible`` is false, every scale NaN,
    and gossip and bottlenecks are those that are best for these users alone.

    Attributes
    ----------
    given : System
        What was asked about.
    min_inclusion : float
        Smallest inclusion probability of a link that was asked for.
    direction : ndarray, shape (n,), prompts/s
        What grows; the present rates unless something else was asked for.
    scale_best : float
        Capacity with the best gossip; NaN where no scale works.
    scale_uniform, scale_own : float
        Capacity when neighbours are drawn uniformly, and as the system draws them; NaN where no scale works.
    inclusion : ndarray, shape (n_links,)
        The best gossip: the probability that a layer uses each link. Of equally good ones, one that redirects the fewest
        asks from uniform gossip.
    utilisation_uniform, utilisation_best : ndarray, shape (n,)
        Of each device under the present load.
    bottlenecks : ndarray of int
        Devices that every best gossip fills at capacity, those with the largest dual values first (beyond 5,000 links only
        those with a dual value above zero, which proves it).
    program : Program
        The linear program.
    optimum : Optimum
        Its solution, with dual values.
    """

    verb: ClassVar[str] = "capacity"

    given: System
    min_inclusion: float
    direction: FloatArray
    scale_best: float
    scale_uniform: float
    scale_own: float
    inclusion: FloatArray
    utilisation_uniform: FloatArray
    utilisation_best: FloatArray
    bottlenecks: IntArray
    program: Program
    optimum: Optimum

    @property
    def source(self) -> Source:
        """Loads and their limits are exact."""
        return Source.EXACT

    @property
    def feasible(self) -> bool:
        """Whether there is a scale that some gossip carries; if not, the users who do not grow overload a device."""
        return not math.isnan(self.scale_best)

    @property
    def stable(self) -> bool:
        """Whether the best gossip carries the present load."""
        return self.scale_best > 1

    @property
    def gain(self) -> float:
        """Prompts of all users at capacity over those at the capacity of uniform gossip, less one; NaN where that has none."""
        return self._gain_over(self.scale_uniform)

    @property
    def gain_over_own(self) -> float:
        """The same against the system's own selection."""
        return self._gain_over(self.scale_own)

    def _gain_over(self, scale: float) -> float:
        if math.isnan(scale) or not self.feasible:
            return math.nan
        best, other = (float(self.rates(s).sum()) for s in (self.scale_best, scale))
        gain = best / other - 1 if other > 0 else math.nan
        return 0.0 if abs(gain) < 1e-9 else gain  # the program is solved to about that

    def part(self, rise: float) -> float:
        """Exact: prompts of all users that a rise of the scale adds, over those at capacity: in the unit of :attr:`gain`."""
        return rise * float(self.direction.sum()) / float(self.rates(self.scale_best).sum())

    def rates(self, scale: float = 1.0) -> FloatArray:
        """Exact: the rates at a scale; shape (n,), prompts/s."""
        rates = self.program.rates_at(scale)
        return np.asarray(np.where(np.abs(rates) < 1e-12 * self.program.rates.max(), 0.0, rates))

    def system(self, scale: float = 1.0) -> System:
        """Exact: the system with the best gossip (weights of a conditional-Poisson choice), under the load of a scale.

        Parameters
        ----------
        scale : float

        Raises
        ------
        InputError
            When a rate would be negative.
        """
        system = replace(self.given, arrival_rate=self.rates(scale))
        network, asks = system.network, self.asks
        uniform = not np.ptp(np.where(asks[network.link_sources()], self.inclusion - self._uniform(), 0.0), axis=0)
        weight = None if uniform else selection_weights(network, self.inclusion, asks)
        return replace(system, moa=replace(system.moa, selection_weight=weight))

    @property
    def asks(self) -> BoolArray:
        """Users whose neighbours the program chooses: those with prompts, now or as they grow, who ask; shape (n,)."""
        return self.program.degree > 0

    def _uniform(self) -> FloatArray:
        network, k = self.given.network, self.program.k
        share = np.divide(k, network.out_degree, out=np.zeros(k.size), where=network.out_degree > 0)
        return np.repeat(share, network.out_degree)

    @property
    def full(self) -> IntArray:
        """Devices that are full at capacity with :attr:`inclusion`; another best gossip may fill fewer, or others beside.

        The :attr:`bottlenecks` come first.
        """
        if not self.feasible:
            return self.bottlenecks
        others = np.setdiff1d(self.program.full(self.scale_best, self.inclusion[self._links]), self.bottlenecks)
        return np.append(self.bottlenecks, others)

    @property
    def _links(self) -> BoolArray:
        return np.asarray(self.asks[self.given.network.link_sources()])

    def prices(self, most: int = 3) -> Prices:
        """What a device one per cent faster, or one link more, would add; see :func:`capacity_prices`."""
        return capacity_prices(self.given, self.program, self.optimum, most=most)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the best gossip as the CSV that a scenario's ``moa.selection`` reads.

        Parameters
        ----------
        path : path
        """
        return write_selection(self.given.network, self.inclusion, self.asks, path)

    def links(self) -> list[dict[str, Any]]:
        """The best gossip, one row a link that is used: from, to, probability, and the probability of uniform gossip."""
        network, uniform = self.given.network, self._uniform()
        sources = network.link_sources()
        return [
            {
                "from": network.name(int(sources[e])),
                "to": network.name(int(network.indices[e])),
                "probability": float(self.inclusion[e]),
                "uniform": float(uniform[e]),
            }
            for e in np.flatnonzero(self._links & (self.inclusion > 0)).tolist()
        ]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why figures are null, one sentence each."""
        if not self.feasible:
            names = ", ".join(self.given.network.name(i) for i in self.bottlenecks[:_NAMED].tolist())
            more = f" and {self.bottlenecks.size - _NAMED} more" if self.bottlenecks.size > _NAMED else ""
            overload = show_share(1 / self.optimum.scale)
            return (
                "scales and gains are null: whatever the gossip, the users who do not grow overload a device by themselves; "
                f"the gossip that is best for them loads {names}{more} to {overload} with their prompts alone",
            )
        found = []
        if math.isnan(self.scale_uniform):
            found.append("scale_uniform and gain are null: with uniform gossip the users who do not grow overload a device")
        if math.isnan(self.scale_own) and not self.given.moa.is_uniform:
            found.append("scale_own and gain_over_own are null: no scale works with the scenario's own selection")
        if math.isnan(self.gain) and not math.isnan(self.scale_uniform):
            found.append("gain is null: nobody sends anything at the capacity of uniform gossip")
        return tuple(found)

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        name = self.given.network.name
        prices = self.prices() if self.feasible else Prices(devices=(), links=(), other_devices=(), n_devices=0, n_links=0)
        return {
            "configuration": self.given.moa.to_dict(),
            "names": [name(u) for u in range(self.given.n_devices)],
            "min_inclusion": self.min_inclusion,
            "direction": self.direction,
            "scale_uniform": self.scale_uniform,
            "scale_own": self.scale_own,
            "scale_best": self.scale_best,
            "prompts": {
                which: float(self.rates(scale).sum()) if not math.isnan(scale) else None
                for which, scale in (("uniform", self.scale_uniform), ("own", self.scale_own), ("best", self.scale_best))
            },
            "stable": self.stable,
            "gain": self.gain,
            "gain_over_own": self.gain_over_own,
            "bottlenecks": [{"device": i, "name": name(i)} for i in self.bottlenecks.tolist()],
            "full": [{"device": i, "name": name(i)} for i in self.full.tolist()],
            "prices": {
                "devices": [
                    {
                        "device": p.device,
                        "name": p.name,
                        "slope": p.slope,
                        "one_per_cent_faster": p.rise,
                        "gain": self.part(p.rise),
                    }
                    for p in prices.devices
                ],
                "links": [
                    {
                        "from": p.names[0],
                        "to": p.names[1],
                        "slope": p.slope,
                        "link_added": p.rise,
                        "gain": self.part(p.rise),
                    }
                    for p in prices.links
                ],
                "devices_with_a_price": prices.n_devices,
                "links_with_a_price": prices.n_links,
            },
            "utilisation_uniform": self.utilisation_uniform,
            "utilisation_best": self.utilisation_best,
            "selection": [{key: row[key] for key in ("from", "to", "probability")} for row in self.links()] * self.feasible,
            "reasons": self.reasons,
            "warnings": self.given.warnings(),
        }

    def table(self) -> Table:
        """Utilisation under the present load, and who is full at capacity; the busiest devices of a large network."""
        order = np.arange(self.given.n_devices)
        if order.size > _SHOWN:
            order = np.argsort(-np.maximum(self.utilisation_best, self.utilisation_uniform), kind="stable")[:_SHOWN]
        rates, network = self.given.rates, self.given.network
        seconds, unit = rate_unit(float(rates[order].max()))
        state = dict.fromkeys(self.full.tolist(), "full") | dict.fromkeys(self.bottlenecks.tolist(), "bottleneck")
        rows = tuple(
            (
                network.name(u),
                show_number(seconds * rates[u]),
                show_share(self.utilisation_uniform[u]),
                show_share(self.utilisation_best[u]),
                state.get(u, ""),
            )
            for u in order.tolist()
        )
        left_out = f" ({_SHOWN} busiest of {self.given.n_devices})" if self.given.n_devices > _SHOWN else ""
        uniform = "none" if math.isnan(self.scale_uniform) else show_number(self.scale_uniform)
        best = show_number(self.scale_best) if self.feasible else "none"
        scale = "capacity" if self.program.growth is None else "capacity, in the scale of those who grow:"
        caption = f"{scale} {best} (uniform {uniform}) with {self.given.moa.label}; utilisation now{left_out}"
        heads = ("device", f"prompts per {unit}", "now, uniform gossip", "now, best gossip", "at capacity")
        return Table(caption, heads, rows)

    def records(self) -> list[dict[str, Any]]:
        """One row a device."""
        columns = (self.given.rates, self.direction, self.utilisation_uniform, self.utilisation_best, self.optimum.device_slope)
        names = ("arrival_rate_per_s", "direction_per_s", "utilisation_uniform", "utilisation_best", "price_of_speed")
        return [
            {"device": self.given.network.name(u), **dict(zip(names, map(float, row), strict=True))}
            for u, row in enumerate(zip(*columns, strict=True))
        ]
