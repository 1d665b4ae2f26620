"""Theorem 2: a monotone map that bounds the work at every device by the work there was.

Let ``w_i`` bound the work at device ``i`` over the relevant past, and ``d_u(w)`` be the mean, over the random choice of
neighbours, of when a layer of user ``u`` ends when device ``i`` answers after ``w_i``. At most ``lambda_u d_u`` queries of
``u`` are in any one layer (Lemma A), hence, with the work shares of :mod:`dmoa_theory.stability.proofs.work_shares`,

    F_j(w)    = head_j w_j + sum over paths of gain d_u(w)      (head of line, Lemma B)
    Fold_j(w) = sum over paths of ahead d_u(w)                  (work yet to come, where the load is below one)

bound the work at ``j`` from then on. Both are monotone and homogeneous in ``w`` and linear in the rates. If
``min(F, Fold)(w) < w`` for some ``w > 0``, every queue stays bounded.
"""

from __future__ import annotations

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.stability.growth.joins import Joins, all_joins
from dmoa_theory.stability.proofs.work_shares import Paths

__all__ = ["HeadOfLine", "LayerDelays"]

#: What the sums of a quorum's mean delay may lose to rounding, as a share of the own device's.
_ROUNDING = 1e-14


class LayerDelays:
    """Exact: ``d_u(w)``, how long a layer takes on average when device ``i`` answers after ``w_i``.

    Parameters
    ----------
    system : System
        Uniform or weighted choice of neighbours, any quorum.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory import System
    >>> from dmoa_theory.stability.proofs.head_of_line import LayerDelays
    >>> complete = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    >>> delays = LayerDelays(System.from_arrays(complete, 0.01, 20.0, M=2, k=1))
    >>> delays(np.array([1.0, 0.0, 0.0, 0.0])).round(9).tolist()
    [1.0, 0.333333333, 0.333333333, 0.333333333]
    """

    def __init__(self, system: System) -> None:
        self._n = system.n_devices
        self._joins: list[Joins] = list(all_joins(system))

    @property
    def size(self) -> int:
        """Neighbours looked at in one evaluation."""
        return sum(joins.neighbours.size + joins.users.size for joins in self._joins)

    def __call__(self, w: FloatArray) -> FloatArray:
        """``d_u(w)`` of every user, rounded up by a trifle; 0 for users without layers. Shape (n,)."""
        delay = np.zeros(self._n)
        for joins in self._joins:
            found = joins.average(np.positive, w)
            if joins.quorum <= joins.k:
                found = np.maximum(found, 0.0) + _ROUNDING * w[joins.users]
            delay[joins.users] = found
        return delay


class HeadOfLine:
    """A bound (Theorem 2): ``F``, ``Fold`` and their minimum ``G`` for one system.

    Parameters
    ----------
    paths : Paths
    delays : LayerDelays
    """

    def __init__(self, paths: Paths, delays: LayerDelays) -> None:
        self._paths, self._delays = paths, delays

    def head_of_line(self, w: FloatArray) -> FloatArray:
        """``F(w)``; shape (n,)."""
        paths = self._paths
        return paths.head * w + paths.by_device(paths.gain * self._delays(w)[paths.user])

    def yet_to_come(self, w: FloatArray) -> FloatArray:
        """``Fold(w)``, a bound where every device's load is below one; shape (n,)."""
        paths = self._paths
        return paths.by_device(paths.ahead * self._delays(w)[paths.user])

    def bound(self, w: FloatArray, scale: float = 1.0) -> FloatArray:
        """``G(w) = min(F, Fold)``, all rates multiplied by ``scale``; shape (n,)."""
        paths = self._paths
        delay = self._delays(w)[paths.user]
        head = paths.head * w + paths.by_device(paths.gain * delay)
        return scale * np.minimum(head, paths.by_device(paths.ahead * delay))

    def scales(self, w: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
        """By how much all rates may be multiplied before ``G`` exceeds ``w`` at each device, and ``scale G(w)``."""
        bound = self.bound(w)
        with np.errstate(divide="ignore"):
            return np.where(bound > 0, w / np.where(bound > 0, bound, 1.0), np.inf), scale * bound
