"""What is random in a run, inside compiled code: who asks, which neighbours, how long an inference takes."""

from __future__ import annotations

import math

import numpy as np

from dmoa_theory.simulation.kernel.compiled import compiled, inlined
from dmoa_theory.simulation.kernel.random_numbers import fill_exponential, fill_uniform, gamma, normal, uniform
from dmoa_theory.simulation.kernel.tables import DETERMINISTIC, EMPIRICAL, EXPONENTIAL, GAMMA

__all__ = ["choose_by_weight", "choose_neighbours", "draw_service", "draw_user", "next_exponential"]

_ZERO, _ONE = np.uint64(0), np.uint64(1)


@inlined
def next_exponential(run, stream, exponentials):
    """An exponential variate of mean 1 from the block of ready ones."""
    at = run.exponentials_used
    if at == np.uint64(exponentials.size):
        fill_exponential(stream, exponentials)
        at = _ZERO
    run.exponentials_used = at + _ONE
    return exponentials[at]


@inlined
def next_uniform(run, stream, uniforms):
    """A number from [0, 1) from the block of ready ones."""
    at = run.uniforms_used
    if at == np.uint64(uniforms.size):
        fill_uniform(stream, uniforms)
        at = _ZERO
    run.uniforms_used = at + _ONE
    return uniforms[at]


@inlined
def draw_user(run, stream, uniforms, user_chance, user_alias):
    """Whose prompt it is, in proportion to the rates (alias method; place and coin from one number)."""
    x = next_uniform(run, stream, uniforms) * user_chance.size
    u = np.uint32(np.int64(x))
    return u if x - np.float64(u) < user_chance[u] else user_alias[u]


@compiled
def _rarer_service(kind, first, second, samples, stream):
    if kind == GAMMA:
        return first * gamma(stream, second)
    if kind == EMPIRICAL:
        start = math.floor(second * 2.0**-26)
        size = second - start * 2.0**26
        return first * samples[np.int64(start) + np.int64(uniform(stream) * size)]
    return math.exp(first + second * normal(stream))


@inlined
def draw_service(row, law, parameter, samples, run, stream, exponentials):
    """How long an inference takes under the law of a row, s; ``parameter`` holds two numbers a row."""
    kind = law[row]
    if kind == EXPONENTIAL:
        return next_exponential(run, stream, exponentials) * parameter[row + row]
    if kind == DETERMINISTIC:
        return parameter[row + row]
    return _rarer_service(kind, parameter[row + row], parameter[row + row + _ONE], samples, stream)


@inlined
def choose_neighbours(first, degree, k, choices, chosen, run, stream, uniforms):
    """Write k of the links from ``first`` on, uniformly chosen, into ``chosen``.

    The first k steps of a Fisher-Yates shuffle of the user's links, which stay shuffled: any order that draws so far have
    left is as good a start as any other.
    """
    for step in range(np.int64(k)):
        j = np.uint64(step)
        place = first + j
        link = choices[place]
        if k < degree:
            other = place + np.uint64(np.int64(next_uniform(run, stream, uniforms) * np.float64(np.int64(degree - j))))
            choices[place], choices[other] = choices[other], link
            link = choices[place]
        chosen[j] = link


@compiled
def choose_by_weight(first, degree, k, chance, base, chosen, run, stream, uniforms):
    """Write k of the links from ``first`` on, chosen by conditional-Poisson sampling, into ``chosen``."""
    needed = np.int64(k)
    for j in range(np.int64(degree)):
        if needed == 0:
            break
        if next_uniform(run, stream, uniforms) < chance[np.int64(base) + j * (np.int64(k) + 1) + needed]:
            needed -= 1
            chosen[np.int64(k) - 1 - needed] = np.uint32(np.int64(first) + j)
