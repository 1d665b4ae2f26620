"""The letters of the derivations, and exact numbers for what a scenario fixes.

The paper's symbols are ``n``, ``M``, ``k``, ``alpha`` and lambda, written ``lam`` where Python reserves the word; devices of a
given network have ``lambda_0``, ``lambda_1``, ... and ``alpha_0``, ``alpha_1``, ... Every name can be read back by
``sympy.sympify``.
"""

from __future__ import annotations

from fractions import Fraction

import sympy  # type: ignore[import-untyped]

__all__ = ["LATEX_NAMES", "M", "alpha", "alpha_of", "k", "lam", "lambda_of", "m_agg", "m_layer", "n", "named", "number", "scv"]

n = sympy.Symbol("n", integer=True, positive=True)
M = sympy.Symbol("M", integer=True, nonnegative=True)
k = sympy.Symbol("k", integer=True, nonnegative=True)
alpha = sympy.Symbol("alpha", positive=True)
lam = sympy.Symbol("lam", positive=True)
scv = sympy.Symbol("scv", nonnegative=True)
m_layer = sympy.Symbol("m_layer", positive=True)
m_agg = sympy.Symbol("m_agg", positive=True)

#: How letters print where their names do not say it.
LATEX_NAMES = {lam: r"\lambda", scv: r"\mathrm{SCV}", m_layer: r"m_{\mathrm{layer}}", m_agg: r"m_{\mathrm{agg}}"}

_PLAINEST = 1000


def lambda_of(device: int) -> sympy.Symbol:
    """Arrival rate of a device's own user, prompts/s."""
    return sympy.Symbol(f"lambda_{device}", nonnegative=True)


def alpha_of(device: int) -> sympy.Symbol:
    """Mean first-layer service time of a device, seconds."""
    return sympy.Symbol(f"alpha_{device}", positive=True)


def named(letter: str, *indices: int | str) -> sympy.Symbol:
    """A letter with indices, for the left side of an equation: ``v_3``, ``rho_centre``."""
    return sympy.Symbol("_".join([letter, *(str(index).replace(" ", "_").replace("-", "_") for index in indices)]), real=True)


def number(value: float) -> sympy.Expr:
    """Exact where the value is a plain fraction (1.3 is 13/10), else a float of 15 digits.

    Examples
    --------
    >>> from dmoa_theory.symbolic.symbols import number
    >>> number(1.3), number(2.0), number(0.123456789)
    (13/10, 2, 0.123456789000000)
    """
    plain = Fraction(value).limit_denominator(_PLAINEST)
    if abs(float(plain) - value) <= 1e-14 * abs(value):
        return sympy.Rational(plain.numerator, plain.denominator)
    return sympy.Float(value, 15)
