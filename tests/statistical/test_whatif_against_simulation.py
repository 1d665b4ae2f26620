"""What remains after a loss, simulated: its queues and latencies are those of the theory, and of a system built by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, lose, loss_effect, simulate, single_losses
from dmoa_theory.errors import InputError
from dmoa_theory.model.same_system import first_difference

ADJACENCY = np.array([[0, 1, 1, 1, 0], [1, 0, 1, 0, 1], [1, 1, 0, 1, 0], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0]])
MEAN, RATE = np.array([8.0, 12.0, 6.0, 15.0, 9.0]), 0.6 * np.array([0.012, 0.0, 0.02, 0.008, 0.015])


def whole(weighted: bool) -> System:
    rng = np.random.default_rng(3)
    network = Network.from_adjacency(ADJACENCY, link_delay=rng.uniform(0, 1, int(ADJACENCY.sum())))
    weight = rng.uniform(0.2, 3, network.n_links) if weighted else None
    moa = MoA([1, 2, 2, 1, 1], [3, 2, 2, 2, 1], [3, 3, 3, 2, 2], selection_weight=weight)
    service = ServiceTime.gamma(MEAN, 0.6, later=1.2, aggregate=1.1)
    return System(network=network, arrival_rate=RATE, service=service, moa=moa)


def by_hand(system: System, lost: int) -> System:
    """The same with one device deleted row by row, in a way of its own: through dense matrices."""
    n, keep = system.n_devices, [u for u in range(system.n_devices) if u != lost]
    delay, weight = np.zeros((n, n)), np.zeros((n, n))
    at = (system.network.link_sources(), system.network.indices)
    delay[at] = np.asarray(system.network.link_delay)
    weight[at] = 1 if system.moa.selection_weight is None else system.moa.selection_weight
    adjacency = np.delete(np.delete(ADJACENCY, lost, 0), lost, 1)
    there = adjacency > 0
    M, k, quorum = (np.delete(values, lost) for values in system.moa.per_user(n))
    k = np.minimum(k, adjacency.sum(axis=1))
    left = np.ix_(keep, keep)
    return System(
        network=Network.from_adjacency(adjacency, link_delay=delay[left][there]),
        arrival_rate=np.delete(RATE, lost),
        service=ServiceTime.gamma(np.delete(MEAN, lost), 0.6, later=1.2, aggregate=1.1),
        moa=MoA(
            M,
            k,
            np.minimum(quorum, k + 1),
            selection_weight=None if system.moa.is_uniform else weight[left][there],
        ),
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_rest_is_the_system_without_the_device(weighted: bool) -> None:
    """For every device: the same system as built by hand, so the same trajectories, whatever the seed."""
    system = whole(weighted)
    for lost in range(5):
        after = lose(system, [lost]).after
        assert after is not None
        assert first_difference(after, by_hand(system, lost)) is None
    one, other = (simulate(s, queries=4_000, seed=5) for s in (lose(system, [3]).after, by_hand(system, 3)))
    assert one.to_dict() == other.to_dict()


@pytest.mark.parametrize("lost", [0, 3])
def test_utilisation_after_a_loss(lost: int) -> None:
    """N-1's loads against the time that simulated devices are busy, within 4.5 standard errors."""
    system = whole(weighted=True)
    found = single_losses(system, latency="none").utilisation_after(np.array([lost]))[0]
    after = lose(system, [lost]).after
    assert after is not None
    seen = simulate(after, queries=150_000, seed=lost)
    error = np.asarray(seen.utilisation.half_width) / 1.96
    apart = np.abs(np.asarray(seen.utilisation.value) - np.delete(found, lost))
    assert (apart < 4.5 * error).all(), apart / error


def test_latency_after_a_loss() -> None:
    """The change of the mean latency, theory against simulation before and after; the theory's own error allowed for."""
    system = System(
        network=Network.from_adjacency(1 - np.eye(5)),
        arrival_rate=[0.01, 0.02, 0.015, 0.01, 0.005],
        service=ServiceTime.exponential([6.0, 8.0, 10.0, 7.0, 9.0]),
        moa=MoA(1, 2),
    )
    loss = lose(system, [1])
    effect = loss_effect(loss)
    assert loss.after is not None
    before, after = (simulate(s, queries=100_000, seed=2) for s in (system, loss.after))
    weight = loss.after.rates / loss.after.rates.sum()
    same = float(weight @ np.asarray(before.user_mean.value)[loss.kept])
    assert effect.mean_after / effect.mean_before == pytest.approx(after.mean_latency / same, rel=0.03)
    assert effect.mean_after == pytest.approx(after.mean_latency, rel=0.1)


def test_an_overloaded_rest_grows() -> None:
    system = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], [0.04, 0.0, 0.0], [5.0, 5.0, 30.0], M=1, k=1)
    assert simulate(system, queries=40_000, seed=1).stable
    after = lose(system, [1]).after
    assert after is not None
    assert not simulate(after, queries=40_000, seed=1).stable
    with pytest.raises(InputError, match="devices = 7"):
        lose(system, [7])
