"""How long symbolic derivations take; printed, never asserted."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dmoa_theory import Network, build_topology
from dmoa_theory.symbolic.capacity import derive_capacity
from dmoa_theory.symbolic.families import FAMILIES, family_pattern
from dmoa_theory.symbolic.graphs import network_pattern
from dmoa_theory.symbolic.pattern import Pattern
from dmoa_theory.symbolic.stability import derive_stability
from dmoa_theory.symbolic.theorem_one import derive_theorem_one
from dmoa_theory.symbolic.waiting import derive_delay


def _seconds(name: str, pattern: Pattern) -> None:
    for rule in (derive_stability, derive_delay, derive_capacity):
        start = time.perf_counter()
        derivation = rule(pattern)
        derived = time.perf_counter() - start
        derivation.to_dict()
        written = time.perf_counter() - start - derived
        print(f"\n{name}, {derivation.what}: derived in {derived:.3f} s, written in {written:.3f} s", end="")
        assert derivation.condition


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family: str) -> None:
    _seconds(family, family_pattern(family))


def test_theorem_one() -> None:
    start = time.perf_counter()
    derivation = derive_theorem_one()
    print(f"\nTheorem 1: {time.perf_counter() - start:.3f} s")
    assert derivation.condition


@pytest.mark.parametrize("stages", ["alike", "each", "grow"])
def test_twelve_devices_with_all_symbols_distinct(stages: str) -> None:
    rng = np.random.default_rng(3)
    adjacency = rng.random((12, 12)) < 0.5
    np.fill_diagonal(adjacency, False)
    adjacency[np.arange(12), (np.arange(12) + 1) % 12] = True
    _seconds(f"12 devices, stages {stages}", network_pattern(Network.from_adjacency(adjacency), stages=stages))


def test_a_complete_graph_of_a_hundred() -> None:
    pattern = network_pattern(build_topology("complete", n=100))
    start = time.perf_counter()
    derivation = derive_stability(pattern)
    print(f"\n100 devices, all asking all: {time.perf_counter() - start:.3f} s")
    assert len(derivation.condition) == 100
