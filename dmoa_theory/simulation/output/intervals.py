"""What a simulated figure is worth: confidence intervals from batches, for means, time averages, spreads and percentiles.

A long run is cut into batches; a batch keeps a sum and a count (or an area and a duration), and a figure is the ratio of the
two totals. Batches much longer than the memory of the system are nearly independent, so their scatter about the common
ratio tells its error. Batches of all replications are pooled, and need not be equally long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, owned
from dmoa_theory.simulation.output.log_histogram import LogHistogram

__all__ = [
    "Interval",
    "batches_are_independent",
    "deviation_interval",
    "merge_pairs",
    "quantile_interval",
    "ratio_interval",
    "variance_interval",
]

#: Observations that a percentile needs on either side of it before its interval is worth stating.
FEWEST_BEYOND = 10
#: Batch means below which nothing can be said of their correlation.
FEWEST_BATCHES = 8
#: Quantile of the standard normal law: independent batches are called correlated once in a hundred times.
ONE_PER_CENT = 2.3263478740408408
#: Bins that differ from a neighbour by more than this factor, and by so many standard errors, are no smooth density.
UNEVEN, BY_CHANCE = 1.25, 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interval:
    """Estimates with their confidence intervals, read-only arrays of one shape; NaN where the error is not known.

    Parameters
    ----------
    value : ndarray
        The estimates.
    half_width : ndarray
        Half the distance between the ends.
    lower, upper : ndarray
        The ends; those of a percentile need not be equally far from it.
    """

    value: FloatArray
    half_width: FloatArray
    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for name in ("value", "half_width", "lower", "upper"):
            object.__setattr__(self, name, owned(np.asarray(getattr(self, name), dtype=np.float64)))

    @classmethod
    def around(cls, value: FloatArray, half_width: FloatArray) -> Interval:
        """The interval whose ends are equally far from the value."""
        return cls(value=value, half_width=half_width, lower=value - half_width, upper=value + half_width)


def ratio_interval(
    numerator: npt.NDArray[Any],
    denominator: npt.NDArray[Any],
    confidence: float = 0.95,
    *,
    groups: npt.NDArray[Any] | None = None,
) -> Interval:
    """Approximation for many long batches: a ratio of totals, ``sum X / sum Y``, with its confidence interval.

    A mean is a sum over a count, a time average an area over a duration. Exact for equal denominators and normal batches.

    Parameters
    ----------
    numerator, denominator : ndarray, shape (B, ...), broadcast against one another
        ``X_b`` and ``Y_b`` of every batch.
    confidence : float
        Chance that the interval holds the truth.
    groups : ndarray, shape (B,), optional
        Batches of equal label are added up first, such as all of a replication.

    Returns
    -------
    Interval, shape (...)
        The value is NaN where the denominators are all zero, the half width where fewer than two are not.

    Notes
    -----
    The standard error comes from the residuals about the common ratio ``r``:
    ``se = sqrt(B / (B - 1) sum_b (X_b - r Y_b)^2) / sum_b Y_b``, and the half width is ``se`` times Student's t with
    ``B - 1`` degrees of freedom. ``B`` counts the batches in which something was observed (``Y_b`` not zero): the others
    have no residual and say nothing of the scatter.

    References
    ----------
    Cochran, W. G. (1977), Sampling Techniques, 3rd edition, chapter 6 (ratio estimators).
    Law, A. M. (2015), Simulation Modeling and Analysis, 5th edition, chapter 9 (batch means, regenerative method).

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.simulation.output.intervals import ratio_interval
    >>> mean = ratio_interval(np.array([9.0, 11.0, 10.0, 10.0]), np.array(5.0))
    >>> round(float(mean.value), 3), round(float(mean.half_width), 3)
    (2.0, 0.26)
    """
    X, Y = (_added_up(array, groups) for array in np.broadcast_arrays(numerator, denominator))
    used = np.count_nonzero(Y, axis=0)
    total = Y.sum(axis=0)
    known, enough = total != 0, (total != 0) & (used > 1)
    value = np.where(known, X.sum(axis=0) / np.where(known, total, 1.0), np.nan)
    squares = ((X - np.where(known, value, 0.0) * Y) ** 2).sum(axis=0)
    error = np.sqrt(squares * used / np.where(enough, used - 1, 1)) / np.abs(np.where(known, total, 1.0))
    return Interval.around(value, np.where(enough, error * _student(confidence, used - 1), np.nan))


def variance_interval(
    count: npt.NDArray[Any],
    first: npt.NDArray[Any],
    second: npt.NDArray[Any],
    confidence: float = 0.95,
    *,
    groups: npt.NDArray[Any] | None = None,
) -> Interval:
    """Approximation for many long batches: variance of one observation, with its confidence interval.

    Parameters
    ----------
    count, first, second : ndarray, shape (B, ...), broadcast against one another
        Number of observations in a batch, their sum and the sum of their squares; or duration, area and area of the square.
    confidence : float
        Chance that the interval holds the truth.
    groups : ndarray, shape (B,), optional
        As in :func:`ratio_interval`.

    Notes
    -----
    The estimate is ``S2 / N - m^2`` with ``m = S1 / N``. Seen as a function of the totals its first-order change is that of
    the ratio of ``Z_b = S2_b - 2 m S1_b + m^2 N_b`` to ``N_b`` with ``m`` held fixed (delta method), so its error is that
    of :func:`ratio_interval`.
    """
    N, S1, S2 = (_added_up(array, groups) for array in np.broadcast_arrays(count, first, second))
    total = N.sum(axis=0)
    m = S1.sum(axis=0) / np.where(total != 0, total, 1.0)
    about = np.maximum(S2 - 2 * m * S1 + m**2 * N, 0.0)  # a sum of squares: what is below zero is rounding
    return ratio_interval(about, N, confidence)


def deviation_interval(
    count: npt.NDArray[Any],
    first: npt.NDArray[Any],
    second: npt.NDArray[Any],
    confidence: float = 0.95,
    *,
    groups: npt.NDArray[Any] | None = None,
) -> Interval:
    """Approximation for many long batches: standard deviation of one observation, with its confidence interval.

    Parameters
    ----------
    count, first, second : ndarray, shape (B, ...), broadcast against one another
        As in :func:`variance_interval`, whose half width is divided by twice the standard deviation (delta method).
    confidence : float
        Chance that the interval holds the truth.
    groups : ndarray, shape (B,), optional
        As in :func:`ratio_interval`.
    """
    variance = variance_interval(count, first, second, confidence, groups=groups)
    deviation = np.sqrt(variance.value)
    some = deviation > 0  # without any scatter the half width of the variance is zero too, or not known
    half = np.where(some, variance.half_width / np.where(some, 2 * deviation, 1.0), variance.half_width)
    return Interval.around(deviation, half)


def quantile_interval(
    counts: npt.NDArray[Any],
    bins: LogHistogram,
    level: float,
    confidence: float = 0.95,
    *,
    groups: npt.NDArray[Any] | None = None,
) -> Interval:
    """Approximation for many long batches: a percentile of all observations, with its confidence interval.

    Parameters
    ----------
    counts : ndarray, shape (B, ..., n_bins)
        Histogram of every batch.
    bins : LogHistogram
        What the bins are.
    level : float
        Share of the observations below, such as 0.95; more than 0 and less than 1.
    confidence : float
        Chance that the interval holds the truth.
    groups : ndarray, shape (B,), optional
        As in :func:`ratio_interval`.

    Returns
    -------
    Interval, shape (...)
        The ends need not be equally far from the value. An end is NaN where it lies outside what was observed; both are, and
        the half width with them, where fewer than ten observations lie on one side of the percentile.

    Notes
    -----
    With ``Q`` the pooled quantile function and ``h`` the half width of the share of observations below ``Q(p)`` (a ratio
    over batches), the interval is ``[Q(p - h), Q(p + h)]``: the test of the share, inverted. It needs no density. The bins
    add an error of their own (see :class:`LogHistogram`) that the interval counts only where it matters: an end in a bin
    that holds more than twice its neighbours together (an atom), or a quarter more or less than either by more than
    chance (one of several atoms, or a step), is moved outwards to the edge of the bin.

    References
    ----------
    Asmussen, S. and Glynn, P. W. (2007), Stochastic Simulation: Algorithms and Analysis, chapters III and IV.
    Nakayama, M. K. (2014), Confidence intervals for quantiles using sectioning when applying variance-reduction techniques,
    ACM Transactions on Modeling and Computer Simulation 24(4).
    """
    if not 0 < level < 1:
        raise InputError("level", level, "a number above 0 and below 1")
    counts = _added_up(counts, groups)
    pooled, observed = counts.sum(axis=0), counts.sum(axis=-1)
    value = bins.quantile(pooled, level)
    share = ratio_interval(bins.count_below(counts, np.where(np.isnan(value), 0.0, value)), observed, confidence)
    enough = observed.sum(axis=0) * min(level, 1 - level) >= FEWEST_BEYOND * (1 - 1e-12)  # 100 (1 - 0.9) falls short of 10
    low, high = level - share.half_width, level + share.half_width
    lower = np.where(enough & (low > 0), _end(pooled, bins, low, upwards=False), np.nan)
    upper = np.where(enough & (high < 1), _end(pooled, bins, high, upwards=True), np.nan)
    apart = np.isfinite(lower) & np.isfinite(upper)
    half = np.where(apart, (np.where(apart, upper, 0.0) - np.where(apart, lower, 0.0)) / 2, np.nan)
    return Interval(value=value, half_width=half, lower=lower, upper=upper)


def batches_are_independent(values: npt.NDArray[Any]) -> bool:
    """Test at one per cent: whether neighbouring batches differ as much as any two; False if the batches are too short.

    Parameters
    ----------
    values : ndarray, shape (B,) or (R, B)
        Batch means in the order of time, of one run or of R replications; neighbours are of the same replication.

    Returns
    -------
    bool
        True also where fewer than eight batches are given, or all are alike: nothing speaks against them.

    Notes
    -----
    One-sided test on von Neumann's ratio ``q = sum (difference of neighbours)^2 / (2 sum (deviation from the mean)^2)``
    over all replications, which positive correlation makes small. For independent normal batch means, and
    ``v = R B - 1``, its mean is ``a = R (B - 1) / v`` and its variance ``2 (R (3 B - 4) / (2 v) - a^2) / (v + 2)``;
    ``(B - 2) / (B^2 - 1)`` for one run.

    References
    ----------
    von Neumann, J. (1941), Distribution of the ratio of the mean square successive difference to the variance, Annals of
    Mathematical Statistics 12(4).
    Fishman, G. S. (1978), Grouping observations in digital simulation, Management Science 24(5).

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.simulation.output.intervals import batches_are_independent
    >>> batches_are_independent(np.array([1, 3, 2, 4, 1, 2, 4, 3.0])), batches_are_independent(np.arange(8.0))
    (True, False)
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if values.ndim != 2:
        raise InputError("values", f"shape {values.shape}", "batch means, shape (B,) or (R, B)")
    R, B = values.shape
    spread = ((values - values.mean()) ** 2).sum() if values.size else 0.0
    if R * B < FEWEST_BATCHES or B < 2 or not spread > 0:
        return True
    ratio = (np.diff(values, axis=1) ** 2).sum() / (2 * spread)
    free = R * B - 1
    mean = R * (B - 1) / free
    variance = 2 * (R * (3 * B - 4) / (2 * free) - mean**2) / (free + 2)
    return bool(ratio >= mean - ONE_PER_CENT * np.sqrt(variance))


def merge_pairs(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Batches twice as long: the sums of neighbours along the first axis, an even number of them.

    Parameters
    ----------
    array : ndarray, shape (2 B, ...)
        Sums, counts or histograms of every batch.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.simulation.output.intervals import merge_pairs
    >>> merge_pairs(np.array([1, 2, 3, 4])).tolist()
    [3, 7]
    """
    array = np.asarray(array)
    if array.ndim == 0 or array.shape[0] % 2:
        raise InputError("array", f"shape {array.shape}", "an even number of batches on the first axis")
    return np.asarray(array[0::2] + array[1::2])


def _added_up(array: npt.NDArray[Any], groups: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    """The batches, or the sums of those with equal labels in order of the labels."""
    array = np.asarray(array)
    if array.ndim == 0:
        raise InputError("batches", "a single number", "an array with the batches on its first axis")
    if groups is None:
        return array
    if np.shape(groups) != array.shape[:1]:
        raise InputError("groups", f"shape {np.shape(groups)}", f"one label for each of the {array.shape[0]} batches")
    labels, group = np.unique(groups, return_inverse=True)
    sums = np.zeros((labels.size, *array.shape[1:]), dtype=array.dtype)
    np.add.at(sums, group, array)
    return sums


def _student(confidence: float, freedom: npt.NDArray[Any]) -> FloatArray:
    """Student's t that a variable of so many degrees of freedom stays within, either side, with that chance."""
    if not 0 < confidence < 1:
        raise InputError("confidence", confidence, "a number above 0 and below 1")
    from scipy.special import stdtrit

    return np.asarray(stdtrit(np.maximum(freedom, 1), (1 + confidence) / 2))


def _end(pooled: npt.NDArray[Any], bins: LogHistogram, level: FloatArray, *, upwards: bool) -> FloatArray:
    """An end of a percentile's interval; at the edge of its bin where bins are uneven. Anything for levels outside 0..1."""
    level = np.clip(np.nan_to_num(level, nan=0.0), 0.0, 1.0)
    bin_, _ = bins.locate(pooled, level)
    held, before, after = (
        np.take_along_axis(pooled, np.clip(bin_ + step, 0, bins.n_bins - 1)[..., None], axis=-1)[..., 0] for step in (0, -1, 1)
    )
    before, after = np.where(bin_ > 0, before, 0.0), np.where(bin_ < bins.n_bins - 1, after, 0.0)
    atom = held > 2 * (before + after)
    for beside in (before, after):
        apart = np.maximum(held, beside) > UNEVEN * np.minimum(held, beside)
        atom |= apart & (np.abs(held - beside) > BY_CHANCE * np.sqrt(held + beside))
    return np.asarray(np.where(atom, bins.edges()[bin_ + upwards], bins.quantile(pooled, level)))
