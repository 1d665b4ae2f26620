"""Conditional-Poisson choice of neighbours against enumeration of every subset."""

from __future__ import annotations

from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_theory.errors import InputError
from dmoa_theory.model.selection import coin_chances, head_counts, inclusion_from_coins, weights_from_inclusion


def enumerated(weights: np.ndarray, k: int) -> np.ndarray:
    """Inclusion probabilities when a set is drawn with chance proportional to the product of its weights."""
    total, hit = 0.0, np.zeros(weights.size)
    for chosen in combinations(range(weights.size), k):
        chance = prod(weights[list(chosen)].tolist())
        total += chance
        hit[list(chosen)] += chance
    return hit / total


def inclusion(weights: np.ndarray, k: int) -> np.ndarray:
    """Inclusion probabilities by way of coins."""
    return inclusion_from_coins(coin_chances(weights, k), k)


def test_inclusion_equals_enumeration_of_subsets() -> None:
    """For up to 8 neighbours, every k, weights over six orders of magnitude and some zero: 1e-12."""
    rng = np.random.default_rng(3)
    for d in range(1, 9):
        for k in range(d + 1):
            weights = 10.0 ** rng.uniform(-3, 3, d)
            weights[rng.permutation(d)[: rng.integers(0, d - k + 1)]] = 0.0
            np.testing.assert_allclose(inclusion(weights, k), enumerated(weights, k), rtol=1e-10, atol=1e-12)


def test_coins_given_k_heads_are_the_weighted_choice() -> None:
    """The chance of every single subset, not of its members only, is the product of weights over the sum of products."""
    rng = np.random.default_rng(4)
    for d, k in ((4, 2), (5, 3), (6, 1), (6, 5)):
        weights = 10.0 ** rng.uniform(-2, 2, d)
        p = coin_chances(weights, k)
        assert p.sum() == pytest.approx(k, abs=1e-10)
        sets = list(combinations(range(d), k))
        coin = np.array([prod(p[j] if j in s else 1 - p[j] for j in range(d)) for s in sets])
        product = np.array([prod(weights[list(s)].tolist()) for s in sets])
        np.testing.assert_allclose(coin / coin.sum(), product / product.sum(), rtol=1e-9)
        assert head_counts(p, k)[k] == pytest.approx(coin.sum(), rel=1e-12)


def test_head_counts_are_the_poisson_binomial_law() -> None:
    """Against the polynomial ``prod (1 - p + p z)``; cut off at ``most`` without touching the rest."""
    p = np.random.default_rng(5).random((3, 7))
    for row in p:
        polynomial = np.array([1.0])
        for x in row:
            polynomial = np.convolve(polynomial, [1 - x, x])
        np.testing.assert_allclose(head_counts(row, 7), polynomial, rtol=1e-13)
        np.testing.assert_allclose(head_counts(row, 3), polynomial[:4], rtol=1e-13)
    np.testing.assert_allclose(head_counts(p, 7).sum(axis=1), 1, rtol=1e-13)


def test_equal_weights_are_the_uniform_choice() -> None:
    """``k / d`` for everybody, whatever the common weight, up to thousands of neighbours."""
    for d, k in ((3, 1), (7, 7), (50, 20), (2000, 3), (2000, 1999)):
        for weight in (1e-200, 1.0, 1e200):
            np.testing.assert_allclose(inclusion(np.full(d, weight), k), k / d, rtol=1e-9)


def test_infinite_weights_are_always_asked_and_zero_weights_never() -> None:
    """The others share what is left as if alone: the limit of very large and very small weights."""
    weights = np.array([np.inf, 1.0, 2.0, 0.0, 5.0])
    exact = inclusion(weights, 3)
    assert (exact[0], exact[3]) == (1, 0)
    np.testing.assert_allclose(exact[[1, 2, 4]], enumerated(weights[[1, 2, 4]], 2), rtol=1e-12)
    np.testing.assert_allclose(inclusion(np.array([1e9, 1.0, 2.0, 1e-9, 5.0]), 3), exact, atol=1e-8)
    np.testing.assert_array_equal(inclusion(np.array([np.inf, np.inf, 1.0]), 2), [1, 1, 0])
    np.testing.assert_array_equal(inclusion(np.array([3.0, 0.0, 1.0]), 2), [1, 0, 1])
    np.testing.assert_array_equal(inclusion(np.array([3.0, 1.0]), 0), [0, 0])


def test_weights_may_span_the_range_of_floats() -> None:
    """Only ratios matter, even where a ratio overflows."""
    np.testing.assert_allclose(inclusion(np.array([1e300, 1e-300, 1e-300]), 2), [1, 0.5, 0.5], rtol=1e-9)


def test_rows_are_worked_out_independently() -> None:
    """Many users at once give what each gives alone."""
    weights = 10.0 ** np.random.default_rng(6).uniform(-2, 2, (9, 5))
    weights[2, 1], weights[4, 0] = np.inf, 0.0
    together = inclusion_from_coins(coin_chances(weights, 3), 3)
    np.testing.assert_allclose(together, [inclusion(row, 3) for row in weights], rtol=1e-12)


@pytest.mark.parametrize(("weights", "k"), [([1.0, 0.0], 2), ([np.inf, np.inf, 1.0], 1), ([0.0, 0.0], 1)])
def test_weights_that_no_choice_meets_are_refused(weights: list[float], k: int) -> None:
    """Fewer than k positive weights, or more than k infinite ones."""
    with pytest.raises(InputError, match="k neighbours"):
        coin_chances(np.array(weights), k)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.lists(st.floats(-6, 6), min_size=2, max_size=12), st.data())
def test_inclusion_to_weights_and_back(log_odds: list[float], data: st.DataObject) -> None:
    """Any inclusion probabilities that sum to k, also very near 0 and 1, are met to 1e-10."""
    k = data.draw(st.integers(1, len(log_odds) - 1))
    wanted = coin_chances(10.0 ** np.array(log_odds), k)
    weights = weights_from_inclusion(wanted)
    np.testing.assert_allclose(inclusion(weights, k), wanted, atol=1e-10)


@pytest.mark.parametrize("eps", [1e-2, 1e-4, 1e-6, 1e-9])
def test_probabilities_near_one_are_met_quickly(eps: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nearly certain neighbour takes a few rounds, not thousands, and is not refused."""
    rounds = []
    monkeypatch.setattr(
        "dmoa_theory.model.selection.inclusion_from_coins", lambda p, k: rounds.append(1) or inclusion_from_coins(p, k)
    )
    for wanted in ([1 - eps, 0.5, 0.5 + eps], [1 - eps, 1 - 2 * eps, 3 * eps], [1 - eps, 1 - eps, 0.3, 0.7 + eps, eps]):
        rounds.clear()
        weights = weights_from_inclusion(np.array(wanted))
        np.testing.assert_allclose(inclusion(weights, round(sum(wanted))), wanted, atol=1e-10)
        assert len(rounds) < 60


def test_many_neighbours_are_met_too() -> None:
    """Two hundred neighbours, from hardly ever to nearly always asked."""
    wanted = coin_chances(10.0 ** np.random.default_rng(8).uniform(-5, 5, 200), 20)
    np.testing.assert_allclose(inclusion(weights_from_inclusion(wanted), 20), wanted, atol=1e-10)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([1.0, 0.0, 1.0], [np.inf, 0.0, np.inf]),
        ([1.0, 0.9999999], [np.inf, np.inf]),
        ([1.0, 1e-7], [np.inf, 0.0]),
        ([0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_certain_and_excluded_neighbours(wanted: list[float], expected: list[float]) -> None:
    """Probability 1 is an infinite weight, probability 0 none, also where rounding blurs them."""
    np.testing.assert_array_equal(weights_from_inclusion(np.array(wanted)), expected)


def test_probabilities_rounded_to_six_digits_are_accepted() -> None:
    """A file's rounding puts the sum a little off k; the probabilities reached are those written, to that rounding."""
    for wanted in ([0.333333] * 3, [0.9999999, 0.4999995, 0.5], [0.142857] * 7, [0.999999, 0.5, 0.5]):
        near = np.array(wanted)
        k = round(near.sum())
        np.testing.assert_allclose(inclusion(weights_from_inclusion(near), k), near, atol=2e-6)


@pytest.mark.parametrize(("wanted", "complaint"), [([0.5, 0.6], "sum"), ([1.5, 0.5], "from 0 to 1"), ([-0.1, 1.1], "-0.1")])
def test_impossible_probabilities_are_refused(wanted: list[float], complaint: str) -> None:
    """Outside [0, 1], or not summing to a whole number."""
    with pytest.raises(InputError, match=complaint):
        weights_from_inclusion(np.array(wanted))
