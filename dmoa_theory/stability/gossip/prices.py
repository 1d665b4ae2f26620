"""What one thing better would add to the capacity: a device one per cent faster, or one link more."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.stability.gossip.program import Optimum, Program, solve
from dmoa_theory.stability.gossip.work import work_of_groups

__all__ = ["DevicePrice", "LinkPrice", "Prices", "capacity_prices"]

#: Up to this many links the program is solved again for every price, which makes it exact.
MOST_LINKS = 5000
#: What is meant by "one per cent faster".
FASTER = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePrice:
    """What a device one per cent faster adds.

    Attributes
    ----------
    device : int
    name : str
    slope : float
        Dual value: rise of the scale per unit of relative speed, where it is small; never less than what comes.
    rise : float
        Exact rise of the scale for one per cent, by solving again; NaN where the network is too large for that.
    """

    device: int
    name: str
    slope: float
    rise: float

    @property
    def best_known(self) -> float:
        """The exact rise, or the bound that stands in for it."""
        return FASTER * self.slope if math.isnan(self.rise) else self.rise


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPrice:
    """What a link that is not there yet would add.

    Attributes
    ----------
    source, target : int
        Who could ask whom.
    names : tuple of str
    slope : float
        Dual value: rise of the scale per unit of inclusion probability, where that is small; never less than what comes.
    rise : float
        Exact rise of the scale with the link added, by solving again; NaN where the network is too large for that.
    """

    source: int
    target: int
    names: tuple[str, str]
    slope: float
    rise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Devices and links that are worth most, best first.

    Attributes
    ----------
    devices : tuple of DevicePrice
    links : tuple of LinkPrice
    other_devices : tuple of int
        Further ones that might add something and were not tried, best first by dual value.
    n_devices, n_links : int
        How many have a dual value above zero, so that they might add something; of links, at most one a user.
    """

    devices: tuple[DevicePrice, ...]
    links: tuple[LinkPrice, ...]
    other_devices: tuple[int, ...]
    n_devices: int
    n_links: int


def capacity_prices(system: System, program: Program, optimum: Optimum, *, most: int = 3) -> Prices:
    """Exact where the program is solved again (up to 5,000 links), a bound from dual values beyond.

    Candidates are picked by dual value, which bounds what each can add to first order; where several devices limit the load
    together, one of them alone may add nothing, and the exact figure says so.

    Parameters
    ----------
    system : System
    program : Program
    optimum : Optimum
        Its solution.
    most : int
        How many devices and how many links.
    """
    again = program.source.size <= MOST_LINKS
    name = system.network.name
    # beyond the dual values' rounding, and no device without work
    worth = optimum.device_slope > 1e-7 * optimum.device_slope.max(initial=0.0)
    ranked = [i for i in np.argsort(-optimum.device_slope, kind="stable").tolist() if worth[i]]
    best = ranked[:most]
    missing = _missing_links(system, program, optimum)
    devices = [
        DevicePrice(
            device=i,
            name=name(i),
            slope=float(optimum.device_slope[i]),
            rise=_rise(replace(program, speed=_faster(program.speed, i)), optimum) if again else math.nan,
        )
        for i in best
    ]
    links = [
        LinkPrice(
            source=u,
            target=i,
            names=(name(u), name(i)),
            slope=slope,
            rise=_rise(_with_link(program, u, i, work), optimum) if again else math.nan,
        )
        for slope, u, i, work in missing[:most]
    ]
    return Prices(
        devices=tuple(sorted(devices, key=lambda price: -price.best_known)),
        links=tuple(sorted(links, key=lambda price: -(price.slope if math.isnan(price.rise) else price.rise))),
        other_devices=tuple(ranked[most:]),
        n_devices=len(ranked),
        n_links=len(missing),
    )


def _rise(changed: Program, optimum: Optimum) -> float:
    rise = solve(changed).scale - optimum.scale
    return rise if rise > 1e-8 * abs(optimum.scale) else 0.0


def _faster(speed: FloatArray, device: int) -> FloatArray:
    return speed * np.where(np.arange(speed.size) == device, 1 + FASTER, 1.0)


def _with_link(program: Program, user: int, device: int, work: float) -> Program:
    return replace(
        program,
        source=np.append(program.source, user),
        target=np.append(program.target, device),
        work=np.append(program.work, work),
    )


def _missing_links(system: System, program: Program, optimum: Optimum) -> list[tuple[float, int, int, float]]:
    """For each user the link it lacks most: dual value, user, device, work; those worth something, best first.

    Among devices of equal price the one with most time left is taken.
    """
    rates, network = program.rates_at(optimum.scale), system.network
    load, degree = program.load(rates, optimum.inclusion), program.degree
    found = []
    for work, users in work_of_groups(system):
        price = work * optimum.device_cost
        order = np.lexsort((load, np.where(price > 1e-9 * price.max(initial=0.0), price, 0.0))).tolist()
        for u in users[(degree[users] > 0) & (rates[users] > 0)].tolist():
            if program.least * (degree[u] + 1) > program.k[u]:
                continue
            taken = {u, *network.neighbours(u).tolist()}
            device = next((i for i in order if i not in taken), None)
            if device is None:
                continue
            slope = float(optimum.link_slope(u, device, work[device], rates[u]))
            if slope > 1e-6 * abs(optimum.scale):
                found.append((slope, u, device, float(work[device])))
    return sorted(found, key=lambda link: -link[0])
