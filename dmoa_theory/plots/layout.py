"""Where to draw the devices of a network: the same network always in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.model.network import Network

__all__ = ["positions"]

_CIRCLE_UP_TO = 12


def positions(network: Network) -> FloatArray:
    """Places of the devices; shape (n, 2).

    A complete graph of up to 12 devices and any ring stand on a circle, the first device on top and the others clockwise.
    Anything else is laid out so that distances on paper are like distances in hops (Kamada-Kawai); devices that no path
    joins count as two hops farther apart than the two ends of the longest path.

    Examples
    --------
    >>> from dmoa_theory import build_topology
    >>> np.abs(positions(build_topology("ring", n=4))).round(6).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    n = network.n_devices
    if n == 1:
        return np.zeros((1, 2))
    if (n <= _CIRCLE_UP_TO and network.n_links == n * (n - 1)) or _is_ring(network):
        return _circle(n)
    import networkx as nx

    graph = network.to_networkx().to_undirected()
    hops = dict(nx.all_pairs_shortest_path_length(graph))
    apart = 2 + max(max(row.values()) for row in hops.values())
    distance = {u: {v: hops[u].get(v, apart) for v in range(n)} for u in range(n)}
    start = _scaled(np.array([[distance[u][v] for v in range(n)] for u in range(n)], dtype=np.float64))
    found = nx.kamada_kawai_layout(graph, dist=distance, pos=dict(enumerate(start)), weight=None)
    return _lying(np.array([found[u] for u in range(n)]))


def _lying(place: FloatArray) -> FloatArray:
    """Turned so that what is long lies on its side, the first device to the left and on top; the rest stays as it is."""
    place = place - place.mean(axis=0)
    size, direction = np.linalg.eigh(place.T @ place)
    if size[1] < 1.3 * size[0]:
        return place
    turned = place @ direction[:, ::-1]
    return np.asarray(turned * np.where(turned[0] * (1, -1) > 0, -1.0, 1.0))


def _scaled(distance: FloatArray) -> FloatArray:
    """Classical scaling, from where Kamada-Kawai unfolds grids; a faint circle parts devices that it puts in one place."""
    squares = distance**2
    centred = -0.5 * (squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean())
    size, direction = np.linalg.eigh(centred)
    plane = direction[:, -2:] * np.sqrt(np.maximum(size[-2:], 0.0))
    # eigenvectors come with either sign: the first device that is off the middle is put on the positive side
    signs = [np.sign(column[np.flatnonzero(np.abs(column) > 1e-6)[:1]]).sum() or 1.0 for column in plane.T]
    return np.asarray(plane / max(np.abs(plane).max(), 1e-9) * signs + 0.15 * _circle(len(distance)))


def _circle(n: int) -> FloatArray:
    angle = np.pi / 2 - 2 * np.pi * np.arange(n) / n
    return np.column_stack((np.cos(angle), np.sin(angle)))


def _is_ring(network: Network) -> bool:
    """Whether links join each device with the next one round the circle and nothing else, one way or both."""
    n = network.n_devices
    step = (network.indices.astype(np.int64) - network.link_sources()) % n
    joined = np.unique(np.where(step == 1, network.link_sources(), network.indices))
    return n >= 3 and bool(np.isin(step, (1, n - 1)).all()) and joined.size == n
