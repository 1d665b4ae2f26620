"""How each named graph family is drawn, from its checked parameters.

The deterministic families are vectorised numpy, so that a million devices take a second; the random ones are networkx's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.checks import IntArray
from dmoa_theory.model.network import Network
from dmoa_theory.model.topology_parameters import MOST_DEVICES, Parameters

if TYPE_CHECKING:
    import networkx as nx

__all__ = [
    "barabasi_albert",
    "bipartite",
    "complete",
    "erdos_renyi",
    "geometric",
    "grid",
    "hypercube",
    "line",
    "regular",
    "ring",
    "star",
    "torus",
    "tree",
    "watts_strogatz",
]


def _devices(n: int) -> str:
    return f"{n} device" if n == 1 else f"{n} devices"


def _both_ways(n: int, u: npt.NDArray[Any], v: npt.NDArray[Any], description: str) -> Network:
    """Build the network in which ``u[e]`` and ``v[e]`` may ask each other; each pair stands once."""
    source, target = np.concatenate((u, v)), np.concatenate((v, u))
    order = np.argsort(source * np.int64(n) + target)  # one key a link: several times faster than sorting pairs
    indptr = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=n)))).astype(np.int64)
    return Network(indptr=indptr, indices=target[order].astype(np.int32), description=description)


def _from_graph(graph: nx.Graph[Any], description: str) -> Network:
    pairs: IntArray = np.array(list(graph.edges), dtype=np.int64).reshape(-1, 2)
    return _both_ways(len(graph), pairs[:, 0], pairs[:, 1], description)


# -- deterministic families -------------------------------------------------------------------------------------------


def complete(given: Parameters) -> Network:
    """Link every device with every other."""
    n = given.whole("n", 1)
    given.affordable(float(n) * (n - 1), "n")
    others = np.arange(n - 1, dtype=np.int32)
    indices = np.tile(others, (n, 1))
    indices += others >= np.arange(n, dtype=np.int32)[:, None]  # step over the device itself
    indptr = np.arange(n + 1, dtype=np.int64) * (n - 1)
    return Network(indptr=indptr, indices=indices.ravel(), description=f"complete graph of {_devices(n)}")


def ring(given: Parameters) -> Network:
    """Link every device with the next, and the last with the first."""
    n = given.whole("n", 2)
    u = np.arange(n if n > 2 else 1)  # two devices share one link, not two
    return _both_ways(n, u, (u + 1) % n, f"ring of {_devices(n)}")


def line(given: Parameters) -> Network:
    """Link every device with the next."""
    n = given.whole("n", 1)
    u = np.arange(n - 1)
    return _both_ways(n, u, u + 1, f"line of {_devices(n)}")


def star(given: Parameters) -> Network:
    """Link device 0, the centre, with every other."""
    n = given.whole("n", 1)
    leaves = np.arange(1, n)
    return _both_ways(n, np.zeros_like(leaves), leaves, f"star of {_devices(n)}")


def _sides(given: Parameters) -> tuple[int, int]:
    """Rows and columns, from both, from one of them and n, or from a square n."""
    if "rows" not in given and "cols" not in given:
        if "n" not in given:
            raise TopologyError("rows", InputError.MISSING, f"the family {given.family} needs rows and cols, or a square n")
        n = given.whole("n", 1)
        side = math.isqrt(n)
        if side * side != n:
            raise TopologyError("n", n, f"a square such as {side * side} or {(side + 1) ** 2}, or rows and cols")
        return side, side
    first, second = ("rows", "cols") if "rows" in given else ("cols", "rows")
    one = given.whole(first, 1)
    if second not in given and "n" in given:
        n = given.whole("n", 1)
        if n % one:
            raise TopologyError("n", n, f"a multiple of {first} = {one}")
        other = n // one
    else:
        other = given.whole(second, 1)
    rows, cols = (one, other) if first == "rows" else (other, one)
    given.agrees(rows * cols, "rows times cols")
    return rows, cols


def grid(given: Parameters) -> Network:
    """Link neighbours in rows and columns; devices row by row."""
    rows, cols = _sides(given)
    place = np.arange(rows * cols).reshape(rows, cols)
    u = np.concatenate((place[:, :-1].ravel(), place[:-1].ravel()))
    v = np.concatenate((place[:, 1:].ravel(), place[1:].ravel()))
    return _both_ways(rows * cols, u, v, f"grid of {rows} by {cols} devices")


def torus(given: Parameters) -> Network:
    """Link neighbours in rows and columns that close to rings; devices row by row."""
    rows, cols = _sides(given)
    place = np.arange(rows * cols).reshape(rows, cols)
    # a side of 1 does not wrap onto itself, and a side of 2 has one link, not two
    across = place[:, : cols if cols > 2 else cols - 1]
    down = place[: rows if rows > 2 else rows - 1]
    u = np.concatenate((across.ravel(), down.ravel()))
    v = np.concatenate(
        (np.roll(place, -1, axis=1)[:, : across.shape[1]].ravel(), np.roll(place, -1, axis=0)[: len(down)].ravel())
    )
    return _both_ways(rows * cols, u, v, f"torus of {rows} by {cols} devices")


def tree(given: Parameters) -> Network:
    """Link every device above the last level with ``branching`` children; breadth first from the root, device 0."""
    branching = given.whole("branching", 1)
    if "depth" not in given and "n" in given:
        n, size, layer, depth = given.whole("n", 1), 1, 1, 0
        while size < n:
            layer *= branching
            size, depth = size + layer, depth + 1
        if size != n:
            raise TopologyError("n", n, f"a full tree of branching {branching}, such as {size - layer} or {size} devices")
    else:
        depth, n, layer = given.whole("depth", 0), 1, 1
        for _ in range(depth):
            layer *= branching
            n += layer
            if n > MOST_DEVICES:
                raise TopologyError("depth", depth, f"fewer levels: at most {MOST_DEVICES} devices fit")
        given.agrees(n, f"branching {branching} and depth {depth}")
    child = np.arange(1, n)
    return _both_ways(n, (child - 1) // branching, child, f"tree of branching {branching} and depth {depth}, {_devices(n)}")


def hypercube(given: Parameters) -> Network:
    """Link devices whose numbers differ in one binary digit."""
    if "dimension" not in given and "n" in given:
        n = given.whole("n", 1)
        dimension = n.bit_length() - 1
        if n != 2**dimension:
            raise TopologyError("n", n, f"a power of two such as {2**dimension} or {2 ** (dimension + 1)}, or a dimension")
    else:
        dimension = given.whole("dimension", 0, 22)
        n = 2**dimension
        given.agrees(n, f"dimension {dimension}")
    given.affordable(float(n) * dimension, "dimension" if "dimension" in given else "n")
    place, bits = np.arange(n), 1 << np.arange(dimension)
    u = np.concatenate([place[place & bit == 0] for bit in bits]) if dimension else place[:0]
    return _both_ways(n, u, u + np.repeat(bits, n // 2), f"hypercube of dimension {dimension}, {_devices(n)}")


def bipartite(given: Parameters) -> Network:
    """Link every device on the left, which come first, with every one on the right."""
    if "n" in given and ("left" in given) != ("right" in given):
        key = "left" if "left" in given else "right"
        one, n = given.whole(key, 1), given.whole("n", 2)
        if n <= one:
            raise TopologyError("n", n, f"more than {key} = {one}, so that both sides have devices")
        left, right = (one, n - one) if key == "left" else (n - one, one)
    else:
        left, right = given.whole("left", 1), given.whole("right", 1)
        given.agrees(left + right, "left plus right")
    given.affordable(2.0 * left * right, "left" if "left" in given else "right")
    u, v = np.repeat(np.arange(left), right), np.tile(np.arange(left, left + right), left)
    return _both_ways(left + right, u, v, f"complete bipartite graph of {left} and {right} devices")


# -- random families --------------------------------------------------------------------------------------------------


def regular(given: Parameters) -> Network:
    """Draw a graph in which every device has ``degree`` neighbours."""
    n = given.whole("n", 2)
    degree = given.whole("degree", 1, n - 1)
    if n * degree % 2:
        raise TopologyError("degree", degree, f"an even number, because n = {n} is odd and every link has two ends")
    given.affordable(float(n) * degree, "degree")
    seed = given.seed()
    import networkx as nx

    # pairing free ends at random hardly ever succeeds in a dense graph: there, draw the links that are absent
    dense = 2 * degree > n - 1
    graph = nx.random_regular_graph(n - 1 - degree if dense else degree, n, seed=seed)
    description = f"random {degree}-regular graph of {_devices(n)}, seed {seed}"
    return _from_graph(nx.complement(graph) if dense else graph, description)


def erdos_renyi(given: Parameters) -> Network:
    """Draw every link with probability ``p``, independently."""
    n, p = given.whole("n", 1), given.probability("p")
    given.affordable(p * n * (n - 1), "n")
    seed = given.seed()
    import networkx as nx

    return _from_graph(nx.erdos_renyi_graph(n, p, seed=seed), f"Erdős-Rényi graph of {_devices(n)}, p = {p:g}, seed {seed}")


def watts_strogatz(given: Parameters) -> Network:
    """Draw a small world: a ring of ``degree`` nearest neighbours, each link rewired with probability ``p``."""
    n = given.whole("n", 3)
    degree = given.whole("degree", 2, n - 1)
    if degree % 2:
        raise TopologyError("degree", degree, "an even number: as many neighbours on either side of the ring")
    p = given.probability("p")
    given.affordable(float(n) * degree, "degree")
    seed = given.seed()
    import networkx as nx

    description = f"Watts-Strogatz graph of {_devices(n)}, degree {degree}, p = {p:g}, seed {seed}"
    return _from_graph(nx.watts_strogatz_graph(n, degree, p, seed=seed), description)


def barabasi_albert(given: Parameters) -> Network:
    """Draw by preferential attachment: each newcomer links to ``links`` devices; oldest first."""
    n = given.whole("n", 2)
    links = given.whole("links", 1, n - 1)
    given.affordable(2.0 * n * links, "links")
    seed = given.seed()
    import networkx as nx

    description = f"Barabási-Albert graph of {_devices(n)}, {links} links a newcomer, seed {seed}"
    return _from_graph(nx.barabasi_albert_graph(n, links, seed=seed), description)


def geometric(given: Parameters) -> Network:
    """Drop the devices on the unit square and link those at most ``radius`` apart."""
    n = given.whole("n", 1)
    radius = given.real("radius", "a distance in the unit square, above 0", lambda r: r > 0)
    given.affordable(min(1.0, math.pi * radius**2) * n * (n - 1), "n")
    seed = given.seed()
    import networkx as nx

    description = f"random geometric graph of {_devices(n)}, radius {radius:g}, seed {seed}"
    return _from_graph(nx.random_geometric_graph(n, radius, seed=seed), description)
