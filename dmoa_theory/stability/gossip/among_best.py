"""Among all gossips that carry most: the one nearest to uniform, and the devices that every one of them fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.stability.gossip.program import ROUNDING, Optimum, Program, linear_program, tidy

__all__ = ["always_full", "nearest_to_uniform"]

#: Room that is room, and not the solver's rounding; and the most that a device need show.
_ROOM, _ENOUGH = 1e-6, 1e-2
#: Dual values below this part of the largest are the solver's rounding.
_WORTHLESS = 1e-7


def nearest_to_uniform(program: Program, scale: float) -> FloatArray:
    """Exact (to 1e-9 of the solver): of the gossips that carry a load, one that redirects the fewest asks from uniform gossip.

    Minimises ``sum rate_u |q_ui - k_u / d_u|``, again a linear program.

    Parameters
    ----------
    program : Program
    scale : float
        A scale that some gossip carries.

    Returns
    -------
    ndarray, shape (n_links,)
    """
    p, n_links = program, program.source.size
    rates, uniform = p.rates_at(scale), p.uniform()
    change = _changes(p, rates)
    weight = rates[p.source] / rates.max()
    found = linear_program(
        cost=np.append(weight, weight),
        upper_rows=change.loads,
        upper=1 + ROUNDING - p.load(rates, uniform),
        equal_rows=change.asks,
        equal=np.zeros(change.asks.shape[0]),
        limits=change.limits,
    )
    return tidy(p, np.where(rates[p.source] > 0, uniform + found.x[:n_links] - found.x[n_links:], uniform))


@dataclass(frozen=True, slots=True)
class _Changes:
    """What changing uniform gossip does, unknowns first what is added to each link, then what is taken: rows and limits."""

    loads: Any
    asks: Any
    limits: FloatArray


def _changes(p: Program, rates: FloatArray) -> _Changes:
    from scipy import sparse

    uniform, n_links = p.uniform(), p.source.size
    askers, row = np.unique(p.source, return_inverse=True)
    columns = np.arange(n_links)
    work = p.work * rates[p.source] / p.speed[p.target]
    loads = sparse.coo_array((work, (p.target, columns)), shape=(rates.size, n_links))
    asks = sparse.coo_array((np.ones(n_links), (row, columns)), shape=(askers.size, n_links))
    limits = np.column_stack((np.zeros(2 * n_links), np.append(1 - uniform, (uniform - p.least).clip(0))))
    return _Changes(sparse.hstack([loads, -loads]), sparse.hstack([asks, -asks]), limits)


def always_full(program: Program, optimum: Optimum, full: IntArray, *, most_links: int) -> IntArray:
    """Exact (beyond ``most_links`` links, only what dual values prove): which full devices are full with every best gossip.

    A device with a positive dual value is. Whether another is, depends on whether some best gossip leaves it room: what room
    the doubtful ones can have together is made as large as possible, those that get some are let go, and that is repeated
    until none does. Best gossips mix, so any room that one of them leaves is found.

    Parameters
    ----------
    program : Program
    optimum : Optimum
    full : ndarray of int
        Devices that are full with one best gossip.
    most_links : int
    """
    from scipy import sparse

    certain: IntArray = full[optimum.device_slope[full] > _WORTHLESS * optimum.device_slope.max(initial=0.0)]
    doubtful = np.setdiff1d(full, certain)
    p, n_links, n = program, program.source.size, program.rates.size
    if not n_links:  # there is only one gossip
        return full
    if n_links > most_links:
        return certain
    rates = p.rates_at(optimum.scale)
    change, load = _changes(p, rates), p.load(rates, p.uniform())
    while doubtful.size:
        room = sparse.coo_array((np.ones(doubtful.size), (doubtful, np.arange(doubtful.size))), shape=(n, doubtful.size))
        none = sparse.coo_array((change.asks.shape[0], doubtful.size))
        found = linear_program(
            cost=np.append(np.zeros(2 * n_links), -np.ones(doubtful.size)),
            upper_rows=sparse.hstack([change.loads, room]),
            upper=1 + ROUNDING - load,
            equal_rows=sparse.hstack([change.asks, none]),
            equal=np.zeros(change.asks.shape[0]),
            limits=np.vstack((change.limits, np.tile((0.0, _ENOUGH), (doubtful.size, 1)))),
        )
        still = found.x[2 * n_links :] < _ROOM
        if still.all():
            break
        doubtful = doubtful[still]
    return np.sort(np.append(certain, doubtful))
