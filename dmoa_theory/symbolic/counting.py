"""How likely it is that a given neighbour is asked: sets of neighbours, counted.

Uniform choice: of the ``C(d, k)`` equally likely sets of ``k`` among ``d`` neighbours, ``C(d - 1, k - 1)`` hold a given one.
Weighted choice (conditional-Poisson sampling): a set is drawn in proportion to the product of its weights, so sums of such
products, elementary symmetric polynomials, take the place of the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import comb

import sympy  # type: ignore[import-untyped]

from dmoa_theory.errors import InputError

__all__ = ["chance_of_sets", "elementary", "inclusion", "weighted_inclusion"]

#: Sets of neighbours beyond which a symbolic sum over them says nothing to a reader.
MOST_SETS = 2000


def chance_of_sets(degree: sympy.Expr, asked: sympy.Expr) -> sympy.Expr:
    """Exact: sets of neighbours with a given one over all sets, as binomial coefficients."""
    return sympy.binomial(degree - 1, asked - 1, evaluate=False) / sympy.binomial(degree, asked, evaluate=False)


@cache
def inclusion(degree: sympy.Expr, asked: sympy.Expr) -> sympy.Expr:
    """Exact: the chance that a given one of ``degree`` neighbours is among the ``asked``; the binomials simplified.

    Examples
    --------
    Among the n - 1 others of the complete graph (Mitra2024, proof of Theorem 1):

    >>> from dmoa_theory.symbolic.counting import inclusion
    >>> from dmoa_theory.symbolic.symbols import k, n
    >>> inclusion(n - 1, k)
    k/(n - 1)
    """
    size, drawn = sympy.Dummy("d", integer=True, positive=True), sympy.Dummy("k", integer=True, positive=True)
    ratio = sympy.combsimp(sympy.binomial(size - 1, drawn - 1) / sympy.binomial(size, drawn))
    return ratio.subs({size: degree, drawn: asked})


def elementary(order: int, weights: Sequence[sympy.Expr]) -> sympy.Expr:
    """Exact: the elementary symmetric polynomial, the sum over all sets of ``order`` weights of their product."""
    sums = [sympy.Integer(1)] + [sympy.Integer(0)] * order
    for weight in weights:
        for size in range(order, 0, -1):
            sums[size] = sums[size] + weight * sums[size - 1]
    return sympy.expand(sums[order])


def weighted_inclusion(place: int, weights: Sequence[sympy.Expr], asked: int) -> sympy.Expr:
    """Exact: the chance that neighbour ``place`` is among the ``asked``, when sets are drawn by the product of their weights.

    Raises
    ------
    InputError
        When there are too many sets to write down, or fewer neighbours than are asked.

    Examples
    --------
    >>> from dmoa_theory.symbolic.counting import weighted_inclusion
    >>> import sympy
    >>> weighted_inclusion(0, sympy.symbols("w_1:4"), 1)
    w_1/(w_1 + w_2 + w_3)
    """
    if asked > len(weights):
        raise InputError("k", asked, f"0 to {len(weights)}, the neighbours there are")
    if asked == 0:
        return sympy.Integer(0)
    if comb(len(weights), asked) > MOST_SETS:
        raise InputError(
            "k", asked, f"fewer than {MOST_SETS} sets of neighbours for symbolic weights, not {comb(len(weights), asked)}"
        )
    others = [weight for j, weight in enumerate(weights) if j != place]
    return weights[place] * elementary(asked - 1, others) / elementary(asked, weights)
