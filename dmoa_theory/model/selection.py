"""How a user picks its k neighbours: uniformly, or by conditional-Poisson (maximum-entropy) sampling with weights.

With weights ``w_j`` a set ``A`` of ``k`` distinct neighbours is drawn with probability proportional to the product of its
weights. Write ``p_j = c w_j / (1 + c w_j)`` with ``c`` such that the ``p_j`` sum to ``k``; then the same law is that of
independent coins with chances ``p_j`` given that exactly ``k`` come up heads. All sums over subsets become Poisson-binomial
probabilities, numbers between 0 and 1, so nothing overflows however many neighbours there are, and certain (``p = 1``) or
excluded (``p = 0``) neighbours need no special case. Equal weights give the uniform choice, ``p_j = k / d``.

References
----------
Hájek, J. (1981), Sampling from a Finite Population, chapter 7. Chen, S. X., Dempster, A. P. and Liu, J. S. (1994),
"Weighted finite population sampling to maximize entropy", Biometrika 81(3), 457-469.
"""

from __future__ import annotations

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["coin_chances", "head_counts", "inclusion_from_coins", "inclusion_of_users", "weights_from_inclusion"]

_TOLERANCE = 1e-12
#: Numbers that the counts of heads of many users take at a time, 32 MB.
_CELLS = 4_000_000


def coin_chances(weights: FloatArray, k: int) -> FloatArray:
    """Exact: the coin chances ``p`` (summing to k) whose conditional law draws k neighbours with these weights.

    Parameters
    ----------
    weights : ndarray, shape (..., d)
        Selection weights, at least 0; ``inf`` for a neighbour that is always asked. Each row has at least ``k`` positive
        weights and at most ``k`` infinite ones.
    k : int
        Neighbours to draw.

    Returns
    -------
    ndarray, shape (..., d)

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.model.selection import coin_chances
    >>> coin_chances(np.ones(4), 2)
    array([0.5, 0.5, 0.5, 0.5])
    """
    weights = np.asarray(weights, dtype=np.float64)
    certain = np.isinf(weights)
    left = k - certain.sum(axis=-1, keepdims=True)
    finite = np.where(certain, 0.0, weights)
    usable = (finite > 0).sum(axis=-1, keepdims=True)
    if (left < 0).any() or (usable < left).any():
        raise InputError(
            "selection", "weights that allow fewer or force more than k neighbours", f"at least {k} positive weights"
        )
    everyone = usable == left
    peak = finite.max(axis=-1, keepdims=True, initial=0.0)
    with np.errstate(divide="ignore"):
        log_w = np.log(finite) - np.log(np.where(peak > 0, peak, 1.0))
    low, high = np.full(left.shape, -2e3), np.full(left.shape, 2e3)  # wider than the ratio of any two floats
    for _ in range(200):  # bisection on log c: the sum of chances rises with c
        middle = 0.5 * (low + high)
        short = _logistic(log_w + middle).sum(axis=-1, keepdims=True) < left
        low, high = np.where(short, middle, low), np.where(short, high, middle)
        if (high - low).max(initial=0.0) < _TOLERANCE:
            break
    chances = np.where(everyone, (finite > 0) * 1.0, _logistic(log_w + 0.5 * (low + high)))
    return np.where(certain, 1.0, np.where(left == 0, 0.0, chances))


def _logistic(x: FloatArray) -> FloatArray:
    half = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, half) / (1.0 + half)


def head_counts(chances: FloatArray, most: int) -> FloatArray:
    """Exact: the probabilities of 0, 1, ..., ``most`` heads among independent coins (the Poisson-binomial law).

    Parameters
    ----------
    chances : ndarray, shape (..., d)
        Chance of heads of each coin.
    most : int
        Largest count wanted.

    Returns
    -------
    ndarray, shape (..., most + 1)

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.model.selection import head_counts
    >>> head_counts(np.array([0.5, 0.5]), 2)
    array([0.25, 0.5 , 0.25])
    """
    counts = np.zeros((*chances.shape[:-1], most + 1))
    counts[..., 0] = 1.0
    for j in range(chances.shape[-1]):
        p = chances[..., j : j + 1]
        counts[..., 1:] = counts[..., 1:] * (1 - p) + counts[..., :-1] * p
        counts[..., :1] *= 1 - p
    return counts


def inclusion_from_coins(chances: FloatArray, k: int) -> FloatArray:
    """Exact: the probability that each neighbour is among the ``k`` drawn.

    ``pi_j = p_j P(k - 1 heads among the others) / P(k heads)``; the others' counts come from the counts before and after
    ``j``, so that nothing is divided out.

    Parameters
    ----------
    chances : ndarray, shape (..., d)
        From :func:`coin_chances`.
    k : int
        Neighbours drawn.

    Returns
    -------
    ndarray, shape (..., d), summing to k
    """
    if k == 0:
        return np.zeros_like(chances)
    d = chances.shape[-1]
    before = np.zeros((d, *chances.shape[:-1], k))
    before[0, ..., 0] = 1.0
    for j in range(d - 1):
        p = chances[..., j : j + 1]
        before[j + 1] = before[j] * (1 - p)
        before[j + 1, ..., 1:] += before[j, ..., :-1] * p
    after = np.zeros((*chances.shape[:-1], k))
    after[..., 0] = 1.0
    joint = np.empty_like(chances)
    for j in range(d - 1, -1, -1):
        joint[..., j] = chances[..., j] * (before[j] * after[..., ::-1]).sum(axis=-1)
        p = chances[..., j : j + 1]
        shifted = after * (1 - p)
        shifted[..., 1:] += after[..., :-1] * p
        after = shifted
    return joint / head_counts(chances, k)[..., k : k + 1]


def inclusion_of_users(indptr: IntArray, weights: FloatArray, k: IntArray, users: IntArray) -> FloatArray:
    """Exact: the probability that a layer uses each link of the users named; shape (n_links,), 0 on the links of others.

    Users with as many links and the same k are reckoned together.

    Parameters
    ----------
    indptr : ndarray, shape (n + 1,)
        ``weights[indptr[u]:indptr[u + 1]]`` are those of user ``u``.
    weights : ndarray, shape (n_links,)
    k : ndarray, shape (n,)
        Neighbours that each user draws.
    users : ndarray of int

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.model.selection import inclusion_of_users
    >>> inclusion_of_users(np.array([0, 2, 4]), np.array([1.0, 1.0, 1.0, 3.0]), np.array([1, 1]), np.arange(2))
    array([0.5 , 0.5 , 0.25, 0.75])
    """
    found = np.zeros(weights.size)
    if not users.size:
        return found
    kinds, which, counts = np.unique(
        np.column_stack((k[users], np.diff(indptr)[users])), axis=0, return_inverse=True, return_counts=True
    )
    alike = np.split(users[np.argsort(which.ravel(), kind="stable")], np.cumsum(counts)[:-1])
    for (drawn, degree), group in zip(kinds.tolist(), alike, strict=True):
        step = max(_CELLS // max(drawn * degree, 1), 1)
        for start in range(0, group.size, step):
            links = indptr[group[start : start + step], None] + np.arange(degree)
            found[links] = inclusion_from_coins(coin_chances(weights[links], drawn), drawn)
    return found


def weights_from_inclusion(inclusion: FloatArray, *, field: str = "selection", tolerance: float = 1e-11) -> FloatArray:
    """Exact (to ``tolerance``): weights whose conditional-Poisson law has the given inclusion probabilities.

    Steps: neighbours with probability 0 or 1 get weight 0 or infinity; for the rest, start from the odds
    ``o_j = pi_j / (1 - pi_j)`` and repeat ``w_j <- w_j (o_j / o_j(w))^(2/3)``, with ``o_j(w)`` the odds that the current
    weights give, until the largest error is below ``tolerance``. (The iteration of Chen, Dempster and Liu 1994,
    ``w_j <- w_j pi_j / pi_j(w)``, crawls where a probability is near 1.) A sum that rounding has put off a whole number is
    mended by one factor on all odds.

    Parameters
    ----------
    inclusion : ndarray, shape (d,)
        Probabilities that each neighbour is asked in a layer; their sum is a whole number k.
    field : str
        What to call the input in a complaint.
    tolerance : float
        Largest error of a reproduced probability.

    Raises
    ------
    InputError
        When a value lies outside [0, 1] or the sum is not a whole number.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.model.selection import coin_chances, inclusion_from_coins, weights_from_inclusion
    >>> weights = weights_from_inclusion(np.array([0.5, 0.7, 0.8]))
    >>> inclusion_from_coins(coin_chances(weights, 2), 2).round(9)
    array([0.5, 0.7, 0.8])
    """
    inclusion = np.asarray(inclusion, dtype=np.float64)
    if not ((inclusion >= 0) & (inclusion <= 1)).all():
        raise InputError(field, inclusion[~((inclusion >= 0) & (inclusion <= 1))].flat[0].item(), "a probability from 0 to 1")
    total = float(inclusion.sum())
    k = round(total)
    if abs(total - k) > 1e-6 * (1 + inclusion.size):  # every entry may have been written with six digits
        raise InputError(field, f"a sum of {total:.6g}", "inclusion probabilities of a user that sum to its k")
    weights = np.where(inclusion >= 1 - tolerance, np.inf, 0.0)
    between = (inclusion > tolerance) & (inclusion < 1 - tolerance)
    left = k - int(np.isinf(weights).sum())
    if left in (0, int(between.sum())):
        weights[between] = np.inf if left else 0.0
        return weights
    free = _odds(inclusion[between])
    target = coin_chances(free, left)
    for _ in range(10_000):
        reached = inclusion_from_coins(coin_chances(free, left), left)
        if np.abs(reached - target).max() < tolerance:
            break
        free = free * (_odds(target) / _odds(reached)) ** (2 / 3)
    else:
        raise InputError(field, "probabilities very close to 0 or 1", "probabilities that a choice of k neighbours can meet")
    weights[between] = free
    return weights


def _odds(chance: FloatArray) -> FloatArray:
    inside = np.clip(chance, 1e-15, 1 - 1e-15)
    return np.asarray(inside / (1 - inside))
