"""How much of the beginning of a run to throw away: the observations that still remember the empty start.

MSER keeps the observations whose mean would have the smallest standard error, were they independent: dropping a biased
beginning makes what is left more alike, dropping anything else only makes it fewer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray

__all__ = ["mser", "settled"]

#: Batches below which a series says nothing of its own beginning.
FEWEST = 10
#: A minimum in this last part of the search is none: the curve is still falling, and noise moved its lowest point.
END = 0.05


def mser(values: npt.NDArray[Any], batch: int = 5) -> int:
    """Heuristic: how many leading observations to drop, by the marginal standard error rule MSER-5.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Observations in the order they were made.
    batch : int
        Observations averaged into one before the rule is applied; the rule drops whole batches.

    Returns
    -------
    int
        A multiple of ``batch``, at most half of the series; 0 for a constant series and for one of fewer than ten batches.

    Notes
    -----
    With batch means ``z_1..z_m``, the number of batches dropped is the ``d <= m / 2`` that minimises
    ``sum_{i > d} (z_i - mean_{i > d})^2 / (m - d)^2``; the smallest such ``d`` where several do. A remainder at the end that
    fills no batch is left out of the rule. O(n), by cumulative sums from the end.

    References
    ----------
    White, K. P. (1997), An effective truncation heuristic for bias reduction in simulation output, Simulation 69(6).
    White, K. P., Cobb, M. J. and Spratt, S. C. (2000), A comparison of five steady-state truncation heuristics for
    simulation, Proceedings of the Winter Simulation Conference.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.simulation.output.warm_up import mser
    >>> mser(np.array([9.0] * 20 + [1.0, 2.0] * 100))
    20
    """
    curve = _standard_error(values, batch)
    return batch * int(curve.argmin()) if curve.size else 0


def settled(values: npt.NDArray[Any], batch: int = 5) -> bool:
    """Whether the series shows an end of its own beginning: the lowest point of the rule is not at the end of the search.

    A series that still rises or falls makes the rule drop as much as it may. The last twentieth of the search counts as its
    end, since noise moves the lowest point of a falling curve; a series of fewer than ten batches is never settled. A drift
    over the whole run of less than about three standard deviations of an observation goes unnoticed.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Observations in the order they were made.
    batch : int
        As in :func:`mser`.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.simulation.output.warm_up import settled
    >>> settled(np.arange(1000.0)), settled(np.array([9.0] * 20 + [1.0, 2.0] * 100))
    (False, True)
    """
    curve = _standard_error(values, batch)
    return bool(curve.size and curve.argmin() < (1 - END) * (curve.size - 1))


def _standard_error(values: npt.NDArray[Any], batch: int) -> FloatArray:
    """Squared marginal standard error after dropping 0, 1, ... batches, up to half of them; empty for short series."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise InputError("values", f"shape {values.shape}", "one series of observations, shape (n,)")
    if batch < 1:
        raise InputError("batch", batch, "a whole number, 1 or more")
    if not np.isfinite(values).all():
        raise InputError("values", values[~np.isfinite(values)][0].item(), "finite observations")
    m = values.size // batch
    if m < FEWEST:
        return np.empty(0)
    means = values[: m * batch].reshape(m, batch).mean(axis=1)
    means -= means[-1]  # sums of squares lose no digits to a large mean, and a constant series is exactly zero
    left = np.arange(1, m + 1)
    total, squares = np.cumsum(means[::-1]), np.cumsum(means[::-1] ** 2)
    error = np.maximum(squares - total**2 / left, 0.0) / left**2.0
    return np.asarray(error[::-1][: m // 2 + 1])
