"""Random numbers inside compiled code: xoshiro256++, and exponential, normal and gamma variates drawn from it.

numpy's generators cost a function call a number inside numba; these are inlined. A stream is four 64-bit words that
``numpy.random.SeedSequence`` spawns, so streams of different replications are independent. The ziggurats have 256 layers;
their tables are computed here, from the densities.

References
----------
Blackman, D. and Vigna, S. (2021), "Scrambled linear pseudorandom number generators", ACM TOMS 47(4).
Marsaglia, G. and Tsang, W. W. (2000), "The ziggurat method for generating random variables", J. Statistical Software 5(8);
(2000), "A simple method for generating gamma variables", ACM TOMS 26(3).
Doornik, J. A. (2005), "An improved ziggurat method to generate normal random samples" (separate bits for layer and value).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.simulation.kernel.compiled import compiled, inlined

__all__ = ["exponential", "fill_exponential", "fill_uniform", "gamma", "new_stream", "normal", "uniform"]

_LAYERS = 256
_Curve: TypeAlias = Callable[[float], float]


def _ziggurat(
    density: Callable[[float], float], inverse: Callable[[float], float], tail: Callable[[float], float]
) -> FloatArray:
    """Right edges of 256 layers of equal area under a falling density on [0, inf); shape (257,), edges falling to 0.

    Parameters
    ----------
    density, inverse : callable
        The unnormalised density f, f(0) = 1, and its inverse.
    tail : callable
        Area beyond a point.
    """

    def edges(start: float) -> tuple[FloatArray, bool]:
        """The edges above a base that ends at ``start``, and whether they reach the density's top too early."""
        area = start * density(start) + tail(start)
        x = np.zeros(_LAYERS + 1)
        x[0], x[1] = area / density(start), start
        for i in range(2, _LAYERS + 1):
            height = density(x[i - 1]) + area / x[i - 1]
            if height >= 1:
                return x, True
            x[i] = inverse(height)
        return x, False

    low, high = 1.0, 20.0  # a base that is too fat, and one that is too thin; the last layer has to close at the top
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if edges(middle)[1] else (low, middle)
    found, _ = edges(high)
    found[_LAYERS] = 0.0
    return found


_EXPONENTIAL = _ziggurat(lambda x: math.exp(-x), lambda y: -math.log(y), lambda x: math.exp(-x))
_NORMAL = _ziggurat(
    lambda x: math.exp(-0.5 * x * x),
    lambda y: math.sqrt(-2 * math.log(y)),
    lambda x: math.sqrt(math.pi / 2) * math.erfc(x / math.sqrt(2)),
)
_EXPONENTIAL_AT = np.exp(-_EXPONENTIAL)
_NORMAL_AT = np.exp(-0.5 * _NORMAL**2)
_EXPONENTIAL_TAIL, _NORMAL_TAIL = float(_EXPONENTIAL[1]), float(_NORMAL[1])
_TO_UNIT = 2.0**-53


def new_stream(seed: np.random.SeedSequence) -> npt.NDArray[np.uint64]:
    """The state of a fresh stream; shape (4,).

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.simulation.kernel.random_numbers import new_stream, uniform
    >>> stream = new_stream(np.random.SeedSequence(1))
    >>> 0 <= uniform(stream) < 1
    True
    """
    return seed.generate_state(4, np.uint64).astype(np.uint64)


@inlined
def _step(s0, s1, s2, s3):
    """64 random bits and the next state (xoshiro256++)."""
    total = s0 + s3
    bits = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    return bits, s0, s1, s2, (s3 << np.uint64(45)) | (s3 >> np.uint64(19))


@inlined
def _next(state):
    """The next 64 random bits of a stream."""
    bits, state[0], state[1], state[2], state[3] = _step(state[0], state[1], state[2], state[3])
    return bits


@inlined
def uniform(state):
    """A number from [0, 1), with 53 random bits."""
    return np.float64(np.int64(_next(state) >> np.uint64(11))) * _TO_UNIT


@compiled
def _exponential_slow(state, layer, x):
    """What a draw outside the layer's inner part ends as."""
    shift = 0.0
    while True:
        if layer == 0:  # beyond the base the law is itself, further out: it has no memory
            shift += _EXPONENTIAL_TAIL
        else:
            low, high = _EXPONENTIAL_AT[layer], _EXPONENTIAL_AT[layer + 1]
            if low + uniform(state) * (high - low) < math.exp(-x):
                return shift + x
        bits = _next(state)
        layer = np.int64(bits & np.uint64(255))
        x = np.float64(np.int64(bits >> np.uint64(11))) * _TO_UNIT * _EXPONENTIAL[layer]
        if x < _EXPONENTIAL[layer + 1]:
            return shift + x


@inlined
def exponential(state):
    """An exponential variate of mean 1 (ziggurat)."""
    bits = _next(state)
    layer = np.int64(bits & np.uint64(255))
    x = np.float64(np.int64(bits >> np.uint64(11))) * _TO_UNIT * _EXPONENTIAL[layer]
    if x < _EXPONENTIAL[layer + 1]:
        return x
    return _exponential_slow(state, layer, x)


@compiled
def normal(state):
    """A standard normal variate (ziggurat)."""
    while True:
        bits = _next(state)
        layer = np.int64(bits & np.uint64(255))
        sign = 1.0 if bits & np.uint64(256) else -1.0
        x = np.float64(np.int64(bits >> np.uint64(11))) * _TO_UNIT * _NORMAL[layer]
        if x < _NORMAL[layer + 1]:
            return sign * x
        if layer == 0:
            while True:
                beyond = exponential(state) / _NORMAL_TAIL
                if 2 * exponential(state) > beyond * beyond:
                    return sign * (_NORMAL_TAIL + beyond)
        low, high = _NORMAL_AT[layer], _NORMAL_AT[layer + 1]
        if low + uniform(state) * (high - low) < math.exp(-0.5 * x * x):
            return sign * x


@compiled
def gamma(state, shape):
    """A gamma variate of the given shape and scale 1 (Marsaglia and Tsang); below shape 1 by the power of a uniform."""
    boosted = shape if shape >= 1.0 else shape + 1.0
    d = boosted - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(state)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = 1.0 - uniform(state)
        if u < 1.0 - 0.0331 * x**4 or math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            break
    if shape >= 1.0:
        return d * v
    return d * v * math.exp(-exponential(state) / shape)


@compiled
def fill_exponential(state, out):
    """Fill an array with exponential variates; in one go, so that the state stays in registers."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    for i in range(out.size):
        bits, s0, s1, s2, s3 = _step(s0, s1, s2, s3)
        layer = np.int64(bits & np.uint64(255))
        x = np.float64(np.int64(bits >> np.uint64(11))) * _TO_UNIT * _EXPONENTIAL[layer]
        if x >= _EXPONENTIAL[layer + 1]:
            state[0], state[1], state[2], state[3] = s0, s1, s2, s3
            x = _exponential_slow(state, layer, x)
            s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
        out[i] = x
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


@compiled
def fill_uniform(state, out):
    """Fill an array with numbers from [0, 1)."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    for i in range(out.size):
        bits, s0, s1, s2, s3 = _step(s0, s1, s2, s3)
        out[i] = np.float64(np.int64(bits >> np.uint64(11))) * _TO_UNIT
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3
