"""Networks in which every device sees the same: one device stands for all, and Fourier's transform solves the identity.

Where devices are alike and the links are those of a commutative group (complete graphs, rings and other circulant graphs, tori,
hypercubes, numbered in the natural way), all quantities by pair depend on the difference of the two devices only. Workloads are
then equal, C is symmetric, and ``G C + C G' = known / (1 - rho)`` is linear: at every frequency it reads
``C = known / (2 (1 - rho) Re G)``.
The stage set of a user may be thought of as its own device and k alike neighbours that are always asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dmoa_theory.delay.closure.newton_krylov import Coupling, Equations
from dmoa_theory.delay.closure.stage_sets import StageSets, stage_sets
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System, UserGroup

__all__ = ["SymmetricPairs", "always_asked", "shared_out", "symmetric_pairs"]


@dataclass(frozen=True, slots=True, eq=False)
class SymmetricPairs:
    """Quantities by difference of two devices, the first being device 0; ``shape`` is that of the group.

    ``sets`` holds one row, device 0's user, whose neighbours stand at ``offset``.
    """

    sets: StageSets
    shape: tuple[int, ...]
    offset: IntArray

    @property
    def size(self) -> int:
        """Number of differences."""
        return int(np.prod(self.shape))

    @property
    def row(self) -> IntArray:
        """First device of every pair: always the one that stands for all."""
        return np.zeros(self.size, dtype=np.int64)

    @property
    def diagonal(self) -> IntArray:
        """Where the difference 0 is."""
        return np.zeros(1, dtype=np.int64)

    @property
    def identity(self) -> FloatArray:
        """1 at the difference 0."""
        values = np.zeros(self.size)
        values[0] = 1.0
        return values

    @property
    def mirror(self) -> IntArray:
        """Where the opposite difference is."""
        places = np.arange(self.size).reshape(self.shape)
        for axis in range(places.ndim):
            places = np.roll(np.flip(places, axis), 1, axis)
        return places.ravel()

    def _transform(self, values: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
        return np.fft.fftn(values.reshape(self.shape))

    def _back(self, values: np.ndarray[tuple[int, ...], np.dtype[np.complex128]]) -> FloatArray:
        return np.asarray(np.fft.ifftn(values).real.ravel())

    def _placed(self, by_entry: FloatArray) -> FloatArray:
        values = np.zeros(self.size)
        values[self.offset] = by_entry
        return values

    def sum_over_users(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """``sum_u left_u0 right_uj`` for every j, from values by entry."""
        return self._back(np.conj(self._transform(self._placed(left))) * self._transform(self._placed(right)))

    def with_own(self, values: FloatArray) -> FloatArray:
        """Of every entry: the value of the pair of the row's own device and the entry's."""
        return values[self.offset]

    def quadratic(self, values: FloatArray, x: FloatArray) -> FloatArray:
        """``sum over entries a != b of x_a x_b value(a, b)``; shape (1,)."""
        together = self.sum_over_users(x, x)
        return np.atleast_1d(together @ values - together[0] * values[0])

    def among(self, u: int) -> IntArray:
        """Where the pairs of the row's entries are, all with all; shape (entries^2,)."""
        at = np.array(np.unravel_index(self.offset, self.shape))
        apart = (at[:, None, :] - at[:, :, None]) % np.array(self.shape)[:, None, None]
        return np.asarray(np.ravel_multi_index(tuple(apart), self.shape)).ravel()

    def solve(self, idle: FloatArray, equations: Equations) -> Coupling:
        """Exact solution of the equations: the mean workload, and relative drops by difference."""
        scale = 2 * idle[0] * self._transform(equations.weights).real
        free, bound = (
            self._back((self._transform(x).real / scale).astype(np.complex128)) for x in (equations.known, 2 * equations.behind)
        )
        workload = free[:1] / (1 + bound[0])
        coupled = free - bound * workload
        return Coupling(workload, coupled / workload, 0.0)


def symmetric_pairs(system: System, groups: list[UserGroup]) -> SymmetricPairs | None:
    """The one row and the group behind a system in which every device sees the same; None where that is not seen.

    Recognised are circulant graphs (the complete graph among them), tori and hypercubes, each in its natural numbering, with
    devices, users and links all alike and neighbours drawn uniformly.
    """
    if len(groups) != 1 or groups[0].users.size != system.n_devices or groups[0].M == 0 or groups[0].k == 0:
        return None
    if not (system.moa.is_uniform and _alike(system, groups[0])):
        return None
    shape = _group_of(system)
    if shape is None:
        return None
    sets = stage_sets(system, [groups[0]._replace(users=np.zeros(1, dtype=np.int64))])
    return SymmetricPairs(replace(sets, device=np.zeros_like(sets.device)), shape, sets.device)


def _alike(system: System, group: UserGroup) -> bool:
    """Whether users, devices and links all have the same figures."""
    service = system.service.for_k(group.k)
    if service.samples is not None and len(service.samples) > 1:
        return False
    figures = [system.rates, *service.mean.T, *service.scv.T]
    if system.has_delay:
        for stage in (Stage.FIRST, Stage.LATER):
            figures += list(system.one_way(stage, group.k))
    return all((values == values[0]).all() for values in figures)


def _group_of(system: System) -> tuple[int, ...] | None:
    """Sizes of the cyclic groups whose product the links are those of; None if there are none such."""
    network, n = system.network, system.n_devices
    degree = network.out_degree
    if not (degree == degree[0]).all():
        return None
    if degree[0] == n - 1:
        return (n,)
    source = network.link_sources().astype(np.int64)
    target = network.indices.astype(np.int64)
    for shape in _shapes(n):
        apart = [(b - a) % size for a, b, size in zip(
            np.unravel_index(source, shape), np.unravel_index(target, shape), shape, strict=True)]  # fmt: skip
        differences = np.sort(np.ravel_multi_index(tuple(apart), shape).reshape(n, -1), axis=1)
        if (differences == differences[0]).all():
            return shape
    return None


def _shapes(n: int) -> Iterator[tuple[int, ...]]:
    yield (n,)
    for a in range(2, int(n**0.5) + 1):
        if n % a == 0:
            yield (a, n // a)
            if a * a != n:
                yield (n // a, a)
    if n > 2 and n & (n - 1) == 0:
        yield (2,) * (n.bit_length() - 1)


def always_asked(sets: StageSets) -> StageSets:
    """The one row with k alike neighbours that are always asked, in place of d of which k are drawn."""
    k = int(sets.asked[0])
    kept = np.arange(k + 1)
    names = ("device", "inclusion", "there", "trip", "mean", "variance")
    batch = sets.batches[0]._replace(entries=slice(0, k + 1))
    return replace(
        sets,
        start=np.array([0, k + 1]),
        row=np.zeros(k + 1, dtype=np.int64),
        coin=np.ones(k + 1),
        batches=(batch,),
        **{name: getattr(sets, name)[kept] for name in names},
    )


def shared_out(values: FloatArray, sets: StageSets) -> FloatArray:
    """Values of :func:`always_asked`'s entries, for all neighbours in proportion to their chance to be asked."""
    return np.concatenate((values[:1], values[1] * sets.inclusion[1:]))
