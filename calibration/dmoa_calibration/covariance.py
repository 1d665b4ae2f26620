"""How far the coefficients of a fit may be off: from repeats, from cells left out, and from a machine whose speed wanders."""

from __future__ import annotations

import numpy as np

from dmoa_calibration.least_squares import (
    Floats,
    all_but_one_cell,
    decode_matrix,
    determined,
    predicted_seconds,
    prefill_matrix,
    solve,
)

__all__ = ["coefficient_covariance"]

_DRAWS = 400
_THIRDS = 3


def coefficient_covariance(
    p: Floats, o: Floats, prefill: Floats, decode: Floats, *, ordered: bool = True, seed: int = 0
) -> Floats:
    """Approximation: covariance of c0, c1, c2, d0, d1 as fitted to these times, shape (5, 5).

    Parameters
    ----------
    p, o : ndarray, shape (n,), tokens
        Lengths of each sample, which tell the coefficients apart.
    prefill, decode : ndarray, shape (n,), seconds
    ordered : bool
        Whether the samples are in the order in which they were taken, and that was random.
    seed : int
        Of the bootstrap.

    Notes
    -----
    Samples err for three reasons. They vary from repeat to repeat: a bootstrap of the relative residuals tells by how much.
    The formula misses some cells, in every repeat alike, so that repeats do not help: the jackknife that leaves out cell
    after cell tells (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 11). Of the two the larger counts,
    in each of the directions in which neither has covariances. And the machine's speed wanders during the run, which moves
    all coefficients together: what the mean residuals of its thirds vary beyond what their samples do is added.

    In 150 made-up runs each of noise alone, of 3 % misfit by cell, and of one smooth in both lengths, the true mean of a
    workload lay within two standard errors 92 to 100 times in 100, by the bootstrap alone 62 to 97 times; of a speed that
    wanders by 5 % within a third of the run 70 to 77 times, by the bootstrap alone 45 to 57.

    Examples
    --------
    >>> import numpy as np
    >>> p, o = np.repeat([32.0, 128.0, 512.0], 2), np.tile([8.0, 64.0], 3)
    >>> bool(np.abs(coefficient_covariance(p, o, 0.01 * p, 0.1 * (o - 1))).max() < 1e-18)
    True
    """
    found = solve(p, o, prefill, decode)
    of_samples = _bootstrap(p, o, prefill, decode, found, np.random.default_rng(seed))
    cov = _larger(of_samples, _jackknife(p, o, prefill, decode, found))
    if ordered:
        wander = _wander((prefill + decode) / predicted_seconds(found, p, o) - 1)
        cov = cov + wander * np.outer(found, found)
    return np.asarray((cov + cov.T) / 2)


def _bootstrap(p: Floats, o: Floats, prefill: Floats, decode: Floats, found: Floats, rng: np.random.Generator) -> Floats:
    """What repeats leave open: residuals of both spans of a sample together, drawn anew over the same design.

    They are widened for the coefficients that the fit has already used up.
    """
    n = p.size
    several = o > 1
    fitted_prefill = prefill_matrix(p) @ found[:3]
    fitted_decode = np.where(several, decode_matrix(p, o) @ found[3:], 1.0)
    decoded = np.flatnonzero(several)
    of_prefill, of_decode = prefill / fitted_prefill - 1, decode / fitted_decode - 1
    of_prefill = np.sqrt(n / max(1, n - 3)) * (of_prefill - of_prefill.mean())
    of_decode = np.sqrt(decoded.size / max(1, decoded.size - 3)) * (of_decode - of_decode[several].mean())
    draws = np.empty((_DRAWS, 5))
    for row in draws:
        drawn = rng.integers(0, n, n)
        if decoded.size < n:  # a sample without a decode step tells nothing of how decoding varies, nor of both together
            drawn[several] = decoded[rng.integers(0, decoded.size, decoded.size)]
        noise = np.maximum(1 + np.stack([of_prefill[drawn], of_decode[drawn]]), 0.05)  # a time stays above zero
        row[:] = solve(p, o, fitted_prefill * noise[0], fitted_decode * noise[1])
    return np.asarray(np.cov(draws, rowvar=False))


def _jackknife(p: Floats, o: Floats, prefill: Floats, decode: Floats, found: Floats) -> Floats:
    """What the choice of cells leaves open: how the coefficients move as each cell is left out that can be."""
    folds = [keep for keep in all_but_one_cell(p, o) if determined(p[keep], o[keep])]
    if not folds:
        return np.zeros((5, 5))
    moved = np.array([solve(p[keep], o[keep], prefill[keep], decode[keep]) - found for keep in folds])
    return np.asarray((len(folds) - 1) / len(folds) * moved.T @ moved)


def _wander(residual: Floats) -> float:
    """Variance of the mean of the run's thirds beyond that of their samples: of a speed that moves all times together."""
    if residual.size < 2 * _THIRDS:
        return 0.0
    thirds = np.array_split(residual, _THIRDS)
    within = sum(float(((third - third.mean()) ** 2).sum()) for third in thirds) / (residual.size - _THIRDS)
    between = float(np.var([third.mean() for third in thirds], ddof=1))
    return max(0.0, (between - within * _THIRDS / residual.size) / _THIRDS)


def _larger(one: Floats, other: Floats) -> Floats:
    """The larger of two covariances in each of the directions in which both are diagonal."""
    size = np.sqrt(np.diag(one) + np.diag(other))
    if not size.any():
        return one
    size[size == 0] = 1.0  # coefficients differ by many orders of magnitude
    scale = np.outer(size, size)
    value, vector = np.linalg.eigh((one + other) / scale)
    kept = value > 1e-12 * value.max()
    half, inverse = vector[:, kept] * np.sqrt(value[kept]), vector[:, kept] / np.sqrt(value[kept])
    share, turn = np.linalg.eigh(inverse.T @ (one / scale) @ inverse)  # of the sum, by direction; the rest is the other's
    root = size[:, None] * half @ turn
    return np.asarray(root * np.maximum(share, 1 - share) @ root.T)
