"""Numerical inversion of Laplace transforms by Fourier series and Euler summation (the method EULER of Abate and Whitt)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import comb

from dmoa_theory.delay.single_queue.job_mix import ComplexArray
from dmoa_theory.model.checks import FloatArray

__all__ = ["invert"]

# exp(-_A) is the error of the discretisation; terms summed plainly, and differences averaged by Euler's summation
_A, _TERMS, _AVERAGED = 21.0, 160, 16
_MOST = 4_000_000


def invert(transform: Callable[[ComplexArray], ComplexArray], t: FloatArray) -> FloatArray:
    """Approximation (to about 1e-8 for smooth functions bounded by 1): the function with this Laplace transform.

    Parameters
    ----------
    transform : callable
        Takes and returns complex arrays of one shape; evaluated at positive real parts only.
    t : ndarray, shape (m,)
        Where the function is wanted, above 0.

    References
    ----------
    Abate, J. and Whitt, W. (1995), "Numerical inversion of Laplace transforms of probability distributions", ORSA Journal on
    Computing 7(1), 36-43, doi:10.1287/ijoc.7.1.36.

    Examples
    --------
    >>> invert(lambda s: 1 / (1 + s), np.array([1.0, 5.0])).round(8) == np.exp([-1.0, -5.0]).round(8)
    array([ True,  True])
    """
    t = np.asarray(t, dtype=np.float64)
    k = np.arange(_TERMS + _AVERAGED + 1)
    sign: FloatArray = np.where(k % 2, -1.0, 1.0)
    sign[0] = 0.5
    # weight of term k: the chance that a binomial count of heads reaches as far
    share: FloatArray = np.ones(k.size)
    heads = comb(_AVERAGED, np.arange(_AVERAGED + 1)) / 2.0**_AVERAGED
    share[_TERMS:] = np.cumsum(heads[::-1])[::-1]
    answer = np.empty(t.shape)
    step = max(1, _MOST // k.size)
    for start in range(0, t.size, step):
        some = slice(start, start + step)
        s = np.asarray((_A + 2j * np.pi * k) / (2 * t[some, None]), dtype=np.complex128)
        answer[some] = np.exp(_A / 2) / t[some] * ((sign * share) * transform(s).real).sum(axis=1)
    return answer
