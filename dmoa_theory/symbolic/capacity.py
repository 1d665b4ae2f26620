"""How far each number may go before a device is overloaded: the stability inequality solved for rates, layers, neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy  # type: ignore[import-untyped]

from dmoa_theory.results import Source
from dmoa_theory.symbolic.derivation import Derivation, Quantity, Step
from dmoa_theory.symbolic.pattern import Pattern
from dmoa_theory.symbolic.stability import assumptions_of, conditions, device_load, spelled_out
from dmoa_theory.symbolic.symbols import M, k, named

__all__ = ["critical_layers", "critical_neighbours", "critical_rate", "derive_capacity"]


def critical_rate(load: sympy.Expr, rate: sympy.Symbol) -> sympy.Expr:
    """Exact: the rate at which a load is one, the others fixed; a load is linear in every rate.

    Examples
    --------
    >>> from dmoa_theory.symbolic.capacity import critical_rate
    >>> from dmoa_theory.symbolic.symbols import M, alpha, k, lam
    >>> critical_rate(alpha * lam * ((k + 1) * M + 1), lam)
    1/(alpha*(M*(k + 1) + 1))
    """
    slope = load.diff(rate)
    if slope == 0:
        return sympy.oo
    return (1 - load.subs(rate, 0)) / sympy.factor_terms(slope)


def critical_layers(load: sympy.Expr) -> sympy.Expr:
    """Exact: the M (not whole) at which a load is one; a load is linear in M."""
    slope = load.diff(M)
    return sympy.oo if slope == 0 else sympy.factor_terms((1 - load.subs(M, 0)) / slope)


def critical_neighbours(load: sympy.Expr) -> sympy.Expr | None:
    """Exact: the k (not whole) at which a load is one; None where prompts grow so that no formula is worth reading.

    Where service does not grow with k the load is linear in it; where the seconds are linear in the tokens read it is
    quadratic, with all coefficients but the last of one sign, so that one root is positive.
    """
    excess = sympy.Poly(sympy.expand(load) - 1, k)
    coefficients = excess.all_coeffs()
    if excess.degree() == 0:
        return sympy.oo
    if excess.degree() == 1:
        return sympy.factor_terms(-coefficients[1] / coefficients[0])
    if excess.degree() == 2:
        a, b, c = coefficients
        return (-b + sympy.sqrt(b**2 - 4 * a * c)) / (2 * a)
    return None


def derive_capacity(pattern: Pattern, devices: Sequence[int] = ()) -> Derivation:
    """Exact (as far as the pattern is): the inequality of each device solved for rate, M and k.

    Parameters
    ----------
    pattern : Pattern
    devices : sequence of int, optional
        Places of the devices to look at; default all (of more than 12, one).
    """
    steps: list[Step] = []
    results: list[Quantity] = []
    for place in spelled_out(pattern, devices):
        role = pattern.roles[place]
        rho = device_load(pattern, place)
        steps.append(
            Step(
                reason=f"{named('rho', role.device)}, the load of {role.name}; a number is at its limit where this is one.",
                equation=sympy.Eq(named("rho", role.device), rho, evaluate=False),
            )
        )
        for quantity, step in _limits(pattern, place, rho):
            results.append(quantity)
            steps.append(step)
    return Derivation(
        title=f"How far one may go: {pattern.title}",
        what="capacity",
        origin=Source.APPROXIMATION if pattern.approximate else Source.EXACT,
        assumptions=assumptions_of(pattern),
        steps=tuple(steps),
        condition=conditions(pattern, devices),
        results=tuple(results),
    )


def _limits(pattern: Pattern, place: int, rho: sympy.Expr) -> Iterator[tuple[Quantity, Step]]:
    role = pattern.roles[place]

    def limit(name: str, letter: str, meaning: str, reason: str, value: sympy.Expr) -> tuple[Quantity, Step]:
        quantity = Quantity(name=name, meaning=f"{meaning}: {role.name}", value=value, device=role.device)
        return quantity, Step(reason=reason, equation=sympy.Eq(named(letter, "max", role.device), value, evaluate=False))

    if not pattern.is_family:
        value = 1 / rho if rho != 0 else sympy.oo
        yield limit(
            "critical_scale",
            "s",
            "largest factor on all rates",
            f"All rates scaled by s: a load is linear in them, so that {role.name} is full at",
            value,
        )
    if role.rate != 0:
        reason = "Solved for the rate of every user, prompts/s."
        if not pattern.is_family:
            reason = "Solved for the rate of its own user, prompts/s, the others as they are."
        meaning = "largest rate" if pattern.is_family else "largest rate of the own user, the others fixed"
        yield limit("critical_rate", "lambda", f"{meaning}, prompts/s", reason, critical_rate(rho, role.rate))
    if rho.has(M):
        reason = "Solved for M, which must stay below; the most layers are the largest whole number below."
        yield limit("critical_M", "M", "number of layers to stay below", reason, critical_layers(rho))
    neighbours = critical_neighbours(rho) if rho.has(k) else None
    if neighbours is not None:
        reason = (
            "Solved for k, which must stay below; the most neighbours are the largest whole number below, if there are so many."
        )
        yield limit("critical_k", "k", "number of neighbours to stay below", reason, neighbours)
