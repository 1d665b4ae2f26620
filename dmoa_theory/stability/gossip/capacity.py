"""The capacity: how much load a network carries when every user may choose whom it asks, and how often."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray, FloatLike, IntArray, non_negative, read_only
from dmoa_theory.model.system import System
from dmoa_theory.quantities import rate_unit, show_number, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.gossip.prices import Prices, capacity_prices
from dmoa_theory.stability.gossip.program import Optimum, Program, nearest_to_uniform, solve
from dmoa_theory.stability.gossip.selection import selection_weights, write_selection
from dmoa_theory.stability.gossip.work import capacity_program

__all__ = ["Capacity", "capacity"]

_SHOWN = 12
#: A device is full from here on.
_FULL = 1 - 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Capacity(Result):
    """Exact: the largest load over all gossip probabilities, and a gossip that carries it.

    Scale 1 is the present load; at scale ``s`` the rates are ``rates + (s - 1) direction``, which without a direction is
    ``s`` times the present rates. Every queue stays bounded below the scale of a gossip, so far as load below one suffices.

    Attributes
    ----------
    given : System
        What was asked about.
    min_inclusion : float
        Smallest inclusion probability of a link that was asked for.
    direction : ndarray, shape (n,), prompts/s
        What grows; the present rates unless something else was asked for.
    scale_best : float
        Capacity with the best gossip.
    scale_uniform, scale_own : float
        Capacity when neighbours are drawn uniformly, and as the system draws them; NaN where no scale works.
    inclusion : ndarray, shape (n_links,)
        The best gossip: the probability that a layer uses each link. Of equally good ones, one that redirects the fewest
        asks from uniform gossip.
    utilisation_uniform, utilisation_best : ndarray, shape (n,)
        Of each device under the present load.
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
    program: Program
    optimum: Optimum

    @property
    def source(self) -> Source:
        """Loads and their limits are exact."""
        return Source.EXACT

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
        if math.isnan(scale):
            return math.nan
        best, other = (float(self.rates(s).sum()) for s in (self.scale_best, scale))
        gain = best / other - 1 if other > 0 else math.nan
        return 0.0 if abs(gain) < 1e-9 else gain  # the program is solved to about that

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
    def bottlenecks(self) -> IntArray:
        """Devices that are full at capacity, the most valuable first."""
        load = self.program.load(self.program.rates_at(self.scale_best), self.inclusion[self._links])
        full = np.flatnonzero(load >= _FULL)
        return full[np.argsort(-self.optimum.device_slope[full], kind="stable")]

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

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        name, prices = self.given.network.name, self.prices()
        return {
            "configuration": self.given.moa.to_dict(),
            "names": [name(u) for u in range(self.given.n_devices)],
            "min_inclusion": self.min_inclusion,
            "direction": self.direction,
            "scale_uniform": self.scale_uniform,
            "scale_own": self.scale_own,
            "scale_best": self.scale_best,
            "stable": self.stable,
            "gain": self.gain,
            "gain_over_own": self.gain_over_own,
            "bottlenecks": [{"device": i, "name": name(i)} for i in self.bottlenecks.tolist()],
            "prices": {
                "devices": [
                    {"device": p.device, "name": p.name, "slope": p.slope, "one_per_cent_faster": p.gain}
                    for p in prices.devices
                ],
                "links": [{"from": p.names[0], "to": p.names[1], "slope": p.slope, "link_added": p.gain} for p in prices.links],
            },
            "utilisation_uniform": self.utilisation_uniform,
            "utilisation_best": self.utilisation_best,
            "selection": [{key: row[key] for key in ("from", "to", "probability")} for row in self.links()],
            "warnings": self.given.warnings(),
        }

    def table(self) -> Table:
        """Utilisation with uniform and with best gossip under the present load; the busiest devices of a large network."""
        order = np.arange(self.given.n_devices)
        if order.size > _SHOWN:
            order = np.argsort(-np.maximum(self.utilisation_best, self.utilisation_uniform), kind="stable")[:_SHOWN]
        rates, network = self.given.rates, self.given.network
        seconds, unit = rate_unit(float(rates[order].max()))
        full = set(self.bottlenecks.tolist())
        rows = tuple(
            (
                network.name(u),
                show_number(seconds * rates[u]),
                show_share(self.utilisation_uniform[u]),
                show_share(self.utilisation_best[u]),
                "full first" if u in full else "",
            )
            for u in order.tolist()
        )
        left_out = f" ({_SHOWN} busiest of {self.given.n_devices})" if self.given.n_devices > _SHOWN else ""
        uniform = "none" if math.isnan(self.scale_uniform) else show_number(self.scale_uniform)
        caption = f"capacity {show_number(self.scale_best)} (uniform {uniform}) with {self.given.moa.label}{left_out}"
        return Table(caption, ("device", f"prompts per {unit}", "uniform", "best gossip", ""), rows)

    def records(self) -> list[dict[str, Any]]:
        """One row a device."""
        columns = (self.given.rates, self.direction, self.utilisation_uniform, self.utilisation_best, self.optimum.device_slope)
        names = ("arrival_rate_per_s", "direction_per_s", "utilisation_uniform", "utilisation_best", "price_of_speed")
        return [
            {"device": self.given.network.name(u), **dict(zip(names, map(float, row), strict=True))}
            for u, row in enumerate(zip(*columns, strict=True))
        ]


def capacity(system: System, *, min_inclusion: float = 0.0, direction: FloatLike | None = None) -> Capacity:
    """Exact: the largest load over all gossip probabilities on the network, by a linear program.

    Parameters
    ----------
    system : System
        Its own selection is only compared with.
    min_inclusion : float
        Smallest probability with which a layer uses each link, for diversity; at most k / out-degree of every user.
    direction : float or array_like, shape (n,), prompts/s, optional
        How rates grow: at scale ``s`` they are ``rates + (s - 1) direction``. Default: all in proportion.

    Returns
    -------
    Capacity

    Raises
    ------
    InputError
        When the least probability leaves no choice, or the direction is negative, zero, or of a user with too few neighbours.
    InfeasiblePlanError
        When those who do not grow overload a device, whatever the gossip.

    Notes
    -----
    With ``w_ui = mean_i,first + (M_u - 1) mean_i,later`` (means for the k of user ``u``) and ``h_i`` the work of a prompt at
    home, maximise ``s`` subject to

        h_i r_i(s) + sum_u r_u(s) w_ui q_ui <= 1,   sum_i q_ui = k_u,   q_min <= q_ui <= 1 on links,

    one ``q`` for all layers. Every such ``q`` is the inclusion law of a conditional-Poisson choice of k distinct neighbours
    (Chen, Dempster and Liu 1994, Biometrika 81(3)), so the optimum is reached exactly. A law that differs by layer has the same
    capacity when services do not depend on the stage, since loads then only see the average over layers.

    Examples
    --------
    One device is three times as slow as the others, and need not be asked:

    >>> from dmoa_theory import System
    >>> complete = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    >>> found = capacity(System.from_arrays(complete, 0.05, [1.0, 1.0, 1.0, 3.0], M=2, k=1))
    >>> round(found.scale_uniform, 6), round(found.scale_best, 6), round(found.gain, 6)
    (1.333333, 2.222222, 0.666667)
    """
    if isinstance(min_inclusion, bool) or not isinstance(min_inclusion, int | float) or not 0 <= min_inclusion <= 1:
        raise InputError("min_inclusion", min_inclusion, "a probability from 0 to 1")
    growth = None
    if direction is not None:
        growth = non_negative("direction", direction, system.n_devices, what="a finite number of prompts/s, 0 or more")
        if not growth.any():
            raise InputError("direction", 0, "above 0 for at least one user")
    program = capacity_program(system, growth, float(min_inclusion))
    uniform = program.uniform()
    scale_uniform = program.scale_of(uniform)
    optimum = solve(program)
    best, scale = uniform, scale_uniform
    if not scale_uniform >= optimum.scale * (1 - 1e-9) - 1e-9 * (growth is not None):
        best, scale = _best(program, optimum)
    network = system.network
    asks = program.degree > 0
    links = asks[network.link_sources()]
    inclusion = np.zeros(network.n_links)
    inclusion[links] = best
    return Capacity(
        given=system,
        min_inclusion=float(min_inclusion),
        direction=read_only(program.step),
        scale_best=scale,
        scale_uniform=scale_uniform,
        scale_own=scale_uniform if system.moa.is_uniform else _own_scale(system, program, links),
        inclusion=read_only(inclusion),
        utilisation_uniform=read_only(program.load(program.rates, uniform)),
        utilisation_best=read_only(program.load(program.rates, best)),
        program=program,
        optimum=optimum,
    )


def _best(program: Program, optimum: Optimum) -> tuple[FloatArray, float]:
    """The optimal gossip nearest to uniform, and the scale that it carries; the corner found first if that is better."""
    near = nearest_to_uniform(program, optimum.scale)
    tried = [(program.scale_of(near), near), (program.scale_of(optimum.inclusion), optimum.inclusion)]
    for scale, inclusion in tried:
        if scale >= optimum.scale - 1e-7 * max(1.0, abs(optimum.scale)):
            return inclusion, scale
    raise RuntimeError(f"the linear program promises {optimum.scale:.12g}, and its gossip carries {tried[1][0]:.12g}")


def _own_scale(system: System, program: Program, links: BoolArray) -> float:
    """Capacity of the system's own selection; NaN where a user who is to grow cannot ask with it."""
    if not system.can_ask()[program.degree > 0].all():
        return math.nan
    return program.scale_of(system.inclusion()[links])
