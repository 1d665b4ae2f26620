"""Voting, coverage and layered aggregation on checkable tasks: the formulas against every outcome, one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from itertools import product
from math import comb, prod

import pytest
from scipy.integrate import quad
from scipy.stats import beta

from dmoa_theory.accuracy.checkable import coverage, coverage_estimate, layered_aggregation, majority_vote
from dmoa_theory.errors import InputError


def _vote_by_outcome(p: float, n: int) -> float:
    """Probability that most are right: every one of the 2^n outcomes."""
    total = 0.0
    for votes in product((0, 1), repeat=n):
        weight = prod(p if vote else 1 - p for vote in votes)
        total += weight * (1.0 if 2 * sum(votes) > n else 0.5 if 2 * sum(votes) == n else 0.0)
    return total


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_majority_of_independent_voters(p: float, n: int) -> None:
    assert majority_vote(p, n) == pytest.approx(_vote_by_outcome(p, n))


@pytest.mark.parametrize("correlation", [0.05, 0.3, 0.8])
@pytest.mark.parametrize(("p", "n"), [(0.4, 3), (0.6, 4), (0.7, 5)])
def test_correlated_voters_are_a_mixture_of_prompts(p: float, n: int, correlation: float) -> None:
    """Every outcome for a prompt of given ease, averaged over the beta distribution of prompts."""
    rest = (1 - correlation) / correlation
    prompts = beta(p * rest, (1 - p) * rest)
    voted = quad(lambda ease: _vote_by_outcome(ease, n) * prompts.pdf(ease), 0, 1, limit=200)[0]
    covered = quad(lambda ease: (1 - (1 - ease) ** n) * prompts.pdf(ease), 0, 1, limit=200)[0]
    assert majority_vote(p, n, correlation) == pytest.approx(voted, abs=2e-5)
    assert coverage(p, n, correlation) == pytest.approx(covered, abs=2e-5)


def test_voters_help_above_one_half_and_hurt_below() -> None:
    """Condorcet: each further pair of independent voters helps good ones and hurts bad ones; correlation takes both away."""
    for n in (1, 3, 5, 7):
        assert majority_vote(0.6, n + 2) > majority_vote(0.6, n)
        assert majority_vote(0.4, n + 2) < majority_vote(0.4, n)
        assert majority_vote(0.5, n) == pytest.approx(0.5)
        assert majority_vote(0.4, n, 0.2) + majority_vote(0.6, n, 0.2) == pytest.approx(1)
    assert 0.6 < majority_vote(0.6, 5, 0.5) < majority_vote(0.6, 5)
    assert majority_vote(0.6, 5, 0.999) == pytest.approx(0.6, abs=1e-3)


def test_coverage_of_independent_answers() -> None:
    assert coverage(0.3, 0) == 0
    for n in (1, 2, 5):
        assert coverage(0.3, n) == pytest.approx(1 - 0.7**n)
        assert coverage(0.3, n, 0.4) < coverage(0.3, n) + 1e-12
        assert coverage(0.3, n) >= majority_vote(0.3, n) - 1e-12


def test_the_estimate_of_coverage_is_unbiased() -> None:
    """Its mean over all outcomes of the samples is what it estimates."""
    samples, p = 6, 0.35
    for n in range(samples + 1):
        mean = sum(
            comb(samples, right) * p**right * (1 - p) ** (samples - right) * coverage_estimate(samples, right, n)
            for right in range(samples + 1)
        )
        assert mean == pytest.approx(coverage(p, n))


def _follow(answers: Sequence[str], alone: dict[str, float], pull: float) -> dict[str, float]:
    """What a model answers that was shown answers: R right, L the lure, each O different from all others."""
    counts = {name: answers.count(name) for name in "RL"}
    most = max(counts.values())
    if most < 2:
        return alone
    leaders = [name for name in "RL" if counts[name] == most]
    shown = {name: (1 - pull) * chance for name, chance in alone.items()}
    for name in leaders:
        shown[name] += pull / len(leaders)
    return shown


def _aggregate_by_outcome(p: float, lure: float, n: int, M: int, pull: float) -> float:
    """Every sequence of answers of every layer, as a tree."""
    alone = {"R": p, "L": lure, "O": 1 - p - lure}

    def right(layer: int, answers: tuple[str, ...]) -> float:
        now = alone if layer == 0 else _follow(answers, alone, pull)
        if layer == M:
            return now["R"]
        return sum(
            prod(now[name] for name in given) * right(layer + 1, given)
            for given in product("RLO", repeat=n)
            if all(now[name] for name in given)
        )

    return right(0, ())


@pytest.mark.parametrize(("p", "lure"), [(0.5, 0.2), (0.3, 0.6), (0.4, 0.4), (0.2, 0.0)])
@pytest.mark.parametrize("pull", [1.0, 0.6])
@pytest.mark.parametrize(("n", "M"), [(1, 2), (2, 1), (2, 3), (3, 2), (4, 1), (4, 2), (5, 1)])
def test_layers_of_aggregators(p: float, lure: float, n: int, M: int, pull: float) -> None:
    assert layered_aggregation(p, lure, n, M, pull) == pytest.approx(_aggregate_by_outcome(p, lure, n, M, pull))


def test_plausible_wrong_answers_make_depth_harmful() -> None:
    """A lure likelier than the truth: collaborating hurts, more proposers and more layers hurt more. A rare one: both help."""
    lured = [layered_aggregation(0.3, 0.6, 4, M) for M in range(4)]
    assert lured == sorted(lured, reverse=True)
    assert layered_aggregation(0.3, 0.6, 8, 2) < layered_aggregation(0.3, 0.6, 4, 2) < 0.3
    clear = [layered_aggregation(0.5, 0.2, 4, M) for M in range(4)]
    assert clear == sorted(clear)
    assert layered_aggregation(0.5, 0.2, 4, 3, pull=0.0) == pytest.approx(0.5)
    assert layered_aggregation(0.5, 0.5, 5, 10**4) == pytest.approx(0.5)


@pytest.mark.parametrize("n", [2, 3, 4, 7, 10])
@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.45, 0.49])
def test_each_layer_hurts_where_the_lure_is_all_the_rest(p: float, n: int) -> None:
    layers = [layered_aggregation(p, 1 - p, n, M) for M in range(7)]
    assert all(later <= sooner + 1e-12 for sooner, later in itertools.pairwise(layers))
    assert layers[-1] < p + 1e-12


def test_layers_can_help_a_truth_rarer_than_the_lure() -> None:
    """Where most answers are other ones, which never agree: agreeing ones gain on them, right ones too."""
    layers = [layered_aggregation(0.05, 0.10, 4, M) for M in range(4)]
    assert [round(each, 3) for each in layers] == [0.05, 0.061, 0.071, 0.08]
    assert layered_aggregation(0.05, 0.10, 3, 2) == pytest.approx(_aggregate_by_outcome(0.05, 0.10, 3, 2, 1.0))


@pytest.mark.parametrize("p", [0.5001, 0.6, 0.9])
def test_ten_thousand_voters_are_at_most_certain(p: float) -> None:
    assert 0.5 < majority_vote(p, 10_000) <= 1
    assert majority_vote(p, 10_000) + majority_vote(1 - p, 10_000) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: majority_vote(1.5, 3), "p = 1.5: from 0 to 1"),
        (lambda: majority_vote(0.5, 0), "n = 0: from 1 to 10000"),
        (lambda: coverage(0.5, 3, 1.0), "correlation = 1.0: from 0 to below 1"),
        (lambda: coverage_estimate(3, 4, 1), "right = 4: from 0 to 3, the samples"),
        (lambda: coverage_estimate(3, 1, 4), "n = 4: from 0 to 3, the samples"),
        (lambda: layered_aggregation(0.7, 0.4, 3, 1), "lure = 0.4: at most 0.3, what p leaves"),
        (lambda: layered_aggregation(0.7, 0.1, 41, 1), "n = 41: at most 40"),
        (lambda: layered_aggregation(0.7, 0.1, 3, -1), "M = -1: from 0 to 10000"),
    ],
)
def test_refusals(call: object, complaint: str) -> None:
    assert callable(call)
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == complaint
