"""Random systems that nothing was fitted to, of five kinds, by class of load and of variability: for studies that want many.

Complete, ring, star, tree, torus, bipartite, random regular and small-world graphs, and random directed ones; unequal rates and
services, stages, SCV 0 to 2, load 0.2 to 0.95, M and k up to 4; weighted choice, link delays and quorums as kinds of their own,
and a kind that mixes them and gives every user an (M, k) of its own.

Whoever changes how systems are drawn counts :data:`GENERATOR` up, which makes simulations that are kept void.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory import MoA, Network, ServiceTime, System, build_topology
from dmoa_theory.delay.expected_error import typical_scv
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.stability.loads import utilisation, work_moments

GENERATOR = 2
#: Classes: loads are drawn between the edges; SCVs are drawn until they fall between theirs.
LOAD_EDGES, SCV_EDGES = (0.2, 0.5, 0.75, 0.9, 0.95), (0.0, 0.3, 1.2, 2.0)
CLASSES = [(load, scv) for load in range(len(LOAD_EDGES) - 1) for scv in range(len(SCV_EDGES) - 1)]
KINDS = ("plain", "weighted", "delay", "quorum", "mixed")
FAMILIES = ("complete", "ring", "star", "tree", "torus", "bipartite", "regular", "watts_strogatz", "digraph")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A system, and a seed for its simulation."""

    name: str
    kind: str
    system: System
    seed: int

    @property
    def load(self) -> float:
        """Utilisation of the busiest device."""
        return float(utilisation(self.system).max())

    @property
    def scv(self) -> float:
        """SCV of the service times that a device meets, averaged over jobs."""
        return typical_scv(work_moments(self.system))


def draw(kind: str, load_class: int, scv_class: int, number: int, seed: int) -> Case:
    """One random system of a kind and class: drawn anew until its SCV is in the class, then scaled to a load in the class."""
    key = [seed, KINDS.index(kind), load_class, scv_class, number]
    rng = np.random.default_rng(key)
    while True:
        system = _system(rng, kind)
        if class_of(typical_scv(work_moments(system)), SCV_EDGES) == scv_class:
            break
    load = rng.uniform(LOAD_EDGES[load_class], LOAD_EDGES[load_class + 1])
    system = system.with_rates(system.rates * (load / utilisation(system).max()))
    own = int(np.random.SeedSequence([*key, 1]).generate_state(1)[0])
    return Case(name=f"{kind}-{load_class}{scv_class}-{number}", kind=kind, system=system, seed=own)


def class_of(value: float, edges: tuple[float, ...]) -> int | None:
    """The class that a value falls into, its upper edge included; None beyond them all."""
    place = int(np.searchsorted(edges[1:], value - 1e-9))
    return place if place < len(edges) - 1 else None


def _system(rng: np.random.Generator, kind: str) -> System:
    """A random system, its load as it comes."""
    network = _network(rng)
    n = network.n_devices
    mean = 2.0 ** rng.uniform(-1, 1, n) if rng.random() < 0.5 else np.ones(n)
    rate = {"equal": np.ones(n), "unequal": rng.uniform(1, 5, n), "some": (rng.random(n) < 0.6).astype(float)}[
        rng.choice(["equal", "unequal", "some"])
    ]
    rate[rng.integers(n)] = 1.0  # somebody asks
    later, aggregate = (1.0, 1.0) if rng.random() < 0.5 else rng.uniform(1, 2.5, 2)
    mixed = kind == "mixed"
    if kind == "delay" or (mixed and rng.random() < 0.7):
        network = _with_delays(rng, network, mean.mean())
    weight = 2.0 ** rng.uniform(-2, 2, network.n_links) if kind == "weighted" or (mixed and rng.random() < 0.7) else None
    return System(
        network=network,
        arrival_rate=rate * 1e-6,
        service=ServiceTime.from_law(**_law(rng, n), mean=mean, later=later, aggregate=aggregate),
        moa=_moa(rng, network, kind, weight),
    )


def _moa(rng: np.random.Generator, network: Network, kind: str, weight: FloatArray | None) -> MoA:
    """M from 1 to 4 and k from 1 to 4, common to all users but in mixed systems; quorums where the kind has them."""
    if kind != "mixed":
        M = int(rng.integers(1, 5))
        k = int(rng.integers(1, min(4, network.out_degree.min()) + 1))
        return MoA(M, k, quorum=int(rng.integers(1, k + 1)) if kind == "quorum" else None, selection_weight=weight)
    layers = rng.integers(1, 5, network.n_devices)
    asked = rng.integers(1, np.minimum(4, network.out_degree) + 1)
    quorum = rng.integers(1, asked + 2) if rng.random() < 0.7 else None
    return MoA(layers, asked, quorum=quorum, selection_weight=weight)


def _with_delays(rng: np.random.Generator, network: Network, service: float) -> Network:
    """The same links with delays, alike or unequal."""
    delay = service * 10.0 ** rng.uniform(-1, 1)
    spread = rng.uniform(0, 2, network.n_links) if rng.random() < 0.5 else 1.0
    return Network(indptr=network.indptr, indices=network.indices, link_delay=delay * spread)


def _network(rng: np.random.Generator) -> Network:
    """One of the families, 2 to 24 devices; the digraph has a cycle through all devices."""
    family = str(rng.choice(FAMILIES))
    n = int(rng.integers(2, 25))
    drawn = int(rng.integers(2**31))
    if family == "digraph":
        adjacency = rng.random((n, n)) < rng.uniform(0.2, 0.8)
        adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
        np.fill_diagonal(adjacency, False)
        return Network.from_adjacency(adjacency)
    if family == "regular":
        degree = int(rng.integers(2, 7))
        n = max(n, degree + 2)
        return build_topology("regular", n=n + n * degree % 2, degree=degree, seed=drawn)
    if family == "watts_strogatz":
        return build_topology("watts_strogatz", n=max(n, 8), degree=4, p=0.2, seed=drawn)
    if family == "torus":
        return build_topology("torus", rows=int(rng.integers(3, 6)), cols=int(rng.integers(3, 6)))
    if family == "tree":
        return build_topology("tree", branching=int(rng.integers(2, 4)), depth=2)
    if family == "bipartite":
        return build_topology("bipartite", left=int(rng.integers(1, 6)), right=int(rng.integers(1, 9)))
    return build_topology(family, n=n)


def _law(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """A law of service and its SCV, in one draw out of six another at every device."""
    scv = float(rng.choice([0.0, 0.05, 0.25, 0.5, 1.0, 1.5, 2.0]))
    if scv == 0:
        return {"law": "deterministic"}
    if scv == 1 and rng.random() < 0.5:
        return {"law": "exponential"}
    spread = rng.uniform(0.3, 1.7, n) if rng.random() < 1 / 6 else 1.0
    return {"law": rng.choice(["gamma", "lognormal"]), "scv": scv * spread}
