"""From who asks whom to the condition under which every first-come-first-served queue stays bounded.

The derivation is one and the same for a given network, a system and a family; Theorem 1 of the paper is a case of it
(:mod:`dmoa_theory.symbolic.theorem_one`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import sympy  # type: ignore[import-untyped]

from dmoa_theory.results import Source
from dmoa_theory.symbolic.counting import chance_of_sets, inclusion
from dmoa_theory.symbolic.derivation import Derivation, Quantity, Step
from dmoa_theory.symbolic.pattern import Pattern, jobs, load, visits
from dmoa_theory.symbolic.symbols import M, alpha, k, lam, named

__all__ = [
    "assumptions_of",
    "conditions",
    "counting_steps",
    "derive_stability",
    "device_load",
    "heaviest",
    "spelled_out",
    "tidy_load",
]

#: Devices whose steps are spelled out when nobody says which.
READABLE = 12
_COUNTS = "M layers, k neighbours asked in each"


def _model(*, quorum: bool) -> tuple[str, ...]:
    """What is assumed of every system, and what is proved of it."""
    joins = "as many answers of the one before as the quorum asks for are" if quorum else "all k + 1 jobs of the one before are"
    proofs = (
        "With a quorum, loads below one are proved to suffice for M = 1, and for M = 2 when aggregating takes no longer than a "
        "first layer; otherwise that is proved in further cases and at lower loads, and conjectured up to one."
        if quorum
        else "Loads below one are proved to suffice for M up to 1, for users who ask all of their neighbours, and for M = 2 "
        "when aggregating takes no longer than a first layer; otherwise that is proved in further cases and at lower loads "
        "(dmoa region tells which), and conjectured up to one."
    )
    late = "; jobs that come too late are still served" if quorum else ""
    return (
        "Every user's prompts arrive at a rate of their own, in a Poisson stream.",
        "In each of M layers a query has one job at its own device and one at each of k distinct neighbours, drawn anew and "
        f"independently; a layer starts when {joins} done{late}; after the last the own device aggregates.",
        "A device serves one job at a time, first come first served; service times are independent, with the means given.",
        f"A load above one makes some queue grow for ever. {proofs}",
        "Link delays change no load.",
    )


def assumptions_of(pattern: Pattern) -> tuple[str, ...]:
    """What a derivation from a pattern rests on."""
    drawn = ("Neighbours are drawn uniformly.",) if pattern.uniform or pattern.approximate else ()
    near = (f"Approximation: {pattern.approximate}.",) if pattern.approximate else ()
    return (*_model(quorum=pattern.quorum), *drawn, *pattern.assumptions, _letters(pattern), *near)


def _letters(pattern: Pattern) -> str:
    """What the symbols stand for that no step defines."""
    if pattern.is_family:
        return f"{_COUNTS}; lambda: prompts per second of every user; alpha: mean seconds of an inference."
    counts = f"{_COUNTS}; " if any(role.layers.has(M) for role in pattern.roles) else ""
    names = ", ".join(f"{role.device} {role.name}" for role in pattern.roles)
    which = f": {names}" if len(pattern.roles) <= READABLE else " from 0 in the order of the network"
    return (
        f"{counts}lambda_i: prompts per second of the user at device i; alpha_i: mean seconds of a first-layer inference "
        f"there. Devices are numbered{which}."
    )


def tidy_load(value: sympy.Expr) -> sympy.Expr:
    """The load of a family's device by powers of M and k, common factors in front: ``alpha lam ((k + 1) M + 1)``."""
    inner = sympy.expand(value / (alpha * lam))
    return alpha * lam * sympy.collect(inner, M, lambda c: sympy.collect(sympy.expand(c), k, lambda x: sympy.factor(x)))


def device_load(pattern: Pattern, place: int) -> sympy.Expr:
    """Exact: the load of a device or role, simplified for families, as a plain sum for networks."""
    value = load(pattern, place)
    return tidy_load(value) if pattern.is_family else value


def heaviest(pattern: Pattern) -> int | None:
    """Exact: the role whose load is largest at every size and rate; None when that depends on the sizes."""
    if not pattern.is_family:
        return None
    loads = [device_load(pattern, place) for place in range(len(pattern.roles))]
    larger = {size: sympy.Dummy(size.name, integer=True, nonnegative=True) + low for size, low in pattern.least.items()}
    for place, mine in enumerate(loads):
        gaps = (sympy.fraction(sympy.together((mine - other).subs(larger))) for other in loads)
        if all((sympy.expand(above) / sympy.expand(below)).is_nonnegative for above, below in gaps):
            return place
    return None


def derive_stability(pattern: Pattern, devices: Sequence[int] = ()) -> Derivation:
    """Exact (as far as the pattern is): load of every device, and the condition that each be below one.

    Parameters
    ----------
    pattern : Pattern
    devices : sequence of int, optional
        Places of the devices to look at. Default all; of more than 12, only the one that most others may ask is spelled out.

    Returns
    -------
    Derivation
        Its ``condition`` holds the load of every device looked at; stable where all are below one.
    """
    loads = conditions(pattern, devices)
    steps = [*pattern.preamble, *counting_steps(pattern)]
    for place in spelled_out(pattern, devices):
        steps += device_steps(pattern, place)
    first = None if devices else heaviest(pattern)
    results = []
    if first is not None and len(pattern.roles) > 1:
        name = pattern.roles[first].name
        meaning = f"the load that reaches one first, at every size: {name}"
        results.append(Quantity(name="binding_load", meaning=meaning, value=device_load(pattern, first)))
    return Derivation(
        title=f"When the queues stay bounded: {pattern.title}",
        what="stability",
        origin=Source.APPROXIMATION if pattern.approximate else Source.EXACT,
        assumptions=assumptions_of(pattern),
        steps=tuple(steps),
        condition=loads,
        results=tuple(results),
    )


def conditions(pattern: Pattern, devices: Sequence[int] = ()) -> tuple[Quantity, ...]:
    """Exact: the load of every device looked at; each has to be below one."""
    return tuple(
        Quantity(name="load", meaning=pattern.roles[p].name, value=device_load(pattern, p), device=pattern.roles[p].device)
        for p in dict.fromkeys(devices or range(len(pattern.roles)))
    )


def spelled_out(pattern: Pattern, devices: Sequence[int] = ()) -> list[int]:
    """Which devices get their steps printed."""
    if devices:
        return list(dict.fromkeys(devices))
    if len(pattern.roles) <= READABLE:
        return list(range(len(pattern.roles)))
    return [max(range(len(pattern.roles)), key=lambda i: len(pattern.roles[i].asked_by))]


def counting_steps(pattern: Pattern) -> Iterator[Step]:
    """Inclusion probability from the count of sets."""
    if not pattern.uniform:
        return
    size, asked = sympy.Symbol("d", integer=True, positive=True), sympy.Symbol("k", integer=True, positive=True)
    yield Step(
        reason="Of all sets of k among a user's d neighbours, equally likely, those that hold a given neighbour are counted by "
        "choosing the other k - 1 among the other d - 1.",
        equation=sympy.Eq(chance_of_sets(size, asked), inclusion(size, asked), evaluate=False),
    )


def _with_beta(pattern: Pattern, place: int, visited: sympy.Symbol) -> tuple[sympy.Expr, str]:
    """The load with a letter for the mean of later stages, where it grows with k; and what that letter is."""
    role = pattern.roles[place]
    if not role.later.mean.has(k) or role.later != role.aggregate:
        return load(pattern, place, visited), ""
    letter = named("beta", role.device)
    short = replace(role.later, mean=letter)
    roles = tuple(replace(role, later=short, aggregate=short) if i == place else r for i, r in enumerate(pattern.roles))
    words = f", where {letter} is the mean of its later stages"
    return load(replace(pattern, roles=roles), place, visited), words


def device_steps(pattern: Pattern, place: int) -> Iterator[Step]:
    """Visits a layer, jobs a second, load, condition of one device."""
    role, value = pattern.roles[place], device_load(pattern, place)
    v, R, rho = (named(letter, role.device) for letter in ("v", "R", "rho"))
    if pattern.common and role.layers != 0:
        yield Step(
            reason=f"{v}, jobs a second that one layer of every query brings to {role.name}: those of its own user, and those "
            "of each user who may ask it, as often as it is drawn.",
            equation=sympy.Eq(v, visits(pattern, place), evaluate=False),
        )
        yield Step(
            reason=f"{R}, all jobs a second: every layer draws anew with the same chances, the first and the M - 1 later ones; "
            "and the own user's queries are aggregated here.",
            equation=sympy.Eq(R, role.layers * v + role.rate, evaluate=False),
        )
        in_visits, beta = _with_beta(pattern, place, v)
    else:
        yield Step(
            reason=f"{R}, jobs a second at {role.name}: of its own user, once a layer and once to aggregate, and of each user "
            "who may ask it, as often as it is drawn.",
            equation=sympy.Eq(R, jobs(pattern, place), evaluate=False),
        )
        in_visits, beta = value, ""
    yield Step(
        reason=f"{rho}, the load: each job takes the mean service time of its stage, so many seconds of work arrive a "
        f"second{beta}.",
        equation=sympy.Eq(rho, in_visits, evaluate=False),
    )
    yield Step(
        reason=f"All queues stay bounded only if {role.name} is offered less than one second of work a second.",
        equation=sympy.StrictLessThan(value, 1, evaluate=False),
    )
