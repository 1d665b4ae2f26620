"""The body of three users: corners, faces and volume against the whole region, the section, and membership."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmoa_theory import System, stability_region
from dmoa_theory.errors import InputError
from dmoa_theory.stability.polytope import largest_rows, outer_faces, vertices

COMPLETE = 1 - np.eye(4)


def random_system(rng: np.random.Generator, n: int) -> System:
    adjacency = rng.random((n, n)) < 0.7
    np.fill_diagonal(adjacency, False)
    adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
    return System.from_arrays(adjacency, rng.uniform(0, 0.002, n), rng.uniform(5, 40, n), M=2, k=1)


def test_of_three_users_it_is_the_whole_region() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        region = stability_region(random_system(rng, 3))
        body = region.body(0, 1, 2)
        assert sorted(map(tuple, body.corners.round(9))) == sorted(map(tuple, region.vertices().round(9)))
        assert body.volume == pytest.approx(region.volume(), rel=1e-9)


def test_corners_bound_what_is_stable_and_faces_name_who_is_full() -> None:
    rng = np.random.default_rng(2)
    faces = 0
    for _ in range(10):
        region = stability_region(random_system(rng, 6))
        users = tuple(rng.permutation(6)[:3].tolist())
        body = region.body(*users)
        rates = region.system.rates
        for face in body.faces:
            faces += 1
            middle = rates.copy()
            middle[list(users)] = body.corners[face.corners].mean(axis=0)
            full = np.flatnonzero(region.coefficients() @ middle > 1 - 1e-9)
            assert tuple(full.tolist()) == face.devices
            assert face.names == tuple(f"device-{j}" for j in face.devices)
            for factor, inside in ((1 - 1e-6, True), (1 + 1e-6, False)):
                near = middle.copy()
                near[list(users)] *= factor
                assert region.contains(near) is inside
            around = body.corners[face.corners]
            normal = np.cross(around[1] - around[0], around[2] - around[1])
            assert (normal >= -1e-12 * np.abs(normal).max()).all(), "counter-clockwise seen from outside"
    assert faces >= 30


def test_its_walls_are_sections() -> None:
    region = stability_region(System.from_arrays(COMPLETE, [0.004, 0.001, 0.0, 0.002], [20.0, 25.0, 30.0, 45.0], M=2, k=2))
    body, section = region.body(0, 1, 2), region.section(0, 1)
    floor = body.corners[body.corners[:, 2] == 0][:, :2]
    assert sorted(map(tuple, floor.round(9))) == sorted(map(tuple, section.corners.round(9)))


def test_equal_devices_give_way_together() -> None:
    whole = stability_region(System.from_arrays(1 - np.eye(6), 0.001, [20, 40, 20, 40, 20, 40], M=1, k=5)).body(0, 2, 4)
    assert (1, 3, 5) in [face.devices for face in whole.faces]


def test_others_alone_overload_a_device() -> None:
    body = stability_region(System.from_arrays(COMPLETE, [0.001, 0.001, 0.001, 5.0], 20.0, M=1, k=3)).body(0, 1, 2)
    assert (body.corners.size, body.faces, body.volume, body.stable) == (0, (), 0.0, False)


def test_by_name_and_what_is_refused() -> None:
    system = System.from_arrays(COMPLETE, 0.001, [20.0, 25.0, 30.0, 45.0], M=1, k=1)
    system = replace(system, network=replace(system.network, names=("a", "b", "c", "d")))
    region = stability_region(system)
    assert region.body("d", "a", 1).users == (3, 0, 1)
    for users, field in (((0, 0, 1), "second"), ((0, 1, 0), "third"), ((0, 1, 9), "third"), (("e", 1, 2), "first")):
        with pytest.raises(InputError) as refused:
            region.body(*users)
        assert refused.value.field == field


def test_largest_rows_leave_the_polytope_as_it_is() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        rows = rng.random((40, 3)).round(1) + 0.05
        kept = largest_rows(rows)
        assert kept.size < 40
        assert vertices(rows[kept]) == pytest.approx(vertices(rows))
        names = {tuple(rows[kept][row]) for row, _ in outer_faces(rows[kept], vertices(rows[kept]))}
        assert names == {tuple(rows[row]) for row, _ in outer_faces(rows, vertices(rows))}
