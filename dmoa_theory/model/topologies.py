"""Named graph families: from a name and a few numbers to a :class:`~dmoa_theory.model.network.Network`.

Every family is undirected, so each link stands in the network both ways. The random families are drawn from a seed: the same
parameters give the same network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from dmoa_theory.errors import TopologyError
from dmoa_theory.model import topology_families as families
from dmoa_theory.model.network import Network
from dmoa_theory.model.topology_parameters import Parameters

__all__ = ["TOPOLOGIES", "Family", "build_topology"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One named family of graphs.

    Parameters
    ----------
    name : str
        What the scenario file calls it.
    parameters : mapping of str to str
        Every key the family takes, with its meaning.
    order : str
        Which device is which.
    draw : callable
        From the parameters to the network.
    """

    name: str
    parameters: Mapping[str, str]
    order: str
    draw: Callable[[Parameters], Network]

    def build(self, parameters: Mapping[str, object]) -> Network:
        """Draw the network of these parameters; see :func:`build_topology`."""
        for key, value in parameters.items():
            if key not in self.parameters:
                near = get_close_matches(key, self.parameters, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise TopologyError(key, value, f"{hint}the family {self.name} takes {', '.join(self.parameters)}")
        return self.draw(Parameters(self.name, parameters))


_N = {"n": "number of devices"}
_SEED = {"seed": "whole number; the same seed gives the same graph (default 0)"}
_SIDES = {"rows": "devices in a column", "cols": "devices in a row", "n": "rows times cols, or a square in place of both"}
_AS_DRAWN = "as networkx draws them"


def _families() -> Iterator[Family]:
    def family(name: str, draw: Callable[[Parameters], Network], order: str, **parameters: str) -> Family:
        return Family(name=name, parameters=MappingProxyType(parameters), order=order, draw=draw)

    yield family("complete", families.complete, "all alike", **_N)
    yield family("ring", families.ring, "once round; two devices share one link", **_N)
    yield family("star", families.star, "device 0 is the centre", **_N)
    yield family("line", families.line, "from end to end", **_N)
    yield family("grid", families.grid, "row by row", **_SIDES)
    yield family("torus", families.torus, "row by row; every row and column closes to a ring", **_SIDES)
    yield family("regular", families.regular, _AS_DRAWN, **_N, degree="neighbours of every device, n * degree even", **_SEED)
    yield family("erdos_renyi", families.erdos_renyi, _AS_DRAWN, **_N, p="probability of each link", **_SEED)
    degree = "neighbours of every device before rewiring, even"
    yield family(
        "watts_strogatz",
        families.watts_strogatz,
        "once round the ring",
        **_N,
        degree=degree,
        p="probability of rewiring a link",
        **_SEED,
    )
    links = "links that each newcomer brings"
    yield family("barabasi_albert", families.barabasi_albert, "oldest first; it starts as a star", **_N, links=links, **_SEED)
    yield family(
        "geometric", families.geometric, _AS_DRAWN, **_N, radius="longest link between points of the unit square", **_SEED
    )
    depth = "levels below the root"
    of_tree = {"branching": "children of every device above the last level", "depth": depth, "n": "in place of depth"}
    yield family("tree", families.tree, "device 0 is the root, then breadth first", **of_tree)
    of_cube = {"dimension": "neighbours of every device", "n": "a power of two, in place of dimension"}
    yield family("hypercube", families.hypercube, "neighbours differ in one binary digit of their number", **of_cube)
    of_sides = {"left": "devices on the left", "right": "devices on the right", "n": "in place of one of them"}
    yield family("bipartite", families.bipartite, "the left side first", **of_sides)


TOPOLOGIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _families()})
"""Every family by name, in the order in which they are listed to people."""


def build_topology(name: str, /, **parameters: object) -> Network:
    """Draw the network of a named family, links both ways, without delay.

    Parameters
    ----------
    name : str
        One of :data:`TOPOLOGIES`, which also says which parameters each family takes and in which order its devices stand.
    **parameters
        ``n`` (complete, ring, star, line); ``rows`` and ``cols``, or a square ``n`` (grid, torus); ``n``, ``degree``, ``seed``
        (regular); ``n``, ``p``, ``seed`` (erdos_renyi); ``n``, ``degree``, ``p``, ``seed`` (watts_strogatz); ``n``, ``links``,
        ``seed`` (barabasi_albert); ``n``, ``radius``, ``seed`` (geometric); ``branching``, ``depth`` (tree); ``dimension`` or
        ``n`` (hypercube); ``left`` and ``right`` (bipartite). ``n`` may stand beside what already fixes it, if it agrees.

    Returns
    -------
    Network
        Random families may be disconnected; nothing is redrawn.

    Raises
    ------
    TopologyError
        For an unknown family or key (naming the nearest known one), a missing parameter, or one out of its range.

    Notes
    -----
    A dense ``regular`` graph (degree above half of n - 1) is the complement of a drawn sparse one; every other random graph is
    the one that the networkx generator of the same name draws from the seed. ``erdos_renyi`` looks at every pair of devices.

    Examples
    --------
    >>> from dmoa_theory import build_topology
    >>> build_topology("ring", n=8)
    <Network of 8 devices and 16 directed links: ring of 8 devices>
    >>> build_topology("torus", rows=3, cols=4).out_degree.tolist()
    [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]
    >>> build_topology("regular", n=20, degree=4, seed=0).description
    'random 4-regular graph of 20 devices, seed 0'
    """
    if not isinstance(name, str) or name not in TOPOLOGIES:
        near = get_close_matches(name, TOPOLOGIES, n=1) if isinstance(name, str) else []
        hint = f"did you mean {near[0]}? " if near else ""
        raise TopologyError("topology", name, f"{hint}the families are {', '.join(TOPOLOGIES)}")
    return TOPOLOGIES[name].build(parameters)
