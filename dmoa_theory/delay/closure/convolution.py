"""The law of a query's duration if its stages were independent, by convolution: what Pearson's type III law leaves out.

Three cumulants fix mean, spread and skewness. Where a service law is far from gamma, lognormal with SCV 3 say, the percentiles
of the type III law are off by up to 17 % though its cumulants are right. So the independent sum, whose law convolution gives,
is compared with the type III law of *its* cumulants, and each standardised percentile is corrected by the difference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.convolution_kernel import spread_masses
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["StageCurve", "comonotone_quantiles", "sum_quantiles"]

_NODES, _SPAN = 1024, 12.0
# Where the median lies within so few nodes of 0, because most queries are quick and a few very slow, the beginning is looked up
# again on a grid so many times finer, at most so many times.
_FEW, _FINER, _TURNS = 24, 32, 6


class StageCurve(NamedTuple):
    """Distribution functions of one kind of stage: chances at rising times; both of shape (rows, points)."""

    times: FloatArray
    chances: FloatArray


def sum_quantiles(
    curves: list[StageCurve], repeats: list[IntArray], mean: FloatArray, deviation: FloatArray, levels: FloatArray
) -> FloatArray:
    """Quantiles of the sum of independent stages, shape (rows, levels), s; numerical, to about a hundredth of the deviation.

    Where the median is far below the deviation, what lies about it is found to a few per cent of itself.

    Parameters
    ----------
    curves : list of StageCurve
    repeats : list of ndarray, shape (rows,)
        How often each kind of stage occurs in a row's queries.
    mean, deviation : ndarray, shape (rows,), s
        Of the sum, which fix the step of the grid.
    levels : ndarray, shape (l,)
        Probabilities, rising.
    """
    step = (mean + _SPAN * deviation) / _NODES
    place = _places(curves, repeats, step, levels)
    found = place * step[:, None]
    middle = min(int(np.searchsorted(levels, 0.5)), levels.size - 1)
    rows = np.arange(mean.size)
    for _ in range(_TURNS):
        few = place[:, middle] < _FEW
        rows, step = rows[few], step[few] / _FINER
        if not rows.size:
            break
        part = [StageCurve(curve.times[rows], curve.chances[rows]) for curve in curves]
        place = _places(part, [repeat[rows] for repeat in repeats], step, levels)
        # a law cut off at the end of the grid is exact before it
        found[rows] = np.where(place < 0.75 * _NODES, place * step[:, None], found[rows])
    return np.asarray(found)


def _places(curves: list[StageCurve], repeats: list[IntArray], step: FloatArray, levels: FloatArray) -> FloatArray:
    """Quantiles in steps of a grid of its own for each row, shape (rows, levels); what lies beyond the grid at its end."""
    transform = np.ones((step.size, _NODES + 1), dtype=np.complex128)
    masses = np.empty((step.size, _NODES))
    for curve, repeat in zip(curves, repeats, strict=True):
        spread_masses(curve.times, curve.chances, step, masses)
        transform *= np.fft.rfft(masses, 2 * _NODES, axis=1) ** repeat[:, None]
    law = np.cumsum(np.fft.irfft(transform, 2 * _NODES, axis=1)[:, :_NODES], axis=1)
    nodes = np.arange(_NODES) + 0.5
    return np.stack([np.interp(levels, np.maximum.accumulate(row), nodes) for row in law])


def comonotone_quantiles(curves: list[StageCurve], repeats: list[IntArray], levels: FloatArray) -> FloatArray:
    """Quantiles of the sum of stages that move together, shape (rows, levels), s: the sums of the stages' own quantiles."""
    total = np.zeros((repeats[0].size, levels.size))
    for (times, chances), repeat in zip(curves, repeats, strict=True):
        rows = zip(times, np.maximum.accumulate(chances, axis=1), strict=True)
        total += repeat[:, None] * np.stack([np.interp(levels, reached, t) for t, reached in rows])
    return total
