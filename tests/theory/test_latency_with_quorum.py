"""Layers that end early: what a query's own unfinished jobs do to it, against exact cases without load; and what must hold."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from scipy import integrate, optimize

from dmoa_theory import MoA, Network, ServiceTime, System, build_topology, latency, where_time_goes
from dmoa_theory.delay.closure import followed_queries
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.stability.loads import utilisation

#: Load next to nothing: no query meets another.
ALONE = 1e-9
#: Averages over 16,384 points, three of their standard errors: mean latencies, durations of single stages, and percentiles.
MEAN, STAGE, TAIL = 0.012, 0.02, 0.03


def complete(n: int) -> Network:
    """Everybody may ask everybody else."""
    return Network.from_adjacency(np.ones((n, n)) - np.eye(n))


def figures(found: LatencyEstimate) -> list[float]:
    """All that it says of the prompts together."""
    return [found.mean, found.p50, found.p95, found.p99]


def alone_exponential(n: int, k: int, quorum: int, M: int) -> tuple[float, ...]:
    """Mean first layers, later layers together and aggregation of a query alone among n exponential devices of mean 1 s.

    What its devices still hold, counted in jobs, is a Markov chain: every busy device finishes one at rate 1, and a layer ends
    when ``quorum`` of the devices that it uses have finished all, its own job being the last of each. Device 0 is home.
    """
    layer, home = np.zeros(M), 0.0

    @cache
    def ends(jobs: tuple[int, ...], used: tuple[int, ...]) -> tuple[float, dict[tuple[int, ...], float]]:
        """Mean time to the end of the layer, and the chances of what is then left."""
        if sum(jobs[j] == 0 for j in used) >= quorum:
            return 0.0, {jobs: 1.0}
        busy = [j for j in range(n) if jobs[j]]
        time, left = 1 / len(busy), dict[tuple[int, ...], float]()
        for j in busy:
            more, then = ends((*jobs[:j], jobs[j] - 1, *jobs[j + 1 :]), used)
            time += more / len(busy)
            for state, chance in then.items():
                left[state] = left.get(state, 0.0) + chance / len(busy)
        return time, left

    now = {(0,) * n: 1.0}
    for s in range(M):
        following: dict[tuple[int, ...], float] = {}
        sets = [(0, *others) for others in combinations(range(1, n), k)]
        for jobs, chance in now.items():
            for used in sets:
                time, left = ends(tuple(x + (j in used) for j, x in enumerate(jobs)), used)
                layer[s] += chance / len(sets) * time
                for state, share in left.items():
                    following[state] = following.get(state, 0.0) + chance / len(sets) * share
        now = following
    home = sum(chance * (jobs[0] + 1) for jobs, chance in now.items())
    return float(layer[0]), float(layer[1:].sum()), home


@pytest.mark.parametrize(
    ("n", "k", "quorum", "M"),
    [(2, 1, 1, 1), (2, 1, 1, 4), (4, 3, 1, 3), (4, 3, 2, 3), (4, 3, 3, 3), (4, 1, 1, 3), (4, 2, 1, 3), (3, 2, 2, 4)],
)
def test_a_query_alone_waits_behind_its_own_jobs(n: int, k: int, quorum: int, M: int) -> None:
    """Without load, exponential service: every kind of stage as the Markov chain of its leftovers says."""
    first, later, home = alone_exponential(n, k, quorum, M)
    system = System(network=complete(n), arrival_rate=ALONE, service=ServiceTime.exponential(1.0), moa=MoA(M, k, quorum=quorum))
    found = latency(system)
    assert found.mean == pytest.approx(first + later + home, rel=MEAN)
    assert found.stage_mean[0, 0] == pytest.approx(first, rel=1e-3)
    if M > 1:
        assert (M - 1) * found.stage_mean[0, 1] == pytest.approx(later, rel=STAGE)
    assert found.stage_mean[0, 2] == pytest.approx(home, rel=STAGE)


def test_the_chain_itself() -> None:
    """Two devices by hand: 1/2 s, then 3/4 s; every other time home is the slower one, and has 1 s left."""
    assert alone_exponential(2, 1, 1, 1) == pytest.approx((0.5, 0.0, 1.5))
    assert alone_exponential(2, 1, 1, 2)[1] == pytest.approx(0.75)


def test_percentiles_of_a_query_alone() -> None:
    """Two exponential devices, M = 1, quorum 1: the sum of Exp(2), Exp(1) and every other time one more Exp(1)."""
    system = System(network=complete(2), arrival_rate=ALONE, service=ServiceTime.exponential(1.0), moa=MoA(1, 1, quorum=1))
    found = latency(system)

    def beyond(t: float) -> float:
        """P(A > t), with the layer's density 2 exp(-2 x)."""
        rest = integrate.quad(lambda x: 2 * np.exp(-2 * x) * np.exp(x - t) * (1 + (t - x) / 2), 0, t)[0]
        return float(rest + np.exp(-2 * t))

    for name, level in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        exact = optimize.brentq(lambda t, level=level: beyond(t) - (1 - level), 0.01, 30)
        assert getattr(found, name) == pytest.approx(exact, rel=TAIL)


def test_unequal_devices_and_stages_alone() -> None:
    """Two devices of unlike means: the layer ends at rate m0 + m1; home has work left when the other was the first."""
    own, other, aggregate = 3.0, 1.5, 2.0
    system = System(
        network=complete(2),
        arrival_rate=[ALONE, 0.0],
        service=ServiceTime.exponential([own, other], aggregate=aggregate),
        moa=MoA(1, 1, quorum=1),
    )
    rate = 1 / own + 1 / other
    exact = 1 / rate + (1 / other) / rate * own + aggregate * own
    assert latency(system).mean == pytest.approx(exact, rel=MEAN)


def test_constant_service_alone_is_exact() -> None:
    """Own device 2 s, neighbours 1 s, quorum 1: layers take 1 s each, and the aggregation finds 2 s of own work."""
    system = System(
        network=complete(3),
        arrival_rate=[ALONE, 0.0, 0.0],
        service=ServiceTime.deterministic([2.0, 1.0, 1.0]),
        moa=MoA(2, 1, quorum=1),
    )
    found = latency(system)
    np.testing.assert_allclose(found.stage_mean[0], [1.0, 1.0, 4.0], rtol=1e-6)
    np.testing.assert_allclose(figures(found), 6.0, rtol=1e-5)


@pytest.mark.parametrize(("law", "expected"), [("exponential", 5 / 6), ("deterministic", 1.0)])
def test_a_first_layer_alone_is_an_integral(law: str, expected: float) -> None:
    """In a first layer nothing is left over: its mean is that of independent jobs, and no average over points; 1/3 + 1/2 s."""
    service = ServiceTime.exponential(1.0) if law == "exponential" else ServiceTime.deterministic(1.0)
    system = System(network=complete(5), arrival_rate=ALONE, service=service, moa=MoA(1, 2, quorum=2))
    assert latency(system).stage_mean[0, 0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.05])
def test_next_to_the_same_system_has_next_to_the_same_latency(rate: float) -> None:
    """The points stay the same: rates moved by one in a million move no figure by one in a thousand."""
    system = System(network=complete(4), arrival_rate=rate, service=ServiceTime.gamma(1.0, 0.5), moa=MoA(3, 3, quorum=2))
    one, two = latency(system), latency(system.with_rates(system.rates * (1 + 1e-6)))
    np.testing.assert_allclose(figures(two), figures(one), rtol=1e-3)


def test_waits_that_hardly_a_query_meets_correct_no_mean() -> None:
    """150 unlike users, load 0.05, 256 queries each: nobody is much faster than without load."""
    rng = np.random.default_rng(15)
    network = build_topology("regular", n=150, degree=4, seed=3)
    rates, means = rng.uniform(0.3, 1.7, 150), rng.uniform(0.5, 2.0, 150)
    system = System(network=network, arrival_rate=rates, service=ServiceTime.exponential(means), moa=MoA(2, 3, quorum=1))
    busy, idle = (system.with_rates(rates * load / utilisation(system).max()) for load in (0.05, ALONE))
    assert (latency(busy).user_mean > 0.85 * latency(idle).user_mean).all()


def test_users_who_are_alike_are_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring in disorder: one kind of user, the same figures for all, and those of the ring in order."""
    ring = build_topology("ring", n=8)
    place = np.random.default_rng(0).permutation(8)
    mixed = Network.from_links(8, place[ring.link_sources()], place[ring.indices])
    followed = []
    original = followed_queries.follow_queries

    def counting(*arguments: object) -> None:
        followed.append(np.asarray(arguments[0]).size - 1)
        original(*arguments)

    monkeypatch.setattr(followed_queries, "follow_queries", counting)
    found = [
        latency(System(network=network, arrival_rate=0.1, service=ServiceTime.exponential(1.0), moa=MoA(2, 2, quorum=1)))
        for network in (ring, mixed)
    ]
    assert followed == [1, 1]
    np.testing.assert_allclose(found[1].user_mean, found[0].user_mean[0], rtol=1e-9)
    np.testing.assert_allclose(figures(found[1]), figures(found[0]), rtol=1e-9)


def test_many_users_share_the_shape_of_their_law() -> None:
    """200 users of whom few queries each are followed: tails by user scatter less than 256 queries would."""
    network = build_topology("regular", n=200, degree=4, seed=1)
    system = System(network=network, arrival_rate=0.05, service=ServiceTime.exponential(1.0), moa=MoA(2, 2, quorum=1))
    found = latency(system)
    assert np.std(found.user_p99 / found.user_mean) < 0.05 * np.mean(found.user_p99 / found.user_mean)
    assert (found.user_p50 < found.user_p95).all()
    assert (found.user_p95 < found.user_p99).all()


def test_the_parts_of_the_mean_add_up() -> None:
    """Where the time goes, with quorums and users who wait for all among each other."""
    network = complete(5)
    system = System(
        network=network, arrival_rate=0.03, service=ServiceTime.gamma(1.0, 0.5), moa=MoA(2, 2, np.array([1, 2, 3, 3, 1]))
    )
    assert where_time_goes(system).mean == pytest.approx(latency(system).mean, rel=1e-12)


def test_no_quorum_no_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems whose layers all wait for all are worked out without."""
    monkeypatch.setattr(followed_queries, "follow_queries", None)
    system = System(network=complete(4), arrival_rate=0.03, service=ServiceTime.exponential(1.0), moa=MoA(3, 3))
    full = replace(system, moa=MoA(3, 3, quorum=4))
    np.testing.assert_array_equal(figures(latency(full)), figures(latency(system)))
