"""Theorem 1, Remark 1 and equations 2 to 6 of the paper, as a case of the general derivation (Mitra2024, section III)."""

from __future__ import annotations

import sympy  # type: ignore[import-untyped]

from dmoa_theory.results import Source
from dmoa_theory.symbolic.counting import chance_of_sets
from dmoa_theory.symbolic.derivation import Derivation, Quantity, Step
from dmoa_theory.symbolic.families import family_pattern
from dmoa_theory.symbolic.pattern import jobs, load, visits
from dmoa_theory.symbolic.stability import assumptions_of, tidy_load
from dmoa_theory.symbolic.symbols import M, alpha, k, lam, n, named

__all__ = ["derive_theorem_one", "layer_rate_on_any_graph", "layer_rate_on_complete_graph"]


_I = sympy.Symbol("i", integer=True, positive=True)


def _of_device(letter: str) -> sympy.Expr:
    return sympy.IndexedBase(letter)[_I]


def layer_rate_on_any_graph() -> sympy.Sum:
    """Exact: what users ask of device i in one layer of every query, over any graph with adjacency A and degrees d."""
    j = sympy.Symbol("j", integer=True, positive=True)
    A, d, rate = (sympy.IndexedBase(name) for name in ("A", "d", "lambda"))
    return sympy.Sum(A[j, _I] * rate[j] * k / d[j], (j, 1, n))


def layer_rate_on_complete_graph() -> sympy.Expr:
    """Exact: the same sum where everybody may ask everybody else, ``A_ji = 1 - delta_ij``, and all rates are alike.

    All devices being alike, the sum is taken at device 1.

    Examples
    --------
    >>> from dmoa_theory.symbolic.theorem_one import layer_rate_on_complete_graph
    >>> layer_rate_on_complete_graph()
    k*lam
    """
    return sympy.simplify(_sum_on_complete_graph(sympy.Integer(1)).doit())


def _sum_on_complete_graph(i: sympy.Expr) -> sympy.Sum:
    j = sympy.Symbol("j", integer=True, positive=True)
    return sympy.Sum((1 - sympy.KroneckerDelta(i, j)) * lam * k / (n - 1), (j, 1, n))


def derive_theorem_one() -> Derivation:
    """Exact: Theorem 1, ``alpha ((k + 1) M + 1) lambda < 1``, and Remark 1 for unequal devices.

    Every right-hand side is what the general derivation gives for the complete graph; nothing is put in by hand.

    Examples
    --------
    >>> from dmoa_theory.symbolic.theorem_one import derive_theorem_one
    >>> derive_theorem_one().find("load")
    alpha*lam*(M*(k + 1) + 1)
    """
    pattern = family_pattern("complete")
    asked = pattern.roles[0].asked_by[0]
    layer = sympy.simplify(visits(pattern, 0))
    rate = sympy.collect(sympy.expand(sympy.simplify(jobs(pattern, 0))), lam, lambda x: sympy.collect(x, M))
    total = tidy_load(load(pattern, 0))
    slowest = sympy.Symbol("alpha_max", positive=True)
    drawn = sympy.Symbol("k", integer=True, positive=True)
    steps = (
        Step(
            reason="On any graph one layer of every query brings to device i the jobs of its own user, and those of each "
            "user j who may ask it (A_ji = 1) and draws it among its d_j neighbours.",
            equation=sympy.Eq(_of_device("v"), _of_device("lambda") + layer_rate_on_any_graph(), evaluate=False),
        ),
        Step(
            reason="On the complete graph every user has d = n - 1 neighbours; of the sets of k among them, those that hold a "
            "given device are a share of (proof of Theorem 1)",
            equation=sympy.Eq(chance_of_sets(n - 1, drawn), asked.inclusion, evaluate=False),
        ),
        Step(
            reason="Everybody may ask everybody else, A_ji = 1 - delta_ij, and all rates are lambda: what the others ask is",
            equation=sympy.Eq(_sum_on_complete_graph(_I), layer_rate_on_complete_graph(), evaluate=False),
        ),
        Step(
            reason="All n - 1 other users may ask; with the own user's job, the proposers of one layer are (eq. 2)",
            equation=sympy.Eq(lam + asked.count * lam * asked.inclusion, sympy.factor(layer), evaluate=False),
        ),
        Step(
            reason="M layers, each drawn anew (eq. 3)",
            equation=sympy.Eq(M * named("v"), M * sympy.factor(layer), evaluate=False),
        ),
        Step(
            reason="and one aggregation of each own query (eq. 4)",
            equation=sympy.Eq(named("R", "in"), rate, evaluate=False),
        ),
        Step(
            reason="Each job takes alpha seconds; the queue is stable if less than one second of work arrives a second "
            "(eqs. 1 and 5, Theorem 1).",
            equation=sympy.StrictLessThan(total, 1, evaluate=False),
        ),
        Step(
            reason="With unequal devices the same jobs arrive everywhere, so the slowest decides (eq. 6, Remark 1).",
            equation=sympy.StrictLessThan(total.subs(alpha, slowest) / slowest, 1 / slowest, evaluate=False),
        ),
    )
    return Derivation(
        title="Theorem 1: the complete graph with all devices alike",
        what="stability",
        origin=Source.EXACT,
        assumptions=assumptions_of(pattern),
        steps=steps,
        condition=(Quantity(name="load", meaning="every device", value=total, device="device"),),
        results=(
            Quantity(name="layer_rate", meaning="proposer jobs of one layer, a device and second", value=sympy.factor(layer)),
            Quantity(name="input_rate", meaning="all jobs, a device and second", value=rate),
        ),
    )
