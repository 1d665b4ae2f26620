"""Closed forms of the graph families against the numeric region of graphs of many sizes, and Theorem 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

from dmoa_theory import Network, ServiceTime, System, build_topology, stability_region
from dmoa_theory.model.moa import MoA
from dmoa_theory.symbolic import symbols
from dmoa_theory.symbolic.families import FAMILIES, family_pattern
from dmoa_theory.symbolic.graphs import network_pattern
from dmoa_theory.symbolic.pattern import jobs, load, visits
from dmoa_theory.symbolic.stability import derive_stability, heaviest
from dmoa_theory.symbolic.symbols import M, alpha, k, lam, n
from dmoa_theory.symbolic.theorem_one import derive_theorem_one, layer_rate_on_complete_graph

ALPHA, RATE = 30.0, 0.0017

Roles = dict[str, list[int]]


def _grid_roles(rows: int, cols: int) -> Roles:
    """Which device of a grid plays which role, from where it stands."""
    roles: Roles = {name: [] for name in FAMILIES["grid"].neighbours}
    for r in range(rows):
        for c in range(cols):
            down, across = min(r, rows - 1 - r), min(c, cols - 1 - c)
            if down == 0 and across == 0:
                name = "corner"
            elif down == 0 or across == 0:
                name = "edge device beside a corner" if down + across == 1 else "edge device"
            elif down == 1 and across == 1:
                name = "inner corner"
            else:
                name = "inner device beside an edge" if down == 1 or across == 1 else "inner device"
            roles[name].append(r * cols + c)
    return roles


def _tree_roles(branching: int, depth: int) -> Roles:
    level = [d for d in range(depth + 1) for _ in range(branching**d)]
    names = {0: "root", 1: "first-level device", depth - 1: "last-but-one device", depth: "leaf"}
    roles: Roles = {name: [] for name in FAMILIES["tree"].neighbours}
    for device, d in enumerate(level):
        roles[names.get(d, "inner device")].append(device)
    return roles


def _all(size: int) -> Roles:
    return {"device": list(range(size))}


Case = tuple[dict[str, Any], dict[str, Any], int, Roles]

# family -> sizes as (parameters of the graph, values of the symbols, largest k, roles)
CASES: dict[str, list[Case]] = {
    "complete": [({"n": s}, {"n": s}, s - 1, _all(s)) for s in (2, 3, 4, 7, 12, 30)],
    "ring": [({"n": s}, {"n": s}, 2, _all(s)) for s in (3, 4, 5, 8, 21)],
    "star": [({"n": s}, {"n": s}, 1, {"centre": [0], "leaf": list(range(1, s))}) for s in (3, 4, 5, 9, 40)],
    "line": [
        ({"n": s}, {"n": s}, 1, {"end": [0, s - 1], "second device": [1, s - 2], "inner device": list(range(2, s - 2))})
        for s in (4, 5, 6, 9, 25)
    ],
    "grid": [({"rows": r, "cols": c}, {}, 2, _grid_roles(r, c)) for r, c in ((4, 4), (4, 5), (5, 5), (6, 9), (12, 4))],
    "torus": [({"rows": r, "cols": c}, {}, 4, _all(r * c)) for r, c in ((3, 3), (3, 4), (5, 3), (4, 6), (7, 7))],
    "regular": [({"n": s, "degree": d}, {"d": d}, d, _all(s)) for s, d in ((4, 1), (6, 2), (8, 3), (15, 4), (20, 11), (40, 5))],
    "bipartite": [
        (
            {"left": a, "right": b},
            {"left": a, "right": b},
            min(a, b),
            {"left device": list(range(a)), "right device": list(range(a, a + b))},
        )
        for a, b in ((1, 1), (1, 4), (2, 3), (5, 5), (9, 4))
    ],
    "tree": [
        ({"branching": b, "depth": d}, {"branching": b}, 1, _tree_roles(b, d))
        for b, d in ((2, 3), (2, 4), (3, 3), (3, 5), (5, 3))
    ],
    "hypercube": [({"dimension": d}, {"dimension": d}, d, _all(2**d)) for d in (1, 2, 3, 4, 6)],
}


def _system(family: str, parameters: dict[str, Any], layers: int, asked: int, **service: float) -> System:
    return System(
        network=build_topology(family, **parameters),
        arrival_rate=RATE,
        service=ServiceTime.exponential(ALPHA, **service),
        moa=MoA(layers, asked),
    )


@pytest.mark.parametrize("family", CASES)
def test_closed_forms_are_the_region(family: str) -> None:
    """Every role of every family, at five sizes or more, every (M, k) up to (3, 4): the load of every device to 1e-12."""
    derivation = derive_stability(family_pattern(family))
    functions = {q.device: derivation.function("load", q.device) for q in derivation.condition}
    assert len(CASES[family]) >= 5
    for parameters, values, most, roles in CASES[family]:
        assert sorted(d for devices in roles.values() for d in devices) == list(
            range(_system(family, parameters, 0, 0).n_devices)
        )
        for layers in range(4):
            for asked in range(min(most, 4) + 1):
                region = stability_region(_system(family, parameters, layers, asked))
                for role, devices in roles.items():
                    closed = functions[role](M=layers, k=asked, alpha=ALPHA, lam=RATE, **values)
                    np.testing.assert_allclose(region.utilisation[devices], closed, rtol=1e-12)
    assert all(any(roles[role] for _, _, _, roles in CASES[family]) for role in functions)


@pytest.mark.parametrize("family", CASES)
def test_closed_forms_with_stages(family: str) -> None:
    derivation = derive_stability(family_pattern(family, stages=True))
    for parameters, values, _, roles in CASES[family][:2]:
        region = stability_region(_system(family, parameters, 3, 1, later=1.7, aggregate=2.3))
        for role, devices in roles.items():
            load_of = derivation.function("load", role)
            closed = load_of(M=3, k=1, alpha=ALPHA, lam=RATE, m_layer=1.7, m_agg=2.3, **values)
            np.testing.assert_allclose(region.utilisation[devices], closed, rtol=1e-12)


@pytest.mark.parametrize(
    ("family", "role"),
    [
        ("star", "centre"),
        ("line", "second device"),
        ("grid", "inner corner"),
        ("tree", "last-but-one device"),
        ("bipartite", None),
    ],
)
def test_the_role_that_gives_way_first(family: str, role: str | None) -> None:
    """Named where it is the same at every size; for two sides it depends on which is larger."""
    pattern = family_pattern(family)
    first = heaviest(pattern)
    assert (None if first is None else pattern.roles[first].device) == role
    if role is not None:
        for parameters, _, _, roles in CASES[family]:
            assert stability_region(_system(family, parameters, 2, 1)).bottleneck.device in roles[role]


@pytest.mark.parametrize(
    ("family", "parameters", "mean_degree"),
    [
        ("erdos_renyi", lambda s: {"n": s, "p": 0.2, "seed": 1}, lambda s: 0.2 * (s - 1)),
        ("barabasi_albert", lambda s: {"n": s, "links": 30, "seed": 1}, lambda s: 60 * (s - 30) / s),
        ("watts_strogatz", lambda s: {"n": s, "degree": 40, "p": 1.0, "seed": 1}, lambda s: 40.0),
    ],
)
def test_random_graphs_approach_their_mean_field(
    family: str, parameters: Callable[[int], dict[str, Any]], mean_degree: Callable[[int], float]
) -> None:
    """Five sizes: device by device within a few per cent of the load, and the mean over devices right to 2 %."""
    derivation = derive_stability(family_pattern(family))
    assert derivation.source == "approximation"
    errors = []
    for size in (100, 200, 400, 800, 1600):
        system = _system(family, parameters(size), 2, 3)
        closed = derivation.function("load")(
            M=2, k=3, alpha=ALPHA, lam=RATE, d=system.network.out_degree, mean_degree=mean_degree(size)
        )
        exact = stability_region(system).utilisation
        errors.append(float(np.sqrt(np.mean((closed / exact - 1) ** 2))))
        assert closed.mean() == pytest.approx(exact.mean(), rel=0.02)
    assert max(errors) < 0.08
    if family == "erdos_renyi":  # its degrees grow with n, so the mean over neighbours becomes sharp
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.01


def test_theorem_1_is_a_case_of_the_general_derivation() -> None:
    """`simplify(difference) == 0` for eqs. 2 to 5, with every letter a symbol."""
    pattern = family_pattern("complete")
    assert sympy.simplify(pattern.roles[0].asked_by[0].inclusion - k / (n - 1)) == 0
    assert sympy.simplify(visits(pattern, 0) - (k + 1) * lam) == 0  # eq. 2
    assert sympy.simplify(M * visits(pattern, 0) - (k + 1) * M * lam) == 0  # eq. 3
    assert sympy.simplify(jobs(pattern, 0) - ((k + 1) * M + 1) * lam) == 0  # eq. 4
    assert sympy.simplify(load(pattern, 0) - alpha * ((k + 1) * M + 1) * lam) == 0  # eqs. 1 and 5
    derivation = derive_theorem_one()
    assert sympy.simplify(derivation.find("load") - alpha * ((k + 1) * M + 1) * lam) == 0
    slowest = derivation.steps[-1].equation  # eq. 6
    assert sympy.simplify(slowest.lhs - ((k + 1) * M + 1) * lam) == 0
    assert slowest.rhs == 1 / sympy.Symbol("alpha_max", positive=True)


def test_the_general_sum_over_a_symbolic_number_of_users() -> None:
    """The sum over users j of A_ji lambda k / (n - 1) with A_ji = 1 - delta_ij, n a symbol."""
    assert sympy.simplify(layer_rate_on_complete_graph() - k * lam) == 0


@pytest.mark.parametrize("size", range(2, 8))
def test_theorem_1_from_a_given_graph_with_all_symbols(size: int) -> None:
    """The derivation for a given complete graph, with all rates and devices set alike, is Theorem 1; and eq. 6 before that."""
    derivation = derive_stability(network_pattern(build_topology("complete", n=size)))
    for i in range(size):
        expression = derivation.find("load", i)
        alike = expression.subs({symbols.lambda_of(j): lam for j in range(size)})
        assert sympy.simplify(alike - symbols.alpha_of(i) * ((k + 1) * M + 1) * lam) == 0


def test_roles_count_each_link_from_both_ends() -> None:
    """Counted by hand once: in every family the sum of degrees over roles is the number of links both ways."""
    for family, cases in CASES.items():
        for parameters, values, _, roles in cases:
            network: Network = build_topology(family, **parameters)
            for role, devices in roles.items():
                counted = sympy.Add(*FAMILIES[family].neighbours[role].values())
                degree = int(counted.subs({s: values[s.name] for s in counted.free_symbols}))
                assert (network.out_degree[devices] == degree).all(), (family, role)
