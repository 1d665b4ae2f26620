"""The named graph families: what they draw, and what they refuse in one line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dmoa_theory.errors import TopologyError
from dmoa_theory.model.network import Network
from dmoa_theory.model.topologies import TOPOLOGIES, build_topology

FAMILIES = [
    "complete",
    "ring",
    "star",
    "line",
    "grid",
    "torus",
    "regular",
    "erdos_renyi",
    "watts_strogatz",
    "barabasi_albert",
    "geometric",
    "tree",
    "hypercube",
    "bipartite",
]


def links(network: Network) -> list[tuple[int, int]]:
    """Each undirected link once."""
    pairs = zip(network.link_sources().tolist(), network.indices.tolist(), strict=True)
    return [(u, v) for u, v in pairs if u < v]


def test_the_registry_has_every_family() -> None:
    assert list(TOPOLOGIES) == FAMILIES
    for name, family in TOPOLOGIES.items():
        assert family.name == name
        assert family.order
        assert all(family.parameters.values())


def test_the_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TOPOLOGIES["ring"] = TOPOLOGIES["line"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("complete", {"n": 3}, [(0, 1), (0, 2), (1, 2)]),
        ("complete", {"n": 1}, []),
        ("ring", {"n": 4}, [(0, 1), (0, 3), (1, 2), (2, 3)]),
        ("ring", {"n": 2}, [(0, 1)]),
        ("star", {"n": 4}, [(0, 1), (0, 2), (0, 3)]),
        ("star", {"n": 1}, []),
        ("line", {"n": 4}, [(0, 1), (1, 2), (2, 3)]),
        ("line", {"n": 1}, []),
        ("grid", {"rows": 2, "cols": 3}, [(0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5)]),
        ("grid", {"n": 1}, []),
        ("torus", {"rows": 1, "cols": 3}, [(0, 1), (0, 2), (1, 2)]),
        ("torus", {"rows": 2, "cols": 2}, [(0, 1), (0, 2), (1, 3), (2, 3)]),
        ("torus", {"rows": 1, "cols": 1}, []),
        ("tree", {"branching": 2, "depth": 2}, [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)]),
        ("tree", {"branching": 1, "depth": 2}, [(0, 1), (1, 2)]),
        ("tree", {"branching": 5, "depth": 0}, []),
        ("hypercube", {"dimension": 2}, [(0, 1), (0, 2), (1, 3), (2, 3)]),
        ("hypercube", {"dimension": 0}, []),
        ("bipartite", {"left": 1, "right": 2}, [(0, 1), (0, 2)]),
        ("erdos_renyi", {"n": 3, "p": 1}, [(0, 1), (0, 2), (1, 2)]),
        ("erdos_renyi", {"n": 3, "p": 0.0}, []),
    ],
)
def test_small_graphs_by_hand(name: str, parameters: dict[str, object], expected: list[tuple[int, int]]) -> None:
    network = build_topology(name, **parameters)
    assert links(network) == expected
    assert network.n_links == 2 * len(expected)
    assert not network.has_delay
    assert network.names == ()


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("ring", {"n": 8}, "ring of 8 devices"),
        ("complete", {"n": 1}, "complete graph of 1 device"),
        ("torus", {"rows": 3, "cols": 4}, "torus of 3 by 4 devices"),
        ("regular", {"n": 20, "degree": 4}, "random 4-regular graph of 20 devices, seed 0"),
        ("hypercube", {"n": 16}, "hypercube of dimension 4, 16 devices"),
        ("bipartite", {"left": 3, "right": 4}, "complete bipartite graph of 3 and 4 devices"),
        ("erdos_renyi", {"n": 10, "p": 0.25, "seed": 7}, "Erdős-Rényi graph of 10 devices, p = 0.25, seed 7"),
    ],
)
def test_descriptions_are_words(name: str, parameters: dict[str, object], words: str) -> None:
    assert build_topology(name, **parameters).description == words


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("grid", {"n": 9}, {"rows": 3, "cols": 3}),
        ("grid", {"n": 6, "rows": 2}, {"rows": 2, "cols": 3}),
        ("torus", {"n": 12, "cols": 4}, {"rows": 3, "cols": 4, "n": 12}),
        ("hypercube", {"n": 8}, {"dimension": 3, "n": 8}),
        ("tree", {"branching": 3, "n": 13}, {"branching": 3, "depth": 2, "n": 13}),
        ("bipartite", {"left": 2, "n": 5}, {"left": 2, "right": 3, "n": 5}),
        ("bipartite", {"right": 2, "n": 5}, {"left": 3, "right": 2}),
        ("ring", {"n": np.int64(5)}, {"n": 5.0}),
        ("regular", {"n": 8, "degree": 3}, {"n": 8, "degree": 3, "seed": 0}),
    ],
)
def test_two_ways_to_say_the_same(name: str, one: dict[str, object], other: dict[str, object]) -> None:
    assert links(build_topology(name, **one)) == links(build_topology(name, **other))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("regular", {"n": 20, "degree": 3}),
        ("regular", {"n": 20, "degree": 16}),
        ("erdos_renyi", {"n": 20, "p": 0.3}),
        ("watts_strogatz", {"n": 20, "degree": 4, "p": 0.3}),
        ("barabasi_albert", {"n": 20, "links": 2}),
        ("geometric", {"n": 20, "radius": 0.3}),
    ],
)
def test_the_seed_decides(name: str, parameters: dict[str, object]) -> None:
    assert links(build_topology(name, **parameters, seed=1)) == links(build_topology(name, **parameters, seed=1))
    assert links(build_topology(name, **parameters, seed=1)) != links(build_topology(name, **parameters, seed=2))


def test_big_deterministic_networks() -> None:
    """Vectorised: a million devices, or four million links, in well under a second each."""
    assert build_topology("ring", n=1_000_000).n_links == 2_000_000
    complete = build_topology("complete", n=2000)
    assert complete.n_links == 2000 * 1999
    assert 7 not in complete.neighbours(7)
    assert build_topology("torus", rows=300, cols=300).out_degree.tolist() == [4] * 90_000


def test_a_dense_regular_graph_comes_at_once() -> None:
    """Pairing free ends at random would take minutes at this density."""
    assert set(build_topology("regular", n=200, degree=190).out_degree.tolist()) == {190}


REFUSED = [
    ("rign", {"n": 4}, "topology = rign: did you mean ring? the families are complete, ring, "),
    ("moebius", {"n": 4}, "topology = moebius: the families are complete, "),
    (3, {"n": 4}, "topology = 3: the families are "),
    ("ring", {}, "n is missing: the family ring needs a whole number, 2 or more"),
    ("ring", {"n": 1}, "n = 1: a whole number, 2 or more"),
    ("ring", {"n": "4"}, "n = 4: a whole number, 2 or more"),
    ("ring", {"n": True}, "n = True: a whole number, 2 or more"),
    ("ring", {"n": 4.5}, "n = 4.5: a whole number, 2 or more"),
    ("ring", {"n": float("nan")}, "n = nan: a whole number, 2 or more"),
    ("ring", {"n": [4]}, "n = [4]: a whole number, 2 or more"),
    ("ring", {"n": None}, "n = None: a whole number, 2 or more"),
    ("ring", {"n": 10**12}, "n = 1000000000000: a whole number from 2 to 50000000"),
    ("ring", {"n": 4, "size": 3}, "size = 3: the family ring takes n"),
    ("ring", {"n": 4, "name": "office"}, "name = office: the family ring takes n"),
    ("complete", {"n": 0}, "n = 0: a whole number, 1 or more"),
    ("complete", {"n": 10**6}, "n = 1000000: less: this network has 1e+12 directed links, and 2e+08 fit"),
    ("regular", {"n": 6, "degre": 3}, "degre = 3: did you mean degree? the family regular takes n, degree, seed"),
    ("regular", {"n": 5, "degree": 3}, "degree = 3: an even number, because n = 5 is odd and every link has two ends"),
    ("regular", {"n": 5, "degree": 5}, "degree = 5: a whole number from 1 to 4"),
    ("regular", {"n": 6, "degree": 3, "seed": -1}, "seed = -1: a whole number, 0 or more"),
    ("grid", {}, "rows is missing: the family grid needs rows and cols, or a square n"),
    ("grid", {"rows": 3}, "cols is missing: the family grid needs a whole number, 1 or more"),
    ("grid", {"n": 7}, "n = 7: a square such as 4 or 9, or rows and cols"),
    ("grid", {"rows": 2, "n": 7}, "n = 7: a multiple of rows = 2"),
    ("torus", {"rows": 2, "cols": 3, "n": 7}, "n = 7: 6, which rows times cols gives; or leave n out"),
    (
        "grid",
        {"rows": 10**6, "cols": 10**6},
        "n = 1000000000000: rows times cols gives more than the 50000000 devices that fit",
    ),
    ("erdos_renyi", {"n": 5, "p": 1.5}, "p = 1.5: a probability, 0 to 1"),
    ("erdos_renyi", {"n": 5, "p": "half"}, "p = half: a probability, 0 to 1"),
    ("erdos_renyi", {"n": 5}, "p is missing: the family erdos_renyi needs a probability, 0 to 1"),
    (
        "watts_strogatz",
        {"n": 9, "degree": 3, "p": 0.1},
        "degree = 3: an even number: as many neighbours on either side of the ring",
    ),
    ("barabasi_albert", {"n": 4, "links": 4}, "links = 4: a whole number from 1 to 3"),
    ("geometric", {"n": 4, "radius": 0}, "radius = 0: a distance in the unit square, above 0"),
    ("geometric", {"n": 4, "radius": float("inf")}, "radius = inf: a distance in the unit square, above 0"),
    ("geometric", {"n": 4, "radius": 10**400}, "radius = 1000"),
    ("tree", {"branching": 2}, "depth is missing: the family tree needs a whole number, 0 or more"),
    ("tree", {"branching": 2, "n": 8}, "n = 8: a full tree of branching 2, such as 7 or 15 devices"),
    ("tree", {"branching": 9, "depth": 10**7}, "depth = 10000000: fewer levels: at most 50000000 devices fit"),
    ("hypercube", {"n": 12}, "n = 12: a power of two such as 8 or 16, or a dimension"),
    ("hypercube", {"dimension": 3, "n": 16}, "n = 16: 8, which dimension 3 gives; or leave n out"),
    ("hypercube", {"dimension": 60}, "dimension = 60: a whole number from 0 to 22"),
    ("bipartite", {"left": 3, "n": 3}, "n = 3: more than left = 3, so that both sides have devices"),
    ("bipartite", {"left": 3}, "right is missing: the family bipartite needs a whole number, 1 or more"),
]


@pytest.mark.parametrize(("name", "parameters", "line"), REFUSED)
def test_refusals_are_one_line(name: str, parameters: dict[str, object], line: str) -> None:
    with pytest.raises(TopologyError) as caught:
        build_topology(name, **parameters)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_importing_costs_no_networkx() -> None:
    code = "import sys, dmoa_theory.model.topologies, dmoa_theory.model.graph_files; print('networkx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
