"""Percentiles of queries: Pearson's type III law from three cumulants, corrected by what convolution shows of its error.

The type III law (a shifted gamma law) is exact for M/M/1 and near enough where stages are near gamma. Two more laws tell where
they are not: the sum of independent stages, by convolution, whose percentiles replace those of the type III law *of the
independent sum*; and the mixture ``(1 - c)`` independent sum ``+ c`` sum of stages that move together, with c the correlation
of stages, which errs to the other side. The mixture has weight 0.35 up to the median, falling to 0 at the 90th percentile; all
the more where service is heavier than a gamma law. There the 99th percentile comes of single long services, which no other
stage shares, so part of the mixture gives way to the independent sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.constants import LEAST_SKEWNESS, MIXTURE_APART, MIXTURE_HEAVY, MIXTURE_HEAVY_TAIL, MIXTURE_MEDIAN
from dmoa_theory.delay.closure.wait_laws import Cumulants
from dmoa_theory.model.checks import FloatArray

__all__ = ["GRID", "MixtureWeights", "PearsonThree", "corrections", "mixture_quantile", "mixture_weights", "quantile_of_many"]

#: Levels at which percentiles are corrected.
GRID = np.array(
    [0.002, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.84, 0.87,
     0.9, 0.92, 0.935, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9999]
)  # fmt: skip
_ENDLESS = 1 - 1e-12
# More laws than this look their percentiles up by skewness, in a table of so many rows.
_MANY, _TABLE = 2000, 400


class PearsonThree(NamedTuple):
    """Shifted gamma laws: ``mean + deviation (G - shape) / sqrt(shape)``, G gamma of that shape and scale 1; shape (m,), s."""

    mean: FloatArray
    deviation: FloatArray
    shape: FloatArray

    @classmethod
    def matching(cls, cumulants: Cumulants) -> PearsonThree:
        """The laws with these cumulants; a skewness below 0.05 is raised to that.

        Examples
        --------
        Mean, variance and third moment of an exponential law give it back, to every percentile.

        >>> one = np.ones(1)
        >>> law = PearsonThree.matching(Cumulants(one, one, 2 * one))
        >>> bool(abs(law.quantile(0.99)[0] + np.log(0.01)) < 1e-12)
        True
        """
        deviation = np.sqrt(cumulants.variance)
        skewness = np.maximum(cumulants.third / deviation**3, LEAST_SKEWNESS)
        return cls(cumulants.mean, deviation, 4 / skewness**2)

    def cdf(self, t: float) -> FloatArray:
        """Chance of at most t seconds; shape (m,)."""
        from scipy import special

        root = np.sqrt(self.shape)
        return np.asarray(special.gammainc(self.shape, np.maximum(self.shape + root * (t - self.mean) / self.deviation, 0.0)))

    def quantile(self, level: float) -> FloatArray:
        """Seconds within which that share of queries is answered, at least 0; shape (m,)."""
        return np.asarray(np.maximum(self.mean + self.deviation * _standard(self.shape, level), 0.0))

    def percentiles(self) -> FloatArray:
        """Quantiles at :data:`GRID`; shape (m, levels), s."""
        return np.asarray(np.maximum(self.mean[:, None] + self.deviation[:, None] * self.standard(), 0.0))

    def standard(self) -> FloatArray:
        """Quantiles at :data:`GRID`, less the mean, in deviations; shape (m, levels)."""
        distinct, which = np.unique(self.shape, return_inverse=True)
        if distinct.size <= _MANY:
            standard = np.column_stack([_standard(distinct, level) for level in GRID.tolist()])[which.ravel()]
        else:
            skewness = 2 / np.sqrt(self.shape)
            rows = np.geomspace(skewness.min(), skewness.max() * (1 + 1e-12), _TABLE)
            standard = np.column_stack([np.interp(skewness, rows, _standard(4 / rows**2, level)) for level in GRID.tolist()])
        return np.asarray(standard)


def _standard(shape: FloatArray, level: float) -> FloatArray:
    from scipy import special

    return np.asarray((special.gammaincinv(shape, level) - shape) / np.sqrt(shape))


class MixtureWeights(NamedTuple):
    """At :data:`GRID`, shape (rows, levels): weight of the mixture law, and the share of it that the independent sum takes."""

    mixture: FloatArray
    apart: FloatArray


def mixture_weights(scv: FloatArray, third: FloatArray) -> MixtureWeights:
    """How much of a percentile is that of the mixture law.

    Parameters
    ----------
    scv, third : ndarray, shape (rows,)
        SCV of service, and its third central moment over mean^3; those of a gamma law are c2 and 2 c2^2.
    """
    common = np.interp(GRID, [0.5, 0.9], [MIXTURE_MEDIAN, 0.0])
    beyond = scv * np.clip(1 - np.divide(2 * scv**2, third, out=np.ones_like(third), where=third > 0), 0.0, 1.0)
    full = np.interp(GRID, [0.95, 0.99], [MIXTURE_HEAVY, MIXTURE_HEAVY_TAIL])
    heavy = np.minimum(1.0, beyond[:, None] / full)
    apart = np.minimum(1.0, beyond / MIXTURE_HEAVY)[:, None] * np.interp(GRID, [0.95, 0.99], [0.0, MIXTURE_APART])
    return MixtureWeights(common + (1 - common) * heavy, apart)


def corrections(
    laws: PearsonThree,
    apart: Cumulants,
    independent: FloatArray,
    together: FloatArray,
    correlation: FloatArray,
    weights: MixtureWeights,
) -> FloatArray:
    """What to add to type III percentiles at :data:`GRID`, in deviations; shape (rows, levels).

    Parameters
    ----------
    laws : PearsonThree
        Of whole queries.
    apart : Cumulants
        Of the sums of independent stages.
    independent, together : ndarray, shape (rows, levels), s
        Percentiles at :data:`GRID` of sums of independent stages, and of stages that move together.
    correlation : ndarray, shape (rows,)
    weights : MixtureWeights
    """
    plain = laws.percentiles()
    matched = PearsonThree.matching(apart)
    shifted = plain + laws.deviation[:, None] * (independent - matched.percentiles()) / matched.deviation[:, None]
    mixed = np.empty_like(independent)
    for row, c in enumerate(correlation.tolist()):
        x = np.unique(np.concatenate((independent[row], together[row])))
        reached = (1 - c) * np.interp(x, independent[row], GRID, left=0.0) + c * np.interp(x, together[row], GRID, left=0.0)
        mixed[row] = np.interp(GRID, reached, x)
    mixed += weights.apart * (independent - mixed)
    wanted = np.maximum.accumulate(np.maximum(shifted + weights.mixture * (mixed - shifted), 0.0), axis=1)
    return np.asarray((wanted - plain) / laws.deviation[:, None])


def quantile_of_many(percentiles: FloatArray, weight: FloatArray, level: float) -> float:
    """Quantile of the mixture of laws known by percentiles at :data:`GRID`, with these weights; as :func:`mixture_quantile`.

    Takes a level of the grid.
    """
    used = weight > 0
    if weight.sum() <= level * (1 + 1e-12):
        return float("inf")
    rows, share = percentiles[used], weight[used]
    depth = -np.log1p(-GRID)  # between two levels, ends are taken as exponential
    every = np.arange(rows.shape[0])

    def excess(t: float) -> float:
        above = np.clip((rows <= t).sum(axis=1), 1, GRID.size - 1)
        low, high = rows[every, above - 1], rows[every, above]
        part = np.clip(np.divide(t - low, high - low, out=np.ones(every.size), where=high > low * (1 + 1e-9)), 0.0, None)
        reached = -np.expm1(-(depth[above - 1] + part * (depth[above] - depth[above - 1])))
        return float(share @ np.where(t < rows[:, 0], 0.0, reached)) - level

    ends = rows[:, np.searchsorted(GRID, level)]  # between them lies the mixture's
    endless = bool(share.sum() < _ENDLESS)
    return _root(excess, float(ends.min()), float(rows.max() if endless else ends.max()), endless=endless)


def mixture_quantile(laws: PearsonThree, weight: FloatArray, level: float) -> float:
    """Quantile of the mixture with these weights; infinite when weights that sum to less than 1 do not make up ``level``."""
    used = weight > 0
    if weight.sum() <= level * (1 + 1e-12):
        return float("inf")
    laws, share = PearsonThree(*(part[used] for part in laws)), weight[used]
    ends = laws.quantile(level)
    low, high = float(ends.min()), float(ends.max())
    if share.sum() < _ENDLESS:  # some users wait for ever: the rest must make up the level further out
        high = float(laws.quantile(_ENDLESS).max())
    return _root(lambda t: float(share @ laws.cdf(t)) - level, low, high, endless=False)


def _root(excess: Callable[[float], float], low: float, high: float, *, endless: bool) -> float:
    from scipy import optimize

    if high - low <= 1e-12 * high or excess(low) >= 0:
        return low
    high *= 1 + 1e-9
    while endless and excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, low, high, xtol=1e-12 * high, rtol=1e-12))
