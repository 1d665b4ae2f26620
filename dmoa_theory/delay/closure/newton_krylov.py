"""The closed identity solved for all workloads at once: Newton's method, its linear systems by GMRES without a matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.pairs import Pairs
from dmoa_theory.model.checks import FloatArray

__all__ = ["Coupling", "Equations", "solve_coupling"]

_STEPS, _KRYLOV, _LARGEST_STEP = 30, 60, 0.7


class Coupling(NamedTuple):
    """Mean workloads, shape (n,), s; relative drops by pair, 1 on the diagonal; largest residual, relative."""

    workload: FloatArray
    drop: FloatArray
    residual: float


class Equations(NamedTuple):
    """``D C G' + G C' D + (W_i B_ij + W_j B_ji) = known``: G, B and the right-hand side, which is symmetric.

    ``follows`` and ``felt`` are by entry, ``G_jl = 1{j = l} + sum_u follows_uj felt_ul``; the rest is by pair.
    """

    follows: FloatArray
    felt: FloatArray
    weights: FloatArray
    behind: FloatArray
    known: FloatArray


def solve_coupling(pairs: Pairs, idle: FloatArray, equations: Equations, start: Coupling, *, tolerance: float) -> Coupling:
    """Numerical solution of the equations along the pattern, with ``C_il = drop_il W_l`` and drops symmetric.

    Unknowns are log W and the drops above the diagonal, as many as equations. Residuals are scaled by the coefficients that an
    unknown has in its own equation, which is all the preconditioning that GMRES needs: it ends after about ten products.

    Parameters
    ----------
    pairs : Pairs
    idle : ndarray, shape (n,)
        Chance that each device is idle, the diagonal D.
    equations : Equations
    start : Coupling
        Where to begin.
    tolerance : float
        Largest scaled residual.
    """
    from scipy.sparse.linalg import LinearOperator, gmres

    n = idle.size
    follows, felt, weights, behind, known = equations
    carried_on = pairs.carried_on(follows, felt)
    row, column, mirror, diagonal = pairs.row, pairs.column, pairs.mirror, pairs.diagonal
    above = np.flatnonzero(row < column)
    below, first, second = mirror[above], row[above], column[above]
    own_weight, own_behind = weights[diagonal], behind[diagonal]

    def symmetric(drops: FloatArray, on_diagonal: float) -> FloatArray:
        full = np.empty(pairs.size)
        full[diagonal], full[above], full[below] = on_diagonal, drops, drops
        return full

    def both_sides(coupled: FloatArray) -> FloatArray:
        product = idle[row] * carried_on(coupled) + behind * coupled[diagonal][row]
        return np.asarray(product + product[mirror])

    def scaled(values: FloatArray, workload: FloatArray) -> FloatArray:
        by_device = values[diagonal] / (2 * (idle * own_weight + own_behind) * workload)
        share = idle[first] * workload[second] * own_weight[second] + idle[second] * workload[first] * own_weight[first]
        return np.concatenate((by_device, values[above] / share))

    def residual(workload: FloatArray, drops: FloatArray) -> FloatArray:
        return scaled(both_sides(symmetric(drops, 1.0) * workload[column]) - known, workload)

    workload, drops = start.workload.copy(), start.drop[above].copy()
    left = residual(workload, drops)
    error = float(np.abs(left).max())
    for step in range(_STEPS):
        if error <= tolerance:
            break
        full = symmetric(drops, 1.0)

        def derivative(x: FloatArray, full: FloatArray = full, workload: FloatArray = workload) -> FloatArray:
            change = symmetric(x[n:], 0.0) * workload[column] + full * (x[:n] * workload)[column]
            return scaled(both_sides(change), workload)

        size = n + above.size
        jacobian = LinearOperator((size, size), matvec=derivative, dtype=np.float64)
        roughly = step == 0 or tolerance > 1e-6
        move, _ = gmres(jacobian, -left, rtol=1e-2 if roughly else 1e-4, restart=min(_KRYLOV, size), maxiter=2)
        length = min(1.0, _LARGEST_STEP / max(float(np.abs(move[:n]).max()), 1e-300))
        before = error
        while True:
            tried = workload * np.exp(length * move[:n])
            left = residual(tried, drops + length * move[n:])
            error = float(np.abs(left).max())
            if error <= before or length < 0.02:
                break
            length /= 2
        workload, drops = tried, drops + length * move[n:]
        if error > 0.5 * before and step > 8:
            break
    return Coupling(workload, symmetric(drops, 1.0), error)
