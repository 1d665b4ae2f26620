"""Theorem 3: the most work that head of line and work yet to come allow together, a linear programme at every device.

With ``h = W_j(s)`` the work that the head of the line finds, and ``n_i`` the queries in each stage at that moment in units of
their bound ``lambda_u d_u(w)``, maximise

    head_j h + sum of gain_i d_i n_i    subject to    0 <= h <= w_j,  0 <= n_i <= 1,
                                                      h + sum of ahead_i d_i n_i <= sum of ahead_i d_i,

the last because all work for ``j`` that there is at ``s``, ``h`` and that of queries under way, was once that of queries under
way alone: when device ``j`` was idle last. The programme is a knapsack with a fractional filling, so its dual has a single
unknown, the price ``theta`` of the last constraint, and

    L_j(w) = min over theta >= 0 of  max(head_j - theta, 0) w_j + sum of max(gain_i, theta ahead_i) d_i.

Any ``theta`` gives a valid bound, ``theta = 0`` that of Theorem 2's ``F`` and ``theta = 1`` its ``Fold``; the best lies at
``head_j`` or at one of the ratios ``gain_i / ahead_i``. (The constraints on how many queries are left when the head of the line
is served never bind: the counts can always be chosen so that Lemma B's second bound holds with equality, and then they
satisfy all the rest.) The sum has no negative term, so rounding costs it next to nothing.
"""

from __future__ import annotations

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.stability.proofs.head_of_line import LayerDelays
from dmoa_theory.stability.proofs.work_shares import Paths

__all__ = ["WorkBalance"]


class WorkBalance:
    """A bound (Theorem 3): ``L(w)`` of all devices at once.

    Parameters
    ----------
    paths : Paths
    delays : LayerDelays
    """

    def __init__(self, paths: Paths, delays: LayerDelays) -> None:
        items = paths.items
        self._delays, self._items, self._n, self._head = delays, items, paths.n, paths.head
        self._first = np.searchsorted(items.device, np.arange(paths.n + 1))
        self._ratio = np.append(items.ratio, np.inf)

    def bound(self, w: FloatArray, scale: float = 1.0) -> FloatArray:
        """``L(w)``, all rates multiplied by ``scale``; a bound where every device's load is then below one. Shape (n,)."""
        return self._evaluate(w, scale)[0]

    def prices(self, w: FloatArray, scale: float = 1.0) -> FloatArray:
        """The best ``theta`` at each device; shape (n,)."""
        return self._prices(w, scale, self._items.ahead * self._delays(w)[self._items.user])

    def scales(self, w: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
        """By how much all rates may be multiplied before the bound exceeds ``w``, and ``L(w)`` at ``scale``.

        The first is the largest factor for the prices that are best at ``scale``: not less than the largest for sure, but a
        factor that is good.
        """
        bound, theta, waiting = self._evaluate(w, scale)
        head = self._head
        with np.errstate(divide="ignore", invalid="ignore"):
            both = (1 + theta) * w / (head * w + waiting)
            factor = np.where(both * head >= theta, both, w / waiting)
        return np.where(head * w + waiting > 0, factor, np.inf), bound

    def _evaluate(self, w: FloatArray, scale: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        items = self._items
        delay = self._delays(w)[items.user]
        ahead = items.ahead * delay
        theta = self._prices(w, scale, ahead)
        worst = np.maximum(items.gain * delay, theta[items.device] * ahead)
        waiting: FloatArray = np.asarray(np.bincount(items.device, weights=worst, minlength=self._n), dtype=np.float64)
        return np.maximum(scale * self._head - theta, 0.0) * w + scale * waiting, theta, waiting

    def _prices(self, w: FloatArray, scale: float, ahead: FloatArray) -> FloatArray:
        """The first ratio at which items with a smaller one release ``w``, or ``head`` if that is less."""
        passed = np.concatenate(([0.0], np.cumsum(ahead)))
        first, last = self._first[:-1], self._first[1:]
        place = np.searchsorted(passed, passed[first] + w / scale) - 1
        place = np.clip(place, first, last)
        ratio = np.where(place < last, self._ratio[place], np.inf)
        return np.minimum(ratio, scale * self._head)
