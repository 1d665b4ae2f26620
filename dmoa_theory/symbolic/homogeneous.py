"""A query from end to end where all devices are alike: harmonic numbers, light traffic, and what one more of anything costs."""

from __future__ import annotations

from dataclasses import dataclass

import sympy  # type: ignore[import-untyped]

from dmoa_theory.symbolic.derivation import Quantity, Step
from dmoa_theory.symbolic.pattern import Role
from dmoa_theory.symbolic.symbols import M, alpha, k, lam, named

__all__ = ["EndToEnd", "end_to_end", "inferences_added", "is_never_negative", "longer_sojourn", "mean_latency"]

_INDEPENDENT = (
    "Independence approximation: the k + 1 jobs of a layer spend independent times at their devices, each exponential with "
    "mean wait plus service, so that the slowest takes H(k + 1) such means, with H the harmonic number. For exponential "
    "service (SCV = 1) this is exact for M = 0, for k = 0 with all stages alike, and in the limit of light traffic."
)
_IDLE, _IDLE_AFTER = sympy.symbols("s s_new", positive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEnd:
    """What the latency of a query adds to a derivation."""

    assumptions: tuple[str, ...]
    steps: tuple[Step, ...]
    results: tuple[Quantity, ...]


def mean_latency(role: Role, wait: sympy.Expr) -> sympy.Expr:
    """Approximation (independent exponential sojourns): mean latency of a query, ``(M H(k + 1) + 1) (W + alpha)``."""
    slowest = sympy.harmonic(role.k + 1)
    if role.first.mean == role.later.mean == role.aggregate.mean:
        return (role.layers * slowest + 1) * (wait + role.first.mean)
    layers = (wait + role.first.mean) + (role.layers - 1) * (wait + role.later.mean)
    return slowest * layers + wait + role.aggregate.mean


def longer_sojourn(sojourn: sympy.Expr, load: sympy.Expr) -> sympy.Expr:
    """Exact for that sojourn: how much longer it is where the idle share ``1 - rho`` falls from ``s`` to ``s_new``."""
    before, after = (sojourn.subs(lam, (1 - idle) / sympy.cancel(load / lam)) for idle in (_IDLE, _IDLE_AFTER))
    return sympy.factor(after - before)


def inferences_added(count: sympy.Expr, letter: sympy.Symbol) -> sympy.Expr:
    """Exact: how many more mean sojourns a latency of ``count`` of them has with one more layer or proposer."""
    more = count.subs(letter, letter + 1).subs(sympy.harmonic(k + 2), sympy.harmonic(k + 1) + 1 / (k + 2))
    return sympy.cancel(sympy.expand(more - count))


def is_never_negative(expression: sympy.Expr) -> bool:
    """Whether an expression in positive and nonnegative symbols has terms of one sign only above and below its fraction line.

    Harmonic numbers count as positive.
    """
    numbers = expression.atoms(sympy.harmonic)
    above, below = sympy.fraction(sympy.factor(expression.subs({h: sympy.Dummy(positive=True) for h in numbers})))
    above, below = sympy.expand(above), sympy.expand(below)
    return bool(above.is_nonnegative and below.is_positive) or bool(above.is_nonpositive and below.is_negative)


def end_to_end(role: Role, load: sympy.Expr, wait: sympy.Expr) -> EndToEnd:
    """Approximation: latency, its light-traffic limit, where it doubles, and what one more layer or proposer costs."""
    latency = mean_latency(role, wait)
    light = sympy.factor_terms(sympy.limit(latency, lam, 0))
    slope = sympy.factor(sympy.diff(latency, lam))
    doubled = _root(latency - 2 * light)
    busy = sympy.factor(load.subs(lam, doubled))
    L, H, T = named("L"), sympy.harmonic(role.k + 1), named("T")
    alike = role.first.mean == role.later.mean == role.aggregate.mean
    steps = []
    if alike:
        steps += [
            Step(
                reason="T, the mean time of a job at a device: its wait and its service.",
                equation=sympy.Eq(T, named("W") + role.first.mean, evaluate=False),
            ),
            Step(
                reason="The slowest of k + 1 independent exponential times of mean T takes T + T/2 + ... + T/(k + 1); there "
                "are M such layers and one aggregation in the mean latency L of a query.",
                equation=sympy.Eq(L, (role.layers * H + 1) * T, evaluate=False),
            ),
        ]
    steps += [
        Step(reason="With the wait put in, the mean latency.", equation=sympy.Eq(L, latency, evaluate=False)),
        Step(
            reason="In light traffic, as the rate goes to zero, nobody waits.",
            equation=sympy.Eq(sympy.Limit(L, lam, 0), light, evaluate=False),
        ),
        Step(
            reason="The mean latency is twice that in light traffic when the load is"
            + (", whatever M and k," if not busy.has(M, k) else ""),
            equation=sympy.Eq(named("rho", "double"), busy, evaluate=False),
        ),
    ]
    results = [
        Quantity(name="latency", meaning="L, mean latency of a query, seconds (independence approximation)", value=latency),
        Quantity(name="light_traffic", meaning="mean latency of a query in light traffic, seconds", value=light),
        Quantity(name="doubling_load", meaning="load at which the mean latency is twice that in light traffic", value=busy),
        Quantity(
            name="doubling_rate",
            meaning="rate of each user at which the mean latency is twice that in light traffic, prompts/s",
            value=doubled,
        ),
        Quantity(
            name="latency_per_rate",
            meaning="how fast the mean latency rises with the rate of each user, seconds per prompt/s",
            value=slope,
        ),
    ]
    if alike and role.layers == M and role.k == k and role.first.mean == alpha:
        more_steps, more_results = _costs(latency, role.layers * H + 1, wait + alpha, load)
        steps += more_steps
        results += more_results
    return EndToEnd(assumptions=(_INDEPENDENT,), steps=tuple(steps), results=tuple(results))


def _root(expression: sympy.Expr) -> sympy.Expr:
    """The rate at which an expression is zero, whose numerator is linear in it."""
    slope, constant = sympy.Poly(sympy.fraction(sympy.together(expression))[0], lam).all_coeffs()
    return sympy.factor(-constant / slope)


def _costs(latency: sympy.Expr, count: sympy.Expr, sojourn: sympy.Expr, load: sympy.Expr) -> tuple[list[Step], list[Quantity]]:
    """What one more layer and one more proposer cost, with the sign that every stable load gives them."""
    longer = longer_sojourn(sojourn, load)
    T, T_new = named("T"), named("T", "new")
    steps = [
        Step(
            reason="If a change raises the load, so that the idle share 1 - rho falls from s to s_new, the time T of a job "
            "becomes T_new.",
            equation=sympy.Eq(T_new - T, longer, evaluate=False),
        )
    ]
    results = []
    for letter, what in ((M, "layer"), (k, "proposer")):
        added = inferences_added(count, letter)
        growth = sympy.factor(load.subs(letter, letter + 1) - load)
        # with 1/s = 1 + x, and s_new less than s, every stable load is met by positive x and y
        x, y = sympy.symbols("x y", positive=True)
        stable = {_IDLE: 1 / (1 + x), _IDLE_AFTER: 1 / (1 + x + y)}
        never = all(is_never_negative(part.subs(stable)) for part in (added, growth, longer))
        sign = "No part is ever negative: it never saves time." if never else "Its sign depends on the load."
        steps += [
            Step(
                reason=f"One more {what} at the same rate raises the load by",
                equation=sympy.Eq(_IDLE - _IDLE_AFTER, growth, evaluate=False),
            ),
            Step(
                reason=f"Delta_{letter}, what one more {what} adds to the mean latency: its own time at devices, and longer "
                f"times of all the others. {sign}",
                equation=sympy.Eq(named("Delta", letter.name), added * T_new + count * (T_new - T), evaluate=False),
            ),
        ]
        results.append(
            Quantity(
                name=f"cost_of_a_{what}",
                meaning=f"what one more {what} at the same rate adds to the mean latency, seconds",
                value=latency.subs(letter, letter + 1) - latency,
            )
        )
    return steps, results
