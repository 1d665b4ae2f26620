"""The compiled kernels against the plain simulation: the same trace, and every time in it equal to the last bit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dmoa_theory import Network, ServiceTime, System
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.service import Law
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.traces.reference import run_reference
from dmoa_theory.simulation.traces.trajectory import Trajectory
from dmoa_theory.stability.loads import utilisation

SYSTEMS, QUERIES = 20, 3_000
LAWS = ("exponential", "deterministic", "gamma", "lognormal", "empirical", "mixed")
DELAYS = ("none", "unequal", "bytes", "none", "uniform")


def random_service(rng: np.random.Generator, law: str, n: int) -> ServiceTime:
    """Means by device and stage (whole numbers where nothing else is random, so that much happens at once), or samples."""
    if law == "empirical":
        samples = [rng.choice([0.5, 1.0, 1.0, 2.0, 4.0], size=int(size)) for size in rng.integers(1, 9, n)]
        return ServiceTime.empirical(samples, later=rng.uniform(0.5, 2, n), aggregate=rng.integers(1, 3, n).astype(float))
    if law == "deterministic":
        return ServiceTime(mean=rng.integers(1, 4, (n, 3)).astype(float), scv=np.zeros((n, 3)), law=Law.DETERMINISTIC)
    mean = 10.0 ** rng.uniform(-0.7, 0.7, (n, 3))
    if law == "exponential":
        return ServiceTime(mean=mean, scv=np.ones((n, 3)), law=Law.EXPONENTIAL)
    if law == "mixed":  # by chance of no variability, exponential, less and more variable
        return ServiceTime(mean=mean, scv=rng.choice([0.0, 1.0, 0.3, 4.0], size=(n, 3)))
    return ServiceTime(mean=mean, scv=rng.uniform(0.2, 3, (n, 3)), law=Law(law))


def random_delay(rng: np.random.Generator, kind: str, links: int) -> np.ndarray | float:
    if kind == "uniform":
        return float(rng.uniform(0.1, 1))
    if kind == "none":
        return 0.0
    return np.where(rng.random(links) < 0.3, 0.0, rng.choice([0.25, 0.5, 1.0, 3.0], size=links))


def random_footprint(rng: np.random.Generator) -> Footprint:
    """Prompts of a few hundred bytes that differ by stage."""
    return Footprint(
        weight_bytes=np.array([1e9]),
        kv_bytes_per_token=np.array([100.0]),
        context_tokens=np.array([[64.0, 128.0, 256.0]]),
        prompt_bytes=rng.integers(1, 5, (1, 3)) * 100.0,
        response_bytes=rng.integers(1, 5, 1) * 50.0,
    )


def random_system(number: int) -> System:
    """The ``number``-th system of a fixed series: a digraph, rates and (M, k) by user, and a mix of everything else."""
    rng = np.random.default_rng([2024, number])
    n = int(rng.integers(3, 13))
    adjacency = rng.random((n, n)) < rng.uniform(0.3, 0.9)
    adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
    np.fill_diagonal(adjacency, False)
    degree, links = adjacency.sum(axis=1), int(adjacency.sum())
    rate = np.where(rng.random(n) < 0.2, 0.0, 10.0 ** rng.uniform(-1, 0, n))
    rate[rng.integers(n)] = 1.0
    M, k = rng.integers(0, 4, n), np.minimum(rng.integers(0, 4, n), degree)
    quorum = rng.integers(1, k + 2) if number % 3 == 1 else None
    weight = None
    if number % 4 >= 2:
        weight = 10.0 ** rng.uniform(-1, 1, links)
        first = np.concatenate(([0], np.cumsum(degree)))
        for u in np.flatnonzero((k > 0) & (rng.random(n) < 0.5)):  # one neighbour asked always, and perhaps one never
            always, perhaps = rng.permutation(int(degree[u]))[:2] if degree[u] > 1 else (0, 0)
            weight[first[u] + always] = np.inf
            if k[u] < degree[u]:
                weight[first[u] + perhaps] = 0.0
    delay = DELAYS[number % len(DELAYS)]
    system = System(
        network=Network.from_adjacency(adjacency, link_delay=random_delay(rng, delay, links)),
        arrival_rate=rate,
        service=random_service(rng, LAWS[number % len(LAWS)], n),
        moa=MoA(M, k, quorum, weight),
        footprint=random_footprint(rng) if delay == "bytes" or number % 7 == 3 else None,
        link_rate=400.0 if delay == "bytes" else None,
    )
    busiest = 1.3 if number % 5 == 4 else rng.uniform(0.5, 0.95)
    return system.with_rates(rate * busiest / utilisation(system).max())


def features(system: System, run: Trajectory) -> set[str]:
    """What there is in a system and in its run."""
    network, moa, service, rates = system.network, system.moa, system.service, system.rates
    M, k, quorum = moa.per_user(system.n_devices)
    assert isinstance(service, ServiceTime)
    delay, weight = np.asarray(network.link_delay), moa.selection_weight
    pairs = set(zip(network.link_sources().tolist(), network.indices.tolist(), strict=True))
    busy, load = rates > 0, utilisation(system)
    chooses = busy & (M > 0) & (k > 0) & (k < network.out_degree)
    there = {
        "one-way links": any((v, u) not in pairs for u, v in pairs),
        "users without prompts": not busy.all(),
        "unequal rates": np.unique(rates[busy]).size > 1,
        f"law {service.law.value}": True,
        "deterministic beside random": 0 < (service.scv == 0).sum() < service.scv.size,
        "uniform delay": delay.any() and np.unique(delay).size == 1,
        "unequal delays, some zero": delay.any() and not delay.all(),
        "bytes on links": system.link_rate is not None,
        "bytes that take no time": system.footprint is not None and system.link_rate is None,
        "no delay": not system.has_delay,
        "quorum": run.trace.has_quorum,
        "jobs that outlive their query": bool((run.end > run.query_end[run.trace.stage_query[run.trace.job_stage]]).any()),
        "uniform choice": weight is None and chooses.any(),
        "weighted choice": weight is not None and chooses.any(),
        "infinite weight": weight is not None and np.isinf(weight).any(),
        "weight zero": weight is not None and (weight == 0).any(),
        "M and k by user": np.unique(M[busy]).size > 1 and np.unique(k[busy]).size > 1,
        "M = 0": (M[busy] == 0).any(),
        "k = 0": ((k == 0) & (M > 0) & busy).any(),
        "three layers": (M[busy] == 3).any(),
        "quorum of one": (busy & (quorum == 1) & (k > 0)).any(),
        "overloaded": (load > 1).any(),
        "stable": (load < 1).all(),
        "departures together": np.unique(run.end).size < run.end.size,
    }
    return {name for name, present in there.items() if present}


def assert_lawful(system: System, run: Trajectory) -> None:
    """M layers of k + 1 and an aggregation, own device first, then distinct out-neighbours that may be asked."""
    trace = run.trace
    M, k, quorum = (each[trace.user] for each in system.moa.per_user(system.n_devices))
    np.testing.assert_array_equal(np.diff(trace.stage_start), M + 1)
    query = trace.stage_query
    layer = np.arange(trace.n_stages) < (trace.stage_start[1:] - 1)[query]
    np.testing.assert_array_equal(np.diff(trace.job_start), np.where(layer, k[query] + 1, 1))
    np.testing.assert_array_equal(trace.answers_needed, np.where(layer, quorum[query], 1))
    asks = trace.user[query[trace.job_stage]]
    own = np.zeros(trace.n_jobs, dtype=bool)
    own[trace.job_start[:-1]] = True
    np.testing.assert_array_equal(trace.device == asks, own)
    network, weight = system.network, system.moa.selection_weight
    n = system.n_devices
    usable = np.ones(network.n_links, dtype=bool) if weight is None else weight > 0
    link = network.link_sources().astype(np.int64) * n + network.indices
    asked = asks[~own] * n + trace.device[~own]  # that nobody is asked twice in a layer, the trace has checked
    assert np.isin(asked, link[usable]).all()
    if weight is not None:  # whoever is asked always is asked in every layer
        place, layers = np.searchsorted(link, asked), np.bincount(trace.user[query[layer]], minlength=n)
        times = np.bincount(place, minlength=network.n_links)
        always = np.isinf(weight) & ((system.moa.per_user(n)[1] > 0)[network.link_sources()])
        np.testing.assert_array_equal(times[always], layers[network.link_sources()][always])
    assert (system.rates[trace.user] > 0).all()


def assert_same(run: Trajectory) -> None:
    """Every time that the kernel wrote down is the one that the reference finds for the same trace."""
    expected = run_reference(run.trace)
    for name in ("reached", "start", "end", "stage_end", "latency"):
        np.testing.assert_array_equal(getattr(run, name), getattr(expected, name), err_msg=name)
        assert np.array_equal(getattr(run, name), getattr(expected, name))


def compare(number: int, queries: int) -> tuple[set[str], int]:
    """Run one system both ways; returns what there was in it, and its number of jobs."""
    system = random_system(number)
    run = record_run(system, queries=queries, seed=number)
    assert_lawful(system, run)
    assert_same(run)
    return features(system, run), run.trace.n_jobs


def test_random_systems() -> None:
    """Twenty systems, from empty until the last answer; together they hold every feature, most of them several times."""
    seen: Counter[str] = Counter()
    for number in range(SYSTEMS):
        seen.update(compare(number, QUERIES)[0])
    wanted = {
        "one-way links": 15,
        "users without prompts": 8,
        "unequal rates": 15,
        **{f"law {law.value}": 3 for law in Law},
        "deterministic beside random": 3,
        "uniform delay": 3,
        "unequal delays, some zero": 4,
        "bytes on links": 3,
        "bytes that take no time": 1,
        "no delay": 6,
        "quorum": 5,
        "jobs that outlive their query": 5,
        "uniform choice": 8,
        "weighted choice": 6,
        "infinite weight": 8,
        "weight zero": 4,
        "M and k by user": 15,
        "M = 0": 8,
        "k = 0": 8,
        "three layers": 8,
        "quorum of one": 4,
        "overloaded": 4,
        "stable": 12,
        "departures together": 6,
    }
    assert {name: seen[name] for name, least in wanted.items() if seen[name] < least} == {}


def whole_system(seed: int, *, delayed: bool, by_stage: bool) -> System:
    """Everyone may ask everyone, and every time is a small whole number."""
    rng = np.random.default_rng([7, seed])
    n = int(rng.integers(2, 6))
    k = rng.integers(1, n, n)
    prompt = Footprint(
        weight_bytes=np.zeros(1),
        kv_bytes_per_token=np.zeros(1),
        context_tokens=np.zeros((1, 3)),
        prompt_bytes=rng.integers(0, 5, (1, 3)).astype(float),
        response_bytes=rng.integers(0, 3, 1).astype(float),
    )
    delay = rng.integers(0, 4, n * (n - 1)).astype(float) if delayed else 0.0
    return System(
        network=Network.from_adjacency(1 - np.eye(n), link_delay=delay),
        arrival_rate=1.0,
        service=ServiceTime(mean=rng.integers(1, 4, (n, 3)).astype(float), scv=np.zeros((n, 3))),
        moa=MoA(rng.integers(0, 5, n), k, np.minimum(rng.integers(1, 4, n), k + 1)),
        footprint=prompt if by_stage else None,
        link_rate=1.0 if by_stage else None,
    )


@pytest.mark.parametrize(("delayed", "by_stage"), [(False, False), (True, False), (True, True)])
def test_prompts_that_come_all_at_once(delayed: bool, by_stage: bool) -> None:
    """In whole seconds nearly everything is a tie: between queries, and between layers of one where later prompts are
    shorter and overtake those that a quorum has left on their way.
    """
    for seed in range(150):
        run = record_run(whole_system(seed, delayed=delayed, by_stage=by_stage), queries=12, seed=seed, at_once=True)
        assert (run.start == run.start.round()).all()
        assert_same(run)


def listed(system: System, rng: np.random.Generator, prompts: int, *, whole: bool) -> ArrivalLog:
    """Prompts in clumps at users with prompts; with ``whole``, in whole seconds, often several at once."""
    gap = rng.exponential(1 / system.rates.sum(), prompts) * rng.choice([0.1, 4.0], prompts)
    time = np.cumsum(gap).round() if whole else np.cumsum(gap)
    time[-1] += 1.0
    users = rng.choice(np.flatnonzero(system.rates), prompts)
    return ArrivalLog(time=time, user=users, n_devices=system.n_devices)


def test_prompts_that_come_as_listed() -> None:
    """Random systems of every kind: what was listed is what came, and every time is the reference's."""
    for number in range(SYSTEMS):
        system = random_system(number)
        log = listed(system, np.random.default_rng([3, number]), 400, whole=False)
        run = record_run(system, arrivals=log, seed=number)
        np.testing.assert_array_equal(run.trace.arrival, log.time)
        np.testing.assert_array_equal(run.trace.user, log.user)
        assert_lawful(system, run)
        assert_same(run)


@pytest.mark.parametrize(("delayed", "by_stage"), [(False, False), (True, False), (True, True)])
def test_listed_prompts_that_come_when_others_leave(delayed: bool, by_stage: bool) -> None:
    """In whole seconds prompts come together, and in the very moment in which layers end and devices fall idle."""
    for seed in range(60):
        system = whole_system(seed, delayed=delayed, by_stage=by_stage)
        run = record_run(system, arrivals=listed(system, np.random.default_rng([5, seed]), 40, whole=True), seed=seed)
        assert (run.start == run.start.round()).all()
        assert_same(run)
