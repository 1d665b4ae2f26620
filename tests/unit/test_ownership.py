"""Objects own their arrays: what a caller changes later does not reach them, and nobody can write into them."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System


def test_a_system_is_not_changed_from_outside() -> None:
    adjacency, rates, mean, M = 1.0 - np.eye(3), np.array([0.1, 0.2, 0.3]), np.ones((3, 3)), np.array([1, 1, 2])
    weight, delay, scv = np.ones(6), np.full(6, 0.5), np.ones((3, 3))
    system = System(
        network=Network.from_adjacency(adjacency, link_delay=delay),
        arrival_rate=rates,
        service=ServiceTime(mean=mean, scv=scv),
        moa=MoA(M, 1, selection_weight=weight),
    )
    for array in (adjacency, rates, mean, M, weight, delay, scv):
        array[...] = 7
    assert system.rates.tolist() == [0.1, 0.2, 0.3]
    assert np.asarray(system.moa.M).tolist() == [1, 1, 2]
    assert system.moa.selection_weight is not None
    assert (system.moa.selection_weight == 1).all()
    service = system.service.for_k(1)
    assert (service.mean == 1).all()
    assert (service.scv == 1).all()
    assert (np.asarray(system.network.link_delay) == 0.5).all()
    assert system.network.indices.tolist() == [1, 2, 0, 2, 0, 1]


def test_nobody_writes_into_a_system() -> None:
    system = System.from_arrays([[0, 1], [1, 0]], [0.1, 0.2], [1.0, 2.0], M=1, k=1)
    arrays = (system.rates, system.network.indices, system.network.indptr, system.service.for_k(1).mean, system.moa.M)
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(array)[0] = 1
