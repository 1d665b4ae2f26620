"""Fork-joins whose mean is known exactly: independent exponential jobs, and two exponential queues fed together."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray

__all__ = ["flatto_hahn", "slowest_exponential"]

#: More unequal means than this are refused: the alternating sum has 2^m terms, and loses digits.
_MOST = 20


def slowest_exponential(means: FloatArray) -> float:
    """Exact: the mean of the slowest of independent exponential jobs, seconds.

    Equal means: mean times the harmonic number ``1 + 1/2 + ... + 1/m``. Unequal ones: by inclusion and exclusion.

    Parameters
    ----------
    means : ndarray, shape (m,), seconds

    Examples
    --------
    >>> slowest_exponential(np.array([1.0, 1.0, 1.0])), slowest_exponential(np.array([1.0, 2.0]))
    (1.8333333333333333, 2.3333333333333335)
    """
    means = np.asarray(means, dtype=np.float64)
    if not means.size or not (means > 0).all():
        raise InputError("means", means.tolist(), "at least one number above 0")
    if (means == means[0]).all():
        return float(means[0] * (1 / np.arange(1, means.size + 1)).sum())
    if means.size > _MOST:
        raise InputError("means", f"{means.size} unequal ones", f"at most {_MOST}")
    total = 0.0
    for size in range(1, means.size + 1):
        total -= (-1) ** size * sum(1 / sum(chosen) for chosen in combinations((1 / means).tolist(), size))
    return float(total)


def flatto_hahn(load: float, mean: float) -> float:
    """Exact: the mean time until both halves of a job are done, at two exponential queues fed by one Poisson stream, seconds.

    ``(12 - rho) / 8`` times the mean sojourn ``mean / (1 - rho)`` at either; 3/2 of it at load 0, where the halves are
    independent, and 11/8 towards load 1.

    Parameters
    ----------
    load : float
        Of each queue, at least 0 and below 1.
    mean : float, seconds
        Mean service time at each.

    References
    ----------
    Flatto, L. and Hahn, S. (1984), "Two parallel queues created by arrivals with two demands I", SIAM Journal on Applied
    Mathematics 44(5), 1041-1053. The mean in this form: Nelson, R. and Tantawi, A. N. (1988), "Approximate analysis of
    fork/join synchronization in parallel queues", IEEE Transactions on Computers 37(6), 739-743.

    Examples
    --------
    >>> flatto_hahn(0.0, 2.0), flatto_hahn(0.5, 1.0)
    (3.0, 2.875)
    """
    if not 0 <= load < 1:
        raise InputError("load", load, "at least 0 and below 1")
    return (12 - load) / 8 * mean / (1 - load)
