"""Loads after losses, worked out without building the systems that remain, are those of the systems that remain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_theory import Network, ServiceTime, System, load_scenario, lose, loss_effect, single_losses
from dmoa_theory.model.moa import MoA
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.whatif.loss import WhenShort, lose_marked
from dmoa_theory.whatif.reduced_loads import ReducedLoads, link_pairs
from dmoa_theory.whatif.states import loads_of_states

RULES = list(WhenShort)
SEEDS = st.integers(0, 2**32 - 1)


def random_system(seed: int) -> System:
    """A digraph of 1 to 7 devices; some users without prompts, (M, k, quorum) by user or common, weights from 0 to infinity."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    adjacency = rng.random((n, n)) < rng.uniform(0.2, 1.0)
    np.fill_diagonal(adjacency, False)
    network = Network.from_adjacency(adjacency, link_delay=rng.uniform(0, 2, int(adjacency.sum())))
    degree, kind = network.out_degree, int(rng.integers(3))
    weight, choice, always = None, degree, np.zeros(n, dtype=int)
    if kind:
        weight = 10.0 ** rng.uniform(-2, 2, network.n_links)
        if kind == 2:
            weight[rng.random(weight.size) < 0.15] = 0.0
            weight[rng.random(weight.size) < 0.15] = np.inf
        source = network.link_sources()
        choice = np.bincount(source[weight > 0], minlength=n)
        always = np.bincount(source[np.isinf(weight)], minlength=n)
    rates = np.where(rng.random(n) < 0.25, 0.0, 10.0 ** rng.uniform(-3, 0, n))
    linked = (degree > 0) | adjacency.any(axis=0)
    rates[~linked | (rates.sum() == 0)] = 0.3
    k = np.array([rng.integers(low, high + 1) for low, high in zip(always, choice, strict=True)])
    M = rng.integers(0, 4, n)
    quorum = np.array([rng.integers(1, each + 2) for each in k]) if rng.random() < 0.3 else None
    if rng.random() < 0.3 and always.max(initial=0) <= choice.min():
        M, k, quorum = int(M[0]), int(rng.integers(always.max(initial=0), choice.min() + 1)), None
    service = ServiceTime.gamma(rng.uniform(0.5, 3, n), rng.uniform(0, 2, n), later=rng.uniform(0.5, 2, n), aggregate=1.3)
    return System(network=network, arrival_rate=rates, service=service, moa=MoA(M, k, quorum, selection_weight=weight))


def from_scratch(system: System, lost: list[int], links: tuple[int, ...], rule: WhenShort) -> np.ndarray:
    gone = np.zeros(system.network.n_links, dtype=bool)
    gone[list(links)] = True
    loss = lose_marked(system, np.array(lost, dtype=np.int64), gone, rule)
    load = np.zeros(system.n_devices)
    if loss.after is not None:
        load[loss.kept] = utilisation(loss.after)
    load[lost] = np.nan
    return load


def same(found: np.ndarray, expected: np.ndarray, system: System) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * float(utilisation(system).max()))


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, rule=st.sampled_from(RULES))
def test_loads_after_every_single_loss(seed: int, rule: WhenShort) -> None:
    """Devices and links, weighted or not, per-user (M, k): to 1e-12 the loads of each reduced system built from scratch."""
    system = random_system(seed)
    n = system.n_devices
    fast = ReducedLoads(system, rule).without_devices(np.arange(n))
    for d in range(n):
        same(fast[d], from_scratch(system, [d], (), rule), system)
    found = single_losses(system, links=True, when_short=rule, latency="none")
    pairs = link_pairs(system)
    assert sorted(place for pair in pairs for place in pair) == list(range(system.network.n_links))
    for place in range(n + len(pairs)):
        lost, links = ([place], ()) if place < n else ([], pairs[place - n])
        load = from_scratch(system, lost, links, rule)
        assert found.load[place] == pytest.approx(np.nanmax(load, initial=0.0), rel=1e-12, abs=1e-12)
        loss = found.loss(place)
        assert (found.cut_off[place], found.short[place]) == (loss.cut_off.size, loss.short.size)
        assert found.cut_off_share[place] == pytest.approx(loss.cut_off_share, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, rule=st.sampled_from(RULES))
def test_loads_of_states(seed: int, rule: WhenShort) -> None:
    """Any set of devices and links down, many states at once: the loads of each reduced system, and who is answered."""
    system = random_system(seed)
    rng = np.random.default_rng(seed)
    n, links = system.n_devices, system.network.n_links
    up, links_up = rng.random((6, n)) < 0.7, rng.random((6, links)) < 0.8
    found = loads_of_states(system, up, links_up, rule)
    for state in range(6):
        lost = np.flatnonzero(~up[state]).tolist()
        gone = tuple(np.flatnonzero(~links_up[state]).tolist())
        load = from_scratch(system, lost, gone, rule)
        same(found.load[state], np.nan_to_num(load), system)
        loss = lose_marked(system, np.array(lost, dtype=np.int64), ~links_up[state], rule)
        answered = (system.rates > 0) & ~np.isin(np.arange(n), loss.cut_off)
        assert (found.answered[state] == answered).all()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, rule=st.sampled_from(RULES))
def test_losses_one_after_the_other_are_losses_at_once(seed: int, rule: WhenShort) -> None:
    """A set of devices lost leaves the loads, names and quorums that losing them one by one does; losing none leaves all."""
    system = random_system(seed)
    assert (utilisation(lose(system).after) == utilisation(system)).all()
    lost = np.flatnonzero(np.random.default_rng(seed).random(system.n_devices) < 0.4).tolist()
    at_once, step = lose(system, lost, when_short=rule), system
    for d in lost:
        loss = lose(step, [system.network.name(d)], when_short=rule)
        if loss.after is None:
            assert at_once.after is None
            return
        step = loss.after
    assert at_once.after is not None
    np.testing.assert_allclose(utilisation(step), utilisation(at_once.after), rtol=1e-12, atol=1e-13)
    assert step.network.names == at_once.after.network.names if lost else True
    able = step.rates > 0
    for one, other in zip(step.moa.per_user(step.n_devices), at_once.after.moa.per_user(step.n_devices), strict=True):
        assert (one[able] == other[able]).all()


def test_service_that_grows_with_k() -> None:
    """A measured profile: fewer proposers make later prompts shorter, also at the users' own devices."""
    system = load_scenario(None, ["moa.k=3", "moa.M=2"])
    for rule in RULES:
        fast = ReducedLoads(system, rule).without_devices(np.arange(4))
        for d in range(4):
            same(fast[d], from_scratch(system, [d], (), rule), system)
    effect = loss_effect(lose(system, [1]))
    assert effect.load == pytest.approx(np.nanmax(fast_of(system)[1]))


def fast_of(system: System) -> np.ndarray:
    return ReducedLoads(system).without_devices(np.arange(system.n_devices))
