"""What a recorded run drew: who asked when, which neighbours, how long every inference took; against the laws of the model."""

from __future__ import annotations

from itertools import combinations
from math import prod
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dmoa_theory import Network, ServiceTime, System
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.service import Law, Stage
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.traces.trajectory import Trajectory

LEAST_P = 1e-4
COMPLETE = Network.from_adjacency(1 - np.eye(3))


def stage_kind(run: Trajectory) -> np.ndarray:
    """First layer, later layer or aggregation, by job."""
    trace = run.trace
    place = np.arange(trace.n_stages) - trace.stage_start[:-1][trace.stage_query]
    last = np.diff(trace.stage_start)[trace.stage_query] - 1
    kind = np.where(place == 0, Stage.FIRST, np.where(place < last, Stage.LATER, Stage.AGGREGATE))
    return np.asarray(kind[trace.job_stage])


def asked(run: Trajectory, k: int) -> np.ndarray:
    """Neighbours asked in every layer, rising; shape (layers, k). Every user asks ``k`` in every layer."""
    trace = run.trace
    layer = np.repeat(np.diff(trace.job_start) > 1, np.diff(trace.job_start))
    return np.sort(trace.device[layer].reshape(-1, k + 1)[:, 1:], axis=1)


# -- service times ----------------------------------------------------------------------------------------------------


def continuous(law: Law, mean: float, scv: float) -> Any:
    if law is Law.LOGNORMAL:
        spread = np.log1p(scv)
        return stats.lognorm(np.sqrt(spread), scale=mean * np.exp(-spread / 2))
    return stats.gamma(1 / scv, scale=mean * scv)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("law", [Law.EXPONENTIAL, Law.GAMMA, Law.LOGNORMAL])
def test_service_times(law: Law, rows: int) -> None:
    """Mean and SCV within 4.5 standard errors and a Kolmogorov-Smirnov test, for each device and stage."""
    rng = np.random.default_rng(rows)
    mean = 10.0 ** rng.uniform(-1, 1, (rows, 3))
    scv = np.ones((rows, 3)) if law is Law.EXPONENTIAL else rng.permutation([0.05, 0.5, 2.5] * rows).reshape(rows, 3)
    service = ServiceTime(mean=mean, scv=scv, law=law)
    run = record_run(System(network=COMPLETE, arrival_rate=1.0, service=service, moa=MoA(2, 1)), queries=12_000, seed=1)
    kind = stage_kind(run)
    for d in range(3):
        for stage in Stage:
            sample = run.trace.service[(run.trace.device == d) & (kind == stage)]
            assert sample.size > 3_500
            row = d % rows
            expected = continuous(law, mean[row, stage], scv[row, stage])
            moments = [expected.moment(order) for order in range(1, 5)]
            variance = moments[1] - moments[0] ** 2
            fourth = moments[3] - 4 * moments[2] * moments[0] + 6 * moments[1] * moments[0] ** 2 - 3 * moments[0] ** 4
            assert sample.mean() == pytest.approx(mean[row, stage], abs=4.5 * np.sqrt(variance / sample.size))
            error = np.sqrt((fourth - variance**2) / sample.size)
            assert sample.var() == pytest.approx(scv[row, stage] * mean[row, stage] ** 2, abs=4.5 * error)
            assert stats.kstest(sample, expected.cdf).pvalue > LEAST_P


def test_service_times_that_do_not_vary() -> None:
    """With SCV 0 every inference of a device and stage takes its mean, whatever the law is called."""
    mean = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    for law in (Law.DETERMINISTIC, Law.GAMMA, Law.LOGNORMAL):
        service = ServiceTime(mean=mean, scv=np.zeros((3, 3)), law=law)
        run = record_run(System(network=COMPLETE, arrival_rate=0.1, service=service, moa=MoA(2, 1)), queries=300, seed=1)
        np.testing.assert_array_equal(run.trace.service, mean[run.trace.device, stage_kind(run)])


def test_service_times_from_samples() -> None:
    """Each sample of the device equally often, times the multiple of the stage; one list for all devices, or one each."""
    lists = [[1.0, 2.0, 3.0, 10.0], [0.5, 0.25], [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 11.0]]
    for samples in (lists, [lists[2]]):
        service = ServiceTime.empirical(samples, later=[1.5, 3.0, 1.0], aggregate=0.5)
        run = record_run(System(network=COMPLETE, arrival_rate=1.0, service=service, moa=MoA(2, 1)), queries=12_000, seed=2)
        kind = stage_kind(run)
        for d in range(3):
            own = np.array(samples[d % len(samples)])
            for stage in Stage:
                multiple = (1.0, (1.5, 3.0, 1.0)[d], 0.5)[stage]
                values = run.trace.service[(run.trace.device == d) & (kind == stage)]
                which = np.abs(values[:, None] / multiple - own).argmin(axis=1)
                np.testing.assert_allclose(values, own[which] * multiple, rtol=1e-14)
                assert stats.chisquare(np.bincount(which, minlength=own.size)).pvalue > LEAST_P


def test_a_single_inference_is_served_like_a_first_layer() -> None:
    service = ServiceTime(mean=np.array([[1.0, 20.0, 300.0]]), scv=np.zeros((1, 3)))
    system = System(network=COMPLETE, arrival_rate=0.1, service=service, moa=MoA([0, 1, 2], 1))
    run = record_run(system, queries=500, seed=3)
    lengths = np.diff(run.trace.stage_start)
    assert set(lengths.tolist()) == {1, 2, 3}
    first = run.trace.job_start[run.trace.stage_start[:-1]]
    assert (run.trace.service[first] == 1).all()
    last = run.trace.job_start[run.trace.stage_start[1:] - 1]
    np.testing.assert_array_equal(run.trace.service[last], np.where(lengths > 1, 300.0, 1.0))


def test_service_times_are_independent() -> None:
    """Ranks of successive service times of a run are uncorrelated, and so are they with the gaps between arrivals."""
    system = System.from_arrays(1 - np.eye(3), 1.0, 0.3, M=2, k=1, scv=0.4)
    run = record_run(system, queries=20_000, seed=4)
    rank = continuous(Law.GAMMA, 0.3, 0.4).cdf(run.trace.service) - 0.5
    for lag in range(1, 7):
        assert abs(12 * (rank[:-lag] * rank[lag:]).mean()) * np.sqrt(rank.size - lag) < 4.5
    gap = -np.exp(-3.0 * np.diff(run.trace.arrival)) + 0.5
    first = rank[run.trace.job_start[run.trace.stage_start[:-2]]]
    assert abs(12 * (gap * first).mean()) * np.sqrt(gap.size) < 4.5


# -- neighbours -------------------------------------------------------------------------------------------------------


def lone_user(d: int, k: int, *, M: int = 1, weight: list[float] | None = None, delay: float = 0.0) -> System:
    """A star whose centre is the only user."""
    n = d + 1
    return System(
        network=Network.from_links(n, [0] * d, list(range(1, n)), link_delay=delay),
        arrival_rate=[1.0] + [0.0] * d,
        service=ServiceTime.exponential(0.1),
        moa=MoA([M] + [0] * d, k, selection_weight=None if weight is None else np.array(weight)),
    )


def subset_counts(system: System, d: int, k: int, *, queries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each subset of ``k`` of the neighbours 1..d was asked, and which it was layer by layer."""
    run = record_run(system, queries=queries, seed=seed)
    place = {subset: i for i, subset in enumerate(combinations(range(1, d + 1), k))}
    which = np.array([place[tuple(row)] for row in asked(run, k).tolist()])
    return np.bincount(which, minlength=len(place)), which


@pytest.mark.parametrize("delay", [0.0, 0.5])
@pytest.mark.parametrize(("d", "k"), [(5, 1), (6, 3), (7, 2), (5, 4), (4, 4)])
def test_uniform_choice(d: int, k: int, delay: float) -> None:
    """Every subset equally often."""
    counts, _ = subset_counts(lone_user(d, k, M=2, delay=delay), d, k, queries=15_000, seed=d)
    assert counts.sum() == 30_000
    assert counts.size == 1 or stats.chisquare(counts).pvalue > LEAST_P


@pytest.mark.parametrize("delay", [0.0, 0.5])
@pytest.mark.parametrize(
    ("weight", "k"),
    [
        ([1.0, 2.0, 3.0, 4.0, 10.0], 2),
        ([0.1, 1.0, 7.0, 0.0, 2.0, 1.0], 3),
        ([1.0, np.inf, 2.0, 5.0], 2),
        ([np.inf, 1.0, 2.0, np.inf, 0.0, 4.0], 3),
        ([1.0, 1e-3, 1e3, 1.0], 1),
        ([1.0, 2.0, 0.0, 3.0], 3),
    ],
)
def test_weighted_choice(weight: list[float], k: int, delay: float) -> None:
    """A subset's chance is in proportion to the product of its weights; infinite ones are always in it."""
    d = len(weight)
    system = lone_user(d, k, M=2, weight=weight, delay=delay)
    counts, which = subset_counts(system, d, k, queries=15_000, seed=k)
    always = {j + 1 for j in range(d) if np.isinf(weight[j])}
    subsets = list(combinations(range(1, d + 1), k))
    product = np.array([prod(weight[j - 1] for j in set(s) - always) * (always <= set(s)) for s in subsets])
    chance = product / product.sum()
    assert (counts[chance == 0] == 0).all()
    often = chance * counts.sum() > 5  # what is rarer goes into one bin
    seen, expected = counts[often], chance[often] * counts.sum()
    rest = chance[~often].sum() * counts.sum()
    if rest > 0.01:
        seen, expected = np.append(seen, counts[~often].sum()), np.append(expected, rest)
    assert seen.size == 1 or stats.chisquare(seen, expected * (seen.sum() / expected.sum())).pvalue > LEAST_P
    member = np.array([[j in s for j in range(1, d + 1)] for s in subsets])
    share = member[which].mean(axis=0)
    error = np.sqrt(system.inclusion() * (1 - system.inclusion()) / which.size)
    assert (np.abs(share - system.inclusion()) <= 4.5 * error + 1e-9).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_inclusion_on_a_network(weighted: bool) -> None:
    """Every link is used as often as :meth:`System.inclusion` says, user by user, on a digraph with k by user."""
    rng = np.random.default_rng(5)
    n = 8
    adjacency = rng.random((n, n)) < 0.7
    np.fill_diagonal(adjacency, False)
    network = Network.from_adjacency(adjacency)
    k = np.minimum(rng.integers(1, 5, n), network.out_degree)
    weight = 10.0 ** rng.uniform(-1, 1, network.n_links) if weighted else None
    moa = MoA(rng.integers(1, 4, n), k, selection_weight=weight)
    system = System(network=network, arrival_rate=0.1, service=ServiceTime.exponential(0.1), moa=moa)
    run = record_run(system, queries=20_000, seed=6)
    trace = run.trace
    user = trace.user[trace.stage_query]
    layers = np.bincount(user[np.diff(trace.job_start) > 1], minlength=n)
    asks = user[trace.job_stage]
    link = network.link_sources().astype(np.int64) * n + network.indices
    remote = trace.device != asks
    used = np.bincount(np.searchsorted(link, asks[remote] * n + trace.device[remote]), minlength=network.n_links)
    inclusion, drawn = system.inclusion(), layers[network.link_sources()]
    error = np.sqrt(np.maximum(drawn * inclusion * (1 - inclusion), 0))
    assert (np.abs(used - drawn * inclusion) <= 4.5 * error + 1e-9).all()
    assert stats.kstest((used - drawn * inclusion)[error > 0] / error[error > 0], "norm").pvalue > LEAST_P


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0, 4.0, 10.0]])
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_layers_choose_independently(weight: list[float] | None, delay: float) -> None:
    """Choices of successive layers, of one query and of the next: no association in the table of pairs."""
    _, which = subset_counts(lone_user(5, 2, M=3, weight=weight, delay=delay), 5, 2, queries=20_000, seed=7)
    for lag in (1, 2, 3):
        table = np.zeros((10, 10))
        np.add.at(table, (which[:-lag], which[lag:]), 1)
        assert stats.chi2_contingency(table).pvalue > LEAST_P


# -- prompts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_users_ask_in_proportion_to_their_rates(delay: float) -> None:
    """Over five orders of magnitude; whoever has no prompts never asks."""
    rates = np.array([0.0, 1.0, 3.0, 0.0, 1e-4, 10.0, 0.2, 0.0, 2.5])
    n = rates.size
    network = Network.from_adjacency(1 - np.eye(n), link_delay=delay)
    system = System(network=network, arrival_rate=rates, service=ServiceTime.exponential(0.01), moa=MoA(1, 1))
    run = record_run(system, queries=100_000, seed=8)
    counts = np.bincount(run.trace.user, minlength=n)
    assert (counts[rates == 0] == 0).all()
    expected = 100_000 * rates / rates.sum()
    for count, mean in zip(counts[rates > 0], expected[rates > 0], strict=True):
        assert stats.binomtest(int(count), 100_000, mean / 100_000).pvalue > LEAST_P
    often = expected > 5
    assert stats.chisquare(counts[often], expected[often] * (counts[often].sum() / expected[often].sum())).pvalue > LEAST_P


def test_many_users_ask_in_proportion_to_their_rates() -> None:
    """A thousand users, some without prompts, some with very few."""
    rng = np.random.default_rng(9)
    rates = 10.0 ** rng.uniform(-4, 0, 1000) * (rng.random(1000) < 0.8)
    network = Network.from_links(1000, [0], [1])
    run = record_run(
        System(network=network, arrival_rate=rates, service=ServiceTime.exponential(1e-3), moa=MoA(0, 0)),
        queries=200_000,
        seed=9,
    )
    counts = np.bincount(run.trace.user, minlength=1000)
    assert (counts[rates == 0] == 0).all()
    expected = 200_000 * rates / rates.sum()
    often = expected > 5
    rare = [counts[~often].sum()], [expected[~often].sum()]
    seen, mean = np.append(counts[often], rare[0]), np.append(expected[often], rare[1])
    assert stats.chisquare(seen, mean).pvalue > LEAST_P


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_arrivals_are_poisson(delay: float) -> None:
    """Gaps are exponential with the total rate, uncorrelated, and do not depend on who asks; each user's are so too."""
    rates = np.array([0.5, 1.0, 2.5])
    network = Network.from_adjacency(1 - np.eye(3), link_delay=delay)
    system = System(network=network, arrival_rate=rates, service=ServiceTime.exponential(0.05), moa=MoA(1, 1))
    trace = record_run(system, queries=100_000, seed=10).trace
    gaps = np.diff(trace.arrival, prepend=0.0)
    assert stats.kstest(gaps, stats.expon(scale=1 / 4).cdf).pvalue > LEAST_P
    rank = np.exp(-4 * gaps) - 0.5
    for lag in range(1, 6):
        assert abs(12 * (rank[:-lag] * rank[lag:]).mean()) * np.sqrt(gaps.size - lag) < 4.5
    for u, rate in enumerate(rates):
        own = np.diff(trace.arrival[trace.user == u], prepend=0.0)
        assert stats.kstest(own, stats.expon(scale=1 / rate).cdf).pvalue > LEAST_P
        assert stats.kstest(gaps[trace.user == u], stats.expon(scale=1 / 4).cdf).pvalue > LEAST_P


def test_first_arrivals_are_exponential() -> None:
    """The wait for a run's first prompt, over a thousand seeds."""
    alone = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0)
    first = [record_run(alone, queries=1, seed=seed).trace.arrival[0] for seed in range(1000)]
    assert stats.kstest(first, stats.expon(scale=2).cdf).pvalue > LEAST_P


def test_a_seed_is_a_run() -> None:
    """The same seed gives the same run, as a number or as a sequence; another gives another."""
    system = lone_user(4, 2)
    one, same = record_run(system, queries=50, seed=3), record_run(system, queries=50, seed=np.random.SeedSequence(3))
    np.testing.assert_array_equal(one.stage_end, same.stage_end)
    assert record_run(system, queries=50, seed=4).trace.arrival[0] != one.trace.arrival[0]
