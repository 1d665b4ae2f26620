"""The certificates against the theorems written out plainly, and the lemmas against the integrated fluid model."""

from __future__ import annotations

from itertools import combinations
from math import prod

import numpy as np
import pytest
from scipy import optimize

from dmoa_theory import MoA, Network, ServiceTime, System
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.certificates import find_certificate
from dmoa_theory.stability.proofs.fluid import FluidPath, fluid_starts, integrate
from dmoa_theory.stability.proofs.guarantee import Verdict, stability_guarantee
from dmoa_theory.stability.proofs.head_of_line import HeadOfLine, LayerDelays
from dmoa_theory.stability.proofs.linear_program import WorkBalance
from dmoa_theory.stability.proofs.work_shares import work_paths


def complete(n: int) -> np.ndarray:
    return np.ones((n, n)) - np.eye(n)


def at_load(system: System, peak: float) -> System:
    """The same system with the busiest device at load ``peak``."""
    return system.with_rates(system.rates * (peak / utilisation(system).max()))


def random_system(
    rng: np.random.Generator, *, n: int = 5, most: int = 5, quorum: bool = False, weighted: bool = False
) -> System:
    """A digraph; M, k, perhaps the quorum by user; service by device and stage, spread over a factor of ten."""
    adjacency = rng.random((n, n)) < 0.5
    for u in range(n):
        adjacency[u, [(u + 1) % n, (u + 2) % n]] = True
    np.fill_diagonal(adjacency, False)
    degree = adjacency.sum(axis=1)
    rate = rng.uniform(0.1, 1, n) * (rng.random(n) < 0.8)
    rate[0] = 1.0
    k = np.array([rng.integers(1, d + 1) for d in degree])
    wanted = np.array([rng.integers(1, each + 2) for each in k]) if quorum else None
    weight = 10.0 ** rng.uniform(-1, 1, int(degree.sum())) if weighted else None
    service = ServiceTime(mean=10.0 ** rng.uniform(-0.5, 0.5, (n, 3)), scv=np.ones((n, 3)))
    moa = MoA(rng.integers(0, most + 1, n), k, quorum=wanted, selection_weight=weight)
    return System(network=Network.from_adjacency(adjacency), arrival_rate=rate, service=service, moa=moa)


def choices(system: System, u: int) -> list[tuple[tuple[int, ...], float]]:
    """Every set of neighbours that user ``u`` may ask in a layer, and its probability."""
    network, weight = system.network, system.moa.selection_weight
    links = range(network.indptr[u], network.indptr[u + 1])
    _, k, _ = system.moa.per_user(system.n_devices)
    sets = list(combinations(links, int(k[u])))
    chance = np.array([1.0 if weight is None else prod(float(weight[link]) for link in each) for each in sets])
    return [
        (tuple(int(network.indices[link]) for link in each), p)
        for each, p in zip(sets, (chance / chance.sum()).tolist(), strict=True)
    ]


def plain_delay(system: System, u: int, w: np.ndarray) -> float:
    """``d_u(w)`` by going through all subsets."""
    _, _, quorum = system.moa.per_user(system.n_devices)
    return sum(p * sorted(w[[u, *chosen]])[quorum[u] - 1] for chosen, p in choices(system, u))


def plain_program(system: System, j: int, w: np.ndarray) -> float:
    """Theorem 3 with all of its constraints, B0 to B3 and the work bound, for users one by one; a linear programme."""
    n, mean, rate = system.n_devices, system.service.mean, system.rates
    M, k, quorum = system.moa.per_user(n)
    variables, rows, bounds, objective = 1, [], [], {0: 0.0}
    entries: list[tuple[dict[int, float], float]] = []
    upper = [float(w[j])]
    ahead_row, ahead_most = {0: 1.0}, 0.0
    for u in np.flatnonzero(rate > 0).tolist():
        own, waits = u == j, quorum[u] > k[u]
        pi = 1.0 if own else sum(p for chosen, p in choices(system, u) if j in chosen)
        if pi == 0 or (M[u] == 0 and not own):
            continue
        if M[u] == 0:
            objective[0] += rate[u] * mean[j, 0]
            continue
        d = plain_delay(system, u, w)
        before = [variables + q for q in range(M[u])]
        after = [variables + M[u] + q for q in range(M[u])]
        variables += 2 * M[u]
        upper += [d] * (2 * M[u])
        delta = {0: 1.0}
        for q in range(M[u] + 1):
            brought = mean[j, min(q, 1)] * pi if q < M[u] else mean[j, 2] * own
            for index, value in delta.items():
                objective[index] = objective.get(index, 0.0) + rate[u] * brought * value
            entries.append(({i: -v for i, v in delta.items()}, 0.0))  # not negative
            if q == M[u]:
                break
            if waits:  # B3
                entries.append(({**{i: pi * v for i, v in delta.items()}, after[q]: -1.0}, 0.0))
            future = sum(mean[j, 1] * pi for _ in range(q + 1, M[u])) + mean[j, 2] * own
            ahead_row[before[q]] = rate[u] * future
            ahead_most += rate[u] * future * d
            earlier = delta  # B1; then B2 of the next stage
            delta = {**delta, before[q]: 1.0, after[q]: -1.0}
            if waits and (q + 1 < M[u] or own):
                row = dict(delta)
                for i, v in earlier.items():
                    row[i] = row.get(i, 0.0) - (1 - pi) * v
                row[before[q]] -= 1.0
                entries.append((row, 0.0))
    entries.append((ahead_row, ahead_most))
    rows = np.zeros((len(entries), variables))
    for r, (row, bound) in enumerate(entries):
        rows[r, list(row)] = list(row.values())
        bounds.append(bound)
    cost = np.zeros(variables)
    cost[list(objective)] = list(objective.values())
    answer = optimize.linprog(-cost, A_ub=rows, b_ub=bounds, bounds=[(0, most) for most in upper])
    assert answer.status == 0
    return float(-answer.fun)


def certified(n: int, k: int, M: int) -> float:
    system = at_load(System.from_arrays(complete(n), 1.0, 1.0, M=M, k=k), 0.4)
    return 0.4 * stability_guarantee(system).certified_scale


@pytest.mark.parametrize(
    ("n", "k", "loads"),
    [
        (4, 1, {2: 1.0, 3: 1.0, 4: 0.964, 6: 0.797}),
        (16, 3, {2: 1.0, 3: 1.0, 4: 0.809, 6: 0.596}),
        (64, 3, {2: 1.0, 3: 0.968, 4: 0.734, 6: 0.497}),
    ],
)
def test_certified_loads_of_the_homogeneous_complete_graph(n: int, k: int, loads: dict[int, float]) -> None:
    """Stage-independent service; figures of a separate calculation by linear programming, to the digits that it gave.

    For M = 2, above one: load one itself is where the proof ends.
    """
    for M, load in loads.items():
        assert certified(n, k, M) == pytest.approx(load, abs=0.0011)


def test_mean_layer_delay_by_going_through_all_subsets() -> None:
    """Uniform and weighted choice, with and without a quorum, any weights of the devices."""
    rng = np.random.default_rng(1)
    for trial in range(20):
        system = random_system(rng, quorum=trial % 2 == 1, weighted=trial % 4 > 1)
        w = 10.0 ** rng.uniform(-2, 0, system.n_devices)
        found = LayerDelays(system)(w)
        M, _, _ = system.moa.per_user(system.n_devices)
        for u in np.flatnonzero((system.rates > 0) & (M > 0)).tolist():
            assert found[u] == pytest.approx(plain_delay(system, u, w), rel=1e-9)


def test_linear_programme_in_closed_form_is_the_linear_programme() -> None:
    """Solved by HiGHS with every constraint of the theorem, at random weights and loads: the same value."""
    rng = np.random.default_rng(2)
    for trial in range(40):
        system = at_load(random_system(rng, quorum=trial % 4 == 3, weighted=trial % 2 == 1), rng.uniform(0.3, 1))
        paths, delays = work_paths(system), LayerDelays(system)
        w = 10.0 ** rng.uniform(-1, 0, system.n_devices) if trial % 3 else np.ones(system.n_devices)
        closed = WorkBalance(paths, delays).bound(w)
        simple = HeadOfLine(paths, delays).bound(w)
        assert (closed <= simple * (1 + 1e-12)).all()
        for j in range(system.n_devices):
            assert closed[j] == pytest.approx(plain_program(system, j, w), rel=1e-7)


def test_any_price_bounds() -> None:
    """The dual function at prices other than the best is larger, for every price: the sum of the docstring, written out."""
    rng = np.random.default_rng(3)
    system = at_load(random_system(rng), 0.9)
    paths, delays = work_paths(system), LayerDelays(system)
    balance, items, w = WorkBalance(paths, delays), paths.items, rng.uniform(0.1, 1, 5)
    best = balance.bound(w)
    delay = delays(w)[items.user]
    at_best = balance.prices(w)
    for theta in [at_best, *np.linspace(0, 1.2, 25)]:
        price = np.broadcast_to(theta, 5)
        value = np.maximum(paths.head - price, 0) * w
        np.add.at(value, items.device, np.maximum(items.gain, price[items.device] * items.ahead) * delay)
        assert (value >= best * (1 - 1e-12)).all()
        if theta is at_best:
            assert value == pytest.approx(best)


def test_maps_are_monotone_and_homogeneous() -> None:
    rng = np.random.default_rng(4)
    for trial in range(30):
        system = at_load(random_system(rng, quorum=trial % 3 == 0), rng.uniform(0.2, 1))
        paths, delays = work_paths(system), LayerDelays(system)
        low = rng.uniform(0, 1, 5)
        high = low + rng.uniform(0, 1, 5) * (rng.random(5) < 0.5)
        for bound in (HeadOfLine(paths, delays), WorkBalance(paths, delays)):
            assert (bound.bound(low) <= bound.bound(high) * (1 + 1e-12)).all()
            assert bound.bound(7.5 * low) == pytest.approx(7.5 * bound.bound(low), rel=1e-12)
            assert (bound.bound(low, 0.7) <= 0.7 * bound.bound(low) * (1 + 1e-12)).all()


def test_certificates_hold_when_checked_subset_by_subset() -> None:
    """``proved`` means: at the certificate's weights the linear programme, solved by HiGHS, stays below them everywhere."""
    rng = np.random.default_rng(5)
    proved, theorems = 0, set()
    for trial in range(60):
        system = at_load(random_system(rng, most=6, quorum=trial % 4 == 0, weighted=trial % 2 == 1), rng.uniform(0.7, 0.999))
        found = stability_guarantee(system)
        theorems.add(found.theorem)
        if found.verdict is Verdict.PROVED:
            w = found.certificate
            assert w is not None
            assert (w > 0).all()
            proved += 1
            assert all(plain_program(system, j, w) <= w[j] * (1 - 1e-10) for j in range(5))
    assert proved > 20
    assert len(theorems) >= 3


def test_quick_later_layers_make_load_one_the_limit() -> None:
    """As later layers at remote devices take no time, what is over-counted vanishes."""
    reached = []
    for later in (1.0, 0.1, 0.01, 1e-4):
        system = System(
            network=Network.from_adjacency(complete(8)),
            arrival_rate=1.0,
            service=ServiceTime.exponential(1.0, later=later),
            moa=MoA(6, 2),
        )
        reached.append(utilisation(system).max() * stability_guarantee(system).certified_scale)
    assert reached == sorted(reached)
    assert reached[-1] > 0.999


def test_search_only_improves() -> None:
    """More steps prove no less, and a start elsewhere ends at the same factor."""
    rng = np.random.default_rng(6)
    for _ in range(10):
        system = at_load(random_system(rng, most=6), 0.9)
        paths, delays = work_paths(system), LayerDelays(system)
        balance = WorkBalance(paths, delays)
        limit = 1 / 0.9
        few, many, other = (
            find_certificate(balance, start, limit, steps=steps).scale
            for start, steps in ((np.ones(5), 2), (np.ones(5), 300), (rng.uniform(0.2, 1, 5), 300))
        )
        assert few <= many * (1 + 1e-12)
        assert other == pytest.approx(many, rel=5e-3)


def longest_line(path: FluidPath, waiting: np.ndarray) -> np.ndarray:
    """When the job that leaves last of all now arrived: the smallest ``psi_i^-1(t)`` at every time; negative: at the start."""
    leave = path.time[:, None] + waiting
    return np.min([np.interp(path.time, line, path.time, left=-1.0) for line in leave.T], axis=0)


def test_lemmas_hold_along_the_fluid_model() -> None:
    """Lemma A, and the bounds F and L, with ``w`` the largest work over just the past that their proofs look at.

    Up to errors of a few steps of the integration. The bounds are nearly met, so a lemma that claimed more would be caught.
    """
    rng = np.random.default_rng(7)
    step, tight = 0.02, {"queries": 0.0, "F": 0.0, "L": 0.0}
    for trial in range(5):
        system = at_load(random_system(rng, n=4, most=4, quorum=trial % 3 == 2, weighted=trial % 2 == 1), 0.9)
        M, _, _ = system.moa.per_user(4)
        active = system.rates > 0
        paths, delays = work_paths(system), LayerDelays(system)
        simple, balance = HeadOfLine(paths, delays), WorkBalance(paths, delays)
        for start in fluid_starts(system)[1:]:
            path = integrate(system, start, step=step)
            back, slack, dt = longest_line(path, path.work), 6 * step * path.size, path.time[1]
            for m in range(0, path.time.size, 7):
                moments = [path.time[m]]
                while len(moments) < M[active].max() + 2 and moments[-1] >= 1.0:
                    moments.append(float(np.interp(moments[-1], path.time, back)))
                if moments[-1] < 1.0:  # an initial job was about, or the extra arrivals were
                    continue
                w = path.work[int(moments[-1] / dt) : m + 1].max(axis=0) + 1e-12
                queries = path.under_way[m]
                for u in np.flatnonzero(active & (M > 0)).tolist():
                    most = system.rates[u] * delays(w)[u]
                    assert (queries[u, : M[u]] <= most + slack * system.rates[u]).all()
                    tight["queries"] = max(tight["queries"], float(queries[u, : M[u]].max() / (most + slack * system.rates[u])))
                bound = simple.head_of_line(w)
                assert (path.work[m] <= bound + slack).all()
                tight["F"] = max(tight["F"], float((path.work[m] / (bound + slack)).max()))
                idle = np.array([np.flatnonzero(path.work[: m + 1, j] <= 2 * dt)[-1:].sum() for j in range(4)])
                if (idle > 0).all():
                    since = path.time[idle.min()]
                    for _ in range(int(M[active].max()) + 1):
                        since = float(np.interp(since, path.time, back))
                    if since >= 1.0:
                        w = path.work[int(min(since, moments[-1]) / dt) : m + 1].max(axis=0) + 1e-12
                        bound = balance.bound(w)
                        assert (path.work[m] <= bound + slack).all()
                        tight["L"] = max(tight["L"], float((path.work[m] / (bound + slack)).max()))
    assert tight["queries"] > 0.5, tight
    assert tight["F"] > 0.5, tight


def test_fluid_model_of_one_device() -> None:
    """Work drains at one less the load, whatever the start; a tenfold burst first grows at ten loads less one."""
    system = System.from_arrays([[0]], 0.8, 1.0, M=0, k=0)
    work, _, _, burst = (integrate(system, start, step=0.01) for start in fluid_starts(system))
    assert np.interp([1.0, 3.0], work.time, work.work[:, 0]) == pytest.approx([0.8, 0.4], abs=0.02)
    assert work.drained == pytest.approx(0.95 / 0.2, abs=0.05)
    assert burst.work.max() == pytest.approx(10 * 0.8 - 1, rel=0.01)


def test_fluid_model_against_head_of_line_by_hand() -> None:
    """Two devices that ask each other, one layer and aggregation, both with work 1: W falls at ``2 lambda - 1`` until 1.

    The first joins of what was forked from 0 on come at 1; from then on aggregations arrive at ``lambda / psi'``, with
    ``psi' = 2 lambda``: half a second of work a second.
    """
    lam = 0.3
    system = System.from_arrays([[0, 1], [1, 0]], lam, 1.0, M=1, k=1)
    path = integrate(system, fluid_starts(system)[1], step=0.002)
    expected = 1 + (2 * lam - 1) * 1.0
    assert np.interp(1.0, path.time, path.work[:, 0]) == pytest.approx(expected, abs=0.01)
    assert np.interp(1.3, path.time, path.work[:, 0]) == pytest.approx(expected + 0.3 * (2 * lam + 0.5 - 1), abs=0.01)
