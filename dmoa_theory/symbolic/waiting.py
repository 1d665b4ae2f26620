"""Waits in symbols: Pollaczek and Khinchine at every device, and what follows for a query from end to end.

The wait is exact for Poisson arrivals of independent jobs. Jobs of a query are forked together and come back to the device
that asked, so that in a network it is an approximation, and so is the end-to-end latency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy  # type: ignore[import-untyped]

from dmoa_theory.results import Source
from dmoa_theory.symbolic.derivation import Derivation, Quantity, Step
from dmoa_theory.symbolic.homogeneous import end_to_end
from dmoa_theory.symbolic.pattern import Pattern, second_moment_rate
from dmoa_theory.symbolic.stability import assumptions_of, conditions, counting_steps, device_load, spelled_out
from dmoa_theory.symbolic.symbols import named, scv

__all__ = ["derive_delay", "wait"]

_APPROXIMATE = (
    "Approximation: jobs reach a device in a Poisson stream (exact for M = 0), so that its mean wait is Pollaczek and "
    "Khinchine's."
)
_SCV = "SCV is the squared coefficient of variation of service times, variance over squared mean; 1 for exponential ones."


def wait(pattern: Pattern, place: int) -> sympy.Expr:
    """Approximation (exact for Poisson arrivals): the mean wait in queue at a device, ``b / (1 - rho)``.

    ``b`` is half the job rate times the second moment of service.

    References
    ----------
    Kleinrock, L. (1975), Queueing Systems, volume 1, section 5.6.
    """
    value = _arriving(pattern, place) / (1 - device_load(pattern, place))
    return sympy.factor_terms(value) if pattern.is_family else value


def _arriving(pattern: Pattern, place: int) -> sympy.Expr:
    half = second_moment_rate(pattern, place) / 2
    return sympy.factor(half) if pattern.is_family else half


def derive_delay(pattern: Pattern, devices: Sequence[int] = ()) -> Derivation:
    """Approximation: the mean wait at every device; for a family of like devices the latency of a query too.

    Parameters
    ----------
    pattern : Pattern
    devices : sequence of int, optional
        Places of the devices to look at; default all (of more than 12, one is spelled out).
    """
    loads = conditions(pattern, devices)
    steps = [*pattern.preamble, *counting_steps(pattern)]
    for place in spelled_out(pattern, devices):
        steps += _device_steps(pattern, place)
    results = [
        Quantity(
            name="wait",
            meaning=f"mean wait at {pattern.roles[p].name}, seconds",
            value=wait(pattern, p),
            device=pattern.roles[p].device,
        )
        for p in dict.fromkeys(devices or range(len(pattern.roles)))
    ]
    assumptions = [*assumptions_of(pattern), *([_SCV] if second_moment_rate(pattern, 0).has(scv) else []), _APPROXIMATE]
    if pattern.is_family and len(pattern.roles) == 1 and not pattern.approximate:
        whole = end_to_end(pattern.roles[0], device_load(pattern, 0), wait(pattern, 0))
        steps += whole.steps
        results += whole.results
        assumptions += whole.assumptions
    return Derivation(
        title=f"How long a job waits: {pattern.title}",
        what="delay",
        origin=Source.APPROXIMATION,
        assumptions=tuple(assumptions),
        steps=tuple(steps),
        condition=loads,
        results=tuple(results),
    )


def _device_steps(pattern: Pattern, place: int) -> Iterator[Step]:
    role = pattern.roles[place]
    rho, b, W = (named(letter, role.device) for letter in ("rho", "b", "W"))
    yield Step(
        reason=f"{rho}, the load of {role.name}: rate times mean service, summed over stages.",
        equation=sympy.Eq(rho, device_load(pattern, place), evaluate=False),
    )
    yield Step(
        reason=f"{b}, half the rate times second moment of service, summed over stages: the work that an arrival finds in "
        "service, on average.",
        equation=sympy.Eq(b, _arriving(pattern, place), evaluate=False),
    )
    yield Step(
        reason=f"{W}, the mean wait in seconds: an arrival waits for that and for all who wait already, W = b + rho W.",
        equation=sympy.Eq(W, b / (1 - rho), evaluate=False),
    )
