"""Bounds on layers against joint laws that reach them, closed forms, enumeration and simulated dependence."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_theory.delay.fork_join import GammaLaws, layer_moments
from dmoa_theory.delay.fork_join_bounds.exact_cases import flatto_hahn, slowest_exponential
from dmoa_theory.delay.fork_join_bounds.laws import GammaLaw, SampleLaw
from dmoa_theory.delay.fork_join_bounds.stage_bounds import comonotone_mean, stage_bounds
from dmoa_theory.errors import InputError
from dmoa_theory.model.selection import coin_chances, inclusion_from_coins


@pytest.mark.parametrize("m", [1, 2, 5, 10])
def test_equal_exponentials(m: int) -> None:
    """Comonotone: 1. Maximally dependent: 1 + log m (Lai and Robbins). Independent, between them: 1 + 1/2 + ... + 1/m."""
    unit = GammaLaw(1.0, 1.0)
    found = stage_bounds(unit, [unit] * (m - 1))
    assert found.lower == pytest.approx(1, rel=1e-7)
    assert found.upper == pytest.approx(1 + np.log(m), rel=1e-7)
    assert found.theta == pytest.approx(np.log(m), abs=1e-9)
    assert found.lower - 1e-9 <= slowest_exponential(np.ones(m)) <= found.upper + 1e-9


def test_the_bounds_are_reached() -> None:
    """By samples put in order, and by samples of which only one at a time is large, as the theorem's joint law has it."""
    size = 6000
    t = np.sort(np.random.default_rng(1).gamma(0.7, 2.0, size))
    ordered = stage_bounds(SampleLaw(t), [SampleLaw(3 * t), SampleLaw(t + 1)])
    assert ordered.lower == pytest.approx(np.maximum(3 * t, t + 1).mean(), rel=1e-12)
    assert comonotone_mean([SampleLaw(t), SampleLaw(3 * t), SampleLaw(t + 1)]) == pytest.approx(ordered.lower, rel=1e-12)
    third = size // 3
    columns = [np.concatenate((np.roll(np.r_[t[-third:], t[:third], t[third:-third]], j * third),)) for j in range(3)]
    apart = stage_bounds(SampleLaw(columns[0]), [SampleLaw(columns[1]), SampleLaw(columns[2])])
    assert apart.upper == pytest.approx(np.maximum.reduce(columns).mean(), rel=1e-12)
    assert apart.theta == pytest.approx(t[-third], rel=1e-9)


def test_the_classical_form_of_the_upper_bound() -> None:
    """The least over theta of ``theta + sum pi_j E[(T_j - theta)+]``, by trying thetas, for laws of all kinds."""
    laws = [GammaLaw(1.0, 0.2), GammaLaw(3.0, 9.0), GammaLaw(2.0, 30.0), GammaLaw(0.5, 0.01)]
    inclusion = np.array([0.3, 0.9, 0.8])
    found = stage_bounds(laws[0], laws[1:], inclusion, k=2)
    t, dt = np.linspace(0, 400, 400_001, retstep=True)
    chance = np.append(1.0, inclusion)
    beyond = sum(p * law.survival(t) for p, law in zip(chance, laws, strict=True))
    after = np.append(np.cumsum(((beyond[1:] + beyond[:-1]) / 2 * dt)[::-1])[::-1], 0.0)
    assert found.upper == pytest.approx((t + after).min(), rel=1e-6)
    assert t[(t + after).argmin()] == pytest.approx(found.theta, abs=2 * dt)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("d", "k"), [(3, 1), (5, 2), (5, 4), (4, 4)])
def test_the_average_over_sets_by_enumeration(weighted: bool, d: int, k: int) -> None:
    """The lower bound is the comonotone mean of every set, averaged; its means-only form likewise; independence lies above."""
    rng = np.random.default_rng(3)
    laws = [GammaLaw(m, v) for m, v in zip(rng.uniform(0.5, 3, d + 1), rng.uniform(0.1, 6, d + 1), strict=True)]
    weights = rng.uniform(0.2, 4, d) if weighted else np.ones(d)
    coins = coin_chances(weights, k)
    found = stage_bounds(laws[0], laws[1:], inclusion_from_coins(coins, k), k=k, coins=coins)
    total = lower = means = 0.0
    for chosen in combinations(range(d), k):
        chance = float(np.prod(weights[list(chosen)]))
        some = [laws[0], *(laws[1 + j] for j in chosen)]
        total += chance
        lower += chance * comonotone_mean(some)
        means += chance * max(law.mean for law in some)
    assert found.lower == pytest.approx(lower / total, rel=1e-5)
    assert found.lower_by_means == pytest.approx(means / total, rel=1e-12)
    matched = GammaLaws.matching(np.array([law.mean for law in laws]), np.array([law.variance for law in laws]))
    independent = layer_moments(matched, np.array([0]), np.arange(1, d + 1)[None], coins[None], k, k + 1).mean[0]
    assert found.lower_by_means <= found.lower <= independent <= found.upper
    anyhow = stage_bounds(laws[0], laws[1:], inclusion_from_coins(coins, k), k=k)
    assert anyhow.lower <= found.lower * (1 + 1e-9)
    assert anyhow.upper == found.upper


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(0, 5),
    dependence=st.sampled_from(["none", "shared", "opposed", "choice"]),
    data=st.data(),
)
def test_no_sample_breaks_them(seed: int, d: int, dependence: str, data: st.DataObject) -> None:
    """Whatever the dependence, of the choice on the times too, and whatever the quorum: bounds from a sample's marginals."""
    rng = np.random.default_rng(seed)
    k = data.draw(st.integers(0, d))
    r = data.draw(st.integers(1, k + 1))
    size = 60
    shared = rng.exponential(1.0, (size, 1))
    times = rng.exponential(rng.uniform(0.2, 3, d + 1), (size, d + 1))
    if dependence == "shared":
        times = times * 0.3 + shared
    elif dependence == "opposed":
        times[:, ::2] += shared
        times[:, 1::2] += np.maximum(1.0, shared) - shared.min()
    times = np.round(times, 1)  # ties
    liking = times[:, 1:] if dependence == "choice" else rng.random((size, d))
    chosen = np.argsort(-liking, axis=1)[:, :k]
    asked = np.zeros((size, d), dtype=bool)
    np.put_along_axis(asked, chosen, True, axis=1)
    done = np.sort(np.column_stack((times[:, :1], np.take_along_axis(times[:, 1:], chosen, axis=1))), axis=1)[:, r - 1]
    seen = np.flatnonzero(asked.any(axis=0))
    found = stage_bounds(
        SampleLaw(times[:, 0]),
        [SampleLaw(times[asked[:, j], 1 + j]) for j in seen],
        asked[:, seen].mean(axis=0),
        k=k,
        quorum=r,
    )
    assert found.lower <= done.mean() + 1e-12
    assert done.mean() <= found.upper + 1e-12
    assert found.lower_by_means <= found.lower + 1e-12


def test_quorums_of_equal_jobs() -> None:
    """The earliest of m: all at once at best for it, and no less than what Markov's inequality leaves."""
    t = np.arange(1.0, 101.0)
    law = SampleLaw(t)
    first = stage_bounds(law, [law] * 3, quorum=1)
    assert first.upper == pytest.approx(t.mean())  # all four equal
    # at best the four are early in turn: the first 25 times of each, four times over
    assert first.lower == pytest.approx(t[:25].mean())
    bounds = [stage_bounds(law, [law] * 3, quorum=r) for r in (1, 2, 3, 4)]
    assert (np.diff([each.upper for each in bounds]) > 0).all()
    assert (np.diff([each.lower for each in bounds]) > 0).all()


def test_flatto_and_hahn_by_simulation() -> None:
    """Two exponential queues fed together, by Lindley's recursion, to 4 standard errors; between the bounds for its laws."""
    load, size = 0.6, 1_000_000
    rng = np.random.default_rng(7)
    gaps = rng.exponential(1 / load, size)
    sojourns = []
    for _ in range(2):
        service = rng.exponential(1.0, size)
        walk = np.concatenate(([0.0], np.cumsum(service - gaps)))
        sojourns.append((walk - np.minimum.accumulate(walk))[:size] + service)
    both = np.maximum(*sojourns)
    batches = both.reshape(50, -1).mean(axis=1)
    exact = flatto_hahn(load, 1.0)
    assert batches.mean() == pytest.approx(exact, abs=4 * batches.std(ddof=1) / 50**0.5)
    found = stage_bounds(SampleLaw(sojourns[0]), [SampleLaw(sojourns[1])])
    assert found.lower <= both.mean() <= found.upper
    law = GammaLaw(1 / (1 - load), 1 / (1 - load) ** 2)
    independent = slowest_exponential(np.full(2, 1 / (1 - load)))
    assert stage_bounds(law, [law]).lower < exact < independent < stage_bounds(law, [law]).upper
    assert flatto_hahn(0.0, 1.0) == 1.5


def test_unequal_exponentials() -> None:
    """Two: ``a + b - 1 / (1/a + 1/b)``; three in any order."""
    assert slowest_exponential(np.array([2.0, 3.0])) == pytest.approx(5 - 1.2)
    assert slowest_exponential(np.array([1.0, 5.0, 2.0])) == pytest.approx(slowest_exponential(np.array([5.0, 2.0, 1.0])))


def test_what_does_not_fit_is_refused() -> None:
    """Lengths, probabilities, k, quorums, samples, loads, means."""
    unit = GammaLaw(1.0, 1.0)
    for arguments in (
        {"inclusion": np.array([0.5])},
        {"inclusion": np.array([1.5, 0.5])},
        {"k": 1},
        {"quorum": 4},
        {"quorum": 0},
    ):
        with pytest.raises(InputError):
            stage_bounds(unit, [unit, unit], **arguments)
    for values in ([], [-1.0], [np.inf]):
        with pytest.raises(InputError):
            SampleLaw(np.array(values))
    with pytest.raises(InputError):
        flatto_hahn(1.0, 1.0)
    for means in ([], [0.0], np.arange(1.0, 30.0)):
        with pytest.raises(InputError):
            slowest_exponential(np.array(means))
