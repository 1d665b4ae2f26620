"""Graph families in symbols: the roles that their devices play, and who is whose neighbour how often.

A role is a set of devices that are asked alike. Its neighbours in every role are counted once by hand, below; their sum is its
degree, and everything else is derived. Families are undirected, users alike, devices alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sympy  # type: ignore[import-untyped]

from dmoa_theory.errors import InputError
from dmoa_theory.symbolic import symbols
from dmoa_theory.symbolic.counting import inclusion
from dmoa_theory.symbolic.derivation import Step
from dmoa_theory.symbolic.pattern import Asked, Pattern, Role, constant_work
from dmoa_theory.symbolic.symbols import alpha, k, lam, m_agg, m_layer, n, scv

__all__ = ["FAMILIES", "GraphFamily", "family_pattern"]

d, left, right, branching = sympy.symbols("d left right branching", integer=True, positive=True)  # "degree" is sympy's own
dimension, mean_degree = sympy.Symbol("dimension", integer=True, positive=True), sympy.Symbol("mean_degree", positive=True)

Neighbours = Mapping[str, Mapping[str, sympy.Expr]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFamily:
    """One family.

    Attributes
    ----------
    neighbours : mapping of str to mapping of str to Expr
        For each role, how many neighbours a device has in each role.
    least : mapping of Symbol to int
        The smallest sizes for which the roles are those.
    where : str
        The same in words, and what k may be.
    random : bool
        Whether the count is one of means over a random graph.
    """

    neighbours: Neighbours
    least: Mapping[sympy.Symbol, int]
    where: str
    random: bool = False


def _tree() -> Neighbours:
    b, one = branching, sympy.Integer(1)
    return {
        "root": {"first-level device": b},
        "first-level device": {"root": one, "inner device": b},
        "inner device": {"inner device": b + 1},
        "last-but-one device": {"inner device": one, "leaf": b},
        "leaf": {"last-but-one device": one},
    }


def _grid() -> Neighbours:
    counts: dict[str, dict[str, int]] = {
        "corner": {"edge device": 2},
        "edge device beside a corner": {"corner": 1, "edge device": 1, "inner device": 1},
        "edge device": {"edge device": 2, "inner device": 1},
        "inner corner": {"edge device": 2, "inner device": 2},
        "inner device beside an edge": {"edge device": 1, "inner device": 3},
        "inner device": {"inner device": 4},
    }
    return {role: {other: sympy.Integer(c) for other, c in around.items()} for role, around in counts.items()}


_NAMES = {"device": "every device", "centre": "the centre", "root": "the root"}
_ONE, _TWO = sympy.Integer(1), sympy.Integer(2)
_rows, _cols, _depth = sympy.symbols("rows cols depth", integer=True, positive=True)
_RANDOM = "a device of d neighbours, among many devices whose degrees are uncorrelated; k to the smallest degree that occurs"

FAMILIES: Mapping[str, GraphFamily] = MappingProxyType(
    {
        "complete": GraphFamily(neighbours={"device": {"device": n - 1}}, least={n: 2}, where="n at least 2, k to n - 1"),
        "ring": GraphFamily(neighbours={"device": {"device": _TWO}}, least={n: 3}, where="n at least 3, k to 2"),
        "star": GraphFamily(
            neighbours={"centre": {"leaf": n - 1}, "leaf": {"centre": _ONE}}, least={n: 3}, where="n at least 3, k to 1"
        ),
        "line": GraphFamily(
            neighbours={
                "end": {"second device": _ONE},
                "second device": {"end": _ONE, "inner device": _ONE},
                "inner device": {"inner device": _TWO},
            },
            least={n: 4},
            where="n at least 4 (inner devices from 5; a line of 3 is a star), k to 1",
        ),
        "grid": GraphFamily(
            neighbours=_grid(),
            least={_rows: 4, _cols: 4},
            where="rows and cols at least 4 (some roles from 5 on), k to 2",
        ),
        "torus": GraphFamily(
            neighbours={"device": {"device": sympy.Integer(4)}},
            least={_rows: 3, _cols: 3},
            where="rows and cols at least 3, k to 4",
        ),
        "regular": GraphFamily(
            neighbours={"device": {"device": d}}, least={d: 1}, where="every device has d neighbours, k to d"
        ),
        "bipartite": GraphFamily(
            neighbours={"left device": {"right device": right}, "right device": {"left device": left}},
            least={left: 1, right: 1},
            where="complete between the sides, k to the smaller side",
        ),
        "tree": GraphFamily(
            neighbours=_tree(),
            least={branching: 2, _depth: 3},
            where="branching at least 2, depth at least 3 (inner devices from 4), k to 1",
        ),
        "hypercube": GraphFamily(
            neighbours={"device": {"device": dimension}}, least={dimension: 1}, where="n = 2^dimension, k to the dimension"
        ),
        "erdos_renyi": GraphFamily(
            neighbours={"device": {"device": d}},
            least={d: 1},
            where=f"{_RANDOM}; mean_degree = p (n - 1)",
            random=True,
        ),
        "barabasi_albert": GraphFamily(
            neighbours={"device": {"device": d}},
            least={d: 1},
            where=f"{_RANDOM}; mean_degree = 2 links (n - links) / n",
            random=True,
        ),
        "watts_strogatz": GraphFamily(
            neighbours={"device": {"device": d}},
            least={d: 1},
            where=f"{_RANDOM}; mean_degree = the degree before rewiring",
            random=True,
        ),
    }
)


def family_pattern(name: str, *, M: sympy.Expr | int = symbols.M, k: sympy.Expr | int = k, stages: bool = False) -> Pattern:
    """Exact (random families: an approximation, the limit of many devices): the roles of a family and who asks them.

    Parameters
    ----------
    name : str
        One of :data:`FAMILIES`.
    M, k : Expr or int
        Layers and neighbours of every user; symbols unless given.
    stages : bool
        Whether later layers and the aggregation take ``m_layer`` and ``m_agg`` times the first layer's time.

    Raises
    ------
    InputError
        For a family that is not known.
    """
    if name not in FAMILIES:
        raise InputError("family", name, "one of " + ", ".join(FAMILIES))
    family, M, k = FAMILIES[name], sympy.sympify(M), sympy.sympify(k)
    place = {role: i for i, role in enumerate(family.neighbours)}
    # "inner device" and "edge device" may stand for any device of that kind: only its degree matters
    around = {role: family.neighbours[role] for role in place}
    share = {role: k / mean_degree if family.random else inclusion(sympy.Add(*around[role].values()), k) for role in place}
    one = sympy.Integer(1)
    roles = tuple(
        Role(
            name=_NAMES.get(role, f"each {role}"),
            device=role,
            rate=lam,
            first=constant_work(alpha, one, scv),
            later=constant_work(alpha, m_layer if stages else one, scv),
            aggregate=constant_work(alpha, m_agg if stages else one, scv),
            layers=M,
            k=k,
            asked_by=tuple(
                Asked(by=place[other], count=count, inclusion=share[other]) for other, count in around[role].items()
            ),
        )
        for role in place
    )
    return Pattern(
        title=f"the family {name.replace('_', '-')}",
        roles=roles,
        assumptions=(
            "Every user sends prompts at the same rate, and every device has the same service times.",
            f"Sizes: {family.where}.",
        ),
        least=family.least,
        preamble=(_size_biased(k),) if family.random else (),
        uniform=not family.random,
        approximate="the degrees of neighbours are replaced by their mean over the random graph" if family.random else "",
    )


def _size_biased(k: sympy.Expr) -> Step:
    """A neighbour is met in proportion to its degree, which is just what its chance to ask is divided by."""
    size = sympy.Symbol("delta", integer=True, positive=True)
    share = sympy.Function("P")(size)
    met = sympy.Sum(size * share / mean_degree * k / size, (size, 1, sympy.oo))
    return Step(
        reason="A neighbour has degree delta with probability delta P(delta) / mean_degree, for many links end at devices of "
        "high degree, and it asks a given one of its neighbours with probability k / delta; P sums to one, so the degrees "
        "cancel.",
        equation=sympy.Eq(met, k / mean_degree, evaluate=False),
    )
