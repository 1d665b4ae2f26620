"""The service-time model as a least-squares problem: its two matrices, its solution, and what a design can tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

__all__ = [
    "Floats",
    "all_but_one_cell",
    "decode_matrix",
    "determined",
    "predicted_seconds",
    "prefill_matrix",
    "relative_nnls",
    "solve",
]

Floats = npt.NDArray[np.float64]

# A file of real prompts has as many cells as requests: beyond this many they are left out by the group.
_MOST_FOLDS = 100


def prefill_matrix(p: Floats) -> Floats:
    """Exact: derivatives of the prefill time by c0, c1, c2; shape (n, 3)."""
    return np.stack([np.ones_like(p), p, p**2], axis=1)


def decode_matrix(p: Floats, o: Floats) -> Floats:
    """Exact: derivatives of the decode time by d0, d1; shape (n, 2)."""
    s = o - 1
    return np.stack([s, s * (p + s / 2)], axis=1)


def predicted_seconds(found: Floats, p: Floats, o: Floats) -> Floats:
    """Exact: seconds of whole inferences by the coefficients c0, c1, c2, d0, d1; shape (n,)."""
    return np.asarray(prefill_matrix(p) @ found[:3] + decode_matrix(p, o) @ found[3:])


def relative_nnls(matrix: Floats, seconds: Floats) -> Floats:
    """Exact: coefficients, none negative, of least squared relative error (Lawson and Hanson's algorithm)."""
    rows = matrix / seconds[:, None]
    size = np.linalg.norm(rows, axis=0)  # p^2 dwarfs 1: columns of equal length keep the solver accurate
    return np.asarray(nnls(rows / size, np.ones(seconds.size))[0] / size)


def solve(p: Floats, o: Floats, prefill: Floats, decode: Floats) -> Floats:
    """Exact: c0, c1, c2, d0, d1 of least squared relative error, prefill and decode apart; shape (5,)."""
    several = o > 1  # a single token has no decode step
    return np.concatenate(
        [
            relative_nnls(prefill_matrix(p), prefill),
            relative_nnls(decode_matrix(p[several], o[several]), decode[several]),
        ]
    )


def determined(p: Floats, o: Floats) -> bool:
    """Exact: whether these lengths tell the five coefficients apart."""
    several = o > 1
    if not several.any():
        return False
    matrices = prefill_matrix(p), decode_matrix(p[several], o[several])
    return all(np.linalg.matrix_rank(m / np.linalg.norm(m, axis=0), tol=1e-6) == m.shape[1] for m in matrices)


def all_but_one_cell(p: Floats, o: Floats) -> list[npt.NDArray[np.bool_]]:
    """Exact: for each (p, o) cell, or group of cells where they are many, which samples are of the others."""
    _, cell = np.unique(np.stack([p, o], axis=1), axis=0, return_inverse=True)
    fold = cell.reshape(-1) % _MOST_FOLDS
    return [fold != each for each in np.unique(fold)]
