"""The fixed point ``x = max(1, G(x))``: how fast queues grow when what they hold back is counted.

``G`` (:mod:`dmoa_theory.stability.growth.flows`) falls as any ``x`` rises, and ``c^-M G(x) <= G(c x)`` for ``c > 1``.

Proved
    A solution exists: ``max(1, G)`` maps the box from 1 to ``max(1, G(1))`` into itself (Brouwer). No solution lies below
    another; so with no nominal load above one, ``x = 1`` is the only one. With at most one layer the map contracts
    ``max_i |log x_i|``, by the largest share of aggregations in a device's work, which is below one, so there is exactly one.
    In any case all solutions lie between the iterates from below and above, and where these meet there is exactly one.
Only seen
    That there is one solution in every other case, and that a system that starts empty follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.stability.growth.flows import Flows

__all__ = ["Solution", "Uniqueness", "solve"]

_TOLERANCE = 1e-12
_MEETING = 1e-9
_MOST_STEPS = 20_000
_MOST_BRACKETS = 60
#: Devices up to which Newton steps are tried.
_NEWTON_UP_TO = 3000


class Uniqueness(StrEnum):
    """Why there is no other solution."""

    NO_OVERLOAD = "proved: no device is offered more work than it can do"
    ONE_LAYER = "proved: one layer at most"
    ONE_DEVICE = "proved: one queue at most can grow, and its own load falls as it grows"
    BRACKET = "proved for this system: bounds from below and above meet"
    SEEN = "not proved: one solution was found, from above, and no other is known"


@dataclass(frozen=True, slots=True)
class Solution:
    """A fixed point: ``x``, shape (n,); why it is the only one; largest error of ``log x``; evaluations of the map."""

    x: FloatArray
    uniqueness: Uniqueness
    residual: float
    steps: int


def solve(flows: Flows, start: FloatArray | None = None) -> Solution:
    """Exact (to 1e-12): the fixed point.

    Steps: bounds, ``low <- max(1, G(high))`` and ``high <- max(1, G(low))`` from ``low = 1``, until they meet or no longer
    narrow. Then, in ``y = log x``, ``y <- y + (log max(1, G) - y) / (1 + e)`` with ``e`` the power by which the work at the
    device falls when all ``x`` rise together (Newton's step where all devices are alike), shorter where the error does not
    fall; in between Newton steps with all derivatives, taken where they lower the error, and shortened after one that did not.

    Parameters
    ----------
    flows : Flows
    start : ndarray, shape (n,), optional
        Where to begin, in place of the bounds; then nothing is said of other solutions.

    Raises
    ------
    ArithmeticError
        When 20,000 steps leave an error above 1e-9.
    """
    n = flows.rates.size
    counted = 0

    def target(y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        nonlocal counted
        counted += 1
        phi = flows.phi(np.exp(y))
        work = flows.work(phi)
        return np.log(np.maximum(work, 1.0)), phi, work

    uniqueness = Uniqueness.SEEN
    if start is None:
        low = np.zeros(n)
        high = target(low)[0]
        if not high.any():
            return Solution(np.ones(n), Uniqueness.NO_OVERLOAD, 0.0, counted)
        gap = np.inf
        for _ in range(_MOST_BRACKETS):
            low = np.maximum(low, target(high)[0])
            high = np.minimum(high, target(low)[0])
            before, gap = gap, float((high - low).max())
            if gap < _MEETING or gap > 0.95 * before:
                break
        if flows.layers[flows.rates > 0].max() <= 1:
            uniqueness = Uniqueness.ONE_LAYER
        elif (high > 0).sum() == 1:
            uniqueness = Uniqueness.ONE_DEVICE
        elif gap < _MEETING:
            uniqueness = Uniqueness.BRACKET
        y = (low + high) / 2
    else:
        y = np.log(start)
    best, bounded, best_error, length, since, shift = y, y == 0, np.inf, 1.0, 0, 0.0
    while counted < _MOST_STEPS:
        aim, phi, work = target(y)
        step = aim - y
        error = float(np.abs(step).max())
        if error < 0.999 * best_error:
            best, bounded, best_error, since = y, aim == 0, error, 0
        else:
            since += 1
        if error < _TOLERANCE or (since > 20 and best_error < _MEETING):
            break
        if since > 20:
            y, length, since, shift = best, length / 2 if length > 1e-3 else 1.0, 0, 0.0  # round again
            continue
        if n <= _NEWTON_UP_TO and counted % 4 == 0:
            tried = _newton(flows, y, step, phi, work, shift)
            if float(np.abs(target(tried)[0] - tried).max()) < 0.9 * error:
                y, shift = tried, shift / 8 if shift > 1e-3 else 0.0
                continue
            shift = min(max(4 * shift, 0.1), 1e6)
        damping = np.where(work > 1, flows.elasticity(phi, work), 0.0)
        y = np.maximum(y + length * step / (1 + damping), 0.0)
    if best_error > _MEETING:
        raise ArithmeticError(f"growth rates: error {best_error:.2g} left after {counted} steps")
    return Solution(np.exp(np.where(bounded, 0.0, best)), uniqueness, best_error, counted)


def _newton(flows: Flows, y: FloatArray, step: FloatArray, phi: FloatArray, work: FloatArray, shift: float) -> FloatArray:
    """A Newton step for ``y = log max(1, G)``, with one of the derivatives where there are several; shorter by ``shift``."""
    grows = sparse.diags_array((work > 1).astype(np.float64))
    matrix = sparse.csc_array(sparse.diags_array(np.full(y.size, 1 + shift)) + grows @ flows.log_slopes(np.exp(y), phi, work))
    move = np.linalg.solve(matrix.toarray(), step) if matrix.nnz > 0.05 * y.size**2 else linalg.spsolve(matrix, step)
    return np.maximum(y + np.clip(np.nan_to_num(move), -1.0, 1.0), 0.0)
