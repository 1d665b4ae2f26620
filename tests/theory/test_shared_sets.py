"""What is worked out once for many users, or in another order, is what each of them alone would have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, build_topology, latency
from dmoa_theory.delay.closure import drop_factors, pairs, shared_sets, stage_laws
from dmoa_theory.delay.closure.convolution_kernel import spread_masses
from dmoa_theory.delay.closure.drop_factors import layer_laws, layer_shares
from dmoa_theory.delay.closure.pairs import SparsePairs, meeting_pairs
from dmoa_theory.delay.closure.queue_shapes import job_mix, queue_shapes
from dmoa_theory.delay.closure.resolution import FINE
from dmoa_theory.delay.closure.shared_sets import shared_devices
from dmoa_theory.delay.closure.stage_sets import StageSets, stage_sets
from dmoa_theory.delay.closure.unit_laws import UnitLawBook
from dmoa_theory.delay.closure.wait_laws import WaitLaws, poisson_scv
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.stability.loads import utilisation, work_moments

FIGURES = ("mean", "p50", "p95", "p99", "user_mean", "user_p95", "user_p99", "stage_mean", "wait_mean")


def unequal(n: int, M: int = 2, k: int = 3, network: Network | None = None, **changes: Any) -> System:
    """Unequal devices that may all ask each other, load up to 0.85."""
    rng = np.random.default_rng(n)
    law = {"law": "gamma", "scv": 0.5, "later": 1.3, "aggregate": 0.8} | changes.pop("service", {})
    network = network or build_topology("complete", n=n)
    service = ServiceTime.from_law(mean=rng.uniform(0.5, 2.0, n), **law)
    system = System(network=network, arrival_rate=rng.uniform(0.5, 1.5, n), service=service, moa=MoA(M, k, **changes))
    return system.with_rates(system.rates * 0.85 / utilisation(system).max())


def furthest(one: LatencyEstimate, other: LatencyEstimate) -> float:
    """Largest relative difference of any figure."""
    return max(float(np.nanmax(np.abs(getattr(one, name) / getattr(other, name) - 1))) for name in FIGURES)


def drops(system: System) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Shares of waits that layers contain, by entry, where waits are those of Pollaczek and Khinchine."""
    work, book = work_moments(system), UnitLawBook()
    sets = stage_sets(system, list(system.groups()))
    mix = job_mix(system, np.arange(system.n_devices), work.load, book)
    scv = poisson_scv(work)
    services = layer_laws(sets, book, system.n_devices)
    shapes = queue_shapes(mix, work, scv, book.tables(), FINE.points)
    waits = WaitLaws(work.second / 2 / (1 - work.load), work.load, scv, shapes)
    return layer_shares(sets, waits, services, book, FINE.share_steps).drop


CONSTANT = {"law": "deterministic", "scv": None}


@pytest.mark.parametrize(("k", "service"), [(1, {}), (3, {"law": "lognormal", "scv": 2.0}), (8, CONSTANT)])
def test_what_layers_feel_of_every_wait(k: int, service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Divided out of the polynomial of all, or joined from those to the left and to the right: the same to rounding."""
    system = unequal(50, 2, k, service=service)
    common = drops(system)
    monkeypatch.setattr(drop_factors, "shared_devices", lambda sets, batch: None)
    assert np.allclose(common, drops(system), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("M", "k", "service"), [(2, 3, {}), (1, 1, {"law": "lognormal", "scv": 2.0}), (3, 2, {"scv": 1.5}), (2, 4, {"scv": 0.1})]
)
def test_durations_from_the_table_of_polynomials(
    M: int, k: int, service: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cubic polynomials between the nodes move no figure by 1e-6."""
    system = unequal(110, M, k, service=service)
    tables: list[bool] = []
    made = shared_sets.shared_layer

    def noted(*arguments: Any) -> Any:
        found = made(*arguments)
        tables.append(found is not None)
        return found

    monkeypatch.setattr(stage_laws, "shared_layer", noted)
    common = latency(system)
    assert tables == [True] * min(M, 2)
    monkeypatch.setattr(stage_laws, "shared_devices", lambda sets, batch: None)
    assert furthest(common, latency(system)) < 1e-6


@pytest.mark.parametrize("service", [CONSTANT, {"scv": 1e-4}])
def test_laws_too_steep_for_a_table_are_worked_out_one_by_one(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    system = unequal(110, service=service)
    common = latency(system)
    monkeypatch.setattr(stage_laws, "shared_devices", lambda sets, batch: None)
    assert furthest(common, latency(system)) < 1e-6


def test_users_of_a_fully_linked_network_by_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches over the same devices, and users without layers between them."""
    layers = np.resize([1, 2, 1, 2, 0], 255)
    system = unequal(255, layers, np.where(layers == 2, 3, 2))  # type: ignore[arg-type]
    common = latency(system)
    monkeypatch.setattr(stage_laws, "shared_devices", lambda sets, batch: None)
    monkeypatch.setattr(drop_factors, "shared_devices", lambda sets, batch: None)
    assert furthest(common, latency(system)) < 1e-6


def sets_of(system: System) -> StageSets:
    """The stage sets of all users."""
    return stage_sets(system, list(system.groups()))


def test_who_shares_devices() -> None:
    """All of a fully linked network choose alike; weights, quorums, delays, few devices and most of them asked are apart."""
    n = 60
    links = n * (n - 1)
    plain = sets_of(unequal(n))
    assert (shared_devices(plain, plain.batches[0]) == np.arange(n)).all()
    slow = Network.from_adjacency(np.ones((n, n)) - np.eye(n), link_delay=0.1)
    missing = np.ones((n, n)) - np.eye(n)
    missing[0, 1] = 0
    other = [
        unequal(n, selection_weight=np.linspace(1, 2, links)),
        unequal(n, quorum=3),
        unequal(n, network=slow),
        unequal(n, network=Network.from_adjacency(missing)),
        unequal(n, k=30),
        unequal(20),
    ]
    for system in other:
        sets = sets_of(system)
        assert all(shared_devices(sets, batch) is None for batch in sets.batches)


def test_numbers_of_users_kept_or_found_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are the sum over users that the pattern stands for."""
    sets = sets_of(unequal(40, k=2, network=build_topology("watts_strogatz", n=40, degree=4, p=0.3, seed=2)))
    rng = np.random.default_rng(1)
    follows, felt = rng.random((2, sets.device.size))
    found = []
    for most in (pairs._MOST_BYTES, 0):
        monkeypatch.setattr(pairs, "_MOST_BYTES", most)
        pattern = meeting_pairs(sets, 40, every=False)
        assert isinstance(pattern, SparsePairs)
        assert pattern.users.on_the_way == (most == 0)
        values = np.random.default_rng(2).random(pattern.size)
        found.append(pattern.carried_on(follows, felt)(values))
    left = np.zeros((40, 40))
    left[pattern.row, pattern.column] = values
    matrices = np.zeros((2, sets.user.size, 40))
    matrices[:, sets.row, sets.device] = felt, follows
    expected = (left + left @ matrices[0].T @ matrices[1])[pattern.row, pattern.column]
    assert np.allclose(found, expected, rtol=1e-13)


def test_masses_on_an_even_grid_keep_the_mean() -> None:
    """A law with a jump, put on an even grid: its mass and its mean stay."""
    times = np.array([[0.3, 0.3, 1.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    chances = np.array([[0.0, 0.25, 0.5, 0.9, 1.0], [0.0, 0.0, 0.5, 1.0, 1.0]])
    width, masses = np.array([0.07, 0.04]), np.empty((2, 100))
    spread_masses(times, chances, width, masses)
    assert np.allclose(masses.sum(axis=1), 1.0)
    mean = times[:, 0] + (np.diff(times) * (1 - (chances[:, 1:] + chances[:, :-1]) / 2)).sum(axis=1)
    assert np.allclose(masses @ np.arange(100) * width, mean)
