"""How long a later stage takes as prompts grow with ``k``: the token model, in expectation, as a polynomial in ``k``.

An inference takes ``T(p, o) = c0 + c1 p + c2 p^2 + s (d0 + d1 (p + s/2))`` with ``s = o - 1`` decode steps. A later stage reads
the instruction and the ``k + 1`` answers of the layer before as well. Where ``c2 = 0`` its mean is linear in ``k``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sympy  # type: ignore[import-untyped]

from dmoa_theory.symbolic.derivation import Step
from dmoa_theory.symbolic.pattern import StageWork
from dmoa_theory.symbolic.symbols import alpha_of, k, named

if TYPE_CHECKING:
    from dmoa_theory.model.service import MeasuredServiceTime

__all__ = ["growing_mean", "growth_steps", "measured_steps", "measured_work"]

_NAMED = 6
_INSTRUCTION, _ANSWER = (sympy.Symbol(name, nonnegative=True) for name in ("t_I", "t_A"))


def growing_mean(device: int) -> sympy.Expr:
    """Exact for the token model with c2 = 0: mean of a later stage, ``alpha_i + g_i (t_I + (k + 1) t_A)``.

    ``g_i`` are the seconds that one more token read takes, ``t_I`` and ``t_A`` the tokens of instruction and answer.
    """
    slope = sympy.Symbol(f"g_{device}", nonnegative=True)
    return alpha_of(device) + slope * (_INSTRUCTION + (k + 1) * _ANSWER)


_LAW = "An inference that reads p tokens and then makes s decode steps takes c0 + c1 p + c2 p^2 + s (d0 + d1 (p + s/2)) seconds"


def growth_steps() -> tuple[Step, ...]:
    """Exact: from the token model without its quadratic term to a mean service time that is linear in ``k``."""
    c0, c1, d0, d1, read, steps = sympy.symbols("c0 c1 d0 d1 p s", nonnegative=True)

    def seconds(tokens: sympy.Expr) -> sympy.Expr:
        return c0 + c1 * tokens + steps * (d0 + d1 * (tokens + steps / 2))

    more = _INSTRUCTION + (k + 1) * _ANSWER
    slope = sympy.factor(sympy.diff(seconds(read), read))
    grown = sympy.factor(sympy.expand(seconds(read + more) - seconds(read)))
    return (
        Step(
            reason=f"{_LAW}; with c2 = 0, one more token read costs g.",
            equation=sympy.Eq(sympy.Symbol("g"), slope, evaluate=False),
        ),
        Step(
            reason="A later stage also reads the instruction (t_I tokens) and the k + 1 answers of the layer before (t_A "
            "each). Seconds are linear in the tokens read, so the same holds in the mean over independent lengths.",
            equation=sympy.Eq(
                named("beta") - named("alpha"),
                sympy.Symbol("g", nonnegative=True) * sympy.collect(sympy.expand(sympy.cancel(grown / slope)), _ANSWER),
                evaluate=False,
            ),
        ),
    )


def measured_steps(later: Sequence[StageWork], names: Sequence[str]) -> tuple[Step, ...]:
    """Exact for gamma lengths: what later stages of measured devices take, as multiples of the first layer."""
    sharing: dict[sympy.Expr, list[int]] = {}
    for device, work in enumerate(later):
        sharing.setdefault(work.mean / alpha_of(device), []).append(device)
    return tuple(
        Step(
            reason=f"{_LAW}. A later stage also reads the instruction and the k + 1 answers of the layer before. In the mean "
            f"over independent gamma lengths, as a multiple of the first layer's mean, it takes at {_listed(names, devices)}",
            equation=sympy.Eq(sympy.Symbol(f"beta_{devices[0]}") / alpha_of(devices[0]), multiple, evaluate=False),
        )
        for multiple, devices in sharing.items()
    )


def _listed(names: Sequence[str], devices: Sequence[int]) -> str:
    """The first device, whose letters the equation has, and those that share its multiple."""
    first, *others = (names[device] for device in devices)
    if not others:
        return first
    some = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
    return f"{first} (and, with letters of their own, at {some})"


def measured_work(service: MeasuredServiceTime, device: int, mean: sympy.Expr) -> tuple[StageWork, StageWork]:
    """Exact for gamma lengths: first-layer and later work of a measured device, in terms of its first-layer mean and ``k``."""
    fit = service.profiles[device % len(service.profiles)].fit
    lengths = service.tokens[device % len(service.tokens)]
    steps = _raw_moments([sympy.Float(x, 15) for x in lengths.decode_steps()])
    # T as a polynomial in tokens read (rows) and decode steps (columns)
    c0, c1, c2, d0, d1 = (sympy.Float(x, 15) for x in (fit.c0, fit.c1, fit.c2, fit.d0, fit.d1))
    terms = {(0, 0): c0, (0, 1): d0, (0, 2): d1 / 2, (1, 0): c1, (1, 1): d1, (2, 0): c2}
    terms = {powers: factor for powers, factor in terms.items() if factor != 0}

    def moments(read: Sequence[sympy.Expr]) -> tuple[sympy.Expr, sympy.Expr]:
        once = sum(f * read[i] * steps[j] for (i, j), f in terms.items())
        twice = sum(f * h * read[i + a] * steps[j + b] for (i, j), f in terms.items() for (a, b), h in terms.items())
        return sympy.expand(once), sympy.expand(twice)

    prompt = [sympy.Float(x, 15) for x in lengths.read(later=False, k=0)]
    answer = [sympy.Float(x, 15) for x in lengths.output.cumulants()]
    later = [of_prompt + (k + 1) * of_answer for of_prompt, of_answer in zip(prompt, answer, strict=True)]
    later[0] += sympy.Float(lengths.instruction, 15)
    (one, one_squared), (more, more_squared) = moments(_raw_moments(prompt)), moments(_raw_moments(later))
    scale = mean / one
    return (
        StageWork(mean=mean, second=mean**2 * one_squared / one**2),
        StageWork(mean=mean * sympy.expand(more / one), second=scale**2 * more_squared),
    )


def _raw_moments(cumulants: Sequence[sympy.Expr]) -> list[sympy.Expr]:
    """Moments of order 0 to 4 about zero, from the first four cumulants."""
    k1, k2, k3, k4 = cumulants
    return [
        sympy.Integer(1),
        k1,
        k2 + k1**2,
        k3 + 3 * k2 * k1 + k1**3,
        k4 + 4 * k3 * k1 + 3 * k2**2 + 6 * k2 * k1**2 + k1**4,
    ]
