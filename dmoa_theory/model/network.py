"""Who can gossip to whom, and how long a message takes: the directed graph of devices, held as sparse arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.checks import FloatArray, FloatLike, IntArray, owned

if TYPE_CHECKING:
    import networkx as nx
    from scipy import sparse

__all__ = ["Device", "Network"]


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a network: its position, its name, and the positions of those it may ask."""

    index: int
    name: str
    neighbours: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A directed graph of devices in compressed sparse rows: row ``u`` lists the devices that ``u`` may ask.

    Usually made by a constructor below or by :func:`dmoa_theory.model.topologies.build_topology`.

    Parameters
    ----------
    indptr : ndarray, shape (n + 1,), integer
        ``indices[indptr[u]:indptr[u + 1]]`` are the out-neighbours of device ``u``.
    indices : ndarray, shape (n_links,), integer
        Out-neighbours, rising within each row, without the device itself.
    link_delay : float or ndarray, shape (n_links,), seconds
        One-way delay of each link, in the order of ``indices``. A job reaches the neighbour one delay after the fork and
        its response is back one delay of the opposite link after it ends (the same delay where no such link is listed).
    names : tuple of str
        One name a device; empty for ``device-0``, ``device-1``, ...
    description : str
        What the network is, in words, for reports.

    Raises
    ------
    TopologyError
        When the arrays are not a simple directed graph, a delay is negative, or names repeat.

    Examples
    --------
    >>> from dmoa_theory import Network
    >>> network = Network.from_links(3, [0, 0, 1, 2], [1, 2, 0, 0])
    >>> network.n_devices, network.n_links
    (3, 4)
    >>> network.device(0)
    Device(index=0, name='device-0', neighbours=(1, 2))
    """

    indptr: npt.NDArray[np.signedinteger[Any]]
    indices: npt.NDArray[np.signedinteger[Any]]
    link_delay: FloatLike = 0.0
    names: tuple[str, ...] = ()
    description: str = "network"

    def __post_init__(self) -> None:
        """Check that the arrays are a simple directed graph, and freeze them."""
        indptr = np.ascontiguousarray(self.indptr, dtype=np.int64)
        indices = np.ascontiguousarray(self.indices)
        n = indptr.size - 1
        if n < 1:
            raise TopologyError("n", n, "a network has at least one device")
        if indptr[0] != 0 or indptr[-1] != indices.size or (np.diff(indptr) < 0).any():
            raise TopologyError("indptr", "not rising from 0 to the number of links", "a CSR row pointer")
        if indices.size and (indices.min() < 0 or indices.max() >= n):
            raise TopologyError("links", "an end outside the network", f"device numbers from 0 to {n - 1}")
        own = np.repeat(np.arange(n, dtype=indices.dtype), np.diff(indptr))
        if (own == indices).any():
            u = int(own[own == indices][0])
            raise TopologyError("links", f"device {u} to itself", "no self-links: the own device always takes part")
        rising = np.diff(indices) > 0
        rising[indptr[1:-1][(indptr[1:-1] > 0) & (indptr[1:-1] < indices.size)] - 1] = True  # a new row may start lower
        if not rising.all():
            wrong = int(np.flatnonzero(~rising)[0])
            link = f"{np.searchsorted(indptr, wrong, side='right') - 1} to {indices[wrong + 1]}"
            raise TopologyError("links", f"device {link}, listed twice or out of order", "each link once, neighbours rising")
        delay = np.asarray(self.link_delay, dtype=np.float64)
        if delay.ndim > 1 or (delay.ndim == 1 and delay.size != indices.size):
            raise TopologyError("link_delay", f"{delay.size} values", f"one number, or one for each of {indices.size} links")
        if not (np.isfinite(delay) & (delay >= 0)).all():
            raise TopologyError(
                "link_delay",
                delay[~(np.isfinite(delay) & (delay >= 0))].flat[0].item(),
                "a finite number of seconds, 0 or more",
            )
        if self.names:
            if len(self.names) != n:
                raise TopologyError("names", f"{len(self.names)} names", f"a list of {n} (one a device)")
            if len(set(self.names)) != n:
                twice = next(name for name in self.names if self.names.count(name) > 1)
                raise TopologyError("names", twice, "each name once")
        object.__setattr__(self, "indptr", owned(indptr))
        object.__setattr__(self, "indices", owned(indices))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "link_delay", np.broadcast_to(owned(delay), indices.shape))

    # -- constructors ---------------------------------------------------------------------------------------------

    @classmethod
    def from_adjacency(
        cls,
        adjacency: sparse.sparray | sparse.spmatrix | npt.ArrayLike,
        *,
        link_delay: FloatLike = 0.0,
        names: tuple[str, ...] = (),
        description: str = "network",
    ) -> Network:
        """A network from an n-by-n matrix, sparse or dense, whose non-zero entry (u, v) means that u may ask v.

        Parameters
        ----------
        adjacency : sparse array or array_like, shape (n, n)
            Only the places of the non-zeros are used.
        link_delay : float or ndarray, shape (n_links,), seconds
            In row-major order of the non-zeros.
        names, description
            As for :class:`Network`.

        Raises
        ------
        TopologyError
            When the matrix is not square, holds NaN, or has a non-zero on its diagonal.

        Examples
        --------
        >>> from dmoa_theory import Network
        >>> Network.from_adjacency([[0, 1], [1, 0]]).n_links
        2
        """
        from scipy import sparse

        try:
            csr: sparse.csr_array[Any] = sparse.csr_array(adjacency)  # type: ignore[arg-type]  # any matrix-like will do
        except (TypeError, ValueError):
            raise TopologyError("adjacency", "not a matrix of numbers", "0 for no link, anything else for a link") from None
        if csr.ndim != 2 or csr.shape[0] != csr.shape[1]:
            raise TopologyError("adjacency", f"shape {csr.shape}", "a square matrix, one row and column a device")
        if not csr.has_canonical_format or (csr.data == 0).any():
            csr = csr.copy()  # tidying works in place; the caller's matrix stays as it was
            csr.sum_duplicates()
            csr.eliminate_zeros()
        if csr.data.dtype.kind not in "biuf" or (csr.data.dtype.kind == "f" and not np.isfinite(csr.data).all()):
            raise TopologyError("adjacency", "an entry that is not a finite number", "0 for no link, anything else for a link")
        return cls(indptr=csr.indptr, indices=csr.indices, link_delay=link_delay, names=names, description=description)

    @classmethod
    def from_links(
        cls,
        n: int,
        source: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        link_delay: FloatLike = 0.0,
        names: tuple[str, ...] = (),
        description: str = "network",
    ) -> Network:
        """A network of ``n`` devices from parallel lists: ``source[e]`` may ask ``target[e]``.

        ``link_delay`` is one number or one a link, in the order given. A link listed twice is refused.
        """
        source, target = (_whole_numbers(ends) for ends in (source, target))
        if source.shape != target.shape:
            raise TopologyError("links", f"{source.size} sources, {target.size} targets", "as many targets as sources")
        if source.size and (source.min() < 0 or source.max() >= n):
            raise TopologyError("links", "an end outside the network", f"device numbers from 0 to {n - 1}")
        order = np.lexsort((target, source))
        indptr = np.concatenate(([0], np.cumsum(np.bincount(source, minlength=n)))).astype(np.int64)
        delay = np.asarray(link_delay, dtype=np.float64)
        return cls(
            indptr=indptr,
            indices=target[order],
            link_delay=delay[order] if delay.shape == order.shape else delay,
            names=names,
            description=description,
        )

    @classmethod
    def from_networkx(cls, graph: nx.Graph[Any], *, description: str | None = None) -> Network:
        """A network from a networkx graph, devices in the graph's node order.

        An undirected graph means both ways. Node names become device names unless they are plain numbers 0, 1, ...; an
        edge attribute ``link_delay`` (seconds) is read where it stands.
        """
        if graph.is_multigraph():
            raise TopologyError("links", "a multigraph", "each link once")
        place = {node: i for i, node in enumerate(graph)}
        ends = [(place[u], place[v], data.get("link_delay", 0.0)) for u, v, data in graph.edges(data=True)]
        source = np.array([e[0] for e in ends], dtype=np.int64)
        target = np.array([e[1] for e in ends], dtype=np.int64)
        try:
            delay = np.array([e[2] for e in ends], dtype=np.float64)
        except (TypeError, ValueError):
            raise TopologyError("link_delay", "an edge attribute that is not a number", "seconds, 0 or more") from None
        if not graph.is_directed():
            source, target, delay = np.append(source, target), np.append(target, source), np.append(delay, delay)
            if (source == target).any():  # one undirected self-link would be listed twice; name it as what it is
                u = int(source[source == target][0])
                raise TopologyError("links", f"device {u} to itself", "no self-links: the own device always takes part")
        plain = all(node == i for i, node in enumerate(graph))
        return cls.from_links(
            len(place),
            source,
            target,
            link_delay=delay if delay.any() else 0.0,
            names=() if plain else tuple(str(node) for node in graph),
            description=description or "network",
        )

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def n_devices(self) -> int:
        """Number of devices, n."""
        return int(self.indptr.size - 1)

    @property
    def n_links(self) -> int:
        """Number of directed links."""
        return int(self.indices.size)

    @property
    def out_degree(self) -> IntArray:
        """How many neighbours each device may ask; shape (n,)."""
        return np.diff(self.indptr)

    @property
    def has_delay(self) -> bool:
        """Whether any link delay is positive."""
        return bool(np.any(self.link_delay))

    def neighbours(self, u: int) -> npt.NDArray[np.signedinteger[Any]]:
        """Out-neighbours of device ``u``; shape (out-degree,)."""
        return self.indices[self.indptr[u] : self.indptr[u + 1]]

    def name(self, u: int) -> str:
        """The name of device ``u``."""
        return self.names[u] if self.names else f"device-{u}"

    def positions(self) -> dict[str, int]:
        """Where every device is, by number and by name as text; a name goes before a number."""
        n = range(self.n_devices)
        return {str(u): u for u in n} | {self.name(u): u for u in n}

    def position(self, who: int | str, *, field: str = "device", file: str | None = None) -> int:
        """Where a device is that somebody calls by name or by number.

        Raises
        ------
        InputError
            When there is no such device; with the name that is most like it.

        Examples
        --------
        >>> from dmoa_theory import Network
        >>> Network.from_adjacency([[0, 1], [1, 0]], names=["desk", "phone"]).position("phone")
        1
        """
        if isinstance(who, str):
            places = self.positions()
            if who in places:
                return places[who]
        elif not isinstance(who, bool) and isinstance(who, int | np.integer) and 0 <= who < self.n_devices:
            return int(who)
        raise InputError(field, who, self.known_devices(who), file=file)

    def known_devices(self, who: object) -> str:
        """What may stand where ``who`` stood, for complaints."""
        text = str(who)
        near = [] if text.lstrip("-").isdecimal() else get_close_matches(text, self.positions(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{hint}a device by name, or by number from 0 to {self.n_devices - 1}"

    def device(self, u: int) -> Device:
        """Device ``u`` as an object of its own."""
        return Device(u, self.name(u), tuple(self.neighbours(u).tolist()))

    def __len__(self) -> int:
        """Number of devices."""
        return self.n_devices

    def __iter__(self) -> Iterator[Device]:
        """Devices, in order."""
        return (self.device(u) for u in range(self.n_devices))

    def __repr__(self) -> str:
        """What it is, in words."""
        devices = f"{self.n_devices:,} device{'s' * (self.n_devices != 1)}"
        return f"<Network of {devices} and {self.n_links:,} directed links: {self.description}>"

    def matrix(self, values: FloatArray) -> sparse.csr_array:
        """The n-by-n matrix whose entry (u, v) is the value of link u -> v; no copy is made.

        Parameters
        ----------
        values : ndarray, shape (n_links,)
            One value a link.
        """
        from scipy import sparse

        # scipy wants both index arrays of one type; a cast of indptr is n numbers, one of indices would be every link
        indptr = self.indptr.astype(self.indices.dtype, copy=False)
        return sparse.csr_array((values, self.indices, indptr), shape=(self.n_devices, self.n_devices))

    def link_sources(self) -> npt.NDArray[np.signedinteger[Any]]:
        """The asking device of every link; shape (n_links,)."""
        return np.repeat(np.arange(self.n_devices, dtype=self.indices.dtype), self.out_degree)

    def to_networkx(self) -> nx.DiGraph[Any]:
        """The same graph in networkx, nodes numbered, with ``name`` and ``link_delay`` attributes."""
        import networkx as nx

        graph: nx.DiGraph[Any] = nx.DiGraph()
        graph.add_nodes_from((u, {"name": self.name(u)}) for u in range(self.n_devices))
        delays = np.asarray(self.link_delay)
        graph.add_edges_from(
            (int(u), int(v), {"link_delay": float(d)})
            for u, v, d in zip(self.link_sources(), self.indices, delays, strict=True)
        )
        return graph


def _whole_numbers(ends: npt.ArrayLike) -> IntArray:
    """Device numbers as integers; refuses fractions and text."""
    array = np.atleast_1d(np.asarray(ends))
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iuf" or (np.floor(array) != array).any():
        raise TopologyError("links", "an end that is not a whole number", "lists of device numbers")
    return array.astype(np.int64)
