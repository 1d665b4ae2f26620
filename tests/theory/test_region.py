"""The stability region against brute force: linear programs, enumeration of corners, Monte Carlo, closed forms."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from scipy import optimize

from dmoa_theory import Network, ServiceTime, System, stability_region
from dmoa_theory.errors import InputError
from dmoa_theory.model.moa import MoA
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.polytope import section_corners, vertices, volume
from dmoa_theory.stability.region import StabilityRegion


def random_region(rng: np.random.Generator, *, peak: float, n: int | None = None) -> StabilityRegion:
    """A digraph with (M, k) by user, some pure helpers and some weighted; the busiest device at load ``peak``."""
    n = int(rng.integers(2, 8)) if n is None else n
    adjacency = rng.random((n, n)) < 0.55
    np.fill_diagonal(adjacency, False)
    adjacency[0, 1] = True
    degree = adjacency.sum(axis=1)
    apart = (degree == 0) & (adjacency.sum(axis=0) == 0)
    rate = np.where((rng.random(n) < 0.2) & ~apart, 0.0, rng.uniform(0.1, 1, n))
    rate[0] = 0.5
    k = np.array([rng.integers(0, d + 1) for d in degree]) + 3 * ((rate == 0) & (degree > 0) & (rng.random(n) < 0.5))
    weight = 10.0 ** rng.uniform(-1, 1, int(degree.sum())) if rng.random() < 0.5 else None
    system = System(
        network=Network.from_adjacency(adjacency),
        arrival_rate=rate,
        service=ServiceTime(mean=10.0 ** rng.uniform(-1, 1, (n, 3)), scv=np.ones((n, 3))),
        moa=MoA(rng.integers(0, 4, n), k, selection_weight=weight),
    )
    return stability_region(system.with_rates(rate * (peak / utilisation(system).max())))


def load_per_rate(system: System) -> np.ndarray:
    """Column u: the loads when user u alone sends one prompt a second; zero for users who have too few neighbours."""
    n = system.n_devices
    able = system.can_ask()
    return np.column_stack([utilisation(system.with_rates(np.eye(n)[u])) if able[u] else np.zeros(n) for u in range(n)])


@pytest.mark.parametrize("peak", [0.5, 0.95, 1.3, 3.0])
def test_half_spaces_slack_and_scale(peak: float) -> None:
    """Columns of the half-spaces are the loads of one user alone; scale, slack and bottleneck follow from the loads."""
    rng = np.random.default_rng(int(peak * 100))
    for _ in range(25):
        region = random_region(rng, peak=peak)
        matrix = load_per_rate(region.system)
        np.testing.assert_allclose(region.coefficients().toarray(), matrix, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(region.coefficients() @ region.system.rates, region.utilisation, rtol=1e-12)
        np.testing.assert_allclose(region.slack, 1 - region.utilisation)
        assert region.critical_scale == pytest.approx(1 / peak, rel=1e-12)
        assert region.bottleneck.device == region.utilisation.argmax()
        assert region.stable is (peak < 1)


@pytest.mark.parametrize("peak", [0.5, 0.95, 1.3, 3.0])
def test_critical_rate_is_the_optimum_of_a_linear_program(peak: float) -> None:
    """The largest rate of one user with the others fixed; 0 where the program is infeasible, as others overload a device."""
    rng = np.random.default_rng(int(peak * 100) + 1)
    hopeless = 0
    for _ in range(25):
        region = random_region(rng, peak=peak)
        matrix, rates = load_per_rate(region.system), region.system.rates
        for u in range(rates.size):
            room = 1 - np.delete(matrix, u, axis=1) @ np.delete(rates, u)
            if not region.system.can_ask()[u]:
                assert region.critical_rate[u] == 0
                continue
            answer = optimize.linprog([-1.0], A_ub=matrix[:, [u]], b_ub=room, bounds=[(0, None)])
            expected = 0.0 if answer.status == 2 else -answer.fun
            assert region.critical_rate[u] == pytest.approx(expected, rel=1e-9, abs=1e-12)
            hopeless += answer.status == 2
    assert (hopeless > 0) is (peak > 1)


def test_a_device_full_without_a_user_leaves_it_no_rate() -> None:
    """Two strangers: where the one fills its device exactly, or more, no rate of the other makes all queues bounded."""
    for load, others in ((0.5, 0.25), (1.0, 0.0), (2.0, 0.0)):
        region = stability_region(System.from_arrays([[0, 0], [0, 0]], [load, 0.1], [1.0, 4.0], M=0, k=0))
        assert region.critical_rate.tolist() == pytest.approx([1.0, others])
        assert region.critical_rate[1] == 0 or region.contains(np.array([load, others * 0.999]))


def test_contains_is_the_load_below_one() -> None:
    """Points drawn at random lie inside exactly when every device's load under them is below one; one at a time or many."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        region = random_region(rng, peak=0.8)
        n, able = region.system.n_devices, region.system.can_ask()
        points = np.where(able, rng.uniform(0, 1.5, (40, n)) * np.maximum(region.critical_rate, 1e-3), 0.0)
        points[:, 0] = np.maximum(points[:, 0], 1e-9)
        expected = [bool((utilisation(region.system.with_rates(p)) < 1).all()) for p in points]
        assert np.asarray(region.contains(points)).tolist() == expected
        assert [region.contains(p) for p in points] == expected
        assert region.contains(np.zeros(n))


def test_the_region_is_open() -> None:
    """At load exactly one a queue is not bounded, so the edge does not belong to the region."""
    region = stability_region(System.from_arrays([[0]], 0.5, 2.0, M=0, k=0))
    assert not region.stable
    assert not region.contains(np.array([0.5]))
    assert region.contains(np.array([np.nextafter(0.5, 0)]))


@pytest.mark.parametrize("rates", [[0.1], [0.1, -0.1, 0.0], [0.1, np.nan, 0.0], [0.1, 0.1, 0.1]])
def test_points_that_are_no_rates_are_refused(rates: list[float]) -> None:
    """Wrong length, negative, not a number, or prompts of a user with too few neighbours (device 2 here)."""
    region = stability_region(System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 0, 0]], [0.1, 0.1, 0.0], 1.0, M=1, k=2))
    with pytest.raises(InputError):
        region.contains(np.array(rates))


def enumerated_corners(matrix: np.ndarray) -> np.ndarray:
    """Corners of ``{x >= 0 : A x <= 1}`` by trying every choice of n constraints."""
    n = matrix.shape[1]
    rows, bound = np.vstack((matrix, -np.eye(n))), np.append(np.ones(len(matrix)), np.zeros(n))
    found = set()
    for chosen in combinations(range(len(rows)), n):
        square = rows[list(chosen)]
        if abs(np.linalg.det(square)) < 1e-10:
            continue
        x = np.linalg.solve(square, bound[list(chosen)])
        if (rows @ x <= bound + 1e-9).all():
            found.add(tuple(np.abs(x.round(8))))
    return np.array(sorted(found))


def test_vertices_equal_an_enumeration_of_bases() -> None:
    """On 40 random regions of up to 4 users; and the region's own method places them among all users."""
    rng = np.random.default_rng(6)
    for _ in range(40):
        region = random_region(rng, peak=0.9, n=int(rng.integers(2, 5)))
        able = np.flatnonzero(region.system.can_ask())
        expected = enumerated_corners(load_per_rate(region.system)[:, able])
        corners = region.vertices()
        np.testing.assert_array_equal(np.delete(corners, able, axis=1), 0)
        ordered = corners[np.lexsort(corners[:, able].round(7).T[::-1])][:, able]
        np.testing.assert_allclose(ordered, expected, atol=2e-7)


def test_vertices_of_devices_six_orders_of_magnitude_apart() -> None:
    """Every corner of 5 users satisfies all constraints and at least 5 of them with equality, relative to each axis."""
    n = 5
    alpha = 10.0 ** np.random.default_rng(7).uniform(-3, 3, n)
    complete = np.ones((n, n)) - np.eye(n)
    region = stability_region(System.from_arrays(complete, 1e-7, alpha, M=2, k=2))
    matrix = region.coefficients().toarray()
    for corner in region.vertices():
        load = matrix @ corner
        assert (load <= 1 + 1e-8).all()
        assert (np.abs(load - 1) < 1e-8).sum() + (corner == 0).sum() >= n


def test_volume_closed_forms() -> None:
    """A box of lone devices, a simplex under one constraint, and two devices by the shoelace formula."""
    alpha = np.array([2.0, 5.0, 0.1])
    alone = stability_region(System.from_arrays(np.zeros((3, 3)), 0.01, alpha, M=0, k=0))
    assert alone.volume() == pytest.approx(1 / alpha.prod(), rel=1e-12)
    load = np.array([[3.0, 7.0, 0.5, 2.0]])
    assert volume(load) == pytest.approx(1 / (factorial(4) * load.prod()), rel=1e-12)
    two = stability_region(System.from_arrays([[0, 1], [1, 0]], 0.01, [1.0, 2.0], M=1, k=1))  # 2x + y <= 1, 2x + 4y <= 1
    assert two.volume() == pytest.approx(0.5 * 0.5 * 0.25)
    assert two.vertices().tolist() == [[0.0, 0.0], [0.0, 0.25], [0.5, 0.0]]


def test_volume_against_monte_carlo() -> None:
    """The fraction of the bounding box that lies inside, to 4 standard errors."""
    rng = np.random.default_rng(8)
    for _ in range(6):
        region = random_region(rng, peak=0.9, n=4)
        able = region.system.can_ask()
        box = np.where(able, region.vertices().max(axis=0), 0.0)
        share = float(np.mean(region.contains(rng.random((40_000, 4)) * box)))
        assert region.volume() / box[able].prod() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 40_000) + 1e-9)


def test_corners_of_large_regions_are_refused() -> None:
    """Up to 8 users; 9 and 2,000 are pointed to the section."""
    for n in (9, 2000):
        ring = Network.from_links(n, np.arange(n), (np.arange(n) + 1) % n)
        region = stability_region(System(network=ring, arrival_rate=0.1, service=ServiceTime.exponential(1.0), moa=MoA(1, 1)))
        for ask in (region.vertices, region.volume):
            with pytest.raises(InputError, match="section"):
                ask()
        assert region.section(0, n - 1).corners.shape[1] == 2


def inside_polygon(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether points lie strictly to the left of every edge of a counter-clockwise polygon."""
    edge = np.roll(corners, -1, axis=0) - corners
    gap = points[:, None] - corners
    return (edge[:, 0] * gap[..., 1] - edge[:, 1] * gap[..., 0] > 0).all(axis=1)


@pytest.mark.parametrize("peak", [0.7, 1.5])
def test_sections_hold_the_points_that_the_region_holds(peak: float) -> None:
    """Random points of the plane are inside the polygon exactly when inside the region; no polygon when others overload."""
    rng = np.random.default_rng(int(peak * 10))
    empty = 0
    for _ in range(30):
        region = random_region(rng, peak=peak)
        able = np.flatnonzero(region.system.can_ask())
        if able.size < 2:
            continue
        u, v = rng.permutation(able)[:2].tolist()
        section = region.section(u, v)
        plane = np.tile(region.system.rates, (200, 1))
        reach = section.corners.max(axis=0) if section.corners.size else np.ones(2)
        plane[:, [u, v]] = rng.uniform(0, 1.2, (200, 2)) * reach
        inside = np.asarray(region.contains(plane))
        if section.corners.size == 0:
            others = region.system.rates.copy()
            others[[u, v]] = 0
            assert not region.contains(others)
            assert section.binding == ()
            empty += 1
            continue
        np.testing.assert_array_equal(inside_polygon(section.corners, plane[:, [u, v]]), inside)
        assert section.operating_point == (region.system.rates[u], region.system.rates[v])
        names = [region.system.network.name(j) for j in range(region.system.n_devices)]
        assert len(section.binding) == len(section.corners) - 2
        for i, device in enumerate(section.binding):
            rates = region.system.rates.copy()
            rates[[u, v]] = (section.corners[i + 1] + section.corners[i + 2]) / 2
            load = region.coefficients() @ rates
            assert load.max() == pytest.approx(1, abs=1e-9)
            assert load[names.index(device)] == pytest.approx(1, abs=1e-9)
    assert (empty > 0) is (peak > 1)


def test_section_corners_with_ties_and_collinear_rows() -> None:
    """Rows that coincide, that touch a corner only, or that are never reached leave no corner of their own."""
    first = np.array([1.0, 1.0, 0.0, 0.5, 0.2, 0.5])
    second = np.array([0.0, 0.0, 1.0, 0.5, 0.2, 0.5])  # the fourth touches (1, 1) only
    corners, binding = section_corners(first, second, np.ones(6))
    assert corners.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert binding.tolist() in ([0, 2], [1, 2])
    corners, binding = section_corners(np.array([2.0, 4.0]), np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    assert corners.tolist() == [[0, 0], [0.5, 0], [0, 1]]
    assert binding.tolist() == [0]
    corners, binding = section_corners(np.array([0.5, 1.0]), np.array([1.0, 1.0]), np.ones(2))  # they meet on an axis
    assert corners.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert binding.tolist() == [1]
    assert section_corners(first, second, np.array([1.0, 1, 1, 1, 1, 0]))[0].size == 0


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 2), (-1, 0), (0, 3)])
def test_sections_of_users_that_cannot_be_are_refused(first: int, second: int) -> None:
    """The same user twice, a user with too few neighbours, users who do not exist."""
    region = stability_region(System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 0, 0]], [0.1, 0.1, 0.0], 1.0, M=1, k=2))
    with pytest.raises(InputError):
        region.section(first, second)


def test_vertices_are_those_of_the_closed_set() -> None:
    """A device that nobody loads adds a row of zeros and no corner."""
    matrix = np.array([[2.0, 1.0], [0.0, 0.0], [1.0, 2.0]])
    np.testing.assert_allclose(vertices(matrix), vertices(matrix[[0, 2]]), atol=1e-12)


def test_rounding_is_no_rate() -> None:
    """User 1 alone fills device 0 exactly, so user 0's largest rate is zero, not the residue of a difference of equals."""
    for own, other in np.random.default_rng(5).uniform(0.1, 1.0, (200, 2)):
        system = System(
            network=Network.from_links(2, [1], [0]),
            arrival_rate=[own, other],
            service=ServiceTime.exponential([1 / other, 1e-3]),
            moa=MoA([0, 1], [0, 1]),
        )
        assert stability_region(system).critical_rate[0] == 0


def test_users_of_a_section_by_name() -> None:
    system = System(
        network=Network.from_links(3, [0, 1, 2], [1, 2, 0], names=("a", "b", "c")),
        arrival_rate=0.01,
        service=ServiceTime.exponential(10.0),
        moa=MoA(1, 1),
    )
    region = stability_region(system)
    np.testing.assert_array_equal(region.section("a", "c").corners, region.section(0, 2).corners)
    with pytest.raises(InputError, match="by name or from 0 to 2"):
        region.section("a", "d")
