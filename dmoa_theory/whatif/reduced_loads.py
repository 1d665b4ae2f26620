"""The loads of all systems that lack one device or one link, without building any of them.

A loss changes only who asked the lost one: the lost user's own work is gone, and those who asked it spread theirs over the
neighbours left. With ``A`` the matrix of who asks whom, ``B`` the work that user u brings to device j now, and ``B'`` what it
brings once it has a neighbour less (with uniform choice the same whichever is lost), the loads after the loss of device d are

    sum over u != d of  B'_uj where A_ud = 1,  B_uj elsewhere:  row d of  (1 - A - I)^T B + A^T B'

and what each device does for its own user. Nothing is subtracted, so the figures are as exact as those counted from scratch.
With weighted choice B' depends on d: every asking user's rows with one neighbour left out are computed in one go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.whatif.asking import Asking, asking, inclusion_of_rows
from dmoa_theory.whatif.loss import WhenShort

__all__ = ["ReducedLoads", "link_pairs"]

# Rows of dense matrices, and numbers in one, worked on at a time.
_BLOCK, _NUMBERS = 512, 2**22


@dataclass(frozen=True, slots=True, eq=False)
class ReducedLoads:
    """Exact: utilisation of every device after any single loss.

    Parameters
    ----------
    system : System
    when_short : WhenShort
        As for :func:`dmoa_theory.whatif.loss.lose`.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory import System
    >>> from dmoa_theory.whatif.reduced_loads import ReducedLoads
    >>> triangle = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=1)
    >>> ReducedLoads(triangle).without_devices(np.array([2])).round(12).tolist()
    [[0.6, 0.6, nan]]
    """

    system: System
    when_short: WhenShort = WhenShort.FEWER

    def without_devices(self, lost: IntArray) -> FloatArray:
        """Utilisation after the loss of each device alone; shape (len(lost), n), NaN at the lost one."""
        lost = np.asarray(lost, dtype=np.int64)
        now = asking(self.system)
        less = self._less(now)
        work = now.work()
        rows = [self._block(now, less, work, lost[at : at + _BLOCK]) for at in range(0, lost.size, _BLOCK)]
        return np.concatenate(rows) if rows else np.empty((0, self.system.n_devices))

    def _less(self, now: Asking) -> _Less:
        """What every asking user does once it has one neighbour less."""
        left = np.maximum(now.choice - 1, 0)
        short = left < now.k
        k = np.minimum(now.k, left)
        sends = np.where(short & (self.when_short is WhenShort.CUT_OFF), 0.0, now.rates)
        return _Less(k=k, left=left, rates=sends, own=sends * now.own_work(k), visit=sends[now.source] * now.visit_work(k))

    def _block(self, now: Asking, less: _Less, work: FloatArray, lost: IntArray) -> FloatArray:
        n = self.system.n_devices
        own = now.rates * now.own_work(now.k)
        shape = (n, n)
        asked = sparse.csr_array((np.ones(now.source.size), (now.target, now.source)), shape=shape)[lost].toarray()
        others = 1 - asked
        others[np.arange(lost.size), lost] = 0
        brought = sparse.csr_array((work, (now.source, now.target)), shape=shape)
        load = np.asarray(np.where(asked > 0, less.own, own) + others @ brought)
        if self.system.moa.is_uniform:
            share = np.divide(less.k, less.left, out=np.zeros(n), where=less.left > 0)
            load += asked @ sparse.csr_array((less.visit * share[now.source], (now.source, now.target)), shape=shape)
        else:
            self._add_weighted(load, now, less, lost)
        load[np.arange(lost.size), lost] = np.nan
        return load

    def _add_weighted(self, load: FloatArray, now: Asking, less: _Less, lost: IntArray) -> None:
        """Add what users bring who asked a lost device, choosing by weight from the others; users alike in size at once."""
        place = np.full(self.system.n_devices, -1)
        place[lost] = np.arange(lost.size)
        heard = np.flatnonzero((place[now.target] >= 0) & (less.left[now.source] > 0) & (less.rates[now.source] > 0))
        rows, weights, coins = now.rows(), now.weights(), now.coins()
        assert weights is not None
        size = np.column_stack((less.left, less.k))[now.source[heard]]
        for left, k in np.unique(size, axis=0).tolist():
            alike = heard[(size[:, 0] == left) & (size[:, 1] == k)]
            for part in np.array_split(alike, max(1, alike.size * left * (k + 1) // _NUMBERS)):
                others = _others(rows, now.source[part], part, left)
                share = inclusion_of_rows(weights[others], k, coins[others])
                np.add.at(load, (place[now.target[part]][:, None], now.target[others]), share * less.visit[others])

    def link_peaks(self, pairs: list[tuple[int, ...]]) -> tuple[IntArray, FloatArray]:
        """The busiest device and its utilisation after the loss of each set of links, both ways of one; two of shape (len,)."""
        now = asking(self.system)
        less = self._less(now)
        own, rows = now.rates * now.own_work(now.k), now.rows()
        work = now.work()
        n = self.system.n_devices
        load = own + np.bincount(now.target, weights=work, minlength=n)
        at = np.full(self.system.network.n_links, -1)
        at[now.place] = np.arange(now.place.size)
        busiest, peak = np.empty(len(pairs), dtype=np.int64), np.empty(len(pairs))
        weights, coins = now.weights(), now.coins()
        for p, pair in enumerate(pairs):
            changed = load.copy()
            for place in pair:
                link = int(at[place])
                if link < 0:
                    continue
                u = int(now.source[link])
                links = slice(int(rows[u]), int(rows[u + 1]))
                changed[now.target[links]] -= work[links]
                changed[u] += less.own[u] - own[u]
                left, k = int(less.left[u]), int(less.k[u])
                if left and less.rates[u]:
                    others = _others(rows, np.array([u]), np.array([link]), left)
                    share = k / left if weights is None else inclusion_of_rows(weights[others], k, coins[others])[0]
                    changed[now.target[others[0]]] += share * less.visit[others[0]]
            busiest[p] = int(changed.argmax())
            peak[p] = max(float(changed[busiest[p]]), 0.0)  # a difference of equals may leave rounding
        return busiest, peak


@dataclass(frozen=True, slots=True, eq=False)
class _Less:
    """Every user with one neighbour less: k, neighbours left, prompts/s, its work at home, and over each used link if asked."""

    k: IntArray
    left: IntArray
    rates: FloatArray
    own: FloatArray
    visit: FloatArray


def _others(rows: IntArray, users: IntArray, links: IntArray, left: int) -> IntArray:
    """The ``left`` other links of each user beside the one that is lost; shape (len(users), left)."""
    others = rows[users][:, None] + np.arange(left)
    return np.asarray(others + (others >= links[:, None]))


def link_pairs(system: System) -> list[tuple[int, ...]]:
    """The places of every link: both ways together where both are listed, in the order in which the first of them stands."""
    network = system.network
    n = network.n_devices
    source, target = network.link_sources().astype(np.int64), network.indices.astype(np.int64)
    key, opposite = source * n + target, target * n + source
    if not key.size:
        return []
    place = np.minimum(np.searchsorted(key, opposite), key.size - 1)
    both = key[place] == opposite
    first = ~both | (source < target)
    return [(link, int(place[link])) if both[link] else (link,) for link in np.flatnonzero(first).tolist()]
