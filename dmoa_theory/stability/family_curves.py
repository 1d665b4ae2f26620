"""How far the rates of a graph family reach as it grows, and as more neighbours are asked: from drawn networks, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray, read_only
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.service import ServiceTime
from dmoa_theory.model.system import System
from dmoa_theory.model.topologies import build_topology
from dmoa_theory.stability.loads import utilisation

__all__ = ["GROWING_FAMILIES", "CriticalCurves", "GrowingFamily", "critical_curves"]

#: Neighbours asked in a layer, at most.
MOST_NEIGHBOURS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingFamily:
    """How a family grows: the number that grows, its values, and the parameters of :func:`build_topology` for each.

    Attributes
    ----------
    symbol : str
        What the derivations call that number.
    axis : str
        The same in words.
    sizes : tuple of int
    parameters : callable
        From the number to the keywords of the family.
    """

    symbol: str
    axis: str
    sizes: tuple[int, ...]
    parameters: Callable[[int], dict[str, float]]


_DEVICES = "number of devices n"
_FEW = (3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 32)
_MANY = (16, 24, 32, 48, 64, 96, 128)
_SIDES = (4, 5, 6, 7, 8, 10, 12)
_LINE = (4, *_FEW[2:])


def _by_devices(sizes: tuple[int, ...], **fixed: float) -> GrowingFamily:
    return GrowingFamily(symbol="n", axis=_DEVICES, sizes=sizes, parameters=lambda n: {"n": n, **fixed})


def _by_sides(sizes: tuple[int, ...]) -> GrowingFamily:
    return GrowingFamily(
        symbol="rows", axis="rows and columns", sizes=sizes, parameters=lambda rows: {"rows": rows, "cols": rows}
    )


GROWING_FAMILIES: Mapping[str, GrowingFamily] = MappingProxyType(
    {
        "complete": _by_devices((2, *_FEW)),
        "ring": _by_devices(_FEW),
        "star": _by_devices(_FEW),
        "line": _by_devices(_LINE),
        "grid": _by_sides(_SIDES),
        "torus": _by_sides((3, *_SIDES)),
        "regular": GrowingFamily(
            symbol="d",
            axis="neighbours d of each of 32 devices",
            sizes=(2, 3, 4, 6, 8, 12, 16, 24),
            parameters=lambda d: {"n": 32, "degree": d},
        ),
        "bipartite": GrowingFamily(
            symbol="left",
            axis="devices on the left, beside 8 on the right",
            sizes=(1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32),
            parameters=lambda left: {"left": left, "right": 8},
        ),
        "tree": GrowingFamily(
            symbol="branching",
            axis="branching of a tree of depth 3",
            sizes=(2, 3, 4, 5, 6, 7, 8),
            parameters=lambda branching: {"branching": branching, "depth": 3},
        ),
        "hypercube": GrowingFamily(
            symbol="dimension",
            axis="dimension",
            sizes=(1, 2, 3, 4, 5, 6, 7, 8),
            parameters=lambda dimension: {"dimension": dimension},
        ),
        "erdos_renyi": GrowingFamily(
            symbol="n",
            axis=f"{_DEVICES}, 12 links each in the mean",
            sizes=_MANY,
            parameters=lambda n: {"n": n, "p": 12 / (n - 1)},
        ),
        "barabasi_albert": GrowingFamily(
            symbol="n",
            axis=f"{_DEVICES}, 3 links brought by each",
            sizes=_MANY,
            parameters=lambda n: {"n": n, "links": 3},
        ),
        "watts_strogatz": GrowingFamily(
            symbol="n",
            axis=f"{_DEVICES}, 6 links each, a fifth of them rewired",
            sizes=_MANY,
            parameters=lambda n: {"n": n, "degree": 6, "p": 0.2},
        ),
    }
)
"""How each family of :data:`~dmoa_theory.model.topologies.TOPOLOGIES` grows in pictures; random ones are drawn from seed 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CriticalCurves:
    """Exact: the largest rate of every user of a family, all devices and rates alike, by size and by k.

    Attributes
    ----------
    family : str
    growing : GrowingFamily
        What grows.
    M : int
        Layers.
    sizes : ndarray of int, shape (s,)
    n_devices, largest_degree : ndarray of int, shape (s,)
    mean_degree : ndarray, shape (s,)
        Of each network.
    ks : ndarray of int, shape (q,)
        Neighbours asked in a layer, from 0.
    rate : ndarray, shape (s, q)
        Prompts of each user in a mean service time below which every load is below one; NaN where some user has fewer
        neighbours than k.
    """

    family: str
    growing: GrowingFamily
    M: int
    sizes: IntArray
    n_devices: IntArray
    largest_degree: IntArray
    mean_degree: FloatArray
    ks: IntArray
    rate: FloatArray

    def parameters(self) -> dict[str, FloatArray]:
        """What each network was built with, and its degrees ``d`` (the largest) and ``mean_degree``; each of shape (s, 1)."""
        built = [self.growing.parameters(size) for size in self.sizes.tolist()]
        columns = {key: np.array([float(each[key]) for each in built]) for key in built[0]}
        columns |= {"d": self.largest_degree.astype(np.float64), "mean_degree": self.mean_degree}
        return {key: column[:, None] for key, column in columns.items()}

    def records(self) -> list[dict[str, Any]]:
        """One row a size and k."""
        return [
            {
                "family": self.family,
                self.growing.symbol: size,
                "devices": n,
                "M": self.M,
                "k": k,
                "critical_rate_times_alpha": rate,
            }
            for size, n, row in zip(self.sizes.tolist(), self.n_devices.tolist(), self.rate.tolist(), strict=True)
            for k, rate in zip(self.ks.tolist(), row, strict=True)
            if not np.isnan(rate)
        ]


def critical_curves(family: str, *, M: int = 2) -> CriticalCurves:
    """Exact: the largest rate of every user of growing networks of a family, from the loads of each network.

    Parameters
    ----------
    family : str
        One of :data:`GROWING_FAMILIES`.
    M : int
        Layers, at least 1.

    Raises
    ------
    InputError
        For a family that is not known.

    Examples
    --------
    The centre of a star is asked by all leaves, so each may send less the more there are:

    >>> from dmoa_theory.stability.family_curves import critical_curves
    >>> curves = critical_curves("star", M=1)
    >>> curves.ks.tolist(), curves.rate[curves.sizes == 10].round(4).tolist()
    ([0, 1], [[0.5, 0.0909]])
    """
    if family not in GROWING_FAMILIES:
        raise InputError("family", family, "one of " + ", ".join(GROWING_FAMILIES))
    growing = GROWING_FAMILIES[family]
    networks = [build_topology(family, **growing.parameters(size)) for size in growing.sizes]
    most = min(MOST_NEIGHBOURS, max(int(network.out_degree.min()) for network in networks))
    rate = [[_largest_rate(network, M, k) for k in range(most + 1)] for network in networks]
    return CriticalCurves(
        family=family,
        growing=growing,
        M=M,
        sizes=read_only(np.array(growing.sizes)),
        n_devices=read_only(np.array([network.n_devices for network in networks])),
        largest_degree=read_only(np.array([int(network.out_degree.max()) for network in networks])),
        mean_degree=read_only(np.array([float(network.out_degree.mean()) for network in networks])),
        ks=read_only(np.arange(most + 1)),
        rate=read_only(np.array(rate)),
    )


def _largest_rate(network: Network, M: int, k: int) -> float:
    """Of users who all send at one rate to devices whose mean service time is one."""
    if k > network.out_degree.min():
        return float("nan")
    system = System(network=network, arrival_rate=1.0, service=ServiceTime.gamma(1.0, scv=1.0), moa=MoA(M, k))
    return 1 / float(utilisation(system).max())
