"""Loads of many states at once, in each of which some devices and links are up and the others down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.whatif.asking import Asking, asking, inclusion_of_rows
from dmoa_theory.whatif.loss import WhenShort

__all__ = ["StateLoads", "loads_of_states"]


@dataclass(frozen=True, slots=True, eq=False)
class StateLoads:
    """What each state does.

    Attributes
    ----------
    load : ndarray, shape (s, n)
        Utilisation; 0 where a device is down.
    answered : ndarray of bool, shape (s, n)
        Users with prompts who are answered.
    """

    load: FloatArray
    answered: BoolArray


def loads_of_states(
    system: System, up: BoolArray, links_up: BoolArray | None, when_short: WhenShort, *, blind: bool = False
) -> StateLoads:
    """Exact: the loads of the systems that are left in given states, and which users they serve.

    Parameters
    ----------
    system : System
    up : ndarray of bool, shape (s, n)
    links_up : ndarray of bool, shape (s, n_links), optional
        Default all.
    when_short : WhenShort
        As for :func:`dmoa_theory.whatif.loss.lose`, to which these loads are equal.
    blind : bool
        Users draw from all neighbours; what goes to a device that is down is lost. The loads are then bounds: those of queries
        that are not held up by a layer that never ends.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory import System
    >>> from dmoa_theory.whatif.loss import WhenShort
    >>> from dmoa_theory.whatif.states import loads_of_states
    >>> triangle = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=1)
    >>> loads_of_states(triangle, np.array([[True, True, False]]), None, WhenShort.FEWER).load.round(12).tolist()
    [[0.6, 0.6, 0.0]]
    """
    now = asking(system)
    there = up[:, now.source] & up[:, now.target]
    if links_up is not None:
        there &= links_up[:, now.place]
    count = _by_user(now, there)
    asks = np.broadcast_to(now.k, up.shape) if blind else np.minimum(now.k, count)
    short = count < now.k
    sends = up & ~short if when_short is WhenShort.CUT_OFF and not blind else up
    if blind:
        share = there * system.inclusion()[now.place]
    elif now.weights() is None:
        each = np.divide(asks, count, out=np.zeros(up.shape), where=count > 0)
        share = there * each[:, now.source]
    else:
        share = _weighted(now, there, asks)
    rates = np.where(sends, system.rates, 0.0)
    work = rates[:, now.source] * share * now.visit_work(asks)
    onto = sparse.csr_array(
        (np.ones(now.target.size), (np.arange(now.target.size), now.target)), shape=(now.target.size, up.shape[1])
    )
    return StateLoads(load=np.asarray(rates * now.own_work(asks) + work @ onto), answered=sends & (system.rates > 0))


def _by_user(now: Asking, there: BoolArray) -> IntArray:
    """How many of the used links of each user are there; shape (s, n)."""
    rows = now.rows()
    count = np.zeros((there.shape[0], rows.size - 1), dtype=np.int64)
    busy = np.flatnonzero(np.diff(rows))
    if busy.size:
        count[:, busy] = np.add.reduceat(there, rows[busy], axis=1, dtype=np.int64)
    return count


def _weighted(now: Asking, there: BoolArray, asks: IntArray) -> FloatArray:
    """Inclusion probability of each used link in each state; shape (s, a)."""
    share = np.zeros(there.shape)
    rows, weights, coins = now.rows(), now.weights(), now.coins()
    assert weights is not None
    for u in np.flatnonzero(np.diff(rows)).tolist():
        links = slice(int(rows[u]), int(rows[u + 1]))
        for k in np.unique(asks[:, u]).tolist():
            states = np.flatnonzero(asks[:, u] == k)
            if k:
                left = np.where(there[states, links], weights[links], 0.0)
                share[states, links] = inclusion_of_rows(left, k, np.broadcast_to(coins[links], left.shape))
    return share
