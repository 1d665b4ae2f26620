"""The slowest of k + 1 against harmonic numbers, inclusion-exclusion, order statistics and enumeration of subsets."""

from __future__ import annotations

from itertools import combinations
from math import comb, prod

import numpy as np
import pytest
from scipy import integrate, special

from dmoa_theory.delay.fork_join import GammaLaws, StageMoments, layer_moments, time_grid
from dmoa_theory.model.selection import coin_chances


def one_user(
    laws: GammaLaws, k: int, *, quorum: int | None = None, weights: np.ndarray | None = None, delay: np.ndarray | None = None
) -> StageMoments:
    """Law 0 at home, one neighbour for each further law."""
    d = laws.shape.size - 1
    coins = coin_chances(np.ones(d) if weights is None else weights, k)[None]
    late = None if delay is None else delay[None]
    return layer_moments(
        laws, np.array([0]), np.arange(1, d + 1)[None], coins, k, k + 1 if quorum is None else quorum, delay=late
    )


def exponential(*means: float) -> GammaLaws:
    """Exponential laws."""
    return GammaLaws.matching(np.array(means), np.array(means) ** 2)


def moments_of_slowest(rates: list[float]) -> tuple[float, float]:
    """First two moments of the maximum of independent exponentials, by inclusion and exclusion over subsets."""
    first = second = 0.0
    for size in range(1, len(rates) + 1):
        for chosen in combinations(rates, size):
            first -= (-1) ** size / sum(chosen)
            second -= (-1) ** size * 2 / sum(chosen) ** 2
    return first, second


@pytest.mark.parametrize("k", [0, 1, 2, 3, 7, 15])
def test_harmonic_numbers(k: int) -> None:
    """k + 1 exponentials of mean 1: mean ``1 + 1/2 + ... + 1/(k+1)``, variance ``1 + 1/4 + ...``; whoever is drawn."""
    for d in (k, k + 3):
        layer = one_user(exponential(*[1.0] * (d + 1)), k)
        count = 1.0 / np.arange(1, k + 2)
        assert layer.mean[0] == pytest.approx(count.sum(), rel=1e-9)
        assert layer.variance[0] == pytest.approx((count**2).sum(), rel=1e-8)


def test_unequal_exponentials_by_inclusion_and_exclusion() -> None:
    """The slowest of up to 6 unequal exponentials, four orders of magnitude apart."""
    rng = np.random.default_rng(1)
    for k in range(1, 6):
        means = 10.0 ** rng.uniform(-2, 2, k + 1)
        layer = one_user(exponential(*means), k)
        first, second = moments_of_slowest((1 / means).tolist())
        assert layer.mean[0] == pytest.approx(first, rel=1e-7)
        assert layer.variance[0] == pytest.approx(second - first**2, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_average_over_random_neighbours_by_enumeration(weighted: bool) -> None:
    """Every set of k of d neighbours, uniform or weighted by the product of its weights, by inclusion and exclusion."""
    rng = np.random.default_rng(2)
    for d, k in ((3, 1), (4, 2), (6, 2), (6, 4), (5, 5)):
        means = 10.0 ** rng.uniform(-1, 1, d + 1)
        weights = 10.0 ** rng.uniform(-2, 2, d) if weighted else np.ones(d)
        if weighted and k > 1:
            weights[0] = np.inf
        first = second = total = 0.0
        for chosen in combinations(range(d), k):
            if np.isinf(weights[0]) and 0 not in chosen:
                continue
            chance = prod(w for w in weights[list(chosen)] if np.isfinite(w))
            one, two = moments_of_slowest([1 / means[0], *(1 / means[1 + j] for j in chosen)])
            first, second, total = first + chance * one, second + chance * two, total + chance
        layer = one_user(exponential(*means), k, weights=weights)
        assert layer.mean[0] == pytest.approx(first / total, rel=1e-8)
        assert layer.variance[0] == pytest.approx(second / total - (first / total) ** 2, rel=1e-6)


@pytest.mark.parametrize("k", [0, 1, 3, 6])
def test_quorum_of_equal_exponentials_is_an_order_statistic(k: int) -> None:
    """The r-th of k + 1: ``sum_{i = k+2-r}^{k+1} 1/i``, variance with 1/i^2; the last r is the maximum itself."""
    for r in range(1, k + 2):
        layer = one_user(exponential(*[1.0] * (k + 4)), k, quorum=r)
        terms = 1.0 / np.arange(k + 2 - r, k + 2)
        assert layer.mean[0] == pytest.approx(terms.sum(), rel=1e-8)
        assert layer.variance[0] == pytest.approx((terms**2).sum(), rel=1e-6)


def test_quorum_of_unequal_jobs_by_enumeration() -> None:
    """Chance that r are done by t, summed over every draw and every set of finished jobs, then integrated adaptively."""
    rng = np.random.default_rng(3)
    d, k = 4, 2
    means, variances = rng.uniform(0.5, 3, d + 1), rng.uniform(0.2, 4, d + 1)
    laws = GammaLaws.matching(means, variances)
    weights = rng.uniform(0.3, 3, d)
    share = {chosen: prod(weights[list(chosen)].tolist()) for chosen in combinations(range(d), k)}
    total = sum(share.values())

    def not_yet(t: float, r: int) -> float:
        done = special.gammainc(laws.shape, t / laws.scale)
        answer = 0.0
        for chosen, chance in share.items():
            jobs = [0, *(1 + j for j in chosen)]
            for m in range(r):
                for finished in combinations(jobs, m):
                    answer += chance / total * prod(done[j] if j in finished else 1 - done[j] for j in jobs)
        return float(answer)

    for r in range(1, k + 2):
        layer = one_user(laws, k, quorum=r, weights=weights)
        first = integrate.quad(not_yet, 0, 60, args=(r,), limit=300)[0]
        second = integrate.quad(lambda t, r=r: 2 * t * not_yet(t, r), 0, 60, limit=300)[0]
        assert layer.mean[0] == pytest.approx(first, rel=1e-7)
        assert layer.variance[0] == pytest.approx(second - first**2, rel=1e-6)


@pytest.mark.parametrize("delay", [0.0, 1e-6, 0.3, 2.0, 50.0])
def test_delays_move_the_neighbours_job_only(delay: float) -> None:
    """Home X and delay + Y, both exponential of mean 1: E max = delay + e^-delay / 2 + 1 - (1 - e^-delay) ..., closed form."""
    layer = one_user(exponential(1.0, 1.0), 1, delay=np.array([delay]))
    earliest = 1 - np.exp(-delay) / 2  # E min(X, delay + Y)
    assert layer.mean[0] == pytest.approx(1 + (delay + 1) - earliest, rel=1e-8)
    first = one_user(exponential(1.0, 1.0), 1, quorum=1, delay=np.array([delay]))
    assert first.mean[0] == pytest.approx(earliest, rel=1e-8)


def test_unequal_delays_by_enumeration() -> None:
    """Two of four neighbours with delays of their own: adaptive quadrature for each pair, averaged."""
    rng = np.random.default_rng(4)
    laws = GammaLaws.matching(rng.uniform(1, 2, 5), rng.uniform(0.3, 2, 5))
    delay = np.array([0.0, 0.4, 1.5, 6.0])

    def tail(t: float, pair: tuple[int, int]) -> float:
        done = special.gammainc(laws.shape, np.maximum(t - np.append(0, delay), 0) / laws.scale)
        return 1 - float(done[0] * done[1 + pair[0]] * done[1 + pair[1]])

    means = [
        integrate.quad(tail, 0, 80, args=(pair,), limit=400, points=[0.4, 1.5, 6])[0] for pair in combinations(range(4), 2)
    ]
    assert one_user(laws, 2, delay=delay).mean[0] == pytest.approx(np.mean(means), rel=1e-7)


def test_constant_jobs() -> None:
    """Constants of many sizes: the average over draws of the largest is a sum over ranks, C(r, k-1) / C(d, k)."""
    rng = np.random.default_rng(5)
    for d, tolerance in ((5, 1e-6), (20, 1e-5), (100, 3e-4)):
        sizes = rng.uniform(1, 10, d + 1)
        chance = np.array([comb(rank, 2) / comb(d, 3) for rank in range(d)])
        largest = np.maximum(np.sort(sizes[1:]), sizes[0])
        layer = one_user(GammaLaws.matching(sizes, np.zeros(d + 1)), 3)
        assert layer.mean[0] == pytest.approx(largest @ chance, rel=tolerance)


@pytest.mark.parametrize("scv", [1e-3, 0.2, 3.0, 30.0])
def test_gamma_jobs_by_adaptive_quadrature(scv: float) -> None:
    """The slower of two equal gamma jobs, nearly constant to very variable."""
    layer = one_user(GammaLaws.matching(np.ones(2), np.full(2, scv)), 1)

    def integrand(x: float, power: int) -> float:  # over log time, where very variable laws are smooth
        t = np.exp(x)
        return float(power * (1 - special.gammainc(1 / scv, t / scv) ** 2) * t**power)

    first, second = (integrate.quad(integrand, -40, np.log(60 * scv + 20), args=(p,), limit=800)[0] for p in (1, 2))
    assert layer.mean[0] == pytest.approx(first, rel=5e-5)
    assert layer.variance[0] == pytest.approx(second - first**2, rel=1e-4)


def test_a_lone_job_keeps_its_moments() -> None:
    """k = 0: mean and variance are those matched, six orders of magnitude apart, each resolved on the common grid."""
    means = 10.0 ** np.arange(-3, 4)
    laws = GammaLaws.matching(means, 0.5 * means**2)
    m = means.size
    layer = layer_moments(laws, np.arange(m), np.empty((m, 0), dtype=int), np.empty((m, 0)), 0, 1)
    np.testing.assert_allclose(layer.mean, means, rtol=1e-7)
    np.testing.assert_allclose(layer.variance, 0.5 * means**2, rtol=1e-6)


def test_more_jobs_take_longer_and_smaller_quorums_less() -> None:
    """The mean rises with k and with the quorum."""
    laws = GammaLaws.matching(np.ones(7), np.full(7, 0.4))
    assert (np.diff([one_user(laws, k).mean[0] for k in range(7)]) > 0).all()
    assert (np.diff([one_user(laws, 6, quorum=r).mean[0] for r in range(1, 8)]) > 0).all()


def test_matched_laws_have_the_mean_and_variance_asked_for() -> None:
    """Also at variance zero, where a coefficient of variation of 1e-4 stands for a constant."""
    laws = GammaLaws.matching(np.array([2.0, 3.0, 5.0]), np.array([4.0, 0.3, 0.0]))
    np.testing.assert_allclose(laws.shape * laws.scale, [2, 3, 5])
    np.testing.assert_allclose(laws.shape * laws.scale**2, [4, 0.3, 25e-8])
    np.testing.assert_allclose(laws.cdf(laws.quantiles(np.array([0.1, 0.5, 0.99]))[0])[0], [0.1, 0.5, 0.99])


def test_the_grid_covers_the_time_that_matters() -> None:
    """Weights sum to the length of the range, which starts at 0 and ends beyond all but 1e-12 of every law."""
    laws = exponential(1.0, 100.0)
    grid = time_grid(laws, np.array([0.0, 7.0]))
    assert grid.t.min() > 0
    assert (np.diff(grid.t) > 0).all()
    assert (laws.cdf(np.array([grid.weight.sum() - 7.0])) > 1 - 1e-12).all()
