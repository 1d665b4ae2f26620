"""Service laws scaled to mean 1: distribution functions as tables, and nodes for averages over a service time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Law, ServiceTime

__all__ = ["UnitLawBook", "UnitLaws"]

_POINTS = 512
# Chances left out at the lower and the upper end of a table.
_LOW, _HIGH = 1e-9, 1e-8
# Below this SCV a service time is taken as constant.
_CONSTANT = 1e-8
# Edges of the classes of service times, by probability; the mean of each is a node. Finer towards the tail, where much of the
# variance of a heavy law lies: ten equal classes would lose 5 to 20 % of it.
_EDGES = np.array([0, 0.08, 0.2, 0.35, 0.5, 0.65, 0.77, 0.86, 0.92, 0.96, 0.98, 0.992, 0.998, 0.9997, 1.0])


class _Table(NamedTuple):
    low: float
    span: float
    cdf: FloatArray
    node: FloatArray


@dataclass(frozen=True, slots=True)
class UnitLaws:
    """Tables of c laws: where each begins, how far it reaches, its distribution function, its nodes; common weights."""

    low: FloatArray
    span: FloatArray
    cdf: FloatArray
    node: FloatArray
    weight: FloatArray


@dataclass(slots=True)
class UnitLawBook:
    """Hands every distinct law a number, and makes the tables when all are known.

    Examples
    --------
    >>> book = UnitLawBook()
    >>> service = ServiceTime.exponential([1.0, 5.0])
    >>> book.numbers(service, np.array([1.0, 1.0])).tolist()
    [0, 0]
    >>> laws = book.tables()
    >>> round(float(laws.node[0] @ laws.weight), 9)
    1.0
    """

    _number: dict[object, int] = field(default_factory=dict)
    _made: list[_Table] = field(default_factory=list)

    def numbers(self, service: ServiceTime, scv: FloatArray) -> IntArray:
        """The number of each device's law, shape (n,): the service's family at these SCVs, or the device's samples."""
        if service.samples is not None:
            count = len(service.samples)
            known = [self._take(("samples", id(times)), partial(_empirical, times)) for times in service.samples]
            return np.array([known[i % count] for i in range(scv.size)], dtype=np.int64)
        distinct, which = np.unique(np.where(scv < _CONSTANT, 0.0, scv), return_inverse=True)
        lognormal = service.law is Law.LOGNORMAL
        known = [self._take((lognormal, c2), partial(_named, c2, lognormal)) for c2 in distinct.tolist()]
        return np.array(known, dtype=np.int64)[which.ravel()]

    def _take(self, key: object, make: Callable[[], _Table]) -> int:
        """The number of a law, its table made when it is met first."""
        if key not in self._number:
            self._number[key] = len(self._made)
            self._made.append(make())
        return self._number[key]

    def tables(self) -> UnitLaws:
        """Tables of all laws met so far."""
        low, span, cdf, node = (np.array(part) for part in zip(*self._made, strict=True))
        weight = np.diff(_EDGES)
        return UnitLaws(low, span, np.ascontiguousarray(cdf), node / (node @ weight)[:, None], weight)


def _grid(low: float, high: float) -> FloatArray:
    return np.asarray(low + (high - low) * (np.arange(_POINTS + 1) / _POINTS) ** 2)


@lru_cache(maxsize=256)
def _named(scv: float, lognormal: bool) -> _Table:
    """Tables of a constant, a lognormal or a gamma law of mean 1; kept, for an optimiser asks for the same again and again."""
    from scipy import special

    if scv == 0:
        return _Table(1.0, 0.0, np.ones(_POINTS + 1), np.ones(_EDGES.size - 1))
    inner = _EDGES[1:-1]
    if lognormal:
        sigma = math.sqrt(math.log1p(scv))
        low, high = (math.exp(sigma * float(special.ndtri(p)) - sigma**2 / 2) for p in (_LOW, 1 - _HIGH))
        standard = (np.log(np.maximum(_grid(low, high), 1e-300)) + sigma**2 / 2) / sigma
        cdf = np.asarray(special.ndtr(standard), dtype=np.float64)
        below = np.asarray(
            special.ndtr(special.ndtri(inner) - sigma), dtype=np.float64
        )  # share of the mean that lies below each edge
    else:
        shape = 1 / scv
        low, high = (float(special.gammaincinv(shape, p)) * scv for p in (_LOW, 1 - _HIGH))
        cdf = np.asarray(special.gammainc(shape, _grid(low, high) * shape), dtype=np.float64)
        below = np.asarray(special.gammainc(shape + 1, special.gammaincinv(shape, inner)), dtype=np.float64)
    node = np.diff(below, prepend=0.0, append=1.0) / np.diff(_EDGES)
    return _Table(low, high - low, cdf, np.asarray(node))


def _empirical(times: FloatArray) -> _Table:
    """Tables of a draw from samples, scaled to mean 1."""
    unit = np.sort(times) / times.mean()
    low, high = float(unit[0]), float(unit[-1])
    cdf = np.searchsorted(unit, _grid(low, high), side="right") / unit.size
    share = np.concatenate(([0.0], np.cumsum(unit) / unit.size))
    below = np.interp(_EDGES, np.linspace(0, 1, unit.size + 1), share)
    return _Table(low, (high - low) if high - low > 1e-4 else 0.0, cdf, np.diff(below) / np.diff(_EDGES))
