"""Tasks whose answers can be checked: what voting, sampling and aggregating give from first principles, exactly."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray

__all__ = ["coverage", "coverage_estimate", "layered_aggregation", "majority_vote"]

_MOST = 10_000
_MOST_PROPOSERS = 40


def majority_vote(p: float, n: int, correlation: float = 0.0) -> float:
    """Probability that most of n voters are right, ties broken by a coin; exact.

    Parameters
    ----------
    p : float
        Probability that a voter is right.
    n : int
        Voters.
    correlation : float
        Between the votes of two voters on the same prompt, from 0 to below 1: prompts differ in how hard they are.

    Returns
    -------
    float

    Raises
    ------
    InputError
        For values outside their ranges.

    Notes
    -----
    The number of right votes is beta-binomial: each prompt has its own probability of being answered rightly, with a beta
    distribution of mean ``p`` and variance ``correlation p (1 - p)``. Independent voters give Condorcet's jury theorem: more
    of them help above one half, and hurt below.

    References
    ----------
    Skellam, J. G. (1948), A probability distribution derived from the binomial distribution by regarding the probability of
    success as variable between the sets of trials, Journal of the Royal Statistical Society B 10(2), 257-261.

    Examples
    --------
    >>> from dmoa_theory.accuracy.checkable import majority_vote
    >>> round(majority_vote(0.6, 3), 3), round(majority_vote(0.4, 3), 3), round(majority_vote(0.6, 3, correlation=0.5), 3)
    (0.648, 0.352, 0.608)
    """
    _check_share("p", p)
    _check_count("n", n, 1)
    right = _right_votes(p, n, _check_correlation(correlation))
    votes = np.arange(n + 1)
    return min(float(right[2 * votes > n].sum() + right[2 * votes == n].sum() / 2), 1.0)


def _right_votes(p: float, n: int, correlation: float) -> FloatArray:
    """Distribution of the number of right votes, shape (n + 1,): beta-binomial, by rising factorials.

    The usual form with beta functions loses all digits as the correlation goes to 0.
    """
    from scipy.special import gammaln

    votes, step = np.arange(n + 1), np.arange(n) * correlation / (1 - correlation)
    with np.errstate(divide="ignore"):
        right, wrong, all_of_them = (np.concatenate([[0.0], np.cumsum(np.log(start + step))]) for start in (p, 1 - p, 1.0))
    ways = gammaln(n + 1) - gammaln(votes + 1) - gammaln(n - votes + 1)
    found = np.exp(ways + right[votes] + wrong[n - votes] - all_of_them[n])
    return np.asarray(found / found.sum())  # ten thousand voters cost ten digits, which would show as more than one


def coverage(p: float, n: int, correlation: float = 0.0) -> float:
    """Probability that at least one of n answers is right, what a perfect selector would reach; exact.

    Parameters
    ----------
    p : float
        Probability that an answer is right.
    n : int
        Answers.
    correlation : float
        As in :func:`majority_vote`.

    Returns
    -------
    float

    Raises
    ------
    InputError
        For values outside their ranges.

    Examples
    --------
    >>> from dmoa_theory.accuracy.checkable import coverage
    >>> coverage(0.5, 2), round(coverage(0.5, 2, correlation=0.5), 3)
    (0.75, 0.625)
    """
    _check_share("p", p)
    _check_count("n", n, 0)
    return float(1 - _right_votes(p, n, _check_correlation(correlation))[0]) if n else 0.0


def coverage_estimate(samples: int, right: int, n: int) -> float:
    """Unbiased estimate of :func:`coverage` for one prompt of which ``right`` of ``samples`` answers were right ("pass@n").

    Parameters
    ----------
    samples, right : int
    n : int
        Answers, at most ``samples``.

    Returns
    -------
    float

    Raises
    ------
    InputError
        For counts that contradict each other.

    References
    ----------
    Chen, M. et al. (2021), Evaluating large language models trained on code, arXiv:2107.03374, equation 1.

    Examples
    --------
    >>> from dmoa_theory.accuracy.checkable import coverage_estimate
    >>> coverage_estimate(4, 1, 2)
    0.5
    """
    _check_count("samples", samples, 1)
    if not 0 <= right <= samples:
        raise InputError("right", right, f"from 0 to {samples}, the samples")
    if not 0 <= n <= samples:
        raise InputError("n", n, f"from 0 to {samples}, the samples")
    return 1 - math.comb(samples - right, n) / math.comb(samples, n)


def layered_aggregation(p: float, lure: float, n: int, M: int, pull: float = 1.0) -> float:
    """Accuracy of M layers of n proposers and an aggregator, pulled by answers that several gave; exact for its assumptions.

    Parameters
    ----------
    p : float
        Probability that a model on its own is right.
    lure : float
        Probability that it gives one plausible wrong answer, the same for all; other wrong answers never agree.
    n : int
        Proposers in a layer, at most 40.
    M : int
        Layers.
    pull : float
        Probability that a model, shown the answers of the layer before, gives the one that most of them agree on; otherwise,
        or when no two agree, it answers on its own.

    Returns
    -------
    float
        Probability that the final answer is right; ``p`` for M = 0.

    Raises
    ------
    InputError
        For values outside their ranges.

    Notes
    -----
    Proposers of a layer read the same answers, so they err together: the state is how many of the n answers are right and
    how many the lure, and layers are the steps of a Markov chain on it. Where the lure is likelier than the truth and
    the two are all the answers there are, collaborating makes things worse, and each layer more so. Where most answers are
    others, which never agree, answers that do agree gain on them: then layers can help a truth rarer than the lure as well.

    Examples
    --------
    >>> from dmoa_theory.accuracy.checkable import layered_aggregation
    >>> [round(layered_aggregation(0.5, 0.2, 4, M), 3) for M in (0, 1, 2)]
    [0.5, 0.753, 0.802]
    >>> [round(layered_aggregation(0.3, 0.6, 4, M), 3) for M in (0, 1, 2)]
    [0.3, 0.259, 0.258]
    >>> [round(layered_aggregation(0.05, 0.1, 4, M), 3) for M in (0, 1, 2)]
    [0.05, 0.061, 0.071]
    """
    for name, value in (("p", p), ("lure", lure), ("pull", pull)):
        _check_share(name, value)
    if p + lure > 1 + 1e-12:
        raise InputError("lure", lure, f"at most {1 - p:g}, what p leaves")
    _check_count("n", n, 1)
    if n > _MOST_PROPOSERS:
        raise InputError("n", n, f"at most {_MOST_PROPOSERS}")
    _check_count("M", M, 0)
    if M == 0:
        return float(p)
    alone = np.array([p, lure, max(1 - p - lure, 0.0)])
    _, followed, agree = _states(n)
    shown = pull * followed + (1 - pull * agree[:, None]) * alone  # of each state, what a model that reads it answers
    now = _layer(alone[None, :], n)[0]
    step = _layer(shown, n) if M > 1 else None
    for _ in range(M - 1):
        assert step is not None
        following = now @ step
        if np.abs(following - now).max() < 1e-15:  # later layers change nothing
            break
        now = following
    return float(now @ shown[:, 0])


@cache
def _states(n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """States (right, lure, other), what a model follows in each (right, lure, other), and whether two answers agree."""
    states = np.array([(r, w, n - r - w) for r in range(n + 1) for w in range(n + 1 - r)], dtype=np.float64)
    right, lure = states[:, 0], states[:, 1]
    most = np.maximum(right, lure)
    agree = most >= 2
    tied = np.where((right == lure) & agree, 0.5, 1.0)
    followed = np.stack([(right == most) & agree, (lure == most) & agree, np.zeros_like(agree)], axis=1) * tied[:, None]
    return states, followed, agree.astype(np.float64)


def _layer(answers: FloatArray, n: int) -> FloatArray:
    """Probability of each state after n independent answers, shape (len(answers), states): trinomial."""
    from scipy.special import gammaln, xlogy

    states = _states(n)[0]
    ways = gammaln(n + 1) - gammaln(states + 1).sum(axis=1)
    return np.asarray(np.exp(ways + xlogy(states[None, :, :], answers[:, None, :]).sum(axis=2)))


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(name, value, "from 0 to 1")


def _check_correlation(value: float) -> float:
    if not 0 <= value < 1:
        raise InputError("correlation", value, "from 0 to below 1")
    return value


def _check_count(name: str, value: int, low: int) -> None:
    if not low <= value <= _MOST:
        raise InputError(name, value, f"from {low} to {_MOST}")
