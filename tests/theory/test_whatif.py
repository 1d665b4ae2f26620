"""Losses, N-1 and availability against what can be counted by hand or enumerated."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, prod

import numpy as np
import pytest

from dmoa_theory import (
    MoA,
    Network,
    ServiceTime,
    System,
    availability,
    build_topology,
    latency,
    load_scenario,
    lose,
    loss_effect,
    single_losses,
    stability_region,
)
from dmoa_theory.errors import InputError
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.model.same_system import first_difference
from dmoa_theory.model.selection import coin_chances, inclusion_from_coins
from dmoa_theory.whatif.answers import blind_probability
from dmoa_theory.whatif.availability import show_chance
from dmoa_theory.whatif.loss import find_links


def complete(n: int, rate: float = 0.002, mean: float = 20.0, M: int = 2, k: int = 2) -> System:
    network = build_topology("complete", n=n)
    return System(network=network, arrival_rate=rate, service=ServiceTime.exponential(mean), moa=MoA(M, k))


def test_a_complete_graph_that_loses_a_device_is_a_smaller_complete_graph() -> None:
    """Theorem 1 does not know n: equal devices stay at the load they had, and their latency is that of the smaller graph."""
    for lost in range(1, 3):
        loss = lose(complete(6), range(lost))
        assert loss.after is not None
        assert first_difference(loss.after, complete(6 - lost)) is None
        assert stability_region(loss.after).critical_scale == pytest.approx(stability_region(complete(6)).critical_scale)
        assert latency(loss.after).mean == pytest.approx(latency(complete(6 - lost)).mean, rel=1e-12)
    found = single_losses(complete(6))
    assert found.secure
    assert found.secure_scale == pytest.approx(1 / (20 * 7 * 0.002))
    assert found.cut_off_share == pytest.approx([1 / 6] * 6)
    assert found.mean_before == pytest.approx([latency(complete(6)).mean] * 6)


def test_every_feature_survives() -> None:
    """Names, delays, per-user (M, k) and quorum, weights, samples, memory, limits: each is that of the devices that stay."""
    adjacency = 1 - np.eye(4)
    system = System(
        network=Network.from_adjacency(adjacency, link_delay=np.arange(12.0), names=("a", "b", "c", "d")),
        arrival_rate=[0.1, 0.2, 0.0, 0.4],
        service=ServiceTime.empirical([[1.0, 2.0], [3.0], [4.0, 6.0], [5.0]], later=[1.0, 2.0, 3.0, 4.0]),
        moa=MoA([1, 2, 3, 0], [3, 2, 1, 0], [4, 2, 1, 1], selection_weight=np.arange(1.0, 13.0)),
        footprint=Footprint.from_numbers(weight_bytes=[1.0, 2.0, 3.0, 4.0], prompt_bytes=7.0, response_bytes=9.0),
        link_rate=1e6,
        title="kept",
    )
    after = lose(system, ["b"]).after
    assert after is not None
    network = after.network
    assert (network.names, after.title, after.link_rate) == (("a", "c", "d"), "kept", 1e6)
    assert np.asarray(network.link_delay).tolist() == [1.0, 2.0, 6.0, 8.0, 9.0, 11.0]
    assert after.moa.selection_weight is not None
    assert after.moa.selection_weight.tolist() == [2.0, 3.0, 7.0, 9.0, 10.0, 12.0]
    assert after.rates.tolist() == [0.1, 0.0, 0.4]
    M, k, quorum = after.moa.per_user(3)
    assert (M.tolist(), k.tolist(), quorum.tolist()) == ([1, 3, 0], [2, 1, 0], [3, 1, 1])
    service = after.service.for_k(1)
    assert service.mean[:, 1].tolist() == [1.5, 15.0, 20.0]
    assert [times.tolist() for times in service.samples or ()] == [[1.0, 2.0], [4.0, 6.0], [5.0]]
    assert isinstance(after.footprint, Footprint)
    assert after.footprint.weight_bytes.tolist() == [1.0, 3.0, 4.0]
    assert after.footprint.prompt_bytes.shape == (3, 3)
    assert latency(after).mean > 0


def test_the_choice_that_remains_is_the_old_one_given_that_it_avoids_the_lost() -> None:
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.1, 5, 20)
    network = build_topology("complete", n=5)
    system = System(
        network=network, arrival_rate=0.01, service=ServiceTime.exponential(1.0), moa=MoA(1, 2, selection_weight=weight)
    )
    after = lose(system, [4]).after
    assert after is not None
    w = dict(zip(range(1, 5), weight[:4].tolist(), strict=True))
    avoid = {pair: w[pair[0]] * w[pair[1]] for pair in combinations(range(1, 4), 2)}
    expected = [sum(p for pair, p in avoid.items() if j in pair) / sum(avoid.values()) for j in range(1, 4)]
    assert after.inclusion()[:3] == pytest.approx(expected, rel=1e-12)


def test_who_is_left_with_too_few_neighbours() -> None:
    """A line a-b-c with k = 1: without b nobody has anybody; they go on alone, or are cut off, as one likes."""
    line = System.from_arrays([[0, 1, 0], [1, 0, 1], [0, 1, 0]], 0.01, 20.0, M=1, k=1)
    alone = lose(line, [1])
    assert alone.after is not None
    assert (alone.cut_off.tolist(), alone.short.tolist(), alone.after.moa.label) == ([1], [0, 2], "M=1, k=0")
    assert stability_region(alone.after).utilisation == pytest.approx([0.4, 0.4])
    cut = lose(line, [1], when_short="cut off")
    assert cut.after is None
    assert (cut.cut_off.tolist(), cut.cut_off_share) == ([0, 1, 2], 1.0)
    effect = loss_effect(cut)
    assert not effect.stable
    assert effect.busiest is None
    assert "no user with prompts is left" in effect.reasons()[0]
    assert effect.to_dict()["loss"]["utilisation"] == [None] * 3
    found = single_losses(line, when_short="cut-off")
    assert found.load.tolist() == pytest.approx([0.6, 0.0, 0.6])  # the neighbour of the one that is left cannot do without
    assert found.busiest[1] == -1
    assert not np.isfinite(found.critical_scale[1])
    assert found.to_dict()["single_losses"]["devices"][1]["critical_scale"] is None


def test_links_are_lost_one_way_or_both() -> None:
    system = complete(3, M=1, k=1)
    both, one = lose(system, links=["device-0-device-1"]), lose(system, links=["device-0->device-1"])
    assert both.after is not None
    assert one.after is not None
    assert (both.after.network.n_links, one.after.network.n_links) == (4, 5)
    assert (both.label, one.label) == ("device-0 - device-1", "device-0->device-1")
    # user 0 asks device 2 alone now
    assert stability_region(one.after).utilisation == pytest.approx(np.array([3, 2.5, 3.5]) * 0.04)
    assert lose(system, links=[(0, 1)]).lost_links.tolist() == [0]
    assert lose(system, links=["0-1"]).lost_links.tolist() == [0, 2]
    assert lose(system, [0], ["0-1"]).lost_links.size == 0


def test_names_with_dashes() -> None:
    network = Network.from_links(4, [0, 1, 2], [1, 2, 0], names=("a", "a-b", "b", "b-b"))
    assert find_links(network, "a->a-b") == [0]
    # "a" to "b-b" is no link, "a-b" to "b" is one
    assert find_links(network, "a-b-b") == find_links(network, "a-b - b") == [1]
    both = Network.from_links(4, [0, 1, 3], [3, 2, 1], names=("a", "a-b", "b", "b-b"))
    with pytest.raises(InputError, match=r'one link: these names can be read as "a - b-b" or "a-b - b"$'):
        find_links(both, "a-b-b")
    assert (find_links(both, "a - b-b"), find_links(both, "a-b - b")) == ([0], [1])
    with pytest.raises(InputError, match="neither b nor b-b may ask the other"):
        find_links(network, "2-3")


@pytest.mark.parametrize(
    ("devices", "links", "complaint"),
    [
        ([9], [], "devices = 9: a device by name, or by number from 0 to 2"),
        (["nobody"], [], "devices = nobody: a device"),
        ([True], [], "devices = True: a device"),
        ("device-0", [], "devices = device-0: a list"),
        ([], ["0-9"], 'links = 0-9: two devices as "a-b"'),
        ([], ["0"], 'links = 0: two devices as "a-b"'),
    ],
)
def test_what_is_not_there_cannot_be_lost(devices: list[int], links: list[str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        lose(complete(3), devices, links)
    with pytest.raises(InputError, match="when_short = never: one of fewer, cut-off"):
        lose(complete(3), when_short="never")


def test_the_hub_of_a_star() -> None:
    """Without a leaf the hub is less busy; without the hub nobody has anybody to ask, and all work alone."""
    star = System(network=build_topology("star", n=6), arrival_rate=0.004, service=ServiceTime.exponential(20.0), moa=MoA(1, 1))
    found = single_losses(star, links=True)
    leaf = 20 * 0.004
    assert found.load[0] == pytest.approx(2 * leaf)
    assert found.load[1:6] == pytest.approx([2 * leaf + 4 * leaf] * 5)
    assert found.load[6:] == pytest.approx([2 * leaf + 4 * leaf] * 5)
    assert found.short.tolist() == [5, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert found.label[6] == "device-0 - device-1"
    assert found.secure_scale == pytest.approx(1 / (7 * leaf))


def test_n_minus_1_is_not_secure_where_one_loss_overloads() -> None:
    """Two fast devices share what a slow third cannot do alone."""
    system = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], [0.04, 0.0, 0.0], [5.0, 5.0, 30.0], M=1, k=1)
    found = single_losses(system)
    assert stability_region(system).stable
    assert not found.secure
    assert found.label[found.worst] == "device-1"
    assert found.load[1] == pytest.approx(1.2)
    assert found.mean_after[1] == np.inf
    assert found.secure_scale == pytest.approx(1 / 1.2)
    assert "NOT N-1 secure" in repr(found)


def test_only_the_worst_are_timed_where_so_wished() -> None:
    system = complete(8)
    assert np.isfinite(single_losses(system, latency="worst").mean_after).sum() == 5
    assert np.isnan(single_losses(system, latency="none").mean_after).all()
    told: list[float] = []
    single_losses(system, latency="all", progress=told.append)
    assert told[-1] == 1.0
    with pytest.raises(InputError, match="latency = some: one of all, worst, none"):
        single_losses(system, latency="some")


# -- availability -----------------------------------------------------------------------------------------------------


def by_enumeration(system: System, up: list[float], k_needed: bool) -> tuple[np.ndarray, float, float]:
    """Chance of an answer by user, of a stable rest, and the share served, over all states of the devices."""
    n = system.n_devices
    answered, stable, served = np.zeros(n), 0.0, 0.0
    for state in product((0, 1), repeat=n):
        chance = prod(p if s else 1 - p for p, s in zip(up, state, strict=True))
        lost = [d for d in range(n) if not state[d]]
        loss = lose(system, lost, when_short="cut-off" if k_needed else "fewer")
        there = np.array([system.rates[u] > 0 and u not in loss.cut_off for u in range(n)])
        good = loss.after is None or stability_region(loss.after).stable
        answered += chance * there
        stable += chance * good
        served += chance * good * float(system.rates @ there) / float(system.rates.sum())
    return answered, stable, served


@pytest.mark.parametrize("k_needed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_availability_is_that_of_all_states(k_needed: bool, weighted: bool) -> None:
    rng = np.random.default_rng(5 + weighted)
    network = build_topology("watts_strogatz", n=6, degree=4, p=0.3, seed=1)
    weight = rng.uniform(0.1, 4, network.n_links) if weighted else None
    system = System(
        network=network,
        arrival_rate=[0.02, 0.01, 0.0, 0.01, 0.02, 0.01],
        service=ServiceTime.exponential([8.0, 10.0, 12.0, 9.0, 14.0, 7.0]),
        moa=MoA([1, 2, 1, 0, 1, 1], [2, 2, 1, 0, 3, 1], selection_weight=weight),
    )
    system = system.with_rates(system.rates * 1.05 * stability_region(system).critical_scale)
    up = [0.9, 0.8, 0.7, 0.95, 0.6, 0.99]
    answered, stable, served = by_enumeration(system, up, k_needed)
    found = availability(system, up, when_short="cut-off" if k_needed else "fewer")
    users = system.rates > 0
    assert found.answered[users] == pytest.approx(answered[users], rel=1e-12)
    assert np.isnan(found.answered[~users]).all()
    assert found.stable.value == pytest.approx(stable, rel=1e-12)
    assert 0.02 < found.stable.value < 0.98
    assert found.served is not None
    assert found.served.value == pytest.approx(served, rel=1e-12)
    assert (found.sampled, found.states, found.source) == (False, 64, "exact")


def test_sampling_finds_what_enumeration_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(
        network=build_topology("complete", n=8),
        arrival_rate=[0.01] * 4 + [0.008] * 4,
        service=ServiceTime.exponential([10.0] * 7 + [38.0]),
        moa=MoA(1, 2),
    )
    exact = availability(system, 0.7)
    monkeypatch.setattr("dmoa_theory.whatif.availability._ALL_STATES", 2)
    drawn = availability(system, 0.7, samples=20_000, seed=3)
    assert drawn.sampled
    assert drawn.stable.low < exact.stable.value < drawn.stable.high
    assert 0.1 < exact.stable.value < 0.9
    assert drawn.stable.high - drawn.stable.low < 0.02
    assert drawn.served is not None
    assert exact.served is not None
    assert drawn.served.low < exact.served.value < drawn.served.high
    assert drawn.to_dict() == availability(system, 0.7, samples=20_000, seed=3).to_dict()
    assert drawn.source == "simulated"


def test_needing_k_is_a_binomial_tail() -> None:
    found = availability(complete(6, k=3), 0.9, when_short="cut-off")
    tail = sum(comb(5, up) * 0.9**up * 0.1 ** (5 - up) for up in range(3, 6))
    assert found.answered == pytest.approx([0.9 * tail] * 6, rel=1e-12)
    over_links = availability(complete(4, k=3), 0.9, links=0.8, when_short="cut-off")
    assert over_links.answered == pytest.approx([0.9 * 0.72**3] * 4, rel=1e-12)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("needed", [0, 1, 2])
@pytest.mark.parametrize("uniform", [True, False])
def test_blind_draws(layers: int, needed: int, uniform: bool) -> None:
    """Against the sum over all states of the neighbours and all draws."""
    up, k = np.array([0.9, 0.5, 0.7, 0.2]), 2
    weight = np.ones(4) if uniform else np.array([0.3, 2.0, 1.0, 5.0])
    draws = {pair: prod(weight[list(pair)]) for pair in combinations(range(4), k)}
    total, expected = sum(draws.values()), 0.0
    for state in product((0, 1), repeat=4):
        chance = prod(p if s else 1 - p for p, s in zip(up, state, strict=True))
        layer = sum(p for pair, p in draws.items() if sum(state[j] for j in pair) >= needed) / total
        expected += chance * layer**layers
    found, exact = blind_probability(up, weight, k, needed, layers)
    assert exact
    assert found == pytest.approx(expected, rel=1e-12)
    if not uniform:  # one layer: each drawn neighbour is up or not
        inclusion = inclusion_from_coins(coin_chances(weight, k), k)
        alone, _ = blind_probability(up, weight, 2, 2, 1)
        assert alone <= float(inclusion @ up) / 2


def test_a_bound_says_that_it_is_one() -> None:
    rng = np.random.default_rng(2)
    up, weight = rng.uniform(0.5, 1, 15), rng.uniform(0.1, 3, 15)
    low, exact = blind_probability(up, weight, 3, 3, 2)
    assert not exact
    assert low < blind_probability(up, weight, 3, 3, 1)[0]
    network = build_topology("complete", n=16)
    moa = MoA(2, 3, selection_weight=rng.uniform(0.1, 3, network.n_links))
    system = System(network=network, arrival_rate=0.001, service=ServiceTime.exponential(1.0), moa=moa)
    found = availability(system, 0.9, blind=True, samples=50)
    assert not found.exact.any()
    assert found.served is None
    assert "at least" in repr(found)


def test_a_quorum_makes_blind_users_safer() -> None:
    network = build_topology("complete", n=5)
    shares = []
    for quorum in (1, 2, 3):
        moa = MoA(1, 2, quorum)
        system = System(network=network, arrival_rate=0.001, service=ServiceTime.exponential(1.0), moa=moa)
        shares.append(availability(system, 0.8, blind=True).answered_share)
    assert shares[0] == pytest.approx(0.8)
    assert shares[0] > shares[1] > shares[2] == pytest.approx(0.8**3)


def test_what_never_fails_is_always_there() -> None:
    found = availability(load_scenario(None), 1.0)
    assert (found.answered_share, found.stable.value, found.states) == (1.0, 1.0, 1)
    assert availability(load_scenario(None), 0.0).answered_share == 0.0


@pytest.mark.parametrize(
    ("devices", "more", "complaint"),
    [
        (1.5, {}, r"devices = 1.5: a probability from 0 to 1"),
        ([0.5, 2.0, 1, 1], {}, r"devices\[1\] = 2.0: a probability"),
        ([0.5], {}, "devices = 1 values: one number, or a list of 4"),
        (-0.1, {}, "devices = -0.1: a probability"),
        (0.9, {"links": float("nan")}, "links = nan: a probability"),
        (0.9, {"samples": 0}, "samples = 0: a whole number from 1"),
        (0.9, {"seed": -1}, "seed = -1: a whole number, 0 or more"),
    ],
)
def test_refused(devices: float, more: dict[str, float], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        availability(load_scenario(None), devices, **more)  # type: ignore[arg-type]


def test_how_a_chance_is_written() -> None:
    shown = [show_chance(p) for p in (0.5, 0.99, 0.999, 0.9994, 0.99999, 1.0, float("nan"))]
    assert shown == ["50.0 %", "99.0 %", "99.90 %", "99.940 %", "99.9990 %", "100 %", "-"]
