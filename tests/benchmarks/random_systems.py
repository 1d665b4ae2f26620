"""Random systems of nine families, by class of load and of variability, for studies that want many that nothing was fitted to.

Complete, ring, star, tree, torus, bipartite, random regular and small-world graphs, and random directed ones; unequal rates and
services, stages, SCV 0 to 2, load 0.2 to 0.95, M and k up to 4; weighted choice, link delays and quorums as kinds of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory import MoA, Network, ServiceTime, System, build_topology
from dmoa_theory.stability.loads import utilisation, work_moments

LOAD_EDGES, SCV_EDGES = (0.2, 0.5, 0.75, 0.9, 0.95), (0.0, 0.3, 1.2, 2.0)
CLASSES = [(load, scv) for load in range(4) for scv in range(3)]
KINDS = ("plain", "weighted", "delay", "quorum")


class Drawn(NamedTuple):
    """A system, and a seed for its simulation."""

    system: System
    seed: int


def draw(kind: str, load_class: int, scv_class: int, number: int, seed: int) -> Drawn:
    """One system of a kind: drawn anew until the SCV of its work is in the class, then scaled to a load in the class."""
    key = [seed, KINDS.index(kind), load_class, scv_class, number]
    rng = np.random.default_rng(key)
    low, high = SCV_EDGES[scv_class : scv_class + 2]
    while True:
        system = _system(rng, kind)
        work = work_moments(system)
        jobs, busy, second = (each[work.jobs > 0] for each in (work.jobs, work.load, work.second))
        scv = np.average(second * jobs / busy**2 - 1, weights=jobs)
        if (low < scv or scv_class == 0) and scv <= high:
            break
    load = rng.uniform(*LOAD_EDGES[load_class : load_class + 2])
    return Drawn(system.with_rates(system.rates * load / utilisation(system).max()), int(rng.integers(2**31)))


def _system(rng: np.random.Generator, kind: str) -> System:
    network = _network(rng)
    n = network.n_devices
    mean = 2.0 ** rng.uniform(-1, 1, n) if rng.random() < 0.5 else np.ones(n)
    rate = [np.ones(n), rng.uniform(1, 5, n), (rng.random(n) < 0.6).astype(float)][rng.integers(3)]
    rate[rng.integers(n)] = 1.0  # somebody asks
    later, aggregate = (1.0, 1.0) if rng.random() < 0.5 else rng.uniform(1, 2.5, 2)
    if kind == "delay":
        delay = mean.mean() * 10.0 ** rng.uniform(-1, 1)
        spread = rng.uniform(0, 2, network.n_links) if rng.random() < 0.5 else np.ones(network.n_links)
        network = Network(indptr=network.indptr, indices=network.indices, link_delay=delay * spread)
    k = int(rng.integers(1, min(4, network.out_degree.min()) + 1))
    scv = float(rng.choice([0.0, 0.05, 0.25, 0.5, 1.0, 1.5, 2.0]))
    law = "deterministic" if scv == 0 else str(rng.choice(["gamma", "lognormal"]))
    return System(
        network=network,
        arrival_rate=1e-6 * rate,
        service=ServiceTime.from_law(law, mean, scv=scv, later=later, aggregate=aggregate),
        moa=MoA(
            int(rng.integers(1, 5)),
            k,
            quorum=int(rng.integers(1, k + 1)) if kind == "quorum" else None,
            selection_weight=2.0 ** rng.uniform(-2, 2, network.n_links) if kind == "weighted" else None,
        ),
    )


def _network(rng: np.random.Generator) -> Network:
    """2 to 25 devices; a directed graph has a cycle through all of them."""
    n, seed = int(rng.integers(2, 25)), int(rng.integers(2**31))
    families = {
        "complete": {"n": n},
        "ring": {"n": n},
        "star": {"n": n},
        "tree": {"branching": int(rng.integers(2, 4)), "depth": 2},
        "torus": {"rows": int(rng.integers(3, 6)), "cols": int(rng.integers(3, 6))},
        "bipartite": {"left": int(rng.integers(1, 6)), "right": int(rng.integers(1, 9))},
        "regular": {"n": max(n + n % 2, 8), "degree": int(rng.integers(2, 7)), "seed": seed},
        "watts_strogatz": {"n": max(n, 8), "degree": 4, "p": 0.2, "seed": seed},
    }
    family = str(rng.choice([*families, "digraph"]))
    if family != "digraph":
        return build_topology(family, **families[family])
    adjacency = rng.random((n, n)) < rng.uniform(0.2, 0.8)
    adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
    np.fill_diagonal(adjacency, False)
    return Network.from_adjacency(adjacency)
