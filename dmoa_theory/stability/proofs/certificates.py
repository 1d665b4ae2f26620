"""Looking for a certificate: weights ``w`` with ``bound(w) < w``, at as high a load as they can be found for.

For weights ``w`` let ``c(w)`` be the largest factor on all rates with ``bound(w) <= w`` at every device. As the bound is
monotone and homogeneous, ``c`` does not fall when ``w`` is replaced by the mean of ``w`` and the bound at ``c(w)``; so the
search only ever improves; where it stands still it is usually near the largest factor, and whatever it returns is checked.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from dmoa_theory.model.checks import FloatArray

__all__ = ["MARGIN", "Certificate", "MonotoneBound", "find_certificate", "holds"]

#: ``bound(w) <= (1 - MARGIN) w`` is asked for, far beyond what rounding could do.
MARGIN = 1e-9
#: Weights below this share of the largest are not told apart.
_FLOOR = 1e-12
#: The search ends when so many steps have raised the factor by less than this share.
_STEPS, _GAIN = 20, 2e-5
MOST_STEPS = 500


class MonotoneBound(Protocol):
    """A monotone, homogeneous bound on the work at every device."""

    def bound(self, w: FloatArray, scale: float = 1.0) -> FloatArray:
        """What bounds the work when ``w`` did, all rates multiplied by ``scale``; shape (n,)."""

    def scales(self, w: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
        """A factor on all rates that keeps the bound at or below ``w`` at each device, and the bound at ``scale``."""


class Certificate(NamedTuple):
    """Weights, shape (n,), the largest 1; and the factor on all rates up to which they prove boundedness."""

    weights: FloatArray
    scale: float


def holds(bound: MonotoneBound, w: FloatArray, scale: float = 1.0) -> bool:
    """Whether the weights prove boundedness with all rates multiplied by ``scale``."""
    return bool((w > 0).all() and (bound.bound(w, scale) <= (1 - MARGIN) * w).all())


def find_certificate(bound: MonotoneBound, start: FloatArray, limit: float, *, steps: int = MOST_STEPS) -> Certificate:
    """The best weights found, and their factor: a lower bound of the largest that the map proves.

    Parameters
    ----------
    bound : MonotoneBound
    start : ndarray, shape (n,)
        Positive weights.
    limit : float
        The factor at which a device's load is one; nothing at or beyond it is proved.
    steps : int
        At most so many evaluations of the map.
    """
    top = limit * (1 - 4 * MARGIN)
    w, scale = start / start.max(), top
    best = Certificate(w, 0.0)
    history: list[float] = []
    for _ in range(steps):
        factors, _ = bound.scales(w, scale)
        scale = min(float(factors.min()), top)
        factors, after = bound.scales(w, scale)  # the prices for the factor just found may allow more
        scale = max(scale, min(float(factors.min()), top))
        if scale > best.scale:
            best = Certificate(w, scale)
        history.append(best.scale)
        if scale >= top or (len(history) > _STEPS and best.scale < history[-_STEPS] * (1 + _GAIN)):
            break
        w = np.maximum(0.5 * (w + after), _FLOOR * w.max())
        w = w / w.max()
    proved = best.scale * (1 - 2 * MARGIN)
    return Certificate(best.weights, proved if proved > 0 and holds(bound, best.weights, proved) else 0.0)
